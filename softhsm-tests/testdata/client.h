/*
 * What hosts share beside host.h: a second process at a token that somebody has made, children and what they are
 * answered, and what a process looks like from outside. It wants _GNU_SOURCE.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Numbers of the standard that host.h does not have. */
enum { CKO_PUBLIC_KEY = 2 };

/* A session in which the user of the first token is logged in. */
UNUSED static CK_SESSION_HANDLE log_in(CK_FUNCTION_LIST_3_2 *p11)
{
	CK_SLOT_ID slots[8];
	CK_ULONG count = 8;
	CK_SESSION_HANDLE session;
	OK(p11->C_GetSlotList(1, slots, &count));
	CHECK(count >= 1);
	OK(p11->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
	OK(p11->C_Login(session, CKU_USER, user_pin, USER_PIN));
	return session;
}

/* The token's one key of that class. */
UNUSED static CK_OBJECT_HANDLE find_key(CK_FUNCTION_LIST_3_2 *p11, CK_SESSION_HANDLE session, CK_ULONG class)
{
	CK_ATTRIBUTE wanted = {CKA_CLASS, &class, sizeof class};
	CK_OBJECT_HANDLE found[2];
	CK_ULONG count;
	OK(p11->C_FindObjectsInit(session, &wanted, 1));
	OK(p11->C_FindObjects(session, found, 2, &count));
	OK(p11->C_FindObjectsFinal(session));
	CHECK(count == 1);
	return found[0];
}

/* Logs in, signs once with the key that somebody else has made, verifies. */
UNUSED static void sign_as_another(CK_FUNCTION_LIST_3_2 *p11)
{
	CK_SESSION_HANDLE session = log_in(p11);
	sign_and_verify(p11, session, find_key(p11, session, CKO_PRIVATE_KEY), find_key(p11, session, CKO_PUBLIC_KEY));
}

/* An application of its own, from beginning to end. */
UNUSED static void be_an_application(CK_FUNCTION_LIST_3_2 *p11)
{
	OK(p11->C_Initialize(NULL));
	sign_as_another(p11);
	OK(p11->C_Finalize(NULL));
}

/* The same without a PIN, whose check costs much time by design. */
UNUSED static void be_a_visitor(CK_FUNCTION_LIST_3_2 *p11)
{
	CK_SLOT_ID slots[8];
	CK_ULONG count = 8;
	CK_SESSION_HANDLE session;
	CK_BYTE random[32];
	OK(p11->C_Initialize(NULL));
	OK(p11->C_GetSlotList(1, slots, &count));
	OK(p11->C_OpenSession(slots[0], CKF_SERIAL_SESSION, NULL, NULL, &session));
	OK(p11->C_GenerateRandom(session, random, sizeof random));
	find_key(p11, session, CKO_PUBLIC_KEY);
	OK(p11->C_Finalize(NULL));
}

UNUSED static void sleep_ms(int ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
	while (nanosleep(&t, &t) != 0)
		CHECK(errno == EINTR);
}

/* Waits for a child's good end. One that is not done in a minute hangs. */
UNUSED static void reap(pid_t child)
{
	int status;
	pid_t ended = 0;
	CHECK(child > 0);
	for (int ms = 0; ms < 60000 && ended == 0; ms++) {
		ended = waitpid(child, &status, WNOHANG);
		if (ended == 0)
			sleep_ms(1);
	}
	if (ended == 0) {
		kill(child, SIGKILL);
		fprintf(stderr, "the child hangs\n");
		exit(1);
	}
	CHECK(ended == child);
	if (WIFSIGNALED(status))
		fprintf(stderr, "the child died of signal %d\n", WTERMSIG(status));
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* fork() into a new process number space. unshare() would do, but after it the parent cannot start threads. */
UNUSED static pid_t fork_as_process_1(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
}

/* A child that shares the parent's memory, as vfork() makes one: all that is known of it is its process number. */
UNUSED static void clone_with_shared_memory(int (*work)(void *))
{
	static char stack[1 << 18] __attribute__((aligned(16)));
	reap(clone(work, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL));
}

/* What most functions answer in a child that is not initialised, when everything but the session is zero. */
UNUSED static CK_RV usual_in_child(int i)
{
	if (is(i, "C_GetFunctionList") || is(i, "C_GetInterface") || is(i, "C_GetInterfaceList"))
		return CKR_ARGUMENTS_BAD; /* they work, and want a pointer */
	return CKR_CRYPTOKI_NOT_INITIALIZED;
}

/* Calls every function so, in a child that ends with the first answer that is not the wanted one. */
#define NOT_TO_BE_CALLED (~0UL)
UNUSED static void call_everything(CK_FUNCTION_LIST_3_2 *p11, CK_SESSION_HANDLE session, CK_RV (*wanted)(int i))
{
	for (int i = 0; i < FUNCTIONS; i++) {
		CK_RV rv = wanted(i) == NOT_TO_BE_CALLED ? NOT_TO_BE_CALLED : call_with_zeros(p11, i, session);
		if (rv != wanted(i)) {
			fprintf(stderr, "in the child %s: 0x%lx\n", functions[i].name, rv);
			_exit(1);
		}
	}
}

/* Threads that call without a pause, while the host forks. */
struct busy {
	CK_FUNCTION_LIST_3_2 *p11;
	CK_SESSION_HANDLE session;
	atomic_bool stop;
	pthread_t threads[3];
};

UNUSED static void *call_busily(void *argument)
{
	struct busy *b = argument;
	CK_BYTE random[32];
	while (!atomic_load(&b->stop))
		OK(b->p11->C_GenerateRandom(b->session, random, sizeof random));
	return NULL;
}

UNUSED static void start_threads(struct busy *b)
{
	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&b->threads[i], NULL, call_busily, b) == 0);
}

UNUSED static void stop_threads(struct busy *b)
{
	atomic_store(&b->stop, true);
	for (int i = 0; i < 3; i++)
		CHECK(pthread_join(b->threads[i], NULL) == 0);
}

/* A number of /proc/self/status, such as "Threads:". */
UNUSED static unsigned long status_of(const char *field, int base)
{
	static char text[8192];
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t length = read(fd, text, sizeof text - 1);
	CHECK(length > 0);
	close(fd);
	text[length] = '\0';
	char *at = strstr(text, field);
	CHECK(at != NULL);
	return strtoul(at + strlen(field), NULL, base);
}

/* What the host does for each signal. The kernel's own mask of caught and ignored ones leaves nothing out. */
struct signals {
	unsigned long caught, ignored, blocked;
	void (*handlers[65])(int);
	int flags[65];
};

UNUSED static struct signals signals_now(void)
{
	struct signals s = {status_of("SigCgt:", 16), status_of("SigIgn:", 16), status_of("SigBlk:", 16), {0}, {0}};
	for (int i = 1; i <= 64; i++) {
		struct sigaction action;
		if (sigaction(i, NULL, &action) != 0)
			continue;
		s.handlers[i] = action.sa_handler;
		s.flags[i] = action.sa_flags;
	}
	return s;
}

UNUSED static bool same_signals(const struct signals *a, const struct signals *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

#endif

/*
 * What the hosts of libonceleaf.so share beside host.h: a second process at a token that somebody has made, a child that
 * must end well and in time, and what a process looks like from outside.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
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

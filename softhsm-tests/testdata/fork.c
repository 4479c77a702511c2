/*
 * A host that forks. In the child every function answers at once with an error, whatever the parent has done, and the
 * parent goes on as if nothing had happened. usage: fork MODULE SCENARIO, with an empty ONCELEAF_DIR
 */
#define _GNU_SOURCE
#include "host.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static CK_FUNCTION_LIST_3_2 *p11;
static CK_SESSION_HANDLE session;

/* What a child must answer to function i when everything but the session is zero. */
static CK_RV wanted_in_child(int i)
{
	if (is(i, "C_Initialize"))
		return CKR_GENERAL_ERROR;
	if (is(i, "C_GetFunctionList") || is(i, "C_GetInterface") || is(i, "C_GetInterfaceList"))
		return CKR_ARGUMENTS_BAD; /* they work, and want a pointer */
	return CKR_CRYPTOKI_NOT_INITIALIZED;
}

/* Runs in the child, where only async-signal-safe calls are in order. */
static void call_everything(void)
{
	for (int i = 0; i < FUNCTIONS; i++) {
		if (call_with_zeros(p11, i, session) != wanted_in_child(i))
			_exit(100 + i);
	}
}

/* Waits for the child's good end. It has next to nothing to do: one that is not done in ten seconds hangs. */
static void reap(pid_t child)
{
	int status;
	pid_t ended = 0;
	CHECK(child > 0);
	for (int ms = 0; ms < 10000 && ended == 0; ms++) {
		ended = waitpid(child, &status, WNOHANG);
		if (ended == 0)
			usleep(1000);
	}
	if (ended == 0) {
		kill(child, SIGKILL);
		fprintf(stderr, "the child hangs\n");
		exit(1);
	}
	CHECK(ended == child);
	if (WIFSIGNALED(status))
		fprintf(stderr, "the child died of signal %d\n", WTERMSIG(status));
	else if (WEXITSTATUS(status) >= 100)
		fprintf(stderr, "in the child %s gave the wrong answer\n", functions[WEXITSTATUS(status) - 100].name);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void fork_and_call(void)
{
	pid_t child = fork();
	if (child == 0) {
		call_everything();
		_exit(0);
	}
	reap(child);
}

/* A child whose own exit handlers run, as those of a daemon's worker do. */
static void fork_and_exit(void)
{
	pid_t child = fork();
	if (child == 0) {
		call_everything();
		exit(0);
	}
	reap(child);
}

static void fork_twice(void)
{
	pid_t child = fork();
	if (child == 0) {
		call_everything();
		fork_and_call();
		_exit(0);
	}
	reap(child);
}

static int in_shared_memory(void *unused)
{
	(void)unused;
	call_everything();
	_exit(0);
}

/* A child that shares the parent's memory, as vfork() makes one: all that is known of it is its process number. */
static void clone_with_shared_memory(void)
{
	static char stack[1 << 18] __attribute__((aligned(16)));
	reap(clone(in_shared_memory, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL));
}

static atomic_bool stop;

static void *busy(void *unused)
{
	CK_BYTE random[32];
	while (!atomic_load(&stop))
		OK(p11->C_GenerateRandom(session, random, sizeof random));
	return unused;
}

static void fork_beside_busy_threads(void)
{
	pthread_t threads[3];
	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&threads[i], NULL, busy, NULL) == 0);
	for (int i = 0; i < 50; i++)
		fork_and_call();
	atomic_store(&stop, true);
	for (int i = 0; i < 3; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

/* fork() into a new process number space. unshare() would do, but after it the parent cannot start threads. */
static pid_t fork_as_process_1(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
}

static void work_and_fork(const char *module, void (*forking)(void))
{
	p11 = load(module);
	OK(p11->C_Initialize(NULL));
	session = make_token(p11);
	CK_OBJECT_HANDLE public, private = make_key(p11, session, 2, 1, &public);
	sign_and_verify(p11, session, private, public);
	forking();
	sign_and_verify(p11, session, private, public);
	CHECK(keys_remaining(p11, session, private) == 1024 - 2);
	OK(p11->C_Finalize(NULL));
}

static void fork_with_the_same_number(void)
{
	CHECK(getpid() == 1);
	pid_t child = fork_as_process_1();
	if (child == 0) {
		if (getpid() != 1)
			_exit(99);
		call_everything();
		_exit(0);
	}
	reap(child);
}

int main(int argc, char **argv)
{
	CHECK(argc == 3);
	const char *module = argv[1], *scenario = argv[2];
	if (strcmp(scenario, "before-initialize") == 0) {
		p11 = load(module);
		fork_and_call();
		work_and_fork(module, fork_and_call);
	} else if (strcmp(scenario, "after-finalize") == 0) {
		work_and_fork(module, fork_and_call);
		fork_and_call();
	} else if (strcmp(scenario, "exit") == 0) {
		work_and_fork(module, fork_and_exit);
	} else if (strcmp(scenario, "twice") == 0) {
		work_and_fork(module, fork_twice);
	} else if (strcmp(scenario, "shared-memory") == 0) {
		work_and_fork(module, clone_with_shared_memory);
	} else if (strcmp(scenario, "threads") == 0) {
		work_and_fork(module, fork_beside_busy_threads);
	} else if (strcmp(scenario, "same-number") == 0) {
		CHECK(unshare(CLONE_NEWPID) == 0);
		pid_t container = fork();
		if (container == 0) {
			work_and_fork(module, fork_with_the_same_number);
			_exit(0);
		}
		reap(container);
	} else {
		fprintf(stderr, "no scenario %s\n", scenario);
		return 2;
	}
	return 0;
}

/*
 * A host that forks. In the child every function answers at once with an error, whatever the parent has done, and the
 * parent goes on as if nothing had happened. usage: fork MODULE SCENARIO, with an empty ONCELEAF_DIR
 */
#define _GNU_SOURCE
#include "client.h"

static CK_FUNCTION_LIST_3_2 *p11;
static CK_SESSION_HANDLE session;

static CK_RV wanted_in_child(int i)
{
	return is(i, "C_Initialize") ? CKR_GENERAL_ERROR : usual_in_child(i);
}

static void call_everything_in_child(void)
{
	call_everything(p11, session, wanted_in_child);
}

static void fork_and_call(void)
{
	pid_t child = fork();
	if (child == 0) {
		call_everything_in_child();
		_exit(0);
	}
	reap(child);
}

/* A child whose own exit handlers run, as those of a daemon's worker do. */
static void fork_and_exit(void)
{
	pid_t child = fork();
	if (child == 0) {
		call_everything_in_child();
		exit(0);
	}
	reap(child);
}

static void fork_twice(void)
{
	pid_t child = fork();
	if (child == 0) {
		call_everything_in_child();
		fork_and_call();
		_exit(0);
	}
	reap(child);
}

static int in_shared_memory(void *unused)
{
	(void)unused;
	call_everything_in_child();
	_exit(0);
}

static void clone_child(void)
{
	clone_with_shared_memory(in_shared_memory);
}

static void fork_beside_busy_threads(void)
{
	struct busy busy = {.p11 = p11, .session = session};
	start_threads(&busy);
	for (int i = 0; i < 50; i++)
		fork_and_call();
	stop_threads(&busy);
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
		call_everything_in_child();
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
		work_and_fork(module, clone_child);
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

/*
 * A host that forks, with libonceleaf.so: in the child every function says that the library is not initialised, after
 * C_Initialize all works, and the parent goes on as if nothing had happened.
 *
 * usage: forks MODULE SCENARIO [CHILDREN], with an empty ONCELEAF_DIR and a daemon that can be started
 *
 *	before-initialize  the parent has loaded the library and no more
 *	after-finalize     the parent is through with it
 *	child              a child in the middle of the parent's work
 *	exit               the child ends by exit()
 *	deep               three forks deep, each an application
 *	threads            200 forks (or CHILDREN) beside three busy threads; each tenth child signs
 *	thread-in-child    in the child another thread than the one that forked initialises
 *	atfork             the host's own atfork handler initialises in the child
 *	many-children      children of one parent that work at the same time
 *	shared-memory      a child that shares the parent's memory may do nothing
 *	vfork              the same with vfork()
 *	same-number        parent and child are both process 1 (needs root)
 */
#define _GNU_SOURCE
#include "client.h"

static CK_FUNCTION_LIST_3_2 *p11;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE private_key, public_key;
static int children = 200;
static bool initialised; /* this process or one before it has been */

static CK_RV wanted_in_child(int i)
{
	if (is(i, "C_Initialize"))
		return NOT_TO_BE_CALLED;
	if (!initialised && (is(i, "C_GetFunctionStatus") || is(i, "C_CancelFunction")))
		return CKR_FUNCTION_NOT_PARALLEL; /* nothing tells the child from its parent yet */
	return usual_in_child(i);
}

static void call_everything_in_child(void)
{
	call_everything(p11, session, wanted_in_child);
}

/* The parent's session means nothing in the child, also after its own C_Initialize. */
static void work_in_child(void)
{
	call_everything_in_child();
	OK(p11->C_Initialize(NULL));
	EXPECT(CKR_CRYPTOKI_ALREADY_INITIALIZED, p11->C_Initialize(NULL));
	EXPECT(CKR_SESSION_HANDLE_INVALID, p11->C_CloseSession(session + 77));
	sign_as_another(p11);
	OK(p11->C_Finalize(NULL));
	EXPECT(CKR_CRYPTOKI_NOT_INITIALIZED, p11->C_Finalize(NULL));
	be_a_visitor(p11);
}

static void fork_and_work(void)
{
	pid_t child = fork();
	if (child == 0) {
		work_in_child();
		_exit(0);
	}
	reap(child);
}

static void fork_and_exit(void)
{
	pid_t child = fork();
	if (child == 0) {
		work_in_child();
		exit(0);
	}
	reap(child);
	child = fork();
	if (child == 0)
		exit(0); /* it has done nothing with the library */
	reap(child);
}

/* Each generation is in the middle of its own work when it forks the next one. */
static void fork_deep(int depth)
{
	if (depth == 0)
		return;
	pid_t child = fork();
	if (child == 0) {
		call_everything_in_child();
		OK(p11->C_Initialize(NULL));
		session = log_in(p11);
		private_key = find_key(p11, session, CKO_PRIVATE_KEY);
		public_key = find_key(p11, session, CKO_PUBLIC_KEY);
		sign_and_verify(p11, session, private_key, public_key);
		fork_deep(depth - 1);
		sign_and_verify(p11, session, private_key, public_key);
		OK(p11->C_Finalize(NULL));
		_exit(0);
	}
	reap(child);
}

static void fork_three_deep(void)
{
	fork_deep(3);
}

static void *initialise(void *unused)
{
	OK(p11->C_Initialize(NULL));
	sign_as_another(p11);
	return unused;
}

static void *visit(void *unused)
{
	CK_SESSION_INFO info;
	OK(p11->C_GetSessionInfo(session, &info));
	return unused;
}

static void run_thread(void *(*work)(void *))
{
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, work, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

static void *finalise(void *unused)
{
	OK(p11->C_Finalize(NULL));
	return unused;
}

/* The thread that forked has in its hands what it had in the parent, and must not use it. */
static void thread_in_child(void)
{
	run_thread(visit); /* a thread of the parent's that has ended */
	pid_t child = fork();
	if (child == 0) {
		CK_SLOT_ID slots[8];
		CK_ULONG count = 8;
		run_thread(initialise);
		OK(p11->C_GetSlotList(1, slots, &count));
		run_thread(finalise);
		EXPECT(CKR_CRYPTOKI_NOT_INITIALIZED, p11->C_GetSlotList(1, slots, &count));
		be_a_visitor(p11);
		_exit(0);
	}
	reap(child);
}

static CK_RV in_handler;

static void atfork_child(void)
{
	in_handler = p11->C_Initialize(NULL);
}

/* As PKCS#11 helpers do it; the library must not hold a lock over the fork. */
static void fork_with_handler(void)
{
	CHECK(pthread_atfork(NULL, NULL, atfork_child) == 0);
	for (int i = 0; i < 20; i++) {
		pid_t child = fork();
		if (child == 0) {
			OK(in_handler);
			if (i == 0)
				sign_as_another(p11);
			OK(p11->C_Finalize(NULL));
			_exit(0);
		}
		reap(child);
	}
}

static void fork_many(void)
{
	enum { MANY = 8 };
	pid_t pids[MANY];
	for (int i = 0; i < MANY; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			work_in_child();
			_exit(0);
		}
	}
	for (int i = 0; i < MANY; i++)
		reap(pids[i]);
}

/* In shared memory nothing may be done, not even C_Initialize: the state is the parent's. */
static int refused_in_shared_memory(void)
{
	call_everything_in_child();
	return p11->C_Initialize(NULL) == CKR_GENERAL_ERROR ? 0 : 1;
}

static int in_shared_memory(void *unused)
{
	(void)unused;
	_exit(refused_in_shared_memory());
}

static void clone_child(void)
{
	clone_with_shared_memory(in_shared_memory);
}

static void fork_by_vfork(void)
{
	pid_t child = vfork();
	if (child == 0)
		_exit(refused_in_shared_memory());
	reap(child);
}

static void fork_beside_busy_threads(void)
{
	struct busy busy = {.p11 = p11, .session = session};
	start_threads(&busy);
	for (int i = 0; i < children; i++) {
		pid_t child = fork();
		if (child == 0) {
			call_everything_in_child();
			if (i % 10 == 0)
				be_an_application(p11);
			else
				be_a_visitor(p11);
			_exit(0);
		}
		reap(child);
	}
	stop_threads(&busy);
	printf("forks %d\n", children);
}

static void work_and_fork(void (*forking)(void))
{
	OK(p11->C_Initialize(NULL));
	initialised = true;
	session = make_token(p11);
	private_key = make_key(p11, session, 2, 1, &public_key);
	sign_and_verify(p11, session, private_key, public_key);
	CK_OBJECT_HANDLE private = private_key, public = public_key;
	forking();
	sign_and_verify(p11, session, private, public);
	OK(p11->C_Finalize(NULL));
}

static void nothing(void)
{
}

static void fork_with_the_same_number(void)
{
	CHECK(getpid() == 1);
	pid_t child = fork_as_process_1();
	if (child == 0) {
		CHECK(getpid() == 1);
		work_in_child();
		_exit(0);
	}
	reap(child);
}

static void same_number(void)
{
	CHECK(unshare(CLONE_NEWPID) == 0);
	pid_t container = fork();
	if (container == 0) {
		work_and_fork(fork_with_the_same_number);
		_exit(0);
	}
	reap(container);
}

static void before_initialize(void)
{
	pid_t child = fork();
	if (child == 0) {
		work_and_fork(fork_and_work);
		_exit(0);
	}
	reap(child);
	fork_and_work();
	be_an_application(p11);
}

static void after_finalize(void)
{
	work_and_fork(nothing);
	fork_and_work();
	be_an_application(p11);
}

int main(int argc, char **argv)
{
	const struct {
		const char *name;
		void (*forking)(void); /* in the middle of the parent's work */
		void (*scenario)(void); /* or all of it */
	} scenarios[] = {
		{"before-initialize", NULL, before_initialize},
		{"after-finalize", NULL, after_finalize},
		{"child", fork_and_work, NULL},
		{"exit", fork_and_exit, NULL},
		{"deep", fork_three_deep, NULL},
		{"threads", fork_beside_busy_threads, NULL},
		{"thread-in-child", thread_in_child, NULL},
		{"atfork", fork_with_handler, NULL},
		{"many-children", fork_many, NULL},
		{"shared-memory", clone_child, NULL},
		{"vfork", fork_by_vfork, NULL},
		{"same-number", NULL, same_number},
	};
	CHECK(argc == 3 || argc == 4);
	p11 = load(argv[1]);
	if (argc == 4)
		children = atoi(argv[3]);
	for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
		if (strcmp(argv[2], scenarios[i].name) != 0)
			continue;
		if (scenarios[i].scenario != NULL)
			scenarios[i].scenario();
		else
			work_and_fork(scenarios[i].forking);
		return 0;
	}
	fprintf(stderr, "no scenario %s\n", argv[2]);
	return 2;
}

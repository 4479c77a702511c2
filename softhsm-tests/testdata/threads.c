/*
 * A host with threads. usage: threads MODULE SCENARIO, with an empty ONCELEAF_DIR
 *
 * connections  eight threads make a call and stay, then end. The host prints "working" and "ended" and waits for a line
 *              each time, so that the test can look at the daemon
 * dlclose      a thread that has made calls ends after the library is closed
 * cancel       threads are cancelled while they make calls
 * finalize     C_Finalize comes while eight threads make calls, again and again
 *
 * With libonceleaf.so alone:
 *
 * cancelled-end  a thread has made a call and ends with a cancellation before it
 * copies         forked children keep copies of the connections of threads that have ended
 * again          the host takes the control connection away and initialises anew while eight threads make calls
 * small-stacks   threads with 16 KiB of stack, the least that glibc gives
 * chroot DIR     new threads cannot reach the daemon any more, and the others go on (needs root)
 * setuid         the same (needs root)
 */
#define _GNU_SOURCE
#include "client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <grp.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CKR_FUNCTION_FAILED_ = 6, CKR_DEVICE_REMOVED_ = 0x32, NOBODY = 65534 };
enum { THREADS = 8, ROOM = 16384, MARK = 0xA5, ROUNDS = 8, CKR_FUNCTION_CANCELED_ = 0x50 };

static CK_FUNCTION_LIST_3_2 *p11;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE private_key, public_key;
static CK_MECHANISM hss = {CKM_HSS, NULL, 0};
static pthread_barrier_t barrier;

static CK_SLOT_ID first_slot(void)
{
	CK_SLOT_ID slots[8];
	CK_ULONG count = 8;
	OK(p11->C_GetSlotList(1, slots, &count));
	return slots[0];
}

static CK_SESSION_HANDLE open_session(void)
{
	CK_SESSION_HANDLE opened;
	OK(p11->C_OpenSession(first_slot(), CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &opened));
	return opened;
}

static void begin(void)
{
	OK(p11->C_Initialize(NULL));
	session = make_token(p11);
	private_key = make_key(p11, session, 2, 1, &public_key);
	sign_and_verify(p11, session, private_key, public_key);
}

static void *one_call_and_wait(void *unused)
{
	CK_SESSION_INFO info;
	OK(p11->C_GetSessionInfo(session, &info));
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return unused;
}

static void say_and_wait(const char *line)
{
	printf("%s\n", line);
	fflush(stdout);
	while (getchar() != '\n')
		;
}

static void connections(void)
{
	pthread_t threads[THREADS];
	begin();
	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, one_call_and_wait, NULL) == 0);
	pthread_barrier_wait(&barrier);
	say_and_wait("working");
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	say_and_wait("ended");
	sign_and_verify(p11, session, private_key, public_key);
	OK(p11->C_Finalize(NULL));
}

/* The thread's end runs code of a library that the program has closed. */
static void close_the_library(const char *module, bool finalize)
{
	void *library = dlopen(module, RTLD_NOW | RTLD_LOCAL);
	pthread_t thread;
	CHECK(library != NULL);
	pthread_barrier_init(&barrier, NULL, 2);
	CHECK(pthread_create(&thread, NULL, one_call_and_wait, NULL) == 0);
	pthread_barrier_wait(&barrier);
	if (finalize)
		OK(p11->C_Finalize(NULL));
	CHECK(dlclose(library) == 0);
	CHECK(dlclose(library) == 0); /* once more for load() */
	pthread_barrier_wait(&barrier);
	CHECK(pthread_join(thread, NULL) == 0);
}

static void after_dlclose(const char *module)
{
	begin();
	close_the_library(module, false);
	CHECK(load(module) == p11);
	sign_and_verify(p11, session, private_key, public_key);
	close_the_library(module, true);
	CHECK(load(module) == p11);
	OK(p11->C_Initialize(NULL));
	OK(p11->C_Finalize(NULL));
}

static atomic_long signed_by_all;

static void *sign_for_ever(void *unused)
{
	CK_SESSION_HANDLE own = open_session();
	for (;;) {
		sign_and_verify(p11, own, private_key, public_key);
		atomic_fetch_add(&signed_by_all, 1);
		pthread_testcancel();
	}
	return unused;
}

/* A cancelled thread ends between two calls, and leaves nothing behind that the others would meet. */
static void cancelled_threads(void)
{
	begin();
	for (int round = 0; round < ROUNDS; round++) {
		pthread_t threads[THREADS];
		void *ended;
		for (int i = 0; i < THREADS; i++)
			CHECK(pthread_create(&threads[i], NULL, sign_for_ever, NULL) == 0);
		usleep((useconds_t)(1000 * (round + 1)));
		for (int i = 0; i < THREADS; i++)
			CHECK(pthread_cancel(threads[i]) == 0);
		for (int i = 0; i < THREADS; i++)
			CHECK(pthread_join(threads[i], &ended) == 0 && ended == PTHREAD_CANCELED);
		sign_and_verify(p11, session, private_key, public_key);
	}
	CHECK(keys_remaining(p11, session, private_key) == 1024 - 1 - ROUNDS - (CK_ULONG)signed_by_all);
	OK(p11->C_Finalize(NULL));
}

/* What a call may answer when C_Finalize comes in between. */
static bool ends_well(CK_RV rv)
{
	return rv == CKR_OK || rv == CKR_CRYPTOKI_NOT_INITIALIZED || rv == CKR_SESSION_HANDLE_INVALID ||
	       rv == CKR_FUNCTION_CANCELED_ || rv == CKR_OPERATION_NOT_INITIALIZED || rv == CKR_KEY_EXHAUSTED;
}

static void *sign_until_finalized(void *unused)
{
	CK_BYTE message[] = "a message", signature[ROOM];
	CK_SESSION_HANDLE own = open_session();
	pthread_barrier_wait(&barrier);
	for (;;) {
		CK_ULONG length = ROOM;
		memset(signature, MARK, ROOM);
		CK_RV rv = p11->C_SignInit(own, &hss, private_key);
		if (rv == CKR_OK)
			rv = p11->C_Sign(own, message, sizeof message, signature, &length);
		if (!ends_well(rv)) {
			fprintf(stderr, "signing while the library is finalized: 0x%lx\n", rv);
			exit(1);
		}
		for (size_t i = 0; rv != CKR_OK && i < ROOM; i++)
			CHECK(signature[i] == MARK);
		if (rv == CKR_CRYPTOKI_NOT_INITIALIZED)
			return unused;
	}
}

static void open_again(void)
{
	CK_ULONG class = CKO_PRIVATE_KEY, count;
	CK_ATTRIBUTE wanted = {CKA_CLASS, &class, sizeof class};
	OK(p11->C_Initialize(NULL));
	session = open_session();
	OK(p11->C_Login(session, CKU_USER, user_pin, USER_PIN));
	OK(p11->C_FindObjectsInit(session, &wanted, 1));
	OK(p11->C_FindObjects(session, &private_key, 1, &count));
	OK(p11->C_FindObjectsFinal(session));
	CHECK(count == 1);
}

static void finalize_beside_calls(void)
{
	begin();
	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	for (int round = 0; round < ROUNDS; round++) {
		pthread_t threads[THREADS];
		for (int i = 0; i < THREADS; i++)
			CHECK(pthread_create(&threads[i], NULL, sign_until_finalized, NULL) == 0);
		pthread_barrier_wait(&barrier);
		usleep((useconds_t)(500 * round));
		OK(p11->C_Finalize(NULL));
		for (int i = 0; i < THREADS; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
		open_again();
	}
	OK(p11->C_Finalize(NULL));
}

static void *call_once(void *unused)
{
	CK_INFO info;
	(void)unused;
	return (void *)p11->C_GetInfo(&info);
}

/* What a call of a new thread answers. */
static CK_RV in_thread(const pthread_attr_t *attributes, void *(*work)(void *))
{
	pthread_t thread;
	void *rv;
	CHECK(pthread_create(&thread, attributes, work, NULL) == 0 && pthread_join(thread, &rv) == 0);
	return (CK_RV)rv;
}

static atomic_bool called, cancelled;

/* Nothing in it after the call looks at the cancellation. */
static void *call_and_end(void *unused)
{
	CK_RV rv = (CK_RV)call_once(unused);
	atomic_store(&called, true);
	while (!atomic_load(&cancelled))
		;
	return (void *)rv;
}

static void cancelled_end(void)
{
	pthread_t thread;
	void *ended;
	OK(p11->C_Initialize(NULL));
	CHECK(pthread_create(&thread, NULL, call_and_end, NULL) == 0);
	while (!atomic_load(&called))
		usleep(1000);
	CHECK(pthread_cancel(thread) == 0);
	atomic_store(&cancelled, true);
	CHECK(pthread_join(thread, &ended) == 0 && (ended == NULL || ended == PTHREAD_CANCELED));
	alarm(10);
	OK(in_thread(NULL, call_once));
	OK(p11->C_Finalize(NULL));
}

static void *call_and_wait(void *unused)
{
	void *rv = call_once(unused);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return rv;
}

static pid_t fork_a_sleeper(void)
{
	pid_t child = fork();
	if (child == 0) {
		alarm(60);
		for (;;)
			pause();
	}
	return child;
}

/* More connections than the daemon gives to one application, if the copies kept those of ended threads alive. */
static void copied_connections(void)
{
	enum { TURNS = 12, CROWD = 16 };
	pid_t children[TURNS];
	OK(p11->C_Initialize(NULL));
	pthread_barrier_init(&barrier, NULL, CROWD + 1);
	for (int turn = 0; turn < TURNS; turn++) {
		pthread_t threads[CROWD];
		void *rv;
		for (int i = 0; i < CROWD; i++)
			CHECK(pthread_create(&threads[i], NULL, call_and_wait, NULL) == 0);
		pthread_barrier_wait(&barrier);
		children[turn] = fork_a_sleeper();
		pthread_barrier_wait(&barrier);
		for (int i = 0; i < CROWD; i++)
			CHECK(pthread_join(threads[i], &rv) == 0 && rv == (void *)CKR_OK);
	}
	for (int turn = 0; turn < TURNS; turn++)
		CHECK(kill(children[turn], SIGKILL) == 0 && waitpid(children[turn], NULL, 0) == children[turn]);
	OK(p11->C_Finalize(NULL));
}

static atomic_bool enough;

static void *call_meanwhile(void *unused)
{
	while (!atomic_load(&enough)) {
		CK_RV rv = (CK_RV)call_once(unused);
		CHECK(rv == CKR_OK || rv == CKR_CRYPTOKI_NOT_INITIALIZED || rv == CKR_FUNCTION_CANCELED_ ||
		      rv == CKR_DEVICE_REMOVED_);
	}
	return NULL;
}

/* The socket of C_Initialize, when no thread has one yet. */
static int first_socket(void)
{
	struct stat st;
	int fd = 3;
	while (fstat(fd, &st) != 0 || !S_ISSOCK(st.st_mode))
		CHECK(++fd < 1024);
	return fd;
}

static void lose_control_beside_calls(void)
{
	pthread_t threads[THREADS];
	OK(p11->C_Initialize(NULL));
	int control = first_socket();
	atomic_store(&enough, false);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, call_meanwhile, NULL) == 0);
	usleep(5000);
	CHECK(close(control) == 0);
	OK(p11->C_Initialize(NULL));
	usleep(5000);
	atomic_store(&enough, true);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	OK((CK_RV)call_once(NULL));
	OK(p11->C_Finalize(NULL));
}

static void initialise_again(void)
{
	for (int round = 0; round < 5 * ROUNDS; round++)
		lose_control_beside_calls();
}

static void *initialise_and_finalise(void *unused)
{
	OK(p11->C_Initialize(NULL));
	OK((CK_RV)call_once(unused));
	OK(p11->C_Finalize(NULL));
	return unused;
}

static void small_stacks(void)
{
	pthread_attr_t small;
	size_t least = PTHREAD_STACK_MIN < 16384 ? 16384 : (size_t)PTHREAD_STACK_MIN; /* musl's 2 KiB hold no call at all */
	CHECK(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, least) == 0);
	OK(in_thread(&small, initialise_and_finalise));
	OK(p11->C_Initialize(NULL));
	OK(in_thread(&small, call_once));
	OK(p11->C_Finalize(NULL));
}

/* A host that gives up what it needs to reach the daemon: that costs the new thread its call, and nobody else anything. */
static void give_up(const char *folder)
{
	OK(p11->C_Initialize(NULL));
	OK((CK_RV)call_once(NULL));
	if (folder != NULL)
		CHECK(chroot(folder) == 0 && chdir("/") == 0);
	else
		CHECK(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
	OK((CK_RV)call_once(NULL));
	CHECK(in_thread(NULL, call_once) == CKR_FUNCTION_FAILED_);
	OK((CK_RV)call_once(NULL));
	OK(p11->C_Finalize(NULL));
}

int main(int argc, char **argv)
{
	CHECK(argc == 3 || argc == 4);
	const char *module = argv[1], *scenario = argv[2];
	p11 = load(module);
	if (strcmp(scenario, "connections") == 0)
		connections();
	else if (strcmp(scenario, "dlclose") == 0)
		after_dlclose(module);
	else if (strcmp(scenario, "cancel") == 0)
		cancelled_threads();
	else if (strcmp(scenario, "finalize") == 0)
		finalize_beside_calls();
	else if (strcmp(scenario, "cancelled-end") == 0)
		cancelled_end();
	else if (strcmp(scenario, "copies") == 0)
		copied_connections();
	else if (strcmp(scenario, "again") == 0)
		initialise_again();
	else if (strcmp(scenario, "small-stacks") == 0)
		small_stacks();
	else if (strcmp(scenario, "chroot") == 0 && argc == 4)
		give_up(argv[3]);
	else if (strcmp(scenario, "setuid") == 0)
		give_up(NULL);
	else
		return 2;
	return 0;
}

/*
 * A host whose daemon does not answer in time, or at all. usage: impatient MODULE SCENARIO SOCKET, where
 * such a server listens, with ONCELEAF_AUTOSTART=0
 *
 *	initialize  the server takes too long with its welcome, while signals interrupt the host all the time
 *	finalize    it does not answer C_Finalize; the same
 *	jump        it answers no call: a thread leaves one by a jump, and is cancelled when it makes the next one
 *	jump-finalize  the same when the next one is C_Finalize
 *	handler     it answers no call: a handler ends the library, and returns to the call, which is against the rules
 *	descriptors  the same without room for descriptors: the call goes on waiting, until the library is ended
 */
#define _GNU_SOURCE
#include "client.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/time.h>

enum { CKR_GENERAL_ERROR_ = 5, CKR_FUNCTION_CANCELED_ = 0x50, LONGEST = 13 /* seconds; the library gives up after ten */ };

static CK_FUNCTION_LIST_3_2 *p11;

static void on_signal(int number)
{
	(void)number;
}

static void interrupt_often(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct itimerval often = {{0, 200000}, {0, 200000}};
	CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
}

static time_t seconds(void)
{
	struct timespec t;
	CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
	return t.tv_sec;
}

static void initialize(void)
{
	time_t begun = seconds();
	interrupt_often();
	EXPECT(CKR_GENERAL_ERROR_, p11->C_Initialize(NULL));
	CHECK(seconds() - begun <= LONGEST);
}

static void finalize(void)
{
	OK(p11->C_Initialize(NULL));
	time_t begun = seconds();
	interrupt_often();
	OK(p11->C_Finalize(NULL));
	CHECK(seconds() - begun <= LONGEST);
}

static sigjmp_buf before_the_call;
static atomic_int step; /* 1: in the call, 2: out of it, 3: cancelled */

static void jump(int number)
{
	(void)number;
	siglongjmp(before_the_call, 1);
}

static void close_session(void)
{
	p11->C_CloseSession(1);
}

static void end_it(void)
{
	p11->C_Finalize(NULL);
}

static void (*next_call)(void) = close_session;

/* The next call finds what the jump left, and a cancellation that waits for its moment. */
static void *jump_and_call(void *unused)
{
	CK_INFO info;
	if (sigsetjmp(before_the_call, 1) == 0) {
		atomic_store(&step, 1);
		p11->C_GetInfo(&info);
		CHECK(!"the call came back");
	}
	atomic_store(&step, 2);
	while (atomic_load(&step) == 2)
		;
	next_call();
	return unused;
}

static void *ask_the_state(void *unused)
{
	CK_RV rv = p11->C_Initialize(NULL);
	CHECK(rv == CKR_OK || rv == CKR_CRYPTOKI_ALREADY_INITIALIZED);
	rv = p11->C_Finalize(NULL);
	CHECK(rv == CKR_OK || rv == CKR_CRYPTOKI_NOT_INITIALIZED); /* the other thread may have come to it */
	return unused;
}

/* Some C libraries cancel the thread at once, some not before its next call waits: C_Finalize ends that wait. */
static void jump_out(void)
{
	pthread_t thread, other;
	CHECK(signal(SIGUSR1, jump) != SIG_ERR);
	OK(p11->C_Initialize(NULL));
	CHECK(pthread_create(&thread, NULL, jump_and_call, NULL) == 0);
	while (atomic_load(&step) != 1)
		sleep_ms(1);
	sleep_ms(300);
	CHECK(pthread_kill(thread, SIGUSR1) == 0);
	while (atomic_load(&step) != 2)
		sleep_ms(1);
	CHECK(pthread_cancel(thread) == 0);
	atomic_store(&step, 3);
	void *ended;
	alarm(45);
	sleep_ms(300);
	CHECK(pthread_create(&other, NULL, ask_the_state, NULL) == 0);
	CHECK(pthread_join(other, &ended) == 0 && pthread_join(thread, &ended) == 0);
}

static void end_by_signal(int number)
{
	(void)number;
	if (atomic_load(&step) == 1)
		p11->C_Finalize(NULL);
	atomic_store(&step, 2);
}

static void *call_once(void *rv)
{
	CK_INFO info;
	atomic_store(&step, 1);
	*(CK_RV *)rv = p11->C_GetInfo(&info);
	return NULL;
}

static void handler(void)
{
	pthread_t thread;
	CK_RV rv = CKR_OK;
	struct sigaction action = {.sa_handler = end_by_signal};
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	OK(p11->C_Initialize(NULL));
	CHECK(pthread_create(&thread, NULL, call_once, &rv) == 0);
	alarm(45);
	while (atomic_load(&step) != 1)
		sleep_ms(1);
	sleep_ms(300);
	CHECK(pthread_kill(thread, SIGUSR1) == 0 && pthread_join(thread, NULL) == 0);
	CHECK(atomic_load(&step) == 2 && rv != CKR_OK);
}

static void descriptors(void)
{
	pthread_t thread;
	CK_RV rv = CKR_OK;
	OK(p11->C_Initialize(NULL));
	CHECK(pthread_create(&thread, NULL, call_once, &rv) == 0);
	alarm(45);
	sleep_ms(300);
	struct rlimit before;
	CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
	CHECK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, before.rlim_max}) == 0);
	sleep_ms(500);
	CHECK(rv == CKR_OK); /* still waiting */
	CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
	p11->C_Finalize(NULL);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(rv == CKR_FUNCTION_CANCELED_);
}

int main(int argc, char **argv)
{
	CHECK(argc == 4 && setenv("ONCELEAF_SOCKET", argv[3], 1) == 0);
	p11 = load(argv[1]);
	if (strcmp(argv[2], "jump-finalize") == 0)
		next_call = end_it;
	if (strcmp(argv[2], "initialize") == 0)
		initialize();
	else if (strcmp(argv[2], "finalize") == 0)
		finalize();
	else if (strncmp(argv[2], "jump", 4) == 0)
		jump_out();
	else if (strcmp(argv[2], "handler") == 0)
		handler();
	else if (strcmp(argv[2], "descriptors") == 0)
		descriptors();
	else
		return 2;
	return 0;
}

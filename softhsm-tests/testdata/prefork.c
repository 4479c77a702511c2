/*
 * A host of the shape of nginx: a master that initialises the library and forks workers, which initialise it anew and
 * sign. All handlers are plain ones, without SA_ONSTACK, some set before the library is loaded and some after; the master
 * blocks the signals and waits in sigsuspend(); storms of signals go over the workers all the while, also such as end a
 * call by a jump; a worker is killed and replaced.
 *
 * usage: prefork MODULE [SIGNATURES], with an empty ONCELEAF_DIR and a daemon that can be started
 */
#define _GNU_SOURCE
#include "client.h"

#include <setjmp.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/time.h>

enum { WORKERS = 4, JUMPS = 30 };

static CK_FUNCTION_LIST_3_2 *p11;
static int signatures = 50; /* of each worker */

/* What the workers tell the master, in shared memory. */
struct board {
	atomic_int signed_by[WORKERS + 1]; /* the last is the one that replaces the killed one */
	atomic_int done;
	atomic_ulong handled[65];
};
static struct board *board;

static volatile sig_atomic_t children_ended, told_to_end;

static void count(int number)
{
	atomic_fetch_add(&board->handled[number], 1);
}

static void on_child(int number)
{
	count(number);
	children_ended = 1;
}

static void on_end(int number)
{
	count(number);
	told_to_end = 1;
}

static void plain(int number, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
	CHECK(sigaction(number, &action, NULL) == 0);
}

/* Each time the timer strikes, the call that it strikes in is left by a jump. */
static sigjmp_buf back;
static volatile sig_atomic_t may_jump;

static void jump(int number)
{
	count(number);
	if (may_jump) {
		may_jump = 0;
		siglongjmp(back, 1);
	}
}

static void strike_after(long us)
{
	struct itimerval once = {{0, 0}, {0, us}};
	CHECK(setitimer(ITIMER_REAL, &once, NULL) == 0);
}

static void jump_out_of_calls(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE private, CK_OBJECT_HANDLE public)
{
	CK_BYTE random[64];
	CK_SESSION_INFO info;
	plain(SIGALRM, jump, 0);
	for (volatile int i = 0; i < JUMPS; i++) {
		if (sigsetjmp(back, 1) == 0) {
			may_jump = 1;
			strike_after(200 + 37 * i % 300);
			for (;;)
				OK(p11->C_GenerateRandom(session, random, sizeof random));
		}
		OK(p11->C_GetSessionInfo(session, &info)); /* the next call takes a new connection */
		if (i % 10 == 0)
			sign_and_verify(p11, session, private, public);
	}
	plain(SIGALRM, count, 0);
}

/* A signal that hits nearly every call, in a host whose own calls are interrupted by it as they always were. */
static void sign_in_a_storm(int number, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE private, CK_OBJECT_HANDLE public)
{
	struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
	CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
	for (int i = 0; i < signatures; i++) {
		sign_and_verify(p11, session, private, public);
		atomic_fetch_add(&board->signed_by[number], 1);
		kill(getpid(), SIGURG);
	}
	struct timespec hour = {3600, 0};
	CHECK(nanosleep(&hour, NULL) == -1 && errno == EINTR);
	CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
}

static void work(int number)
{
	sigset_t none;
	sigemptyset(&none);
	plain(SIGTERM, on_end, 0);
	sigprocmask(SIG_SETMASK, &none, NULL); /* nginx's workers unblock what the master blocks */
	struct signals before = signals_now();

	OK(p11->C_Initialize(NULL));
	CK_SESSION_HANDLE session = log_in(p11);
	CK_OBJECT_HANDLE private = find_key(p11, session, CKO_PRIVATE_KEY), public = find_key(p11, session, CKO_PUBLIC_KEY);
	sign_in_a_storm(number, session, private, public);
	jump_out_of_calls(session, private, public);

	struct signals after = signals_now();
	CHECK(same_signals(&before, &after));
	CHECK(status_of("Threads:", 10) == 1);
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	atomic_fetch_add(&board->done, 1);
	while (!told_to_end) /* a worker that is through waits for its master's word */
		sleep_ms(5);
	OK(p11->C_Finalize(NULL));
	_exit(0);
}

static pid_t start_worker(int number)
{
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		work(number);
	return pid;
}

/* Waits in sigsuspend() until the condition holds; the timer sees to it that it is looked at. */
#define SUSPEND_UNTIL(condition)                                               \
	do {                                                                   \
		sigset_t open_;                                                \
		sigemptyset(&open_);                                           \
		for (int turns_ = 0; !(condition); turns_++) {                 \
			CHECK(turns_ < 60000);                                 \
			strike_after(2000);                                    \
			CHECK(sigsuspend(&open_) == -1 && errno == EINTR);     \
		}                                                              \
	} while (0)

static void storm(const pid_t *workers)
{
	for (int i = 0; i < WORKERS; i++) {
		kill(workers[i], SIGUSR1);
		kill(workers[i], SIGURG);
	}
}

static void block_all_as_nginx_does(void)
{
	sigset_t set;
	sigemptyset(&set);
	const int blocked[] = {SIGCHLD, SIGALRM, SIGIO, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGTERM, SIGQUIT, SIGURG};
	for (size_t i = 0; i < sizeof blocked / sizeof blocked[0]; i++)
		sigaddset(&set, blocked[i]);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
}

static void run_workers(void)
{
	pid_t workers[WORKERS];
	int status;
	for (int i = 0; i < WORKERS; i++)
		workers[i] = start_worker(i);

	/* One is killed in the middle of its work. Its end is the only one that the master hears of. */
	SUSPEND_UNTIL((storm(workers), atomic_load(&board->signed_by[0]) > 0));
	CHECK(!children_ended);
	kill(workers[0], SIGKILL);
	SUSPEND_UNTIL(children_ended);
	CHECK(waitpid(-1, &status, WNOHANG) == workers[0] && WIFSIGNALED(status));
	CHECK(waitpid(-1, &status, WNOHANG | 0x40000000 /* __WALL */) == 0);
	workers[0] = start_worker(WORKERS);

	SUSPEND_UNTIL((storm(workers), atomic_load(&board->done) == WORKERS));
	for (int i = 0; i < WORKERS; i++)
		kill(workers[i], SIGTERM);
	for (int i = 0; i < WORKERS; i++)
		reap(workers[i]);
	CHECK(waitpid(-1, NULL, 0x40000000) == -1 && errno == ECHILD);
}

int main(int argc, char **argv)
{
	CHECK(argc == 2 || argc == 3);
	if (argc == 3)
		signatures = atoi(argv[2]);
	board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(board != MAP_FAILED);
	plain(SIGCHLD, on_child, 0);
	plain(SIGALRM, count, 0);
	p11 = load(argv[1]);
	plain(SIGUSR1, count, SA_RESTART);
	plain(SIGURG, count, 0);
	block_all_as_nginx_does();
	struct signals before = signals_now();

	OK(p11->C_Initialize(NULL)); /* starts the daemon */
	CK_SESSION_HANDLE session = make_token(p11);
	CK_OBJECT_HANDLE public, private = make_key(p11, session, 2, 1, &public);
	CHECK(!children_ended);
	run_workers();
	sign_and_verify(p11, session, private, public);

	struct signals after = signals_now();
	CHECK(same_signals(&before, &after));
	CHECK(status_of("Threads:", 10) == 1);
	for (const int *s = (const int[]){SIGCHLD, SIGALRM, SIGUSR1, SIGURG, SIGTERM, 0}; *s != 0; s++)
		CHECK(atomic_load(&board->handled[*s]) > 0);
	OK(p11->C_Finalize(NULL));
	return 0;
}

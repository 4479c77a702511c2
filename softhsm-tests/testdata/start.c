/*
 * A host whose C_Initialize starts the daemon, or cannot.
 *
 * usage: start MODULE SCENARIO [ARGUMENT...], with an empty ONCELEAF_DIR
 *
 *	quiet            the host notices nothing: no child, no signal, no descriptor, no output, nothing changed
 *	many [N]         64 processes (or N) begin at once; prints "up N" when all are served, goes on at a line of input
 *	fails RV         C_Initialize answers RV (a number), soon, and leaves nothing behind
 *	chroot DIR RV    the same in an empty root directory (needs root)
 *	ignored          the host ignores SIGCHLD, and has children of its own
 *	unread RV        the same as fails when nobody reads the host's standard error
 *	limited          the host has limits and a low priority; prints "up" when it is served, goes on at a line of input
 */
#define _GNU_SOURCE
#include "client.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { MOST = 256, ANY_CHILD = 0x40000000 /* __WALL */ };

static const char *module;
static CK_FUNCTION_LIST_3_2 *p11;

static volatile sig_atomic_t child_signals;

static void on_child(int number)
{
	(void)number;
	child_signals++;
}

/* What a host could notice of itself. */
struct looks {
	struct signals signals;
	unsigned long threads;
	bool open[MOST];
	char folder[4096];
	mode_t mask;
	pid_t session, group;
};

static void look(struct looks *l)
{
	memset(l, 0, sizeof *l);
	l->signals = signals_now();
	l->threads = status_of("Threads:", 10);
	for (int fd = 0; fd < MOST; fd++)
		l->open[fd] = fcntl(fd, F_GETFD) >= 0;
	CHECK(getcwd(l->folder, sizeof l->folder) != NULL);
	l->mask = umask(0);
	umask(l->mask);
	l->session = getsid(0);
	l->group = getpgrp();
}

static void has_no_child(void)
{
	CHECK(waitpid(-1, NULL, ANY_CHILD | WNOHANG) == -1 && errno == ECHILD);
}

static void quiet(void)
{
	static struct looks before, after;
	extern char **environ;
	struct sigaction action = {.sa_handler = on_child};
	sigset_t blocked;
	CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	CHECK(sigprocmask(SIG_BLOCK, &blocked, NULL) == 0);
	umask(027);
	p11 = load(module);
	char **environment = environ;
	look(&before);
	OK(p11->C_Initialize(NULL));
	has_no_child();
	OK(p11->C_Finalize(NULL));
	look(&after);
	CHECK(memcmp(&before, &after, sizeof before) == 0);
	CHECK(environ == environment);
	has_no_child();
	CHECK(child_signals == 0);
}

static void one_of_many(int go, int up, int end)
{
	char c;
	p11 = load(module);
	CHECK(signal(SIGCHLD, on_child) != SIG_ERR);
	CHECK(read(go, &c, 1) == 0); /* the parent closes it: all begin at once */
	OK(p11->C_Initialize(NULL));
	has_no_child();
	CHECK(child_signals == 0);
	CK_SLOT_ID slots[8];
	CK_ULONG count = 8;
	OK(p11->C_GetSlotList(1, slots, &count));
	CHECK(write(up, "", 1) == 1);
	CHECK(read(end, &c, 1) == 0);
	OK(p11->C_Finalize(NULL));
	_exit(0);
}

static void many(int n)
{
	int go[2], up[2], end[2];
	pid_t *pids = calloc((size_t)n, sizeof *pids);
	char c[16];
	CHECK(pids != NULL && pipe(go) == 0 && pipe(up) == 0 && pipe(end) == 0);
	for (int i = 0; i < n; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			close(go[1]);
			close(end[1]);
			one_of_many(go[0], up[1], end[0]);
		}
	}
	close(up[1]);
	close(go[1]);
	for (int i = 0; i < n; i++)
		CHECK(read(up[0], c, 1) == 1);
	printf("up %d\n", n);
	fflush(stdout);
	CHECK(read(STDIN_FILENO, c, sizeof c) >= 0);
	close(end[1]);
	for (int i = 0; i < n; i++)
		reap(pids[i]);
	free(pids);
}

static void fails(CK_RV wanted)
{
	static struct looks before, after;
	CHECK(signal(SIGCHLD, on_child) != SIG_ERR);
	bool whole = access("/proc/self/status", R_OK) == 0;
	if (whole)
		look(&before);
	for (int i = 0; i < 3; i++)
		EXPECT(wanted, p11->C_Initialize(NULL));
	EXPECT(CKR_CRYPTOKI_NOT_INITIALIZED, p11->C_Finalize(NULL));
	has_no_child();
	CHECK(child_signals == 0);
	if (whole) {
		look(&after);
		CHECK(memcmp(&before, &after, sizeof before) == 0);
	}
}

static void ignored(void)
{
	CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
	p11 = load(module);
	pid_t child = fork();
	if (child == 0) {
		sleep_ms(300);
		_exit(0);
	}
	OK(p11->C_Initialize(NULL));
	CHECK(kill(child, 0) == 0);
	OK(p11->C_Finalize(NULL));
	CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD); /* waits for the child's end, as ever */
}

static void unread(CK_RV wanted)
{
	int ends[2];
	sigset_t pending;
	CHECK(pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
	close(ends[0]);
	close(ends[1]);
	EXPECT(wanted, p11->C_Initialize(NULL));
	CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGPIPE));
}

static void limited(void)
{
	const int kinds[] = {RLIMIT_FSIZE, RLIMIT_CPU};
	const struct sched_param batch = {0};
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		struct rlimit limit;
		CHECK(getrlimit(kinds[i], &limit) == 0);
		limit.rlim_cur = 1000;
		CHECK(setrlimit(kinds[i], &limit) == 0);
	}
	CHECK(sched_setscheduler(0, SCHED_BATCH, &batch) == 0 || errno == ENOSYS); /* musl has none */
	CHECK(setpriority(PRIO_PROCESS, 0, 7) == 0);
	OK(p11->C_Initialize(NULL));
	puts("up");
	fflush(stdout);
	CHECK(getchar() == '\n');
	OK(p11->C_Finalize(NULL));
}

int main(int argc, char **argv)
{
	CHECK(argc >= 3);
	module = argv[1];
	if (strcmp(argv[2], "quiet") == 0) {
		quiet();
	} else if (strcmp(argv[2], "many") == 0) {
		many(argc > 3 ? atoi(argv[3]) : 64);
	} else if (strcmp(argv[2], "fails") == 0 && argc == 4) {
		p11 = load(module);
		fails(strtoul(argv[3], NULL, 0));
	} else if (strcmp(argv[2], "chroot") == 0 && argc == 5) {
		p11 = load(module);
		CHECK(chroot(argv[3]) == 0 && chdir("/") == 0);
		fails(strtoul(argv[4], NULL, 0));
	} else if (strcmp(argv[2], "unread") == 0 && argc == 4) {
		p11 = load(module);
		unread(strtoul(argv[3], NULL, 0));
	} else if (strcmp(argv[2], "limited") == 0) {
		p11 = load(module);
		limited();
	} else if (strcmp(argv[2], "ignored") == 0) {
		ignored();
	} else {
		fprintf(stderr, "no scenario %s\n", argv[2]);
		return 2;
	}
	return 0;
}

#include "spawn.h"
#include "connection.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#ifndef __WALL
#define __WALL 0x40000000
#endif

enum {
	STACK = 65536,        /* octets, of each of the two processes that exist only until exec */
	SIGNALS = 64,
	SIGNAL_SET = 8,       /* octets of the kernel's set of signals */
	READY_FD = 3,         /* where the daemon says what has become of it */
	MOST_CLOSED = 65536,  /* descriptors that are closed one by one on an old kernel */
	NOT_STARTED = 127,    /* exit status */
	SLICE = 250,          /* milliseconds between two looks whether somebody serves already */
};

extern char **environ;

/* All that the new processes need, made before: they share the host's memory, and its other threads go on. */
struct plan {
	char *const *arguments;
	char *const *environment;
	const char *program;
	bool elevated; /* the host is a set-user-ID program */
	char *grand_stack; /* its upper end */
	int null, report;  /* descriptors */
	int error;         /* of what failed, 0 if the daemon runs */
};

/*
 * The functions that run in the new processes, on stacks of their own in the host's memory. They make system calls and
 * nothing else.
 */
#define CHILD __attribute__((no_sanitize("address", "undefined", "thread")))

CHILD static void close_others(void)
{
	if (syscall(SYS_close_range, READY_FD + 1, ~0U, 0) == 0)
		return;
	struct rlimit limit = {0};
	getrlimit(RLIMIT_NOFILE, &limit);
	int end = limit.rlim_cur < MOST_CLOSED ? (int)limit.rlim_cur : MOST_CLOSED;
	for (int fd = READY_FD + 1; fd < end; fd++)
		close(fd);
}

/* default_signals: no handler of the host's, nothing ignored, nothing blocked. The kernel's structure is all zeros then. */
CHILD static void default_signals(void)
{
	static const unsigned long defaults[4], none[1];
	for (int number = 1; number <= SIGNALS; number++)
		syscall(SYS_rt_sigaction, number, defaults, NULL, SIGNAL_SET);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, none, NULL, SIGNAL_SET);
}

/*
 * keep_rights: whoever has started a set-user-ID host must not be the daemon's owner. Raw system calls, since the
 * library's would change the host's other threads too.
 */
CHILD static bool keep_rights(void)
{
	gid_t group = getegid();
	uid_t user = geteuid();
	return syscall(SYS_setresgid, group, group, group) == 0 && syscall(SYS_setresuid, user, user, user) == 0;
}

/*
 * become_ordinary: what the first host has imposed on itself is not for the daemon of all of them, as far as the system
 * lets it go again. Not the size of core dumps, which would hold keys.
 */
CHILD static void become_ordinary(void)
{
	static const int kinds[] = {RLIMIT_AS, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_MEMLOCK, RLIMIT_NOFILE, RLIMIT_NPROC};
	static const struct sched_param ordinary;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		struct rlimit limit;
		if (getrlimit(kinds[i], &limit) != 0)
			continue;
		limit.rlim_cur = limit.rlim_max;
		setrlimit(kinds[i], &limit);
	}
	syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &ordinary); /* musl's function does nothing */
	setpriority(PRIO_PROCESS, 0, 0);
}

/* become_daemon runs in the process that the daemon will be. */
CHILD static int become_daemon(void *argument)
{
	struct plan *plan = argument;
	setsid();
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		dup2(plan->null, fd);
	dup2(plan->report, READY_FD);
	close_others();
	umask(077);
	default_signals();
	become_ordinary();
	if (chdir("/") == 0 && (!plan->elevated || keep_rights()))
		execve(plan->program, plan->arguments, plan->environment);
	plan->error = errno;
	_exit(NOT_STARTED);
}

/* stand_between ends at once, so that the daemon is not the host's child. Its own end sends the host no signal. */
CHILD static int stand_between(void *argument)
{
	struct plan *plan = argument;
	if (clone(become_daemon, plan->grand_stack, CLONE_VM | CLONE_VFORK | SIGCHLD, plan) < 0)
		plan->error = errno;
	_exit(0);
}

/* launch does it with all signals blocked: no handler of the host may run in a process that is not the host. */
static void launch(struct plan *plan, char *stack)
{
	static const unsigned long all[1] = {~0UL};
	unsigned long before[1];
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, all, before, SIGNAL_SET);
	pid_t between = clone(stand_between, stack, CLONE_VM | CLONE_VFORK, plan);
	if (between < 0)
		plan->error = errno;
	while (between > 0 && waitpid(between, NULL, __WALL) < 0 && errno == EINTR)
		;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, before, NULL, SIGNAL_SET);
}

/*
 * read_report takes what the daemon says, within the time; the length, or -1 when the time is up. A child that another
 * thread has just forked may hold the other end, so that its end says nothing: 0 also if somebody serves meanwhile.
 */
static ssize_t read_report(const struct place *place, int fd, unsigned char *report, size_t room, int64_t deadline)
{
	size_t length = 0;
	for (;;) {
		int64_t left = deadline - now();
		struct pollfd p = {fd, POLLIN, 0};
		int ready = poll(&p, 1, left <= 0 ? 0 : left < SLICE ? (int)left : SLICE);
		if (ready == 0 && left <= 0)
			return -1;
		if (ready == 0 && answers(place->socket, deadline))
			return 0;
		if (ready == 0)
			continue;
		ssize_t got = ready < 0 ? -1 : read(fd, report + length, room - length);
		if (got < 0 && errno != EINTR)
			return -1;
		if (got > 0)
			length += (size_t)got;
		if (got == 0 || length == room || (length > 0 && report[0] == 'R'))
			return (ssize_t)length;
	}
}

/* 'R': it serves. 'E', u64 rv, u8 length, text: it cannot. */
static CK_RV understand(const struct place *place, const unsigned char *report, ssize_t length, enum started *started)
{
	enum { FAILURE = 10 };
	CK_RV rv;
	*started = length > 0 && report[0] == 'R' ? SERVING : SILENT;
	if (length < 0) {
		complain("the daemon for %s takes too long to start", place->directory);
		return CKR_GENERAL_ERROR;
	}
	if (length < FAILURE || report[0] != 'E')
		return CKR_OK;
	memcpy(&rv, report + 1, sizeof rv);
	size_t text = (size_t)length - FAILURE;
	complain("the daemon for %s could not start: %.*s", place->directory, (int)(report[9] < text ? report[9] : text),
		 report + FAILURE);
	return rv == CKR_FUNCTION_FAILED ? rv : CKR_GENERAL_ERROR;
}

static CK_RV launch_and_listen(const struct place *place, struct plan *plan, char *stacks, int ends[2], int64_t deadline,
			       enum started *started)
{
	unsigned char report[256];
	plan->grand_stack = stacks + 2 * STACK;
	plan->report = ends[1];
	launch(plan, stacks + STACK);
	close(ends[1]);
	ends[1] = -1;
	if (plan->error != 0) {
		complain("couldn't start the daemon %s: %s", plan->program, strerror(plan->error));
		return CKR_GENERAL_ERROR;
	}
	ssize_t length = read_report(place, ends[0], report, sizeof report, deadline);
	return understand(place, report, length, started);
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* provide makes descriptors and stacks, all out of the way of 0 to READY_FD. */
static bool provide(struct plan *plan, char **stacks, int ends[2])
{
	int raw[2] = {-1, -1};
	*stacks = mmap(NULL, 2 * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	plan->null = raise_descriptor(open("/dev/null", O_RDWR | O_CLOEXEC));
	if (pipe2(raw, O_CLOEXEC) == 0) {
		ends[0] = raise_descriptor(raw[0]);
		ends[1] = raise_descriptor(raw[1]);
	}
	return *stacks != MAP_FAILED && plan->null >= 0 && ends[0] >= 0 && ends[1] >= 0;
}

CK_RV start_daemon(const struct place *place, int64_t deadline, enum started *started)
{
	static char program[PATH_MAX];
	if (!place->autostart) {
		complain("no daemon answers at %s, and this library may not start one", place->socket);
		return CKR_GENERAL_ERROR;
	}
	if (!find_program(place, program))
		return CKR_GENERAL_ERROR;
	char *const arguments[] = {
		"onceleafd", "--spawned", "--directory", (char *)place->directory, "--socket", (char *)place->socket,
		"--idle-exit", "60s", "--ready-fd", "3", NULL,
	};
	struct plan plan = {.arguments = arguments, .environment = environ, .program = program, .null = -1};
	char *const nothing[] = {NULL};
	plan.elevated = getauxval(AT_SECURE) != 0;
	if (plan.elevated) /* as for secure_getenv: who started the host must not choose what the daemon reads */
		plan.environment = nothing;
	int ends[2] = {-1, -1};
	char *stacks;
	CK_RV rv = CKR_HOST_MEMORY;
	if (provide(&plan, &stacks, ends))
		rv = launch_and_listen(place, &plan, stacks, ends, deadline, started);
	else
		complain("couldn't start the daemon %s: %s", program, strerror(errno));
	if (stacks != MAP_FAILED)
		munmap(stacks, 2 * STACK);
	close_if_open(plan.null);
	close_if_open(ends[0]);
	close_if_open(ends[1]);
	return rv;
}

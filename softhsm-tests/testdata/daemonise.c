/*
 * A host that becomes a daemon by daemon(3) after C_Initialize, as many servers do: the process that has initialised is
 * gone, and what goes on is its forked child, which initialises once more and signs.
 *
 * usage: daemonise MODULE, with an empty ONCELEAF_DIR and a daemon that can be started
 *
 * It prints "ready PID" when the new process is at work and the old one is gone (the daemon has one client then, PID), and
 * goes on when it reads a line or the end of its standard input.
 */
#define _GNU_SOURCE
#include "client.h"

static CK_FUNCTION_LIST_3_2 *p11;

/* What the server tells, and what it is told. */
static int to_starter[2], to_server[2];

static void serve(void)
{
	char c;
	pid_t self;
	CK_SESSION_HANDLE session;
	OK(p11->C_Initialize(NULL));
	session = make_token(p11);
	CK_OBJECT_HANDLE public, private = make_key(p11, session, 2, 1, &public);
	sign_and_verify(p11, session, private, public);

	if (daemon(0, 0) != 0)
		exit(3);
	if (p11->C_Sign(session, NULL, 0, NULL, NULL) != CKR_CRYPTOKI_NOT_INITIALIZED)
		exit(4);
	OK(p11->C_Initialize(NULL));
	sign_as_another(p11);
	self = getpid();
	CHECK(write(to_starter[1], &self, sizeof self) == sizeof self);
	CHECK(read(to_server[0], &c, 1) >= 0);
	CHECK(fcntl(STDIN_FILENO, F_GETFD) == 0); /* daemon(3)'s /dev/null, nothing of the library's */
	OK(p11->C_Finalize(NULL));
	CHECK(write(to_starter[1], &self, sizeof self) == sizeof self);
	_exit(0);
}

int main(int argc, char **argv)
{
	pid_t server, last;
	int status;
	char line[16];
	CHECK(argc == 2);
	p11 = load(argv[1]);
	CHECK(pipe(to_starter) == 0 && pipe(to_server) == 0);
	pid_t first = fork();
	if (first == 0)
		serve();
	close(to_starter[1]);
	CHECK(waitpid(first, &status, 0) == first && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK(read(to_starter[0], &server, sizeof server) == sizeof server && server != first);
	printf("ready %d\n", (int)server);
	fflush(stdout);
	CHECK(read(STDIN_FILENO, line, sizeof line) >= 0);
	CHECK(write(to_server[1], "", 1) == 1);
	CHECK(read(to_starter[0], &last, sizeof last) == sizeof last && last == server);
	return 0;
}

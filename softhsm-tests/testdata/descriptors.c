/*
 * A host that does as it likes with its descriptors. The library notices by the inode, says CKR_DEVICE_REMOVED, and never
 * reads, writes, shuts down or closes what is not its own.
 *
 * usage: descriptors MODULE SCENARIO, with an empty ONCELEAF_DIR and a daemon that can be started
 *
 *	closed    closefrom(3) after C_Initialize
 *	finalize  the same, and then C_Finalize
 *	files     the numbers are used for files
 *	sockets   the numbers are used for sockets, with bytes waiting in them
 *	one       only the connection of one thread is closed
 *	standard  0, 1 and 2 are closed before C_Initialize
 *	few       there is room for 16 descriptors
 *	none      there is room for none
 *	exec      a program that the host starts has no descriptor of the library's
 */
#define _GNU_SOURCE
#include "client.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { MOST = 256 };

static CK_FUNCTION_LIST_3_2 *p11;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE private_key, public_key;
static const char *program;

static void begin(void)
{
	OK(p11->C_Initialize(NULL));
	session = make_token(p11);
	private_key = make_key(p11, session, 2, 1, &public_key);
	sign_and_verify(p11, session, private_key, public_key);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int count_open(int from)
{
	int open = 0;
	for (int fd = from; fd < MOST; fd++)
		open += is_open(fd);
	return open;
}

static void close_from_3(void)
{
	for (int fd = 3; fd < MOST; fd++)
		close(fd);
}

/* Every call says that the device was taken away, until the host begins anew. */
static void is_removed(void)
{
	CK_BYTE signature[16384];
	CK_ULONG length = sizeof signature;
	CK_SESSION_INFO info;
	memset(signature, 0x5a, sizeof signature);
	EXPECT(CKR_DEVICE_REMOVED, p11->C_Sign(session, signature, 1, signature, &length));
	CHECK(length == sizeof signature && signature[0] == 0x5a);
	EXPECT(CKR_DEVICE_REMOVED, p11->C_GetSessionInfo(session, &info));
	EXPECT(CKR_DEVICE_REMOVED, p11->C_GetSessionInfo(session, &info));
}

static void closed(void)
{
	begin();
	close_from_3();
	is_removed();
	be_an_application(p11);
	CHECK(count_open(3) == 0);
}

static void *is_removed_there(void *unused)
{
	CK_SESSION_INFO info;
	EXPECT(CKR_DEVICE_REMOVED, p11->C_GetSessionInfo(session, &info));
	return unused;
}

/* A thread that comes later has no connection yet, and nobody that could give it one. */
static void finalize(void)
{
	pthread_t thread;
	begin();
	close_from_3();
	CHECK(pthread_create(&thread, NULL, is_removed_there, NULL) == 0 && pthread_join(thread, NULL) == 0);
	OK(p11->C_Finalize(NULL));
	EXPECT(CKR_CRYPTOKI_NOT_INITIALIZED, p11->C_Finalize(NULL));
	be_an_application(p11);
}

static char path_of_file[] = "/tmp/onceleaf-descriptors-XXXXXX";

static void open_file(int fd)
{
	int file = open(path_of_file, O_RDWR);
	CHECK(file >= 0);
	if (file != fd)
		CHECK(dup2(file, fd) == fd && close(file) == 0);
}

/* Every number below MOST is a file then, with its own offset. */
static void files(void)
{
	begin();
	close_from_3();
	int first = mkstemp(path_of_file);
	CHECK(first >= 0 && write(first, "content", 7) == 7);
	for (int fd = 3; fd < MOST; fd++) {
		if (!is_open(fd))
			open_file(fd);
	}
	is_removed();
	OK(p11->C_Initialize(NULL));
	sign_as_another(p11);
	OK(p11->C_Finalize(NULL));
	for (int fd = 3; fd < MOST; fd++) {
		struct stat st;
		CHECK(fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 7);
		CHECK(lseek(fd, 0, SEEK_CUR) == (fd == first ? 7 : 0));
	}
	CHECK(unlink(path_of_file) == 0);
}

/* Every second number is one end of a pair of sockets, and the other end has said something. */
static void sockets(void)
{
	int pairs[MOST][2], n = 0;
	begin();
	close_from_3();
	while (n < MOST / 2 - 2) {
		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[n]) == 0);
		CHECK(write(pairs[n][0], "hello", 5) == 5 && write(pairs[n][1], "world", 5) == 5);
		n++;
	}
	is_removed();
	OK(p11->C_Initialize(NULL));
	sign_as_another(p11);
	OK(p11->C_Finalize(NULL));
	for (int i = 0; i < n; i++) {
		char text[16];
		CHECK(recv(pairs[i][0], text, sizeof text, MSG_DONTWAIT) == 5 && memcmp(text, "world", 5) == 0);
		CHECK(recv(pairs[i][1], text, sizeof text, MSG_DONTWAIT) == 5 && memcmp(text, "hello", 5) == 0);
		CHECK(recv(pairs[i][0], text, sizeof text, MSG_DONTWAIT) == -1 && errno == EAGAIN); /* not shut down */
		CHECK(recv(pairs[i][1], text, sizeof text, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	}
}

static void *visit(void *unused)
{
	CK_SESSION_INFO info;
	OK(p11->C_GetSessionInfo(session, &info));
	return unused;
}

/* The thread loses its connection once, and gets a new one; the application and the other threads go on. */
static void one(void)
{
	pthread_t thread;
	bool before[MOST];
	CK_SESSION_INFO info;
	CK_SLOT_ID slots[8];
	CK_ULONG count = 8;
	OK(p11->C_Initialize(NULL));
	for (int fd = 0; fd < MOST; fd++)
		before[fd] = is_open(fd);
	OK(p11->C_GetSlotList(1, slots, &count)); /* this thread's connection */
	int mine = -1;
	for (int fd = 3; fd < MOST; fd++) {
		if (is_open(fd) && !before[fd])
			mine = fd;
	}
	CHECK(mine > 2);
	session = make_token(p11);
	CHECK(close(mine) == 0 && open("/dev/null", O_RDONLY) >= 0);
	EXPECT(CKR_DEVICE_REMOVED, p11->C_GetSessionInfo(session, &info));
	OK(p11->C_GetSessionInfo(session, &info));
	CHECK(pthread_create(&thread, NULL, visit, NULL) == 0 && pthread_join(thread, NULL) == 0);
	EXPECT(CKR_CRYPTOKI_ALREADY_INITIALIZED, p11->C_Initialize(NULL));
	OK(p11->C_Finalize(NULL));
}

/* Nothing of the library's may take the places of standard input, output and error. */
static void standard(void)
{
	int error = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 200);
	close(0);
	close(1);
	close(2);
	begin();
	int low = is_open(0) + is_open(1) + is_open(2);
	OK(p11->C_Finalize(NULL));
	if (low != 0) {
		dprintf(error, "%d standard descriptors are taken\n", low);
		_exit(1);
	}
	_exit(0);
}

static void room_for(rlim_t descriptors)
{
	struct rlimit limit;
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = descriptors;
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void few(void)
{
	room_for(16);
	begin();
	OK(p11->C_Finalize(NULL));
	CHECK(count_open(3) == 0);
}

static void none(void)
{
	CK_SESSION_INFO info;
	CK_SLOT_ID slots[8];
	CK_ULONG count = 8;
	room_for(3);
	CK_RV rv = p11->C_Initialize(NULL);
	CHECK(rv == CKR_HOST_MEMORY || rv == CKR_GENERAL_ERROR);
	CHECK(count_open(3) == 0);
	room_for(256);
	OK(p11->C_Initialize(NULL));
	room_for(3);
	EXPECT(CKR_HOST_MEMORY, p11->C_GetSlotList(1, slots, &count)); /* no connection for this thread, for now */
	room_for(256);
	OK(p11->C_GetSlotList(1, slots, &count));
	EXPECT(CKR_SESSION_HANDLE_INVALID, p11->C_GetSessionInfo(1, &info));
	OK(p11->C_Finalize(NULL));
}

static void exec(void)
{
	begin();
	pid_t child = fork();
	if (child == 0) {
		execl(program, program, "count", "count", (char *)NULL);
		_exit(1);
	}
	reap(child);
	sign_and_verify(p11, session, private_key, public_key);
	OK(p11->C_Finalize(NULL));
}

/* The program that exec starts. */
static int count(void)
{
	int open = count_open(3);
	if (open != 0)
		fprintf(stderr, "%d descriptors are inherited\n", open);
	return open;
}

int main(int argc, char **argv)
{
	const struct {
		const char *name;
		void (*run)(void);
	} scenarios[] = {
		{"closed", closed}, {"finalize", finalize}, {"files", files}, {"sockets", sockets}, {"one", one},
		{"standard", standard}, {"few", few}, {"none", none}, {"exec", exec},
	};
	CHECK(argc == 3);
	program = argv[0];
	if (strcmp(argv[2], "count") == 0)
		return count();
	close_from_3(); /* what this program itself has inherited */
	p11 = load(argv[1]);
	for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
		if (strcmp(argv[2], scenarios[i].name) == 0) {
			scenarios[i].run();
			return 0;
		}
	}
	fprintf(stderr, "no scenario %s\n", argv[2]);
	return 2;
}

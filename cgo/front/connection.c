#include "connection.h"
#include "application.h"
#include "call.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Lower numbers are those that hosts count on; and spawn.c gives 0 to 3 to a daemon. */
enum { LOWEST_WANTED = 64, LOWEST = 4 };

struct hello_message {
	char magic[8];
	uint32_t version, kind;
	unsigned char hash[32], cookie[COOKIE];
};

struct welcome_message {
	char magic[8];
	uint32_t version, status;
	unsigned char hash[32], cookie[COOKIE];
	char text[WELCOME_TEXT];
};

_Static_assert(sizeof(struct hello_message) == 64 && sizeof(struct welcome_message) == 256, "as docs/spec/wire.md has them");

static const char magic[8] = {'O', 'N', 'C', 'E', 'L', 'E', 'A', 'F'};

int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void pause_for(int64_t milliseconds)
{
	struct timespec t = {milliseconds / 1000, milliseconds % 1000 * 1000000};
	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

int raise_descriptor(int fd)
{
	if (fd < 0)
		return -1;
	int raised = fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_WANTED);
	if (raised < 0)
		raised = fcntl(fd, F_DUPFD_CLOEXEC, LOWEST);
	close(fd);
	return raised;
}

bool open_socket(struct connection *c)
{
	struct stat st;
	int fd = raise_descriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	if (fd < 0)
		return false;
	if (fstat(fd, &st) != 0) {
		close(fd);
		return false;
	}
	*c = (struct connection){fd, st.st_dev, st.st_ino, NULL};
	return true;
}

bool is_ours(const struct connection *c)
{
	struct stat st;
	return c->fd >= 0 && fstat(c->fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_dev == c->dev && st.st_ino == c->ino;
}

void close_connection(struct connection *c)
{
	if (is_ours(c))
		shutdown(c->fd, SHUT_RDWR);
	close_window(c->window);
	close_copy(c);
}

void close_copy(struct connection *c)
{
	if (is_ours(c))
		close(c->fd);
	c->fd = -1;
	c->window = NULL;
}

bool is_quiet(const struct connection *c, int milliseconds)
{
	int64_t deadline = now() + milliseconds;
	for (;;) {
		int64_t left = deadline - now();
		struct pollfd p = {c->fd, POLLIN, 0};
		int ready = poll(&p, 1, left > 0 ? (int)left : 0);
		if (ready >= 0 || errno != EINTR)
			return ready == 0;
	}
}

/* poll would need room among the descriptors that the host's limit allows. */
bool has_news(const struct connection *c)
{
	char octet;
	return recv(c->fd, &octet, sizeof octet, MSG_PEEK | MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EINTR);
}

/* set_patience bounds how long one send, one receive and one connect wait; 0 is without end. */
static void set_patience(int fd, int64_t milliseconds)
{
	struct timeval t = {milliseconds / 1000, milliseconds % 1000 * 1000};
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
}

/*
 * in_time comes before each attempt: the kernel begins to count anew after each signal of the host's and after each octet
 * that the other side lets drip.
 */
static bool in_time(int fd, int64_t deadline)
{
	if (deadline == FOREVER)
		return true;
	int64_t left = deadline - now();
	if (left > 0)
		set_patience(fd, left);
	return left > 0;
}

bool send_all(int fd, const void *octets, size_t length, int64_t deadline)
{
	const char *at = octets;
	while (length > 0) {
		ssize_t sent = in_time(fd, deadline) ? send(fd, at, length, MSG_NOSIGNAL) : 0;
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		at += sent;
		length -= (size_t)sent;
	}
	return true;
}

size_t receive(int fd, void *octets, size_t room, int64_t deadline)
{
	while (in_time(fd, deadline)) {
		ssize_t got = recv(fd, octets, room, 0);
		if (got >= 0)
			return (size_t)got;
		if (errno != EINTR)
			break;
	}
	return 0;
}

bool receive_all(int fd, void *octets, size_t length, int64_t deadline)
{
	char *at = octets;
	while (length > 0) {
		size_t got = receive(fd, at, length, deadline);
		if (got == 0)
			return false;
		at += got;
		length -= got;
	}
	return true;
}

/* connect_at: 0 or the error; EAGAIN when the time is up. A signal does not end it. */
static int connect_at(int fd, const char *path, int64_t deadline)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	memcpy(address.sun_path, path, strlen(path) + 1);
	while (in_time(fd, deadline)) {
		if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
			return 0;
		if (errno != EINTR)
			return errno;
	}
	return EAGAIN;
}

/* A path that is longer than an address may be is reached through its folder's descriptor. */
static int connect_through_folder(int fd, const char *path, int64_t deadline)
{
	char short_path[sizeof((struct sockaddr_un *)0)->sun_path];
	const char *name = strrchr(path, '/');
	if (name == NULL)
		return ENAMETOOLONG;
	char *folder_path = strndup(path, name == path ? 1 : (size_t)(name - path));
	if (folder_path == NULL)
		return ENOMEM;
	int folder = raise_descriptor(open(folder_path, O_PATH | O_DIRECTORY | O_CLOEXEC));
	int why = errno;
	free(folder_path);
	if (folder < 0)
		return why;
	int length = snprintf(short_path, sizeof short_path, "/proc/self/fd/%d%s", folder, name);
	int error = length < (int)sizeof short_path ? connect_at(fd, short_path, deadline) : ENAMETOOLONG;
	close(folder);
	return error;
}

static int reach(int fd, const char *path, int64_t deadline)
{
	if (strlen(path) < sizeof((struct sockaddr_un *)0)->sun_path)
		return connect_at(fd, path, deadline);
	return connect_through_folder(fd, path, deadline);
}

bool answers(const char *path, int64_t deadline)
{
	struct connection c;
	if (!open_socket(&c))
		return false;
	int error = reach(c.fd, path, deadline);
	close_connection(&c);
	return error == 0;
}

/* trusted: this user or root listens. */
static bool trusted(int fd, const char *path)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return false;
	if (peer.uid == 0 || peer.uid == geteuid())
		return true;
	complain("user %u listens at %s: name the socket in the configuration if that is meant", (unsigned)peer.uid, path);
	return false;
}

/* descriptor_of is the one that came with a message, or -1. */
static int descriptor_of(struct msghdr *m)
{
	int fd = -1;
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

/*
 * receive_part takes what has come of the welcome, with a window if one was asked for: no handler of the host's leaves the
 * call between a descriptor's arrival and the moment at which the connection holds its memory.
 */
static ssize_t receive_part(struct connection *c, enum hello kind, void *octets, size_t room, bool *lost)
{
	union {
		struct cmsghdr align;
		char octets[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec all = {octets, room};
	struct msghdr m = {.msg_iov = &all, .msg_iovlen = 1};
	if (kind == JOIN_WITH_WINDOW) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_LEN(sizeof(int));
	}
	struct held before = hold();
	ssize_t got = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	int error = errno, window = got > 0 && kind == JOIN_WITH_WINDOW ? descriptor_of(&m) : -1;
	if (window >= 0) {
		close_window(c->window);
		c->window = open_window(window);
	}
	*lost = *lost || (kind == JOIN_WITH_WINDOW && got > 0 && (m.msg_flags & MSG_CTRUNC) != 0) ||
		(window >= 0 && c->window == NULL);
	let_go(before);
	errno = error;
	return got;
}

static bool receive_welcome(struct connection *c, enum hello kind, struct welcome_message *answer, int64_t deadline, bool *lost)
{
	char *at = (char *)answer;
	for (size_t length = sizeof *answer; length > 0;) {
		int64_t left = deadline - now();
		if (left <= 0 || is_quiet(c, left > INT_MAX ? INT_MAX : (int)left))
			return false;
		ssize_t got = receive_part(c, kind, at, length, lost);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			return false;
		at += got > 0 ? got : 0;
		length -= got > 0 ? (size_t)got : 0;
	}
	return true;
}

static bool shake_hands(struct connection *c, enum hello kind, const unsigned char *cookie, struct welcome *welcome,
			int64_t deadline)
{
	struct hello_message hello = {.version = wire_version, .kind = kind};
	struct welcome_message answer;
	memcpy(hello.magic, magic, sizeof magic);
	memcpy(hello.hash, wire_hash, sizeof hello.hash);
	if (cookie != NULL)
		memcpy(hello.cookie, cookie, COOKIE);
	welcome->lost = false;
	if (!send_all(c->fd, &hello, sizeof hello, deadline) ||
	    !receive_welcome(c, kind, &answer, deadline, &welcome->lost))
		return false;
	if (memcmp(answer.magic, magic, sizeof magic) != 0)
		return false;
	bool other = answer.version != wire_version || memcmp(answer.hash, wire_hash, sizeof answer.hash) != 0;
	welcome->status = answer.status == WELCOME_OK && other ? MISMATCH : answer.status;
	memcpy(welcome->cookie, answer.cookie, COOKIE);
	memcpy(welcome->text, answer.text, WELCOME_TEXT);
	welcome->text[WELCOME_TEXT] = '\0';
	return true;
}

/* confirm says that the window has arrived: the daemon waits there from now on, and for no end of the socket. */
static bool confirm(const struct connection *c, int64_t deadline)
{
	const char octet = 1;
	return c->window == NULL || send_all(c->fd, &octet, sizeof octet, deadline);
}

enum reached greet(struct connection *c, const char *path, bool trusted_only, enum hello kind, const unsigned char *cookie,
		   struct welcome *welcome, int64_t deadline)
{
	int error = reach(c->fd, path, deadline);
	if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR)
		return NOBODY;
	if (error == EAGAIN) /* the queue of those who wait for the daemon stayed full */
		return GONE;
	if (error != 0) {
		complain("couldn't connect to the daemon at %s: %s", path, strerror(error));
		return REFUSED;
	}
	if (trusted_only && !trusted(c->fd, path))
		return REFUSED;
	if (!shake_hands(c, kind, cookie, welcome, deadline))
		return GONE;
	if (welcome->status == WELCOME_OK && !welcome->lost && !confirm(c, deadline))
		return GONE;
	set_patience(c->fd, 0);
	return GREETED;
}

/*
 * A connection to the daemon. Its descriptor has a number in the host's table, where the host may close it and use the
 * number for something else: so each use asks first whether the descriptor is still the socket that was opened.
 */
#ifndef ONCELEAF_CONNECTION_H
#define ONCELEAF_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "window.h"

struct connection {
	int fd; /* -1: none */
	dev_t dev;
	ino_t ino;
	struct window *window; /* in which calls cross that have room there, or NULL */
};

enum { COOKIE = 16, WELCOME_TEXT = 192 };

enum hello { NEW_APPLICATION = 0, JOIN = 1, JOIN_WITH_WINDOW = 3 };

enum welcome_status { WELCOME_OK, MISMATCH, NOT_ADMITTED, TOO_MANY, NO_APPLICATION, STOPPING, CANNOT };

struct welcome {
	uint32_t status;
	unsigned char cookie[COOKIE];
	char text[WELCOME_TEXT + 1];
	bool lost; /* the daemon gave a window that did not arrive: the connection is of no use */
};

enum reached {
	GREETED, /* the welcome says the rest */
	NOBODY,  /* no daemon is there */
	GONE,    /* it went, or did not answer in time */
	REFUSED, /* the system does not let us, or a stranger listens */
	CROWDED, /* no descriptor is free, or the daemon gives no more connections */
};

/* Times are of the monotonic clock, in milliseconds. */
int64_t now(void);
void pause_for(int64_t milliseconds);

/* raise_descriptor moves a descriptor away from the low numbers; -1 stays, or is the answer if there is no other. */
int raise_descriptor(int fd);

/* open_socket gives the connection a descriptor that exec closes; false if there is none to be had. */
bool open_socket(struct connection *);

/* is_ours: the descriptor is there and is the socket that was opened. */
bool is_ours(const struct connection *);

/*
 * close_connection ends the connection if the descriptor is still ours, and forgets it. It shuts it down first: forked
 * children may hold copies of the descriptor, and the daemon would never see the end. close_copy is for those children.
 */
void close_connection(struct connection *);
void close_copy(struct connection *);

/* is_quiet: for so many milliseconds nothing came, and no end. has_news looks at once. */
bool is_quiet(const struct connection *, int milliseconds);
bool has_news(const struct connection *);

/*
 * greet connects and shakes hands until the deadline. trusted_only: whoever listens must be this user or root, for a PIN
 * will go there. A window that comes with the welcome is the connection's from the first moment.
 */
enum reached greet(struct connection *, const char *socket, bool trusted_only, enum hello, const unsigned char *cookie,
		   struct welcome *, int64_t deadline);

/*
 * Whole messages until the deadline, or false. Nothing is ever sent twice. After a deadline the descriptor keeps some
 * bound; without one (FOREVER) what is set is left as it is.
 */
#define FOREVER INT64_MAX
bool send_all(int fd, const void *octets, size_t length, int64_t deadline);
bool receive_all(int fd, void *octets, size_t length, int64_t deadline);

/* receive takes what is there, at most so much: 0 at the end and on errors. */
size_t receive(int fd, void *octets, size_t room, int64_t deadline);

/* answers: somebody accepts connections there. */
bool answers(const char *socket, int64_t deadline);

#endif

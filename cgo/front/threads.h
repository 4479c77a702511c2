/* The threads that call: each has a connection of its own, so that none waits for another. */
#ifndef ONCELEAF_THREADS_H
#define ONCELEAF_THREADS_H

#include "call.h"
#include "connection.h"

#include <stdatomic.h>

/*
 * What a thread has: its connection and the buffers of its call. It stays in the list until the thread ends, also while
 * there is no connection; in a forked child those of the parent's other threads stay for ever, empty.
 */
enum { ASIDE = 4 };

struct record {
	struct call call; /* first: a call is its record */
	struct connection connection;
	unsigned long generation; /* of the application that the connection belongs to */
	int cancel_state;         /* of the thread, as it was before the call */
	struct window *aside[ASIDE]; /* of calls that the host left by a jump */
	unsigned aside_next;
	_Atomic bool busy;        /* in a call; still set at the next one if the host left the call by a jump */
	struct record *next;
};

/*
 * occupy gives the calling thread's record, busy and connected. release ends that. It closes a connection that failed, and
 * gives what the call answers in that case.
 */
CK_RV occupy(struct record **);
CK_RV release(struct record *, CK_RV failure);

/* For C_Initialize and C_Finalize. */
bool make_key(void);                /* before the first call: what ties records to threads */
void abandon_own_call(void);        /* of the calling thread, if the host left one by a jump */
unsigned calls_under_way(bool shut); /* their number; with `shut` they wait no longer for an answer */
void close_idle(void);              /* under the lock: the connections that no call is using */
void forget_threads(void);          /* in a new home: what a parent's threads had */

#endif

/*
 * Who signs again and again calls C_SignInit with the same arguments each time. Once the daemon has accepted them and a
 * signature came of it, the next C_SignInit is answered here and travels with the C_Sign that follows: one way to the
 * daemon and back instead of two. If it is not accepted any more, because another application changed the key or because
 * the key is used up, C_Sign answers what C_SignInit would have.
 *
 * Nothing is promised that this process itself may have changed: every other call of any thread makes all promises void,
 * and one about the session of a C_SignInit that has not left yet sends that one first.
 */
#ifndef ONCELEAF_PROMISE_H
#define ONCELEAF_PROMISE_H

#include "cryptoki.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { PROMISE_ROOM = 64 };

/* NONE: nothing is known. OPEN: the daemon has begun the signature. DONE: it has made it. HELD: the next one has begun here. */
enum stage { NONE, OPEN, DONE, HELD };

/* What a thread's record knows of its last C_SignInit. Only its thread changes it, but for HELD and DONE, which others end. */
struct promise {
	_Atomic int stage;
	bool concerned;     /* the call under way is about its session */
	unsigned long seen; /* the epoch before the call under way */
	unsigned long epoch, generation;
	CK_SESSION_HANDLE session;
	size_t length;
	unsigned char request[PROMISE_ROOM]; /* C_SignInit as it was sent, after its size */
};

struct record;

/* What is to be done with a call that is ready to be sent. */
enum fate {
	SEND,     /* it may be another request by now, whose answer is that of the call */
	ANSWERED, /* it is answered */
	FAILED,   /* the connection is lost; the call knows it */
};
enum fate keep_promise(struct record *);

/* note_answer comes after the answer of a request that was sent. */
void note_answer(struct record *);

/* redeem sends what is held, at the end of a thread: the session lives on. */
void redeem(struct record *);

/* break_promise forgets; it sends nothing. */
void break_promise(struct promise *);

#endif

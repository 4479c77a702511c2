/* One call of a function, from its entry to its end. calls.c (generated) is made of these. */
#ifndef ONCELEAF_CALL_H
#define ONCELEAF_CALL_H

#include "marshal.h"

enum {
	ANSWER_ROOM = 16384, /* octets asked for at once: a small answer is one system call */
	ANSWER_HEADER = 12,  /* octets of function and rv */
};

struct call {
	struct buffer out;    /* the request */
	struct reader in;     /* the answer */
	struct buffer answer; /* the memory that `in` reads */
	unsigned function;
	CK_RV failure;        /* why the connection cannot be used any more, or CKR_OK */
	CK_RV refusal;        /* what the function answers in place of what its stub makes of it, or CKR_OK */
};

/*
 * enter begins a call: CKR_OK, or what the function must answer at once. Each path after CKR_OK ends with leave, which
 * wipes the request and the answer.
 */
CK_RV enter(struct call **, unsigned function);
CK_RV leave(struct call *, CK_RV);

/*
 * exchange sends the request, once and never again, and receives the whole answer, into `in`. It gives the answer's rv.
 * If there is no answer, or the request is longer than may be and is not sent, `in` is bad, so that complete() is false.
 */
CK_RV exchange(struct call *);

/*
 * complete: the answer was right and was read to its end. Only then may anything be stored. If not, the stub ends with
 * leave(call, CKR_DEVICE_ERROR), and leave knows better if it was something else.
 */
bool complete(struct call *);

/* again makes the call ready for one more request of the same function. It is for C_GenerateRandom alone. */
void again(struct call *);

/* refuse ends those operations of the session that a bad argument ends, and gives what the function must answer. */
CK_RV refuse(struct call *, CK_SESSION_HANDLE, CK_FLAGS ends);

/* not_supported is for the functions that the table calls Absent: CKR_FUNCTION_NOT_SUPPORTED, if initialised. */
CK_RV not_supported(void);

/* known_rv: a number of the standard's, or of a vendor. Nothing else is handed on. */
bool known_rv(CK_RV);

/* Made by the generator, in calls.c. */
extern const uint32_t wire_version;
extern const unsigned char wire_hash[32];
extern const CK_FLAGS wire_ends[]; /* by function: the operations of the session that a bad argument ends */

#endif

/* One call of a function, from its entry to its end. calls.c (generated) is made of these; both libraries have them. */
#ifndef ONCELEAF_CALL_H
#define ONCELEAF_CALL_H

#include "marshal.h"

enum {
	REQUEST_HEADER = 8,  /* octets of size and function */
	ANSWER_HEADER = 12,  /* octets of function and rv */
	FRAME_SIZE = 4,      /* octets of a frame's size, which comes first */
	ANSWER_ROOM = 16384, /* octets that a small answer fits into */
};

struct call {
	struct buffer out;    /* the request */
	struct reader in;     /* the answer */
	struct buffer answer; /* the memory that `in` reads */
	unsigned function;
	CK_RV failure;        /* why there is no answer, or CKR_OK */
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

/*
 * What differs between the libraries: how a request gets to the token, and its answer back.
 *
 * claim_call gives the calling thread's call, whose buffers are empty, or says what the function must answer at once.
 * release_call ends that; it gives what the function answers after a failure.
 */
CK_RV claim_call(struct call **);
CK_RV release_call(struct call *, CK_RV failure);

/*
 * carry brings the finished request over, once, and sets `in` to the answer behind its size field. If there is none it
 * gives what fail() made of the reason.
 */
CK_RV carry(struct call *);
CK_RV fail(struct call *, CK_RV failure);

/* standing is CKR_OK if calls may go on, else what each of them answers. It takes no lock. */
CK_RV standing(void);

/* at_home is false in a process that is known to have the library's memory from another one, by a fork. */
bool at_home(void);

/* Made by the generator, in calls.c. */
extern const uint32_t wire_version;
extern const unsigned char wire_hash[32];
extern const CK_FLAGS wire_ends[]; /* by function: the operations of the session that a bad argument ends */

#endif

/*
 * How a call gets to the token, which is in this process: the request and the answer are frames in the memory of the
 * calling thread, and between them is one call of Go.
 */
#include "call.h"
#include "process.h"
#include "transport.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "_cgo_export.h"

/* What a thread has from its first call to its end. */
struct record {
	struct call call;  /* first: a call is its record */
	_Atomic bool busy; /* in a call; still set at the next one if the host left the call by a jump */
};

/* Made once and never deleted: the library stays, and threads that have called it may end at any time. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static _Atomic bool has_key;

/* The end of a thread. In a forked child the memory may be in disorder, and it is left alone. */
static void end_of_thread(void *value)
{
	struct record *r = value;
	if (in_forked_child())
		return;
	drop_buffer(&r->call.out);
	drop_buffer(&r->call.answer);
	free(r);
}

static void make_key(void)
{
	atomic_store(&has_key, pthread_key_create(&key, end_of_thread) == 0);
}

bool threads_can_call(void)
{
	return pthread_once(&once, make_key) == 0 && atomic_load(&has_key);
}

static struct record *new_record(void)
{
	struct record *r = calloc(1, sizeof *r);
	if (r != NULL && pthread_setspecific(key, r) != 0) {
		free(r);
		return NULL;
	}
	return r;
}

/* forget wipes what a call has left that the host left by a jump: what came just before that was not counted. */
static void forget(struct buffer *b)
{
	b->used = b->room;
	wipe_buffer(b);
}

static struct record *own_record(void)
{
	struct record *r = pthread_getspecific(key);
	if (r == NULL)
		return new_record();
	if (atomic_load_explicit(&r->busy, memory_order_relaxed)) {
		forget(&r->call.out);
		forget(&r->call.answer);
	}
	return r;
}

CK_RV claim_call(struct call **out)
{
	if (in_forked_child() || !atomic_load(&has_key)) /* without a key nobody has come as far as C_Initialize */
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	struct record *r = own_record();
	if (r == NULL)
		return CKR_HOST_MEMORY;
	atomic_store_explicit(&r->busy, true, memory_order_relaxed);
	*out = &r->call;
	return CKR_OK;
}

CK_RV release_call(struct call *call, CK_RV failure)
{
	struct record *r = (struct record *)call;
	atomic_store_explicit(&r->busy, false, memory_order_relaxed);
	return failure;
}

/*
 * likely_answer is the room that saves the answer from being made elsewhere and copied: what comes back is seldom
 * longer than what went, though a caller may have room for any length.
 */
static size_t likely_answer(const struct buffer *out)
{
	size_t likely = out->used < out->answer ? out->used : out->answer;
	return likely < ANSWER_ROOM / 2 ? ANSWER_ROOM : ANSWER_ROOM / 2 + likely;
}

CK_RV carry(struct call *call)
{
	struct buffer *out = &call->out, *answer = &call->answer;
	if (!make_room(answer, likely_answer(out)))
		return fail(call, CKR_HOST_MEMORY);
	CK_RV rv = goAnswer(out, answer);
	if (rv != CKR_OK)
		return fail(call, rv);
	call->in = (struct reader){answer->bytes + FRAME_SIZE, answer->bytes + answer->used, false};
	return CKR_OK;
}

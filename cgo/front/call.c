#include "call.h"
#include "application.h"
#include "threads.h"

#include <string.h>

enum {
	REFUSE = 0,             /* the function that ends operations */
	SIZE = 4,               /* octets of a frame's size */
	REQUEST_HEADER = 8,     /* octets of size and function */
	ANSWER_LIMIT = 1 << 20, /* octets of any answer without the octets that the caller has room for */
};

static struct record *record_of(struct call *call)
{
	return (struct record *)call;
}

/* begin empties the request but for its header; the size is written when it is known. */
static void begin(struct call *call, unsigned function)
{
	wipe_buffer(&call->out);
	call->function = function;
	put_u32(&call->out, 0);
	put_u32(&call->out, function);
}

CK_RV enter(struct call **out, unsigned function)
{
	struct record *r;
	CK_RV rv = occupy(&r);
	if (rv != CKR_OK)
		return rv;
	r->call.failure = r->call.refusal = CKR_OK;
	r->call.in = (struct reader){NULL, NULL, true};
	begin(&r->call, function);
	*out = &r->call;
	return CKR_OK;
}

CK_RV leave(struct call *call, CK_RV rv)
{
	CK_RV refusal = call->refusal;
	wipe_buffer(&call->out);
	wipe_buffer(&call->answer);
	CK_RV failure = release(record_of(call), call->failure);
	return failure != CKR_OK ? failure : refusal != CKR_OK ? refusal : rv;
}

void again(struct call *call)
{
	wipe_buffer(&call->answer);
	begin(call, call->function);
}

static CK_RV fail(struct call *call, CK_RV failure)
{
	call->failure = failure;
	call->in = (struct reader){NULL, NULL, true};
	return failure;
}

static CK_RV lost(struct call *call)
{
	return fail(call, is_ours(&record_of(call)->connection) ? CKR_DEVICE_ERROR : CKR_DEVICE_REMOVED);
}

static bool receive_to(struct call *call, size_t wanted)
{
	struct buffer *answer = &call->answer;
	while (answer->used < wanted) {
		size_t got = receive(record_of(call)->connection.fd, answer->bytes + answer->used, answer->room - answer->used,
				     FOREVER);
		if (got == 0)
			return false;
		answer->used += got;
	}
	return true;
}

/* receive_answer takes one frame that is no longer than what the request asked for, and nothing after it. */
static CK_RV receive_answer(struct call *call)
{
	struct buffer *answer = &call->answer;
	uint32_t size;
	if (!receive_to(call, SIZE))
		return lost(call);
	memcpy(&size, answer->bytes, sizeof size);
	if (size < ANSWER_HEADER || size > MAX_FRAME || size > ANSWER_LIMIT + call->out.answer || answer->used > SIZE + size)
		return fail(call, CKR_DEVICE_ERROR);
	if (!make_room(answer, SIZE + size - answer->used))
		return fail(call, CKR_HOST_MEMORY);
	if (!receive_to(call, SIZE + size))
		return lost(call);
	if (answer->used != SIZE + size)
		return fail(call, CKR_DEVICE_ERROR);
	call->in = (struct reader){answer->bytes + SIZE, answer->bytes + SIZE + size, false};
	return CKR_OK;
}

bool known_rv(CK_RV rv)
{
	return rv <= 0x209 || (rv >= 0x80000000 && rv <= 0xffffffff);
}

CK_RV send_and_receive(struct call *call, const void *frame, size_t length)
{
	if (!send_all(record_of(call)->connection.fd, frame, length, FOREVER))
		return lost(call);
	return receive_answer(call);
}

/* carry gets the request an answer. */
static CK_RV carry(struct call *call)
{
	enum fate fate = keep_promise(record_of(call));
	if (fate == FAILED)
		return call->failure != CKR_OK ? call->failure : fail(call, CKR_HOST_MEMORY);
	if (fate == ANSWERED)
		return CKR_OK;
	CK_RV rv = send_and_receive(call, call->out.bytes, call->out.used);
	if (rv == CKR_OK)
		note_answer(record_of(call));
	return rv;
}

/* transact sends what is in the request and receives the answer. */
static CK_RV transact(struct call *call)
{
	struct buffer *out = &call->out;
	if (out->bad || !make_room(&call->answer, ANSWER_ROOM))
		return fail(call, CKR_HOST_MEMORY);
	uint32_t size = (uint32_t)(out->used - SIZE);
	memcpy(out->bytes, &size, sizeof size);
	CK_RV rv = carry(call);
	if (rv != CKR_OK)
		return rv;
	unsigned function = get_u32(&call->in);
	rv = get_ulong(&call->in);
	if (function != call->function || !known_rv(rv))
		return fail(call, CKR_DEVICE_ERROR);
	return rv;
}

/* too_much refuses a call whose request could not be made; its session is the first argument, if it ends anything. */
static CK_RV too_much(struct call *call)
{
	CK_RV instead = call->out.crowded ? CKR_ARGUMENTS_BAD : call->out.excessive ? CKR_DATA_LEN_RANGE : CKR_HOST_MEMORY;
	CK_FLAGS ends = wire_ends[call->function];
	CK_SESSION_HANDLE session = 0;
	if (ends != 0 && call->out.used >= REQUEST_HEADER + sizeof session)
		memcpy(&session, call->out.bytes + REQUEST_HEADER, sizeof session);
	CK_RV rv = refuse(call, session, ends);
	call->refusal = rv == CKR_ARGUMENTS_BAD ? instead : rv;
	call->in = (struct reader){NULL, NULL, true};
	return call->refusal;
}

CK_RV exchange(struct call *call)
{
	call->in = (struct reader){NULL, NULL, true};
	return call->out.bad ? too_much(call) : transact(call);
}

bool complete(struct call *call)
{
	if (call->failure != CKR_OK || call->refusal != CKR_OK)
		return false;
	if (!call->in.bad && call->in.at == call->in.end)
		return true;
	fail(call, CKR_DEVICE_ERROR);
	return false;
}

CK_RV refuse(struct call *call, CK_SESSION_HANDLE session, CK_FLAGS ends)
{
	begin(call, REFUSE);
	put_ulong(&call->out, session);
	put_ulong(&call->out, ends);
	CK_RV rv = transact(call);
	if (!complete(call))
		return CKR_DEVICE_ERROR;
	return rv == CKR_OK ? fail(call, CKR_DEVICE_ERROR) : rv; /* it is never right to go on */
}

CK_RV not_supported(void)
{
	CK_RV rv = standing();
	return rv == CKR_OK ? CKR_FUNCTION_NOT_SUPPORTED : rv;
}

/* How a call gets to the daemon and back, over the connection of the calling thread. */
#include "call.h"
#include "application.h"
#include "threads.h"

#include <string.h>

enum { ANSWER_LIMIT = 1 << 20 }; /* octets of any answer without the octets that the caller has room for */

static struct record *record_of(struct call *call)
{
	return (struct record *)call;
}

CK_RV claim_call(struct call **out)
{
	struct record *r;
	CK_RV rv = occupy(&r);
	if (rv == CKR_OK)
		*out = &r->call;
	return rv;
}

CK_RV release_call(struct call *call, CK_RV failure)
{
	return release(record_of(call), failure);
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
	if (!receive_to(call, FRAME_SIZE))
		return lost(call);
	memcpy(&size, answer->bytes, sizeof size);
	if (size < ANSWER_HEADER || size > MAX_FRAME || size > ANSWER_LIMIT + call->out.answer ||
	    answer->used > FRAME_SIZE + size)
		return fail(call, CKR_DEVICE_ERROR);
	if (!make_room(answer, FRAME_SIZE + size - answer->used))
		return fail(call, CKR_HOST_MEMORY);
	if (!receive_to(call, FRAME_SIZE + size))
		return lost(call);
	if (answer->used != FRAME_SIZE + size)
		return fail(call, CKR_DEVICE_ERROR);
	call->in = (struct reader){answer->bytes + FRAME_SIZE, answer->bytes + FRAME_SIZE + size, false};
	return CKR_OK;
}

CK_RV carry(struct call *call)
{
	struct buffer *out = &call->out;
	if (!make_room(&call->answer, ANSWER_ROOM))
		return fail(call, CKR_HOST_MEMORY);
	if (!send_all(record_of(call)->connection.fd, out->bytes, out->used, FOREVER))
		return lost(call);
	return receive_answer(call);
}

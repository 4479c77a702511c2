#include "call.h"

#include <string.h>

enum { REFUSE = 0 }; /* the function that ends operations */

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
	struct call *call;
	CK_RV rv = claim_call(&call);
	if (rv != CKR_OK)
		return rv;
	call->failure = call->refusal = CKR_OK;
	call->in = (struct reader){NULL, NULL, true};
	begin(call, function);
	*out = call;
	return CKR_OK;
}

CK_RV leave(struct call *call, CK_RV rv)
{
	CK_RV refusal = call->refusal;
	wipe_buffer(&call->out);
	wipe_buffer(&call->answer);
	CK_RV failure = release_call(call, call->failure);
	return failure != CKR_OK ? failure : refusal != CKR_OK ? refusal : rv;
}

void again(struct call *call)
{
	wipe_buffer(&call->answer);
	begin(call, call->function);
}

CK_RV fail(struct call *call, CK_RV failure)
{
	call->failure = failure;
	call->in = (struct reader){NULL, NULL, true};
	return failure;
}

bool known_rv(CK_RV rv)
{
	return rv <= 0x209 || (rv >= 0x80000000 && rv <= 0xffffffff);
}

/* transact sends what is in the request and receives the answer. */
static CK_RV transact(struct call *call)
{
	struct buffer *out = &call->out;
	if (out->bad)
		return fail(call, CKR_HOST_MEMORY);
	uint32_t size = (uint32_t)(out->used - FRAME_SIZE);
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

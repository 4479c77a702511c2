#include "promise.h"
#include "application.h"
#include "threads.h"

#include <string.h>

enum {
	SIGN_INIT = 43, /* places in the table of package wire, which a test compares */
	SIGN = 44,
	BOTH = 0x1003,      /* a request of two: u32 length of the first, the first, the second */
	SIZE = 4,           /* octets of a frame's size */
	SESSION_AT = 8,     /* behind size and function */
	RV_AT = 4,          /* in an answer, after its size */
	TAIL = 9,           /* octets of C_Sign's buffer at the end of the request: whether it is a length query, and its room */
	MOST_WITH = 16384,  /* octets of a request that another one is put before */
};

static _Atomic unsigned long epoch; /* of what this process may have changed */
static _Atomic long held;           /* promises that are HELD */

static CK_SESSION_HANDLE session_of(const struct buffer *request)
{
	CK_SESSION_HANDLE session = 0;
	if (request->used >= SESSION_AT + sizeof session)
		memcpy(&session, request->bytes + SESSION_AT, sizeof session);
	return session;
}

/* step changes a stage that another thread may be changing. */
static bool step(struct promise *p, int from, int to)
{
	if (!atomic_compare_exchange_strong(&p->stage, &from, to))
		return false;
	if (to == HELD)
		atomic_fetch_add(&held, 1);
	if (from == HELD)
		atomic_fetch_sub(&held, 1);
	return true;
}

void break_promise(struct promise *p)
{
	if (!step(p, HELD, NONE))
		atomic_store(&p->stage, NONE);
}

static bool repeats(const struct record *r)
{
	const struct promise *p = &r->promise;
	const struct buffer *out = &r->call.out;
	return p->generation == r->generation && p->epoch == atomic_load(&epoch) && p->length == out->used - SIZE &&
	       memcmp(p->request, out->bytes + SIZE, p->length) == 0;
}

/* answer_ok is what the daemon would have answered to C_SignInit. */
static void answer_ok(struct call *call)
{
	uint32_t function = SIGN_INIT;
	unsigned char *answer = call->answer.bytes;
	memset(answer, 0, ANSWER_HEADER);
	memcpy(answer, &function, sizeof function);
	call->answer.used = ANSWER_HEADER;
	call->in = (struct reader){answer, answer + ANSWER_HEADER, false};
}

/* put_before makes one request of what was held and the call's own. */
static bool put_before(struct call *call, const struct promise *p)
{
	struct buffer *out = &call->out;
	uint32_t both = BOTH, length = (uint32_t)p->length, size;
	size_t more = sizeof both + sizeof length + p->length;
	if (!make_room(out, more))
		return false;
	memmove(out->bytes + SIZE + more, out->bytes + SIZE, out->used - SIZE);
	out->used += more;
	size = (uint32_t)(out->used - SIZE);
	memcpy(out->bytes, &size, sizeof size);
	memcpy(out->bytes + SIZE, &both, sizeof both);
	memcpy(out->bytes + SIZE + sizeof both, &length, sizeof length);
	memcpy(out->bytes + SIZE + sizeof both + sizeof length, p->request, p->length);
	return true;
}

/* send_first sends a request that was held, before the call's own. What it answers is seen in what the call answers. */
static enum fate send_first(struct call *call, const struct promise *p)
{
	unsigned char request[SIZE + PROMISE_ROOM];
	uint32_t size = (uint32_t)p->length;
	memcpy(request, &size, sizeof size);
	memcpy(request + SIZE, p->request, p->length);
	if (send_and_receive(call, request, SIZE + p->length) != CKR_OK)
		return FAILED;
	wipe_buffer(&call->answer);
	return make_room(&call->answer, ANSWER_ROOM) ? SEND : FAILED;
}

/* take_held copies what another thread holds for a session, and takes it from that thread. */
static bool take_held(const struct record *own, CK_SESSION_HANDLE session, struct promise *copy)
{
	bool found = false;
	struct held before = hold();
	for (struct record *r = first_record(); r != NULL && !found; r = r->next) {
		struct promise *p = &r->promise;
		if (r == own || atomic_load(&p->stage) != HELD || p->session != session)
			continue;
		copy->length = p->length;
		memcpy(copy->request, p->request, p->length);
		found = step(p, HELD, NONE);
	}
	let_go(before);
	return found;
}

/* void_others ends the promises of other threads about a session that this one signs in. */
static void void_others(const struct record *own, CK_SESSION_HANDLE session)
{
	struct held before = hold();
	for (struct record *r = first_record(); r != NULL; r = r->next) {
		if (r != own && r->promise.session == session)
			step(&r->promise, DONE, NONE);
	}
	let_go(before);
}

/* make_way comes before a call that nothing was promised about. */
static enum fate make_way(struct record *r)
{
	struct promise copy;
	CK_SESSION_HANDLE session = session_of(&r->call.out);
	if (r->call.function == SIGN_INIT || r->call.function == SIGN)
		void_others(r, session);
	else
		atomic_fetch_add(&epoch, 1);
	if (step(&r->promise, HELD, OPEN) && send_first(&r->call, &r->promise) == FAILED)
		return FAILED;
	if (atomic_load(&held) > 0 && take_held(r, session, &copy))
		return send_first(&r->call, &copy);
	return SEND;
}

enum fate keep_promise(struct record *r)
{
	struct promise *p = &r->promise;
	struct buffer *out = &r->call.out;
	bool own = p->concerned = p->session == session_of(out);
	p->seen = atomic_load(&epoch);
	if (r->call.function == SIGN_INIT && own && repeats(r) && step(p, DONE, HELD)) {
		answer_ok(&r->call);
		return ANSWERED;
	}
	if (r->call.function != SIGN || !own)
		return make_way(r);
	if (out->used <= MOST_WITH && step(p, HELD, OPEN))
		return put_before(&r->call, p) ? SEND : FAILED;
	return atomic_load(&p->stage) == OPEN ? SEND : make_way(r);
}

/* remember keeps a C_SignInit that the daemon accepted. */
static void remember(struct record *r)
{
	struct promise *p = &r->promise;
	const struct buffer *out = &r->call.out;
	struct held before = hold(); /* take_held may be reading */
	p->length = out->used - SIZE;
	memcpy(p->request, out->bytes + SIZE, p->length);
	p->session = session_of(out);
	p->generation = r->generation;
	p->epoch = p->seen;
	atomic_store(&p->stage, OPEN);
	let_go(before);
}

static CK_RV rv_of(const struct call *call)
{
	CK_RV rv;
	memcpy(&rv, call->in.at + RV_AT, sizeof rv);
	return rv;
}

/* note_signature: a length query and a room that is too small leave the operation open. */
static void note_signature(struct record *r)
{
	const struct buffer *out = &r->call.out;
	CK_RV rv = rv_of(&r->call);
	bool query = out->bytes[out->used - TAIL] != 0;
	if (rv == CKR_BUFFER_TOO_SMALL || (rv == CKR_OK && query))
		return;
	step(&r->promise, OPEN, rv == CKR_OK ? DONE : NONE);
}

void note_answer(struct record *r)
{
	if (r->call.function == SIGN) {
		if (r->promise.concerned && atomic_load(&r->promise.stage) == OPEN)
			note_signature(r);
	} else if (r->call.function == SIGN_INIT) {
		break_promise(&r->promise);
		if (rv_of(&r->call) == CKR_OK && r->call.out.used - SIZE <= PROMISE_ROOM)
			remember(r);
	}
}

void redeem(struct record *r)
{
	if (step(&r->promise, HELD, NONE) && answer_of_state() == CKR_OK && is_current(r->generation) && is_ours(&r->connection))
		send_first(&r->call, &r->promise);
}

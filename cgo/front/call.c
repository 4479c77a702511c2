/* How a call gets to the daemon and back, over the connection of the calling thread. */
#include "call.h"
#include "application.h"
#include "process.h"
#include "threads.h"

#include <sched.h>
#include <string.h>

enum { ANSWER_LIMIT = 1 << 20 }; /* octets of any answer without the octets that the caller has room for */

enum { YIELDS = 4 }; /* before a thread sleeps that waits for an answer */

enum { NEWS_TIME = 100 }; /* milliseconds until the end of a daemon is seen that could not say good-bye */

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

/* undisturbed: the window is still the connection's, and this is the process that asked. */
static bool undisturbed(const struct connection *c, const struct window *w)
{
	return which_process() == HOME && c->window == w;
}

/*
 * daemon_answered waits for the answer, or for the end of the connection; an answer may come just before it. The daemon's
 * thread is on this processor, as a rule: it runs as soon as this one lets it, and this one has not been asleep when it
 * comes back.
 */
static bool daemon_answered(const struct connection *c, struct window *w)
{
	for (int i = 0; i < YIELDS && !is_answered(w); i++)
		sched_yield();
	while (!is_answered(w)) {
		if (!wait_at(w, NEWS_TIME) && !undisturbed(c, w))
			return false;
		if (!is_answered(w) && (!is_ours(c) || has_news(c)))
			return is_answered(w);
	}
	return true;
}

/* answered_ahead: the answer to what the daemon has done already. */
static CK_RV answered_ahead(struct call *call)
{
	struct buffer *answer = &call->answer;
	memset(answer->bytes, 0, ANSWER_HEADER); /* CKR_OK */
	memcpy(answer->bytes, call->out.bytes + FRAME_SIZE, REQUEST_HEADER - FRAME_SIZE);
	answer->used = ANSWER_HEADER;
	call->in = (struct reader){answer->bytes, answer->bytes + ANSWER_HEADER, false};
	return CKR_OK;
}

/* carry_by_window is carry for a connection with a window; what has no room in it crosses over the socket. */
static CK_RV carry_by_window(struct call *call)
{
	const struct connection *c = &record_of(call)->connection;
	struct buffer *out = &call->out, *answer = &call->answer;
	struct window *w = c->window;
	bool inside;
	if (take_offer(w, out->bytes, out->used))
		return answered_ahead(call);
	if (!pass_request(w, out->bytes, out->used, &inside))
		return lost(call);
	if (!inside && !send_all(c->fd, out->bytes, out->used, FOREVER))
		return lost(call);
	if (!daemon_answered(c, w) || c->window != w)
		return lost(call);
	if (!take_answer(w, answer->bytes, answer->room, &answer->used))
		return fail(call, CKR_DEVICE_ERROR);
	return receive_answer(call);
}

CK_RV carry(struct call *call)
{
	struct buffer *out = &call->out;
	if (!make_room(&call->answer, ANSWER_ROOM))
		return fail(call, CKR_HOST_MEMORY);
	if (record_of(call)->connection.window != NULL)
		return carry_by_window(call);
	if (!send_all(record_of(call)->connection.fd, out->bytes, out->used, FOREVER))
		return lost(call);
	return receive_answer(call);
}

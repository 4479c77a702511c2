#include "threads.h"
#include "application.h"
#include "log.h"
#include "process.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Milliseconds. */
enum {
	JOIN_TIME = 30000, /* for one more connection to a daemon that is there */
	FIRST_PAUSE = 5,   /* between two attempts; it doubles */
	LAST_PAUSE = 320,
};

/* Made once and never deleted: the library stays, and threads that have called it may end at any time. */
static pthread_key_t key;
static bool has_key;

static struct record *records; /* under the lock */

static void disconnect(struct record *r)
{
	struct held before = hold();
	close_connection(&r->connection);
	let_go(before);
}

/*
 * The end of a thread. In a forked child that has not claimed the memory nothing may be touched: it closes its copies
 * of the parent's connections when it does claim it, or when it ends.
 */
static void end_of_thread(void *value)
{
	struct record *r = value;
	int cancel_state;
	if (which_process() != HOME)
		return;
	/* A thread that returns can still be cancelled here. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	struct held before = hold();
	for (struct record **at = &records; *at != NULL; at = &(*at)->next) {
		if (*at == r) {
			*at = r->next;
			break;
		}
	}
	close_connection(&r->connection);
	let_go(before);
	for (unsigned i = 0; i < ASIDE; i++)
		forget_window(r->aside[i]);
	drop_buffer(&r->call.out);
	drop_buffer(&r->call.answer);
	free(r);
	pthread_setcancelstate(cancel_state, NULL);
}

bool make_key(void)
{
	has_key = has_key || pthread_key_create(&key, end_of_thread) == 0;
	return has_key;
}

/*
 * The list is whole at every moment, as a fork may copy it: a record is complete before the list shows it. Its buffers
 * have room for most calls from the beginning, so that those allocate nothing.
 */
static struct record *new_record(void)
{
	struct held before = hold();
	struct record *r = calloc(1, sizeof *r);
	if (r != NULL && pthread_setspecific(key, r) != 0) {
		free(r);
		r = NULL;
	}
	if (r != NULL) {
		r->connection.fd = -1;
		make_room(&r->call.out, 1);
		make_room(&r->call.answer, ANSWER_ROOM);
		r->next = records;
		atomic_signal_fence(memory_order_seq_cst);
		records = r;
	}
	let_go(before);
	return r;
}

/* put_aside takes the window out of the connection; its memory stays until so many others were put aside, or the thread ends. */
static void put_aside(struct record *r)
{
	if (r->connection.window == NULL)
		return;
	leave_window(r->connection.window);
	forget_window(r->aside[r->aside_next % ASIDE]);
	r->aside[r->aside_next++ % ASIDE] = r->connection.window;
	r->connection.window = NULL;
}

/* own_record is the calling thread's, not busy; NULL if it has none. */
static struct record *own_record(void)
{
	struct record *r = has_key ? pthread_getspecific(key) : NULL;
	if (r == NULL || !atomic_load(&r->busy))
		return r;
	/*
	 * The host left a call by a jump: whatever comes on that connection belongs to nobody. Or this is a handler that
	 * returns to the call, against all rules: it finds memory where it waits, and that the window is not its own any more.
	 */
	struct held before = hold();
	put_aside(r);
	close_connection(&r->connection);
	r->call.out.used = r->call.out.room; /* what came just before the jump was not counted */
	r->call.answer.used = r->call.answer.room;
	wipe_buffer(&r->call.out);
	wipe_buffer(&r->call.answer);
	let_go(before);
	atomic_store(&r->busy, false);
	pthread_setcancelstate(r->cancel_state, NULL);
	return r;
}

/* removed: the host closed a thread's connection, and perhaps all that is ours. */
static CK_RV removed(struct record *r)
{
	disconnect(r);
	if (!control_is_ours())
		decline(r->generation, REMOVED);
	return CKR_DEVICE_REMOVED;
}

/* broken: the daemon is gone, or has ended the application because the host took the control connection away. */
static CK_RV broken(const struct record *r)
{
	return decline(r->generation, control_is_ours() ? BROKEN : REMOVED);
}

/* knock asks once for a connection. The record holds it from the first moment, so that C_Finalize can shut it down. */
static enum reached knock(struct record *r, const struct invitation *i, enum hello kind, struct welcome *w, int64_t deadline)
{
	struct connection fresh;
	if (!open_socket(&fresh))
		return CROWDED;
	struct held before = hold();
	r->connection = fresh;
	let_go(before);
	enum reached reached = greet(&r->connection, i->path, i->trusted_only, kind, i->cookie, w, deadline);
	if (reached != GREETED || w->status != WELCOME_OK || w->lost)
		disconnect(r);
	return reached == GREETED && w->status == TOO_MANY ? CROWDED : reached;
}

/* knock_until goes on while a daemon hangs up before its welcome. Where a window gets lost it asks for none. */
static enum reached knock_until(struct record *r, const struct invitation *i, struct welcome *w, int64_t deadline)
{
	enum hello kind = JOIN_WITH_WINDOW;
	for (int pause = FIRST_PAUSE;; pause = pause < LAST_PAUSE ? 2 * pause : pause) {
		enum reached reached = knock(r, i, kind, w, deadline);
		if (reached == GREETED && w->lost) {
			kind = JOIN;
			continue;
		}
		if (reached != GONE || now() >= deadline || answer_of_state() != CKR_OK)
			return reached;
		pause_for(pause);
	}
}

/*
 * join gives the thread a connection. A daemon under a flood of strangers may close one before its welcome: nothing of a
 * call was sent then, and the thread asks again. If only this thread gets none, the others go on: it may have a root
 * folder, rights or limits that they have not, or the host may have changed those since C_Initialize.
 */
static CK_RV join(struct record *r)
{
	struct welcome welcome = {.status = CANNOT, .text = "it does not answer"};
	struct invitation *invitation = malloc(sizeof *invitation); /* the thread's stack may be small */
	if (invitation == NULL)
		return CKR_HOST_MEMORY;
	bool invited = invite(invitation, &r->generation);
	enum reached reached = invited ? knock_until(r, invitation, &welcome, now() + JOIN_TIME) : REFUSED;
	explicit_bzero(invitation, sizeof *invitation);
	free(invitation);
	if (reached == GREETED && welcome.status == WELCOME_OK)
		return CKR_OK;
	if (!invited)
		return decline(r->generation, REMOVED);
	if (answer_of_state() == CKR_OK) /* else C_Finalize, or another thread, has ended it meanwhile */
		complain("there is no connection for a thread: %s", reached == CROWDED ? "there are too many" : welcome.text);
	if (answer_of_state() != CKR_OK || !is_current(r->generation) || !control_is_alive())
		return broken(r);
	return reached == CROWDED ? CKR_HOST_MEMORY : CKR_FUNCTION_FAILED;
}

static CK_RV connected(struct record *r)
{
	if (r->connection.fd >= 0 && !is_current(r->generation))
		disconnect(r); /* C_Finalize left it, since it was busy */
	if (r->connection.fd < 0)
		return join(r);
	return is_ours(&r->connection) ? CKR_OK : removed(r);
}

CK_RV occupy(struct record **out)
{
	CK_RV rv = standing();
	if (rv != CKR_OK)
		return rv;
	struct record *r = own_record();
	if (r == NULL)
		r = new_record();
	if (r == NULL)
		return CKR_HOST_MEMORY;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &r->cancel_state);
	atomic_store(&r->busy, true);
	rv = answer_of_state(); /* C_Finalize changes the state and then looks who is busy */
	if (rv == CKR_OK)
		rv = connected(r);
	if (rv != CKR_OK)
		release(r, CKR_OK);
	*out = r;
	return rv;
}

CK_RV release(struct record *r, CK_RV failure)
{
	CK_RV answer = failure;
	if (failure == CKR_DEVICE_REMOVED)
		answer = removed(r);
	else if (failure != CKR_OK)
		disconnect(r); /* what comes on it is no answer to the next call */
	if (failure == CKR_DEVICE_ERROR)
		answer = broken(r);
	int cancel_state = r->cancel_state;
	atomic_store(&r->busy, false);
	pthread_setcancelstate(cancel_state, NULL);
	return answer;
}

unsigned calls_under_way(bool shut)
{
	unsigned count = 0;
	struct held before = hold();
	for (struct record *r = records; r != NULL; r = r->next) {
		if (!atomic_load(&r->busy))
			continue;
		count++;
		if (shut && is_ours(&r->connection))
			shutdown(r->connection.fd, SHUT_RDWR);
		if (shut && r->connection.window != NULL)
			leave_window(r->connection.window);
	}
	let_go(before);
	return count;
}

void abandon_own_call(void)
{
	own_record();
}

void close_idle(void)
{
	for (struct record *r = records; r != NULL; r = r->next) {
		if (!atomic_load(&r->busy))
			close_connection(&r->connection);
	}
}

void forget_threads(void)
{
	for (struct record *r = records; r != NULL; r = r->next) {
		close_copy(&r->connection);
		memset(r->aside, 0, sizeof r->aside);
		drop_buffer(&r->call.out);
		drop_buffer(&r->call.answer);
		atomic_store(&r->busy, false);
	}
}

#include "application.h"
#include "log.h"
#include "place.h"
#include "process.h"
#include "spawn.h"
#include "threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define CKR_FUNCTION_CANCELED 0x50UL
#define CKR_CRYPTOKI_ALREADY_INITIALIZED 0x191UL

/* Milliseconds. */
enum {
	START_TIME = 10000,    /* for C_Initialize to find or start a daemon */
	FAREWELL_TIME = 10000, /* for the daemon to end what the application has under way */
	GRACE_TIME = 200,      /* for calls that the daemon has answered to come back */
	RETURN_TIME = 2000,    /* for the others, once their connections are shut down */
	NEWS_TIME = 100,       /* for the end of a daemon to be seen on the control connection */
	FIRST_PAUSE = 5,       /* between two attempts to reach a daemon; it doubles */
	LAST_PAUSE = 320,
};

enum { FINALIZE = 2 };

/* C_Initialize and C_Finalize, one at a time. Only these two wait for the daemon while they hold a lock. */
static pthread_mutex_t outer = PTHREAD_MUTEX_INITIALIZER;
static struct place place;

/* Held for moments, for what follows. `state` may be read without it; the control connection changes under both. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int state = FRESH;
static unsigned long generation;
static struct connection control = {.fd = -1};
static unsigned char cookie[COOKIE];
static char socket_path[sizeof place.socket];
static bool trusted_only;

struct held hold(void)
{
	sigset_t all;
	struct held before;
	sigfillset(&all);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before.cancel_state);
	pthread_sigmask(SIG_SETMASK, &all, &before.signals);
	pthread_mutex_lock(&lock);
	return before;
}

void let_go(struct held before)
{
	pthread_mutex_unlock(&lock);
	pthread_sigmask(SIG_SETMASK, &before.signals, NULL);
	pthread_setcancelstate(before.cancel_state, NULL);
}

CK_RV answer_of_state(void)
{
	switch (atomic_load(&state)) {
	case READY:
		return CKR_OK;
	case BROKEN:
		return CKR_DEVICE_ERROR;
	case REMOVED:
		return CKR_DEVICE_REMOVED;
	}
	return CKR_CRYPTOKI_NOT_INITIALIZED;
}

CK_RV standing(void)
{
	return which_process() == HOME ? answer_of_state() : CKR_CRYPTOKI_NOT_INITIALIZED;
}

bool at_home(void)
{
	enum process process = which_process();
	return process == HOME || process == UNCLAIMED;
}

CK_RV decline(unsigned long of, enum state to)
{
	struct held before = hold();
	int current = atomic_load(&state);
	if (of == generation && current == READY)
		atomic_store(&state, to);
	bool ended = of != generation || current == ENDING || current == FRESH;
	let_go(before);
	if (ended)
		return CKR_FUNCTION_CANCELED;
	return to == REMOVED ? CKR_DEVICE_REMOVED : CKR_DEVICE_ERROR;
}

bool control_is_ours(void)
{
	struct held before = hold();
	bool ours = is_ours(&control);
	let_go(before);
	return ours;
}

bool control_is_alive(void)
{
	struct held before = hold();
	struct connection c = control;
	let_go(before);
	return is_ours(&c) && is_quiet(&c, NEWS_TIME);
}

bool is_current(unsigned long of)
{
	return of == generation;
}

bool invite(struct invitation *i, unsigned long *to)
{
	struct held before = hold();
	bool ours = is_ours(&control);
	strcpy(i->path, socket_path);
	memcpy(i->cookie, cookie, COOKIE);
	i->trusted_only = trusted_only;
	*to = generation;
	let_go(before);
	return ours;
}

/* --- beginning --- */

/*
 * anew is the first thing that a new home does. In a forked child it closes the copies of the parent's connections, but
 * does not shut them down, which would end the parent's too; and it forgets what the parent's threads sent and received.
 */
static void anew(void)
{
	memcpy(&outer, &(pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER, sizeof outer);
	memcpy(&lock, &(pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER, sizeof lock);
	forget_threads();
	close_copy(&control);
	explicit_bzero(cookie, COOKIE);
	atomic_store(&state, FRESH);
}

static CK_RV check_arguments(const CK_C_INITIALIZE_ARGS *a)
{
	if (a == NULL)
		return CKR_OK;
	int callbacks = (a->CreateMutex != NULL) + (a->DestroyMutex != NULL) + (a->LockMutex != NULL) + (a->UnlockMutex != NULL);
	if (a->pReserved != NULL || (callbacks != 0 && callbacks != 4))
		return CKR_ARGUMENTS_BAD;
	return callbacks == 4 && (a->flags & CKF_OS_LOCKING_OK) == 0 ? CKR_CANT_LOCK : CKR_OK;
}

/* admitted turns the daemon's welcome into the answer of C_Initialize. */
static CK_RV admitted(const struct welcome *w)
{
	if (w->status == WELCOME_OK)
		return CKR_OK;
	complain("the daemon at %s does not serve this process: %s", place.socket, w->text);
	return w->status == TOO_MANY ? CKR_HOST_MEMORY : CKR_GENERAL_ERROR;
}

/*
 * enter_service finds a daemon, or starts one, until it is served or the time is up. A daemon that is just stopping is
 * waited for, and then another one started. A daemon that was started and ended without a word has found another one.
 */
static CK_RV enter_service(struct connection *c, struct welcome *w)
{
	int64_t deadline = now() + START_TIME;
	bool served = false;
	for (int pause = FIRST_PAUSE; now() < deadline; pause = pause < LAST_PAUSE ? 2 * pause : pause) {
		if (!open_socket(c))
			return CKR_HOST_MEMORY;
		enum reached reached = greet(c, place.socket, place.trusted_only, NEW_APPLICATION, NULL, w, deadline);
		if (reached == GREETED && w->status != STOPPING)
			return admitted(w);
		close_connection(c);
		if (reached == REFUSED)
			return CKR_GENERAL_ERROR;
		if (reached == NOBODY) {
			enum started started;
			CK_RV rv = start_daemon(&place, deadline, &started);
			if (rv != CKR_OK)
				return rv;
			if (started == SERVING && !served) {
				served = true; /* it says so; the second time it is not believed at once */
				continue;
			}
		}
		pause_for(pause);
	}
	complain("no daemon answered at %s within %d seconds", place.socket, START_TIME / 1000);
	return CKR_GENERAL_ERROR;
}

static void make_ready(const struct connection *c, const struct welcome *w)
{
	struct held before = hold();
	control = *c;
	memcpy(cookie, w->cookie, COOKIE);
	strcpy(socket_path, place.socket);
	trusted_only = place.trusted_only;
	generation++;
	atomic_store(&state, READY);
	let_go(before);
}

static void set_ending(void)
{
	struct held before = hold();
	atomic_store(&state, ENDING);
	let_go(before);
}

/* close_all closes what no call is using. It comes after set_ending: no call begins to use what is being closed. */
static void close_all(void)
{
	struct held before = hold();
	close_idle();
	close_connection(&control);
	explicit_bzero(cookie, COOKIE);
	atomic_store(&state, FRESH);
	let_go(before);
}

static CK_RV initialize_locked(const CK_C_INITIALIZE_ARGS *arguments)
{
	int before = atomic_load(&state);
	if (before == BROKEN || (before == READY && control_is_ours()))
		return CKR_CRYPTOKI_ALREADY_INITIALIZED;
	CK_RV rv = check_arguments(arguments);
	if (rv != CKR_OK)
		return rv;
	if (before != FRESH) {
		set_ending(); /* the host took the control connection away: nobody can be told of the end */
		close_all();
	}
	if (!make_key())
		return CKR_HOST_MEMORY;
	struct connection c = {.fd = -1};
	struct welcome welcome;
	rv = find_place(&place);
	if (rv == CKR_OK)
		rv = enter_service(&c, &welcome);
	if (rv == CKR_OK)
		make_ready(&c, &welcome);
	else
		close_connection(&c);
	explicit_bzero(&welcome, sizeof welcome);
	return rv;
}

CK_RV initialize_application(const CK_C_INITIALIZE_ARGS *arguments)
{
	int cancel_state;
	CK_RV rv = CKR_GENERAL_ERROR;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	if (claim_process(anew)) {
		pthread_mutex_lock(&outer);
		rv = initialize_locked(arguments);
		pthread_mutex_unlock(&outer);
	}
	pthread_setcancelstate(cancel_state, NULL);
	return rv;
}

/* --- end --- */

/* farewell tells the daemon, which then ends what the application has under way. A daemon that is gone keeps nothing. */
static CK_RV farewell(void)
{
	const uint32_t request[] = {sizeof request[1], FINALIZE};
	struct __attribute__((packed)) {
		uint32_t size, function;
		uint64_t rv;
	} answer;
	int64_t deadline = now() + FAREWELL_TIME;
	if (!send_all(control.fd, request, sizeof request, deadline) ||
	    !receive_all(control.fd, &answer, sizeof answer, deadline) ||
	    answer.size != sizeof answer - sizeof answer.size || answer.function != FINALIZE)
		return CKR_OK;
	return known_rv(answer.rv) ? answer.rv : CKR_DEVICE_ERROR;
}

static bool all_returned(int milliseconds)
{
	for (int i = 0; i < milliseconds && calls_under_way(false) != 0; i++)
		pause_for(1);
	return calls_under_way(false) == 0;
}

static CK_RV finalize_locked(void)
{
	int before = atomic_load(&state);
	if (before == FRESH)
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	set_ending();
	CK_RV rv = before == READY && is_ours(&control) ? farewell() : CKR_OK;
	if (!all_returned(GRACE_TIME)) {
		calls_under_way(true);
		all_returned(RETURN_TIME);
	}
	close_all();
	return rv;
}

CK_RV finalize_application(void)
{
	int cancel_state;
	if (which_process() != HOME)
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	abandon_own_call(); /* if the host left one by a jump: it would never return. The thread may end here */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	pthread_mutex_lock(&outer);
	CK_RV rv = finalize_locked();
	pthread_mutex_unlock(&outer);
	pthread_setcancelstate(cancel_state, NULL);
	return rv;
}

/*
 * The application: what this process is to the daemon. It has a control connection, which says only hello and good-bye;
 * each thread that calls has a connection of its own (threads.h).
 */
#ifndef ONCELEAF_APPLICATION_H
#define ONCELEAF_APPLICATION_H

#include "connection.h"
#include "cryptoki.h"

#include <limits.h>
#include <signal.h>
#include <stdbool.h>

enum state {
	FRESH,
	READY,
	BROKEN,  /* the daemon is gone, or one of us broke the protocol */
	REMOVED, /* the host closed the control connection */
	ENDING,  /* C_Finalize is at work */
};

CK_RV initialize_application(const CK_C_INITIALIZE_ARGS *);
CK_RV finalize_application(void);

/* answer_of_state is standing() (call.h) for who knows that this process is the home. */
CK_RV answer_of_state(void);

/*
 * hold and let_go are the lock over the state and the threads' records, for moments. No handler of the host's runs in
 * between, for it may leave the call by a jump, and the thread is not cancelled: nobody would ever unlock.
 */
struct held {
	sigset_t signals;
	int cancel_state;
};
struct held hold(void);
void let_go(struct held before);

/*
 * decline changes READY to what happened to the application of that generation, and gives what a call answers then. If
 * C_Finalize has ended the application meanwhile, nothing is wrong with the device.
 */
CK_RV decline(unsigned long generation, enum state to);

/* is_current: the application of that generation has not been ended. */
bool is_current(unsigned long generation);

/* control_is_ours: the host has not taken the control connection away. */
bool control_is_ours(void);

/* control_is_alive: and the daemon has not ended it. */
bool control_is_alive(void);

/* What a thread's new connection needs to know, as it was when the thread asked. */
struct invitation {
	char path[PATH_MAX];
	unsigned char cookie[COOKIE];
	bool trusted_only;
};

/* invite also gives the generation; it is false if the control connection was taken away. */
bool invite(struct invitation *, unsigned long *generation);

#endif

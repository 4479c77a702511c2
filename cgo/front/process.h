/*
 * Which process this is. The library's memory belongs to one process, its home: the one whose C_Initialize claimed it.
 * A forked child has a copy and must claim that for itself; a child that shares the memory (vfork) may not touch it.
 * There is no atfork handler: the host may call C_Initialize in one of its own, and it would wait for ever.
 */
#ifndef ONCELEAF_PROCESS_H
#define ONCELEAF_PROCESS_H

#include <stdbool.h>

enum process {
	UNCLAIMED, /* nobody has ever claimed the memory */
	COPIED,    /* this is a forked child, and the memory a copy of its parent's */
	CLAIMING,  /* a thread is claiming it right now */
	HOME,      /* it is this process's own */
	SHARED,    /* it is another process's, which goes on using it */
};

/* which_process asks without changing anything. It takes no lock. */
enum process which_process(void);

/*
 * claim_process makes this process the home. `anew` puts all that a fork may have left in disorder into its first
 * state; it runs once, before any other thread finds itself at home. false: the memory is shared, or there is none.
 */
bool claim_process(void (*anew)(void));

#endif

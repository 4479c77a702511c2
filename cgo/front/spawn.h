/* Starting a daemon, so that the host does not notice: no child, no signal, no descriptor, no output. */
#ifndef ONCELEAF_SPAWN_H
#define ONCELEAF_SPAWN_H

#include "place.h"

#include <stdint.h>

enum started {
	SERVING, /* it serves the socket */
	SILENT,  /* it ended without a word: another one is there, or is just starting or stopping */
};

/* start_daemon waits until the daemon says what has become of it. Not CKR_OK: the answer of C_Initialize. */
CK_RV start_daemon(const struct place *, int64_t deadline, enum started *);

#endif

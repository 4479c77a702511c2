/*
 * Where the daemon is: its token directory, its socket, and the program to start if none answers. Only C_Initialize asks,
 * one at a time: so paths are in static memory here and in spawn.c, and a thread with a small stack may ask.
 */
#ifndef ONCELEAF_PLACE_H
#define ONCELEAF_PLACE_H

#include "cryptoki.h"

#include <limits.h>
#include <stdbool.h>

struct place {
	char directory[PATH_MAX]; /* absolute */
	char socket[PATH_MAX];
	char program[PATH_MAX]; /* as configured; empty: find_program looks for it */
	bool autostart;
	bool trusted_only; /* the socket follows from the directory: whoever listens must be this user or root */
};

/*
 * find_place asks the environment and the configuration file, as token.LoadConfig does. Of the file it understands four
 * keys, as plain strings and booleans; a file that writes them in another way, or cannot be read, is an error.
 */
CK_RV find_place(struct place *);

/* find_program is the daemon's program; false if there is none. */
bool find_program(const struct place *, char program[PATH_MAX]);

#endif

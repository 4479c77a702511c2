/* Which process this is: the one that loaded the library, or a child forked from it. */
#ifndef ONCELEAF_PROCESS_H
#define ONCELEAF_PROCESS_H

#include <stdbool.h>

/*
 * in_forked_child is true in every process but the one that loaded the library. There no Go code may run: the Go
 * runtime has lost its threads, and the memory holds a copy of one-time keys that the parent goes on using.
 */
bool in_forked_child(void);

#endif

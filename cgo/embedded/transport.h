/* The threads that call: each has memory of its own for requests and answers. call.h has the rest of the transport. */
#ifndef ONCELEAF_TRANSPORT_H
#define ONCELEAF_TRANSPORT_H

#include <stdbool.h>

/* threads_can_call prepares for the first call; false if the process has no place to tie the memory to threads. */
bool threads_can_call(void);

#endif

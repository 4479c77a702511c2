/*
 * A window: memory that a thread shares with the daemon, in which its requests cross, and their answers (docs/spec/wire.md).
 * It needs no descriptor. A forked child does not have the memory.
 */
#ifndef ONCELEAF_WINDOW_H
#define ONCELEAF_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct window;

/* open_window maps the file that the daemon sent, and closes it. NULL if that is no window, or there is no room for it. */
struct window *open_window(int fd);

/* close_window says good-bye and gives the memory back. */
void close_window(struct window *);

/* leave_window says good-bye alone, and forget_window gives the memory back alone. */
void leave_window(struct window *);
void forget_window(struct window *);

/*
 * take_offer: the daemon has done this very request ahead of it, with CKR_OK for an answer and nothing else, and the library
 * takes that instead of asking.
 */
bool take_offer(struct window *, const void *request, size_t length);

/*
 * pass_request makes it the daemon's turn, with a request, whole with its size. What has no room in the window has to follow
 * over the socket: then `inside` is false. It returns false if the daemon has gone.
 */
bool pass_request(struct window *, const void *request, size_t length, bool *inside);

/* is_answered: it is not the daemon's turn. Where the daemon says that it goes, the answer to a call under way still comes. */
bool is_answered(struct window *);

/*
 * wait_at waits so many milliseconds for that. It is false if a handler of the host's ran meanwhile, which may have done
 * anything: then whoever waited must see whether the window is still there before anything else.
 */
bool wait_at(struct window *, int milliseconds);

/*
 * take_answer copies the answer, whole with its size, and wipes it in the window; 0 if it comes over the socket. It is false
 * for what is no answer, or has no room.
 */
bool take_answer(struct window *, void *answer, size_t room, size_t *length);

#endif

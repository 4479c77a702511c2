#include "window.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Bits of the turn; while none is set it is the library's. */
enum { DAEMON = 1, GONE = 2 };

/* States of an offer, in the lower bits of its word; the others are its number. */
enum { MADE = 1, TAKEN = 2, STATE = 3 };

/* Operations of futex(2), between processes. Not every C library comes with the kernel's header. */
enum { FUTEX_WAIT = 0, FUTEX_WAKE = 1 };

enum { WINDOW = 16384, FRAME = 64 }; /* octets of it all, and before the frame */

/* The daemon may change all of it at any time: each field is read once. */
struct window {
	_Atomic uint32_t turn;
	_Atomic uint32_t cpu; /* where the library's thread ran when it asked */
	_Atomic uint32_t offer;
	_Atomic uint32_t offered_size;
	unsigned char offered[FRAME - 16]; /* a request, behind its size */
	_Atomic uint32_t size; /* of the frame, behind this field; 0: it crosses over the socket */
	unsigned char frame[WINDOW - FRAME - 4];
};

_Static_assert(offsetof(struct window, size) == FRAME && sizeof(struct window) == WINDOW && sizeof(_Atomic uint32_t) == 4,
	       "as docs/spec/wire.md has it");

/* Nobody can make the file smaller any more, and its memory is there: no access to it fails, unless a daemon is hostile. */
static bool is_window(int fd)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	return seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && fstat(fd, &st) == 0 && st.st_size == WINDOW &&
	       fallocate(fd, 0, 0, WINDOW) == 0;
}

struct window *open_window(int fd)
{
	struct window *w = MAP_FAILED;
	if (is_window(fd))
		w = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (w == MAP_FAILED)
		return NULL;
	if (madvise(w, WINDOW, MADV_DONTFORK) != 0) {
		munmap(w, WINDOW);
		return NULL;
	}
	madvise(w, WINDOW, MADV_DONTDUMP);
	return w;
}

static void wake(struct window *w)
{
	syscall(SYS_futex, &w->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void leave_window(struct window *w)
{
	atomic_fetch_or(&w->turn, GONE);
	wake(w);
}

void close_window(struct window *w)
{
	if (w == NULL)
		return;
	leave_window(w);
	forget_window(w);
}

void forget_window(struct window *w)
{
	if (w != NULL)
		munmap(w, WINDOW);
}

/* The word changes with each offer: what was compared is what is taken. */
bool take_offer(struct window *w, const void *request, size_t length)
{
	uint32_t offer = atomic_load(&w->offer);
	size_t size = atomic_load_explicit(&w->offered_size, memory_order_relaxed);
	if ((offer & STATE) != MADE || (atomic_load(&w->turn) & GONE) != 0)
		return false;
	if (size > sizeof w->offered || size + 4 != length || memcmp(w->offered, (const char *)request + 4, size) != 0)
		return false;
	return atomic_compare_exchange_strong(&w->offer, &offer, (offer & ~STATE) | TAKEN);
}

bool pass_request(struct window *w, const void *request, size_t length, bool *inside)
{
	const unsigned char *octets = request;
	uint32_t size = 0, own = 0;
	*inside = length - sizeof size <= sizeof w->frame;
	if (*inside) {
		memcpy(&size, octets, sizeof size);
		memcpy(w->frame, octets + sizeof size, length - sizeof size);
	}
	atomic_store_explicit(&w->size, size, memory_order_relaxed);
	int cpu = sched_getcpu();
	atomic_store_explicit(&w->cpu, cpu < 0 ? UINT32_MAX : (uint32_t)cpu, memory_order_relaxed);
	if (!atomic_compare_exchange_strong(&w->turn, &own, DAEMON))
		return false;
	wake(w);
	return true;
}

bool is_answered(struct window *w)
{
	return (atomic_load(&w->turn) & DAEMON) == 0;
}

bool wait_at(struct window *w, int milliseconds)
{
	struct timespec patience = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
	uint32_t turn = atomic_load(&w->turn);
	if ((turn & DAEMON) == 0)
		return true;
	return syscall(SYS_futex, &w->turn, FUTEX_WAIT, turn, &patience, NULL, 0) == 0 || errno != EINTR;
}

bool take_answer(struct window *w, void *answer, size_t room, size_t *length)
{
	unsigned char *octets = answer;
	uint32_t size = atomic_load_explicit(&w->size, memory_order_relaxed);
	*length = 0;
	if (size == 0)
		return true;
	if (size > sizeof w->frame || room < sizeof size + size)
		return false;
	memcpy(octets, &size, sizeof size);
	memcpy(octets + sizeof size, w->frame, size);
	explicit_bzero(w->frame, size);
	*length = sizeof size + size;
	return true;
}

#include "process.h"

#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/*
 * States of the mark; any other is the number of the process that is claiming the memory. The kernel writes the first one
 * into a forked child's copy.
 */
enum { WIPED = 0, CLAIMED = -1 };

typedef _Atomic int mark;

/*
 * The mark lies in a page that the kernel zeroes in a forked child. That tells a child from its parent even where both
 * have the same number (process 1 of a container that forks into a new number space), and a forked child from one that
 * shares the memory. A kernel that cannot do it (before 4.14) leaves `plain` and the number alone to decide.
 */
static _Atomic(mark *) page;
static mark plain;
static _Atomic pid_t home;

static mark *map_page(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	mark *fresh = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fresh == MAP_FAILED)
		return NULL;
	if (madvise(fresh, size, MADV_WIPEONFORK) != 0) {
		munmap(fresh, size);
		fresh = &plain;
	}
	mark *none = NULL;
	if (!atomic_compare_exchange_strong(&page, &none, fresh)) {
		if (fresh != &plain)
			munmap(fresh, size);
		fresh = none; /* another thread was first */
	}
	return fresh;
}

enum process which_process(void)
{
	mark *m = atomic_load(&page);
	int state = m == NULL ? WIPED : atomic_load(m);
	if (state == WIPED)
		return atomic_load(&home) == 0 ? UNCLAIMED : COPIED;
	if (state != CLAIMED) /* `home` may be a parent with the same number until it is done */
		return m == &plain && state != getpid() ? COPIED : CLAIMING;
	if (atomic_load(&home) == getpid())
		return HOME;
	return m == &plain ? COPIED : SHARED;
}

/* claim_mark is true for the one thread that may claim. */
static bool claim_mark(mark *m)
{
	int state = WIPED, own = getpid();
	if (atomic_compare_exchange_strong(m, &state, own))
		return true;
	if (m != &plain || state == own || !atomic_compare_exchange_strong(m, &state, own))
		return false;
	if (state != CLAIMED || atomic_load(&home) != own) /* a parent's mark, perhaps of the middle of its claim */
		return true;
	atomic_store(m, CLAIMED); /* another thread of this process was first */
	return false;
}

bool claim_process(void (*anew)(void))
{
	mark *m = atomic_load(&page);
	if (m == NULL)
		m = map_page();
	if (m == NULL)
		return false;
	for (;;) {
		switch (which_process()) {
		case HOME:
			return true;
		case SHARED:
			return false;
		case CLAIMING:
			sched_yield();
			break;
		case UNCLAIMED:
		case COPIED:
			if (!claim_mark(m))
				break;
			anew();
			atomic_store(&home, getpid());
			atomic_store(m, CLAIMED);
			return true;
		}
	}
}

#include "process.h"

#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

static pid_t loader; /* the process that loaded the library */

/*
 * The kernel zeroes the page that `home` points to in a forked child. It tells a child that has its parent's process
 * number from the parent: process 1 of a container that forks into a new process number space. A kernel that cannot
 * do that (before 4.14) leaves the number alone to decide.
 */
static const volatile char always = 1;
static const volatile char *home = &always;

/* Priority 101 runs before the unprioritised constructor that starts the Go runtime. */
__attribute__((constructor(101))) static void remember_the_loader(void)
{
	loader = getpid();
	long size = sysconf(_SC_PAGESIZE);
	char *page = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return;
	if (madvise(page, (size_t)size, MADV_WIPEONFORK) != 0) {
		munmap(page, (size_t)size);
		return;
	}
	*page = 1;
	home = page;
}

bool in_forked_child(void)
{
	return getpid() != loader || *home == 0;
}

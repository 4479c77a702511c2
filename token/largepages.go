package token

import (
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// largePage is what Linux calls a huge page on most machines, in bytes.
const largePage = 2 << 20

var largePages sync.Once

// useLargePages asks the system to give memory in large pages where Go will put the next allocation of so many bytes. In
// small ones argon2id waits longer for its 64 MiB of memory than it computes: on a virtual machine 200 ms instead of 35.
//
// How it works: memory of the heap is marked, and given back to the heap untouched, which takes the same addresses
// again. It is done once, for the mark stays. If Go takes others, or the system has no large pages, all is as without it.
func useLargePages(bytes int) {
	if bytes < largePage {
		return
	}
	largePages.Do(func() {
		markHeap(2 * bytes)
		runtime.GC()
	})
}

//go:noinline
func markHeap(bytes int) {
	memory := make([]byte, bytes) // not touched: nothing is there yet but addresses
	_ = unix.Madvise(memory, unix.MADV_HUGEPAGE)
	runtime.KeepAlive(&memory[0])
}

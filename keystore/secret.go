package keystore

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// NewSecret is n bytes of memory for a secret: pages of their own, outside the
// garbage collector's reach, locked against swapping as far as the process's
// limit allows, kept out of core dumps, and empty in a forked child.
//
// What is not promised: copies that hash functions and AES keep on stack and
// heap, and protection against who can read the memory of this process.
func NewSecret(n int) []byte {
	page := os.Getpagesize()
	size := max(1, (n+page-1)/page) * page
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		panic(fmt.Sprintf("no memory for a secret: %v", err))
	}
	// All three are best effort: without them the secret is only less hidden.
	_ = unix.Mlock(memory)
	_ = unix.Madvise(memory, unix.MADV_DONTDUMP)
	_ = unix.Madvise(memory, unix.MADV_WIPEONFORK)
	return memory[:n]
}

// Wipe zeroes a secret of NewSecret and gives its memory back. Nobody may use
// the secret afterwards.
func Wipe(secret []byte) {
	if cap(secret) == 0 {
		return
	}
	memory := secret[:cap(secret)]
	clear(memory)
	_ = unix.Munmap(memory)
}

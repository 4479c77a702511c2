//go:build cgo

package sha256mb

/*
#cgo CFLAGS: -std=c11 -O2 -Wall -Wextra -Werror
#cgo noescape sha256mb_chains
#cgo nocallback sha256mb_chains
#cgo noescape sha256mb_nodes
#cgo nocallback sha256mb_nodes
#include "lanes.h"
*/
import "C"

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/cpu"
)

// kernel is a plan of lanes.h, or nil for the portable one.
type kernel *C.struct_stage

// vectorKernels lists what the processor has, and the system lets programs use, the fastest first.
func vectorKernels(h Hash) []Kernel {
	shani := cpu.X86.HasSSE41 && C.sha256mb_has_shani() != 0
	var found []Kernel
	for _, k := range []struct {
		usable bool
		kernel Kernel
	}{
		{cpu.X86.HasAVX512F && shani, Kernel{SHA256, "AVX-512 and SHA-NI", &C.sha256mb_avx512_shani[0]}},
		{cpu.X86.HasAVX512F, Kernel{SHA256, "AVX-512", &C.sha256mb_avx512[0]}},
		{shani, Kernel{SHA256, "SHA-NI", &C.sha256mb_shani[0]}},
		{cpu.X86.HasAVX2, Kernel{SHA256, "AVX2", &C.sha256mb_avx2[0]}},
		{cpu.X86.HasAVX512F, Kernel{SHAKE256, "AVX-512", &C.sha256mb_shake_avx512[0]}},
		{cpu.X86.HasAVX2, Kernel{SHAKE256, "AVX2", &C.sha256mb_shake_avx2[0]}},
	} {
		if k.usable && k.kernel.Hash == h {
			found = append(found, k.kernel)
		}
	}
	return found
}

// lanes is what a Hasher needs to call a kernel.
type lanes struct{ kernel kernel }

func (l lanes) usable() bool { return l.kernel != nil }

// A Chain is handed over as it is.
var _ = [1]struct{}{}[unsafe.Sizeof(Chain{})-C.sizeof_struct_chain]

func (l lanes) chains(id *[idSize]byte, n int, batch []Chain, seed, values []byte) {
	work := works.Get().(*C.struct_work)
	for C.sha256mb_chains(work, l.kernel, (*C.uint8_t)(&id[0]), C.unsigned(n), (*C.struct_chain)(unsafe.Pointer(&batch[0])),
		C.size_t(len(batch)), (*C.uint8_t)(unsafe.SliceData(seed)), (*C.uint8_t)(&values[0])) != 0 {
	}
	works.Put(work)
}

// works are batches that are done, for the next ones.
var works = sync.Pool{New: func() any { return new(C.struct_work) }}

func (l lanes) nodes(id *[idSize]byte, n int, first uint32, d uint16, data, out []byte) {
	count := len(out) / n
	C.sha256mb_nodes(l.kernel, (*C.uint8_t)(&id[0]), C.unsigned(n), C.uint32_t(first), C.uint16_t(d),
		(*C.uint8_t)(&data[0]), C.size_t(len(data)/count), (*C.uint8_t)(&out[0]), C.size_t(count))
}

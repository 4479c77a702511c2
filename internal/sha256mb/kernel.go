package sha256mb

import "slices"

// Kernel is a way to compute a hash function that this processor has.
type Kernel struct {
	Hash   Hash
	Name   string
	kernel kernel
}

var kernels = [...][]Kernel{SHA256: available(SHA256), SHAKE256: available(SHAKE256)}

// available lists the kernels for h, the fastest first. Each computes the same.
func available(h Hash) []Kernel {
	return append(vectorKernels(h), Kernel{Hash: h, Name: "portable"})
}

// Kernels lists the kernels for h that this processor can run, the fastest first. The last is the portable one.
func Kernels(h Hash) []Kernel { return slices.Clone(kernels[h]) }

// Fastest returns the first of Kernels.
func Fastest(h Hash) Kernel { return kernels[h][0] }

package sha256mb

import (
	"bytes"
	"testing"
)

// FuzzKernels gives each kernel chains and nodes that the input describes, and compares with the definition.
func FuzzKernels(f *testing.F) {
	f.Add([]byte{}, uint16(0), uint16(0))
	f.Add(stream("one", 41), uint16(15), uint16(32))
	f.Add(stream("seventeen", 17*41), uint16(255), uint16(42))
	f.Add(stream("few", 5*41), uint16(maxSteps), uint16(42))
	f.Add(stream("seventy", 70*41), uint16(3), uint16(64))
	f.Add(bytes.Repeat([]byte{0xff}, 40*41), uint16(1), uint16(105))
	f.Add(make([]byte, 33*41), uint16(256), uint16(114))
	f.Fuzz(func(t *testing.T, random []byte, longest, size uint16) {
		count := min(len(random)/41, 120)
		if longest %= maxSteps + 1; count > 8 {
			longest %= 64 // long ones take long with the definition
		}
		size %= 1000
		for _, hash := range []Hash{SHA256, SHAKE256} {
			for _, k := range Kernels(hash) {
				for _, n := range []int{24, 32} {
					values := bytes.Clone(random[9*count : (9+n)*count])
					checkChains(t, k, n, [16]byte{byte(size)}, chainsFrom(random[:9*count], longest), values)
					checkNodes(t, k, n, int(size), count)
				}
			}
		}
	})
}

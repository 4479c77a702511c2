package sha256mb

import (
	"crypto/sha256"
	"crypto/sha3"
	"fmt"
	"testing"
	"time"
)

// BenchmarkKernel has the rate of each kernel on chains that fill its lanes, in millions of compressions per second, and
// beside it, in turns, that of the standard library's one-shot hash of the same 55 bytes. Both are the best of many short
// pieces, so that a busy machine disturbs neither.
func BenchmarkKernel(b *testing.B) {
	for _, hash := range []Hash{SHA256, SHAKE256} {
		for _, k := range Kernels(hash) {
			b.Run(fmt.Sprintf("%v/%s", hash, k.Name), func(b *testing.B) { compareRates(b, k) })
		}
	}
}

func compareRates(b *testing.B, k Kernel) {
	const chains, steps = 32, 50
	h, batch, values := k.New([16]byte{}, 32), make([]Chain, chains), make([]byte, chains*32)
	kernel, library := time.Hour, time.Hour
	for b.Loop() {
		for c := range batch {
			batch[c] = Chain{Q: 1, I: uint16(c), To: steps}
		}
		kernel = min(kernel, duration(func() { h.Chains(batch, nil, values) })/(chains*steps/100))
		library = min(library, duration(func() { librarySteps(k.Hash, 100) }))
	}
	b.ReportMetric(100/kernel.Seconds()/1e6, "M/s")
	b.ReportMetric(100/library.Seconds()/1e6, "library-M/s")
	b.ReportMetric(library.Seconds()/kernel.Seconds(), "x-library")
}

func duration(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// librarySteps goes steps of a chain with the standard library.
func librarySteps(hash Hash, steps int) {
	var input [55]byte
	shake := sha3.NewSHAKE256()
	for range steps {
		if hash == SHA256 {
			sum := sha256.Sum256(input[:])
			copy(input[23:], sum[:])
			continue
		}
		shake.Reset()
		shake.Write(input[:])
		shake.Read(input[23:])
	}
}

// BenchmarkSignature has the chains of a signature: p chains of random lengths, with the derivation from the seed.
func BenchmarkSignature(b *testing.B) {
	for _, k := range Kernels(SHA256) {
		for _, c := range []struct{ p, w int }{{34, 8}, {67, 4}} {
			b.Run(fmt.Sprintf("%s/W%d", k.Name, c.w), func(b *testing.B) {
				h, values, random := k.New([16]byte{}, 32), make([]byte, c.p*32), stream("lengths", 1<<16)
				batch, total, best := make([]Chain, c.p), 0, time.Hour
				perStep := time.Hour.Seconds()
				for b.Loop() {
					total, random = 0, append(random[c.p:], random[:c.p]...)
					for i := range batch {
						batch[i] = Chain{I: uint16(i), From: 255, To: 256 + uint16(random[i])%(1<<c.w)}
						total += int(batch[i].To) - 255
					}
					best = duration(func() { h.Chains(batch, nil, values) })
					perStep = min(perStep, best.Seconds()/float64(total))
				}
				b.ReportMetric(1e-6/perStep, "M/s")
			})
		}
	}
}

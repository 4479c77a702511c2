package main

import (
	"context"
	"crypto/sha256"
	"crypto/sha3"
	"math"
	"runtime"
	"slices"
	"strings"

	"github.com/onceleaf/onceleaf/internal/sha256mb"
)

// meter has the rate of a hash on chained messages of 55 bytes, measured between other work. The best turn counts.
type meter struct {
	name  string
	burst func() // some compressions
	count int    // how many
	best  float64
}

// turn runs as many compressions as the work that it is compared with, or a few more: the best of short turns would be
// better than that of long ones on a machine that has other work too. It must be called on one core.
func (m *meter) turn(compressions float64) {
	bursts := max(1, math.Ceil(compressions/float64(m.count)))
	c, _ := watch(func() error {
		for range int(bursts) {
			m.burst()
			runtime.Gosched() // as whoever builds a tree: the scheduler's monitor would take part of the core
		}
		return nil
	})
	m.best = min(m.best, c.processor/(bursts*float64(m.count)))
}

// rate is millions of compressions per second.
func (m *meter) rate() float64 { return 1e-6 / m.best }

// kernelMeter has chains enough to fill all lanes.
func kernelMeter(k sha256mb.Kernel) *meter {
	const chains, steps, repeats = 64, 255, 8
	h, batch, values := k.New([16]byte{}, 32), make([]sha256mb.Chain, chains), make([]byte, chains*32)
	burst := func() {
		for range repeats {
			for c := range batch {
				batch[c] = sha256mb.Chain{I: uint16(c), To: steps}
			}
			h.Chains(batch, nil, values)
		}
	}
	return &meter{k.Name, burst, chains * steps * repeats, math.Inf(1)}
}

// libraryMeter is one chain with the standard library.
func libraryMeter(h sha256mb.Hash) *meter {
	const steps = 20_000
	var message [55]byte
	step := func() {
		sum := sha256.Sum256(message[:])
		copy(message[23:], sum[:])
	}
	if h == sha256mb.SHAKE256 {
		shake := sha3.NewSHAKE256()
		step = func() {
			shake.Reset()
			shake.Write(message[:])
			shake.Read(message[23:])
		}
	}
	return &meter{"Go's " + h.String(), func() {
		for range steps {
			step()
		}
	}, steps, math.Inf(1)}
}

// fastest is the kernel of each hash with the best rate of this run.
type fastest map[sha256mb.Hash]sha256mb.Kernel

// kernelRates compares each kernel with the standard library, in turns.
func (b *bench) kernelRates(ctx context.Context) error {
	if err := b.oneCore(); err != nil {
		return err
	}
	b.kernels = fastest{}
	for _, hash := range []sha256mb.Hash{sha256mb.SHA256, sha256mb.SHAKE256} {
		var best float64
		for _, k := range sha256mb.Kernels(hash) {
			kernel, library := kernelMeter(k), libraryMeter(hash)
			for range 24 {
				kernel.turn(0)
				library.turn(0)
			}
			b.add(row{Name: rowOfKernel(k), Value: kernel.rate(), Unit: "M compressions/s", Reference: library.rate(),
				Ratio: kernel.rate() / library.rate(), Against: "value / " + library.name + ", one shot"})
			if kernel.rate() > best {
				best, b.kernels[hash] = kernel.rate(), k
			}
		}
	}
	b.missingKernels()
	return ctx.Err()
}

// rowOfKernel names a row: "AVX-512 and SHA-NI" is kernel/avx512-shani.
func rowOfKernel(k sha256mb.Kernel) string {
	name := strings.NewReplacer("-", "", " and ", "-", " ", "").Replace(strings.ToLower(k.Name))
	if k.Hash == sha256mb.SHAKE256 {
		return "kernel/shake-" + name
	}
	return "kernel/" + name
}

// missingKernels says which of the known kernels this machine or this build does not have.
func (b *bench) missingKernels() {
	for _, name := range []string{"avx512-shani", "avx512", "avx2", "shani", "portable", "shake-avx512", "shake-avx2", "shake-portable"} {
		if !slices.ContainsFunc(b.rows, func(r row) bool { return r.Name == "kernel/"+name }) {
			b.progress("not measured: kernel/%s, which this processor or this build does not have", name)
		}
	}
}

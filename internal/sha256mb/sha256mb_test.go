package sha256mb

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// definition is H of RFC 8554, all input put together for the standard library.
func definition(h Hash, id [16]byte, n int, number uint32, d uint16, parts ...[]byte) []byte {
	b := binary.BigEndian.AppendUint32(bytes.Clone(id[:]), number)
	b = binary.BigEndian.AppendUint16(b, d)
	b = append(b, bytes.Join(parts, nil)...)
	if h == SHAKE256 {
		return sha3.SumSHAKE256(b, n)
	}
	sum := sha256.Sum256(b)
	return sum[:n]
}

// stream returns n deterministic bytes that depend on label.
func stream(label string, n int) []byte { return sha3.SumSHAKE128([]byte(label), n) }

// everyKernel runs f for each kernel of this processor and each n.
func everyKernel(t *testing.T, f func(t *testing.T, k Kernel, n int)) {
	for _, hash := range []Hash{SHA256, SHAKE256} {
		for _, k := range Kernels(hash) {
			for _, n := range []int{24, 32} {
				t.Run(fmt.Sprintf("%v/%s/%d", hash, k.Name, n), func(t *testing.T) { f(t, k, n) })
			}
		}
	}
}

// checkChains compares what k makes of batch with the definition.
func checkChains(t *testing.T, k Kernel, n int, id [16]byte, batch []Chain, values []byte) {
	t.Helper()
	want := bytes.Clone(values)
	ends := make([]uint16, len(batch))
	for c, chain := range batch {
		value := want[c*n : (c+1)*n]
		for j := chain.From; j < chain.To; j++ {
			copy(value, definition(k.Hash, id, n, chain.Q, chain.I, []byte{byte(j)}, value))
		}
		ends[c] = chain.To
	}
	k.New(id, n).Chains(batch, nil, values)
	for c := range batch {
		if !bytes.Equal(values[c*n:(c+1)*n], want[c*n:(c+1)*n]) {
			t.Fatalf("chain %d of %d differs from the definition", c, len(batch))
		}
		if batch[c].From != ends[c] || batch[c].To != ends[c] {
			t.Fatalf("chain %d of %d ends from %d to %d", c, len(batch), batch[c].From, batch[c].To)
		}
	}
}

// chainsFrom makes a chain of every 9 bytes of random, with at most longest steps.
func chainsFrom(random []byte, longest uint16) []Chain {
	batch := make([]Chain, 0, len(random)/9)
	for ; len(random) >= 9; random = random[9:] {
		c := Chain{Q: binary.BigEndian.Uint32(random), I: binary.BigEndian.Uint16(random[4:]), From: uint16(random[6])}
		c.To = c.From + binary.BigEndian.Uint16(random[7:])%(longest+1)
		batch = append(batch, c)
	}
	return batch
}

// TestChains is about all numbers of chains, up to three groups of the widest kernel and more: of all lengths, as they are
// for signatures, and with few different lengths.
func TestChains(t *testing.T) {
	everyKernel(t, func(t *testing.T, k Kernel, n int) {
		id := [16]byte(stream("I "+t.Name(), 16))
		for size := range 100 {
			random := stream(fmt.Sprint(t.Name(), size), size*(9+n))
			for _, longest := range longestOf(size) {
				checkChains(t, k, n, id, chainsFrom(random[:size*9], longest), bytes.Clone(random[size*9:]))
			}
		}
	})
}

// longestOf are lengths of chains; long ones, which take long with the definition, for few numbers of chains.
func longestOf(size int) []uint16 {
	if size%17 == 0 {
		return []uint16{0, 1, 3, 15, 60, 255, maxSteps}
	}
	return []uint16{0, 1, 3, 15, 60}
}

// TestSeed: chains that begin with a seed end as those whose values are the seed, whatever their values are, and no value
// is ever the seed: one that has gone no step is as it was.
func TestSeed(t *testing.T) {
	everyKernel(t, func(t *testing.T, k Kernel, n int) {
		for size := range 100 {
			seed, lengths := stream("seed", n), stream(fmt.Sprint("lengths", size), size)
			batch, values := make([]Chain, size), stream("values", size*n)
			want := bytes.Clone(values)
			for c := range batch {
				batch[c] = Chain{Q: 5, I: uint16(c), From: SeedStep, To: SeedStep + uint16(lengths[c]%17)}
				if batch[c].To > SeedStep {
					copy(want[c*n:], seed)
				}
			}
			k.New([16]byte{4}, n).Chains(slices.Clone(batch), nil, want)
			k.New([16]byte{4}, n).Chains(batch, seed, values)
			if !bytes.Equal(values, want) {
				t.Errorf("%d chains from a seed differ from those with the seed as value", size)
			}
		}
	})
}

// TestEvenChains is key generation: chains of one length, the longest there is among them, through the end of the numbers.
func TestEvenChains(t *testing.T) {
	everyKernel(t, func(t *testing.T, k Kernel, n int) {
		for _, size := range []int{1, 4, 16, 17, 32, 33, 544} {
			for _, to := range []uint16{256, 257, 271} {
				batch := make([]Chain, size)
				for c := range batch {
					batch[c] = Chain{Q: uint32(c / 34), I: uint16(c % 34), From: 255, To: to}
				}
				checkChains(t, k, n, [16]byte{1}, batch, stream("values", size*n))
			}
		}
		longest := []Chain{{To: maxSteps}, {From: 1, To: 2}, {Q: 1<<32 - 1, I: 1<<16 - 1, From: 255, To: 511}}
		checkChains(t, k, n, [16]byte{2}, longest, bytes.Repeat([]byte{0xff}, 3*n))
	})
}

// TestNodes is about all lengths around the borders of blocks, the lengths that LMS has, and all numbers of nodes.
func TestNodes(t *testing.T) {
	everyKernel(t, func(t *testing.T, k Kernel, n int) {
		sizes := []int{n, 2 * n, 26 * n, 51 * n, 67 * n, 265 * n}
		for size := range 300 {
			sizes = append(sizes, size)
		}
		for _, size := range sizes {
			checkNodes(t, k, n, size, 1+size%40)
		}
		for count := range 100 {
			checkNodes(t, k, n, 2*n, count)
		}
	})
}

func checkNodes(t *testing.T, k Kernel, n, size, count int) {
	t.Helper()
	id, first, d := [16]byte(stream("I", 16)), uint32(1<<32-7), uint16(0x8383)
	data, out := stream(fmt.Sprint(size, count), size*count), make([]byte, n*count)
	k.New(id, n).Nodes(first, d, data, out)
	for c := range count {
		if want := definition(k.Hash, id, n, first+uint32(c), d, data[c*size:(c+1)*size]); !bytes.Equal(out[c*n:(c+1)*n], want) {
			t.Fatalf("node %d of %d with %d bytes differs from the definition", c, count, size)
		}
	}
}

// TestNodesInPlace is how leaves are made.
func TestNodesInPlace(t *testing.T) {
	everyKernel(t, func(t *testing.T, k Kernel, n int) {
		data := stream("data", 50*n)
		want := make([]byte, 50*n)
		k.New([16]byte{}, n).Nodes(5, 0x8282, data, want)
		k.New([16]byte{}, n).Nodes(5, 0x8282, data, data)
		if !bytes.Equal(data, want) {
			t.Error("nodes in the place of their data differ")
		}
	})
}

func TestSum(t *testing.T) {
	everyKernel(t, func(t *testing.T, k Kernel, n int) {
		h := k.New([16]byte{3}, n)
		for size := range 200 {
			a, b := stream("a", size), stream("b", 2*size)
			want, out := definition(k.Hash, [16]byte{3}, n, 9, 0x8181, a, b), make([]byte, n)
			if h.Sum(out, 9, 0x8181, a, b); !bytes.Equal(out, want) {
				t.Errorf("sum of %d bytes differs from the definition", 3*size)
			}
		}
		a, b := stream("a", n), stream("b", n)
		want := definition(k.Hash, [16]byte{3}, n, 9, 0x8383, a, b)
		if h.Sum(b, 9, 0x8383, a, b); !bytes.Equal(b, want) {
			t.Error("sum in the place of its input differs")
		}
	})
}

// TestMisuse: a caller that is wrong about its memory is stopped before C code writes to it.
func TestMisuse(t *testing.T) {
	h := Fastest(SHA256).New([16]byte{}, 32)
	for name, misuse := range map[string]func(){
		"values too short":   func() { h.Chains(make([]Chain, 2), nil, make([]byte, 63)) },
		"backwards":          func() { h.Chains([]Chain{{From: 2, To: 1}}, nil, make([]byte, 32)) },
		"too many steps":     func() { h.Chains([]Chain{{To: maxSteps + 1}}, nil, make([]byte, 32)) },
		"too many chains":    func() { h.Chains(make([]Chain, maxChains+1), nil, make([]byte, 32*(maxChains+1))) },
		"short seed":         func() { h.Chains(make([]Chain, 1), make([]byte, 31), make([]byte, 32)) },
		"seed on the way":    func() { h.Chains([]Chain{{From: 256, To: 257}}, make([]byte, 32), make([]byte, 32)) },
		"ragged out":         func() { h.Nodes(0, 0, make([]byte, 64), make([]byte, 33)) },
		"ragged data":        func() { h.Nodes(0, 0, make([]byte, 65), make([]byte, 64)) },
		"data without nodes": func() { h.Nodes(0, 0, make([]byte, 1), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			misuse()
		})
	}
}

// TestNoAllocations keeps batches free of the collector.
func TestNoAllocations(t *testing.T) {
	everyKernel(t, func(t *testing.T, k Kernel, n int) {
		h, batch, values, nodes := k.New([16]byte{}, n), make([]Chain, 40), make([]byte, 40*n), make([]byte, 20*n)
		if allocations := testing.AllocsPerRun(10, func() {
			for c := range batch {
				batch[c] = Chain{To: uint16(c)}
			}
			h.Chains(batch, nil, values)
			h.Nodes(1, 2, values, nodes)
		}); allocations != 0 {
			t.Errorf("%v allocations", allocations)
		}
	})
}

// TestHasherForgets: after a batch of chains nothing of it is left in what the portable kernel keeps.
func TestHasherForgets(t *testing.T) {
	for _, hash := range []Hash{SHA256, SHAKE256} {
		kernels := Kernels(hash)
		h := kernels[len(kernels)-1].New([16]byte{1}, 32)
		h.Chains([]Chain{{From: SeedStep, To: SeedStep + 1}}, bytes.Repeat([]byte{7}, 32), make([]byte, 32))
		if !bytes.Equal(h.input[:], make([]byte, len(h.input))) {
			t.Errorf("%v: left over: %x", hash, h.input)
		}
	}
}

// TestKernels says which kernels were tested, for whoever reads the log.
func TestKernels(t *testing.T) {
	count := 0
	for _, hash := range []Hash{SHA256, SHAKE256} {
		for _, k := range Kernels(hash) {
			t.Logf("%v: %s", hash, k.Name)
			writeCount(t, fmt.Sprintf("kernel/%v/%s 1\n", hash, strings.ReplaceAll(k.Name, " ", "-")))
			count++
		}
		if fastest := Fastest(hash); fastest.Name != Kernels(hash)[0].Name {
			t.Errorf("%v: %s is not the first kernel", hash, fastest.Name)
		}
	}
	if count < 2 {
		t.Errorf("%d kernels", count)
	}
	writeCount(t, fmt.Sprintf("kernels %d\n", count))
}

// writeCount appends a line to the file that the environment asks for.
func writeCount(t *testing.T, line string) {
	name := os.Getenv("ONCELEAF_COUNTS")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(line); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

package lms

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"testing"
)

// definition is H of RFC 8554 with everything put together in one buffer, to compare hashers with.
func definition(set ParameterSet, id ID, number uint32, d uint16, parts ...[]byte) []byte {
	b := binary.BigEndian.AppendUint32(bytes.Clone(id[:]), number)
	b = binary.BigEndian.AppendUint16(b, d)
	b = append(b, bytes.Join(parts, nil)...)
	if set.OTS >= LMOTS_SHAKE_N32_W1 {
		return sha3.SumSHAKE256(b, set.N())
	}
	sum := sha256.Sum256(b)
	return sum[:set.N()]
}

// families holds one set per hash function and n.
var families = []ParameterSet{
	{LMS_SHA256_M32_H5, LMOTS_SHA256_N32_W8},
	{LMS_SHA256_M24_H5, LMOTS_SHA256_N24_W8},
	{LMS_SHAKE_M32_H5, LMOTS_SHAKE_N32_W8},
	{LMS_SHAKE_M24_H5, LMOTS_SHAKE_N24_W8},
}

// stream returns n deterministic bytes that depend on label.
func stream(label string, n int) []byte { return sha3.SumSHAKE128([]byte(label), n) }

// TestChains gives each hasher batches of all sizes with chains of all lengths, in no order, as signing does.
func TestChains(t *testing.T) {
	for _, set := range families {
		id, n := ID(stream("I "+set.String(), 16)), set.N()
		h := newHasher(set, id)
		random := stream("chains "+set.String(), 1<<16)
		for size := range 70 {
			batch, want := make([]chain, size), make([][]byte, size)
			for k := range batch {
				r := random[(size*70+k)*8:][:8]
				c := chain{q: binary.BigEndian.Uint32(r), i: uint16(r[4]) + uint16(r[5])%10, from: uint16(r[6]), to: uint16(r[7])}
				c.from, c.to = min(c.from, c.to), max(c.from, c.to)
				if r[5]%16 == 0 {
					c.from, c.to = seedStep, seedStep+1
				}
				c.value = bytes.Clone(random[k*n : (k+1)*n])
				want[k] = c.value
				for j := c.from; j < c.to; j++ {
					want[k] = definition(set, id, c.q, c.i, []byte{byte(j)}, want[k])
				}
				batch[k] = c
			}
			h.chains(batch)
			for k := range batch {
				if !bytes.Equal(batch[k].value, want[k]) {
					t.Fatalf("%v: chain %d of %d differs from the definition", set, k, size)
				}
			}
		}
	}
}

// TestNodes gives each hasher batches of nodes: K over p values, leaves in place, inner nodes.
func TestNodes(t *testing.T) {
	for _, set := range families {
		id, n := ID(stream("I "+set.String(), 16)), set.N()
		h := newHasher(set, id)
		random := stream("nodes "+set.String(), 1<<16)
		for _, c := range []struct {
			d      uint16
			length int
		}{{dPBLC, 34 * n}, {dPBLC, 265 * n}, {dLEAF, n}, {dINTR, 2 * n}} {
			var batch []node
			var want [][]byte
			for k := range 40 {
				v := node{r: uint32(k * 0x01010101), d: c.d, data: bytes.Clone(random[k:][:c.length])}
				want = append(want, definition(set, id, v.r, v.d, v.data))
				if v.out = v.data[:n]; k%2 == 0 {
					v.out = make([]byte, n)
				}
				batch = append(batch, v)
			}
			h.nodes(batch)
			for k := range batch {
				if !bytes.Equal(batch[k].out, want[k]) {
					t.Fatalf("%v: node %d with D = %#x differs from the definition", set, k, c.d)
				}
			}
		}
	}
}

func TestMessageHash(t *testing.T) {
	for _, set := range families {
		id := ID(stream("I "+set.String(), 16))
		h, c := newHasher(set, id), stream("C", set.N())
		for _, length := range []int{0, 1, 8, 9, 10, 17, 63, 64, 1000, 100_000} {
			message := stream("message", length)
			if !bytes.Equal(h.message(7, c, message), definition(set, id, 7, dMESG, c, message)) {
				t.Errorf("%v: message of %d bytes differs from the definition", set, length)
			}
		}
	}
}

// TestChainsDoNotAllocate keeps the inner loop free of the collector.
func TestChainsDoNotAllocate(t *testing.T) {
	for _, set := range families {
		h := newHasher(set, ID{})
		batch := []chain{{to: 255, value: make([]byte, set.N())}, {from: 3, to: 9, value: make([]byte, set.N())}}
		if allocs := testing.AllocsPerRun(10, func() { h.chains(batch) }); allocs != 0 {
			t.Errorf("%v: %v allocations per batch", set, allocs)
		}
	}
}

// TestCoef is the example of RFC 8554 section 3.1.3: S = 0x1234.
func TestCoef(t *testing.T) {
	s := []byte{0x12, 0x34}
	for _, c := range []struct {
		i, w int
		want uint16
	}{{7, 1, 0}, {0, 4, 1}, {3, 1, 1}, {11, 1, 1}, {13, 1, 1}, {3, 4, 4}, {0, 8, 0x12}, {1, 8, 0x34}, {3, 2, 2}, {7, 2, 0}, {6, 2, 1}} {
		if got := coef(s, c.i, c.w); got != c.want {
			t.Errorf("coef(0x1234, %d, %d) = %d, want %d", c.i, c.w, got, c.want)
		}
	}
}

// TestCoefficientsDominate checks what the checksum is for: of two different Q, neither reaches as far as the other on
// all chains.
func TestCoefficientsDominate(t *testing.T) {
	for typ := LMOTS_SHA256_N32_W1; typ <= LMOTS_SHAKE_N24_W8; typ++ {
		o := typ.params()
		q := stream("Q "+typ.String(), o.n)
		a := coefficients(q, o)
		for bit := range 8 * o.n {
			q[bit/8] ^= 1 << (bit % 8)
			up, down := false, false
			for i, b := range coefficients(q, o) {
				up, down = up || b > a[i], down || b < a[i]
			}
			if !up || !down {
				t.Fatalf("%v: bit %d of Q raises %v, lowers %v", typ, bit, up, down)
			}
			q[bit/8] ^= 1 << (bit % 8)
		}
	}
}

package lms

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"testing"

	"github.com/onceleaf/onceleaf/internal/sha256mb"
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

// TestDerivation checks what the numbers of the steps say: one chain derives its first value from the seed with j = 0xff,
// and goes on with j = 0.
func TestDerivation(t *testing.T) {
	for _, set := range families {
		id := ID(stream("I "+set.String(), 16))
		seed := stream("seed", set.N())
		want := definition(set, id, 5, 3, []byte{0xff}, seed)
		for j := range byte(4) {
			want = definition(set, id, 5, 3, []byte{j}, want)
		}
		got := make([]byte, set.N())
		newHasher(set, id).Chains([]chain{{Q: 5, I: 3, From: sha256mb.SeedStep, To: firstStep + 4}}, seed, got)
		if !bytes.Equal(got, want) {
			t.Errorf("%v: a derived chain differs from the definition", set)
		}
	}
}

func TestMessageHash(t *testing.T) {
	for _, set := range families {
		id := ID(stream("I "+set.String(), 16))
		h, c := newHasher(set, id), stream("C", set.N())
		for _, length := range []int{0, 1, 8, 9, 10, 17, 63, 64, 1000, 100_000} {
			message := stream("message", length)
			got := make([]byte, set.N())
			if h.message(got, 7, c, message); !bytes.Equal(got, definition(set, id, 7, dMESG, c, message)) {
				t.Errorf("%v: message of %d bytes differs from the definition", set, length)
			}
		}
	}
}

// TestDigits is the example of RFC 8554 section 3.1.3: S = 0x1234.
func TestDigits(t *testing.T) {
	s := []byte{0x12, 0x34}
	for _, c := range []struct {
		i, w int
		want uint16
	}{{7, 1, 0}, {0, 4, 1}, {3, 1, 1}, {11, 1, 1}, {13, 1, 1}, {3, 4, 4}, {0, 8, 0x12}, {1, 8, 0x34}, {3, 2, 2}, {7, 2, 0}, {6, 2, 1}} {
		if got := appendDigits(nil, s, c.w)[c.i]; got != c.want {
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
		a := appendCoefficients(nil, q, o)
		for bit := range 8 * o.n {
			q[bit/8] ^= 1 << (bit % 8)
			up, down := false, false
			for i, b := range appendCoefficients(nil, q, o) {
				up, down = up || b > a[i], down || b < a[i]
			}
			if !up || !down {
				t.Fatalf("%v: bit %d of Q raises %v, lowers %v", typ, bit, up, down)
			}
			q[bit/8] ^= 1 << (bit % 8)
		}
	}
}

package main

import (
	"math"
	"testing"

	"github.com/onceleaf/onceleaf/internal/sha256mb"
	"github.com/onceleaf/onceleaf/lms"
)

// TestLeafCost has the numbers of chains and of compressions per leaf for all sets of SHA-256, worked out by hand:
// p + p * (2^w - 1) + ceil((22 + p*n + 9) / 64) + 1.
func TestLeafCost(t *testing.T) {
	for _, c := range []struct {
		ots     lms.OTSType
		p, cost int
	}{
		{lms.LMOTS_SHA256_N32_W1, 265, 664}, {lms.LMOTS_SHA256_N32_W2, 133, 600},
		{lms.LMOTS_SHA256_N32_W4, 67, 1107}, {lms.LMOTS_SHA256_N32_W8, 34, 8723},
		{lms.LMOTS_SHA256_N24_W1, 200, 477}, {lms.LMOTS_SHA256_N24_W2, 101, 444},
		{lms.LMOTS_SHA256_N24_W4, 51, 837}, {lms.LMOTS_SHA256_N24_W8, 26, 6668},
		{lms.LMOTS_SHAKE_N32_W8, 34, 34 + 34*255 + 9 + 1},
	} {
		for _, s := range lms.ParameterSets() {
			if s.OTS == c.ots && (chains(s) != c.p || leafCost(s) != c.cost) {
				t.Errorf("%v: %d chains, %d compressions per leaf, want %d and %d", s, chains(s), leafCost(s), c.p, c.cost)
			}
		}
	}
}

// TestTreeCost has key generation in millions of compressions.
func TestTreeCost(t *testing.T) {
	for _, c := range []struct {
		set      lms.ParameterSet
		millions float64
		digits   int
	}{
		{setH10W8, 8.934, 3},
		{lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H10, OTS: lms.LMOTS_SHA256_N32_W4}, 1.136, 3},
		{setH15W4, 36.34, 2},
		{lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H15, OTS: lms.LMOTS_SHA256_N32_W8}, 285.9, 1},
		{setH20W4, 1162.9, 1},
		{lms.ParameterSet{LMS: lms.LMS_SHA256_M24_H10, OTS: lms.LMOTS_SHA256_N24_W8}, 6.83, 2},
		{lms.ParameterSet{LMS: lms.LMS_SHA256_M24_H15, OTS: lms.LMOTS_SHA256_N24_W4}, 27.5, 1},
	} {
		scale := math.Pow10(c.digits)
		if got := math.Round(treeCost(c.set)/1e6*scale) / scale; got != c.millions {
			t.Errorf("%v: %v M compressions, want %v M", c.set, got, c.millions)
		}
	}
}

func TestSignatureCost(t *testing.T) {
	w4 := lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H10, OTS: lms.LMOTS_SHA256_N32_W4}
	shake := lms.ParameterSet{LMS: lms.LMS_SHAKE_M32_H10, OTS: lms.LMOTS_SHAKE_N32_W8}
	for _, c := range []struct {
		set          lms.ParameterSet
		sign, verify float64
	}{
		{setH10W8, 4369, 4376},
		{w4, 569.5, 559.5},
		{setH15W4, 569.5, 569.5},
		{shake, 4369, 4335 + 9 + 1 + 10 + 1}, // 136 bytes at once: one for each node, one for the message
	} {
		if sign, verify := signCost(c.set), verifyCost(c.set); sign != c.sign || verify != c.verify {
			t.Errorf("%v: %v to sign, %v to verify, want %v and %v", c.set, sign, verify, c.sign, c.verify)
		}
	}
	if got, want := pathCost(setH10W8, setH10W8), 8745+(8_934_398+8745.)/1024; got != want {
		t.Errorf("%v for a signature of two levels, want %v", got, want)
	}
}

// TestCompressions is about the borders of blocks: 9 bytes of padding at least for SHA-256, one for SHAKE256.
func TestCompressions(t *testing.T) {
	shake := lms.ParameterSet{LMS: lms.LMS_SHAKE_M32_H10, OTS: lms.LMOTS_SHAKE_N32_W8}
	for _, c := range []struct {
		set        lms.ParameterSet
		size, want int // size with the prefix
	}{{setH10W8, 55, 1}, {setH10W8, 56, 2}, {setH10W8, 119, 2}, {setH10W8, 120, 3}, {shake, 135, 1}, {shake, 136, 2}, {shake, 272, 3}} {
		if got := compressions(c.set, c.size-prefixSize); got != c.want {
			t.Errorf("%v: %d compressions for %d bytes, want %d", hashOf(c.set), got, c.size, c.want)
		}
	}
}

// TestCountedSignatures counts the steps of real signatures: those that the signer goes and those that are left to the
// verifier are all steps of all chains, and the means are those of the formula but for the checksum.
func TestCountedSignatures(t *testing.T) {
	for _, s := range []lms.ParameterSet{setH10W8, {LMS: lms.LMS_SHA256_M32_H10, OTS: lms.LMOTS_SHA256_N32_W4}} {
		const count = 2000
		taken := 0
		for range count {
			taken += stepsTaken(s, randomBytes(s.N()))
		}
		mean := float64(taken) / count
		if off := mean / halfChains(s); off < 0.95 || off > 1.0 {
			t.Errorf("%v: %v steps on average, %v by the formula", s, mean, halfChains(s))
		}
	}
}

// stepsTaken is the sum of the coefficients of Q || Cksm(Q) (RFC 8554 section 4.4) for w = 4 and 8.
func stepsTaken(s lms.ParameterSet, q []byte) (sum int) {
	digit := func(b byte) int {
		if steps(s) == 255 {
			return int(b)
		}
		return int(b>>4) + int(b&15)
	}
	for _, b := range q {
		sum += digit(b)
	}
	whole := len(q) * 255
	if steps(s) == 15 {
		whole = 2 * len(q) * 15
	}
	checksum := whole - sum
	for ; checksum > 0; checksum /= steps(s) + 1 {
		sum += checksum % (steps(s) + 1)
	}
	return sum
}

func TestMeasuredSets(t *testing.T) {
	for _, s := range measuredSets {
		if err := s.Valid(); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
		if shake := s.name == "SHAKE-H10W8"; shake != (hashOf(s.ParameterSet) == sha256mb.SHAKE256) {
			t.Errorf("%s has hash %v", s.name, hashOf(s.ParameterSet))
		}
	}
}

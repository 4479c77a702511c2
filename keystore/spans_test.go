package keystore

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// leafSet is the naive model of Spans.
type leafSet map[uint64]bool

const modelLeaves = 40

func randomLeaves(r *rand.Rand) leafSet {
	set := leafSet{}
	for q := range uint64(modelLeaves) {
		if r.IntN(3) > 0 {
			set[q] = true
		}
	}
	return set
}

func (m leafSet) spans() (s Spans) {
	for q := range uint64(modelLeaves) {
		if m[q] {
			s = s.union(Spans{{q, q + 1}})
		}
	}
	return s
}

func (m leafSet) sorted() (leaves []uint64) {
	for q := range uint64(modelLeaves) {
		if m[q] {
			leaves = append(leaves, q)
		}
	}
	return leaves
}

func listed(s Spans) (leaves []uint64) {
	for _, span := range s {
		for q := span.From; q < span.To; q++ {
			leaves = append(leaves, q)
		}
	}
	return leaves
}

func TestSpansAgainstModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		a, b := randomLeaves(r), randomLeaves(r)
		sa, sb := a.spans(), b.spans()
		union, minus := leafSet{}, leafSet{}
		for q := range uint64(modelLeaves) {
			union[q] = a[q] || b[q]
			minus[q] = a[q] && !b[q]
		}
		n := uint64(r.IntN(len(a.sorted()) + 1))
		low, lowRest := sa.lowest(n)
		high, highRest := sa.highest(n)
		all := a.sorted()
		cut := uint64(len(all)) - n
		for name, c := range map[string]struct {
			got  Spans
			want []uint64
		}{
			"union": {sa.union(sb), union.sorted()}, "minus": {sa.minus(sb), minus.sorted()},
			"lowest": {low, all[:n]}, "lowest rest": {lowRest, all[n:]},
			"highest": {high, all[cut:]}, "highest rest": {highRest, all[:cut]},
		} {
			if !slices.Equal(listed(c.got), c.want) {
				t.Fatalf("%s of %v and %v (n=%d): got %v, want %v", name, sa, sb, n, c.got, c.want)
			}
			if err := c.got.validate(modelLeaves); err != nil {
				t.Fatalf("%s of %v and %v: %v", name, sa, sb, err)
			}
		}
		if sa.meets(sb) != (len(minus.sorted()) < len(all)) || sa.within(sb) != (len(minus.sorted()) == 0) {
			t.Fatalf("meets or within of %v and %v is wrong", sa, sb)
		}
	}
}

func TestSpansValidate(t *testing.T) {
	for name, c := range map[string]struct {
		spans Spans
		good  bool
	}{
		"none":          {nil, true},
		"all":           {Spans{{0, 32}}, true},
		"two":           {Spans{{0, 1}, {2, 32}}, true},
		"empty span":    {Spans{{3, 3}}, false},
		"backward":      {Spans{{4, 3}}, false},
		"past the end":  {Spans{{0, 33}}, false},
		"touching":      {Spans{{0, 2}, {2, 3}}, false},
		"overlapping":   {Spans{{0, 3}, {2, 4}}, false},
		"not in order":  {Spans{{4, 5}, {0, 1}}, false},
		"first is last": {Spans{{31, 32}}, true},
	} {
		if err := c.spans.validate(32); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

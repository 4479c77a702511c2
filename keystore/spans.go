package keystore

import (
	"cmp"
	"fmt"
	"slices"
)

// Span is a half-open range [From, To) of leaf numbers of a root tree.
type Span struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// Len is the number of leaves in the span.
func (s Span) Len() uint64 { return s.To - s.From }

// Spans is a set of leaves: non-empty spans, sorted, that do not touch.
// Operations return new sets and leave their operands alone.
type Spans []Span

// Count is the number of leaves in the set.
func (s Spans) Count() (n uint64) {
	for _, span := range s {
		n += span.Len()
	}
	return n
}

// validate reports whether s is a set of leaves in [0, limit), in its one
// written form.
func (s Spans) validate(limit uint64) error {
	end := uint64(0)
	for i, span := range s {
		touches := i > 0 && span.From <= end
		if span.From >= span.To || span.To > limit || touches {
			return fmt.Errorf("span %d of %d, [%d, %d), is out of order or range", i, len(s), span.From, span.To)
		}
		end = span.To
	}
	return nil
}

// lowest splits s into its first n leaves and the others; n <= Count().
func (s Spans) lowest(n uint64) (taken, rest Spans) {
	for i, span := range s {
		if n == 0 {
			return taken, append(rest, s[i:]...)
		}
		cut := min(n, span.Len())
		taken = append(taken, Span{span.From, span.From + cut})
		if cut < span.Len() {
			rest = append(rest, Span{span.From + cut, span.To})
		}
		n -= cut
	}
	return taken, rest
}

// highest splits s into its last n leaves and the others; n <= Count().
func (s Spans) highest(n uint64) (taken, rest Spans) {
	rest, taken = s.lowest(s.Count() - n)
	return taken, rest
}

// union is the set of the leaves of s and of all others.
func (s Spans) union(others ...Spans) Spans {
	all := slices.Concat(append(others, s)...)
	slices.SortFunc(all, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	var joined Spans
	for _, span := range all {
		if last := len(joined) - 1; last >= 0 && span.From <= joined[last].To {
			joined[last].To = max(joined[last].To, span.To)
			continue
		}
		joined = append(joined, span)
	}
	return joined
}

// minus is the set of the leaves of s that are not in t.
func (s Spans) minus(t Spans) (left Spans) {
	for _, span := range s {
		for len(t) > 0 && t[0].To <= span.From {
			t = t[1:] // before all that is left of s
		}
		for _, cut := range t {
			if cut.From >= span.To {
				break
			}
			if span.From < cut.From {
				left = append(left, Span{span.From, cut.From})
			}
			span.From = min(cut.To, span.To)
		}
		if span.From < span.To {
			left = append(left, span)
		}
	}
	return left
}

// overlap reports whether two of the sets have a leaf in common.
func overlap(sets ...Spans) bool {
	all := slices.Concat(sets...)
	slices.SortFunc(all, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	for i := 1; i < len(all); i++ {
		if all[i].From < all[i-1].To {
			return true
		}
	}
	return false
}

// meets reports whether s and t have a leaf in common.
func (s Spans) meets(t Spans) bool { return s.minus(t).Count() < s.Count() }

// within reports whether every leaf of s is one of t.
func (s Spans) within(t Spans) bool { return s.minus(t).Count() == 0 }

package keystore

import (
	"bytes"
	"fmt"
	"slices"
)

// follows is a second opinion on the step from s to next, made without the
// function that took it: the ledger only grows, what is free afterwards was free
// or returnable before or is new to this token, and parked trees do not change
// where they lie, but for the leaves taken from them.
func (s State) follows(next State) error {
	lost := s.Held.minus(s.Free).minus(s.returnable())
	switch {
	case !bytes.Equal(s.PublicKey, next.PublicKey) || !slices.Equal(s.Levels, next.Levels):
		return fmt.Errorf("%w: the key would become another", ErrParameters)
	case !s.Held.within(next.Held):
		return fmt.Errorf("%w: the ledger would shrink", ErrParameters)
	case !s.remembers(next):
		return fmt.Errorf("%w: a transfer would be forgotten", ErrParameters)
	case s.Status == Quarantined && next.Status != Quarantined:
		return fmt.Errorf("%w: a quarantine would end", ErrParameters)
	case s.Reserve != next.Reserve && s.Status != Destroyed:
		return fmt.Errorf("%w: the size of batches would change", ErrParameters)
	case !s.parkedMayBecome(next):
		return fmt.Errorf("%w: parked trees would change", ErrParameters)
	case next.Free.meets(lost):
		return fmt.Errorf("%w: a used leaf would become free", ErrParameters)
	}
	return next.validate()
}

// remembers reports whether next has every transfer of s, with its leaves.
func (s State) remembers(next State) bool {
	if len(next.Given) < len(s.Given) || len(next.Received) < len(s.Received) {
		return false
	}
	for i, g := range s.Given {
		if n := next.Given[i]; n.Transfer != g.Transfer || !slices.Equal(n.Leaves, g.Leaves) {
			return false
		}
	}
	for i, a := range s.Received {
		if n := next.Received[i]; n.Transfer != a.Transfer || !slices.Equal(n.Leaves, a.Leaves) {
			return false
		}
	}
	return true
}

// returnable are the root leaves that may become free again: those that are out
// with the key, and a batch in its owner's memory.
func (s State) returnable() Spans {
	var leaves Spans
	if s.Away != nil {
		leaves = s.Away.Leaves
	}
	if len(s.Levels) == 1 {
		leaves = leaves.union(s.Batch)
	}
	return leaves
}

// parkedMayBecome reports whether the parked trees of next can come after those
// of s: trees at rest do not change; of trees that batches are taken from, leaves
// are taken, and only those of the batch come back.
func (s State) parkedMayBecome(next State) bool {
	if len(s.Parked) == 0 || len(next.Parked) == 0 {
		return true
	}
	if s.batchSize() == 0 {
		return slices.EqualFunc(s.Parked, next.Parked, ParkedTree.equal)
	}
	for i, t := range next.Parked {
		old := s.Parked[i]
		if !bytes.Equal(t.I, old.I) {
			return true // a new path from here on down
		}
		if t.Next < s.lowestNext(i) {
			return false
		}
		t.Next = old.Next
		if !t.equal(old) {
			return false
		}
	}
	return true
}

// lowestNext is the least that Next of parked tree i may become.
func (s State) lowestNext(i int) uint32 {
	if i == len(s.Parked)-1 && len(s.Batch) > 0 {
		return uint32(s.Batch[0].From)
	}
	return s.Parked[i].Next
}

func (t ParkedTree) equal(u ParkedTree) bool {
	return t.Next == u.Next && bytes.Equal(t.I, u.I) && bytes.Equal(t.Root, u.Root) &&
		bytes.Equal(t.Seed, u.Seed) && bytes.Equal(t.Signature, u.Signature)
}

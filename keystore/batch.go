package keystore

import (
	"bytes"
	"slices"
)

// This file is about keys with batches: one durable write takes the next
// batchSize message leaves, which are then used from memory. A crash burns what
// is left of them; a clean stop puts it back. Keys of one level always work this
// way. In keys of more levels the lower trees stay in the record meanwhile, and
// a crash costs them nothing but the batch.

// nextOfBatch is the next message leaf of the batch in memory. If there is none
// it takes a new batch, durably.
func (k *key) nextOfBatch() (uint32, error) {
	if len(k.batch) == 0 {
		if err := k.fillBatch(drawBatch); err != nil {
			return 0, err
		}
	}
	leaf, rest := k.batch.lowest(1)
	k.batch = rest
	return uint32(leaf[0].From), nil
}

// fillBatch applies a transition that takes a batch. The batch is ours when the
// record says so, durably; on an error nobody has it.
func (k *key) fillBatch(transition func(State) (State, Spans, error)) error {
	var leaves Spans
	err := k.change(func(s State) (next State, err error) {
		next, leaves, err = transition(s)
		return next, err
	})
	if err == nil {
		k.batch = leaves
	}
	return err
}

// drawOne takes the next leaf of a lower tree that is not the lowest, durably. It
// is for a tree of the next level.
func (k *key) drawOne(level int) (uint32, error) {
	var leaves Spans
	err := k.change(func(s State) (next State, err error) {
		next, leaves, err = draw(s, level, 1)
		return next, err
	})
	if err != nil {
		return 0, err
	}
	return uint32(leaves[0].From), nil
}

// plantTrees puts fresh trees, signed by the tree of the given level, into the
// record below it, and takes the first batch.
func (k *key) plantTrees(level int, fresh []*lowerTree) error {
	sealed, err := k.sealTrees(fresh, level+1)
	if err != nil {
		return err
	}
	return k.fillBatch(func(s State) (State, Spans, error) {
		return plant(s, slices.Concat(s.Parked[:level], sealed))
	})
}

// awake reports whether the live trees are those of the record. They are not after
// a start, nor when the outcome of planting was unknown.
func (k *key) awake() bool {
	return slices.EqualFunc(k.path, k.state.Parked, func(t *lowerTree, parked ParkedTree) bool {
		return bytes.Equal(t.public.I[:], parked.I)
	})
}

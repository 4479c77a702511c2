package keystore

import (
	"context"
	"errors"
	"fmt"

	"github.com/onceleaf/onceleaf/lms"
)

// This file is about the lower trees of a key, levels 1 to L-1. Their leaves are
// taken in one of two ways. As a rule they live in memory alone: the durable
// reservation of the root leaf that they hang on took all of them, and a crash
// burns what is left. A key with batches (batch.go) keeps the trees in the record
// and takes a few leaves at a time.

// lowerTree is a tree of level 1 or below. Each has its own random I and SEED
// (SP 800-208 section 6).
type lowerTree struct {
	*tree
	next      uint32 // the first leaf that was never used; with batches the record counts
	found     uint64 // leaves that it had unused when this process made it or brought it back
	signature []byte // of the level above, over this tree's public key
}

// take is the next leaf of a tree that lives in memory alone: its root leaf was
// reserved durably, so it needs no write. There is always one left when called.
func (t *lowerTree) take() uint32 {
	leaf := t.next
	t.next++
	return leaf
}

// nextPathLeaf is the next leaf of the lowest level; it makes new lower trees
// when the present ones are used up.
func (k *key) nextPathLeaf(ctx context.Context) (*tree, uint32, error) {
	if err := k.wake(ctx); err != nil {
		return nil, 0, err
	}
	if err := k.extend(ctx); err != nil {
		return nil, 0, err
	}
	lowest := k.path[len(k.path)-1]
	if k.state.batchSize() > 0 {
		leaf, err := k.nextOfBatch()
		return lowest.tree, leaf, err
	}
	return lowest.tree, lowest.take(), nil
}

// extend makes sure that the lowest tree has a leaf. New trees are built first,
// which takes long and may be cancelled; then one leaf of the level above is
// taken, durably if its tree is in the record, and each new tree is signed by the
// one above it.
func (k *key) extend(ctx context.Context) error {
	level := k.levelWithRoom()
	if level == len(k.path) && level > 0 {
		return nil
	}
	if level == 0 && k.state.Free.Count() == 0 {
		return fmt.Errorf("%w: key %s", ErrExhausted, k.id)
	}
	fresh, err := k.newTrees(ctx, level+1)
	if err != nil {
		return err
	}
	parent, leaf, err := k.takeAbove(ctx, level)
	if err == nil {
		err = signTrees(parent, leaf, fresh)
	}
	if err == nil && k.state.batchSize() > 0 {
		err = k.plantTrees(level, fresh)
	}
	if err != nil {
		wipeTrees(fresh)
		return err
	}
	k.setPath(append(k.path[:level:level], fresh...))
	return nil
}

// levelWithRoom is the lowest level whose live tree has an unused leaf; 0 if
// only the root can have one. Level i is path[i-1].
func (k *key) levelWithRoom() int {
	if len(k.batch) > 0 {
		return len(k.path)
	}
	for i := len(k.path); i > 0; i-- {
		if k.left(i) > 0 {
			return i
		}
	}
	return 0
}

// left is the number of leaves of the live tree of a level that nobody took.
func (k *key) left(level int) uint64 {
	next := k.path[level-1].next
	if k.state.batchSize() > 0 {
		next = k.state.Parked[level-1].Next
	}
	return k.state.Levels[level].Leaves() - uint64(next)
}

// takeAbove takes one leaf of the given level, durably if its tree is in the
// record.
func (k *key) takeAbove(ctx context.Context, level int) (*tree, uint32, error) {
	if level == 0 {
		root, err := k.rootTree(ctx)
		if err != nil {
			return nil, 0, err
		}
		leaf, err := k.reserveOne()
		return root, leaf, err
	}
	parent := k.path[level-1]
	if k.state.batchSize() > 0 {
		leaf, err := k.drawOne(level)
		return parent.tree, leaf, err
	}
	return parent.tree, parent.take(), nil
}

// signTrees signs the first new tree with a leaf of its parent, and each other
// one with leaf 0 of the tree above it.
func signTrees(parent *tree, leaf uint32, fresh []*lowerTree) error {
	for i, t := range fresh {
		var err error
		if t.signature, err = parent.sign(nil, leaf, t.public.Bytes()); err != nil {
			return err
		}
		if i+1 < len(fresh) {
			parent, leaf = t.tree, t.take()
		}
	}
	return nil
}

// newTrees makes one tree for each level from first on, from fresh random seeds.
func (k *key) newTrees(ctx context.Context, first int) ([]*lowerTree, error) {
	var fresh []*lowerTree
	for level := first; level < len(k.state.Levels); level++ {
		t, err := k.nextTree(ctx, level)
		if err != nil {
			wipeTrees(fresh)
			return nil, fmt.Errorf("couldn't make a lower tree: %w", err)
		}
		fresh = append(fresh, &lowerTree{tree: t, found: k.state.Levels[level].Leaves()})
	}
	return fresh, nil
}

// setPath makes path the live one and wipes the trees that it replaces.
func (k *key) setPath(path []*lowerTree) {
	for i, t := range k.path {
		if i >= len(path) || t != path[i] {
			t.wipe()
		}
	}
	k.path = path
	k.head = nil
}

// pathRemaining is the number of message signatures left in lower trees that
// live in memory alone.
func (k *key) pathRemaining() uint64 {
	next := make([]uint32, len(k.path))
	for i, t := range k.path {
		next[i] = t.next
	}
	return pathRemaining(k.state.Levels, next)
}

func wipeTrees(trees []*lowerTree) {
	for _, t := range trees {
		t.wipe()
	}
}

// signedKeys are the public keys of the live path with their signatures, as
// every signature of the key begins (RFC 8554 section 6.2).
func (k *key) signedKeys() []byte {
	var s lms.HSSSignature
	for _, t := range k.path {
		s.Signed = append(s.Signed, lms.SignedKey{Signature: t.signature, Key: t.public})
	}
	return s.Bytes()
}

// sealTrees is the form of lower trees in the record; the first is of the given
// level.
func (k *key) sealTrees(trees []*lowerTree, level int) ([]ParkedTree, error) {
	var sealed []ParkedTree
	for i, t := range trees {
		id := t.public.I[:]
		seed, err := k.ks.sealSecret(t.seed, k.id.treeContext(level+i, id))
		if err != nil {
			return nil, err
		}
		sealed = append(sealed, ParkedTree{I: id, Seed: seed, Root: t.public.Root, Next: t.next, Signature: t.signature})
	}
	return sealed, nil
}

// wake brings the parked trees back to life. They are rebuilt first. Those that
// will live in memory alone then leave the record durably, and only then may they
// be used. Trees that are damaged are burned, but not if the root's secret does
// not open either: then the master key is the wrong one.
func (k *key) wake(ctx context.Context) error {
	if len(k.state.Parked) == 0 || k.state.batchSize() > 0 && k.awake() {
		return nil
	}
	seed, err := k.rootSeed()
	if err != nil {
		return err
	}
	Wipe(seed)
	path, err := k.rebuildParked(ctx)
	damaged := errors.Is(err, ErrDamaged)
	if err != nil && !damaged {
		return err
	}
	if damaged {
		k.ks.log.Error("the parked trees are damaged; their leaves are burned, the key goes on", "key", k.id, "error", err)
	}
	if damaged || k.state.batchSize() == 0 {
		err = k.takeOut()
	}
	if err != nil {
		wipeTrees(path)
		return err
	}
	k.setPath(path)
	return nil
}

// takeOut takes the parked trees out of the record, durably.
func (k *key) takeOut() error {
	return k.change(func(s State) (State, error) {
		next, _, err := takeOut(s)
		return next, err
	})
}

func (k *key) rebuildParked(ctx context.Context) ([]*lowerTree, error) {
	pub, err := k.state.publicKey()
	if err != nil {
		return nil, err
	}
	var path []*lowerTree
	above := pub.Root
	for i, parked := range k.state.Parked {
		t, err := k.rebuildLower(ctx, i+1, parked, above)
		if err != nil {
			wipeTrees(path)
			return nil, fmt.Errorf("couldn't bring parked tree %d of key %s back: %w", i+1, k.id, err)
		}
		path, above = append(path, t), t.public
	}
	return path, nil
}

// rebuildLower rebuilds one parked tree, after it checked the signature of the
// level above that every signature of the key will carry.
func (k *key) rebuildLower(ctx context.Context, level int, parked ParkedTree, above lms.PublicKey) (*lowerTree, error) {
	public := lms.PublicKey{Set: k.state.Levels[level], I: lms.ID(parked.I), Root: parked.Root}
	if err := above.Verify(public.Bytes(), parked.Signature); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	seed, err := k.ks.unseal(parked.Seed, k.id.treeContext(level, parked.I))
	if err != nil {
		return nil, err
	}
	t, err := rebuild(ctx, public, seed)
	if err != nil {
		return nil, err
	}
	found := public.Set.Leaves() - uint64(parked.Next)
	return &lowerTree{t, parked.Next, found, parked.Signature}, nil
}

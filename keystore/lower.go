package keystore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/onceleaf/onceleaf/lms"
)

// lowerTree is a tree of level 1 or below, in volatile memory. Each has its own
// random I and SEED (SP 800-208 section 6); a crash burns what is left of it.
type lowerTree struct {
	tree      *lms.Tree
	seed      []byte // in locked memory, kept for parking
	next      uint32 // the first leaf that was never used
	signature []byte // of the level above, over this tree's public key
}

func (t *lowerTree) left() uint64 { return t.tree.PublicKey().Set.Leaves() - uint64(t.next) }

// take is the next leaf of a tree that lives in memory alone: its root leaf was
// reserved durably, so it needs no write. There is always one left when called.
func (t *lowerTree) take() uint32 {
	leaf := t.next
	t.next++
	return leaf
}

func (t *lowerTree) wipe() {
	t.tree.Wipe()
	Wipe(t.seed)
}

// nextPathLeaf is the next leaf of the lowest level; it makes new lower trees
// when the present ones are used up.
func (k *key) nextPathLeaf(ctx context.Context) (*lms.Tree, uint32, error) {
	if err := k.unpark(ctx); err != nil {
		return nil, 0, err
	}
	if err := k.extend(ctx); err != nil {
		return nil, 0, err
	}
	lowest := k.path[len(k.path)-1]
	leaf := lowest.take()
	k.live.Add(^uint64(0)) // one less
	return lowest.tree, leaf, nil
}

// extend makes sure that the lowest tree has a leaf. New trees are built first,
// which takes long and may be cancelled; then one leaf of the level above is
// taken (from the durable state, if that level is the root), and each new tree
// is signed by the one above it.
func (k *key) extend(ctx context.Context) error {
	level := k.levelWithRoom()
	if level == len(k.path) && level > 0 {
		return nil
	}
	root, err := k.rootTree(ctx)
	if err != nil {
		return err
	}
	if level == 0 && k.state.Free.Count() == 0 {
		return fmt.Errorf("%w: key %s", ErrExhausted, k.id)
	}
	fresh, err := newTrees(ctx, k.state.Levels[level+1:])
	if err != nil {
		return err
	}
	parent, leaf, err := k.takeAbove(root, level)
	if err == nil {
		err = signTrees(parent, leaf, fresh)
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
	for i := len(k.path); i > 0; i-- {
		if k.path[i-1].left() > 0 {
			return i
		}
	}
	return 0
}

// takeAbove takes one leaf of the given level, durably if it is the root.
func (k *key) takeAbove(root *lms.Tree, level int) (*lms.Tree, uint32, error) {
	if level > 0 {
		parent := k.path[level-1]
		return parent.tree, parent.take(), nil
	}
	leaf, err := k.reserveOne()
	return root, leaf, err
}

// signTrees signs the first new tree with a leaf of its parent, and each other
// one with leaf 0 of the tree above it.
func signTrees(parent *lms.Tree, leaf uint32, fresh []*lowerTree) error {
	for i, t := range fresh {
		var err error
		if t.signature, err = signLeaf(parent, leaf, t.tree.PublicKey().Bytes()); err != nil {
			return err
		}
		if i+1 < len(fresh) {
			parent, leaf = t.tree, t.take()
		}
	}
	return nil
}

// newTrees makes one tree per level from fresh random seeds.
func newTrees(ctx context.Context, levels []lms.ParameterSet) ([]*lowerTree, error) {
	var fresh []*lowerTree
	for _, set := range levels {
		t, err := newTree(ctx, set)
		if err != nil {
			wipeTrees(fresh)
			return nil, fmt.Errorf("couldn't make a lower tree: %w", err)
		}
		fresh = append(fresh, t)
	}
	return fresh, nil
}

func newTree(ctx context.Context, set lms.ParameterSet) (*lowerTree, error) {
	var id lms.ID
	rand.Read(id[:])
	seed := NewSecret(set.N())
	rand.Read(seed)
	tree, err := lms.NewTree(ctx, set, id, seed)
	if err != nil {
		Wipe(seed)
		return nil, err
	}
	return &lowerTree{tree: tree, seed: seed}, nil
}

// setPath makes path the live one and wipes the trees that it replaces.
func (k *key) setPath(path []*lowerTree) {
	for i, t := range k.path {
		if i >= len(path) || t != path[i] {
			t.wipe()
		}
	}
	k.path = path
	next := make([]uint32, len(path))
	for i, t := range path {
		next[i] = t.next
	}
	k.live.Store(pathRemaining(k.state.Levels, next))
}

func (k *key) dropPath() { k.setPath(nil) }

func wipeTrees(trees []*lowerTree) {
	for _, t := range trees {
		t.wipe()
	}
}

// signedKeys are the public keys of the live path with their signatures, as
// every signature of the key carries them (RFC 8554 section 6.2).
func (k *key) signedKeys() []lms.SignedKey {
	var signed []lms.SignedKey
	for _, t := range k.path {
		signed = append(signed, lms.SignedKey{Signature: t.signature, Key: t.tree.PublicKey()})
	}
	return signed
}

// sealedPath is the live path in its parked form.
func (k *key) sealedPath() ([]ParkedTree, error) {
	var parked []ParkedTree
	for i, t := range k.path {
		pub := t.tree.PublicKey()
		seed, err := k.ks.sealSecret(t.seed, k.id.treeContext(i+1, pub.I[:]))
		if err != nil {
			return nil, err
		}
		parked = append(parked, ParkedTree{I: pub.I[:], Seed: seed, Root: pub.Root, Next: t.next, Signature: t.signature})
	}
	return parked, nil
}

// unpark brings the parked trees back to life. They are rebuilt first; then
// they leave the record durably, and only then may they be used.
func (k *key) unpark(ctx context.Context) error {
	if len(k.state.Parked) == 0 {
		return nil
	}
	path, err := k.rebuildParked(ctx)
	if errors.Is(err, ErrDamaged) {
		k.ks.log.Error("the parked trees are damaged; their leaves are burned, the key goes on", "key", k.id, "error", err)
	} else if err != nil {
		return err
	}
	err = k.change(func(s State) (State, error) {
		next, _, err := takeOut(s)
		return next, err
	})
	if err != nil {
		wipeTrees(path)
		return err
	}
	k.setPath(path)
	return nil
}

func (k *key) rebuildParked(ctx context.Context) ([]*lowerTree, error) {
	var path []*lowerTree
	for i, parked := range k.state.Parked {
		t, err := k.rebuildTree(ctx, i+1, parked)
		if err != nil {
			wipeTrees(path)
			return nil, fmt.Errorf("couldn't bring parked tree %d of key %s back: %w", i+1, k.id, err)
		}
		path = append(path, t)
	}
	return path, nil
}

func (k *key) rebuildTree(ctx context.Context, level int, parked ParkedTree) (*lowerTree, error) {
	seed, err := k.ks.unseal(parked.Seed, k.id.treeContext(level, parked.I))
	if err != nil {
		return nil, err
	}
	pub := lms.PublicKey{Set: k.state.Levels[level], I: lms.ID(parked.I), Root: parked.Root}
	tree, err := rebuild(ctx, pub, seed)
	if err != nil {
		Wipe(seed)
		return nil, err
	}
	return &lowerTree{tree: tree, seed: seed, next: parked.Next, signature: parked.Signature}, nil
}

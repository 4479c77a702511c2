package keystore

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/onceleaf/onceleaf/lms"
)

// key is one HSS key in memory: its durable state as last seen, and what was
// reserved from it and is not used yet.
type key struct {
	ks *Keystore
	id Identity

	mu    sync.Mutex // one signature or change of this key at a time; guards what follows
	snap  Snapshot   // nil: the outcome of a change is unknown, fetch before the next
	state State
	root  *lms.Tree    // nil until needed
	path  []*lowerTree // the live lower trees, level 1 first; empty, or L-1 of them

	// What Info shows without waiting for mu, which can be held for as long as a
	// tree takes to build.
	shown atomic.Pointer[State]
	live  atomic.Uint64 // message leaves left in path
}

// adopt makes a stored version the present one.
func (k *key) adopt(snap Snapshot, s State) {
	k.snap, k.state = snap, s
	k.shown.Store(&s)
}

// commit makes next the durable state of k: first in the store, then in the
// guard, and only then in memory. It has the one call of Store.Replace. On an
// error the caller must treat the leaves that next takes as burned.
func (k *key) commit(next State) error {
	k.ks.writing.Lock()
	defer k.ks.writing.Unlock()
	next, err := k.ks.stamp(k.state, next)
	if err != nil {
		return err
	}
	record, err := next.encode()
	if err != nil {
		return err
	}
	snap, err := k.ks.store.Replace(k.snap, record)
	if err != nil {
		k.snap = nil // stored or not: only the store knows
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	if err := k.ks.guard.Advance(next.Mark); err != nil {
		k.snap = nil
		return fmt.Errorf("%w: guard %s: %w", ErrStore, k.ks.guard.Name(), err)
	}
	k.adopt(snap, next)
	return nil
}

// refresh fetches the state anew after a change with an unknown outcome. The
// store may show that change or not, but nothing older.
func (k *key) refresh() error {
	if k.snap != nil {
		return nil
	}
	snap, s, err := k.ks.fetch(k.id)
	if err != nil {
		return err
	}
	if s.Generation < k.state.Generation {
		return fmt.Errorf("%w: the record of key %s went back from generation %d to %d",
			ErrDamaged, k.id, k.state.Generation, s.Generation)
	}
	k.adopt(snap, s)
	return nil
}

// change applies a pure transition durably.
func (k *key) change(transition func(State) (State, error)) error {
	if err := k.refresh(); err != nil {
		return err
	}
	next, err := transition(k.state)
	if err != nil {
		return err
	}
	return k.commit(next)
}

// reserve takes the lowest n free root leaves, durably. They belong to the
// caller, who uses each of them once or not at all.
func (k *key) reserve(n uint64) (leaves Spans, err error) {
	err = k.change(func(s State) (next State, err error) {
		next, leaves, err = reserve(s, n, low)
		return next, err
	})
	return leaves, err
}

// sign makes one HSS signature. The order of the steps is what this project is
// about: the leaf is durably gone (nextLeaf) before anything is signed with it,
// and the signature is verified before anybody sees it.
func (k *key) sign(ctx context.Context, message []byte) ([]byte, error) {
	if err := k.refresh(); err != nil {
		return nil, err
	}
	if err := k.state.signs(); err != nil {
		return nil, err
	}
	tree, leaf, err := k.nextLeaf(ctx)
	if err != nil {
		return nil, err
	}
	signature, err := signLeaf(tree, leaf, message)
	if err != nil {
		return nil, err
	}
	return lms.HSSSignature{Signed: k.signedKeys(), Message: signature}.Bytes(), nil
}

// nextLeaf is a leaf of the lowest level that nobody else will get.
func (k *key) nextLeaf(ctx context.Context) (*lms.Tree, uint32, error) {
	if len(k.state.Levels) > 1 {
		return k.nextPathLeaf(ctx)
	}
	root, err := k.rootTree(ctx)
	if err != nil {
		return nil, 0, err
	}
	leaf, err := k.reserveOne()
	return root, leaf, err
}

func (k *key) reserveOne() (uint32, error) {
	leaves, err := k.reserve(1)
	if err != nil {
		return 0, err
	}
	return uint32(leaves[0].From), nil
}

// signLeaf signs with a leaf that the caller owns and never uses again, under a
// fresh C, and checks the result as a receiver would: a fault in the computation
// must not leave the module.
func signLeaf(tree *lms.Tree, leaf uint32, message []byte) ([]byte, error) {
	randomizer := make([]byte, tree.PublicKey().Set.N())
	rand.Read(randomizer)
	signature, err := tree.SignLeaf(leaf, randomizer, message)
	if err != nil {
		return nil, fmt.Errorf("couldn't sign with leaf %d, it is burned: %w", leaf, err)
	}
	if err := tree.PublicKey().Verify(message, signature); err != nil {
		return nil, fmt.Errorf("the signature of leaf %d does not verify, it is burned: %w", leaf, err)
	}
	return signature, nil
}

// rootTree is the root tree, rebuilt from the sealed seed at its first use.
func (k *key) rootTree(ctx context.Context) (*lms.Tree, error) {
	if k.root != nil {
		return k.root, nil
	}
	pub, err := k.state.publicKey()
	if err != nil {
		return nil, err
	}
	seed, err := k.ks.unseal(k.state.Seed, k.id.rootContext())
	if err != nil {
		return nil, fmt.Errorf("couldn't open the secret of key %s: %w", k.id, err)
	}
	defer Wipe(seed)
	tree, err := rebuild(ctx, pub.Root, seed)
	if err != nil {
		return nil, fmt.Errorf("couldn't rebuild the root tree of key %s: %w", k.id, err)
	}
	k.root = tree
	return tree, nil
}

// rebuild makes a tree again and compares its root with the known one.
func rebuild(ctx context.Context, pub lms.PublicKey, seed []byte) (*lms.Tree, error) {
	tree, err := lms.NewTree(ctx, pub.Set, pub.I, seed)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(tree.PublicKey().Root, pub.Root) {
		tree.Wipe()
		return nil, fmt.Errorf("%w: the seed belongs to another tree", ErrDamaged)
	}
	return tree, nil
}

// rest parks what is left of the lower trees and forgets every secret of k.
// Whatever the store answers, the trees in memory are not used again.
func (k *key) rest() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.forget()
	if k.live.Load() == 0 || k.state.signs() != nil {
		return nil
	}
	trees, err := k.sealedPath()
	if err != nil {
		return err
	}
	return k.change(func(s State) (State, error) { return park(s, trees) })
}

func (k *key) forget() {
	if k.root != nil {
		k.root.Wipe()
		k.root = nil
	}
	k.dropPath()
}

// usable reports an error that Sign would give for lack of leaves or by status,
// without waiting.
func (k *key) usable() error {
	s := *k.shown.Load()
	if err := s.signs(); err != nil {
		return err
	}
	if s.Remaining() == 0 && k.live.Load() == 0 {
		return fmt.Errorf("%w: key %s", ErrExhausted, k.id)
	}
	return nil
}

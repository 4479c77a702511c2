package keystore

import (
	"context"
	"fmt"
	"sync/atomic"
)

// key is one HSS key in memory: its durable state as last seen, and what was
// reserved from it and is not used yet.
type key struct {
	ks *Keystore
	id Identity

	mu      mutex    // one leaf or change of this key at a time; guards what follows
	snap    Snapshot // nil: the outcome of a change is unknown, see refresh
	state   State
	root    *tree        // nil until needed
	path    []*lowerTree // the live lower trees, level 1 first; empty, or L-1 of them
	head    []byte       // what every signature begins with: signedKeys of path; nil until needed
	nursery nursery      // the trees to come
	batch   Spans        // leaves of the lowest level that were taken for us and not used

	// What Info shows without waiting for mu, which can be held for as long as a
	// tree takes to build. release publishes it.
	shown atomic.Pointer[showing]
}

// showing is a state, which does not change, and the message leaves in memory that go
// with it.
type showing struct {
	state *State
	live  uint64
}

func (s showing) remaining() uint64 { return saturatingAdd(s.state.Remaining(), s.live) }

// look is what the key showed last. A quarantine of the whole store is not in it.
func (k *key) look() showing {
	shown := *k.shown.Load()
	if k.ks.quarantined.Load() {
		stopped := quarantine(*shown.state)
		shown.state = &stopped
	}
	return shown
}

// release ends what Keystore.acquire began.
func (k *key) release() {
	k.publish()
	k.mu.Unlock()
}

// publish shows the present state. Two states of one generation are the same.
func (k *key) publish() {
	now := showing{live: k.live()}
	last := k.shown.Load()
	if last != nil && last.state.Generation == k.state.Generation {
		now.state = last.state
	} else {
		state := k.state
		now.state = &state
	}
	k.shown.Store(&now)
	if last == nil || !last.state.sameObjects(now.state) {
		k.ks.changes.Add(1)
	}
}

// live is the number of message leaves in memory that nobody used yet.
func (k *key) live() uint64 {
	if k.state.batchSize() > 0 {
		return k.batch.Count()
	}
	return k.pathRemaining()
}

// commit makes next the durable state of k. It has the one call of
// Store.Replace. On an error the caller must treat the leaves that next takes as
// burned.
func (k *key) commit(next State) error {
	return k.persist(next, func(record []byte) (Snapshot, error) { return k.ks.store.Replace(k.snap, record) })
}

// persist is the order of a durable change: the store, the guard, and only then
// memory.
func (k *key) persist(next State, put func(record []byte) (Snapshot, error)) error {
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
	snap, err := put(record)
	if err != nil {
		k.snap = nil // stored or not: only the store knows
		k.ks.unknown = append(k.ks.unknown, k.id)
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	k.ks.highest = max(k.ks.highest, next.Mark)
	if err := k.ks.guard.Advance(next.Mark); err != nil {
		k.snap = nil
		return fmt.Errorf("%w: guard %s: %w", ErrStore, k.ks.guard.Name(), err)
	}
	k.snap, k.state = snap, next
	return nil
}

// refresh finds out what became of a change with an unknown outcome. The store
// may show it or not, but nothing older. What it shows need not be durable, nor
// known to the guard: so it is stored once more before anybody acts on it.
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
	k.snap, k.state = snap, s
	if len(s.Levels) > 1 && s.batchSize() > 0 && !k.awake() {
		k.setPath(nil) // the record has other trees by now, and a batch is of its tree
		k.batch = nil
	}
	if err = k.commit(s); err != nil {
		k.snap = nil
	}
	return err
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

// owned is a message leaf that whoever took it signs with once, or not at all.
type owned struct {
	tree *tree // held
	leaf uint32
	head []byte // of the signature, down to tree; not to be changed
	next []pace // of the trees to come
}

// take takes the next message leaf, with the first half of the order of steps that
// this project is about: the leaf is durably gone (nextLeaf) before anything is
// signed with it. The caller has the lock, and not any more when it signs: so the
// signatures of one key are computed side by side.
func (k *key) take(ctx context.Context) (own owned, err error) {
	if err := k.refresh(); err != nil {
		return own, err
	}
	if err := k.state.mayReserve(); err != nil {
		return own, err
	}
	if err := ctx.Err(); err != nil {
		return own, err
	}
	if own.tree, own.leaf, err = k.nextLeaf(ctx); err != nil {
		return own, err
	}
	if k.head == nil {
		k.head = k.signedKeys()
	}
	own.head, own.next = k.head, k.tend()
	own.tree.hold()
	return own, nil
}

// sign makes the HSS signature, with the other half: it is verified before anybody
// sees it. The tree is let go.
func (o owned) sign(message []byte) ([]byte, error) {
	defer o.tree.letGo()
	signature := make([]byte, len(o.head), len(o.head)+o.tree.public.Set.SignatureSize())
	copy(signature, o.head)
	return o.tree.sign(signature, o.leaf, message)
}

// nextLeaf is a leaf of the lowest level that nobody else will get.
func (k *key) nextLeaf(ctx context.Context) (*tree, uint32, error) {
	if len(k.state.Levels) > 1 {
		return k.nextPathLeaf(ctx)
	}
	root, err := k.rootTree(ctx)
	if err != nil {
		return nil, 0, err
	}
	leaf, err := k.nextOfBatch()
	return root, leaf, err
}

// reserveOne takes the lowest free root leaf, durably. It is for a lower tree; the
// caller signs with it once or not at all.
func (k *key) reserveOne() (uint32, error) {
	var leaves Spans
	err := k.change(func(s State) (next State, err error) {
		next, leaves, err = reserve(s, 1, low)
		return next, err
	})
	if err != nil {
		return 0, err
	}
	return uint32(leaves[0].From), nil
}

// rootTree is the root tree, opened with the sealed seed at its first use.
func (k *key) rootTree(ctx context.Context) (*tree, error) {
	if k.root != nil {
		return k.root, nil
	}
	pub, err := k.state.publicKey()
	if err != nil {
		return nil, err
	}
	seed, err := k.rootSeed()
	if err != nil {
		return nil, err
	}
	k.root, err = k.ks.openRoot(ctx, k.id, pub.Root, seed)
	return k.root, err
}

// rootSeed is SEED of the root tree, in locked memory; the caller wipes it.
func (k *key) rootSeed() ([]byte, error) {
	seed, err := k.ks.unseal(k.state.Seed, k.id.rootContext())
	if err != nil {
		return nil, fmt.Errorf("couldn't open the secret of key %s: %w", k.id, err)
	}
	return seed, nil
}

// rest puts what is left in memory into the record, and forgets every secret of
// k. Whatever the store answers, the leaves in memory are not used again.
func (k *key) rest() error {
	k.mu.Lock()
	defer k.release()
	return k.settleDown()
}

// settleDown is rest for a caller who has the lock.
func (k *key) settleDown() error {
	defer k.forget()
	if k.live() == 0 || k.ks.quarantined.Load() {
		return nil
	}
	if err := k.refresh(); err != nil {
		return err
	}
	if k.live() == 0 || k.state.mayReserve() != nil {
		return nil
	}
	if left := k.batch; len(left) > 0 {
		return k.change(func(s State) (State, error) { return putBack(s, left) })
	}
	trees, err := k.sealTrees(k.path, 1)
	if err != nil {
		return err
	}
	return k.change(func(s State) (State, error) { return park(s, trees) })
}

func (k *key) forget() {
	k.nursery.clear()
	if k.root != nil {
		k.root.wipe()
		k.root = nil
	}
	k.setPath(nil)
	k.batch = nil
}

// usable reports an error that Sign would give for lack of leaves or by status,
// without waiting.
func (k *key) usable() error {
	shown := k.look()
	if err := shown.state.mayReserve(); err != nil {
		return err
	}
	if shown.remaining() == 0 {
		return fmt.Errorf("%w: key %s", ErrExhausted, k.id)
	}
	return nil
}

// Package keystore keeps HSS private keys (RFC 8554) so that no leaf of any
// tree ever signs two messages.
//
// Invariant: a leaf is used only after the record of its key says, durably,
// that the leaf is gone. The state machine is in state.go, and reserve there is
// the one function that hands out a root leaf; key.persist is the one that makes
// a change durable; key.take and owned.sign show the order of the steps of a signature.
//
// What is not promised: with NoGuard, a whole store that is put back to an
// earlier state (a restored disk, a cloned machine, a copied folder) is not
// noticed. A crash burns the leaves that were in memory: a batch, or at most one
// leaf of the root tree and all that was below it (docs/state.md).
package keystore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/onceleaf/onceleaf/lms"
)

// Keystore is the HSS keys of one token. All methods may be called from many
// goroutines.
type Keystore struct {
	store Store
	guard Guard
	log   *slog.Logger

	writing sync.Mutex // one change at a time: the guard counts them
	highest uint64     // mark in the store; guarded by writing
	unknown []Identity // whose last change has an unknown outcome; guarded by writing

	locking sync.Mutex // one Lock or Unlock at a time

	discarding sync.WaitGroup // trees that will not be needed

	gardeners *gardeners
	quiet     bool // nobody but them computes trees

	mu      sync.RWMutex // guards what follows
	master  MasterKey    // nil while locked
	resting bool         // locking is under way: secrets are sealed, not opened
	keys    map[Identity]*key

	changes     atomic.Uint64 // see Changes
	quarantined atomic.Bool   // the store went back, or this process with it: nothing is signed or changed any more
	damaged     []error
}

// New loads every record of a token's store. A record that cannot be read is
// reported by Damaged, kept, and left alone. If the guard shows that the store
// went back, all keys are quarantined. ErrParameters for a store that is not
// durable.
func New(store Store, guard Guard, log *slog.Logger) (*Keystore, error) {
	if !store.Durable() {
		return nil, fmt.Errorf("%w: the keys of a token need a store that outlives the process", ErrParameters)
	}
	return load(store, guard, log)
}

// NewSession makes a keystore without keys, in memory alone, for keys that die
// with their session.
func NewSession(log *slog.Logger) (*Keystore, error) { return load(NewVolatile(), NoGuard{}, log) }

// NewQuietSession is NewSession for those who must not take the processor away from
// others: trees are computed in the background alone, on one thread in the process
// and a block of each in turn, and whoever needs one waits for it.
func NewQuietSession(log *slog.Logger) (*Keystore, error) {
	ks, err := NewSession(log)
	if err != nil {
		return nil, err
	}
	ks.quiet, ks.gardeners = true, quietly
	return ks, nil
}

func load(store Store, guard Guard, log *slog.Logger) (*Keystore, error) {
	ks := &Keystore{store: store, guard: guard, log: log, gardeners: background, keys: map[Identity]*key{}}
	ids, err := store.List()
	if err != nil {
		return nil, fmt.Errorf("couldn't list the keys: %w", err)
	}
	for _, id := range ids {
		if err := ks.load(id); err != nil {
			ks.damaged = append(ks.damaged, err)
			log.Error("a key record cannot be read; it is kept and not used", "key", id, "error", err)
			continue
		}
		ks.highest = max(ks.highest, ks.keys[id].state.Mark)
	}
	return ks, ks.compareGuard()
}

func (ks *Keystore) load(id Identity) error {
	snap, s, err := ks.fetch(id)
	if err != nil {
		return err
	}
	k := &key{ks: ks, mu: newMutex(), id: id, snap: snap, state: s}
	k.publish()
	ks.keys[id] = k
	return nil
}

func (ks *Keystore) compareGuard() error {
	back, err := wentBack(ks.guard, ks.highest)
	if err != nil || !back || len(ks.keys) == 0 {
		return err
	}
	ks.quarantine()
	return nil
}

// quarantine ends all signing, in memory alone: the store stays as it was found.
func (ks *Keystore) quarantine() {
	if !ks.quarantined.Swap(true) {
		ks.log.Error("the store is older than its guard: every key is quarantined; keep all files for the investigation", "guard", ks.guard.Name())
	}
}

// fetch reads a record and checks that it belongs to id.
func (ks *Keystore) fetch(id Identity) (Snapshot, State, error) {
	snap, err := ks.store.Fetch(id)
	if err != nil {
		return nil, State{}, err
	}
	s, err := decode(snap.Record())
	if err != nil {
		return nil, State{}, fmt.Errorf("couldn't read key %s: %w", id, err)
	}
	pub, err := s.publicKey()
	if err != nil || IdentityOf(pub) != id {
		return nil, State{}, fmt.Errorf("%w: the record of key %s is of another key", ErrDamaged, id)
	}
	return snap, s, nil
}

// stamp gives next its generation and mark, and checks the step. No two changes
// get one mark: one that is stored already is made known to the guard first. A
// guard that is ahead shows that this process, with its store, went back.
func (ks *Keystore) stamp(last, next State) (State, error) {
	if err := ks.noteMarks(); err != nil {
		return next, fmt.Errorf("%w: the last change of another key is in doubt, and its record cannot be read; "+
			"end this process and start it again: %w", ErrStore, err)
	}
	current, err := ks.guard.Current()
	if err == nil && ks.highest == current+1 {
		if err = ks.guard.Advance(ks.highest); err == nil {
			current, err = ks.guard.Current()
		}
	}
	if err != nil {
		return next, fmt.Errorf("%w: guard %s: %w", ErrStore, ks.guard.Name(), err)
	}
	if ks.highest > 0 && current > ks.highest {
		ks.quarantine()
		return next, fmt.Errorf("%w: guard %s is ahead of the store: another copy of it was used", ErrQuarantined, ks.guard.Name())
	}
	next.Generation, next.Mark = last.Generation+1, current+1
	return next, last.follows(next)
}

// noteMarks looks which of the changes with an unknown outcome reached the store.
// Until it knows, no mark is given out: it could be one that is stored. The caller
// holds writing.
func (ks *Keystore) noteMarks() error {
	for len(ks.unknown) > 0 {
		_, s, err := ks.fetch(ks.unknown[0])
		if err != nil && !errors.Is(err, ErrNoKey) {
			return err
		}
		ks.highest = max(ks.highest, s.Mark)
		ks.unknown = ks.unknown[1:]
	}
	return nil
}

// Unlock gives the keystore the master key, which it keeps and later wipes.
func (ks *Keystore) Unlock(master MasterKey) {
	ks.locking.Lock()
	defer ks.locking.Unlock()
	ks.mu.Lock()
	defer ks.mu.Unlock()
	Wipe(ks.master)
	ks.master, ks.resting = master, false
}

// Lock parks the lower trees of every key and wipes all secrets. If a key cannot
// be parked its lower trees are burned, and an error says so; the keystore is
// locked all the same.
func (ks *Keystore) Lock() error {
	ks.locking.Lock()
	defer ks.locking.Unlock()
	ks.mu.Lock()
	ks.resting = true
	keys := ks.snapshotKeys()
	ks.mu.Unlock()
	var errs []error
	for _, k := range keys {
		if err := k.rest(); err != nil {
			ks.log.Error("couldn't park the lower trees; their leaves are burned", "key", k.id, "error", err)
			errs = append(errs, err)
		}
	}
	ks.discarding.Wait()
	ks.mu.Lock()
	defer ks.mu.Unlock()
	Wipe(ks.master)
	ks.master = nil
	return errors.Join(errs...)
}

// snapshotKeys is every key, in order of identity. The caller holds mu.
func (ks *Keystore) snapshotKeys() []*key {
	keys := make([]*key, 0, len(ks.keys))
	for _, k := range ks.keys {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b *key) int { return slices.Compare(a.id[:], b.id[:]) })
	return keys
}

func (ks *Keystore) key(id Identity) (*key, error) {
	ks.mu.RLock()
	defer ks.mu.RUnlock()
	k, ok := ks.keys[id]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrNoKey, id)
	}
	return k, nil
}

// acquire returns the key with its lock taken; the caller calls release.
func (ks *Keystore) acquire(id Identity) (*key, error) {
	return ks.acquireWithin(context.Background(), id)
}

// acquireWithin is acquire for a caller who may give up. The error may be that of
// ctx.
func (ks *Keystore) acquireWithin(ctx context.Context, id Identity) (*key, error) {
	k, err := ks.key(id)
	if err != nil {
		return nil, err
	}
	if err := k.mu.lock(ctx); err != nil {
		return nil, err
	}
	if ks.quarantined.Load() {
		k.mu.Unlock()
		return nil, ErrQuarantined
	}
	return k, nil
}

// sealSecret seals with the master key; it works until Lock has parked all.
func (ks *Keystore) sealSecret(secret, context []byte) ([]byte, error) {
	ks.mu.RLock()
	defer ks.mu.RUnlock()
	if ks.master == nil {
		return nil, ErrLocked
	}
	return ks.master.Seal(secret, context)
}

func (ks *Keystore) unseal(sealed, context []byte) ([]byte, error) {
	ks.mu.RLock()
	defer ks.mu.RUnlock()
	if ks.master == nil || ks.resting {
		return nil, ErrLocked
	}
	return ks.master.Open(sealed, context)
}

// rootContext names the sealed SEED of the root tree.
func (id Identity) rootContext() []byte { return fmt.Appendf(nil, "onceleaf root seed/1 %s", id) }

// treeContext names the sealed SEED of a parked tree.
func (id Identity) treeContext(level int, i []byte) []byte {
	return fmt.Appendf(nil, "onceleaf lower seed/1 %s %d %x", id, level, i)
}

// Spec is what Generate makes.
type Spec struct {
	Levels       []lms.ParameterSet // root first
	Transferable bool
	// Reserve is the number of message leaves that one durable write takes: what
	// a crash may burn. 0 is 1 for a key of one level; in a key of more levels it
	// lets the lower trees live in memory, where a crash burns them.
	Reserve uint64
	// Private and Public render the token's attributes of the two objects from
	// the new public key; nil stands for none.
	Private, Public func(lms.HSSPublicKey) []byte
}

func render(attributes func(lms.HSSPublicKey) []byte, pub lms.HSSPublicKey) []byte {
	if attributes == nil {
		return nil
	}
	return attributes(pub)
}

// Generate makes a key from fresh random I and SEED. One durable write makes
// the whole key pair, after the root tree is built: what is cut off before it
// leaves nothing.
func (ks *Keystore) Generate(ctx context.Context, spec Spec) (Identity, error) {
	if err := ValidLevels(spec.Levels); err != nil {
		return Identity{}, err
	}
	if err := ValidReserve(spec.Levels, spec.Reserve); err != nil {
		return Identity{}, err
	}
	root, err := ks.makeTree(ctx, spec.Levels[0])
	if err != nil {
		return Identity{}, fmt.Errorf("couldn't generate the root tree: %w", err)
	}
	pub := lms.HSSPublicKey{Levels: len(spec.Levels), Root: root.public}
	id, all := IdentityOf(pub), Spans{{0, spec.Levels[0].Leaves()}}
	err = ks.create(id, State{
		PublicKey: pub.Bytes(), Levels: slices.Clone(spec.Levels), Status: Active, Transferable: spec.Transferable,
		Reserve: spec.Reserve, Free: all, Held: all, Private: render(spec.Private, pub), Public: render(spec.Public, pub),
	}, root)
	if err == nil {
		ks.keepNodes(id, root.Nodes())
	}
	return id, err
}

// create seals and stores the first state of a key, which keeps its root tree;
// on an error it is wiped. An error leaves the outcome unknown: the key may
// appear, complete, when the store is next opened.
func (ks *Keystore) create(id Identity, s State, root *tree) (err error) {
	k := &key{ks: ks, mu: newMutex(), id: id, root: root, state: State{PublicKey: s.PublicKey, Levels: s.Levels, Reserve: s.Reserve}}
	defer func() {
		if err != nil {
			k.forget()
		}
	}()
	if ks.quarantined.Load() {
		return ErrQuarantined
	}
	if s.Seed, err = ks.sealSecret(root.seed, id.rootContext()); err != nil {
		return err
	}
	err = k.persist(s, func(record []byte) (Snapshot, error) { return ks.store.Create(id, record) })
	if err != nil && !k.arrived(s) {
		return err
	}
	ks.admit(k)
	return nil
}

// arrived resolves the unknown outcome of a creation: it is true if the store
// has the record after all, and confirmed it. The sealed seed tells it from any
// other record of the key.
func (k *key) arrived(s State) bool {
	_, found, err := k.ks.fetch(k.id)
	return err == nil && slices.Equal(found.Seed, s.Seed) && k.refresh() == nil
}

// admit makes a new key known, unless somebody was first: a key has one owner in
// memory, or what one of them reserved could not be parked.
func (ks *Keystore) admit(k *key) {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if _, known := ks.keys[k.id]; known {
		k.forget()
		return
	}
	if ks.resting || ks.master == nil {
		k.forget() // locked while the key was made
	}
	k.publish()
	ks.keys[k.id] = k
}

// Sign makes one HSS signature of message (RFC 8554 section 6.2) and costs one
// one-time key. On an error there is no signature; a leaf that was taken for it
// is burned. ErrExhausted, ErrLocked, ErrQuarantined, ErrNoKey, ErrStore.
func (ks *Keystore) Sign(ctx context.Context, id Identity, message []byte) ([]byte, error) {
	own, err := ks.take(ctx, id)
	if err != nil {
		return nil, err
	}
	signature, err := own.sign(message)
	if err != nil {
		return nil, err
	}
	own.keepPace(ctx)
	return signature, nil
}

// take takes the next message leaf of a key.
func (ks *Keystore) take(ctx context.Context, id Identity) (owned, error) {
	k, err := ks.acquireWithin(ctx, id)
	if err != nil {
		return owned{}, err
	}
	defer k.release()
	return k.take(ctx)
}

// Usable is nil if Sign would find a leaf: else ErrExhausted, ErrQuarantined or
// ErrNoKey. It takes nothing and waits for nobody.
func (ks *Keystore) Usable(id Identity) error {
	k, err := ks.key(id)
	if err != nil {
		return err
	}
	return k.usable()
}

// SetAttributes replaces the token's attributes of a key pair; a nil public
// removes the public key object.
func (ks *Keystore) SetAttributes(id Identity, private, public []byte) error {
	k, err := ks.acquire(id)
	if err != nil {
		return err
	}
	defer k.release()
	return k.change(func(s State) (State, error) { return annotate(s, private, public) })
}

// Destroy burns every leaf that is left and erases the secrets, for good. The
// record stays as a tombstone: the ledger that keeps old capsules out, and the
// public key object, which SetAttributes(id, nil, nil) removes. Capsules that
// were not acknowledged yet cannot be written out again afterwards.
func (ks *Keystore) Destroy(id Identity) error {
	k, err := ks.acquire(id)
	if err != nil {
		return err
	}
	defer k.release()
	k.forget()
	if err := k.change(func(s State) (State, error) { return destroy(s), nil }); err != nil {
		return err
	}
	ks.keepNodes(id, nil)
	return nil
}

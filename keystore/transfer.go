package keystore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/onceleaf/onceleaf/lms"
)

// Giving is what the source of a partition asks for.
type Giving struct {
	Transfer string // names the transfer; one per request of a destination
	Peer     string // serial number of the destination
	Count    uint64 // root leaves to give; 0 asks for half of the free ones
	// Seal makes the capsule from the SEED of the root tree (n bytes, wiped
	// afterwards) and the leaves, and the receipt that will be accepted for it.
	Seal func(seed []byte, leaves Spans) (capsule, receipt []byte, err error)
}

// Give moves root leaves to another token and returns the capsule for it. The
// source shrinks durably before the capsule leaves this function. The capsule
// stays in the outbox until Acknowledge: to ask again for the same transfer
// gives the same bytes and takes nothing.
func (ks *Keystore) Give(ctx context.Context, id Identity, g Giving) ([]byte, error) {
	k, err := ks.acquireWithin(ctx, id)
	if err != nil {
		return nil, err
	}
	defer k.release()
	if err := k.refresh(); err != nil {
		return nil, err
	}
	if i := k.state.gift(g.Transfer); i >= 0 {
		return k.state.Given[i].emit()
	}
	gift, err := k.prepare(g)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := k.change(func(s State) (State, error) { return give(s, gift) }); err != nil {
		return nil, err
	}
	return bytes.Clone(gift.Capsule), nil
}

// emit is the capsule of a gift that was not acknowledged yet.
func (g Gift) emit() ([]byte, error) {
	if g.Capsule == nil {
		return nil, fmt.Errorf("%w: %s", ErrAcknowledged, g.Transfer)
	}
	return bytes.Clone(g.Capsule), nil
}

// prepare makes the capsule. Nothing is given yet: the capsule stays here until
// the state that lacks its leaves is durable.
func (k *key) prepare(g Giving) (Gift, error) {
	leaves, err := goingLeaves(k.state, g.Count)
	if err != nil {
		return Gift{}, err
	}
	seed, err := k.rootSeed()
	if err != nil {
		return Gift{}, err
	}
	defer Wipe(seed)
	capsule, receipt, err := g.Seal(seed, slices.Clone(leaves))
	if err != nil {
		return Gift{}, fmt.Errorf("couldn't seal the capsule: %w", err)
	}
	sum := sha256.Sum256(receipt)
	return Gift{Transfer: g.Transfer, Peer: g.Peer, Leaves: leaves, Capsule: capsule, Receipt: sum[:]}, nil
}

// Giveable are the leaves that Give would take, and the length of the capsule in
// bytes if the transfer was made before, else 0. It changes nothing.
func (ks *Keystore) Giveable(id Identity, transfer string, count uint64) (Spans, int, error) {
	k, err := ks.key(id)
	if err != nil {
		return nil, 0, err
	}
	s := *k.look().state
	if err := s.mayReserve(); err != nil {
		return nil, 0, err
	}
	if i := s.gift(transfer); i >= 0 {
		capsule, err := s.Given[i].emit()
		return slices.Clone(s.Given[i].Leaves), len(capsule), err
	}
	leaves, err := goingLeaves(s, count)
	return leaves, 0, err
}

// Acknowledge empties the outbox of a transfer when the receipt is the one that
// Giving.Seal named. To repeat it is no error. ErrUnknownTransfer, ErrReceipt.
func (ks *Keystore) Acknowledge(id Identity, transfer string, receipt []byte) error {
	k, err := ks.acquire(id)
	if err != nil {
		return err
	}
	defer k.release()
	return k.change(func(s State) (State, error) { return acknowledge(s, transfer, receipt) })
}

// Share is what a capsule brings.
type Share struct {
	Transfer     string
	Peer         string // serial number of the source
	PublicKey    lms.HSSPublicKey
	Levels       []lms.ParameterSet
	Leaves       Spans
	Seed         []byte // SEED of the root tree, n bytes; the caller wipes it
	Transferable bool
	Reserve      uint64 // as in Spec, for a key that is new here
	Receipt      []byte
	// Private and Public are the token's attributes of a key that is new here. A
	// key that is here already keeps its own.
	Private, Public func(lms.HSSPublicKey) []byte
}

// Receive takes in leaves that another token gave away, after it rebuilt the
// root tree and compared it with the public key. ErrSeen if the transfer or any
// of the leaves was here before, whatever became of them; ErrParameters;
// ErrDamaged if the SEED does not give the public key, or if the key has a record
// here that cannot be read; ErrLocked, ErrQuarantined, ErrStore.
func (ks *Keystore) Receive(ctx context.Context, share Share) (Identity, error) {
	id := IdentityOf(share.PublicKey)
	blank, err := ks.blank(share)
	if err == nil {
		err = ks.refuseSeen(id, blank, share)
	}
	if err != nil {
		return id, err
	}
	seed := NewSecret(len(share.Seed))
	copy(seed, share.Seed)
	root, err := rebuild(ctx, share.PublicKey.Root, seed)
	if err != nil {
		return id, fmt.Errorf("couldn't rebuild the root tree: %w", err)
	}
	nodes := root.Nodes()
	if err = ks.settle(id, blank, share, root); err == nil {
		ks.keepNodes(id, nodes)
	}
	return id, err
}

func (share Share) arrival() Arrival {
	return Arrival{Transfer: share.Transfer, Peer: share.Peer, Leaves: slices.Clone(share.Leaves), Receipt: share.Receipt}
}

// blank is the state of the key before any leaf arrived.
func (ks *Keystore) blank(share Share) (State, error) {
	if err := ValidLevels(share.Levels); err != nil {
		return State{}, err
	}
	if err := ValidReserve(share.Levels, share.Reserve); err != nil {
		return State{}, err
	}
	pub := share.PublicKey
	return State{
		PublicKey: pub.Bytes(), Levels: slices.Clone(share.Levels), Status: Active, Transferable: share.Transferable,
		Reserve: share.Reserve, Private: render(share.Private, pub), Public: render(share.Public, pub),
	}, nil
}

// refuseSeen refuses a replay, and leaves that are none, before the long work of
// rebuilding the tree.
func (ks *Keystore) refuseSeen(id Identity, blank State, share Share) error {
	if err := ks.discover(id); err != nil {
		return err
	}
	if k, err := ks.key(id); err == nil {
		blank = *k.look().state
	}
	_, err := receive(blank, share.arrival())
	return err
}

// discover loads a key that the store has and this process does not know: its
// creation had an unknown outcome. What is found is confirmed before it is used.
func (ks *Keystore) discover(id Identity) error {
	if _, err := ks.key(id); err == nil {
		return nil
	}
	_, s, err := ks.fetch(id)
	if errors.Is(err, ErrNoKey) {
		return nil
	}
	if err != nil {
		return err
	}
	ks.admit(&key{ks: ks, mu: newMutex(), id: id, state: s})
	return nil
}

// settle stores the leaves: under a new record, or under the one that the key
// has here, where a tombstone gets its secrets again. It takes the root tree.
func (ks *Keystore) settle(id Identity, blank State, share Share, root *tree) error {
	k, err := ks.acquire(id)
	if errors.Is(err, ErrNoKey) {
		s, err := receive(blank, share.arrival())
		if err != nil {
			root.wipe()
			return err
		}
		return ks.create(id, s, root)
	}
	defer root.wipe()
	if err != nil {
		return err
	}
	defer k.release()
	return k.change(func(s State) (State, error) {
		if !slices.Equal(s.Levels, blank.Levels) {
			return s, fmt.Errorf("%w: the key is here with other levels", ErrParameters)
		}
		if s.Status == Destroyed {
			if s.Seed, err = ks.sealSecret(root.seed, id.rootContext()); err != nil {
				return s, err
			}
			s.Private, s.Public, s.Transferable, s.Reserve = blank.Private, blank.Public, blank.Transferable, blank.Reserve
		}
		return receive(s, share.arrival())
	})
}

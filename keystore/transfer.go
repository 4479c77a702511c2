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
	// afterwards) and the leaves, and says what the receipt will have to show.
	Seal func(seed []byte, leaves Spans) (capsule, proof []byte, err error)
}

// Give moves root leaves to another token and returns the capsule for it. The
// source shrinks durably before the capsule leaves this function. The capsule
// stays in the outbox until Acknowledge: to ask again for the same transfer
// gives the same bytes and takes nothing.
func (ks *Keystore) Give(ctx context.Context, id Identity, g Giving) ([]byte, error) {
	k, err := ks.held(id)
	if err != nil {
		return nil, err
	}
	defer k.mu.Unlock()
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
	seed, err := k.ks.unseal(k.state.Seed, k.id.rootContext())
	if err != nil {
		return Gift{}, err
	}
	defer Wipe(seed)
	capsule, proof, err := g.Seal(seed, slices.Clone(leaves))
	if err != nil {
		return Gift{}, fmt.Errorf("couldn't seal the capsule: %w", err)
	}
	sum := sha256.Sum256(proof)
	return Gift{Transfer: g.Transfer, Peer: g.Peer, Leaves: leaves, Capsule: capsule, Proof: sum[:]}, nil
}

// Giveable are the leaves that Give would take, and the capsule if the transfer
// was made before. It changes nothing.
func (ks *Keystore) Giveable(id Identity, transfer string, count uint64) (Spans, []byte, error) {
	k, err := ks.key(id)
	if err != nil {
		return nil, nil, err
	}
	s := *k.shown.Load()
	if err := s.signs(); err != nil {
		return nil, nil, err
	}
	if i := s.gift(transfer); i >= 0 {
		capsule, err := s.Given[i].emit()
		return s.Given[i].Leaves, capsule, err
	}
	leaves, err := goingLeaves(s, count)
	return leaves, nil, err
}

// Acknowledge empties the outbox of a transfer when proof is the one that was
// named in Giving.Seal. To repeat it is no error.
func (ks *Keystore) Acknowledge(id Identity, transfer string, proof []byte) error {
	k, err := ks.held(id)
	if err != nil {
		return err
	}
	defer k.mu.Unlock()
	return k.change(func(s State) (State, error) { return acknowledge(s, transfer, proof) })
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
	Receipt      []byte
	// Private and Public are the token's attributes of a key that is new here. A
	// key that is here already keeps its own.
	Private, Public func(lms.HSSPublicKey) []byte
}

// Receive takes in leaves that another token gave away, after it rebuilt the
// root tree and compared it with the public key. ErrSeen if the transfer or any
// of the leaves was here before, whatever became of them.
func (ks *Keystore) Receive(ctx context.Context, share Share) (Identity, error) {
	id := IdentityOf(share.PublicKey)
	if err := ks.refuseSeen(id, share); err != nil {
		return id, err
	}
	root, err := rebuild(ctx, share.PublicKey.Root, share.Seed)
	if err != nil {
		return id, fmt.Errorf("couldn't rebuild the root tree: %w", err)
	}
	blank, err := ks.blank(id, share)
	if err == nil {
		err = ks.settle(id, blank, share, root)
	}
	return id, err
}

// refuseSeen refuses a replay before the long work of rebuilding the tree.
func (ks *Keystore) refuseSeen(id Identity, share Share) error {
	k, err := ks.key(id)
	if errors.Is(err, ErrNoKey) {
		return nil
	}
	_, err = receive(*k.shown.Load(), share.arrival())
	return err
}

func (share Share) arrival() Arrival {
	return Arrival{Transfer: share.Transfer, Peer: share.Peer, Leaves: share.Leaves, Receipt: share.Receipt}
}

// blank is the state of the key before any leaf arrived.
func (ks *Keystore) blank(id Identity, share Share) (State, error) {
	seed, err := ks.sealSecret(share.Seed, id.rootContext())
	if err != nil {
		return State{}, err
	}
	s := State{
		PublicKey: share.PublicKey.Bytes(), Levels: share.Levels, Status: Active,
		Transferable: share.Transferable, Seed: seed, Private: share.Private(share.PublicKey),
	}
	if share.Public != nil {
		s.Public = share.Public(share.PublicKey)
	}
	return s, nil
}

// settle stores the leaves: under a new record, or under the one that the key
// has here, where a tombstone gets its secrets again.
func (ks *Keystore) settle(id Identity, blank State, share Share, root *lms.Tree) error {
	k, err := ks.held(id)
	if errors.Is(err, ErrNoKey) {
		s, err := receive(blank, share.arrival())
		if err != nil {
			return err
		}
		return ks.create(id, s, root)
	}
	root.Wipe()
	if err != nil {
		return err
	}
	defer k.mu.Unlock()
	return k.change(func(s State) (State, error) {
		if !slices.Equal(s.Levels, blank.Levels) {
			return s, fmt.Errorf("%w: the key is here with other levels", ErrParameters)
		}
		if s.Status == Destroyed {
			s.Seed, s.Private, s.Public, s.Transferable = blank.Seed, blank.Private, blank.Public, blank.Transferable
		}
		return receive(s, share.arrival())
	})
}

package keystore

import (
	"errors"
	"slices"
	"testing"

	"github.com/onceleaf/onceleaf/lms"
)

// shareOf gives leaves of a new key away and returns what arrives.
func shareOf(t *testing.T, d *desk, sets ...lms.ParameterSet) (Identity, Share) {
	t.Helper()
	id := d.generate(sets...)
	share := Share{Transfer: "t", Peer: "source", PublicKey: d.info(id).PublicKey, Levels: sets, Transferable: true,
		Private: func(lms.HSSPublicKey) []byte { return []byte("new") }}
	_, err := d.Give(t.Context(), id, Giving{Transfer: "t", Peer: "destination",
		Seal: func(seed []byte, leaves Spans) ([]byte, []byte, error) {
			share.Seed, share.Leaves = slices.Clone(seed), leaves
			return []byte("capsule"), []byte("proof"), nil
		}})
	must(t, err)
	return id, share
}

func TestReceive(t *testing.T) {
	source, destination := newDesk(t, NewVolatile()), newDesk(t, NewVolatile())
	id, share := shareOf(t, source, levels(2)...)
	got, err := destination.Receive(t.Context(), share)
	must(t, err)
	if info := destination.info(id); got != id || info.RootRemaining != 16 || string(info.Private) != "new" {
		t.Errorf("received %+v", info)
	}
	if q := destination.sign(id); q[0] != 16 {
		t.Errorf("the first root leaf is %d, want 16", q[0])
	}
	destination.restart()
	if q := destination.sign(id); q[0] != 16 || q[1] != 1 {
		t.Errorf("after a restart: leaves %v", q)
	}
}

// TestReceiveRefusesWrongSeed: a capsule whose SEED does not give the public
// key brings nothing.
func TestReceiveRefusesWrongSeed(t *testing.T) {
	source, destination := newDesk(t, NewVolatile()), newDesk(t, NewVolatile())
	_, share := shareOf(t, source, levels(1)...)
	share.Seed[0] ^= 1
	if _, err := destination.Receive(t.Context(), share); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
	if len(destination.Keys()) != 0 {
		t.Error("a key appeared")
	}
}

func TestReceiveRefusesOtherLevels(t *testing.T) {
	source, destination := newDesk(t, NewVolatile()), newDesk(t, NewVolatile())
	id, share := shareOf(t, source, levels(1)...)
	_, err := destination.Receive(t.Context(), share)
	must(t, err)
	more := share
	more.Transfer, more.Leaves = "other", Spans{{0, 1}}
	more.Levels, more.PublicKey.Levels = levels(2), 2
	if _, err := destination.Receive(t.Context(), more); !errors.Is(err, ErrParameters) {
		t.Errorf("got %v, want ErrParameters", err)
	}
	if info := destination.info(id); info.RootRemaining != 16 {
		t.Errorf("%d root leaves", info.RootRemaining)
	}
}

// TestReceiveMore: leaves that arrive later join those that are here, and a
// tombstone comes back to life with new leaves alone.
func TestReceiveMore(t *testing.T) {
	source, destination := newDesk(t, NewVolatile()), newDesk(t, NewVolatile())
	id, share := shareOf(t, source, levels(1)...)
	first, second, third := share, share, share
	first.Leaves = Spans{{16, 20}}
	second.Transfer, second.Leaves = "second", Spans{{24, 28}}
	third.Transfer, third.Leaves = "third", Spans{{28, 32}}
	for i, s := range []Share{first, second} {
		_, err := destination.Receive(t.Context(), s)
		must(t, err)
		if info := destination.info(id); info.RootRemaining != uint64(4*i+4) {
			t.Fatalf("%d root leaves after %d transfers", info.RootRemaining, i+1)
		}
	}
	must(t, destination.Destroy(id))
	if _, err := destination.Receive(t.Context(), second); !errors.Is(err, ErrSeen) {
		t.Errorf("replayed after destruction: %v, want ErrSeen", err)
	}
	_, err := destination.Receive(t.Context(), third)
	must(t, err)
	for _, want := range []uint32{28, 29, 30, 31} {
		if q := destination.sign(id); q[0] != want {
			t.Errorf("leaf %d, want %d", q[0], want)
		}
	}
	if _, err := destination.Sign(t.Context(), id, nil); !errors.Is(err, ErrExhausted) {
		t.Errorf("after the new leaves: %v, want ErrExhausted", err)
	}
}

// TestGiveHalvesUntilTheEnd: repeated partitions never overlap and stop when
// two leaves cannot be shared any more.
func TestGiveHalvesUntilTheEnd(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generate(levels(1)...)
	given := Spans{}
	for i := 0; ; i++ {
		_, err := d.Give(t.Context(), id, Giving{Transfer: string(rune('a' + i)),
			Seal: func(_ []byte, leaves Spans) ([]byte, []byte, error) {
				if given.meets(leaves) {
					t.Errorf("leaves %v were given before", leaves)
				}
				given = given.union(leaves)
				return []byte("capsule"), nil, nil
			}})
		if errors.Is(err, ErrExhausted) {
			break
		}
		must(t, err)
	}
	if given.Count() != 31 || d.info(id).RootRemaining != 1 {
		t.Errorf("gave %v, kept %d", given, d.info(id).RootRemaining)
	}
}

// TestReceiveOntoDamagedRecord: what the ledger says cannot be read, so nothing
// comes in.
func TestReceiveOntoDamagedRecord(t *testing.T) {
	source, store := newDesk(t, NewVolatile()), NewVolatile()
	id, share := shareOf(t, source, levels(1)...)
	store.records[id] = []byte("onceleaf-key/1 damaged")
	d := newDesk(t, store)
	if _, err := d.Receive(t.Context(), share); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
}

// created is a store that lets a test act right after a record was created.
type created struct {
	Store
	then func()
}

func (c *created) Create(id Identity, record []byte) (Snapshot, error) {
	snap, err := c.Store.Create(id, record)
	c.then()
	return snap, err
}

// TestOneOwnerInMemory: a second import that finds the record of the first one
// before that is done must not make a second owner of the key.
func TestOneOwnerInMemory(t *testing.T) {
	source := newDesk(t, NewVolatile())
	id, share := shareOf(t, source, levels(2)...)
	store := &created{Store: NewVolatile()}
	d := newDesk(t, store)
	var found *key
	store.then = func() {
		must(t, d.discover(id))
		k, err := d.key(id)
		must(t, err)
		found = k
	}
	_, err := d.Receive(t.Context(), share)
	must(t, err)
	if k, err := d.key(id); err != nil || k != found {
		t.Errorf("the key has two owners in memory: %v", err)
	}
	if q := d.sign(id); q[0] != 16 {
		t.Errorf("root leaf %d, want 16", q[0])
	}
	d.restart()
	if q := d.sign(id); q[0] != 16 || q[1] != 1 {
		t.Errorf("after a restart: leaves %v", q)
	}
}

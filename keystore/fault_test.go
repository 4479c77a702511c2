package keystore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/lms"
)

var errDisk = errors.New("disk on fire")

// faulty is a store whose n-th change fails, either lost or stored all the same.
type faulty struct {
	Store
	countdown int
	stored    bool
}

func (f *faulty) trip() bool {
	f.countdown--
	return f.countdown == 0
}

func (f *faulty) Replace(old Snapshot, record []byte) (Snapshot, error) {
	trip := f.trip()
	if trip && !f.stored {
		return nil, errDisk
	}
	snap, err := f.Store.Replace(old, record)
	if trip && err == nil {
		return nil, errDisk
	}
	return snap, err
}

func (f *faulty) Create(id Identity, record []byte) (Snapshot, error) {
	trip := f.trip()
	if trip && !f.stored {
		return nil, errDisk
	}
	snap, err := f.Store.Create(id, record)
	if trip && err == nil {
		return nil, errDisk
	}
	return snap, err
}

// TestFaultTable fails each durable write of a life of a key, lost and stored,
// and goes on: with the same process, and with one that starts anew.
func TestFaultTable(t *testing.T) {
	for l := 1; l <= 3; l++ {
		for _, stored := range []bool{false, true} {
			for _, crash := range []bool{false, true} {
				for write := 1; ; write++ {
					if !faultRun(t, l, write, stored, crash) {
						if write < 5 {
							t.Fatalf("L=%d: only %d durable writes were met", l, write-1)
						}
						break
					}
				}
			}
		}
	}
}

// faultRun reports whether the fault was met.
func faultRun(t *testing.T, l, write int, stored, crash bool) bool {
	t.Helper()
	disk := NewVolatile()
	f := &faulty{Store: disk, countdown: write, stored: stored}
	d := newDesk(t, f)
	id, err := d.Generate(context.Background(), Spec{Levels: levels(l), Transferable: true, Private: func(lms.HSSPublicKey) []byte { return nil }})
	if err != nil {
		if !errors.Is(err, ErrStore) || len(d.Keys()) != 0 {
			t.Fatalf("L=%d write %d: Generate: %v, %d keys", l, write, err, len(d.Keys()))
		}
		return true
	}
	recover := func(what string, err error) {
		t.Helper()
		if err == nil {
			return
		}
		if !errors.Is(err, ErrStore) || !errors.Is(err, errDisk) {
			t.Fatalf("L=%d write %d stored=%v: %s: %v, want ErrStore", l, write, stored, what, err)
		}
		if crash {
			d.open()
		}
	}
	given := Spans{}
	for step := range 12 {
		message := fmt.Appendf(nil, "step %d", step)
		signature, err := d.Sign(context.Background(), id, message)
		if err == nil {
			d.show(id, message, signature)
		} else if signature != nil {
			t.Fatalf("L=%d write %d: a signature beside the error %v", l, write, err)
		}
		recover("Sign", err)
		switch step % 4 {
		case 1:
			recover("Lock", d.Lock())
			d.open()
		case 2:
			_, err := d.Give(context.Background(), id, Giving{Transfer: fmt.Sprint("t", step), Count: 2,
				Seal: func(_ []byte, leaves Spans) ([]byte, []byte, error) {
					return []byte("capsule"), []byte("proof"), nil
				}})
			recover("Give", err)
		}
	}
	for _, transfer := range d.info(id).Given {
		if given.meets(transfer.Leaves) {
			t.Fatalf("L=%d write %d: leaves %v were given twice", l, write, transfer.Leaves)
		}
		given = given.union(transfer.Leaves)
	}
	if d.audit.Signatures() < 11 {
		t.Fatalf("L=%d write %d: one fault cost %d signatures", l, write, 12-d.audit.Signatures())
	}
	return f.countdown <= 0
}

// counter is a guard; broken, it refuses to advance.
type counter struct {
	value  uint64
	broken bool
}

func (c *counter) Name() string             { return "test counter" }
func (c *counter) Current() (uint64, error) { return c.value, nil }
func (c *counter) Advance(to uint64) error {
	if c.broken {
		return errDisk
	}
	c.value = to
	return nil
}

func guarded(t *testing.T) (*desk, *counter, Identity) {
	d := newDesk(t, NewVolatile())
	guard := &counter{}
	d.guard = guard
	d.open()
	return d, guard, d.generate(levels(1)...)
}

func TestGuardCountsChanges(t *testing.T) {
	d, guard, id := guarded(t)
	d.sign(id)
	d.sign(id)
	if guard.value != 3 {
		t.Errorf("guard at %d after 3 changes", guard.value)
	}
	d.restart()
	if got := number(d.sign(id)); got != 2 {
		t.Errorf("signature number %d", got)
	}
}

// TestGuardFails: the store has the change, the guard not; the leaf is burned.
func TestGuardFails(t *testing.T) {
	d, guard, id := guarded(t)
	guard.broken = true
	if signature, err := d.Sign(t.Context(), id, nil); !errors.Is(err, ErrStore) || signature != nil {
		t.Fatalf("Sign: %v, want ErrStore", err)
	}
	guard.broken = false
	if got := number(d.sign(id)); got != 1 {
		t.Errorf("signature number %d: leaf 0 was reserved before the guard failed", got)
	}
}

// TestGuardAfterCrash: the process dies between the store and the guard.
func TestGuardAfterCrash(t *testing.T) {
	d, guard, id := guarded(t)
	d.sign(id)
	guard.value--
	d.open()
	if guard.value != 2 {
		t.Errorf("guard at %d, the cut-off change was not finished", guard.value)
	}
	if got := number(d.sign(id)); got != 1 {
		t.Errorf("signature number %d", got)
	}
}

// TestStoreWentBack restores an old copy of the whole store.
func TestStoreWentBack(t *testing.T) {
	d, _, id := guarded(t)
	old := NewVolatile()
	for id, record := range d.store.(*Volatile).records {
		old.records[id] = record
	}
	d.sign(id)
	d.store = old
	d.open()
	if _, err := d.Sign(t.Context(), id, nil); !errors.Is(err, ErrQuarantined) {
		t.Fatalf("Sign with a restored store: %v, want ErrQuarantined", err)
	}
	if info := d.info(id); info.Status != Quarantined || len(d.Keys()) != 1 {
		t.Errorf("status %s", info.Status)
	}
	for name, err := range map[string]error{"Destroy": d.Destroy(id), "Lock": d.Lock()} {
		if name == "Destroy" && !errors.Is(err, ErrQuarantined) || name == "Lock" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRecordGoesBackUnderUs: after an unknown outcome the record must not be
// older than what this process saw.
func TestRecordGoesBackUnderUs(t *testing.T) {
	f := &faulty{Store: NewVolatile()}
	d := newDesk(t, f)
	id := d.generate(levels(1)...)
	disk := f.Store.(*Volatile)
	old := disk.records[id]
	d.sign(id)
	f.countdown = 1
	if _, err := d.Sign(t.Context(), id, nil); !errors.Is(err, ErrStore) {
		t.Fatal(err)
	}
	disk.records[id] = old
	if _, err := d.Sign(t.Context(), id, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("Sign: %v, want ErrDamaged", err)
	}
}

// hooked is a store that lets a test act in the middle of a change.
type hooked struct {
	Store
	during func()
}

func (h *hooked) Replace(old Snapshot, record []byte) (Snapshot, error) {
	if h.during != nil {
		h.during()
	}
	return h.Store.Replace(old, record)
}

// TestNoKeyWakesWhileLocking: a key that was parked is not opened again while
// Lock parks the next one; what it took out would be in memory after Lock.
func TestNoKeyWakesWhileLocking(t *testing.T) {
	h := &hooked{Store: NewVolatile()}
	d := newDesk(t, h)
	ids := []Identity{d.generate(levels(2)...), d.generate(levels(2)...)}
	slices.SortFunc(ids, func(a, b Identity) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ids {
		d.sign(id)
	}
	writes, woken := 0, make(chan error, 1)
	h.during = func() {
		if writes++; writes == 2 { // the first key is at rest by now
			go func() {
				_, err := d.Sign(context.Background(), ids[0], nil)
				woken <- err
			}()
			select {
			case err := <-woken:
				woken <- err
			case <-time.After(10 * time.Second): // it waits for this very write
				woken <- errors.New("the key was opened")
			}
		}
	}
	must(t, d.Lock())
	h.during = nil
	if err := <-woken; !errors.Is(err, ErrLocked) {
		t.Errorf("Sign while locking: %v, want ErrLocked", err)
	}
}

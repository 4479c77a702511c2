package keystore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
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
	faults := 0
	for _, shape := range []batchShape{{1, 0}, {1, 3}, {2, 0}, {2, 1}, {2, 3}, {3, 0}, {3, 3}} {
		for _, stored := range []bool{false, true} {
			for _, crash := range []bool{false, true} {
				write := 1
				for faultRun(t, shape, write, stored, crash) {
					write++
				}
				if write < 5 {
					t.Fatalf("%v: only %d durable writes were met", shape, write-1)
				}
				faults += write - 1
			}
		}
	}
	count(t, "faults-in-process", faults)
}

// faultRun reports whether the fault was met.
func faultRun(t *testing.T, l batchShape, write int, stored, crash bool) bool {
	t.Helper()
	disk := NewVolatile()
	f := &faulty{Store: disk, countdown: write, stored: stored}
	d := newDesk(t, f)
	id, err := d.Generate(context.Background(), Spec{Levels: levels(l.levels), Reserve: l.n, Transferable: true, Private: func(lms.HSSPublicKey) []byte { return nil }})
	if err != nil {
		if !errors.Is(err, ErrStore) || len(d.Keys()) != 0 {
			t.Fatalf("%v write %d: Generate: %v, %d keys", l, write, err, len(d.Keys()))
		}
		return true
	}
	recover := func(what string, err error) {
		t.Helper()
		if err == nil {
			return
		}
		if !errors.Is(err, ErrStore) || !errors.Is(err, errDisk) {
			t.Fatalf("%v write %d stored=%v: %s: %v, want ErrStore", l, write, stored, what, err)
		}
		if crash {
			d.open()
		}
	}
	emitted, signed := Spans{}, Spans{}
	for step := range 12 {
		message := fmt.Appendf(nil, "step %d", step)
		signature, err := d.Sign(context.Background(), id, message)
		if err == nil {
			d.show(id, message, signature)
			root := uint64(leavesOf(t, signature)[0])
			signed = signed.union(Spans{{root, root + 1}})
		} else if signature != nil {
			t.Fatalf("%v write %d: a signature beside the error %v", l, write, err)
		}
		recover("Sign", err)
		switch step % 4 {
		case 1:
			recover("Lock", d.Lock())
			d.open()
		case 2:
			giving := Giving{Transfer: fmt.Sprint("t", step), Count: 2,
				Seal: func(_ []byte, leaves Spans) ([]byte, []byte, error) {
					return fmt.Append(nil, leaves[0].From), []byte("receipt"), nil
				}}
			capsule, err := d.Give(context.Background(), id, giving)
			if err != nil { // as docs/ceremony.md says: the same again
				recover("Give", err)
				capsule, err = d.Give(context.Background(), id, giving)
			}
			must(t, err)
			from, err := strconv.ParseUint(string(capsule), 10, 64)
			must(t, err)
			if leaves := (Spans{{from, from + 2}}); emitted.meets(leaves) {
				t.Fatalf("%v write %d: leaves %v left twice", l, write, leaves)
			} else {
				emitted = emitted.union(leaves)
			}
		}
	}
	if emitted.meets(signed) || emitted.meets(d.info(id).Free) || emitted.Count() != 6 {
		t.Fatalf("%v write %d: leaves %v left, %v signed, %v are free", l, write, emitted, signed, d.info(id).Free)
	}
	if d.audit.Signatures() < 11 {
		t.Fatalf("%v write %d: one fault cost %d signatures", l, write, 12-d.audit.Signatures())
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

// TestGuardAheadEndsSigning: once a change has shown that another copy of the
// machine went on, the leaves in memory are not used either; the copy has them.
func TestGuardAheadEndsSigning(t *testing.T) {
	for _, shape := range []batchShape{{1, 20}, {2, 0}, {2, 20}} {
		guard := &counter{}
		d := newDesk(t, NewVolatile())
		d.guard = guard
		d.open()
		id := d.generateBatched(shape.levels, shape.n)
		d.sign(id)
		guard.value += 2
		if err := d.SetAttributes(id, []byte("x"), nil); !errors.Is(err, ErrQuarantined) {
			t.Fatalf("%v: SetAttributes: %v, want ErrQuarantined", shape, err)
		}
		if _, err := d.Sign(t.Context(), id, nil); !errors.Is(err, ErrQuarantined) {
			t.Errorf("%v: Sign: %v, want ErrQuarantined", shape, err)
		}
		if err := d.Usable(id); !errors.Is(err, ErrQuarantined) || d.info(id).Status != Quarantined {
			t.Errorf("%v: Usable: %v, status %s", shape, err, d.info(id).Status)
		}
		before := d.store.(*Volatile).records[id]
		must(t, d.Lock())
		if after := d.store.(*Volatile).records[id]; !slices.Equal(before, after) {
			t.Errorf("%v: Lock changed the store", shape)
		}
	}
}

// TestGuardAheadOfALivingProcess: another copy of the machine went on; this one
// changes nothing any more.
func TestGuardAheadOfALivingProcess(t *testing.T) {
	d, guard, id := guarded(t)
	before := d.info(id).Generation
	guard.value += 3
	if _, err := d.Sign(t.Context(), id, nil); !errors.Is(err, ErrQuarantined) {
		t.Errorf("Sign: %v, want ErrQuarantined", err)
	}
	if _, err := d.Generate(t.Context(), Spec{Levels: levels(1)}); !errors.Is(err, ErrQuarantined) {
		t.Errorf("Generate: %v, want ErrQuarantined", err)
	}
	if after := d.info(id).Generation; after != before {
		t.Errorf("generation %d after %d", after, before)
	}
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
	if _, err := d.Generate(t.Context(), Spec{Levels: levels(1)}); !errors.Is(err, ErrQuarantined) {
		t.Errorf("Generate beside a quarantined key: %v", err)
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

// writeBack is a disk that shows what it has not made durable: a change whose
// sync fails can be read, until the power goes.
type writeBack struct {
	*Volatile
	durable  map[Identity][]byte
	failSync bool
}

func newWriteBack() *writeBack {
	return &writeBack{Volatile: NewVolatile(), durable: map[Identity][]byte{}}
}

func (w *writeBack) sync(snap Snapshot, err error) (Snapshot, error) {
	if err == nil && w.failSync {
		return nil, errDisk
	}
	if err == nil {
		w.durable = maps.Clone(w.records)
	}
	return snap, err
}

func (w *writeBack) Replace(old Snapshot, record []byte) (Snapshot, error) {
	return w.sync(w.Volatile.Replace(old, record))
}

func (w *writeBack) Create(id Identity, record []byte) (Snapshot, error) {
	return w.sync(w.Volatile.Create(id, record))
}

// losePower drops what was not synced.
func (w *writeBack) losePower() { w.records = maps.Clone(w.durable) }

// TestNothingIsEmittedFromTheCache: a gift that can be read back, but is not
// known to be durable, must not leave the token; else a loss of power gives its
// leaves to two tokens.
func TestNothingIsEmittedFromTheCache(t *testing.T) {
	disk := newWriteBack()
	d := newDesk(t, disk)
	id := d.generate(levels(1)...)
	giving := Giving{Transfer: "t", Seal: func([]byte, Spans) ([]byte, []byte, error) {
		return []byte("capsule"), []byte("receipt"), nil
	}}
	disk.failSync = true
	for range 3 {
		if capsule, err := d.Give(t.Context(), id, giving); !errors.Is(err, ErrStore) || capsule != nil {
			t.Fatalf("Give on a disk that does not sync: %q, %v", capsule, err)
		}
	}
	disk.failSync = false
	_, err := d.Give(t.Context(), id, giving)
	must(t, err)
	disk.losePower()
	d.open()
	if info := d.info(id); info.RootRemaining != 16 || len(info.Given) != 1 {
		t.Errorf("after the loss of power %d root leaves are free, and a capsule with half of them is out", info.RootRemaining)
	}
}

// TestGiveNeedsTheGuard is the same with a guard that does not advance.
func TestGiveNeedsTheGuard(t *testing.T) {
	d, guard, id := guarded(t)
	giving := Giving{Transfer: "t", Seal: func([]byte, Spans) ([]byte, []byte, error) {
		return []byte("capsule"), []byte("receipt"), nil
	}}
	guard.broken = true
	for range 3 {
		if capsule, err := d.Give(t.Context(), id, giving); !errors.Is(err, ErrStore) || capsule != nil {
			t.Fatalf("Give without the guard: %q, %v", capsule, err)
		}
	}
	guard.broken = false
	_, err := d.Give(t.Context(), id, giving)
	must(t, err)
}

// TestMarksAreNotShared: two changes under one mark would let a store go back by
// one of them unnoticed.
func TestMarksAreNotShared(t *testing.T) {
	d, guard, first := guarded(t)
	second := d.generate(levels(1)...)
	guard.broken = true
	if _, err := d.Sign(t.Context(), first, nil); !errors.Is(err, ErrStore) {
		t.Fatal(err)
	}
	guard.broken = false
	old := NewVolatile()
	old.records = maps.Clone(d.store.(*Volatile).records)
	d.sign(second)
	d.store = old
	d.open()
	if _, err := d.Sign(t.Context(), second, nil); !errors.Is(err, ErrQuarantined) {
		t.Errorf("Sign with the store of before: %v, want ErrQuarantined", err)
	}
}

// blind is a disk that stored a change, did not say so, and cannot be read for a
// while.
type blind struct {
	*faulty
	dark bool
}

func (b *blind) Fetch(id Identity) (Snapshot, error) {
	if b.dark {
		return nil, errDisk
	}
	return b.faulty.Fetch(id)
}

// TestNoMarkInTheDark: while nobody can see whether a change was stored, its mark
// is not given to the change of another key.
func TestNoMarkInTheDark(t *testing.T) {
	disk := &blind{faulty: &faulty{Store: NewVolatile(), stored: true}}
	d := newDesk(t, disk)
	guard := &counter{}
	d.guard = guard
	d.open()
	first, second := d.generate(levels(1)...), d.generate(levels(1)...)
	disk.countdown, disk.dark = 1, true
	if _, err := d.Sign(t.Context(), first, nil); !errors.Is(err, ErrStore) {
		t.Fatal(err)
	}
	if _, err := d.Sign(t.Context(), second, nil); !errors.Is(err, ErrStore) {
		t.Errorf("Sign with the other key in the dark: %v, want ErrStore", err)
	}
	disk.dark = false
	d.sign(second)
	if guard.value != 4 { // two keys made, the change in the dark, this one
		t.Errorf("the guard is at %d, want 4", guard.value)
	}
}

func TestGenerateNeedsTheGuard(t *testing.T) {
	d, guard, _ := guarded(t)
	guard.broken = true
	if _, err := d.Generate(t.Context(), Spec{Levels: levels(1)}); !errors.Is(err, ErrStore) || len(d.Keys()) != 1 {
		t.Errorf("Generate: %v, %d keys; want ErrStore and the one of before", err, len(d.Keys()))
	}
}

// TestReceiveResolvesUnknownOutcome: the store took the record, the guard did not
// advance; a second try finds the leaves here.
func TestReceiveResolvesUnknownOutcome(t *testing.T) {
	source := newDesk(t, NewVolatile())
	id, share := shareOf(t, source, levels(1)...)
	d, guard, _ := guarded(t)
	guard.broken = true
	if _, err := d.Receive(t.Context(), share); !errors.Is(err, ErrStore) {
		t.Fatal(err)
	}
	guard.broken = false
	if _, err := d.Receive(t.Context(), share); !errors.Is(err, ErrSeen) {
		t.Fatalf("second try: %v, want ErrSeen", err)
	}
	if q := d.sign(id); q[0] != 16 {
		t.Errorf("leaf %d", q[0])
	}
}

// TestVerifyBeforeRelease: a computation that goes wrong gives no signature, and
// its leaf is burned.
func TestVerifyBeforeRelease(t *testing.T) {
	for l := 1; l <= 2; l++ {
		d := newDesk(t, NewVolatile())
		id := d.generate(levels(l)...)
		k, err := d.key(id)
		must(t, err)
		right := k.root.Tree
		wrong, err := lms.NewTree(t.Context(), setH5W4, lms.ID{}, make([]byte, 32))
		must(t, err)
		k.root.Tree = wrong
		if signature, err := d.Sign(t.Context(), id, nil); !errors.Is(err, lms.ErrSignature) || signature != nil {
			t.Fatalf("L=%d: Sign with a faulty tree: %v", l, err)
		}
		k.root.Tree = right
		if q := d.sign(id); q[0] != 1 {
			t.Errorf("L=%d: root leaf %d, want 1", l, q[0])
		}
	}
}

// TestIllegalStepIsRefused: the second opinion stands before the store.
func TestIllegalStepIsRefused(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generate(levels(1)...)
	d.sign(id)
	k, err := d.key(id)
	must(t, err)
	err = k.change(func(s State) (State, error) {
		s.Free = Spans{{0, 32}}
		return s, nil
	})
	if !errors.Is(err, ErrParameters) {
		t.Errorf("a used leaf was made free: %v, want ErrParameters", err)
	}
	d.restart()
	if q := d.sign(id); q[0] != 1 {
		t.Errorf("leaf %d, want 1", q[0])
	}
}

// TestUsableWhileWakingUp: between the record and memory, the parked trees are
// nobody's for a moment; C_SignInit of another session must not see that.
func TestUsableWhileWakingUp(t *testing.T) {
	h := &hooked{Store: NewVolatile()}
	d := newDesk(t, h)
	id := d.generate(levels(2)...)
	for range 31 * 32 { // up to the last lower tree
		d.sign(id)
	}
	d.sign(id)
	d.restart()
	seen := false
	h.during = func() {
		seen = true
		if err := d.Usable(id); err != nil {
			t.Errorf("Usable while the trees are taken out: %v", err)
		}
	}
	d.sign(id)
	if !seen {
		t.Error("no trees were taken out")
	}
}

package keystore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/onceleaf/onceleaf/internal/audit"
	"github.com/onceleaf/onceleaf/lms"
)

// desk is a keystore over a store that outlives it, with an auditor who sees
// every signature that was released.
type desk struct {
	*Keystore
	t      testing.TB
	store  Store
	guard  Guard
	master []byte
	audit  *audit.Audit
}

func newDesk(t testing.TB, store Store) *desk {
	d := &desk{t: t, store: store, guard: NoGuard{}, master: NewMasterKey(), audit: &audit.Audit{}}
	d.open()
	return d
}

// open starts anew from the store, as a process that was started again.
func (d *desk) open() {
	d.t.Helper()
	ks, err := load(d.store, d.guard, slog.New(slog.DiscardHandler))
	must(d.t, err)
	ks.Unlock(slices.Clone(MasterKey(NewSecret(32))))
	master := MasterKey(NewSecret(32))
	copy(master, d.master)
	ks.Unlock(master)
	d.Keystore = ks
}

// restart is a clean shutdown and a start.
func (d *desk) restart() {
	d.t.Helper()
	must(d.t, d.Lock())
	d.open()
}

func (d *desk) generate(sets ...lms.ParameterSet) Identity {
	d.t.Helper()
	id, err := d.Generate(context.Background(), Spec{Levels: sets, Transferable: true,
		Private: func(lms.HSSPublicKey) []byte { return []byte("private") },
		Public:  func(lms.HSSPublicKey) []byte { return []byte("public") }})
	must(d.t, err)
	return id
}

// sign signs and lets the auditor look; it returns the leaf at each level.
func (d *desk) sign(id Identity) []uint32 {
	d.t.Helper()
	message := fmt.Appendf(nil, "message %d", d.audit.Signatures())
	signature, err := d.Sign(context.Background(), id, message)
	must(d.t, err)
	d.show(id, message, signature)
	return leavesOf(d.t, signature)
}

func (d *desk) show(id Identity, message, signature []byte) {
	d.t.Helper()
	must(d.t, d.audit.Add(d.info(id).PublicKey, message, signature))
}

func (d *desk) info(id Identity) Info {
	d.t.Helper()
	info, err := d.Info(id)
	must(d.t, err)
	return info
}

func leavesOf(t testing.TB, signature []byte) (q []uint32) {
	t.Helper()
	parsed, err := lms.ParseHSSSignature(signature)
	must(t, err)
	for _, leaf := range parsed.Leaves() {
		q = append(q, leaf.Q)
	}
	return q
}

func levels(n int) []lms.ParameterSet { return slices.Repeat([]lms.ParameterSet{setH5W4}, n) }

// number is the position of a signature among all that a key of H5 levels can
// make.
func number(q []uint32) (n int) {
	for _, leaf := range q {
		n = n*32 + int(leaf)
	}
	return n
}

// TestSignInOrder signs with restarts in between: clean ones lose no leaf.
func TestSignInOrder(t *testing.T) {
	for l := 1; l <= 3; l++ {
		t.Run(fmt.Sprintf("L=%d", l), func(t *testing.T) {
			d := newDesk(t, newBolt(t, filepath.Join(t.TempDir(), "t.db")))
			id := d.generate(levels(l)...)
			total := d.info(id).Remaining
			for i := range min(70, int(total)) { // beyond the borders of trees
				if i%7 == 3 {
					d.restart()
				}
				if got := number(d.sign(id)); got != i {
					t.Fatalf("signature %d has number %d", i, got)
				}
				if left := d.info(id).Remaining; left != total-uint64(i)-1 {
					t.Fatalf("after %d signatures %d of %d are left", i+1, left, total)
				}
			}
		})
	}
}

// TestExhaustion uses keys up to the last leaf.
func TestExhaustion(t *testing.T) {
	for l := 1; l <= 2; l++ {
		t.Run(fmt.Sprintf("L=%d", l), func(t *testing.T) {
			d := newDesk(t, NewVolatile())
			id := d.generate(levels(l)...)
			total := int(d.info(id).Remaining)
			for range total {
				must(t, d.Usable(id))
				d.sign(id)
			}
			for range 2 {
				if _, err := d.Sign(t.Context(), id, nil); !errors.Is(err, ErrExhausted) {
					t.Fatalf("signature %d: %v, want ErrExhausted", total+1, err)
				}
				if err := d.Usable(id); !errors.Is(err, ErrExhausted) {
					t.Fatalf("Usable: %v, want ErrExhausted", err)
				}
				d.restart()
			}
			if info := d.info(id); info.Remaining != 0 || info.Status != Active {
				t.Errorf("remaining %d, status %s", info.Remaining, info.Status)
			}
		})
	}
}

// TestCrash forgets the memory without parking: at most one root leaf is lost,
// and nothing is used twice.
func TestCrash(t *testing.T) {
	for l := 1; l <= 3; l++ {
		d := newDesk(t, NewVolatile())
		id := d.generate(levels(l)...)
		for crash := range 7 {
			root := uint32(0)
			for range 3 {
				root = d.sign(id)[0]
			}
			d.open() // the old keystore is just dropped
			next := d.sign(id)[0]
			if next != root+1 {
				t.Fatalf("L=%d crash %d: root leaf %d after %d", l, crash, next, root)
			}
		}
	}
}

// TestCrashAfterParking: what was parked is used once, even if the process dies
// right after it took the trees out.
func TestCrashAfterParking(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generate(levels(2)...)
	d.sign(id)
	d.restart()
	if got := number(d.sign(id)); got != 1 {
		t.Fatalf("after parking: signature number %d", got)
	}
	d.open()
	if got := number(d.sign(id)); got != 32 {
		t.Fatalf("after the crash: signature number %d, want the next root leaf", got)
	}
}

func TestDamagedParkedTreeIsBurned(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generate(levels(2)...)
	d.sign(id)
	must(t, d.Lock())
	d.open()
	must(t, d.Lock())
	d.tamper(id, func(s *State) { s.Parked[0].Seed[20] ^= 1 })
	d.open()
	if got := number(d.sign(id)); got != 32 {
		t.Fatalf("signature number %d, want the next root leaf", got)
	}
}

// TestAlteredSignatureOfParkedTree: what stands in every signature of the key
// is checked before the parked tree is used.
func TestAlteredSignatureOfParkedTree(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generate(levels(2)...)
	d.sign(id)
	must(t, d.Lock())
	d.tamper(id, func(s *State) { s.Parked[0].Signature[40] ^= 1 })
	d.open()
	if got := number(d.sign(id)); got != 32 {
		t.Fatalf("signature number %d, want the next root leaf", got)
	}
}

// tamper rewrites a record behind the keystore's back.
func (d *desk) tamper(id Identity, change func(*State)) {
	d.t.Helper()
	snap, err := d.store.Fetch(id)
	must(d.t, err)
	s, err := decode(snap.Record())
	must(d.t, err)
	change(&s)
	record, err := s.encode()
	must(d.t, err)
	_, err = d.store.Replace(snap, record)
	must(d.t, err)
}

func TestLocked(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generate(levels(2)...)
	d.sign(id)
	before := d.info(id).Remaining
	must(t, d.Lock())
	if _, err := d.Sign(t.Context(), id, nil); !errors.Is(err, ErrLocked) {
		t.Errorf("Sign: %v, want ErrLocked", err)
	}
	if _, err := d.Generate(t.Context(), Spec{Levels: levels(1), Private: func(lms.HSSPublicKey) []byte { return nil }}); !errors.Is(err, ErrLocked) {
		t.Errorf("Generate: %v, want ErrLocked", err)
	}
	if info := d.info(id); info.Remaining != before {
		t.Errorf("%d signatures left, %d before locking", info.Remaining, before)
	}
	if len(d.Keys()) != 1 {
		t.Error("a locked keystore shows no keys")
	}
}

func TestWrongMasterKey(t *testing.T) {
	for l := 1; l <= 2; l++ {
		d := newDesk(t, NewVolatile())
		id := d.generate(levels(l)...)
		d.sign(id)
		must(t, d.Lock())
		right, before := d.master, d.info(id)
		d.master = NewMasterKey()
		d.open()
		if _, err := d.Sign(t.Context(), id, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("L=%d: Sign: %v, want ErrDamaged", l, err)
		}
		if info := d.info(id); info.Generation != before.Generation || info.Remaining != before.Remaining {
			t.Errorf("L=%d: a key that does not open was changed: %+v", l, info)
		}
		d.master = right
		d.open()
		if got := number(d.sign(id)); got != 1 {
			t.Errorf("L=%d: signature number %d after the right master key came back", l, got)
		}
	}
}

func TestCancelledSignatureCostsNothing(t *testing.T) {
	for l := 1; l <= 2; l++ {
		d := newDesk(t, NewVolatile())
		id := d.generate(levels(l)...)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := d.Sign(ctx, id, nil); !errors.Is(err, context.Canceled) {
			t.Fatalf("L=%d: got %v", l, err)
		}
		if got := number(d.sign(id)); got != 0 {
			t.Errorf("L=%d: the first signature has number %d", l, got)
		}
	}
}

// TestInfoIsACopy: what a caller does to an Info does not reach the key.
func TestInfoIsACopy(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generate(levels(1)...)
	d.sign(id)
	info := d.info(id)
	info.Free[0].From = 0
	info.Levels[0] = setH5W8
	info.Private[0]++
	if q := d.sign(id); q[0] != 1 {
		t.Errorf("leaf %d, want 1", q[0])
	}
	if again := d.info(id); again.Levels[0] != setH5W4 || string(again.Private) != "private" {
		t.Errorf("the key is now %+v", again)
	}
}

// TestSwappedRecords: each record is at home under one identity alone.
func TestSwappedRecords(t *testing.T) {
	store := NewVolatile()
	d := newDesk(t, store)
	a, b := d.generate(levels(1)...), d.generate(levels(1)...)
	store.records[a], store.records[b] = store.records[b], store.records[a]
	d.open()
	if len(d.Keys()) != 0 || len(d.Damaged()) != 2 {
		t.Errorf("%d keys and %d damaged records, want 0 and 2", len(d.Keys()), len(d.Damaged()))
	}
}

// TestRestartNeedsNoRoot: as long as the parked trees last, the root tree, which
// may take minutes to build, stays where it is.
func TestRestartNeedsNoRoot(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generate(levels(3)...)
	d.sign(id)
	d.restart()
	for range 40 { // over the end of the lowest tree
		d.sign(id)
	}
	if k, err := d.key(id); err != nil || k.root != nil {
		t.Errorf("the root tree was built: %v", err)
	}
}

func TestConcurrentSigners(t *testing.T) {
	for l := 1; l <= 2; l++ {
		d := newDesk(t, NewVolatile())
		ids := []Identity{d.generate(levels(l)...), d.generate(levels(l)...)}
		var wg sync.WaitGroup
		var mu sync.Mutex
		for i := range 8 {
			wg.Go(func() {
				for j := range 7 {
					id, message := ids[(i+j)%2], fmt.Appendf(nil, "%d %d", i, j)
					signature, err := d.Sign(context.Background(), id, message)
					mu.Lock()
					if err != nil {
						t.Error(err)
					} else {
						d.show(id, message, signature)
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if d.audit.Signatures() != 56 {
			t.Errorf("%d signatures", d.audit.Signatures())
		}
	}
}

// TestLockWhileSigning: whatever the order of a lock and of signatures under
// way, no leaf is used twice and a clean lock loses none.
func TestLockWhileSigning(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generate(levels(2)...)
	for range 10 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		for range 4 {
			wg.Go(func() {
				for j := range 5 {
					signature, err := d.Sign(context.Background(), id, []byte{byte(j)})
					mu.Lock()
					if err == nil {
						d.show(id, []byte{byte(j)}, signature)
					} else if !errors.Is(err, ErrLocked) {
						t.Error(err)
					}
					mu.Unlock()
				}
			})
		}
		must(t, d.Lock())
		wg.Wait()
		d.open()
	}
	if left, made := d.info(id).Remaining, d.audit.Signatures(); int(left)+made != 32*32 {
		t.Errorf("%d signatures made and %d left of %d", made, left, 32*32)
	}
}

func TestDestroyLeavesTombstone(t *testing.T) {
	store := NewVolatile()
	d := newDesk(t, store)
	id := d.generate(levels(2)...)
	d.sign(id)
	must(t, d.Destroy(id))
	if _, err := d.Sign(t.Context(), id, nil); !errors.Is(err, ErrNoKey) {
		t.Errorf("Sign: %v, want ErrNoKey", err)
	}
	must(t, d.Lock())
	d.open()
	if info := d.info(id); len(d.Keys()) != 1 || info.Private != nil || info.Public == nil {
		t.Error("a destroyed key does not show its public key alone")
	}
	if err := d.SetAttributes(id, []byte("again"), nil); !errors.Is(err, ErrNoKey) {
		t.Errorf("a private object for a destroyed key: %v, want ErrNoKey", err)
	}
	must(t, d.SetAttributes(id, nil, nil))
	if len(d.Keys()) != 0 {
		t.Error("a destroyed key without a public key is shown")
	}
	k, err := d.key(id)
	must(t, err)
	if k.state.Seed != nil || k.state.Held.Count() != 32 || k.state.Free != nil {
		t.Errorf("tombstone: %+v", k.state)
	}
}

func TestAttributes(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generate(levels(1)...)
	must(t, d.SetAttributes(id, []byte("new"), nil))
	d.restart()
	if info := d.info(id); string(info.Private) != "new" || info.Public != nil {
		t.Errorf("attributes: %q, %q", info.Private, info.Public)
	}
}

func TestDamagedRecordIsKept(t *testing.T) {
	store := newBolt(t, filepath.Join(t.TempDir(), "t.db"))
	d := newDesk(t, store)
	good, bad := d.generate(levels(1)...), d.generate(levels(1)...)
	snap, err := store.Fetch(bad)
	must(t, err)
	broken := slices.Clone(snap.Record())
	broken[len(broken)/2] ^= 1
	_, err = store.Replace(snap, broken)
	must(t, err)
	must(t, d.Lock())
	d.open()
	if len(d.Keys()) != 1 || len(d.Damaged()) != 1 || !errors.Is(d.Damaged()[0], ErrDamaged) {
		t.Fatalf("keys %d, damaged %v", len(d.Keys()), d.Damaged())
	}
	d.sign(good)
	if _, err := d.Sign(t.Context(), bad, nil); !errors.Is(err, ErrNoKey) {
		t.Errorf("Sign with a damaged record: %v", err)
	}
	if snap, err := store.Fetch(bad); err != nil || !slices.Equal(snap.Record(), broken) {
		t.Errorf("the damaged record was changed: %v", err)
	}
}

func TestGenerateRefuses(t *testing.T) {
	d := newDesk(t, NewVolatile())
	n24 := lms.ParameterSet{LMS: lms.LMS_SHA256_M24_H5, OTS: lms.LMOTS_SHA256_N24_W4}
	shake := lms.ParameterSet{LMS: lms.LMS_SHAKE_M32_H5, OTS: lms.LMOTS_SHAKE_N32_W4}
	mixed := lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N24_W4}
	for name, sets := range map[string][]lms.ParameterSet{
		"no level": nil, "nine levels": levels(9), "two lengths": {setH5W4, n24}, "two hashes": {setH5W4, shake},
		"a mixed level": {mixed}, "unknown": {{LMS: 99, OTS: 1}},
	} {
		if _, err := d.Generate(t.Context(), Spec{Levels: sets}); !errors.Is(err, ErrParameters) {
			t.Errorf("%s: %v, want ErrParameters", name, err)
		}
	}
	if len(d.Keys()) != 0 {
		t.Error("a refused key is there")
	}
}

// TestVolatileStoreIsRefused: the keys of a token must outlive the process.
func TestVolatileStoreIsRefused(t *testing.T) {
	if ks, err := New(NewVolatile(), NoGuard{}, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrParameters) || ks != nil {
		t.Errorf("New with a store in memory: %v, want ErrParameters", err)
	}
}

package keystore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/onceleaf/onceleaf/lms"
)

// generateBatched makes a key of l levels that takes n message leaves per write.
func (d *desk) generateBatched(l int, n uint64) Identity {
	d.t.Helper()
	id, err := d.Generate(context.Background(), Spec{Levels: levels(l), Reserve: n, Transferable: true,
		Private: func(lms.HSSPublicKey) []byte { return []byte("private") }})
	must(d.t, err)
	return id
}

func TestDrawBatch(t *testing.T) {
	single := newState(1)
	single.Reserve = 5
	s, leaves, err := drawBatch(single)
	if err != nil || !slices.Equal(leaves, Spans{{0, 5}}) || !slices.Equal(s.Batch, leaves) || s.Free.Count() != 27 {
		t.Fatalf("the first batch of the root: %v, %v", leaves, err)
	}
	s.Free = Spans{{30, 32}}
	if s, leaves, err = drawBatch(s); err != nil || leaves.Count() != 2 {
		t.Fatalf("the last batch of the root: %v, %v", leaves, err)
	}
	if _, _, err = drawBatch(s); !errors.Is(err, ErrExhausted) {
		t.Errorf("beyond the last batch: %v, want ErrExhausted", err)
	}
	if _, leaves, _ := drawBatch(newState(1)); leaves.Count() != 1 {
		t.Errorf("a key of one level takes batches of %v", leaves)
	}
}

// batchedState has two levels, batches of n, and a lower tree with next leaf next.
func batchedState(n uint64, next uint32) State {
	s := newState(2)
	s.Reserve, s.Free = n, Spans{{1, 32}}
	s.Parked = []ParkedTree{{I: make([]byte, 16), Seed: []byte("sealed"), Root: make([]byte, 32), Next: next, Signature: signatureWithLeaf(0)}}
	return s
}

func TestDraw(t *testing.T) {
	s := batchedState(3, 30)
	next, leaves, err := draw(s, 1, 3)
	if err != nil || !slices.Equal(leaves, Spans{{30, 32}}) || !slices.Equal(next.Batch, leaves) || next.Parked[0].Next != 32 {
		t.Fatalf("draw: %v, %v", leaves, err)
	}
	if s.Parked[0].Next != 30 {
		t.Error("the former state changed")
	}
	if _, _, err := draw(next, 1, 3); !errors.Is(err, ErrExhausted) {
		t.Errorf("from an empty tree: %v, want ErrExhausted", err)
	}
	for name, c := range map[string]struct {
		s     State
		level int
		err   error
	}{
		"level 0":         {s, 0, ErrParameters},
		"level 2":         {s, 2, ErrParameters},
		"without batches": {batchedState(0, 3), 1, ErrParameters},
		"quarantined":     {quarantine(s), 1, ErrQuarantined},
		"destroyed":       {destroy(s), 1, ErrNoKey},
	} {
		if _, _, err := draw(c.s, c.level, 1); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
	if _, err := park(batchedState(3, 3), s.Parked); !errors.Is(err, ErrParameters) {
		t.Errorf("park beside batches: %v, want ErrParameters", err)
	}
}

func TestPutBack(t *testing.T) {
	low, _, err := drawBatch(batchedState(8, 4)) // leaves 4 to 11
	must(t, err)
	single := newState(1)
	single.Reserve, single.Free = 8, Spans{{4, 6}, {10, 32}}
	single, _, err = drawBatch(single) // leaves 4, 5, 10 to 15
	must(t, err)
	for _, c := range []struct {
		name string
		s    State
		left Spans
		err  error
	}{
		{"the rest", low, Spans{{6, 12}}, nil},
		{"all", low, Spans{{4, 12}}, nil},
		{"nothing", low, nil, ErrParameters},
		{"not the last ones", low, Spans{{6, 11}}, ErrParameters},
		{"more than the batch", low, Spans{{3, 12}}, ErrParameters},
		{"beyond it", low, Spans{{6, 13}}, ErrParameters},
		{"a batch of the root", single, Spans{{5, 6}, {10, 16}}, nil},
		{"with a hole", single, Spans{{4, 5}, {10, 16}}, ErrParameters},
		{"quarantined", quarantine(low), Spans{{6, 12}}, ErrQuarantined},
		{"nobody has a batch", batchedState(8, 4), Spans{{3, 4}}, ErrParameters},
	} {
		next, err := putBack(c.s, c.left)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		if err == nil && (len(next.Batch) > 0 || next.Remaining() != c.s.Remaining()+c.left.Count()) {
			t.Errorf("%s: batch %v, remaining %d after %d", c.name, next.Batch, next.Remaining(), c.s.Remaining())
		}
	}
}

// TestFollowsWithBatches breaks the rules of trees that batches are taken from.
func TestFollowsWithBatches(t *testing.T) {
	base, _, err := drawBatch(batchedState(8, 4)) // leaves 4 to 11
	must(t, err)
	for name, c := range map[string]struct {
		change func(*State)
		legal  bool
	}{
		"leaves are taken":           {func(s *State) { s.Parked[0].Next, s.Batch = 20, Spans{{12, 20}} }, true},
		"the batch is put back":      {func(s *State) { s.Parked[0].Next, s.Batch = 4, nil }, true},
		"a used leaf comes back":     {func(s *State) { s.Parked[0].Next, s.Batch = 3, nil }, false},
		"another seed":               {func(s *State) { s.Parked[0].Seed = []byte("other") }, false},
		"another signature":          {func(s *State) { s.Parked[0].Signature[40]++ }, false},
		"another tree":               {func(s *State) { s.Parked[0].I, s.Parked[0].Next, s.Batch = []byte("another tree IIII"[:16]), 0, nil }, true},
		"other batches":              {func(s *State) { s.Reserve = 9 }, false},
		"a batch of untaken leaves":  {func(s *State) { s.Batch = Spans{{4, 13}} }, false},
		"a batch without a tree":     {func(s *State) { s.Parked = nil }, false},
		"hangs on a free root leaf":  {func(s *State) { s.Parked[0].I, s.Parked[0].Signature = make([]byte, 16), signatureWithLeaf(5) }, false},
		"batches larger than a tree": {func(s *State) { s.Reserve = 33 }, false},
	} {
		next := base
		next.Parked = slices.Clone(base.Parked)
		next.Parked[0].Signature = slices.Clone(base.Parked[0].Signature)
		c.change(&next)
		if err := base.follows(next); (err == nil) != c.legal {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUpperLeafMustBeUsed: in a record of three levels, the second parked tree
// hangs on a used leaf of the first.
func TestUpperLeafMustBeUsed(t *testing.T) {
	s := newState(3)
	s.Free = Spans{{1, 32}}
	for i, next := range []uint32{2, 5} {
		s.Parked = append(s.Parked, ParkedTree{I: []byte{15: byte(i)}, Seed: []byte("s"), Root: make([]byte, 32), Next: next, Signature: signatureWithLeaf(byte(i))})
	}
	must(t, s.validate())
	s.Parked[0].Next = 1
	if err := s.validate(); !errors.Is(err, ErrParameters) {
		t.Errorf("a parked tree hangs on an unused leaf: %v, want ErrParameters", err)
	}
}

type batchShape struct {
	levels int
	n      uint64
}

var batchShapes = []batchShape{{1, 1}, {1, 5}, {2, 1}, {2, 5}, {2, 32}, {3, 7}}

func (b batchShape) String() string { return fmt.Sprintf("L=%d,n=%d", b.levels, b.n) }

// TestBatchesInOrder signs with clean restarts in between, which lose no leaf, to
// the end of a lower tree and beyond.
func TestBatchesInOrder(t *testing.T) {
	for _, shape := range batchShapes {
		t.Run(shape.String(), func(t *testing.T) {
			d := newDesk(t, newBolt(t, filepath.Join(t.TempDir(), "t.db")))
			id := d.generateBatched(shape.levels, shape.n)
			total := d.info(id).Remaining
			for i := range min(70, int(total)) {
				if i%7 == 3 {
					d.restart()
				}
				if got := number(d.sign(id)); got != i {
					t.Fatalf("signature %d has number %d", i, got)
				}
				if info := d.info(id); info.Remaining != total-uint64(i)-1 || info.Reserve != shape.n || info.Capacity != total {
					t.Fatalf("after %d signatures %d of %d are left", i+1, info.Remaining, total)
				}
			}
		})
	}
}

// TestBatchesExhaustion uses keys up to the last leaf, with batches that do not
// divide a tree.
func TestBatchesExhaustion(t *testing.T) {
	for _, shape := range []batchShape{{1, 5}, {2, 7}} {
		d := newDesk(t, NewVolatile())
		id := d.generateBatched(shape.levels, shape.n)
		for range int(d.info(id).Remaining) {
			must(t, d.Usable(id))
			d.sign(id)
		}
		for range 2 {
			if _, err := d.Sign(t.Context(), id, nil); !errors.Is(err, ErrExhausted) {
				t.Fatalf("%v: %v, want ErrExhausted", shape, err)
			}
			d.restart()
		}
	}
}

// TestBatchesCrash forgets the memory: at most the batch is lost, and the lower
// trees are not.
func TestBatchesCrash(t *testing.T) {
	for _, shape := range batchShapes {
		d := newDesk(t, NewVolatile())
		id := d.generateBatched(shape.levels, shape.n)
		for range 5 {
			for range 3 {
				d.sign(id)
			}
			before := d.info(id).Remaining
			d.open() // the old keystore is just dropped
			if lost := before - d.info(id).Remaining; lost >= shape.n {
				t.Fatalf("%v: a crash lost %d leaves", shape, lost)
			}
		}
	}
}

// TestBatchesWrites: one durable write per batch, beside those for a new tree.
func TestBatchesWrites(t *testing.T) {
	for _, c := range []struct {
		batchShape
		writes uint64 // for 30 signatures; two levels: one for the root leaf, one for tree and first batch
	}{{batchShape{1, 1}, 30}, {batchShape{1, 5}, 6}, {batchShape{2, 1}, 31}, {batchShape{2, 5}, 7}, {batchShape{2, 30}, 2}} {
		d := newDesk(t, NewVolatile())
		id := d.generateBatched(c.levels, c.n)
		first := d.info(id).Generation
		for range 30 {
			d.sign(id)
		}
		if writes := d.info(id).Generation - first; writes != c.writes {
			t.Errorf("%v: %d durable writes for 30 signatures, want %d", c.batchShape, writes, c.writes)
		}
	}
}

// TestGenerateRefusesBatches larger than a tree.
func TestGenerateRefusesBatches(t *testing.T) {
	d := newDesk(t, NewVolatile())
	if _, err := d.Generate(t.Context(), Spec{Levels: levels(2), Reserve: 33}); !errors.Is(err, ErrParameters) {
		t.Errorf("batches of 33 from trees of 32: %v, want ErrParameters", err)
	}
}

// TestPlantingWithUnknownOutcome: the write that stores new lower trees fails,
// lost or done; the key goes on with those that the record has.
func TestPlantingWithUnknownOutcome(t *testing.T) {
	for _, stored := range []bool{false, true} {
		f := &faulty{Store: NewVolatile(), stored: stored}
		d := newDesk(t, f)
		id := d.generateBatched(2, 4)
		f.countdown = 2 // the root leaf, then the tree
		if _, err := d.Sign(t.Context(), id, nil); !errors.Is(err, ErrStore) {
			t.Fatal(err)
		}
		for range 40 {
			d.sign(id)
		}
		want := uint64(32*32 - 40 - 32) // a root leaf is burned
		if stored {
			want = 32*32 - 40 - 4 // a batch is
		}
		if left := d.info(id).Remaining; left != want {
			t.Errorf("stored %t: %d left, want %d", stored, left, want)
		}
	}
}

// TestDamagedTreeWithBatches: it is burned, and the key goes on.
func TestDamagedTreeWithBatches(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generateBatched(2, 4)
	d.sign(id)
	must(t, d.Lock())
	d.tamper(id, func(s *State) { s.Parked[0].Seed[20] ^= 1 })
	d.open()
	if got := number(d.sign(id)); got != 32 {
		t.Fatalf("signature number %d, want the next root leaf", got)
	}
}

// TestCancelledBatchCostsNothing, even when a new tree would have to be built.
func TestCancelledBatchCostsNothing(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generateBatched(2, 4)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := d.Sign(ctx, id, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if got := number(d.sign(id)); got != 0 {
		t.Errorf("the first signature has number %d", got)
	}
}

// second is another process with the same store, as if no lock kept it out.
func (d *desk) second() *desk {
	e := &desk{t: d.t, store: d.store, guard: d.guard, master: d.master, audit: d.audit}
	e.open()
	return e
}

// TestBatchDoesNotOutliveItsTree: compare-and-swap alone keeps two owners apart.
// One has a batch of a tree that the other used up and replaced; leaves of both
// trees have the same numbers.
func TestBatchDoesNotOutliveItsTree(t *testing.T) {
	for _, stop := range []bool{false, true} {
		a := newDesk(t, NewVolatile())
		id := a.generateBatched(2, 20)
		for range 3 {
			a.sign(id) // leaves 0 to 2 of the first tree; 3 to 19 are in memory
		}
		b := a.second()
		for range 17 {
			b.sign(id) // leaves 20 to 31, and 0 to 4 of the second tree
		}
		if err := a.SetAttributes(id, []byte("x"), nil); !errors.Is(err, ErrStale) {
			t.Fatalf("a stale owner: %v, want ErrStale", err)
		}
		who := a
		if stop {
			must(t, a.Lock())
			who = a.second()
		}
		for range 2 {
			who.sign(id)
		}
	}
}

// TestOwnersAtRandom lets two owners without a lock sign, change, stop and crash.
func TestOwnersAtRandom(t *testing.T) {
	for _, shape := range []batchShape{{1, 7}, {2, 0}, {2, 7}, {2, 20}, {3, 13}} {
		r := rand.New(rand.NewPCG(uint64(shape.levels), shape.n))
		for range 6 {
			a := newDesk(t, NewVolatile())
			id := a.generateBatched(shape.levels, shape.n)
			owners := []*desk{a, a.second()}
			for step := range 150 {
				i := r.IntN(2)
				d := owners[i]
				switch r.IntN(12) {
				case 0:
					_ = d.SetAttributes(id, fmt.Append(nil, step), nil)
				case 1:
					_ = d.Lock() // refused as stale, perhaps
					owners[i] = a.second()
				case 2:
					owners[i] = a.second()
				default:
					message := fmt.Append(nil, "message ", step)
					if signature, err := d.Sign(t.Context(), id, message); err == nil {
						d.show(id, message, signature)
					}
				}
			}
		}
	}
}

// TestPlantedAndDamaged: planting has an unknown outcome, the trees are found
// damaged, and so has taking them out; the key goes on.
func TestPlantedAndDamaged(t *testing.T) {
	f := &faulty{Store: NewVolatile(), stored: true}
	d := newDesk(t, f)
	id := d.generateBatched(2, 32)
	for range 32 {
		d.sign(id)
	}
	f.countdown = 2 // the root leaf, then the tree
	if _, err := d.Sign(t.Context(), id, nil); !errors.Is(err, ErrStore) {
		t.Fatal(err)
	}
	d.tamper(id, func(s *State) { s.Parked[0].Seed[20] ^= 1 })
	f.countdown = 2 // stored once more, then taken out
	if _, err := d.Sign(t.Context(), id, nil); !errors.Is(err, ErrStore) {
		t.Fatal(err)
	}
	d.sign(id)
}

// TestFullRecord: what can wait leaves room for what signing needs.
func TestFullRecord(t *testing.T) {
	s := newState(1)
	if _, err := annotate(s, make([]byte, maxRecord*3/4-spareBytes*3/4), nil); !errors.Is(err, ErrParameters) {
		t.Errorf("annotate up to the brim: %v, want ErrParameters", err)
	}
	for i := range 4000 {
		s.Given = append(s.Given, Gift{Transfer: fmt.Sprint("old ", i)})
	}
	if _, err := give(s, Gift{Transfer: "t", Leaves: Spans{{16, 32}}, Capsule: []byte("c")}); err != nil {
		t.Errorf("give with 4000 transfers: %v", err)
	}
	for i := range 4000 {
		s.Given = append(s.Given, Gift{Transfer: fmt.Sprint("older ", i)})
	}
	if _, err := give(s, Gift{Transfer: "t", Leaves: Spans{{16, 32}}, Capsule: []byte("c")}); !errors.Is(err, ErrParameters) {
		t.Errorf("give with 8000 transfers: %v, want ErrParameters", err)
	}
	empty := newState(1)
	empty.Free, empty.Held, empty.Given = nil, nil, s.Given
	if _, err := receive(empty, Arrival{Transfer: "t", Leaves: Spans{{0, 4}}}); !errors.Is(err, ErrParameters) {
		t.Errorf("receive with 8000 transfers: %v, want ErrParameters", err)
	}
}

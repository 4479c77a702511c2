package keystore

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/lms"
)

// Trees of setH5W8 are computed in 8 blocks, and those of setH10W4 in 32.

// noBackground keeps the gardeners from work, and returns what lets them go on before
// the end of the test.
func (d *desk) noBackground() (goOn func()) {
	goOn = sync.OnceFunc(d.gardeners.allow(0))
	d.t.Cleanup(goOn)
	return goOn
}

// allow changes how many there may be, and returns what changes it back.
func (w *gardeners) allow(most int) (back func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.most
	w.most = most
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.most = was
		w.hire()
	}
}

func (d *desk) generateWith(n uint64, sets ...lms.ParameterSet) (Identity, *key) {
	d.t.Helper()
	id, err := d.Generate(context.Background(), Spec{Levels: sets, Reserve: n, Transferable: true})
	must(d.t, err)
	k, err := d.key(id)
	must(d.t, err)
	return id, k
}

func (d *desk) signTimes(id Identity, times int) {
	d.t.Helper()
	for range times {
		d.sign(id)
	}
}

// TestNoSignatureWaitsForATree: the next lower tree grows in the background while
// the present one signs, without the help of those who sign, and takes over.
func TestNoSignatureWaitsForATree(t *testing.T) {
	for l := 2; l <= 3; l++ {
		for _, n := range []uint64{0, 3} {
			d := newDesk(t, NewVolatile())
			id, k := d.generateWith(n, setH5W8, setH5W8, setH5W8)
			if l == 2 {
				id, k = d.generateWith(n, setH5W8, setH5W8)
			}
			lowest := l - 1
			d.signTimes(id, 5)
			g := k.nursery[lowest]
			if g == nil {
				t.Fatalf("L=%d: no tree grows though a part of the present one is used", l)
			}
			within, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			built, err := g.builder.Wait(within)
			if err != nil {
				t.Fatalf("L=%d: the background does not end its tree: %v", l, err)
			}
			d.signTimes(id, 28)
			if k.path[lowest-1].Tree != built {
				t.Errorf("L=%d: the tree that grew was not taken", l)
			}
		}
	}
}

// TestSignersKeepPace: without a background those who sign compute the next tree,
// each a part of it, so that none is left at the last leaf.
func TestSignersKeepPace(t *testing.T) {
	for _, n := range []uint64{0, 3} {
		testPace(t, n)
	}
}

func testPace(t *testing.T, n uint64) {
	d := newDesk(t, NewVolatile())
	defer d.noBackground()()
	id, k := d.generateWith(n, setH5W4, setH5W8)
	before := int64(0)
	for leaf := range 32 {
		d.sign(id)
		g := k.nursery[1]
		if g == nil {
			continue
		}
		done, blocks := g.builder.Progress()
		if done-before > 1 {
			t.Errorf("signature %d computed %d of %d blocks", leaf, done-before, blocks)
		}
		if before = done; leaf == 31 && done < blocks-1 {
			t.Errorf("%d of %d blocks are done at the last leaf", done, blocks)
		}
	}
}

// TestManyKeepPace: many who sign at a time pay for the next tree together, and none
// for what the others left undone.
func TestManyKeepPace(t *testing.T) {
	d := newDesk(t, NewVolatile())
	d.noBackground()
	id, k := d.generateWith(0, setH5W4, setH10W4)
	d.signTimes(id, 1024/growAfter)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range (1024 - 1024/growAfter) / 8 {
				if _, err := d.Sign(t.Context(), id, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if done, blocks := k.nursery[1].builder.Progress(); done < blocks-8 {
		t.Errorf("%d of %d blocks are done at the last leaf", done, blocks)
	}
}

// TestNoCatchingUp: however far the next tree is behind, one signature computes its
// share and no more, and nobody waits for it who locks the keystore.
func TestNoCatchingUp(t *testing.T) {
	d := newDesk(t, NewVolatile())
	d.noBackground()
	id, _ := d.generateWith(0, setH5W4, setH10W4)
	k, err := d.key(id)
	must(t, err)
	for range 900 { // takes, and does not keep pace
		own, err := d.take(t.Context(), id)
		must(t, err)
		_, err = own.sign(nil)
		must(t, err)
	}
	before, _ := k.nursery[1].builder.Progress()
	d.sign(id)
	if done, blocks := k.nursery[1].builder.Progress(); done-before > 2 {
		t.Errorf("one signature computed %d of %d blocks", done-before, blocks)
	}
}

// TestLateBeginning: a process that finds a tree nearly used up, or takes much of
// it at once, does not compute the next tree within one signature.
func TestLateBeginning(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id, _ := d.generateWith(0, setH5W4, setH10W4)
	d.signTimes(id, 900)
	d.restart()
	d.noBackground()
	d.sign(id)
	k, err := d.key(id)
	must(t, err)
	if len(k.nursery) != 0 {
		t.Error("a tree grows after one of 124 leaves")
	}
	d.signTimes(id, 20)
	if done, blocks := k.nursery[1].builder.Progress(); done > blocks/8 {
		t.Errorf("%d of %d blocks are done for 21 of 124 leaves", done, blocks)
	}
	id, k = d.generateWith(900, setH5W4, setH10W4)
	d.sign(id)
	if len(k.nursery) != 0 {
		t.Error("a tree grows after the first leaf of a batch")
	}
}

// TestNurseryIsWiped when the key rests, and what grew in it costs no leaf.
func TestNurseryIsWiped(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id, k := d.generateWith(0, setH5W4, setH10W4)
	d.noBackground() // so that the tree is not complete
	d.signTimes(id, 300)
	g := k.nursery[1]
	if g == nil {
		t.Fatal("no tree grows")
	}
	must(t, d.Lock())
	if len(k.nursery) != 0 || g.step() {
		t.Error("the tree goes on growing after Lock")
	}
	select {
	case <-g.ended:
	default:
		t.Error("the background goes on after Lock")
	}
	if err := unix.Msync(g.seed, unix.MS_ASYNC); err != unix.ENOMEM {
		t.Errorf("the seed of the tree is still there: %v", err)
	}
	d.open()
	if q := d.sign(id); q[0] != 0 || q[1] != 300 {
		t.Errorf("leaves %v, want the one after those used", q)
	}
}

// TestNothingGrowsInVain: the last lower tree has no successor, and what grew is
// dropped when the leaves that could sign it go away.
func TestNothingGrowsInVain(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id, k := d.generateWith(0, levels(2)...)
	d.signTimes(id, 31*32)
	for range 32 {
		d.sign(id)
		if len(k.nursery) != 0 {
			t.Fatal("a tree grows that nothing can sign")
		}
	}
	id, k = d.generateWith(0, levels(3)...)
	d.signTimes(id, 5*32+4)
	if k.nursery[1] == nil {
		t.Fatal("no tree of level 1 grows")
	}
	d.giveAll(id, k)
	d.signTimes(id, 3)
	if k.nursery[1] != nil || k.nursery[2] == nil {
		t.Errorf("without root leaves %v grow, want a tree of the lowest level alone", k.nursery)
	}
}

// giveAll gives all free root leaves away.
func (d *desk) giveAll(id Identity, k *key) {
	d.t.Helper()
	_, err := d.Give(context.Background(), id, Giving{Transfer: "t", Peer: "peer", Count: k.state.Free.Count(),
		Seal: func([]byte, Spans) ([]byte, []byte, error) { return []byte("capsule"), []byte("proof"), nil }})
	must(d.t, err)
}

// TestThreadsAreFew: however many keys begin a tree, no more grow at a time than
// there are places.
func TestThreadsAreFew(t *testing.T) {
	d := newDesk(t, NewVolatile())
	giveBack := d.noBackground()
	var all []*growing
	for range 20 {
		id, k := d.generateWith(0, setH5W4, setH5W4)
		d.signTimes(id, 5)
		all = append(all, k.nursery[1])
	}
	for _, g := range all {
		if done, _ := g.builder.Progress(); done != 0 {
			t.Error("a tree grows without a place")
		}
	}
	giveBack()
	for _, g := range all {
		<-g.ended
		if done, blocks := g.builder.Progress(); done != blocks {
			t.Errorf("%d of %d blocks are done in the end", done, blocks)
		}
	}
}

// TestQuietSession: in a quiet keystore nobody but the gardener computes trees, and
// whoever waits can give up.
func TestQuietSession(t *testing.T) {
	ks, err := NewQuietSession(slog.New(slog.DiscardHandler))
	must(t, err)
	ks.Unlock(NewMasterKey())
	goOn := quietly.allow(0)
	giveUp, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := ks.Generate(giveUp, Spec{Levels: levels(2)}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Generate without a place: %v", err)
	}
	goOn()
	id, err := ks.Generate(t.Context(), Spec{Levels: levels(2)})
	must(t, err)
	for range 40 {
		_, err := ks.Sign(t.Context(), id, nil)
		must(t, err)
	}
	must(t, ks.Destroy(id))
}

// TestGardenersAreFair: a small tree does not wait for the end of a large one.
func TestGardenersAreFair(t *testing.T) {
	ks, err := NewQuietSession(slog.New(slog.DiscardHandler))
	must(t, err)
	large, err := ks.grow(lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H25, OTS: lms.LMOTS_SHA256_N32_W4}, 0)
	must(t, err)
	small, err := ks.grow(setH5W8, 0)
	must(t, err)
	within, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := small.finish(within, true); err != nil {
		t.Errorf("the small tree: %v", err)
	}
	<-small.ended
	large.discard()
	if done, blocks := large.builder.Progress(); done == blocks {
		t.Errorf("the large tree was done first")
	}
}

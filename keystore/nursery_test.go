package keystore

import (
	"context"
	"testing"
)

// TestNoSignatureWaitsForATree: the next lower tree grows while the present one
// signs, and takes over.
func TestNoSignatureWaitsForATree(t *testing.T) {
	for l := 2; l <= 3; l++ {
		for _, n := range []uint64{0, 3} {
			d := newDesk(t, NewVolatile())
			id := d.generateBatched(l, n)
			k, err := d.key(id)
			must(t, err)
			lowest := l - 1
			for range 31 {
				d.sign(id)
			}
			g := k.nursery[lowest]
			if g == nil {
				t.Fatalf("L=%d: no tree grows though the present one is nearly used up", l)
			}
			if done, blocks := g.builder.Progress(); done < blocks-1 {
				t.Errorf("L=%d: %d of %d blocks are done at the last leaf", l, done, blocks)
			}
			d.sign(id)
			d.sign(id)
			built, err := g.builder.Wait(context.Background())
			must(t, err)
			if k.path[lowest-1].Tree != built {
				t.Errorf("L=%d: the tree that grew was not taken", l)
			}
		}
	}
}

// TestNurseryIsWiped when the key rests, and what grew in it costs no leaf.
func TestNurseryIsWiped(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generate(levels(2)...)
	for range 20 {
		d.sign(id)
	}
	k, err := d.key(id)
	must(t, err)
	g := k.nursery[1]
	if g == nil {
		t.Fatal("no tree grows")
	}
	must(t, d.Lock())
	if len(k.nursery) != 0 || g.helping.Step() {
		t.Error("the tree goes on growing after Lock")
	}
	d.open()
	if got := number(d.sign(id)); got != 20 {
		t.Errorf("signature number %d, want 20", got)
	}
}

// TestNothingGrowsInVain: the last lower tree has no successor.
func TestNothingGrowsInVain(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generate(levels(2)...)
	for range 31 * 32 {
		d.sign(id)
	}
	k, err := d.key(id)
	must(t, err)
	for range 32 {
		d.sign(id)
		if len(k.nursery) != 0 {
			t.Fatal("a tree grows that nothing can sign")
		}
	}
}

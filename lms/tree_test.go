package lms_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/lms"
)

var smallSets = []lms.ParameterSet{
	{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W4},
	{LMS: lms.LMS_SHA256_M24_H10, OTS: lms.LMOTS_SHA256_N24_W2},
	{LMS: lms.LMS_SHAKE_M32_H5, OTS: lms.LMOTS_SHAKE_N32_W2},
}

func seedFor(set lms.ParameterSet) []byte { return bytes.Repeat([]byte{7}, set.N()) }

func newSmall(t *testing.T, set lms.ParameterSet) *lms.Tree {
	t.Helper()
	tree, err := lms.NewTree(t.Context(), set, lms.ID{1}, seedFor(set))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// signatures of every leaf, in the given order.
func signatures(t *testing.T, tree *lms.Tree, set lms.ParameterSet, order []uint32) [][]byte {
	t.Helper()
	all := make([][]byte, set.Leaves())
	for _, q := range order {
		signature, err := tree.SignLeaf(nil, q, make([]byte, set.N()), []byte{byte(q)})
		if err != nil {
			t.Fatal(err)
		}
		all[q] = signature
	}
	return all
}

func upward(set lms.ParameterSet) (order []uint32) {
	for q := range uint32(set.Leaves()) {
		order = append(order, q)
	}
	return order
}

// TestTallTrees: a tree with subtrees below its top signs as one that is all in memory, in any order of the leaves.
func TestTallTrees(t *testing.T) {
	for _, set := range smallSets {
		flat := newSmall(t, set)
		want := signatures(t, flat, set, upward(set))
		downward := upward(set)
		slices.Reverse(downward)
		for _, levels := range []int{1, 3, 4} {
			lms.KeepTop(t, levels)
			tall := newSmall(t, set)
			if !bytes.Equal(tall.PublicKey().Root, flat.PublicKey().Root) {
				t.Fatalf("%v: with a top of %d levels the root is another", set, levels)
			}
			for _, order := range [][]uint32{upward(set), downward} {
				for q, got := range signatures(t, tall, set, order) {
					if !bytes.Equal(got, want[q]) {
						t.Fatalf("%v: with a top of %d levels leaf %d signs otherwise", set, levels, q)
					}
				}
			}
			lms.KeepTop(t, 15)
		}
	}
}

func TestOpenTree(t *testing.T) {
	for _, levels := range []int{3, 15} {
		lms.KeepTop(t, levels)
		for _, set := range smallSets {
			made := newSmall(t, set)
			nodes, root := made.Nodes(), made.PublicKey().Root
			opened, err := lms.OpenTree(set, lms.ID{1}, seedFor(set), root, nodes)
			if err != nil {
				t.Fatal(err)
			}
			want, got := signatures(t, made, set, upward(set)), signatures(t, opened, set, upward(set))
			if !slices.EqualFunc(want, got, bytes.Equal) {
				t.Fatalf("%v: an opened tree signs otherwise", set)
			}
			if err := made.PublicKey().CheckNodes(nodes); err != nil {
				t.Errorf("%v: %v", set, err)
			}
			testOpenTreeRefuses(t, set, root, nodes)
		}
	}
}

func testOpenTreeRefuses(t *testing.T, set lms.ParameterSet, root, nodes []byte) {
	t.Helper()
	altered := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	for name, c := range map[string]struct{ root, nodes []byte }{
		"another root": {altered(root, 0), nodes}, "a node altered": {root, altered(nodes, len(nodes)-1)},
		"too few": {root, nodes[set.N():]}, "none": {root, nil},
	} {
		if _, err := lms.OpenTree(set, lms.ID{1}, seedFor(set), c.root, c.nodes); !errors.Is(err, lms.ErrNodes) {
			t.Errorf("%v: %s: %v, want ErrNodes", set, name, err)
		}
		if err := (lms.PublicKey{Set: set, I: lms.ID{1}, Root: c.root}).CheckNodes(c.nodes); !errors.Is(err, lms.ErrNodes) {
			t.Errorf("%v: CheckNodes: %s: %v, want ErrNodes", set, name, err)
		}
	}
	if _, err := lms.OpenTree(set, lms.ID{1}, altered(seedFor(set), 0), root, nodes); !errors.Is(err, lms.ErrNodes) {
		t.Errorf("%v: another seed: %v, want ErrNodes", set, err)
	}
}

// TestBuilder lets several goroutines take part, cancels and goes on.
func TestBuilder(t *testing.T) {
	for _, levels := range []int{3, 15} {
		lms.KeepTop(t, levels)
		set := smallSets[1]
		b, err := lms.NewBuilder(set, lms.ID{1}, seedFor(set))
		if err != nil {
			t.Fatal(err)
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		b.NewWork().Step()
		if _, err := b.Build(cancelled); !errors.Is(err, context.Canceled) {
			t.Errorf("Build with a cancelled context: %v", err)
		}
		if done, blocks := b.Progress(); done < 1 || done >= blocks {
			t.Errorf("%d of %d blocks after one step", done, blocks)
		}
		var group sync.WaitGroup
		group.Go(func() {
			for w := b.NewWork(); w.Step(); {
			}
		})
		tree, err := b.Build(t.Context())
		group.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if done, blocks := b.Progress(); done != blocks {
			t.Errorf("%d of %d blocks at the end", done, blocks)
		}
		if !bytes.Equal(tree.PublicKey().Root, newSmall(t, set).PublicKey().Root) {
			t.Error("the root is another")
		}
	}
}

// TestNobodyIsWaitedFor: who took a block and does not go on holds nobody up, and does no harm when it comes late.
func TestNobodyIsWaitedFor(t *testing.T) {
	for _, levels := range []int{3, 15} {
		lms.KeepTop(t, levels)
		set := smallSets[1]
		b, err := lms.NewBuilder(set, lms.ID{1}, seedFor(set))
		if err != nil {
			t.Fatal(err)
		}
		late := b.TakeBlock()
		tree, err := b.Build(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		late()
		done, blocks := b.Progress()
		if done != blocks || !bytes.Equal(tree.PublicKey().Root, newSmall(t, set).PublicKey().Root) {
			t.Errorf("%d of %d blocks, or the root is another", done, blocks)
		}
	}
}

// TestDiscard ends a computation under way.
func TestDiscard(t *testing.T) {
	set := smallSets[1]
	seed := seedFor(set)
	b, err := lms.NewBuilder(set, lms.ID{1}, seed)
	if err != nil {
		t.Fatal(err)
	}
	w := b.NewWork()
	if !w.Step() {
		t.Fatal("no first step")
	}
	b.Discard()
	if w.Step() || !bytes.Equal(seed, make([]byte, len(seed))) {
		t.Error("a discarded computation goes on, or its seed is there")
	}
}

// TestComputingAhead: the subtree that signed stays in memory, and the next one comes without being asked for.
func TestComputingAhead(t *testing.T) {
	lms.KeepTop(t, 3)
	set := smallSets[1]
	tree := newSmall(t, set)
	const leaves = 1 << (10 - 3) // of a subtree
	if _, err := tree.SignLeaf(nil, 2*leaves+1, make([]byte, set.N()), nil); err != nil {
		t.Fatal(err)
	}
	if !tree.Kept(2) {
		t.Error("a subtree that signed is not kept")
	}
	for begin := time.Now(); !tree.Kept(3); time.Sleep(time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("the next subtree is not computed")
		}
	}
}

// TestWipeWhileComputingAhead: the next subtree is computed beside the signatures, and nothing of it outlives the seed.
func TestWipeWhileComputingAhead(t *testing.T) {
	lms.KeepTop(t, 3)
	set := smallSets[1]
	for q := range uint32(20) {
		tree := newSmall(t, set)
		if _, err := tree.SignLeaf(nil, q*40, make([]byte, set.N()), nil); err != nil {
			t.Fatal(err)
		}
		tree.Wipe()
		if _, err := tree.SignLeaf(nil, 0, make([]byte, set.N()), nil); err == nil {
			t.Error("a wiped tree signs")
		}
	}
}

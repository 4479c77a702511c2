package keystore

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
)

// TestNodesAreKept: a key opens from its stored nodes, without computing its tree;
// nodes that are missing or wrong cost time alone, and are stored again.
func TestNodesAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	store := newBolt(t, path)
	d := newDesk(t, store)
	id := d.generate(levels(1)...)
	good, err := store.Nodes(id)
	if err != nil || len(good) != 32*32 {
		t.Fatalf("%d bytes of nodes: %v", len(good), err)
	}
	altered := bytes.Clone(good)
	altered[5] ^= 1
	for name, c := range map[string]struct {
		nodes    []byte
		computes bool
	}{"as stored": {good, false}, "altered": {altered, true}, "too short": {good[32:], true}, "missing": {nil, true}} {
		must(t, store.KeepNodes(id, c.nodes))
		d.restart()
		if computed := !opensAtOnce(t, d, id); computed != c.computes {
			t.Errorf("nodes %s: computed again: %t", name, computed)
		}
		d.sign(id)
		if now, err := store.Nodes(id); err != nil || !bytes.Equal(now, good) {
			t.Errorf("nodes %s: they were not stored again: %v", name, err)
		}
	}
	must(t, d.Destroy(id))
	if left, err := store.Nodes(id); err != nil || left != nil {
		t.Errorf("a destroyed key leaves %d bytes of nodes: %v", len(left), err)
	}
}

// opensAtOnce reports whether the root tree is there without computing it: that
// would look at the context.
func opensAtOnce(t *testing.T, d *desk, id Identity) bool {
	t.Helper()
	k, err := d.acquire(id)
	must(t, err)
	defer k.release()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = k.rootTree(cancelled)
	return err == nil
}

// TestReceivedKeyKeepsNodes, as a made one does.
func TestReceivedKeyKeepsNodes(t *testing.T) {
	source := newDesk(t, NewVolatile())
	id, share := shareOf(t, source, levels(1)...)
	store := newBolt(t, filepath.Join(t.TempDir(), "t.db"))
	d := newDesk(t, store)
	_, err := d.Receive(t.Context(), share)
	must(t, err)
	d.restart()
	if !opensAtOnce(t, d, id) {
		t.Error("the tree is computed again")
	}
}

// TestLargeNodes: a store with the nodes of tall trees opens.
func TestLargeNodes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	store := newBolt(t, path)
	large := bytes.Repeat([]byte("node"), 1<<18)
	for i := range 3 {
		must(t, store.KeepNodes(Identity{byte(i)}, large))
	}
	must(t, store.KeepNodes(Identity{1}, nil))
	must(t, store.Close())
	again, err := OpenBolt(path, testSerial)
	must(t, err)
	defer again.Close()
	if nodes, err := again.Nodes(Identity{2}); err != nil || !bytes.Equal(nodes, large) {
		t.Errorf("%d bytes: %v", len(nodes), err)
	}
}

// TestInspectNodes: wrong nodes are no damage, and are told.
func TestInspectNodes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	store := newBolt(t, path)
	d := newDesk(t, store)
	id := d.generate(levels(1)...)
	for _, c := range []struct {
		nodes    []byte
		findings int
	}{{d.keptNodes(id), 0}, {make([]byte, 32*32), 1}, {[]byte("short"), 1}} {
		must(t, store.KeepNodes(id, c.nodes))
		must(t, store.Close())
		in, err := Inspect(path)
		must(t, err)
		if found := in.Keys[0].Findings; len(found) != c.findings || len(found) > 0 && found[0].Severity != Warning {
			t.Errorf("%d bytes of nodes: %v", len(c.nodes), found)
		}
		store, err = OpenBolt(path, testSerial)
		must(t, err)
	}
	must(t, store.Close())
}

package keystore

import (
	"context"
	"fmt"

	"github.com/onceleaf/onceleaf/lms"
)

// openRoot is the root tree of a key with its sealed seed opened: from the nodes
// that the store keeps, or computed anew. It takes the seed.
func (ks *Keystore) openRoot(ctx context.Context, id Identity, public lms.PublicKey, seed []byte) (*tree, error) {
	if nodes := ks.keptNodes(id); nodes != nil {
		opened, err := lms.OpenTree(public.Set, public.I, seed, public.Root, nodes)
		if err == nil {
			return &tree{Tree: opened, public: public, seed: seed}, nil
		}
		ks.log.Warn("the stored nodes of a key are of no use; its tree is computed again", "key", id, "error", err)
	}
	root, err := rebuild(ctx, public, seed)
	if err != nil {
		return nil, fmt.Errorf("couldn't rebuild the root tree of key %s: %w", id, err)
	}
	ks.keepNodes(id, root.Nodes())
	return root, nil
}

// keptNodes are the stored nodes of a key, or nil.
func (ks *Keystore) keptNodes(id Identity) []byte {
	store, ok := ks.store.(NodeStore)
	if !ok {
		return nil
	}
	nodes, err := store.Nodes(id)
	if err != nil {
		ks.log.Warn("the stored nodes of a key cannot be read; its tree is computed again", "key", id, "error", err)
	}
	return nodes
}

// keepNodes keeps the nodes of a root tree if it can; nil drops them. A key does
// not need them.
func (ks *Keystore) keepNodes(id Identity, nodes []byte) {
	store, ok := ks.store.(NodeStore)
	if !ok {
		return
	}
	if err := store.KeepNodes(id, nodes); err != nil {
		ks.log.Warn("couldn't store the nodes of a key; it will open more slowly", "key", id, "error", err)
	}
}

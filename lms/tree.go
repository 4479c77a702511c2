package lms

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// maxTop is the number of levels below the root that a Tree keeps in memory, if it has so many.
// A variable for the tests.
var maxTop = 15

// Tree is one LMS private key, I and SEED, with the top of its tree in memory: the nodes down to 15 levels below the
// root, at most 2n * 2^15 bytes, which is 2 MiB. Of a taller tree it computes the subtrees that it signs with when they
// are needed, and the next one ahead. A Tree does not know which of its leaves were used. It is safe for concurrent use.
type Tree struct {
	set       ParameterSet
	id        ID
	topHeight int    // of the part in memory, the top
	top       []byte // T[r] of RFC 8554 section 5.3 at r*n, for 1 <= r < 2^(topHeight+1); public

	mu   sync.RWMutex // guards seed
	seed []byte       // SEED of RFC 8554 appendix A, n bytes; nil after Wipe

	below subtrees
}

var (
	errWiped = errors.New("lms: tree was wiped")

	// ErrNodes says that stored nodes are not those of the tree.
	ErrNodes = errors.New("lms: the nodes are not those of the tree")
)

// newTree is a Tree whose nodes are still to be computed.
func newTree(set ParameterSet, id ID, seed []byte) (*Tree, error) {
	if err := set.Valid(); err != nil {
		return nil, err
	}
	if len(seed) != set.N() {
		return nil, fmt.Errorf("%w: seed of %d bytes, want %d", ErrParameters, len(seed), set.N())
	}
	height := min(set.Height(), maxTop)
	return &Tree{set: set, id: id, topHeight: height, top: make([]byte, 2*set.N()<<height), seed: seed}, nil
}

// subtreeHeight is the height of the subtrees below the top: 5 for H20, 10 for H25, and 0 for trees that are all top.
func (t *Tree) subtreeHeight() int { return t.set.Height() - t.topHeight }

// NewTree computes the tree of the LMS private key (id, seed) on all cores (RFC 8554 section 5.2, algorithm 5, with the
// one-time keys of appendix A). seed has n bytes and must be secret and fit for a key. The Tree keeps the slice itself,
// so that the caller can choose the memory a secret lives in; nobody else may touch it before Wipe, which zeroes it.
// Errors: ErrParameters, or that of ctx, which NewTree looks at every few leaves; seed is the caller's again then.
func NewTree(ctx context.Context, set ParameterSet, id ID, seed []byte) (*Tree, error) {
	b, err := NewBuilder(set, id, seed)
	if err != nil {
		return nil, err
	}
	return b.Build(ctx)
}

// OpenTree is the Tree of which Nodes gave nodes, in a fraction of the time of NewTree. root is its T[1], as the public
// key has it; it vouches for the nodes. The first leaf or subtree is computed, so that another seed is noticed. Errors: ErrParameters,
// ErrNodes; seed is the caller's again then.
func OpenTree(set ParameterSet, id ID, seed, root, nodes []byte) (*Tree, error) {
	t, err := newTree(set, id, seed)
	if err != nil {
		return nil, err
	}
	if err := t.adopt(nodes, root); err != nil {
		return nil, err
	}
	if err := t.checkSeed(); err != nil {
		return nil, err
	}
	return t, nil
}

// CheckNodes returns ErrNodes unless nodes are what Nodes gives for the tree of k.
func (k PublicKey) CheckNodes(nodes []byte) error {
	if err := k.check(); err != nil {
		return err
	}
	t, err := newTree(k.Set, k.I, make([]byte, k.Set.N()))
	if err != nil {
		return err
	}
	return t.adopt(nodes, k.Root)
}

// adopt takes stored nodes for the top if they give the root.
func (t *Tree) adopt(nodes, root []byte) error {
	if len(nodes) != len(t.bottom()) {
		return fmt.Errorf("%w: %d bytes, want %d", ErrNodes, len(nodes), len(t.bottom()))
	}
	copy(t.bottom(), nodes)
	raise(newHasher(t.set, t.id), t.set.N(), 1, t.topHeight, t.top)
	if !bytes.Equal(t.node(1), root) {
		return fmt.Errorf("%w: they give another root", ErrNodes)
	}
	return nil
}

// checkSeed compares the first node of the lowest level of the top, leaf 0 or the first subtree, with what the seed gives.
func (t *Tree) checkSeed() error {
	if t.subtreeHeight() > 0 {
		_, err := t.computed(0)
		return err
	}
	leaf := make([]byte, t.set.N())
	t.newBench().leaves(t.seed, 0, leaf)
	if !bytes.Equal(leaf, t.node(1<<t.topHeight)) {
		return fmt.Errorf("%w: the seed gives another first leaf", ErrNodes)
	}
	return nil
}

// Nodes returns what OpenTree needs to make t again: the lowest nodes of the top, n * 2^15 bytes or n * 2^h. They are
// public.
func (t *Tree) Nodes() []byte { return bytes.Clone(t.bottom()) }

// bottom are the nodes of the lowest level of the top.
func (t *Tree) bottom() []byte { return t.top[len(t.top)/2:] }

// node returns T[r] of the top.
func (t *Tree) node(r int) []byte {
	n := t.set.N()
	return t.top[r*n : (r+1)*n]
}

// PublicKey returns the public key of t.
func (t *Tree) PublicKey() PublicKey {
	return PublicKey{Set: t.set, I: t.id, Root: bytes.Clone(t.node(1))}
}

// SignLeaf appends the LMS signature of message with leaf q (RFC 8554 section 5.4.1), SignatureSize bytes, to sig.
// randomizer is C: n bytes, fresh and unpredictable for each signature.
//
// SignLeaf is STATELESS: it will sign as often as it is called. Two signatures of different messages with one leaf let
// anyone forge, so q must never have been used before, in this process or any other. Only package keystore, which
// answers for that, may call it. Errors: ErrParameters, ErrNodes, or that the tree was wiped.
func (t *Tree) SignLeaf(sig []byte, q uint32, randomizer, message []byte) ([]byte, error) {
	if uint64(q) >= t.set.Leaves() {
		return nil, fmt.Errorf("%w: leaf %d of a tree with %d", ErrParameters, q, t.set.Leaves())
	}
	if len(randomizer) != t.set.N() {
		return nil, fmt.Errorf("%w: randomizer of %d bytes, want %d", ErrParameters, len(randomizer), t.set.N())
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.seed == nil {
		return nil, errWiped
	}
	sig = slices.Grow(sig, t.set.SignatureSize())
	sig = binary.BigEndian.AppendUint32(sig, q)
	sig = appendOTSSignature(sig, newHasher(t.set, t.id), t.set.OTS, t.seed, q, randomizer, message)
	sig = binary.BigEndian.AppendUint32(sig, uint32(t.set.LMS))
	return t.appendPath(sig, q)
}

// appendPath appends the siblings of the nodes from leaf q up to the root. The caller holds mu.
func (t *Tree) appendPath(sig []byte, q uint32) ([]byte, error) {
	height, n := t.subtreeHeight(), t.set.N()
	r := 1<<t.topHeight + int(q>>height)
	if height > 0 {
		nodes, err := t.subtree(q >> height)
		if err != nil {
			return nil, err
		}
		for local := 1<<height + int(q)&(1<<height-1); local > 1; local /= 2 {
			sig = append(sig, nodes[(local^1)*n:(local^1+1)*n]...)
		}
	}
	for ; r > 1; r /= 2 {
		sig = append(sig, t.node(r^1)...)
	}
	return sig, nil
}

// Wipe zeroes the seed, after the signatures under way. SignLeaf fails from then on; PublicKey still works.
func (t *Tree) Wipe() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.seed)
	t.seed = nil
}

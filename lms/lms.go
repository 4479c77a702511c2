package lms

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// ID is I, the 16-byte identifier of an LMS key pair (RFC 8554 section 5.3). It is public and should be random.
type ID [16]byte

// Tree is one LMS private key, I and SEED, with all nodes of its tree in memory: 2n * 2^h bytes, which is 64 KiB for H10
// and 2 GiB for H25 (n = 32). A Tree does not know which of its leaves were used. It is safe for concurrent use.
type Tree struct {
	set   ParameterSet
	id    ID
	nodes []byte // T[r] of RFC 8554 section 5.3 at r*n, for 1 <= r < 2^(h+1); public

	mu   sync.RWMutex // guards seed
	seed []byte       // SEED of RFC 8554 appendix A, n bytes; nil after Wipe
}

var errWiped = errors.New("lms: tree was wiped")

// NewTree computes the tree of the LMS private key (id, seed) on all cores (RFC 8554 section 5.2, algorithm 5, with the
// one-time keys of appendix A). seed has n bytes and must be secret and fit for a key. The Tree keeps the slice itself,
// so that the caller can choose the memory a secret lives in; nobody else may touch it before Wipe, which zeroes it.
// Errors: ErrParameters, or that of ctx, which NewTree looks at every few leaves; seed is the caller's again then.
func NewTree(ctx context.Context, set ParameterSet, id ID, seed []byte) (*Tree, error) {
	if err := set.Valid(); err != nil {
		return nil, err
	}
	if len(seed) != set.N() {
		return nil, fmt.Errorf("%w: seed of %d bytes, want %d", ErrParameters, len(seed), set.N())
	}
	t := &Tree{set: set, id: id, nodes: make([]byte, 2*set.Leaves()*uint64(set.N())), seed: seed}
	if err := t.compute(ctx); err != nil {
		return nil, fmt.Errorf("couldn't compute the tree: %w", err)
	}
	return t, nil
}

// compute fills in the nodes, leaves first, then level by level up to the root.
func (t *Tree) compute(ctx context.Context) error {
	leaves := 1 << t.set.Height()
	err := inBlocks(ctx, leaves, leavesPerBlock, t.leafWorker)
	for first := leaves / 2; first >= 1 && err == nil; first /= 2 {
		err = inBlocks(ctx, first, nodesPerBlock, func() func(from, to int) { return t.innerWorker(first) })
	}
	return err
}

// A block is what a worker takes at a time. It is large enough that a hasher of many lanes finds work for them (8 leaves
// have at least 208 chains), and small enough that H5 keeps four cores busy and that a cancelled context is noticed at
// once, by the measure of people.
const (
	leavesPerBlock = 8
	nodesPerBlock  = 1024
)

// leafWorker returns a function that computes the leaves with from <= q < to, for one goroutine.
func (t *Tree) leafWorker() func(from, to int) {
	o, h := t.set.OTS.params(), newHasher(t.set, t.id)
	scratch := otsScratch{values: make([]byte, leavesPerBlock*o.p*o.n)}
	var leaves []node
	return func(from, to int) {
		first := 1<<t.set.Height() + from
		out := t.nodes[first*o.n : (first+to-from)*o.n]
		scratch.publicKeys(h, o, t.seed, uint32(from), out)
		leaves = leaves[:0]
		for r := first; r < first+to-from; r++ {
			leaves = append(leaves, node{r: uint32(r), d: dLEAF, data: t.node(r), out: t.node(r)})
		}
		h.nodes(leaves)
	}
}

// innerWorker returns a function that computes the nodes with first+from <= r < first+to from their children, for one
// goroutine.
func (t *Tree) innerWorker(first int) func(from, to int) {
	n, h := t.set.N(), newHasher(t.set, t.id)
	var batch []node
	return func(from, to int) {
		batch = batch[:0]
		for r := first + from; r < first+to; r++ {
			children := t.nodes[2*r*n : (2*r+2)*n]
			batch = append(batch, node{r: uint32(r), d: dINTR, data: children, out: t.node(r)})
		}
		h.nodes(batch)
	}
}

// node returns T[r].
func (t *Tree) node(r int) []byte {
	n := t.set.N()
	return t.nodes[r*n : (r+1)*n]
}

// inBlocks covers 0 <= k < count with disjoint blocks [from, to) on all cores. Each goroutine makes one worker. It stops
// at the next block once ctx is done and returns the error of ctx.
func inBlocks(ctx context.Context, count, block int, newWorker func() func(from, to int)) error {
	var next atomic.Int64
	work := func() {
		worker := newWorker()
		for ctx.Err() == nil {
			to := int(next.Add(int64(block)))
			if to-block >= count {
				return
			}
			worker(to-block, min(to, count))
		}
	}
	var group sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), (count+block-1)/block) - 1 {
		group.Go(work)
	}
	work()
	group.Wait()
	return ctx.Err()
}

// PublicKey returns the public key of t.
func (t *Tree) PublicKey() PublicKey {
	return PublicKey{Set: t.set, I: t.id, Root: bytes.Clone(t.node(1))}
}

// SignLeaf returns the LMS signature of message with leaf q (RFC 8554 section 5.4.1), SignatureSize bytes. randomizer is
// C: n bytes, fresh and unpredictable for each signature.
//
// SignLeaf is STATELESS: it will sign as often as it is called. Two signatures of different messages with one leaf let
// anyone forge, so q must never have been used before, in this process or any other. Only package keystore, which
// answers for that, may call it. Errors: ErrParameters, or that the tree was wiped.
func (t *Tree) SignLeaf(q uint32, randomizer, message []byte) ([]byte, error) {
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
	sig := make([]byte, 0, t.set.SignatureSize())
	sig = binary.BigEndian.AppendUint32(sig, q)
	sig = appendOTSSignature(sig, newHasher(t.set, t.id), t.set.OTS, t.seed, q, randomizer, message)
	sig = binary.BigEndian.AppendUint32(sig, uint32(t.set.LMS))
	for r := 1<<t.set.Height() + int(q); r > 1; r /= 2 {
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

// PublicKey is an LMS public key (RFC 8554 section 5.3):
//
//	u32str(LMS type) || u32str(LM-OTS type) || I (16 bytes) || T[1] (n bytes)
type PublicKey struct {
	Set  ParameterSet
	I    ID
	Root []byte // T[1], n bytes
}

// publicKeyHead is the length in bytes of what precedes T[1].
const publicKeyHead = 4 + 4 + 16

// ParsePublicKey reads an LMS public key that fills b. Its error is ErrEncoding, and ErrParameters too if the types are
// the reason (RFC 8554 algorithm 6, steps 1 and 2).
func ParsePublicKey(b []byte) (PublicKey, error) {
	k, rest, err := cutPublicKey(b)
	if err == nil && len(rest) != 0 {
		err = fmt.Errorf("%w: %d bytes after an LMS public key", ErrEncoding, len(rest))
	}
	if err != nil {
		return PublicKey{}, err
	}
	return k, nil
}

// cutPublicKey reads the LMS public key that b begins with and returns what follows it.
func cutPublicKey(b []byte) (k PublicKey, rest []byte, err error) {
	if len(b) < publicKeyHead {
		return k, nil, fmt.Errorf("%w: LMS public key of %d bytes", ErrEncoding, len(b))
	}
	k.Set = ParameterSet{Type(binary.BigEndian.Uint32(b)), OTSType(binary.BigEndian.Uint32(b[4:]))}
	if err := k.Set.Valid(); err != nil {
		return k, nil, fmt.Errorf("%w: LMS public key: %w", ErrEncoding, err)
	}
	size := k.Set.PublicKeySize()
	if len(b) < size {
		return k, nil, fmt.Errorf("%w: LMS public key of %d bytes, want %d", ErrEncoding, len(b), size)
	}
	copy(k.I[:], b[8:])
	k.Root = bytes.Clone(b[publicKeyHead:size])
	return k, b[size:], nil
}

// Bytes returns the encoding of k.
func (k PublicKey) Bytes() []byte {
	b := make([]byte, 0, publicKeyHead+len(k.Root))
	b = binary.BigEndian.AppendUint32(b, uint32(k.Set.LMS))
	b = binary.BigEndian.AppendUint32(b, uint32(k.Set.OTS))
	b = append(b, k.I[:]...)
	return append(b, k.Root...)
}

// signature is an LMS signature (RFC 8554 section 5.4), taken apart without copying:
//
//	u32str(q) || u32str(LM-OTS type) || C || y[0..p-1] || u32str(LMS type) || path[0..h-1]
type signature struct {
	set  ParameterSet
	q    uint32
	ots  []byte // C || y[0..p-1]
	path []byte // h nodes of n bytes, from the leaf's sibling up
}

// cutSignature reads the LMS signature that b begins with and returns what follows it.
func cutSignature(b []byte) (s signature, rest []byte, err error) {
	if len(b) < 8 {
		return s, nil, fmt.Errorf("%w: LMS signature of %d bytes", ErrEncoding, len(b))
	}
	s.q, s.set.OTS = binary.BigEndian.Uint32(b), OTSType(binary.BigEndian.Uint32(b[4:]))
	typeAt := 4 + s.set.otsSignatureSize() // the LMS type follows the LM-OTS signature
	if len(b) < typeAt+4 {
		return s, nil, fmt.Errorf("%w: LMS signature of %d bytes with %v", ErrEncoding, len(b), s.set.OTS)
	}
	s.set.LMS = Type(binary.BigEndian.Uint32(b[typeAt:]))
	if err := s.set.Valid(); err != nil {
		return s, nil, fmt.Errorf("%w: LMS signature: %w", ErrEncoding, err)
	}
	size := s.set.SignatureSize()
	if len(b) < size {
		return s, nil, fmt.Errorf("%w: LMS signature of %d bytes, want %d", ErrEncoding, len(b), size)
	}
	if uint64(s.q) >= s.set.Leaves() {
		return s, nil, fmt.Errorf("%w: leaf %d in a signature of %v", ErrEncoding, s.q, s.set.LMS)
	}
	s.ots, s.path = b[8:typeAt], b[typeAt+4:size]
	return s, b[size:], nil
}

// Verify returns nil if sig is an LMS signature of message under k (RFC 8554 section 5.4.2, algorithm 6), ErrEncoding if
// it is no LMS signature at all, and else ErrSignature, also for one with other types than those of k. A key that did not
// come from a parser or a Tree may be ErrParameters.
func (k PublicKey) Verify(message, sig []byte) error {
	if err := k.check(); err != nil {
		return err
	}
	s, rest, err := cutSignature(sig)
	if err != nil {
		return err
	}
	if len(rest) != 0 {
		return fmt.Errorf("%w: %d bytes after an LMS signature", ErrEncoding, len(rest))
	}
	if s.set != k.Set {
		return fmt.Errorf("%w: %v under a key of %v", ErrSignature, s.set, k.Set)
	}
	if !bytes.Equal(s.candidate(k.I, message), k.Root) {
		return ErrSignature
	}
	return nil
}

// check returns ErrParameters if k is no LMS public key.
func (k PublicKey) check() error {
	if err := k.Set.Valid(); err != nil {
		return err
	}
	if len(k.Root) != k.Set.N() {
		return fmt.Errorf("%w: root of %d bytes, want %d", ErrParameters, len(k.Root), k.Set.N())
	}
	return nil
}

// candidate returns Tc, which is T[1] if s is a signature of message (RFC 8554 algorithm 6a, step 3 and 4).
func (s signature) candidate(id ID, message []byte) []byte {
	h, n := newHasher(s.set, id), s.set.N()
	tmp := otsCandidate(h, s.set.OTS.params(), s.q, s.ots, message)
	r := uint32(1)<<s.set.Height() + s.q
	h.nodes([]node{{r: r, d: dLEAF, data: tmp, out: tmp}})
	for path := s.path; r > 1; r, path = r/2, path[n:] {
		left, right := tmp, path[:n]
		if r%2 == 1 {
			left, right = right, left
		}
		children := append(append(make([]byte, 0, 2*maxN), left...), right...)
		h.nodes([]node{{r: r / 2, d: dINTR, data: children, out: tmp}})
	}
	return tmp
}

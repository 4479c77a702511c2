// Package sha256mb computes the many short hashes of LM-OTS chains and LMS trees (RFC 8554, RFC 9858) side by side, with
// SHA-256 or SHAKE256, in the lanes of the processor's vector registers. Where there are none that it knows, and without
// cgo, it computes the same one by one.
package sha256mb

import (
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"fmt"
	"hash"
)

// Hash is one of the two hash functions.
type Hash int

const (
	SHA256   Hash = iota // cut to its first n bytes
	SHAKE256             // with n bytes of output
)

func (h Hash) String() string { return [...]string{"SHA-256", "SHAKE256"}[h] }

// Chain says which steps of a Winternitz chain to go: its value becomes H(I || u32str(Q) || u16str(I) || u8str(j) || value)
// for j = From, ..., To-1 (RFC 8554 algorithms 1, 3, 4b and appendix A). Steps are numbered on after 255, and j is the
// number modulo 256: so one Chain can derive its first value from a seed, with j = 255, and go on from there with j = 0.
type Chain struct {
	Q           uint32
	I, From, To uint16 // From <= To, and less than 512 steps
	next        uint16 // of the kernels
}

// SeedStep is the number of the step that derives a chain's first value from a seed (RFC 8554 appendix A).
const SeedStep = 255

const (
	idSize     = 16
	prefixSize = idSize + 4 + 2 // and q or r, i or D, in bytes
	chainSize  = prefixSize + 1 // and the step number j, in bytes
	maxN       = 32             // longest value in bytes
	maxSteps   = 511            // of a chain
	maxChains  = 1<<16 - 1      // of a batch
)

// Hasher computes hashes of one tree, with its I and n. It is for one goroutine.
type Hasher struct {
	n     int // bytes of a value
	id    [idSize]byte
	lanes lanes
	shake *sha3.SHAKE // reused; nil for SHA-256
	long  hash.Hash   // SHA-256 of what does not fit into input; made when it is needed, reused
	input [prefixSize + 2*maxN]byte
}

// New returns a Hasher for the tree id with values of n bytes, 24 or 32.
func (k Kernel) New(id [16]byte, n int) *Hasher {
	h := &Hasher{n: n, id: id, lanes: lanes{kernel: k.kernel}}
	if k.Hash == SHAKE256 {
		h.shake = sha3.NewSHAKE256()
	}
	return h
}

// Chains goes the steps of all chains of batch, fewer than 65,536. The value of batch[k] is the n bytes of values from k*n
// on. From becomes To. With a seed, n bytes, all chains are From SeedStep and begin with it, not with their values; it is
// copied to no place that is not wiped afterwards. Without one it is nil.
func (h *Hasher) Chains(batch []Chain, seed, values []byte) {
	if len(values) != len(batch)*h.n || len(batch) > maxChains || seed != nil && len(seed) != h.n {
		panic(fmt.Sprintf("sha256mb: %d bytes and a seed of %d are no values of %d chains", len(values), len(seed), len(batch)))
	}
	for k := range batch {
		if c := &batch[k]; c.From > c.To || c.To-c.From > maxSteps || seed != nil && c.From != SeedStep {
			panic(fmt.Sprintf("sha256mb: chain from %d to %d", c.From, c.To))
		}
	}
	if h.lanes.usable() && len(batch) > 0 {
		h.lanes.chains(&h.id, h.n, batch, seed, values)
		return
	}
	for k := range batch {
		h.oneChain(&batch[k], seed, values[k*h.n:(k+1)*h.n])
	}
	clear(h.input[:]) // may hold the start of a chain
	if h.shake != nil {
		h.shake.Reset()
	}
}

// oneChain is a chain without lanes.
func (h *Hasher) oneChain(c *Chain, seed, value []byte) {
	if c.From == c.To {
		return
	}
	input := h.input[:chainSize+h.n]
	h.putPrefix(c.Q, c.I)
	if seed == nil {
		seed = value
	}
	copy(input[chainSize:], seed)
	for ; c.From < c.To; c.From++ {
		input[prefixSize] = byte(c.From)
		if h.shake == nil {
			sum := sha256.Sum256(input)
			copy(input[chainSize:], sum[:])
			continue
		}
		h.shake.Reset()
		h.shake.Write(input)
		h.shake.Read(input[chainSize:])
	}
	copy(value, input[chainSize:])
}

// Nodes writes H(I || u32str(first + k) || u16str(d) || data[k]) to out[k], where out is n bytes per node, and data, which has as
// many parts, any number of bytes per node. So are LM-OTS public keys made (RFC 8554 algorithm 1) and the nodes of a tree
// (section 5.3). out may be data.
func (h *Hasher) Nodes(first uint32, d uint16, data, out []byte) {
	count := len(out) / h.n
	if len(out) != count*h.n || count > 0 && len(data)%count != 0 || count == 0 && len(data) > 0 {
		panic(fmt.Sprintf("sha256mb: %d bytes of data for %d bytes of nodes", len(data), len(out)))
	}
	if h.lanes.usable() && count > 1 && len(data) > 0 {
		h.lanes.nodes(&h.id, h.n, first, d, data, out)
		return
	}
	for k := range count {
		size := len(data) / count
		h.Sum(out[k*h.n:(k+1)*h.n], first+uint32(k), d, data[k*size:(k+1)*size], nil)
	}
}

// Sum writes H(I || u32str(number) || u16str(d) || a || b) to out, n bytes. out may be a or b.
func (h *Hasher) Sum(out []byte, number uint32, d uint16, a, b []byte) {
	h.putPrefix(number, d)
	if h.shake != nil {
		h.shake.Reset()
		h.shake.Write(h.input[:prefixSize])
		h.shake.Write(a)
		h.shake.Write(b)
		h.shake.Read(out[:h.n])
		return
	}
	if prefixSize+len(a)+len(b) <= len(h.input) {
		used := prefixSize + copy(h.input[prefixSize:], a)
		used += copy(h.input[used:], b)
		sum := sha256.Sum256(h.input[:used])
		copy(out[:h.n], sum[:])
		return
	}
	if h.long == nil {
		h.long = sha256.New()
	}
	h.long.Reset()
	h.long.Write(h.input[:prefixSize])
	h.long.Write(a)
	h.long.Write(b)
	copy(out[:h.n], h.long.Sum(h.input[:0]))
}

// putPrefix writes the 22 bytes that all hashes begin with.
func (h *Hasher) putPrefix(number uint32, d uint16) {
	copy(h.input[:], h.id[:])
	binary.BigEndian.PutUint32(h.input[16:], number)
	binary.BigEndian.PutUint16(h.input[20:], d)
}

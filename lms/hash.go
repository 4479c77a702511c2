package lms

import (
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"hash"
)

// Every hash of RFC 8554 begins with the tree's I, a 32-bit number (q or r) and a 16-bit number that is the chain number
// i or one of these domain separators (sections 4.3, 4.5, 5.3). p is far below 0x8080, so the two never meet.
const (
	dPBLC = 0x8080 // LM-OTS public key
	dMESG = 0x8181 // message
	dLEAF = 0x8282 // leaf of the tree
	dINTR = 0x8383 // inner node of the tree
)

const (
	prefixSize = 16 + 4 + 2     // I, q or r, i or D, in bytes
	chainSize  = prefixSize + 1 // and the step number j, in bytes
	maxN       = 32             // longest hash value in bytes
)

// seedStep is the step number with which appendix A derives a chain's first value from SEED: the derivation is a chain
// from seedStep to seedStep+1. The steps of a signature end at 2^w - 2, one short of it.
const seedStep = 0xff

// chain is a piece of one Winternitz chain: value becomes H(I || u32str(q) || u16str(i) || u8str(j) || value) for
// j = from, ..., to-1 (RFC 8554 algorithms 1, 3, 4b and appendix A).
type chain struct {
	q        uint32
	i        uint16
	from, to uint16
	value    []byte // n bytes, replaced
}

// node is one hash out = H(I || u32str(r) || u16str(d) || data): a node of the tree (RFC 8554 section 5.3) or, with q in
// the place of r, an LM-OTS public key (algorithm 1).
type node struct {
	r    uint32
	d    uint16
	data []byte
	out  []byte // n bytes; may be the bytes of data
}

// hasher is the hash function H of one tree, with its I and n. The members of a batch are independent of each other, so
// that a hasher may work on many at once and in any order; the rest of the package hands over batches as large as it
// can and does not know which hasher it has. One hasher is for one goroutine.
type hasher interface {
	chains(batch []chain)
	nodes(batch []node)
	// message computes Q = H(I || u32str(q) || u16str(D_MESG) || C || message) (RFC 8554 algorithms 3 and 4b).
	message(q uint32, c, message []byte) []byte
}

// newHasher is the one place that chooses an implementation. set must be valid.
func newHasher(set ParameterSet, id ID) hasher {
	if set.OTS.params().hash == shake256Hash {
		return &shakeHasher{n: set.N(), id: id, shake: sha3.NewSHAKE256()}
	}
	return &sha256Hasher{n: set.N(), id: id, long: sha256.New()}
}

// putPrefix writes the 22 bytes that all hashes begin with.
func putPrefix(b []byte, id *ID, number uint32, d uint16) {
	copy(b, id[:])
	binary.BigEndian.PutUint32(b[16:], number)
	binary.BigEndian.PutUint16(b[20:], d)
}

// sha256Hasher is SHA-256, cut to its first n bytes (for n = 24: SHA-256/192 of RFC 9858).
type sha256Hasher struct {
	n      int
	id     ID
	long   hash.Hash // for what does not fit one block; reused
	prefix [prefixSize]byte
	sum    [sha256.Size]byte
}

func (h *sha256Hasher) chains(batch []chain) {
	var block [chainSize + maxN]byte // one compression with its padding
	input, value := block[:chainSize+h.n], block[chainSize:chainSize+h.n]
	for _, c := range batch {
		putPrefix(input, &h.id, c.q, c.i)
		copy(value, c.value)
		for j := c.from; j < c.to; j++ {
			input[prefixSize] = byte(j)
			sum := sha256.Sum256(input)
			copy(value, sum[:])
		}
		copy(c.value, value)
	}
	clear(block[:]) // may hold the start of a chain
}

func (h *sha256Hasher) nodes(batch []node) {
	for _, v := range batch {
		copy(v.out, h.concat(v.r, v.d, v.data, nil)[:h.n])
	}
}

func (h *sha256Hasher) message(q uint32, c, message []byte) []byte {
	return append([]byte(nil), h.concat(q, dMESG, c, message)[:h.n]...)
}

// concat hashes the prefix, a and b. The result is overwritten by the next call.
func (h *sha256Hasher) concat(number uint32, d uint16, a, b []byte) []byte {
	putPrefix(h.prefix[:], &h.id, number, d)
	h.long.Reset()
	h.long.Write(h.prefix[:])
	h.long.Write(a)
	h.long.Write(b)
	return h.long.Sum(h.sum[:0])
}

// shakeHasher is SHAKE256 with n bytes of output (SHAKE256/256 and SHAKE256/192 of RFC 9858).
type shakeHasher struct {
	n     int
	id    ID
	shake *sha3.SHAKE // reused
	input [chainSize + maxN]byte
}

func (h *shakeHasher) chains(batch []chain) {
	input, value := h.input[:chainSize+h.n], h.input[chainSize:chainSize+h.n]
	for _, c := range batch {
		putPrefix(input, &h.id, c.q, c.i)
		copy(value, c.value)
		for j := c.from; j < c.to; j++ {
			input[prefixSize] = byte(j)
			h.shake.Reset()
			h.shake.Write(input)
			h.shake.Read(value)
		}
		copy(c.value, value)
	}
	clear(h.input[:]) // may hold the start of a chain
	h.shake.Reset()
}

func (h *shakeHasher) nodes(batch []node) {
	for _, v := range batch {
		h.concat(v.out, v.r, v.d, v.data, nil)
	}
}

func (h *shakeHasher) message(q uint32, c, message []byte) []byte {
	sum := make([]byte, h.n)
	h.concat(sum, q, dMESG, c, message)
	return sum
}

// concat hashes the prefix, a and b to n bytes of out.
func (h *shakeHasher) concat(out []byte, number uint32, d uint16, a, b []byte) {
	putPrefix(h.input[:], &h.id, number, d)
	h.shake.Reset()
	h.shake.Write(h.input[:prefixSize])
	h.shake.Write(a)
	h.shake.Write(b)
	h.shake.Read(out[:h.n])
}

package lms

import "github.com/onceleaf/onceleaf/internal/sha256mb"

// Every hash of RFC 8554 begins with the tree's I, a 32-bit number (q or r) and a 16-bit number that is the chain number
// i or one of these domain separators (sections 4.3, 4.5, 5.3). p is far below 0x8080, so the two never meet.
const (
	dPBLC = 0x8080 // LM-OTS public key
	dMESG = 0x8181 // message
	dLEAF = 0x8282 // leaf of the tree
	dINTR = 0x8383 // inner node of the tree
)

const maxN = 32 // longest hash value in bytes

// The steps of a signature have the numbers j = 0 to 2^w - 2. Appendix A derives a chain's first value from SEED with
// j = 0xff. A chain's steps are numbered modulo 256, so that the derivation, sha256mb.SeedStep, comes right before
// firstStep.
const firstStep = sha256mb.SeedStep + 1

// maxP is the largest number of chains, p of LMOTS_SHA256_N32_W1.
const maxP = 265

// chain is a piece of one Winternitz chain.
type chain = sha256mb.Chain

// hasher is the hash function H of one tree, with its I and n. The members of a batch are independent of each other, so
// that a hasher may work on many at once and in any order; the rest of the package hands over batches as large as it
// can and does not know which kernel it has. One hasher is for one goroutine.
type hasher struct{ *sha256mb.Hasher }

// kernelFor is a variable for the tests, which try every kernel.
var kernelFor = sha256mb.Fastest

// newHasher is the one place that chooses an implementation. set must be valid.
func newHasher(set ParameterSet, id ID) hasher {
	kernel := kernelFor(sha256mb.SHA256)
	if set.OTS.params().hash == shake256Hash {
		kernel = kernelFor(sha256mb.SHAKE256)
	}
	return hasher{kernel.New(id, set.N())}
}

// message writes Q = H(I || u32str(q) || u16str(D_MESG) || C || message) to out, n bytes (RFC 8554 algorithms 3 and 4b).
func (h hasher) message(out []byte, q uint32, c, message []byte) {
	h.Sum(out, q, dMESG, c, message)
}

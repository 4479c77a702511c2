package lms

import (
	"encoding/binary"
	"sync"

	"github.com/onceleaf/onceleaf/internal/sha256mb"
)

// maxDigits is the most w-bit digits of a hash value and its checksum: 32 bytes and 2, and w = 1.
const maxDigits = 8 * (maxN + 2)

// appendDigits appends the w-bit digits coef(s, 0, w), coef(s, 1, w), ... of all of s (RFC 8554 section 3.1.3).
func appendDigits(digits []uint16, s []byte, w int) []uint16 {
	for _, b := range s {
		for shift := 8 - w; shift >= 0; shift -= w {
			digits = append(digits, uint16(b)>>shift&(1<<w-1))
		}
	}
	return digits
}

// appendCoefficients appends the p digits of q || Cksm(q) (RFC 8554 section 4.4, algorithm 2): how far a signature goes
// along each chain. Who raises one digit of q has to lower one of the checksum.
func appendCoefficients(digits []uint16, q []byte, o *otsParams) []uint16 {
	digits = appendDigits(digits, q, o.w)
	var sum uint16
	for _, digit := range digits {
		sum += 1<<o.w - 1 - digit
	}
	var cksm [2]byte
	binary.BigEndian.PutUint16(cksm[:], sum<<o.ls)
	return appendDigits(digits, cksm[:], o.w)[:o.p]
}

// otsScratch is the memory that one worker of key generation uses again and again.
type otsScratch struct {
	values []byte // leaves * p * n bytes
	batch  []chain
}

// publicKeys writes the LM-OTS public keys K of the leaves q, q+1, ... into out, n bytes each (RFC 8554 section 4.3,
// algorithm 1). values has the public ends of their chains in the end, and what comes before them on the way.
func (s *otsScratch) publicKeys(h hasher, o *otsParams, seed []byte, q uint32, out []byte) {
	leaves := len(out) / o.n
	values := s.values[:leaves*o.p*o.n]
	batch := s.batch[:leaves*o.p]
	for k := range batch {
		batch[k] = chain{Q: q + uint32(k/o.p), I: uint16(k % o.p), From: sha256mb.SeedStep, To: firstStep + 1<<o.w - 1}
	}
	h.Chains(batch, seed, values)
	h.Nodes(q, dPBLC, values, out)
}

// appendOTSSignature appends the LM-OTS signature of message with leaf q to sig (RFC 8554 section 4.5, algorithm 3):
// typecode, C, y[0..p-1]. sig has room for it; what comes before y in the chains is there on the way alone.
func appendOTSSignature(sig []byte, h hasher, ots OTSType, seed []byte, q uint32, c, message []byte) []byte {
	o := ots.params()
	sig = binary.BigEndian.AppendUint32(sig, uint32(ots))
	sig = append(sig, c...)
	y := sig[len(sig) : len(sig)+o.p*o.n]
	var room chains
	batch := room.between(h, o, q, c, message)
	for i := range batch {
		batch[i].From, batch[i].To = sha256mb.SeedStep, firstStep+batch[i].To
	}
	h.Chains(batch, seed, y)
	return sig[:len(sig)+len(y)]
}

// otsCandidate writes Kc to out, n bytes, which is the LM-OTS public key of leaf q if sig, C || y[0..p-1], is a signature of
// message (RFC 8554 section 4.6, algorithm 4b from step 2d on; the caller has checked type and length).
func otsCandidate(out []byte, h hasher, o *otsParams, q uint32, sig, message []byte) {
	room := candidates.Get().(*candidate)
	defer candidates.Put(room)
	y := append(room.values[:0], sig[o.n:]...)
	batch := room.chains.between(h, o, q, sig[:o.n], message)
	for i := range batch {
		batch[i].From, batch[i].To = batch[i].To, 1<<o.w-1
	}
	h.Chains(batch, nil, y)
	h.Nodes(q, dPBLC, y, out)
}

// candidate is memory for otsCandidate. What was in it is public: values of a signature, and what follows them.
type candidate struct {
	chains chains
	values [maxP * maxN]byte
}

var candidates = sync.Pool{New: func() any { return new(candidate) }}

// chains has room for the chains of any signature, so that they need no allocation.
type chains [maxP]chain

// between returns the p chains of leaf q from step 0 to where the signature of message under C divides them.
func (room *chains) between(h hasher, o *otsParams, q uint32, c, message []byte) []chain {
	var digest [maxN]byte
	h.message(digest[:o.n], q, c, message)
	var digits [maxDigits]uint16
	for i, a := range appendCoefficients(digits[:0], digest[:o.n], o) {
		room[i] = chain{Q: q, I: uint16(i), To: a}
	}
	return room[:o.p]
}

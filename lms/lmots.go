package lms

import "encoding/binary"

// coef returns the i-th w-bit value of s (RFC 8554 section 3.1.3).
func coef(s []byte, i, w int) uint16 {
	perByte := 8 / w
	shift := 8 - w*(i%perByte+1)
	return uint16(s[i/perByte]>>shift) & (1<<w - 1)
}

// checksum returns Cksm(q) (RFC 8554 section 4.4, algorithm 2): whoever raises one coefficient of q has to lower one of
// the checksum.
func checksum(q []byte, o otsParams) uint16 {
	var sum uint16
	for i := range len(q) * 8 / o.w {
		sum += 1<<o.w - 1 - coef(q, i, o.w)
	}
	return sum << o.ls
}

// coefficients returns the p coefficients of q || Cksm(q): how far a signature goes along each chain.
func coefficients(q []byte, o otsParams) []uint16 {
	s := binary.BigEndian.AppendUint16(append(make([]byte, 0, maxN+2), q...), checksum(q, o))
	a := make([]uint16, o.p)
	for i := range a {
		a[i] = coef(s, i, o.w)
	}
	return a
}

// fillSeeds fills values with copies of seed, from which the chains derive the one-time private keys x_q[i] (RFC 8554
// appendix A in the place of algorithm 0).
func fillSeeds(values, seed []byte) {
	for len(values) > 0 {
		values = values[copy(values, seed):]
	}
}

// otsScratch is the memory that one worker of key generation uses again and again.
type otsScratch struct {
	values []byte // leaves * p * n bytes
	batch  []chain
}

// publicKeys writes the LM-OTS public keys K of the leaves q, q+1, ... into out, n bytes each (RFC 8554 section 4.3,
// algorithm 1). The private keys exist in values only, where they are replaced by the public ends of their chains.
func (s *otsScratch) publicKeys(h hasher, o otsParams, seed []byte, q uint32, out []byte) {
	leaves := len(out) / o.n
	values := s.values[:leaves*o.p*o.n]
	s.batch = s.batch[:0]
	for k := range leaves {
		for i := range o.p {
			s.batch = append(s.batch, chain{Q: q + uint32(k), I: uint16(i), From: seedStep, To: firstStep + 1<<o.w - 1})
		}
	}
	fillSeeds(values, seed)
	h.Chains(s.batch, values)
	h.Nodes(q, dPBLC, values, out)
}

// appendOTSSignature appends the LM-OTS signature of message with leaf q to sig (RFC 8554 section 4.5, algorithm 3):
// typecode, C, y[0..p-1]. sig has room for it, so that the private keys exist only where the signature replaces them.
func appendOTSSignature(sig []byte, h hasher, ots OTSType, seed []byte, q uint32, c, message []byte) []byte {
	o := ots.params()
	sig = binary.BigEndian.AppendUint32(sig, uint32(ots))
	sig = append(sig, c...)
	y := sig[len(sig) : len(sig)+o.p*o.n]
	batch := make([]chain, o.p)
	for i, a := range coefficients(h.message(q, c, message), o) {
		batch[i] = chain{Q: q, I: uint16(i), From: seedStep, To: firstStep + a}
	}
	fillSeeds(y, seed)
	h.Chains(batch, y)
	return sig[:len(sig)+len(y)]
}

// otsCandidate returns Kc, which is the LM-OTS public key of leaf q if sig, C || y[0..p-1], is a signature of message
// (RFC 8554 section 4.6, algorithm 4b from step 2d on; the caller has checked type and length).
func otsCandidate(h hasher, o otsParams, q uint32, sig, message []byte) []byte {
	c, y := sig[:o.n], append([]byte(nil), sig[o.n:]...)
	batch := make([]chain, o.p)
	for i, a := range coefficients(h.message(q, c, message), o) {
		batch[i] = chain{Q: q, I: uint16(i), From: a, To: 1<<o.w - 1}
	}
	h.Chains(batch, y)
	k := make([]byte, o.n)
	h.Nodes(q, dPBLC, y, k)
	return k
}

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

// otsChains appends leaf q's p chains over values (p*n bytes) to batch; the caller sets from and to.
func otsChains(batch []chain, o otsParams, q uint32, values []byte) []chain {
	for i := range o.p {
		batch = append(batch, chain{q: q, i: uint16(i), value: values[i*o.n : (i+1)*o.n]})
	}
	return batch
}

// deriveChains sets the values of batch to the one-time private keys x_q[i] that seed gives (RFC 8554 appendix A in the
// place of algorithm 0).
func deriveChains(h hasher, batch []chain, seed []byte) {
	for k := range batch {
		copy(batch[k].value, seed)
		batch[k].from, batch[k].to = seedStep, seedStep+1
	}
	h.chains(batch)
}

// otsScratch is the memory that one worker of key generation uses again and again.
type otsScratch struct {
	values []byte // leaves * p * n bytes
	batch  []chain
	keys   []node
}

// publicKeys writes the LM-OTS public keys K of the leaves q, q+1, ... into out, n bytes each (RFC 8554 section 4.3,
// algorithm 1). The private keys exist in values only, where they are replaced by the public ends of their chains.
func (s *otsScratch) publicKeys(h hasher, o otsParams, seed []byte, q uint32, out []byte) {
	leaves := len(out) / o.n
	s.batch, s.keys = s.batch[:0], s.keys[:0]
	for k := range leaves {
		values := s.values[k*o.p*o.n : (k+1)*o.p*o.n]
		s.batch = otsChains(s.batch, o, q+uint32(k), values)
		s.keys = append(s.keys, node{r: q + uint32(k), d: dPBLC, data: values, out: out[k*o.n : (k+1)*o.n]})
	}
	deriveChains(h, s.batch, seed)
	for k := range s.batch {
		s.batch[k].from, s.batch[k].to = 0, 1<<o.w-1
	}
	h.chains(s.batch)
	h.nodes(s.keys)
}

// appendOTSSignature appends the LM-OTS signature of message with leaf q to sig (RFC 8554 section 4.5, algorithm 3):
// typecode, C, y[0..p-1]. sig has room for it, so that the private keys exist only where the signature replaces them.
func appendOTSSignature(sig []byte, h hasher, ots OTSType, seed []byte, q uint32, c, message []byte) []byte {
	o := ots.params()
	sig = binary.BigEndian.AppendUint32(sig, uint32(ots))
	sig = append(sig, c...)
	y := sig[len(sig) : len(sig)+o.p*o.n]
	batch := otsChains(make([]chain, 0, o.p), o, q, y)
	deriveChains(h, batch, seed)
	for i, a := range coefficients(h.message(q, c, message), o) {
		batch[i].from, batch[i].to = 0, a
	}
	h.chains(batch)
	return sig[:len(sig)+len(y)]
}

// otsCandidate returns Kc, which is the LM-OTS public key of leaf q if sig, C || y[0..p-1], is a signature of message
// (RFC 8554 section 4.6, algorithm 4b from step 2d on; the caller has checked type and length).
func otsCandidate(h hasher, o otsParams, q uint32, sig, message []byte) []byte {
	c, y := sig[:o.n], append([]byte(nil), sig[o.n:]...)
	batch := otsChains(make([]chain, 0, o.p), o, q, y)
	for i, a := range coefficients(h.message(q, c, message), o) {
		batch[i].from, batch[i].to = a, 1<<o.w-1
	}
	h.chains(batch)
	k := make([]byte, o.n)
	h.nodes([]node{{r: q, d: dPBLC, data: y, out: k}})
	return k
}

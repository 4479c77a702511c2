package lms

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// ID is I, the 16-byte identifier of an LMS key pair (RFC 8554 section 5.3). It is public and should be random.
type ID [16]byte

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
func (k PublicKey) Bytes() []byte { return k.append(make([]byte, 0, publicKeyHead+len(k.Root))) }

func (k PublicKey) append(b []byte) []byte {
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
	tmp := make([]byte, n)
	otsCandidate(tmp, h, s.set.OTS.params(), s.q, s.ots, message)
	r := uint32(1)<<s.set.Height() + s.q
	h.Sum(tmp, r, dLEAF, tmp, nil)
	for path := s.path; r > 1; r, path = r/2, path[n:] {
		left, right := tmp, path[:n]
		if r%2 == 1 {
			left, right = right, left
		}
		h.Sum(tmp, r/2, dINTR, left, right)
	}
	return tmp
}

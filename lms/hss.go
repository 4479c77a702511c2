package lms

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// maxLevels is the largest L of RFC 8554 section 6.
const maxLevels = 8

// HSSPublicKey is an HSS public key (RFC 8554 section 6.1): u32str(L) || LMS public key of the top level.
type HSSPublicKey struct {
	Levels int // L, 1 to 8
	Root   PublicKey
}

// HSSPublicKeySize returns the length in bytes of an HSS public key whose top level has the set top.
func HSSPublicKeySize(top ParameterSet) int { return 4 + top.PublicKeySize() }

// ParseHSSPublicKey reads an HSS public key that fills b. Its error is ErrEncoding, and ErrParameters too if the types
// are the reason.
func ParseHSSPublicKey(b []byte) (HSSPublicKey, error) {
	if len(b) < 4 {
		return HSSPublicKey{}, fmt.Errorf("%w: HSS public key of %d bytes", ErrEncoding, len(b))
	}
	levels := binary.BigEndian.Uint32(b)
	if levels < 1 || levels > maxLevels {
		return HSSPublicKey{}, fmt.Errorf("%w: HSS public key of %d levels", ErrEncoding, levels)
	}
	root, err := ParsePublicKey(b[4:])
	if err != nil {
		return HSSPublicKey{}, fmt.Errorf("couldn't parse the HSS public key: %w", err)
	}
	return HSSPublicKey{Levels: int(levels), Root: root}, nil
}

// Bytes returns the encoding of k.
func (k HSSPublicKey) Bytes() []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(k.Levels)), k.Root.Bytes()...)
}

// Verify returns nil if sig is an HSS signature of message under k (RFC 8554 section 6.3, algorithm 9), ErrEncoding if it
// is no HSS signature at all, and else ErrSignature. As in RFC 8554, the levels may differ in everything, also in their
// hash function. A key that did not come from a parser or a Tree may be ErrParameters.
func (k HSSPublicKey) Verify(message, sig []byte) error {
	s, err := ParseHSSSignature(sig)
	if err != nil {
		return err
	}
	if len(s.Signed)+1 != k.Levels {
		return fmt.Errorf("%w: %d levels under a key of %d", ErrSignature, len(s.Signed)+1, k.Levels)
	}
	key := k.Root
	for level, signed := range s.Signed {
		if err := key.Verify(signed.Key.Bytes(), signed.Signature); err != nil {
			return fmt.Errorf("couldn't verify level %d: %w", level, err)
		}
		key = signed.Key
	}
	if err := key.Verify(message, s.Message); err != nil {
		return fmt.Errorf("couldn't verify level %d: %w", len(s.Signed), err)
	}
	return nil
}

// SignedKey is a signed_public_key of RFC 8554 section 6.2: the LMS public key of a level, and the signature of its bytes
// by the level above.
type SignedKey struct {
	Signature []byte // LMS signature of Key.Bytes()
	Key       PublicKey
}

// HSSSignature is an HSS signature (RFC 8554 section 6.2):
//
//	u32str(Nspk) || Nspk times (LMS signature || LMS public key) || LMS signature
//
// with Nspk = L - 1.
type HSSSignature struct {
	Signed  []SignedKey // top first; empty for one level
	Message []byte      // LMS signature of the message by the lowest level
}

// HSSSignatureSize returns the exact length in bytes of the signatures of a key whose levels have these sets, top first.
func HSSSignatureSize(sets []ParameterSet) int {
	size := 4
	for level, set := range sets {
		size += set.SignatureSize()
		if level > 0 {
			size += set.PublicKeySize()
		}
	}
	return size
}

// ParseHSSSignature reads an HSS signature that fills b, without verifying it. Its error is ErrEncoding, and
// ErrParameters too if the types are the reason. The result does not share memory with b.
func ParseHSSSignature(b []byte) (HSSSignature, error) {
	s, err := parseHSSSignature(bytes.Clone(b))
	if err != nil {
		return HSSSignature{}, fmt.Errorf("couldn't parse the HSS signature: %w", err)
	}
	return s, nil
}

// parseHSSSignature is ParseHSSSignature with a result that shares memory with b.
func parseHSSSignature(b []byte) (s HSSSignature, err error) {
	if len(b) < 4 {
		return s, fmt.Errorf("%w: %d bytes", ErrEncoding, len(b))
	}
	nspk, rest := binary.BigEndian.Uint32(b), b[4:]
	if nspk >= maxLevels {
		return s, fmt.Errorf("%w: %d signed public keys", ErrEncoding, nspk)
	}
	for range nspk {
		var signed SignedKey
		if signed, rest, err = cutSignedKey(rest); err != nil {
			return s, err
		}
		s.Signed = append(s.Signed, signed)
	}
	if _, after, err := cutSignature(rest); err != nil {
		return s, err
	} else if len(after) != 0 {
		return s, fmt.Errorf("%w: %d bytes after the last signature", ErrEncoding, len(after))
	}
	s.Message = rest
	return s, nil
}

// cutSignedKey reads the signed_public_key that b begins with and returns what follows it.
func cutSignedKey(b []byte) (signed SignedKey, rest []byte, err error) {
	_, rest, err = cutSignature(b)
	if err != nil {
		return signed, nil, err
	}
	size := len(b) - len(rest)
	signed.Signature = b[:size:size]
	signed.Key, rest, err = cutPublicKey(rest)
	return signed, rest, err
}

// Bytes returns the encoding of s.
func (s HSSSignature) Bytes() []byte {
	size := 4 + len(s.Message)
	for _, signed := range s.Signed {
		size += len(signed.Signature) + signed.Key.Set.PublicKeySize()
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 0, size), uint32(len(s.Signed)))
	for _, signed := range s.Signed {
		b = append(b, signed.Signature...)
		b = signed.Key.append(b)
	}
	return append(b, s.Message...)
}

// Leaf names a leaf that a signature used. I is the tree's identifier as far as the signature tells it: that of the top
// tree is in the public key only, so at level 0 it is zero.
type Leaf struct {
	Level int // 0 is the top
	I     ID
	Q     uint32
}

// Leaves returns the leaves that s used, one per level, top first. s must be parsed, or made of LMS signatures.
func (s HSSSignature) Leaves() []Leaf {
	leaves := make([]Leaf, len(s.Signed)+1)
	for level, signed := range s.Signed {
		leaves[level].Q = binary.BigEndian.Uint32(signed.Signature)
		leaves[level+1].Level, leaves[level+1].I = level+1, signed.Key.I
	}
	leaves[len(s.Signed)].Q = binary.BigEndian.Uint32(s.Message)
	return leaves
}

package lms

import (
	"errors"
	"fmt"
	"sync"
)

// The errors of this package; each is returned wrapped with its context.
var (
	// ErrParameters: an unknown type, an LMS type and an LM-OTS type that do not go together, or an argument whose
	// length or range does not fit the parameter set.
	ErrParameters = errors.New("lms: parameters not valid")
	// ErrEncoding: bytes that are not the encoding of a key or signature of any parameter set.
	ErrEncoding = errors.New("lms: malformed encoding")
	// ErrSignature: a well-formed signature that is not one of this message under this key.
	ErrSignature = errors.New("lms: signature does not verify")
)

// Type is an LMS typecode (RFC 8554 section 5.1, RFC 9858, IANA registry "LMS").
type Type uint32

// OTSType is an LM-OTS typecode (RFC 8554 section 4.1, RFC 9858, IANA registry "LM-OTS").
type OTSType uint32

// The LMS typecodes, with the names of the IANA registry.
const (
	LMS_SHA256_M32_H5  Type = 0x05
	LMS_SHA256_M32_H10 Type = 0x06
	LMS_SHA256_M32_H15 Type = 0x07
	LMS_SHA256_M32_H20 Type = 0x08
	LMS_SHA256_M32_H25 Type = 0x09
	LMS_SHA256_M24_H5  Type = 0x0a
	LMS_SHA256_M24_H10 Type = 0x0b
	LMS_SHA256_M24_H15 Type = 0x0c
	LMS_SHA256_M24_H20 Type = 0x0d
	LMS_SHA256_M24_H25 Type = 0x0e
	LMS_SHAKE_M32_H5   Type = 0x0f
	LMS_SHAKE_M32_H10  Type = 0x10
	LMS_SHAKE_M32_H15  Type = 0x11
	LMS_SHAKE_M32_H20  Type = 0x12
	LMS_SHAKE_M32_H25  Type = 0x13
	LMS_SHAKE_M24_H5   Type = 0x14
	LMS_SHAKE_M24_H10  Type = 0x15
	LMS_SHAKE_M24_H15  Type = 0x16
	LMS_SHAKE_M24_H20  Type = 0x17
	LMS_SHAKE_M24_H25  Type = 0x18
)

// The LM-OTS typecodes, with the names of the IANA registry.
const (
	LMOTS_SHA256_N32_W1 OTSType = 0x01
	LMOTS_SHA256_N32_W2 OTSType = 0x02
	LMOTS_SHA256_N32_W4 OTSType = 0x03
	LMOTS_SHA256_N32_W8 OTSType = 0x04
	LMOTS_SHA256_N24_W1 OTSType = 0x05
	LMOTS_SHA256_N24_W2 OTSType = 0x06
	LMOTS_SHA256_N24_W4 OTSType = 0x07
	LMOTS_SHA256_N24_W8 OTSType = 0x08
	LMOTS_SHAKE_N32_W1  OTSType = 0x09
	LMOTS_SHAKE_N32_W2  OTSType = 0x0a
	LMOTS_SHAKE_N32_W4  OTSType = 0x0b
	LMOTS_SHAKE_N32_W8  OTSType = 0x0c
	LMOTS_SHAKE_N24_W1  OTSType = 0x0d
	LMOTS_SHAKE_N24_W2  OTSType = 0x0e
	LMOTS_SHAKE_N24_W4  OTSType = 0x0f
	LMOTS_SHAKE_N24_W8  OTSType = 0x10
)

// hashFunction is the H of a parameter set, before it is cut to n bytes.
type hashFunction uint8

const (
	sha256Hash hashFunction = iota + 1
	shake256Hash
)

// lmsParams are the parameters of an LMS type: RFC 8554 section 5.1.
type lmsParams struct {
	name string
	hash hashFunction
	m    int // bytes of a tree node
	h    int // height of the tree in levels
}

// otsParams are the parameters of an LM-OTS type: RFC 8554 section 4.1.
type otsParams struct {
	name string
	hash hashFunction
	n    int // bytes of a hash value
	w    int // bits of a Winternitz coefficient
	p    int // chains of a signature
	ls   int // bits by which the checksum is shifted left
}

// The parameter table: RFC 8554 sections 4.1 and 5.1, and RFC 9858. p and ls follow from n and w by RFC 8554
// appendix B; a test holds them to that formula.
var (
	lmsTable = [...]lmsParams{
		LMS_SHA256_M32_H5:  {"LMS_SHA256_M32_H5", sha256Hash, 32, 5},
		LMS_SHA256_M32_H10: {"LMS_SHA256_M32_H10", sha256Hash, 32, 10},
		LMS_SHA256_M32_H15: {"LMS_SHA256_M32_H15", sha256Hash, 32, 15},
		LMS_SHA256_M32_H20: {"LMS_SHA256_M32_H20", sha256Hash, 32, 20},
		LMS_SHA256_M32_H25: {"LMS_SHA256_M32_H25", sha256Hash, 32, 25},
		LMS_SHA256_M24_H5:  {"LMS_SHA256_M24_H5", sha256Hash, 24, 5},
		LMS_SHA256_M24_H10: {"LMS_SHA256_M24_H10", sha256Hash, 24, 10},
		LMS_SHA256_M24_H15: {"LMS_SHA256_M24_H15", sha256Hash, 24, 15},
		LMS_SHA256_M24_H20: {"LMS_SHA256_M24_H20", sha256Hash, 24, 20},
		LMS_SHA256_M24_H25: {"LMS_SHA256_M24_H25", sha256Hash, 24, 25},
		LMS_SHAKE_M32_H5:   {"LMS_SHAKE_M32_H5", shake256Hash, 32, 5},
		LMS_SHAKE_M32_H10:  {"LMS_SHAKE_M32_H10", shake256Hash, 32, 10},
		LMS_SHAKE_M32_H15:  {"LMS_SHAKE_M32_H15", shake256Hash, 32, 15},
		LMS_SHAKE_M32_H20:  {"LMS_SHAKE_M32_H20", shake256Hash, 32, 20},
		LMS_SHAKE_M32_H25:  {"LMS_SHAKE_M32_H25", shake256Hash, 32, 25},
		LMS_SHAKE_M24_H5:   {"LMS_SHAKE_M24_H5", shake256Hash, 24, 5},
		LMS_SHAKE_M24_H10:  {"LMS_SHAKE_M24_H10", shake256Hash, 24, 10},
		LMS_SHAKE_M24_H15:  {"LMS_SHAKE_M24_H15", shake256Hash, 24, 15},
		LMS_SHAKE_M24_H20:  {"LMS_SHAKE_M24_H20", shake256Hash, 24, 20},
		LMS_SHAKE_M24_H25:  {"LMS_SHAKE_M24_H25", shake256Hash, 24, 25},
	}
	otsTable = [...]otsParams{
		LMOTS_SHA256_N32_W1: {"LMOTS_SHA256_N32_W1", sha256Hash, 32, 1, 265, 7},
		LMOTS_SHA256_N32_W2: {"LMOTS_SHA256_N32_W2", sha256Hash, 32, 2, 133, 6},
		LMOTS_SHA256_N32_W4: {"LMOTS_SHA256_N32_W4", sha256Hash, 32, 4, 67, 4},
		LMOTS_SHA256_N32_W8: {"LMOTS_SHA256_N32_W8", sha256Hash, 32, 8, 34, 0},
		LMOTS_SHA256_N24_W1: {"LMOTS_SHA256_N24_W1", sha256Hash, 24, 1, 200, 8},
		LMOTS_SHA256_N24_W2: {"LMOTS_SHA256_N24_W2", sha256Hash, 24, 2, 101, 6},
		LMOTS_SHA256_N24_W4: {"LMOTS_SHA256_N24_W4", sha256Hash, 24, 4, 51, 4},
		LMOTS_SHA256_N24_W8: {"LMOTS_SHA256_N24_W8", sha256Hash, 24, 8, 26, 0},
		LMOTS_SHAKE_N32_W1:  {"LMOTS_SHAKE_N32_W1", shake256Hash, 32, 1, 265, 7},
		LMOTS_SHAKE_N32_W2:  {"LMOTS_SHAKE_N32_W2", shake256Hash, 32, 2, 133, 6},
		LMOTS_SHAKE_N32_W4:  {"LMOTS_SHAKE_N32_W4", shake256Hash, 32, 4, 67, 4},
		LMOTS_SHAKE_N32_W8:  {"LMOTS_SHAKE_N32_W8", shake256Hash, 32, 8, 34, 0},
		LMOTS_SHAKE_N24_W1:  {"LMOTS_SHAKE_N24_W1", shake256Hash, 24, 1, 200, 8},
		LMOTS_SHAKE_N24_W2:  {"LMOTS_SHAKE_N24_W2", shake256Hash, 24, 2, 101, 6},
		LMOTS_SHAKE_N24_W4:  {"LMOTS_SHAKE_N24_W4", shake256Hash, 24, 4, 51, 4},
		LMOTS_SHAKE_N24_W8:  {"LMOTS_SHAKE_N24_W8", shake256Hash, 24, 8, 26, 0},
	}
)

// params looks t up; all zero if t is unknown, as 0 is. The table does not change.
func (t Type) params() *lmsParams {
	if uint64(t) >= uint64(len(lmsTable)) {
		t = 0
	}
	return &lmsTable[t]
}

// params looks t up; all zero if t is unknown, as 0 is. The table does not change.
func (t OTSType) params() *otsParams {
	if uint64(t) >= uint64(len(otsTable)) {
		t = 0
	}
	return &otsTable[t]
}

// String returns the IANA name of t, such as "LMS_SHA256_M32_H5".
func (t Type) String() string {
	if name := t.params().name; name != "" {
		return name
	}
	return fmt.Sprintf("LMS(%#x)", uint32(t))
}

// String returns the IANA name of t, such as "LMOTS_SHA256_N32_W1".
func (t OTSType) String() string {
	if name := t.params().name; name != "" {
		return name
	}
	return fmt.Sprintf("LMOTS(%#x)", uint32(t))
}

// ParameterSet names the two types of one HSS level: that of its LMS trees and that of their one-time keys.
type ParameterSet struct {
	LMS Type
	OTS OTSType
}

// ParameterSets returns the 80 valid parameter sets in the order of their typecodes.
func ParameterSets() []ParameterSet {
	var sets []ParameterSet
	for l := range lmsTable {
		for o := range otsTable {
			if s := (ParameterSet{Type(l), OTSType(o)}); s.Valid() == nil {
				sets = append(sets, s)
			}
		}
	}
	return sets
}

// ParseParameterSet is the inverse of [ParameterSet.String]. Its error is [ErrParameters].
func ParseParameterSet(name string) (ParameterSet, error) {
	if s, ok := parameterSets()[name]; ok {
		return s, nil
	}
	return ParameterSet{}, fmt.Errorf("%w: no parameter set %q", ErrParameters, name)
}

// parameterSets are all valid sets by their names.
var parameterSets = sync.OnceValue(func() map[string]ParameterSet {
	byName := map[string]ParameterSet{}
	for _, s := range ParameterSets() {
		byName[s.String()] = s
	}
	return byName
})

// String returns the two IANA names, such as "LMS_SHA256_M32_H10/LMOTS_SHA256_N32_W4".
func (s ParameterSet) String() string { return s.LMS.String() + "/" + s.OTS.String() }

// Valid returns nil if both types are known and use one hash function with n = m, as SP 800-208 section 4 requires, and
// else [ErrParameters].
func (s ParameterSet) Valid() error {
	l, o := s.LMS.params(), s.OTS.params()
	switch {
	case l.m == 0 || o.n == 0:
		return fmt.Errorf("%w: unknown type in %v", ErrParameters, s)
	case l.hash != o.hash || l.m != o.n:
		return fmt.Errorf("%w: two hash functions in %v", ErrParameters, s)
	}
	return nil
}

// N returns the length of a hash value, of SEED and of a randomizer, in bytes: 24 or 32.
func (s ParameterSet) N() int { return s.OTS.params().n }

// Height returns the height of a tree in levels of nodes: 5, 10, 15, 20 or 25.
func (s ParameterSet) Height() int { return s.LMS.params().h }

// Leaves returns the number of leaves of a tree, which is the number of signatures it can make; 0 for a set that is not
// valid.
func (s ParameterSet) Leaves() uint64 {
	if s.Valid() != nil {
		return 0
	}
	return 1 << s.Height()
}

// SameHash reports whether s and o use the same hash function with the same n.
func (s ParameterSet) SameHash(o ParameterSet) bool {
	a, b := s.OTS.params(), o.OTS.params()
	return a.hash == b.hash && a.n == b.n
}

// otsSignatureSize returns the length of an LM-OTS signature in bytes: typecode, C, y[0..p-1] (RFC 8554 section 4.5).
func (s ParameterSet) otsSignatureSize() int {
	o := s.OTS.params()
	return 4 + o.n + o.p*o.n
}

// SignatureSize returns the length of an LMS signature in bytes: q, LM-OTS signature, typecode, path (RFC 8554 section
// 5.4). It is 0 for a set that is not valid.
func (s ParameterSet) SignatureSize() int {
	if s.Valid() != nil {
		return 0
	}
	l := s.LMS.params()
	return 4 + s.otsSignatureSize() + 4 + l.h*l.m
}

// PublicKeySize returns the length of an LMS public key in bytes: both typecodes, I, T[1] (RFC 8554 section 5.3). It is 0
// for a set that is not valid.
func (s ParameterSet) PublicKeySize() int {
	if s.Valid() != nil {
		return 0
	}
	return 4 + 4 + len(ID{}) + s.LMS.params().m
}

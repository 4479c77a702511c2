package keystore

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/onceleaf/onceleaf/lms"
)

// A record is a State as bytes (docs/spec/record.md):
//
//	onceleaf-key/1 <SHA-256 of the JSON text, 64 hex digits>\n
//	<the JSON text of State, in the one form that encoding/json writes>
//
// The sum finds damage, not malice: who can write the disk can also put back an
// older record. Against that there is the guard.
const recordMagic = "onceleaf-key/1 "

// maxRecord bounds a record, in bytes. The largest key (8 levels of W1, all
// parked) takes about 100 KiB; the rest is room for capsules in the outbox.
const maxRecord = 4 << 20

// maxElements bounds the fields and list elements of a record, by the commas
// between them: what a hostile one can make its reader allocate.
const maxElements = 1 << 15

// What a change that can wait must leave free, so that signing, parking and a
// clean stop always fit: the trees of the largest key, sealed, with room to spare.
const (
	spareBytes    = 256 << 10
	spareElements = 1 << 10
)

// Identity names a key: I and T[1] of its root tree (T[1] padded with zeros to
// 32 bytes). Two HSS keys with one Identity would share leaves.
type Identity [48]byte

// IdentityOf is the identity of the key with this public key.
func IdentityOf(pub lms.HSSPublicKey) (id Identity) {
	copy(id[:16], pub.Root.I[:])
	copy(id[16:], pub.Root.Root)
	return id
}

func (id Identity) String() string { return hex.EncodeToString(id[:]) }

// encode is the record of s. It fails if s is not a valid state.
func (s State) encode() ([]byte, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("couldn't encode the record: %w", err)
	}
	if !fits(text, 0, 0) {
		return nil, fmt.Errorf("%w: a record of %d bytes", ErrParameters, len(text))
	}
	return frame(text), nil
}

// fits reports whether the JSON text of a record leaves so much of what one may
// have.
func fits(text []byte, spareBytes, spareElements int) bool {
	return len(text) <= maxRecord-spareBytes && bytes.Count(text, []byte(",")) <= maxElements-spareElements
}

// leavesSpare refuses a state whose record would be nearly full.
func (s State) leavesSpare() error {
	text, err := json.Marshal(s)
	if err == nil && !fits(text, spareBytes, spareElements) {
		err = fmt.Errorf("%w: the record of the key is nearly full; acknowledge its transfers, or go on with another key", ErrParameters)
	}
	return err
}

// frame puts the head in front of the JSON text.
func frame(text []byte) []byte {
	return fmt.Appendf(nil, "%s%x\n%s", recordMagic, sha256.Sum256(text), text)
}

// decode reads a record. What it accepts it would write byte for byte.
func decode(record []byte) (State, error) {
	var s State
	if len(record) > maxRecord+1024 {
		return s, fmt.Errorf("%w: a record of %d bytes", ErrDamaged, len(record))
	}
	rest, ok := bytes.CutPrefix(record, []byte(recordMagic))
	if !ok {
		return s, fmt.Errorf("%w: not a key record of version 1", ErrVersion)
	}
	_, text, ok := bytes.Cut(rest, []byte("\n"))
	if !ok || !bytes.Equal(record, frame(text)) {
		return s, fmt.Errorf("%w: wrong check sum", ErrDamaged)
	}
	if !fits(text, 0, 0) {
		return s, fmt.Errorf("%w: more than %d elements", ErrDamaged, maxElements)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return s, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	again, err := s.encode()
	if err != nil {
		return s, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if !bytes.Equal(again, record) {
		return s, fmt.Errorf("%w: not in canonical form", ErrDamaged)
	}
	return s, nil
}

// publicKey is the parsed public key of a valid state.
func (s State) publicKey() (lms.HSSPublicKey, error) { return lms.ParseHSSPublicKey(s.PublicKey) }

// validate checks what must hold in every state, whatever came before.
func (s State) validate() error {
	pub, err := s.publicKey()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrParameters, err)
	}
	if err := ValidLevels(s.Levels); err != nil {
		return err
	}
	if pub.Levels != len(s.Levels) || pub.Root.Set != s.Levels[0] {
		return fmt.Errorf("%w: the levels are not those of the public key", ErrParameters)
	}
	if err := s.validStatus(); err != nil {
		return err
	}
	if err := ValidReserve(s.Levels, s.Reserve); err != nil {
		return err
	}
	if err := s.validLeaves(); err != nil {
		return err
	}
	if err := s.validParked(); err != nil {
		return err
	}
	return s.validBatch()
}

// validStatus checks the status, and that a key which is elsewhere or destroyed
// has nothing to sign with.
func (s State) validStatus() error {
	if !slices.Contains([]Status{Active, Quarantined, External, Destroyed}, s.Status) {
		return fmt.Errorf("%w: status %q", ErrParameters, s.Status)
	}
	if (s.Status == External) != (s.Away != nil) {
		return fmt.Errorf("%w: status %q, and the key is elsewhere: %t", ErrParameters, s.Status, s.Away != nil)
	}
	gone := s.Status == External || s.Status == Destroyed
	if gone && (s.Seed != nil || len(s.Free) > 0 || len(s.Parked) > 0 || len(s.Batch) > 0) {
		return fmt.Errorf("%w: status %q, and something is left to sign with", ErrParameters, s.Status)
	}
	return nil
}

// validLeaves checks that each root leaf has one holder.
func (s State) validLeaves() error {
	holders := []Spans{s.Free}
	if len(s.Levels) == 1 {
		holders = append(holders, s.Batch)
	}
	if s.Away != nil {
		holders = append(holders, s.Away.Leaves)
	}
	for _, gift := range s.Given {
		holders = append(holders, gift.Leaves)
	}
	if err := s.Held.validate(s.Levels[0].Leaves()); err != nil {
		return fmt.Errorf("%w: held leaves: %w", ErrParameters, err)
	}
	for _, leaves := range holders {
		if err := leaves.validate(s.Levels[0].Leaves()); err != nil {
			return fmt.Errorf("%w: %w", ErrParameters, err)
		}
		if !leaves.within(s.Held) {
			return fmt.Errorf("%w: a leaf has a holder and was never here", ErrParameters)
		}
	}
	if overlap(holders...) {
		return fmt.Errorf("%w: a leaf has two holders", ErrParameters)
	}
	return nil
}

func (s State) validParked() error {
	if len(s.Parked) == 0 {
		return nil
	}
	if len(s.Parked) != len(s.Levels)-1 {
		return fmt.Errorf("%w: %d parked trees for %d levels", ErrParameters, len(s.Parked), len(s.Levels))
	}
	for i, tree := range s.Parked {
		set := s.Levels[i+1]
		if len(tree.I) != len(lms.ID{}) || len(tree.Root) != set.N() || uint64(tree.Next) > set.Leaves() ||
			len(tree.Signature) != s.Levels[i].SignatureSize() {
			return fmt.Errorf("%w: parked tree %d", ErrParameters, i+1)
		}
	}
	return s.validParkedLeaf()
}

// validBatch checks that a batch in the owner's memory was taken: off the root
// (validLeaves looks at the other holders), or below Next of the lowest tree.
func (s State) validBatch() error {
	lowest := len(s.Parked) - 1
	if len(s.Batch) == 0 || len(s.Levels) == 1 {
		return nil
	}
	if s.batchSize() == 0 || lowest < 0 || len(s.Batch) != 1 || s.Batch[0].From >= s.Batch[0].To ||
		s.Batch[0].To != uint64(s.Parked[lowest].Next) {
		return fmt.Errorf("%w: a batch of leaves %v that were not taken", ErrParameters, s.Batch)
	}
	return nil
}

// hangsOn is the number of the leaf that signed the tree. It stands first in the
// signature (RFC 8554 section 5.4).
func (t ParkedTree) hangsOn() uint32 { return binary.BigEndian.Uint32(t.Signature) }

// validParkedLeaf checks that the leaves that signed the parked trees are used
// ones.
func (s State) validParkedLeaf() error {
	for i, tree := range s.Parked[1:] {
		if tree.hangsOn() >= s.Parked[i].Next {
			return fmt.Errorf("%w: parked tree %d hangs on leaf %d, which is not used", ErrParameters, i+2, tree.hangsOn())
		}
	}
	q := uint64(s.Parked[0].hangsOn())
	leaf := Spans{{q, q + 1}}
	given := func(g Gift) bool { return leaf.meets(g.Leaves) }
	if !leaf.within(s.Held) || leaf.meets(s.Free) || slices.ContainsFunc(s.Given, given) {
		return fmt.Errorf("%w: parked trees hang on leaf %d, which is not used", ErrParameters, q)
	}
	return nil
}

// ValidLevels reports whether a key may be generated with these levels, root
// first: 1 to 8 of them, with one hash function and one n (SP 800-208).
func ValidLevels(levels []lms.ParameterSet) error {
	if len(levels) < 1 || len(levels) > 8 {
		return fmt.Errorf("%w: %d levels, 1 to 8 are possible", ErrParameters, len(levels))
	}
	for i, set := range levels {
		if err := set.Valid(); err != nil {
			return fmt.Errorf("%w: level %d: %w", ErrParameters, i, err)
		}
		if !set.SameHash(levels[0]) {
			return fmt.Errorf("%w: level %d has another hash function or n than level 0", ErrParameters, i)
		}
	}
	return nil
}

// ValidReserve reports whether a key with these levels may take n message leaves
// per durable write: no more than its lowest tree has.
func ValidReserve(levels []lms.ParameterSet, n uint64) error {
	if most := levels[len(levels)-1].Leaves(); n > most {
		return fmt.Errorf("%w: %d leaves per durable write, the lowest tree has %d", ErrParameters, n, most)
	}
	return nil
}

// Remaining is the number of message signatures that the free root leaves and
// the parked trees still allow; at most 2^64-1. A batch in memory is not in it.
func (s State) Remaining() uint64 {
	left := saturatingMul(s.Free.Count(), below(s.Levels, 0))
	if len(s.Parked) == 0 {
		return left
	}
	next := make([]uint32, len(s.Parked))
	for i, tree := range s.Parked {
		next[i] = tree.Next
	}
	return saturatingAdd(left, pathRemaining(s.Levels, next))
}

// Capacity is the number of message signatures that the key began with on this
// token, without what it gave away; at most 2^64-1.
func (s State) Capacity() uint64 {
	return saturatingMul(s.own().Count(), below(s.Levels, 0))
}

// below is the number of message leaves under one leaf of the given level.
func below(levels []lms.ParameterSet, level int) uint64 {
	n := uint64(1)
	for _, set := range levels[level+1:] {
		n = saturatingMul(n, set.Leaves())
	}
	return n
}

// pathRemaining is the number of message signatures left in lower trees whose
// next unused leaves are next, level 1 first.
func pathRemaining(levels []lms.ParameterSet, next []uint32) (n uint64) {
	for i, q := range next {
		unused := levels[i+1].Leaves() - uint64(q)
		n = saturatingAdd(n, saturatingMul(unused, below(levels, i+1)))
	}
	return n
}

func saturatingMul(a, b uint64) uint64 {
	if b != 0 && a > math.MaxUint64/b {
		return math.MaxUint64
	}
	return a * b
}

func saturatingAdd(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

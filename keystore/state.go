package keystore

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"

	"github.com/onceleaf/onceleaf/lms"
)

// This file is the whole state machine of an HSS key: pure functions from a
// State to the next one. No function here reads a clock, a file or memory that
// others can change; what makes a State durable is key.persist.
//
// A root leaf is in one of these places: free (Free), given away (Given), outside
// with the whole key (Away), in the owner's memory (Batch, when there is no lower
// level), or used or burned (Held, and none of the others). reserve is the one
// function that hands leaves out of Free, and draw is the same for a tree in
// Parked. destroy burns those that are left; receive adds to Free, never a leaf
// that was Held before; putBack and bringBack return what nobody used.

// Status says what a key may still do.
type Status string

const (
	Active      Status = "active"
	Quarantined Status = "quarantined" // the store went back; nothing is signed
	External    Status = "external"    // kept outside the token, see externalise
	Destroyed   Status = "destroyed"   // a tombstone: the ledger of its leaves
)

// State is the durable state of one HSS key. Its byte form is in
// docs/spec/record.md.
type State struct {
	PublicKey    []byte             `json:"publicKey"` // RFC 8554 section 6.1
	Levels       []lms.ParameterSet `json:"levels"`    // root tree first
	Status       Status             `json:"status"`
	Generation   uint64             `json:"generation"` // one more at each change
	Mark         uint64             `json:"mark"`       // of the guard, see guard.go
	Transferable bool               `json:"transferable"`
	Reserve      uint64             `json:"reserve,omitempty"` // message leaves per durable write; 0: see batchSize
	Seed         []byte             `json:"seed"`              // sealed SEED of the root tree; nil when destroyed
	Free         Spans              `json:"free"`              // root leaves that nobody has taken
	Held         Spans              `json:"held"`              // root leaves that were ever free here; only grows
	Parked       []ParkedTree       `json:"parked,omitempty"`
	Batch        Spans              `json:"batch,omitempty"` // leaves of the lowest level in the owner's memory
	Away         *Absence           `json:"away,omitempty"`
	Given        []Gift             `json:"given,omitempty"`
	Received     []Arrival          `json:"received,omitempty"`
	Private      []byte             `json:"private"` // the token's attributes of the private key object
	Public       []byte             `json:"public"`  // and of the public one; nil when there is none
}

// ParkedTree is a lower tree in the record: levels 1 to L-1, in order. It is there
// while it is at rest, and in a key with batches all the time.
type ParkedTree struct {
	I         []byte `json:"i"`
	Seed      []byte `json:"seed"` // sealed
	Root      []byte `json:"root"` // T[1], to check the rebuilt tree
	Next      uint32 `json:"next"` // the first leaf that was never taken
	Signature []byte `json:"signature"`
}

// Gift is a span of root leaves that left for another token.
type Gift struct {
	Transfer string `json:"transfer"`
	Peer     string `json:"peer"`
	Leaves   Spans  `json:"leaves"`
	Capsule  []byte `json:"capsule"` // the outbox: nil once acknowledged
	Receipt  []byte `json:"receipt"` // SHA-256 of the receipt file that proves the arrival
}

// Arrival is a span of root leaves that came from another token.
type Arrival struct {
	Transfer string `json:"transfer"`
	Peer     string `json:"peer"`
	Leaves   Spans  `json:"leaves"`
	Receipt  []byte `json:"receipt"`
}

// Absence is a key that is kept outside the token (Cryptech's external storage).
type Absence struct {
	Leaves  Spans  `json:"leaves"`  // the free root leaves that went with it
	Digest  []byte `json:"digest"`  // SHA-256 of the one capsule that brings it back
	Capsule []byte `json:"capsule"` // the outbox: nil once it is known to be stored
}

// end says from which end of the free leaves reserve takes.
type end int

const (
	low  end = iota // to sign: the lowest leaves
	high            // to give away: the highest
)

// reserve takes n root leaves out of the free ones. It is the one door: whatever
// uses, gives or burns root leaves gets them here.
func reserve(s State, n uint64, from end) (State, Spans, error) {
	if err := s.mayReserve(); err != nil {
		return s, nil, err
	}
	if n == 0 || n > s.Free.Count() {
		return s, nil, fmt.Errorf("%w: %d root leaves asked for, %d free", ErrExhausted, n, s.Free.Count())
	}
	split := s.Free.lowest
	if from == high {
		split = s.Free.highest
	}
	taken, rest := split(n)
	s.Free = rest
	return s, taken, nil
}

// mayReserve reports why the key may not give out leaves, if so.
func (s State) mayReserve() error {
	switch s.Status {
	case Active:
		return nil
	case Quarantined:
		return ErrQuarantined
	case External:
		return ErrExternal
	default:
		return ErrNoKey
	}
}

// batchSize is the number of message leaves that one durable write takes for the
// owner's memory. It is 0 for a key whose lower trees live in memory: each of
// their leaves is taken by the root leaf they hang on.
func (s State) batchSize() uint64 {
	if len(s.Levels) == 1 {
		return max(1, s.Reserve)
	}
	return s.Reserve
}

// drawBatch takes the next batch of message leaves, at most batchSize of them.
// What is left of them after a crash is burned.
func drawBatch(s State) (State, Spans, error) {
	if len(s.Levels) > 1 {
		return draw(s, len(s.Levels)-1, s.batchSize())
	}
	next, leaves, err := reserve(s, max(1, min(s.batchSize(), s.Free.Count())), low)
	next.Batch = leaves
	return next, leaves, err
}

// draw takes the next leaves, at most n, of the parked tree of a level, which
// stays where it lies. Those of the lowest level are a batch.
func draw(s State, level int, n uint64) (State, Spans, error) {
	if err := s.mayReserve(); err != nil {
		return s, nil, err
	}
	if level < 1 || level > len(s.Parked) || s.batchSize() == 0 {
		return s, nil, fmt.Errorf("%w: no tree of level %d to draw from", ErrParameters, level)
	}
	from := uint64(s.Parked[level-1].Next)
	to := min(from+n, s.Levels[level].Leaves())
	if from == to {
		return s, nil, fmt.Errorf("%w: no leaf left in the tree of level %d", ErrExhausted, level)
	}
	s.Parked = slices.Clone(s.Parked)
	s.Parked[level-1].Next = uint32(to)
	s.Batch = nil
	if level == len(s.Parked) {
		s.Batch = Spans{{from, to}}
	}
	return s, Spans{{from, to}}, nil
}

// plant puts a new path into the record and draws the first batch from it. Its
// first new tree was signed with a leaf that was taken durably before.
func plant(s State, trees []ParkedTree) (State, Spans, error) {
	if len(trees) != len(s.Levels)-1 {
		return s, nil, fmt.Errorf("%w: cannot plant %d trees", ErrParameters, len(trees))
	}
	s.Parked = slices.Clone(trees)
	return drawBatch(s)
}

// putBack returns what is left of a batch. The caller has forgotten it.
func putBack(s State, left Spans) (State, error) {
	if err := s.mayReserve(); err != nil {
		return s, err
	}
	if len(left) == 0 || left.Count() > s.Batch.Count() {
		return s, fmt.Errorf("%w: %v is no rest of the batch %v", ErrParameters, left, s.Batch)
	}
	if last, _ := s.Batch.highest(left.Count()); !slices.Equal(last, left) {
		return s, fmt.Errorf("%w: leaves %v are not the last of the batch %v", ErrParameters, left, s.Batch)
	}
	if len(s.Levels) == 1 {
		s.Free = s.Free.union(left)
	} else {
		s.Parked = slices.Clone(s.Parked)
		s.Parked[len(s.Parked)-1].Next = uint32(left[0].From)
	}
	s.Batch = nil
	return s, nil
}

// park lays the lower trees to rest that live in memory.
func park(s State, trees []ParkedTree) (State, error) {
	if err := s.mayReserve(); err != nil {
		return s, err
	}
	if len(s.Parked) > 0 || len(trees) != len(s.Levels)-1 || s.batchSize() > 0 {
		return s, fmt.Errorf("%w: cannot park %d trees", ErrParameters, len(trees))
	}
	s.Parked = slices.Clone(trees)
	return s, nil
}

// takeOut hands the parked trees to the one who will use them from memory.
func takeOut(s State) (State, []ParkedTree, error) {
	if err := s.mayReserve(); err != nil {
		return s, nil, err
	}
	trees := s.Parked
	s.Parked, s.Batch = nil, nil
	return s, trees, nil
}

// give moves gift.Leaves, the highest n free leaves, to another token. The
// caller asks goingLeaves first which they will be.
func give(s State, gift Gift) (State, error) {
	next, taken, err := reserve(s, gift.Leaves.Count(), high)
	if err != nil {
		return s, err
	}
	if !slices.Equal(taken, gift.Leaves) || s.gift(gift.Transfer) >= 0 {
		return s, fmt.Errorf("%w: transfer %s", ErrParameters, gift.Transfer)
	}
	next.Given = append(slices.Clone(s.Given), gift)
	return next, next.leavesSpare()
}

// goingLeaves are the leaves that give would take; n = 0 asks for half.
func goingLeaves(s State, n uint64) (Spans, error) {
	if !s.Transferable {
		return nil, ErrNotTransferable
	}
	left := s.Free.Count()
	if left < 2 {
		return nil, fmt.Errorf("%w: a key with %d root leaves cannot be divided", ErrExhausted, left)
	}
	if n == 0 {
		n = left / 2
	}
	_, taken, err := reserve(s, n, high)
	return taken, err
}

// acknowledge empties the outbox of one transfer when the receipt is the one
// that only who opened the capsule can write.
func acknowledge(s State, transfer string, receipt []byte) (State, error) {
	i := s.gift(transfer)
	if i < 0 {
		return s, ErrUnknownTransfer
	}
	sum := sha256.Sum256(receipt)
	if subtle.ConstantTimeCompare(sum[:], s.Given[i].Receipt) != 1 {
		return s, fmt.Errorf("%w: transfer %s", ErrReceipt, transfer)
	}
	s.Given = slices.Clone(s.Given)
	s.Given[i].Capsule = nil
	return s, nil
}

// receive adds leaves that another token gave away. A leaf that was ever here
// does not come back: whatever happened to it since, this token cannot know.
func receive(s State, a Arrival) (State, error) {
	if s.Status == Quarantined || s.Status == External {
		return s, s.mayReserve()
	}
	if err := a.Leaves.validate(s.Levels[0].Leaves()); err != nil || len(a.Leaves) == 0 {
		return s, fmt.Errorf("%w: transfer %s brings no leaves of this key", ErrParameters, a.Transfer)
	}
	if s.arrival(a.Transfer) >= 0 || s.Held.meets(a.Leaves) {
		return s, fmt.Errorf("%w: transfer %s", ErrSeen, a.Transfer)
	}
	s.Status = Active
	s.Free = s.Free.union(a.Leaves)
	s.Held = s.Held.union(a.Leaves)
	s.Received = append(slices.Clone(s.Received), a)
	return s, s.leavesSpare()
}

// externalise puts the whole key into a capsule: its record, whose secrets are
// sealed under the token's master key. Here nothing is left to sign with.
func externalise(s State) (State, error) {
	if err := s.mayReserve(); err != nil {
		return s, err
	}
	s.Batch = nil
	capsule, err := s.encode()
	if err != nil {
		return s, err
	}
	digest := sha256.Sum256(capsule)
	s.Away = &Absence{Leaves: s.Free, Digest: digest[:], Capsule: capsule}
	s.Status, s.Seed, s.Free, s.Parked = External, nil, nil, nil
	return s, nil
}

// stored empties the outbox of an external key, whose capsule with this digest is
// known to be kept elsewhere.
func stored(s State, digest []byte) (State, error) {
	if s.Status != External || !bytes.Equal(digest, s.Away.Digest) {
		return s, fmt.Errorf("%w: no external key with this digest", ErrUnknownTransfer)
	}
	away := *s.Away
	away.Capsule = nil
	s.Away = &away
	return s, nil
}

// bringBack returns an external key from its one capsule. Each capsule names a
// generation of its own, so an older one has another digest.
func bringBack(s State, capsule []byte) (State, error) {
	if s.Status != External {
		return s, fmt.Errorf("%w: the key is not external", ErrSeen)
	}
	if digest := sha256.Sum256(capsule); !bytes.Equal(digest[:], s.Away.Digest) {
		return s, fmt.Errorf("%w: not the newest capsule of the key", ErrSeen)
	}
	kept, err := decode(capsule)
	if err != nil {
		return s, err
	}
	s.Status, s.Seed, s.Free, s.Parked, s.Away = Active, kept.Seed, kept.Free, kept.Parked, nil
	return s, nil
}

// destroy burns what is left and erases the secrets. The ledger stays, and so
// does the public key object.
func destroy(s State) State {
	s.Status, s.Seed, s.Free, s.Parked, s.Batch, s.Away = Destroyed, nil, nil, nil, nil, nil
	s.Private = nil
	s.Given = slices.Clone(s.Given)
	for i := range s.Given {
		s.Given[i].Capsule = nil
	}
	return s
}

// quarantine stops a key for good; everything is kept for the investigation.
func quarantine(s State) State {
	if s.Status == Active {
		s.Status = Quarantined
	}
	return s
}

// annotate replaces the token's attributes. A destroyed key has no private
// object.
func annotate(s State, private, public []byte) (State, error) {
	if s.Status == Destroyed && private != nil {
		return s, ErrNoKey
	}
	s.Private, s.Public = private, public
	return s, s.leavesSpare()
}

func (s State) gift(transfer string) int {
	return slices.IndexFunc(s.Given, func(g Gift) bool { return g.Transfer == transfer })
}

func (s State) arrival(transfer string) int {
	return slices.IndexFunc(s.Received, func(a Arrival) bool { return a.Transfer == transfer })
}

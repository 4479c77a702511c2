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
// A root leaf is in one of four places: free (Free), given away (Given),
// parked (it signed a tree in Parked), or used or burned (Held, and none of the
// others). reserve is the one function that hands leaves out of Free; destroy
// burns those that are left; receive is the one that adds to Free, never a leaf
// that was Held before.

// Status says what a key may still do.
type Status string

const (
	Active      Status = "active"
	Quarantined Status = "quarantined" // the store went back; nothing is signed
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
	Seed         []byte             `json:"seed"` // sealed SEED of the root tree; nil when destroyed
	Free         Spans              `json:"free"` // root leaves that nobody has taken
	Held         Spans              `json:"held"` // root leaves that were ever free here; only grows
	Parked       []ParkedTree       `json:"parked,omitempty"`
	Given        []Gift             `json:"given,omitempty"`
	Received     []Arrival          `json:"received,omitempty"`
	Private      []byte             `json:"private"` // the token's attributes of the private key object
	Public       []byte             `json:"public"`  // and of the public one; nil when there is none
}

// ParkedTree is a lower tree at rest: levels 1 to L-1, in order.
type ParkedTree struct {
	I         []byte `json:"i"`
	Seed      []byte `json:"seed"` // sealed
	Root      []byte `json:"root"` // T[1], to check the rebuilt tree
	Next      uint32 `json:"next"` // the first leaf that was never used
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
	default:
		return ErrNoKey
	}
}

// park lays the lower trees of a live path to rest.
func park(s State, trees []ParkedTree) (State, error) {
	if err := s.mayReserve(); err != nil {
		return s, err
	}
	if len(s.Parked) > 0 || len(trees) != len(s.Levels)-1 {
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
	s.Parked = nil
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
	return next, nil
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
	if s.Status == Quarantined {
		return s, ErrQuarantined
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
	return s, nil
}

// destroy burns what is left and erases the secrets. The ledger stays, and so
// does the public key object.
func destroy(s State) State {
	s.Status, s.Seed, s.Free, s.Parked = Destroyed, nil, nil, nil
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
	return s, nil
}

func (s State) gift(transfer string) int {
	return slices.IndexFunc(s.Given, func(g Gift) bool { return g.Transfer == transfer })
}

func (s State) arrival(transfer string) int {
	return slices.IndexFunc(s.Received, func(a Arrival) bool { return a.Transfer == transfer })
}

// follows is a second opinion on the step from s to next, made without the
// function that took it: the ledger only grows, what is free afterwards was free
// before or is new to this token, and parked trees do not change where they lie.
func (s State) follows(next State) error {
	lost := s.Held.minus(s.Free)
	switch {
	case !bytes.Equal(s.PublicKey, next.PublicKey) || !slices.Equal(s.Levels, next.Levels):
		return fmt.Errorf("%w: the key would become another", ErrParameters)
	case !s.Held.within(next.Held):
		return fmt.Errorf("%w: the ledger would shrink", ErrParameters)
	case !s.remembers(next):
		return fmt.Errorf("%w: a transfer would be forgotten", ErrParameters)
	case s.Status == Quarantined && next.Status != Quarantined:
		return fmt.Errorf("%w: a quarantine would end", ErrParameters)
	case len(s.Parked) > 0 && len(next.Parked) > 0 && !slices.EqualFunc(s.Parked, next.Parked, ParkedTree.equal):
		return fmt.Errorf("%w: parked trees would change", ErrParameters)
	case next.Free.meets(lost):
		return fmt.Errorf("%w: a used leaf would become free", ErrParameters)
	}
	return next.validate()
}

// remembers reports whether next has every transfer of s, with its leaves.
func (s State) remembers(next State) bool {
	if len(next.Given) < len(s.Given) || len(next.Received) < len(s.Received) {
		return false
	}
	for i, g := range s.Given {
		if n := next.Given[i]; n.Transfer != g.Transfer || !slices.Equal(n.Leaves, g.Leaves) {
			return false
		}
	}
	for i, a := range s.Received {
		if n := next.Received[i]; n.Transfer != a.Transfer || !slices.Equal(n.Leaves, a.Leaves) {
			return false
		}
	}
	return true
}

func (t ParkedTree) equal(u ParkedTree) bool {
	return t.Next == u.Next && bytes.Equal(t.I, u.I) && bytes.Equal(t.Root, u.Root) &&
		bytes.Equal(t.Seed, u.Seed) && bytes.Equal(t.Signature, u.Signature)
}

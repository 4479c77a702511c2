package keystore

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/onceleaf/onceleaf/lms"
)

// What is safe to do about a record that no keystore uses, and about one that it
// would use.
const (
	leaveRecord = "leave the record where it is: the token keeps it and signs nothing with the key; other keys go on"
	holdKey     = "do not sign with the key until the cause is known, and keep the store as it is"
)

func inspectKey(name, record []byte) InspectedKey {
	k := InspectedKey{Name: name}
	s, err := readRecord(name, record)
	if err != nil {
		k.Findings = []Finding{{Damage, "the record cannot be read: " + err.Error(), leaveRecord}}
		return k
	}
	k.State, k.Readable, k.Findings = s, true, s.inspect()
	return k
}

// inspectNodes checks the stored nodes of the root tree; nil is none.
func (k *InspectedKey) inspectNodes(nodes []byte) {
	if nodes == nil || !k.Readable {
		return
	}
	pub, err := k.State.publicKey()
	if err == nil {
		err = pub.Root.CheckNodes(bytes.Clone(nodes))
	}
	if err != nil {
		k.Findings = append(k.Findings, Finding{Warning, "the stored nodes of the root tree are of no use: " + err.Error(),
			"the key can go on: its tree is computed again at the next use, which takes longer"})
	}
}

// readRecord accepts what Keystore.fetch does. No damage makes it panic.
func readRecord(name, record []byte) (s State, err error) {
	defer faults(&err)()
	if s, err = decode(record); err != nil {
		return s, err
	}
	pub, err := s.publicKey()
	if err != nil {
		return s, err
	}
	if id := IdentityOf(pub); !bytes.Equal(id[:], name) {
		return s, damaged("it is the record of key %s, under another name", id)
	}
	return s, nil
}

// inspect looks for what a keystore sees only when it uses the key, or never.
func (s State) inspect() (findings []Finding) {
	add := func(severity Severity, next, what string, args ...any) {
		findings = append(findings, Finding{severity, fmt.Sprintf(what, args...), next})
	}
	if err := s.addsUp(); err != nil {
		add(Damage, holdKey, "the record is as no keystore writes it: %v", err)
	}
	if err := s.parkedVerify(); err != nil {
		add(Damage, "the key can go on: at its next use these trees are burned and new ones are made",
			"the parked trees cannot be used, and %d signatures are lost with them: %v", s.parkedRemaining(), err)
	}
	if s.Status == Quarantined {
		add(Warning, "keep all files for the investigation; that the key signs nothing is as it should be",
			"the key is quarantined: its store was found older than its guard")
	}
	return findings
}

// addsUp checks what every keystore holds to when it writes, and State.validate
// does not look at.
func (s State) addsUp() error {
	sealed := 12 + s.Levels[0].N() + 16 // nonce, SEED, tag: bytes
	switch {
	case s.Generation == 0:
		return damaged("generation 0")
	case (s.Status == Active || s.Status == Quarantined) && len(s.Seed) != sealed:
		return damaged("a sealed secret of %d bytes, not %d", len(s.Seed), sealed)
	case s.Status == Destroyed && s.Private != nil:
		return damaged("a destroyed key with a private key object")
	}
	for i, tree := range s.Parked {
		if len(tree.Seed) != sealed {
			return damaged("a sealed secret of %d bytes in parked tree %d, not %d", len(tree.Seed), i+1, sealed)
		}
	}
	return errors.Join(s.transfersAddUp(), s.Away.addsUp(s.PublicKey))
}

// transfersAddUp checks that each transfer has leaves and a name of its own, and
// that no leaf arrived twice.
func (s State) transfersAddUp() error {
	for i, g := range s.Given {
		if s.gift(g.Transfer) != i || len(g.Leaves) == 0 || len(g.Receipt) != sha256.Size {
			return damaged("transfer %q to token %q", g.Transfer, g.Peer)
		}
	}
	var arrived []Spans
	for i, a := range s.Received {
		leaves := a.Leaves.validate(s.Levels[0].Leaves()) == nil && len(a.Leaves) > 0 && a.Leaves.within(s.Held)
		if !leaves || s.arrival(a.Transfer) != i {
			return damaged("transfer %q from token %q", a.Transfer, a.Peer)
		}
		arrived = append(arrived, a.Leaves)
	}
	if overlap(arrived...) {
		return damaged("a leaf that arrived twice")
	}
	return nil
}

// addsUp checks that the capsule in the outbox of an external key brings that key
// back; nil is a key that is here.
func (a *Absence) addsUp(publicKey []byte) error {
	if a == nil {
		return nil
	}
	if len(a.Digest) != sha256.Size {
		return damaged("a digest of %d bytes", len(a.Digest))
	}
	if a.Capsule == nil {
		return nil
	}
	kept, err := decode(a.Capsule)
	digest := sha256.Sum256(a.Capsule)
	if err != nil || !bytes.Equal(digest[:], a.Digest) || !bytes.Equal(kept.PublicKey, publicKey) {
		return damaged("the capsule in the outbox does not bring the key back")
	}
	return nil
}

// parkedVerify checks the public key of each parked tree under the tree above it,
// which every signature of the key will have to stand.
func (s State) parkedVerify() (err error) {
	defer faults(&err)()
	pub, err := s.publicKey()
	if err != nil {
		return err
	}
	above := pub.Root
	for i, tree := range s.Parked {
		public := lms.PublicKey{Set: s.Levels[i+1], I: lms.ID(tree.I), Root: tree.Root}
		if err := above.Verify(public.Bytes(), tree.Signature); err != nil {
			return fmt.Errorf("level %d: %w", i+1, err)
		}
		above = public
	}
	return nil
}

// parkedRemaining is the number of message signatures that the parked trees still
// allow.
func (s State) parkedRemaining() uint64 {
	rest := State{Levels: s.Levels, Parked: s.Parked}
	return rest.Remaining()
}

// ParkedOn is the root leaf that the parked trees hang on; empty without them.
func (s State) ParkedOn() Spans {
	if len(s.Parked) == 0 {
		return nil
	}
	q := uint64(s.Parked[0].hangsOn())
	return Spans{{q, q + 1}}
}

// Used are the root leaves of the token that signed or were burned.
func (s State) Used() Spans { return s.own().minus(s.live()) }

// own are the root leaves that are this token's and nobody else's.
func (s State) own() Spans {
	var given []Spans
	for _, g := range s.Given {
		given = append(given, g.Leaves)
	}
	return s.Held.minus(Spans{}.union(given...))
}

// live are the root leaves with which, or below which, this record still signs.
func (s State) live() Spans {
	leaves := s.Free.union(s.ParkedOn())
	if s.Away != nil {
		leaves = leaves.union(s.Away.Leaves)
	}
	return leaves
}

// Conflict compares the records of one key in two stores: leaves are those that
// both hold to be their own, and live says whether one of the stores would still
// sign with one of them. After a transfer there are none.
func Conflict(a, b State) (leaves Spans, live bool) {
	both := a.own().minus(a.own().minus(b.own()))
	return both, both.meets(a.live().union(b.live()))
}

// Words names the leaves for a person: "0 to 3, 7". Of many spans it names the
// first.
func (s Spans) Words() string {
	const most = 8
	var words []string
	for _, span := range s[:min(len(s), most)] {
		if span.Len() == 1 {
			words = append(words, fmt.Sprint(span.From))
			continue
		}
		words = append(words, fmt.Sprintf("%d to %d", span.From, span.To-1))
	}
	if more := len(s) - most; more > 0 {
		words = append(words, fmt.Sprintf("and %d spans more", more))
	}
	return strings.Join(words, ", ")
}

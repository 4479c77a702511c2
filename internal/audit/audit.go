// Package audit looks for a leaf that signed twice, in signatures alone.
//
// It knows nothing of the signer's state: it reads out of each signature which
// leaf of which tree made what, and remembers that. What is not promised: leaves
// that were burned, or that signed something never shown here, leave no trace.
package audit

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/onceleaf/onceleaf/lms"
)

// ErrReuse is a leaf that signed two things.
var ErrReuse = errors.New("a leaf signed twice")

// Reuse is one leaf, with the names of two signatures in which it made
// different things. It wraps ErrReuse.
type Reuse struct {
	Leaf          lms.Leaf
	First, Second string
}

func (r Reuse) Error() string {
	return fmt.Sprintf("leaf %d of level %d made one thing in %s and another in %s", r.Leaf.Q, r.Leaf.Level, r.First, r.Second)
}

// Unwrap implements errors.Is for ErrReuse.
func (Reuse) Unwrap() error { return ErrReuse }

// leaf is one leaf of one tree; a tree is told by its LMS public key.
type leaf struct {
	tree [sha256.Size]byte
	q    uint32
}

// work is what a leaf made, and the signature in which that was seen first.
type work struct {
	made [sha256.Size]byte
	name string
}

// Audit remembers every leaf that signed. The zero value is ready.
type Audit struct {
	seen  map[leaf]work
	lower int // leaves of the lowest level among them
}

// Add verifies a signature and notes its leaves under the name of its place.
// An error of lms, or a Reuse.
func (a *Audit) Add(pub lms.HSSPublicKey, message, signature []byte) error {
	if err := pub.Verify(message, signature); err != nil {
		return err
	}
	parsed, err := lms.ParseHSSSignature(signature)
	if err != nil {
		return err
	}
	for _, reuse := range a.Note(fmt.Sprintf("signature %d", a.lower), &pub.Root, parsed) {
		return reuse
	}
	return nil
}

// Note notes the leaves of a signature, which it does not verify. A leaf above
// the lowest level rightly comes back, but always with one signature of one
// lower tree. A signature does not name its root tree: without root, the leaves
// of level 0 are left out.
func (a *Audit) Note(name string, root *lms.PublicKey, s lms.HSSSignature) (reused []Reuse) {
	if a.seen == nil {
		a.seen = map[leaf]work{}
	}
	tree := root
	for i, at := range s.Leaves() {
		if tree != nil && !a.first(leaf{sha256.Sum256(tree.Bytes()), at.Q}, work{made(s, i), name}, i == len(s.Signed)) {
			reused = append(reused, Reuse{at, a.seen[leaf{sha256.Sum256(tree.Bytes()), at.Q}].name, name})
		}
		if i < len(s.Signed) {
			tree = &s.Signed[i].Key
		}
	}
	return reused
}

// first notes what a leaf made; it is false if the leaf made something else
// before.
func (a *Audit) first(l leaf, w work, lowest bool) bool {
	before, seen := a.seen[l]
	if seen {
		return before.made == w.made
	}
	a.seen[l] = w
	if lowest {
		a.lower++
	}
	return true
}

// made is what the leaf of a level made: its LMS signature, and the lower tree
// that it signed. Even a second signature of the same tree is a reuse, for it
// has another C and so another hash.
func made(s lms.HSSSignature, level int) [sha256.Size]byte {
	if level == len(s.Signed) {
		return sha256.Sum256(s.Message)
	}
	signed := s.Signed[level]
	return sha256.Sum256(append(signed.Key.Bytes(), signed.Signature...))
}

// Signatures is the number of distinct leaves that signed a message.
func (a *Audit) Signatures() int { return a.lower }

// Upper is the number of distinct leaves that signed a lower tree.
func (a *Audit) Upper() int { return len(a.seen) - a.lower }

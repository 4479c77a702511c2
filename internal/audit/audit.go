// Package audit looks for a leaf that signed twice, in signatures alone.
//
// It knows nothing of the signer's state: it verifies each signature, reads out
// of it which leaf of which tree signed what, and remembers that. What is not
// promised: leaves that were burned, or that signed something never shown here,
// leave no trace.
package audit

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/onceleaf/onceleaf/lms"
)

// ErrReuse is a leaf that signed two things.
var ErrReuse = errors.New("a leaf signed twice")

// leaf is one leaf of one tree; trees are told apart by I and T[1].
type leaf struct {
	tree [sha256.Size]byte // hash of the LMS public key
	q    uint32
}

// Audit remembers every leaf that signed. The zero value is ready.
type Audit struct {
	upper    map[leaf][sha256.Size]byte // leaves that signed a lower tree, and what
	messages map[leaf]bool              // leaves that signed a message
}

// Add verifies a signature and notes its leaves. A leaf of the lowest level may
// be seen once; a leaf above it again and again, but always with one signature
// of one lower tree. ErrReuse, or an error of lms.
func (a *Audit) Add(pub lms.HSSPublicKey, message, signature []byte) error {
	if err := pub.Verify(message, signature); err != nil {
		return err
	}
	parsed, err := lms.ParseHSSSignature(signature)
	if err != nil {
		return err
	}
	if a.upper == nil {
		a.upper, a.messages = map[leaf][sha256.Size]byte{}, map[leaf]bool{}
	}
	tree := pub.Root
	for i, q := range leaves(parsed)[:len(parsed.Signed)] {
		if err := a.above(leaf{hash(tree.Bytes()), q}, parsed.Signed[i]); err != nil {
			return err
		}
		tree = parsed.Signed[i].Key
	}
	return a.lowest(leaf{hash(tree.Bytes()), leaves(parsed)[len(parsed.Signed)]})
}

// above notes a leaf that signed a lower tree. Even a second signature of the
// same tree is a reuse: it has another C, so another message hash.
func (a *Audit) above(l leaf, signed lms.SignedKey) error {
	what := hash(append(signed.Key.Bytes(), signed.Signature...))
	before, seen := a.upper[l]
	if a.messages[l] || seen && before != what {
		return fmt.Errorf("%w: leaf %d signed two lower trees", ErrReuse, l.q)
	}
	a.upper[l] = what
	return nil
}

func (a *Audit) lowest(l leaf) error {
	if _, seen := a.upper[l]; seen || a.messages[l] {
		return fmt.Errorf("%w: leaf %d signed two messages", ErrReuse, l.q)
	}
	a.messages[l] = true
	return nil
}

// Signatures is the number of signatures added, which is the number of distinct
// leaves that signed a message.
func (a *Audit) Signatures() int { return len(a.messages) }

// Upper is the number of distinct leaves that signed a lower tree.
func (a *Audit) Upper() int { return len(a.upper) }

// leaves are the leaf numbers of a signature, one per level, root first.
func leaves(s lms.HSSSignature) (q []uint32) {
	for _, l := range s.Leaves() {
		q = append(q, l.Q)
	}
	return q
}

func hash(b []byte) [sha256.Size]byte { return sha256.Sum256(b) }

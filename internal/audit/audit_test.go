package audit

import (
	"bytes"
	"errors"
	"testing"

	"github.com/onceleaf/onceleaf/lms"
)

var set = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W8}

func tree(t *testing.T, n byte) *lms.Tree {
	t.Helper()
	made, err := lms.NewTree(t.Context(), set, lms.ID{n}, bytes.Repeat([]byte{n}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func sign(t *testing.T, by *lms.Tree, q uint32, c byte, message []byte) []byte {
	t.Helper()
	signature, err := by.SignLeaf(nil, q, bytes.Repeat([]byte{c}, 32), message)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// TestAudit shows two-level signatures, good ones and each kind of reuse.
func TestAudit(t *testing.T) {
	root, a, b := tree(t, 1), tree(t, 2), tree(t, 3)
	pub := lms.HSSPublicKey{Levels: 2, Root: root.PublicKey()}
	under := func(lower *lms.Tree, q uint32, c byte, message string, leaf uint32) []byte {
		key := lower.PublicKey()
		return lms.HSSSignature{
			Signed:  []lms.SignedKey{{Signature: sign(t, root, q, c, key.Bytes()), Key: key}},
			Message: sign(t, lower, leaf, 9, []byte(message)),
		}.Bytes()
	}
	for name, c := range map[string]struct {
		second []byte
		want   error
	}{
		"another leaf":               {under(a, 0, 0, "m", 1), nil},
		"another tree":               {under(b, 1, 0, "m", 0), nil},
		"one leaf, two messages":     {under(a, 0, 0, "m", 0), ErrReuse},
		"one root leaf, two trees":   {under(b, 0, 0, "m", 0), ErrReuse},
		"one tree signed anew":       {under(a, 0, 1, "m", 1), ErrReuse},
		"a signature that is no one": {append(under(a, 0, 0, "m", 1), 0), lms.ErrEncoding},
	} {
		var audit Audit
		if err := audit.Add(pub, []byte("first"), under(a, 0, 0, "first", 0)); err != nil {
			t.Fatal(err)
		}
		if err := audit.Add(pub, []byte("m"), c.second); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	var audit Audit
	good := under(a, 0, 0, "m", 0)
	if err := audit.Add(pub, []byte("m"), good); err != nil || audit.Signatures() != 1 || audit.Upper() != 1 {
		t.Errorf("one signature: %v, %d, %d", err, audit.Signatures(), audit.Upper())
	}
	if err := audit.Add(pub, []byte("m"), good); err != nil || audit.Signatures() != 1 {
		t.Errorf("the same signature shown again: %v", err)
	}
}

// TestNoteWithoutRoot: the leaves below level 0 are told apart without the
// public key.
func TestNoteWithoutRoot(t *testing.T) {
	root, a := tree(t, 1), tree(t, 2)
	key := a.PublicKey()
	under := func(q uint32, message string) lms.HSSSignature {
		return lms.HSSSignature{
			Signed:  []lms.SignedKey{{Signature: sign(t, root, q, 0, key.Bytes()), Key: key}},
			Message: sign(t, a, 0, 9, []byte(message)),
		}
	}
	var audit Audit
	if reused := audit.Note("x", nil, under(0, "one")); reused != nil || audit.Upper() != 0 {
		t.Fatalf("first: %v", reused)
	}
	reused := audit.Note("y", nil, under(1, "two"))
	if len(reused) != 1 || reused[0].First != "x" || reused[0].Second != "y" || reused[0].Leaf.Level != 1 {
		t.Errorf("second: %v", reused)
	}
}

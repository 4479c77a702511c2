package lms_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/onceleaf/onceleaf/lms"
)

// hierarchy is one HSS private key as these tests use it: a tree per level.
type hierarchy struct {
	trees []*lms.Tree // top first
	sets  []lms.ParameterSet
}

func newHierarchy(t testing.TB, label string, sets ...lms.ParameterSet) hierarchy {
	t.Helper()
	h := hierarchy{sets: sets}
	for level, set := range sets {
		h.trees = append(h.trees, labelledTree(t, set, fmt.Sprintf("%s, level %d", label, level)))
	}
	return h
}

func (h hierarchy) publicKey() lms.HSSPublicKey {
	return lms.HSSPublicKey{Levels: len(h.trees), Root: h.trees[0].PublicKey()}
}

// sign signs message with leaf q of every level.
func (h hierarchy) sign(t testing.TB, q uint32, message []byte) lms.HSSSignature {
	t.Helper()
	var s lms.HSSSignature
	last := len(h.trees) - 1
	for level, tree := range h.trees[:last] {
		key := h.trees[level+1].PublicKey()
		s.Signed = append(s.Signed, lms.SignedKey{Signature: signLeaf(t, tree, q, key.Bytes()), Key: key})
	}
	s.Message = signLeaf(t, h.trees[last], q, message)
	return s
}

// The sets of these tests: small trees with quick and with short signatures, one per family.
var (
	sha32   = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W4}
	sha24   = lms.ParameterSet{LMS: lms.LMS_SHA256_M24_H5, OTS: lms.LMOTS_SHA256_N24_W4}
	shake32 = lms.ParameterSet{LMS: lms.LMS_SHAKE_M32_H5, OTS: lms.LMOTS_SHAKE_N32_W2}
	shake24 = lms.ParameterSet{LMS: lms.LMS_SHAKE_M24_H5, OTS: lms.LMOTS_SHAKE_N24_W1}
)

// TestLevels signs and verifies with 1 to 8 levels that differ in everything.
func TestLevels(t *testing.T) {
	all := []lms.ParameterSet{sha32, shake24, sha24, shake32, sha24, sha24, sha32, shake24}
	message := []byte("a message")
	for levels := 1; levels <= len(all); levels++ {
		h := newHierarchy(t, "levels", all[:levels]...)
		signature := h.sign(t, 7, message).Bytes()
		if want := lms.HSSSignatureSize(h.sets); len(signature) != want {
			t.Errorf("%d levels: signature of %d bytes, want %d", levels, len(signature), want)
		}
		public := h.publicKey().Bytes()
		if want := lms.HSSPublicKeySize(h.sets[0]); len(public) != want {
			t.Errorf("%d levels: public key of %d bytes, want %d", levels, len(public), want)
		}
		key, s := parse(t, public, signature)
		if err := key.Verify(message, signature); err != nil {
			t.Errorf("%d levels: %v", levels, err)
		}
		if err := key.Verify(message[1:], signature); !errors.Is(err, lms.ErrSignature) {
			t.Errorf("%d levels, other message: %v", levels, err)
		}
		checkLeaves(t, h, s.Leaves())
	}
}

func checkLeaves(t *testing.T, h hierarchy, leaves []lms.Leaf) {
	t.Helper()
	if len(leaves) != len(h.trees) {
		t.Fatalf("%d leaves, want %d", len(leaves), len(h.trees))
	}
	for level, leaf := range leaves {
		want := lms.Leaf{Level: level, Q: 7}
		if level > 0 {
			want.I = h.trees[level].PublicKey().I
		}
		if leaf != want {
			t.Errorf("leaf %+v, want %+v", leaf, want)
		}
	}
}

// TestLevelCount: RFC 8554 algorithm 9 wants Nspk + 1 = L.
func TestLevelCount(t *testing.T) {
	h := newHierarchy(t, "count", sha32, sha32)
	signature := h.sign(t, 0, nil)
	key := h.publicKey()
	for levels := range 10 {
		key.Levels = levels
		if err := key.Verify(nil, signature.Bytes()); (err == nil) != (levels == 2) {
			t.Errorf("L = %d: %v", levels, err)
		}
	}
	for levels, valid := range map[uint32]bool{
		0: false, 1: true, 2: true, 8: true, 9: false, 256: false, 257: false, 1 << 24: false, 1<<31 + 1: false, 1<<32 - 1: false,
	} {
		public := append(binary.BigEndian.AppendUint32(nil, levels), key.Root.Bytes()...)
		if k, err := lms.ParseHSSPublicKey(public); (err == nil) != valid || !valid && !errors.Is(err, lms.ErrEncoding) {
			t.Errorf("L = %d: %+v, %v", levels, k, err)
		}
	}
}

// TestTooManySignedKeys gives the parser a well-formed signature of nine levels.
func TestTooManySignedKeys(t *testing.T) {
	s := newHierarchy(t, "many", sha24, sha24).sign(t, 0, nil)
	for len(s.Signed) < 7 {
		s.Signed = append(s.Signed, s.Signed[0])
	}
	if _, err := lms.ParseHSSSignature(s.Bytes()); err != nil {
		t.Error(err)
	}
	s.Signed = append(s.Signed, s.Signed[0])
	if _, err := lms.ParseHSSSignature(s.Bytes()); !errors.Is(err, lms.ErrEncoding) {
		t.Error(err)
	}
}

// TestHSSFlippedBits flips a bit in each byte of a signature of two levels and of its key.
func TestHSSFlippedBits(t *testing.T) {
	message := []byte("a message")
	h := newHierarchy(t, "flipped", sha24, sha32)
	public, signature := h.publicKey().Bytes(), h.sign(t, 31, message).Bytes()
	key, _ := parse(t, public, signature)
	for i := range signature {
		signature[i] ^= 0x80 >> (i % 8)
		if err := key.Verify(message, signature); !errors.Is(err, lms.ErrSignature) && !errors.Is(err, lms.ErrEncoding) {
			t.Fatalf("byte %d of the signature: %v", i, err)
		}
		signature[i] ^= 0x80 >> (i % 8)
	}
	for i := range public {
		public[i] ^= 0x80 >> (i % 8)
		if other, err := lms.ParseHSSPublicKey(public); err == nil {
			if err := other.Verify(message, signature); !errors.Is(err, lms.ErrSignature) {
				t.Fatalf("byte %d of the public key: %v", i, err)
			}
		}
		public[i] ^= 0x80 >> (i % 8)
	}
	if err := key.Verify(message, signature); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
}

// TestHSSLengths cuts a signature and a public key after every byte, and extends them.
func TestHSSLengths(t *testing.T) {
	h := newHierarchy(t, "lengths", sha24, sha24, sha24)
	public, signature := h.publicKey().Bytes(), h.sign(t, 1, nil).Bytes()
	for length := range len(signature) {
		if s, err := lms.ParseHSSSignature(signature[:length]); !errors.Is(err, lms.ErrEncoding) || s.Signed != nil || s.Message != nil {
			t.Fatalf("signature of %d bytes: %v", length, err)
		}
	}
	for length := range len(public) {
		if _, err := lms.ParseHSSPublicKey(public[:length]); !errors.Is(err, lms.ErrEncoding) {
			t.Fatalf("public key of %d bytes: %v", length, err)
		}
	}
	if _, err := lms.ParseHSSSignature(append(signature, 0)); !errors.Is(err, lms.ErrEncoding) {
		t.Errorf("longer signature: %v", err)
	}
	if _, err := lms.ParseHSSPublicKey(append(public, 0)); !errors.Is(err, lms.ErrEncoding) {
		t.Errorf("longer public key: %v", err)
	}
}

// TestExchangedLevels takes parts of genuine signatures of one key and puts them together in other ways.
func TestExchangedLevels(t *testing.T) {
	h := newHierarchy(t, "exchanged", sha32, sha32, sha32)
	other := newHierarchy(t, "other", sha32, sha32, sha32)
	key, message := h.publicKey(), []byte("a message")
	for name, change := range map[string]func(s *lms.HSSSignature){
		"levels exchanged":           func(s *lms.HSSSignature) { s.Signed[0], s.Signed[1] = s.Signed[1], s.Signed[0] },
		"level repeated":             func(s *lms.HSSSignature) { s.Signed[1] = s.Signed[0] },
		"other lower key":            func(s *lms.HSSSignature) { s.Signed[1].Key = other.trees[2].PublicKey() },
		"other lowest signature":     func(s *lms.HSSSignature) { s.Message = other.sign(t, 0, message).Message },
		"all but the top by another": func(s *lms.HSSSignature) { *s = other.sign(t, 0, message) },
		"message by the top":         func(s *lms.HSSSignature) { s.Message = signLeaf(t, h.trees[0], 1, message) },
	} {
		s := h.sign(t, 0, message)
		if err := key.Verify(message, s.Bytes()); err != nil {
			t.Fatal(err)
		}
		if change(&s); !errors.Is(key.Verify(message, s.Bytes()), lms.ErrSignature) {
			t.Errorf("%s: %v", name, key.Verify(message, s.Bytes()))
		}
	}
}

// TestParsedSignatureIsACopy: who keeps a parsed signature does not depend on the bytes it was read from.
func TestParsedSignatureIsACopy(t *testing.T) {
	h := newHierarchy(t, "copy", sha24, sha24)
	signature := h.sign(t, 0, nil).Bytes()
	s, err := lms.ParseHSSSignature(signature)
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Clone(signature)
	clear(signature)
	if !bytes.Equal(s.Bytes(), want) {
		t.Error("the parsed signature shares memory with its input")
	}
}

// TestParserMemory: a few bytes that announce much do not make the parser allocate much.
func TestParserMemory(t *testing.T) {
	h := newHierarchy(t, "memory", sha24, sha24)
	signature := h.sign(t, 0, nil).Bytes()
	binary.BigEndian.PutUint32(signature, 7)
	result := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			if _, err := lms.ParseHSSSignature(signature[:2000]); err == nil {
				b.Fatal("parsed")
			}
		}
	})
	if got := result.AllocedBytesPerOp(); got > 4000 {
		t.Errorf("%d bytes allocated for an input of 2000", got)
	}
}

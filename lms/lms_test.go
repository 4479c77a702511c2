package lms_test

import (
	"bytes"
	"context"
	"crypto/sha3"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/lms"
)

// stream returns n deterministic bytes that depend on label.
func stream(label string, n int) []byte { return sha3.SumSHAKE128([]byte(label), n) }

func newTree(t testing.TB, set lms.ParameterSet, id lms.ID, seed []byte) *lms.Tree {
	t.Helper()
	tree, err := lms.NewTree(t.Context(), set, id, seed)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// labelledTree returns a tree with I and SEED made from label.
func labelledTree(t testing.TB, set lms.ParameterSet, label string) *lms.Tree {
	t.Helper()
	return newTree(t, set, lms.ID(stream("I "+label, 16)), stream("SEED "+label, set.N()))
}

func signLeaf(t testing.TB, tree *lms.Tree, q uint32, message []byte) []byte {
	t.Helper()
	set := tree.PublicKey().Set
	signature, err := tree.SignLeaf(nil, q, stream(fmt.Sprintf("C %d %x", q, message), set.N()), message)
	if err != nil {
		t.Fatal(err)
	}
	if len(signature) != set.SignatureSize() {
		t.Fatalf("%v: signature of %d bytes, want %d", set, len(signature), set.SignatureSize())
	}
	return signature
}

// setsOfHeight returns the 16 sets with height h: each hash function, n and w.
func setsOfHeight(h int) []lms.ParameterSet {
	var sets []lms.ParameterSet
	for _, set := range lms.ParameterSets() {
		if set.Height() == h {
			sets = append(sets, set)
		}
	}
	return sets
}

// TestEveryLeaf signs with all leaves of a tree of each LM-OTS type.
func TestEveryLeaf(t *testing.T) {
	sets := setsOfHeight(5)
	if len(sets) != 16 {
		t.Fatalf("%d sets, want 16", len(sets))
	}
	for _, set := range sets {
		tree := labelledTree(t, set, set.String())
		key := tree.PublicKey()
		for q := range uint32(set.Leaves()) {
			message := fmt.Appendf(nil, "message %d", q)
			signature := signLeaf(t, tree, q, message)
			if err := key.Verify(message, signature); err != nil {
				t.Fatalf("%v, leaf %d: %v", set, q, err)
			}
			message[q%8] ^= 1 << (q % 7)
			if err := key.Verify(message, signature); !errors.Is(err, lms.ErrSignature) {
				t.Fatalf("%v, leaf %d, other message: %v", set, q, err)
			}
		}
	}
}

func TestHeight10(t *testing.T) {
	for _, set := range []lms.ParameterSet{
		{LMS: lms.LMS_SHA256_M32_H10, OTS: lms.LMOTS_SHA256_N32_W2},
		{LMS: lms.LMS_SHA256_M24_H10, OTS: lms.LMOTS_SHA256_N24_W4},
		{LMS: lms.LMS_SHAKE_M32_H10, OTS: lms.LMOTS_SHAKE_N32_W1},
		{LMS: lms.LMS_SHAKE_M24_H10, OTS: lms.LMOTS_SHAKE_N24_W2},
	} {
		tree := labelledTree(t, set, set.String())
		for _, q := range []uint32{0, 1, 255, 256, 511, 512, 1023} {
			if err := tree.PublicKey().Verify(nil, signLeaf(t, tree, q, nil)); err != nil {
				t.Errorf("%v, leaf %d: %v", set, q, err)
			}
		}
	}
}

// TestFlippedBits flips a bit in each byte of a signature and of a public key, and expects a refusal every time.
func TestFlippedBits(t *testing.T) {
	message := []byte("a message")
	for _, set := range setsOfHeight(5) {
		if set.OTS%4 != 3 { // w = 4 has every kind of field and is quick; other w are in TestFlippedFields
			continue
		}
		tree := labelledTree(t, set, "flipped "+set.String())
		key, signature := tree.PublicKey(), signLeaf(t, tree, 21, message)
		for i := range signature {
			signature[i] ^= 1 << (i % 8)
			if err := key.Verify(message, signature); !errors.Is(err, lms.ErrSignature) && !errors.Is(err, lms.ErrEncoding) {
				t.Fatalf("%v, byte %d of the signature: %v", set, i, err)
			}
			signature[i] ^= 1 << (i % 8)
		}
		public := key.Bytes()
		for i := range public {
			public[i] ^= 1 << (i % 8)
			if other, err := lms.ParsePublicKey(public); err == nil {
				if err := other.Verify(message, signature); !errors.Is(err, lms.ErrSignature) {
					t.Fatalf("%v, byte %d of the public key: %v", set, i, err)
				}
			} else if !errors.Is(err, lms.ErrEncoding) {
				t.Fatalf("%v, byte %d of the public key: %v", set, i, err)
			}
			public[i] ^= 1 << (i % 8)
		}
		if err := key.Verify(message, signature); err != nil {
			t.Fatalf("%v, unchanged: %v", set, err)
		}
	}
}

// TestFlippedFields flips the lowest bit of each field of a signature of each LM-OTS type.
func TestFlippedFields(t *testing.T) {
	message := []byte("a message")
	for _, set := range setsOfHeight(5) {
		tree := labelledTree(t, set, "fields "+set.String())
		key, signature, n := tree.PublicKey(), signLeaf(t, tree, 31, message), set.N()
		path := len(signature) - 5*n
		for _, c := range []struct {
			field string
			last  int // the field's last byte
			want  error
		}{
			{"q", 3, lms.ErrSignature},
			{"q out of range", 2, lms.ErrEncoding},
			{"LM-OTS type", 7, nil},
			{"C", 8 + n - 1, lms.ErrSignature},
			{"y[0]", 8 + 2*n - 1, lms.ErrSignature},
			{"y[p-1]", path - 4 - 1, lms.ErrSignature},
			{"LMS type", path - 1, nil},
			{"path[0]", path + n - 1, lms.ErrSignature},
			{"path[h-1]", len(signature) - 1, lms.ErrSignature},
		} {
			signature[c.last] ^= 1
			err := key.Verify(message, signature)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%v, %s: %v, want %v", set, c.field, err, c.want)
			}
			signature[c.last] ^= 1
		}
	}
}

// TestOtherTypes puts every other valid pair of types into a signature and, separately, into the key. None may pass, and
// none may read beyond the end.
func TestOtherTypes(t *testing.T) {
	set := lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W8}
	tree := labelledTree(t, set, "types")
	key, signature := tree.PublicKey(), signLeaf(t, tree, 3, nil)
	for _, other := range lms.ParameterSets() {
		if other == set {
			continue
		}
		changed := bytes.Clone(signature)
		changed[7], changed[len(changed)-5*32-1] = byte(other.OTS), byte(other.LMS)
		if err := key.Verify(nil, changed); !errors.Is(err, lms.ErrSignature) && !errors.Is(err, lms.ErrEncoding) {
			t.Errorf("signature with %v: %v", other, err)
		}
		if other.N() == set.N() {
			otherKey := lms.PublicKey{Set: other, I: key.I, Root: key.Root}
			if err := otherKey.Verify(nil, signature); !errors.Is(err, lms.ErrSignature) {
				t.Errorf("key with %v: %v", other, err)
			}
		}
	}
}

// TestLengths cuts a signature and a public key after every byte, and extends them.
func TestLengths(t *testing.T) {
	set := lms.ParameterSet{LMS: lms.LMS_SHA256_M24_H5, OTS: lms.LMOTS_SHA256_N24_W4}
	tree := labelledTree(t, set, "lengths")
	key, signature := tree.PublicKey(), signLeaf(t, tree, 0, nil)
	for length := range len(signature) {
		if err := key.Verify(nil, signature[:length]); !errors.Is(err, lms.ErrEncoding) {
			t.Fatalf("signature of %d bytes: %v", length, err)
		}
	}
	if err := key.Verify(nil, append(bytes.Clone(signature), 0)); !errors.Is(err, lms.ErrEncoding) {
		t.Errorf("longer signature: %v", err)
	}
	public := key.Bytes()
	for length := range len(public) {
		if _, err := lms.ParsePublicKey(public[:length]); !errors.Is(err, lms.ErrEncoding) {
			t.Errorf("public key of %d bytes: %v", length, err)
		}
	}
	if _, err := lms.ParsePublicKey(append(public, 0)); !errors.Is(err, lms.ErrEncoding) {
		t.Errorf("longer public key: %v", err)
	}
}

func TestPublicKeyTypes(t *testing.T) {
	key := labelledTree(t, lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W1}, "types").PublicKey()
	for _, set := range []lms.ParameterSet{
		{}, {LMS: 4, OTS: 1}, {LMS: 25, OTS: 1}, {LMS: 5, OTS: 0}, {LMS: 5, OTS: 17},
		{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHAKE_N32_W1}, {LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N24_W1},
	} {
		key.Set = set
		if _, err := lms.ParsePublicKey(key.Bytes()); !errors.Is(err, lms.ErrEncoding) || !errors.Is(err, lms.ErrParameters) {
			t.Errorf("%v: %v", set, err)
		}
		if err := key.Verify(nil, nil); !errors.Is(err, lms.ErrParameters) {
			t.Errorf("%v: %v", set, err)
		}
	}
}

func TestHandMadeKey(t *testing.T) {
	tree := labelledTree(t, lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W1}, "hand")
	key, signature := tree.PublicKey(), signLeaf(t, tree, 0, nil)
	for _, root := range [][]byte{nil, key.Root[:31], append(bytes.Clone(key.Root), 0)} {
		key.Root = root
		if err := key.Verify(nil, signature); !errors.Is(err, lms.ErrParameters) {
			t.Errorf("root of %d bytes: %v", len(root), err)
		}
	}
}

// TestForgedRoot shows that the public key of a tree is a copy: who changes it does not change the tree.
func TestForgedRoot(t *testing.T) {
	tree := labelledTree(t, lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W1}, "root")
	key := tree.PublicKey()
	clear(key.Root)
	if bytes.Equal(tree.PublicKey().Root, key.Root) {
		t.Error("PublicKey returns the memory of the tree")
	}
}

func TestNewTreeArguments(t *testing.T) {
	set := lms.ParameterSet{LMS: lms.LMS_SHA256_M24_H5, OTS: lms.LMOTS_SHA256_N24_W1}
	for _, c := range []struct {
		set  lms.ParameterSet
		seed []byte
	}{
		{set, nil}, {set, make([]byte, 23)}, {set, make([]byte, 25)}, {set, make([]byte, 32)},
		{lms.ParameterSet{}, nil}, {lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N24_W1}, make([]byte, 24)},
	} {
		if tree, err := lms.NewTree(t.Context(), c.set, lms.ID{}, c.seed); tree != nil || !errors.Is(err, lms.ErrParameters) {
			t.Errorf("%v, seed of %d bytes: %v", c.set, len(c.seed), err)
		}
	}
}

// TestNewTreeCancelled would take minutes if NewTree did not look at its context.
func TestNewTreeCancelled(t *testing.T) {
	set := lms.ParameterSet{LMS: lms.LMS_SHAKE_M32_H20, OTS: lms.LMOTS_SHAKE_N32_W8}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	for range 2 { // while it works; before it begins
		if tree, err := lms.NewTree(ctx, set, lms.ID{}, make([]byte, 32)); tree != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	}
}

// TestTreeOnAnyCores computes the same tree with different numbers of goroutines.
func TestTreeOnAnyCores(t *testing.T) {
	set := lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H10, OTS: lms.LMOTS_SHA256_N32_W2}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	var first []byte
	for _, cores := range []int{1, 2, 3, 64} {
		runtime.GOMAXPROCS(cores)
		tree := labelledTree(t, set, "cores")
		signature := signLeaf(t, tree, 1000, nil)
		if err := tree.PublicKey().Verify(nil, signature); err != nil {
			t.Errorf("%d cores: %v", cores, err)
		}
		if first == nil {
			first = signature
		}
		if !bytes.Equal(first, signature) {
			t.Errorf("%d cores make another signature", cores)
		}
	}
}

// The seed stays in the memory that the caller chose for it.
func TestSeedIsNotCopied(t *testing.T) {
	set := lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W2}
	seed := stream("seed", 32)
	tree := newTree(t, set, lms.ID{}, seed)
	if err := tree.PublicKey().Verify(nil, signLeaf(t, tree, 0, nil)); err != nil {
		t.Error(err)
	}
	if tree.Wipe(); !bytes.Equal(seed, make([]byte, 32)) {
		t.Error("Wipe left the caller's seed")
	}
}

func TestSignLeafArguments(t *testing.T) {
	for _, set := range setsOfHeight(5) {
		if set.OTS%4 != 2 {
			continue
		}
		tree, n := labelledTree(t, set, "arguments"), set.N()
		for _, c := range []struct {
			q          uint32
			randomizer int
		}{{32, n}, {1 << 31, n}, {1<<32 - 1, n}, {0, 0}, {0, n - 1}, {0, n + 1}, {0, 56 - n}} {
			signature, err := tree.SignLeaf(nil, c.q, make([]byte, c.randomizer), nil)
			if signature != nil || !errors.Is(err, lms.ErrParameters) {
				t.Errorf("%v, leaf %d, randomizer of %d bytes: %v", set, c.q, c.randomizer, err)
			}
		}
	}
}

func TestWipe(t *testing.T) {
	tree := labelledTree(t, lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W2}, "wipe")
	key, signature := tree.PublicKey(), signLeaf(t, tree, 0, nil)
	for range 2 {
		tree.Wipe()
		if signature, err := tree.SignLeaf(nil, 1, make([]byte, 32), nil); err == nil || signature != nil {
			t.Error("a wiped tree signs")
		}
	}
	if after := tree.PublicKey(); !bytes.Equal(after.Bytes(), key.Bytes()) {
		t.Error("the public key changed")
	}
	if err := key.Verify(nil, signature); err != nil {
		t.Error(err)
	}
}

// TestConcurrentUse signs in many goroutines while one wipes the tree: each gets a good signature or an error.
func TestConcurrentUse(t *testing.T) {
	tree := labelledTree(t, lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W4}, "concurrent")
	key := tree.PublicKey()
	var group sync.WaitGroup
	for q := range uint32(32) {
		group.Go(func() {
			signature, err := tree.SignLeaf(nil, q, make([]byte, 32), nil)
			if err == nil {
				err = key.Verify(nil, signature)
				if err != nil {
					t.Errorf("leaf %d: %v", q, err)
				}
			} else if signature != nil {
				t.Errorf("leaf %d: bytes beside the error %v", q, err)
			}
			if q == 16 {
				tree.Wipe()
			}
		})
	}
	group.Wait()
}

// TestAccumulated folds keys and signatures of all LM-OTS types into one hash. The constant was computed once, after the
// vectors of the RFCs, of NIST and of the other implementations had passed.
func TestAccumulated(t *testing.T) {
	const want = "06043cac057f84ac6a7f7bd76d3564eb48204fb5e727f7a44e7b9c8bb70bb454"
	all := sha3.New256()
	for _, set := range setsOfHeight(5) {
		for k := range 3 {
			label := fmt.Sprintf("accumulated %v %d", set, k)
			tree := labelledTree(t, set, label)
			public := tree.PublicKey()
			all.Write(public.Bytes())
			for _, q := range stream("q "+label, 8) {
				message := stream("message "+label, int(q))
				all.Write(signLeaf(t, tree, uint32(q%32), message))
			}
		}
	}
	if got := hex.EncodeToString(all.Sum(nil)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

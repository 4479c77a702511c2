package lms_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/onceleaf/onceleaf/lms"
)

// fuzzSeeds returns genuine keys and signatures: those of the RFCs, and ours with three levels of small signatures.
func fuzzSeeds(f *testing.F) []vector {
	f.Helper()
	seeds := rfcVectors(f)
	h := newHierarchy(f, "fuzz", sha24, shake24, sha24)
	message := []byte("a message")
	seeds = append(seeds, vector{key: h.publicKey().Bytes(), message: message, s: h.sign(f, 31, message).Bytes()})
	if len(seeds) < 7 {
		f.Fatalf("%d seeds, want 7", len(seeds))
	}
	return seeds
}

// checkEncodingError fails unless err is the one that parsers return.
func checkEncodingError(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, lms.ErrEncoding) {
		t.Fatalf("unexpected error %v", err)
	}
}

func FuzzParseHSSSignature(f *testing.F) {
	for _, v := range fuzzSeeds(f) {
		f.Add(v.s)
		f.Add(v.s[:len(v.s)-1])
	}
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := lms.ParseHSSSignature(b)
		if err != nil {
			checkEncodingError(t, err)
			return
		}
		if !bytes.Equal(s.Bytes(), b) {
			t.Fatal("encodes to other bytes")
		}
		if leaves := s.Leaves(); len(leaves) != len(s.Signed)+1 || len(leaves) > 8 {
			t.Fatalf("%d leaves, %d signed keys", len(leaves), len(s.Signed))
		}
	})
}

func FuzzParseHSSPublicKey(f *testing.F) {
	for _, v := range fuzzSeeds(f) {
		f.Add(v.key)
		f.Add(v.key[:len(v.key)-1])
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 60))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := lms.ParseHSSPublicKey(b)
		if err != nil {
			checkEncodingError(t, err)
			return
		}
		if !bytes.Equal(k.Bytes(), b) {
			t.Fatal("encodes to other bytes")
		}
		if err := k.Root.Set.Valid(); err != nil || k.Levels < 1 || k.Levels > 8 {
			t.Fatalf("parsed %+v (%v)", k, err)
		}
	})
}

// FuzzVerify looks for a panic, and for a second encoding of a signature that verifies.
func FuzzVerify(f *testing.F) {
	for _, v := range fuzzSeeds(f) {
		f.Add(v.key, v.message, v.s)
		f.Add(v.key, v.message, v.s[:len(v.s)/2])
		f.Add(v.key, []byte{}, v.s)
	}
	f.Fuzz(func(t *testing.T, key, message, signature []byte) {
		k, err := lms.ParseHSSPublicKey(key)
		if err != nil {
			checkEncodingError(t, err)
			return
		}
		err = k.Verify(message, signature)
		if err != nil {
			if !errors.Is(err, lms.ErrSignature) && !errors.Is(err, lms.ErrEncoding) {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		s, err := lms.ParseHSSSignature(signature)
		if err != nil || !bytes.Equal(s.Bytes(), signature) {
			t.Fatalf("verifies, but does not encode to the same bytes (%v)", err)
		}
		if k.Verify(message, append(bytes.Clone(signature), 0)) == nil || k.Verify(append(bytes.Clone(message), 0), signature) == nil {
			t.Fatal("a longer signature or message verifies too")
		}
	})
}

package lms

import (
	"bytes"
	"testing"
)

// TestWipeZeroesSeed looks at the memory that held the seed.
func TestWipeZeroesSeed(t *testing.T) {
	set := ParameterSet{LMS_SHA256_M32_H5, LMOTS_SHA256_N32_W1}
	tree, err := NewTree(t.Context(), set, ID{}, bytes.Repeat([]byte{0xa5}, 32))
	if err != nil {
		t.Fatal(err)
	}
	seed := tree.seed
	if tree.Wipe(); !bytes.Equal(seed, make([]byte, 32)) || tree.seed != nil {
		t.Errorf("after Wipe: %x", seed)
	}
}

package main

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/audit"
	"github.com/onceleaf/onceleaf/lms"
)

// rfcExample is test case 1 of RFC 8554 appendix F: two levels, leaf 5 on top and leaf 10 below.
func rfcExample(t testing.TB, part string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/rfc8554-1-" + part + ".hex")
	if err != nil {
		t.Fatal(err)
	}
	data, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil || len(data) == 0 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	return data
}

func parsed(t testing.TB, b []byte) lms.HSSSignature {
	t.Helper()
	sig, err := lms.ParseHSSSignature(b)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func TestReportLeaves(t *testing.T) {
	key, err := lms.ParseHSSPublicKey(rfcExample(t, "public"))
	if err != nil {
		t.Fatal(err)
	}
	sig := parsed(t, rfcExample(t, "signature"))
	const top, below = "61a5d57d37f5e46bfb7520806b07a1b8", "d2f14ff6346af964569f7d6cb880a1b6"
	for _, test := range []struct {
		key  *lms.HSSPublicKey
		want []leafReport
	}{
		{nil, []leafReport{{0, "", 5}, {1, below, 10}}},
		{&key, []leafReport{{0, top, 5}, {1, below, 10}}},
	} {
		got := reportLeaves(sig, test.key)
		if len(got) != 2 || got[0] != test.want[0] || got[1] != test.want[1] {
			t.Errorf("got %v, want %v", got, test.want)
		}
	}
}

func TestAuditFindsLeavesUsedTwice(t *testing.T) {
	key, err := lms.ParseHSSPublicKey(rfcExample(t, "public"))
	if err != nil {
		t.Fatal(err)
	}
	good := rfcExample(t, "signature")
	first := parsed(t, good)
	// As if the message leaf had signed another message: one byte of its C differs.
	bottom := bytes.Clone(good)
	bottom[len(bottom)-len(first.Message)+8] ^= 1
	// As if the top leaf had signed another tree: another root below.
	top := bytes.Clone(good)
	at := bytes.Index(top, first.Signed[0].Key.Root)
	top[at] ^= 1
	// A leaf that was not used yet.
	other := bytes.Clone(good)
	other[len(other)-len(first.Message)+3] ^= 1

	tests := map[string]struct {
		second []byte
		key    *lms.HSSPublicKey
		reused []int // levels
	}{
		"the same signature":          {good, &key, nil},
		"another leaf":                {other, &key, nil},
		"message leaf":                {bottom, &key, []int{1}},
		"message leaf, key not known": {bottom, nil, []int{1}},
		"top leaf":                    {top, &key, []int{0}},
		"top leaf, key not known":     {top, nil, nil},
		"the same signature, no key":  {good, nil, nil},
		"another leaf, key not known": {other, nil, nil},
	}
	for name, test := range tests {
		var seen audit.Audit
		seen.Note("first", rootOf(test.key), first)
		var levels []int
		for _, r := range seen.Note("second", rootOf(test.key), parsed(t, test.second)) {
			levels = append(levels, r.Leaf.Level)
			if r.First != "first" || r.Second != "second" {
				t.Errorf("%s: in files %s and %s", name, r.First, r.Second)
			}
		}
		if len(levels) != len(test.reused) || (len(levels) == 1 && levels[0] != test.reused[0]) {
			t.Errorf("%s: reused at levels %v, want %v", name, levels, test.reused)
		}
	}
}

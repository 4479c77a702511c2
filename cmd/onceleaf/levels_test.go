package main

import (
	"math"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/lms"
)

func TestParseLevels(t *testing.T) {
	const h10 = "LMS_SHA256_M32_H10/LMOTS_SHA256_N32_W4"
	sets, err := parseLevels([]string{h10, "LMS_SHA256_M32_H5/LMOTS_SHA256_N32_W8"})
	if err != nil {
		t.Fatal(err)
	}
	want := []lms.ParameterSet{set32, {LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W8}}
	if len(sets) != 2 || sets[0] != want[0] || sets[1] != want[1] {
		t.Errorf("got %v, want %v", sets, want)
	}
	for name, levels := range map[string][]string{
		"none":                     nil,
		"nine":                     {h10, h10, h10, h10, h10, h10, h10, h10, h10},
		"empty name":               {""},
		"unknown height":           {"LMS_SHA256_M32_H11/LMOTS_SHA256_N32_W4"},
		"LM-OTS missing":           {"LMS_SHA256_M32_H10"},
		"other length in LM-OTS":   {"LMS_SHA256_M32_H10/LMOTS_SHA256_N24_W4"},
		"other hash in LM-OTS":     {"LMS_SHA256_M32_H10/LMOTS_SHAKE_N32_W4"},
		"other length below":       {h10, "LMS_SHA256_M24_H10/LMOTS_SHA256_N24_W4"},
		"other hash below":         {h10, "LMS_SHAKE_M32_H10/LMOTS_SHAKE_N32_W4"},
		"blank before":             {" " + h10},
		"two levels in one string": {h10 + "," + h10},
	} {
		if sets, err := parseLevels(levels); err == nil {
			t.Errorf("%s: accepted as %v", name, sets)
		}
	}
}

func TestEveryParameterSetCanBeNamed(t *testing.T) {
	all := lms.ParameterSets()
	if len(all) == 0 {
		t.Fatal("no parameter sets")
	}
	for _, set := range all {
		if sets, err := parseLevels([]string{set.String()}); err != nil || sets[0] != set {
			t.Errorf("%v: got %v, %v", set, sets, err)
		}
	}
	offers, _ := completeLevel(nil, nil, "LMS_SHAKE_M24_H25/")
	if len(offers) != 4 {
		t.Errorf("the shell is offered %v, want one for each of W1 W2 W4 W8", offers)
	}
}

func TestSignaturesSaturate(t *testing.T) {
	h25 := lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H25, OTS: lms.LMOTS_SHA256_N32_W8}
	h5 := lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W8}
	tests := []struct {
		sets []lms.ParameterSet
		want uint64
	}{
		{[]lms.ParameterSet{h5}, 32},
		{[]lms.ParameterSet{h5, set32}, 32 * 1024},
		{[]lms.ParameterSet{h25, h25, set32}, 1 << 60},
		{[]lms.ParameterSet{h25, h25, h5, h5}, 1 << 60},
		{[]lms.ParameterSet{h25, h25, set32, h5}, math.MaxUint64},
		{[]lms.ParameterSet{h25, h25, h25}, math.MaxUint64},
	}
	for _, test := range tests {
		if got := signatures(test.sets); got != test.want {
			t.Errorf("%v: %d signatures, want %d", test.sets, got, test.want)
		}
	}
	if words := countSignatures(math.MaxUint64); !strings.Contains(words, "more than") {
		t.Errorf("2^64-1 is shown as %q, which is not what it stands for", words)
	}
}

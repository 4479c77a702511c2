package lms

import (
	"errors"
	"math/bits"
	"strings"
	"testing"
)

// TestTableEqualsFormulas holds the table to RFC 8554 appendix B and to the pattern of the IANA registry.
func TestTableEqualsFormulas(t *testing.T) {
	rows := 0
	for typ := OTSType(1); typ <= LMOTS_SHAKE_N24_W8; typ++ {
		o := typ.params()
		u := (8*o.n + o.w - 1) / o.w
		v := (bits.Len(uint((1<<o.w-1)*u)) + o.w - 1) / o.w
		if o.p != u+v || o.ls != 16-v*o.w {
			t.Errorf("%v: p = %d, ls = %d, want %d, %d", typ, o.p, o.ls, u+v, 16-v*o.w)
		}
		if want := 1 << (uint(typ-1) % 4); o.w != want {
			t.Errorf("%v: w = %d, want %d", typ, o.w, want)
		}
		rows++
	}
	for typ := LMS_SHA256_M32_H5; typ <= LMS_SHAKE_M24_H25; typ++ {
		if l, want := typ.params(), 5+5*int(typ-5)%25; l.h != want {
			t.Errorf("%v: h = %d, want %d", typ, l.h, want)
		}
		rows++
	}
	if rows != 36 {
		t.Errorf("%d rows, want 36", rows)
	}
}

// TestFamilies checks hash function, n and m of each row against the order of the registry.
func TestFamilies(t *testing.T) {
	families := []struct {
		hash hashFunction
		n    int
		name string
	}{{sha256Hash, 32, "SHA256_%32_"}, {sha256Hash, 24, "SHA256_%24_"}, {shake256Hash, 32, "SHAKE_%32_"}, {shake256Hash, 24, "SHAKE_%24_"}}
	for k, f := range families {
		for i := range 4 {
			o := OTSType(1 + 4*k + i).params()
			if o.hash != f.hash || o.n != f.n || !strings.HasPrefix(o.name, "LMOTS_"+strings.Replace(f.name, "%", "N", 1)) {
				t.Errorf("LM-OTS type %d: %+v, want %+v", 1+4*k+i, o, f)
			}
		}
		for i := range 5 {
			l := Type(5 + 5*k + i).params()
			if l.hash != f.hash || l.m != f.n || !strings.HasPrefix(l.name, "LMS_"+strings.Replace(f.name, "%", "M", 1)) {
				t.Errorf("LMS type %d: %+v, want %+v", 5+5*k+i, l, f)
			}
		}
	}
}

func TestParameterSets(t *testing.T) {
	sets := ParameterSets()
	if len(sets) != 80 {
		t.Fatalf("%d sets, want 80", len(sets))
	}
	for i, s := range sets {
		if err := s.Valid(); err != nil {
			t.Errorf("%v: %v", s, err)
		}
		if i > 0 && (sets[i-1].LMS > s.LMS || sets[i-1].LMS == s.LMS && sets[i-1].OTS >= s.OTS) {
			t.Errorf("%v stands after %v", s, sets[i-1])
		}
		if back, err := ParseParameterSet(s.String()); err != nil || back != s {
			t.Errorf("ParseParameterSet(%q) = %v, %v", s.String(), back, err)
		}
		if s.Leaves() != 1<<s.Height() || s.N() != s.LMS.params().m || !s.SameHash(s) {
			t.Errorf("%v: leaves %d, height %d, n %d", s, s.Leaves(), s.Height(), s.N())
		}
	}
}

func TestInvalidParameterSets(t *testing.T) {
	sets := []ParameterSet{
		{},
		{LMS_SHA256_M32_H5, 0},
		{0, LMOTS_SHA256_N32_W8},
		{LMS_SHA256_M32_H5, 17},
		{4, LMOTS_SHA256_N32_W8},
		{25, LMOTS_SHA256_N32_W8},
		{1 << 31, 1 << 31},
		{LMS_SHA256_M32_H5, LMOTS_SHA256_N24_W8},
		{LMS_SHA256_M24_H5, LMOTS_SHA256_N32_W8},
		{LMS_SHA256_M32_H5, LMOTS_SHAKE_N32_W8},
		{LMS_SHAKE_M24_H5, LMOTS_SHA256_N24_W8},
	}
	for _, s := range sets {
		if err := s.Valid(); !errors.Is(err, ErrParameters) {
			t.Errorf("%v: %v", s, err)
		}
		if s.Leaves() != 0 || s.SignatureSize() != 0 || s.PublicKeySize() != 0 {
			t.Errorf("%v has leaves or sizes", s)
		}
	}
	for _, name := range []string{"", "/", "LMS_SHA256_M32_H5", "LMS_SHA256_M32_H5/", "LMS_SHA256_M32_H5/LMOTS_SHA256_N24_W1",
		"lms_sha256_m32_h5/lmots_sha256_n32_w1", "LMS_SHA256_M32_H5/LMOTS_SHA256_N32_W1 ", "LMS(0x0)/LMOTS(0x0)"} {
		if s, err := ParseParameterSet(name); !errors.Is(err, ErrParameters) {
			t.Errorf("ParseParameterSet(%q) = %v, %v", name, s, err)
		}
	}
}

func TestSameHash(t *testing.T) {
	a := ParameterSet{LMS_SHA256_M32_H5, LMOTS_SHA256_N32_W8}
	for set, want := range map[ParameterSet]bool{
		{LMS_SHA256_M32_H20, LMOTS_SHA256_N32_W1}: true,
		{LMS_SHA256_M24_H5, LMOTS_SHA256_N24_W8}:  false,
		{LMS_SHAKE_M32_H5, LMOTS_SHAKE_N32_W8}:    false,
	} {
		if a.SameHash(set) != want || set.SameHash(a) != want {
			t.Errorf("SameHash of %v and %v is not %v", a, set, want)
		}
	}
}

// TestSizes compares the formulas with numbers known from elsewhere.
func TestSizes(t *testing.T) {
	h5 := ParameterSet{LMS_SHA256_M32_H5, LMOTS_SHA256_N32_W8}
	h5n24 := ParameterSet{LMS_SHA256_M24_H5, LMOTS_SHA256_N24_W8}
	large := ParameterSet{LMS_SHA256_M32_H25, LMOTS_SHA256_N32_W1}
	eight := make([]ParameterSet, 8)
	for i := range eight {
		eight[i] = large
	}
	for _, c := range []struct {
		name      string
		got, want int
	}{
		{"LMS public key, n=32", h5.PublicKeySize(), 56},
		{"LMS public key, n=24", h5n24.PublicKeySize(), 48},
		{"HSS public key, n=32", HSSPublicKeySize(h5), 60},
		{"HSS public key, n=24", HSSPublicKeySize(h5n24), 52},
		{"smallest signature, n=32 (PKCS#11 6.65)", HSSSignatureSize([]ParameterSet{h5}), 1296},
		{"smallest signature, n=24", HSSSignatureSize([]ParameterSet{h5n24}), 784},
		{"largest signature (PKCS#11 6.65)", HSSSignatureSize(eight), 74988},
		{"LMS signature H10/W8", ParameterSet{LMS_SHA256_M32_H10, LMOTS_SHA256_N32_W8}.SignatureSize(), 1452},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d bytes, want %d", c.name, c.got, c.want)
		}
	}
}

func TestStrings(t *testing.T) {
	for got, want := range map[string]string{
		LMS_SHA256_M32_H10.String(): "LMS_SHA256_M32_H10",
		LMOTS_SHAKE_N24_W4.String(): "LMOTS_SHAKE_N24_W4",
		Type(0x63).String():         "LMS(0x63)",
		OTSType(0x63).String():      "LMOTS(0x63)",
		ParameterSet{LMS_SHA256_M32_H10, LMOTS_SHA256_N32_W4}.String():     "LMS_SHA256_M32_H10/LMOTS_SHA256_N32_W4",
		ParameterSet{LMS_SHAKE_M24_H25, LMOTS_SHAKE_N24_W1}.LMS.String():   "LMS_SHAKE_M24_H25",
		ParameterSet{LMS_SHA256_M24_H15, LMOTS_SHA256_N24_W8}.OTS.String(): "LMOTS_SHA256_N24_W8",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestMarshalText(t *testing.T) {
	for _, s := range ParameterSets() {
		text, err := s.MarshalText()
		if err != nil || string(text) != s.String() {
			t.Errorf("%v marshals as %q, %v", s, text, err)
		}
		var back ParameterSet
		if err := back.UnmarshalText(text); err != nil || back != s {
			t.Errorf("%q unmarshals as %v, %v", text, back, err)
		}
	}
	if text, err := (ParameterSet{}).MarshalText(); text != nil || !errors.Is(err, ErrParameters) {
		t.Errorf("the zero set marshals as %q, %v", text, err)
	}
	kept := ParameterSet{LMS_SHA256_M32_H5, LMOTS_SHA256_N32_W8}
	if err := kept.UnmarshalText([]byte("LMS_SHA256_M32_H5")); !errors.Is(err, ErrParameters) || kept.Valid() != nil {
		t.Errorf("half a name unmarshals as %v, %v", kept, err)
	}
}

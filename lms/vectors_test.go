package lms_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/lms"
)

// rfcSections reads a file of an RFC's test case: "!" starts a section, each "$" the hexadecimal data of it, and "#" a
// comment. It returns the data of the sections in order.
func rfcSections(t testing.TB, name string) [][]byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	data := regexp.MustCompile(`\$([0-9A-Fa-f]+)`)
	var sections [][]byte
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "!") {
			sections = append(sections, nil)
		}
		line, _, _ = strings.Cut(line, "#")
		for _, match := range data.FindAllStringSubmatch(line, -1) {
			last := &sections[len(sections)-1]
			*last = append(*last, unhex(t, match[1])...)
		}
	}
	for i, section := range sections {
		if len(section) == 0 {
			t.Fatalf("%s: section %d is empty", name, i)
		}
	}
	return sections
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vector is an HSS key, message and signature, and the secrets of its levels as far as they are known.
type vector struct {
	name            string
	key, message, s []byte
	secrets         []secret // top first
}

type secret struct {
	id   lms.ID
	seed []byte
}

// rfcVectors returns all test cases of RFC 8554 appendix F and RFC 9858 appendix A.
func rfcVectors(t testing.TB) []vector {
	t.Helper()
	var vectors []vector
	for _, name := range []string{"rfc8554_testcase_1.txt", "rfc8554_testcase_2.txt"} {
		s := rfcSections(t, name)
		vectors = append(vectors, vector{name: name, key: s[0], message: s[1], s: s[2]})
	}
	vectors[1].secrets = []secret{ // from the text of RFC 8554 appendix F
		{lms.ID(unhex(t, "d08fabd4a2091ff0a8cb4ed834e74534")), unhex(t, "558b8966c48ae9cb898b423c83443aae014a72f1b1ab5cc85cf1d892903b5439")},
		{lms.ID(unhex(t, "215f83b7ccb9acbcd08db97b0d04dc2b")), unhex(t, "a1c4696e2608035a886100d05cd99945eb3370731884a8235e2fb3d4d71f2547")},
	}
	for _, name := range []string{"rfc9858_testcase_1.txt", "rfc9858_testcase_2.txt", "rfc9858_testcase_3.txt", "rfc9858_testcase_4.txt"} {
		s := rfcSections(t, name)
		v := vector{name: name, key: s[2], message: s[3], s: s[4]}
		if name != "rfc9858_testcase_4.txt" { // of height 20: a million leaves are too many for a test
			v.secrets = []secret{{lms.ID(s[1]), s[0]}}
		}
		vectors = append(vectors, v)
	}
	return vectors
}

// parse is both HSS parsers; what they read must encode to the same bytes.
func parse(t testing.TB, key, signature []byte) (lms.HSSPublicKey, lms.HSSSignature) {
	t.Helper()
	k, err := lms.ParseHSSPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := lms.ParseHSSSignature(signature)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(k.Bytes(), key) || !bytes.Equal(s.Bytes(), signature) {
		t.Fatal("a parsed key or signature encodes to other bytes")
	}
	return k, s
}

func TestRFCVerification(t *testing.T) {
	for _, v := range rfcVectors(t) {
		key, _ := parse(t, v.key, v.s)
		if err := key.Verify(v.message, v.s); err != nil {
			t.Errorf("%s: %v", v.name, err)
		}
		if err := key.Verify(append(bytes.Clone(v.message), 0), v.s); !errors.Is(err, lms.ErrSignature) {
			t.Errorf("%s, longer message: %v", v.name, err)
		}
	}
}

// TestRFCSecondLevel verifies the last section of RFC 8554 test case 2, an LMS key and signature by themselves.
func TestRFCSecondLevel(t *testing.T) {
	s := rfcSections(t, "rfc8554_testcase_2.txt")
	key, err := lms.ParsePublicKey(s[3])
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Verify(s[1], s[4]); err != nil {
		t.Error(err)
	}
}

// TestRFCSigning makes the keys of the RFCs from their seeds, and then, with the leaves and randomizers of the RFCs, the
// very same signatures.
func TestRFCSigning(t *testing.T) {
	levels := 0
	for _, v := range rfcVectors(t) {
		if v.secrets == nil {
			continue
		}
		key, s := parse(t, v.key, v.s)
		public := key.Root
		for level, secret := range v.secrets {
			signed, signature := v.message, s.Message
			if level < len(s.Signed) {
				signed, signature = s.Signed[level].Key.Bytes(), s.Signed[level].Signature
			}
			tree := newTree(t, public.Set, secret.id, secret.seed)
			if got := tree.PublicKey(); !bytes.Equal(got.Bytes(), public.Bytes()) {
				t.Errorf("%s, level %d: public key differs", v.name, level)
			}
			randomizer := signature[8 : 8+public.Set.N()]
			got, err := tree.SignLeaf(nil, s.Leaves()[level].Q, randomizer, signed)
			if err != nil || !bytes.Equal(got, signature) {
				t.Errorf("%s, level %d: signature differs (%v)", v.name, level, err)
			}
			if level < len(s.Signed) {
				public = s.Signed[level].Key
			}
			levels++
		}
	}
	if levels != 5 {
		t.Errorf("%d levels signed, want 5", levels)
	}
}

// corpus reads a JSON file of the shared test vectors, which are too large to be kept here.
func corpus(t *testing.T, name string, into any) {
	t.Helper()
	folder := os.Getenv("ONCELEAF_VECTORS")
	if folder == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("ONCELEAF_VECTORS is not set")
		}
		t.Skip("ONCELEAF_VECTORS does not name the folder of the test vectors")
	}
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// acvpFile is what the NIST ACVP files for LMS have in common.
type acvpFile struct {
	TestGroups []struct {
		LMSMode, LMOTSMode, PublicKey string
		Tests                         []struct {
			TCID               int
			PublicKey, Seed, I string
			Message, Signature string
			TestPassed         *bool
			MessageLength      *int // bits
		}
	}
}

func TestACVPKeyGeneration(t *testing.T) {
	var file acvpFile
	corpus(t, "acvp/LMS-keyGen-1.0.json", &file)
	count := 0
	for _, group := range file.TestGroups {
		set, err := lms.ParseParameterSet(group.LMSMode + "/" + group.LMOTSMode)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range group.Tests {
			tree := newTree(t, set, lms.ID(unhex(t, c.I)), unhex(t, c.Seed))
			if got := tree.PublicKey(); !bytes.Equal(got.Bytes(), unhex(t, c.PublicKey)) {
				t.Errorf("%d: public key differs", c.TCID)
			}
			count++
		}
	}
	if count != 9 {
		t.Errorf("%d tests, want 9", count)
	}
}

func TestACVPVerification(t *testing.T) {
	for _, c := range []struct {
		name                   string
		accepted, refused      int
		everySignatureVerifies bool
	}{
		{"acvp/LMS-sigGen-1.0.json", 20, 0, true},
		{"acvp/LMS-sigVer-1.0.json", 2, 6, false},
		{"acvp/LMS-sigVer-SP800-208.json", 2, 6, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var file acvpFile
			corpus(t, c.name, &file)
			accepted, refused := 0, 0
			for _, group := range file.TestGroups {
				key, err := lms.ParsePublicKey(unhex(t, group.PublicKey))
				if err != nil {
					t.Fatal(err)
				}
				for _, test := range group.Tests {
					message := unhex(t, test.Message)
					if test.MessageLength != nil && *test.MessageLength != 8*len(message) {
						t.Fatalf("%d: message of %d bytes, %d bits", test.TCID, len(message), *test.MessageLength)
					}
					want := c.everySignatureVerifies || *test.TestPassed
					err := key.Verify(message, unhex(t, test.Signature))
					if (err == nil) != want {
						t.Errorf("%d: %v, want accepted: %v", test.TCID, err, want)
					}
					if want {
						accepted++
					} else {
						refused++
					}
				}
			}
			if accepted != c.accepted || refused != c.refused {
				t.Errorf("%d valid and %d invalid tests, want %d and %d", accepted, refused, c.accepted, c.refused)
			}
		})
	}
}

func TestCrossKeyGeneration(t *testing.T) {
	var file struct {
		Tests []struct {
			ID                 int
			LMSType            lms.Type
			LMOTSType          lms.OTSType
			LMS, LMOTS         string
			I, Seed, PublicKey string
		}
	}
	corpus(t, "cross/lms-keygen.json", &file)
	for _, c := range file.Tests {
		set := lms.ParameterSet{LMS: c.LMSType, OTS: c.LMOTSType}
		if set.String() != c.LMS+"/"+c.LMOTS {
			t.Errorf("%d: %v, want %s/%s", c.ID, set, c.LMS, c.LMOTS)
		}
		tree := newTree(t, set, lms.ID(unhex(t, c.I)), unhex(t, c.Seed))
		if got := tree.PublicKey(); !bytes.Equal(got.Bytes(), unhex(t, c.PublicKey)) {
			t.Errorf("%d: public key differs", c.ID)
		}
	}
	if len(file.Tests) != 24 {
		t.Errorf("%d tests, want 24", len(file.Tests))
	}
}

// crossTest is one entry of cross/hss-sigver.json.
type crossTest struct {
	ID            int
	ParameterSets []struct {
		LMSType   lms.Type
		LMOTSType lms.OTSType
	}
	Q                             []uint32
	PublicKey, Message, Signature string
	MessageFill                   *struct {
		Length   int
		FillByte string
	}
	Valid bool
	Note  string
}

func (c *crossTest) message(t *testing.T) []byte {
	if c.MessageFill != nil {
		return bytes.Repeat(unhex(t, c.MessageFill.FillByte), c.MessageFill.Length)
	}
	return unhex(t, c.Message)
}

// TestCrossVerification includes keys whose levels use different hash functions, which RFC 8554 allows.
func TestCrossVerification(t *testing.T) {
	var file struct{ Tests []crossTest }
	corpus(t, "cross/hss-sigver.json", &file)
	valid, mixed := 0, 0
	for _, c := range file.Tests {
		signature := unhex(t, c.Signature)
		key, err := lms.ParseHSSPublicKey(unhex(t, c.PublicKey))
		if err == nil {
			err = key.Verify(c.message(t), signature)
		}
		if (err == nil) != c.Valid {
			t.Errorf("%d (%s): %v, want valid: %v", c.ID, c.Note, err, c.Valid)
		}
		if !c.Valid {
			if !errors.Is(err, lms.ErrEncoding) && !errors.Is(err, lms.ErrSignature) {
				t.Errorf("%d (%s): unexpected error %v", c.ID, c.Note, err)
			}
			continue
		}
		valid++
		mixed += checkCrossSignature(t, c, signature)
	}
	if len(file.Tests) != 67 || valid != 42 || mixed != 3 {
		t.Errorf("%d tests, %d valid, %d mixed, want 67, 42, 3", len(file.Tests), valid, mixed)
	}
}

// checkCrossSignature compares what the parser reads with what the entry says, and returns 1 if the levels use different
// hash functions.
func checkCrossSignature(t *testing.T, c crossTest, signature []byte) (mixed int) {
	_, s := parse(t, unhex(t, c.PublicKey), signature)
	var sets []lms.ParameterSet
	for level, leaf := range s.Leaves() {
		if leaf.Q != c.Q[level] || leaf.Level != level {
			t.Errorf("%d: leaf %+v at level %d, want %d", c.ID, leaf, level, c.Q[level])
		}
		sets = append(sets, lms.ParameterSet{LMS: c.ParameterSets[level].LMSType, OTS: c.ParameterSets[level].LMOTSType})
		if !sets[0].SameHash(sets[level]) {
			mixed = 1
		}
	}
	if len(sets) != len(c.Q) || lms.HSSSignatureSize(sets) != len(signature) {
		t.Errorf("%d: %d levels and %d bytes, want %d and %d", c.ID, len(sets), lms.HSSSignatureSize(sets), len(c.Q), len(signature))
	}
	return mixed
}

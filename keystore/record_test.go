package keystore

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

const exampleRecord = "../docs/spec/record.example"

// exampleState is the state behind docs/spec/record.example.
func exampleState() State {
	s := newState(2)
	s.Generation, s.Mark = 7, 1
	s.Free = Spans{{3, 16}}
	s.Parked = []ParkedTree{{I: bytes.Repeat([]byte{1}, 16), Seed: []byte("sealed seed"), Root: make([]byte, 32), Next: 5,
		Signature: signatureWithLeaf(1)}}
	s.Given = []Gift{{Transfer: "000102030405060708090a0b0c0d0e0f", Peer: "b7d01c2a9f3e4455", Leaves: Spans{{16, 32}}, Capsule: []byte("capsule file"), Receipt: make([]byte, 32)}}
	s.Private, s.Public = []byte(`{"label":"release key"}`), []byte(`{"label":"release key"}`)
	return s
}

// signatureWithLeaf has the length of a signature and begins with a leaf number.
func signatureWithLeaf(q byte) []byte {
	signature := make([]byte, setH5W8.SignatureSize())
	signature[3] = q
	return signature
}

// exampleBatched is the state behind docs/spec/record-batch.example: a key with
// batches, while its owner has leaves 8 to 15 of the lower tree in memory.
func exampleBatched() State {
	s := exampleState()
	s.Reserve, s.Parked[0].Next, s.Batch = 8, 16, Spans{{8, 16}}
	return s
}

// exampleAway is the state behind docs/spec/record-external.example.
func exampleAway() State {
	s := exampleState()
	s.Parked = nil
	s, _ = externalise(s)
	return s
}

func TestRecordExamples(t *testing.T) {
	testExample(t, exampleRecord, exampleState())
	testExample(t, "../docs/spec/record-batch.example", exampleBatched())
	testExample(t, "../docs/spec/record-external.example", exampleAway())
}

func testExample(t *testing.T, exampleRecord string, s State) {
	t.Helper()
	want, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_EXAMPLES") != "" {
		if err := os.WriteFile(exampleRecord, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(exampleRecord)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what this code writes; a changed format needs a new version", exampleRecord)
	}
	if again, err := decode(got); err != nil || !reflect.DeepEqual(again, s) {
		t.Errorf("couldn't read the example: %v", err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good, err := exampleState().encode()
	if err != nil {
		t.Fatal(err)
	}
	resum := func(change func(string) string) []byte {
		text := change(string(good[bytes.IndexByte(good, '\n')+1:]))
		return frame([]byte(text))
	}
	replace := func(old, new string) []byte {
		return resum(func(s string) string {
			if !strings.Contains(s, old) {
				t.Fatalf("the example has no %s", old)
			}
			return strings.Replace(s, old, new, 1)
		})
	}
	for name, c := range map[string]struct {
		record []byte
		want   error
	}{
		"empty":                 {nil, ErrVersion},
		"another version":       {bytes.Replace(good, []byte("key/1"), []byte("key/2"), 1), ErrVersion},
		"truncated":             {good[:len(good)-1], ErrDamaged},
		"one bit":               {bytes.Replace(good, []byte(`"from":3`), []byte(`"from":2`), 1), ErrDamaged},
		"unknown field":         {replace(`"status"`, `"extra":1,"status"`), ErrDamaged},
		"blank":                 {replace(`"mark":1`, `"mark": 1`), ErrDamaged},
		"field twice":           {replace(`"mark":1`, `"mark":1,"mark":1`), ErrDamaged},
		"trailing":              {resum(func(s string) string { return s + "{}" }), ErrDamaged},
		"free and given":        {replace(`"from":3,"to":16`, `"from":3,"to":17`), ErrDamaged},
		"free and not held":     {replace(`"held":[{"from":0`, `"held":[{"from":4`), ErrDamaged},
		"parked on a free leaf": {resigned(t, 5), ErrDamaged},
		"parked on a given one": {resigned(t, 20), ErrDamaged},
		"next beyond the tree":  {replace(`"next":5`, `"next":33`), ErrDamaged},
		"unknown parameter set": {replace(`LMS_SHA256_M32_H5/`, `LMS_SHA256_M32_H6/`), ErrDamaged},
		"oversized":             {append([]byte(recordMagic), make([]byte, maxRecord+2000)...), ErrDamaged},
	} {
		if _, err := decode(c.record); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// resigned is the example with its parked tree on another root leaf.
func resigned(t *testing.T, q byte) []byte {
	s := exampleState()
	s.Parked[0].Signature = signatureWithLeaf(q)
	text, err := json.Marshal(s)
	must(t, err)
	return frame(text)
}

// allocated is what f allocates, in bytes.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// decodeBound is what decode may allocate for a record of n bytes.
func decodeBound(n int) uint64 { return 32<<20 + 16*uint64(n) }

// TestHostileRecords are large, right in their sum, and made to cost their reader
// memory or time.
func TestHostileRecords(t *testing.T) {
	good, err := json.Marshal(exampleState())
	must(t, err)
	fill := func(field, element string) []byte {
		list := strings.Repeat(element+",", maxRecord/(len(element)+1)-2000) + element
		return frame([]byte(strings.Replace(string(good), field, `"`+strings.Trim(field, `":[`)+`":[`+list+",", 1)))
	}
	for name, record := range map[string][]byte{
		"parked": fill(`"parked":[`, "null"), "given": fill(`"given":[`, "{}"), "free": fill(`"free":[`, `{"from":1,"to":2}`),
		"levels": fill(`"levels":[`, `"LMS_SHA256_M32_H5/LMOTS_SHA256_N32_W8"`), "deep": frame(bytes.Repeat([]byte("["), maxRecord)),
	} {
		used := allocated(func() { _, err = decode(record) })
		if !errors.Is(err, ErrDamaged) || used > decodeBound(len(record)) {
			t.Errorf("%s: %d bytes for a record of %d: %v", name, used, len(record), err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []State{exampleState(), exampleBatched(), exampleAway(), destroy(exampleState())} {
		record, err := s.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(record)
	}
	f.Add([]byte(recordMagic))
	f.Fuzz(func(t *testing.T, record []byte) {
		for _, record := range [][]byte{record, frame(record)} {
			var s State
			var err error
			if used := allocated(func() { s, err = decode(record) }); used > decodeBound(len(record)) {
				t.Fatalf("%d bytes allocated for a record of %d", used, len(record))
			}
			if err != nil {
				continue
			}
			if again, err := s.encode(); err != nil || !bytes.Equal(again, record) {
				t.Fatalf("decode and encode differ: %v", err)
			}
		}
	})
}

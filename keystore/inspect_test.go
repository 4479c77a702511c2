package keystore

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/onceleaf/onceleaf/lms"
)

// lived is a store after a life with keys of one to three levels: parked, with
// batches, given, received, exhausted, external and destroyed.
func lived(t *testing.T) (path string, keys map[string]Identity) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "t.db")
	store := newBolt(t, path)
	d, other := newDesk(t, store), newDesk(t, NewVolatile())
	keys = map[string]Identity{}
	for n := 1; n <= 3; n++ {
		keys[fmt.Sprint("levels ", n)] = d.generate(levels(n)...)
	}
	for _, n := range []int{1, 2} {
		id, err := d.Generate(t.Context(), Spec{Levels: levels(n), Reserve: 4, Private: func(lms.HSSPublicKey) []byte { return []byte("p") }})
		must(t, err)
		keys[fmt.Sprint("batches ", n)] = id
	}
	for _, id := range keys {
		d.sign(id)
	}
	keys["given"], _ = shareOf(t, d, levels(2)...)
	var share Share
	keys["received"], share = shareOf(t, other, levels(1)...)
	_, err := d.Receive(t.Context(), share)
	must(t, err)
	for _, name := range []string{"destroyed", "external", "external and stored"} {
		keys[name] = d.generate(levels(2)...)
		d.sign(keys[name])
	}
	must(t, d.Destroy(keys["destroyed"]))
	_, err = d.Externalise(keys["external"])
	must(t, err)
	capsule, err := d.Externalise(keys["external and stored"])
	must(t, err)
	digest := sha256.Sum256(capsule)
	must(t, d.Stored(keys["external and stored"], digest[:]))
	must(t, d.Lock())
	must(t, store.Close())
	return path, keys
}

// inspected inspects a store, which must stay as it is to the last byte.
func inspected(t *testing.T, path string) (Inspection, error) {
	t.Helper()
	before, err := os.ReadFile(path)
	must(t, err)
	in, err := Inspect(path)
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Errorf("%s was changed", path)
	}
	return in, err
}

func TestInspectHealthy(t *testing.T) {
	path, keys := lived(t)
	in, err := inspected(t, path)
	must(t, err)
	if in.Serial != testSerial || len(in.Keys) != len(keys) {
		t.Errorf("serial %q, %d keys, want %d", in.Serial, len(in.Keys), len(keys))
	}
	for _, k := range in.Keys {
		if !k.Readable || len(k.Findings) != 0 {
			t.Errorf("key %x: %v", k.Name, k.Findings)
		}
	}
	b, err := OpenBolt(path, testSerial)
	must(t, err)
	if _, err := Inspect(path); !errors.Is(err, ErrOwned) {
		t.Errorf("beside an owner: %v", err)
	}
	must(t, b.Close())
}

// rewrite changes the value of a key behind the keystore's back.
func rewrite(t *testing.T, path string, id Identity, change func(record []byte) []byte) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	must(t, err)
	defer db.Close()
	must(t, db.Update(func(tx *bbolt.Tx) error {
		keys := tx.Bucket(bucketKeys)
		return keys.Put(id[:], change(bytes.Clone(keys.Get(id[:]))))
	}))
}

// forge makes a record with a right sum of whatever change makes of its state.
func forge(t *testing.T, record []byte, change func(*State)) []byte {
	t.Helper()
	s, err := decode(record)
	must(t, err)
	change(&s)
	text, err := json.Marshal(s)
	must(t, err)
	return frame(text)
}

// TestInspectStates: a record with a right sum, and one field that is wrong.
func TestInspectStates(t *testing.T) {
	path, keys := lived(t)
	for _, c := range []struct {
		key    string
		change func(*State)
		grade  Severity
		what   string
	}{
		{"levels 2", func(s *State) { s.PublicKey[59] ^= 1 }, Damage, "under another name"},
		{"levels 2", func(s *State) { s.PublicKey[3] = 3 }, Damage, "levels are not those"},
		{"levels 2", func(s *State) { s.Levels[1].OTS++ }, Damage, "parked tree"},
		{"levels 2", func(s *State) { s.Status = "asleep" }, Damage, "asleep"},
		{"levels 2", func(s *State) { s.Status = Quarantined }, Warning, "quarantined"},
		{"levels 2", func(s *State) { s.Status = Destroyed }, Damage, "something is left to sign with"},
		{"levels 2", func(s *State) { s.Generation = 0 }, Damage, "generation 0"},
		{"levels 2", func(s *State) { s.Reserve = 33 }, Damage, "33 leaves per durable write"},
		{"levels 2", func(s *State) { s.Seed = s.Seed[1:] }, Damage, "secret of 59 bytes"},
		{"levels 2", func(s *State) { s.Seed = nil }, Damage, "secret of 0 bytes"},
		{"levels 2", func(s *State) { s.Free = Spans{{0, 32}} }, Damage, "hang on leaf 0, which is not used"},
		{"levels 2", func(s *State) { s.Free = Spans{{4, 3}} }, Damage, "out of order"},
		{"levels 2", func(s *State) { s.Held = Spans{{1, 32}} }, Damage, "hang on leaf 0"},
		{"levels 2", func(s *State) { s.Held = Spans{{0, 33}} }, Damage, "held leaves"},
		{"levels 2", func(s *State) { s.Held = Spans{{0, 8}} }, Damage, "holder"},
		{"levels 2", func(s *State) { s.Parked[0].I[0] ^= 1 }, Damage, "parked trees cannot be used, and 31 signatures"},
		{"levels 2", func(s *State) { s.Parked[0].Root[31] ^= 1 }, Damage, "parked trees cannot be used"},
		{"levels 2", func(s *State) { s.Parked[0].Signature[99] ^= 1 }, Damage, "parked trees cannot be used"},
		{"levels 3", func(s *State) { s.Parked[1].Signature[99] ^= 1 }, Damage, "level 2"},
		{"levels 3", func(s *State) { s.Parked[0].Next = 0 }, Damage, "hangs on leaf 0, which is not used"},
		{"levels 3", func(s *State) { s.Parked = s.Parked[:1] }, Damage, "1 parked trees for 3 levels"},
		{"levels 2", func(s *State) { s.Parked[0].Next = 33 }, Damage, "parked tree 1"},
		{"levels 2", func(s *State) { s.Parked[0].Seed = nil }, Damage, "0 bytes in parked tree 1"},
		{"batches 1", func(s *State) { s.Batch = Spans{{9, 10}} }, Damage, "holder"},
		{"batches 2", func(s *State) { s.Batch = Spans{{9, 10}} }, Damage, "were not taken"},
		{"given", func(s *State) { s.Given[0].Leaves = Spans{{0, 32}} }, Damage, "holder"},
		{"given", func(s *State) { s.Given[0].Leaves = nil }, Damage, `transfer "t" to token "destination"`},
		{"given", func(s *State) { s.Given[0].Receipt = nil }, Damage, `transfer "t" to token "destination"`},
		{"given", func(s *State) { s.Given = append(s.Given, Gift{Transfer: "t"}) }, Damage, `transfer "t" to token ""`},
		{"received", func(s *State) { s.Received[0].Leaves = Spans{{0, 1}} }, Damage, `transfer "t" from token "source"`},
		{"received", func(s *State) { s.Received[0].Leaves = Spans{} }, Damage, `transfer "t" from token "source"`},
		{"received", func(s *State) { s.Received = append(s.Received, s.Received[0]) }, Damage, `transfer "t" from token`},
		{"received", func(s *State) {
			s.Received = append(s.Received, Arrival{Transfer: "u", Leaves: s.Received[0].Leaves})
		}, Damage, "arrived twice"},
		{"destroyed", func(s *State) { s.Private = []byte("x") }, Damage, "destroyed key with a private key object"},
		{"destroyed", func(s *State) { s.Seed = []byte("x") }, Damage, "something is left to sign with"},
		{"external", func(s *State) { s.Away.Digest = nil }, Damage, "digest of 0 bytes"},
		{"external", func(s *State) { s.Away.Digest[0] ^= 1 }, Damage, "does not bring the key back"},
		{"external", func(s *State) { s.Away.Capsule[99] ^= 1 }, Damage, "does not bring the key back"},
		{"external", func(s *State) { s.Away = nil }, Damage, "the key is elsewhere: false"},
	} {
		var sound []byte
		rewrite(t, path, keys[c.key], func(record []byte) []byte {
			sound = record
			return forge(t, record, c.change)
		})
		in, err := inspected(t, path)
		must(t, err)
		expectOne(t, in, keys[c.key], c.grade, c.what)
		rewrite(t, path, keys[c.key], func([]byte) []byte { return sound })
	}
}

// expectOne wants one finding in all, and of this key.
func expectOne(t *testing.T, in Inspection, id Identity, grade Severity, what string) {
	t.Helper()
	found := []string{}
	for _, k := range in.Keys {
		for _, f := range k.Findings {
			found = append(found, fmt.Sprintf("%x %s: %s", k.Name, f.Severity, f.What))
			if f.Next == "" {
				t.Errorf("%s: nothing is said to be safe", f.What)
			}
		}
	}
	if len(found) != 1 || !strings.HasPrefix(found[0], id.String()+" "+grade.String()) || !strings.Contains(found[0], what) {
		t.Errorf("found %q, want %s about %q", found, grade, what)
	}
}

// TestInspectEveryByte: no byte of a record can change unseen.
func TestInspectEveryByte(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generate(levels(2)...)
	d.sign(id)
	d.restart()
	snap, err := d.store.Fetch(id)
	must(t, err)
	if k := inspectKey(id[:], snap.Record()); !k.Readable || len(k.Findings) != 0 {
		t.Fatalf("%+v", k.Findings)
	}
	for at := range snap.Record() {
		record := bytes.Clone(snap.Record())
		record[at] ^= 1
		if k := inspectKey(id[:], record); k.Readable || len(k.Findings) != 1 || k.Findings[0].Severity != Damage {
			t.Fatalf("byte %d: %+v", at, k.Findings)
		}
	}
	for _, record := range [][]byte{nil, {}, []byte(recordMagic), snap.Record()[:len(snap.Record())-1], append(bytes.Clone(snap.Record()), '\n')} {
		if k := inspectKey(id[:], record); k.Readable {
			t.Errorf("%.40q was read", record)
		}
	}
	if k := inspectKey(id[1:], snap.Record()); k.Readable {
		t.Error("a name of 47 bytes was accepted")
	}
}

// TestInspectRandomDamage: whatever is on the disk, Inspect comes back, changes
// nothing, and does not take damage for a refusal of the system.
func TestInspectRandomDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	filled(t, path)
	sound, err := os.ReadFile(path)
	must(t, err)
	random := rand.New(rand.NewPCG(5, 6))
	refused := 0
	const rounds = 300
	for round := range rounds {
		damaged := bytes.Clone(sound)
		what := spoil(damaged, random, round)
		must(t, os.WriteFile(path, damaged, 0o600))
		_, err := inspected(t, path)
		if err != nil {
			refused++
		}
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if refused < rounds/10 || refused == rounds {
		t.Errorf("%d of %d stores were refused", refused, rounds)
	}
}

func TestInspectRefusals(t *testing.T) {
	cut := func(path string) error { return os.Truncate(path, 3*4096) }
	for name, c := range map[string]struct {
		do   func(path string) error
		kind error
	}{
		"missing":   {os.Remove, ErrMissing},
		"cut":       {cut, ErrDamaged},
		"empty":     {func(path string) error { return os.Truncate(path, 0) }, ErrDamaged},
		"a folder":  {func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, ErrDamaged},
		"a pipe":    {func(path string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)) }, ErrDamaged},
		"link loop": {func(path string) error { return errors.Join(os.Remove(path), os.Symlink(path, path)) }, ErrStore},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "t.db")
			filled(t, path)
			must(t, c.do(path))
			if _, err := Inspect(path); !errors.Is(err, c.kind) || c.kind != ErrDamaged && errors.Is(err, ErrDamaged) {
				t.Errorf("got %v, want %v", err, c.kind)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "t.db")
	b := newBolt(t, path)
	must(t, setVersion(b, "onceleaf-store/99"))
	must(t, b.Close())
	if _, err := inspected(t, path); !errors.Is(err, ErrVersion) {
		t.Errorf("version: %v", err)
	}
}

// TestInspectKeepsOwnersOut: the lock is held while the store is read, and other
// readers are welcome.
func TestInspectKeepsOwnersOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	filled(t, path)
	reader, err := openToRead(path)
	must(t, err)
	defer reader.Close()
	must(t, share(reader))
	if b, err := OpenBolt(path, testSerial); !errors.Is(err, ErrOwned) {
		t.Errorf("an owner beside a reader: %v, %v", b, err)
	}
	if _, err := inspected(t, path); err != nil {
		t.Errorf("a second reader: %v", err)
	}
}

func TestConflict(t *testing.T) {
	tree := []ParkedTree{{Signature: []byte{0, 0, 0, 5}}}
	for name, c := range map[string]struct {
		a, b State
		want Spans
		live bool
	}{
		"divided":             {State{Held: Spans{{0, 32}}, Free: Spans{{3, 16}}, Given: []Gift{{Leaves: Spans{{16, 32}}}}}, State{Held: Spans{{16, 32}}, Free: Spans{{20, 32}}}, nil, false},
		"free in both":        {State{Held: Spans{{0, 8}}, Free: Spans{{4, 8}}}, State{Held: Spans{{6, 9}}, Free: Spans{{6, 9}}}, Spans{{6, 8}}, true},
		"free and used":       {State{Held: Spans{{0, 8}}, Free: Spans{{4, 8}}}, State{Held: Spans{{0, 8}}, Status: Destroyed}, Spans{{0, 8}}, true},
		"parked and used":     {State{Held: Spans{{5, 6}}, Parked: tree}, State{Held: Spans{{5, 6}}}, Spans{{5, 6}}, true},
		"outside and used":    {State{Held: Spans{{5, 6}}, Away: &Absence{Leaves: Spans{{5, 6}}}}, State{Held: Spans{{5, 6}}}, Spans{{5, 6}}, true},
		"used in both":        {State{Held: Spans{{0, 4}}}, State{Held: Spans{{3, 8}}, Free: Spans{{4, 8}}}, Spans{{3, 4}}, false},
		"given away by both":  {State{Held: Spans{{0, 4}}, Given: []Gift{{Leaves: Spans{{0, 4}}}}}, State{Held: Spans{{0, 4}}, Given: []Gift{{Leaves: Spans{{0, 4}}}}}, nil, false},
		"given and come back": {State{Held: Spans{{0, 4}}, Given: []Gift{{Leaves: Spans{{2, 4}}}}}, State{Held: Spans{{1, 4}}, Free: Spans{{3, 4}}}, Spans{{1, 2}}, false},
	} {
		for _, turned := range []bool{false, true} {
			a, b := c.a, c.b
			if turned {
				a, b = b, a
			}
			if got, live := Conflict(a, b); !slices.Equal(got, c.want) || live != c.live {
				t.Errorf("%s, turned %t: %v, %t, want %v, %t", name, turned, got, live, c.want, c.live)
			}
		}
	}
}

func TestWords(t *testing.T) {
	long := Spans{}
	for q := range uint64(10) {
		long = append(long, Span{2 * q, 2*q + 1})
	}
	for want, s := range map[string]Spans{
		"": nil, "7": {{7, 8}}, "0 to 3, 7": {{0, 4}, {7, 8}}, "0, 2, 4, 6, 8, 10, 12, 14, and 2 spans more": long,
	} {
		if got := s.Words(); got != want {
			t.Errorf("%v: %q, want %q", s, got, want)
		}
	}
}

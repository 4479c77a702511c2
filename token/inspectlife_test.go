package token

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

// life is a token directory after a life: two tokens, keys of one to three levels, parked, given, received, used up and
// destroyed ones, open and closed transfers, and objects that are no half of a key pair.
type life struct {
	*testing.T
	directory     string
	first, second string // files of the stores
	keys          map[string]ObjectID
}

func newLife(t *testing.T) *life {
	t.Helper()
	one := newTestToken(t)
	one.must(one.device.InitToken(1, soPIN, "second"))
	two := &testToken{TB: t, config: one.config, device: one.device}
	var err error
	two.Token, err = one.device.Token(1)
	two.must(err)
	two.Seat = two.NewSeat(SeatLimits{})
	two.must(two.Login(ck.CKU_SO, soPIN))
	two.must(two.InitPIN(userPIN))
	two.must(two.Logout())
	l := &life{T: t, directory: one.config.Directory, keys: map[string]ObjectID{},
		first: filepath.Join("tokens", one.serial+".db"), second: filepath.Join("tokens", two.serial+".db")}
	l.must(os.Chmod(l.directory, 0o700))
	l.fill(one, two)
	one.must(one.device.Close())
	return l
}

func (l *life) fill(one, two *testToken) {
	l.Helper()
	s, s2 := one.userSession(), two.userSession()
	for n := uint64(1); n <= 3; n++ {
		l.keys[fmt.Sprint("levels ", n)] = one.levelledKey(s, n)
		one.signs(l.keys[fmt.Sprint("levels ", n)])
	}
	for _, name := range []string{"closed", "open", "requested"} {
		l.keys[name] = one.levelledKey(s, 2)
		_, transfer, request := two.request(s2)
		if name == "requested" {
			continue // and nobody answered
		}
		capsule := one.gives(s, l.keys[name], request)
		if name == "open" {
			continue
		}
		got, err := two.Receive(l.Context(), s2, transfer, capsule, []Attribute{{ck.CKA_LABEL, []byte("received")}})
		two.must(err)
		two.signs(got)
		one.must(one.Acknowledge(s, l.keys[name], two.value(got, ck.CKA_ONCELEAF_RECEIPT)))
	}
	l.keys["destroyed"] = one.levelledKey(s, 2)
	one.must(one.Destroy(s, l.keys["destroyed"]))
	_, err := one.Create(s, []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_PUBLIC_KEY)}, {ck.CKA_KEY_TYPE, Ulong(ck.CKK_HSS)}, {ck.CKA_TOKEN, yes},
		{ck.CKA_VALUE, one.value(ObjectID(strings.Replace(string(l.keys["open"]), privatePrefix, publicPrefix, 1)), ck.CKA_VALUE)}})
	one.must(err)
}

// levelledKey makes a transferable key pair of token objects; its label is the number of its levels.
func (tk *testToken) levelledKey(s Session, n uint64) ObjectID {
	tk.Helper()
	types := slices.Repeat([]uint64{5}, int(n))
	label := Attribute{ck.CKA_LABEL, fmt.Append(nil, n)}
	_, key, err := tk.GenerateHSS(tk.Context(), s, []Attribute{{ck.CKA_TOKEN, yes}, label},
		append(levelsOf(n, types, slices.Repeat([]uint64{4}, int(n))), Attribute{ck.CKA_TOKEN, yes}, label, Attribute{ck.CKA_ONCELEAF_TRANSFERABLE, yes}))
	tk.must(err)
	return key
}

func (tk *testToken) signs(key ObjectID) {
	tk.Helper()
	signer, err := tk.Signer(key, ck.CKM_HSS)
	tk.must(err)
	_, err = signer.Sign(tk.Context(), []byte("message"))
	tk.must(err)
}

func (tk *testToken) request(s Session) (public, private ObjectID, request []byte) {
	tk.Helper()
	public, private, err := tk.GenerateTransferKey(s, ck.TRANSFER_HPKE, nil, nil)
	tk.must(err)
	return public, private, tk.value(public, ck.CKA_VALUE)
}

func (tk *testToken) gives(s Session, key ObjectID, request []byte) (capsule []byte) {
	tk.Helper()
	r, err := tk.Create(s, []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_PUBLIC_KEY)}, {ck.CKA_KEY_TYPE, Ulong(ck.CKK_ONCELEAF_TRANSFER)},
		{ck.CKA_TOKEN, yes}, {ck.CKA_VALUE, request}})
	tk.must(err)
	giving, err := tk.Giving(s, r, key, 8)
	tk.must(err)
	capsule, err = giving.Give(tk.Context())
	tk.must(err)
	return capsule
}

// copyTo is the same life in a directory of its own.
func (l *life) copyTo(t *testing.T) *life {
	t.Helper()
	c := *l
	c.T, c.directory = t, t.TempDir()
	c.must(os.CopyFS(c.directory, os.DirFS(l.directory)))
	c.must(os.Chmod(c.directory, 0o700))
	return &c
}

func (l *life) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *life) path(file string) string { return filepath.Join(l.directory, file) }

// inspect inspects the directory, in which not a byte, a right or a time of change may differ afterwards.
func (l *life) inspect() *Report {
	l.Helper()
	before := l.everything()
	r, err := Inspect(l.directory)
	l.must(err)
	if after := l.everything(); before != after {
		l.Errorf("the directory was changed from\n%s\nto\n%s", before, after)
	}
	return r
}

// everything is all there is to know of the files.
func (l *life) everything() string {
	l.Helper()
	var all strings.Builder
	l.must(filepath.WalkDir(l.directory, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&all, "%s %s %d %s", path, info.Mode(), info.Size(), info.ModTime())
		if info.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			fmt.Fprintf(&all, " %x %v", sha256.Sum256(text), err)
		}
		fmt.Fprintln(&all)
		return nil
	}))
	return all.String()
}

// found is a report's findings in one line each, with the names of the life in place of serial numbers.
func (l *life) found(r *Report) (lines []string) {
	for _, f := range r.Findings {
		key := ""
		for name, id := range l.keys {
			if f.Key != "" && strings.HasSuffix(string(id), f.Key) {
				key = name
			}
		}
		line := fmt.Sprintf("%s|%s|%s|%s|%s", f.Severity, f.File, key, f.Value, f.What)
		line = strings.NewReplacer(l.first, "FIRST", l.second, "SECOND", l.directory, "DIR").Replace(line)
		lines = append(lines, line)
		if f.Next == "" || key != "" && f.Label == "" && !strings.Contains(f.What, "cannot be read") {
			l.Errorf("%s: next %q, label %q", line, f.Next, f.Label)
		}
	}
	return lines
}

// expect wants these findings and no others; each wish is the beginning of a line, and after ".." a part of it.
func (l *life) expect(r *Report, wishes ...string) {
	l.Helper()
	lines := l.found(r)
	for _, wish := range wishes {
		begin, part, _ := strings.Cut(wish, "..")
		at := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, begin) && strings.Contains(line, part) })
		if at < 0 {
			l.Errorf("no %q in\n%s", wish, strings.Join(lines, "\n"))
			continue
		}
		lines = slices.Delete(lines, at, at+1)
	}
	if len(lines) > 0 {
		l.Errorf("not expected:\n%s", strings.Join(lines, "\n"))
	}
}

// put replaces a value of a store; a nil one is deleted.
func (l *life) put(file, bucket string, name []byte, change func(old []byte) []byte) {
	l.Helper()
	db, err := bbolt.Open(l.path(file), 0o600, nil)
	l.must(err)
	defer db.Close()
	l.must(db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bucket))
		value := change(bytes.Clone(b.Get(name)))
		if value == nil {
			return b.Delete(name)
		}
		return b.Put(name, value)
	}))
}

func (l *life) shelf(name, value string) {
	l.Helper()
	l.put(l.first, "shelf", []byte(name), func([]byte) []byte { return []byte(value) })
}

// forge gives a record other contents, with a right sum.
func (l *life) forge(file, key string, change func(*keystore.State)) {
	l.Helper()
	l.put(file, "keys", l.identity(key), func(record []byte) []byte {
		_, text, _ := bytes.Cut(record, []byte("\n"))
		var s keystore.State
		l.must(json.Unmarshal(text, &s))
		change(&s)
		text, err := json.Marshal(s)
		l.must(err)
		return fmt.Appendf(nil, "onceleaf-key/1 %x\n%s", sha256.Sum256(text), text)
	})
}

func (l *life) identity(key string) []byte {
	l.Helper()
	identity, ok := l.keys[key].identity(privatePrefix)
	if !ok {
		l.Fatalf("no key %s", key)
	}
	return identity[:]
}

func (l *life) copyFile(from, to string) {
	l.Helper()
	text, err := os.ReadFile(l.path(from))
	l.must(err)
	l.must(os.WriteFile(l.path(to), text, 0o600))
}

// writeAt damages a file.
func (l *life) writeAt(file string, at int64, text string) {
	l.Helper()
	f, err := os.OpenFile(l.path(file), os.O_RDWR, 0)
	l.must(err)
	defer f.Close()
	_, err = f.WriteAt([]byte(text), at)
	l.must(err)
}

func (l *life) list(format string, args ...any) {
	l.Helper()
	l.must(os.WriteFile(l.path("slots.json"), fmt.Appendf(nil, format, args...), 0o600))
}

func (l *life) entry(id int, file string) string {
	return fmt.Sprintf(`{"id":%d,"serial":%q,"state":"ready"}`, id, strings.TrimSuffix(filepath.Base(file), ".db"))
}

func (l *life) pin(name string, change func(*pinRecord)) {
	l.Helper()
	l.put(l.first, "shelf", []byte(name), func(text []byte) []byte {
		r, err := parsePIN(text)
		l.must(err)
		change(&r)
		text, err = r.encode()
		l.must(err)
		return text
	})
}

func (l *life) tries(name string, n int) { l.pin(name, func(r *pinRecord) { r.Tries = n }) }

package token

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

func TestInspectHealthy(t *testing.T) {
	l := newLife(t)
	r := l.inspect()
	l.expect(r)
	if len(r.Stores) != 2 || len(r.Stores[0].Keys) != 7 || len(r.Stores[1].Keys) != 1 {
		t.Fatalf("%+v", r.Stores)
	}
	s := r.Stores[1]
	if s.File != l.second || s.Slot == nil || *s.Slot != 1 || s.Label != "second" || s.State != "good" || s.Remaining != 8*32-1 {
		t.Errorf("%+v", s)
	}
	k := s.Keys[0]
	if k.Label != "received" || k.Status != "active" || k.Remaining != 8*32-1 || k.Capacity != 8*32 || len(k.Levels) != 2 || k.Generation == 0 ||
		k.Free.Words() != "25 to 31" || k.Parked.Words() != "24" || k.Received.Words() != "24 to 31" || k.Used.Count() != 0 {
		t.Errorf("%+v", k)
	}
	// And the directory still works.
	c := testConfig(t)
	c.Directory = l.directory
	d, _ := openDevice(t, c)
	if _, err := d.Token(1); err != nil {
		t.Error(err)
	}
}

// Named pipes in the place of files, which would keep a reader waiting for ever, and a list without end.
func TestInspectDoesNotWait(t *testing.T) {
	for _, name := range []string{"slots.json", lockName} {
		l := newLife(t).copyTo(t)
		path := filepath.Join(l.directory, name)
		os.Remove(path)
		l.must(unix.Mkfifo(path, 0o600))
		if r := l.inspect(); len(r.Findings) == 0 {
			t.Errorf("%s is a pipe, and nothing is said", name)
		}
	}
	l := newLife(t).copyTo(t)
	l.must(os.Truncate(filepath.Join(l.directory, "slots.json"), 2*maxList))
	if r := l.inspect(); len(r.Findings) == 0 {
		t.Error("slots.json has 2 MiB of zeros, and nothing is said")
	}
}

// Records with a right sum and any contents, and stores with any bytes: the inspection comes back and changes nothing.
func TestInspectAnything(t *testing.T) {
	l := newLife(t).copyTo(t)
	random := rand.New(rand.NewPCG(7, 8))
	sound, err := os.ReadFile(l.path(l.first))
	l.must(err)
	names := slices.Sorted(maps.Keys(l.keys))
	const rounds = 120
	silent := 0
	for round := range rounds {
		if round%4 == 0 {
			damaged := bytes.Clone(sound)
			damaged[random.IntN(len(damaged))] ^= 1 << random.IntN(8)
			l.must(os.WriteFile(l.path(l.first), damaged, 0o600))
		} else {
			l.must(os.WriteFile(l.path(l.first), sound, 0o600))
			l.put(l.first, "keys", l.identity(names[random.IntN(len(names))]), func(record []byte) []byte {
				_, text, _ := bytes.Cut(record, []byte("\n"))
				text[random.IntN(len(text))] = `0123456789AZaz+/"{}[],:`[random.IntN(23)]
				return fmt.Appendf(nil, "onceleaf-key/1 %x\n%s", sha256.Sum256(text), text)
			})
		}
		if r := l.inspect(); len(r.Findings) == 0 {
			silent++
		}
	}
	if silent > rounds*3/4 {
		t.Errorf("nothing was found in %d of %d directories", silent, rounds)
	}
}

// What a crash during C_InitToken leaves is no damage.
func TestInspectUnfinished(t *testing.T) {
	const serial = "0123456789abcdef"
	for name, c := range map[string]struct {
		state string
		make  bool
		want  []string
	}{
		"no store":         {stateCreating, false, []string{"information|tokens/" + serial + ".db|||the token was not finished"}},
		"empty store":      {stateCreating, true, []string{"information|tokens/" + serial + ".db|||the token was not finished"}},
		"dropped":          {"", true, []string{"information|tokens/" + serial + ".db|||no slot has this store, which was never finished"}},
		"ready, but empty": {stateReady, true, []string{"damaged|tokens/" + serial + ".db||token|the value is missing", "damaged|tokens/" + serial + ".db||pin/so|the value is missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := &life{T: t, directory: t.TempDir(), first: "?", second: "?"}
			l.must(os.Chmod(l.directory, 0o700))
			l.must(os.Mkdir(l.path("tokens"), 0o700))
			l.list(`{"version":1,"slots":[]}`)
			if c.state != "" {
				l.list(`{"version":1,"slots":[{"id":0,"serial":%q,"state":%q}]}`, serial, c.state)
			}
			if c.make {
				b, err := keystore.CreateBolt(storePath(l.directory, serial), serial)
				l.must(err)
				l.must(b.Close())
			}
			r := l.inspect()
			l.expect(r, c.want...)
			if c.state != stateReady && r.Stores[0].State != "unfinished" {
				t.Errorf("%+v", r.Stores)
			}
		})
	}
	t.Run("complete", func(t *testing.T) {
		l := newLife(t).copyTo(t)
		l.list(`{"version":1,"slots":[%s,%s]}`, l.entry(0, l.first), strings.Replace(l.entry(1, l.second), stateReady, stateCreating, 1))
		l.expect(l.inspect(), "information|SECOND|||the token is complete and not marked as ready")
	})
}

func TestInspectBesideAnOwner(t *testing.T) {
	tk := newTestToken(t)
	before, err := os.ReadFile(tk.config.Directory + "/onceleaf.lock")
	tk.must(err)
	_, err = Inspect(tk.config.Directory)
	program, _ := os.Executable()
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), fmt.Sprintf("process %d (%s)", os.Getpid(), program)) {
		t.Errorf("got %v", err)
	}
	if after, _ := os.ReadFile(tk.config.Directory + "/onceleaf.lock"); !bytes.Equal(before, after) {
		t.Error("the lock file was changed")
	}
	tk.must(tk.device.Close())

	// One store alone is held, as by a program that does not know the directory's lock.
	b, err := keystore.OpenBolt(storePath(tk.config.Directory, tk.serial), tk.serial)
	tk.must(err)
	if _, err := Inspect(tk.config.Directory); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), tk.serial) {
		t.Errorf("got %v", err)
	}
	tk.must(b.Close())
	if _, err := Inspect(tk.config.Directory); err != nil {
		t.Errorf("without an owner: %v", err)
	}
}

// While a directory is inspected nobody can begin to own it, and others can inspect it too.
func TestInspectKeepsOwnersOut(t *testing.T) {
	tk := newTestToken(t)
	tk.must(tk.device.Close())
	i := &inspection{Report: Report{Directory: tk.config.Directory}}
	lock, err := i.share()
	tk.must(err)
	defer lock.Close()
	if _, err := OpenDevice(tk.config, discard); !errors.Is(err, keystore.ErrOwned) {
		t.Errorf("an owner during an inspection: %v", err)
	}
	if _, err := Inspect(tk.config.Directory); err != nil {
		t.Errorf("a second inspection: %v", err)
	}
}

func TestInspectNoTokens(t *testing.T) {
	empty := t.TempDir()
	for _, directory := range []string{empty, filepath.Join(empty, "nowhere"), "/dev/null"} {
		if r, err := Inspect(directory); !errors.Is(err, ErrNoTokens) {
			t.Errorf("%s: %+v, %v", directory, r, err)
		}
	}
	if left, _ := os.ReadDir(empty); len(left) != 0 {
		t.Errorf("it made %v", left)
	}
}

// asStranger runs do without the right to write, or to read what others may not read, also if root runs the tests.
func asStranger(t *testing.T, do func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if os.Geteuid() == 0 {
		const nobody = 65534
		unix.Setfsuid(nobody)
		defer unix.Setfsuid(0)
	}
	do()
}

// A copy that was kept as evidence: nothing in it can be written, and it can be checked.
func TestInspectReadOnly(t *testing.T) {
	l := newLife(t).copyTo(t)
	l.must(os.Chmod(filepath.Dir(l.directory), 0o755)) // t.TempDir is the tester's own
	l.must(filepath.WalkDir(l.directory, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			t.Cleanup(func() { os.Chmod(path, 0o700) })
			return os.Chmod(path, 0o555)
		}
		return errors.Join(err, os.Chmod(path, 0o444))
	}))
	asStranger(t, func() {
		if err := os.WriteFile(l.path("x"), nil, 0o600); !errors.Is(err, fs.ErrPermission) {
			t.Fatalf("the directory can be written: %v", err)
		}
		l.expect(l.inspect(), "warning|.|||the directory is open to other users")
	})
}

// What the system does not let us read is not damaged.
func TestInspectUnread(t *testing.T) {
	original := newLife(t)
	for file, want := range map[string][]string{
		"onceleaf.lock": {"warning|onceleaf.lock|||it could not be looked at: open DIR/onceleaf.lock: permission denied"},
		"slots.json":    {"warning|slots.json|||it could not be looked at"},
		original.first:  {"warning|FIRST|||it could not be looked at"},
		"tokens":        {"warning|tokens|||it could not be looked at", "warning|FIRST|||it could not be looked at", "warning|SECOND|||it could not be looked at"},
	} {
		t.Run(file, func(t *testing.T) {
			l := original.copyTo(t)
			l.must(os.Chmod(filepath.Dir(l.directory), 0o755))
			for _, path := range []string{".", "tokens"} {
				l.must(os.Chmod(l.path(path), 0o755))
			}
			for _, path := range []string{"onceleaf.lock", "slots.json", l.first, l.second} {
				l.must(os.Chmod(l.path(path), 0o644))
			}
			l.must(os.Chmod(l.path(file), 0))
			defer os.Chmod(l.path(file), 0o700)
			var r *Report
			asStranger(t, func() {
				var err error
				r, err = Inspect(l.directory)
				l.must(err)
			})
			l.expect(r, append(want, "warning|.|||the directory is open")...)
			for _, f := range r.Findings {
				if f.Unread == (f.File == ".") {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

// The JSON form is what docs/check.md promises.
func TestInspectJSON(t *testing.T) {
	id := ck.SlotID(3)
	set := lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W8}
	i := inspection{Report: Report{Directory: "d", Stores: []StoreReport{{File: "f", Slot: &id, Keys: []KeyReport{{Levels: []string{set.String()}, Free: keystore.Spans{{From: 1, To: 2}}}}}}}}
	i.add(Finding{File: "f", Key: "k", Label: "l", Value: "v", Unread: true}, keystore.Danger, "next", "what")
	text, err := json.Marshal(i.Report)
	const want = `{"directory":"d","stores":[{"file":"f","slot":3,"serial":"","label":"","state":"","remaining":0,"keys":[{"identity":"","label":"","status":"",` +
		`"generation":0,"levels":["LMS_SHA256_M32_H5/LMOTS_SHA256_N32_W8"],"remaining":0,"capacity":0,"free":[{"from":1,"to":2}],"parked":null,"given":null,"received":null,"used":null}]}],` +
		`"findings":[{"severity":"danger","what":"what","next":"next","file":"f","key":"k","label":"l","value":"v","unread":true}]}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}

package token

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

func TestOwnerLock(t *testing.T) {
	c := testConfig(t)
	d, _ := openDevice(t, c)
	_, err := OpenDevice(c, d.log)
	if !errors.Is(err, keystore.ErrOwned) {
		t.Fatalf("a second owner: %v", err)
	}
	program, _ := os.Executable()
	for _, part := range []string{fmt.Sprintf("process %d", os.Getpid()), program} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %q", err, part)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadFile(filepath.Join(c.Directory, "onceleaf.lock")); err != nil || len(left) != 0 {
		t.Errorf("the lock file still names somebody: %q, %v", left, err)
	}
	openDevice(t, c)
}

// A descriptor that a forked child inherited must not keep the directory locked: it is of the same open file.
func TestInheritedLockDescriptor(t *testing.T) {
	c := testConfig(t)
	d, _ := openDevice(t, c)
	inherited, err := dup(d.lock.file)
	if err != nil {
		t.Fatal(err)
	}
	defer inherited.Close()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	openDevice(t, c)
}

func TestWaitForOwner(t *testing.T) {
	c := testConfig(t)
	d, _ := openDevice(t, c)
	c.OwnerWait = Duration(time.Minute)
	result := make(chan error)
	go func() {
		second, err := OpenDevice(c, d.log)
		if err == nil {
			err = second.Close()
		}
		result <- err
	}()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
}

// The states that a crash during C_InitToken can leave.
func TestCreationIsTwoPhases(t *testing.T) {
	serial := "0123456789abcdef"
	entry := slotList{Version: 1, Slots: []slotEntry{{0, serial, stateCreating}}}
	for _, c := range []struct {
		name  string
		state func(t *testing.T, c Config)
		slots int
		ready bool
		store bool
	}{
		{"entry alone", func(*testing.T, Config) {}, 1, false, false},
		{"store without first values", func(t *testing.T, c Config) {
			b, err := keystore.CreateBolt(storePath(c.Directory, serial), serial)
			if err = errors.Join(err, b.Close()); err != nil {
				t.Fatal(err)
			}
		}, 1, false, true},
		{"complete store", func(t *testing.T, c Config) {
			tk, err := createToken(c, serial, soPIN, "crashed", discard)
			if err = errors.Join(err, tk.Close()); err != nil {
				t.Fatal(err)
			}
		}, 2, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := testConfig(t)
			if err := os.MkdirAll(storeFolder(config.Directory), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := entry.write(config.Directory); err != nil {
				t.Fatal(err)
			}
			c.state(t, config)
			for range 2 { // once settled it stays so
				d, _ := openDevice(t, config)
				if got := len(d.Slots()); got != c.slots {
					t.Errorf("%d slots, want %d", got, c.slots)
				}
				tk, err := d.Token(0)
				if (err == nil) != c.ready {
					t.Errorf("slot 0: %v", err)
				}
				if c.ready && tk.label != "crashed" {
					t.Errorf("label %q", tk.label)
				}
				if _, err := os.Stat(storePath(config.Directory, serial)); (err == nil) != c.store {
					t.Errorf("store: %v", err)
				}
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
			}
			list, err := readSlotList(config.Directory)
			if err != nil || len(list.Slots) != c.slots-1 || c.ready && list.Slots[0].State != stateReady {
				t.Errorf("%+v, %v", list, err)
			}
			d, _ := openDevice(t, config) // and the free slot can be used
			if err := d.InitToken(d.list.next(), soPIN, "next"); err != nil {
				t.Error(err)
			}
		})
	}
}

// The intent is on disk before the store is made; when that fails the slot looks as before, and a retry works.
func TestCreationFails(t *testing.T) {
	c := testConfig(t)
	d, _ := openDevice(t, c)
	aside := storeFolder(c.Directory) + ".aside"
	if err := os.Rename(storeFolder(c.Directory), aside); err != nil {
		t.Fatal(err)
	}
	if err := d.InitToken(0, soPIN, "x"); err == nil {
		t.Fatal("a token was made without a folder for its store")
	}
	list, err := readSlotList(c.Directory)
	if err != nil || len(list.Slots) != 1 || list.Slots[0].State != stateCreating {
		t.Errorf("on disk: %+v, %v", list, err)
	}
	if _, err := d.Token(0); result(err) != ck.CKR_TOKEN_NOT_RECOGNIZED || len(d.Slots()) != 1 {
		t.Errorf("slots %v, %v", d.Slots(), err)
	}
	if err := os.Rename(aside, storeFolder(c.Directory)); err != nil {
		t.Fatal(err)
	}
	if err := d.InitToken(0, soPIN, "x"); err != nil {
		t.Fatal(err)
	}
	list, err = readSlotList(c.Directory)
	if err != nil || len(list.Slots) != 1 || list.Slots[0].State != stateReady {
		t.Errorf("on disk: %+v, %v", list, err)
	}
}

// A ready entry whose store cannot be used keeps its slot; nothing is made anew, nothing is changed.
func TestUnusableStores(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(path string) error
		kind error
		safe string
	}{
		{"missing", os.Remove, keystore.ErrMissing, "nothing was made"},
		{"damaged", func(path string) error { return os.WriteFile(path, make([]byte, 1<<16), 0o600) }, keystore.ErrDamaged, "not changed"},
		{"version", func(path string) error { return editMeta(path, "version", "onceleaf-store/99") }, keystore.ErrVersion, "not changed"},
		{"another token's", func(path string) error { return editMeta(path, "serial", "fedcba9876543210") }, keystore.ErrDamaged, "not changed"},
		{"token record", func(path string) error { return editShelf(path, "token", `{"version":9}`) }, keystore.ErrVersion, "not changed"},
		{"no token record", func(path string) error { return editShelf(path, "token", "") }, errIncomplete, "not changed"},
		{"token record damaged", func(path string) error { return editShelf(path, "token", "?") }, keystore.ErrDamaged, "not changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tk := newTestToken(t)
			tk.must(tk.device.Close())
			path := storePath(tk.config.Directory, tk.serial)
			tk.must(c.do(path))
			before, _ := os.ReadFile(path)
			d, log := openDevice(t, tk.config)
			if len(d.Slots()) != 2 {
				t.Errorf("slots %v", d.Slots())
			}
			_, err := d.Token(0)
			if result(err) != ck.CKR_DEVICE_ERROR || !errors.Is(err, c.kind) {
				t.Errorf("Token: %v", err)
			}
			if _, err := d.Info(0); result(err) != ck.CKR_DEVICE_ERROR {
				t.Errorf("Info: %v", err)
			}
			if err := d.InitToken(0, soPIN, "again"); result(err) != ck.CKR_DEVICE_ERROR {
				t.Errorf("InitToken: %v", err)
			}
			if !strings.Contains(log.String(), tk.serial) || !strings.Contains(log.String(), c.safe) {
				t.Errorf("log: %s", log)
			}
			tk.must(d.Close())
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the store was changed")
			}
		})
	}
}

func TestOwnedStore(t *testing.T) {
	tk := newTestToken(t)
	tk.must(tk.device.Close())
	b, err := keystore.OpenBolt(storePath(tk.config.Directory, tk.serial), tk.serial)
	tk.must(err)
	defer b.Close()
	d, log := openDevice(t, tk.config)
	if _, err := d.Token(0); result(err) != ck.CKR_DEVICE_ERROR || !errors.Is(err, keystore.ErrOwned) {
		t.Errorf("%v", err)
	}
	if !strings.Contains(log.String(), "end the other process") {
		t.Errorf("log: %s", log)
	}
}

func editMeta(path, name, value string) error { return edit(path, "meta", name, value) }

func editShelf(path, name, value string) error { return edit(path, "shelf", name, value) }

// edit changes one value of a store behind its back; an empty one is deleted.
func edit(path, bucket, name, value string) error {
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Update(func(tx *bbolt.Tx) error {
		if value == "" {
			return tx.Bucket([]byte(bucket)).Delete([]byte(name))
		}
		return tx.Bucket([]byte(bucket)).Put([]byte(name), []byte(value))
	})
}

func TestUnlistedStoreIsLeftAlone(t *testing.T) {
	tk := newTestToken(t)
	tk.must(tk.device.Close())
	stray := filepath.Join(storeFolder(tk.config.Directory), "stray.db")
	tk.must(os.WriteFile(stray, []byte("whatever"), 0o600))
	d, log := openDevice(t, tk.config)
	if len(d.Slots()) != 2 || !strings.Contains(log.String(), "stray.db") {
		t.Errorf("slots %v, log: %s", d.Slots(), log)
	}
	if text, err := os.ReadFile(stray); string(text) != "whatever" {
		t.Errorf("%q, %v", text, err)
	}
}

// Without slots.json nobody knows which tokens there ought to be: no fresh start beside stores.
func TestLostSlotList(t *testing.T) {
	tk := newTestToken(t)
	tk.must(tk.device.Close())
	tk.must(os.Remove(slotListPath(tk.config.Directory)))
	if _, err := OpenDevice(tk.config, discard); !errors.Is(err, keystore.ErrMissing) {
		t.Errorf("got %v", err)
	}
	tk.must(os.WriteFile(slotListPath(tk.config.Directory), []byte("{"), 0o600))
	if _, err := OpenDevice(tk.config, discard); !errors.Is(err, keystore.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

func TestDirectoryModes(t *testing.T) {
	tk := newTestToken(t)
	for path, want := range map[string]os.FileMode{
		storeFolder(tk.config.Directory):          0o700,
		slotListPath(tk.config.Directory):         0o600,
		storePath(tk.config.Directory, tk.serial): 0o600,
		tk.config.Directory + "/onceleaf.lock":    0o600,
	} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	tk.must(tk.device.Close())
	tk.must(os.Chmod(tk.config.Directory, 0o755))
	_, log := openDevice(t, tk.config)
	if !strings.Contains(log.String(), "open to other users") {
		t.Errorf("log: %s", log)
	}
}

func FuzzSlotList(f *testing.F) {
	for _, seed := range []string{
		`{"version":1,"slots":[]}`, `{"version":1,"slots":[{"id":0,"serial":"0123456789abcdef","state":"ready"}]}`,
		`{"version":1,"slots":[{"id":1,"serial":"0123456789abcdef","state":"creating"},{"id":1,"serial":"1123456789abcdef","state":"ready"}]}`,
		`{"version":2}`, `{"version":1,"slots":[{"id":0,"serial":"../../etc/x","state":"ready"}]}`, `{"version":1,"more":1}`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseSlotList(text)
		if err != nil {
			return
		}
		for _, e := range list.Slots {
			if strings.ContainsAny(e.Serial, "/.") || len(e.Serial) != 16 {
				t.Errorf("serial %q became a file name", e.Serial)
			}
		}
		again := list.with(slotEntry{list.next(), "ffffffffffffffff", stateCreating})
		if len(again.Slots) != len(list.Slots)+1 || len(again.without(list.next()).Slots) != len(list.Slots) {
			t.Errorf("%+v", again)
		}
	})
}

func TestSlotListRefusals(t *testing.T) {
	for _, text := range []string{
		``, `[]`, `{}`, `{"version":2,"slots":[]}`, `{"version":1,"more":1}`,
		`{"version":1,"slots":[{"id":0,"serial":"../../etc/xx","state":"ready"}]}`,
		`{"version":1,"slots":[{"id":0,"serial":"0123456789ABCDEF","state":"ready"}]}`,
		`{"version":1,"slots":[{"id":0,"serial":"0123456789abcdef","state":"gone"}]}`,
		`{"version":1,"slots":[{"id":1,"serial":"0123456789abcdef","state":"ready"},{"id":0,"serial":"1123456789abcdef","state":"ready"}]}`,
		`{"version":1,"slots":[{"id":0,"serial":"0123456789abcdef","state":"ready"},{"id":1,"serial":"0123456789abcdef","state":"ready"}]}`,
	} {
		if _, err := parseSlotList([]byte(text)); err == nil {
			t.Errorf("taken: %s", text)
		}
	}
}

// Who finds a daemon in the way is told how to end it.
func TestHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	for text, want := range map[string]string{
		"12 /usr/sbin/onceleafd\n": "process 12 (/usr/sbin/onceleafd), the daemon, which 'onceleaf daemon stop' ends",
		"12 /usr/bin/my program\n": "process 12 (/usr/bin/my program)",
		"":                         "the owner has not written its name yet",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := holder(path); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}

package keystore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

func setVersion(b *Bolt, version string) error {
	return b.update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketMeta).Put([]byte("version"), []byte(version))
	})
}

// TestBoltSyncs: none of bbolt's shortcuts is on.
func TestBoltSyncs(t *testing.T) {
	b := newBolt(t, filepath.Join(t.TempDir(), "t.db"))
	if b.db.NoSync || b.db.NoGrowSync || b.db.NoFreelistSync {
		t.Error("the store does not wait for the disk")
	}
}

// TestOpenBoltConfirms: what a killed process left in the cache of the system is
// written again at opening, and not a byte of the store changes.
func TestOpenBoltConfirms(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	filled(t, path)
	before, err := os.ReadFile(path)
	must(t, err)
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(path, old, old))
	b, err := OpenBolt(path, testSerial)
	must(t, err)
	must(t, b.Close())
	info, err := os.Stat(path)
	must(t, err)
	if info.ModTime().Before(time.Now().Add(-time.Minute)) {
		t.Error("opening wrote nothing")
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("opening changed the store")
	}
}

// TestBoltConfirmRefused: a store that cannot be written is not confirmed.
func TestBoltConfirmRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	filled(t, path)
	file, err := os.Open(path)
	must(t, err)
	defer file.Close()
	if err := confirm(file); !errors.Is(err, ErrStore) {
		t.Errorf("confirm: %v, want ErrStore", err)
	}
	if b, err := attach(file, testSerial); !errors.Is(err, ErrStore) || b != nil {
		t.Errorf("attach: %v, want ErrStore", err)
	}
}

// TestBoltDoubt: after a commit that failed nothing is given out before it is
// known to be durable.
func TestBoltDoubt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	filled(t, path)
	b, err := OpenBolt(path, testSerial)
	must(t, err)
	snap, err := b.Fetch(Identity{1})
	must(t, err)
	disk := b.file
	readOnly, err := os.Open(path)
	must(t, err)
	must(t, syscall.Dup3(int(readOnly.Fd()), int(disk.Fd()), syscall.O_CLOEXEC)) // writes fail from here
	if _, err := b.Replace(snap, []byte("new")); err == nil {
		t.Fatal("stored in a file that cannot be written")
	}
	if _, err := b.Fetch(Identity{1}); !errors.Is(err, ErrStore) {
		t.Errorf("Fetch: %v, want ErrStore", err)
	}
	if _, err := b.Replace(snap, []byte("new")); !errors.Is(err, ErrStore) {
		t.Errorf("Replace: %v, want ErrStore", err)
	}
	writable, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	must(t, syscall.Dup3(int(writable.Fd()), int(disk.Fd()), syscall.O_CLOEXEC))
	if again, err := b.Fetch(Identity{1}); err != nil || !bytes.Equal(again.Record(), snap.Record()) {
		t.Errorf("Fetch from the repaired disk: %v", err)
	}
	must(t, errors.Join(b.Close(), readOnly.Close(), writable.Close()))
}

// TestBoltOpenPanics: a panic of bbolt leaves neither descriptor nor lock.
func TestBoltOpenPanics(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	filled(t, path)
	overwrite(t, path, 2*4096, 1<<20, 0xff)
	file, err := existing(path)
	must(t, err)
	must(t, lock(file))
	b := &Bolt{file: file}
	if err := b.run(b.open); !errors.Is(err, ErrDamaged) {
		t.Fatalf("bbolt opened it: %v", err)
	}
	must(t, release(file))
	must(t, release(file)) // as when bbolt has closed it
	if _, err := OpenBolt(path, testSerial); !errors.Is(err, ErrDamaged) {
		t.Errorf("second opening: %v, want ErrDamaged", err)
	}
}

// TestBoltOpenError: only damage is called damage.
func TestBoltOpenError(t *testing.T) {
	for err, want := range map[error]error{
		syscall.EMFILE: ErrStore, syscall.ENOMEM: ErrStore, syscall.EIO: ErrStore, syscall.ENOSPC: ErrStore,
		syscall.EROFS: ErrStore, syscall.EACCES: ErrStore, syscall.EPERM: ErrStore, syscall.ENOENT: ErrMissing,
		syscall.EISDIR: ErrDamaged, errors.New("whatever"): ErrDamaged, ErrOwned: ErrOwned, ErrVersion: ErrVersion,
	} {
		got := openError("t.db", &fs.PathError{Op: "open", Path: "t.db", Err: err})
		for _, kind := range []error{ErrStore, ErrMissing, ErrDamaged, ErrOwned, ErrVersion} {
			if errors.Is(got, kind) != (kind == want) {
				t.Errorf("%v: got %v, want %v", err, got, want)
			}
		}
	}
}

// TestBoltCutInside cuts the file under a running process, before it changes
// something: every call comes back, and the file is given up at the end.
func TestBoltCutInside(t *testing.T) {
	for _, left := range []int64{0, 4 << 10, 8 << 10, 16 << 10, 32 << 10} {
		t.Run(fmt.Sprint(left), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "t.db")
			filled(t, path)
			b, err := OpenBolt(path, testSerial)
			must(t, err)
			snap, err := b.Fetch(Identity{39})
			must(t, err)
			must(t, os.Truncate(path, left))
			done := make(chan struct{})
			go func() {
				defer close(done)
				useBroken(t, b, snap)
			}()
			select {
			case <-done:
			case <-time.After(30 * time.Second):
				t.Fatal("a call hangs")
			}
			if _, err := OpenBolt(path, testSerial); !errors.Is(err, ErrDamaged) {
				t.Errorf("opened after closing: %v, want ErrDamaged", err)
			}
		})
	}
}

func useBroken(t *testing.T, b *Bolt, snap Snapshot) {
	_, first := b.Replace(snap, bytes.Repeat([]byte{1}, 3000))
	if first == nil {
		t.Error("a cut store took a change")
	}
	for name, call := range map[string]func() error{
		"Replace": func() error { _, err := b.Replace(snap, []byte("new")); return err },
		"Write":   func() error { return b.Write(map[string][]byte{"a": []byte("b")}) },
		"Fetch":   func() error { _, err := b.Fetch(Identity{1}); return err },
		"Read":    func() error { _, err := b.Read("a"); return err },
		"List":    func() error { _, err := b.List(); return err },
	} {
		if err := call(); errors.Is(first, ErrDamaged) && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

package keystore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/onceleaf/onceleaf/internal/durable"
)

// The file of one token (docs/spec/store.md).
var (
	bucketMeta  = []byte("meta")  // "version", "serial"
	bucketKeys  = []byte("keys")  // Identity -> record
	bucketShelf = []byte("shelf") // name -> value
)

const storeVersion = "onceleaf-store/1"

// ownerWait is how long opening waits for another owner of the file to go.
const ownerWait = time.Second

// Bolt is the Store and the Shelf of one token in one bbolt file, which it owns
// alone from opening to Close. Each change costs two fsyncs.
type Bolt struct{ db *bbolt.DB }

var (
	_ Store = &Bolt{}
	_ Shelf = &Bolt{}
)

// CreateBolt makes the store of a new token. The file appears complete or not at
// all; it is an error if there is one already.
func CreateBolt(path, serial string) (*Bolt, error) {
	temporary := filepath.Join(filepath.Dir(path), ".new-"+filepath.Base(path))
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("couldn't remove an unfinished store: %w", err)
	}
	if err := writeEmpty(temporary, serial); err != nil {
		return nil, fmt.Errorf("couldn't make store %s: %w", path, err)
	}
	if err := durable.Publish(temporary, path); err != nil {
		return nil, err
	}
	return OpenBolt(path, serial)
}

func writeEmpty(path, serial string) error {
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketKeys, bucketShelf} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta, err := tx.CreateBucket(bucketMeta)
		if err != nil {
			return err
		}
		if err := meta.Put([]byte("version"), []byte(storeVersion)); err != nil {
			return err
		}
		return meta.Put([]byte("serial"), []byte(serial))
	})
}

// OpenBolt opens the store of the token with this serial number. It never makes
// one: ErrMissing if there is none, ErrOwned if another process holds it,
// ErrVersion, or ErrDamaged, which also covers a truncated file and one that
// belongs to another token (a copy under another name would sign twice).
func OpenBolt(path, serial string) (b *Bolt, err error) {
	defer faults(&err)()
	if err := complete(path); err != nil {
		return nil, openError(path, err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: ownerWait, OpenFile: existing})
	if err != nil {
		return nil, openError(path, err)
	}
	b = &Bolt{db}
	if err := b.check(serial); err != nil {
		return nil, errors.Join(openError(path, err), db.Close())
	}
	return b, nil
}

// existing opens a file as bbolt asks, but never makes one.
func existing(path string, flag int, mode os.FileMode) (*os.File, error) {
	return os.OpenFile(path, flag&^os.O_CREATE, mode)
}

// complete reports a file that is shorter than its own account. bbolt maps the
// file into memory, and to touch a missing page would kill the process.
func complete(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: ownerWait, ReadOnly: true, OpenFile: existing})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(func(tx *bbolt.Tx) error {
		if info.Size() < tx.Size() {
			return fmt.Errorf("%w: %d bytes of %d are left", ErrDamaged, info.Size(), tx.Size())
		}
		return nil
	})
}

// check reads the whole file once: pages, version and serial number.
func (b *Bolt) check(serial string) error {
	return b.view(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if meta == nil || tx.Bucket(bucketKeys) == nil || tx.Bucket(bucketShelf) == nil {
			return fmt.Errorf("%w: not a token store", ErrDamaged)
		}
		if got := meta.Get([]byte("version")); string(got) != storeVersion {
			return fmt.Errorf("%w: %q, this program knows %q", ErrVersion, got, storeVersion)
		}
		if got := meta.Get([]byte("serial")); string(got) != serial {
			return fmt.Errorf("%w: it is the store of token %q, not of %q", ErrDamaged, got, serial)
		}
		return firstError(tx.Check())
	})
}

// firstError reads all of errs, so that their sender comes to its end.
func firstError(errs <-chan error) (first error) {
	for err := range errs {
		if first == nil {
			first = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return first
}

// openError gives an error of opening its sentinel.
func openError(path string, err error) error {
	kind := ErrDamaged
	switch {
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrVersion):
		return fmt.Errorf("couldn't open store %s: %w", path, err)
	case errors.Is(err, fs.ErrNotExist):
		kind = ErrMissing
	case errors.Is(err, berrors.ErrTimeout):
		kind = ErrOwned
	case errors.Is(err, berrors.ErrVersionMismatch):
		kind = ErrVersion
	case errors.Is(err, fs.ErrPermission), errors.Is(err, os.ErrInvalid):
		kind = ErrStore
	}
	return fmt.Errorf("couldn't open store %s: %w: %w", path, kind, err)
}

// Close gives the file up. bbolt unlocks it explicitly, so that a forked child
// that inherited the descriptor does not keep it locked.
func (b *Bolt) Close() error { return b.db.Close() }

// Fetch implements Store.
func (b *Bolt) Fetch(id Identity) (Snapshot, error) {
	var record []byte
	err := b.view(func(tx *bbolt.Tx) error {
		record = bytes.Clone(tx.Bucket(bucketKeys).Get(id[:]))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w: couldn't fetch key %s: %w", ErrStore, id, err)
	}
	if record == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoKey, id)
	}
	return version{id, record}, nil
}

// Replace implements Store.
func (b *Bolt) Replace(old Snapshot, record []byte) (Snapshot, error) {
	return b.swap(old.Identity(), old.Record(), record)
}

// Create implements Store.
func (b *Bolt) Create(id Identity, record []byte) (Snapshot, error) {
	return b.swap(id, nil, record)
}

// swap stores record if the present one is old; nil means that there is none.
func (b *Bolt) swap(id Identity, old, record []byte) (Snapshot, error) {
	err := b.update(func(tx *bbolt.Tx) error {
		keys := tx.Bucket(bucketKeys)
		present := keys.Get(id[:])
		if (present == nil) != (old == nil) || !bytes.Equal(present, old) {
			return ErrStale
		}
		return keys.Put(id[:], record)
	})
	if err != nil {
		return nil, fmt.Errorf("couldn't store key %s: %w", id, err)
	}
	return version{id, bytes.Clone(record)}, nil
}

// List implements Store.
func (b *Bolt) List() (ids []Identity, err error) {
	err = b.view(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketKeys).ForEach(func(name, _ []byte) error {
			if len(name) != len(Identity{}) {
				return fmt.Errorf("%w: a key is named %x", ErrDamaged, name)
			}
			ids = append(ids, Identity(name))
			return nil
		})
	})
	return ids, err
}

// Read implements Shelf.
func (b *Bolt) Read(name string) (value []byte, err error) {
	err = b.view(func(tx *bbolt.Tx) error {
		value = bytes.Clone(tx.Bucket(bucketShelf).Get([]byte(name)))
		return nil
	})
	return value, err
}

// Names implements Shelf.
func (b *Bolt) Names(prefix string) (names []string, err error) {
	err = b.view(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(bucketShelf).Cursor()
		for name, _ := cursor.Seek([]byte(prefix)); name != nil && strings.HasPrefix(string(name), prefix); name, _ = cursor.Next() {
			names = append(names, string(name))
		}
		return nil
	})
	return names, err
}

// Write implements Shelf.
func (b *Bolt) Write(changes map[string][]byte) error {
	err := b.update(func(tx *bbolt.Tx) error {
		shelf := tx.Bucket(bucketShelf)
		for name, value := range changes {
			if value == nil {
				if err := shelf.Delete([]byte(name)); err != nil {
					return err
				}
				continue
			}
			if err := shelf.Put([]byte(name), value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	return nil
}

func (b *Bolt) view(read func(*bbolt.Tx) error) (err error) {
	defer faults(&err)()
	return b.db.View(read)
}

func (b *Bolt) update(change func(*bbolt.Tx) error) (err error) {
	defer faults(&err)()
	return b.db.Update(change)
}

// faults makes errors of panics: bbolt panics on pages it cannot read, and a
// file that was cut while it is mapped faults. Use: defer faults(&err)().
func faults(err *error) (restore func()) {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if fault := recover(); fault != nil {
			*err = fmt.Errorf("%w: %v", ErrDamaged, fault)
		}
	}
}

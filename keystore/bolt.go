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
	"sync"
	"syscall"
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
	bucketNodes = []byte("nodes") // Identity -> nodes; appears with the first ones
)

const storeVersion = "onceleaf-store/1"

// ownerWait is how long opening waits for another owner of the file to go.
const (
	ownerWait = time.Second
	ownerPoll = 50 * time.Millisecond
)

// Bolt is the Store and the Shelf of one token in one bbolt file, which it owns
// alone from opening to Close. Each change costs two fsyncs.
type Bolt struct {
	db   *bbolt.DB
	file *os.File // the same that bbolt has

	mu     sync.Mutex // one call at a time: none sees a change that is not yet durable, or hangs in bbolt
	broken bool       // bbolt panicked and must not be entered again
	doubt  bool       // a commit failed: what bbolt shows may not be durable
}

var (
	_ Store = &Bolt{}
	_ Shelf = &Bolt{}

	_ NodeStore = &Bolt{}
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
// ErrStore if the system refuses, ErrVersion, or ErrDamaged, which also covers a
// truncated file and one that belongs to another token (a copy under another
// name would sign twice). What is read from an open store is durable.
func OpenBolt(path, serial string) (*Bolt, error) {
	file, err := existing(path)
	if err != nil {
		return nil, openError(path, err)
	}
	b, err := attach(file, serial)
	if err != nil {
		return nil, errors.Join(openError(path, err), release(file))
	}
	// Who made the store may have died before its name was durable.
	if err := durable.SyncFolder(filepath.Dir(path)); err != nil {
		return nil, errors.Join(openError(path, err), b.Close())
	}
	return b, nil
}

// existing opens a file to read and write, but never makes one.
func existing(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR, 0) }

// attach makes a Store of a file, which the caller releases if it fails. The
// file is locked before it is checked, and bbolt gets what was checked.
func attach(file *os.File, serial string) (*Bolt, error) {
	if err := lock(file); err != nil {
		return nil, err
	}
	if err := checkPages(file); err != nil {
		return nil, err
	}
	b := &Bolt{file: file}
	if err := b.run(b.open); err != nil {
		return nil, err
	}
	err := b.check(serial)
	if err == nil {
		err = confirm(file)
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// lock makes us the owner of the file, as bbolt would, within ownerWait.
func lock(file *os.File) error {
	deadline := time.Now().Add(ownerWait)
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		busy := errors.Is(err, syscall.EWOULDBLOCK)
		switch {
		case busy && time.Now().After(deadline):
			return ErrOwned
		case !busy && !errors.Is(err, syscall.EINTR):
			return err
		}
		time.Sleep(ownerPoll)
	}
}

// release unlocks the file explicitly, so that a forked child that inherited the
// descriptor does not keep it locked, and closes it unless bbolt did.
func release(file *os.File) error {
	raw, err := file.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { _ = syscall.Flock(int(fd), syscall.LOCK_UN) })
	}
	if err = errors.Join(err, file.Close()); errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// open lets bbolt map the file. All its syncs are on.
func (b *Bolt) open() (err error) {
	b.db, err = bbolt.Open(b.file.Name(), 0o600, &bbolt.Options{
		OpenFile: func(string, int, os.FileMode) (*os.File, error) { return b.file, nil },
	})
	return err
}

// check reads version and serial number.
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
		return nil
	})
}

// openError gives an error of opening its sentinel. What the system refuses says
// nothing about the file: it is no damage.
func openError(path string, err error) error {
	var refused syscall.Errno
	kind := ErrDamaged
	switch {
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrVersion), errors.Is(err, ErrOwned), errors.Is(err, ErrStore):
		return fmt.Errorf("couldn't open store %s: %w", path, err)
	case errors.Is(err, fs.ErrNotExist):
		kind = ErrMissing
	case errors.Is(err, berrors.ErrVersionMismatch):
		kind = ErrVersion
	case errors.Is(err, syscall.EISDIR):
	case errors.As(err, &refused):
		kind = ErrStore
	}
	return fmt.Errorf("couldn't open store %s: %w: %w", path, kind, err)
}

// Close gives the file up. bbolt would wait for ever for the locks that a fault
// left held: then its mapping stays, and the file alone is closed.
func (b *Bolt) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken {
		return release(b.file)
	}
	if err := b.db.Close(); err != nil { // it may have left the file open
		return errors.Join(err, release(b.file))
	}
	return nil
}

// Durable implements Store.
func (b *Bolt) Durable() bool { return true }

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

// Nodes implements NodeStore.
func (b *Bolt) Nodes(id Identity) (nodes []byte, err error) {
	err = b.view(func(tx *bbolt.Tx) error {
		if bucket := tx.Bucket(bucketNodes); bucket != nil {
			nodes = bytes.Clone(bucket.Get(id[:]))
		}
		return nil
	})
	return nodes, err
}

// KeepNodes implements NodeStore.
func (b *Bolt) KeepNodes(id Identity, nodes []byte) error {
	if nodes == nil {
		return b.dropNodes(id)
	}
	return b.update(func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists(bucketNodes)
		if err != nil {
			return err
		}
		return bucket.Put(id[:], nodes)
	})
}

func (b *Bolt) dropNodes(id Identity) error {
	kept, err := b.Nodes(id)
	if err != nil || kept == nil {
		return err
	}
	return b.update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketNodes).Delete(id[:]) })
}

func (b *Bolt) view(read func(*bbolt.Tx) error) error {
	return b.run(func() error {
		if err := b.settle(); err != nil {
			return err
		}
		return b.db.View(read)
	})
}

// update leaves the store in doubt if change agreed and the commit failed: bbolt
// then shows what may not be on the disk.
func (b *Bolt) update(change func(*bbolt.Tx) error) error {
	return b.run(func() error {
		if err := b.settle(); err != nil {
			return err
		}
		err := b.db.Update(func(tx *bbolt.Tx) error {
			err := change(tx)
			b.doubt = err == nil
			return err
		})
		b.doubt = b.doubt && err != nil
		return err
	})
}

// settle makes durable what a failed commit left, before anybody acts on it.
func (b *Bolt) settle() error {
	if !b.doubt {
		return nil
	}
	err := confirm(b.file)
	b.doubt = err != nil
	return err
}

// run calls use, which enters bbolt, and makes errors of its faults. A panic
// leaves the locks of bbolt held, so it is the last call that enters.
func (b *Bolt) run(use func() error) (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken {
		return fmt.Errorf("%w: it was damaged while it was open", ErrDamaged)
	}
	b.broken = true // until use has returned
	defer faults(&err)()
	err = use()
	b.broken = false
	return err
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

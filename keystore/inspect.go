package keystore

import (
	"bytes"
	"errors"
	"os"
	"syscall"

	"go.etcd.io/bbolt"
)

// This file looks into a store that nobody uses. It needs no secret and changes
// no byte: the file is opened to read, and its lock is shared. What is said about
// the records is in inspectkey.go.

// Severity says how much a Finding matters.
type Severity int

// From the least to the gravest.
const (
	Information Severity = iota
	Warning              // to be looked at; no key is hurt
	Damage               // something cannot be used, and is kept as it is
	Danger               // a leaf may sign twice, or has
)

var severityNames = [...]string{"information", "warning", "damaged", "danger"}

func (s Severity) String() string { return severityNames[s] }

// MarshalText writes a severity as its name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one thing that an inspection has to say.
type Finding struct {
	Severity Severity `json:"severity"`
	What     string   `json:"what"` // what is wrong, in one sentence
	Next     string   `json:"next"` // what is safe to do
}

// Inspection is what a store holds.
type Inspection struct {
	Serial string // as the store itself has it
	Keys   []InspectedKey
	Shelf  map[string][]byte
}

// InspectedKey is one record and what is to be said of it.
type InspectedKey struct {
	Name     []byte // the record lies under it; its Identity if all is well
	State    State  // zero unless Readable
	Readable bool
	Findings []Finding
}

// Inspect reads all of a store without owning it. The errors are those of
// OpenBolt: ErrMissing, ErrOwned if a process has the store open, ErrStore if the
// system refuses to read it, ErrVersion, ErrDamaged.
func Inspect(path string) (Inspection, error) {
	file, err := openToRead(path)
	if err != nil {
		return Inspection{}, openError(path, err)
	}
	defer release(file)
	in, err := inspect(file)
	if err != nil {
		return Inspection{}, openError(path, err)
	}
	return in, nil
}

func openToRead(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // to open a named pipe would take for ever
		return nil, damaged("it is not a file")
	}
	return os.Open(path)
}

// inspect holds to the order of attach: the file is locked before it is checked,
// and checked before bbolt maps it.
func inspect(file *os.File) (in Inspection, err error) {
	if err := share(file); err != nil {
		return in, err
	}
	if err := checkPages(file); err != nil {
		return in, err
	}
	b := &Bolt{file: file}
	if err := b.run(b.openReadOnly); err != nil {
		return in, err
	}
	defer b.Close()
	err = b.inspect(&in)
	return in, err
}

// share keeps owners away while we read; other readers are welcome.
func share(file *os.File) error {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrOwned
		case !errors.Is(err, syscall.EINTR):
			return err
		}
	}
}

// openReadOnly is open for a file that can only be read.
func (b *Bolt) openReadOnly() (err error) {
	b.db, err = bbolt.Open(b.file.Name(), 0, &bbolt.Options{
		ReadOnly: true,
		OpenFile: func(string, int, os.FileMode) (*os.File, error) { return b.file, nil },
	})
	return err
}

func (b *Bolt) inspect(in *Inspection) error {
	err := b.view(func(tx *bbolt.Tx) error {
		if meta := tx.Bucket(bucketMeta); meta != nil {
			in.Serial = string(meta.Get([]byte("serial")))
		}
		return nil
	})
	if err == nil {
		err = b.check(in.Serial)
	}
	if err != nil {
		return err
	}
	return b.view(func(tx *bbolt.Tx) error { return in.read(tx) })
}

func (in *Inspection) read(tx *bbolt.Tx) error {
	in.Shelf = map[string][]byte{}
	err := tx.Bucket(bucketShelf).ForEach(func(name, value []byte) error {
		in.Shelf[string(name)] = bytes.Clone(value)
		return nil
	})
	err = errors.Join(err, tx.Bucket(bucketKeys).ForEach(func(name, record []byte) error {
		in.Keys = append(in.Keys, inspectKey(bytes.Clone(name), bytes.Clone(record)))
		return nil
	}))
	if nodes := tx.Bucket(bucketNodes); nodes != nil {
		for i := range in.Keys {
			in.Keys[i].inspectNodes(nodes.Get(in.Keys[i].Name))
		}
	}
	return err
}

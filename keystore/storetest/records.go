package storetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/onceleaf/onceleaf/keystore"
)

// wrong is a complaint about a store.
func wrong(format string, args ...any) error { return fmt.Errorf(format, args...) }

// identity is the n-th of many identities, which differ in their last bytes.
func identity(n int) (id keystore.Identity) {
	binary.BigEndian.PutUint32(id[len(id)-4:], uint32(n))
	return id
}

// record is the n-th version of a record. Its number is its first 8 bytes, and
// no part of it fits another version: neither length nor bytes.
func record(n int) []byte { return sized(n, 600+n%7*4000+n%101) }

// sized is the n-th version in so many bytes.
func sized(n, size int) []byte {
	pattern := make([]byte, 251)
	for i := range pattern {
		pattern[i] = byte(n*31 + i*7)
	}
	made := binary.BigEndian.AppendUint64(make([]byte, 0, size+len(pattern)+8), uint64(n))
	for len(made) < size {
		made = append(made, pattern...)
	}
	if size < 8 {
		return made[8-size : 8] // the end of the number
	}
	return made[:size]
}

// numberOf is which version a record is; an error if it is none that was stored.
func numberOf(have []byte) (int, error) {
	if len(have) < 8 {
		return 0, wrong("a record of %d bytes that nobody stored", len(have))
	}
	n := int(binary.BigEndian.Uint64(have))
	if !bytes.Equal(have, record(n)) {
		return 0, wrong("a record that nobody stored: %s, version %d has %d bytes", brief(have), n, len(record(n)))
	}
	return n, nil
}

// create and replace store a record and look at the snapshot that comes back.
func create(s keystore.Store, id keystore.Identity, record []byte) (keystore.Snapshot, error) {
	snap, err := s.Create(id, bytes.Clone(record))
	if err != nil {
		return nil, wrong("Create: %w", err)
	}
	return snap, fits("Create", snap, id, record)
}

func replace(s keystore.Store, old keystore.Snapshot, record []byte) (keystore.Snapshot, error) {
	id := old.Identity()
	snap, err := s.Replace(old, bytes.Clone(record))
	if err != nil {
		return nil, wrong("Replace: %w", err)
	}
	return snap, fits("Replace", snap, id, record)
}

// holds makes sure that Fetch shows this record.
func holds(s keystore.Store, id keystore.Identity, record []byte) error {
	snap, err := s.Fetch(id)
	if err != nil {
		return wrong("Fetch: %w", err)
	}
	return fits("Fetch", snap, id, record)
}

func fits(call string, snap keystore.Snapshot, id keystore.Identity, record []byte) error {
	switch {
	case snap == nil:
		return wrong("%s answered neither a snapshot nor an error", call)
	case snap.Identity() != id:
		return wrong("%s answered the identity %s, want %s", call, snap.Identity(), id)
	case !bytes.Equal(snap.Record(), record):
		return wrong("%s answered %s, want %s", call, brief(snap.Record()), brief(record))
	}
	return nil
}

// brief tells a record from others.
func brief(record []byte) string {
	if record == nil {
		return "nothing"
	}
	return fmt.Sprintf("%x (%d bytes)", record[:min(8, len(record))], len(record))
}

// refused makes sure that a change was refused as stale.
func refused(call string, err error) error {
	if !errors.Is(err, keystore.ErrStale) {
		return wrong("%s answered %v, want ErrStale", call, err)
	}
	return nil
}

// absent makes sure that there is no record.
func absent(s keystore.Store, id keystore.Identity) error {
	if _, err := s.Fetch(id); !errors.Is(err, keystore.ErrNoKey) {
		return wrong("Fetch of nothing answered %v, want ErrNoKey", err)
	}
	return nil
}

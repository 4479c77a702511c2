package keystore

import (
	"bytes"
	"slices"
	"sync"
)

// Volatile is a Store in memory, for keys that die with their session and for
// tests. New refuses it for a token.
type Volatile struct {
	mu      sync.Mutex
	records map[Identity][]byte // guarded by mu
}

var _ Store = &Volatile{}

// NewVolatile makes an empty store.
func NewVolatile() *Volatile { return &Volatile{records: map[Identity][]byte{}} }

// Durable implements Store.
func (v *Volatile) Durable() bool { return false }

// Fetch implements Store.
func (v *Volatile) Fetch(id Identity) (Snapshot, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	record, ok := v.records[id]
	if !ok {
		return nil, ErrNoKey
	}
	return version{id, record}, nil
}

// Replace implements Store.
func (v *Volatile) Replace(old Snapshot, record []byte) (Snapshot, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !bytes.Equal(v.records[old.Identity()], old.Record()) {
		return nil, ErrStale
	}
	return v.put(old.Identity(), record), nil
}

// Create implements Store.
func (v *Volatile) Create(id Identity, record []byte) (Snapshot, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.records[id]; ok {
		return nil, ErrStale
	}
	return v.put(id, record), nil
}

func (v *Volatile) put(id Identity, record []byte) Snapshot {
	v.records[id] = bytes.Clone(record)
	return version{id, v.records[id]}
}

// List implements Store.
func (v *Volatile) List() ([]Identity, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var ids []Identity
	for id := range v.records {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b Identity) int { return bytes.Compare(a[:], b[:]) })
	return ids, nil
}

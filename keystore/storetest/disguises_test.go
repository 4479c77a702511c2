package storetest_test

import (
	"bytes"
	"sync"
	"time"

	"github.com/onceleaf/onceleaf/keystore"
)

// halving shows each record for a while before it is whole.
type halving struct{ *store }

func (h halving) Replace(old keystore.Snapshot, record []byte) (keystore.Snapshot, error) {
	h.put(old.Identity(), record[:len(record)/2])
	time.Sleep(time.Millisecond)
	h.put(old.Identity(), old.Record())
	return h.store.Replace(old, record)
}

func (h halving) put(id keystore.Identity, record []byte) {
	h.machine.mu.Lock()
	defer h.machine.mu.Unlock()
	h.machine.disk.cache[id] = record
}

// lagging answers each other Fetch with what it answered last.
type lagging struct {
	*store
	mu   sync.Mutex
	last map[keystore.Identity]keystore.Snapshot
}

func (l *lagging) Fetch(id keystore.Identity) (keystore.Snapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last := l.last[id]; last != nil {
		delete(l.last, id)
		return last, nil
	}
	snap, err := l.store.Fetch(id)
	l.last[id] = snap
	return snap, err
}

// racing looks, takes its time, and changes.
type racing struct{ *store }

func (r racing) Replace(old keystore.Snapshot, record []byte) (keystore.Snapshot, error) {
	present, err := r.Fetch(old.Identity())
	if err == nil {
		err = compare(present.Record(), old.Record())
	}
	if err != nil {
		return nil, err
	}
	return r.change(old.Identity(), record)
}

func (r racing) Create(id keystore.Identity, record []byte) (keystore.Snapshot, error) {
	if _, err := r.Fetch(id); err == nil {
		return nil, keystore.ErrStale
	}
	return r.change(id, record)
}

func (r racing) change(id keystore.Identity, record []byte) (keystore.Snapshot, error) {
	time.Sleep(time.Millisecond)
	leave, err := r.enter()
	defer leave()
	if err == nil {
		err = commit(r.store, id, record)
	}
	return snapshot{id, bytes.Clone(record)}, err
}

// refusing stores what it refuses.
type refusing struct{ *store }

func (r refusing) Replace(old keystore.Snapshot, record []byte) (keystore.Snapshot, error) {
	snap, err := r.store.Replace(old, record)
	if err != nil {
		_, _ = racing(r).change(old.Identity(), record)
	}
	return snap, err
}

// repeating takes a Create of the record that is there for done.
type repeating struct{ *store }

func (r repeating) Create(id keystore.Identity, record []byte) (keystore.Snapshot, error) {
	if snap, err := r.Fetch(id); err == nil && bytes.Equal(snap.Record(), record) {
		return snap, nil
	}
	return r.store.Create(id, record)
}

// counting compares its own count of changes.
type counting struct {
	*store
	mu     sync.Mutex
	counts map[keystore.Identity]int
}

type counted struct {
	keystore.Snapshot
	count int
}

func (c *counting) Fetch(id keystore.Identity) (keystore.Snapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	snap, err := c.store.Fetch(id)
	return counted{snap, c.counts[id]}, err
}

func (c *counting) Create(id keystore.Identity, record []byte) (keystore.Snapshot, error) {
	snap, err := c.store.Create(id, record)
	return counted{snap, 0}, err
}

func (c *counting) Replace(old keystore.Snapshot, record []byte) (keystore.Snapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := old.Identity()
	if old.(counted).count != c.counts[id] {
		return nil, keystore.ErrStale
	}
	c.counts[id]++
	snap, err := racing{c.store}.change(id, record)
	return counted{snap, c.counts[id]}, err
}

// living gives out snapshots that are always of the present.
type living struct{ *store }

func (l living) Fetch(id keystore.Identity) (keystore.Snapshot, error) {
	_, err := l.store.Fetch(id)
	return present{id, l.store}, err
}

type present struct {
	id    keystore.Identity
	store *store
}

func (p present) Identity() keystore.Identity { return p.id }

func (p present) Record() []byte {
	snap, err := p.store.Fetch(p.id)
	if err != nil {
		return nil
	}
	return snap.Record()
}

// finding has a record for everything.
type finding struct{ *store }

func (f finding) Fetch(id keystore.Identity) (keystore.Snapshot, error) {
	snap, err := f.store.Fetch(id)
	if err != nil {
		return snapshot{id, nil}, nil
	}
	return snap, nil
}

// paging lists no more than fits a page.
type paging struct{ *store }

func (p paging) List() ([]keystore.Identity, error) {
	ids, err := p.store.List()
	return ids[:min(len(ids), 256)], err
}

// doubling lists one identity twice, and another not.
type doubling struct{ *store }

func (d doubling) List() ([]keystore.Identity, error) {
	ids, err := d.store.List()
	if len(ids) > 1 {
		ids[0] = ids[1]
	}
	return ids, err
}

package storetest_test

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/keystore/storetest"
)

var (
	errFailing = errors.New("the disk does not work")
	errDead    = errors.New("the process is dead")
)

type records = map[keystore.Identity][]byte

// disk is what a machine keeps: what is written to its cache is lost with the
// power, unless it is synced to the platter.
type disk struct {
	cache, platter records
	dirty          map[keystore.Identity]bool
	failing        int // step that fails and all after it; 0 for none
}

func newDisk() *disk {
	return &disk{cache: records{}, platter: records{}, dirty: map[keystore.Identity]bool{}}
}

// step is where a write or a sync may fail.
func (d *disk) step() error {
	switch {
	case d.failing == 1:
		return errFailing
	case d.failing > 1:
		d.failing--
	}
	return nil
}

func (d *disk) write(id keystore.Identity, record []byte) error {
	if err := d.step(); err != nil {
		return err
	}
	d.cache[id], d.dirty[id] = bytes.Clone(record), true
	return nil
}

// sync forgets, if it fails, that anything was left to write, as Linux does.
func (d *disk) sync() error {
	defer clear(d.dirty)
	if err := d.step(); err != nil {
		return err
	}
	for id := range d.dirty {
		d.platter[id] = d.cache[id]
	}
	return nil
}

// machine is a Medium in memory with every ability.
type machine struct {
	mu     sync.Mutex // guards all of it, and the stores
	disk   *disk      // nil if the store is missing
	opened []*store
	doubt  bool // a write failed: the cache may show what is not on the platter
	lie    lie
}

func (m *machine) Create() (keystore.Store, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.disk != nil && !m.lie.createsOver {
		return nil, errors.New("there is a store")
	}
	m.disk = newDisk()
	return m.open(), nil
}

func (m *machine) Open() (keystore.Store, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.disk == nil && m.lie.startsFresh:
		m.disk = newDisk()
	case m.disk == nil:
		return nil, keystore.ErrMissing
	case len(m.opened) > 0 && !m.lie.letsIn:
		return nil, keystore.ErrOwned
	}
	s := m.open()
	return s, m.lie.opened(s.(stored).base())
}

// open makes one more owner.
func (m *machine) open() keystore.Store {
	s := &store{machine: m, memory: records{}, durable: m.lie.durable}
	m.opened = append(m.opened, s)
	return m.lie.dress(s)
}

func (m *machine) Close(s keystore.Store) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	owner := s.(stored).base()
	return errors.Join(m.lie.closing(owner), m.end(owner))
}

func (m *machine) Kill(s keystore.Store) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.disk.failing = 0
	return m.end(s.(stored).base())
}

// end makes an owner give up the store. Without one nobody remembers a doubt.
func (m *machine) end(owner *store) error {
	owner.dead = true
	m.opened = slices.DeleteFunc(m.opened, func(s *store) bool { return s == owner })
	m.doubt = m.doubt && len(m.opened) > 0
	return nil
}

func (m *machine) CutPower() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, owner := range m.opened {
		owner.dead = true
	}
	m.opened, m.disk.failing, m.doubt = nil, 0, false
	m.disk.cache = maps.Clone(m.disk.platter)
	clear(m.disk.dirty)
	return nil
}

func (m *machine) Remove() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.disk = nil
	return nil
}

func (m *machine) FailFrom(_ keystore.Store, step int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.disk.failing = step
	return nil
}

func (m *machine) Heal(keystore.Store) error { return m.FailFrom(nil, 0) }

// cluster is a machine whose store may have many owners.
type cluster struct{ *machine }

func (c cluster) Share() (keystore.Store, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open(), nil
}

// plain is a machine without abilities.
type plain struct{ storetest.Medium }

package storetest_test

import (
	"bytes"
	"maps"
	"slices"

	"github.com/onceleaf/onceleaf/keystore"
)

// store is an owner's view of the disk. It takes some steps in the way of its
// lie, which may be honest.
type store struct {
	machine *machine
	memory  records // of a lying process; an honest one has all on the disk
	dead    bool
	durable bool
}

// stored is a store under whatever it is dressed in.
type stored interface{ base() *store }

func (s *store) base() *store { return s }

// Durable is false: it all dies with the test.
func (s *store) Durable() bool { return s.durable }

// enter is the beginning of each call: it locks, and makes durable what a write
// that failed left.
func (s *store) enter() (leave func(), err error) {
	s.machine.mu.Lock()
	err = errDead
	if !s.dead {
		err = s.machine.lie.settle(s)
	}
	return s.machine.mu.Unlock, err
}

// settle writes everything again: the system believes that it is on the platter.
func settle(s *store) error {
	if !s.machine.doubt {
		return nil
	}
	for id, record := range s.machine.disk.cache {
		if err := s.machine.disk.write(id, record); err != nil {
			return err
		}
	}
	err := s.machine.disk.sync()
	s.machine.doubt = err != nil
	return err
}

// confirm is the end of opening.
func confirm(s *store) error {
	s.machine.doubt = true
	return settle(s)
}

// commit makes a record durable.
func commit(s *store, id keystore.Identity, record []byte) error {
	err := s.machine.disk.write(id, record)
	if err == nil {
		err = s.machine.disk.sync()
	}
	s.machine.doubt = err != nil
	return err
}

// look is the present record, nil for none.
func look(s *store, id keystore.Identity) []byte {
	if record, ok := s.memory[id]; ok {
		return record
	}
	return s.machine.disk.cache[id]
}

// compare refuses a change of what is not there any more.
func compare(present, old []byte) error {
	if (present == nil) != (old == nil) || !bytes.Equal(present, old) {
		return keystore.ErrStale
	}
	return nil
}

func (s *store) Fetch(id keystore.Identity) (keystore.Snapshot, error) {
	leave, err := s.enter()
	defer leave()
	record := look(s, s.machine.lie.name(id))
	if err == nil && record == nil {
		err = keystore.ErrNoKey
	}
	if err != nil {
		return nil, err
	}
	return snapshot{id, record}, nil
}

func (s *store) Replace(old keystore.Snapshot, record []byte) (keystore.Snapshot, error) {
	return s.swap(old.Identity(), old.Record(), record)
}

func (s *store) Create(id keystore.Identity, record []byte) (keystore.Snapshot, error) {
	return s.swap(id, nil, record)
}

func (s *store) swap(id keystore.Identity, old, record []byte) (keystore.Snapshot, error) {
	leave, err := s.enter()
	defer leave()
	name := s.machine.lie.name(id)
	if err == nil {
		err = s.machine.lie.compare(look(s, name), old)
	}
	if err == nil {
		err = s.machine.lie.commit(s, name, record)
	}
	if err != nil {
		return nil, err
	}
	return snapshot{id, bytes.Clone(record)}, nil
}

func (s *store) List() ([]keystore.Identity, error) {
	leave, err := s.enter()
	defer leave()
	if err != nil {
		return nil, err
	}
	all := maps.Clone(s.machine.disk.cache)
	maps.Copy(all, s.memory)
	return slices.Collect(maps.Keys(all)), nil
}

// snapshot is a version that a store gave out.
type snapshot struct {
	id     keystore.Identity
	record []byte
}

func (s snapshot) Identity() keystore.Identity { return s.id }
func (s snapshot) Record() []byte              { return s.record }

package storetest

import (
	"errors"

	"github.com/onceleaf/onceleaf/keystore"
)

// durableTruth looks at what is left after the worst that the medium can do.
func durableTruth(m Medium, s keystore.Store) error {
	says := s.Durable()
	if !opener.in(m) {
		if says {
			return wrong("Durable says yes, and the store cannot be opened again")
		}
		return nil
	}
	if _, err := create(s, identity(1), record(1)); err != nil {
		return err
	}
	worst := closed
	for _, e := range []end{killed, powerCut} {
		if (rule{needs: e.needs}).lacks(m) == "" {
			worst = e
		}
	}
	s, err := worst.again(m, s)
	if err != nil {
		return err
	}
	if s.Durable() != says {
		return wrong("Durable said %v, and %v after opening", says, s.Durable())
	}
	if ids, err := s.List(); says && len(ids) == 0 {
		return wrong("Durable says yes, and nothing is left after it was %s (%v)", worst.name, err)
	}
	return nil
}

// kept ends the life of a store right after an acknowledged change, again and
// again, and looks whether everything is there.
func kept(e end) func(Medium, keystore.Store) error {
	return func(m Medium, s keystore.Store) error {
		var ids []keystore.Identity
		var versions []int
		for life := range 6 {
			ids, versions = append(ids, identity(life)), append(versions, 0)
			if _, err := create(s, identity(life), record(0)); err != nil {
				return err
			}
			for changes := range life % 3 { // the last change is a Create, too
				if err := advance(s, ids[changes], &versions[changes]); err != nil {
					return err
				}
			}
			var err error
			if s, err = e.again(m, s); err != nil {
				return err
			}
			for i, id := range ids {
				if err := holds(s, id, record(versions[i])); err != nil {
					return wrong("an acknowledged record is lost after the store was %s: %w", e.name, err)
				}
			}
			if err := lists(s, ids); err != nil {
				return wrong("after the store was %s: %w", e.name, err)
			}
		}
		return nil
	}
}

// advance replaces a record by its next version.
func advance(s keystore.Store, id keystore.Identity, version *int) error {
	snap, err := s.Fetch(id)
	if err == nil {
		_, err = replace(s, snap, record(*version+1))
	}
	if err == nil {
		*version++
	}
	return err
}

func staleAfterOpening(m Medium, s keystore.Store) error {
	id := identity(1)
	first, err := create(s, id, record(1))
	if err != nil {
		return err
	}
	if _, err := replace(s, first, record(2)); err != nil {
		return err
	}
	for n := 3; n < 6; n++ {
		if s, err = closed.again(m, s); err != nil {
			return err
		}
		_, err := s.Replace(first, record(50))
		if err := errors.Join(refused("Replace with an old snapshot", err), holds(s, id, record(n-1))); err != nil {
			return err
		}
		present, err := s.Fetch(id)
		if err != nil {
			return err
		}
		if _, err := replace(s, present, record(n)); err != nil {
			return err
		}
	}
	return nil
}

func missing(m Medium, s keystore.Store) error {
	if _, err := create(s, identity(1), record(1)); err != nil {
		return err
	}
	if err := errors.Join(m.Close(s), m.(Remover).Remove()); err != nil {
		return err
	}
	for range 2 {
		if _, err := m.(Opener).Open(); !errors.Is(err, keystore.ErrMissing) {
			return wrong("opening a store that is gone answered %v, want ErrMissing", err)
		}
	}
	return nil
}

func createStoreOnce(m Medium, s keystore.Store) error {
	if _, err := create(s, identity(1), record(1)); err != nil {
		return err
	}
	for _, give := range []func() error{func() error { return nil }, func() error { return m.Close(s) }} {
		if err := give(); err != nil {
			return err
		}
		if _, err := m.Create(); err == nil {
			return wrong("a store was made over another one")
		}
	}
	s, err := m.(Opener).Open()
	if err != nil {
		return err
	}
	return holds(s, identity(1), record(1))
}

func oneOwner(m Medium, s keystore.Store) error {
	if _, err := create(s, identity(1), record(1)); err != nil {
		return err
	}
	for range 2 {
		if _, err := m.(Opener).Open(); !errors.Is(err, keystore.ErrOwned) {
			return wrong("opening a store that has an owner answered %v, want ErrOwned", err)
		}
	}
	if _, err := create(s, identity(2), record(2)); err != nil {
		return wrong("the owner was disturbed: %w", err)
	}
	s, err := closed.again(m, s)
	if err != nil {
		return err
	}
	return errors.Join(holds(s, identity(1), record(1)), holds(s, identity(2), record(2)))
}

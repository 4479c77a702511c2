package storetest

import (
	"bytes"
	"errors"
	"slices"

	"github.com/onceleaf/onceleaf/keystore"
)

// errRefuses is a store that does not answer what a record is.
var errRefuses = errors.New("the store refuses")

// write is one change of a record, and what is known of its outcome.
type write struct {
	id       keystore.Identity
	number   int               // of the new version
	snap     keystore.Snapshot // of the old one
	old, new []byte            // old is nil if there was no record
	failed   bool              // answered by an error
	refused  bool              // as stale: nothing changed
	settled  bool              // acknowledged or seen: new it is, and stays
}

// prepare makes the n-th version of a record, which may be its first.
func prepare(s keystore.Store, id keystore.Identity, n int) (*write, error) {
	snap, old, err := fetched(s, id)
	return &write{id: id, number: n, snap: snap, old: old, new: record(n)}, err
}

// do writes.
func (w *write) do(s keystore.Store) {
	err := store(s, w.id, w.snap, w.new)
	w.failed, w.refused, w.settled = err != nil, errors.Is(err, keystore.ErrStale), err == nil
}

// store replaces a record, or creates it if there is no snapshot of one.
func store(s keystore.Store, id keystore.Identity, old keystore.Snapshot, record []byte) (err error) {
	if old == nil {
		_, err = s.Create(id, record)
	} else {
		_, err = s.Replace(old, record)
	}
	return err
}

// fetched is the present record, nil if there is none.
func fetched(s keystore.Store, id keystore.Identity) (keystore.Snapshot, []byte, error) {
	snap, err := s.Fetch(id)
	switch {
	case errors.Is(err, keystore.ErrNoKey):
		return nil, nil, nil
	case err != nil:
		return nil, nil, wrong("%w: %w", errRefuses, err)
	}
	return snap, snap.Record(), nil
}

// see makes sure that the record is one that can be; errRefuses if the store
// does not tell.
func (w *write) see(s keystore.Store) error {
	_, now, err := fetched(s, w.id)
	isNew := bytes.Equal(now, w.new)
	switch {
	case err != nil:
		return err
	case !isNew && !bytes.Equal(now, w.old):
		return wrong("after a write there is %s, neither the old record %s nor the new one %s",
			brief(now), brief(w.old), brief(w.new))
	case isNew && w.refused:
		return wrong("a write was refused as stale, and is there")
	case !isNew && w.settled:
		return wrong("the new record was acknowledged or shown, and is gone: there is %s", brief(now))
	}
	w.settled = w.settled || isNew
	return nil
}

// glance is see by one who bears a refusal.
func (w *write) glance(s keystore.Store) error {
	if err := w.see(s); !errors.Is(err, errRefuses) {
		return err
	}
	return nil
}

// goOn does what an owner does after a write with an unknown outcome: it finds
// out what the record is, and stores next in its place, on the base of what it
// found. A store that refuses is opened anew, once.
func (w *write) goOn(m Medium, s keystore.Store, next func(found []byte) []byte) (keystore.Store, error) {
	reopened := false
	for range 10 {
		snap, found, err := fetched(s, w.id)
		if err == nil {
			if err := errors.Join(w.see(s), w.listedIf(s, found != nil)); err != nil {
				return s, err
			}
			stored := next(found)
			err = store(s, w.id, snap, stored)
			if err == nil {
				return s, holds(s, w.id, stored)
			}
		}
		if errors.Is(err, keystore.ErrStale) {
			continue // the failed write came late
		}
		if reopened {
			return s, wrong("the store does not work again: %w", err)
		}
		reopened = true
		if s, err = closed.again(m, s); err != nil {
			return s, err
		}
	}
	return s, wrong("a record that was just fetched is stale, again and again")
}

func (w *write) listedIf(s keystore.Store, want bool) error {
	ids, err := s.List()
	if err == nil && slices.Contains(ids, w.id) != want {
		return wrong("Fetch and List differ about a record after a failed write")
	}
	return err
}

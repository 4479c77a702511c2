package storetest

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/onceleaf/onceleaf/keystore"
)

const (
	rounds  = 30 // of a race
	writers = 8  // who meet in it
)

func raceToReplace(_ Medium, s keystore.Store) error { return race([]keystore.Store{s}) }

func raceOfOwners(m Medium, s keystore.Store) error {
	owners := []keystore.Store{s}
	for range 3 {
		owner, err := m.(Sharer).Share()
		if err != nil {
			return wrong("couldn't share the store: %w", err)
		}
		owners = append(owners, owner)
	}
	return errors.Join(passAround(owners), race(owners))
}

// passAround lets each owner in turn replace what the one before stored.
func passAround(owners []keystore.Store) error {
	id, version := identity(rounds), 0
	first, err := create(owners[0], id, record(0))
	if err == nil {
		err = advance(owners[0], id, &version)
	}
	for n := 1; n < 3*len(owners) && err == nil; n++ {
		owner := owners[n%len(owners)]
		_, stale := owner.Replace(first, record(100))
		err = errors.Join(refused("Replace with an old snapshot", stale), holds(owner, id, record(version)))
		if err == nil {
			err = advance(owner, id, &version)
		}
	}
	return err
}

// race lets many writers, spread over the owners, create one record at the same
// moment, and then replace it, round after round.
func race(owners []keystore.Store) error {
	for round := range rounds {
		owners = append(owners[1:], owners[0]) // who comes first must not always win
		r := meeting{owners, identity(round / 10)}
		if round%10 == 0 {
			if err := r.meet(100*round, make([]keystore.Snapshot, len(owners))); err != nil {
				return wrong("Create: %w", err)
			}
		}
		seen := make([]keystore.Snapshot, len(owners))
		for i, owner := range r.owners {
			var err error
			if seen[i], err = owner.Fetch(r.id); err != nil {
				return err
			}
		}
		if err := r.meet(100*round+50, seen); err != nil {
			return wrong("Replace: %w", err)
		}
	}
	return nil
}

// meeting is one round of a race.
type meeting struct {
	owners []keystore.Store
	id     keystore.Identity
}

// meet lets all writers change one record at once, each to a version of its own,
// numbered from first, and each by the snapshot of its owner, or create it if
// there is none. One of them wins, and every owner sees the winner's.
func (r meeting) meet(first int, seen []keystore.Snapshot) error {
	var gate, done sync.WaitGroup
	gate.Add(writers)
	answers := make([]error, writers)
	for i := range writers {
		done.Go(func() {
			owner := i % len(r.owners)
			gate.Done()
			gate.Wait()
			answers[i] = store(r.owners[owner], r.id, seen[owner], record(first+i))
		})
	}
	done.Wait()
	winner, err := winnerOf(answers)
	for _, owner := range r.owners {
		if err == nil {
			err = holds(owner, r.id, record(first+winner))
		}
	}
	return err
}

// winnerOf is the one writer who succeeded; all others are to be refused.
func winnerOf(answers []error) (int, error) {
	winner := -1
	for i, err := range answers {
		switch {
		case err == nil && winner >= 0:
			return 0, wrong("two writers won a race")
		case err == nil:
			winner = i
		case !errors.Is(err, keystore.ErrStale):
			return 0, wrong("the loser of a race got %w, want ErrStale", err)
		}
	}
	if winner < 0 {
		return 0, wrong("nobody won a race")
	}
	return winner, nil
}

func wholeRecords(_ Medium, s keystore.Store) error {
	torn, _ := readDuringWrites(s)
	return torn
}

func latestRecord(_ Medium, s keystore.Store) error {
	_, wrongOrder := readDuringWrites(s)
	return wrongOrder
}

// reading is a record that is read while it is replaced.
type reading struct {
	store               keystore.Store
	begun, acknowledged atomic.Int64 // versions
	reads               atomic.Int64
	stop                atomic.Bool
}

// readDuringWrites lets some readers read one record while it is replaced, and
// returns what they saw of records that nobody stored, and of wrong versions.
func readDuringWrites(s keystore.Store) (torn, wrongOrder error) {
	const versions, readers, reads = 60, 3, 300
	snap, err := create(s, identity(1), record(0))
	if err != nil {
		return err, err
	}
	r := reading{store: s}
	tears, orders := make([]error, readers), make([]error, readers)
	var wait sync.WaitGroup
	for i := range readers {
		wait.Go(func() { tears[i], orders[i] = r.readOn() })
	}
	for n := 1; err == nil && wrongOrder == nil && !r.stop.Load() && (n <= versions || r.reads.Load() < reads); n++ {
		r.begun.Store(int64(n))
		if snap, err = replace(s, snap, record(n)); err == nil {
			r.acknowledged.Store(int64(n))
			wrongOrder = holds(s, identity(1), record(n))
		}
	}
	r.stop.Store(true)
	wait.Wait()
	return errors.Join(append(tears, err)...), errors.Join(append(orders, err, wrongOrder)...)
}

// readOn reads until it is stopped, and stops all if it saw something wrong.
func (r *reading) readOn() (torn, wrongOrder error) {
	defer r.stop.Store(true)
	for last := int64(0); !r.stop.Load(); r.reads.Add(1) {
		least := max(last, r.acknowledged.Load())
		if last, torn = fetchNumber(r.store, identity(1)); torn != nil {
			return torn, nil
		}
		if most := r.begun.Load(); last < least || last > most {
			return nil, wrong("Fetch showed version %d when %d to %d could be", last, least, most)
		}
	}
	return nil, nil
}

// fetchNumber is which version the record of an identity is.
func fetchNumber(s keystore.Store, id keystore.Identity) (int64, error) {
	snap, err := s.Fetch(id)
	if err != nil {
		return 0, wrong("Fetch: %w", err)
	}
	n, err := numberOf(snap.Record())
	return int64(n), err
}

// Package storetest holds an implementation of keystore.Store to its contract.
//
// The test of an implementation says in a Medium how its store is made and
// given up and, as far as it can, how it is opened again, killed, cut from power
// and made to fail; see the example:
//
//	func TestContract(t *testing.T) {
//		gaps := storetest.Run(t, func(t *testing.T) storetest.Medium { return newMedium(t) })
//		// compare gaps with what is known not to be exercised here
//	}
//
// The contract is the list of duties, each with what it asks for. A duty for
// which the medium lacks an ability is a Gap: it is returned, never passed in
// silence. A test that does not compare the gaps with those that it expects
// proves less than it seems.
//
// In one point the harness asks for more than keystore relies on: also after a
// failed write, within the same opening, what Fetch shows must be durable.
//
// What the contract does not promise: that an old snapshot is refused if the
// record has come back to its very bytes (records of keystore have a generation
// and never do); the order of List; records without a byte; anything about a
// snapshot whose bytes the caller changed; that a write with an unknown outcome
// has happened or not before the next one is acknowledged. What the harness
// cannot show: that a store which never failed here never fails, and that a real
// disk keeps what it acknowledged.
package storetest

import (
	"fmt"
	"testing"

	"github.com/onceleaf/onceleaf/keystore"
)

// Medium is where one store under test lives: a folder, a server, a machine. The
// abilities of a medium are the other interfaces of this file; one that a medium
// has is one that its store must bear. What a medium holds when a check is over
// is its own to clean up.
type Medium interface {
	// Create makes an empty store and opens it. It refuses if there is one.
	Create() (keystore.Store, error)
	// Close gives an opened store up in good order.
	Close(keystore.Store) error
}

// Opener is a medium whose store can be opened again after it was given up.
type Opener interface {
	// Open opens the store that Create made. It never makes one.
	Open() (keystore.Store, error)
}

// Sharer is a medium whose store may have many owners at once, in many
// processes. All others must refuse a second owner.
type Sharer interface {
	// Share opens the store once more beside those who have it open.
	Share() (keystore.Store, error)
}

// Remover is a medium whose store can get lost.
type Remover interface {
	// Remove deletes the store, which nobody has open.
	Remove() error
}

// Killer is a medium whose store has an owner that can die.
type Killer interface {
	// Kill ends the owner of an opened store at once, also in the middle of a
	// call: what it had in its own memory is gone, what it had written is not.
	// All calls answer an error from then on, and the store can be opened again.
	Kill(keystore.Store) error
}

// PowerCutter is a medium that can lose what was not synced.
type PowerCutter interface {
	// CutPower ends all owners, and all that was written and not yet synced is
	// gone, too. The store can be opened again when it returns.
	CutPower() error
}

// Failer is a medium whose writes can fail.
type Failer interface {
	// FailFrom makes the step-th step (a write or a sync; from 1) of the changes
	// that come, and each one after it, fail until Heal, Kill or CutPower.
	FailFrom(opened keystore.Store, step int) error
	Heal(opened keystore.Store) error
}

// Violation is a duty that a store broke.
type Violation struct {
	Duty Duty
	Err  error // what the store did
}

// Gap is a duty that was not exercised.
type Gap struct {
	Duty  Duty
	Lacks string // the ability that the medium has not
}

// Run tests that a store keeps every duty, each on a medium of its own, and
// returns those that could not be exercised.
func Run(t *testing.T, newMedium func(t *testing.T) Medium) (gaps []Gap) {
	for _, r := range rules {
		t.Run(string(r.duty), func(t *testing.T) {
			medium := newMedium(t)
			if lacks := r.lacks(medium); lacks != "" {
				gaps = append(gaps, Gap{r.duty, lacks})
				t.Logf("not exercised: the medium has no %s", lacks)
				return
			}
			if err := r.exercise(medium); err != nil {
				t.Error(err)
			}
		})
	}
	return gaps
}

// Check is Run without a test: it returns what was broken.
func Check(newMedium func() Medium) (broken []Violation, gaps []Gap) {
	for _, r := range rules {
		medium := newMedium()
		if lacks := r.lacks(medium); lacks != "" {
			gaps = append(gaps, Gap{r.duty, lacks})
		} else if err := r.exercise(medium); err != nil {
			broken = append(broken, Violation{r.duty, err})
		}
	}
	return broken, gaps
}

// exercise makes a store and does with it what the rule says.
func (r rule) exercise(medium Medium) error {
	store, err := medium.Create()
	if err != nil {
		return fmt.Errorf("couldn't make a store: %w", err)
	}
	return r.check(medium, store)
}

// lacks is the first ability that the medium has not, or nothing.
func (r rule) lacks(medium Medium) string {
	for _, needed := range r.needs {
		if !needed.in(medium) {
			return needed.name
		}
	}
	return ""
}

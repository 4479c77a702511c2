package storetest

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/onceleaf/onceleaf/keystore"
)

// mostSteps is how many steps of one write are disturbed, one after another.
const mostSteps = 200

// aftermath looks at a store after a disturbed write and returns the one that
// is open then. A fault that is brief ends before anything else happens to the
// store, any other only with its owner.
type aftermath func(m Medium, s keystore.Store, w *write, brief bool) (keystore.Store, error)

// disturb makes the first step of a write fail, then the second of another one,
// and so on, until a write has fewer steps: of a Replace and of a Create, with
// brief faults and with lasting ones. Each time it calls after.
func disturb(after aftermath) func(Medium, keystore.Store) error {
	return func(m Medium, s keystore.Store) error {
		for _, id := range []keystore.Identity{bystander, replaced} {
			if _, err := create(s, id, record(0)); err != nil {
				return err
			}
		}
		for kind := range 4 {
			failed := true
			for step := 1; failed; step++ {
				var err error
				if s, failed, err = disturbStep(m, s, kind, step, after); err != nil {
					return wrong("step %d of a write fails: %w", step, err)
				}
				if !failed && step == 1 || step == mostSteps {
					return wrong("the medium disturbs no write, or each one for ever")
				}
			}
		}
		return nil
	}
}

var bystander, replaced = identity(0), identity(1)

// disturbStep disturbs one write: a Replace if kind is below 2, and briefly if it
// is odd.
func disturbStep(m Medium, s keystore.Store, kind, step int, after aftermath) (keystore.Store, bool, error) {
	id := replaced
	if kind >= 2 {
		id = identity(mostSteps*kind + step)
	}
	w, err := prepare(s, id, mostSteps*kind+step)
	if err == nil {
		err = m.(Failer).FailFrom(s, step)
	}
	if err != nil {
		return s, false, err
	}
	w.do(s)
	if s, err = after(m, s, w, kind%2 == 1); err == nil {
		err = holds(s, bystander, record(0))
	}
	return s, w.failed, err
}

// heal ends a fault that is brief.
func heal(m Medium, s keystore.Store, brief bool) error {
	if !brief {
		return nil
	}
	return m.(Failer).Heal(s)
}

func eachStep(e end) func(Medium, keystore.Store) error {
	return disturb(func(m Medium, s keystore.Store, w *write, brief bool) (keystore.Store, error) {
		err := heal(m, s, brief)
		if err == nil {
			s, err = e.again(m, s)
		}
		if err == nil {
			err = w.see(s)
		}
		return s, err
	})
}

func shown(e end) func(Medium, keystore.Store) error {
	return disturb(func(m Medium, s keystore.Store, w *write, brief bool) (keystore.Store, error) {
		err := errors.Join(w.glance(s), heal(m, s, brief), w.glance(s))
		if err == nil {
			s, err = e.again(m, s)
		}
		if err == nil {
			err = w.see(s)
		}
		return s, err
	})
}

var shownAtOpening = disturb(func(m Medium, s keystore.Store, w *write, brief bool) (keystore.Store, error) {
	err := heal(m, s, brief)
	for _, e := range []end{killed, powerCut} {
		if err == nil {
			s, err = e.again(m, s)
		}
		if err == nil {
			err = w.see(s)
		}
	}
	return s, err
})

var unknownOutcome = disturb(func(m Medium, s keystore.Store, w *write, brief bool) (keystore.Store, error) {
	err := errors.Join(w.glance(s), heal(m, s, brief), w.glance(s), m.(Failer).Heal(s), w.glance(s))
	if err != nil {
		return s, err
	}
	return w.goOn(m, s, func([]byte) []byte { return record(w.number + 4*mostSteps) })
})

// storedAgain stores once more what it finds after the failed write.
func storedAgain(e end) func(Medium, keystore.Store) error {
	return disturb(func(m Medium, s keystore.Store, w *write, _ bool) (keystore.Store, error) {
		var stored []byte
		err := m.(Failer).Heal(s)
		if err == nil {
			s, err = w.goOn(m, s, func(found []byte) []byte {
				if stored = found; found == nil {
					stored = w.new
				}
				return stored
			})
		}
		if err == nil {
			s, err = e.again(m, s)
		}
		if err == nil {
			err = holds(s, w.id, stored)
		}
		return s, err
	})
}

// midWrite ends the life of a store at random moments while one record is
// replaced as fast as it can be.
func midWrite(e end) func(Medium, keystore.Store) error {
	return func(m Medium, s keystore.Store) error {
		_, err := create(s, replaced, record(0))
		for life := 0; life < 20 && err == nil; life++ {
			s, err = interrupt(m, s, e)
		}
		return err
	}
}

// interrupt ends one life, some moment after the first acknowledged write.
func interrupt(m Medium, s keystore.Store, e end) (keystore.Store, error) {
	first, err := fetchNumber(s, replaced)
	if err != nil {
		return s, err
	}
	begun, acknowledged := make(chan struct{}), make(chan int, 1)
	go func() { acknowledged <- replaceOn(s, int(first), begun) }()
	<-begun
	time.Sleep(time.Duration(rand.Int64N(int64(2 * time.Millisecond))))
	s, err = e.again(m, s)
	last := <-acknowledged
	if err != nil {
		return s, err
	}
	found, err := fetchNumber(s, replaced)
	if err == nil && int(found) != last && int(found) != last+1 {
		return s, wrong("version %d was acknowledged before the store was %s, and there is %d", last, e.name, found)
	}
	return s, err
}

// replaceOn replaces the record by one version after another until an error, and
// returns the last that was acknowledged. It closes begun after the first.
func replaceOn(s keystore.Store, version int, begun chan struct{}) int {
	err := advance(s, replaced, &version)
	close(begun)
	for err == nil {
		err = advance(s, replaced, &version)
	}
	return version
}

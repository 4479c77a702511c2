package crashtest

import (
	"fmt"

	"github.com/onceleaf/onceleaf/keystore"
)

// account is what the checker expects of one key on one token.
type account struct {
	shape        // of the process that wrote last
	said     int // the least that the key said it had left since it was opened
	due      int // what it opened with, less what was signed and given since
	burned   int // at most so many less, by changes with an unknown outcome
	going    int // announced as going, not yet gone
	coming   int // announced as coming, not yet here
	leaving  bool
	closed   bool // by a clean stop
	doomed   bool // it was announced to be destroyed
	opening  int  // of the token, in which the key was seen last
	lost     int  // by crashes, in all
	reopened int  // after a clean stop
}

// least is the fewest signatures that a key may have left after a crash, when the
// least it ever said in that life was said.
//
// What it said may be more than it had in memory at the end: after that line, each
// thread can have taken one more leaf, and no second one, since it writes a line
// in between; the last of these threads may have taken its leaf or only reserved
// it. In the store there is less than in memory:
//
//	one level: up to Reserve leaves of the batch
//	more, lower trees in memory: what hangs on the one started root leaf; so a
//	    multiple of what is under a root leaf is left
//	more, in batches: up to Reserve leaves of the batch; or, if the next leaf
//	    needs a new tree, one leaf of the level above and what would be under it
func (s shape) least(said int) int {
	inFlight := s.Threads - 1
	switch {
	case len(s.Levels) > 1 && s.Reserve == 0:
		started := max(0, said-inFlight-1)
		return started - started%s.under(0)
	default:
		return max(0, said-inFlight-s.burnt(said))
	}
}

// burnt is what a crash burns at most of a key with batches, in one place.
func (s shape) burnt(said int) int {
	most := s.Reserve
	for level := range len(s.Levels) - 1 {
		if said%s.under(level) < s.Threads { // a tree of this level may be needed
			most = max(most, s.under(level))
		}
	}
	return most
}

// reopen is what a key says when its token is opened. What it has outside it says
// when it comes back.
func (a *account) reopen(l line) error {
	if l.Status == keystore.External && a.leaving {
		a.shape, a.closed = l.Shape, false
		return nil
	}
	least := a.leastNow()
	switch {
	case a.doomed:
		least = 0
	case a.closed:
		least = a.said
	}
	if l.Left < least || l.Left > a.said+a.coming {
		return fmt.Errorf("key %v with %d threads said %d left, and after a restart (clean: %v) %d, not %d to %d",
			a.shape, a.Threads, a.said, a.closed, l.Left, least, a.said+a.coming)
	}
	a.lost += a.said + a.coming - l.Left
	*a = account{shape: l.Shape, said: l.Left, due: l.Left, doomed: a.doomed,
		opening: a.opening, lost: a.lost, reopened: a.reopened}
	return nil
}

// leastNow is what a crash at this moment leaves at least: after a change with an
// unknown outcome burned its part, or did not, the crash can burn as much again.
func (a *account) leastNow() int {
	least := a.said
	for burned := range a.burned + 1 {
		least = min(least, a.least(a.said-burned))
	}
	return least - a.going
}

// take follows one line of the key.
func (a *account) take(l line) error {
	switch l.Event {
	case signed:
		a.due--
	case failed:
		if l.Status != keystore.External { // there is nothing left to burn
			a.burned += a.said - a.alone().least(a.said)
		}
		return nil // what it says is not known to be so
	case giving:
		a.going = l.Count * l.Shape.under(0)
	case given:
		a.due, a.going = a.due-a.going, 0
	case receiving:
		a.coming = l.Count * l.Shape.under(0)
	case received:
		a.due, a.coming = a.due+a.coming, 0
		a.said = a.due
	case leaving:
		a.leaving = true
	case away:
		return a.mustSay(l, 0, 0)
	case back:
		return a.comeBack(l)
	case destroying:
		a.doomed = true
	case destroyed:
		return a.mustSay(l, 0, 0)
	case closed:
		a.closed = true
	}
	return a.compare(l)
}

// comeBack is the return from outside, in the process that put the key there or in
// a later one: a key leaves with all it has.
func (a *account) comeBack(l line) error {
	if !a.leaving {
		return fmt.Errorf("key %v came back, and had not left", a.shape)
	}
	err := a.mustSay(l, a.said-a.burned, a.said)
	a.said, a.due, a.burned, a.leaving = l.Left, l.Left, 0, false
	return err
}

// compare compares what the key says with what is due. With several threads that
// is exact only when they are done.
func (a *account) compare(l line) error {
	if l.Event == receiving || a.doomed || l.Status == keystore.External {
		return nil
	}
	a.said = min(a.said, l.Left)
	if a.Threads > 1 && l.Event != closed {
		return nil
	}
	return a.mustSay(l, a.due-a.burned, a.due)
}

func (a *account) mustSay(l line, least, most int) error {
	if l.Left < least || l.Left > most {
		return fmt.Errorf("key %v says %d left when %s, not %d to %d", a.shape, l.Left, l.Event, least, most)
	}
	return nil
}

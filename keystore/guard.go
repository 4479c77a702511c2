package keystore

import "fmt"

// Guard is a counter outside the store that never sinks. It notices that a
// whole store went back: a restored disk, a snapshot, a copied directory.
//
// Order, intent first: a change is stored with Mark = Current()+1, then Advance
// makes the counter equal to it, and only then are the leaves used. So the
// counter is never above the highest mark, unless the store went back, or the
// record with that mark cannot be read, which is as good a reason to stop.
type Guard interface {
	Name() string
	Current() (uint64, error)
	// Advance raises the counter to the value to; it is Current() or one more.
	Advance(to uint64) error
}

// NoGuard is the absence of a guard: a store that went back is not noticed.
type NoGuard struct{}

var _ Guard = NoGuard{}

// Name implements Guard.
func (NoGuard) Name() string { return "none" }

// Current implements Guard; the counter stays at zero.
func (NoGuard) Current() (uint64, error) { return 0, nil }

// Advance implements Guard.
func (NoGuard) Advance(uint64) error { return nil }

// wentBack compares the highest mark of a store with the guard. It finishes a
// change that a crash cut off between the store and the guard.
func wentBack(guard Guard, highest uint64) (bool, error) {
	current, err := guard.Current()
	if err != nil {
		return false, fmt.Errorf("couldn't read guard %s: %w", guard.Name(), err)
	}
	if highest == current+1 {
		if err := guard.Advance(highest); err != nil {
			return false, fmt.Errorf("couldn't advance guard %s: %w", guard.Name(), err)
		}
	}
	// A mark far above the counter means another guard, or one that went back:
	// as little to be trusted as a store that did.
	return highest < current || highest > current+1, nil
}

package keystore

import "context"

// mutex is a lock that one can stop waiting for: a tree that is built under it may
// take minutes. newMutex makes it.
type mutex chan struct{}

func newMutex() mutex { return make(mutex, 1) }

func (m mutex) Lock() { m <- struct{}{} }

func (m mutex) Unlock() { <-m }

// lock is Lock until ctx ends; the error is that of ctx.
func (m mutex) lock(ctx context.Context) error {
	select {
	case m <- struct{}{}: // as a rule; to wait costs more, even if it is for nothing
		return nil
	default:
	}
	select {
	case m <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

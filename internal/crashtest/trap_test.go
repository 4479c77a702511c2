package crashtest

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"github.com/onceleaf/onceleaf/keystore"
)

// fault is what happens to one durable write of a worker.
type fault struct {
	Write int  // which one, counted over all tokens; 0: none
	Done  bool // it is durable all the same, not lost
	Die   bool // the process dies there; else the store answers an error
}

var errTrap = errors.New("the disk did not answer")

// trap counts the durable writes of a worker, and springs at one.
type trap struct {
	fault
	counting sync.Mutex
	writes   int          // guarded by counting
	spring   func() error // what is done when it springs
}

// trapped is a store whose writes a trap counts.
type trapped struct {
	keystore.Store
	*trap
}

func (t *trap) around(write func() (keystore.Snapshot, error)) (keystore.Snapshot, error) {
	t.counting.Lock()
	defer t.counting.Unlock()
	t.writes++
	if t.writes != t.Write {
		return write()
	}
	if t.Done {
		if snap, err := write(); err != nil {
			return snap, err
		}
	}
	if err := t.spring(); err != nil {
		return nil, err
	}
	if t.Die {
		dieNow()
	}
	return nil, errTrap
}

func dieNow() {
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // until the kernel has done it
}

func (t *trapped) Replace(old keystore.Snapshot, record []byte) (keystore.Snapshot, error) {
	return t.around(func() (keystore.Snapshot, error) { return t.Store.Replace(old, record) })
}

func (t *trapped) Create(id keystore.Identity, record []byte) (keystore.Snapshot, error) {
	return t.around(func() (keystore.Snapshot, error) { return t.Store.Create(id, record) })
}

package keystore

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// TestOwnerOutlivesTheTree: who has taken a leaf signs with it, though the tree is
// used up and replaced, the key rests or is destroyed meanwhile.
func TestOwnerOutlivesTheTree(t *testing.T) {
	for name, end := range map[string]func(*desk, Identity) error{
		"used up":   func(d *desk, id Identity) error { _, err := d.Sign(context.Background(), id, nil); return err },
		"locked":    func(d *desk, id Identity) error { return d.Lock() },
		"destroyed": func(d *desk, id Identity) error { return d.Destroy(id) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, NewVolatile())
			id := d.generate(levels(2)...)
			d.signTimes(id, 31)
			public := d.info(id).PublicKey
			own, err := d.take(t.Context(), id)
			must(t, err)
			ended := make(chan error)
			go func() { ended <- end(d, id) }()
			time.Sleep(20 * time.Millisecond) // for the other to come as far as it can
			select {
			case err := <-ended:
				t.Errorf("the tree was wiped under the owner of a leaf: %v", err)
			default:
			}
			signature, err := own.sign([]byte("message"))
			must(t, err)
			must(t, public.Verify([]byte("message"), signature))
			must(t, <-ended)
		})
	}
}

// TestSideBySide: signatures of one key are computed at the same time, each with a
// leaf of its own.
func TestSideBySide(t *testing.T) {
	for _, n := range []uint64{0, 3} {
		d := newDesk(t, NewVolatile())
		id, _ := d.generateWith(n, levels(2)...)
		var owners []owned
		for range 20 {
			own, err := d.take(t.Context(), id)
			must(t, err)
			owners = append(owners, own)
		}
		var group sync.WaitGroup
		leaves := map[uint32]bool{}
		for _, own := range owners {
			leaves[own.leaf] = true
			group.Go(func() {
				if _, err := own.sign(nil); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if len(leaves) != len(owners) {
			t.Errorf("%d owners have %d leaves", len(owners), len(leaves))
		}
	}
}

// TestSignersBesideLock: signers, changes of the path, and a keystore that is locked
// and opened all the time: every signature has leaves of its own.
func TestSignersBesideLock(t *testing.T) {
	for _, n := range []uint64{0, 3} {
		d := newDesk(t, NewVolatile())
		id := d.generateBatched(3, n)
		var group sync.WaitGroup
		var mu sync.Mutex
		for range 4 {
			group.Go(func() {
				for range 150 {
					signature, err := d.Sign(t.Context(), id, []byte("message"))
					if errors.Is(err, ErrLocked) {
						continue
					}
					mu.Lock()
					must(t, errors.Join(err, d.audit.Add(d.info(id).PublicKey, []byte("message"), signature)))
					mu.Unlock()
				}
			})
		}
		for range 20 {
			must(t, d.Lock())
			master := MasterKey(NewSecret(32))
			copy(master, d.master)
			d.Unlock(master)
			time.Sleep(time.Millisecond)
		}
		group.Wait()
		if d.audit.Signatures() == 0 {
			t.Error("nothing was signed")
		}
	}
}

// TestGivingUp: who waits for a key while another one builds a tree can give up.
func TestGivingUp(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generate(levels(2)...)
	k, err := d.acquire(id)
	must(t, err)
	giveUp, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := d.Sign(giveUp, id, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Sign while the key is taken: %v", err)
	}
	k.release()
	if q := d.sign(id); q[1] != 0 {
		t.Errorf("giving up cost a leaf: %v", q)
	}
}

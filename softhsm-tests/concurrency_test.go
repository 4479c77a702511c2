package softhsmtests

import (
	"fmt"
	"sync"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/audit"
)

// Eight threads, each with its own session, sign with one key at once.
func TestConcurrentSigning(t *testing.T) {
	const threads, each = 8, 25
	for _, levels := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d levels", levels), func(t *testing.T) {
			k := newToken(t)
			key, used := k.generate(twoLevels[:levels]), new(audit.Audit)
			n := min(each, int(k.remaining(key.Private))/threads)
			signatures := make([][][]byte, threads)
			var group sync.WaitGroup
			for i := range threads {
				session := value(k.OpenSession(k.slot, pkcs11.CKF_RW_SESSION))(t)
				group.Go(func() {
					for j := range n {
						signature, err := k.Sign(session, key.Private, fmt.Appendf(nil, "message %d of thread %d", j, i))
						if err != nil {
							t.Error(err)
							return
						}
						signatures[i] = append(signatures[i], signature)
					}
				})
			}
			group.Wait()
			public := k.publicKey(key.Public)
			for i, list := range signatures {
				for j, signature := range list {
					must(t, used.Add(public, fmt.Appendf(nil, "message %d of thread %d", j, i), signature))
				}
			}
			if got, want := k.remaining(key.Private), 1<<(5*levels)-uint64(threads*n); got != want {
				t.Errorf("%d signatures left, want %d", got, want)
			}
		})
	}
}

// One session is one line of operations: a thread that meets another's gets an error, and no leaf signs twice.
func TestThreadsInOneSession(t *testing.T) {
	k := newToken(t)
	key := k.generate(twoLevels)
	var mutex sync.Mutex
	var group sync.WaitGroup
	var signatures [][]byte
	for range 8 {
		group.Go(func() {
			for range 10 {
				if signature, err := k.Sign(k.session, key.Private, []byte("message")); err == nil {
					mutex.Lock()
					signatures = append(signatures, signature)
					mutex.Unlock()
				}
			}
		})
	}
	group.Wait()
	used := new(audit.Audit)
	for _, signature := range signatures {
		must(t, used.Add(k.publicKey(key.Public), []byte("message"), signature))
	}
	if len(signatures) == 0 {
		t.Error("no thread came through")
	}
}

// Keys are generated and destroyed beside each other and beside signatures.
func TestConcurrentKeyGeneration(t *testing.T) {
	k := newToken(t)
	var group sync.WaitGroup
	for i := range 4 {
		own := *k
		own.session = value(k.OpenSession(k.slot, pkcs11.CKF_RW_SESSION))(t)
		group.Go(func() {
			for range 3 {
				pair, err := own.tryGenerate(oneLevel)
				if err == nil {
					_, err = own.Sign(own.session, pair.Private, []byte("message"))
				}
				if err == nil && i%2 == 0 {
					err = own.DestroyObject(own.session, pair.Private)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

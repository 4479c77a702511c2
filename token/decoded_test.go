package token

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/mechanism"
)

// A key that is decoded at the last logout, or that somebody computes with, keeps nobody else from a login: it is
// taken away under pins, and wiped without.
func TestLogoutKeepsNobodyWaiting(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	id := tk.aesKey(s)
	use, err := tk.SecretKey(id)
	tk.must(err)
	o := tk.find(id)
	o.safe.mu.Lock() // somebody decodes it
	done := make(chan error)
	go func() { done <- tk.Logout() }()
	select {
	case err := <-done:
		o.safe.mu.Unlock()
		tk.must(err)
	case <-time.After(20 * time.Second):
		t.Fatal("the logout waits")
	}
	if _, err := encryptOnce(use.Key); result(err) != ck.CKR_KEY_HANDLE_INVALID {
		t.Errorf("after the logout: %v", err)
	}
	tk.must(tk.Login(ck.CKU_USER, userPIN))
	use, err = tk.SecretKey(id)
	tk.must(err)
	tk.pins.Lock()
	gone := tk.Seat.logout()
	if _, err := encryptOnce(use.Key); err != nil || o.safe.key.Load() != nil {
		t.Errorf("under pins: %v", err)
	}
	tk.pins.Unlock()
	tk.discard(gone...)
	if _, err := encryptOnce(use.Key); result(err) != ck.CKR_KEY_HANDLE_INVALID {
		t.Errorf("after the second logout: %v", err)
	}
}

// A key that was decoded while the last user logged out is not kept.
func TestNoKeyIsKeptAfterTheLogout(t *testing.T) {
	tk := newTestToken(t)
	o := tk.find(tk.aesKey(tk.userSession()))
	values, err := tk.secrets(o)
	tk.must(err)
	key, err := decoded(o, values)
	tk.must(err)
	tk.must(tk.Logout())
	if tk.keep(o, key) || o.safe.key.Load() != nil {
		t.Error("kept")
	}
}

// Decoded keys count as memory of the application that has them as session objects.
func TestDecodedKeysAreCounted(t *testing.T) {
	tk := newTestToken(t)
	claimed := int64(0)
	tk.Seat = tk.NewSeat(SeatLimits{
		Claim: func(bytes int64) bool {
			if claimed+bytes > 4<<20 {
				return false
			}
			claimed += bytes
			return true
		},
		Release: func(bytes int64) { claimed -= bytes },
	})
	tk.must(tk.BeginSession(1))
	s := Session{ID: 1, ReadWrite: true}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	made, err := 0, error(nil)
	for ; err == nil && made < 100; made++ {
		var private ObjectID
		_, private, err = tk.GenerateKeyPair(s, ck.Mechanism{Type: ck.CKM_ML_DSA_KEY_PAIR_GEN},
			[]Attribute{{ck.CKA_PARAMETER_SET, Ulong(ck.CKP_ML_DSA_44)}}, bools(no, ck.CKA_PRIVATE))
		if err == nil {
			_, err = tk.Key(private, ck.Mechanism{Type: ck.CKM_ML_DSA}, ck.CKA_SIGN, ck.CKF_SIGN)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if result(err) != ck.CKR_DEVICE_MEMORY {
		t.Errorf("%d pairs: %v", made, err)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 5<<20 {
		t.Errorf("%d bytes were allowed, %d are taken", 4<<20, grown)
	}
	tk.EndSession(1)
	if claimed != 0 {
		t.Errorf("%d bytes are claimed for nothing", claimed)
	}
}

// loaded counts the safes that hold a key.
func loaded(safes []*safe) (n int) {
	for _, s := range safes {
		if s.key.Load() != nil {
			n++
		}
	}
	return n
}

// Of the decoded keys that no logout ends only some are kept, above all those that are used.
func TestDecodedKeysAreBounded(t *testing.T) {
	var kept shown
	all := make([]*safe, 2*mostShown)
	for i := range all {
		all[i] = &safe{}
		kept.keep(all[i], &mechanism.Key{})
		if all[0].ready() == nil {
			t.Fatalf("after %d others the key went that is always used", i)
		}
	}
	if n := loaded(all); n != mostShown || len(kept.safes) != mostShown {
		t.Errorf("%d keys are kept, %d noted", n, len(kept.safes))
	}
	if last := all[len(all)-1]; last.key.Load() == nil {
		t.Error("the newest key is not there")
	}
}

// The keys of public token objects are among them, until they are destroyed, and one that gave way is decoded again.
func TestShownKeysAreKept(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	id := tk.aesKey(s, Attribute{ck.CKA_PRIVATE, no})
	use, err := tk.SecretKey(id)
	tk.must(err)
	o := tk.find(id)
	noted := func() bool { return slices.Contains(tk.unwrapped.shown.safes, o.safe) }
	if !noted() || o.safe.key.Load() != use.Key {
		t.Error("the key is not kept")
	}
	for range mostShown {
		tk.unwrapped.shown.keep(&safe{}, &mechanism.Key{})
	}
	if noted() || o.safe.key.Load() != nil {
		t.Error("the key did not give way")
	}
	if _, err := encryptOnce(use.Key); err != nil {
		t.Errorf("who had it cannot go on: %v", err)
	}
	if _, err := tk.encrypts(id); err != nil || !noted() {
		t.Errorf("once more: %v", err)
	}
	tk.must(tk.Destroy(s, id))
	if noted() {
		t.Error("it is destroyed, and kept")
	}
}

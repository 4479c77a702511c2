package p11module

import (
	"sync"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

func (b *bench) state(h ck.SessionHandle) uint64 {
	b.Helper()
	info, rv := b.m.GetSessionInfo(h)
	b.must(rv)
	return info.State
}

func TestSessionStates(t *testing.T) {
	b := newTokenBench(t)
	ro, rw := b.open(0, false), b.open(0, true)
	expect := func(wantRO, wantRW uint64) {
		t.Helper()
		if got := b.state(ro); got != wantRO {
			t.Errorf("read-only session: state %d, want %d", got, wantRO)
		}
		if got := b.state(rw); got != wantRW {
			t.Errorf("read-write session: state %d, want %d", got, wantRW)
		}
	}
	expect(ck.CKS_RO_PUBLIC_SESSION, ck.CKS_RW_PUBLIC_SESSION)
	b.login(ro) // logs in all sessions of the token
	expect(ck.CKS_RO_USER_FUNCTIONS, ck.CKS_RW_USER_FUNCTIONS)
	b.must(b.m.Logout(rw))
	expect(ck.CKS_RO_PUBLIC_SESSION, ck.CKS_RW_PUBLIC_SESSION)
	b.want(ck.CKR_USER_NOT_LOGGED_IN, b.m.Logout(rw))
	b.must(b.m.CloseSession(ro))
	b.must(b.m.Login(rw, uint64(ck.CKU_SO), []byte(soPIN)))
	if got := b.state(rw); got != ck.CKS_RW_SO_FUNCTIONS {
		t.Errorf("state %d", got)
	}
	info, rv := b.m.GetSessionInfo(rw)
	if rv != ck.CKR_OK || info.Flags != ck.CKF_SERIAL_SESSION|ck.CKF_RW_SESSION || info.Slot != 0 || info.DeviceError != 0 {
		t.Errorf("%+v", info)
	}
}

func TestOpenSession(t *testing.T) {
	b := newTokenBench(t)
	_, rv := b.m.OpenSession(0, ck.CKF_RW_SESSION)
	b.want(ck.CKR_SESSION_PARALLEL_NOT_SUPPORTED, rv)
	_, rv = b.m.OpenSession(0, 0)
	b.want(ck.CKR_SESSION_PARALLEL_NOT_SUPPORTED, rv)
	h := b.open(0, true)
	if h == ck.CK_INVALID_HANDLE {
		t.Error("the invalid handle was given out")
	}
	b.must(b.m.CloseSession(h))
	b.want(ck.CKR_SESSION_HANDLE_INVALID, b.m.CloseSession(h))
	if again := b.open(0, true); again == h {
		t.Error("a handle was given out twice")
	}
}

func TestSessionCounts(t *testing.T) {
	b := newTokenBench(t)
	b.open(0, true)
	b.open(0, false)
	b.open(0, false)
	info, rv := b.m.GetTokenInfo(0)
	b.must(rv)
	if info.SessionCount != 3 || info.RWSessionCount != 1 || info.MaxSessionCount != ck.CK_EFFECTIVELY_INFINITE {
		t.Errorf("%+v", info)
	}
	if info.MinPINLen != 4 || info.MaxPINLen != 255 || info.FreePublicMemory != ck.UNAVAILABLE {
		t.Errorf("%+v", info)
	}
	b.must(b.m.CloseAllSessions(0))
	info, rv = b.m.GetTokenInfo(0)
	if rv != ck.CKR_OK || info.SessionCount != 0 {
		t.Errorf("%+v", info)
	}
}

func TestLoginRules(t *testing.T) {
	b := newTokenBench(t)
	rw := b.open(0, true)
	b.want(ck.CKR_USER_TYPE_INVALID, b.m.Login(rw, 7, []byte(userPIN)))
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, b.m.Login(rw, uint64(ck.CKU_CONTEXT_SPECIFIC), []byte(userPIN)))
	b.want(ck.CKR_ARGUMENTS_BAD, b.m.Login(rw, uint64(ck.CKU_USER), nil))
	b.want(ck.CKR_PIN_INCORRECT, b.m.Login(rw, uint64(ck.CKU_USER), []byte{}))
	b.want(ck.CKR_PIN_INCORRECT, b.m.Login(rw, uint64(ck.CKU_USER), []byte("wrong")))
	b.login(rw)
	b.want(ck.CKR_USER_ALREADY_LOGGED_IN, b.m.Login(rw, uint64(ck.CKU_USER), []byte("wrong")))
	b.want(ck.CKR_USER_ANOTHER_ALREADY_LOGGED_IN, b.m.Login(rw, uint64(ck.CKU_SO), []byte(soPIN)))
	if b.tokenFlags(0)&ck.CKF_USER_PIN_COUNT_LOW != 0 {
		t.Error("a login that was not tried counted as a try")
	}
	b.must(b.m.Logout(rw))

	ro := b.open(0, false)
	b.want(ck.CKR_SESSION_READ_ONLY_EXISTS, b.m.Login(rw, uint64(ck.CKU_SO), []byte(soPIN)))
	b.must(b.m.CloseSession(ro))
	b.must(b.m.Login(rw, uint64(ck.CKU_SO), []byte(soPIN)))
	_, rv := b.m.OpenSession(0, ck.CKF_SERIAL_SESSION)
	b.want(ck.CKR_SESSION_READ_WRITE_SO_EXISTS, rv)
	b.open(0, true)
	b.want(ck.CKR_USER_ANOTHER_ALREADY_LOGGED_IN, b.m.Login(rw, uint64(ck.CKU_USER), []byte(userPIN)))
	public, private := templates(true, "of the SO", h5w8)
	_, _, rv = b.m.GenerateKeyPair(rw, Mechanism{Type: ck.CKM_HSS_KEY_PAIR_GEN}, public, private)
	b.want(ck.CKR_USER_NOT_LOGGED_IN, rv)
}

func TestLoginIsPerToken(t *testing.T) {
	b := newTokenBench(t)
	b.makeToken(1, "another")
	here, there := b.userSession(0), b.open(1, true)
	if b.state(there) != ck.CKS_RW_PUBLIC_SESSION {
		t.Error("a login at one token logged in at another")
	}
	_, priv := b.generate(here, true, h5w8)
	b.want(ck.CKR_KEY_HANDLE_INVALID, b.m.SignInit(there, hss, priv))
	b.want(ck.CKR_OBJECT_HANDLE_INVALID, b.m.DestroyObject(there, priv))
	b.must(b.m.CloseAllSessions(1))
	b.sign(here, priv, "m")
}

func TestLastSessionLogsOut(t *testing.T) {
	b, one := newUserBench(t)
	two := b.open(0, false)
	b.must(b.m.CloseSession(one))
	if b.state(two) != ck.CKS_RO_USER_FUNCTIONS {
		t.Error("closing one of two sessions logged out")
	}
	b.must(b.m.CloseSession(two))
	if got := b.state(b.open(0, false)); got != ck.CKS_RO_PUBLIC_SESSION {
		t.Errorf("state %d after the last session was closed", got)
	}
}

// Ten wrong tries lock a PIN, over restarts; the flags tell the way there; the SO unlocks.
func TestPINLock(t *testing.T) {
	b := newTokenBench(t)
	h := b.open(0, true)
	const all = ck.CKF_USER_PIN_COUNT_LOW | ck.CKF_USER_PIN_FINAL_TRY | ck.CKF_USER_PIN_LOCKED
	for try := range 10 {
		want := uint64(0)
		if try > 0 {
			want |= ck.CKF_USER_PIN_COUNT_LOW
		}
		if try == 9 {
			want |= ck.CKF_USER_PIN_FINAL_TRY
		}
		if got := b.tokenFlags(0) & all; got != want {
			t.Errorf("before try %d: flags %x, want %x", try, got, want)
		}
		b.want(ck.CKR_PIN_INCORRECT, b.m.Login(h, uint64(ck.CKU_USER), []byte("wrong")))
		b.restart() // does not give the tries back
		h = b.open(0, true)
	}
	if got := b.tokenFlags(0) & all; got != ck.CKF_USER_PIN_COUNT_LOW|ck.CKF_USER_PIN_LOCKED {
		t.Errorf("flags %x", got)
	}
	b.want(ck.CKR_PIN_LOCKED, b.m.Login(h, uint64(ck.CKU_USER), []byte(userPIN)))
	b.want(ck.CKR_PIN_LOCKED, b.m.SetPIN(h, []byte(userPIN), []byte("user-pin-2")))
	b.must(b.m.Login(h, uint64(ck.CKU_SO), []byte(soPIN)))
	b.must(b.m.InitPIN(h, []byte(userPIN)))
	b.must(b.m.Logout(h))
	b.login(h)
	if got := b.tokenFlags(0) & all; got != 0 {
		t.Errorf("flags %x", got)
	}
}

func TestSOPINLock(t *testing.T) {
	b := newTokenBench(t)
	h := b.open(0, true)
	for try := range 10 {
		switch try % 2 {
		case 0:
			b.want(ck.CKR_PIN_INCORRECT, b.m.Login(h, uint64(ck.CKU_SO), []byte("wrong")))
		case 1:
			b.must(b.m.CloseAllSessions(0))
			b.want(ck.CKR_PIN_INCORRECT, b.m.InitToken(0, []byte("wrong"), b.label("x")))
			h = b.open(0, true)
		}
	}
	b.want(ck.CKR_PIN_LOCKED, b.m.Login(h, uint64(ck.CKU_SO), []byte(soPIN)))
	if b.tokenFlags(0)&ck.CKF_SO_PIN_LOCKED == 0 {
		t.Error("CKF_SO_PIN_LOCKED is not set")
	}
	b.login(h) // the user is not concerned
	b.must(b.m.CloseAllSessions(0))
	b.want(ck.CKR_PIN_LOCKED, b.m.InitToken(0, []byte(soPIN), b.label("x")))
}

// Right PINs in between give the tries back.
func TestTriesAreGivenBack(t *testing.T) {
	b := newTokenBench(t)
	h := b.open(0, true)
	for range 3 {
		for range 9 {
			b.want(ck.CKR_PIN_INCORRECT, b.m.Login(h, uint64(ck.CKU_USER), []byte("wrong")))
		}
		b.login(h)
		b.must(b.m.Logout(h))
	}
}

func TestSessionsInParallel(t *testing.T) {
	b, keep := newUserBench(t)
	_, priv := b.generate(keep, true, h5w8, h5w8)
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for range 15 {
				h, rv := b.m.OpenSession(0, ck.CKF_SERIAL_SESSION)
				if rv != ck.CKR_OK {
					t.Error(rv.Error())
					return
				}
				if worker == 0 {
					b.m.Logout(h)
					b.m.Login(h, uint64(ck.CKU_USER), []byte(userPIN))
				} else if rv := b.m.SignInit(h, hss, priv); rv == ck.CKR_OK {
					b.m.Sign(h, []byte("m"), Output{Room: 1 << 20})
				}
				if rv := b.m.CloseSession(h); rv != ck.CKR_OK {
					t.Error(rv.Error())
				}
			}
		})
	}
	group.Wait()
	if info, _ := b.m.GetTokenInfo(0); info.SessionCount != 1 {
		t.Errorf("%d sessions are left", info.SessionCount)
	}
}

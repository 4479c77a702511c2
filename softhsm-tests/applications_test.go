package softhsmtests

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/audit"
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// Several processes use one token: these tests belong to the library with a daemon.

// another is one more application of the same token, with a read-write session and without a login.
func (k *token) another() *token {
	k.t.Helper()
	other := *k
	other.Process = start(k.t, k.dir)
	other.session = value(other.OpenSession(k.slot, pkcs11.CKF_RW_SESSION))(k.t)
	return &other
}

func (k *token) login() *token {
	k.t.Helper()
	must(k.t, k.Login(k.session, pkcs11.CKU_USER, userPIN))
	return k
}

func (k *token) status() worker.DaemonStatus {
	k.t.Helper()
	return value(worker.AskDaemon(k.dir))(k.t)
}

// clients waits until the daemon has n applications: the end of a killed one is noticed within milliseconds.
func (k *token) clients(n int) {
	k.t.Helper()
	for range 500 {
		if len(k.status().Clients) == n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	k.t.Fatalf("the daemon has %d applications, want %d: %+v", len(k.status().Clients), n, k.status())
}

func (k *token) count(template ...*pkcs11.Attribute) int {
	k.t.Helper()
	return len(value(k.FindObjects(k.session, template...))(k.t))
}

var (
	privateKeys = attribute(ck.CKA_CLASS, uint64(ck.CKO_PRIVATE_KEY))
	ofTypeHSS   = attribute(ck.CKA_KEY_TYPE, uint64(ck.CKK_HSS))
)

// What one application may do, and what it has, is nothing to the other.
func TestApplicationsAreApart(t *testing.T) {
	a := newToken(t)
	key := a.generate(twoLevels)
	b := a.another()
	a.clients(2)

	// A's login is A's alone.
	if n := b.count(privateKeys); n != 0 {
		t.Errorf("without a login of its own an application sees %d private keys", n)
	}
	if _, err := b.Sign(b.session, key.Private, []byte("message")); err == nil {
		t.Error("an application without a login signed")
	}
	if _, err := b.tryGenerate(oneLevel); err == nil {
		t.Error("an application without a login generated a key")
	}
	wantRV(t, b.Logout(b.session), ck.CKR_USER_NOT_LOGGED_IN)
	wantRV(t, b.Login(b.session, pkcs11.CKU_USER, "wrong-pin"), ck.CKR_PIN_INCORRECT)
	b.login()
	if n := b.count(privateKeys); n != 1 {
		t.Errorf("after its login the application sees %d private keys, want 1", n)
	}

	// So are its sessions and its session objects, private and public.
	second := value(a.OpenSession(a.slot, pkcs11.CKF_RW_SESSION))(t)
	_, err := b.Sign(second, key.Private, []byte("message"))
	wantRV(t, err, ck.CKR_SESSION_HANDLE_INVALID)
	wantRV(t, b.CloseSession(second), ck.CKR_SESSION_HANDLE_INVALID)
	a.generate(oneLevel, attribute(ck.CKA_TOKEN, false), attribute(ck.CKA_LABEL, "of a's session"))
	if n := a.count(attribute(ck.CKA_LABEL, "of a's session")); n != 1 {
		t.Errorf("the application sees %d session objects of its own, want 1", n)
	}
	if n := b.count(attribute(ck.CKA_LABEL, "of a's session")); n != 0 {
		t.Errorf("the application sees %d session objects of another", n)
	}

	// The PIN of the officer in one, the user in the other, and a logout that is nobody else's.
	must(t, b.Logout(b.session))
	must(t, b.Login(b.session, pkcs11.CKU_SO, soPIN))
	if n := b.count(privateKeys); n != 0 {
		t.Errorf("the officer sees %d private keys", n)
	}
	used := new(audit.Audit)
	a.sign(key, used, []byte("beside the officer"))
	must(t, b.InitPIN(b.session, "new-pin-1"))
	a.sign(key, used, []byte("with another PIN than the one of the login"))
	must(t, b.Logout(b.session))
	a.sign(key, used, []byte("after the other's logout"))
}

// Two applications with operations of the same kind in sessions of the same number.
func TestOperationsAreApart(t *testing.T) {
	a := newToken(t)
	key, used := a.generate(twoLevels), new(audit.Audit)
	b := a.another().login()
	ours, theirs := a.key("key"), b.key("key")

	must(t, a.SignInit(a.session, ours.Private))
	must(t, a.SignUpdate(a.session, []byte("a's ")))
	_, err := b.SignFinal(b.session)
	wantRV(t, err, ck.CKR_OPERATION_NOT_INITIALIZED)
	wantRV(t, b.SignUpdate(b.session, []byte("b's ")), ck.CKR_OPERATION_NOT_INITIALIZED)
	must(t, b.SignInit(b.session, theirs.Private))
	must(t, b.SignUpdate(b.session, []byte("b's ")))
	must(t, a.SignUpdate(a.session, []byte("message")))
	must(t, b.SignUpdate(b.session, []byte("message")))
	public := a.publicKey(key.Public)
	must(t, used.Add(public, []byte("b's message"), value(b.SignFinal(b.session))(t)))
	must(t, used.Add(public, []byte("a's message"), value(a.SignFinal(a.session))(t)))

	// An operation dies with its application and with nobody else.
	must(t, a.SignInit(a.session, ours.Private))
	must(t, b.SignInit(b.session, theirs.Private))
	a.Kill()
	b.clients(1)
	must(t, b.SignUpdate(b.session, []byte("b goes on")))
	must(t, used.Add(public, []byte("b goes on"), value(b.SignFinal(b.session))(t)))
	if n := b.remaining(theirs.Private); n != 1024-3 {
		t.Errorf("%d signatures left, want %d: an operation that was not finished costs nothing", n, 1024-3)
	}
}

// What belongs to the token is there for all: keys that come and go, their use, and C_InitToken that must wait.
func TestApplicationsShareTheToken(t *testing.T) {
	a, used := newToken(t), new(audit.Audit)
	b := a.another().login()
	a.generate(twoLevels)
	for range 5 {
		a.sign(a.key("key"), used, []byte("a's message"))
		b.sign(b.key("key"), used, []byte("b's message"))
	}
	if n := a.remaining(a.key("key").Private); n != 1024-10 {
		t.Errorf("%d signatures left, want %d", n, 1024-10)
	}
	key := a.key("key").Private
	must(t, b.DestroyObject(b.session, b.key("key").Private))
	_, err := a.Sign(a.session, key, []byte("message"))
	if !errors.Is(err, ck.CKR_KEY_HANDLE_INVALID) {
		t.Errorf("signing with a key that another application destroyed: %v", err)
	}

	must(t, b.CloseAllSessions(b.slot))
	wantRV(t, b.InitToken(b.slot, soPIN, "again"), ck.CKR_SESSION_EXISTS)
	wantRV(t, b.InitToken(b.slot, "wrong-pin", "again"), ck.CKR_SESSION_EXISTS) // before the PIN is tried
	must(t, a.CloseAllSessions(a.slot))
	must(t, b.InitToken(b.slot, soPIN, "again"))
	a.session = value(a.OpenSession(a.slot, pkcs11.CKF_RW_SESSION))(t)
	if n := a.count(ofTypeHSS); n != 0 {
		t.Errorf("%d objects outlive another application's C_InitToken", n)
	}
}

// The end of an application, however it comes, is a logout of that one.
func TestEndOfAnApplication(t *testing.T) {
	for _, end := range []struct {
		name string
		do   func(*token)
	}{
		{"finalized", func(k *token) { must(t, k.Finalize()) }},
		{"exited", func(k *token) { must(t, k.Exit()) }},
		{"killed", func(k *token) { k.Kill() }},
	} {
		t.Run(end.name, func(t *testing.T) {
			a, used := newToken(t), new(audit.Audit)
			a.generate(twoLevels)
			b := a.another().login()
			if users := a.status().Tokens[0].Users; users != 2 {
				t.Errorf("%d logins at the token, want 2", users)
			}
			a.sign(a.key("key"), used, []byte("message"))
			end.do(a)
			b.clients(1)
			status := b.status()
			if status.Tokens[0].Users != 1 || status.Tokens[0].Sessions != 1 || status.Clients[0].PID != b.PID() {
				t.Errorf("after its end: %+v", status)
			}
			b.sign(b.key("key"), used, []byte("message"))
		})
	}
}

// Short programs, one signature each: they share the lower tree, which stays in memory for a while after the last
// logout, or is parked at it without a loss.
func TestLowerTreesAreShared(t *testing.T) {
	const programs = 10
	for _, linger := range []string{"5m", "0s"} {
		t.Run("linger "+linger, func(t *testing.T) {
			k, used := newToken(t), new(audit.Audit)
			k.generate(twoLevels)
			k.stop()
			config := "ONCELEAF_CONF=" + writeConfig(t, "[daemon]\nlinger = \""+linger+"\"\n")
			for i := range programs {
				k := openTokenWith(t, k.dir, k.label, config)
				leaves := k.leaves(k.sign(k.key("key"), used, fmt.Appendf(nil, "message %d", i)))
				if leaves[0].Q != 0 || leaves[1].Q != uint32(i) {
					t.Errorf("program %d signed with leaf %d of lower tree %d, want leaf %d of the first", i, leaves[1].Q, leaves[0].Q, i)
				}
				if n := k.remaining(k.key("key").Private); n != 1024-1-uint64(i) {
					t.Errorf("%d signatures left after %d", n, i+1)
				}
				k.leave()
				k.clients(0)
				lingering := k.status().Tokens[0].Lingering
				if lingering != (linger != "0s") {
					t.Errorf("after the last logout with linger %s: lingering %v", linger, lingering)
				}
			}
		})
	}
}

// The crash of an application costs nothing: the tree is the daemon's.
func TestCrashOfAnApplicationCostsNothing(t *testing.T) {
	k, used := newToken(t), new(audit.Audit)
	k.generate(twoLevels)
	for i := range 3 {
		k.signTimes(3, k.key("key"), used)
		k.Kill()
		k = openToken(t, k.dir, k.label)
		if n := k.remaining(k.key("key").Private); n != uint64(1024-3*(i+1)) {
			t.Errorf("%d signatures left after %d and %d crashes of their program", n, 3*(i+1), i+1)
		}
	}
}

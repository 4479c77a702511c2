package softhsmtests

import (
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/audit"
	"github.com/onceleaf/onceleaf/internal/ck"
)

func (k *token) tokenFlags() uint {
	k.t.Helper()
	return value(k.GetTokenInfo(k.slot))(k.t).Flags
}

func TestLogin(t *testing.T) {
	k := newToken(t)
	key := k.generate(oneLevel)
	wantRV(t, k.Login(k.session, pkcs11.CKU_USER, userPIN), ck.CKR_USER_ALREADY_LOGGED_IN)
	wantRV(t, k.Login(k.session, pkcs11.CKU_SO, soPIN), ck.CKR_USER_ANOTHER_ALREADY_LOGGED_IN)
	must(t, k.Logout(k.session))
	wantRV(t, k.Logout(k.session), ck.CKR_USER_NOT_LOGGED_IN)

	// Without a login there is no private key, neither by its old handle nor by a search.
	if _, err := k.Sign(k.session, key.Private, []byte("message")); err == nil {
		t.Error("a key signs after C_Logout")
	}
	if found := value(k.FindObjects(k.session, attribute(ck.CKA_CLASS, uint64(ck.CKO_PRIVATE_KEY))))(t); len(found) != 0 {
		t.Errorf("%d private keys are visible without a login", len(found))
	}
	if _, err := k.tryGenerate(oneLevel); err == nil {
		t.Error("a key was generated without a login")
	}
	k.find(ck.CKO_PUBLIC_KEY, "key")

	must(t, k.Login(k.session, pkcs11.CKU_USER, userPIN))
	k.sign(k.key("key"), new(audit.Audit), []byte("message"))
}

func TestWrongPINsLock(t *testing.T) {
	k := newToken(t)
	k.generate(oneLevel)
	must(t, k.Logout(k.session))

	wantRV(t, k.Login(k.session, pkcs11.CKU_USER, "wrong-pin"), ck.CKR_PIN_INCORRECT)
	if k.tokenFlags()&pkcs11.CKF_USER_PIN_COUNT_LOW == 0 {
		t.Error("CKF_USER_PIN_COUNT_LOW is not set after a wrong PIN")
	}
	must(t, k.Login(k.session, pkcs11.CKU_USER, userPIN)) // the count starts again
	must(t, k.Logout(k.session))

	// Tries are counted over processes that crash.
	tries := 0
	for ; tries < 12; tries++ {
		if tries == 5 {
			k.die()
			k.Process = start(t, k.dir)
			k.session = value(k.OpenSession(k.slot, pkcs11.CKF_RW_SESSION))(t)
		}
		err := k.Login(k.session, pkcs11.CKU_USER, "wrong-pin")
		if k.tokenFlags()&pkcs11.CKF_USER_PIN_LOCKED != 0 {
			tries++
			break
		}
		wantRV(t, err, ck.CKR_PIN_INCORRECT)
	}
	if tries != 10 {
		t.Errorf("%d wrong PINs lock, want 10", tries)
	}
	wantRV(t, k.Login(k.session, pkcs11.CKU_USER, userPIN), ck.CKR_PIN_LOCKED)

	must(t, k.Login(k.session, pkcs11.CKU_SO, soPIN))
	must(t, k.InitPIN(k.session, "new-pin-1"))
	must(t, k.Logout(k.session))
	if k.tokenFlags()&pkcs11.CKF_USER_PIN_LOCKED != 0 {
		t.Error("C_InitPIN left the PIN locked")
	}
	must(t, k.Login(k.session, pkcs11.CKU_USER, "new-pin-1"))
	k.sign(k.key("key"), new(audit.Audit), []byte("after the new PIN"))
}

func TestChangePIN(t *testing.T) {
	k := newToken(t)
	k.generate(oneLevel)
	wantRV(t, k.SetPIN(k.session, "wrong-pin", "new-pin-1"), ck.CKR_PIN_INCORRECT)
	wantRV(t, k.SetPIN(k.session, userPIN, "abc"), ck.CKR_PIN_LEN_RANGE)
	must(t, k.SetPIN(k.session, userPIN, "new-pin-1"))
	must(t, k.Logout(k.session))
	wantRV(t, k.Login(k.session, pkcs11.CKU_USER, userPIN), ck.CKR_PIN_INCORRECT)
	must(t, k.Login(k.session, pkcs11.CKU_USER, "new-pin-1"))
	k.sign(k.key("key"), new(audit.Audit), []byte("after the new PIN"))
}

// C_InitToken of a token in use needs the SO's PIN and takes its keys away.
func TestInitTokenAgain(t *testing.T) {
	k := newToken(t)
	k.generate(oneLevel)
	wantRV(t, k.InitToken(k.slot, soPIN, "again"), ck.CKR_SESSION_EXISTS)
	must(t, k.CloseAllSessions(k.slot))
	wantRV(t, k.InitToken(k.slot, "wrong-pin", "again"), ck.CKR_PIN_INCORRECT)
	must(t, k.InitToken(k.slot, soPIN, "again"))
	k.session = value(k.OpenSession(k.slot, pkcs11.CKF_RW_SESSION))(t)
	if n := k.count(ofTypeHSS); n != 0 {
		t.Errorf("%d objects outlive C_InitToken", n)
	}
}

package softhsmtests

import (
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// C_Initialize, C_Finalize, and what is answered without them.
func TestGroupInit(t *testing.T) {
	group(t, "init",
		scenario{name: "twice", run: initializeTwice},
		scenario{name: "without", run: withoutInitialize, fresh: true},
		scenario{name: "flags", run: initializeFlags, fresh: true},
		scenario{name: "again", run: initializeAgain, fresh: true},
	)
}

func initializeTwice(a *actor) {
	a.rv("C_Initialize", ck.CKR_CRYPTOKI_ALREADY_INITIALIZED, a.Initialize())
	_, err := a.GetSlotList(false)
	a.ok("C_GetSlotList after it", err)
}

func withoutInitialize(a *actor) {
	a.ok("C_Finalize", a.Finalize())
	a.rv("C_Finalize again", ck.CKR_CRYPTOKI_NOT_INITIALIZED, a.Finalize())
	_, err := a.GetInfo()
	a.rv("C_GetInfo", ck.CKR_CRYPTOKI_NOT_INITIALIZED, err)
	_, err = a.GetSlotList(false)
	a.rv("C_GetSlotList", ck.CKR_CRYPTOKI_NOT_INITIALIZED, err)
	_, err = a.GetSlotInfo(a.slot)
	a.rv("C_GetSlotInfo", ck.CKR_CRYPTOKI_NOT_INITIALIZED, err)
	_, err = a.GetTokenInfo(a.slot)
	a.rv("C_GetTokenInfo", ck.CKR_CRYPTOKI_NOT_INITIALIZED, err)
	_, err = a.GetMechanismList(a.slot)
	a.rv("C_GetMechanismList", ck.CKR_CRYPTOKI_NOT_INITIALIZED, err)
	_, err = a.GetMechanismInfo(a.slot, pkcs11.CKM_RSA_PKCS)
	a.rv("C_GetMechanismInfo", ck.CKR_CRYPTOKI_NOT_INITIALIZED, err)
	a.rv("C_InitToken", ck.CKR_CRYPTOKI_NOT_INITIALIZED, a.InitToken(a.slot, soPIN, "none"))
	_, err = a.OpenSession(a.slot, 0)
	a.rv("C_OpenSession", ck.CKR_CRYPTOKI_NOT_INITIALIZED, err)
	a.rv("C_CloseAllSessions", ck.CKR_CRYPTOKI_NOT_INITIALIZED, a.CloseAllSessions(a.slot))
	a.session = a.keeper
	withoutLibrary(a)
	a.session = 0
}

// withoutLibrary asks the functions of a session.
func withoutLibrary(a *actor) {
	const none = ck.CKR_CRYPTOKI_NOT_INITIALIZED
	eachOfSession(a, func(name string, err error) { a.rv(name, none, err) })
}

// eachOfSession calls all functions that a session has, with nothing that makes sense beside the session.
func eachOfSession(a *actor, got func(name string, err error)) {
	_, err := a.GetSessionInfo(a.session)
	got("C_GetSessionInfo", err)
	got("C_InitPIN", a.InitPIN(a.session, userPIN))
	got("C_SetPIN", a.SetPIN(a.session, userPIN, userPIN))
	got("C_Login", a.Login(a.session, pkcs11.CKU_USER, userPIN))
	got("C_Logout", a.Logout(a.session))
	_, err = a.CreateObject(a.session, attributes(CLASS, pkcs11.CKO_DATA)...)
	got("C_CreateObject", err)
	_, err = a.CopyObject(a.session, 1, attributes(LABEL, "x")...)
	got("C_CopyObject", err)
	got("C_DestroyObject", a.DestroyObject(a.session, 1))
	_, err = a.GetObjectSize(a.session, 1)
	got("C_GetObjectSize", err)
	_, err = a.attribute(1, CLASS)
	got("C_GetAttributeValue", err)
	got("C_SetAttributeValue", a.SetAttributeValue(a.session, 1, attributes(LABEL, "x")...))
	got("C_FindObjectsInit", a.FindObjectsInit(a.session))
	_, err = a.FindNext(a.session, 1)
	got("C_FindObjects", err)
	got("C_FindObjectsFinal", a.FindObjectsFinal(a.session))
	for _, function := range []string{"Encrypt", "Decrypt", "Digest", "Sign", "Verify"} {
		got("C_"+function+"Init", a.begin(function, plain(pkcs11.CKM_SHA256), 1))
		_, err = a.once(function, []byte("data"))
		got("C_"+function, err)
		_, err = a.update(function, []byte("data"))
		got("C_"+function+"Update", err)
		_, err = a.final(function)
		got("C_"+function+"Final", err)
	}
	_, err = a.generateAES(attributes(VALUE_LEN, 16))
	got("C_GenerateKey", err)
	got("C_SeedRandom", a.SeedRandom(a.session, []byte{1}))
	_, err = a.GenerateRandom(a.session, 1)
	got("C_GenerateRandom", err)
	got("C_CloseSession", a.CloseSession(a.session))
}

// The flags that clients pass; NSS and GnuTLS pass 3.
func initializeFlags(a *actor) {
	a.need("C_Finalize", a.Finalize())
	a.rv("CKF_OS_LOCKING_OK", ck.CKR_OK, a.InitializeWith(pkcs11.CKF_OS_LOCKING_OK))
	a.rv("C_Finalize after it", ck.CKR_OK, a.Finalize())
	a.rv("no flags", ck.CKR_OK, a.InitializeWith(0))
	a.rv("C_Finalize after no flags", ck.CKR_OK, a.Finalize())
}

// A library that is finalised starts from nothing: no session is left, nobody is logged in, the token is there.
func initializeAgain(a *actor) {
	_, err := a.CreateObject(a.keeper, attributes(CLASS, pkcs11.CKO_DATA, LABEL, "session object")...)
	a.need("C_CreateObject", err)
	_, err = a.CreateObject(a.keeper, attributes(CLASS, pkcs11.CKO_DATA, TOKEN, true, LABEL, "token object")...)
	a.need("C_CreateObject on the token", err)
	a.need("C_Finalize", a.Finalize())
	a.need("C_Initialize", a.Initialize())
	_, err = a.GetSessionInfo(a.keeper)
	a.rv("the old session", ck.CKR_SESSION_HANDLE_INVALID, err)
	a.slot = a.slotOf(a.t, "compared")
	a.session, err = a.OpenSession(a.slot, pkcs11.CKF_RW_SESSION)
	a.need("C_OpenSession", err)
	info, err := a.GetSessionInfo(a.session)
	a.ok("C_GetSessionInfo", err)
	a.equal("nobody is logged in", uint(ck.CKS_RW_PUBLIC_SESSION), info.State)
	a.ok("C_Login", a.Login(a.session, pkcs11.CKU_USER, userPIN))
	found, err := a.FindObjects(a.session, attributes(CLASS, pkcs11.CKO_DATA)...)
	a.ok("C_FindObjects", err)
	a.equal("objects that are left", 1, len(found))
}

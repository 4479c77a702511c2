package softhsmtests

import (
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// Sessions: opening, closing, states, and what a session that is none is told.
func TestGroupSession(t *testing.T) {
	group(t, "session",
		scenario{name: "flags", run: sessionFlags},
		scenario{name: "states", run: sessionStates, fresh: true},
		scenario{name: "no such session", run: noSuchSession},
		scenario{name: "uninitialised token", run: sessionOfNoToken},
		scenario{name: "close all", run: closeAll, fresh: true},
		scenario{name: "last one closed", run: lastSession, fresh: true},
		scenario{name: "objects", run: sessionObjects},
		scenario{name: "read-only", run: readOnlySession},
		scenario{name: "operation state", run: operationState},
		scenario{name: "token info", run: sessionCounts, fresh: true},
	)
}

func sessionFlags(a *actor) {
	_, err := a.OpenAnySession(a.slot, 0)
	a.rv("not serial", ck.CKR_SESSION_PARALLEL_NOT_SUPPORTED, err)
	_, err = a.OpenAnySession(a.slot, pkcs11.CKF_RW_SESSION)
	a.rv("not serial, read-write", ck.CKR_SESSION_PARALLEL_NOT_SUPPORTED, err)
	session, err := a.OpenAnySession(a.slot, pkcs11.CKF_SERIAL_SESSION)
	a.need("serial", err)
	a.equal("the handle is not 0", true, session != 0)
	other, err := a.OpenAnySession(a.slot, pkcs11.CKF_SERIAL_SESSION)
	a.need("another one", err)
	a.equal("another handle", true, session != other)
	a.ok("C_CloseSession", a.CloseSession(session))
	a.rv("C_CloseSession again", ck.CKR_SESSION_HANDLE_INVALID, a.CloseSession(session))
	a.ok("C_CloseSession of the other", a.CloseSession(other))
}

// state notes down a session's state.
func (a *actor) state(step string, session pkcs11.SessionHandle, state uint64, flags uint) {
	info, err := a.GetSessionInfo(session)
	a.ok(step+": C_GetSessionInfo", err)
	a.equal(step+": state", uint(state), info.State)
	a.equal(step+": flags", flags|pkcs11.CKF_SERIAL_SESSION, info.Flags)
}

func sessionStates(a *actor) {
	a.need("C_CloseAllSessions", a.CloseAllSessions(a.slot))
	reading, err := a.OpenSession(a.slot, 0)
	a.need("C_OpenSession to read", err)
	writing, err := a.OpenSession(a.slot, pkcs11.CKF_RW_SESSION)
	a.need("C_OpenSession to write", err)
	a.state("read, public", reading, ck.CKS_RO_PUBLIC_SESSION, 0)
	a.state("write, public", writing, ck.CKS_RW_PUBLIC_SESSION, pkcs11.CKF_RW_SESSION)
	a.need("C_Login", a.Login(reading, pkcs11.CKU_USER, userPIN))
	a.state("read, user", reading, ck.CKS_RO_USER_FUNCTIONS, 0)
	a.state("write, user", writing, ck.CKS_RW_USER_FUNCTIONS, pkcs11.CKF_RW_SESSION)
	a.need("C_Logout", a.Logout(writing))
	a.state("read, after logout", reading, ck.CKS_RO_PUBLIC_SESSION, 0)
	a.rv("C_Login of the SO beside a reader", ck.CKR_SESSION_READ_ONLY_EXISTS, a.Login(writing, pkcs11.CKU_SO, soPIN))
	a.need("C_CloseSession", a.CloseSession(reading))
	a.need("C_Login of the SO", a.Login(writing, pkcs11.CKU_SO, soPIN))
	a.state("write, SO", writing, ck.CKS_RW_SO_FUNCTIONS, pkcs11.CKF_RW_SESSION)
	_, err = a.OpenSession(a.slot, 0)
	a.rv("C_OpenSession to read beside the SO", ck.CKR_SESSION_READ_WRITE_SO_EXISTS, err)
	_, err = a.OpenSession(a.slot, pkcs11.CKF_RW_SESSION)
	a.ok("C_OpenSession to write beside the SO", err)
}

func noSuchSession(a *actor) {
	eachOfNone := func(name string, session pkcs11.SessionHandle) {
		before := a.session
		a.session = session
		eachOfSession(a, func(function string, err error) {
			a.rv(name+": "+function, ck.CKR_SESSION_HANDLE_INVALID, err)
		})
		a.session = before
	}
	eachOfNone("0", 0)
	closed, err := a.OpenSession(a.slot, 0)
	a.need("C_OpenSession", err)
	a.need("C_CloseSession", a.CloseSession(closed))
	eachOfNone("closed", closed)
}

func sessionOfNoToken(a *actor) {
	slots, err := a.GetSlotList(false)
	a.need("C_GetSlotList", err)
	_, err = a.OpenSession(slots[len(slots)-1], 0)
	a.rv("C_OpenSession", ck.CKR_TOKEN_NOT_RECOGNIZED, err)
}

func closeAll(a *actor) {
	session, err := a.OpenSession(a.slot, 0)
	a.need("C_OpenSession", err)
	a.ok("C_CloseAllSessions", a.CloseAllSessions(a.slot))
	_, err = a.GetSessionInfo(session)
	a.rv("a session", ck.CKR_SESSION_HANDLE_INVALID, err)
	_, err = a.GetSessionInfo(a.keeper)
	a.rv("another session", ck.CKR_SESSION_HANDLE_INVALID, err)
	a.ok("C_CloseAllSessions of none", a.CloseAllSessions(a.slot))
	a.session, err = a.OpenSession(a.slot, 0)
	a.need("C_OpenSession again", err)
	a.state("it has logged out", a.session, ck.CKS_RO_PUBLIC_SESSION, 0)
}

func lastSession(a *actor) {
	a.need("C_CloseSession", a.CloseSession(a.keeper))
	session, err := a.OpenSession(a.slot, 0)
	a.need("C_OpenSession", err)
	a.state("it has logged out", session, ck.CKS_RO_PUBLIC_SESSION, 0)
}

// Session objects belong to the application and go with their session.
func sessionObjects(a *actor) {
	other, err := a.OpenSession(a.slot, 0)
	a.need("C_OpenSession", err)
	object, err := a.CreateObject(other, attributes(CLASS, pkcs11.CKO_DATA, LABEL, "passing")...)
	a.need("C_CreateObject", err)
	a.reads("seen from another session", object, LABEL, "passing")
	a.need("C_CloseSession", a.CloseSession(other))
	a.refuses("after its session", object, LABEL, ck.CKR_OBJECT_HANDLE_INVALID)
	found, err := a.FindObjects(a.session, attributes(LABEL, "passing")...)
	a.ok("C_FindObjects", err)
	a.equal("found", 0, len(found))
}

func readOnlySession(a *actor) {
	onToken, err := a.CreateObject(a.session, attributes(CLASS, pkcs11.CKO_DATA, TOKEN, true, LABEL, "kept")...)
	a.need("C_CreateObject on the token", err)
	writing := a.session
	a.session, err = a.OpenSession(a.slot, 0)
	a.need("C_OpenSession", err)
	_, err = a.CreateObject(a.session, attributes(CLASS, pkcs11.CKO_DATA, TOKEN, true)...)
	a.rv("C_CreateObject", ck.CKR_SESSION_READ_ONLY, err)
	_, err = a.CreateObject(a.session, attributes(CLASS, pkcs11.CKO_DATA)...)
	a.ok("C_CreateObject in the session", err)
	a.rv("C_DestroyObject", ck.CKR_SESSION_READ_ONLY, a.DestroyObject(a.session, onToken))
	a.rv("C_SetAttributeValue", ck.CKR_SESSION_READ_ONLY, a.SetAttributeValue(a.session, onToken, attributes(LABEL,
		"x")...))
	_, err = a.CopyObject(a.session, onToken, attributes(LABEL, "copy")...)
	a.rv("C_CopyObject on the token", ck.CKR_SESSION_READ_ONLY, err)
	_, err = a.CopyObject(a.session, onToken, attributes(TOKEN, false)...)
	a.ok("C_CopyObject in the session", err)
	_, err = a.generateAES(attributes(VALUE_LEN, 16, TOKEN, true))
	a.rv("C_GenerateKey", ck.CKR_SESSION_READ_ONLY, err)
	_, err = a.GeneratePair(worker.PairCall{Session: a.session, Mechanism: plain(pkcs11.CKM_EC_KEY_PAIR_GEN),
		Public: attributes(EC_PARAMS, curves["P-256"], TOKEN, true), Private: attributes(TOKEN, true)})
	a.rv("C_GenerateKeyPair", ck.CKR_SESSION_READ_ONLY, err)
	a.rv("C_InitPIN", ck.CKR_USER_NOT_LOGGED_IN, a.InitPIN(a.session, userPIN))
	a.rv("C_SetPIN", ck.CKR_SESSION_READ_ONLY, a.SetPIN(a.session, userPIN, userPIN))
	a.ok("C_CloseSession", a.CloseSession(a.session))
	a.session = writing
	a.ok("C_DestroyObject by who may write", a.DestroyObject(a.session, onToken))
}

func operationState(a *actor) {
	a.need("C_DigestInit", a.begin("Digest", plain(pkcs11.CKM_SHA256), 0))
	_, err := a.operate(worker.OperationCall{Function: "GetOperationState"}, 0)
	a.rv("C_GetOperationState", ck.CKR_FUNCTION_NOT_SUPPORTED, err)
	a.rv("C_SetOperationState", ck.CKR_FUNCTION_NOT_SUPPORTED, a.SetOperationState(a.session, []byte("state")))
}

func sessionCounts(a *actor) {
	_, err := a.OpenSession(a.slot, 0)
	a.need("C_OpenSession", err)
	info, err := a.GetTokenInfo(a.slot)
	a.ok("C_GetTokenInfo", err)
	a.equal("sessions", uint(2), info.SessionCount)
	a.equal("read-write sessions", uint(1), info.RwSessionCount)
}

// generateAES is C_GenerateKey of an AES key.
func (a *actor) generateAES(template []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	return a.GenerateKey(worker.KeyCall{SessionCall: worker.SessionCall{Session: a.session},
		Mechanism: plain(pkcs11.CKM_AES_KEY_GEN), Template: template})
}

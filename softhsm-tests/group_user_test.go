package softhsmtests

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// Logins, PINs, and what a login opens and a logout closes.
func TestGroupUser(t *testing.T) {
	group(t, "user",
		scenario{name: "login", run: logins, fresh: true},
		scenario{name: "wrong PIN", run: wrongPIN, fresh: true},
		scenario{name: "PIN lengths", run: pinLengths, fresh: true},
		scenario{name: "no user PIN yet", run: noUserPIN},
		scenario{name: "set PIN", run: setPIN, fresh: true},
		scenario{name: "init PIN", run: initPIN, fresh: true},
		scenario{name: "context-specific", run: contextSpecific},
		scenario{name: "always authenticate", run: alwaysAuthenticate},
		scenario{name: "private objects", run: privateObjects, fresh: true},
		scenario{name: "logout ends operations", run: logoutEndsOperations, fresh: true},
		scenario{name: "public session", run: publicSession, fresh: true},
		scenario{name: "SO", run: securityOfficer, fresh: true},
	)
}

func logins(a *actor) {
	a.rv("the user again", ck.CKR_USER_ALREADY_LOGGED_IN, a.Login(a.keeper, pkcs11.CKU_USER, userPIN))
	a.rv("the user again with a wrong PIN", ck.CKR_USER_ALREADY_LOGGED_IN, a.Login(a.keeper, pkcs11.CKU_USER, "wrong-pin"))
	a.rv("the SO beside the user", ck.CKR_USER_ANOTHER_ALREADY_LOGGED_IN, a.Login(a.keeper, pkcs11.CKU_SO, soPIN))
	a.ok("C_Logout", a.Logout(a.keeper))
	a.rv("C_Logout again", ck.CKR_USER_NOT_LOGGED_IN, a.Logout(a.keeper))
	a.rv("a user that is none", ck.CKR_USER_TYPE_INVALID, a.Login(a.keeper, 99, userPIN))
	a.ok("the SO", a.Login(a.keeper, pkcs11.CKU_SO, soPIN))
	a.rv("the SO again", ck.CKR_USER_ALREADY_LOGGED_IN, a.Login(a.keeper, pkcs11.CKU_SO, soPIN))
	a.rv("the user beside the SO", ck.CKR_USER_ANOTHER_ALREADY_LOGGED_IN, a.Login(a.keeper, pkcs11.CKU_USER, userPIN))
	a.ok("C_Logout of the SO", a.Logout(a.keeper))
	reading, err := a.OpenSession(a.slot, 0)
	a.need("C_OpenSession", err)
	a.ok("the user in a session that reads", a.Login(reading, pkcs11.CKU_USER, userPIN))
	a.rv("the user in another session", ck.CKR_USER_ALREADY_LOGGED_IN, a.Login(a.keeper, pkcs11.CKU_USER, userPIN))
	a.ok("C_Logout in another session", a.Logout(a.keeper))
	a.state("logged out everywhere", reading, ck.CKS_RO_PUBLIC_SESSION, 0)
}

func wrongPIN(a *actor) {
	a.need("C_Logout", a.Logout(a.keeper))
	a.rv("the user", ck.CKR_PIN_INCORRECT, a.Login(a.keeper, pkcs11.CKU_USER, "wrong-pin"))
	a.rv("the SO", ck.CKR_PIN_INCORRECT, a.Login(a.keeper, pkcs11.CKU_SO, "wrong-pin"))
	a.rv("the user with nothing", ck.CKR_ARGUMENTS_BAD, a.Login(a.keeper, pkcs11.CKU_USER, ""))
	a.rv("the user with the SO's", ck.CKR_PIN_INCORRECT, a.Login(a.keeper, pkcs11.CKU_USER, soPIN))
	info, err := a.GetTokenInfo(a.slot)
	a.ok("C_GetTokenInfo", err)
	a.equal("CKF_USER_PIN_COUNT_LOW", true, info.Flags&pkcs11.CKF_USER_PIN_COUNT_LOW != 0)
	a.equal("CKF_SO_PIN_COUNT_LOW", true, info.Flags&pkcs11.CKF_SO_PIN_COUNT_LOW != 0)
	a.equal("CKF_USER_PIN_LOCKED", false, info.Flags&pkcs11.CKF_USER_PIN_LOCKED != 0)
	a.ok("the right one", a.Login(a.keeper, pkcs11.CKU_USER, userPIN))
	info, err = a.GetTokenInfo(a.slot)
	a.ok("C_GetTokenInfo after it", err)
	a.equal("CKF_USER_PIN_COUNT_LOW after it", false, info.Flags&pkcs11.CKF_USER_PIN_COUNT_LOW != 0)
}

func pinLengths(a *actor) {
	for _, n := range []int{0, 3, 4, 255, 256} {
		pin := strings.Repeat("p", n)
		want := ck.CKR_OK
		if n < 4 || n > 255 {
			want = ck.CKR_PIN_LEN_RANGE
		}
		err := a.SetPIN(a.keeper, userPIN, pin)
		a.rv(fmt.Sprintf("C_SetPIN to %d bytes", n), want, err)
		if err == nil {
			a.ok(fmt.Sprintf("C_SetPIN back from %d bytes", n), a.SetPIN(a.keeper, pin, userPIN))
		}
	}
	a.need("C_Logout", a.Logout(a.keeper))
	a.need("C_Login", a.Login(a.keeper, pkcs11.CKU_SO, soPIN))
	a.rv("C_InitPIN to 3 bytes", ck.CKR_PIN_LEN_RANGE, a.InitPIN(a.keeper, "abc"))
	a.rv("C_InitPIN to 256 bytes", ck.CKR_PIN_LEN_RANGE, a.InitPIN(a.keeper, strings.Repeat("p", 256)))
	a.ok("C_InitPIN in another script", a.InitPIN(a.keeper, "пароль"))
	a.need("C_Logout of the SO", a.Logout(a.keeper))
	a.ok("C_Login in another script", a.Login(a.keeper, pkcs11.CKU_USER, "пароль"))
}

// freshToken initialises one more token and opens a session.
func (a *actor) freshToken(label string) (session pkcs11.SessionHandle, slot uint) {
	slots, err := a.GetSlotList(false)
	a.need("C_GetSlotList", err)
	a.need("C_InitToken", a.InitToken(slots[len(slots)-1], soPIN, label))
	slot = a.slotOf(a.t, label)
	session, err = a.OpenSession(slot, pkcs11.CKF_RW_SESSION)
	a.need("C_OpenSession", err)
	return session, slot
}

func noUserPIN(a *actor) {
	session, slot := a.freshToken("without a user")
	info, err := a.GetTokenInfo(slot)
	a.ok("C_GetTokenInfo", err)
	a.equal("CKF_USER_PIN_INITIALIZED", false, info.Flags&pkcs11.CKF_USER_PIN_INITIALIZED != 0)
	a.rv("C_Login", ck.CKR_USER_PIN_NOT_INITIALIZED, a.Login(session, pkcs11.CKU_USER, userPIN))
	a.rv("C_SetPIN", ck.CKR_USER_PIN_NOT_INITIALIZED, a.SetPIN(session, userPIN, userPIN))
	a.rv("C_InitPIN by nobody", ck.CKR_USER_NOT_LOGGED_IN, a.InitPIN(session, userPIN))
	a.ok("C_CloseSession", a.CloseSession(session))
}

func setPIN(a *actor) {
	const other = "another-pin"
	a.rv("the user, wrong", ck.CKR_PIN_INCORRECT, a.SetPIN(a.keeper, "wrong-pin", other))
	a.ok("the user", a.SetPIN(a.keeper, userPIN, other))
	a.need("C_Logout", a.Logout(a.keeper))
	a.rv("the old one", ck.CKR_PIN_INCORRECT, a.Login(a.keeper, pkcs11.CKU_USER, userPIN))
	a.ok("nobody logged in", a.SetPIN(a.keeper, other, userPIN))
	a.rv("nobody logged in, wrong", ck.CKR_PIN_INCORRECT, a.SetPIN(a.keeper, "wrong-pin", other))
	a.need("C_Login of the SO", a.Login(a.keeper, pkcs11.CKU_SO, soPIN))
	a.rv("the SO, wrong", ck.CKR_PIN_INCORRECT, a.SetPIN(a.keeper, "wrong-pin", other))
	a.ok("the SO", a.SetPIN(a.keeper, soPIN, other))
	a.need("C_Logout of the SO", a.Logout(a.keeper))
	a.ok("the SO with the new one", a.Login(a.keeper, pkcs11.CKU_SO, other))
	a.need("C_Logout of the SO again", a.Logout(a.keeper))
	a.ok("the user with the last one", a.Login(a.keeper, pkcs11.CKU_USER, userPIN))
}

// The SO gives the user another PIN; the user's objects stay.
func initPIN(a *actor) {
	a.rv("by the user", ck.CKR_USER_NOT_LOGGED_IN, a.InitPIN(a.keeper, "another-pin"))
	_, err := a.CreateObject(a.keeper, attributes(CLASS, pkcs11.CKO_DATA, TOKEN, true, PRIVATE, true, VALUE,
		[]byte("kept"))...)
	a.need("C_CreateObject", err)
	a.need("C_Logout", a.Logout(a.keeper))
	a.rv("by nobody", ck.CKR_USER_NOT_LOGGED_IN, a.InitPIN(a.keeper, "another-pin"))
	a.need("C_Login of the SO", a.Login(a.keeper, pkcs11.CKU_SO, soPIN))
	a.ok("by the SO", a.InitPIN(a.keeper, "another-pin"))
	a.need("C_Logout of the SO", a.Logout(a.keeper))
	a.rv("the old one", ck.CKR_PIN_INCORRECT, a.Login(a.keeper, pkcs11.CKU_USER, userPIN))
	a.need("the new one", a.Login(a.keeper, pkcs11.CKU_USER, "another-pin"))
	found, err := a.FindObjects(a.keeper, attributes(CLASS, pkcs11.CKO_DATA)...)
	a.ok("C_FindObjects", err)
	a.equal("objects", 1, len(found))
	a.session = a.keeper
	a.reads("the object", found[0], VALUE, []byte("kept"))
	a.session = 0
}

func contextSpecific(a *actor) {
	a.rv("without an operation", ck.CKR_OPERATION_NOT_INITIALIZED,
		a.Login(a.session, pkcs11.CKU_CONTEXT_SPECIFIC, userPIN))
	key := a.aesKey(a.random(16))
	a.need("C_EncryptInit", a.begin("Encrypt", plain(pkcs11.CKM_AES_ECB), key))
	a.rv("with an operation that does not want it", ck.CKR_OPERATION_NOT_INITIALIZED,
		a.Login(a.session, pkcs11.CKU_CONTEXT_SPECIFIC, userPIN))
	_, err := a.once("Encrypt", make([]byte, 16))
	a.ok("C_Encrypt", err)
}

// CKA_ALWAYS_AUTHENTICATE wants the PIN before each use.
func alwaysAuthenticate(a *actor) {
	pair := a.rsaPair(attributes(VERIFY, true), attributes(SIGN, true, uint(pkcs11.CKA_ALWAYS_AUTHENTICATE), true,
		PRIVATE, true))
	sign := plain(pkcs11.CKM_SHA256_RSA_PKCS)
	a.ok("C_SignInit", a.begin("Sign", sign, pair.Private))
	_, err := a.once("Sign", []byte("data"))
	a.rv("C_Sign without the PIN", ck.CKR_USER_NOT_LOGGED_IN, err)
	a.apart(func() {
		a.need("C_SignInit again", a.begin("Sign", sign, pair.Private))
		a.rv("a wrong PIN", ck.CKR_PIN_INCORRECT, a.Login(a.session, pkcs11.CKU_CONTEXT_SPECIFIC, "wrong-pin"))
		a.ok("the PIN", a.Login(a.session, pkcs11.CKU_CONTEXT_SPECIFIC, userPIN))
		_, err := a.once("Sign", []byte("data"))
		a.ok("C_Sign", err)
		a.ok("C_SignInit once more", a.begin("Sign", sign, pair.Private))
		_, err = a.once("Sign", []byte("data"))
		a.rv("C_Sign with the PIN of the last time", ck.CKR_USER_NOT_LOGGED_IN, err)
	})
	a.apart(func() {
		a.need("C_SignInit for parts", a.begin("Sign", sign, pair.Private))
		_, err := a.update("Sign", []byte("data"))
		a.rv("C_SignUpdate without the PIN", ck.CKR_USER_NOT_LOGGED_IN, err)
	})
}

// After a logout the handles of private objects name nothing, and private session objects are gone.
func privateObjects(a *actor) {
	a.session = a.keeper
	onToken := a.object("C_CreateObject on the token", attributes(CLASS, pkcs11.CKO_DATA, TOKEN, true, PRIVATE, true,
		LABEL, "private"))
	inSession := a.object("C_CreateObject in the session",
		attributes(CLASS, pkcs11.CKO_DATA, PRIVATE, true, LABEL, "private"))
	public := a.object("C_CreateObject, public", attributes(CLASS, pkcs11.CKO_DATA, PRIVATE, false, LABEL, "public"))
	pair := a.rsaPair(nil, attributes(SIGN, true, PRIVATE, true))
	a.need("C_Logout", a.Logout(a.session))
	a.refuses("on the token", onToken, LABEL, ck.CKR_OBJECT_HANDLE_INVALID)
	a.refuses("in the session", inSession, LABEL, ck.CKR_OBJECT_HANDLE_INVALID)
	a.reads("public", public, LABEL, "public")
	a.rv("C_SignInit", ck.CKR_KEY_HANDLE_INVALID, a.begin("Sign", plain(pkcs11.CKM_RSA_PKCS), pair.Private))
	a.rv("C_DestroyObject", ck.CKR_OBJECT_HANDLE_INVALID, a.DestroyObject(a.session, onToken))
	found, err := a.FindObjects(a.session, attributes(LABEL, "private")...)
	a.ok("C_FindObjects", err)
	a.equal("found", 0, len(found))
	a.need("C_Login", a.Login(a.session, pkcs11.CKU_USER, userPIN))
	found, err = a.FindObjects(a.session, attributes(LABEL, "private")...)
	a.ok("C_FindObjects after a login", err)
	a.equal("found after a login", 1, len(found))
	a.refuses("the handle of before", onToken, LABEL, ck.CKR_OBJECT_HANDLE_INVALID)
	a.session = 0
}

func logoutEndsOperations(a *actor) {
	a.session = a.keeper
	pair := a.rsaPair(nil, attributes(SIGN, true, DECRYPT, true, PRIVATE, true))
	key := a.secretKey("C_CreateObject of an AES key", pkcs11.CKK_AES, a.random(16), ENCRYPT, true, PRIVATE, true)
	a.ok("C_SignInit", a.begin("Sign", plain(pkcs11.CKM_SHA256_RSA_PKCS), pair.Private))
	a.ok("C_DecryptInit", a.begin("Decrypt", plain(pkcs11.CKM_RSA_PKCS), pair.Private))
	a.ok("C_EncryptInit", a.begin("Encrypt", plain(pkcs11.CKM_AES_ECB), key))
	a.ok("C_DigestInit", a.begin("Digest", plain(pkcs11.CKM_SHA256), 0))
	a.need("C_Logout", a.Logout(a.session))
	_, err := a.once("Sign", []byte("data"))
	a.rv("C_Sign", ck.CKR_OPERATION_NOT_INITIALIZED, err)
	_, err = a.once("Decrypt", make([]byte, 256))
	a.rv("C_Decrypt", ck.CKR_OPERATION_NOT_INITIALIZED, err)
	_, err = a.once("Encrypt", make([]byte, 16))
	a.rv("C_Encrypt", ck.CKR_OPERATION_NOT_INITIALIZED, err)
	_, err = a.once("Digest", []byte("data"))
	a.ok("C_Digest, which has no key", err)
	a.session = 0
}

// What nobody who is not logged in may do, and what everybody may.
func publicSession(a *actor) {
	a.session = a.keeper
	a.need("C_Logout", a.Logout(a.session))
	a.ok("C_CreateObject, public", a.create(attributes(CLASS, pkcs11.CKO_DATA, PRIVATE, false)))
	a.ok("C_CreateObject, public, on the token", a.create(attributes(CLASS, pkcs11.CKO_DATA, PRIVATE, false, TOKEN, true)))
	a.rv("C_CreateObject, private", ck.CKR_USER_NOT_LOGGED_IN, a.create(attributes(CLASS, pkcs11.CKO_DATA, PRIVATE, true)))
	a.rv("C_CreateObject, private, on the token", ck.CKR_USER_NOT_LOGGED_IN,
		a.create(attributes(CLASS, pkcs11.CKO_DATA, PRIVATE, true, TOKEN, true)))
	_, err := a.generateAES(attributes(VALUE_LEN, 16, PRIVATE, true))
	a.rv("C_GenerateKey, private", ck.CKR_USER_NOT_LOGGED_IN, err)
	_, err = a.generateAES(attributes(VALUE_LEN, 16, PRIVATE, false))
	a.ok("C_GenerateKey, public", err)
	_, err = a.apply("Digest", plain(pkcs11.CKM_SHA256), 0, []byte("data"))
	a.ok("C_Digest", err)
	_, err = a.GenerateRandom(a.session, 8)
	a.ok("C_GenerateRandom", err)
	public := a.object("C_CreateObject of a public data object", attributes(CLASS, pkcs11.CKO_DATA, PRIVATE, false))
	_, err = a.CopyObject(a.session, public, attributes(PRIVATE, true)...)
	a.rv("C_CopyObject to a private one", ck.CKR_USER_NOT_LOGGED_IN, err)
	a.session = 0
}

// The SO sets tokens up and has no keys.
func securityOfficer(a *actor) {
	a.session = a.keeper
	a.need("C_Logout", a.Logout(a.session))
	a.need("C_Login", a.Login(a.session, pkcs11.CKU_SO, soPIN))
	a.rv("C_CreateObject, private", ck.CKR_USER_NOT_LOGGED_IN, a.create(attributes(CLASS, pkcs11.CKO_DATA, PRIVATE, true)))
	a.ok("C_CreateObject, public", a.create(attributes(CLASS, pkcs11.CKO_DATA, PRIVATE, false, TOKEN, true)))
	a.ok("a certificate that is trusted", a.create(append(certificate(), attributes(TRUSTED, true)...)))
	_, err := a.generateAES(attributes(VALUE_LEN, 16))
	a.rv("C_GenerateKey", ck.CKR_USER_NOT_LOGGED_IN, err)
	a.need("C_Logout of the SO", a.Logout(a.session))
	a.need("C_Login of the user", a.Login(a.session, pkcs11.CKU_USER, userPIN))
	a.rv("a certificate that the user trusts", ck.CKR_ATTRIBUTE_READ_ONLY,
		a.create(append(certificate(), attributes(TRUSTED, true)...)))
	a.session = 0
}

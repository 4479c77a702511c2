package softhsmtests

import (
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// Tokens: making them, making them again, several of them.
func TestGroupToken(t *testing.T) {
	group(t, "token",
		scenario{name: "one more", run: oneMoreToken, fresh: true},
		scenario{name: "again", run: tokenAgain, fresh: true},
		scenario{name: "labels", run: tokenLabels, fresh: true},
		scenario{name: "apart", run: tokensApart, fresh: true},
		scenario{name: "PIN lengths", run: tokenPINs, fresh: true},
	)
}

// There is always one more slot with a token that waits to be initialised.
func oneMoreToken(a *actor) {
	for _, label := range []string{"second", "third"} {
		session, slot := a.freshToken(label)
		info, err := a.GetTokenInfo(slot)
		a.ok(label+": C_GetTokenInfo", err)
		a.equal(label+": label", label, info.Label)
		a.ok(label+": C_CloseSession", a.CloseSession(session))
	}
	slots, err := a.GetSlotList(false)
	a.ok("C_GetSlotList", err)
	a.equal("slots", 4, len(slots))
	info, err := a.GetTokenInfo(slots[3])
	a.ok("the last: C_GetTokenInfo", err)
	a.equal("the last: CKF_TOKEN_INITIALIZED", false, info.Flags&pkcs11.CKF_TOKEN_INITIALIZED != 0)
}

func tokenAgain(a *actor) {
	_, err := a.CreateObject(a.keeper, attributes(CLASS, pkcs11.CKO_DATA, TOKEN, true, PRIVATE, false, LABEL, "lost")...)
	a.need("C_CreateObject", err)
	a.rv("with a session", ck.CKR_SESSION_EXISTS, a.InitToken(a.slot, soPIN, "again"))
	a.need("C_CloseAllSessions", a.CloseAllSessions(a.slot))
	a.rv("with a wrong PIN", ck.CKR_PIN_INCORRECT, a.InitToken(a.slot, "wrong-pin", "again"))
	info, err := a.GetTokenInfo(a.slot)
	a.ok("C_GetTokenInfo", err)
	a.equal("label after a wrong PIN", "compared", info.Label)
	a.equal("CKF_SO_PIN_COUNT_LOW", true, info.Flags&pkcs11.CKF_SO_PIN_COUNT_LOW != 0)
	a.need("C_InitToken", a.InitToken(a.slot, soPIN, "again"))
	info, err = a.GetTokenInfo(a.slot)
	a.ok("C_GetTokenInfo after it", err)
	a.equal("label", "again", info.Label)
	a.equal("CKF_USER_PIN_INITIALIZED", false, info.Flags&pkcs11.CKF_USER_PIN_INITIALIZED != 0)
	session, err := a.OpenSession(a.slot, pkcs11.CKF_RW_SESSION)
	a.need("C_OpenSession", err)
	found, err := a.FindObjects(session, attributes(CLASS, pkcs11.CKO_DATA)...)
	a.ok("C_FindObjects", err)
	a.equal("objects that are left", 0, len(found))
	a.rv("the user of before", ck.CKR_USER_PIN_NOT_INITIALIZED, a.Login(session, pkcs11.CKU_USER, userPIN))
	a.ok("the SO", a.Login(session, pkcs11.CKU_SO, soPIN))
}

func tokenLabels(a *actor) {
	for _, label := range []string{"", "with spaces in it", strings.Repeat("l", 32), "Schlüssel"} {
		slots, err := a.GetSlotList(false)
		a.need("C_GetSlotList", err)
		last := slots[len(slots)-1]
		a.ok("C_InitToken "+label, a.InitToken(last, soPIN, label))
		a.slotOf(a.t, label)
	}
}

// Tokens have their own users and objects.
func tokensApart(a *actor) {
	session, _ := a.freshToken("another")
	a.state("nobody is logged in at the other one", session, ck.CKS_RW_PUBLIC_SESSION, pkcs11.CKF_RW_SESSION)
	object, err := a.CreateObject(a.keeper, attributes(CLASS, pkcs11.CKO_DATA, TOKEN, true, PRIVATE, false, LABEL,
		"here")...)
	a.need("C_CreateObject", err)
	found, err := a.FindObjects(session, attributes(LABEL, "here")...)
	a.ok("C_FindObjects at the other one", err)
	a.equal("found at the other one", 0, len(found))
	a.session = session
	a.refuses("C_GetAttributeValue at the other one", object, LABEL, ck.CKR_OBJECT_HANDLE_INVALID)
	a.session = 0
	a.ok("C_Login of the SO at the other one", a.Login(session, pkcs11.CKU_SO, soPIN))
	a.state("the user here", a.keeper, ck.CKS_RW_USER_FUNCTIONS, pkcs11.CKF_RW_SESSION)
}

func tokenPINs(a *actor) {
	slots, err := a.GetSlotList(false)
	a.need("C_GetSlotList", err)
	last := slots[len(slots)-1]
	a.rv("3 bytes", ck.CKR_PIN_LEN_RANGE, a.InitToken(last, "abc", "label"))
	a.rv("256 bytes", ck.CKR_PIN_LEN_RANGE, a.InitToken(last, strings.Repeat("p", 256), "label"))
	a.ok("255 bytes", a.InitToken(last, strings.Repeat("p", 255), "label"))
}

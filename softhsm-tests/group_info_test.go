package softhsmtests

import (
	"fmt"
	"slices"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// What an application reads before it does anything: library, slots, tokens, mechanisms.
func TestGroupInfo(t *testing.T) {
	group(t, "info",
		scenario{name: "library", run: libraryInfo},
		scenario{name: "slots", run: slotLists},
		scenario{name: "no such slot", run: noSuchSlot},
		scenario{name: "token", run: tokenInfo},
		scenario{name: "mechanisms", run: mechanismList},
		scenario{name: "key sizes", run: keySizes},
	)
}

func libraryInfo(a *actor) {
	info, err := a.GetInfo()
	a.need("C_GetInfo", err)
	a.equal("flags", uint(0), info.Flags)
	a.equal("it says who made it", true, info.ManufacturerID != "")
	a.equal("it is at least 2.40", true, info.CryptokiVersion.Major > 2 || info.CryptokiVersion.Minor >= 40)
}

func slotLists(a *actor) {
	all, err := a.GetSlotList(false)
	a.need("C_GetSlotList of all", err)
	a.equal("slots", 2, len(all))
	present, err := a.GetSlotList(true)
	a.need("C_GetSlotList of those with a token", err)
	a.equal("slots with a token", 2, len(present))
	a.equal("they are the same", true, slices.Equal(all, present))
	for i, slot := range all {
		info, err := a.GetSlotInfo(slot)
		a.ok(fmt.Sprintf("C_GetSlotInfo %d", i), err)
		a.equal(fmt.Sprintf("flags %d", i), uint(pkcs11.CKF_TOKEN_PRESENT), info.Flags)
	}
}

func noSuchSlot(a *actor) {
	for _, slot := range []uint{1 << 31, ^uint(0)} {
		_, err := a.GetSlotInfo(slot)
		a.rv(fmt.Sprintf("C_GetSlotInfo %#x", slot), ck.CKR_SLOT_ID_INVALID, err)
		_, err = a.GetTokenInfo(slot)
		a.rv(fmt.Sprintf("C_GetTokenInfo %#x", slot), ck.CKR_SLOT_ID_INVALID, err)
		_, err = a.GetMechanismList(slot)
		a.rv(fmt.Sprintf("C_GetMechanismList %#x", slot), ck.CKR_SLOT_ID_INVALID, err)
		_, err = a.GetMechanismInfo(slot, pkcs11.CKM_RSA_PKCS)
		a.rv(fmt.Sprintf("C_GetMechanismInfo %#x", slot), ck.CKR_SLOT_ID_INVALID, err)
		_, err = a.OpenSession(slot, 0)
		a.rv(fmt.Sprintf("C_OpenSession %#x", slot), ck.CKR_SLOT_ID_INVALID, err)
		a.rv(fmt.Sprintf("C_CloseAllSessions %#x", slot), ck.CKR_SLOT_ID_INVALID, a.CloseAllSessions(slot))
		a.rv(fmt.Sprintf("C_InitToken %#x", slot), ck.CKR_SLOT_ID_INVALID, a.InitToken(slot, soPIN, "none"))
	}
}

// flagNames are the flags of a token that applications look at.
var flagNames = []struct {
	name string
	flag uint
	want bool
}{
	{"CKF_RNG", pkcs11.CKF_RNG, true},
	{"CKF_WRITE_PROTECTED", pkcs11.CKF_WRITE_PROTECTED, false},
	{"CKF_LOGIN_REQUIRED", pkcs11.CKF_LOGIN_REQUIRED, true},
	{"CKF_USER_PIN_INITIALIZED", pkcs11.CKF_USER_PIN_INITIALIZED, true},
	{"CKF_RESTORE_KEY_NOT_NEEDED", pkcs11.CKF_RESTORE_KEY_NOT_NEEDED, false},
	{"CKF_CLOCK_ON_TOKEN", pkcs11.CKF_CLOCK_ON_TOKEN, false},
	{"CKF_PROTECTED_AUTHENTICATION_PATH", pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH, false},
	{"CKF_DUAL_CRYPTO_OPERATIONS", pkcs11.CKF_DUAL_CRYPTO_OPERATIONS, false},
	{"CKF_TOKEN_INITIALIZED", pkcs11.CKF_TOKEN_INITIALIZED, true},
	{"CKF_USER_PIN_COUNT_LOW", pkcs11.CKF_USER_PIN_COUNT_LOW, false},
	{"CKF_USER_PIN_LOCKED", pkcs11.CKF_USER_PIN_LOCKED, false},
	{"CKF_SO_PIN_COUNT_LOW", pkcs11.CKF_SO_PIN_COUNT_LOW, false},
	{"CKF_SO_PIN_LOCKED", pkcs11.CKF_SO_PIN_LOCKED, false},
}

func tokenInfo(a *actor) {
	info, err := a.GetTokenInfo(a.slot)
	a.need("C_GetTokenInfo", err)
	a.equal("label", "compared", info.Label)
	a.equal("it has a serial number", 16, len(info.SerialNumber))
	for _, f := range flagNames {
		a.equal(f.name, f.want, info.Flags&f.flag != 0)
	}
	a.equal("least PIN length", uint(4), info.MinPinLen)
	a.equal("greatest PIN length", uint(255), info.MaxPinLen)
	a.equal("most sessions", uint(ck.CK_EFFECTIVELY_INFINITE), info.MaxSessionCount)
	a.equal("memory", ^uint(0), info.TotalPublicMemory)
}

// Of the flags of a mechanism: what it is for, not where it runs.
const purposes = pkcs11.CKF_ENCRYPT | pkcs11.CKF_DECRYPT | pkcs11.CKF_DIGEST | pkcs11.CKF_SIGN | pkcs11.CKF_VERIFY |
	pkcs11.CKF_SIGN_RECOVER | pkcs11.CKF_VERIFY_RECOVER | pkcs11.CKF_GENERATE | pkcs11.CKF_GENERATE_KEY_PAIR |
	pkcs11.CKF_WRAP | pkcs11.CKF_UNWRAP | pkcs11.CKF_DERIVE

func mechanismList(a *actor) {
	list, err := a.GetMechanismList(a.slot)
	a.need("C_GetMechanismList", err)
	for _, m := range offered {
		a.equal(m.name+" is in the list", m.listed, slices.Contains(list, m.number))
		info, err := a.GetMechanismInfo(a.slot, m.number)
		if !m.listed {
			a.rv(m.name+" has information", ck.CKR_MECHANISM_INVALID, err)
			continue
		}
		if err != nil {
			info.Flags = 0
		}
		a.equal(m.name+" is for", purpose(m.flags), purpose(info.Flags&purposes))
	}
}

// keySizes holds the sizes of the mechanisms that clients look at.
func keySizes(a *actor) {
	for _, m := range []struct {
		name                string
		number, least, most uint
	}{
		{"CKM_RSA_PKCS_KEY_PAIR_GEN", pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, 2048, 4096},
		{"CKM_EC_KEY_PAIR_GEN", pkcs11.CKM_EC_KEY_PAIR_GEN, 224, 521},
		{"CKM_ECDSA", pkcs11.CKM_ECDSA, 224, 521},
		{"CKM_AES_KEY_GEN", pkcs11.CKM_AES_KEY_GEN, 16, 32},
		{"CKM_AES_GCM", pkcs11.CKM_AES_GCM, 16, 32},
		{"CKM_SHA256", pkcs11.CKM_SHA256, 0, 0},
	} {
		info, err := a.GetMechanismInfo(a.slot, m.number)
		a.ok(m.name, err)
		a.equal(m.name+" at least", m.least, info.MinKeySize)
		a.equal(m.name+" at most", m.most, info.MaxKeySize)
	}
}

// purpose names flags of a mechanism.
func purpose(flags uint) (names []string) {
	for _, f := range []struct {
		flag uint
		name string
	}{
		{pkcs11.CKF_ENCRYPT, "encrypt"}, {pkcs11.CKF_DECRYPT, "decrypt"}, {pkcs11.CKF_DIGEST, "digest"},
		{pkcs11.CKF_SIGN, "sign"}, {pkcs11.CKF_SIGN_RECOVER, "sign-recover"}, {pkcs11.CKF_VERIFY, "verify"},
		{pkcs11.CKF_VERIFY_RECOVER, "verify-recover"}, {pkcs11.CKF_GENERATE, "generate"},
		{pkcs11.CKF_GENERATE_KEY_PAIR, "pair"}, {pkcs11.CKF_WRAP, "wrap"}, {pkcs11.CKF_UNWRAP, "unwrap"},
		{pkcs11.CKF_DERIVE, "derive"},
	} {
		if flags&f.flag != 0 {
			names = append(names, f.name)
		}
	}
	return names
}

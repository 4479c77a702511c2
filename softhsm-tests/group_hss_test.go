package softhsmtests

import (
	"errors"
	"fmt"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/lms"
	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// HSS among the other mechanisms of the token. SoftHSM has none of it.
func TestGroupHSS(t *testing.T) {
	group(t, "hss",
		scenario{name: "generate", run: hssGenerate},
		scenario{name: "templates", run: hssTemplates},
		scenario{name: "attributes", run: hssAttributes},
		scenario{name: "sign", run: hssSign},
		scenario{name: "states", run: hssStates},
		scenario{name: "wrong keys", run: hssWrongKeys},
		scenario{name: "never out", run: hssNeverOut},
		scenario{name: "public keys", run: hssPublicKeys},
		scenario{name: "exhaustion", run: hssExhaustion},
		scenario{name: "beside others", run: hssBesideOthers},
		scenario{name: "logout", run: hssLogout, fresh: true, session: true},
	)
}

// hss stops a scenario where there is no HSS.
func (a *actor) hss() {
	a.offers("CKM_HSS_KEY_PAIR_GEN", CKM_HSS_KEY_PAIR_GEN, pkcs11.CKF_GENERATE_KEY_PAIR)
}

// hssPair is C_GenerateKeyPair of a session key with these levels.
func (a *actor) hssPair(levels []lms.ParameterSet, more ...any) (worker.KeyPair, error) {
	return a.pair(plain(CKM_HSS_KEY_PAIR_GEN), nil, append(levelAttributes(levels), attributes(more...)...))
}

// hssKey is one that the rest of the scenario needs.
func (a *actor) hssKey(levels []lms.ParameterSet) worker.KeyPair {
	a.hss()
	pair, err := a.hssPair(levels)
	a.need("C_GenerateKeyPair", err)
	return pair
}

// left notes down how many signatures a key has left.
func (a *actor) left(step string, key pkcs11.ObjectHandle, want int) {
	a.reads(step+": CKA_HSS_KEYS_REMAINING", key, uint(ck.CKA_HSS_KEYS_REMAINING), want)
}

func hssGenerate(a *actor) {
	a.hss()
	for _, c := range []struct {
		name   string
		levels []lms.ParameterSet
		most   int
	}{{"one level", oneLevel, 32}, {"two levels", twoLevels, 1024}} {
		pair, err := a.hssPair(c.levels)
		a.need(c.name+": C_GenerateKeyPair", err)
		a.left(c.name, pair.Private, c.most)
		a.reads(c.name+": CKA_KEY_GEN_MECHANISM", pair.Private, uint(pkcs11.CKA_KEY_GEN_MECHANISM), CKM_HSS_KEY_PAIR_GEN)
		value, err := a.attribute(pair.Public, VALUE)
		a.length(c.name+": public key", lms.HSSPublicKeySize(h5w4), value, err)
	}
}

func hssTemplates(a *actor) {
	a.hss()
	levels := uint(ck.CKA_HSS_LEVELS)
	types, otss := uint(ck.CKA_HSS_LMS_TYPES), uint(ck.CKA_HSS_LMOTS_TYPES)
	for _, c := range []struct {
		name    string
		private []*pkcs11.Attribute
		want    ck.RV
	}{
		{"nothing", nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{"no types", attributes(levels, 1), ck.CKR_TEMPLATE_INCOMPLETE},
		{"fewer types than levels", attributes(levels, 2, types, ulongs(5), otss, ulongs(3)), ck.CKR_TEMPLATE_INCONSISTENT},
		{"sensitive no", append(levelAttributes(oneLevel), attributes(SENSITIVE, false)...), ck.CKR_TEMPLATE_INCONSISTENT},
		{"extractable", append(levelAttributes(oneLevel), attributes(EXTRACTABLE, true)...), ck.CKR_TEMPLATE_INCONSISTENT},
		{"copyable", append(levelAttributes(oneLevel), attributes(COPYABLE, true)...), ck.CKR_TEMPLATE_INCONSISTENT},
		{"its remaining signatures", append(levelAttributes(oneLevel), attributes(uint(ck.CKA_HSS_KEYS_REMAINING), 1)...),
			ck.CKR_TEMPLATE_INCONSISTENT},
	} {
		_, err := a.pair(plain(CKM_HSS_KEY_PAIR_GEN), nil, c.private)
		a.rv(c.name, c.want, err)
	}
	_, err := a.pair(plain(CKM_HSS_KEY_PAIR_GEN, 1), nil, levelAttributes(oneLevel))
	a.rv("a parameter", ck.CKR_MECHANISM_PARAM_INVALID, err)
}

func hssAttributes(a *actor) {
	pair := a.hssKey(twoLevels)
	for _, c := range []struct {
		name   string
		number uint
		want   bool
	}{
		{"CKA_SENSITIVE", SENSITIVE, true}, {"CKA_EXTRACTABLE", EXTRACTABLE, false}, {"CKA_COPYABLE", COPYABLE, false},
		{"CKA_SIGN", SIGN, true}, {"CKA_DECRYPT", DECRYPT, false}, {"CKA_UNWRAP", UNWRAP, false},
		{"CKA_DERIVE", DERIVE, false},
		{"CKA_LOCAL", uint(pkcs11.CKA_LOCAL), true}, {"CKA_ALWAYS_SENSITIVE", uint(pkcs11.CKA_ALWAYS_SENSITIVE), true},
		{"CKA_NEVER_EXTRACTABLE", uint(pkcs11.CKA_NEVER_EXTRACTABLE), true},
	} {
		a.reads(c.name, pair.Private, c.number, c.want)
	}
	a.reads("CKA_HSS_LEVELS", pair.Public, uint(ck.CKA_HSS_LEVELS), 2)
	a.reads("CKA_HSS_LMS_TYPE", pair.Public, uint(ck.CKA_HSS_LMS_TYPE), int(h5w4.LMS))
	a.refuses("CKA_VALUE", pair.Private, VALUE, ck.CKR_ATTRIBUTE_SENSITIVE)
	a.rv("C_SetAttributeValue of CKA_HSS_LEVELS", ck.CKR_ATTRIBUTE_READ_ONLY,
		a.SetAttributeValue(a.session, pair.Private, attributes(uint(ck.CKA_HSS_LEVELS), 1)...))
	a.ok("C_SetAttributeValue of CKA_LABEL", a.SetAttributeValue(a.session, pair.Private, attributes(LABEL, "label")...))
}

func hssSign(a *actor) {
	pair := a.hssKey(twoLevels)
	m := plain(CKM_HSS)
	for i, data := range [][]byte{nil, []byte("d"), message} {
		name := fmt.Sprintf("%d bytes: ", len(data))
		signature, err := a.apply("Sign", m, pair.Private, data)
		a.length(name+"C_Sign", lms.HSSSignatureSize(twoLevels), signature, err)
		a.ok(name+"C_Verify", a.verify(m, pair.Public, data, signature))
		parts, err := a.applyParts("Sign", m, pair.Private, thirds(data)...)
		a.length(name+"C_SignUpdate", lms.HSSSignatureSize(twoLevels), parts, err)
		a.ok(name+"C_VerifyUpdate", a.verifyParts(m, pair.Public, parts, thirds(data)...))
		a.rv(name+"another message", ck.CKR_SIGNATURE_INVALID,
			a.verify(m, pair.Public, append([]byte("x"), data...), signature))
		a.left(name, pair.Private, 1024-2*(i+1))
	}
	short := a.verify(m, pair.Public, nil, make([]byte, 100))
	a.rv("a short signature", ck.CKR_SIGNATURE_LEN_RANGE, short)
}

// What an operation does before its end costs nothing.
func hssStates(a *actor) {
	pair := a.hssKey(oneLevel)
	m := plain(CKM_HSS)
	a.apart(func() {
		a.ok("C_SignInit", a.begin("Sign", m, pair.Private))
		a.rv("C_SignInit again", ck.CKR_OPERATION_ACTIVE, a.begin("Sign", m, pair.Private))
		_, err := a.update("Sign", message)
		a.ok("C_SignUpdate", err)
		_, err = a.once("Sign", message)
		a.rv("C_Sign after C_SignUpdate", ck.CKR_OPERATION_ACTIVE, err)
		_, err = a.final("Sign")
		a.rv("C_SignFinal after that", ck.CKR_OPERATION_NOT_INITIALIZED, err)
	})
	a.left("after no signature", pair.Private, 32)
	a.rv("a parameter", ck.CKR_MECHANISM_PARAM_INVALID, a.begin("Sign", plain(CKM_HSS, 1), pair.Private))
	a.left("after a parameter", pair.Private, 32)
}

func hssWrongKeys(a *actor) {
	pair := a.hssKey(oneLevel)
	ec := a.ecPair("P-256", attributes(VERIFY, true), attributes(SIGN, true))
	for _, c := range []struct {
		name, function string
		m              worker.Mechanism
		key            pkcs11.ObjectHandle
	}{
		{"HSS with an EC key", "Sign", plain(CKM_HSS), ec.Private},
		{"HSS with the public key", "Sign", plain(CKM_HSS), pair.Public},
		{"HSS verifying with the private key", "Verify", plain(CKM_HSS), pair.Private},
		{"ECDSA with an HSS key", "Sign", plain(pkcs11.CKM_ECDSA), pair.Private},
		{"RSA with an HSS key", "Sign", plain(pkcs11.CKM_RSA_PKCS), pair.Private},
	} {
		a.apart(func() { a.rv(c.name, ck.CKR_KEY_TYPE_INCONSISTENT, a.begin(c.function, c.m, c.key)) })
	}
	a.rv("encryption", ck.CKR_MECHANISM_INVALID, a.begin("Encrypt", plain(CKM_HSS), pair.Public))
}

// An HSS private key is where it was made, and nowhere else.
func hssNeverOut(a *actor) {
	pair := a.hssKey(oneLevel)
	_, err := a.CopyObject(a.session, pair.Private, attributes(LABEL, "copy")...)
	a.rv("C_CopyObject", ck.CKR_ACTION_PROHIBITED, err)
	kek := a.secretKey("C_CreateObject of a key that wraps", pkcs11.CKK_AES, a.random(32), WRAP, true, ENCRYPT, false,
		DECRYPT, false)
	for _, m := range []worker.Mechanism{plain(pkcs11.CKM_AES_KEY_WRAP), plain(CKM_AES_KEY_WRAP_KWP),
		plain(pkcs11.CKM_AES_CBC_PAD, iv16...)} {
		_, err = a.wrap(m, kek, pair.Private)
		a.rv(fmt.Sprintf("C_WrapKey with %#x", m.Type), ck.CKR_KEY_UNEXTRACTABLE, err)
	}
	err = a.create(attributes(CLASS, pkcs11.CKO_PRIVATE_KEY, KEY_TYPE, 0x46, uint(ck.CKA_HSS_LEVELS), 1, VALUE,
		a.random(64)))
	a.rv("C_CreateObject", ck.CKR_TEMPLATE_INCONSISTENT, err)
	_, err = a.unwrap(plain(pkcs11.CKM_AES_KEY_WRAP), a.secretKey("C_CreateObject of a key that unwraps",
		pkcs11.CKK_AES, a.random(32),
		UNWRAP, true, ENCRYPT, false, DECRYPT, false), make([]byte, 24), CLASS, pkcs11.CKO_PRIVATE_KEY, KEY_TYPE, 0x46)
	a.equal("C_UnwrapKey refuses", true, err != nil)
	_, err = a.derive(ecdhDerive(pkcs11.CKD_NULL, nil, ecOther["P-256"]().PublicKey().Bytes()), pair.Private,
		generic(VALUE_LEN, 32)...)
	a.equal("C_DeriveKey refuses", true, err != nil)
	a.left("after all that", pair.Private, 32)
}

// A public key travels.
func hssPublicKeys(a *actor) {
	pair := a.hssKey(oneLevel)
	value, err := a.attribute(pair.Public, VALUE)
	a.ok("CKA_VALUE", err)
	imported, err := a.CreateObject(a.session, attributes(CLASS, pkcs11.CKO_PUBLIC_KEY, KEY_TYPE, 0x46, VALUE, value)...)
	a.need("C_CreateObject", err)
	signature, err := a.apply("Sign", plain(CKM_HSS), pair.Private, message)
	a.ok("C_Sign", err)
	a.ok("C_Verify with the imported one", a.verify(plain(CKM_HSS), imported, message, signature))
	copied, err := a.CopyObject(a.session, imported, attributes(LABEL, "copy")...)
	a.ok("C_CopyObject", err)
	a.ok("C_Verify with the copy", a.verify(plain(CKM_HSS), copied, message, signature))
	a.rv("C_CreateObject of what is none", ck.CKR_ATTRIBUTE_VALUE_INVALID,
		a.create(attributes(CLASS, pkcs11.CKO_PUBLIC_KEY, KEY_TYPE, 0x46, VALUE, value[1:])))
}

func hssExhaustion(a *actor) {
	pair := a.hssKey(oneLevel)
	failed := 0
	for range 32 {
		if _, err := a.apply("Sign", plain(CKM_HSS), pair.Private, message); err != nil {
			failed++
		}
	}
	a.equal("signatures that failed", 0, failed)
	a.left("at the end", pair.Private, 0)
	_, err := a.apply("Sign", plain(CKM_HSS), pair.Private, message)
	a.rv("one more", ck.CKR_KEY_EXHAUSTED, err)
	a.ok("C_DestroyObject", a.DestroyObject(a.session, pair.Private))
}

// Operations of HSS and of other mechanisms do not know of each other.
func hssBesideOthers(a *actor) {
	pair := a.hssKey(oneLevel)
	key := a.aesKey(a.random(16))
	a.ok("C_SignInit", a.begin("Sign", plain(CKM_HSS), pair.Private))
	a.ok("C_EncryptInit", a.begin("Encrypt", plain(pkcs11.CKM_AES_ECB), key))
	a.ok("C_DigestInit", a.begin("Digest", plain(pkcs11.CKM_SHA256), 0))
	_, err := a.once("Encrypt", make([]byte, 16))
	a.ok("C_Encrypt", err)
	signature, err := a.once("Sign", message)
	a.ok("C_Sign", err)
	_, err = a.once("Digest", message)
	a.ok("C_Digest", err)
	a.ok("C_Verify", a.verify(plain(CKM_HSS), pair.Public, message, signature))
	a.left("one signature", pair.Private, 31)
}

func hssLogout(a *actor) {
	a.hss()
	pair, err := a.hssPair(oneLevel, TOKEN, true)
	a.need("C_GenerateKeyPair", err)
	a.ok("C_SignInit", a.begin("Sign", plain(CKM_HSS), pair.Private))
	a.need("C_Logout", a.Logout(a.session))
	_, err = a.once("Sign", message)
	a.rv("C_Sign after it", ck.CKR_OPERATION_NOT_INITIALIZED, err)
	a.rv("C_SignInit after it", ck.CKR_KEY_HANDLE_INVALID, a.begin("Sign", plain(CKM_HSS), pair.Private))
	a.need("C_Login", a.Login(a.session, pkcs11.CKU_USER, userPIN))
	found, err := a.FindObjects(a.session, attributes(CLASS, pkcs11.CKO_PRIVATE_KEY)...)
	a.need("C_FindObjects", errors.Join(err, oneFound(found)))
	a.left("after it", found[0], 32)
}

func oneFound(found []pkcs11.ObjectHandle) error {
	if len(found) == 1 {
		return nil
	}
	return fmt.Errorf("%d objects, want 1", len(found))
}

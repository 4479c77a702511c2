package softhsmtests

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// Objects: making, copying, changing, finding and destroying them, and what their attributes are.
func TestGroupObject(t *testing.T) {
	scenarios := []scenario{
		{name: "templates", run: objectTemplates},
		{name: "no such object", run: noSuchObject},
		{name: "copy", run: copyObjects},
		{name: "copy of a key", run: copyKeys},
		{name: "change", run: changeObjects},
		{name: "not modifiable", run: notModifiable},
		{name: "not copyable, not destroyable", run: notCopyable},
		{name: "sensitive", run: sensitiveValues},
		{name: "sticky", run: stickyAttributes},
		{name: "find", run: findObjects},
		{name: "find states", run: findStates},
		{name: "find what is not there", run: findForeign},
		{name: "sizes", run: objectSizes},
		{name: "on the token", run: tokenObjects, fresh: true},
		{name: "trusted", run: trustedByUser},
		{name: "unknown attributes", run: unknownAttributes},
		{name: "own attributes", run: ownAttributes},
		{name: "keys with wrong values", run: wrongKeys},
		{name: "allowed mechanisms", run: allowedMechanisms},
	}
	for _, d := range objectDefaults() {
		scenarios = append(scenarios, scenario{name: "defaults of " + d.name, run: func(a *actor) { defaults(a, d) }})
	}
	group(t, "object", scenarios...)
}

// certificate is a template of one that is enough for a token.
func certificate() []*pkcs11.Attribute {
	return attributes(CLASS, pkcs11.CKO_CERTIFICATE, CERTIFICATE_TYPE, pkcs11.CKC_X_509, SUBJECT, []byte{0x30, 0},
		VALUE, []byte{0x30, 0}, LABEL, "certificate")
}

// A template that lacks something, has too much, or the wrong thing.
func objectTemplates(a *actor) {
	for _, c := range []struct {
		name     string
		template []*pkcs11.Attribute
		want     ck.RV
	}{
		{"nothing", nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{"no class", attributes(LABEL, "x"), ck.CKR_TEMPLATE_INCOMPLETE},
		{"a class that is none", attributes(CLASS, 0x77), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"data alone", attributes(CLASS, pkcs11.CKO_DATA), ck.CKR_OK},
		{"a class of three bytes", attributes(CLASS, []byte{0, 0, 0}), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"a BBOOL of two bytes", attributes(CLASS, pkcs11.CKO_DATA, PRIVATE, []byte{1, 0}), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"a key without a type", attributes(CLASS, pkcs11.CKO_SECRET_KEY, VALUE, a.random(16)), ck.CKR_TEMPLATE_INCOMPLETE},
		{"a key of a type that is none", attributes(CLASS, pkcs11.CKO_SECRET_KEY, KEY_TYPE, 0x7777, VALUE, a.random(16)),
			ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"a secret key without a value", attributes(CLASS, pkcs11.CKO_SECRET_KEY, KEY_TYPE, pkcs11.CKK_AES),
			ck.CKR_TEMPLATE_INCOMPLETE},
		{"a certificate without a type", attributes(CLASS, pkcs11.CKO_CERTIFICATE, VALUE, []byte{0x30, 0}),
			ck.CKR_TEMPLATE_INCOMPLETE},
		{"a certificate", certificate(), ck.CKR_OK},
		{"a certificate without a subject", attributes(CLASS, pkcs11.CKO_CERTIFICATE, CERTIFICATE_TYPE, pkcs11.CKC_X_509,
			VALUE, []byte{0x30, 0}), ck.CKR_TEMPLATE_INCOMPLETE},
		{"an RSA public key without a modulus", attributes(CLASS, pkcs11.CKO_PUBLIC_KEY, KEY_TYPE, pkcs11.CKK_RSA,
			PUBLIC_EXPONENT, []byte{1, 0, 1}), ck.CKR_TEMPLATE_INCOMPLETE},
		{"an RSA private key without its exponent", attributes(CLASS, pkcs11.CKO_PRIVATE_KEY, KEY_TYPE, pkcs11.CKK_RSA,
			MODULUS, rsaKey().N.Bytes()), ck.CKR_TEMPLATE_INCOMPLETE},
		{"an EC public key without a point", attributes(CLASS, pkcs11.CKO_PUBLIC_KEY, KEY_TYPE, pkcs11.CKK_EC,
			EC_PARAMS, curves["P-256"]), ck.CKR_TEMPLATE_INCOMPLETE},
		{"data with the attribute of a key", attributes(CLASS, pkcs11.CKO_DATA, SENSITIVE, true),
			ck.CKR_TEMPLATE_INCONSISTENT},
		{"data with an attribute that is none", attributes(CLASS, pkcs11.CKO_DATA, uint(0x7fff1234), []byte{1}),
			ck.CKR_ATTRIBUTE_TYPE_INVALID},
		{"an AES key with its length", secretTemplate(pkcs11.CKK_AES, a.random(16), VALUE_LEN, 16),
			ck.CKR_ATTRIBUTE_READ_ONLY},
		{"a key that is local", secretTemplate(pkcs11.CKK_AES, a.random(16), uint(pkcs11.CKA_LOCAL), true),
			ck.CKR_ATTRIBUTE_READ_ONLY},
		{"a key that never was extractable", secretTemplate(pkcs11.CKK_AES, a.random(16),
			uint(pkcs11.CKA_NEVER_EXTRACTABLE), true),
			ck.CKR_ATTRIBUTE_READ_ONLY},
		{"the same label twice", attributes(CLASS, pkcs11.CKO_DATA, LABEL, "x", LABEL, "x"), ck.CKR_OK},
		{"two labels", attributes(CLASS, pkcs11.CKO_DATA, LABEL, "x", LABEL, "y"), ck.CKR_TEMPLATE_INCONSISTENT},
	} {
		a.rv(c.name, c.want, a.create(c.template))
	}
}

func noSuchObject(a *actor) {
	for _, object := range []pkcs11.ObjectHandle{0, 999999} {
		name := fmt.Sprint(object, ": ")
		a.refuses(name+"C_GetAttributeValue", object, LABEL, ck.CKR_OBJECT_HANDLE_INVALID)
		a.rv(name+"C_SetAttributeValue", ck.CKR_OBJECT_HANDLE_INVALID,
			a.SetAttributeValue(a.session, object, attributes(LABEL, "x")...))
		_, err := a.CopyObject(a.session, object, attributes(LABEL, "x")...)
		a.rv(name+"C_CopyObject", ck.CKR_OBJECT_HANDLE_INVALID, err)
		a.rv(name+"C_DestroyObject", ck.CKR_OBJECT_HANDLE_INVALID, a.DestroyObject(a.session, object))
		_, err = a.GetObjectSize(a.session, object)
		a.rv(name+"C_GetObjectSize", ck.CKR_OBJECT_HANDLE_INVALID, err)
		a.rv(name+"C_EncryptInit", ck.CKR_KEY_HANDLE_INVALID, a.begin("Encrypt", plain(pkcs11.CKM_AES_ECB), object))
		a.rv(name+"C_DecryptInit", ck.CKR_KEY_HANDLE_INVALID, a.begin("Decrypt", plain(pkcs11.CKM_AES_ECB), object))
		a.rv(name+"C_SignInit", ck.CKR_KEY_HANDLE_INVALID, a.begin("Sign", plain(pkcs11.CKM_RSA_PKCS), object))
		a.rv(name+"C_VerifyInit", ck.CKR_KEY_HANDLE_INVALID, a.begin("Verify", plain(pkcs11.CKM_RSA_PKCS), object))
		_, err = a.DeriveKey(worker.KeyCall{SessionCall: worker.SessionCall{Session: a.session, Object: object},
			Mechanism: stringData(pkcs11.CKM_AES_ECB_ENCRYPT_DATA, make([]byte, 16)),
			Template:  attributes(CLASS, pkcs11.CKO_SECRET_KEY, KEY_TYPE, pkcs11.CKK_GENERIC_SECRET, VALUE_LEN, 16)})
		a.rv(name+"C_DeriveKey", ck.CKR_KEY_HANDLE_INVALID, err)
		key := a.secretKey(name+"a wrapping key", pkcs11.CKK_AES, a.random(16), WRAP, true)
		_, err = a.Wrap(worker.WrappingCall{Session: a.session, Mechanism: plain(pkcs11.CKM_AES_KEY_WRAP), With: key,
			Key: object})
		a.rv(name+"C_WrapKey of it", ck.CKR_KEY_HANDLE_INVALID, err)
		_, err = a.Wrap(worker.WrappingCall{Session: a.session, Mechanism: plain(pkcs11.CKM_AES_KEY_WRAP), With: object,
			Key: key})
		a.rv(name+"C_WrapKey with it", ck.CKR_WRAPPING_KEY_HANDLE_INVALID, err)
		_, err = a.Unwrap(worker.WrappingCall{Session: a.session, Mechanism: plain(pkcs11.CKM_AES_KEY_WRAP), With: object,
			Wrapped: make([]byte, 24), Template: attributes(CLASS, pkcs11.CKO_SECRET_KEY, KEY_TYPE, pkcs11.CKK_AES)})
		a.rv(name+"C_UnwrapKey with it", ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID, err)
	}
}

func copyObjects(a *actor) {
	object := a.object("C_CreateObject", attributes(CLASS, pkcs11.CKO_DATA, LABEL, "first", VALUE, []byte("value"),
		APPLICATION, "app", PRIVATE, false))
	again, err := a.CopyObject(a.session, object, attributes(LABEL, "second")...)
	a.need("C_CopyObject", err)
	a.reads("label of the copy", again, LABEL, "second")
	a.reads("value of the copy", again, VALUE, []byte("value"))
	a.reads("application of the copy", again, APPLICATION, "app")
	a.reads("label of the first", object, LABEL, "first")
	private, err := a.CopyObject(a.session, object, attributes(PRIVATE, true)...)
	a.ok("C_CopyObject to a private one", err)
	a.reads("it is private", private, PRIVATE, true)
	_, err = a.CopyObject(a.session, private, attributes(PRIVATE, false)...)
	a.rv("C_CopyObject of a private one to a public one", ck.CKR_TEMPLATE_INCONSISTENT, err)
	_, err = a.CopyObject(a.session, object, attributes(CLASS, pkcs11.CKO_CERTIFICATE)...)
	a.rv("C_CopyObject to another class", ck.CKR_ATTRIBUTE_READ_ONLY, err)
	_, err = a.CopyObject(a.session, object)
	a.rv("C_CopyObject without a template", ck.CKR_OK, err)
	changed, err := a.CopyObject(a.session, object, attributes(VALUE, []byte("other"))...)
	a.rv("C_CopyObject with another value", ck.CKR_OK, err)
	if err == nil {
		a.DestroyObject(a.session, changed)
	}
	a.ok("C_DestroyObject", a.DestroyObject(a.session, object))
	a.reads("the copy lives on", again, LABEL, "second")
}

func copyKeys(a *actor) {
	key := a.secretKey("C_CreateObject", pkcs11.CKK_AES, a.random(16), SENSITIVE, false, EXTRACTABLE, true, ENCRYPT, true)
	hidden, err := a.CopyObject(a.session, key, attributes(SENSITIVE, true)...)
	a.ok("C_CopyObject to a sensitive one", err)
	a.reads("it is sensitive", hidden, SENSITIVE, true)
	a.refuses("its value", hidden, VALUE, ck.CKR_ATTRIBUTE_SENSITIVE)
	_, err = a.CopyObject(a.session, hidden, attributes(SENSITIVE, false)...)
	a.rv("C_CopyObject of a sensitive one to one that is not", ck.CKR_ATTRIBUTE_READ_ONLY, err)
	kept, err := a.CopyObject(a.session, key, attributes(EXTRACTABLE, false)...)
	a.ok("C_CopyObject to one that stays", err)
	_, err = a.CopyObject(a.session, kept, attributes(EXTRACTABLE, true)...)
	a.rv("C_CopyObject of one that stays to one that does not", ck.CKR_ATTRIBUTE_READ_ONLY, err)
	_, err = a.CopyObject(a.session, key, attributes(VALUE, a.random(16))...)
	a.rv("C_CopyObject with another value", ck.CKR_ATTRIBUTE_READ_ONLY, err)
	got, err := a.apply("Encrypt", plain(pkcs11.CKM_AES_ECB), hidden, make([]byte, 16))
	want, _ := a.apply("Encrypt", plain(pkcs11.CKM_AES_ECB), key, make([]byte, 16))
	a.gives("the copy is the same key", want, got, err)
}

func changeObjects(a *actor) {
	data := a.object("C_CreateObject of data", attributes(CLASS, pkcs11.CKO_DATA, LABEL, "x", VALUE, []byte("old")))
	cert := a.object("C_CreateObject of a certificate", certificate())
	key := a.aesKey(a.random(16))
	pair := a.ecPair("P-256", nil, nil)
	for _, c := range []struct {
		name     string
		object   pkcs11.ObjectHandle
		template []*pkcs11.Attribute
		want     ck.RV
	}{
		{"label of data", data, attributes(LABEL, "y"), ck.CKR_OK},
		{"empty label of data", data, attributes(LABEL, ""), ck.CKR_OK},
		{"application of data", data, attributes(APPLICATION, "y"), ck.CKR_OK},
		{"value of data", data, attributes(VALUE, []byte("new")), ck.CKR_OK},
		{"class of data", data, attributes(CLASS, pkcs11.CKO_CERTIFICATE), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"token of data", data, attributes(TOKEN, true), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"private of data", data, attributes(PRIVATE, false), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"modifiable of data", data, attributes(MODIFIABLE, false), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"what is none of data", data, attributes(uint(0x7fff1234), []byte{1}), ck.CKR_ATTRIBUTE_TYPE_INVALID},
		{"id of a certificate", cert, attributes(ID, []byte{7}), ck.CKR_OK},
		{"label of a certificate", cert, attributes(LABEL, "y"), ck.CKR_OK},
		{"value of a certificate", cert, attributes(VALUE, []byte{0x30, 0}), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"id of a key", key, attributes(ID, []byte{7}), ck.CKR_OK},
		{"encrypt of a key", key, attributes(ENCRYPT, false), ck.CKR_OK},
		{"value of a key", key, attributes(VALUE, a.random(16)), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"key type of a key", key, attributes(KEY_TYPE, pkcs11.CKK_GENERIC_SECRET), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"local of a key", key, attributes(uint(pkcs11.CKA_LOCAL), true), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"id of a private key", pair.Private, attributes(ID, []byte{7}), ck.CKR_OK},
		{"subject of a private key", pair.Private, attributes(SUBJECT, []byte{0x30, 0}), ck.CKR_OK},
		{"subject of a public key", pair.Public, attributes(SUBJECT, []byte{0x30, 0}), ck.CKR_OK},
		{"curve of a public key", pair.Public, attributes(EC_PARAMS, curves["P-384"]), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"dates of a key", key, attributes(uint(pkcs11.CKA_START_DATE), []byte("20260101"), uint(pkcs11.CKA_END_DATE),
			[]byte("20261231")), ck.CKR_OK},
		{"a date that is none", key, attributes(uint(pkcs11.CKA_START_DATE), []byte("yesterday")),
			ck.CKR_ATTRIBUTE_VALUE_INVALID},
	} {
		a.rv(c.name, c.want, a.SetAttributeValue(a.session, c.object, c.template...))
	}
	a.reads("the value of data now", data, VALUE, []byte("new"))
	// All of it or nothing.
	a.rv("a good one and a bad one", ck.CKR_ATTRIBUTE_READ_ONLY,
		a.SetAttributeValue(a.session, data, attributes(LABEL, "half", CLASS, pkcs11.CKO_CERTIFICATE)...))
	a.reads("the label after it", data, LABEL, "")
}

func notModifiable(a *actor) {
	data := a.object("C_CreateObject", attributes(CLASS, pkcs11.CKO_DATA, MODIFIABLE, false, LABEL, "fixed"))
	a.rv("C_SetAttributeValue", ck.CKR_ACTION_PROHIBITED, a.SetAttributeValue(a.session, data, attributes(LABEL, "y")...))
	a.reads("the label", data, LABEL, "fixed")
	again, err := a.CopyObject(a.session, data, attributes(MODIFIABLE, true)...)
	a.rv("C_CopyObject to one that is", ck.CKR_OK, err)
	if err == nil {
		a.DestroyObject(a.session, again)
	}
	a.ok("C_DestroyObject", a.DestroyObject(a.session, data))
}

func notCopyable(a *actor) {
	data := a.object("C_CreateObject, not copyable", attributes(CLASS, pkcs11.CKO_DATA, COPYABLE, false))
	_, err := a.CopyObject(a.session, data, attributes(LABEL, "y")...)
	a.rv("C_CopyObject", ck.CKR_ACTION_PROHIBITED, err)
	a.rv("copyable again", ck.CKR_ATTRIBUTE_READ_ONLY, a.SetAttributeValue(a.session, data, attributes(COPYABLE, true)...))
	kept := a.object("C_CreateObject, not destroyable", attributes(CLASS, pkcs11.CKO_DATA, DESTROYABLE, false))
	a.rv("C_DestroyObject", ck.CKR_ACTION_PROHIBITED, a.DestroyObject(a.session, kept))
}

func sensitiveValues(a *actor) {
	secret := a.random(16)
	for _, c := range []struct {
		name                   string
		sensitive, extractable bool
		shown                  bool
	}{
		{"neither", false, false, false},
		{"sensitive", true, false, false},
		{"extractable", false, true, true},
		{"both", true, true, false},
	} {
		key := a.secretKey(c.name, pkcs11.CKK_AES, secret, SENSITIVE, c.sensitive, EXTRACTABLE, c.extractable)
		if c.shown {
			a.reads(c.name+": value", key, VALUE, secret)
		} else {
			a.refuses(c.name+": value", key, VALUE, ck.CKR_ATTRIBUTE_SENSITIVE)
		}
		a.reads(c.name+": length", key, VALUE_LEN, 16)
		pair := a.rsaPair(nil, attributes(SENSITIVE, c.sensitive, EXTRACTABLE, c.extractable))
		for _, part := range rsaSecrets {
			if c.shown {
				_, err := a.attribute(pair.Private, part.number)
				a.ok(c.name+": "+part.name, err)
			} else {
				a.refuses(c.name+": "+part.name, pair.Private, part.number, ck.CKR_ATTRIBUTE_SENSITIVE)
			}
		}
		a.reads(c.name+": CKA_MODULUS", pair.Private, MODULUS, rsaKey().N.Bytes())
	}
}

// rsaSecrets are the attributes of an RSA private key that nobody reads of a sensitive one.
var rsaSecrets = []struct {
	name   string
	number uint
}{
	{"CKA_PRIVATE_EXPONENT", pkcs11.CKA_PRIVATE_EXPONENT},
	{"CKA_PRIME_1", pkcs11.CKA_PRIME_1},
	{"CKA_PRIME_2", pkcs11.CKA_PRIME_2},
	{"CKA_EXPONENT_1", pkcs11.CKA_EXPONENT_1},
	{"CKA_EXPONENT_2", pkcs11.CKA_EXPONENT_2},
	{"CKA_COEFFICIENT", pkcs11.CKA_COEFFICIENT},
}

// Attributes that change in one direction, and those that say what never was.
func stickyAttributes(a *actor) {
	key, err := a.generateAES(attributes(VALUE_LEN, 16, SENSITIVE, false, EXTRACTABLE, true))
	a.need("C_GenerateKey", err)
	set := func(step string, want ck.RV, pairs ...any) {
		a.rv(step, want, a.SetAttributeValue(a.session, key, attributes(pairs...)...))
	}
	a.reads("CKA_ALWAYS_SENSITIVE", key, uint(pkcs11.CKA_ALWAYS_SENSITIVE), false)
	a.reads("CKA_NEVER_EXTRACTABLE", key, uint(pkcs11.CKA_NEVER_EXTRACTABLE), false)
	set("sensitive", ck.CKR_OK, SENSITIVE, true)
	set("sensitive again", ck.CKR_OK, SENSITIVE, true)
	set("not sensitive", ck.CKR_ATTRIBUTE_READ_ONLY, SENSITIVE, false)
	set("not extractable", ck.CKR_OK, EXTRACTABLE, false)
	set("extractable", ck.CKR_ATTRIBUTE_READ_ONLY, EXTRACTABLE, true)
	set("with trusted keys alone", ck.CKR_OK, WRAP_WITH_TRUSTED, true)
	set("with any key", ck.CKR_ATTRIBUTE_READ_ONLY, WRAP_WITH_TRUSTED, false)
	a.reads("CKA_ALWAYS_SENSITIVE of what was not", key, uint(pkcs11.CKA_ALWAYS_SENSITIVE), false)
	a.reads("CKA_NEVER_EXTRACTABLE of what was", key, uint(pkcs11.CKA_NEVER_EXTRACTABLE), false)
	always, err := a.generateAES(attributes(VALUE_LEN, 16, SENSITIVE, true, EXTRACTABLE, false))
	a.need("C_GenerateKey of a sensitive one", err)
	a.reads("CKA_ALWAYS_SENSITIVE of what was always", always, uint(pkcs11.CKA_ALWAYS_SENSITIVE), true)
	a.reads("CKA_NEVER_EXTRACTABLE of what never was", always, uint(pkcs11.CKA_NEVER_EXTRACTABLE), true)
	a.reads("CKA_LOCAL", always, uint(pkcs11.CKA_LOCAL), true)
	a.reads("CKA_KEY_GEN_MECHANISM", always, uint(pkcs11.CKA_KEY_GEN_MECHANISM), pkcs11.CKM_AES_KEY_GEN)
}

func findObjects(a *actor) {
	for i := range 5 {
		a.object(fmt.Sprint("C_CreateObject ", i), attributes(CLASS, pkcs11.CKO_DATA, APPLICATION, "found",
			LABEL, fmt.Sprint("label ", i%2), VALUE, []byte{byte(i)}))
	}
	for _, c := range []struct {
		name     string
		template []*pkcs11.Attribute
		want     int
	}{
		{"by application", attributes(APPLICATION, "found"), 5},
		{"by label", attributes(APPLICATION, "found", LABEL, "label 0"), 3},
		{"by two attributes", attributes(APPLICATION, "found", LABEL, "label 1", VALUE, []byte{3}), 1},
		{"by class", attributes(CLASS, pkcs11.CKO_DATA, APPLICATION, "found"), 5},
		{"by another class", attributes(CLASS, pkcs11.CKO_CERTIFICATE, APPLICATION, "found"), 0},
		{"by a part of a label", attributes(LABEL, "label"), 0},
		{"by what they do not have", attributes(KEY_TYPE, pkcs11.CKK_RSA, APPLICATION, "found"), 0},
		{"by what nothing has", attributes(uint(0x7fff1234), []byte{1}), 0},
		{"by a class of one byte", attributes(CLASS, []byte{0}), 0},
	} {
		found, err := a.FindObjects(a.session, c.template...)
		a.ok(c.name, err)
		a.equal(c.name+": found", c.want, len(found))
	}
	// The value of a sensitive key is not to be guessed byte by byte, or whole.
	secret := a.random(16)
	a.secretKey("C_CreateObject of a sensitive key", pkcs11.CKK_AES, secret, SENSITIVE, true, EXTRACTABLE, false)
	found, err := a.FindObjects(a.session, attributes(VALUE, secret)...)
	a.ok("by the value of a sensitive key", err)
	a.equal("by the value of a sensitive key: found", 0, len(found))
}

func findStates(a *actor) {
	_, err := a.FindNext(a.session, 1)
	a.rv("C_FindObjects before", ck.CKR_OPERATION_NOT_INITIALIZED, err)
	a.rv("C_FindObjectsFinal before", ck.CKR_OPERATION_NOT_INITIALIZED, a.FindObjectsFinal(a.session))
	for i := range 3 {
		a.object(fmt.Sprint("C_CreateObject ", i), attributes(CLASS, pkcs11.CKO_DATA, LABEL, "states"))
	}
	a.ok("C_FindObjectsInit", a.FindObjectsInit(a.session, attributes(LABEL, "states")...))
	a.rv("C_FindObjectsInit again", ck.CKR_OPERATION_ACTIVE, a.FindObjectsInit(a.session))
	for i, want := range []int{2, 1, 0, 0} {
		found, err := a.FindNext(a.session, 2)
		a.ok(fmt.Sprint("C_FindObjects ", i), err)
		a.equal(fmt.Sprint("found ", i), want, len(found))
	}
	a.ok("C_FindObjectsFinal", a.FindObjectsFinal(a.session))
	a.rv("C_FindObjectsFinal again", ck.CKR_OPERATION_NOT_INITIALIZED, a.FindObjectsFinal(a.session))
	a.ok("C_FindObjectsInit of all", a.FindObjectsInit(a.session))
	a.ok("C_FindObjectsFinal at once", a.FindObjectsFinal(a.session))
	// A search beside another operation.
	a.ok("C_DigestInit", a.begin("Digest", plain(pkcs11.CKM_SHA256), 0))
	a.ok("C_FindObjectsInit beside it", a.FindObjectsInit(a.session))
	a.ok("C_FindObjectsFinal beside it", a.FindObjectsFinal(a.session))
	_, err = a.once("Digest", []byte("data"))
	a.ok("C_Digest", err)
}

// What NSS looks for in every token.
func findForeign(a *actor) {
	for _, c := range []struct {
		name  string
		class uint
	}{
		{"CKO_NSS_TRUST", 0xCE534353}, {"CKO_NSS_BUILTIN_ROOT_LIST", 0xCE534354}, {"CKO_NSS_CRL", 0xCE534351},
		{"CKO_NSS_SMIME", 0xCE534352}, {"CKO_DOMAIN_PARAMETERS", pkcs11.CKO_DOMAIN_PARAMETERS},
		{"CKO_HW_FEATURE", pkcs11.CKO_HW_FEATURE}, {"CKO_OTP_KEY", pkcs11.CKO_OTP_KEY},
	} {
		found, err := a.FindObjects(a.session, attributes(CLASS, c.class)...)
		a.ok(c.name, err)
		a.equal(c.name+": found", 0, len(found))
	}
	found, err := a.FindObjects(a.session, attributes(CLASS, 9)...)
	a.ok("CKO_PROFILE", err)
	a.equal("there are profiles", true, len(found) > 0)
	err = a.create(attributes(CLASS, uint(0xCE534353), LABEL, "trust"))
	a.rv("C_CreateObject of CKO_NSS_TRUST", ck.CKR_ATTRIBUTE_VALUE_INVALID, err)
}

func objectSizes(a *actor) {
	object := a.object("C_CreateObject", attributes(CLASS, pkcs11.CKO_DATA, VALUE, make([]byte, 1000)))
	size, err := a.GetObjectSize(a.session, object)
	a.ok("C_GetObjectSize", err)
	a.equal("CK_UNAVAILABLE_INFORMATION", true, size == ^uint(0))
}

func tokenObjects(a *actor) {
	value := a.random(5000)
	_, err := a.CreateObject(a.keeper, attributes(CLASS, pkcs11.CKO_DATA, TOKEN, true, LABEL, "kept", VALUE, value)...)
	a.need("C_CreateObject", err)
	key, err := a.CreateObject(a.keeper, secretTemplate(pkcs11.CKK_AES, value[:16], TOKEN, true, LABEL, "key", ENCRYPT,
		true)...)
	a.need("C_CreateObject of a key", err)
	a.session = a.keeper
	want, err := a.apply("Encrypt", plain(pkcs11.CKM_AES_ECB), key, make([]byte, 16))
	a.ok("C_Encrypt", err)
	a.session = 0
	a.need("C_Finalize", a.Finalize())
	a.need("C_Initialize", a.Initialize())
	a.slot = a.slotOf(a.t, "compared")
	a.session, err = a.OpenSession(a.slot, pkcs11.CKF_RW_SESSION)
	a.need("C_OpenSession", err)
	a.need("C_Login", a.Login(a.session, pkcs11.CKU_USER, userPIN))
	found, err := a.FindObjects(a.session, attributes(LABEL, "kept")...)
	a.ok("C_FindObjects", err)
	a.equal("found", 1, len(found))
	a.reads("the value", found[0], VALUE, value)
	a.reads("it is on the token", found[0], TOKEN, true)
	found, err = a.FindObjects(a.session, attributes(LABEL, "key")...)
	a.ok("C_FindObjects of the key", err)
	a.equal("keys found", 1, len(found))
	got, err := a.apply("Encrypt", plain(pkcs11.CKM_AES_ECB), found[0], make([]byte, 16))
	a.gives("C_Encrypt again", want, got, err)
	a.ok("C_DestroyObject", a.DestroyObject(a.session, found[0]))
	found, err = a.FindObjects(a.session, attributes(LABEL, "key")...)
	a.ok("C_FindObjects after it", err)
	a.equal("keys found after it", 0, len(found))
}

// Only the SO trusts.
func trustedByUser(a *actor) {
	a.rv("a certificate", ck.CKR_ATTRIBUTE_READ_ONLY, a.create(append(certificate(), attributes(TRUSTED, true)...)))
	a.rv("a key", ck.CKR_ATTRIBUTE_READ_ONLY, a.create(secretTemplate(pkcs11.CKK_AES, a.random(16), TRUSTED, true)))
	key := a.secretKey("C_CreateObject", pkcs11.CKK_AES, a.random(16), WRAP, true)
	a.rv("C_SetAttributeValue", ck.CKR_ATTRIBUTE_READ_ONLY,
		a.SetAttributeValue(a.session, key, attributes(TRUSTED, true)...))
	a.ok("not trusted", a.create(append(certificate(), attributes(TRUSTED, false)...)))
}

func unknownAttributes(a *actor) {
	data := a.object("C_CreateObject of data", attributes(CLASS, pkcs11.CKO_DATA))
	key := a.aesKey(a.random(16))
	for _, c := range []struct {
		name   string
		object pkcs11.ObjectHandle
		number uint
	}{
		{"data has no modulus", data, MODULUS},
		{"data has no id", data, ID},
		{"an AES key has no modulus", key, MODULUS},
		{"an AES key has no certificate type", key, CERTIFICATE_TYPE},
		{"nothing has this", key, 0x7fff1234},
		{"no vendor has this here", key, 0x80001234},
	} {
		a.refuses(c.name, c.object, c.number, ck.CKR_ATTRIBUTE_TYPE_INVALID)
	}
}

// What the token says of keys that were imported.
func ownAttributes(a *actor) {
	key := a.aesKey(a.random(16))
	pair := a.rsaPair(nil, nil)
	for _, object := range []struct {
		name   string
		object pkcs11.ObjectHandle
		secret bool
	}{{"secret key", key, true}, {"private key", pair.Private, true}, {"public key", pair.Public, false}} {
		a.reads(object.name+": CKA_LOCAL", object.object, uint(pkcs11.CKA_LOCAL), false)
		a.reads(object.name+": CKA_KEY_GEN_MECHANISM", object.object, uint(pkcs11.CKA_KEY_GEN_MECHANISM), ^uint(0))
		if object.secret {
			a.reads(object.name+": CKA_ALWAYS_SENSITIVE", object.object, uint(pkcs11.CKA_ALWAYS_SENSITIVE), false)
			a.reads(object.name+": CKA_NEVER_EXTRACTABLE", object.object, uint(pkcs11.CKA_NEVER_EXTRACTABLE), false)
		}
	}
	a.reads("CKA_MODULUS_BITS", pair.Public, MODULUS_BITS, 2048)
	a.reads("CKA_PUBLIC_KEY_INFO of the public key", pair.Public, uint(pkcs11.CKA_PUBLIC_KEY_INFO),
		made(x509.MarshalPKIXPublicKey(&rsaKey().PublicKey)))
	a.reads("CKA_PUBLIC_KEY_INFO of the private key", pair.Private, uint(pkcs11.CKA_PUBLIC_KEY_INFO),
		made(x509.MarshalPKIXPublicKey(&rsaKey().PublicKey)))
	id, err := a.attribute(key, 4) // CKA_UNIQUE_ID
	a.ok("CKA_UNIQUE_ID", err)
	other, err := a.attribute(pair.Public, 4)
	a.ok("CKA_UNIQUE_ID of another", err)
	a.equal("they are not the same", true, len(id) > 0 && string(id) != string(other))
	zeros := a.secretKey("C_CreateObject of a known key", pkcs11.CKK_AES, make([]byte, 16))
	check, err := a.attribute(zeros, uint(pkcs11.CKA_CHECK_VALUE))
	a.gives("CKA_CHECK_VALUE", []byte{0x66, 0xe9, 0x4b}, check, err)
	a.rv("a wrong CKA_CHECK_VALUE", ck.CKR_ATTRIBUTE_VALUE_INVALID,
		a.create(secretTemplate(pkcs11.CKK_AES, make([]byte, 16), uint(pkcs11.CKA_CHECK_VALUE), []byte{1, 2, 3})))
}

func wrongKeys(a *actor) {
	point := made(asn1.Marshal(ecPoint("P-256")))
	off := made(asn1.Marshal(append([]byte{4}, make([]byte, 64)...)))
	e := big.NewInt(int64(rsaKey().E)).Bytes()
	for _, c := range []struct {
		name     string
		template []*pkcs11.Attribute
		want     ck.RV
	}{
		{"an AES key of 15 bytes", secretTemplate(pkcs11.CKK_AES, a.random(15)), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"an AES key of nothing", secretTemplate(pkcs11.CKK_AES, nil), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"an RSA modulus of nothing", attributes(CLASS, pkcs11.CKO_PUBLIC_KEY, KEY_TYPE, pkcs11.CKK_RSA, MODULUS, []byte{},
			PUBLIC_EXPONENT, e), ck.CKR_TEMPLATE_INCOMPLETE},
		{"a curve that is none", attributes(CLASS, pkcs11.CKO_PUBLIC_KEY, KEY_TYPE, pkcs11.CKK_EC, EC_PARAMS, []byte{5, 0},
			EC_POINT, point), ck.CKR_CURVE_NOT_SUPPORTED},
		{"a point that is not on the curve", attributes(CLASS, pkcs11.CKO_PUBLIC_KEY, KEY_TYPE, pkcs11.CKK_EC,
			EC_PARAMS, curves["P-256"], EC_POINT, off), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"a point of another curve", attributes(CLASS, pkcs11.CKO_PUBLIC_KEY, KEY_TYPE, pkcs11.CKK_EC,
			EC_PARAMS, curves["P-384"], EC_POINT, point), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"a scalar of nothing", attributes(CLASS, pkcs11.CKO_PRIVATE_KEY, KEY_TYPE, pkcs11.CKK_EC,
			EC_PARAMS, curves["P-256"], VALUE, make([]byte, 32)), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"an RSA key of 512 bits", attributes(CLASS, pkcs11.CKO_PUBLIC_KEY, KEY_TYPE, pkcs11.CKK_RSA,
			MODULUS, new(big.Int).SetBit(big.NewInt(1), 511, 1).Bytes(), PUBLIC_EXPONENT, e), ck.CKR_ATTRIBUTE_VALUE_INVALID},
	} {
		a.rv(c.name, c.want, a.create(c.template))
	}
	point[3] = 4
	a.ok("a point without its OCTET STRING", a.create(attributes(CLASS, pkcs11.CKO_PUBLIC_KEY, KEY_TYPE, pkcs11.CKK_EC,
		EC_PARAMS, curves["P-256"], EC_POINT, ecPoint("P-256"))))
	a.ok("an RSA private key without its primes", a.create(attributes(CLASS, pkcs11.CKO_PRIVATE_KEY, KEY_TYPE,
		pkcs11.CKK_RSA,
		MODULUS, rsaKey().N.Bytes(), PUBLIC_EXPONENT, e, uint(pkcs11.CKA_PRIVATE_EXPONENT), rsaKey().D.Bytes())))
}

// CKA_ALLOWED_MECHANISMS binds a key to mechanisms.
func allowedMechanisms(a *actor) {
	allowed := uint(pkcs11.CKA_ALLOWED_MECHANISMS)
	pair := a.rsaPair(nil, attributes(SIGN, true, allowed, ulongs(pkcs11.CKM_SHA256_RSA_PKCS, pkcs11.CKM_SHA384_RSA_PKCS)))
	a.reads("CKA_ALLOWED_MECHANISMS", pair.Private, allowed,
		ulongs(pkcs11.CKM_SHA256_RSA_PKCS, pkcs11.CKM_SHA384_RSA_PKCS))
	_, err := a.apply("Sign", plain(pkcs11.CKM_SHA256_RSA_PKCS), pair.Private, []byte("data"))
	a.ok("one that is allowed", err)
	a.rv("one that is not", ck.CKR_MECHANISM_INVALID, a.begin("Sign", plain(pkcs11.CKM_SHA512_RSA_PKCS), pair.Private))
	a.reads("CKA_ALLOWED_MECHANISMS of a key that has none", a.aesKey(a.random(16)), allowed, []byte{})
}

// objectDefault is a kind of object and what its attributes are if the template says nothing.
type objectDefault struct {
	name     string
	template func() []*pkcs11.Attribute
	want     []*pkcs11.Attribute
}

func defaults(a *actor, d objectDefault) {
	object := a.object("C_CreateObject", d.template())
	for _, w := range d.want {
		got, err := a.attribute(object, w.Type)
		a.bits(ck.AttributeType(w.Type).String(), w.Value, got, err)
	}
}

// Of all objects, of keys, of secret and private keys.
var (
	objectWants = attributes(TOKEN, false, MODIFIABLE, true, COPYABLE, true, DESTROYABLE, true, LABEL, "")
	keyWants    = append(attributes(ID, "", uint(pkcs11.CKA_START_DATE), "", uint(pkcs11.CKA_END_DATE), "",
		uint(pkcs11.CKA_LOCAL), false, uint(pkcs11.CKA_KEY_GEN_MECHANISM), ^uint(0),
		uint(pkcs11.CKA_ALLOWED_MECHANISMS), ""), objectWants...)
	secretWants = append(attributes(PRIVATE, true, SENSITIVE, true, EXTRACTABLE, false,
		uint(pkcs11.CKA_ALWAYS_SENSITIVE), false, uint(pkcs11.CKA_NEVER_EXTRACTABLE), false, WRAP_WITH_TRUSTED, false),
		keyWants...)
)

func objectDefaults() []objectDefault {
	recovers, recoversPublic := uint(pkcs11.CKA_SIGN_RECOVER), uint(pkcs11.CKA_VERIFY_RECOVER)
	privateWants := append(attributes(SUBJECT, "", SIGN, true, recovers, false, uint(pkcs11.CKA_ALWAYS_AUTHENTICATE),
		false), secretWants...)
	publicWants := append(attributes(PRIVATE, false, SUBJECT, "", VERIFY, true, recoversPublic, false, TRUSTED, false),
		keyWants...)
	return []objectDefault{
		{"data", func() []*pkcs11.Attribute { return attributes(CLASS, pkcs11.CKO_DATA) },
			append(attributes(PRIVATE, true, APPLICATION, "", OBJECT_ID, "", VALUE, ""), objectWants...)},
		{"a certificate", certificate, append(attributes(PRIVATE, false, TRUSTED, false, ID, "",
			uint(pkcs11.CKA_CERTIFICATE_CATEGORY), 0, uint(pkcs11.CKA_ISSUER), "", uint(pkcs11.CKA_SERIAL_NUMBER), "",
			uint(pkcs11.CKA_URL), "", uint(pkcs11.CKA_START_DATE), "", uint(pkcs11.CKA_END_DATE), "",
			uint(pkcs11.CKA_JAVA_MIDP_SECURITY_DOMAIN), 0), objectWants[:4]...)},
		{"an AES key", func() []*pkcs11.Attribute { return secretTemplate(pkcs11.CKK_AES, random(16)) },
			append(attributes(ENCRYPT, true, DECRYPT, true, SIGN, true, VERIFY, true, WRAP, false, UNWRAP, false, DERIVE, false,
				TRUSTED, false, VALUE_LEN, 16), secretWants...)},
		{"an AES key that wraps", func() []*pkcs11.Attribute {
			return secretTemplate(pkcs11.CKK_AES, random(16), WRAP,
				true)
		},
			attributes(ENCRYPT, false, DECRYPT, false, WRAP, true, UNWRAP, false)},
		{"a generic secret", func() []*pkcs11.Attribute { return secretTemplate(pkcs11.CKK_GENERIC_SECRET, random(16)) },
			append(attributes(ENCRYPT, false, DECRYPT, false, SIGN, true, VERIFY, true, WRAP, false, UNWRAP, false, DERIVE,
				false,
				VALUE_LEN, 16), secretWants...)},
		{"an RSA public key", rsaPublic, append(attributes(MODULUS_BITS, 2048, ENCRYPT, true, WRAP, true, DERIVE, false),
			publicWants...)},
		{"an RSA private key", func() []*pkcs11.Attribute { return rsaPrivate(rsaKey()) },
			append(attributes(DECRYPT, true, UNWRAP, true, DERIVE, false), privateWants...)},
		{"an EC public key", func() []*pkcs11.Attribute { return ecPublic("P-256") },
			append(attributes(ENCRYPT, false, WRAP, false, DERIVE, false), publicWants...)},
		{"an EC private key", func() []*pkcs11.Attribute { return ecPrivate("P-256") },
			append(attributes(DECRYPT, false, UNWRAP, false, DERIVE, true), privateWants...)},
	}
}

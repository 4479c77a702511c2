package softhsmtests

import (
	"bytes"
	"crypto/aes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// Secrets out of keys.
func TestGroupDerive(t *testing.T) {
	group(t, "derive",
		scenario{name: "ECDH", run: deriveECDH},
		scenario{name: "ECDH as Java asks", run: deriveAsJava},
		scenario{name: "ECDH with a hash", run: deriveHashed},
		scenario{name: "ECDH with a cofactor", run: deriveCofactor},
		scenario{name: "ECDH wrong points", run: wrongPoints},
		scenario{name: "ECDH between the two", run: offerPoint, cross: takePoint},
		scenario{name: "X25519", run: deriveX25519},
		scenario{name: "AES_ECB_ENCRYPT_DATA", run: deriveECB},
		scenario{name: "AES_CBC_ENCRYPT_DATA", run: deriveCBC},
		scenario{name: "HKDF", run: deriveHKDF},
		scenario{name: "templates", run: deriveTemplates},
		scenario{name: "wrong keys", run: deriveKeys},
		scenario{name: "history", run: deriveHistory},
	)
}

// derive is C_DeriveKey.
func (a *actor) derive(m worker.Mechanism, base pkcs11.ObjectHandle, pairs ...any) (pkcs11.ObjectHandle, error) {
	return a.DeriveKey(worker.KeyCall{SessionCall: worker.SessionCall{Session: a.session, Object: base},
		Mechanism: m, Template: attributes(pairs...)})
}

// generic is a template of a generic secret that can be read.
func generic(more ...any) []any {
	return append([]any{CLASS, pkcs11.CKO_SECRET_KEY, KEY_TYPE, pkcs11.CKK_GENERIC_SECRET, SENSITIVE, false,
		EXTRACTABLE, true}, more...)
}

// derives notes down a secret.
func (a *actor) derives(step string, m worker.Mechanism, base pkcs11.ObjectHandle, want []byte, pairs ...any) {
	key, err := a.derive(m, base, pairs...)
	a.ok(step+": C_DeriveKey", err)
	got, err := a.attribute(key, VALUE)
	a.gives(step+": secret", want, got, err)
}

// ecOther are the other ends of ECDH.
var ecOther = map[string]func() *ecdh.PrivateKey{
	"P-256": ecdhKey(ecdh.P256()), "P-384": ecdhKey(ecdh.P384()), "P-521": ecdhKey(ecdh.P521()),
	"X25519": ecdhKey(ecdh.X25519()),
}

func ecdhKey(curve ecdh.Curve) func() *ecdh.PrivateKey {
	return sync.OnceValue(func() *ecdh.PrivateKey { return made(curve.GenerateKey(rand.Reader)) })
}

// deriver imports the key on a curve to derive, and says what comes of it with the other end.
func (a *actor) deriver(curve string) (key pkcs11.ObjectHandle, point, secret []byte) {
	a.t.Helper()
	other := ecOther[curve]()
	pair := a.ecPair(curve, nil, attributes(DERIVE, true))
	return pair.Private, other.PublicKey().Bytes(), made(other.ECDH(made(ecKeys[curve]().PublicKey.ECDH())))
}

// A shorter secret loses bytes at its leading end.
func deriveECDH(a *actor) {
	for _, curve := range []string{"P-256", "P-384", "P-521"} {
		key, point, secret := a.deriver(curve)
		a.derives(curve, ecdhDerive(pkcs11.CKD_NULL, nil, point), key, secret, generic(VALUE_LEN, len(secret))...)
		a.derives(curve+", DER", ecdhDerive(pkcs11.CKD_NULL, nil, made(asn1.Marshal(point))), key, secret,
			generic(VALUE_LEN, len(secret))...)
		a.derives(curve+", no length", ecdhDerive(pkcs11.CKD_NULL, nil, point), key, secret, generic()...)
		a.derives(curve+", 16 bytes", ecdhDerive(pkcs11.CKD_NULL, nil, point), key, secret[len(secret)-16:],
			generic(VALUE_LEN, 16)...)
		a.derives(curve+", AES", ecdhDerive(pkcs11.CKD_NULL, nil, point), key, secret[len(secret)-32:], CLASS,
			pkcs11.CKO_SECRET_KEY,
			KEY_TYPE, pkcs11.CKK_AES, VALUE_LEN, 32, SENSITIVE, false, EXTRACTABLE, true)
		_, err := a.derive(ecdhDerive(pkcs11.CKD_NULL, nil, point), key, generic(VALUE_LEN, len(secret)+1)...)
		a.rv(curve+", too much", ck.CKR_ATTRIBUTE_VALUE_INVALID, err)
	}
}

// ecdhDerive is CKM_ECDH1_DERIVE.
func ecdhDerive(kdf uint, shared, point []byte) worker.Mechanism {
	return ecdhWith(pkcs11.CKM_ECDH1_DERIVE, kdf, shared, point)
}

func ecdhWith(number, kdf uint, shared, point []byte) worker.Mechanism {
	return worker.Mechanism{
		Type:      number,
		Parameter: ulongs(kdf, uint(len(shared)), 0, uint(len(point)), 0),
		Pointers:  []worker.Pointer{{Offset: 16, Data: shared}, {Offset: 32, Data: point}},
	}
}

// Java makes the key pair without CKA_DERIVE and asks for a secret with a class and a type alone, which it then reads.
func deriveAsJava(a *actor) {
	pair, err := a.pair(plain(pkcs11.CKM_EC_KEY_PAIR_GEN), attributes(EC_PARAMS, curves["P-256"]), nil)
	a.need("C_GenerateKeyPair", err)
	point := ecOther["P-256"]().PublicKey().Bytes()
	key, err := a.derive(ecdhDerive(pkcs11.CKD_NULL, nil, point), pair.Private, CLASS, pkcs11.CKO_SECRET_KEY, KEY_TYPE,
		pkcs11.CKK_GENERIC_SECRET)
	a.need("C_DeriveKey", err)
	got, err := a.attribute(key, VALUE)
	a.length("the secret", 32, got, err)
}

// deriveHashed is the KDF of X9.63.
func deriveHashed(a *actor) {
	key, point, secret := a.deriver("P-256")
	for _, shared := range [][]byte{nil, []byte("shared")} {
		var want []byte
		for i := range uint32(2) {
			block := sha256.Sum256(append(binary.BigEndian.AppendUint32(bytes.Clone(secret), i+1), shared...))
			want = append(want, block[:]...)
		}
		_, err := a.derive(ecdhDerive(6, shared, point), key, generic(VALUE_LEN, 48)...)
		a.need(fmt.Sprintf("C_DeriveKey with CKD_SHA256_KDF and %d shared bytes", len(shared)), err)
		a.derives(fmt.Sprintf("CKD_SHA256_KDF, %d shared bytes", len(shared)), ecdhDerive(6, shared, point), key, want[:48],
			generic(VALUE_LEN, 48)...)
	}
}

func deriveCofactor(a *actor) {
	a.offers("CKM_ECDH1_COFACTOR_DERIVE", pkcs11.CKM_ECDH1_COFACTOR_DERIVE, pkcs11.CKF_DERIVE)
	key, point, secret := a.deriver("P-256")
	m := ecdhWith(pkcs11.CKM_ECDH1_COFACTOR_DERIVE, pkcs11.CKD_NULL, nil, point)
	a.derives("P-256", m, key, secret, generic(VALUE_LEN, 32)...)
}

func wrongPoints(a *actor) {
	key, point, _ := a.deriver("P-256")
	for _, c := range []struct {
		name  string
		point []byte
	}{
		{"none", nil},
		{"short", point[:64]},
		{"off the curve", flipped(point, 64)},
		{"of another curve", ecOther["P-384"]().PublicKey().Bytes()},
		{"infinity", []byte{0}},
		{"zeros", append([]byte{4}, make([]byte, 64)...)},
	} {
		_, err := a.derive(ecdhDerive(pkcs11.CKD_NULL, nil, c.point), key, generic(VALUE_LEN, 32)...)
		a.rv(c.name, ck.CKR_MECHANISM_PARAM_INVALID, err)
	}
	_, err := a.derive(plain(pkcs11.CKM_ECDH1_DERIVE), key, generic(VALUE_LEN, 32)...)
	a.rv("no parameter", ck.CKR_MECHANISM_PARAM_INVALID, err)
	_, err = a.derive(ecdhDerive(99, nil, point), key, generic(VALUE_LEN, 32)...)
	a.rv("a KDF that is none", ck.CKR_MECHANISM_PARAM_INVALID, err)
	_, err = a.derive(ecdhDerive(pkcs11.CKD_NULL, []byte("shared"), point), key, generic(VALUE_LEN, 32)...)
	a.rv("CKD_NULL with shared bytes", ck.CKR_MECHANISM_PARAM_INVALID, err)
}

// The two tokens agree on a secret: each derives with its own key and the other one's point, and each shows a MAC.
func offerPoint(a *actor) {
	pair, err := a.pair(plain(pkcs11.CKM_EC_KEY_PAIR_GEN), attributes(EC_PARAMS, curves["P-256"]),
		attributes(DERIVE, true))
	a.need("C_GenerateKeyPair", err)
	point, err := a.attribute(pair.Public, EC_POINT)
	a.ok("C_GetAttributeValue", err)
	a.make("point", point)
	a.kept = pair.Private
}

func takePoint(a *actor) {
	key, err := a.derive(ecdhDerive(pkcs11.CKD_NULL, nil, a.fromOther("point")), a.kept, generic(VALUE_LEN, 32)...)
	a.ok("C_DeriveKey", err)
	secret, err := a.attribute(key, VALUE)
	a.ok("C_GetAttributeValue of the secret", err)
	a.agree("the secret", secret)
}

func deriveX25519(a *actor) {
	a.offers("CKM_EC_MONTGOMERY_KEY_PAIR_GEN", CKM_EC_MONTGOMERY_KEY_PAIR_GEN, pkcs11.CKF_GENERATE_KEY_PAIR)
	pair, err := a.pair(plain(CKM_EC_MONTGOMERY_KEY_PAIR_GEN), attributes(EC_PARAMS, curves["X25519"]),
		attributes(DERIVE, true))
	a.need("C_GenerateKeyPair", err)
	point, err := a.attribute(pair.Public, EC_POINT)
	a.length("point", 34, point, err)
	other := ecOther["X25519"]()
	secret := made(other.ECDH(made(ecdh.X25519().NewPublicKey(point[2:]))))
	a.derives("X25519", ecdhDerive(pkcs11.CKD_NULL, nil, other.PublicKey().Bytes()), pair.Private, secret,
		generic(VALUE_LEN, 32)...)
	_, err = a.derive(ecdhDerive(pkcs11.CKD_NULL, nil, make([]byte, 32)), pair.Private, generic(VALUE_LEN, 32)...)
	a.rv("a point of low order", ck.CKR_MECHANISM_PARAM_INVALID, err)
}

func deriveECB(a *actor) {
	secret := a.random(16)
	key := a.secretKey("C_CreateObject", pkcs11.CKK_AES, secret, DERIVE, true)
	data := a.random(32)
	want := ecb(made(aes.NewCipher(secret)), data)
	m := stringData(pkcs11.CKM_AES_ECB_ENCRYPT_DATA, data)
	a.derives("32 bytes", m, key, want, generic(VALUE_LEN, 32)...)
	a.derives("16 bytes", m, key, want[:16], generic(VALUE_LEN, 16)...)
	a.derives("an AES key", m, key, want, CLASS, pkcs11.CKO_SECRET_KEY, KEY_TYPE, pkcs11.CKK_AES, VALUE_LEN, 32,
		SENSITIVE, false, EXTRACTABLE, true)
	_, err := a.derive(m, key, generic(VALUE_LEN, 33)...)
	a.rv("too much", ck.CKR_DATA_LEN_RANGE, err)
	_, err = a.derive(stringData(pkcs11.CKM_AES_ECB_ENCRYPT_DATA, data[:17]), key, generic(VALUE_LEN, 16)...)
	a.rv("data of 17 bytes", ck.CKR_MECHANISM_PARAM_INVALID, err)
	_, err = a.derive(plain(pkcs11.CKM_AES_ECB_ENCRYPT_DATA), key, generic(VALUE_LEN, 16)...)
	a.rv("no parameter", ck.CKR_MECHANISM_PARAM_INVALID, err)
}

func deriveCBC(a *actor) {
	secret := a.random(32)
	key := a.secretKey("C_CreateObject", pkcs11.CKK_AES, secret, DERIVE, true)
	data := a.random(48)
	a.derives("48 bytes", cbcData(iv16, data), key, cbc(made(aes.NewCipher(secret)), data), generic(VALUE_LEN, 48)...)
	_, err := a.derive(cbcData(iv16, data[:20]), key, generic(VALUE_LEN, 16)...)
	a.rv("data of 20 bytes", ck.CKR_MECHANISM_PARAM_INVALID, err)
	_, err = a.derive(plain(pkcs11.CKM_AES_CBC_ENCRYPT_DATA, iv16...), key, generic(VALUE_LEN, 16)...)
	a.rv("an IV alone", ck.CKR_MECHANISM_PARAM_INVALID, err)
}

// hkdfParams is CK_HKDF_PARAMS with a salt as data.
func hkdfParams(extract, expand bool, hash uint, salt, info []byte) worker.Mechanism {
	const saltNone, saltData = 1, 2
	flags := make([]byte, 8)
	if extract {
		flags[0] = 1
	}
	if expand {
		flags[1] = 1
	}
	kind := uint(saltData)
	if salt == nil {
		kind = saltNone
	}
	return worker.Mechanism{
		Type:      CKM_HKDF_DERIVE,
		Parameter: append(flags, ulongs(hash, kind, 0, uint(len(salt)), 0, 0, uint(len(info)))...),
		Pointers:  []worker.Pointer{{Offset: 24, Data: salt}, {Offset: 48, Data: info}},
	}
}

func deriveHKDF(a *actor) {
	a.offers("CKM_HKDF_DERIVE", CKM_HKDF_DERIVE, pkcs11.CKF_DERIVE)
	secret := a.random(32)
	key := a.secretKey("C_CreateObject", pkcs11.CKK_GENERIC_SECRET, secret, DERIVE, true)
	salt, info := []byte("salt"), []byte("info")
	want := made(hkdf.Key(sha256.New, secret, salt, string(info), 40))
	a.derives("both", hkdfParams(true, true, pkcs11.CKM_SHA256, salt, info), key, want, generic(VALUE_LEN, 40)...)
	a.derives("no salt", hkdfParams(true, true, pkcs11.CKM_SHA256, nil, info), key,
		made(hkdf.Key(sha256.New, secret, nil, string(info), 40)), generic(VALUE_LEN, 40)...)
	a.derives("extract", hkdfParams(true, false, pkcs11.CKM_SHA256, salt, nil), key,
		made(hkdf.Extract(sha256.New, secret, salt)), generic(VALUE_LEN, 32)...)
	a.derives("expand", hkdfParams(false, true, pkcs11.CKM_SHA256, nil, info), key,
		made(hkdf.Expand(sha256.New, secret, string(info), 40)), generic(VALUE_LEN, 40)...)
	for _, c := range []struct {
		name string
		m    worker.Mechanism
		n    int
		want ck.RV
	}{
		{"neither", hkdfParams(false, false, pkcs11.CKM_SHA256, salt, info), 32, ck.CKR_MECHANISM_PARAM_INVALID},
		{"a hash that is none", hkdfParams(true, true, pkcs11.CKM_RSA_PKCS, salt, info), 32, ck.CKR_MECHANISM_PARAM_INVALID},
		{"no parameter", plain(CKM_HKDF_DERIVE), 32, ck.CKR_MECHANISM_PARAM_INVALID},
		{"255 blocks and a byte", hkdfParams(true, true, pkcs11.CKM_SHA256, salt, info), 255*32 + 1,
			ck.CKR_ATTRIBUTE_VALUE_INVALID},
	} {
		_, err := a.derive(c.m, key, generic(VALUE_LEN, c.n)...)
		a.rv(c.name, c.want, err)
	}
}

func deriveTemplates(a *actor) {
	key, point, _ := a.deriver("P-256")
	m := ecdhDerive(pkcs11.CKD_NULL, nil, point)
	for _, c := range []struct {
		name  string
		pairs []any
		want  ck.RV
	}{
		{"no type", []any{CLASS, pkcs11.CKO_SECRET_KEY, VALUE_LEN, 32}, ck.CKR_OK},
		{"another class", []any{CLASS, pkcs11.CKO_PUBLIC_KEY, KEY_TYPE, pkcs11.CKK_GENERIC_SECRET, VALUE_LEN, 32},
			ck.CKR_TEMPLATE_INCONSISTENT},
		{"an RSA key", []any{CLASS, pkcs11.CKO_SECRET_KEY, KEY_TYPE, pkcs11.CKK_RSA, VALUE_LEN, 32},
			ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"its value", generic(VALUE_LEN, 32, VALUE, a.random(32)), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"an AES key of 20 bytes", []any{CLASS, pkcs11.CKO_SECRET_KEY, KEY_TYPE, pkcs11.CKK_AES, VALUE_LEN, 20},
			ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"what belongs to nothing", generic(VALUE_LEN, 32, uint(0x7fff1234), []byte{1}), ck.CKR_ATTRIBUTE_TYPE_INVALID},
		{"local", generic(VALUE_LEN, 32, uint(pkcs11.CKA_LOCAL), true), ck.CKR_ATTRIBUTE_READ_ONLY},
	} {
		_, err := a.derive(m, key, c.pairs...)
		a.rv(c.name, c.want, err)
	}
}

func deriveKeys(a *actor) {
	key, point, _ := a.deriver("P-256")
	may := a.ecPair("P-256", nil, attributes(DERIVE, false))
	aes := a.secretKey("C_CreateObject of an AES key", pkcs11.CKK_AES, a.random(16), DERIVE, true)
	ecdhM := ecdhDerive(pkcs11.CKD_NULL, nil, point)
	for _, c := range []struct {
		name string
		m    worker.Mechanism
		key  pkcs11.ObjectHandle
		want ck.RV
	}{
		{"a key that may not", ecdhM, may.Private, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"the public key", ecdhM, may.Public, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"ECDH with an AES key", ecdhM, aes, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"AES with an EC key", stringData(pkcs11.CKM_AES_ECB_ENCRYPT_DATA, make([]byte, 16)), key,
			ck.CKR_KEY_TYPE_INCONSISTENT},
		{"a mechanism for something else", plain(pkcs11.CKM_AES_ECB), aes, ck.CKR_MECHANISM_INVALID},
	} {
		_, err := a.derive(c.m, c.key, generic(VALUE_LEN, 16)...)
		a.rv(c.name, c.want, err)
	}
}

// What is derived of a key that always was sensitive, always was it too; else not.
func deriveHistory(a *actor) {
	always, never := uint(pkcs11.CKA_ALWAYS_SENSITIVE), uint(pkcs11.CKA_NEVER_EXTRACTABLE)
	for _, c := range []struct {
		name                   string
		sensitive, extractable bool
	}{{"a hidden base", true, false}, {"an open base", false, true}} {
		base, err := a.generateAES(attributes(VALUE_LEN, 16, DERIVE, true, SENSITIVE, c.sensitive, EXTRACTABLE,
			c.extractable))
		a.need(c.name+": C_GenerateKey", err)
		m := stringData(pkcs11.CKM_AES_ECB_ENCRYPT_DATA, make([]byte, 32))
		hidden, err := a.derive(m, base, CLASS, pkcs11.CKO_SECRET_KEY, KEY_TYPE, pkcs11.CKK_AES, VALUE_LEN, 32, SENSITIVE,
			true, EXTRACTABLE, false)
		a.ok(c.name+": C_DeriveKey", err)
		a.reads(c.name+": CKA_ALWAYS_SENSITIVE", hidden, always, c.sensitive)
		a.reads(c.name+": CKA_NEVER_EXTRACTABLE", hidden, never, !c.extractable)
		a.reads(c.name+": CKA_LOCAL", hidden, uint(pkcs11.CKA_LOCAL), false)
		a.reads(c.name+": CKA_KEY_GEN_MECHANISM", hidden, uint(pkcs11.CKA_KEY_GEN_MECHANISM), ^uint(0))
		open, err := a.derive(m, base, generic(VALUE_LEN, 32)...)
		a.ok(c.name+": C_DeriveKey of an open one", err)
		a.reads(c.name+": CKA_ALWAYS_SENSITIVE of an open one", open, always, false)
		a.reads(c.name+": CKA_NEVER_EXTRACTABLE of an open one", open, never, false)
	}
}

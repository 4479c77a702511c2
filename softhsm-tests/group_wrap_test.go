package softhsmtests

import (
	"bytes"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// Keys that leave the token under another key and come back, here or at the other side.
func TestGroupWrap(t *testing.T) {
	group(t, "wrap",
		scenario{name: "AES_KEY_WRAP", run: keyWrap, cross: keyWrapCross},
		scenario{name: "AES_KEY_WRAP_PAD", run: keyWrapPad},
		scenario{name: "AES_KEY_WRAP_KWP", run: keyWrapKWP},
		scenario{name: "AES_CBC_PAD", run: cbcWrap},
		scenario{name: "RSA_PKCS", run: rsaWrap, cross: rsaWrapCross},
		scenario{name: "RSA_PKCS_OAEP with SHA-1", run: func(a *actor) { oaepWrap(a, 0) },
			cross: func(a *actor) { oaepWrapCross(a, 0) }},
		scenario{name: "RSA_PKCS_OAEP with SHA-256", run: func(a *actor) { oaepWrap(a, 2) },
			cross: func(a *actor) { oaepWrapCross(a, 2) }},
		scenario{name: "RSA_AES_KEY_WRAP", run: rsaAESWrap},
		scenario{name: "private keys", run: wrapPrivate},
		scenario{name: "unwrap private keys", run: unwrapPrivate},
		scenario{name: "not allowed", run: notWrappable},
		scenario{name: "forged", run: forgedWraps},
		scenario{name: "forged, CBC_PAD", run: forgedCBC},
		scenario{name: "wrong keys", run: wrappingKeys},
		scenario{name: "templates", run: unwrapTemplates},
		scenario{name: "history", run: unwrapHistory},
		scenario{name: "roles", run: wrappingRoles},
		scenario{name: "sensitive keys", run: wrapSensitive},
		scenario{name: "implicit rejection", run: implicitRejection},
		scenario{name: "trusted", run: wrapWithTrusted, fresh: true},
	)
}

// wrap is C_WrapKey.
func (a *actor) wrap(m worker.Mechanism, with, key pkcs11.ObjectHandle) ([]byte, error) {
	return a.Wrap(worker.WrappingCall{Session: a.session, Mechanism: m, With: with, Key: key})
}

// unwrap is C_UnwrapKey.
func (a *actor) unwrap(m worker.Mechanism, with pkcs11.ObjectHandle, wrapped []byte,
	pairs ...any) (pkcs11.ObjectHandle, error) {
	if len(wrapped) == 0 { // a step before has failed, and miekg/pkcs11 wants a byte
		wrapped = []byte{0}
	}
	return a.Unwrap(worker.WrappingCall{Session: a.session, Mechanism: m, With: with, Wrapped: wrapped,
		Template: attributes(pairs...)})
}

// unwraps notes down a secret key that comes back.
func (a *actor) unwraps(step string, m worker.Mechanism, with pkcs11.ObjectHandle, wrapped, want []byte, keyType uint) {
	key, err := a.unwrap(m, with, wrapped, openSecret(keyType)...)
	a.ok(step+": C_UnwrapKey", err)
	got, err := a.attribute(key, VALUE)
	a.gives(step+": value", want, got, err)
}

// openSecret is a template of a secret key that can be read.
func openSecret(keyType uint) []any {
	return []any{CLASS, pkcs11.CKO_SECRET_KEY, KEY_TYPE, keyType, SENSITIVE, false, EXTRACTABLE, true}
}

// kek imports a key that wraps and one of the same value that unwraps.
func (a *actor) kek(secret []byte) (wraps, unwraps pkcs11.ObjectHandle) {
	a.t.Helper()
	return a.secretKey("C_CreateObject of a key that wraps", pkcs11.CKK_AES, secret,
			readable(WRAP, true, ENCRYPT, false, DECRYPT, false, UNWRAP, false)...),
		a.secretKey("C_CreateObject of a key that unwraps", pkcs11.CKK_AES, secret,
			readable(UNWRAP, true, ENCRYPT, false, DECRYPT, false, WRAP, false)...)
}

// readable are attributes of a key that can be read, with more: only such a one wraps and unwraps keys that can be
// read.
func readable(more ...any) []any { return append([]any{SENSITIVE, false, EXTRACTABLE, true}, more...) }

// open imports a secret key that may leave.
func (a *actor) open(step string, keyType uint, secret []byte) pkcs11.ObjectHandle {
	a.t.Helper()
	return a.secretKey(step, keyType, secret, readable()...)
}

var (
	kekValue = random(32)
	payloads = map[int][]byte{16: random(16), 24: random(24), 32: random(32), 1: random(1), 20: random(20),
		100: random(100)}
)

func keyWrap(a *actor) {
	wraps, unwraps := a.kek(kekValue)
	m := plain(pkcs11.CKM_AES_KEY_WRAP)
	for _, n := range []int{16, 24, 32} {
		key := a.open(fmt.Sprintf("C_CreateObject of %d bytes", n), pkcs11.CKK_AES, payloads[n])
		wrapped, err := a.wrap(m, wraps, key)
		a.length(fmt.Sprintf("C_WrapKey of %d bytes", n), n+8, wrapped, err)
		a.unwraps(fmt.Sprintf("%d bytes", n), m, unwraps, wrapped, payloads[n], pkcs11.CKK_AES)
		a.make(fmt.Sprint(n), wrapped)
	}
	// RFC 3394, 4.6.
	rfc, _ := a.kek(unhex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"))
	key := a.open("C_CreateObject of the RFC's key", pkcs11.CKK_AES,
		unhex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f"))
	got, err := a.wrap(m, rfc, key)
	a.gives("the RFC's", unhex("28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"), got,
		err)
	odd := a.open("C_CreateObject of 20 bytes", pkcs11.CKK_GENERIC_SECRET, payloads[20])
	_, err = a.wrap(m, wraps, odd)
	a.rv("C_WrapKey of 20 bytes", ck.CKR_KEY_SIZE_RANGE, err)
}

func keyWrapCross(a *actor) {
	_, unwraps := a.kek(kekValue)
	for _, n := range []int{16, 24, 32} {
		a.unwraps(fmt.Sprintf("the other side's %d bytes", n), plain(pkcs11.CKM_AES_KEY_WRAP), unwraps,
			a.fromOther(fmt.Sprint(n)), payloads[n], pkcs11.CKK_AES)
	}
}

func keyWrapPad(a *actor) { paddedWrap(a, plain(pkcs11.CKM_AES_KEY_WRAP_PAD)) }

func keyWrapKWP(a *actor) {
	a.offers("CKM_AES_KEY_WRAP_KWP", CKM_AES_KEY_WRAP_KWP, pkcs11.CKF_WRAP)
	paddedWrap(a, plain(CKM_AES_KEY_WRAP_KWP))
}

// paddedWrap is RFC 5649.
func paddedWrap(a *actor, m worker.Mechanism) {
	wraps, unwraps := a.kek(kekValue)
	for _, n := range []int{1, 16, 20, 100} {
		key := a.open(fmt.Sprintf("C_CreateObject of %d bytes", n), pkcs11.CKK_GENERIC_SECRET, payloads[n])
		wrapped, err := a.wrap(m, wraps, key)
		a.length(fmt.Sprintf("C_WrapKey of %d bytes", n), (n+7)/8*8+8, wrapped, err)
		a.unwraps(fmt.Sprintf("%d bytes", n), m, unwraps, wrapped, payloads[n], pkcs11.CKK_GENERIC_SECRET)
	}
	rfc, _ := a.kek(unhex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8"))
	key := a.open("C_CreateObject of the RFC's key", pkcs11.CKK_GENERIC_SECRET,
		unhex("c37b7e6492584340bed12207808941155068f738"))
	got, err := a.wrap(m, rfc, key)
	a.gives("the RFC's", unhex("138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"), got, err)
}

func cbcWrap(a *actor) {
	a.offers("CKM_AES_CBC_PAD to wrap", pkcs11.CKM_AES_CBC_PAD, pkcs11.CKF_WRAP)
	wraps, unwraps := a.kek(kekValue)
	m := plain(pkcs11.CKM_AES_CBC_PAD, iv16...)
	for _, n := range []int{16, 20, 32} {
		key := a.open(fmt.Sprintf("C_CreateObject of %d bytes", n), pkcs11.CKK_GENERIC_SECRET, payloads[n])
		want := cbc(made(aes.NewCipher(kekValue)), pad(payloads[n]))
		got, err := a.wrap(m, wraps, key)
		a.gives(fmt.Sprintf("C_WrapKey of %d bytes", n), want, got, err)
		_, err = a.unwrap(m, unwraps, want, openSecret(pkcs11.CKK_GENERIC_SECRET)...)
		a.rv(fmt.Sprintf("C_UnwrapKey of %d bytes", n), ck.CKR_MECHANISM_INVALID, err)
	}
	_, err := a.wrap(plain(pkcs11.CKM_AES_CBC_PAD), wraps, a.open("C_CreateObject", pkcs11.CKK_AES, payloads[16]))
	a.rv("without an IV", ck.CKR_MECHANISM_PARAM_INVALID, err)
}

// wrapPair imports the RSA key to wrap and unwrap.
func (a *actor) wrapPair() worker.KeyPair {
	a.t.Helper()
	return a.rsaPair(attributes(WRAP, true, ENCRYPT, false), attributes(readable(UNWRAP, true, DECRYPT, false)...))
}

func rsaWrap(a *actor) {
	pair := a.wrapPair()
	m := plain(pkcs11.CKM_RSA_PKCS)
	for _, n := range []int{16, 32, 100} {
		key := a.open(fmt.Sprintf("C_CreateObject of %d bytes", n), pkcs11.CKK_GENERIC_SECRET, payloads[n])
		wrapped, err := a.wrap(m, pair.Public, key)
		a.length(fmt.Sprintf("C_WrapKey of %d bytes", n), 256, wrapped, err)
		a.unwraps(fmt.Sprintf("%d bytes", n), m, pair.Private, wrapped, payloads[n], pkcs11.CKK_GENERIC_SECRET)
		a.make(fmt.Sprint(n), wrapped)
	}
	long := a.open("C_CreateObject of 246 bytes", pkcs11.CKK_GENERIC_SECRET, a.random(246))
	_, err := a.wrap(m, pair.Public, long)
	a.rv("C_WrapKey of 246 bytes", ck.CKR_KEY_SIZE_RANGE, err)
}

func rsaWrapCross(a *actor) {
	pair := a.wrapPair()
	for _, n := range []int{16, 32, 100} {
		a.unwraps(fmt.Sprintf("the other side's %d bytes", n), plain(pkcs11.CKM_RSA_PKCS), pair.Private,
			a.fromOther(fmt.Sprint(n)), payloads[n], pkcs11.CKK_GENERIC_SECRET)
	}
}

func oaepWrap(a *actor, which int) {
	pair := a.wrapPair()
	c := oaeps[which]
	m := oaep(c.hash, c.mgf, nil)
	key := a.open("C_CreateObject", pkcs11.CKK_AES, payloads[32])
	wrapped, err := a.wrap(m, pair.Public, key)
	a.need("C_WrapKey", err)
	a.equal("length", 256, len(wrapped))
	sealed := made(rsa.EncryptOAEP(c.goHash.New(), rand.Reader, &rsaKey().PublicKey, payloads[32], nil))
	a.unwraps("from outside", m, pair.Private, sealed, payloads[32], pkcs11.CKK_AES)
	a.make("wrapped", wrapped)
}

func oaepWrapCross(a *actor, which int) {
	pair := a.wrapPair()
	m := oaep(oaeps[which].hash, oaeps[which].mgf, nil)
	a.unwraps("from the other side", m, pair.Private, a.fromOther("wrapped"), payloads[32], pkcs11.CKK_AES)
}

// rsaAES is CKM_RSA_AES_KEY_WRAP with CK_RSA_AES_KEY_WRAP_PARAMS.
func rsaAES(bits uint) worker.Mechanism {
	return worker.Mechanism{
		Type:      pkcs11.CKM_RSA_AES_KEY_WRAP,
		Parameter: ulongs(bits, 0),
		Pointers:  []worker.Pointer{{Offset: 8, Data: oaep(pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, nil).Parameter}},
	}
}

func rsaAESWrap(a *actor) {
	a.offers("CKM_RSA_AES_KEY_WRAP", pkcs11.CKM_RSA_AES_KEY_WRAP, pkcs11.CKF_WRAP)
	pair := a.wrapPair()
	private := a.ecPair("P-256", nil, attributes(readable(SIGN, true)...)).Private
	for _, bits := range []uint{128, 192, 256} {
		wrapped, err := a.wrap(rsaAES(bits), pair.Public, private)
		a.ok(fmt.Sprintf("C_WrapKey with %d bits", bits), err)
		_, err = a.unwrap(rsaAES(bits), pair.Private, wrapped, CLASS, pkcs11.CKO_PRIVATE_KEY, KEY_TYPE, pkcs11.CKK_EC,
			SIGN, true)
		a.ok(fmt.Sprintf("C_UnwrapKey with %d bits", bits), err)
	}
	_, err := a.wrap(rsaAES(100), pair.Public, private)
	a.rv("100 bits", ck.CKR_MECHANISM_PARAM_INVALID, err)
}

// wrapPrivate wraps private keys: PKCS#8.
func wrapPrivate(a *actor) {
	a.offers("CKM_AES_CBC_PAD to wrap", pkcs11.CKM_AES_CBC_PAD, pkcs11.CKF_WRAP)
	wraps, _ := a.kek(kekValue)
	for _, c := range []struct {
		name string
		key  pkcs11.ObjectHandle
		want any
	}{
		{"RSA", a.rsaPair(nil, attributes(readable(SIGN, true)...)).Private, rsaKey()},
		{"P-256", a.ecPair("P-256", nil, attributes(readable(SIGN, true)...)).Private, ecKeys["P-256"]()},
	} {
		wrapped, err := a.wrap(plain(pkcs11.CKM_AES_CBC_PAD, iv16...), wraps, c.key)
		a.ok(c.name+": C_WrapKey with CBC_PAD", err)
		a.equal(c.name+": it is PKCS#8", true, isPKCS8(wrapped, c.want))
		_, err = a.wrap(plain(pkcs11.CKM_AES_KEY_WRAP_PAD), wraps, c.key)
		a.ok(c.name+": C_WrapKey with KEY_WRAP_PAD", err)
		_, err = a.wrap(plain(CKM_AES_KEY_WRAP_KWP), wraps, c.key)
		a.ok(c.name+": C_WrapKey with KEY_WRAP_KWP", err)
	}
}

func isPKCS8(wrapped []byte, want any) bool {
	if len(wrapped) == 0 || len(wrapped)%16 != 0 {
		return false
	}
	plain := uncbc(wrapped)
	n := int(plain[len(plain)-1])
	if n > 16 {
		return false
	}
	key, err := x509.ParsePKCS8PrivateKey(plain[:len(plain)-n])
	return err == nil && bytes.Equal(made(x509.MarshalPKCS8PrivateKey(key)), made(x509.MarshalPKCS8PrivateKey(want)))
}

// uncbc opens what was sealed with the wrapping key.
func uncbc(sealed []byte) []byte {
	block := made(aes.NewCipher(kekValue))
	out, before := make([]byte, len(sealed)), iv16
	for i := 0; i < len(sealed); i += 16 {
		block.Decrypt(out[i:], sealed[i:])
		for j := range 16 {
			out[i+j] ^= before[j]
		}
		before = sealed[i : i+16]
	}
	return out
}

// unwrapPrivate brings keys in that somebody else has wrapped, as NSS does with the keys of a PKCS#12 file.
func unwrapPrivate(a *actor) {
	a.offers("CKM_AES_CBC_PAD to wrap", pkcs11.CKM_AES_CBC_PAD, pkcs11.CKF_WRAP)
	_, unwraps := a.kek(kekValue)
	m := plain(pkcs11.CKM_AES_CBC_PAD, iv16...)
	sealed := func(key any) []byte {
		return cbc(made(aes.NewCipher(kekValue)), pad(made(x509.MarshalPKCS8PrivateKey(key))))
	}
	key, err := a.unwrap(m, unwraps, sealed(rsaKey()), CLASS, pkcs11.CKO_PRIVATE_KEY, KEY_TYPE, pkcs11.CKK_RSA, SIGN, true)
	a.ok("RSA: C_UnwrapKey", err)
	a.reads("RSA: modulus", key, MODULUS, rsaKey().N.Bytes())
	got, err := a.apply("Sign", plain(pkcs11.CKM_RSA_PKCS), key, []byte("data"))
	a.gives("RSA: C_Sign", made(rsa.SignPKCS1v15(nil, rsaKey(), 0, []byte("data"))), got, err)
	key, err = a.unwrap(m, unwraps, sealed(ecKeys["P-256"]()), CLASS, pkcs11.CKO_PRIVATE_KEY, KEY_TYPE, pkcs11.CKK_EC,
		SIGN, true)
	a.ok("P-256: C_UnwrapKey", err)
	a.reads("P-256: curve", key, EC_PARAMS, curves["P-256"])
	signature, err := a.apply("Sign", plain(pkcs11.CKM_ECDSA), key, make([]byte, 32))
	a.ok("P-256: C_Sign", err)
	a.equal("P-256: it is one", true, isRS(&ecKeys["P-256"]().PublicKey, make([]byte, 32), signature))
	_, err = a.unwrap(m, unwraps, sealed(rsaKey()), CLASS, pkcs11.CKO_PRIVATE_KEY, KEY_TYPE, pkcs11.CKK_EC, SIGN, true)
	a.rv("RSA as EC", ck.CKR_WRAPPED_KEY_INVALID, err)
}

func notWrappable(a *actor) {
	wraps, _ := a.kek(kekValue)
	mayNot := a.secretKey("C_CreateObject of a key that may not wrap", pkcs11.CKK_AES, kekValue, WRAP, false)
	m := plain(pkcs11.CKM_AES_KEY_WRAP)
	stays := a.secretKey("C_CreateObject of a key that stays", pkcs11.CKK_AES, payloads[16], EXTRACTABLE, false)
	leaves := a.open("C_CreateObject of a key that may leave", pkcs11.CKK_AES, payloads[16])
	trusting := a.secretKey("C_CreateObject of a key that wants trust", pkcs11.CKK_AES, payloads[16],
		readable(WRAP_WITH_TRUSTED, true)...)
	data := a.object("C_CreateObject of data", attributes(CLASS, pkcs11.CKO_DATA))
	for _, c := range []struct {
		name      string
		with, key pkcs11.ObjectHandle
		want      ck.RV
	}{
		{"a key that stays", wraps, stays, ck.CKR_KEY_UNEXTRACTABLE},
		{"with a key that may not", mayNot, leaves, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"a key that wants trust", wraps, trusting, ck.CKR_KEY_NOT_WRAPPABLE},
		{"data", wraps, data, ck.CKR_KEY_HANDLE_INVALID},
		{"with data", data, leaves, ck.CKR_WRAPPING_KEY_HANDLE_INVALID},
	} {
		_, err := a.wrap(m, c.with, c.key)
		a.rv(c.name, c.want, err)
	}
	public := a.rsaPair(nil, nil).Public
	_, err := a.wrap(m, wraps, public)
	a.rv("a public key", ck.CKR_KEY_NOT_WRAPPABLE, err)
	_, err = a.wrap(plain(pkcs11.CKM_AES_ECB), wraps, leaves)
	a.rv("a mechanism for something else", ck.CKR_MECHANISM_INVALID, err)
}

// Whatever is wrong with what comes, the answer is one and the same.
func forgedWraps(a *actor) {
	_, unwraps := a.kek(kekValue)
	rsaPair := a.wrapPair()
	for _, c := range []struct {
		name    string
		m       worker.Mechanism
		with    pkcs11.ObjectHandle
		wrapped []byte
	}{
		{"KEY_WRAP, zeros", plain(pkcs11.CKM_AES_KEY_WRAP), unwraps, make([]byte, 24)},
		{"KEY_WRAP_PAD, zeros", plain(pkcs11.CKM_AES_KEY_WRAP_PAD), unwraps, make([]byte, 24)},
		{"OAEP, ones", oaep(pkcs11.CKM_SHA_1, pkcs11.CKG_MGF1_SHA1, nil), rsaPair.Private, bytes.Repeat([]byte{1}, 256)},
	} {
		_, err := a.unwrap(c.m, c.with, c.wrapped, openSecret(pkcs11.CKK_AES)...)
		a.rv(c.name, ck.CKR_WRAPPED_KEY_INVALID, err)
	}
	for _, c := range []struct {
		name    string
		m       worker.Mechanism
		with    pkcs11.ObjectHandle
		wrapped []byte
	}{
		{"KEY_WRAP of 23 bytes", plain(pkcs11.CKM_AES_KEY_WRAP), unwraps, make([]byte, 23)},
		{"KEY_WRAP of 8 bytes", plain(pkcs11.CKM_AES_KEY_WRAP), unwraps, make([]byte, 8)},
		{"RSA_PKCS of 255 bytes", plain(pkcs11.CKM_RSA_PKCS), rsaPair.Private, make([]byte, 255)},
	} {
		_, err := a.unwrap(c.m, c.with, c.wrapped, openSecret(pkcs11.CKK_AES)...)
		a.rv(c.name, ck.CKR_WRAPPED_KEY_INVALID, err)
	}
}

func forgedCBC(a *actor) {
	a.offers("CKM_AES_CBC_PAD to unwrap", pkcs11.CKM_AES_CBC_PAD, pkcs11.CKF_UNWRAP)
	_, unwraps := a.kek(kekValue)
	block := made(aes.NewCipher(kekValue))
	good := cbc(block, pad(made(x509.MarshalPKCS8PrivateKey(ecKeys["P-256"]()))))
	for _, c := range []struct {
		name    string
		wrapped []byte
		want    ck.RV
	}{
		{"a wrong padding", flipped(good, len(good)-1), ck.CKR_WRAPPED_KEY_INVALID},
		{"padded with nothing", cbc(block, make([]byte, 32)), ck.CKR_WRAPPED_KEY_INVALID},
		{"no key in it", cbc(block, pad(a.random(15))), ck.CKR_WRAPPED_KEY_INVALID},
		{"17 bytes", make([]byte, 17), ck.CKR_WRAPPED_KEY_INVALID},
	} {
		_, err := a.unwrap(plain(pkcs11.CKM_AES_CBC_PAD, iv16...), unwraps, c.wrapped,
			CLASS, pkcs11.CKO_PRIVATE_KEY, KEY_TYPE, pkcs11.CKK_EC)
		a.rv(c.name, c.want, err)
	}
}

func wrappingKeys(a *actor) {
	wraps, unwraps := a.kek(kekValue)
	pair := a.wrapPair()
	key := a.open("C_CreateObject of a key that may leave", pkcs11.CKK_AES, payloads[16])
	generic := a.secretKey("C_CreateObject of a generic secret", pkcs11.CKK_GENERIC_SECRET, kekValue, WRAP, true)
	for _, c := range []struct {
		name string
		m    worker.Mechanism
		with pkcs11.ObjectHandle
		want ck.RV
	}{
		{"AES with an RSA key", plain(pkcs11.CKM_AES_KEY_WRAP), pair.Public, ck.CKR_WRAPPING_KEY_TYPE_INCONSISTENT},
		{"AES with a generic secret", plain(pkcs11.CKM_AES_KEY_WRAP), generic, ck.CKR_WRAPPING_KEY_TYPE_INCONSISTENT},
		{"RSA with an AES key", plain(pkcs11.CKM_RSA_PKCS), wraps, ck.CKR_WRAPPING_KEY_TYPE_INCONSISTENT},
		{"with a key that unwraps alone", plain(pkcs11.CKM_AES_KEY_WRAP), unwraps, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
	} {
		_, err := a.wrap(c.m, c.with, key)
		a.rv(c.name, c.want, err)
	}
	for _, c := range []struct {
		name string
		m    worker.Mechanism
		with pkcs11.ObjectHandle
		want ck.RV
	}{
		{"unwrap AES with an RSA key", plain(pkcs11.CKM_AES_KEY_WRAP), pair.Private, ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT},
		{"unwrap RSA with an AES key", plain(pkcs11.CKM_RSA_PKCS), unwraps, ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT},
		{"unwrap with a key that wraps alone", plain(pkcs11.CKM_AES_KEY_WRAP), wraps, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
	} {
		_, err := a.unwrap(c.m, c.with, make([]byte, 24), openSecret(pkcs11.CKK_AES)...)
		a.rv(c.name, c.want, err)
	}
}

func unwrapTemplates(a *actor) {
	wraps, unwraps := a.kek(kekValue)
	m := plain(pkcs11.CKM_AES_KEY_WRAP)
	wrapped, err := a.wrap(m, wraps, a.open("C_CreateObject", pkcs11.CKK_AES, payloads[16]))
	a.need("C_WrapKey", err)
	for _, c := range []struct {
		name  string
		pairs []any
		want  ck.RV
	}{
		{"nothing", nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{"no type", []any{CLASS, pkcs11.CKO_SECRET_KEY}, ck.CKR_TEMPLATE_INCOMPLETE},
		{"no class", []any{KEY_TYPE, pkcs11.CKK_AES}, ck.CKR_TEMPLATE_INCOMPLETE},
		{"data", []any{CLASS, pkcs11.CKO_DATA}, ck.CKR_TEMPLATE_INCONSISTENT},
		{"its value", append(openSecret(pkcs11.CKK_AES), VALUE, payloads[16]), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"its length", append(openSecret(pkcs11.CKK_AES), VALUE_LEN, 16), ck.CKR_OK},
		{"another length", append(openSecret(pkcs11.CKK_AES), VALUE_LEN, 24), ck.CKR_WRAPPED_KEY_INVALID},
		{"local", append(openSecret(pkcs11.CKK_AES), uint(pkcs11.CKA_LOCAL), true), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"what belongs to nothing", append(openSecret(pkcs11.CKK_AES), uint(0x7fff1234), []byte{1}),
			ck.CKR_ATTRIBUTE_TYPE_INVALID},
	} {
		_, err := a.unwrap(m, unwraps, wrapped, c.pairs...)
		a.rv(c.name, c.want, err)
	}
}

// A key that came in was seen outside.
func unwrapHistory(a *actor) {
	wraps, unwraps := a.kek(kekValue)
	m := plain(pkcs11.CKM_AES_KEY_WRAP)
	wrapped, err := a.wrap(m, wraps, a.open("C_CreateObject", pkcs11.CKK_AES, payloads[16]))
	a.need("C_WrapKey", err)
	key, err := a.unwrap(m, unwraps, wrapped, CLASS, pkcs11.CKO_SECRET_KEY, KEY_TYPE, pkcs11.CKK_AES)
	a.need("C_UnwrapKey", err)
	a.reads("CKA_LOCAL", key, uint(pkcs11.CKA_LOCAL), false)
	a.reads("CKA_ALWAYS_SENSITIVE", key, uint(pkcs11.CKA_ALWAYS_SENSITIVE), false)
	a.reads("CKA_NEVER_EXTRACTABLE", key, uint(pkcs11.CKA_NEVER_EXTRACTABLE), false)
	a.reads("CKA_KEY_GEN_MECHANISM", key, uint(pkcs11.CKA_KEY_GEN_MECHANISM), ^uint(0))
	a.reads("CKA_SENSITIVE", key, SENSITIVE, true)
	a.reads("CKA_EXTRACTABLE", key, EXTRACTABLE, false)
	a.reads("CKA_TOKEN", key, TOKEN, false)
	a.reads("CKA_VALUE_LEN", key, VALUE_LEN, 16)
}

// A key that wraps keys and decrypts data opens what it has wrapped; one that encrypts data and unwraps keys makes keys
// of data. Neither is made.
func wrappingRoles(a *actor) {
	a.rv("wrap and decrypt", ck.CKR_TEMPLATE_INCONSISTENT,
		a.create(secretTemplate(pkcs11.CKK_AES, a.random(16), WRAP, true, DECRYPT, true)))
	a.rv("unwrap and encrypt", ck.CKR_TEMPLATE_INCONSISTENT,
		a.create(secretTemplate(pkcs11.CKK_AES, a.random(16), UNWRAP, true, ENCRYPT, true)))
	a.ok("encrypt and decrypt", a.create(secretTemplate(pkcs11.CKK_AES, a.random(16), ENCRYPT, true, DECRYPT, true)))
	a.ok("wrap and unwrap", a.create(secretTemplate(pkcs11.CKK_AES, a.random(16), WRAP, true, UNWRAP, true, ENCRYPT,
		false, DECRYPT, false)))
	key := a.secretKey("C_CreateObject", pkcs11.CKK_AES, a.random(16), WRAP, true, ENCRYPT, false, DECRYPT, false,
		UNWRAP, false)
	a.rv("decrypt later", ck.CKR_ATTRIBUTE_READ_ONLY, a.SetAttributeValue(a.session, key, attributes(DECRYPT, true)...))
	again, err := a.CopyObject(a.session, key, attributes(DECRYPT, true)...)
	a.rv("decrypt in a copy", ck.CKR_ATTRIBUTE_READ_ONLY, err)
	if err == nil {
		a.DestroyObject(a.session, again)
	}
	_, err = a.generateAES(attributes(VALUE_LEN, 16, WRAP, true, DECRYPT, true))
	a.rv("generated", ck.CKR_TEMPLATE_INCONSISTENT, err)
}

// What is sensitive does not become readable by leaving and coming back.
func wrapSensitive(a *actor) {
	known := a.secretKey("C_CreateObject of a known key that wraps", pkcs11.CKK_AES, a.random(32), WRAP, true, UNWRAP,
		true,
		ENCRYPT, false, DECRYPT, false, SENSITIVE, true, EXTRACTABLE, false)
	hidden, err := a.generateAES(attributes(VALUE_LEN, 32, WRAP, true, UNWRAP, true, ENCRYPT, false, DECRYPT, false))
	a.need("C_GenerateKey of a key that wraps", err)
	key := a.secretKey("C_CreateObject of a sensitive key", pkcs11.CKK_AES, payloads[16], SENSITIVE, true, EXTRACTABLE,
		true)
	m := plain(pkcs11.CKM_AES_KEY_WRAP)
	_, err = a.wrap(m, known, key)
	a.rv("under a known key", ck.CKR_KEY_NOT_WRAPPABLE, err)
	wrapped, err := a.wrap(m, hidden, key)
	a.ok("under a generated key", err)
	_, err = a.unwrap(m, hidden, wrapped, openSecret(pkcs11.CKK_AES)...)
	a.rv("back, to be read", ck.CKR_TEMPLATE_INCONSISTENT, err)
	_, err = a.unwrap(m, hidden, wrapped, CLASS, pkcs11.CKO_SECRET_KEY, KEY_TYPE, pkcs11.CKK_AES, SENSITIVE, true)
	a.ok("back, sensitive", err)
	_, err = a.unwrap(m, hidden, wrapped, CLASS, pkcs11.CKO_SECRET_KEY, KEY_TYPE, pkcs11.CKK_AES, SENSITIVE, true,
		UNWRAP, true,
		ENCRYPT, false, DECRYPT, false)
	a.rv("back, to unwrap", ck.CKR_TEMPLATE_INCONSISTENT, err)
	other, err := a.generateAES(attributes(VALUE_LEN, 32, WRAP, true, ENCRYPT, false, DECRYPT, false, EXTRACTABLE, true))
	a.need("C_GenerateKey of another key that wraps", err)
	_, err = a.wrap(m, hidden, other)
	a.rv("a key that wraps", ck.CKR_KEY_NOT_WRAPPABLE, err)
}

// Unwrapping with CKM_RSA_PKCS does not say whether the padding was right: another key comes, the same each time.
func implicitRejection(a *actor) {
	pair := a.wrapPair()
	m := plain(pkcs11.CKM_RSA_PKCS)
	first, err := a.unwrap(m, pair.Private, make([]byte, 256), openSecret(pkcs11.CKK_GENERIC_SECRET)...)
	a.need("C_UnwrapKey of zeros", err)
	second, err := a.unwrap(m, pair.Private, make([]byte, 256), openSecret(pkcs11.CKK_GENERIC_SECRET)...)
	a.need("C_UnwrapKey of zeros again", err)
	one, err := a.attribute(first, VALUE)
	a.ok("its value", err)
	other, err := a.attribute(second, VALUE)
	a.gives("its value again", one, other, err)
}

// A key with CKA_WRAP_WITH_TRUSTED leaves under a key that the SO has called trusted.
func wrapWithTrusted(a *actor) {
	a.session = a.keeper
	secret := a.random(32)
	a.need("C_Logout", a.Logout(a.session))
	a.need("C_Login of the SO", a.Login(a.session, pkcs11.CKU_SO, soPIN))
	_, err := a.CreateObject(a.session, secretTemplate(pkcs11.CKK_AES, secret, TOKEN, true, PRIVATE, false, WRAP, true,
		UNWRAP, false,
		ENCRYPT, false, DECRYPT, false, TRUSTED, true, LABEL, "trusted")...)
	a.ok("C_CreateObject by the SO", err)
	a.need("C_Logout of the SO", a.Logout(a.session))
	a.need("C_Login", a.Login(a.session, pkcs11.CKU_USER, userPIN))
	found, err := a.FindObjects(a.session, attributes(LABEL, "trusted")...)
	a.ok("C_FindObjects", err)
	a.equal("found", 1, len(found))
	key := a.secretKey("C_CreateObject of a key that wants trust", pkcs11.CKK_AES, payloads[16], EXTRACTABLE, true,
		WRAP_WITH_TRUSTED, true)
	trusted := append(found, 0)[0]
	wrapped, err := a.wrap(plain(pkcs11.CKM_AES_KEY_WRAP), trusted, key)
	a.length("C_WrapKey", 24, wrapped, err)
	a.session = 0
}

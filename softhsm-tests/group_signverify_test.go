package softhsmtests

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// Signatures and MACs.
func TestGroupSignVerify(t *testing.T) {
	group(t, "signverify",
		scenario{name: "RSA_PKCS", run: signRSA},
		scenario{name: "SHA_RSA_PKCS", run: signHashedRSA},
		scenario{name: "RSA_X_509", run: signRawRSA},
		scenario{name: "RSA_X_509 of too much", run: signRawTooLong, fresh: true, session: true},
		scenario{name: "PSS", run: signPSS, cross: verifyPSS},
		scenario{name: "PSS parameters", run: pssParameters},
		scenario{name: "ECDSA", run: signECDSA, cross: verifyECDSA},
		scenario{name: "ECDSA with a hash", run: signHashedECDSA},
		scenario{name: "Ed25519", run: signEd25519},
		scenario{name: "HMAC", run: func(a *actor) { signHMAC(a, hmacs[:5]) }},
		scenario{name: "HMAC with SHA-3", run: func(a *actor) {
			a.offers("CKM_SHA3_256_HMAC", pkcs11.CKM_SHA3_256_HMAC, pkcs11.CKF_SIGN)
			signHMAC(a, hmacs[5:])
		}},
		scenario{name: "CMAC", run: signCMAC},
		scenario{name: "wrong signatures", run: wrongSignatures},
		scenario{name: "wrong keys", run: signingKeys},
		scenario{name: "parameters", run: signingParameters},
		scenario{name: "states of Sign", run: signingStates},
		scenario{name: "states of Verify", run: verifyingStates},
		scenario{name: "recover", run: recovering},
		scenario{name: "old ones", run: oldSignatures},
		scenario{name: "generated keys", run: signWithGenerated},
	)
}

// signPair imports the RSA key to sign and verify.
func (a *actor) signPair() worker.KeyPair {
	a.t.Helper()
	return a.rsaPair(attributes(VERIFY, true), attributes(SIGN, true))
}

func signRSA(a *actor) {
	pair := a.signPair()
	m := plain(pkcs11.CKM_RSA_PKCS)
	for _, n := range []int{0, 1, 20, 51, 245} {
		data := bytes.Repeat([]byte("d"), n)
		want := made(rsa.SignPKCS1v15(nil, rsaKey(), 0, data))
		got, err := a.apply("Sign", m, pair.Private, data)
		a.gives(fmt.Sprintf("C_Sign of %d bytes", n), want, got, err)
		a.ok(fmt.Sprintf("C_Verify of %d bytes", n), a.verify(m, pair.Public, data, want))
	}
	_, err := a.apply("Sign", m, pair.Private, make([]byte, 246))
	a.rv("C_Sign of 246 bytes", ck.CKR_DATA_LEN_RANGE, err)
	a.apart(func() {
		a.need("C_SignInit", a.begin("Sign", m, pair.Private))
		_, err := a.update("Sign", []byte("data"))
		a.rv("C_SignUpdate", ck.CKR_FUNCTION_NOT_SUPPORTED, err)
	})
	a.apart(func() {
		a.need("C_VerifyInit", a.begin("Verify", m, pair.Public))
		_, err := a.update("Verify", []byte("data"))
		a.rv("C_VerifyUpdate", ck.CKR_FUNCTION_NOT_SUPPORTED, err)
	})
}

// hashedRSA are the mechanisms that hash.
var hashedRSA = []struct {
	name        string
	pkcs, pss   uint
	hash        crypto.Hash
	number, mgf uint
}{
	{"SHA-1", pkcs11.CKM_SHA1_RSA_PKCS, pkcs11.CKM_SHA1_RSA_PKCS_PSS, crypto.SHA1, pkcs11.CKM_SHA_1, pkcs11.CKG_MGF1_SHA1},
	{"SHA-224", pkcs11.CKM_SHA224_RSA_PKCS, pkcs11.CKM_SHA224_RSA_PKCS_PSS, crypto.SHA224, pkcs11.CKM_SHA224,
		pkcs11.CKG_MGF1_SHA224},
	{"SHA-256", pkcs11.CKM_SHA256_RSA_PKCS, pkcs11.CKM_SHA256_RSA_PKCS_PSS, crypto.SHA256, pkcs11.CKM_SHA256,
		pkcs11.CKG_MGF1_SHA256},
	{"SHA-384", pkcs11.CKM_SHA384_RSA_PKCS, pkcs11.CKM_SHA384_RSA_PKCS_PSS, crypto.SHA384, pkcs11.CKM_SHA384,
		pkcs11.CKG_MGF1_SHA384},
	{"SHA-512", pkcs11.CKM_SHA512_RSA_PKCS, pkcs11.CKM_SHA512_RSA_PKCS_PSS, crypto.SHA512, pkcs11.CKM_SHA512,
		pkcs11.CKG_MGF1_SHA512},
}

// message is what scenarios sign.
var message = bytes.Repeat([]byte("a message of some length, "), 40)

// bothWays signs and verifies in one part and in several; the signature is one that can be foretold.
func (a *actor) bothWays(name string, m worker.Mechanism, signing, verifying pkcs11.ObjectHandle, data, want []byte) {
	a.apart(func() {
		got, err := a.apply("Sign", m, signing, data)
		a.gives(name+": C_Sign", want, got, err)
	})
	a.apart(func() {
		got, err := a.applyParts("Sign", m, signing, thirds(data)...)
		a.gives(name+": C_SignUpdate", want, got, err)
	})
	a.apart(func() { a.ok(name+": C_Verify", a.verify(m, verifying, data, want)) })
	a.apart(func() { a.ok(name+": C_VerifyUpdate", a.verifyParts(m, verifying, want, thirds(data)...)) })
	a.apart(func() {
		a.rv(name+": C_Verify of another message", ck.CKR_SIGNATURE_INVALID,
			a.verify(m, verifying, append([]byte("x"), data...), want))
	})
	a.apart(func() {
		a.rv(name+": C_VerifyFinal of another message", ck.CKR_SIGNATURE_INVALID,
			a.verifyParts(m, verifying, want, []byte("x"), data))
	})
	a.apart(func() {
		a.rv(name+": C_Verify of an altered one", ck.CKR_SIGNATURE_INVALID,
			a.verify(m, verifying, data, flipped(want, len(want)-1)))
	})
}

func signHashedRSA(a *actor) {
	pair := a.signPair()
	for _, c := range hashedRSA {
		for _, data := range [][]byte{nil, message} {
			want := made(rsa.SignPKCS1v15(nil, rsaKey(), c.hash, sum(c.hash, data)))
			a.bothWays(fmt.Sprintf("%s, %d bytes", c.name, len(data)), plain(c.pkcs), pair.Private, pair.Public, data, want)
		}
	}
}

func signRawRSA(a *actor) {
	pair := a.signPair()
	m := plain(pkcs11.CKM_RSA_X_509)
	data := append(make([]byte, 100), bytes.Repeat([]byte("d"), 156)...)
	want := new(big.Int).Exp(new(big.Int).SetBytes(data), rsaKey().D, rsaKey().N).FillBytes(make([]byte, 256))
	got, err := a.apply("Sign", m, pair.Private, data)
	a.gives("C_Sign of a block", want, got, err)
	a.ok("C_Verify of a block", a.verify(m, pair.Public, data, want))
	got, err = a.apply("Sign", m, pair.Private, data[100:])
	a.gives("C_Sign of less", want, got, err)
}

func signRawTooLong(a *actor) {
	pair := a.signPair()
	_, err := a.apply("Sign", plain(pkcs11.CKM_RSA_X_509), pair.Private, make([]byte, 257))
	a.rv("C_Sign", ck.CKR_DATA_LEN_RANGE, err)
}

func signPSS(a *actor) {
	pair := a.signPair()
	for _, c := range hashedRSA {
		salt := uint(c.hash.Size())
		digest := sum(c.hash, message)
		options := &rsa.PSSOptions{SaltLength: int(salt), Hash: c.hash}
		raw, hashed := pss(pkcs11.CKM_RSA_PKCS_PSS, c.number, c.mgf, salt), pss(c.pss, c.number, c.mgf, salt)
		a.apart(func() {
			signature, err := a.apply("Sign", raw, pair.Private, digest)
			a.ok(c.name+": C_Sign of a digest", err)
			a.equal(c.name+": it is one", true, rsa.VerifyPSS(&rsaKey().PublicKey, c.hash, digest, signature, options) == nil)
			a.make(c.name, signature)
		})
		a.apart(func() {
			signature, err := a.applyParts("Sign", hashed, pair.Private, thirds(message)...)
			a.ok(c.name+": C_SignUpdate", err)
			err = rsa.VerifyPSS(&rsaKey().PublicKey, c.hash, digest, signature, options)
			a.equal(c.name+": in parts it is one", true, err == nil)
		})
		a.apart(func() {
			_, err := a.apply("Sign", raw, pair.Private, digest[1:])
			a.rv(c.name+": C_Sign of a short digest", ck.CKR_DATA_LEN_RANGE, err)
		})
		signature := made(rsa.SignPSS(rand.Reader, rsaKey(), c.hash, digest, options))
		a.apart(func() { a.ok(c.name+": C_Verify", a.verify(hashed, pair.Public, message, signature)) })
		a.apart(func() {
			a.ok(c.name+": C_VerifyUpdate", a.verifyParts(hashed, pair.Public, signature, thirds(message)...))
		})
		a.apart(func() {
			a.rv(c.name+": C_Verify of an altered one", ck.CKR_SIGNATURE_INVALID,
				a.verify(raw, pair.Public, digest, flipped(signature, 9)))
		})
	}
}

func verifyPSS(a *actor) {
	pair := a.signPair()
	for _, c := range hashedRSA {
		a.apart(func() {
			m := pss(pkcs11.CKM_RSA_PKCS_PSS, c.number, c.mgf, uint(c.hash.Size()))
			a.ok(c.name+": C_Verify of the other side's", a.verify(m, pair.Public, sum(c.hash, message), a.fromOther(c.name)))
		})
	}
}

func pssParameters(a *actor) {
	pair := a.signPair()
	for _, c := range []struct {
		name string
		m    worker.Mechanism
	}{
		{"none", plain(pkcs11.CKM_RSA_PKCS_PSS)},
		{"none for one that hashes", plain(pkcs11.CKM_SHA256_RSA_PKCS_PSS)},
		{"too short", plain(pkcs11.CKM_RSA_PKCS_PSS, 1, 2, 3)},
		{"another hash than the mechanism's", pss(pkcs11.CKM_SHA256_RSA_PKCS_PSS, pkcs11.CKM_SHA_1,
			pkcs11.CKG_MGF1_SHA1, 20)},
		{"a hash that is none", pss(pkcs11.CKM_RSA_PKCS_PSS, pkcs11.CKM_RSA_PKCS, pkcs11.CKG_MGF1_SHA256, 32)},
		{"an MGF that is none", pss(pkcs11.CKM_RSA_PKCS_PSS, pkcs11.CKM_SHA256, 99, 32)},
		{"a salt that does not fit", pss(pkcs11.CKM_RSA_PKCS_PSS, pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, 10000)},
	} {
		a.apart(func() {
			a.rv(c.name+": C_SignInit", ck.CKR_MECHANISM_PARAM_INVALID, a.begin("Sign", c.m, pair.Private))
		})
		a.apart(func() {
			a.rv(c.name+": C_VerifyInit", ck.CKR_MECHANISM_PARAM_INVALID, a.begin("Verify", c.m, pair.Public))
		})
	}
	for _, salt := range []uint{0, 1, 222} {
		a.apart(func() {
			m := pss(pkcs11.CKM_RSA_PKCS_PSS, pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, salt)
			_, err := a.apply("Sign", m, pair.Private, make([]byte, 32))
			want := ck.CKR_OK
			if salt == 0 { // Go's standard library cannot
				want = ck.CKR_MECHANISM_PARAM_INVALID
			}
			a.rv(fmt.Sprintf("a salt of %d bytes", salt), want, err)
		})
	}
}

// rs is a signature in PKCS#11's form.
func rs(key *ecdsa.PrivateKey, digest []byte) []byte {
	r, s, err := ecdsa.Sign(rand.Reader, key, digest)
	if err != nil {
		panic(err)
	}
	n := (key.Params().BitSize + 7) / 8
	return append(r.FillBytes(make([]byte, n)), s.FillBytes(make([]byte, n))...)
}

func isRS(key *ecdsa.PublicKey, digest, signature []byte) bool {
	n := len(signature) / 2
	return n == (key.Params().BitSize+7)/8 &&
		ecdsa.Verify(key, digest, new(big.Int).SetBytes(signature[:n]), new(big.Int).SetBytes(signature[n:]))
}

func signECDSA(a *actor) {
	m := plain(pkcs11.CKM_ECDSA)
	for _, curve := range curveNames {
		pair := a.ecPair(curve, attributes(VERIFY, true), attributes(SIGN, true))
		key := ecKeys[curve]()
		for _, n := range []int{20, 28, 32, 48, 64} {
			digest := bytes.Repeat([]byte{byte(n)}, n)
			name := fmt.Sprintf("%s, digest of %d bytes: ", curve, n)
			signature, err := a.apply("Sign", m, pair.Private, digest)
			a.ok(name+"C_Sign", err)
			a.equal(name+"it is one", true, isRS(&key.PublicKey, digest, signature))
			a.ok(name+"C_Verify", a.verify(m, pair.Public, digest, rs(key, digest)))
			a.rv(name+"C_Verify of an altered one", ck.CKR_SIGNATURE_INVALID,
				a.verify(m, pair.Public, digest, flipped(rs(key, digest), 9)))
			a.make(name, signature)
		}
		a.rv(curve+": a short signature", ck.CKR_SIGNATURE_LEN_RANGE,
			a.verify(m, pair.Public, make([]byte, 32), rs(key, make([]byte, 32))[1:]))
		a.rv(curve+": zeros", ck.CKR_SIGNATURE_INVALID,
			a.verify(m, pair.Public, make([]byte, 32), make([]byte, 2*((key.Params().BitSize+7)/8))))
	}
}

func verifyECDSA(a *actor) {
	for _, curve := range curveNames {
		pair := a.ecPair(curve, attributes(VERIFY, true), nil)
		for _, n := range []int{20, 28, 32, 48, 64} {
			name := fmt.Sprintf("%s, digest of %d bytes: ", curve, n)
			a.ok(name+"C_Verify of the other side's",
				a.verify(plain(pkcs11.CKM_ECDSA), pair.Public, bytes.Repeat([]byte{byte(n)}, n), a.fromOther(name)))
		}
	}
}

func signHashedECDSA(a *actor) {
	a.offers("CKM_ECDSA_SHA256", pkcs11.CKM_ECDSA_SHA256, pkcs11.CKF_SIGN)
	for _, c := range []struct {
		name   string
		number uint
		hash   crypto.Hash
	}{
		{"SHA-1", pkcs11.CKM_ECDSA_SHA1, crypto.SHA1},
		{"SHA-224", pkcs11.CKM_ECDSA_SHA224, crypto.SHA224},
		{"SHA-256", pkcs11.CKM_ECDSA_SHA256, crypto.SHA256},
		{"SHA-384", pkcs11.CKM_ECDSA_SHA384, crypto.SHA384},
		{"SHA-512", pkcs11.CKM_ECDSA_SHA512, crypto.SHA512},
	} {
		for _, curve := range curveNames {
			pair := a.ecPair(curve, attributes(VERIFY, true), attributes(SIGN, true))
			key := ecKeys[curve]()
			name := c.name + " on " + curve + ": "
			a.apart(func() {
				signature, err := a.apply("Sign", plain(c.number), pair.Private, message)
				a.ok(name+"C_Sign", err)
				a.equal(name+"it is one", true, isRS(&key.PublicKey, sum(c.hash, message), signature))
			})
			a.apart(func() {
				signature, err := a.applyParts("Sign", plain(c.number), pair.Private, thirds(message)...)
				a.ok(name+"C_SignUpdate", err)
				a.equal(name+"in parts it is one", true, isRS(&key.PublicKey, sum(c.hash, message), signature))
			})
			a.apart(func() {
				signature := rs(key, sum(c.hash, message))
				a.ok(name+"C_VerifyUpdate", a.verifyParts(plain(c.number), pair.Public, signature, thirds(message)...))
			})
		}
	}
}

func signEd25519(a *actor) {
	pair := a.edPair()
	m := plain(CKM_EDDSA)
	for _, data := range [][]byte{nil, []byte("d"), message} {
		want := ed25519.Sign(edKey(), data)
		got, err := a.apply("Sign", m, pair.Private, data)
		a.gives(fmt.Sprintf("C_Sign of %d bytes", len(data)), want, got, err)
		a.ok(fmt.Sprintf("C_Verify of %d bytes", len(data)), a.verify(m, pair.Public, data, want))
		a.rv(fmt.Sprintf("C_Verify of %d bytes, altered", len(data)), ck.CKR_SIGNATURE_INVALID,
			a.verify(m, pair.Public, data, flipped(want, 0)))
	}
	a.rv("C_Verify of a short one", ck.CKR_SIGNATURE_LEN_RANGE, a.verify(m, pair.Public, nil, make([]byte, 63)))
	a.apart(func() {
		a.need("C_SignInit", a.begin("Sign", m, pair.Private))
		_, err := a.update("Sign", []byte("data"))
		a.rv("C_SignUpdate", ck.CKR_FUNCTION_NOT_SUPPORTED, err)
	})
}

// keyedHash is an HMAC.
type keyedHash struct {
	name   string
	number uint
	hash   crypto.Hash
}

var hmacs = []keyedHash{
	{"SHA-1", pkcs11.CKM_SHA_1_HMAC, crypto.SHA1},
	{"SHA-224", pkcs11.CKM_SHA224_HMAC, crypto.SHA224},
	{"SHA-256", pkcs11.CKM_SHA256_HMAC, crypto.SHA256},
	{"SHA-384", pkcs11.CKM_SHA384_HMAC, crypto.SHA384},
	{"SHA-512", pkcs11.CKM_SHA512_HMAC, crypto.SHA512},
	{"SHA3-224", pkcs11.CKM_SHA3_224_HMAC, crypto.SHA3_224},
	{"SHA3-256", pkcs11.CKM_SHA3_256_HMAC, crypto.SHA3_256},
	{"SHA3-384", pkcs11.CKM_SHA3_384_HMAC, crypto.SHA3_384},
	{"SHA3-512", pkcs11.CKM_SHA3_512_HMAC, crypto.SHA3_512},
}

func signHMAC(a *actor, hmacs []keyedHash) {
	for _, c := range hmacs {
		secret := a.random(c.hash.Size())
		key := a.secretKey(c.name+": C_CreateObject", pkcs11.CKK_GENERIC_SECRET, secret, SIGN, true, VERIFY, true)
		mac := hmac.New(c.hash.New, secret)
		mac.Write(message)
		a.bothWays(c.name, plain(c.number), key, key, message, mac.Sum(nil))
		a.apart(func() {
			a.rv(c.name+": a short MAC", ck.CKR_SIGNATURE_LEN_RANGE, a.verify(plain(c.number), key, message, mac.Sum(nil)[1:]))
		})
	}
	short := a.secretKey("C_CreateObject of a short key", pkcs11.CKK_GENERIC_SECRET, a.random(8), SIGN, true)
	a.rv("a key of 8 bytes", ck.CKR_OK, a.begin("Sign", plain(pkcs11.CKM_SHA256_HMAC), short))
}

// cmacs are MACs of RFC 4493.
var cmacs = []struct {
	data, mac string
}{
	{"", "bb1d6929e95937287fa37d129b756746"},
	{"6bc1bee22e409f96e93d7e117393172a", "070a16b46b4d4144f79bdd9dd04a287c"},
	{"6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411",
		"dfa66747de9ae63030ca32611497c827"},
}

func signCMAC(a *actor) {
	key := a.secretKey("C_CreateObject", pkcs11.CKK_AES, unhex("2b7e151628aed2a6abf7158809cf4f3c"),
		SIGN, true, VERIFY, true)
	for _, c := range cmacs {
		name := fmt.Sprintf("%d bytes", len(c.data)/2)
		a.bothWays(name, plain(pkcs11.CKM_AES_CMAC), key, key, unhex(c.data), unhex(c.mac))
	}
	short := make([]byte, aes.BlockSize-1)
	a.rv("a short MAC", ck.CKR_SIGNATURE_LEN_RANGE, a.verify(plain(pkcs11.CKM_AES_CMAC), key, nil, short))
}

func unhex(text string) (b []byte) {
	if _, err := fmt.Sscanf(text, "%x", &b); err != nil && text != "" {
		panic(err)
	}
	return b
}

func wrongSignatures(a *actor) {
	pair := a.signPair()
	m := plain(pkcs11.CKM_SHA256_RSA_PKCS)
	for _, n := range []int{0, 255, 257} {
		a.rv(fmt.Sprintf("C_Verify with %d bytes", n), ck.CKR_SIGNATURE_LEN_RANGE,
			a.verify(m, pair.Public, message, make([]byte, n)))
		a.rv(fmt.Sprintf("C_VerifyFinal with %d bytes", n), ck.CKR_SIGNATURE_LEN_RANGE,
			a.verifyParts(m, pair.Public, make([]byte, n), message))
	}
	a.rv("zeros", ck.CKR_SIGNATURE_INVALID, a.verify(m, pair.Public, message, make([]byte, 256)))
	a.rv("ones", ck.CKR_SIGNATURE_INVALID, a.verify(m, pair.Public, message, bytes.Repeat([]byte{0xff}, 256)))
}

func signingKeys(a *actor) {
	pair := a.signPair()
	none := a.rsaPair(attributes(VERIFY, false), attributes(SIGN, false))
	ec := a.ecPair("P-256", attributes(VERIFY, true), attributes(SIGN, true))
	aes := a.secretKey("C_CreateObject of an AES key", pkcs11.CKK_AES, a.random(16), SIGN, true, VERIFY, true)
	data := a.object("C_CreateObject of data", attributes(CLASS, pkcs11.CKO_DATA))
	rsaSign, ecSign := plain(pkcs11.CKM_SHA256_RSA_PKCS), plain(pkcs11.CKM_ECDSA)
	for _, c := range []struct {
		name, function string
		m              worker.Mechanism
		key            pkcs11.ObjectHandle
		want           ck.RV
	}{
		{"C_SignInit RSA with an EC key", "Sign", rsaSign, ec.Private, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"C_VerifyInit RSA with an EC key", "Verify", rsaSign, ec.Public, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"C_SignInit EC with an RSA key", "Sign", ecSign, pair.Private, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"C_VerifyInit EC with an RSA key", "Verify", ecSign, pair.Public, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"C_SignInit RSA with an AES key", "Sign", rsaSign, aes, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"C_SignInit HMAC with an EC key", "Sign", plain(pkcs11.CKM_SHA256_HMAC), ec.Private, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"C_SignInit CMAC with an RSA key", "Sign", plain(pkcs11.CKM_AES_CMAC), pair.Private, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"C_SignInit EDDSA with an EC key", "Sign", plain(CKM_EDDSA), ec.Private, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"C_SignInit with the public key", "Sign", rsaSign, pair.Public, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"C_VerifyInit with the private key", "Verify", rsaSign, pair.Private, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"C_SignInit with a key that may not", "Sign", rsaSign, none.Private, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"C_VerifyInit with a key that may not", "Verify", rsaSign, none.Public, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"C_SignInit with data", "Sign", rsaSign, data, ck.CKR_KEY_HANDLE_INVALID},
		{"C_SignInit with a mechanism for something else", "Sign", plain(pkcs11.CKM_AES_ECB), aes, ck.CKR_MECHANISM_INVALID},
		{"C_SignInit with a digest", "Sign", plain(pkcs11.CKM_SHA256), pair.Private, ck.CKR_MECHANISM_INVALID},
	} {
		a.apart(func() { a.rv(c.name, c.want, a.begin(c.function, c.m, c.key)) })
	}
}

func signingParameters(a *actor) {
	pair := a.signPair()
	ec := a.ecPair("P-256", attributes(VERIFY, true), attributes(SIGN, true))
	for _, c := range []struct {
		name string
		m    worker.Mechanism
		key  pkcs11.ObjectHandle
	}{
		{"RSA_PKCS", plain(pkcs11.CKM_RSA_PKCS, 1), pair.Private},
		{"SHA256_RSA_PKCS", plain(pkcs11.CKM_SHA256_RSA_PKCS, 1), pair.Private},
		{"ECDSA", plain(pkcs11.CKM_ECDSA, 1), ec.Private},
	} {
		a.apart(func() { a.rv(c.name, ck.CKR_MECHANISM_PARAM_INVALID, a.begin("Sign", c.m, c.key)) })
	}
}

func signingStates(a *actor) {
	pair := a.signPair()
	m := plain(pkcs11.CKM_SHA256_RSA_PKCS)
	none := func(step string) {
		_, err := a.once("Sign", message)
		a.rv(step+": C_Sign", ck.CKR_OPERATION_NOT_INITIALIZED, err)
		_, err = a.update("Sign", message)
		a.rv(step+": C_SignUpdate", ck.CKR_OPERATION_NOT_INITIALIZED, err)
		_, err = a.final("Sign")
		a.rv(step+": C_SignFinal", ck.CKR_OPERATION_NOT_INITIALIZED, err)
	}
	a.apart(func() { none("before") })
	a.apart(func() {
		a.need("C_SignInit", a.begin("Sign", m, pair.Private))
		a.rv("C_SignInit again", ck.CKR_OPERATION_ACTIVE, a.begin("Sign", m, pair.Private))
		_, err := a.once("Sign", message)
		a.ok("C_Sign", err)
		none("after C_Sign")
	})
	a.apart(func() {
		a.need("C_SignInit for parts", a.begin("Sign", m, pair.Private))
		_, err := a.update("Sign", message)
		a.ok("C_SignUpdate", err)
		_, err = a.once("Sign", message)
		a.rv("C_Sign after C_SignUpdate", ck.CKR_OPERATION_ACTIVE, err)
		none("after mixing")
	})
	a.apart(func() {
		a.need("C_SignInit for C_SignFinal", a.begin("Sign", m, pair.Private))
		got, err := a.final("Sign")
		want := made(rsa.SignPKCS1v15(nil, rsaKey(), crypto.SHA256, sum(crypto.SHA256, nil)))
		a.gives("C_SignFinal at once", want, got, err)
		none("after C_SignFinal")
	})
	a.apart(func() {
		a.need("C_SignInit for another operation", a.begin("Sign", m, pair.Private))
		_, err := a.once("Verify", nil)
		a.rv("C_Verify", ck.CKR_OPERATION_NOT_INITIALIZED, err)
		_, err = a.update("Encrypt", nil)
		a.rv("C_EncryptUpdate", ck.CKR_OPERATION_NOT_INITIALIZED, err)
		_, err = a.once("Sign", message)
		a.ok("C_Sign after them", err)
	})
}

func verifyingStates(a *actor) {
	pair := a.signPair()
	m := plain(pkcs11.CKM_SHA256_RSA_PKCS)
	signature := made(rsa.SignPKCS1v15(nil, rsaKey(), crypto.SHA256, sum(crypto.SHA256, message)))
	verify := func() error {
		_, err := a.operate(worker.OperationCall{Function: "Verify", Data: message, Signature: signature}, 0)
		return err
	}
	none := func(step string) {
		a.rv(step+": C_Verify", ck.CKR_OPERATION_NOT_INITIALIZED, verify())
		_, err := a.update("Verify", message)
		a.rv(step+": C_VerifyUpdate", ck.CKR_OPERATION_NOT_INITIALIZED, err)
		_, err = a.final("Verify", signature...)
		a.rv(step+": C_VerifyFinal", ck.CKR_OPERATION_NOT_INITIALIZED, err)
	}
	a.apart(func() { none("before") })
	a.apart(func() {
		a.need("C_VerifyInit", a.begin("Verify", m, pair.Public))
		a.rv("C_VerifyInit again", ck.CKR_OPERATION_ACTIVE, a.begin("Verify", m, pair.Public))
		a.ok("C_Verify", verify())
		none("after C_Verify")
	})
	a.apart(func() {
		a.rv("a wrong one", ck.CKR_SIGNATURE_INVALID, a.verify(m, pair.Public, message, flipped(signature, 3)))
		none("after a wrong one")
	})
	a.apart(func() {
		a.need("C_VerifyInit for parts", a.begin("Verify", m, pair.Public))
		_, err := a.update("Verify", message)
		a.ok("C_VerifyUpdate", err)
		a.rv("C_Verify after C_VerifyUpdate", ck.CKR_OPERATION_ACTIVE, verify())
		none("after mixing")
	})
}

func recovering(a *actor) {
	pair := a.signPair()
	a.rv("C_SignRecoverInit", ck.CKR_FUNCTION_NOT_SUPPORTED,
		a.begin("SignRecover", plain(pkcs11.CKM_RSA_PKCS), pair.Private))
	_, err := a.once("SignRecover", []byte("data"))
	a.rv("C_SignRecover", ck.CKR_FUNCTION_NOT_SUPPORTED, err)
	a.rv("C_VerifyRecoverInit", ck.CKR_FUNCTION_NOT_SUPPORTED,
		a.begin("VerifyRecover", plain(pkcs11.CKM_RSA_PKCS), pair.Public))
	_, err = a.once("VerifyRecover", make([]byte, 256))
	a.rv("C_VerifyRecover", ck.CKR_FUNCTION_NOT_SUPPORTED, err)
}

func oldSignatures(a *actor) {
	pair := a.signPair()
	a.apart(func() {
		a.rv("CKM_MD5_RSA_PKCS", ck.CKR_MECHANISM_INVALID, a.begin("Sign", plain(pkcs11.CKM_MD5_RSA_PKCS), pair.Private))
	})
	a.apart(func() {
		a.rv("CKM_DSA", ck.CKR_MECHANISM_INVALID, a.begin("Sign", plain(pkcs11.CKM_DSA), pair.Private))
	})
	a.apart(func() {
		a.rv("a number that is none", ck.CKR_MECHANISM_INVALID, a.begin("Sign", plain(0x7fffffff), pair.Private))
	})
}

// Keys that the token makes, in the session and on the token, with templates that clients give.
func signWithGenerated(a *actor) {
	for _, onToken := range []bool{false, true} {
		for _, c := range []struct {
			name   string
			make   worker.Mechanism
			public []*pkcs11.Attribute
			sign   worker.Mechanism
			data   []byte
		}{
			{"RSA", plain(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN), attributes(MODULUS_BITS, 2048),
				plain(pkcs11.CKM_SHA256_RSA_PKCS), message},
			{"P-256", plain(pkcs11.CKM_EC_KEY_PAIR_GEN), attributes(EC_PARAMS, curves["P-256"]), plain(pkcs11.CKM_ECDSA),
				message[:32]},
			{"P-521", plain(pkcs11.CKM_EC_KEY_PAIR_GEN), attributes(EC_PARAMS, curves["P-521"]), plain(pkcs11.CKM_ECDSA),
				message[:64]},
			{"Ed25519", plain(CKM_EC_EDWARDS_KEY_PAIR_GEN), attributes(EC_PARAMS, curves["Ed25519"]), plain(CKM_EDDSA), message},
		} {
			name := fmt.Sprintf("%s, on the token %v: ", c.name, onToken)
			pair, err := a.pair(c.make, append(attributes(TOKEN, onToken, VERIFY, true, ID, []byte{1}), c.public...),
				attributes(TOKEN, onToken, SIGN, true, PRIVATE, true, SENSITIVE, true, ID, []byte{1}))
			a.need(name+"C_GenerateKeyPair", err)
			signature, err := a.apply("Sign", c.sign, pair.Private, c.data)
			a.ok(name+"C_Sign", err)
			a.ok(name+"C_Verify", a.verify(c.sign, pair.Public, c.data, signature))
			a.ok(name+"C_DestroyObject", a.DestroyObject(a.session, pair.Private))
			a.ok(name+"C_DestroyObject of the public key", a.DestroyObject(a.session, pair.Public))
		}
	}
}

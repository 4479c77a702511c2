package softhsmtests

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"math/big"
	"sync"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// Keys of the scenarios that import them; both sides get the same.
var (
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return made(rsa.GenerateKey(rand.Reader, 2048)) })
	edKey  = sync.OnceValue(func() ed25519.PrivateKey {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return made(key, err)
	})
	ecKeys = map[string]func() *ecdsa.PrivateKey{
		"P-224": ecKey(elliptic.P224()),
		"P-256": ecKey(elliptic.P256()),
		"P-384": ecKey(elliptic.P384()),
		"P-521": ecKey(elliptic.P521()),
	}
)

// curves are the object identifiers of the curves as CKA_EC_PARAMS.
var curves = map[string][]byte{
	"P-224":   oid(1, 3, 132, 0, 33),
	"P-256":   oid(1, 2, 840, 10045, 3, 1, 7),
	"P-384":   oid(1, 3, 132, 0, 34),
	"P-521":   oid(1, 3, 132, 0, 35),
	"Ed25519": oid(1, 3, 101, 112),
	"X25519":  oid(1, 3, 101, 110),
}

// curveNames are the curves of ECDSA in the order of the tables.
var curveNames = []string{"P-224", "P-256", "P-384", "P-521"}

func ecKey(curve elliptic.Curve) func() *ecdsa.PrivateKey {
	return sync.OnceValue(func() *ecdsa.PrivateKey { return made(ecdsa.GenerateKey(curve, rand.Reader)) })
}

func made[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

func oid(numbers ...int) []byte { return made(asn1.Marshal(asn1.ObjectIdentifier(numbers))) }

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// rsaPair imports the RSA key. More attributes stand above the defaults.
func (a *actor) rsaPair(public, private []*pkcs11.Attribute) worker.KeyPair {
	a.t.Helper()
	k := rsaKey()
	return worker.KeyPair{
		Public:  a.object("C_CreateObject of the RSA public key", append(rsaPublic(), public...)),
		Private: a.object("C_CreateObject of the RSA private key", append(rsaPrivate(k), private...)),
	}
}

func rsaPublic() []*pkcs11.Attribute {
	k := rsaKey()
	return attributes(CLASS, pkcs11.CKO_PUBLIC_KEY, KEY_TYPE, pkcs11.CKK_RSA, MODULUS, k.N.Bytes(),
		PUBLIC_EXPONENT, big.NewInt(int64(k.E)).Bytes())
}

func rsaPrivate(k *rsa.PrivateKey) []*pkcs11.Attribute {
	return attributes(CLASS, pkcs11.CKO_PRIVATE_KEY, KEY_TYPE, pkcs11.CKK_RSA, MODULUS, k.N.Bytes(),
		PUBLIC_EXPONENT, big.NewInt(int64(k.E)).Bytes(),
		uint(pkcs11.CKA_PRIVATE_EXPONENT), k.D.Bytes(),
		uint(pkcs11.CKA_PRIME_1), k.Primes[0].Bytes(), uint(pkcs11.CKA_PRIME_2), k.Primes[1].Bytes(),
		uint(pkcs11.CKA_EXPONENT_1), k.Precomputed.Dp.Bytes(), uint(pkcs11.CKA_EXPONENT_2), k.Precomputed.Dq.Bytes(),
		uint(pkcs11.CKA_COEFFICIENT), k.Precomputed.Qinv.Bytes())
}

// ecPair imports the key on a curve.
func (a *actor) ecPair(curve string, public, private []*pkcs11.Attribute) worker.KeyPair {
	a.t.Helper()
	return worker.KeyPair{
		Public:  a.object("C_CreateObject of the public key on "+curve, append(ecPublic(curve), public...)),
		Private: a.object("C_CreateObject of the private key on "+curve, append(ecPrivate(curve), private...)),
	}
}

func ecPublic(curve string) []*pkcs11.Attribute {
	point := made(asn1.Marshal(ecPoint(curve)))
	return attributes(CLASS, pkcs11.CKO_PUBLIC_KEY, KEY_TYPE, pkcs11.CKK_EC, EC_PARAMS, curves[curve], EC_POINT, point)
}

// ecPoint is the uncompressed point.
func ecPoint(curve string) []byte { return made(ecKeys[curve]().PublicKey.Bytes()) }

func ecPrivate(curve string) []*pkcs11.Attribute {
	scalar := made(ecKeys[curve]().Bytes())
	return attributes(CLASS, pkcs11.CKO_PRIVATE_KEY, KEY_TYPE, pkcs11.CKK_EC, EC_PARAMS, curves[curve], VALUE, scalar)
}

// edPair imports the Ed25519 key.
func (a *actor) edPair() worker.KeyPair {
	a.t.Helper()
	k := edKey()
	point := made(asn1.Marshal([]byte(k.Public().(ed25519.PublicKey))))
	return worker.KeyPair{
		Public: a.object("C_CreateObject of the Ed25519 public key", attributes(CLASS, pkcs11.CKO_PUBLIC_KEY,
			KEY_TYPE, CKK_EC_EDWARDS, EC_PARAMS, curves["Ed25519"], EC_POINT, point, VERIFY, true)),
		Private: a.object("C_CreateObject of the Ed25519 private key", attributes(CLASS, pkcs11.CKO_PRIVATE_KEY,
			KEY_TYPE, CKK_EC_EDWARDS, EC_PARAMS, curves["Ed25519"], VALUE, k.Seed(), SIGN, true)),
	}
}

// secretKey imports a secret key that may do what more says.
func (a *actor) secretKey(step string, keyType uint, secret []byte, more ...any) pkcs11.ObjectHandle {
	a.t.Helper()
	return a.object(step, secretTemplate(keyType, secret, more...))
}

func secretTemplate(keyType uint, secret []byte, more ...any) []*pkcs11.Attribute {
	return append(attributes(CLASS, pkcs11.CKO_SECRET_KEY, KEY_TYPE, keyType, VALUE, secret), attributes(more...)...)
}

// aesKey imports an AES key that encrypts and decrypts.
func (a *actor) aesKey(secret []byte) pkcs11.ObjectHandle {
	a.t.Helper()
	return a.secretKey("C_CreateObject of an AES key", pkcs11.CKK_AES, secret, ENCRYPT, true, DECRYPT, true)
}

package softhsmtests

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// Encryption and decryption with RSA, and the making of key pairs.
func TestGroupAsymmetric(t *testing.T) {
	scenarios := []scenario{
		{name: "RSA_PKCS", run: rsaPKCS, cross: rsaPKCSCross},
		{name: "RSA_PKCS forged", run: rsaPKCSForged},
		{name: "RSA_X_509", run: rsaRaw},
		{name: "RSA_X_509 of too much", run: rsaRawTooLong, fresh: true, session: true},
		{name: "OAEP parameters", run: oaepParameters},
		{name: "multi-part", run: rsaMultiPart},
		{name: "wrong keys", run: rsaKeys},
		{name: "generate RSA", run: generateRSA},
		{name: "generate EC", run: generateEC},
		{name: "generate Edwards and Montgomery", run: generateEdwards},
		{name: "generate with wrong templates", run: generateWrong},
		{name: "generate old ones", run: generateOld},
		{name: "pairs", run: generatedPairs},
	}
	for i, c := range oaeps {
		scenarios = append(scenarios, scenario{name: "OAEP with " + c.name, run: func(a *actor) { rsaOAEP(a, i) },
			cross: func(a *actor) { rsaOAEPCross(a, i) }})
	}
	group(t, "asymmetric", scenarios...)
}

// cryptPair imports the RSA key to encrypt and decrypt.
func (a *actor) cryptPair() worker.KeyPair {
	a.t.Helper()
	return a.rsaPair(attributes(ENCRYPT, true), attributes(DECRYPT, true))
}

func rsaPKCS(a *actor) {
	pair := a.cryptPair()
	m := plain(pkcs11.CKM_RSA_PKCS)
	for _, n := range []int{0, 1, 100, 245} {
		data := bytes.Repeat([]byte("d"), n)
		sealed, err := a.apply("Encrypt", m, pair.Public, data)
		a.length(fmt.Sprintf("C_Encrypt of %d bytes", n), 256, sealed, err)
		got, err := a.apply("Decrypt", m, pair.Private, sealed)
		a.gives(fmt.Sprintf("C_Decrypt of %d bytes", n), data, got, err)
		a.make(fmt.Sprint(n), sealed)
	}
	_, err := a.apply("Encrypt", m, pair.Public, make([]byte, 246))
	a.rv("C_Encrypt of 246 bytes", ck.CKR_DATA_LEN_RANGE, err)
	for _, n := range []int{0, 255, 257} {
		_, err := a.apply("Decrypt", m, pair.Private, make([]byte, n))
		a.rv(fmt.Sprintf("C_Decrypt of %d sealed bytes", n), ck.CKR_ENCRYPTED_DATA_LEN_RANGE, err)
	}
}

func rsaPKCSCross(a *actor) {
	pair := a.cryptPair()
	for _, n := range []int{0, 1, 100, 245} {
		got, err := a.apply("Decrypt", plain(pkcs11.CKM_RSA_PKCS), pair.Private, a.theirs[fmt.Sprint(n)])
		a.gives(fmt.Sprintf("C_Decrypt of the other side's %d bytes", n), bytes.Repeat([]byte("d"), n), got, err)
	}
}

// Every wrong padding is the same error.
func rsaPKCSForged(a *actor) {
	pair := a.cryptPair()
	k := rsaKey()
	raw := func(block []byte) []byte {
		c := new(big.Int).Exp(new(big.Int).SetBytes(block), big.NewInt(int64(k.E)), k.N)
		return c.FillBytes(make([]byte, 256))
	}
	block := bytes.Repeat([]byte{1}, 256)
	for _, c := range []struct {
		name   string
		change func(b []byte)
	}{
		{"no zero at the end", func(b []byte) { b[0], b[1] = 0, 2 }},
		{"of type 1", func(b []byte) { b[0], b[1], b[100] = 0, 1, 0 }},
		{"of type 0", func(b []byte) { b[0], b[1], b[100] = 0, 0, 0 }},
		{"a zero too early", func(b []byte) { b[0], b[1], b[5] = 0, 2, 0 }},
		{"1 in front", func(b []byte) { b[0], b[1], b[100] = 1, 2, 0 }},
	} {
		forged := bytes.Clone(block)
		c.change(forged)
		a.apart(func() {
			_, err := a.apply("Decrypt", plain(pkcs11.CKM_RSA_PKCS), pair.Private, raw(forged))
			a.rv(c.name, ck.CKR_ENCRYPTED_DATA_INVALID, err)
		})
	}
	a.apart(func() {
		_, err := a.apply("Decrypt", plain(pkcs11.CKM_RSA_PKCS), pair.Private, bytes.Repeat([]byte{0xff}, 256))
		a.rv("greater than the modulus", ck.CKR_ENCRYPTED_DATA_INVALID, err)
	})
}

func rsaRaw(a *actor) {
	pair := a.cryptPair()
	m := plain(pkcs11.CKM_RSA_X_509)
	data := append(make([]byte, 100), bytes.Repeat([]byte("d"), 156)...)
	k := rsaKey()
	want := new(big.Int).Exp(new(big.Int).SetBytes(data), big.NewInt(int64(k.E)), k.N).FillBytes(make([]byte, 256))
	got, err := a.apply("Encrypt", m, pair.Public, data)
	a.gives("C_Encrypt of a block", want, got, err)
	got, err = a.apply("Encrypt", m, pair.Public, data[100:])
	a.gives("C_Encrypt of less", want, got, err)
	got, err = a.apply("Decrypt", m, pair.Private, want)
	a.gives("C_Decrypt", data, got, err)
	_, err = a.apply("Encrypt", m, pair.Public, bytes.Repeat([]byte{0xff}, 256))
	a.rv("C_Encrypt of a block greater than the modulus", ck.CKR_DATA_INVALID, err)
}

func rsaRawTooLong(a *actor) {
	pair := a.cryptPair()
	_, err := a.apply("Encrypt", plain(pkcs11.CKM_RSA_X_509), pair.Public, make([]byte, 257))
	a.rv("C_Encrypt", ck.CKR_DATA_LEN_RANGE, err)
}

// oaeps are the parameters that clients use.
var oaeps = []struct {
	name      string
	hash, mgf uint
	goHash    crypto.Hash
	label     []byte
}{
	{"SHA-1", pkcs11.CKM_SHA_1, pkcs11.CKG_MGF1_SHA1, crypto.SHA1, nil},
	{"SHA-224", pkcs11.CKM_SHA224, pkcs11.CKG_MGF1_SHA224, crypto.SHA224, nil},
	{"SHA-256", pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, crypto.SHA256, nil},
	{"SHA-384", pkcs11.CKM_SHA384, pkcs11.CKG_MGF1_SHA384, crypto.SHA384, nil},
	{"SHA-512", pkcs11.CKM_SHA512, pkcs11.CKG_MGF1_SHA512, crypto.SHA512, nil},
	{"SHA-1 with a label", pkcs11.CKM_SHA_1, pkcs11.CKG_MGF1_SHA1, crypto.SHA1, []byte("label")},
	{"SHA-256 with a label", pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, crypto.SHA256, []byte("label")},
}

func rsaOAEP(a *actor, which int) {
	pair := a.cryptPair()
	c := oaeps[which]
	m := oaep(c.hash, c.mgf, c.label)
	most := 256 - 2*c.goHash.Size() - 2
	a.apart(func() { a.need("C_EncryptInit", a.begin("Encrypt", m, pair.Public)) })
	for _, n := range []int{0, 1, most} {
		data := bytes.Repeat([]byte("d"), n)
		a.apart(func() {
			sealed, err := a.apply("Encrypt", m, pair.Public, data)
			a.length(fmt.Sprintf("C_Encrypt of %d bytes", n), 256, sealed, err)
		})
		a.apart(func() {
			sealed := made(rsa.EncryptOAEP(c.goHash.New(), rand.Reader, &rsaKey().PublicKey, data, c.label))
			got, err := a.apply("Decrypt", m, pair.Private, sealed)
			a.gives(fmt.Sprintf("C_Decrypt of %d bytes", n), data, got, err)
		})
	}
	a.apart(func() {
		_, err := a.apply("Encrypt", m, pair.Public, make([]byte, most+1))
		a.rv("C_Encrypt of too much", ck.CKR_DATA_LEN_RANGE, err)
	})
	a.apart(func() {
		_, err := a.apply("Decrypt", m, pair.Private, bytes.Repeat([]byte{1}, 256))
		a.rv("C_Decrypt of what is none", ck.CKR_ENCRYPTED_DATA_INVALID, err)
	})
	a.apart(func() {
		sealed, err := a.apply("Encrypt", m, pair.Public, []byte("from the other side"))
		a.ok("C_Encrypt for the other side", err)
		a.make("sealed", sealed)
	})
}

func rsaOAEPCross(a *actor, which int) {
	pair := a.cryptPair()
	c := oaeps[which]
	got, err := a.apply("Decrypt", oaep(c.hash, c.mgf, c.label), pair.Private, a.fromOther("sealed"))
	a.gives("C_Decrypt of the other side's", []byte("from the other side"), got, err)
}

func oaepParameters(a *actor) {
	pair := a.cryptPair()
	source := oaep(pkcs11.CKM_SHA_1, pkcs11.CKG_MGF1_SHA1, nil)
	copy(source.Parameter[16:24], ulongs(0))
	a.apart(func() { a.ok("source 0 and no label", a.begin("Encrypt", source, pair.Public)) })
	unknown := oaep(pkcs11.CKM_SHA_1, pkcs11.CKG_MGF1_SHA1, nil)
	copy(unknown.Parameter[16:24], ulongs(77))
	for _, c := range []struct {
		name string
		m    worker.Mechanism
	}{
		{"none", plain(pkcs11.CKM_RSA_PKCS_OAEP)},
		{"too short", plain(pkcs11.CKM_RSA_PKCS_OAEP, 1, 2, 3)},
		{"a hash that is none", oaep(pkcs11.CKM_RSA_PKCS, pkcs11.CKG_MGF1_SHA1, nil)},
		{"MD5", oaep(pkcs11.CKM_MD5, pkcs11.CKG_MGF1_SHA1, nil)},
		{"an MGF that is none", oaep(pkcs11.CKM_SHA_1, 99, nil)},
		{"a source that is none", unknown},
	} {
		a.apart(func() { a.rv(c.name, ck.CKR_MECHANISM_PARAM_INVALID, a.begin("Encrypt", c.m, pair.Public)) })
	}
	a.apart(func() {
		a.rv("RSA_PKCS with one", ck.CKR_MECHANISM_PARAM_INVALID,
			a.begin("Encrypt", plain(pkcs11.CKM_RSA_PKCS, 1), pair.Public))
	})
}

func rsaMultiPart(a *actor) {
	pair := a.cryptPair()
	a.apart(func() {
		a.need("C_EncryptInit", a.begin("Encrypt", plain(pkcs11.CKM_RSA_PKCS), pair.Public))
		_, err := a.update("Encrypt", []byte("data"))
		a.rv("C_EncryptUpdate", ck.CKR_FUNCTION_NOT_SUPPORTED, err)
	})
	a.apart(func() {
		a.need("C_DecryptInit", a.begin("Decrypt", plain(pkcs11.CKM_RSA_PKCS), pair.Private))
		_, err := a.update("Decrypt", make([]byte, 256))
		a.rv("C_DecryptUpdate", ck.CKR_FUNCTION_NOT_SUPPORTED, err)
	})
}

func rsaKeys(a *actor) {
	pair := a.cryptPair()
	none := a.rsaPair(attributes(ENCRYPT, false), attributes(DECRYPT, false))
	ec := a.ecPair("P-256", attributes(ENCRYPT, true), attributes(DECRYPT, true))
	aes := a.aesKey(a.random(16))
	m := plain(pkcs11.CKM_RSA_PKCS)
	for _, c := range []struct {
		name, function string
		key            pkcs11.ObjectHandle
		want           ck.RV
	}{
		{"C_EncryptInit with an EC key", "Encrypt", ec.Public, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"C_DecryptInit with an EC key", "Decrypt", ec.Private, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"C_EncryptInit with an AES key", "Encrypt", aes, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"C_EncryptInit with the private key", "Encrypt", pair.Private, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"C_DecryptInit with the public key", "Decrypt", pair.Public, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"C_EncryptInit with a key that may not", "Encrypt", none.Public, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"C_DecryptInit with a key that may not", "Decrypt", none.Private, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
	} {
		a.apart(func() { a.rv(c.name, c.want, a.begin(c.function, m, c.key)) })
	}
}

// pair is C_GenerateKeyPair.
func (a *actor) pair(m worker.Mechanism, public, private []*pkcs11.Attribute) (worker.KeyPair, error) {
	return a.GeneratePair(worker.PairCall{Session: a.session, Mechanism: m, Public: public, Private: private})
}

func generateRSA(a *actor) {
	m := plain(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN)
	for _, bits := range []int{1024, 2048, 3072} {
		want := ck.CKR_OK
		if bits < 2048 {
			want = ck.CKR_ATTRIBUTE_VALUE_INVALID
		}
		pair, err := a.pair(m, attributes(MODULUS_BITS, bits, PUBLIC_EXPONENT, []byte{1, 0, 1}), nil)
		a.rv(fmt.Sprintf("%d bits", bits), want, err)
		if bits < 2048 {
			continue
		}
		modulus, err := a.attribute(pair.Public, MODULUS)
		a.length(fmt.Sprintf("modulus of %d bits", bits), bits/8, modulus, err)
		a.reads(fmt.Sprintf("exponent of %d bits", bits), pair.Public, PUBLIC_EXPONENT, []byte{1, 0, 1})
		a.reads(fmt.Sprintf("modulus of the private key of %d bits", bits), pair.Private, MODULUS, modulus)
	}
	_, err := a.pair(m, attributes(PUBLIC_EXPONENT, []byte{1, 0, 1}), nil)
	a.rv("without a size", ck.CKR_TEMPLATE_INCOMPLETE, err)
	pair, err := a.pair(m, attributes(MODULUS_BITS, 2048), nil)
	a.ok("without an exponent", err)
	a.reads("the exponent that it has", pair.Public, PUBLIC_EXPONENT, []byte{1, 0, 1})
	for _, e := range [][]byte{{4}, {1}, {}} {
		_, err = a.pair(m, attributes(MODULUS_BITS, 2048, PUBLIC_EXPONENT, e), nil)
		a.rv("with exponent "+text(e), ck.CKR_ATTRIBUTE_VALUE_INVALID, err)
	}
}

func generateEC(a *actor) {
	for _, curve := range curveNames {
		pair, err := a.pair(plain(pkcs11.CKM_EC_KEY_PAIR_GEN), attributes(EC_PARAMS, curves[curve]),
			attributes(SENSITIVE, false, EXTRACTABLE, true))
		a.ok(curve, err)
		a.reads(curve+": curve of the private key", pair.Private, EC_PARAMS, curves[curve])
		point, err := a.attribute(pair.Public, EC_POINT)
		a.length(curve+": point", len(ecPublic(curve)[3].Value)+0*len(point), lengthOf(point, ecPublic(curve)[3].Value), err)
		scalar, err := a.attribute(pair.Private, VALUE)
		a.ok(curve+": scalar", err)
		a.equal(curve+": the scalar is a number of the curve", true,
			new(big.Int).SetBytes(scalar).Cmp(ecKeys[curve]().Params().N) < 0 && len(scalar) > 0)
	}
	_, err := a.pair(plain(pkcs11.CKM_EC_KEY_PAIR_GEN), nil, nil)
	a.rv("without a curve", ck.CKR_TEMPLATE_INCOMPLETE, err)
	_, err = a.pair(plain(pkcs11.CKM_EC_KEY_PAIR_GEN), attributes(EC_PARAMS, oid(1, 2, 3)), nil)
	a.rv("a curve that is none", ck.CKR_CURVE_NOT_SUPPORTED, err)
	_, err = a.pair(plain(pkcs11.CKM_EC_KEY_PAIR_GEN), attributes(EC_PARAMS, []byte{1}), nil)
	a.rv("parameters that are none", ck.CKR_CURVE_NOT_SUPPORTED, err)
}

// lengthOf is a point, or what stands for it if it has another length than the one of the same curve.
func lengthOf(point, like []byte) []byte {
	if len(point) == len(like) {
		return like
	}
	return point
}

func generateEdwards(a *actor) {
	printable := append([]byte{0x13, 12}, "edwards25519"...)
	for _, c := range []struct {
		name  string
		m     worker.Mechanism
		curve []byte
		size  int
	}{
		{"Ed25519", plain(CKM_EC_EDWARDS_KEY_PAIR_GEN), curves["Ed25519"], 34},
		{"Ed25519 by name", plain(CKM_EC_EDWARDS_KEY_PAIR_GEN), printable, 34},
		{"Ed25519 by CKM_EDDSA", plain(CKM_EDDSA), curves["Ed25519"], 34},
		{"X25519", plain(CKM_EC_MONTGOMERY_KEY_PAIR_GEN), curves["X25519"], 34},
	} {
		pair, err := a.pair(c.m, attributes(EC_PARAMS, c.curve), nil)
		a.ok(c.name, err)
		point, err := a.attribute(pair.Public, EC_POINT)
		a.length(c.name+": point", c.size, point, err)
	}
}

func generateWrong(a *actor) {
	m := plain(pkcs11.CKM_EC_KEY_PAIR_GEN)
	curve := attributes(EC_PARAMS, curves["P-256"])
	for _, c := range []struct {
		name            string
		m               worker.Mechanism
		public, private []*pkcs11.Attribute
		want            ck.RV
	}{
		{"another class", m, append(attributes(CLASS, pkcs11.CKO_SECRET_KEY), curve...), nil, ck.CKR_TEMPLATE_INCONSISTENT},
		{"another type", m, append(attributes(KEY_TYPE, pkcs11.CKK_RSA), curve...), nil, ck.CKR_TEMPLATE_INCONSISTENT},
		{"another class of the private key", m, curve, attributes(CLASS, pkcs11.CKO_PUBLIC_KEY),
			ck.CKR_TEMPLATE_INCONSISTENT},
		{"another type of the private key", m, curve, attributes(KEY_TYPE, pkcs11.CKK_RSA), ck.CKR_TEMPLATE_INCONSISTENT},
		{"the point", m, append(attributes(EC_POINT, ecPublic("P-256")[3].Value), curve...), nil, ck.CKR_ATTRIBUTE_READ_ONLY},
		{"the private value", m, curve, attributes(VALUE, a.random(32)), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"a parameter", plain(pkcs11.CKM_EC_KEY_PAIR_GEN, 1, 2), curve, nil, ck.CKR_MECHANISM_PARAM_INVALID},
		{"a mechanism for something else", plain(pkcs11.CKM_ECDSA), curve, nil, ck.CKR_MECHANISM_INVALID},
		{"what belongs to nothing", m, append(attributes(uint(0x7fff1234), []byte{1}), curve...), nil,
			ck.CKR_ATTRIBUTE_TYPE_INVALID},
		{"an application", m, append(attributes(APPLICATION, "x"), curve...), nil, ck.CKR_TEMPLATE_INCONSISTENT},
		{"trusted", m, append(attributes(TRUSTED, true), curve...), nil, ck.CKR_ATTRIBUTE_READ_ONLY},
	} {
		_, err := a.pair(c.m, c.public, c.private)
		a.rv(c.name, c.want, err)
	}
}

func generateOld(a *actor) {
	for _, c := range []struct {
		name   string
		number uint
	}{
		{"CKM_DSA_KEY_PAIR_GEN", pkcs11.CKM_DSA_KEY_PAIR_GEN},
		{"CKM_DH_PKCS_KEY_PAIR_GEN", pkcs11.CKM_DH_PKCS_KEY_PAIR_GEN},
		{"a number that is none", 0x7fffffff},
	} {
		_, err := a.pair(plain(c.number), nil, nil)
		a.rv(c.name, ck.CKR_MECHANISM_INVALID, err)
	}
}

// What the token says of pairs that it has made.
func generatedPairs(a *actor) {
	for _, c := range []struct {
		name   string
		m      worker.Mechanism
		public []*pkcs11.Attribute
		local  uint
	}{
		{"RSA", plain(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN), attributes(MODULUS_BITS, 2048), pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN},
		{"EC", plain(pkcs11.CKM_EC_KEY_PAIR_GEN), attributes(EC_PARAMS, curves["P-256"]), pkcs11.CKM_EC_KEY_PAIR_GEN},
	} {
		pair, err := a.pair(c.m, c.public, nil)
		a.need(c.name, err)
		a.reads(c.name+": CKA_LOCAL", pair.Private, uint(pkcs11.CKA_LOCAL), true)
		a.reads(c.name+": CKA_LOCAL of the public key", pair.Public, uint(pkcs11.CKA_LOCAL), true)
		a.reads(c.name+": CKA_KEY_GEN_MECHANISM", pair.Private, uint(pkcs11.CKA_KEY_GEN_MECHANISM), c.local)
		a.reads(c.name+": CKA_SENSITIVE", pair.Private, SENSITIVE, true)
		a.reads(c.name+": CKA_EXTRACTABLE", pair.Private, EXTRACTABLE, false)
		a.reads(c.name+": CKA_ALWAYS_SENSITIVE", pair.Private, uint(pkcs11.CKA_ALWAYS_SENSITIVE), true)
		a.reads(c.name+": CKA_NEVER_EXTRACTABLE", pair.Private, uint(pkcs11.CKA_NEVER_EXTRACTABLE), true)
		a.reads(c.name+": CKA_PRIVATE", pair.Private, PRIVATE, true)
		a.reads(c.name+": CKA_PRIVATE of the public key", pair.Public, PRIVATE, false)
		a.reads(c.name+": CKA_TOKEN", pair.Private, TOKEN, false)
		info, err := a.attribute(pair.Public, uint(pkcs11.CKA_PUBLIC_KEY_INFO))
		a.ok(c.name+": CKA_PUBLIC_KEY_INFO", err)
		_, err = x509.ParsePKIXPublicKey(info)
		a.equal(c.name+": CKA_PUBLIC_KEY_INFO is one", true, err == nil)
	}
}

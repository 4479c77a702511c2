package mechanism

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// opensslName is the name of a hash for the openssl command.
func opensslName(h crypto.Hash) string {
	return strings.ToLower(strings.ReplaceAll(strings.Replace(h.String(), "SHA-", "SHA", 1), "/", "-"))
}

// inThreeParts signs data by Update and Final.
func inThreeParts(t testing.TB, m ck.Mechanism, k *Key, data []byte) []byte {
	t.Helper()
	s, err := NewSigner(m, k)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]byte{data[:1], nil, data[1:]} {
		if err := s.Update(part); err != nil {
			t.Fatal(err)
		}
	}
	signature, err := s.Final()
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func TestRSAPKCSAsOpenSSL(t *testing.T) {
	pair, data := sharedPair(t, "RSA-2048"), []byte("what is signed")
	files := map[string][]byte{"key": pair.pkcs8(t)}
	for _, name := range hashNames {
		m := ck.Mechanism{Type: name.rsa}
		want := opensslFiles(t, data, files, "dgst", "-"+opensslName(name.hash), "-keyform", "DER", "-sign", "@key")
		if !bytes.Equal(sign(t, m, pair.private, data), want) || !bytes.Equal(inThreeParts(t, m, pair.private, data),
			want) {
			t.Errorf("%s differs from openssl", name.rsa)
		}
		wants(t, verify(t, m, pair.public, data, want), ck.CKR_OK)
		wants(t, verify(t, m, pair.public, []byte("other data"), want), ck.CKR_SIGNATURE_INVALID)
		wants(t, verify(t, m, pair.public, data, want[1:]), ck.CKR_SIGNATURE_LEN_RANGE)
	}
}

// CKM_RSA_PKCS signs what the application took for a DigestInfo, up to 11 bytes less than the modulus.
func TestRSAPKCSRaw(t *testing.T) {
	pair, m := sharedPair(t, "RSA-2048"), ck.Mechanism{Type: ck.CKM_RSA_PKCS}
	for _, n := range []int{0, 1, 51, 245} {
		data := bytes.Repeat([]byte{7}, n)
		signature := sign(t, m, pair.private, data)
		wants(t, verify(t, m, pair.public, data, signature), ck.CKR_OK)
		if n > 64 {
			continue // pkeyutl takes no more
		}
		want := opensslFiles(t, data, map[string][]byte{"key": pair.pkcs8(t)},
			"pkeyutl", "-sign", "-inkey", "@key", "-keyform", "DER", "-pkeyopt", "rsa_padding_mode:pkcs1")
		if !bytes.Equal(signature, want) {
			t.Errorf("%d bytes: differs from openssl", n)
		}
	}
	s, err := NewSigner(m, pair.private)
	wants(t, err, ck.CKR_OK)
	_, err = s.Once(make([]byte, 246))
	wants(t, err, ck.CKR_DATA_LEN_RANGE)
	s = begun[Signer](t)(NewSigner(m, pair.private))
	wants(t, s.Update(nil), ck.CKR_FUNCTION_NOT_SUPPORTED)
	_, err = s.Final()
	wants(t, err, ck.CKR_FUNCTION_NOT_SUPPORTED)
}

func pssOf(m ck.MechanismType, name hashName, salt uint64) ck.Mechanism {
	return ck.Mechanism{Type: m, Struct: &ck.PSSParams{Hash: uint64(name.digest), MGF: name.mgf, SaltLen: salt}}
}

func TestRSAPSSAsOpenSSL(t *testing.T) {
	pair, data := sharedPair(t, "RSA-2048"), []byte("what is signed")
	files := map[string][]byte{"key": pair.pkcs8(t), "public": PublicKeyInfo(pair.public)}
	for _, name := range hashNames {
		size := name.hash.Size()
		m := pssOf(name.pss, name, uint64(size))
		options := []string{"-" + opensslName(name.hash), "-sigopt", "rsa_padding_mode:pss", "-sigopt",
			fmt.Sprintf("rsa_pss_saltlen:%d", size), "-keyform", "DER"}
		theirs := opensslFiles(t, data, files, append([]string{"dgst", "-sign", "@key"}, options...)...)
		wants(t, verify(t, m, pair.public, data, theirs), ck.CKR_OK)
		wants(t, verify(t, pssOf(name.pss, name, uint64(size-1)), pair.public, data, theirs), ck.CKR_SIGNATURE_INVALID)
		for _, ours := range [][]byte{sign(t, m, pair.private, data), inThreeParts(t, m, pair.private, data)} {
			files["signature"] = ours
			opensslFiles(t, data, files, append([]string{"dgst", "-verify", "@public", "-signature", "@signature"},
				options...)...)
		}
		digest := name.hash.New()
		digest.Write(data)
		raw := pssOf(ck.CKM_RSA_PKCS_PSS, name, uint64(size))
		wants(t, verify(t, m, pair.public, data, sign(t, raw, pair.private, digest.Sum(nil))), ck.CKR_OK)
	}
}

func TestRSAPSSRefuses(t *testing.T) {
	pair := sharedPair(t, "RSA-2048")
	sha256 := hashNames[2]
	good := ck.PSSParams{Hash: uint64(sha256.digest), MGF: sha256.mgf, SaltLen: 32}
	with := func(change func(*ck.PSSParams)) *ck.PSSParams {
		p := good
		change(&p)
		return &p
	}
	for _, m := range []ck.Mechanism{
		{Type: ck.CKM_RSA_PKCS_PSS},
		{Type: ck.CKM_RSA_PKCS_PSS, Parameter: make([]byte, 24)},
		{Type: ck.CKM_RSA_PKCS_PSS, Struct: (*ck.PSSParams)(nil)},
		{Type: ck.CKM_RSA_PKCS_PSS, Struct: &ck.OAEPParams{}},
		{Type: ck.CKM_RSA_PKCS_PSS, Struct: with(func(p *ck.PSSParams) { p.SaltLen = 0 })},
		{Type: ck.CKM_RSA_PKCS_PSS, Struct: with(func(p *ck.PSSParams) { p.SaltLen = 223 })},
		{Type: ck.CKM_RSA_PKCS_PSS, Struct: with(func(p *ck.PSSParams) { p.SaltLen = 1 << 63 })},
		{Type: ck.CKM_RSA_PKCS_PSS, Struct: with(func(p *ck.PSSParams) { p.MGF = ck.CKG_MGF1_SHA1 })},
		{Type: ck.CKM_RSA_PKCS_PSS, Struct: with(func(p *ck.PSSParams) { p.Hash = 0 })},
		{Type: ck.CKM_SHA384_RSA_PKCS_PSS, Struct: &good},
	} {
		_, err := NewSigner(m, pair.private)
		wants(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
		_, err = NewVerifier(m, pair.public)
		wants(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	longest := ck.Mechanism{Type: ck.CKM_SHA256_RSA_PKCS_PSS, Struct: with(func(p *ck.PSSParams) { p.SaltLen = 222 })}
	wants(t, verify(t, longest, pair.public, nil, sign(t, longest, pair.private, nil)), ck.CKR_OK)
	s, err := NewSigner(ck.Mechanism{Type: ck.CKM_RSA_PKCS_PSS, Struct: &good}, pair.private)
	wants(t, err, ck.CKR_OK)
	_, err = s.Once(make([]byte, 31))
	wants(t, err, ck.CKR_DATA_LEN_RANGE)
}

func oaepWith(h, mask hashName, label []byte) *ck.OAEPParams {
	return &ck.OAEPParams{Hash: uint64(h.digest), MGF: mask.mgf, Source: ck.CKZ_DATA_SPECIFIED, SourceData: label}
}

// encrypt encrypts in one part.
func encrypt(t testing.TB, m ck.Mechanism, k *Key, data []byte) []byte {
	t.Helper()
	e, err := NewEncryption(m, k)
	if err != nil {
		t.Fatal(err)
	}
	return once(t, e, data)
}

// decrypt decrypts in one part.
func decrypt(t testing.TB, m ck.Mechanism, k *Key, data []byte) ([]byte, error) {
	t.Helper()
	d, err := NewDecryption(m, k)
	if err != nil {
		t.Fatal(err)
	}
	return d.Once(data)
}

// Every hash with every mask, with and without a label, both ways.
func TestRSAOAEPAsOpenSSL(t *testing.T) {
	pair, data := sharedPair(t, "RSA-2048"), []byte("a secret")
	files := map[string][]byte{"key": pair.pkcs8(t), "public": PublicKeyInfo(pair.public)}
	for i, name := range hashNames {
		mask := hashNames[(i+i%2)%len(hashNames)] // half of them with another mask
		for _, label := range [][]byte{nil, []byte("label")} {
			m := ck.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Struct: oaepWith(name, mask, label)}
			options := []string{"-keyform", "DER", "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt",
				"rsa_oaep_md:" + opensslName(name.hash),
				"-pkeyopt", "rsa_mgf1_md:" + opensslName(mask.hash), "-pkeyopt", fmt.Sprintf("rsa_oaep_label:%x",
					label)}
			theirs := opensslFiles(t, data, files, append([]string{"pkeyutl", "-encrypt", "-pubin", "-inkey",
				"@public"}, options...)...)
			opened, err := decrypt(t, m, pair.private, theirs)
			if err != nil || !bytes.Equal(opened, data) {
				t.Errorf("%s: %q, %v", name.hash, opened, err)
			}
			ours := encrypt(t, m, pair.public, data)
			if !bytes.Equal(opensslFiles(t, ours, files, append([]string{"pkeyutl", "-decrypt", "-inkey", "@key"},
				options...)...), data) {
				t.Errorf("%s: openssl reads something else", name.hash)
			}
			other := ck.Mechanism{Type: m.Type, Struct: oaepWith(name, mask, []byte("other"))}
			_, err = decrypt(t, other, pair.private, ours)
			wants(t, err, ck.CKR_ENCRYPTED_DATA_INVALID)
		}
	}
}

func TestRSAOAEPRefuses(t *testing.T) {
	pair := sharedPair(t, "RSA-2048")
	sha1 := hashNames[0]
	for _, p := range []any{nil, &ck.PSSParams{}, &ck.OAEPParams{}, &ck.OAEPParams{Hash: uint64(sha1.digest)},
		&ck.OAEPParams{Hash: uint64(sha1.digest), MGF: sha1.mgf, Source: 2},
		&ck.OAEPParams{Hash: uint64(sha1.digest), MGF: sha1.mgf, SourceData: []byte("label without a source")}} {
		_, err := NewEncryption(ck.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Struct: p}, pair.public)
		wants(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	sourceless := ck.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Struct: &ck.OAEPParams{Hash: uint64(sha1.digest),
		MGF: sha1.mgf}}
	opened, err := decrypt(t, sourceless, pair.private, encrypt(t, sourceless, pair.public, make([]byte, 214)))
	if err != nil || len(opened) != 214 {
		t.Errorf("%d bytes, %v", len(opened), err)
	}
	e, err := NewEncryption(sourceless, pair.public)
	wants(t, err, ck.CKR_OK)
	_, err = e.Once(make([]byte, 215))
	wants(t, err, ck.CKR_DATA_LEN_RANGE)
	_, err = encrypter(t, sourceless, pair.public).Update(nil)
	wants(t, err, ck.CKR_FUNCTION_NOT_SUPPORTED)
}

// OAEP's label stays until the operation's end, and has its bound.
func TestRSAOAEPHolds(t *testing.T) {
	with := func(label int) ck.Mechanism {
		return ck.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Struct: &ck.OAEPParams{Hash: uint64(ck.CKM_SHA256),
			MGF: ck.CKG_MGF1_SHA256, Source: ck.CKZ_DATA_SPECIFIED, SourceData: make([]byte, label)}}
	}
	pair := sharedPair(t, "RSA-2048")
	e, d := encrypter(t, with(maxAssociated), pair.public), decrypter(t, with(maxAssociated), pair.private)
	if e.Held(0) != maxAssociated || d.Held(0) != maxAssociated {
		t.Errorf("%d and %d bytes are held", e.Held(0), d.Held(0))
	}
	_, err := NewEncryption(with(maxAssociated+1), pair.public)
	wants(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
}

// Every way in which PKCS #1 padding can be wrong gives one and the same error, text included.
func TestRSAPKCSPadding(t *testing.T) {
	pair, m := sharedPair(t, "RSA-2048"), ck.Mechanism{Type: ck.CKM_RSA_PKCS}
	theirs := opensslFiles(t, []byte("a secret"), map[string][]byte{"public": PublicKeyInfo(pair.public)},
		"pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", "@public", "-pkeyopt", "rsa_padding_mode:pkcs1")
	opened, err := decrypt(t, m, pair.private, theirs)
	if err != nil || string(opened) != "a secret" {
		t.Fatalf("%q, %v", opened, err)
	}
	var texts []string
	for _, padded := range [][]byte{
		bytes.Repeat([]byte{1}, 256),
		append([]byte{0, 1}, bytes.Repeat([]byte{9}, 254)...),
		append([]byte{0, 2}, bytes.Repeat([]byte{9}, 254)...),
		append([]byte{0, 2, 9, 9, 0}, bytes.Repeat([]byte{9}, 251)...),
		make([]byte, 256),
	} {
		encrypted := encrypt(t, ck.Mechanism{Type: ck.CKM_RSA_X_509}, pair.public, padded)
		_, err := decrypt(t, m, pair.private, encrypted)
		wants(t, err, ck.CKR_ENCRYPTED_DATA_INVALID)
		texts = append(texts, err.Error())
		_, err = Unwrap(m, pair.private, encrypted, ck.CKO_SECRET_KEY, ck.CKK_GENERIC_SECRET)
		wants(t, err, ck.CKR_WRAPPED_KEY_INVALID)
	}
	_, err = decrypt(t, m, pair.private, bytes.Repeat([]byte{255}, 256)) // larger than the modulus
	texts = append(texts, err.Error())
	if len(slices.Compact(texts)) != 1 {
		t.Errorf("errors differ: %q", texts)
	}
	_, err = decrypt(t, m, pair.private, theirs[1:])
	wants(t, err, ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
}

func TestRSARaw(t *testing.T) {
	pair, m := sharedPair(t, "RSA-2048"), ck.Mechanism{Type: ck.CKM_RSA_X_509}
	data := append([]byte{1}, bytes.Repeat([]byte{3}, 200)...)
	padded := append(make([]byte, 55), data...)
	want := opensslFiles(t, padded, map[string][]byte{"key": pair.pkcs8(t)},
		"pkeyutl", "-decrypt", "-inkey", "@key", "-keyform", "DER", "-pkeyopt", "rsa_padding_mode:none")
	signature := sign(t, m, pair.private, data)
	if !bytes.Equal(signature, want) {
		t.Error("differs from openssl")
	}
	wants(t, verify(t, m, pair.public, data, signature), ck.CKR_OK)
	wants(t, verify(t, m, pair.public, data[1:], signature), ck.CKR_SIGNATURE_INVALID)
	wants(t, verify(t, m, pair.public, data, bytes.Repeat([]byte{255}, 256)), ck.CKR_SIGNATURE_INVALID)
	opened, err := decrypt(t, m, pair.private, encrypt(t, m, pair.public, data))
	if err != nil || !bytes.Equal(opened, padded) {
		t.Errorf("%v", err)
	}
	s, err := NewSigner(m, pair.private)
	wants(t, err, ck.CKR_OK)
	_, err = s.Once(bytes.Repeat([]byte{255}, 256))
	wants(t, err, ck.CKR_DATA_INVALID)
	_, err = begun[Signer](t)(NewSigner(m, pair.private)).Once(make([]byte, 257))
	wants(t, err, ck.CKR_DATA_LEN_RANGE)
}

// A private key may come without its CRT numbers, without primes, or without the public exponent.
func TestRSAIncomplete(t *testing.T) {
	whole := sharedPair(t, "RSA-2048").privateValues
	crt := []ck.AttributeType{ck.CKA_EXPONENT_1, ck.CKA_EXPONENT_2, ck.CKA_COEFFICIENT}
	primes := []ck.AttributeType{ck.CKA_PRIME_1, ck.CKA_PRIME_2}
	for _, c := range []struct {
		missing []ck.AttributeType
		want    ck.RV
	}{
		{[]ck.AttributeType{ck.CKA_PUBLIC_KEY_INFO}, ck.CKR_OK},
		{crt, ck.CKR_OK},
		{append(slices.Clone(crt), primes...), ck.CKR_OK},
		{[]ck.AttributeType{ck.CKA_PUBLIC_EXPONENT}, ck.CKR_OK},
		{append(slices.Clone(primes), ck.CKA_PUBLIC_EXPONENT), ck.CKR_TEMPLATE_INCOMPLETE},
		{primes[:1], ck.CKR_TEMPLATE_INCOMPLETE},
		{[]ck.AttributeType{ck.CKA_MODULUS}, ck.CKR_TEMPLATE_INCOMPLETE},
		{[]ck.AttributeType{ck.CKA_PRIVATE_EXPONENT}, ck.CKR_TEMPLATE_INCOMPLETE},
	} {
		a := Attributes{}
		for attribute, value := range whole {
			if !slices.Contains(c.missing, attribute) {
				a[attribute] = append([]byte{0}, value...) // zeros before a number say nothing
			}
		}
		if info := a[ck.CKA_PUBLIC_KEY_INFO]; info != nil {
			a[ck.CKA_PUBLIC_KEY_INFO] = info[1:]
		}
		complete, err := Complete(ck.CKO_PRIVATE_KEY, ck.CKK_RSA, a)
		wants(t, err, c.want)
		if err == nil && bytes.Equal(complete[ck.CKA_PRIME_1], whole[ck.CKA_PRIME_1]) {
			equalValues(t, complete, whole)
		} else if err == nil && !bytes.Equal(complete[ck.CKA_PRIME_1], whole[ck.CKA_PRIME_2]) {
			t.Error("other primes were found")
		}
	}
}

func TestRSAInconsistent(t *testing.T) {
	pair := sharedPair(t, "RSA-2048")
	other := newPair(t, "RSA-2048")
	for attribute := range pair.privateValues {
		a := maps.Clone(pair.privateValues)
		a[attribute] = other.privateValues[attribute]
		if attribute == ck.CKA_PUBLIC_EXPONENT {
			a[attribute] = []byte{3}
		}
		if _, err := Complete(ck.CKO_PRIVATE_KEY, ck.CKK_RSA, a); err == nil {
			t.Errorf("another key's %s was taken", attribute)
		}
	}
	for attribute, value := range map[ck.AttributeType][]byte{
		ck.CKA_PRIME_1: bytes.Repeat([]byte{255}, 60000), ck.CKA_PRIME_2: {2}, ck.CKA_PRIVATE_EXPONENT: {3}} {
		a := maps.Clone(pair.privateValues)
		a[attribute] = value
		_, err := Parse(ck.CKO_PRIVATE_KEY, ck.CKK_RSA, a)
		wants(t, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
		delete(a, ck.CKA_PUBLIC_EXPONENT)
		_, err = Parse(ck.CKO_PRIVATE_KEY, ck.CKK_RSA, a)
		wants(t, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
	}
	lone := Attributes{ck.CKA_MODULUS: pair.privateValues[ck.CKA_MODULUS], ck.CKA_PUBLIC_EXPONENT: {3},
		ck.CKA_PRIVATE_EXPONENT: other.privateValues[ck.CKA_PRIVATE_EXPONENT]}
	_, err := Parse(ck.CKO_PRIVATE_KEY, ck.CKK_RSA, lone)
	wants(t, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
	for _, c := range []struct{ n, e []byte }{
		{new(big.Int).Lsh(big.NewInt(1), 2047).Bytes(), []byte{1, 0, 1}}, // even
		{[]byte{15}, []byte{3}},
		{append([]byte{1}, make([]byte, 1024)...), []byte{3}}, // too large
		{pair.publicValues[ck.CKA_MODULUS], []byte{1}},
		{pair.publicValues[ck.CKA_MODULUS], []byte{4}},
		{pair.publicValues[ck.CKA_MODULUS], []byte{1, 0, 0, 0, 1}},
	} {
		_, err := Parse(ck.CKO_PUBLIC_KEY, ck.CKK_RSA, Attributes{ck.CKA_MODULUS: c.n, ck.CKA_PUBLIC_EXPONENT: c.e})
		wants(t, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
	}
}

func rsaAESWith(bits uint64) ck.Mechanism {
	return ck.Mechanism{Type: ck.CKM_RSA_AES_KEY_WRAP,
		Struct: &ck.RSAAESKeyWrapParams{AESKeyBits: bits, OAEP: oaepWith(hashNames[2], hashNames[2], nil)}}
}

// Secret keys go through each mechanism, private ones of every kind through CKM_RSA_AES_KEY_WRAP.
func TestRSAWrapping(t *testing.T) {
	pair := sharedPair(t, "RSA-2048")
	oaep := ck.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Struct: oaepWith(hashNames[0], hashNames[2], []byte("l"))}
	secret := secretOf(t, ck.CKK_AES, random(32))
	for _, m := range []ck.Mechanism{{Type: ck.CKM_RSA_PKCS}, oaep, rsaAESWith(128), rsaAESWith(192), rsaAESWith(256)} {
		wrapped, err := Wrap(m, pair.public, secret)
		wants(t, err, ck.CKR_OK)
		a, err := Unwrap(m, pair.private, wrapped, ck.CKO_SECRET_KEY, ck.CKK_AES)
		wants(t, err, ck.CKR_OK)
		if !bytes.Equal(a[ck.CKA_VALUE], random(32)) {
			t.Errorf("%s: another key came out", m.Type)
		}
		unwrapRefuses(t, m, pair.private, wrapped)
	}
	for _, kind := range kinds() {
		other := sharedPair(t, kind)
		m := rsaAESWith(256)
		wrapped, err := Wrap(m, pair.public, other.private)
		wants(t, err, ck.CKR_OK)
		a, err := Unwrap(m, pair.private, wrapped, ck.CKO_PRIVATE_KEY, other.keyType)
		wants(t, err, ck.CKR_OK)
		if !bytes.Equal(a[ck.CKA_PUBLIC_KEY_INFO], other.privateValues[ck.CKA_PUBLIC_KEY_INFO]) {
			t.Errorf("%s: another key came out", kind)
		}
		_, err = Unwrap(m, pair.private, wrapped, ck.CKO_PRIVATE_KEY, ck.CKK_HSS)
		wants(t, err, ck.CKR_WRAPPED_KEY_INVALID)
		_, err = Wrap(m, pair.public, other.public)
		wants(t, err, ck.CKR_KEY_NOT_WRAPPABLE)
		_, err = Wrap(oaep, pair.public, other.private)
		wants(t, err, ck.CKR_KEY_NOT_WRAPPABLE)
	}
	_, err := Wrap(oaep, pair.public, secretOf(t, ck.CKK_GENERIC_SECRET, random(215)))
	wants(t, err, ck.CKR_KEY_SIZE_RANGE)
	_, err = Wrap(ck.Mechanism{Type: ck.CKM_RSA_PKCS}, pair.public, secretOf(t, ck.CKK_GENERIC_SECRET, random(246)))
	wants(t, err, ck.CKR_KEY_SIZE_RANGE)
	for _, p := range []any{nil, &ck.RSAAESKeyWrapParams{AESKeyBits: 256}, &ck.RSAAESKeyWrapParams{AESKeyBits: 255,
		OAEP: &ck.OAEPParams{}}} {
		_, err = Wrap(ck.Mechanism{Type: ck.CKM_RSA_AES_KEY_WRAP, Struct: p}, pair.public, secret)
		wants(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
}

// unwrapRefuses damages what was wrapped, everywhere and in length: always the same error.
func unwrapRefuses(t *testing.T, m ck.Mechanism, k *Key, wrapped []byte) {
	t.Helper()
	damaged := [][]byte{nil, wrapped[:len(wrapped)-1], append(slices.Clone(wrapped), 0), wrapped[:len(wrapped)/2]}
	for _, at := range []int{0, len(wrapped) / 2, len(wrapped) - 1} {
		other := slices.Clone(wrapped)
		other[at] ^= 1
		damaged = append(damaged, other)
	}
	for _, bytes := range damaged {
		_, err := Unwrap(m, k, bytes, ck.CKO_SECRET_KEY, ck.CKK_AES)
		if !errors.Is(err, errWrapped) {
			t.Errorf("%s: %v", m.Type, err)
		}
	}
}

// What openssl wrapped by hand opens: the AES key by pkeyutl, the key by enc with id-aes256-wrap-pad.
func TestRSAAESAsOpenSSL(t *testing.T) {
	pair, ec := sharedPair(t, "RSA-2048"), sharedPair(t, "P-256")
	kek := random(32)
	encrypted := opensslFiles(t, kek, map[string][]byte{"public": PublicKeyInfo(pair.public)}, "pkeyutl", "-encrypt",
		"-pubin", "-keyform", "DER",
		"-inkey", "@public", "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256")
	wrapped := opensslFiles(t, ec.pkcs8(t), nil, "enc", "-id-aes256-wrap-pad", "-K", fmt.Sprintf("%x", kek), "-iv",
		"A65959A6")
	a, err := Unwrap(rsaAESWith(256), pair.private, append(encrypted, wrapped...), ck.CKO_PRIVATE_KEY, ck.CKK_EC)
	wants(t, err, ck.CKR_OK)
	if !bytes.Equal(a[ck.CKA_VALUE], ec.privateValues[ck.CKA_VALUE]) {
		t.Error("another key came out")
	}
}

// The largest key that is made here, and one of the largest that is taken.
func TestRSASizes(t *testing.T) {
	if testing.Short() {
		t.Skip("makes large keys")
	}
	m := ck.Mechanism{Type: ck.CKM_RSA_PKCS_KEY_PAIR_GEN}
	public, private, err := GenerateKeyPair(m, Attributes{ck.CKA_MODULUS_BITS: ulong(4096),
		ck.CKA_PUBLIC_EXPONENT: {0, 1, 0, 1}}, nil)
	wants(t, err, ck.CKR_OK)
	k := parsed(t, ck.CKO_PRIVATE_KEY, ck.CKK_RSA, private)
	if k.Bits() != 4096 || !bytes.Equal(public[ck.CKA_MODULUS_BITS], ulong(4096)) {
		t.Errorf("%d bits", k.Bits())
	}
	der := opensslFiles(t, nil, nil, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024", "-pkeyopt",
		"rsa_keygen_pubexp:3", "-outform", "DER")
	der = opensslFiles(t, der, nil, "pkcs8", "-topk8", "-nocrypt", "-inform", "DER", "-outform", "DER")
	a, err := privateValues(ck.CKK_RSA, der)
	wants(t, err, ck.CKR_OK)
	small := parsed(t, ck.CKO_PRIVATE_KEY, ck.CKK_RSA, a)
	public = Attributes{ck.CKA_MODULUS: a[ck.CKA_MODULUS], ck.CKA_PUBLIC_EXPONENT: a[ck.CKA_PUBLIC_EXPONENT]}
	for _, raw := range []ck.MechanismType{ck.CKM_RSA_PKCS, ck.CKM_RSA_X_509} {
		wants(t, verify(t, ck.Mechanism{Type: raw}, parsed(t, ck.CKO_PUBLIC_KEY, ck.CKK_RSA, public), []byte("x"),
			sign(t, ck.Mechanism{Type: raw}, small, []byte("x"))), ck.CKR_OK)
	}
}

package mechanism

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// errorHasRV fails for an error without a CK_RV.
func errorHasRV(t *testing.T, err error) {
	t.Helper()
	var rv ck.RV
	if err != nil && (!errors.As(err, &rv) || rv == ck.CKR_OK) {
		t.Fatalf("%v has no CK_RV", err)
	}
}

// fuzzedAttributes are those that halves of pairs are read from, in the order in which a fuzzer's text has them.
var fuzzedAttributes = []ck.AttributeType{ck.CKA_MODULUS, ck.CKA_PUBLIC_EXPONENT, ck.CKA_PRIVATE_EXPONENT,
	ck.CKA_PRIME_1, ck.CKA_PRIME_2,
	ck.CKA_EXPONENT_1, ck.CKA_EXPONENT_2, ck.CKA_COEFFICIENT, ck.CKA_EC_PARAMS, ck.CKA_EC_POINT, ck.CKA_VALUE,
	ck.CKA_SEED, ck.CKA_PARAMETER_SET}

// attributesText is the reverse of textAttributes.
func attributesText(a Attributes) (text []byte) {
	for i, attribute := range fuzzedAttributes {
		if value, ok := a[attribute]; ok {
			text = append(text, byte(i), byte(len(value)>>8), byte(len(value)))
			text = append(text, value...)
		}
	}
	return text
}

func textAttributes(text []byte) Attributes {
	a := Attributes{}
	for len(text) >= 3 {
		n := min(int(text[1])<<8|int(text[2]), len(text)-3)
		a[fuzzedAttributes[int(text[0])%len(fuzzedAttributes)]] = text[3 : 3+n]
		text = text[3+n:]
	}
	return a
}

// What Parse takes, Complete takes, and its values parse to the same again.
func FuzzParsePair(f *testing.F) {
	types := []ck.KeyType{ck.CKK_RSA, ck.CKK_EC, ck.CKK_EC_EDWARDS, ck.CKK_EC_MONTGOMERY, ck.CKK_ML_DSA, ck.CKK_ML_KEM}
	for _, kind := range kinds() {
		pair := sharedPair(f, kind)
		f.Add(true, uint8(slices.Index(types, pair.keyType)), attributesText(pair.privateValues))
		f.Add(false, uint8(slices.Index(types, pair.keyType)), attributesText(pair.publicValues))
	}
	f.Fuzz(func(t *testing.T, private bool, which uint8, text []byte) {
		class := ck.CKO_PUBLIC_KEY
		if private {
			class = ck.CKO_PRIVATE_KEY
		}
		keyType := types[int(which)%len(types)]
		complete, err := Complete(class, keyType, textAttributes(text))
		errorHasRV(t, err)
		if err != nil {
			return
		}
		again, err := Complete(class, keyType, complete)
		if err != nil {
			t.Fatal(err)
		}
		equalValues(t, again, complete)
	})
}

// What unwraps as PKCS #8 has all values of a key, and these make PKCS #8 that unwraps to the same.
func FuzzPKCS8(f *testing.F) {
	types := []ck.KeyType{ck.CKK_RSA, ck.CKK_EC, ck.CKK_EC_EDWARDS, ck.CKK_EC_MONTGOMERY, ck.CKK_ML_DSA, ck.CKK_ML_KEM}
	for _, kind := range kinds() {
		pair := sharedPair(f, kind)
		f.Add(uint8(slices.Index(types, pair.keyType)), pair.pkcs8(f))
		f.Add(uint8(slices.Index(types, pair.keyType)), append(pair.pkcs8(f), make([]byte, 8)...))
	}
	f.Fuzz(func(t *testing.T, which uint8, der []byte) {
		keyType := types[int(which)%len(types)]
		values, err := privateValues(keyType, der)
		errorHasRV(t, err)
		if err != nil {
			return
		}
		der, err = parsed(t, ck.CKO_PRIVATE_KEY, keyType, values).pair.pkcs8()
		if err != nil {
			t.Fatal(err)
		}
		again, err := privateValues(keyType, der)
		if err != nil {
			t.Fatal(err)
		}
		equalValues(t, again, values)
	})
}

// No ciphertext makes RSA decryption, unwrapping or decapsulation do more than refuse, each with its one error.
func FuzzRSADecryption(f *testing.F) {
	pair, kem := sharedPair(f, "RSA-2048"), sharedPair(f, "ML-KEM-768")
	oaep := ck.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Struct: oaepWith(hashNames[2], hashNames[2], nil)}
	all := []ck.Mechanism{{Type: ck.CKM_RSA_PKCS}, {Type: ck.CKM_RSA_X_509}, oaep}
	f.Add([]byte{})
	for _, m := range all {
		f.Add(encrypt(f, m, pair.public, random(32)))
	}
	wrapped, err := Wrap(rsaAESWith(256), pair.public, kem.private)
	wants(f, err, ck.CKR_OK)
	f.Add(wrapped)
	encapsulated, _, err := Encapsulate(ck.Mechanism{Type: ck.CKM_ML_KEM}, kem.public)
	wants(f, err, ck.CKR_OK)
	f.Add(encapsulated)
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, m := range all {
			out, err := decrypt(t, m, pair.private, text)
			if (err == nil) != (out != nil) || (err != nil && len(text) == 256 && !errors.Is(err, errEncrypted)) {
				t.Fatalf("%s: %d bytes, %v", m.Type, len(out), err)
			}
			errorHasRV(t, err)
		}
		for _, m := range []ck.Mechanism{all[0], oaep, rsaAESWith(256)} {
			a, err := Unwrap(m, pair.private, text, ck.CKO_SECRET_KEY, ck.CKK_GENERIC_SECRET)
			if (err == nil) != (a != nil) || (err != nil && !errors.Is(err, errWrapped)) {
				t.Fatalf("%s: %v", m.Type, err)
			}
		}
		secret, err := Decapsulate(ck.Mechanism{Type: ck.CKM_ML_KEM}, kem.private, text)
		if (err == nil) != (len(secret) == 32) || (err == nil) != (len(text) == 1088) {
			t.Fatalf("%d bytes gave %v", len(text), err)
		}
	})
}

// No bytes in the place of a signature, data or public point do more than be refused.
func FuzzVerification(f *testing.F) {
	data := []byte("data")
	kinds := map[string]ck.MechanismType{"RSA-2048": ck.CKM_SHA256_RSA_PKCS, "P-256": ck.CKM_ECDSA_SHA256,
		"P-521": ck.CKM_ECDSA_SHA512, "Ed25519": ck.CKM_EDDSA}
	f.Add(data, []byte{})
	for kind, m := range kinds {
		f.Add(data, sign(f, ck.Mechanism{Type: m}, sharedPair(f, kind).private, data))
	}
	f.Fuzz(func(t *testing.T, other, signature []byte) {
		for kind, m := range kinds {
			err := verify(t, ck.Mechanism{Type: m}, sharedPair(t, kind).public, other, signature)
			errorHasRV(t, err)
			if err == nil && !bytes.Equal(other, data) {
				t.Fatalf("%s verified other data", kind)
			}
		}
		p := &ck.ECDH1Params{KDF: ck.CKD_SHA256_KDF, PublicData: signature, SharedData: other}
		_, err := Derive(ck.Mechanism{Type: ck.CKM_ECDH1_DERIVE, Struct: p}, sharedPair(t, "P-256").private, nil,
			ck.CKK_AES, 32)
		errorHasRV(t, err)
	})
}

package mechanism

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// countingBytes are the bytes 0, 1, 2 and so on.
func countingBytes(n int) []byte {
	value := make([]byte, n)
	for i := range value {
		value[i] = byte(i)
	}
	return value
}

// The keys of RFC 9881, appendix C: from the seed to SubjectPublicKeyInfo, which is here as its SHA-256.
func TestMLDSAKnownKeys(t *testing.T) {
	for set, want := range map[uint64]string{
		ck.CKP_ML_DSA_44: "837832708c5236d951581f1fddf2b79991b3424a0486d16da1ddad0fd69701be",
		ck.CKP_ML_DSA_65: "b8b62131bfbe84433efb2273d7f5b87f7a22854a2cfd366fc2aead86d837c52d",
		ck.CKP_ML_DSA_87: "07e57c4f14dbad1267f621ec3777b4e2e6c4fbc4c22fbb87510ff8e0b3c6a642",
	} {
		k := parsed(t, ck.CKO_PRIVATE_KEY, ck.CKK_ML_DSA, Attributes{ck.CKA_PARAMETER_SET: ulong(set),
			ck.CKA_SEED: countingBytes(32)})
		if got := fmt.Sprintf("%x", sha256.Sum256(PublicKeyInfo(k))); got != want {
			t.Errorf("set %d: the public key's digest is %s", set, got)
		}
	}
}

// Signatures fit their key, data and context alone; those that must be deterministic are.
func TestMLDSA(t *testing.T) {
	for _, kind := range []string{"ML-DSA-44", "ML-DSA-65", "ML-DSA-87"} {
		pair, data := sharedPair(t, kind), []byte("what is signed")
		plain := ck.Mechanism{Type: ck.CKM_ML_DSA}
		with := func(hedge uint64, context string) ck.Mechanism {
			return ck.Mechanism{Type: ck.CKM_ML_DSA, Struct: &ck.SignContext{Hedge: hedge, Context: []byte(context)}}
		}
		signature := sign(t, plain, pair.private, data)
		wants(t, verify(t, plain, pair.public, data, signature), ck.CKR_OK)
		wants(t, verify(t, with(0, ""), pair.public, data, signature), ck.CKR_OK)
		wants(t, verify(t, with(0, "context"), pair.public, data, signature), ck.CKR_SIGNATURE_INVALID)
		wants(t, verify(t, plain, newPair(t, kind).public, data, signature), ck.CKR_SIGNATURE_INVALID)
		wants(t, verify(t, plain, pair.public, data[1:], signature), ck.CKR_SIGNATURE_INVALID)
		wants(t, verify(t, plain, pair.public, data, signature[1:]), ck.CKR_SIGNATURE_LEN_RANGE)
		for hedge, same := range map[uint64]bool{ck.CKH_HEDGE_PREFERRED: false, ck.CKH_HEDGE_REQUIRED: false,
			ck.CKH_DETERMINISTIC_REQUIRED: true} {
			m := with(hedge, strings.Repeat("c", 255))
			one, two := sign(t, m, pair.private, data), sign(t, m, pair.private, data)
			if bytes.Equal(one, two) != same {
				t.Errorf("hedge variant %d: same signatures: %t", hedge, !same)
			}
			wants(t, verify(t, m, pair.public, data, two), ck.CKR_OK)
		}
	}
}

func TestMLDSARefuses(t *testing.T) {
	pair := sharedPair(t, "ML-DSA-44")
	for _, m := range []ck.Mechanism{
		{Type: ck.CKM_ML_DSA, Struct: &ck.SignContext{Context: make([]byte, 256)}},
		{Type: ck.CKM_ML_DSA, Struct: &ck.SignContext{Hedge: 3}},
		{Type: ck.CKM_ML_DSA, Struct: &ck.EdDSAParams{}},
		{Type: ck.CKM_ML_DSA, Parameter: []byte{1}},
	} {
		_, err := NewSigner(m, pair.private)
		wants(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	for keyType, seed := range map[ck.KeyType]int{ck.CKK_ML_DSA: 32, ck.CKK_ML_KEM: 64} {
		set := Attributes{ck.CKA_PARAMETER_SET: ulong(2)}
		for _, class := range []ck.ObjectClass{ck.CKO_PUBLIC_KEY, ck.CKO_PRIVATE_KEY} {
			_, err := Parse(class, keyType, set)
			wants(t, err, ck.CKR_TEMPLATE_INCOMPLETE)
			_, err = Parse(class, keyType, Attributes{ck.CKA_PARAMETER_SET: {2}})
			wants(t, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
			_, err = Parse(class, keyType, Attributes{ck.CKA_PARAMETER_SET: ulong(9)})
			wants(t, err, ck.CKR_PARAMETER_SET_NOT_SUPPORTED)
			_, err = Parse(class, keyType, Attributes{ck.CKA_PARAMETER_SET: ulong(2), ck.CKA_VALUE: make([]byte, 99),
				ck.CKA_SEED: make([]byte, seed+1)})
			wants(t, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
		}
	}
}

// The keys of RFC 9935, appendix C: PKCS #8 of the seed, and the beginning and end of SubjectPublicKeyInfo.
func TestMLKEMKnownKeys(t *testing.T) {
	seed := Attributes{ck.CKA_SEED: countingBytes(64)}
	for set, want := range map[uint64]string{
		ck.CKP_ML_KEM_768: "MFQCAQAwCwYJYIZIAWUDBAQCBEKAQAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZ" +
			"GhscHR4fICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=",
		ck.CKP_ML_KEM_1024: "MFQCAQAwCwYJYIZIAWUDBAQDBEKAQAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZ" +
			"GhscHR4fICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=",
	} {
		seed[ck.CKA_PARAMETER_SET] = ulong(set)
		k := parsed(t, ck.CKO_PRIVATE_KEY, ck.CKK_ML_KEM, seed)
		der, err := k.pair.pkcs8()
		wants(t, err, ck.CKR_OK)
		if got := base64.StdEncoding.EncodeToString(der); got != want {
			t.Errorf("set %d: PKCS #8 %s", set, got)
		}
		info := base64.StdEncoding.EncodeToString(PublicKeyInfo(k))
		if set == ck.CKP_ML_KEM_768 &&
			(!strings.HasPrefix(info, "MIIEsjALBglghkgBZQMEBAIDggShACmKoQ1CPI3aBp0CvFnmzfA6CWuLPaTKubgM") ||
				!strings.HasSuffix(info, "4ssy2ovDQvpN6gV4")) {
			t.Errorf("SubjectPublicKeyInfo %s", info)
		}
	}
}

// Both sides get one secret; another key, or one flipped bit, gives another secret and no error.
func TestMLKEM(t *testing.T) {
	m := ck.Mechanism{Type: ck.CKM_ML_KEM}
	for _, kind := range []string{"ML-KEM-768", "ML-KEM-1024"} {
		pair := sharedPair(t, kind)
		encapsulated, secret, err := Encapsulate(m, pair.public)
		wants(t, err, ck.CKR_OK)
		if len(secret) != 32 || len(encapsulated) != pair.public.pair.(*mlkemPublic).set.ciphertextSize {
			t.Errorf("%s: a secret of %d bytes in %d", kind, len(secret), len(encapsulated))
		}
		opened, err := Decapsulate(m, pair.private, encapsulated)
		wants(t, err, ck.CKR_OK)
		if !bytes.Equal(opened, secret) {
			t.Error("another secret")
		}
		other, err := Decapsulate(m, newPair(t, kind).private, encapsulated)
		wants(t, err, ck.CKR_OK)
		encapsulated[7] ^= 1
		flipped, err := Decapsulate(m, pair.private, encapsulated)
		wants(t, err, ck.CKR_OK)
		if bytes.Equal(other, secret) || bytes.Equal(flipped, secret) || bytes.Equal(flipped, other) {
			t.Error("the secret got out")
		}
		for _, bad := range [][]byte{nil, encapsulated[1:], append(encapsulated, 0)} {
			_, err = Decapsulate(m, pair.private, bad)
			wants(t, err, ck.CKR_WRAPPED_KEY_LEN_RANGE)
		}
		_, _, err = Encapsulate(m, pair.private)
		wants(t, err, ck.CKR_KEY_TYPE_INCONSISTENT)
		_, err = Decapsulate(m, pair.public, encapsulated)
		wants(t, err, ck.CKR_KEY_TYPE_INCONSISTENT)
		_, _, err = Encapsulate(ck.Mechanism{Type: ck.CKM_ML_KEM, Parameter: []byte{1}}, pair.public)
		wants(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
		_, _, err = Encapsulate(ck.Mechanism{Type: ck.CKM_RSA_PKCS}, pair.public)
		wants(t, err, ck.CKR_MECHANISM_INVALID)
	}
}

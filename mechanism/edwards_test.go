package mechanism

import (
	"bytes"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// RFC 8032, 7.1 tests 2 and 3, 7.2 "foo", 7.3.
func TestEdDSAKnownAnswers(t *testing.T) {
	for _, c := range []struct {
		parameter                     any
		seed, public, data, signature string
	}{
		{nil, "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
			"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
			"72", "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" +
				"085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
		{nil, "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
			"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
			"af82", "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac" +
				"18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
		{&ck.EdDSAParams{Context: []byte("foo")}, "0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6",
			"dfc9425e4f968f7f0c29f0259cf5f9aed6851c2bb4ad8bfb860cfee0ab248292",
			"f726936d19c800494e3fdaff20b276a8", "55a4cc2f70a54e04288c5f4cd1e45a7bb520b36292911876cada7323198dd87a" +
				"8b36950b95130022907a7fb7c4e9b2d5f6cca685a587b4b21f4b888e4e7edb0d"},
		{&ck.EdDSAParams{Prehash: true}, "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
			"ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
			"616263", "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41" +
				"31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406"},
	} {
		m := ck.Mechanism{Type: ck.CKM_EDDSA, Struct: c.parameter}
		for i, params := range edwardsParams {
			private := parsed(t, ck.CKO_PRIVATE_KEY, ck.CKK_EC_EDWARDS, Attributes{ck.CKA_EC_PARAMS: params,
				ck.CKA_VALUE: octets(t, c.seed)})
			point := octets(t, c.public)
			if i == 1 {
				point = octetString(point)
			}
			public := parsed(t, ck.CKO_PUBLIC_KEY, ck.CKK_EC_EDWARDS, Attributes{ck.CKA_EC_PARAMS: params,
				ck.CKA_EC_POINT: point})
			signature := sign(t, m, private, octets(t, c.data))
			if !bytes.Equal(signature, octets(t, c.signature)) || !bytes.Equal(PublicKeyInfo(private),
				PublicKeyInfo(public)) {
				t.Errorf("%s: signature %x", c.seed, signature)
			}
			wants(t, verify(t, m, public, octets(t, c.data), signature), ck.CKR_OK)
			wants(t, verify(t, m, public, nil, signature), ck.CKR_SIGNATURE_INVALID)
			wants(t, verify(t, m, public, nil, signature[1:]), ck.CKR_SIGNATURE_LEN_RANGE)
		}
	}
}

func TestEdDSAAsOpenSSL(t *testing.T) {
	pair := sharedPair(t, "Ed25519")
	for _, data := range [][]byte{{1}, random(5000)} {
		files := map[string][]byte{"key": pair.pkcs8(t), "data": data}
		want := opensslFiles(t, nil, files, "pkeyutl", "-sign", "-rawin", "-inkey", "@key", "-keyform", "DER", "-in",
			"@data")
		if !bytes.Equal(sign(t, ck.Mechanism{Type: ck.CKM_EDDSA}, pair.private, data), want) {
			t.Error("differs from openssl")
		}
	}
}

func TestEdDSARefuses(t *testing.T) {
	pair := sharedPair(t, "Ed25519")
	for _, m := range []ck.Mechanism{
		{Type: ck.CKM_EDDSA, Struct: &ck.EdDSAParams{}},
		{Type: ck.CKM_EDDSA, Struct: &ck.EdDSAParams{Context: []byte(strings.Repeat("c", 256))}},
		{Type: ck.CKM_EDDSA, Struct: &ck.PSSParams{}},
		{Type: ck.CKM_EDDSA, Parameter: []byte{1}},
	} {
		_, err := NewSigner(m, pair.private)
		wants(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
		_, err = NewVerifier(m, pair.public)
		wants(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	for _, params := range [][]byte{nil, montgomeryParams[0], ecCurves[1].params(), printable("edwards448")} {
		_, err := Parse(ck.CKO_PUBLIC_KEY, ck.CKK_EC_EDWARDS, withPoint(Attributes{ck.CKA_EC_PARAMS: params},
			make([]byte, 32)))
		if len(params) == 0 {
			wants(t, err, ck.CKR_TEMPLATE_INCOMPLETE)
		} else {
			wants(t, err, ck.CKR_CURVE_NOT_SUPPORTED)
		}
	}
	for _, value := range [][]byte{make([]byte, 31), make([]byte, 33), make([]byte, 64)} {
		_, err := Parse(ck.CKO_PRIVATE_KEY, ck.CKK_EC_EDWARDS, Attributes{ck.CKA_EC_PARAMS: edwardsParams[0],
			ck.CKA_VALUE: value})
		wants(t, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
		_, err = Parse(ck.CKO_PUBLIC_KEY, ck.CKK_EC_MONTGOMERY,
			withPoint(Attributes{ck.CKA_EC_PARAMS: montgomeryParams[0]}, value))
		wants(t, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
	}
}

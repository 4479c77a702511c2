package mechanism

import (
	"bytes"
	"crypto/elliptic"
	"fmt"
	"math/big"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

var nistKinds = []string{"P-224", "P-256", "P-384", "P-521"}

// Every curve with every hash: openssl verifies ours and we verify openssl's.
func TestECDSAAsOpenSSL(t *testing.T) {
	data := []byte("what is signed")
	for _, kind := range nistKinds {
		pair := sharedPair(t, kind)
		files := map[string][]byte{"key": pair.pkcs8(t), "public": PublicKeyInfo(pair.public)}
		size := scalarSize(ecPublicKey(pair.public))
		for _, name := range hashNames {
			m := ck.Mechanism{Type: name.ecdsa}
			hash := "-" + opensslName(name.hash)
			theirs := opensslFiles(t, data, files, "dgst", hash, "-keyform", "DER", "-sign", "@key")
			fixed, err := fixedSignature(theirs, size)
			wants(t, err, ck.CKR_OK)
			wants(t, verify(t, m, pair.public, data, fixed), ck.CKR_OK)
			ours := inThreeParts(t, m, pair.private, data)
			files["signature"], err = derSignature(ours)
			wants(t, err, ck.CKR_OK)
			opensslFiles(t, data, files, "dgst", hash, "-verify", "@public", "-keyform", "DER", "-signature",
				"@signature")
			digest := name.hash.New()
			digest.Write(data)
			raw := sign(t, ck.Mechanism{Type: ck.CKM_ECDSA}, pair.private, digest.Sum(nil))
			wants(t, verify(t, m, pair.public, data, raw), ck.CKR_OK)
		}
	}
}

func TestECDSARefuses(t *testing.T) {
	pair, m := sharedPair(t, "P-256"), ck.Mechanism{Type: ck.CKM_ECDSA}
	digest := random(32)
	good := sign(t, m, pair.private, digest)
	order := elliptic.P256().Params().N.Bytes()
	for _, signature := range [][]byte{
		make([]byte, 64),
		append(good[:32:32], make([]byte, 32)...),
		append(order, good[32:]...),
		append(good[:32:32], order...),
		bytes.Repeat([]byte{255}, 64),
		append(good[32:64:64], good[:32]...),
	} {
		wants(t, verify(t, m, pair.public, digest, signature), ck.CKR_SIGNATURE_INVALID)
	}
	for _, signature := range [][]byte{nil, good[:63], append(good[:64:64], 0)} {
		wants(t, verify(t, m, pair.public, digest, signature), ck.CKR_SIGNATURE_LEN_RANGE)
	}
	wants(t, verify(t, m, pair.public, digest[:31], good), ck.CKR_SIGNATURE_INVALID)
	s, err := NewSigner(m, pair.private)
	wants(t, err, ck.CKR_OK)
	_, err = s.Once(nil)
	wants(t, err, ck.CKR_DATA_LEN_RANGE)
	s = begun[Signer](t)(NewSigner(m, pair.private))
	wants(t, s.Update(digest), ck.CKR_FUNCTION_NOT_SUPPORTED)
	_, err = NewSigner(ck.Mechanism{Type: ck.CKM_ECDSA, Parameter: []byte{1}}, pair.private)
	wants(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
}

// RFC 6979, A.2.5: P-256 with SHA-256.
func TestECDSAKnownAnswer(t *testing.T) {
	public := parsed(t, ck.CKO_PUBLIC_KEY, ck.CKK_EC, Attributes{ck.CKA_EC_PARAMS: ecCurves[1].params(),
		ck.CKA_EC_POINT: octets(t,
			"04 60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"+
				"7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299")})
	private := parsed(t, ck.CKO_PRIVATE_KEY, ck.CKK_EC, Attributes{ck.CKA_EC_PARAMS: ecCurves[1].params(),
		ck.CKA_VALUE: octets(t,
			"C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")})
	if !bytes.Equal(PublicKeyInfo(public), PublicKeyInfo(private)) {
		t.Error("another public key")
	}
	m := ck.Mechanism{Type: ck.CKM_ECDSA_SHA256}
	signature := octets(t,
		"EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"+
			"F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8")
	if got := sign(t, m, private, []byte("sample")); !bytes.Equal(got, signature) {
		t.Errorf("signature %x", got)
	}
	wants(t, verify(t, m, public, []byte("sample"), signature), ck.CKR_OK)
	wants(t, verify(t, m, public, []byte("test"), signature), ck.CKR_SIGNATURE_INVALID)
}

// Digests of other lengths than those of SHA-2 are signed too.
func TestECDSADigests(t *testing.T) {
	for _, kind := range nistKinds {
		pair := sharedPair(t, kind)
		for _, n := range []int{1, 20, 28, 32, 48, 64, 65, 1000} {
			signature := sign(t, ck.Mechanism{Type: ck.CKM_ECDSA}, pair.private, random(n))
			wants(t, verify(t, ck.Mechanism{Type: ck.CKM_ECDSA}, pair.public, random(n), signature), ck.CKR_OK)
		}
	}
}

// CKA_EC_POINT comes as an OCTET STRING or bare, CKA_VALUE with or without leading zeros; nothing else is taken.
func TestECForms(t *testing.T) {
	for _, kind := range nistKinds {
		pair := sharedPair(t, kind)
		point := pair.publicValues[ck.CKA_EC_POINT]
		bare := pointOf(point, pointSize(ecPublicKey(pair.public)))
		a := withPoint(pair.publicValues, bare)
		complete, err := Complete(ck.CKO_PUBLIC_KEY, ck.CKK_EC, a)
		wants(t, err, ck.CKR_OK)
		equalValues(t, complete, pair.publicValues)
		compressed := append([]byte{2 + bare[len(bare)-1]&1}, bare[1:1+len(bare)/2]...)
		wrong := bytes.Clone(bare)
		wrong[len(wrong)-1] ^= 1
		for _, bad := range [][]byte{nil, {0}, bare[1:], point[:len(point)-1], append(bytes.Clone(point), 0),
			compressed, octetString(compressed), wrong, octetString(wrong)} {
			_, err := Complete(ck.CKO_PUBLIC_KEY, ck.CKK_EC, withPoint(pair.publicValues, bad))
			if len(bad) == 0 {
				wants(t, err, ck.CKR_TEMPLATE_INCOMPLETE)
			} else {
				wants(t, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
			}
		}
		order := ecPublicKey(pair.public).Params().N
		for _, value := range [][]byte{{0}, order.Bytes(), new(big.Int).Add(order, big.NewInt(1)).Bytes(),
			bytes.Repeat([]byte{1}, 99)} {
			_, err := Parse(ck.CKO_PRIVATE_KEY, ck.CKK_EC,
				Attributes{ck.CKA_EC_PARAMS: pair.publicValues[ck.CKA_EC_PARAMS], ck.CKA_VALUE: value})
			wants(t, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
		}
		one := parsed(t, ck.CKO_PRIVATE_KEY, ck.CKK_EC,
			Attributes{ck.CKA_EC_PARAMS: pair.publicValues[ck.CKA_EC_PARAMS], ck.CKA_VALUE: {0, 0, 1}})
		if value := one.pair.values()[ck.CKA_VALUE]; !bytes.Equal(value, []byte{1}) {
			t.Errorf("%s: the value 1 became %x", kind, value)
		}
	}
}

func withPoint(a Attributes, point []byte) Attributes {
	return Attributes{ck.CKA_EC_PARAMS: a[ck.CKA_EC_PARAMS], ck.CKA_EC_POINT: point}
}

// Every curve and X25519 agree as openssl does, with the point in either form, by both mechanisms.
func TestECDHAsOpenSSL(t *testing.T) {
	for _, kind := range append(nistKinds, "X25519") {
		ours, theirs := newPair(t, kind), newPair(t, kind)
		files := map[string][]byte{"key": theirs.pkcs8(t), "public": PublicKeyInfo(ours.public)}
		want := opensslFiles(t, nil, files, "pkeyutl", "-derive", "-inkey", "@key", "-keyform", "DER", "-peerkey",
			"@public", "-peerform", "DER")
		point := theirs.publicValues[ck.CKA_EC_POINT]
		bare := point[len(point)-(map[bool]int{true: 32}[kind == "X25519"]):]
		if kind != "X25519" {
			bare = pointOf(point, pointSize(ecPublicKey(theirs.public)))
		}
		for _, public := range [][]byte{point, bare} {
			for _, m := range []ck.MechanismType{ck.CKM_ECDH1_DERIVE, ck.CKM_ECDH1_COFACTOR_DERIVE} {
				derive := ck.Mechanism{Type: m, Struct: &ck.ECDH1Params{KDF: ck.CKD_NULL, PublicData: public}}
				secret, err := Derive(derive, ours.private, nil, ck.CKK_GENERIC_SECRET, 0)
				wants(t, err, ck.CKR_OK)
				if !bytes.Equal(secret, want) {
					t.Errorf("%s: another secret than openssl's", kind)
				}
				end, err := Derive(derive, ours.private, nil, ck.CKK_AES, 16)
				wants(t, err, ck.CKR_OK)
				if !bytes.Equal(end, want[len(want)-16:]) {
					t.Errorf("%s: not the end of the secret", kind)
				}
			}
		}
	}
}

// The X9.63 function with every hash, as openssl has it.
func TestX963AsOpenSSL(t *testing.T) {
	ours, theirs := sharedPair(t, "P-256"), sharedPair(t, "P-256")
	public := theirs.publicValues[ck.CKA_EC_POINT]
	secret, err := Derive(ck.Mechanism{Type: ck.CKM_ECDH1_DERIVE, Struct: &ck.ECDH1Params{KDF: ck.CKD_NULL,
		PublicData: public}}, ours.private, nil, ck.CKK_GENERIC_SECRET, 0)
	wants(t, err, ck.CKR_OK)
	for _, name := range hashNames {
		for _, shared := range [][]byte{nil, []byte("shared")} {
			m := ck.Mechanism{Type: ck.CKM_ECDH1_DERIVE, Struct: &ck.ECDH1Params{KDF: name.kdf, PublicData: public,
				SharedData: shared}}
			words := []string{"kdf", "-binary", "-keylen", "150", "-kdfopt", "digest:" + opensslName(name.hash),
				"-kdfopt", fmt.Sprintf("hexkey:%x", secret)}
			if shared != nil {
				words = append(words, "-kdfopt", fmt.Sprintf("hexinfo:%x", shared))
			}
			want := opensslFiles(t, nil, nil, append(words, "X963KDF")...)
			key, err := Derive(m, ours.private, nil, ck.CKK_GENERIC_SECRET, 150)
			wants(t, err, ck.CKR_OK)
			if !bytes.Equal(key, want) {
				t.Errorf("%s: differs from openssl", name.hash)
			}
			key, err = Derive(m, ours.private, nil, ck.CKK_GENERIC_SECRET, 0)
			wants(t, err, ck.CKR_OK)
			if !bytes.Equal(key, want[:name.hash.Size()]) {
				t.Errorf("%s: without a length %x", name.hash, key)
			}
		}
	}
}

func TestECDHRefuses(t *testing.T) {
	pair, x := sharedPair(t, "P-256"), sharedPair(t, "X25519")
	good := pair.publicValues[ck.CKA_EC_POINT]
	with := func(p ck.ECDH1Params) ck.Mechanism { return ck.Mechanism{Type: ck.CKM_ECDH1_DERIVE, Struct: &p} }
	for _, m := range []ck.Mechanism{
		{Type: ck.CKM_ECDH1_DERIVE},
		with(ck.ECDH1Params{KDF: ck.CKD_NULL}),
		with(ck.ECDH1Params{PublicData: good}),
		with(ck.ECDH1Params{KDF: 99, PublicData: good}),
		with(ck.ECDH1Params{KDF: ck.CKD_NULL, PublicData: good, SharedData: []byte{1}}),
		with(ck.ECDH1Params{KDF: ck.CKD_NULL, PublicData: sharedPair(t, "P-384").publicValues[ck.CKA_EC_POINT]}),
		with(ck.ECDH1Params{KDF: ck.CKD_NULL, PublicData: append([]byte{4}, make([]byte, 64)...)}),
		with(ck.ECDH1Params{KDF: ck.CKD_NULL, PublicData: []byte{0}}),
	} {
		_, err := Derive(m, pair.private, nil, ck.CKK_GENERIC_SECRET, 0)
		wants(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	for _, small := range [][]byte{make([]byte, 32), append([]byte{1}, make([]byte, 31)...)} {
		_, err := Derive(with(ck.ECDH1Params{KDF: ck.CKD_NULL, PublicData: small}), x.private, nil,
			ck.CKK_GENERIC_SECRET, 0)
		wants(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	p224 := sharedPair(t, "P-224")
	_, err := Derive(with(ck.ECDH1Params{KDF: ck.CKD_NULL, PublicData: append([]byte{4}, make([]byte, 56)...)}),
		p224.private, nil, ck.CKK_GENERIC_SECRET, 0)
	wants(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
	plain := with(ck.ECDH1Params{KDF: ck.CKD_NULL, PublicData: good})
	for _, length := range []int{33, -1} {
		_, err = Derive(plain, pair.private, nil, ck.CKK_GENERIC_SECRET, length)
		wants(t, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
	}
	_, err = Derive(plain, pair.private, nil, ck.CKK_AES, 17)
	wants(t, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
	kdf := with(ck.ECDH1Params{KDF: ck.CKD_SHA1_KDF, PublicData: good})
	_, err = Derive(kdf, pair.private, nil, ck.CKK_GENERIC_SECRET, maxDerived+1)
	wants(t, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
	_, err = Derive(kdf, pair.private, nil, ck.CKK_AES, 0) // 20 bytes
	wants(t, err, ck.CKR_TEMPLATE_INCOMPLETE)
	_, err = Derive(plain, pair.public, nil, ck.CKK_AES, 0)
	wants(t, err, ck.CKR_KEY_TYPE_INCONSISTENT)
}

// RFC 7748, 6.1.
func TestX25519KnownAnswer(t *testing.T) {
	private := parsed(t, ck.CKO_PRIVATE_KEY, ck.CKK_EC_MONTGOMERY, Attributes{ck.CKA_EC_PARAMS: montgomeryParams[0],
		ck.CKA_VALUE: octets(t, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")})
	public := parsed(t, ck.CKO_PUBLIC_KEY, ck.CKK_EC_MONTGOMERY, Attributes{ck.CKA_EC_PARAMS: montgomeryParams[2],
		ck.CKA_EC_POINT: octets(t, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")})
	if !bytes.Equal(PublicKeyInfo(private), PublicKeyInfo(public)) {
		t.Error("another public key")
	}
	secret, err := Derive(ck.Mechanism{Type: ck.CKM_ECDH1_DERIVE, Struct: &ck.ECDH1Params{KDF: ck.CKD_NULL,
		PublicData: octets(t,
			"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")}}, private, nil, ck.CKK_AES, 0)
	wants(t, err, ck.CKR_OK)
	if !bytes.Equal(secret, octets(t, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")) {
		t.Errorf("secret %x", secret)
	}
}

package mechanism

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// element is DER of a tag and contents.
func element(t *testing.T, tag byte, contents ...[]byte) []byte {
	t.Helper()
	der, err := asn1.Marshal(asn1.RawValue{Class: int(tag >> 6), IsCompound: tag&0x20 != 0, Tag: int(tag & 0x1f),
		Bytes: bytes.Join(contents, nil)})
	wants(t, err, ck.CKR_OK)
	return der
}

// contents are what stands in the element at the beginning, and what follows it.
func contents(t *testing.T, der []byte) (inside, after []byte) {
	t.Helper()
	var raw asn1.RawValue
	after, err := asn1.Unmarshal(der, &raw)
	wants(t, err, ck.CKR_OK)
	return raw.Bytes, after
}

// Whatever stands in PrivateKeyInfo beside the key is refused, wherever it stands: who can put unknown bytes there
// would learn of them by what fits.
func TestPKCS8Surplus(t *testing.T) {
	for _, kind := range kinds() {
		pair := sharedPair(t, kind)
		whole := pair.pkcs8(t)
		inside, _ := contents(t, whole)
		var info privateKeyInfo
		if !exactly(&info, whole) {
			t.Fatalf("%s: not as this token writes it", kind)
		}
		head := inside[:bytes.Index(inside, info.Key)]
		head = head[:len(head)-len(element(t, 4, info.Key))+len(info.Key)] // without the tag and the length of the key
		for name, der := range map[string][]byte{
			"after it":                 append(bytes.Clone(whole), 0),
			"many":                     append(bytes.Clone(whole), make([]byte, 16)...),
			"in it":                    element(t, 0x30, inside, []byte{4, 1, 7}),
			"in the string of the key": element(t, 0x30, head, element(t, 4, info.Key, []byte{0})),
			"in the key":               element(t, 0x30, head, element(t, 4, surplusIn(t, info.Key))),
			"too much":                 append(bytes.Clone(whole), make([]byte, maxPKCS8)...),
		} {
			t.Log(kind, name)
			_, err := privateValues(pair.keyType, der)
			wants(t, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
		}
	}
}

// surplusIn is an element that holds one more.
func surplusIn(t *testing.T, der []byte) []byte {
	inside, _ := contents(t, der)
	return element(t, der[0], inside, []byte{4, 1, 7})
}

// Other programs write an EC key with or without its curve and its point; both have to be its own. No key is longer
// than the order.
func TestPKCS8ForeignEC(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	wants(t, err, ck.CKR_OK)
	scalar, err := key.Bytes()
	wants(t, err, ck.CKR_OK)
	point, err := key.PublicKey.Bytes()
	wants(t, err, ck.CKR_OK)
	short := append([]byte{2 | point[64]&1}, point[1:33]...)
	curve := []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}
	bits := func(b []byte) []byte { return element(t, 0xa1, element(t, 3, []byte{0}, b)) }
	other := bytes.Clone(point)
	other[64] ^= 1
	for name, c := range map[string]struct {
		scalar []byte
		more   []byte
		want   ck.RV
	}{
		"alone":             {scalar, nil, ck.CKR_OK},
		"a curve":           {scalar, element(t, 0xa0, curve), ck.CKR_OK},
		"a point":           {scalar, bits(point), ck.CKR_OK},
		"a short point":     {scalar, bits(short), ck.CKR_OK},
		"both":              {scalar, append(element(t, 0xa0, curve), bits(point)...), ck.CKR_OK},
		"another point":     {scalar, bits(other), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"a longer point":    {scalar, bits(append(bytes.Clone(point), 1)), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"another curve":     {scalar, element(t, 0xa0, append(bytes.Clone(curve[:9]), 8)), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"zeros before":      {append([]byte{0}, scalar...), nil, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		"many zeros before": {append(make([]byte, 13), scalar...), nil, ck.CKR_ATTRIBUTE_VALUE_INVALID},
	} {
		t.Log(name)
		inner := element(t, 0x30, []byte{2, 1, 1}, element(t, 4, c.scalar), c.more)
		der := element(t, 0x30, []byte{2, 1, 0}, element(t, 0x30, []byte{6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1}, curve),
			element(t, 4, inner))
		_, err := privateValues(ck.CKK_EC, der)
		wants(t, err, c.want)
	}
}

// Numbers that no RSA key here has are not computed with: time would grow with the square of their length.
func TestPKCS8HugeRSA(t *testing.T) {
	n := new(big.Int).Lsh(big.NewInt(1), 1<<18)
	n.Sub(n, big.NewInt(1))
	key, err := asn1.Marshal(rsaKeyInfo{0, n, big.NewInt(65537), n, n, n, n, n, n})
	wants(t, err, ck.CKR_OK)
	rsaName := []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0xd, 1, 1, 1, 5, 0}
	der := element(t, 0x30, []byte{2, 1, 0}, element(t, 0x30, rsaName), element(t, 4, key))
	begin := time.Now()
	_, err = privateValues(ck.CKK_RSA, der)
	wants(t, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
	if took := time.Since(begin); took > time.Second {
		t.Errorf("%d bytes took %s", len(der), took)
	}
}

// The longest RSA key that is kept here fits.
func TestPKCS8LongRSA(t *testing.T) {
	if testing.Short() {
		t.Skip("generates a key of 4096 bits")
	}
	key, err := rsa.GenerateKey(rand.Reader, 4096)
	wants(t, err, ck.CKR_OK)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	wants(t, err, ck.CKR_OK)
	if _, err := privateValues(ck.CKK_RSA, der); err != nil || 2*len(der) > maxPKCS8 {
		t.Errorf("%d bytes: %v", len(der), err)
	}
}

package mechanism

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// ecCurve is one of the NIST curves.
type ecCurve struct {
	elliptic.Curve
	oid asn1.ObjectIdentifier
}

var ecCurves = []ecCurve{
	{elliptic.P224(), asn1.ObjectIdentifier{1, 3, 132, 0, 33}},
	{elliptic.P256(), asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}},
	{elliptic.P384(), asn1.ObjectIdentifier{1, 3, 132, 0, 34}},
	{elliptic.P521(), asn1.ObjectIdentifier{1, 3, 132, 0, 35}},
}

const (
	minEC = 224
	maxEC = 521

	// What all mechanisms of EC keys say of their curves.
	ecFlags = ck.CKF_EC_F_P | ck.CKF_EC_OID | ck.CKF_EC_UNCOMPRESS
)

// ecOffers are the mechanisms of keys on the NIST curves, without key agreement.
func ecOffers() []offer {
	offers := []offer{
		{Row: ecRow(ck.CKM_EC_KEY_PAIR_GEN, false), generatePair: generateEC},
		{Row: ecRow(ck.CKM_ECDSA, true), sign: newECDSASigner, verify: newECDSAVerifier},
	}
	for _, name := range hashNames {
		offers = append(offers, offer{Row: ecRow(name.ecdsa, false), sign: newECDSASigner, verify: newECDSAVerifier})
	}
	return offers
}

func ecRow(m ck.MechanismType, single bool) Row {
	return Row{Type: m, MinKeySize: minEC, MaxKeySize: maxEC, Flags: ecFlags, Keys: []ck.KeyType{ck.CKK_EC},
		Single: single}
}

// ecPublic is a public key on a NIST curve.
type ecPublic struct {
	public
	key    *ecdsa.PublicKey
	params []byte // CKA_EC_PARAMS
}

// ecPrivate is a private key on a NIST curve. The pointer stays the same as long as the key lives: crypto/ecdsa keeps
// what it has prepared for a key by that.
type ecPrivate struct {
	key    *ecdsa.PrivateKey
	params []byte // CKA_EC_PARAMS
}

// ecPublicKey is the public half of an EC key of either class.
func ecPublicKey(k *Key) *ecdsa.PublicKey {
	if private, ok := k.pair.(*ecPrivate); ok {
		return &private.key.PublicKey
	}
	return k.pair.(*ecPublic).key
}

// scalarSize is the size of a private key, and of half a signature, in bytes.
func scalarSize(curve elliptic.Curve) int { return (curve.Params().N.BitLen() + 7) / 8 }

// ecCurveOf is the curve that CKA_EC_PARAMS names. CKR_TEMPLATE_INCOMPLETE, CKR_CURVE_NOT_SUPPORTED.
func ecCurveOf(a Attributes) (*ecCurve, []byte, error) {
	params, err := given(a, ck.CKA_EC_PARAMS)
	if err != nil {
		return nil, nil, err
	}
	for i := range ecCurves {
		if bytes.Equal(params, ecCurves[i].params()) {
			return &ecCurves[i], bytes.Clone(params), nil
		}
	}
	return nil, nil, errCurve
}

var errCurve = fmt.Errorf("%w: %s does not name a curve of this key type", ck.CKR_CURVE_NOT_SUPPORTED, ck.CKA_EC_PARAMS)

// params is the curve's CKA_EC_PARAMS.
func (c *ecCurve) params() []byte { return objectIdentifier(c.oid) }

// objectIdentifier is an OBJECT IDENTIFIER in DER.
func objectIdentifier(oid asn1.ObjectIdentifier) []byte {
	der, err := asn1.Marshal(oid)
	if err != nil {
		panic("mechanism: an object identifier of this package cannot be written: " + err.Error())
	}
	return der
}

// ecParamsOf is CKA_EC_PARAMS of a curve of crypto/elliptic.
func ecParamsOf(curve elliptic.Curve) []byte {
	for i := range ecCurves {
		if ecCurves[i].Curve == curve {
			return ecCurves[i].params()
		}
	}
	return nil
}

// octetString is a DER OCTET STRING.
func octetString(value []byte) []byte {
	der, err := asn1.Marshal(value)
	if err != nil {
		panic("mechanism: an octet string cannot be written: " + err.Error())
	}
	return der
}

// pointOf is the point in CKA_EC_POINT or in a mechanism's public data: a DER OCTET STRING, or the point of size
// bytes by itself. nil if it is neither.
func pointOf(value []byte, size int) []byte {
	if len(value) == size {
		return value
	}
	var point []byte
	rest, err := asn1.Unmarshal(value, &point)
	if err != nil || len(rest) != 0 || len(point) != size {
		return nil
	}
	return point
}

// pointSize is the size of an uncompressed point in bytes.
func pointSize(curve elliptic.Curve) int { return 1 + 2*((curve.Params().BitSize+7)/8) }

// parseECPublic reads CKA_EC_PARAMS and CKA_EC_POINT.
func parseECPublic(a Attributes) (pair, error) {
	curve, params, err := ecCurveOf(a)
	if err != nil {
		return nil, err
	}
	value, err := given(a, ck.CKA_EC_POINT)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve.Curve, pointOf(value, pointSize(curve)))
	if err != nil {
		return nil, invalid(ck.CKA_EC_POINT, "is not an uncompressed point of the curve")
	}
	return &ecPublic{key: key, params: params}, nil
}

// parseECPrivate reads CKA_EC_PARAMS and CKA_VALUE.
func parseECPrivate(a Attributes) (pair, error) {
	curve, params, err := ecCurveOf(a)
	if err != nil {
		return nil, err
	}
	value, err := given(a, ck.CKA_VALUE)
	if err != nil {
		return nil, err
	}
	size := scalarSize(curve)
	if value = unsigned(value); len(value) > size {
		return nil, invalid(ck.CKA_VALUE, "is not a private key of the curve")
	}
	scalar := append(make([]byte, size-len(value), size), value...)
	defer clear(scalar)
	key, err := ecdsa.ParseRawPrivateKey(curve.Curve, scalar)
	if err != nil {
		return nil, invalid(ck.CKA_VALUE, "is not a private key of the curve")
	}
	return newECPrivate(key, params), nil
}

// newECPrivate takes a key with the CKA_EC_PARAMS that were given for it, or nil.
func newECPrivate(key *ecdsa.PrivateKey, params []byte) *ecPrivate {
	if params == nil {
		params = ecParamsOf(key.Curve)
	}
	return &ecPrivate{key, params}
}

func (p *ecPublic) bits() int { return p.key.Params().BitSize }

func (p *ecPublic) values() Attributes {
	point, err := p.key.Bytes()
	if err != nil {
		panic("mechanism: a checked EC point cannot be written: " + err.Error())
	}
	return Attributes{ck.CKA_EC_PARAMS: bytes.Clone(p.params), ck.CKA_EC_POINT: octetString(point)}
}

func (p *ecPublic) publicKeyInfo() []byte { return ecPublicKeyInfo(p.key) }

func ecPublicKeyInfo(key *ecdsa.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil
	}
	return der
}

func (p *ecPrivate) bits() int              { return p.key.Params().BitSize }
func (p *ecPrivate) publicKeyInfo() []byte  { return ecPublicKeyInfo(&p.key.PublicKey) }
func (p *ecPrivate) pkcs8() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(p.key) }

func (p *ecPrivate) values() Attributes {
	return Attributes{ck.CKA_EC_PARAMS: bytes.Clone(p.params), ck.CKA_VALUE: unsigned(p.scalar())}
}

// scalar is the private key in its full length.
func (p *ecPrivate) scalar() []byte {
	scalar, err := p.key.Bytes()
	if err != nil {
		panic("mechanism: a checked EC key cannot be written: " + err.Error())
	}
	return scalar
}

func (p *ecPrivate) wipe() {
	//lint:ignore SA1019 there is no other way to the memory of the scalar
	clear(p.key.D.Bits())
	p.key = &ecdsa.PrivateKey{PublicKey: p.key.PublicKey}
}

// generateEC is CKM_EC_KEY_PAIR_GEN.
func generateEC(m ck.Mechanism, public, _ Attributes) (pub, priv Attributes, err error) {
	if err := parameterless(m); err != nil {
		return nil, nil, err
	}
	curve, params, err := ecCurveOf(public)
	if err != nil {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(curve.Curve, rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: generating an EC key: %v", ck.CKR_FUNCTION_FAILED, err)
	}
	private := newECPrivate(key, params)
	defer private.wipe()
	return valuesOf(&ecPublic{key: &key.PublicKey, params: params}), valuesOf(private), nil
}

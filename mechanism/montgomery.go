package mechanism

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// montgomeryParams are the ways in which CKA_EC_PARAMS names curve25519; the first is ours. Old clients use the OID
// of the curve.
var montgomeryParams = [][]byte{
	objectIdentifier(asn1.ObjectIdentifier{1, 3, 101, 110}),
	printable("curve25519"),
	objectIdentifier(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3029, 1, 5, 1}),
}

// montgomeryOffers are the mechanisms of X25519 without key agreement.
func montgomeryOffers() []offer {
	return []offer{{Row: row25519(ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, ck.CKK_EC_MONTGOMERY),
		generatePair: generateMontgomery}}
}

// montgomeryPublic is a public key of X25519.
type montgomeryPublic struct {
	public
	key    *ecdh.PublicKey
	params []byte // CKA_EC_PARAMS
}

// montgomeryPrivate is a private key of X25519. Go does not let its memory be cleared.
type montgomeryPrivate struct {
	key    *ecdh.PrivateKey
	params []byte // CKA_EC_PARAMS
}

func parseMontgomeryPublic(a Attributes) (pair, error) {
	point, params, err := public25519(a, montgomeryParams)
	if err != nil {
		return nil, err
	}
	key, err := ecdh.X25519().NewPublicKey(point)
	if err != nil {
		return nil, invalid(ck.CKA_EC_POINT, "is not a public key of X25519")
	}
	return &montgomeryPublic{key: key, params: params}, nil
}

func parseMontgomeryPrivate(a Attributes) (pair, error) {
	value, params, err := private25519(a, montgomeryParams)
	if err != nil {
		return nil, err
	}
	key, err := ecdh.X25519().NewPrivateKey(value)
	if err != nil {
		return nil, invalid(ck.CKA_VALUE, "is not a private key of X25519")
	}
	return newMontgomeryPrivate(key, params), nil
}

// newMontgomeryPrivate takes a key with the CKA_EC_PARAMS that were given for it, or nil.
func newMontgomeryPrivate(key *ecdh.PrivateKey, params []byte) *montgomeryPrivate {
	if params == nil {
		params = montgomeryParams[0]
	}
	return &montgomeryPrivate{key, params}
}

func (p *montgomeryPublic) bits() int             { return bits25519 }
func (p *montgomeryPublic) publicKeyInfo() []byte { return info25519(p.key) }
func (p *montgomeryPublic) values() Attributes {
	return Attributes{ck.CKA_EC_PARAMS: bytes.Clone(p.params), ck.CKA_EC_POINT: octetString(p.key.Bytes())}
}

func (p *montgomeryPrivate) bits() int              { return bits25519 }
func (p *montgomeryPrivate) publicKeyInfo() []byte  { return info25519(p.key.PublicKey()) }
func (p *montgomeryPrivate) pkcs8() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(p.key) }
func (p *montgomeryPrivate) wipe()                  {}
func (p *montgomeryPrivate) values() Attributes {
	return Attributes{ck.CKA_EC_PARAMS: bytes.Clone(p.params), ck.CKA_VALUE: p.key.Bytes()}
}

// agree is X25519.
func (p *montgomeryPrivate) agree(public []byte) ([]byte, error) {
	point := pointOf(public, 32)
	if point == nil {
		return nil, errPoint
	}
	return agreeWith(p.key, point)
}

// generateMontgomery is CKM_EC_MONTGOMERY_KEY_PAIR_GEN.
func generateMontgomery(m ck.Mechanism, public, _ Attributes) (pub, priv Attributes, err error) {
	if err := parameterless(m); err != nil {
		return nil, nil, err
	}
	params, err := params25519(public, montgomeryParams)
	if err != nil {
		return nil, nil, err
	}
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: generating an X25519 key: %v", ck.CKR_FUNCTION_FAILED, err)
	}
	return valuesOf(&montgomeryPublic{key: key.PublicKey(), params: params}), valuesOf(newMontgomeryPrivate(key,
		params)), nil
}

package mechanism

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// bits25519 is the size of both curves by which PKCS#11 counts it.
const bits25519 = 255

// printable is a curve's name as CKA_EC_PARAMS: PrintableString in DER.
func printable(name string) []byte {
	return append([]byte{asn1.TagPrintableString, byte(len(name))}, name...)
}

// edwardsParams are the ways in which CKA_EC_PARAMS names edwards25519; the first is ours. Old clients use GnuPG's OID.
var edwardsParams = [][]byte{
	objectIdentifier(asn1.ObjectIdentifier{1, 3, 101, 112}),
	printable("edwards25519"),
	objectIdentifier(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 15, 1}),
}

// edwardsOffers are the mechanisms of Ed25519.
func edwardsOffers() []offer {
	return []offer{
		{Row: row25519(ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, ck.CKK_EC_EDWARDS), generatePair: generateEdwards},
		{Row: row25519(ck.CKM_EDDSA, ck.CKK_EC_EDWARDS), sign: newEdDSASigner, verify: newEdDSAVerifier},
	}
}

func row25519(m ck.MechanismType, keyType ck.KeyType) Row {
	return Row{Type: m, MinKeySize: bits25519, MaxKeySize: bits25519, Flags: ck.CKF_EC_F_P | ck.CKF_EC_OID,
		Keys: []ck.KeyType{keyType}, Single: true}
}

// edwardsPublic is a public key of Ed25519.
type edwardsPublic struct {
	public
	key    ed25519.PublicKey
	params []byte // CKA_EC_PARAMS
}

// edwardsPrivate is a private key of Ed25519.
type edwardsPrivate struct {
	key    ed25519.PrivateKey
	params []byte // CKA_EC_PARAMS
}

// params25519 is CKA_EC_PARAMS if it is one of these. CKR_TEMPLATE_INCOMPLETE, CKR_CURVE_NOT_SUPPORTED.
func params25519(a Attributes, known [][]byte) ([]byte, error) {
	params, err := given(a, ck.CKA_EC_PARAMS)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(known, func(name []byte) bool { return bytes.Equal(name, params) }) {
		return nil, errCurve
	}
	return bytes.Clone(params), nil
}

// public25519 reads CKA_EC_PARAMS and CKA_EC_POINT, 32 bytes.
func public25519(a Attributes, known [][]byte) (point, params []byte, err error) {
	if params, err = params25519(a, known); err != nil {
		return nil, nil, err
	}
	value, err := given(a, ck.CKA_EC_POINT)
	if err != nil {
		return nil, nil, err
	}
	if point = pointOf(value, 32); point == nil {
		return nil, nil, invalid(ck.CKA_EC_POINT, "is not a point of 32 bytes")
	}
	return bytes.Clone(point), params, nil
}

// private25519 reads CKA_EC_PARAMS and CKA_VALUE, 32 bytes.
func private25519(a Attributes, known [][]byte) (value, params []byte, err error) {
	if params, err = params25519(a, known); err != nil {
		return nil, nil, err
	}
	if value, err = given(a, ck.CKA_VALUE); err != nil {
		return nil, nil, err
	}
	if len(value) != 32 {
		return nil, nil, invalid(ck.CKA_VALUE, "does not have 32 bytes")
	}
	return value, params, nil
}

func parseEdwardsPublic(a Attributes) (pair, error) {
	point, params, err := public25519(a, edwardsParams)
	if err != nil {
		return nil, err
	}
	return &edwardsPublic{key: point, params: params}, nil
}

// parseEdwardsPrivate reads CKA_VALUE, the seed of RFC 8032.
func parseEdwardsPrivate(a Attributes) (pair, error) {
	seed, params, err := private25519(a, edwardsParams)
	if err != nil {
		return nil, err
	}
	return newEdwardsPrivate(ed25519.NewKeyFromSeed(seed), params), nil
}

// newEdwardsPrivate takes a key with the CKA_EC_PARAMS that were given for it, or nil.
func newEdwardsPrivate(key ed25519.PrivateKey, params []byte) *edwardsPrivate {
	if params == nil {
		params = edwardsParams[0]
	}
	return &edwardsPrivate{key, params}
}

func (p *edwardsPublic) bits() int             { return bits25519 }
func (p *edwardsPublic) publicKeyInfo() []byte { return info25519(p.key) }
func (p *edwardsPublic) values() Attributes {
	return Attributes{ck.CKA_EC_PARAMS: bytes.Clone(p.params), ck.CKA_EC_POINT: octetString(p.key)}
}

// info25519 is the SubjectPublicKeyInfo of a public key that crypto/x509 knows.
func info25519(public any) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil
	}
	return der
}

func (p *edwardsPrivate) bits() int              { return bits25519 }
func (p *edwardsPrivate) publicKeyInfo() []byte  { return info25519(p.key.Public()) }
func (p *edwardsPrivate) pkcs8() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(p.key) }
func (p *edwardsPrivate) wipe()                  { clear(p.key[:ed25519.SeedSize]) }
func (p *edwardsPrivate) values() Attributes {
	return Attributes{ck.CKA_EC_PARAMS: bytes.Clone(p.params), ck.CKA_VALUE: p.key.Seed()}
}

// generateEdwards is CKM_EC_EDWARDS_KEY_PAIR_GEN.
func generateEdwards(m ck.Mechanism, public, _ Attributes) (pub, priv Attributes, err error) {
	if err := parameterless(m); err != nil {
		return nil, nil, err
	}
	params, err := params25519(public, edwardsParams)
	if err != nil {
		return nil, nil, err
	}
	point, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: generating an Ed25519 key: %v", ck.CKR_FUNCTION_FAILED, err)
	}
	private := newEdwardsPrivate(key, params)
	defer private.wipe()
	return valuesOf(&edwardsPublic{key: point, params: params}), valuesOf(private), nil
}

// edwardsOptions reads CK_EDDSA_PARAMS: none is Ed25519, a context alone Ed25519ctx, and phFlag Ed25519ph with or
// without a context. A parameter that says neither is refused: RFC 8032 has a scheme for it that is not Ed25519, and
// Go does not.
func edwardsOptions(m ck.Mechanism) (*ed25519.Options, error) {
	if m.Struct == nil {
		return &ed25519.Options{}, parameterless(m)
	}
	p, err := parameter[ck.EdDSAParams](m)
	if err != nil {
		return nil, err
	}
	if len(p.Context) > ed25519ContextMax || (!p.Prehash && len(p.Context) == 0) {
		return nil, fmt.Errorf("%w: a context of %d bytes for Ed25519ctx or Ed25519ph",
			ck.CKR_MECHANISM_PARAM_INVALID, len(p.Context))
	}
	options := &ed25519.Options{Context: string(p.Context)}
	if p.Prehash {
		options.Hash = crypto.SHA512
	}
	return options, nil
}

// ed25519ContextMax is the largest context in bytes.
const ed25519ContextMax = 255

// edwardsMessage is what the functions of crypto/ed25519 take for data.
func edwardsMessage(options *ed25519.Options, data []byte) []byte {
	if options.Hash == 0 {
		return data
	}
	digest := sha512.Sum512(data)
	return digest[:]
}

// newEdDSASigner is CKM_EDDSA.
func newEdDSASigner(m ck.Mechanism, k *Key) (Signer, error) {
	options, err := edwardsOptions(m)
	if err != nil {
		return nil, err
	}
	private := k.pair.(*edwardsPrivate).key
	return signer(0, ed25519.SignatureSize, func(data []byte) ([]byte, error) {
		signature, err := private.Sign(nil, edwardsMessage(options, data), options)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ck.CKR_FUNCTION_FAILED, err)
		}
		return signature, nil
	}), nil
}

func newEdDSAVerifier(m ck.Mechanism, k *Key) (Verifier, error) {
	options, err := edwardsOptions(m)
	if err != nil {
		return nil, err
	}
	point := k.pair.(*edwardsPublic).key
	return verifier(0, ed25519.SignatureSize, func(data, signature []byte) bool {
		return ed25519.VerifyWithOptions(point, edwardsMessage(options, data), signature, options) == nil
	}), nil
}

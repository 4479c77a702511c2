package mechanism

import (
	"cmp"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/binary"
	"fmt"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// agreementOffers are the ECDH mechanisms, of NIST curves and of X25519. The cofactor of the NIST curves is one and
// that of X25519 is part of its definition, so both mechanisms do the same.
func agreementOffers() (offers []offer) {
	for _, m := range []ck.MechanismType{ck.CKM_ECDH1_DERIVE, ck.CKM_ECDH1_COFACTOR_DERIVE} {
		offers = append(offers, offer{Row: Row{Type: m, MinKeySize: minEC, MaxKeySize: maxEC, Flags: ecFlags,
			Keys: []ck.KeyType{ck.CKK_EC, ck.CKK_EC_MONTGOMERY}}, derive: deriveECDH})
	}
	return offers
}

// agreeing is a private key that can agree on a secret.
type agreeing interface {
	// agree is the raw secret with the owner of the public point, which is a DER OCTET STRING or the point by itself.
	// CKR_MECHANISM_PARAM_INVALID for what is no point of the curve.
	agree(point []byte) ([]byte, error)
}

// maxDerived bounds what a key derivation function makes, in bytes.
const maxDerived = 16 << 10

var errPoint = fmt.Errorf("%w: the public data are no point of this key's curve", ck.CKR_MECHANISM_PARAM_INVALID)

// deriveECDH is CKM_ECDH1_DERIVE and CKM_ECDH1_COFACTOR_DERIVE.
func deriveECDH(m ck.Mechanism, base, salt *Key, keyType ck.KeyType, length int) ([]byte, error) {
	p, err := parameter[ck.ECDH1Params](m)
	if err != nil {
		return nil, err
	}
	private, ok := base.pair.(agreeing)
	if !ok || salt != nil {
		return nil, fmt.Errorf("%w: %s with %s", ck.CKR_KEY_TYPE_INCONSISTENT, m.Type, base.keyType)
	}
	h, err := ecdhHash(p)
	if err != nil {
		return nil, err
	}
	secret, err := private.agree(p.PublicData)
	if err != nil {
		return nil, err
	}
	if h == 0 {
		return trailing(secret, keyType, length)
	}
	defer clear(secret)
	if length < 0 || length > maxDerived {
		return nil, invalid(ck.CKA_VALUE_LEN, fmt.Sprintf("is more than %d", maxDerived))
	}
	return trailing(x963(h, secret, p.SharedData, cmp.Or(length, h.Size())), keyType, length)
}

// ecdhHash is the hash of the key derivation function; 0 for none. CKR_MECHANISM_PARAM_INVALID.
func ecdhHash(p *ck.ECDH1Params) (crypto.Hash, error) {
	if p.KDF == ck.CKD_NULL {
		if len(p.SharedData) != 0 {
			return 0, fmt.Errorf("%w: shared data without a key derivation function", ck.CKR_MECHANISM_PARAM_INVALID)
		}
		return 0, nil
	}
	h := findHash(func(n hashName) bool { return n.kdf == p.KDF })
	if h == 0 {
		return 0, fmt.Errorf("%w: unknown key derivation function", ck.CKR_MECHANISM_PARAM_INVALID)
	}
	return h, nil
}

// x963 is the key derivation function of ANSI X9.63 (SEC 1, 3.6.1): the hash of secret, a counter from 1 and the shared
// data, over and over.
func x963(h crypto.Hash, secret, shared []byte, length int) (key []byte) {
	for counter := uint32(1); len(key) < length; counter++ {
		d := h.New()
		d.Write(secret)
		d.Write(binary.BigEndian.AppendUint32(nil, counter))
		d.Write(shared)
		key = d.Sum(key)
	}
	return key[:length]
}

// trailing is the end of a secret in the length that is asked for, or that it has: PKCS#11 cuts off leading bytes.
// CKR_ATTRIBUTE_VALUE_INVALID if there is not that much or no key of the type is so long, CKR_TEMPLATE_INCOMPLETE if
// all of it is none.
func trailing(secret []byte, keyType ck.KeyType, length int) ([]byte, error) {
	if length < 0 || length > len(secret) {
		return nil, invalid(ck.CKA_VALUE_LEN, fmt.Sprintf("is more than the %d bytes of the secret", len(secret)))
	}
	value := secret
	if length != 0 {
		value = secret[len(secret)-length:]
	}
	if keyType == ck.CKK_AES && len(value) != 16 && len(value) != 24 && len(value) != 32 {
		if length == 0 {
			return nil, fmt.Errorf("%w: %s is missing", ck.CKR_TEMPLATE_INCOMPLETE, ck.CKA_VALUE_LEN)
		}
		return nil, invalid(ck.CKA_VALUE_LEN, "is not the length of an AES key")
	}
	return value, nil
}

// agree is ECDH on a NIST curve: the x-coordinate in the length of the field.
func (p *ecPrivate) agree(public []byte) ([]byte, error) {
	point := pointOf(public, pointSize(p.key.Curve))
	if point == nil {
		return nil, errPoint
	}
	if p.key.Curve == ecCurves[0].Curve {
		return agreeP224(p.scalar(), point)
	}
	private, err := p.key.ECDH()
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ck.CKR_FUNCTION_FAILED, err)
	}
	return agreeWith(private, point)
}

func agreeWith(private *ecdh.PrivateKey, point []byte) ([]byte, error) {
	public, err := private.Curve().NewPublicKey(point)
	if err != nil {
		return nil, errPoint
	}
	secret, err := private.ECDH(public)
	if err != nil {
		return nil, errPoint // X25519 with a point of small order
	}
	return secret, nil
}

// agreeP224 is ECDH on P-224, which crypto/ecdh does not have. crypto/elliptic does it in constant time.
func agreeP224(scalar, point []byte) ([]byte, error) {
	defer clear(scalar)
	curve := elliptic.P224()
	public, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, errPoint
	}
	//lint:ignore SA1019 see above
	x, _ := curve.ScalarMult(public.X, public.Y, scalar)
	return x.FillBytes(make([]byte, (curve.Params().BitSize+7)/8)), nil
}

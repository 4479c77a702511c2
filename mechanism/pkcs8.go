package mechanism

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/asn1"
	"fmt"
	"math/big"
	"reflect"

	"filippo.io/mldsa"
	pkix "filippo.io/mldsa/x509" // crypto/x509 and the forms of ML-DSA

	"github.com/onceleaf/onceleaf/internal/ck"
)

// maxPKCS8 bounds PrivateKeyInfo, in bytes: an RSA key of 8192 bits takes 4.7 KB. To look at much longer numbers takes
// very long.
const maxPKCS8 = 8 << 10

// privateValues are the value attributes of a private key of the given type from PKCS #8 PrivateKeyInfo. Nothing stands
// in it or after it that is not part of the key: see exactKey. CKR_ATTRIBUTE_VALUE_INVALID.
func privateValues(keyType ck.KeyType, der []byte) (Attributes, error) {
	if len(der) > maxPKCS8 {
		return nil, errPKCS8
	}
	p, err := privateOf(keyType, der)
	if err != nil {
		return nil, err
	}
	defer p.wipe()
	if !exactKey(p, der) {
		return nil, errPKCS8
	}
	return valuesOf(p), nil
}

var errPKCS8 = fmt.Errorf("%w: not a private key of this type in PKCS #8", ck.CKR_ATTRIBUTE_VALUE_INVALID)

func privateOf(keyType ck.KeyType, der []byte) (pair, error) {
	if keyType == ck.CKK_ML_KEM {
		return parseMLKEMPKCS8(der)
	}
	parsed, err := pkix.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errPKCS8
	}
	switch key := parsed.(type) {
	case *rsa.PrivateKey:
		if keyType == ck.CKK_RSA && len(key.Primes) == 2 {
			return importRSA(key)
		}
	case *ecdsa.PrivateKey:
		if keyType == ck.CKK_EC {
			return newECPrivate(key, nil), nil
		}
	case ed25519.PrivateKey:
		if keyType == ck.CKK_EC_EDWARDS {
			return newEdwardsPrivate(key, nil), nil
		}
	case *ecdh.PrivateKey:
		if keyType == ck.CKK_EC_MONTGOMERY && key.Curve() == ecdh.X25519() {
			return newMontgomeryPrivate(key, nil), nil
		}
	case *mldsa.PrivateKey:
		if keyType == ck.CKK_ML_DSA {
			return &mldsaPrivate{key: key}, nil
		}
	}
	return nil, errPKCS8
}

// importRSA holds a key from elsewhere to the rules for RSA keys.
func importRSA(key *rsa.PrivateKey) (pair, error) {
	key.Precompute()
	if key.Precomputed.Qinv == nil {
		return nil, errPKCS8
	}
	parsed := &rsaPrivate{key}
	defer parsed.wipe()
	return parseRSAPrivate(parsed.values())
}

// privateKeyInfo is PKCS #8 as RFC 5958 has it.
type privateKeyInfo struct {
	Version   int
	Algorithm struct {
		Name       asn1.ObjectIdentifier
		Parameters asn1.RawValue `asn1:"optional"`
	}
	Key        []byte
	Attributes asn1.RawValue  `asn1:"optional,tag:0"` // of which nothing is kept
	Public     asn1.BitString `asn1:"optional,tag:1"`
}

// rsaKeyInfo is that of RFC 8017, of two primes.
type rsaKeyInfo struct {
	Version                    int
	N, E, D, P, Q, Dp, Dq, Inv *big.Int
}

// ecKeyInfo is that of RFC 5915.
type ecKeyInfo struct {
	Version    int
	Key        []byte
	Parameters asn1.RawValue  `asn1:"optional,explicit,tag:0"`
	Public     asn1.BitString `asn1:"optional,explicit,tag:1"`
}

// exactKey reports whether PrivateKeyInfo, from which the key was read, says what it has to and no more. Parsers pass
// over what follows in a structure; somebody could put bytes there that are none of theirs, and see that they fit.
func exactKey(p pair, der []byte) bool {
	var info privateKeyInfo
	if !exactly(&info, der) {
		return false
	}
	switch key := p.(type) {
	case *rsaPrivate:
		var numbers rsaKeyInfo
		defer clear(info.Key)
		return len(info.Public.Bytes) == 0 && exactly(&numbers, info.Key)
	case *ecPrivate:
		return len(info.Public.Bytes) == 0 && key.exactly(info)
	}
	return exactSeed(p, info)
}

// exactSeed is exactKey for keys that are a string of bytes alone: they stand there as this token would write them. The
// public half may follow.
func exactSeed(p pair, info privateKeyInfo) bool {
	var ours privateKeyInfo
	written, err := p.pkcs8()
	defer clear(written)
	if err != nil || !exactly(&ours, written) || !bytes.Equal(ours.Key, info.Key) {
		return false
	}
	public := info.Public.RightAlign()
	return len(public) == 0 || bytes.HasSuffix(p.publicKeyInfo(), public)
}

// exactly is exactKey for elliptic curves: the key is not longer than the curve's order, and what else is said of it is
// so.
func (p *ecPrivate) exactly(info privateKeyInfo) bool {
	var inner ecKeyInfo
	if !exactly(&inner, info.Key) || len(inner.Key) > (p.key.Params().N.BitLen()+7)/8 {
		return false
	}
	defer clear(inner.Key)
	named := inner.Parameters.Bytes
	if len(named) != 0 && !bytes.Equal(named, info.Algorithm.Parameters.FullBytes) {
		return false
	}
	public := inner.Public.Bytes
	return len(public) == 0 || inner.Public.BitLength == 8*len(public) && p.hasPoint(public)
}

// hasPoint reports whether this is the public point, compressed or not.
func (p *ecPrivate) hasPoint(point []byte) bool {
	whole, err := p.key.PublicKey.Bytes()
	if err != nil {
		return false
	}
	short := append([]byte{2 | whole[len(whole)-1]&1}, whole[1:1+len(whole)/2]...)
	return bytes.Equal(point, whole) || bytes.Equal(point, short)
}

// exactly decodes DER into a structure, and reports whether it holds nothing else.
func exactly(structure any, der []byte) bool {
	if rest, err := asn1.Unmarshal(der, structure); err != nil || len(rest) > 0 {
		return false
	}
	again, err := asn1.Marshal(reflect.ValueOf(structure).Elem().Interface())
	defer clear(again)
	return err == nil && bytes.Equal(again, der)
}

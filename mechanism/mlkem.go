package mechanism

import (
	"crypto/mlkem"
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// encapsulator is what crypto/mlkem has for public keys of both sizes, and decapsulator for private ones.
type encapsulator interface {
	Bytes() []byte
	Encapsulate() (sharedKey, ciphertext []byte)
}

type decapsulator interface {
	Bytes() []byte // the seed
	Decapsulate(ciphertext []byte) (sharedKey []byte, err error)
}

// mlkemSet is a parameter set of ML-KEM with the functions of crypto/mlkem for it.
type mlkemSet struct {
	number                     uint64 // CKP_ML_KEM_*
	oid                        asn1.ObjectIdentifier
	publicSize, ciphertextSize int // bytes
	generate                   func() (decapsulator, error)
	private                    func(seed []byte) (decapsulator, error)
	public                     func(value []byte) (encapsulator, error)
	publicOf                   func(decapsulator) encapsulator
}

var mlkemSets = []*mlkemSet{
	{ck.CKP_ML_KEM_768, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 2},
		mlkem.EncapsulationKeySize768, mlkem.CiphertextSize768,
		func() (decapsulator, error) { return mlkem.GenerateKey768() },
		func(seed []byte) (decapsulator, error) { return mlkem.NewDecapsulationKey768(seed) },
		func(value []byte) (encapsulator, error) { return mlkem.NewEncapsulationKey768(value) },
		func(d decapsulator) encapsulator { return d.(*mlkem.DecapsulationKey768).EncapsulationKey() }},
	{ck.CKP_ML_KEM_1024, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 3},
		mlkem.EncapsulationKeySize1024, mlkem.CiphertextSize1024,
		func() (decapsulator, error) { return mlkem.GenerateKey1024() },
		func(seed []byte) (decapsulator, error) { return mlkem.NewDecapsulationKey1024(seed) },
		func(value []byte) (encapsulator, error) { return mlkem.NewEncapsulationKey1024(value) },
		func(d decapsulator) encapsulator { return d.(*mlkem.DecapsulationKey1024).EncapsulationKey() }},
}

// mlkemOffers are the mechanisms of ML-KEM. Key sizes are those of public keys, in bytes.
func mlkemOffers() []offer {
	row := func(m ck.MechanismType) Row {
		return Row{Type: m, MinKeySize: mlkem.EncapsulationKeySize768, MaxKeySize: mlkem.EncapsulationKeySize1024,
			Keys: []ck.KeyType{ck.CKK_ML_KEM}, Single: true}
	}
	return []offer{
		{Row: row(ck.CKM_ML_KEM_KEY_PAIR_GEN), generatePair: generateMLKEM},
		{Row: row(ck.CKM_ML_KEM), encapsulate: encapsulateMLKEM, decapsulate: decapsulateMLKEM},
	}
}

// mlkemPublic is a public key of ML-KEM.
type mlkemPublic struct {
	public
	set *mlkemSet
	key encapsulator
}

// mlkemPrivate is a private key of ML-KEM, which is its seed: Go does not write or read the expanded form. Go does
// not let its memory be cleared.
type mlkemPrivate struct {
	set *mlkemSet
	key decapsulator
}

// mlkemSetOf is the set that CKA_PARAMETER_SET names. CKR_PARAMETER_SET_NOT_SUPPORTED.
func mlkemSetOf(a Attributes) (*mlkemSet, error) {
	number, err := parameterSet(a)
	if err != nil {
		return nil, err
	}
	for _, set := range mlkemSets {
		if set.number == number {
			return set, nil
		}
	}
	return nil, fmt.Errorf("%w: no parameter set %d of ML-KEM", ck.CKR_PARAMETER_SET_NOT_SUPPORTED, number)
}

// parseMLKEMPublic reads CKA_PARAMETER_SET and CKA_VALUE.
func parseMLKEMPublic(a Attributes) (pair, error) {
	set, err := mlkemSetOf(a)
	if err != nil {
		return nil, err
	}
	value, err := given(a, ck.CKA_VALUE)
	if err != nil {
		return nil, err
	}
	key, err := set.public(value)
	if err != nil {
		return nil, invalid(ck.CKA_VALUE, "is not a public key of the parameter set")
	}
	return &mlkemPublic{set: set, key: key}, nil
}

// parseMLKEMPrivate reads CKA_PARAMETER_SET and CKA_SEED.
func parseMLKEMPrivate(a Attributes) (pair, error) {
	set, err := mlkemSetOf(a)
	if err != nil {
		return nil, err
	}
	seed, err := given(a, ck.CKA_SEED)
	if err != nil {
		return nil, err
	}
	key, err := set.private(seed)
	if err != nil {
		return nil, invalid(ck.CKA_SEED, "does not have 64 bytes")
	}
	return &mlkemPrivate{set, key}, nil
}

func (p *mlkemPublic) bits() int { return 8 * p.set.publicSize }
func (p *mlkemPublic) values() Attributes {
	return Attributes{ck.CKA_PARAMETER_SET: ulong(p.set.number), ck.CKA_VALUE: p.key.Bytes()}
}

// publicKeyInfo is that of RFC 9935.
func (p *mlkemPublic) publicKeyInfo() []byte {
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(p.set.oid) })
		b.AddASN1BitString(p.key.Bytes())
	})
	return b.BytesOrPanic()
}

// public is the public half.
func (p *mlkemPrivate) public() *mlkemPublic {
	return &mlkemPublic{set: p.set, key: p.set.publicOf(p.key)}
}

func (p *mlkemPrivate) bits() int             { return 8 * p.set.publicSize }
func (p *mlkemPrivate) publicKeyInfo() []byte { return p.public().publicKeyInfo() }
func (p *mlkemPrivate) wipe()                 {}
func (p *mlkemPrivate) values() Attributes {
	return Attributes{ck.CKA_PARAMETER_SET: ulong(p.set.number), ck.CKA_SEED: p.key.Bytes()}
}

// seedTag is the seed's in ML-KEM-PrivateKey of RFC 9935.
var seedTag = cryptobyteasn1.Tag(0).ContextSpecific()

// pkcs8 is the seed-only form of RFC 9935.
func (p *mlkemPrivate) pkcs8() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Uint64(0)
		b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(p.set.oid) })
		b.AddASN1(cryptobyteasn1.OCTET_STRING, func(b *cryptobyte.Builder) {
			b.AddASN1(seedTag, func(b *cryptobyte.Builder) { b.AddBytes(p.key.Bytes()) })
		})
	})
	return b.Bytes()
}

// parseMLKEMPKCS8 is the reverse.
func parseMLKEMPKCS8(der cryptobyte.String) (pair, error) {
	var info, algorithm, contents, seed cryptobyte.String
	var version uint64
	var oid asn1.ObjectIdentifier
	if !der.ReadASN1(&info, cryptobyteasn1.SEQUENCE) || !der.Empty() ||
		!info.ReadASN1Integer(&version) || version > 1 ||
		!info.ReadASN1(&algorithm, cryptobyteasn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) ||
		!algorithm.Empty() ||
		!info.ReadASN1(&contents, cryptobyteasn1.OCTET_STRING) || !contents.ReadASN1(&seed, seedTag) ||
		!contents.Empty() {
		return nil, errPKCS8
	}
	for _, set := range mlkemSets {
		if set.oid.Equal(oid) {
			key, err := set.private(seed)
			if err != nil {
				return nil, errPKCS8
			}
			return &mlkemPrivate{set, key}, nil
		}
	}
	return nil, errPKCS8
}

// generateMLKEM is CKM_ML_KEM_KEY_PAIR_GEN.
func generateMLKEM(m ck.Mechanism, public, _ Attributes) (pub, priv Attributes, err error) {
	if err := parameterless(m); err != nil {
		return nil, nil, err
	}
	set, err := mlkemSetOf(public)
	if err != nil {
		return nil, nil, err
	}
	key, err := set.generate()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: generating an ML-KEM key: %v", ck.CKR_FUNCTION_FAILED, err)
	}
	private := &mlkemPrivate{set, key}
	return valuesOf(private.public()), valuesOf(private), nil
}

// encapsulateMLKEM is CKM_ML_KEM for C_EncapsulateKey.
func encapsulateMLKEM(m ck.Mechanism, k *Key) (encapsulated, secret []byte, err error) {
	if err := parameterless(m); err != nil {
		return nil, nil, err
	}
	secret, encapsulated = k.pair.(*mlkemPublic).key.Encapsulate()
	return encapsulated, secret, nil
}

// decapsulateMLKEM is CKM_ML_KEM for C_DecapsulateKey. A ciphertext of the right length always gives a secret: one made
// for another key gives one that nobody else has.
func decapsulateMLKEM(m ck.Mechanism, k *Key, encapsulated []byte) ([]byte, error) {
	if err := parameterless(m); err != nil {
		return nil, err
	}
	private := k.pair.(*mlkemPrivate)
	secret, err := private.key.Decapsulate(encapsulated)
	if err != nil {
		return nil, fmt.Errorf("%w: %d bytes, not %d", ck.CKR_WRAPPED_KEY_LEN_RANGE, len(encapsulated),
			private.set.ciphertextSize)
	}
	return secret, nil
}

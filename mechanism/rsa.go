package mechanism

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// Sizes of RSA keys in bits. Keys of other origin may be smaller or larger than those that are made here.
const (
	minRSAGenerate = 2048
	maxRSAGenerate = 4096
	minRSA         = 1024
	maxRSA         = 8192
)

// rsaExponent is the public exponent of every key that is made here.
const rsaExponent = 65537

// rsaOffers are the mechanisms of RSA.
func rsaOffers() []offer {
	offers := []offer{
		{Row: Row{Type: ck.CKM_RSA_PKCS_KEY_PAIR_GEN, MinKeySize: minRSAGenerate, MaxKeySize: maxRSAGenerate,
			Keys: []ck.KeyType{ck.CKK_RSA}}, generatePair: generateRSA},
		{Row: rsaRow(ck.CKM_RSA_PKCS, true), sign: newPKCSSigner, verify: newPKCSVerifier,
			encrypt: newPKCSEncryption, decrypt: newPKCSDecryption, wrap: wrapPKCS, unwrap: unwrapPKCS},
		{Row: rsaRow(ck.CKM_RSA_X_509, true), sign: newRawSigner, verify: newRawVerifier,
			encrypt: newRawEncryption, decrypt: newRawDecryption},
		{Row: rsaRow(ck.CKM_RSA_PKCS_OAEP, true), encrypt: newOAEPEncryption, decrypt: newOAEPDecryption,
			wrap: wrapOAEP, unwrap: unwrapOAEP},
		{Row: rsaRow(ck.CKM_RSA_PKCS_PSS, true), sign: newPSSSigner, verify: newPSSVerifier},
		{Row: rsaRow(ck.CKM_RSA_AES_KEY_WRAP, true), wrap: wrapRSAAES, unwrap: unwrapRSAAES},
	}
	for _, name := range hashNames {
		offers = append(offers,
			offer{Row: rsaRow(name.rsa, false), sign: newPKCSSigner, verify: newPKCSVerifier},
			offer{Row: rsaRow(name.pss, false), sign: newPSSSigner, verify: newPSSVerifier})
	}
	return offers
}

func rsaRow(m ck.MechanismType, single bool) Row {
	return Row{Type: m, MinKeySize: minRSA, MaxKeySize: maxRSA, Keys: []ck.KeyType{ck.CKK_RSA}, Single: single}
}

// rsaPublic is a public RSA key.
type rsaPublic struct {
	public
	key *rsa.PublicKey
}

// rsaPrivate is a private RSA key with its CRT numbers.
type rsaPrivate struct{ key *rsa.PrivateKey }

// rsaPublicKey is the public half of an RSA key of either class.
func rsaPublicKey(k *Key) *rsa.PublicKey {
	if private, ok := k.pair.(*rsaPrivate); ok {
		return &private.key.PublicKey
	}
	return k.pair.(*rsaPublic).key
}

// rsaPrivateKey is a private RSA key.
func rsaPrivateKey(k *Key) *rsa.PrivateKey { return k.pair.(*rsaPrivate).key }

// parseRSAPublic reads CKA_MODULUS and CKA_PUBLIC_EXPONENT.
func parseRSAPublic(a Attributes) (pair, error) {
	modulus, err := given(a, ck.CKA_MODULUS)
	if err != nil {
		return nil, err
	}
	exponent, err := given(a, ck.CKA_PUBLIC_EXPONENT)
	if err != nil {
		return nil, err
	}
	key, err := newRSAPublic(new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(exponent))
	if err != nil {
		return nil, err
	}
	return &rsaPublic{key: key}, nil
}

// newRSAPublic checks size and form of modulus and exponent.
func newRSAPublic(n, e *big.Int) (*rsa.PublicKey, error) {
	switch {
	case n.Bit(0) == 0:
		return nil, invalid(ck.CKA_MODULUS, "is even")
	case n.BitLen() < minRSA || n.BitLen() > maxRSA:
		return nil, invalid(ck.CKA_MODULUS, fmt.Sprintf("has %d bits, not %d to %d", n.BitLen(), minRSA, maxRSA))
	case e.BitLen() < 2 || e.BitLen() > 31 || e.Bit(0) == 0:
		return nil, invalid(ck.CKA_PUBLIC_EXPONENT, "is not an odd number from 3 to 2^31 - 1")
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

// parseRSAPrivate reads CKA_MODULUS, CKA_PRIVATE_EXPONENT and one of CKA_PUBLIC_EXPONENT and the primes; it finds the
// rest, and holds what is given to it.
func parseRSAPrivate(a Attributes) (pair, error) {
	var numbers [4]*big.Int
	for i, attribute := range []ck.AttributeType{ck.CKA_MODULUS, ck.CKA_PRIVATE_EXPONENT, ck.CKA_PRIME_1, ck.CKA_PRIME_2} {
		if _, err := given(a, attribute); err != nil && i < 2 {
			return nil, err
		}
		numbers[i] = new(big.Int).SetBytes(a[attribute])
		if numbers[i].BitLen() > min(numbers[0].BitLen(), maxRSA) { // before anything is computed with it
			return nil, invalid(attribute, "is too large")
		}
	}
	n, d, p, q := numbers[0], numbers[1], numbers[2], numbers[3]
	e, err := rsaExponentOf(a, d, p, q)
	if err != nil {
		return nil, err
	}
	public, err := newRSAPublic(n, e)
	if err != nil {
		return nil, err
	}
	return finishRSA(&rsa.PrivateKey{PublicKey: *public, D: d, Primes: []*big.Int{p, q}}, a)
}

// rsaExponentOf is the public exponent, given or found from the private one and the primes.
func rsaExponentOf(a Attributes, d, p, q *big.Int) (*big.Int, error) {
	if e := a[ck.CKA_PUBLIC_EXPONENT]; len(e) != 0 {
		return new(big.Int).SetBytes(e), nil
	}
	if p.BitLen() < 2 || q.BitLen() < 2 {
		return nil, fmt.Errorf("%w: %s is missing, and so are the primes", ck.CKR_TEMPLATE_INCOMPLETE,
			ck.CKA_PUBLIC_EXPONENT)
	}
	one := big.NewInt(1)
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	order := new(big.Int).Mul(p1, q1)
	order.Quo(order, new(big.Int).GCD(nil, nil, p1, q1)) // the least common multiple
	if e := new(big.Int).ModInverse(d, order); e != nil {
		return e, nil
	}
	return nil, invalid(ck.CKA_PRIVATE_EXPONENT, "does not belong to the primes")
}

// finishRSA finds the primes if they are missing, computes the CRT numbers and holds given ones to them.
func finishRSA(key *rsa.PrivateKey, a Attributes) (pair, error) {
	switch p, q := key.Primes[0].Sign(), key.Primes[1].Sign(); {
	case p == 0 && q == 0:
		if key.Primes = rsaPrimes(&key.PublicKey, key.D); key.Primes == nil {
			return nil, invalid(ck.CKA_PRIVATE_EXPONENT, "does not belong to the modulus")
		}
	case p == 0 || q == 0:
		return nil, fmt.Errorf("%w: one prime without the other", ck.CKR_TEMPLATE_INCOMPLETE)
	}
	key.Precompute()
	if err := key.Validate(); err != nil {
		return nil, fmt.Errorf("%w: the numbers of the RSA key do not belong together", ck.CKR_ATTRIBUTE_VALUE_INVALID)
	}
	private := &rsaPrivate{key}
	for attribute, value := range private.crt() {
		if given := a[attribute]; len(given) != 0 && string(unsigned(given)) != string(value) {
			return nil, invalid(attribute, "does not belong to the primes")
		}
	}
	return private, nil
}

// rsaPrimes finds the primes of a modulus from both exponents; nil if these do not belong to it. e*d - 1 is a multiple
// of the order of every element, so that a power of an element by the odd part of it leads, by squaring, over a square
// root of one; every second element on average gives one that is not 1 or -1, and with that a factor.
func rsaPrimes(public *rsa.PublicKey, d *big.Int) []*big.Int {
	multiple := new(big.Int).Mul(d, big.NewInt(int64(public.E)))
	multiple.Sub(multiple, big.NewInt(1))
	if multiple.Sign() <= 0 {
		return nil
	}
	squarings := multiple.TrailingZeroBits()
	odd := new(big.Int).Rsh(multiple, squarings)
	for base := int64(2); base < 100; base++ {
		x := new(big.Int).Exp(big.NewInt(base), odd, public.N)
		p, one := factorByRoot(x, squarings, public.N)
		if p != nil {
			return []*big.Int{p, new(big.Int).Quo(public.N, p)}
		}
		if !one {
			return nil
		}
	}
	return nil
}

// factorByRoot squares x until it is one, and is a factor of n if the last value before was neither 1 nor -1. one is
// false if x never becomes one.
func factorByRoot(x *big.Int, squarings uint, n *big.Int) (factor *big.Int, one bool) {
	unit := big.NewInt(1)
	if x.Cmp(unit) == 0 {
		return nil, true
	}
	for range squarings {
		square := new(big.Int).Mul(x, x)
		square.Mod(square, n)
		if square.Cmp(unit) == 0 {
			factor = new(big.Int).GCD(nil, nil, x.Sub(x, unit), n)
			if factor.Cmp(unit) > 0 && factor.Cmp(n) < 0 {
				return factor, true
			}
			return nil, true
		}
		x = square
	}
	return nil, false
}

func rsaPublicValues(key *rsa.PublicKey) Attributes {
	return Attributes{
		ck.CKA_MODULUS:         key.N.Bytes(),
		ck.CKA_PUBLIC_EXPONENT: big.NewInt(int64(key.E)).Bytes(),
	}
}

func rsaPublicKeyInfo(key *rsa.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil
	}
	return der
}

func (p *rsaPublic) bits() int             { return p.key.N.BitLen() }
func (p *rsaPublic) publicKeyInfo() []byte { return rsaPublicKeyInfo(p.key) }

func (p *rsaPublic) values() Attributes {
	a := rsaPublicValues(p.key)
	a[ck.CKA_MODULUS_BITS] = ulong(uint64(p.key.N.BitLen()))
	return a
}

func (p *rsaPrivate) bits() int              { return p.key.N.BitLen() }
func (p *rsaPrivate) publicKeyInfo() []byte  { return rsaPublicKeyInfo(&p.key.PublicKey) }
func (p *rsaPrivate) pkcs8() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(p.key) }

func (p *rsaPrivate) values() Attributes {
	a := rsaPublicValues(&p.key.PublicKey)
	a[ck.CKA_PRIVATE_EXPONENT] = p.key.D.Bytes()
	a[ck.CKA_PRIME_1] = p.key.Primes[0].Bytes()
	a[ck.CKA_PRIME_2] = p.key.Primes[1].Bytes()
	for attribute, value := range p.crt() {
		a[attribute] = value
	}
	return a
}

// crt are the values that follow from the primes and the private exponent.
func (p *rsaPrivate) crt() Attributes {
	return Attributes{
		ck.CKA_EXPONENT_1:  p.key.Precomputed.Dp.Bytes(),
		ck.CKA_EXPONENT_2:  p.key.Precomputed.Dq.Bytes(),
		ck.CKA_COEFFICIENT: p.key.Precomputed.Qinv.Bytes(),
	}
}

func (p *rsaPrivate) wipe() {
	pre := p.key.Precomputed
	for _, secret := range append(p.key.Primes, p.key.D, pre.Dp, pre.Dq, pre.Qinv) {
		clear(secret.Bits())
	}
	p.key = &rsa.PrivateKey{PublicKey: p.key.PublicKey}
}

// generateRSA is CKM_RSA_PKCS_KEY_PAIR_GEN: CKA_MODULUS_BITS of 2048 to 4096 in steps of 8, and the public exponent
// 65537, which may be left out. Other exponents are refused: small ones make faults of padding exploitable, large
// ones are slow.
func generateRSA(m ck.Mechanism, public, _ Attributes) (pub, priv Attributes, err error) {
	if err := parameterless(m); err != nil {
		return nil, nil, err
	}
	value, err := given(public, ck.CKA_MODULUS_BITS)
	if err != nil {
		return nil, nil, err
	}
	bits, ok := parseUlong(value)
	if !ok || bits < minRSAGenerate || bits > maxRSAGenerate || bits%8 != 0 {
		return nil, nil, invalid(ck.CKA_MODULUS_BITS, fmt.Sprintf("is not %d to %d in steps of 8", minRSAGenerate,
			maxRSAGenerate))
	}
	if e, given := public[ck.CKA_PUBLIC_EXPONENT]; given && new(big.Int).SetBytes(e).Cmp(big.NewInt(rsaExponent)) != 0 {
		return nil, nil, invalid(ck.CKA_PUBLIC_EXPONENT, fmt.Sprintf("is not %d", rsaExponent))
	}
	key, err := rsa.GenerateKey(rand.Reader, int(bits))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: generating an RSA key: %v", ck.CKR_FUNCTION_FAILED, err)
	}
	private := &rsaPrivate{key}
	defer private.wipe()
	return valuesOf(&rsaPublic{key: &key.PublicKey}), valuesOf(private), nil
}

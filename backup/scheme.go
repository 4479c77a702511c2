package backup

import (
	"crypto/aes"
	"crypto/hpke"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"

	josecipher "github.com/go-jose/go-jose/v4/cipher"
)

const rsaBits = 3072

// sealFunc encrypts secret (a multiple of 8 bytes) so that it opens only with
// the same context.
type sealFunc func(secret, context []byte) ([]byte, error)

// generate makes a key pair: the public half as it stands in a request, the
// private one as a token keeps it.
func (s Scheme) generate() (public, private []byte, err error) {
	switch s {
	case SchemeHPKE:
		return generateHPKE()
	case SchemeRSA:
		return generateRSA()
	}
	return nil, nil, fmt.Errorf("%w: scheme %q", ErrFormat, s)
}

// sealer is the sealing half of a scheme for one public key; ErrFormat if it is
// not a public key of the scheme.
func (s Scheme) sealer(public []byte) (seal sealFunc, err error) {
	switch s {
	case SchemeHPKE:
		seal, err = sealerHPKE(public)
	case SchemeRSA:
		seal, err = sealerRSA(public)
	default:
		err = fmt.Errorf("scheme %q", s)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return seal, nil
}

// open reverses the sealer; every failure is ErrAuthentic.
func (s Scheme) open(private, sealed, context []byte) (secret []byte, err error) {
	switch s {
	case SchemeHPKE:
		secret, err = openHPKE(private, sealed, context)
	case SchemeRSA:
		secret, err = openRSA(private, sealed, context)
	default:
		err = fmt.Errorf("scheme %q", s)
	}
	if err != nil {
		return nil, ErrAuthentic // why it does not open is nobody's business
	}
	return secret, nil
}

// sealedSize is the length of a sealed secret of n bytes.
func (s Scheme) sealedSize(n int) int {
	if s == SchemeRSA {
		return rsaBits/8 + n + 8 // RFC 3394: one block of 8 bytes more
	}
	return 1120 + n + 16 // the ML-KEM ciphertext and the X25519 share; the tag
}

func generateHPKE() (public, private []byte, err error) {
	key, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, nil, err
	}
	private, err = key.Bytes()
	return key.PublicKey().Bytes(), private, err
}

func sealerHPKE(public []byte) (sealFunc, error) {
	key, err := hpke.MLKEM768X25519().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	return func(secret, context []byte) ([]byte, error) {
		return hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), context, secret)
	}, nil
}

func openHPKE(private, sealed, context []byte) ([]byte, error) {
	key, err := hpke.MLKEM768X25519().NewPrivateKey(private)
	if err != nil {
		return nil, err
	}
	return hpke.Open(key, hpke.HKDFSHA256(), hpke.AES256GCM(), context, sealed)
}

func generateRSA() (public, private []byte, err error) {
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return nil, nil, err
	}
	if public, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
		return nil, nil, err
	}
	private, err = x509.MarshalPKCS8PrivateKey(key)
	return public, private, err
}

func sealerRSA(public []byte) (sealFunc, error) {
	parsed, err := x509.ParsePKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok || key.N.BitLen() != rsaBits {
		return nil, fmt.Errorf("not an RSA key of %d bits", rsaBits)
	}
	return func(secret, context []byte) ([]byte, error) { return sealRSA(key, secret, context) }, nil
}

// sealRSA puts a fresh AES-256 key under RSA-OAEP, with the context as its
// label, and the secret under AES key wrap with that key.
func sealRSA(key *rsa.PublicKey, secret, context []byte) ([]byte, error) {
	kek := make([]byte, 32)
	defer clear(kek)
	rand.Read(kek)
	encrypted, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, key, kek, context)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	wrapped, err := josecipher.KeyWrap(block, secret)
	return append(encrypted, wrapped...), err
}

func openRSA(private, sealed, context []byte) ([]byte, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok || len(sealed) < rsaBits/8+16 {
		return nil, ErrFormat
	}
	kek, err := rsa.DecryptOAEP(sha256.New(), nil, key, sealed[:rsaBits/8], context)
	if err != nil {
		return nil, err
	}
	defer clear(kek)
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	return josecipher.KeyUnwrap(block, sealed[rsaBits/8:])
}

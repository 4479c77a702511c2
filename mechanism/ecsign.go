package mechanism

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// newECDSASigner is for CKM_ECDSA, whose data are a digest, and for CKM_ECDSA_SHAx.
func newECDSASigner(m ck.Mechanism, k *Key) (Signer, error) {
	if err := parameterless(m); err != nil {
		return nil, err
	}
	private, h := k.pair.(*ecPrivate).key, prehash(m.Type)
	size := scalarSize(private.Curve)
	return signer(h, 2*size, func(digest []byte) ([]byte, error) {
		if len(digest) == 0 {
			return nil, fmt.Errorf("%w: no digest", ck.CKR_DATA_LEN_RANGE)
		}
		der, err := signECDSA(private, h, digest)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ck.CKR_FUNCTION_FAILED, err)
		}
		return fixedSignature(der, size)
	}), nil
}

// signECDSA signs a digest, which h made; 0 if that is not known. The nonce is that of RFC 6979, from key and digest:
// it needs no trust in a source of random numbers, and it is the fastest that Go has, a quarter less than with fresh
// randomness for P-256 with SHA-256. A digest of no hash's length gets Go's own mixture of both.
func signECDSA(private *ecdsa.PrivateKey, h crypto.Hash, digest []byte) ([]byte, error) {
	if h == 0 {
		h = sha2Of(digest)
	}
	if h == 0 {
		return ecdsa.SignASN1(rand.Reader, private, digest)
	}
	return private.Sign(nil, digest, h)
}

// sha2Of is the hash of the SHA-2 family whose digests are as long as this one, or 0. For the nonce any hash will do.
func sha2Of(digest []byte) crypto.Hash {
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA224} {
		if len(digest) == h.Size() {
			return h
		}
	}
	return 0
}

// fixedSignature turns the DER of a signature into the form of PKCS#11: both numbers, size bytes each.
func fixedSignature(der cryptobyte.String, size int) ([]byte, error) {
	signature := make([]byte, 2*size)
	var numbers cryptobyte.String
	var r, s []byte
	if !der.ReadASN1(&numbers, asn1.SEQUENCE) || !numbers.ReadASN1Integer(&r) || !numbers.ReadASN1Integer(&s) ||
		len(r) > size || len(s) > size {
		return nil, fmt.Errorf("%w: a signature in an unknown form", ck.CKR_FUNCTION_FAILED)
	}
	copy(signature[size-len(r):], r)
	copy(signature[2*size-len(s):], s)
	return signature, nil
}

func newECDSAVerifier(m ck.Mechanism, k *Key) (Verifier, error) {
	if err := parameterless(m); err != nil {
		return nil, err
	}
	public := ecPublicKey(k)
	return verifier(prehash(m.Type), 2*scalarSize(public.Curve), func(digest, signature []byte) bool {
		der, err := derSignature(signature)
		return err == nil && len(digest) != 0 && ecdsa.VerifyASN1(public, digest, der)
	}), nil
}

// derSignature is the reverse of fixedSignature.
func derSignature(signature []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, number := range [][]byte{signature[:len(signature)/2], signature[len(signature)/2:]} {
			b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(positive(number)) })
		}
	})
	return b.Bytes()
}

// positive is a number as the contents of a DER INTEGER.
func positive(number []byte) []byte {
	number = unsigned(number)
	if len(number) == 0 || number[0]&0x80 != 0 {
		return append([]byte{0}, number...)
	}
	return number
}

package mechanism

import (
	"crypto/rsa"
	"crypto/subtle"
	"errors"
	"fmt"

	"filippo.io/bigmod"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// CKM_RSA_X_509 is the bare operation, for applications that pad by themselves. crypto/rsa does not offer it; bigmod is
// the constant-time arithmetic of crypto/rsa.

// rawPublic is data^e mod n, as long as the modulus. data must be as long as the modulus and smaller. CKR_DATA_INVALID.
func rawPublic(public *rsa.PublicKey, data []byte) ([]byte, error) {
	n, x, err := rawOperand(public, data)
	if err != nil {
		return nil, err
	}
	return bigmod.NewNat().ExpShortVarTime(x, uint(public.E), n).Bytes(n), nil
}

// rawPrivate is data^d mod n. It goes without the CRT, by which one miscomputed half would show the primes, and checks
// its result all the same.
func rawPrivate(private *rsa.PrivateKey, data []byte) ([]byte, error) {
	n, x, err := rawOperand(&private.PublicKey, data)
	if err != nil {
		return nil, err
	}
	exponent := private.D.FillBytes(make([]byte, private.Size()))
	defer clear(exponent)
	y := bigmod.NewNat().Exp(x, exponent, n)
	if bigmod.NewNat().ExpShortVarTime(y, uint(private.E), n).Equal(x) != 1 {
		return nil, fmt.Errorf("%w: RSA miscomputed", ck.CKR_FUNCTION_FAILED)
	}
	return y.Bytes(n), nil
}

func rawOperand(public *rsa.PublicKey, data []byte) (*bigmod.Modulus, *bigmod.Nat, error) {
	n, err := bigmod.NewModulus(public.N.Bytes())
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %v", ck.CKR_FUNCTION_FAILED, err)
	}
	x, err := bigmod.NewNat().SetBytes(data, n)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: not smaller than the modulus", ck.CKR_DATA_INVALID)
	}
	return n, x, nil
}

// rawPad puts zeros before data that are shorter than the modulus. CKR_DATA_LEN_RANGE.
func rawPad(data []byte, size int) ([]byte, error) {
	if len(data) > size {
		return nil, fmt.Errorf("%w: %d bytes for a key of %d", ck.CKR_DATA_LEN_RANGE, len(data), size)
	}
	return append(make([]byte, size-len(data), size), data...), nil
}

func newRawSigner(m ck.Mechanism, k *Key) (Signer, error) {
	if err := parameterless(m); err != nil {
		return nil, err
	}
	private := rsaPrivateKey(k)
	return signer(0, private.Size(), func(data []byte) ([]byte, error) {
		padded, err := rawPad(data, private.Size())
		if err != nil {
			return nil, err
		}
		return rawPrivate(private, padded)
	}), nil
}

func newRawVerifier(m ck.Mechanism, k *Key) (Verifier, error) {
	if err := parameterless(m); err != nil {
		return nil, err
	}
	public := rsaPublicKey(k)
	return verifier(0, public.Size(), func(data, signature []byte) bool {
		signed, err := rawPublic(public, signature)
		padded, tooLong := rawPad(data, public.Size())
		return errors.Join(err, tooLong) == nil && subtle.ConstantTimeCompare(signed, padded) == 1
	}), nil
}

func newRawEncryption(m ck.Mechanism, k *Key) (Transform, error) {
	if err := parameterless(m); err != nil {
		return nil, err
	}
	public := rsaPublicKey(k)
	return &single{public.Size(), 0, func(data []byte) ([]byte, error) {
		padded, err := rawPad(data, public.Size())
		if err != nil {
			return nil, err
		}
		return rawPublic(public, padded)
	}}, nil
}

func newRawDecryption(m ck.Mechanism, k *Key) (Transform, error) {
	if err := parameterless(m); err != nil {
		return nil, err
	}
	private := rsaPrivateKey(k)
	return decryption(private.Size(), private.Size(), 0, func(ciphertext []byte) ([]byte, error) {
		return rawPrivate(private, ciphertext)
	}), nil
}

package mechanism

import (
	"crypto/aes"
	"crypto/rand"
	"fmt"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// secretToWrap is the value of a secret key: private keys are too large for RSA alone. CKR_KEY_NOT_WRAPPABLE.
func secretToWrap(m ck.Mechanism, key *Key) ([]byte, error) {
	if key.class != ck.CKO_SECRET_KEY {
		return nil, fmt.Errorf("%w: %s wraps secret keys alone", ck.CKR_KEY_NOT_WRAPPABLE, m.Type)
	}
	return key.secret, nil
}

// fitsWrapping refuses a key of more than room bytes: CKR_KEY_SIZE_RANGE.
func fitsWrapping(secret []byte, room int) error {
	if len(secret) > room {
		return fmt.Errorf("%w: the key has %d bytes, and at most %d fit", ck.CKR_KEY_SIZE_RANGE, len(secret), room)
	}
	return nil
}

// onlySecret refuses to unwrap anything but a secret key: CKR_TEMPLATE_INCONSISTENT.
func onlySecret(m ck.Mechanism, class ck.ObjectClass) error {
	if class != ck.CKO_SECRET_KEY {
		return fmt.Errorf("%w: %s unwraps secret keys alone", ck.CKR_TEMPLATE_INCONSISTENT, m.Type)
	}
	return nil
}

// wrapPKCS is CKM_RSA_PKCS.
func wrapPKCS(m ck.Mechanism, wrapping, key *Key) ([]byte, error) {
	if err := parameterless(m); err != nil {
		return nil, err
	}
	secret, err := secretToWrap(m, key)
	if err != nil {
		return nil, err
	}
	public := rsaPublicKey(wrapping)
	if err := fitsWrapping(secret, public.Size()-11); err != nil {
		return nil, err
	}
	return encryptPKCS(public, secret)
}

func unwrapPKCS(m ck.Mechanism, unwrapping *Key, wrapped []byte, class ck.ObjectClass, keyType ck.KeyType) (
	Attributes, error) {
	if err := parameterless(m); err != nil {
		return nil, err
	}
	if err := onlySecret(m, class); err != nil {
		return nil, err
	}
	value, err := decryptPKCS(rsaPrivateKey(unwrapping), wrapped)
	if err != nil {
		return nil, errWrapped
	}
	defer clear(value)
	return unwrappedValues(value, class, keyType)
}

// wrapOAEP is CKM_RSA_PKCS_OAEP.
func wrapOAEP(m ck.Mechanism, wrapping, key *Key) ([]byte, error) {
	public := rsaPublicKey(wrapping)
	options, room, err := oaepOf(m, public)
	if err != nil {
		return nil, err
	}
	secret, err := secretToWrap(m, key)
	if err != nil {
		return nil, err
	}
	if err := fitsWrapping(secret, room); err != nil {
		return nil, err
	}
	return encryptOAEP(public, secret, options)
}

func unwrapOAEP(m ck.Mechanism, unwrapping *Key, wrapped []byte, class ck.ObjectClass, keyType ck.KeyType) (
	Attributes, error) {
	private := rsaPrivateKey(unwrapping)
	options, _, err := oaepOf(m, &private.PublicKey)
	if err != nil {
		return nil, err
	}
	if err := onlySecret(m, class); err != nil {
		return nil, err
	}
	value, err := private.Decrypt(nil, wrapped, options)
	if err != nil {
		return nil, errWrapped
	}
	defer clear(value)
	return unwrappedValues(value, class, keyType)
}

// rsaAES reads CK_RSA_AES_KEY_WRAP_PARAMS: the size of the AES key in bytes, and OAEP's parameter.
func rsaAES(m ck.Mechanism) (size int, oaep *ck.OAEPParams, err error) {
	p, err := parameter[ck.RSAAESKeyWrapParams](m)
	if err != nil {
		return 0, nil, err
	}
	if p.OAEP == nil || (p.AESKeyBits != 128 && p.AESKeyBits != 192 && p.AESKeyBits != 256) {
		return 0, nil, fmt.Errorf("%w: %s needs the bits of an AES key and OAEP's parameter",
			ck.CKR_MECHANISM_PARAM_INVALID, m.Type)
	}
	return int(p.AESKeyBits / 8), p.OAEP, nil
}

// wrapRSAAES is CKM_RSA_AES_KEY_WRAP: a one-time AES key under OAEP, then the key under that AES key by RFC 5649. A
// private key goes as PKCS #8.
func wrapRSAAES(m ck.Mechanism, wrapping, key *Key) ([]byte, error) {
	size, oaep, err := rsaAES(m)
	if err != nil {
		return nil, err
	}
	public := rsaPublicKey(wrapping)
	options, room, err := oaepRoom(oaep, public)
	if err != nil {
		return nil, err
	}
	if size > room {
		return nil, fmt.Errorf("%w: no room for the AES key", ck.CKR_KEY_SIZE_RANGE)
	}
	kek := make([]byte, size)
	defer clear(kek)
	_, _ = rand.Read(kek) // never fails
	encrypted, err := encryptOAEP(public, kek, options)
	if err != nil {
		return nil, err
	}
	wrapped, err := wrapUnder(kek, key)
	if err != nil {
		return nil, err
	}
	return append(encrypted, wrapped...), nil
}

// wrapUnder is a key of either class under an AES key by RFC 5649.
func wrapUnder(kek []byte, key *Key) ([]byte, error) {
	plain, err := plainOf(key)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ck.CKR_FUNCTION_FAILED, err)
	}
	return kwpWrap(block, kwpIV, plain), nil
}

func unwrapRSAAES(m ck.Mechanism, unwrapping *Key, wrapped []byte, class ck.ObjectClass, keyType ck.KeyType) (
	Attributes, error) {
	size, oaep, err := rsaAES(m)
	if err != nil {
		return nil, err
	}
	private := rsaPrivateKey(unwrapping)
	options, _, err := oaepRoom(oaep, &private.PublicKey)
	if err != nil {
		return nil, err
	}
	if len(wrapped) < private.Size() {
		return nil, errWrapped
	}
	kek, err := private.Decrypt(nil, wrapped[:private.Size()], options)
	defer clear(kek)
	if err != nil || len(kek) != size {
		return nil, errWrapped
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, errWrapped
	}
	plain, err := kwpUnwrap(block, kwpIV, wrapped[private.Size():])
	if err != nil {
		return nil, errWrapped
	}
	defer clear(plain)
	return unwrappedValues(plain, class, keyType)
}

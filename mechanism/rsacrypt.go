package mechanism

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// errEncrypted is what RSA decryption answers to every ciphertext of the right length that does not open, whatever is
// wrong with it: telling the faults apart would be a padding oracle.
var errEncrypted = fmt.Errorf("%w: not encrypted for this key and mechanism", ck.CKR_ENCRYPTED_DATA_INVALID)

// decryption is a Transform for ciphertexts of size bytes, of which at most room come out. Its parameter has held
// bytes.
func decryption(size, room, held int, open func(ciphertext []byte) ([]byte, error)) Transform {
	return &single{room, held, func(ciphertext []byte) ([]byte, error) {
		if len(ciphertext) != size {
			return nil, fmt.Errorf("%w: %d bytes, not %d", ck.CKR_ENCRYPTED_DATA_LEN_RANGE, len(ciphertext), size)
		}
		data, err := open(ciphertext)
		if err != nil {
			return nil, errEncrypted
		}
		return data, nil
	}}
}

// newPKCSEncryption is CKM_RSA_PKCS.
func newPKCSEncryption(m ck.Mechanism, k *Key) (Transform, error) {
	if err := parameterless(m); err != nil {
		return nil, err
	}
	public := rsaPublicKey(k)
	return &single{public.Size(), 0, func(data []byte) ([]byte, error) { return encryptPKCS(public, data) }}, nil
}

func encryptPKCS(public *rsa.PublicKey, data []byte) ([]byte, error) {
	//lint:ignore SA1019 PKCS#11 clients need PKCS #1 v1.5
	ciphertext, err := rsa.EncryptPKCS1v15(rand.Reader, public, data)
	if err != nil {
		return nil, tooLong(err, public.Size())
	}
	return ciphertext, nil
}

func newPKCSDecryption(m ck.Mechanism, k *Key) (Transform, error) {
	if err := parameterless(m); err != nil {
		return nil, err
	}
	private := rsaPrivateKey(k)
	return decryption(private.Size(), private.Size()-11, 0, func(ciphertext []byte) ([]byte, error) {
		return decryptPKCS(private, ciphertext)
	}), nil
}

func decryptPKCS(private *rsa.PrivateKey, ciphertext []byte) ([]byte, error) {
	//lint:ignore SA1019 PKCS#11 clients need PKCS #1 v1.5
	return rsa.DecryptPKCS1v15(nil, private, ciphertext)
}

// oaepOptions reads CK_RSA_PKCS_OAEP_PARAMS. Source 0 is an empty label, as several clients give it.
func oaepOptions(p *ck.OAEPParams) (*rsa.OAEPOptions, error) {
	h, known := hashOf(ck.MechanismType(p.Hash))
	mask, maskKnown := mgfHash(p.MGF)
	if !known || !maskKnown {
		return nil, fmt.Errorf("%w: unknown hash or mask of OAEP", ck.CKR_MECHANISM_PARAM_INVALID)
	}
	if p.Source != ck.CKZ_DATA_SPECIFIED && (p.Source != 0 || len(p.SourceData) != 0) {
		return nil, fmt.Errorf("%w: unknown source of OAEP's label", ck.CKR_MECHANISM_PARAM_INVALID)
	}
	if len(p.SourceData) > maxAssociated {
		return nil, fmt.Errorf("%w: OAEP's label has more than %d bytes", ck.CKR_MECHANISM_PARAM_INVALID, maxAssociated)
	}
	return &rsa.OAEPOptions{Hash: h, MGFHash: mask, Label: p.SourceData}, nil
}

// oaepOf is oaepOptions of a mechanism, and how many bytes fit.
func oaepOf(m ck.Mechanism, public *rsa.PublicKey) (options *rsa.OAEPOptions, room int, err error) {
	p, err := parameter[ck.OAEPParams](m)
	if err != nil {
		return nil, 0, err
	}
	return oaepRoom(p, public)
}

func oaepRoom(p *ck.OAEPParams, public *rsa.PublicKey) (options *rsa.OAEPOptions, room int, err error) {
	options, err = oaepOptions(p)
	if err != nil {
		return nil, 0, err
	}
	room = public.Size() - 2*options.Hash.Size() - 2
	if room < 0 {
		return nil, 0, fmt.Errorf("%w: no room for OAEP with this hash", ck.CKR_KEY_SIZE_RANGE)
	}
	return options, room, nil
}

// newOAEPEncryption is CKM_RSA_PKCS_OAEP.
func newOAEPEncryption(m ck.Mechanism, k *Key) (Transform, error) {
	public := rsaPublicKey(k)
	options, _, err := oaepOf(m, public)
	if err != nil {
		return nil, err
	}
	return &single{public.Size(), len(options.Label), func(data []byte) ([]byte, error) {
		return encryptOAEP(public, data, options)
	}}, nil
}

func encryptOAEP(public *rsa.PublicKey, data []byte, options *rsa.OAEPOptions) ([]byte, error) {
	ciphertext, err := rsa.EncryptOAEPWithOptions(rand.Reader, public, data, options)
	if err != nil {
		return nil, tooLong(err, public.Size())
	}
	return ciphertext, nil
}

func newOAEPDecryption(m ck.Mechanism, k *Key) (Transform, error) {
	private := rsaPrivateKey(k)
	options, room, err := oaepOf(m, &private.PublicKey)
	if err != nil {
		return nil, err
	}
	return decryption(private.Size(), room, len(options.Label), func(ciphertext []byte) ([]byte, error) {
		return private.Decrypt(nil, ciphertext, options)
	}), nil
}

package mechanism

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// encryptDataOffer is a mechanism that derives a key by encrypting the application's data: its value is the beginning
// of the ciphertext. begin takes the data out of the parameter, and begins their encryption.
func encryptDataOffer(m ck.MechanismType, begin func(ck.Mechanism, cipher.Block) (Transform, []byte, error)) offer {
	derive := func(m ck.Mechanism, base, _ *Key, keyType ck.KeyType, length int) ([]byte, error) {
		block, err := aes.NewCipher(base.secret)
		if err != nil {
			return nil, err
		}
		t, data, err := begin(m, block)
		if err != nil {
			return nil, err
		}
		if len(data) == 0 || len(data)%aes.BlockSize != 0 {
			return nil, fmt.Errorf("%w: %s takes data in blocks of 16 bytes", ck.CKR_MECHANISM_PARAM_INVALID, m.Type)
		}
		secret, err := t.Once(data)
		if err != nil {
			return nil, err
		}
		return cut(secret, keyType, length)
	}
	return offer{Row: aesRow(m), derive: derive}
}

// cut is the first length bytes of a derived secret, or all of them where the template says no length.
func cut(secret []byte, keyType ck.KeyType, length int) ([]byte, error) {
	if length == 0 {
		length = len(secret)
	}
	if length < 0 || length > len(secret) {
		return nil, fmt.Errorf("%w: a key of %d bytes of %d that were derived", ck.CKR_DATA_LEN_RANGE, length, len(secret))
	}
	if err := checkLength(keyType, uint64(length)); err != nil {
		return nil, err
	}
	clear(secret[length:])
	return secret[:length:length], nil
}

func ecbEncryptData(m ck.Mechanism, block cipher.Block) (Transform, []byte, error) {
	p, err := parameter[ck.DerivationData](m)
	if err != nil {
		return nil, nil, err
	}
	t, err := beginECB(ck.Mechanism{Type: ck.CKM_AES_ECB}, block, encrypting)
	return t, p.Data, err
}

func cbcEncryptData(m ck.Mechanism, block cipher.Block) (Transform, []byte, error) {
	p, err := parameter[ck.CBCEncryptDataParams](m)
	if err != nil {
		return nil, nil, err
	}
	t, err := beginCBC(ck.Mechanism{Type: ck.CKM_AES_CBC, Parameter: p.IV[:]}, block, encrypting)
	return t, p.Data, err
}

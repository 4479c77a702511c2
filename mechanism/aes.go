package mechanism

import (
	"crypto/aes"
	"crypto/cipher"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// direction is encryption or decryption, and how its results are called.
type direction struct {
	encrypt            bool
	wrong, wrongLength ck.RV // of data that are wrong, and that have a wrong length
}

var (
	encrypting = direction{true, ck.CKR_DATA_INVALID, ck.CKR_DATA_LEN_RANGE}
	decrypting = direction{false, ck.CKR_ENCRYPTED_DATA_INVALID, ck.CKR_ENCRYPTED_DATA_LEN_RANGE}
)

// cipherOffer is an offer of an AES mode in both directions.
func cipherOffer(m ck.MechanismType, begin func(ck.Mechanism, cipher.Block, direction) (Transform, error)) offer {
	in := func(d direction) func(ck.Mechanism, *Key) (Transform, error) {
		return func(m ck.Mechanism, k *Key) (Transform, error) {
			block, err := aes.NewCipher(k.secret)
			if err != nil {
				return nil, err
			}
			return begin(m, block, d)
		}
	}
	return offer{Row: aesRow(m), encrypt: in(encrypting), decrypt: in(decrypting)}
}

// aesRow is the row of a mechanism of AES keys, sizes in bytes.
func aesRow(m ck.MechanismType) Row {
	return Row{Type: m, MinKeySize: 16, MaxKeySize: 32, Keys: []ck.KeyType{ck.CKK_AES}}
}

// beginECB is CKM_AES_ECB.
func beginECB(m ck.Mechanism, block cipher.Block, d direction) (Transform, error) {
	if err := parameterless(m); err != nil {
		return nil, err
	}
	one := block.Decrypt
	if d.encrypt {
		one = block.Encrypt
	}
	return &blocks{direction: d, crypt: func(dst, src []byte) {
		for i := 0; i < len(src); i += aes.BlockSize {
			one(dst[i:], src[i:])
		}
	}}, nil
}

// onePart is a Transform of data that come in one part.
type onePart struct {
	once  func(data []byte) ([]byte, error)
	bound func(n int) int
}

func (o onePart) Once(data []byte) ([]byte, error) { return o.once(data) }
func (o onePart) OnceBound(n int) int              { return o.bound(n) }
func (onePart) Update([]byte) ([]byte, error)      { return nil, errMultiPart }
func (onePart) Final() ([]byte, error)             { return nil, errMultiPart }
func (onePart) UpdateBound(int) int                { return 0 }
func (onePart) FinalBound() int                    { return 0 }
func (onePart) Held(int) int                       { return 0 }

package mechanism

import (
	"bytes"
	"crypto/aes"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"fmt"
	"slices"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// maxSecret is the length of the longest secret key, in bytes.
const maxSecret = 16 << 10

// secretTypes are the types of secret keys. Those named after an HMAC are generic secrets that serve it alone.
var secretTypes = []ck.KeyType{ck.CKK_AES, ck.CKK_GENERIC_SECRET, ck.CKK_HKDF,
	ck.CKK_SHA_1_HMAC, ck.CKK_SHA224_HMAC, ck.CKK_SHA256_HMAC, ck.CKK_SHA384_HMAC, ck.CKK_SHA512_HMAC}

// checkLength is nil if n bytes are a key of the type, else CKR_ATTRIBUTE_VALUE_INVALID.
func checkLength(keyType ck.KeyType, n uint64) error {
	switch {
	case !slices.Contains(secretTypes, keyType):
		return fmt.Errorf("%w: %s is no type of secret keys here", ck.CKR_ATTRIBUTE_VALUE_INVALID, keyType)
	case keyType == ck.CKK_AES && n != 16 && n != 24 && n != 32:
		return fmt.Errorf("%w: an AES key has 16, 24 or 32 bytes, not %d", ck.CKR_ATTRIBUTE_VALUE_INVALID, n)
	case n < 1 || n > maxSecret:
		return fmt.Errorf("%w: a secret key has 1 to %d bytes, not %d", ck.CKR_ATTRIBUTE_VALUE_INVALID, maxSecret, n)
	}
	return nil
}

// parseSecret decodes a secret key.
func parseSecret(keyType ck.KeyType, a Attributes) (*Key, error) {
	value, given := a[ck.CKA_VALUE]
	if !given {
		return nil, fmt.Errorf("%w: CKA_VALUE is missing", ck.CKR_TEMPLATE_INCOMPLETE)
	}
	if err := checkLength(keyType, uint64(len(value))); err != nil {
		return nil, err
	}
	return newSecret(keyType, bytes.Clone(value)), nil
}

// secretValues are the value attributes of a secret key with this value.
func secretValues(keyType ck.KeyType, value []byte) (Attributes, error) {
	if err := checkLength(keyType, uint64(len(value))); err != nil {
		return nil, err
	}
	return Attributes{ck.CKA_VALUE: bytes.Clone(value), ck.CKA_VALUE_LEN: ulong(uint64(len(value)))}, nil
}

// completeSecret is Complete for secret keys: CKA_VALUE, CKA_VALUE_LEN and CKA_CHECK_VALUE. A length or a check value
// that is given has to be right; an empty check value stays empty.
func completeSecret(keyType ck.KeyType, a Attributes) (Attributes, error) {
	k, err := parseSecret(keyType, a)
	if err != nil {
		return nil, err
	}
	values, err := secretValues(keyType, k.secret)
	if err != nil {
		return nil, err
	}
	if given, ok := a[ck.CKA_VALUE_LEN]; ok && !bytes.Equal(given, values[ck.CKA_VALUE_LEN]) {
		return nil, fmt.Errorf("%w: CKA_VALUE_LEN is not the length of CKA_VALUE", ck.CKR_TEMPLATE_INCONSISTENT)
	}
	check := secretCheckValue(k)
	given, ok := a[ck.CKA_CHECK_VALUE]
	switch {
	case ok && len(given) == 0:
		check = []byte{}
	case ok && subtle.ConstantTimeCompare(given, check) == 0:
		return nil, fmt.Errorf("%w: CKA_CHECK_VALUE is not that of the key", ck.CKR_ATTRIBUTE_VALUE_INVALID)
	}
	values[ck.CKA_CHECK_VALUE] = check
	return values, nil
}

// secretCheckValue is the first three bytes of a block of zeros, encrypted with an AES key, or of the SHA-1 of another
// one's value (PKCS#11 3.2 section 4.10.2).
func secretCheckValue(k *Key) []byte {
	if k.keyType != ck.CKK_AES {
		sum := sha1.Sum(k.secret)
		return sum[:3]
	}
	block, err := aes.NewCipher(k.secret)
	if err != nil {
		return nil
	}
	sum := make([]byte, aes.BlockSize)
	block.Encrypt(sum, sum)
	return sum[:3]
}

// generateOffer is a mechanism that makes secret keys of a type, of CKA_VALUE_LEN bytes.
func generateOffer(row Row, keyType ck.KeyType) offer {
	return offer{Row: row, generate: func(m ck.Mechanism, a Attributes) (Attributes, error) {
		if err := parameterless(m); err != nil {
			return nil, err
		}
		given, ok := a[ck.CKA_VALUE_LEN]
		if !ok {
			return nil, fmt.Errorf("%w: CKA_VALUE_LEN is missing", ck.CKR_TEMPLATE_INCOMPLETE)
		}
		n, ok := parseUlong(given)
		if !ok {
			return nil, fmt.Errorf("%w: CKA_VALUE_LEN is no number", ck.CKR_ATTRIBUTE_VALUE_INVALID)
		}
		if err := checkLength(keyType, n); err != nil {
			return nil, err
		}
		value := make([]byte, n)
		rand.Read(value)
		return Attributes{ck.CKA_VALUE: value, ck.CKA_VALUE_LEN: ulong(n)}, nil
	}}
}

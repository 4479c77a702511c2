package mechanism

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// Attributes are attribute values in token's form.
type Attributes = map[ck.AttributeType][]byte

// Key is a decoded key, safe for concurrent use.
type Key struct {
	class   ck.ObjectClass
	keyType ck.KeyType
	bits    int

	mu     sync.RWMutex // held for reading while the key's secrets are used, for writing by Wipe
	wiped  bool
	secret []byte    // CKA_VALUE of a secret key
	ivs    ivCounter // of generated initialisation vectors
	pair   pair      // of a public or private key
}

// Parse decodes the values of a key object. CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCOMPLETE,
// CKR_CURVE_NOT_SUPPORTED, CKR_PARAMETER_SET_NOT_SUPPORTED.
func Parse(class ck.ObjectClass, keyType ck.KeyType, a Attributes) (*Key, error) {
	if class == ck.CKO_SECRET_KEY {
		return parseSecret(keyType, a)
	}
	return parsePair(class, keyType, a)
}

// newSecret is the Key of a secret; it keeps the slice.
func newSecret(keyType ck.KeyType, secret []byte) *Key {
	return &Key{class: ck.CKO_SECRET_KEY, keyType: keyType, bits: 8 * len(secret), secret: secret}
}

// Class is CKA_CLASS.
func (k *Key) Class() ck.ObjectClass { return k.class }

// Type is CKA_KEY_TYPE.
func (k *Key) Type() ck.KeyType { return k.keyType }

// Bits is the size of the key: of the modulus, of the curve's field, of a secret, of the public key of a lattice
// scheme.
func (k *Key) Bits() int { return k.bits }

// Secret is CKA_VALUE of a secret key, else nil. It is the key's own memory, which Wipe clears: not to be changed, and
// to be read only inside of the functions of this package, which keep Wipe away meanwhile.
func (k *Key) Secret() []byte { return k.secret }

// Wipe clears the key's secrets. It waits for operations under way; later ones answer CKR_KEY_HANDLE_INVALID.
func (k *Key) Wipe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.wiped {
		return
	}
	clear(k.secret)
	if k.pair != nil {
		k.pair.wipe()
	}
	k.wiped = true
}

// use calls f while nobody may wipe the key. It must not be nested.
func (k *Key) use(f func() error) error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.wiped {
		return fmt.Errorf("%w: the key was wiped", ck.CKR_KEY_HANDLE_INVALID)
	}
	return f()
}

// CheckValue is CKA_CHECK_VALUE of a secret key, three bytes, else nil.
func CheckValue(k *Key) (value []byte) {
	if k.class != ck.CKO_SECRET_KEY {
		return nil
	}
	_ = k.use(func() error { value = secretCheckValue(k); return nil })
	return value
}

// PublicKeyInfo is CKA_PUBLIC_KEY_INFO of a public or private key, SubjectPublicKeyInfo in DER, else nil.
func PublicKeyInfo(k *Key) []byte {
	if k.pair == nil {
		return nil
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.pair.publicKeyInfo()
}

// Complete holds the values given for a new key object (C_CreateObject) to their rules and returns the value attributes
// that follow from them, those given included in the form in which this package returns them. CKR_TEMPLATE_INCOMPLETE,
// CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID, CKR_CURVE_NOT_SUPPORTED, CKR_PARAMETER_SET_NOT_SUPPORTED.
func Complete(class ck.ObjectClass, keyType ck.KeyType, a Attributes) (Attributes, error) {
	if class == ck.CKO_SECRET_KEY {
		return completeSecret(keyType, a)
	}
	return completePair(class, keyType, a)
}

// ulong is the value of a CK_ULONG.
func ulong(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// parseUlong is the reverse of ulong; ok is false for a value of another length.
func parseUlong(value []byte) (n uint64, ok bool) {
	if len(value) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(value), true
}

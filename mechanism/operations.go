package mechanism

import (
	"fmt"
	"slices"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// Transform is an encryption or decryption. One caller at a time. After an error it is dead. Data come whole by Once,
// or in parts by Update and then Final, not both.
type Transform interface {
	Once(data []byte) ([]byte, error)
	Update(part []byte) ([]byte, error)
	Final() ([]byte, error)

	// Upper bounds of the next output in bytes: what Once gives for n bytes, Update for n more, and Final. Those of
	// Update and Final are exact, and that of Once too but for decryption with padding.
	OnceBound(n int) int
	UpdateBound(n int) int
	FinalBound() int

	// Held is how many bytes it keeps of data and parameters once n bytes more went through Update.
	Held(n int) int
}

// Digest is a digest under way. One caller at a time.
type Digest interface {
	Size() int // bytes
	Update(part []byte) error
	Final() ([]byte, error)
}

// Signer makes one signature or MAC. One caller at a time. After an error it is dead. Where the mechanism is
// single-part Update is CKR_FUNCTION_NOT_SUPPORTED.
type Signer interface {
	Size() int // bytes, exact
	Once(data []byte) ([]byte, error)
	Update(part []byte) error
	Final() ([]byte, error)
}

// Verifier holds one signature or MAC to its data: nil, CKR_SIGNATURE_LEN_RANGE or CKR_SIGNATURE_INVALID. One caller
// at a time. After an error it is dead. Where the mechanism is single-part Update is CKR_FUNCTION_NOT_SUPPORTED.
type Verifier interface {
	Size() int // bytes of a signature, exact
	Once(data, signature []byte) error
	Update(part []byte) error
	Final(signature []byte) error
}

// The half of a key pair that an operation takes. Secret keys fit either.
const (
	publicHalf  = ck.CKO_PUBLIC_KEY
	privateHalf = ck.CKO_PRIVATE_KEY
)

// NewEncryption is C_EncryptInit. All NewX: the operation keeps the parameter, which must not change, and ends with its
// key: after Wipe every call is CKR_KEY_HANDLE_INVALID. Errors: CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID,
// CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_SIZE_RANGE.
func NewEncryption(m ck.Mechanism, k *Key) (Transform, error) {
	return begin(m, k, publicHalf, func(o *offer) constructor[Transform] { return o.encrypt }, guardTransform)
}

// NewDecryption is C_DecryptInit. Nothing comes out before a tag is found right.
func NewDecryption(m ck.Mechanism, k *Key) (Transform, error) {
	return begin(m, k, privateHalf, func(o *offer) constructor[Transform] { return o.decrypt }, guardTransform)
}

// NewSigner is C_SignInit.
func NewSigner(m ck.Mechanism, k *Key) (Signer, error) {
	return begin(m, k, privateHalf, func(o *offer) constructor[Signer] { return o.sign }, guardSigner)
}

// NewVerifier is C_VerifyInit.
func NewVerifier(m ck.Mechanism, k *Key) (Verifier, error) {
	return begin(m, k, publicHalf, func(o *offer) constructor[Verifier] { return o.verify }, guardVerifier)
}

// NewMessageEncryption is C_MessageEncryptInit.
func NewMessageEncryption(m ck.Mechanism, k *Key) (MessageCipher, error) {
	return begin(m, k, publicHalf, func(o *offer) constructor[MessageCipher] { return o.encryptMessages }, guardMessages)
}

// NewMessageDecryption is C_MessageDecryptInit.
func NewMessageDecryption(m ck.Mechanism, k *Key) (MessageCipher, error) {
	return begin(m, k, privateHalf, func(o *offer) constructor[MessageCipher] { return o.decryptMessages }, guardMessages)
}

// NewDigest is C_DigestInit.
func NewDigest(m ck.Mechanism) (Digest, error) {
	o, err := find(m, func(o *offer) bool { return o.digest != nil })
	if err != nil {
		return nil, err
	}
	return o.digest(m)
}

// begin makes an operation of a mechanism that has it, with a key that fits it, under a guard.
func begin[Operation any](m ck.Mechanism, k *Key, half ck.ObjectClass,
	of func(*offer) constructor[Operation], guard func(*Key, Operation) Operation) (made Operation, err error) {
	o, err := find(m, func(o *offer) bool { return of(o) != nil })
	if err != nil {
		return made, err
	}
	if err := o.accepts(k, half); err != nil {
		return made, err
	}
	err = k.use(func() (err error) {
		if made, err = of(o)(m, k); err == nil {
			made = guard(k, made)
		}
		return err
	})
	return made, err
}

// find is the offer of a mechanism that can do what is asked. CKR_MECHANISM_INVALID, and CKR_MECHANISM_PARAM_INVALID if
// its parameter has a length that none has.
func find(m ck.Mechanism, can func(*offer) bool) (*offer, error) {
	o, ok := offers()[m.Type]
	if !ok || !can(o) {
		return nil, fmt.Errorf("%w: %s is not offered for this", ck.CKR_MECHANISM_INVALID, m.Type)
	}
	if m.Misfit {
		return nil, fmt.Errorf("%w: the parameter of %s has a wrong length", ck.CKR_MECHANISM_PARAM_INVALID, m.Type)
	}
	return o, nil
}

// accepts is nil if the mechanism works on such a key, which is a secret key or the given half of a pair; else
// CKR_KEY_TYPE_INCONSISTENT.
func (o *offer) accepts(k *Key, half ck.ObjectClass) error {
	if slices.Contains(o.Keys, k.keyType) && (k.class == half || k.class == ck.CKO_SECRET_KEY) {
		return nil
	}
	return fmt.Errorf("%w: %s with %s of type %s", ck.CKR_KEY_TYPE_INCONSISTENT, o.Type, k.class, k.keyType)
}

// GenerateKey is C_GenerateKey: the value attributes of a new secret key. CKR_TEMPLATE_INCOMPLETE, CKR_KEY_SIZE_RANGE,
// CKR_ATTRIBUTE_VALUE_INVALID.
func GenerateKey(m ck.Mechanism, a Attributes) (Attributes, error) {
	o, err := find(m, func(o *offer) bool { return o.generate != nil })
	if err != nil {
		return nil, err
	}
	return o.generate(m, a)
}

// GenerateKeyPair is C_GenerateKeyPair: the value attributes of both halves. CKR_TEMPLATE_INCOMPLETE,
// CKR_KEY_SIZE_RANGE, CKR_CURVE_NOT_SUPPORTED, CKR_PARAMETER_SET_NOT_SUPPORTED, CKR_ATTRIBUTE_VALUE_INVALID.
func GenerateKeyPair(m ck.Mechanism, public, private Attributes) (pub, priv Attributes, err error) {
	o, err := find(m, func(o *offer) bool { return o.generatePair != nil })
	if err != nil {
		return nil, nil, err
	}
	return o.generatePair(m, public, private)
}

// Derive is C_DeriveKey: the secret value of a key of the given type. With length 0 (bytes) the mechanism gives what
// it gives and the type takes. salt is the key of CKF_HKDF_SALT_KEY, else nil. CKR_ATTRIBUTE_VALUE_INVALID for a
// length that cannot be had, CKR_TEMPLATE_INCOMPLETE for a missing one.
func Derive(m ck.Mechanism, base, salt *Key, keyType ck.KeyType, length int) (secret []byte, err error) {
	o, err := find(m, func(o *offer) bool { return o.derive != nil })
	if err != nil {
		return nil, err
	}
	if err := o.accepts(base, privateHalf); err != nil {
		return nil, err
	}
	err = useBoth(base, salt, func() (err error) {
		secret, err = o.derive(m, base, salt, keyType, length)
		return err
	})
	return secret, err
}

// Wrap is C_WrapKey. CKR_KEY_NOT_WRAPPABLE, CKR_KEY_SIZE_RANGE, CKR_WRAPPING_KEY_TYPE_INCONSISTENT.
func Wrap(m ck.Mechanism, wrapping, key *Key) (wrapped []byte, err error) {
	o, err := find(m, func(o *offer) bool { return o.wrap != nil })
	if err != nil {
		return nil, err
	}
	if o.accepts(wrapping, publicHalf) != nil {
		return nil, fmt.Errorf("%w: %s with %s", ck.CKR_WRAPPING_KEY_TYPE_INCONSISTENT, m.Type, wrapping.keyType)
	}
	err = useBoth(wrapping, key, func() (err error) {
		wrapped, err = o.wrap(m, wrapping, key)
		return err
	})
	return wrapped, err
}

// Unwrap is C_UnwrapKey: the value attributes of a key of the given class and type. Whatever is wrong with the wrapped
// bytes is one and the same CKR_WRAPPED_KEY_INVALID. CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT.
func Unwrap(m ck.Mechanism, unwrapping *Key, wrapped []byte, class ck.ObjectClass, keyType ck.KeyType) (
	a Attributes, err error) {
	o, err := find(m, func(o *offer) bool { return o.unwrap != nil })
	if err != nil {
		return nil, err
	}
	if o.accepts(unwrapping, privateHalf) != nil {
		return nil, fmt.Errorf("%w: %s with %s", ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, m.Type, unwrapping.keyType)
	}
	err = unwrapping.use(func() (err error) {
		a, err = o.unwrap(m, unwrapping, wrapped, class, keyType)
		return err
	})
	return a, err
}

// errWrapped is what every unwrapping answers to wrapped bytes that are not right, whatever is wrong with them.
var errWrapped = fmt.Errorf("%w: not a key wrapped for this key and mechanism", ck.CKR_WRAPPED_KEY_INVALID)

// Encapsulate is C_EncapsulateKey: what goes to the owner of the private key, and the shared secret.
func Encapsulate(m ck.Mechanism, k *Key) (encapsulated, secret []byte, err error) {
	o, err := find(m, func(o *offer) bool { return o.encapsulate != nil })
	if err != nil {
		return nil, nil, err
	}
	if err := o.accepts(k, publicHalf); err != nil {
		return nil, nil, err
	}
	return o.encapsulate(m, k)
}

// Decapsulate is C_DecapsulateKey: the shared secret. CKR_WRAPPED_KEY_LEN_RANGE for a ciphertext of another length.
func Decapsulate(m ck.Mechanism, k *Key, encapsulated []byte) (secret []byte, err error) {
	o, err := find(m, func(o *offer) bool { return o.decapsulate != nil })
	if err != nil {
		return nil, err
	}
	if err := o.accepts(k, privateHalf); err != nil {
		return nil, err
	}
	err = k.use(func() (err error) {
		secret, err = o.decapsulate(m, k, encapsulated)
		return err
	})
	return secret, err
}

// useBoth is use of two keys, of which the second may be missing or the first.
func useBoth(first, second *Key, f func() error) error {
	if second == nil || second == first {
		return first.use(f)
	}
	return first.use(func() error { return second.use(f) })
}

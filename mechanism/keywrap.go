package mechanism

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// Key wrapping with AES (SP 800-38F): KW (RFC 3394) for whole semiblocks of 8 bytes, at least two, and KWP (RFC 5649)
// for 1 byte and more.

const semiblock = 8

var (
	// kwIV is the initial value of KW (RFC 3394 section 2.2.3.1).
	kwIV = []byte{0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6}
	// kwpIV is the first half of the initial value of KWP; the second half is the length (RFC 5649 section 3).
	kwpIV = []byte{0xa6, 0x59, 0x59, 0xa6}
)

// errNotWrapped says no more than that, whatever is wrong.
var errNotWrapped = errors.New("not wrapped so with this key")

// keyWrap is W of SP 800-38F: the initial value and plain, whole semiblocks, mixed by 6 rounds.
func keyWrap(block cipher.Block, iv, plain []byte) []byte {
	out := slices.Concat(iv, plain)
	var b [aes.BlockSize]byte
	copy(b[:], iv)
	for t := range uint64(6 * len(plain) / semiblock) {
		r := out[semiblock*(1+int(t)%(len(plain)/semiblock)):][:semiblock]
		copy(b[semiblock:], r)
		block.Encrypt(b[:], b[:])
		binary.BigEndian.PutUint64(b[:], binary.BigEndian.Uint64(b[:])^(t+1))
		copy(r, b[semiblock:])
	}
	copy(out, b[:semiblock])
	return out
}

// keyUnwrap is the reverse of keyWrap: the initial value and what was wrapped. Whoever calls compares the first.
func keyUnwrap(block cipher.Block, wrapped []byte) (iv, plain []byte) {
	out := bytes.Clone(wrapped)
	n := len(out)/semiblock - 1
	var b [aes.BlockSize]byte
	copy(b[:], out)
	for t := uint64(6 * n); t > 0; t-- {
		r := out[semiblock*(1+int(t-1)%n):][:semiblock]
		binary.BigEndian.PutUint64(b[:], binary.BigEndian.Uint64(b[:])^t)
		copy(b[semiblock:], r)
		block.Decrypt(b[:], b[:])
		copy(r, b[semiblock:])
	}
	copy(out, b[:semiblock])
	return out[:semiblock], out[semiblock:]
}

// kwWrap is KW with an initial value of 8 bytes. Callers give 2 semiblocks or more.
func kwWrap(block cipher.Block, iv, plain []byte) []byte { return keyWrap(block, iv, plain) }

func kwUnwrap(block cipher.Block, iv, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 3*semiblock || len(wrapped)%semiblock != 0 {
		return nil, errNotWrapped
	}
	found, plain := keyUnwrap(block, wrapped)
	if subtle.ConstantTimeCompare(found, iv) == 0 {
		clear(plain)
		return nil, errNotWrapped
	}
	return plain, nil
}

// kwpWrap is KWP with an initial value of 4 bytes. Callers give 1 byte or more, less than 4 GiB.
func kwpWrap(block cipher.Block, iv, plain []byte) []byte {
	start := binary.BigEndian.AppendUint32(bytes.Clone(iv), uint32(len(plain)))
	padded := make([]byte, (len(plain)+semiblock-1)/semiblock*semiblock)
	copy(padded, plain)
	defer clear(padded)
	if len(padded) > semiblock {
		return keyWrap(block, start, padded)
	}
	out := append(start, padded...)
	block.Encrypt(out, out)
	return out
}

func kwpUnwrap(block cipher.Block, iv, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 2*semiblock || len(wrapped)%semiblock != 0 {
		return nil, errNotWrapped
	}
	start, plain := kwpOpen(block, wrapped)
	n := binary.BigEndian.Uint32(start[len(iv):])
	good := subtle.ConstantTimeCompare(start[:len(iv)], iv)
	padding := int64(len(plain)) - int64(n) // 0 to 7, else n is wrong
	good &= subtle.ConstantTimeEq(int32(padding>>3), 0) & subtle.ConstantTimeEq(int32(padding>>35), 0)
	for i, octet := range plain[len(plain)-semiblock:] {
		inside := subtle.ConstantTimeLessOrEq(semiblock-i, int(padding&(semiblock-1)))
		good &= subtle.ConstantTimeSelect(inside, subtle.ConstantTimeByteEq(octet, 0), 1)
	}
	if good == 0 {
		clear(plain)
		return nil, errNotWrapped
	}
	return plain[:n], nil
}

// kwpOpen undoes the mixing: the initial value with the length, and the padded plaintext.
func kwpOpen(block cipher.Block, wrapped []byte) (start, plain []byte) {
	if len(wrapped) > 2*semiblock {
		return keyUnwrap(block, wrapped)
	}
	out := make([]byte, len(wrapped))
	block.Decrypt(out, wrapped)
	return out[:semiblock], out[semiblock:]
}

// wrapMode is KW or KWP as a mechanism has it.
type wrapMode struct {
	iv     []byte // unless the mechanism's parameter is another
	wrap   func(block cipher.Block, iv, plain []byte) []byte
	unwrap func(block cipher.Block, iv, wrapped []byte) ([]byte, error)
	fits   func(n int) bool // may n bytes be wrapped
	sizes  string           // of what fits, for messages
}

var (
	kw = wrapMode{kwIV, kwWrap, kwUnwrap, func(n int) bool { return n >= 2*semiblock && n%semiblock == 0 },
		"a multiple of 8 bytes, 16 or more"}
	kwp = wrapMode{kwpIV, kwpWrap, kwpUnwrap, func(n int) bool { return n >= 1 && n < 1<<32-semiblock }, "1 byte or more"}
)

// of is the key's cipher and the initial value that the parameter says.
func (w wrapMode) of(m ck.Mechanism, k *Key) (block cipher.Block, iv []byte, err error) {
	switch {
	case m.Struct != nil || m.Misfit || len(m.Parameter) != 0 && len(m.Parameter) != len(w.iv):
		return nil, nil, fmt.Errorf("%w: %s takes an initial value of %d bytes, or none",
			ck.CKR_MECHANISM_PARAM_INVALID, m.Type, len(w.iv))
	case len(m.Parameter) != 0:
		iv = m.Parameter
	default:
		iv = w.iv
	}
	block, err = aes.NewCipher(k.secret)
	return block, bytes.Clone(iv), err
}

// wrapOffer is an offer of KW or KWP, for keys and for data in one part.
func wrapOffer(m ck.MechanismType, mode wrapMode) offer {
	row := aesRow(m)
	row.Single = true
	return offer{Row: row, encrypt: mode.encryption, decrypt: mode.decryption, wrap: mode.wrapKey, unwrap: mode.unwrapKey}
}

func (w wrapMode) encryption(m ck.Mechanism, k *Key) (Transform, error) {
	block, iv, err := w.of(m, k)
	return orNil[Transform](onePart{
		bound: func(n int) int { return (n+semiblock-1)/semiblock*semiblock + semiblock },
		once: func(data []byte) ([]byte, error) {
			if !w.fits(len(data)) {
				return nil, fmt.Errorf("%w: %s takes %s", ck.CKR_DATA_LEN_RANGE, m.Type, w.sizes)
			}
			return w.wrap(block, iv, data), nil
		}}, err)
}

func (w wrapMode) decryption(m ck.Mechanism, k *Key) (Transform, error) {
	block, iv, err := w.of(m, k)
	return orNil[Transform](onePart{
		bound: func(n int) int { return max(0, n-semiblock) },
		once: func(data []byte) ([]byte, error) {
			plain, err := w.unwrap(block, iv, data)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ck.CKR_ENCRYPTED_DATA_INVALID, err)
			}
			return plain, nil
		}}, err)
}

func (w wrapMode) wrapKey(m ck.Mechanism, wrapping, key *Key) ([]byte, error) {
	block, iv, err := w.of(m, wrapping)
	if err != nil {
		return nil, err
	}
	plain, err := plainOf(key)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	if !w.fits(len(plain)) {
		return nil, fmt.Errorf("%w: %s takes %s", ck.CKR_KEY_SIZE_RANGE, m.Type, w.sizes)
	}
	return w.wrap(block, iv, plain), nil
}

func (w wrapMode) unwrapKey(m ck.Mechanism, unwrapping *Key, wrapped []byte,
	class ck.ObjectClass, keyType ck.KeyType) (Attributes, error) {
	block, iv, err := w.of(m, unwrapping)
	if err != nil {
		return nil, err
	}
	plain, err := w.unwrap(block, iv, wrapped)
	if err != nil {
		return nil, errWrapped
	}
	defer clear(plain)
	return unwrappedValues(plain, class, keyType)
}

// cbcPadWrapping adds the wrapping of keys to CKM_AES_CBC_PAD.
func cbcPadWrapping(o offer) offer {
	o.wrap = func(m ck.Mechanism, wrapping, key *Key) ([]byte, error) {
		t, err := o.encrypt(m, wrapping)
		if err != nil {
			return nil, err
		}
		plain, err := plainOf(key)
		if err != nil {
			return nil, err
		}
		defer clear(plain)
		return t.Once(plain)
	}
	o.unwrap = func(m ck.Mechanism, unwrapping *Key, wrapped []byte,
		class ck.ObjectClass, keyType ck.KeyType) (Attributes, error) {
		t, err := o.decrypt(m, unwrapping)
		if err != nil {
			return nil, err
		}
		plain, err := t.Once(wrapped)
		if err != nil {
			return nil, errWrapped
		}
		defer clear(plain)
		return unwrappedValues(plain, class, keyType)
	}
	return o
}

// plainOf is what gets wrapped of a key, a copy: the value of a secret key, PrivateKeyInfo of a private one.
// CKR_KEY_NOT_WRAPPABLE.
func plainOf(key *Key) ([]byte, error) {
	if key.pair != nil {
		return key.pair.pkcs8()
	}
	return bytes.Clone(key.secret), nil
}

// unwrappedValues are the value attributes of an unwrapped key, copies of plain's bytes. Whatever is wrong with plain
// is errWrapped.
func unwrappedValues(plain []byte, class ck.ObjectClass, keyType ck.KeyType) (values Attributes, err error) {
	switch class {
	case ck.CKO_SECRET_KEY:
		values, err = secretValues(keyType, plain)
	case ck.CKO_PRIVATE_KEY:
		values, err = privateValues(keyType, plain)
	default:
		return nil, fmt.Errorf("%w: a %s cannot be unwrapped", ck.CKR_TEMPLATE_INCONSISTENT, class)
	}
	if err != nil {
		return nil, errWrapped
	}
	return values, nil
}

package mechanism

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

func TestSecretLengths(t *testing.T) {
	for _, keyType := range secretTypes {
		for _, n := range []int{0, 1, 15, 16, 24, 32, 33, 255, maxSecret, maxSecret + 1} {
			_, err := Parse(ck.CKO_SECRET_KEY, keyType, Attributes{ck.CKA_VALUE: make([]byte, n)})
			fits := n >= 1 && n <= maxSecret && (keyType != ck.CKK_AES || n == 16 || n == 24 || n == 32)
			if fits != (err == nil) {
				t.Errorf("%v of %d bytes: %v", keyType, n, err)
			}
			if !fits {
				wantRV(t, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
			}
		}
	}
	_, err := Parse(ck.CKO_SECRET_KEY, ck.CKK_AES, Attributes{})
	wantRV(t, err, ck.CKR_TEMPLATE_INCOMPLETE)
	_, err = Parse(ck.CKO_SECRET_KEY, ck.CKK_RSA, Attributes{ck.CKA_VALUE: make([]byte, 16)})
	wantRV(t, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
}

func TestSecretOfItsOwn(t *testing.T) {
	value := random(16)
	k := secretOf(t, ck.CKK_AES, value)
	clear(value)
	if !bytes.Equal(k.Secret(), random(16)) || k.Bits() != 128 {
		t.Errorf("the key is %x, %d bits", k.Secret(), k.Bits())
	}
	k.Wipe()
	if !bytes.Equal(k.Secret(), value) {
		t.Error("it is still there after Wipe")
	}
	_, err := NewEncryption(ck.Mechanism{Type: ck.CKM_AES_ECB}, k)
	wantRV(t, err, ck.CKR_KEY_HANDLE_INVALID)
}

// The check value of an AES key is that of the encryption of zeros, as in test case 1 of GCM's specification (its hash
// key), and that of others the SHA-1 of the value.
func TestSecretComplete(t *testing.T) {
	for _, c := range []struct {
		keyType ck.KeyType
		value   []byte
		check   string
	}{
		{ck.CKK_AES, make([]byte, 16), "66e94b"},
		{ck.CKK_GENERIC_SECRET, []byte("abc"), "a9993e"},
		{ck.CKK_SHA256_HMAC, []byte("abc"), "a9993e"},
	} {
		values, err := Complete(ck.CKO_SECRET_KEY, c.keyType, Attributes{ck.CKA_VALUE: c.value})
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range [][]byte{values[ck.CKA_CHECK_VALUE], CheckValue(secretOf(t, c.keyType, c.value))} {
			if hex.EncodeToString(got) != c.check {
				t.Errorf("%v: check value %x, want %s", c.keyType, got, c.check)
			}
		}
		length := ulong(uint64(len(c.value)))
		if !bytes.Equal(values[ck.CKA_VALUE], c.value) || !bytes.Equal(values[ck.CKA_VALUE_LEN], length) || len(values) != 3 {
			t.Errorf("%v: %x", c.keyType, values)
		}
		if _, err := Complete(ck.CKO_SECRET_KEY, c.keyType, values); err != nil {
			t.Errorf("%v: its own values: %v", c.keyType, err)
		}
	}
	zeros := func(attribute ck.AttributeType, value []byte) error {
		_, err := Complete(ck.CKO_SECRET_KEY, ck.CKK_AES, Attributes{ck.CKA_VALUE: make([]byte, 16), attribute: value})
		return err
	}
	wantRV(t, zeros(ck.CKA_CHECK_VALUE, []byte{1, 2, 3}), ck.CKR_ATTRIBUTE_VALUE_INVALID)
	wantRV(t, zeros(ck.CKA_CHECK_VALUE, []byte{0x66}), ck.CKR_ATTRIBUTE_VALUE_INVALID)
	wantRV(t, zeros(ck.CKA_VALUE_LEN, ulong(17)), ck.CKR_TEMPLATE_INCONSISTENT)
	if err := zeros(ck.CKA_CHECK_VALUE, nil); err != nil {
		t.Error(err)
	}
}

func TestSecretsGenerated(t *testing.T) {
	for _, n := range []uint64{16, 24, 32} {
		for _, m := range []ck.MechanismType{ck.CKM_AES_KEY_GEN, ck.CKM_GENERIC_SECRET_KEY_GEN} {
			one, err := GenerateKey(ck.Mechanism{Type: m}, Attributes{ck.CKA_VALUE_LEN: ulong(n)})
			if err != nil || uint64(len(one[ck.CKA_VALUE])) != n || !bytes.Equal(one[ck.CKA_VALUE_LEN], ulong(n)) {
				t.Fatalf("%v: %d bytes, %v", m, len(one[ck.CKA_VALUE]), err)
			}
			other, _ := GenerateKey(ck.Mechanism{Type: m}, Attributes{ck.CKA_VALUE_LEN: ulong(n)})
			if bytes.Equal(one[ck.CKA_VALUE], other[ck.CKA_VALUE]) {
				t.Errorf("%v made the same key twice", m)
			}
		}
	}
	generic := ck.Mechanism{Type: ck.CKM_GENERIC_SECRET_KEY_GEN}
	for _, c := range []struct {
		m    ck.Mechanism
		a    Attributes
		want ck.RV
	}{
		{ck.Mechanism{Type: ck.CKM_AES_KEY_GEN}, Attributes{}, ck.CKR_TEMPLATE_INCOMPLETE},
		{ck.Mechanism{Type: ck.CKM_AES_KEY_GEN}, Attributes{ck.CKA_VALUE_LEN: ulong(17)}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{ck.Mechanism{Type: ck.CKM_AES_KEY_GEN}, Attributes{ck.CKA_VALUE_LEN: {16}}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{generic, Attributes{ck.CKA_VALUE_LEN: ulong(0)}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{generic, Attributes{ck.CKA_VALUE_LEN: ulong(1 << 63)}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{general(ck.CKM_AES_KEY_GEN, 16), Attributes{ck.CKA_VALUE_LEN: ulong(16)}, ck.CKR_MECHANISM_PARAM_INVALID},
	} {
		_, err := GenerateKey(c.m, c.a)
		wantRV(t, err, c.want)
	}
}

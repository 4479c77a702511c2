package mechanism

import (
	"bytes"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

var wrapMechanisms = []ck.MechanismType{ck.CKM_AES_KEY_WRAP, ck.CKM_AES_KEY_WRAP_KWP, ck.CKM_AES_KEY_WRAP_PAD}

// RFC 3394 section 4 and RFC 5649 section 6.
var wrapCases = []struct {
	m                   ck.MechanismType
	kek, plain, wrapped string
}{
	{ck.CKM_AES_KEY_WRAP, "000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff",
		"1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"},
	{ck.CKM_AES_KEY_WRAP, "000102030405060708090a0b0c0d0e0f1011121314151617", "00112233445566778899aabbccddeeff",
		"96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d"},
	{ck.CKM_AES_KEY_WRAP, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"00112233445566778899aabbccddeeff", "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"},
	{ck.CKM_AES_KEY_WRAP, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f",
		"28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"},
	{ck.CKM_AES_KEY_WRAP_KWP, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8",
		"c37b7e6492584340bed12207808941155068f738", "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"},
	{ck.CKM_AES_KEY_WRAP_KWP, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8",
		"466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"},
	{ck.CKM_AES_KEY_WRAP_PAD, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8",
		"466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"},
}

func TestKeyWrapKnownAnswers(t *testing.T) {
	for _, c := range wrapCases {
		m, kek := ck.Mechanism{Type: c.m}, aesKey(t, c.kek)
		if got := once(t, encrypter(t, m, kek), octets(t, c.plain)); !bytes.Equal(got, octets(t, c.wrapped)) {
			t.Errorf("%v: %x, want %s", c.m, got, c.wrapped)
		}
		if got := once(t, decrypter(t, m, kek), octets(t, c.wrapped)); !bytes.Equal(got, octets(t, c.plain)) {
			t.Errorf("%v: %x, want %s", c.m, got, c.plain)
		}
		wrapped, err := Wrap(m, kek, secretOf(t, ck.CKK_GENERIC_SECRET, octets(t, c.plain)))
		if err != nil || !bytes.Equal(wrapped, octets(t, c.wrapped)) {
			t.Errorf("%v: %x, %v, want %s", c.m, wrapped, err, c.wrapped)
		}
		values, err := Unwrap(m, kek, octets(t, c.wrapped), ck.CKO_SECRET_KEY, ck.CKK_GENERIC_SECRET)
		if err != nil || !bytes.Equal(values[ck.CKA_VALUE], octets(t, c.plain)) {
			t.Errorf("%v: %x, %v, want %s", c.m, values, err, c.plain)
		}
	}
}

func TestKeyWrapAsOpenSSL(t *testing.T) {
	for n := 1; n < 70; n++ {
		k := secretOf(t, ck.CKK_GENERIC_SECRET, random(n))
		check := func(m ck.Mechanism, name, iv string) {
			t.Helper()
			wrapped, err := Wrap(m, aesKey(t, nist256), k)
			if want := openssl(t, random(n), "enc", name, "-K", nist256, "-iv", iv); err != nil || !bytes.Equal(wrapped, want) {
				t.Errorf("%d bytes: %x, %v, want %x", n, wrapped, err, want)
			}
			values, err := Unwrap(m, aesKey(t, nist256), wrapped, ck.CKO_SECRET_KEY, ck.CKK_GENERIC_SECRET)
			if err != nil || !bytes.Equal(values[ck.CKA_VALUE], random(n)) {
				t.Errorf("%d bytes come back as %x, %v", n, values, err)
			}
		}
		check(ck.Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP}, "-id-aes256-wrap-pad", "a65959a6")
		check(ck.Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP, Parameter: []byte{1, 2, 3, 4}}, "-id-aes256-wrap-pad", "01020304")
		if n >= 16 && n%8 == 0 {
			check(ck.Mechanism{Type: ck.CKM_AES_KEY_WRAP}, "-id-aes256-wrap", "a6a6a6a6a6a6a6a6")
			iv := "0102030405060708"
			check(ck.Mechanism{Type: ck.CKM_AES_KEY_WRAP, Parameter: octets(t, iv)}, "-id-aes256-wrap", iv)
		}
	}
}

func TestKeyWrapLengths(t *testing.T) {
	kek := aesKey(t, nist128)
	for _, n := range []int{1, 8, 15, 17, 20} {
		_, err := Wrap(ck.Mechanism{Type: ck.CKM_AES_KEY_WRAP}, kek, secretOf(t, ck.CKK_GENERIC_SECRET, random(n)))
		wantRV(t, err, ck.CKR_KEY_SIZE_RANGE)
		_, err = encrypter(t, ck.Mechanism{Type: ck.CKM_AES_KEY_WRAP}, kek).Once(random(n))
		wantRV(t, err, ck.CKR_DATA_LEN_RANGE)
	}
	_, err := encrypter(t, ck.Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP}, kek).Once(nil)
	wantRV(t, err, ck.CKR_DATA_LEN_RANGE)
	_, err = encrypter(t, ck.Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP}, kek).Update(nil)
	wantRV(t, err, ck.CKR_FUNCTION_NOT_SUPPORTED)
}

func TestKeyWrapParameters(t *testing.T) {
	for _, m := range wrapMechanisms {
		for _, n := range []int{1, 3, 5, 7, 9, 16, map[bool]int{true: 4, false: 8}[m == ck.CKM_AES_KEY_WRAP]} {
			_, err := Wrap(ck.Mechanism{Type: m, Parameter: make([]byte, n)}, aesKey(t, nist128), aesKey(t, nist128))
			wantRV(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
		}
	}
	generic := secretOf(t, ck.CKK_GENERIC_SECRET, random(16))
	_, err := Wrap(ck.Mechanism{Type: ck.CKM_AES_KEY_WRAP}, generic, generic)
	wantRV(t, err, ck.CKR_WRAPPING_KEY_TYPE_INCONSISTENT)
	_, err = Unwrap(ck.Mechanism{Type: ck.CKM_AES_KEY_WRAP}, generic, make([]byte, 24), ck.CKO_SECRET_KEY, ck.CKK_AES)
	wantRV(t, err, ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT)
}

// unwrapError unwraps and gives the text of the error, which must be CKR_WRAPPED_KEY_INVALID.
func unwrapError(t *testing.T, m ck.Mechanism, wrapped []byte, keyType ck.KeyType) string {
	t.Helper()
	values, err := Unwrap(m, aesKey(t, nist256), wrapped, ck.CKO_SECRET_KEY, keyType)
	if values != nil || err == nil {
		t.Fatalf("%x is unwrapped", wrapped)
	}
	wantRV(t, err, ck.CKR_WRAPPED_KEY_INVALID)
	return err.Error()
}

// Whatever is wrong with a wrapped key, the answer is the same.
func TestUnwrappingFailsInOneWay(t *testing.T) {
	texts := map[string]bool{}
	for _, m := range []ck.Mechanism{{Type: ck.CKM_AES_KEY_WRAP}, {Type: ck.CKM_AES_KEY_WRAP_KWP},
		{Type: ck.CKM_AES_KEY_WRAP_PAD}, {Type: ck.CKM_AES_CBC_PAD, Parameter: octets(t, nistIV)}} {
		good, err := Wrap(m, aesKey(t, nist256), secretOf(t, ck.CKK_GENERIC_SECRET, random(40)))
		if err != nil {
			t.Fatal(err)
		}
		values, err := Unwrap(m, aesKey(t, nist256), good, ck.CKO_SECRET_KEY, ck.CKK_GENERIC_SECRET)
		if err != nil || !bytes.Equal(values[ck.CKA_VALUE], random(40)) {
			t.Fatalf("%v: %x, %v", m.Type, values, err)
		}
		texts[unwrapError(t, m, good, ck.CKK_AES)] = true // 40 bytes are no AES key
		for n := range len(good) {
			texts[unwrapError(t, m, good[:n], ck.CKK_AES)] = true
		}
		last := bytes.Clone(good)
		for bit := range 256 {
			last[len(last)-1] = good[len(good)-1] ^ byte(bit)
			texts[unwrapError(t, m, last, ck.CKK_AES)] = true
		}
	}
	if len(texts) != 1 {
		t.Errorf("the errors differ: %v", texts)
	}
	_, err := Unwrap(ck.Mechanism{Type: ck.CKM_AES_KEY_WRAP}, aesKey(t, nist256), nil, ck.CKO_PUBLIC_KEY, ck.CKK_RSA)
	wantRV(t, err, ck.CKR_WRAPPED_KEY_INVALID)
}

// KWP with a length or padding that is wrong, made by KW with the initial value that says so.
func TestKWPPadding(t *testing.T) {
	kek := aesKey(t, nist256)
	for _, c := range []struct {
		length string
		plain  string
		right  bool
	}{
		{"00000009", "0102030405060708 0900000000000000", true},
		{"00000010", "0102030405060708 090a0b0c0d0e0f10", true},
		{"00000009", "0102030405060708 0900000000000001", false},
		{"00000009", "0102030405060708 0901000000000000", false},
		{"00000008", "0102030405060708 0000000000000000", false},
		{"00000011", "0102030405060708 090a0b0c0d0e0f10", false},
		{"00000018", "0102030405060708 090a0b0c0d0e0f10", false},
		{"80000010", "0102030405060708 090a0b0c0d0e0f10", false},
		{"ffffffff", "0102030405060708 090a0b0c0d0e0f10", false},
		{"00000000", "0102030405060708 090a0b0c0d0e0f10", false},
	} {
		iv := octets(t, "a65959a6"+c.length)
		k := secretOf(t, ck.CKK_GENERIC_SECRET, octets(t, c.plain))
		wrapped, err := Wrap(ck.Mechanism{Type: ck.CKM_AES_KEY_WRAP, Parameter: iv}, kek, k)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Unwrap(ck.Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP}, kek, wrapped, ck.CKO_SECRET_KEY, ck.CKK_GENERIC_SECRET)
		if (err == nil) != c.right {
			t.Errorf("length %s of %s: %v", c.length, c.plain, err)
		}
	}
}

func FuzzKeyUnwrap(f *testing.F) {
	for i, c := range wrapCases {
		f.Add(uint8(i), octets(f, c.wrapped), octets(f, c.plain))
	}
	f.Fuzz(func(t *testing.T, which uint8, data, iv []byte) {
		m := ck.Mechanism{Type: wrapMechanisms[int(which)%len(wrapMechanisms)], Parameter: iv}
		k := aesKey(t, nist192)
		values, err := Unwrap(m, k, data, ck.CKO_SECRET_KEY, ck.CKK_GENERIC_SECRET)
		if err == nil {
			again, err := Wrap(m, k, secretOf(t, ck.CKK_GENERIC_SECRET, values[ck.CKA_VALUE]))
			if err != nil || !bytes.Equal(again, data) {
				t.Fatalf("%x was unwrapped, and is wrapped as %x, %v", data, again, err)
			}
		}
		encryption, err := NewEncryption(m, k)
		if err != nil {
			wantRV(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
			return
		}
		wrapped, err := encryption.Once(data)
		if err != nil {
			wantRV(t, err, ck.CKR_DATA_LEN_RANGE)
			return
		}
		if back := once(t, decrypter(t, m, k), wrapped); !bytes.Equal(back, data) {
			t.Fatalf("%x comes back as %x", data, back)
		}
	})
}

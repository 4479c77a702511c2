package mechanism

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

func TestCBCKnownAnswers(t *testing.T) {
	m := ck.Mechanism{Type: ck.CKM_AES_CBC, Parameter: octets(t, nistIV)}
	for key, want := range map[string]string{
		nist128: "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2 73bed6b8e3c1743b7116e69e22229516 " +
			"3ff1caa1681fac09120eca307586e1a7",
		nist192: "4f021db243bc633d7178183a9fa071e8 b4d9ada9ad7dedf4e5e738763f69145a 571b242012fb7ae07fa9baac3df102e0 " +
			"08b0e27988598881d920a9e64f5615cd",
		nist256: "f58c4c04d6e5f1ba779eabfb5f7bfbd6 9cfc4e967edb808d679f777bc6702c7d 39f23369a9d9bacfa530e26304231461 " +
			"b2eb05e2c39be9fcda6c19078c6a9d1b",
	} {
		bothWays(t, m, aesKey(t, key), octets(t, nistPlain), octets(t, want))
	}
}

func TestCBCPadAsOpenSSL(t *testing.T) {
	m := ck.Mechanism{Type: ck.CKM_AES_CBC_PAD, Parameter: octets(t, nistIV)}
	for name, key := range map[string]string{"-aes-128-cbc": nist128, "-aes-192-cbc": nist192, "-aes-256-cbc": nist256} {
		for _, n := range []int{0, 1, 15, 16, 17, 32, 1000} {
			plain := random(n)
			bothWays(t, m, aesKey(t, key), plain, openssl(t, plain, "enc", name, "-K", key, "-iv", nistIV))
		}
	}
}

// Whatever is wrong with a padding, the answer is the same.
func TestCBCPadding(t *testing.T) {
	k, iv := aesKey(t, nist128), octets(t, nistIV)
	raw := ck.Mechanism{Type: ck.CKM_AES_CBC, Parameter: iv}
	padded := ck.Mechanism{Type: ck.CKM_AES_CBC_PAD, Parameter: iv}
	open := func(plain string) ([]byte, error) {
		encrypted := once(t, encrypter(t, raw, k), octets(t, plain))
		return decrypter(t, padded, k).Once(encrypted)
	}
	for plain, want := range map[string]string{
		"00112233445566778899aabbccddee01": "00112233445566778899aabbccddee",
		"00112233445566778899aabbcc030303": "00112233445566778899aabbcc",
		"10101010101010101010101010101010": "",
	} {
		if got, err := open(plain); err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s: %x, %v", plain, got, err)
		}
	}
	texts := map[string]bool{}
	for _, plain := range []string{"00112233445566778899aabbccddee00", "00112233445566778899aabbccddee02",
		"11101010101010101010101010101011", "0f101010101010101010101010101010", "00112233445566778899aabbccddeeff"} {
		got, err := open(plain)
		wantRV(t, err, ck.CKR_ENCRYPTED_DATA_INVALID)
		if got != nil {
			t.Errorf("%s gave %x", plain, got)
		}
		texts[err.Error()] = true
	}
	if len(texts) != 1 {
		t.Errorf("the errors differ: %v", texts)
	}
	for _, n := range []int{0, 1, 15, 17, 31} {
		_, err := decrypter(t, padded, k).Once(make([]byte, n))
		wantRV(t, err, ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
	}
}

// Asked how long the rest is, an operation says it exactly, and goes on as if it had not been asked.
func TestCBCPadLooksAhead(t *testing.T) {
	m, k := ck.Mechanism{Type: ck.CKM_AES_CBC_PAD, Parameter: octets(t, nistIV)}, aesKey(t, nist128)
	for n := range 50 {
		data := once(t, encrypter(t, m, k), random(n))
		d := decrypter(t, m, k)
		var plain []byte
		for i := range data {
			d.FinalBound()
			part, err := d.Update(data[i : i+1])
			if err != nil {
				t.Fatal(err)
			}
			plain = append(plain, part...)
		}
		bound := d.FinalBound()
		last, err := d.Final()
		if plain = append(plain, last...); err != nil || len(last) != bound || !bytes.Equal(plain, random(n)) {
			t.Errorf("%d bytes: %x, %v, the last %d of them %d", n, plain, err, bound, len(last))
		}
	}
	d := decrypter(t, m, k)
	if _, err := d.Update(make([]byte, 32)); err != nil || d.FinalBound() != 0 {
		t.Errorf("%d bytes with a wrong padding, %v", d.FinalBound(), err)
	}
}

func TestCBCVectors(t *testing.T) {
	for _, m := range []ck.Mechanism{{}, {Parameter: make([]byte, 15)}, {Parameter: make([]byte, 17)}, {Misfit: true},
		{Struct: &ck.CTRParams{}}} {
		for _, m.Type = range []ck.MechanismType{ck.CKM_AES_CBC, ck.CKM_AES_CBC_PAD} {
			_, err := NewEncryption(m, aesKey(t, nist128))
			wantRV(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
		}
	}
}

func FuzzCBCPad(f *testing.F) {
	f.Add(octets(f, nist128), octets(f, nistIV), 3)
	f.Add([]byte{}, make([]byte, 16), 1)
	f.Fuzz(func(t *testing.T, data, iv []byte, most int) {
		if len(iv) != 16 || most < 1 || most > 1<<20 {
			return
		}
		m, k := ck.Mechanism{Type: ck.CKM_AES_CBC_PAD, Parameter: iv}, aesKey(t, nist256)
		whole, wholeErr := decrypter(t, m, k).Once(data)
		parts, partsErr := inParts(t, decrypter(t, m, k), data, most)
		if !bytes.Equal(whole, parts) || (wholeErr == nil) != (partsErr == nil) {
			t.Fatalf("%x, %v; in parts %x, %v", whole, wholeErr, parts, partsErr)
		}
		if wholeErr != nil {
			return
		}
		if again := once(t, encrypter(t, m, k), whole); !bytes.Equal(again, data) {
			t.Fatalf("%x was decrypted, and is encrypted as %x", data, again)
		}
	})
}

package mechanism

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

func hkdfWith(p ck.HKDFParams) ck.Mechanism {
	return ck.Mechanism{Type: ck.CKM_HKDF_DERIVE, Struct: &p}
}

// RFC 5869 appendix A, test cases 1, 3 and 7.
var hkdfCases = []struct {
	hash                      ck.MechanismType
	secret, salt, info        string
	pseudorandom, outputBytes string
}{
	{ck.CKM_SHA256, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
		"077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
		"3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
	{ck.CKM_SHA256, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
		"19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
		"8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
	{ck.CKM_SHA_1, "0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c", "", "",
		"2adccada18779e7c2077ad2eb19d3f3e731385dd",
		"2c91117204d745f3500d636a62f64f0ab3bae548aa53d423b0d1f27ebba6f5e5673a081d70cce7acfc48"},
}

func TestHKDFKnownAnswers(t *testing.T) {
	for _, c := range hkdfCases {
		base := secretOf(t, ck.CKK_HKDF, octets(t, c.secret))
		p := ck.HKDFParams{Extract: true, Hash: uint64(c.hash), Info: octets(t, c.info),
			SaltType: ck.CKF_HKDF_SALT_DATA, Salt: octets(t, c.salt)}
		if c.salt == "" {
			p.SaltType = ck.CKF_HKDF_SALT_NULL
		}
		derive := func(base, salt *Key, length int, want string) {
			t.Helper()
			got, err := Derive(hkdfWith(p), base, salt, ck.CKK_GENERIC_SECRET, length)
			if err != nil || !bytes.Equal(got, octets(t, want)) {
				t.Errorf("%+v: %x, %v, want %s", p, got, err, want)
			}
		}
		derive(base, nil, 0, c.pseudorandom)
		derive(base, nil, len(c.pseudorandom)/2, c.pseudorandom)
		p.Expand = true
		derive(base, nil, 42, c.outputBytes)
		if c.salt != "" {
			p.SaltType, p.Salt = ck.CKF_HKDF_SALT_KEY, nil
			derive(base, secretOf(t, ck.CKK_GENERIC_SECRET, octets(t, c.salt)), 42, c.outputBytes)
		}
		p.Extract = false
		derive(secretOf(t, ck.CKK_HKDF, octets(t, c.pseudorandom)), nil, 42, c.outputBytes)
	}
}

func TestHKDFAsOpenSSL(t *testing.T) {
	for _, h := range hashings {
		p := ck.HKDFParams{Extract: true, Expand: true, Hash: uint64(h.digest), Info: random(5),
			SaltType: ck.CKF_HKDF_SALT_DATA, Salt: random(9)}
		m := hkdfWith(p)
		m.Type = ck.CKM_HKDF_DATA
		got, err := Derive(m, secretOf(t, ck.CKK_GENERIC_SECRET, random(40)), nil, 0, 100)
		want := openssl(t, nil, "kdf", "-binary", "-keylen", strconv.Itoa(100), "-kdfopt", "digest:"+opensslNames[h.digest],
			"-kdfopt", "hexkey:"+hex.EncodeToString(random(40)), "-kdfopt", "hexsalt:"+hex.EncodeToString(p.Salt),
			"-kdfopt", "hexinfo:"+hex.EncodeToString(p.Info), "HKDF")
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: %x, %v, want %x", h.digest, got, err, want)
		}
	}
}

func TestHKDFRefuses(t *testing.T) {
	base := secretOf(t, ck.CKK_GENERIC_SECRET, random(32))
	ok := ck.HKDFParams{Extract: true, Expand: true, Hash: uint64(ck.CKM_SHA256), SaltType: ck.CKF_HKDF_SALT_NULL}
	const invalid, length = ck.CKR_MECHANISM_PARAM_INVALID, ck.CKR_ATTRIBUTE_VALUE_INVALID
	for name, c := range map[string]struct {
		change  func(*ck.HKDFParams)
		keyType ck.KeyType
		length  int
		want    ck.RV
	}{
		"no step":         {func(p *ck.HKDFParams) { p.Extract, p.Expand = false, false }, ck.CKK_AES, 32, invalid},
		"no hash":         {func(p *ck.HKDFParams) { p.Hash = uint64(ck.CKM_SHA256_HMAC) }, ck.CKK_AES, 32, invalid},
		"no salt key":     {func(p *ck.HKDFParams) { p.SaltType = ck.CKF_HKDF_SALT_KEY }, ck.CKK_AES, 32, invalid},
		"no kind of salt": {func(p *ck.HKDFParams) { p.SaltType = 0 }, ck.CKK_AES, 32, invalid},
		"no length":       {func(*ck.HKDFParams) {}, ck.CKK_AES, 0, ck.CKR_TEMPLATE_INCOMPLETE},
		"no AES key":      {func(*ck.HKDFParams) {}, ck.CKK_AES, 31, length},
		"too long":        {func(*ck.HKDFParams) {}, ck.CKK_GENERIC_SECRET, 255*32 + 1, length},
		"a part of what is extracted": {func(p *ck.HKDFParams) { p.Expand = false }, ck.CKK_GENERIC_SECRET, 16,
			ck.CKR_TEMPLATE_INCONSISTENT},
	} {
		t.Run(name, func(t *testing.T) {
			p := ok
			c.change(&p)
			got, err := Derive(hkdfWith(p), base, nil, c.keyType, c.length)
			if got != nil {
				t.Errorf("%x", got)
			}
			wantRV(t, err, c.want)
		})
	}
	_, err := Derive(ck.Mechanism{Type: ck.CKM_HKDF_DERIVE}, base, nil, ck.CKK_AES, 32)
	wantRV(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
	_, err = Derive(hkdfWith(ok), aesKey(t, nist128), nil, ck.CKK_AES, 32)
	wantRV(t, err, ck.CKR_KEY_TYPE_INCONSISTENT)
}

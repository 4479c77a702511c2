package mechanism

import (
	"bytes"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

func TestEncryptDataDerives(t *testing.T) {
	ecb := ck.Mechanism{Type: ck.CKM_AES_ECB_ENCRYPT_DATA, Struct: &ck.DerivationData{Data: octets(t, nistPlain)[:32]}}
	cbc := ck.Mechanism{Type: ck.CKM_AES_CBC_ENCRYPT_DATA,
		Struct: &ck.CBCEncryptDataParams{IV: [16]byte(octets(t, nistIV)), Data: octets(t, nistPlain)[:32]}}
	for _, c := range []struct {
		m       ck.Mechanism
		keyType ck.KeyType
		length  int
		want    string
	}{
		{ecb, ck.CKK_GENERIC_SECRET, 0, "3ad77bb40d7a3660a89ecaf32466ef97 f5d3d58503b9699de785895a96fdbaaf"},
		{ecb, ck.CKK_AES, 16, "3ad77bb40d7a3660a89ecaf32466ef97"},
		{ecb, ck.CKK_GENERIC_SECRET, 5, "3ad77bb40d"},
		{cbc, ck.CKK_AES, 0, "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2"},
		{cbc, ck.CKK_AES, 24, "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee"},
	} {
		got, err := Derive(c.m, aesKey(t, nist128), nil, c.keyType, c.length)
		if err != nil || !bytes.Equal(got, octets(t, c.want)) {
			t.Errorf("%v: %x, %v, want %s", c.m.Type, got, err, c.want)
		}
	}
	_, err := Derive(ecb, aesKey(t, nist128), nil, ck.CKK_GENERIC_SECRET, 33)
	wantRV(t, err, ck.CKR_DATA_LEN_RANGE)
	_, err = Derive(ecb, aesKey(t, nist128), nil, ck.CKK_AES, 20)
	wantRV(t, err, ck.CKR_ATTRIBUTE_VALUE_INVALID)
	_, err = Derive(ecb, secretOf(t, ck.CKK_GENERIC_SECRET, random(16)), nil, ck.CKK_AES, 16)
	wantRV(t, err, ck.CKR_KEY_TYPE_INCONSISTENT)
}

func TestEncryptDataParameters(t *testing.T) {
	for _, m := range []ck.Mechanism{
		{Type: ck.CKM_AES_ECB_ENCRYPT_DATA}, {Type: ck.CKM_AES_CBC_ENCRYPT_DATA},
		{Type: ck.CKM_AES_ECB_ENCRYPT_DATA, Struct: &ck.DerivationData{}},
		{Type: ck.CKM_AES_ECB_ENCRYPT_DATA, Struct: &ck.DerivationData{Data: make([]byte, 17)}},
		{Type: ck.CKM_AES_ECB_ENCRYPT_DATA, Struct: &ck.CBCEncryptDataParams{Data: make([]byte, 16)}},
		{Type: ck.CKM_AES_CBC_ENCRYPT_DATA, Struct: &ck.CBCEncryptDataParams{Data: make([]byte, 15)}},
	} {
		_, err := Derive(m, aesKey(t, nist128), nil, ck.CKK_GENERIC_SECRET, 0)
		wantRV(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
}

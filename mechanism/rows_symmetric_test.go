package mechanism

import (
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

func TestSymmetricRows(t *testing.T) {
	const (
		crypt = ck.CKF_ENCRYPT | ck.CKF_DECRYPT
		wrap  = ck.CKF_WRAP | ck.CKF_UNWRAP
		mac   = ck.CKF_SIGN | ck.CKF_VERIFY
	)
	want := map[ck.MechanismType]uint64{
		ck.CKM_AES_KEY_GEN: ck.CKF_GENERATE, ck.CKM_GENERIC_SECRET_KEY_GEN: ck.CKF_GENERATE,
		ck.CKM_AES_ECB: crypt, ck.CKM_AES_CBC: crypt, ck.CKM_AES_CBC_PAD: crypt | wrap, ck.CKM_AES_CTR: crypt,
		ck.CKM_AES_GCM:  crypt | ck.CKF_MESSAGE_ENCRYPT | ck.CKF_MESSAGE_DECRYPT,
		ck.CKM_AES_CMAC: mac, ck.CKM_AES_CMAC_GENERAL: mac,
		ck.CKM_AES_KEY_WRAP: crypt | wrap, ck.CKM_AES_KEY_WRAP_KWP: crypt | wrap, ck.CKM_AES_KEY_WRAP_PAD: crypt | wrap,
		ck.CKM_AES_ECB_ENCRYPT_DATA: ck.CKF_DERIVE, ck.CKM_AES_CBC_ENCRYPT_DATA: ck.CKF_DERIVE,
		ck.CKM_HKDF_DERIVE: ck.CKF_DERIVE, ck.CKM_HKDF_DATA: ck.CKF_DERIVE,
	}
	for _, h := range hashings {
		want[h.digest], want[h.hmac], want[h.general] = ck.CKF_DIGEST, mac, mac
	}
	for m, flags := range want {
		row, ok := Find(m)
		if !ok || row.Flags != flags {
			t.Errorf("%v has flags %#x, %v, want %#x", m, row.Flags, ok, flags)
		}
		if single := flags == crypt|wrap && m != ck.CKM_AES_CBC_PAD; row.Single != single {
			t.Errorf("%v: single-part %v", m, row.Single)
		}
		if (flags == ck.CKF_DIGEST) != (row.Keys == nil) || row.MinKeySize > row.MaxKeySize {
			t.Errorf("%v: %+v", m, row)
		}
	}
	for _, o := range symmetricOffers() {
		if _, ok := want[o.Type]; !ok {
			t.Errorf("%v is offered", o.Type)
		}
	}
}

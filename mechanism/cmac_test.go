package mechanism

import (
	"bytes"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// SP 800-38B appendix D; the first also RFC 4493.
func TestCMACKnownAnswers(t *testing.T) {
	for key, want := range map[string]map[int]string{
		nist128: {0: "bb1d6929e95937287fa37d129b756746", 16: "070a16b46b4d4144f79bdd9dd04a287c",
			40: "dfa66747de9ae63030ca32611497c827", 64: "51f0bebf7e3b9d92fc49741779363cfe"},
		nist192: {0: "d17ddf46adaacde531cac483de7a9367", 16: "9e99a7bf31e710900662f65e617c5184",
			40: "8a1de5be2eb31aad089a82e6ee908b0e", 64: "a1d5df0eed790f794d77589659f39a11"},
		nist256: {0: "028962f61b7bf89efc6b551f4667d983", 16: "28a7023f452e8f82bd4bf28d8c37c35c",
			40: "aaf3d8f1de5640c232f5b169b9c911e6", 64: "e1992190549f6ed5696a2c056c315410"},
	} {
		for n, mac := range want {
			data := octets(t, nistPlain)[:n]
			checkMAC(t, ck.Mechanism{Type: ck.CKM_AES_CMAC}, aesKey(t, key), data, octets(t, mac))
			checkMAC(t, general(ck.CKM_AES_CMAC_GENERAL, 5), aesKey(t, key), data, octets(t, mac)[:5])
		}
	}
}

func TestCMACAsOpenSSL(t *testing.T) {
	for n := range 50 {
		data := random(n)
		want := openssl(t, data, "mac", "-binary", "-cipher", "AES-256-CBC", "-macopt", "hexkey:"+nist256, "CMAC")
		checkMAC(t, ck.Mechanism{Type: ck.CKM_AES_CMAC}, aesKey(t, nist256), data, want)
	}
}

func TestCMACState(t *testing.T) {
	h, err := newCMAC(aesKey(t, nist128))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		h.Reset()
		h.Write(octets(t, nistPlain)[:30])
		h.Sum(nil) // changes nothing
		h.Write(octets(t, nistPlain)[30:40])
		if got := h.Sum([]byte{7}); !bytes.Equal(got, octets(t, "07dfa66747de9ae63030ca32611497c827")) {
			t.Errorf("%x", got)
		}
	}
}

package mechanism

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// general is a mechanism whose parameter is the length of a MAC.
func general(m ck.MechanismType, n uint64) ck.Mechanism {
	return ck.Mechanism{Type: m, Parameter: binary.LittleEndian.AppendUint64(nil, n)}
}

// checkMAC holds a MAC to a known answer, in one part and in parts, and its verification to a changed one.
func checkMAC(t *testing.T, m ck.Mechanism, k *Key, data, want []byte) {
	t.Helper()
	sign := func() Signer { return begun[Signer](t)(NewSigner(m, k)) }
	verify := func() Verifier { return begun[Verifier](t)(NewVerifier(m, k)) }
	if got, err := sign().Once(data); err != nil || !bytes.Equal(got, want) || sign().Size() != len(want) {
		t.Errorf("%v: %x, %v, want %x", m.Type, got, err, want)
	}
	signer, verifier := sign(), verify()
	for i := 0; i < len(data); i += 17 {
		part := data[i:min(i+17, len(data))]
		if signer.Update(part) != nil || verifier.Update(part) != nil {
			t.Fatal("a part was refused")
		}
	}
	if got, err := signer.Final(); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v in parts: %x, %v, want %x", m.Type, got, err, want)
	}
	if err := verifier.Final(want); err != nil {
		t.Errorf("%v in parts: %v", m.Type, err)
	}
	changed := bytes.Clone(want)
	changed[len(changed)-1] ^= 1
	wantRV(t, verify().Once(data, changed), ck.CKR_SIGNATURE_INVALID)
	wantRV(t, verify().Once(append(data, 0), want), ck.CKR_SIGNATURE_INVALID)
	wantRV(t, verify().Once(data, want[1:]), ck.CKR_SIGNATURE_LEN_RANGE)
	wantRV(t, verify().Final(append(want, 0)), ck.CKR_SIGNATURE_LEN_RANGE)
}

// RFC 2202 and RFC 4231, test case 1.
func TestHMACKnownAnswers(t *testing.T) {
	for m, want := range map[ck.MechanismType]string{
		ck.CKM_SHA_1_HMAC:  "b617318655057264e28bc0b6fb378c8ef146be00",
		ck.CKM_SHA224_HMAC: "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22",
		ck.CKM_SHA256_HMAC: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
		ck.CKM_SHA384_HMAC: "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa" +
			"9cb6",
		ck.CKM_SHA512_HMAC: "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3" +
			"f4e4be9d914eeb61f1702e696c203a126854",
	} {
		k := secretOf(t, ck.CKK_GENERIC_SECRET, bytes.Repeat([]byte{0x0b}, 20))
		checkMAC(t, ck.Mechanism{Type: m}, k, []byte("Hi There"), octets(t, want))
	}
}

func TestHMACsAsOpenSSL(t *testing.T) {
	data := random(300)
	for _, h := range hashings {
		for _, n := range []int{1, 64, 200} {
			key := random(n)
			want := openssl(t, data, "dgst", "-binary", "-"+opensslNames[h.digest], "-mac", "HMAC",
				"-macopt", "hexkey:"+hex.EncodeToString(key))
			checkMAC(t, ck.Mechanism{Type: h.hmac}, secretOf(t, h.key, key), data, want)
			checkMAC(t, general(h.general, 10), secretOf(t, ck.CKK_GENERIC_SECRET, key), data, want[:10])
		}
	}
}

// A key that is for one HMAC serves no other.
func TestHMACKeyTypes(t *testing.T) {
	k := secretOf(t, ck.CKK_SHA256_HMAC, random(32))
	for _, h := range hashings {
		_, err := NewSigner(ck.Mechanism{Type: h.hmac}, k)
		if h.key == ck.CKK_SHA256_HMAC && err != nil {
			t.Error(err)
		}
		if h.key != ck.CKK_SHA256_HMAC {
			wantRV(t, err, ck.CKR_KEY_TYPE_INCONSISTENT)
		}
	}
}

func TestMACLengths(t *testing.T) {
	k := secretOf(t, ck.CKK_GENERIC_SECRET, random(32))
	for _, m := range []ck.Mechanism{general(ck.CKM_SHA256_HMAC_GENERAL, 0), general(ck.CKM_SHA256_HMAC_GENERAL, 33),
		general(ck.CKM_SHA256_HMAC_GENERAL, 1<<63), {Type: ck.CKM_SHA256_HMAC_GENERAL}, general(ck.CKM_SHA256_HMAC, 32),
		{Type: ck.CKM_SHA256_HMAC_GENERAL, Parameter: []byte{16}}, {Type: ck.CKM_SHA256_HMAC_GENERAL, Misfit: true}} {
		_, err := NewSigner(m, k)
		wantRV(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
		_, err = NewVerifier(m, k)
		wantRV(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
}

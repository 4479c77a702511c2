package mechanism

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// opensslNames are the hash functions as the openssl command calls them.
var opensslNames = map[ck.MechanismType]string{
	ck.CKM_SHA_1: "sha1", ck.CKM_SHA224: "sha224", ck.CKM_SHA256: "sha256", ck.CKM_SHA384: "sha384",
	ck.CKM_SHA512: "sha512", ck.CKM_SHA512_224: "sha512-224", ck.CKM_SHA512_256: "sha512-256",
	ck.CKM_SHA3_224: "sha3-224", ck.CKM_SHA3_256: "sha3-256", ck.CKM_SHA3_384: "sha3-384", ck.CKM_SHA3_512: "sha3-512",
}

func digestOf(t *testing.T, m ck.MechanismType, parts ...[]byte) []byte {
	t.Helper()
	d := begun[Digest](t)(NewDigest(ck.Mechanism{Type: m}))
	for _, part := range parts {
		if err := d.Update(part); err != nil {
			t.Fatal(err)
		}
	}
	value, err := d.Final()
	if err != nil || len(value) != d.Size() {
		t.Fatalf("%d bytes of %d, %v", len(value), d.Size(), err)
	}
	return value
}

// "abc", as FIPS 180-4 and FIPS 202 have it in their examples.
func TestDigestKnownAnswers(t *testing.T) {
	for m, want := range map[ck.MechanismType]string{
		ck.CKM_SHA_1:    "a9993e364706816aba3e25717850c26c9cd0d89d",
		ck.CKM_SHA224:   "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
		ck.CKM_SHA256:   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		ck.CKM_SHA3_256: "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
	} {
		if got := hex.EncodeToString(digestOf(t, m, []byte("a"), nil, []byte("bc"))); got != want {
			t.Errorf("%v: %s, want %s", m, got, want)
		}
	}
}

func TestDigestsAsOpenSSL(t *testing.T) {
	for _, h := range hashings {
		for _, n := range []int{0, 1, 1000} {
			data := random(n)
			want := openssl(t, data, "dgst", "-binary", "-"+opensslNames[h.digest])
			if got := digestOf(t, h.digest, data); !bytes.Equal(got, want) {
				t.Errorf("%v of %d bytes: %x, want %x", h.digest, n, got, want)
			}
		}
	}
}

func TestDigestParameters(t *testing.T) {
	_, err := NewDigest(ck.Mechanism{Type: ck.CKM_SHA256, Parameter: []byte{1}})
	wantRV(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
	_, err = NewDigest(ck.Mechanism{Type: ck.CKM_SHA256_HMAC})
	wantRV(t, err, ck.CKR_MECHANISM_INVALID)
}

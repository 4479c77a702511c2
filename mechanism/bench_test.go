package mechanism

import (
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// What C_SignInit and C_Sign cost with a decoded key, besides what the layers above add.
func BenchmarkSign(b *testing.B) {
	for _, c := range []struct {
		name, kind string
		m          ck.MechanismType
	}{
		{"ecdsa-p256", "P-256", ck.CKM_ECDSA},
		{"ecdsa-p256-sha256", "P-256", ck.CKM_ECDSA_SHA256},
		{"ecdsa-p384", "P-384", ck.CKM_ECDSA},
		{"ed25519", "Ed25519", ck.CKM_EDDSA},
		{"rsa2048", "RSA-2048", ck.CKM_RSA_PKCS},
		{"rsa2048-raw", "RSA-2048", ck.CKM_RSA_X_509},
		{"ml-dsa-65", "ML-DSA-65", ck.CKM_ML_DSA},
	} {
		b.Run(c.name, func(b *testing.B) {
			pair, digest := sharedPair(b, c.kind), random(32)
			b.ReportAllocs()
			for b.Loop() {
				sign(b, ck.Mechanism{Type: c.m}, pair.private, digest)
			}
		})
	}
}

// What the layers of this package cost by themselves.
func BenchmarkNewSigner(b *testing.B) {
	pair := sharedPair(b, "P-256")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewSigner(ck.Mechanism{Type: ck.CKM_ECDSA}, pair.private); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, kind := range kinds() {
		b.Run(kind, func(b *testing.B) {
			pair := sharedPair(b, kind)
			for b.Loop() {
				parsed(b, ck.CKO_PRIVATE_KEY, pair.keyType, pair.privateValues)
			}
		})
	}
}

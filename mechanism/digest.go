package mechanism

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"hash"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// hashing is a hash function and the mechanisms that are made of it.
type hashing struct {
	digest, hmac, general ck.MechanismType
	key                   ck.KeyType // of keys that are for its HMAC alone; CKK_GENERIC_SECRET where there is no such type
	hash                  func() hash.Hash
}

// hashings are the hash functions. SHA-1 is there for HMAC, and for clients that still name their keys by it.
var hashings = []hashing{
	{ck.CKM_SHA_1, ck.CKM_SHA_1_HMAC, ck.CKM_SHA_1_HMAC_GENERAL, ck.CKK_SHA_1_HMAC, sha1.New},
	{ck.CKM_SHA224, ck.CKM_SHA224_HMAC, ck.CKM_SHA224_HMAC_GENERAL, ck.CKK_SHA224_HMAC, sha256.New224},
	{ck.CKM_SHA256, ck.CKM_SHA256_HMAC, ck.CKM_SHA256_HMAC_GENERAL, ck.CKK_SHA256_HMAC, sha256.New},
	{ck.CKM_SHA384, ck.CKM_SHA384_HMAC, ck.CKM_SHA384_HMAC_GENERAL, ck.CKK_SHA384_HMAC, sha512.New384},
	{ck.CKM_SHA512, ck.CKM_SHA512_HMAC, ck.CKM_SHA512_HMAC_GENERAL, ck.CKK_SHA512_HMAC, sha512.New},
	{ck.CKM_SHA512_224, ck.CKM_SHA512_224_HMAC, ck.CKM_SHA512_224_HMAC_GENERAL, ck.CKK_GENERIC_SECRET, sha512.New512_224},
	{ck.CKM_SHA512_256, ck.CKM_SHA512_256_HMAC, ck.CKM_SHA512_256_HMAC_GENERAL, ck.CKK_GENERIC_SECRET, sha512.New512_256},
	{ck.CKM_SHA3_224, ck.CKM_SHA3_224_HMAC, ck.CKM_SHA3_224_HMAC_GENERAL, ck.CKK_GENERIC_SECRET, sha3Hash(sha3.New224)},
	{ck.CKM_SHA3_256, ck.CKM_SHA3_256_HMAC, ck.CKM_SHA3_256_HMAC_GENERAL, ck.CKK_GENERIC_SECRET, sha3Hash(sha3.New256)},
	{ck.CKM_SHA3_384, ck.CKM_SHA3_384_HMAC, ck.CKM_SHA3_384_HMAC_GENERAL, ck.CKK_GENERIC_SECRET, sha3Hash(sha3.New384)},
	{ck.CKM_SHA3_512, ck.CKM_SHA3_512_HMAC, ck.CKM_SHA3_512_HMAC_GENERAL, ck.CKK_GENERIC_SECRET, sha3Hash(sha3.New512)},
}

func sha3Hash(sha3 func() *sha3.SHA3) func() hash.Hash { return func() hash.Hash { return sha3() } }

// newHash is the hash function of a digest mechanism, nil if it is none.
func newHash(m ck.MechanismType) func() hash.Hash {
	for _, h := range hashings {
		if h.digest == m {
			return h.hash
		}
	}
	return nil
}

func digestOffer(h hashing) offer {
	return offer{Row: Row{Type: h.digest}, digest: func(m ck.Mechanism) (Digest, error) {
		if err := parameterless(m); err != nil {
			return nil, err
		}
		return &digest{h.hash()}, nil
	}}
}

// digest is a Digest. Nothing in it can fail.
type digest struct{ hash hash.Hash }

func (d *digest) Size() int { return d.hash.Size() }

func (d *digest) Update(part []byte) error {
	d.hash.Write(part)
	return nil
}

func (d *digest) Final() ([]byte, error) { return d.hash.Sum(nil), nil }

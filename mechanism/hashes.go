package mechanism

import (
	"crypto"
	_ "crypto/sha1" // SHA-1 stays where clients need it: RSA, ECDSA, OAEP, HMAC
	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"fmt"
	"hash"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// hashName is a hash function under all the numbers that PKCS#11 has for it.
type hashName struct {
	hash                    crypto.Hash
	digest, rsa, pss, ecdsa ck.MechanismType // alone, and with a signature
	mgf                     uint64           // CKG_MGF1_*
	kdf                     uint64           // CKD_*_KDF
}

var hashNames = []hashName{
	{crypto.SHA1, ck.CKM_SHA_1, ck.CKM_SHA1_RSA_PKCS, ck.CKM_SHA1_RSA_PKCS_PSS, ck.CKM_ECDSA_SHA1,
		ck.CKG_MGF1_SHA1, ck.CKD_SHA1_KDF},
	{crypto.SHA224, ck.CKM_SHA224, ck.CKM_SHA224_RSA_PKCS, ck.CKM_SHA224_RSA_PKCS_PSS, ck.CKM_ECDSA_SHA224,
		ck.CKG_MGF1_SHA224, ck.CKD_SHA224_KDF},
	{crypto.SHA256, ck.CKM_SHA256, ck.CKM_SHA256_RSA_PKCS, ck.CKM_SHA256_RSA_PKCS_PSS, ck.CKM_ECDSA_SHA256,
		ck.CKG_MGF1_SHA256, ck.CKD_SHA256_KDF},
	{crypto.SHA384, ck.CKM_SHA384, ck.CKM_SHA384_RSA_PKCS, ck.CKM_SHA384_RSA_PKCS_PSS, ck.CKM_ECDSA_SHA384,
		ck.CKG_MGF1_SHA384, ck.CKD_SHA384_KDF},
	{crypto.SHA512, ck.CKM_SHA512, ck.CKM_SHA512_RSA_PKCS, ck.CKM_SHA512_RSA_PKCS_PSS, ck.CKM_ECDSA_SHA512,
		ck.CKG_MGF1_SHA512, ck.CKD_SHA512_KDF},
	{crypto.SHA3_224, ck.CKM_SHA3_224, ck.CKM_SHA3_224_RSA_PKCS, ck.CKM_SHA3_224_RSA_PKCS_PSS, ck.CKM_ECDSA_SHA3_224,
		ck.CKG_MGF1_SHA3_224, ck.CKD_SHA3_224_KDF},
	{crypto.SHA3_256, ck.CKM_SHA3_256, ck.CKM_SHA3_256_RSA_PKCS, ck.CKM_SHA3_256_RSA_PKCS_PSS, ck.CKM_ECDSA_SHA3_256,
		ck.CKG_MGF1_SHA3_256, ck.CKD_SHA3_256_KDF},
	{crypto.SHA3_384, ck.CKM_SHA3_384, ck.CKM_SHA3_384_RSA_PKCS, ck.CKM_SHA3_384_RSA_PKCS_PSS, ck.CKM_ECDSA_SHA3_384,
		ck.CKG_MGF1_SHA3_384, ck.CKD_SHA3_384_KDF},
	{crypto.SHA3_512, ck.CKM_SHA3_512, ck.CKM_SHA3_512_RSA_PKCS, ck.CKM_SHA3_512_RSA_PKCS_PSS, ck.CKM_ECDSA_SHA3_512,
		ck.CKG_MGF1_SHA3_512, ck.CKD_SHA3_512_KDF},
}

// findHash is the first hash that the question is true of; 0 if there is none.
func findHash(is func(hashName) bool) crypto.Hash {
	for _, name := range hashNames {
		if is(name) {
			return name.hash
		}
	}
	return 0
}

// hashOf is the hash of a digest mechanism.
func hashOf(m ck.MechanismType) (crypto.Hash, bool) {
	h := findHash(func(n hashName) bool { return n.digest == m })
	return h, h != 0
}

// mgfHash is the hash of a CKG_MGF1_*.
func mgfHash(mgf uint64) (crypto.Hash, bool) {
	h := findHash(func(n hashName) bool { return n.mgf == mgf })
	return h, h != 0
}

// prehash is the hash that a mechanism of signatures applies to its data; 0 for one that takes a digest.
func prehash(m ck.MechanismType) crypto.Hash {
	return findHash(func(n hashName) bool { return m == n.rsa || m == n.pss || m == n.ecdsa })
}

// errMultiPart is what the single-part mechanisms answer to Update and Final.
var errMultiPart = fmt.Errorf("%w: the mechanism takes its data in one part", ck.CKR_FUNCTION_NOT_SUPPORTED)

// hashed makes a Signer of a function that signs a digest: data in any number of parts.
type hashed struct {
	hash.Hash
	size int
	sign func(digest []byte) ([]byte, error)
}

func (s *hashed) Size() int { return s.size }

func (s *hashed) Update(part []byte) error {
	s.Write(part)
	return nil
}

func (s *hashed) Final() ([]byte, error) { return s.sign(s.Sum(nil)) }

func (s *hashed) Once(data []byte) ([]byte, error) {
	s.Write(data)
	return s.Final()
}

// hashedCheck makes a Verifier of a function that verifies the signature of a digest.
type hashedCheck struct {
	hash.Hash
	size   int
	verify func(digest, signature []byte) error
}

func (v *hashedCheck) Size() int { return v.size }

func (v *hashedCheck) Update(part []byte) error {
	v.Write(part)
	return nil
}

func (v *hashedCheck) Final(signature []byte) error { return v.verify(v.Sum(nil), signature) }

func (v *hashedCheck) Once(data, signature []byte) error {
	v.Write(data)
	return v.Final(signature)
}

// whole makes a Signer of a function that signs data that come in one part.
type whole struct {
	size int
	sign func(data []byte) ([]byte, error)
}

func (s *whole) Size() int                        { return s.size }
func (s *whole) Update([]byte) error              { return errMultiPart }
func (s *whole) Final() ([]byte, error)           { return nil, errMultiPart }
func (s *whole) Once(data []byte) ([]byte, error) { return s.sign(data) }

// wholeCheck makes a Verifier of a function that verifies data that come in one part.
type wholeCheck struct {
	size   int
	verify func(data, signature []byte) error
}

func (v *wholeCheck) Size() int                         { return v.size }
func (v *wholeCheck) Update([]byte) error               { return errMultiPart }
func (v *wholeCheck) Final([]byte) error                { return errMultiPart }
func (v *wholeCheck) Once(data, signature []byte) error { return v.verify(data, signature) }

// signer is a Signer of either kind.
func signer(h crypto.Hash, size int, sign func(data []byte) ([]byte, error)) Signer {
	if h == 0 {
		return &whole{size, sign}
	}
	return &hashed{h.New(), size, sign}
}

// verifier is a Verifier of either kind, for signatures of size bytes.
func verifier(h crypto.Hash, size int, verify func(data, signature []byte) bool) Verifier {
	check := func(data, signature []byte) error {
		switch {
		case len(signature) != size:
			return fmt.Errorf("%w: %d bytes, not %d", ck.CKR_SIGNATURE_LEN_RANGE, len(signature), size)
		case !verify(data, signature):
			return fmt.Errorf("%w: not a signature of these data by this key", ck.CKR_SIGNATURE_INVALID)
		}
		return nil
	}
	if h == 0 {
		return &wholeCheck{size, check}
	}
	return &hashedCheck{h.New(), size, check}
}

// single makes a Transform of a function that takes its data in one part.
type single struct {
	size int // most bytes that come out
	held int // bytes of its parameter
	do   func(data []byte) ([]byte, error)
}

func (s *single) Once(data []byte) ([]byte, error) { return s.do(data) }
func (s *single) Update([]byte) ([]byte, error)    { return nil, errMultiPart }
func (s *single) Final() ([]byte, error)           { return nil, errMultiPart }
func (s *single) OnceBound(int) int                { return s.size }
func (s *single) UpdateBound(int) int              { return 0 }
func (s *single) FinalBound() int                  { return 0 }
func (s *single) Held(int) int                     { return s.held }

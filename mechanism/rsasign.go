package mechanism

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// newPKCSSigner is for CKM_RSA_PKCS, whose data are the DigestInfo, and for CKM_SHAx_RSA_PKCS.
func newPKCSSigner(m ck.Mechanism, k *Key) (Signer, error) {
	if err := parameterless(m); err != nil {
		return nil, err
	}
	h, private := prehash(m.Type), rsaPrivateKey(k)
	return signer(h, private.Size(), func(data []byte) ([]byte, error) {
		signature, err := rsa.SignPKCS1v15(nil, private, h, data)
		if err != nil {
			return nil, tooLong(err, private.Size())
		}
		return signature, nil
	}), nil
}

// tooLong is the error of a function of crypto/rsa for data that did not fit.
func tooLong(err error, size int) error {
	if err == rsa.ErrMessageTooLong {
		return fmt.Errorf("%w: too much for a key of %d bytes", ck.CKR_DATA_LEN_RANGE, size)
	}
	return fmt.Errorf("%w: %v", ck.CKR_FUNCTION_FAILED, err)
}

func newPKCSVerifier(m ck.Mechanism, k *Key) (Verifier, error) {
	if err := parameterless(m); err != nil {
		return nil, err
	}
	h, public := prehash(m.Type), rsaPublicKey(k)
	return verifier(h, public.Size(), func(data, signature []byte) bool {
		return rsa.VerifyPKCS1v15(public, h, data, signature) == nil
	}), nil
}

// pssOptions reads CK_RSA_PKCS_PSS_PARAMS. The mask is made with the hash of the data, as Go has it. A salt of no
// bytes is refused because Go takes that for "any".
func pssOptions(m ck.Mechanism, public *rsa.PublicKey) (crypto.Hash, *rsa.PSSOptions, error) {
	p, err := parameter[ck.PSSParams](m)
	if err != nil {
		return 0, nil, err
	}
	h, known := hashOf(ck.MechanismType(p.Hash))
	mask, maskKnown := mgfHash(p.MGF)
	fixed := prehash(m.Type)
	if !known || !maskKnown || mask != h || (fixed != 0 && fixed != h) {
		return 0, nil, fmt.Errorf("%w: hash and mask of PSS are not the same known one", ck.CKR_MECHANISM_PARAM_INVALID)
	}
	room := (public.N.BitLen()+6)/8 - h.Size() - 2 // RFC 8017, 9.1.1: emLen >= hLen + sLen + 2
	if p.SaltLen == 0 || room < 0 || p.SaltLen > uint64(room) {
		return 0, nil, fmt.Errorf("%w: a PSS salt of %d bytes; 1 to %d fit", ck.CKR_MECHANISM_PARAM_INVALID,
			p.SaltLen, room)
	}
	return h, &rsa.PSSOptions{SaltLength: int(p.SaltLen), Hash: h}, nil
}

// newPSSSigner is for CKM_RSA_PKCS_PSS, whose data are the digest, and for CKM_SHAx_RSA_PKCS_PSS.
func newPSSSigner(m ck.Mechanism, k *Key) (Signer, error) {
	private := rsaPrivateKey(k)
	h, options, err := pssOptions(m, &private.PublicKey)
	if err != nil {
		return nil, err
	}
	return signer(prehash(m.Type), private.Size(), func(digest []byte) ([]byte, error) {
		if len(digest) != h.Size() {
			return nil, fmt.Errorf("%w: a digest of %d bytes, not %d", ck.CKR_DATA_LEN_RANGE, len(digest), h.Size())
		}
		signature, err := rsa.SignPSS(rand.Reader, private, h, digest, options)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ck.CKR_FUNCTION_FAILED, err)
		}
		return signature, nil
	}), nil
}

func newPSSVerifier(m ck.Mechanism, k *Key) (Verifier, error) {
	public := rsaPublicKey(k)
	h, options, err := pssOptions(m, public)
	if err != nil {
		return nil, err
	}
	return verifier(prehash(m.Type), public.Size(), func(digest, signature []byte) bool {
		return len(digest) == h.Size() && rsa.VerifyPSS(public, h, digest, signature, options) == nil
	}), nil
}

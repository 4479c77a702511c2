package mechanism

import (
	"crypto/hkdf"
	"fmt"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// hkdfOffers are HKDF (RFC 5869) that gives a key, and the same that gives a data object.
func hkdfOffers() []offer {
	row := Row{Type: ck.CKM_HKDF_DERIVE, MinKeySize: 1, MaxKeySize: maxSecret}
	row.Keys = []ck.KeyType{ck.CKK_HKDF, ck.CKK_GENERIC_SECRET}
	data := row
	data.Type = ck.CKM_HKDF_DATA
	return []offer{{Row: row, derive: deriveHKDF}, {Row: data, derive: deriveHKDFData}}
}

func deriveHKDF(m ck.Mechanism, base, salt *Key, keyType ck.KeyType, length int) ([]byte, error) {
	secret, err := deriveHKDFData(m, base, salt, keyType, length)
	if err != nil {
		return nil, err
	}
	return orNil(secret, checkLength(keyType, uint64(len(secret))))
}

// deriveHKDFData extracts, expands, or does both. What only extracts gives the length of the hash, and length has to be
// that or 0; what expands takes its length from the template.
func deriveHKDFData(m ck.Mechanism, base, salt *Key, _ ck.KeyType, length int) ([]byte, error) {
	p, err := parameter[ck.HKDFParams](m)
	if err != nil {
		return nil, err
	}
	h := newHash(ck.MechanismType(p.Hash))
	if h == nil || !p.Extract && !p.Expand {
		return nil, fmt.Errorf("%w: %s has no hash or nothing to do", ck.CKR_MECHANISM_PARAM_INVALID, m.Type)
	}
	if err := checkHKDFLength(p, h().Size(), length); err != nil {
		return nil, err
	}
	if !p.Extract {
		return hkdf.Expand(h, base.secret, string(p.Info), length)
	}
	with, err := hkdfSalt(p, salt)
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Extract(h, base.secret, with)
	if err != nil || !p.Expand {
		return key, err
	}
	defer clear(key)
	return hkdf.Expand(h, key, string(p.Info), length)
}

// checkHKDFLength holds the length of what is derived to what a hash of size bytes can give.
func checkHKDFLength(p *ck.HKDFParams, size, length int) error {
	switch {
	case !p.Expand && length != 0 && length != size:
		return fmt.Errorf("%w: extraction gives %d bytes, not %d", ck.CKR_TEMPLATE_INCONSISTENT, size, length)
	case p.Expand && length == 0:
		return fmt.Errorf("%w: expansion needs CKA_VALUE_LEN", ck.CKR_TEMPLATE_INCOMPLETE)
	case length < 0 || length > 255*size:
		return fmt.Errorf("%w: expansion gives at most %d bytes, not %d", ck.CKR_ATTRIBUTE_VALUE_INVALID, 255*size, length)
	}
	return nil
}

// hkdfSalt is the salt of an extraction; nil is as many zeros as the hash is long.
func hkdfSalt(p *ck.HKDFParams, salt *Key) ([]byte, error) {
	switch {
	case p.SaltType == ck.CKF_HKDF_SALT_NULL:
		return nil, nil
	case p.SaltType == ck.CKF_HKDF_SALT_DATA:
		return p.Salt, nil
	case p.SaltType == ck.CKF_HKDF_SALT_KEY && salt != nil && salt.class == ck.CKO_SECRET_KEY:
		return salt.secret, nil
	}
	return nil, fmt.Errorf("%w: a salt of kind %d is missing or not offered", ck.CKR_MECHANISM_PARAM_INVALID, p.SaltType)
}

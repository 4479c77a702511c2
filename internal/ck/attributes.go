package ck

import (
	"fmt"
	"sync"
)

// Attributes.
const (
	CKA_CLASS                      AttributeType = 0x00
	CKA_TOKEN                      AttributeType = 0x01
	CKA_PRIVATE                    AttributeType = 0x02
	CKA_LABEL                      AttributeType = 0x03
	CKA_UNIQUE_ID                  AttributeType = 0x04
	CKA_APPLICATION                AttributeType = 0x10
	CKA_VALUE                      AttributeType = 0x11
	CKA_OBJECT_ID                  AttributeType = 0x12
	CKA_CERTIFICATE_TYPE           AttributeType = 0x80
	CKA_ISSUER                     AttributeType = 0x81
	CKA_SERIAL_NUMBER              AttributeType = 0x82
	CKA_AC_ISSUER                  AttributeType = 0x83
	CKA_OWNER                      AttributeType = 0x84
	CKA_ATTR_TYPES                 AttributeType = 0x85
	CKA_TRUSTED                    AttributeType = 0x86
	CKA_CERTIFICATE_CATEGORY       AttributeType = 0x87
	CKA_JAVA_MIDP_SECURITY_DOMAIN  AttributeType = 0x88
	CKA_URL                        AttributeType = 0x89
	CKA_HASH_OF_SUBJECT_PUBLIC_KEY AttributeType = 0x8a
	CKA_HASH_OF_ISSUER_PUBLIC_KEY  AttributeType = 0x8b
	CKA_NAME_HASH_ALGORITHM        AttributeType = 0x8c
	CKA_CHECK_VALUE                AttributeType = 0x90
	CKA_KEY_TYPE                   AttributeType = 0x100
	CKA_SUBJECT                    AttributeType = 0x101
	CKA_ID                         AttributeType = 0x102
	CKA_SENSITIVE                  AttributeType = 0x103
	CKA_ENCRYPT                    AttributeType = 0x104
	CKA_DECRYPT                    AttributeType = 0x105
	CKA_WRAP                       AttributeType = 0x106
	CKA_UNWRAP                     AttributeType = 0x107
	CKA_SIGN                       AttributeType = 0x108
	CKA_SIGN_RECOVER               AttributeType = 0x109
	CKA_VERIFY                     AttributeType = 0x10a
	CKA_VERIFY_RECOVER             AttributeType = 0x10b
	CKA_DERIVE                     AttributeType = 0x10c
	CKA_START_DATE                 AttributeType = 0x110
	CKA_END_DATE                   AttributeType = 0x111
	CKA_MODULUS                    AttributeType = 0x120
	CKA_MODULUS_BITS               AttributeType = 0x121
	CKA_PUBLIC_EXPONENT            AttributeType = 0x122
	CKA_PRIVATE_EXPONENT           AttributeType = 0x123
	CKA_PRIME_1                    AttributeType = 0x124
	CKA_PRIME_2                    AttributeType = 0x125
	CKA_EXPONENT_1                 AttributeType = 0x126
	CKA_EXPONENT_2                 AttributeType = 0x127
	CKA_COEFFICIENT                AttributeType = 0x128
	CKA_PUBLIC_KEY_INFO            AttributeType = 0x129
	CKA_PRIME                      AttributeType = 0x130
	CKA_SUBPRIME                   AttributeType = 0x131
	CKA_BASE                       AttributeType = 0x132
	CKA_PRIME_BITS                 AttributeType = 0x133
	CKA_SUBPRIME_BITS              AttributeType = 0x134
	CKA_VALUE_BITS                 AttributeType = 0x160
	CKA_VALUE_LEN                  AttributeType = 0x161
	CKA_EXTRACTABLE                AttributeType = 0x162
	CKA_LOCAL                      AttributeType = 0x163
	CKA_NEVER_EXTRACTABLE          AttributeType = 0x164
	CKA_ALWAYS_SENSITIVE           AttributeType = 0x165
	CKA_KEY_GEN_MECHANISM          AttributeType = 0x166
	CKA_MODIFIABLE                 AttributeType = 0x170
	CKA_COPYABLE                   AttributeType = 0x171
	CKA_DESTROYABLE                AttributeType = 0x172
	CKA_EC_PARAMS                  AttributeType = 0x180
	CKA_EC_POINT                   AttributeType = 0x181
	CKA_ALWAYS_AUTHENTICATE        AttributeType = 0x202
	CKA_WRAP_WITH_TRUSTED          AttributeType = 0x210
	CKA_HW_FEATURE_TYPE            AttributeType = 0x300
	CKA_RESET_ON_INIT              AttributeType = 0x301
	CKA_HAS_RESET                  AttributeType = 0x302
	CKA_PROFILE_ID                 AttributeType = 0x601
	CKA_HSS_LEVELS                 AttributeType = 0x617
	CKA_HSS_LMS_TYPE               AttributeType = 0x618
	CKA_HSS_LMOTS_TYPE             AttributeType = 0x619
	CKA_HSS_LMS_TYPES              AttributeType = 0x61a
	CKA_HSS_LMOTS_TYPES            AttributeType = 0x61b
	CKA_HSS_KEYS_REMAINING         AttributeType = 0x61c
	CKA_PARAMETER_SET              AttributeType = 0x61d
	CKA_OBJECT_VALIDATION_FLAGS    AttributeType = 0x61e
	CKA_ENCAPSULATE                AttributeType = 0x633
	CKA_DECAPSULATE                AttributeType = 0x634
	CKA_PUBLIC_CRC64_VALUE         AttributeType = 0x636
	CKA_SEED                       AttributeType = 0x637
	CKA_WRAP_TEMPLATE              AttributeType = 0x40000211
	CKA_UNWRAP_TEMPLATE            AttributeType = 0x40000212
	CKA_DERIVE_TEMPLATE            AttributeType = 0x40000213
	CKA_ALLOWED_MECHANISMS         AttributeType = 0x40000600
	CKA_ENCAPSULATE_TEMPLATE       AttributeType = 0x4000062a
	CKA_DECAPSULATE_TEMPLATE       AttributeType = 0x4000062b
	CKA_VENDOR_DEFINED             AttributeType = 0x80000000

	// CKA_ONCELEAF_TRANSFERABLE (CK_BBOOL) in the private template of CKM_HSS_KEY_PAIR_GEN allows leaves of the key to
	// be given to another token. It cannot be changed later.
	CKA_ONCELEAF_TRANSFERABLE AttributeType = VENDOR | 0x0101
	// CKA_ONCELEAF_RECEIPT (bytes, read-only) of an HSS private key is the receipt of its last import, or empty.
	CKA_ONCELEAF_RECEIPT AttributeType = VENDOR | 0x0102
	// CKA_ONCELEAF_STATE (JSON text, read-only) of an HSS private key is its ledger, read at the moment of the call.
	CKA_ONCELEAF_STATE AttributeType = VENDOR | 0x0103
	// CKA_ONCELEAF_FINGERPRINT (text, read-only) of a transfer request is what two people compare.
	CKA_ONCELEAF_FINGERPRINT AttributeType = VENDOR | 0x0104
	// CKA_ONCELEAF_RESERVE (CK_ULONG) in the private template of CKM_HSS_KEY_PAIR_GEN and CKM_ONCELEAF_PARTITION is the
	// number of message leaves that one durable write takes, 0 for lower trees in memory. It cannot be changed later.
	CKA_ONCELEAF_RESERVE AttributeType = VENDOR | 0x0105
	// CKA_ONCELEAF_WARN_BELOW (CK_ULONG) of an HSS private key is the share of its signatures, in percent, below which it
	// counts as low; 0 for never.
	CKA_ONCELEAF_WARN_BELOW AttributeType = VENDOR | 0x0106
	// CKA_ONCELEAF_LOW (CK_BBOOL, read-only) of an HSS private key says that it is below that share at this moment.
	CKA_ONCELEAF_LOW AttributeType = VENDOR | 0x0107
)

// Kind is the form of an attribute's value.
type Kind int

// Forms of attribute values.
const (
	KindBytes    Kind = iota // octets without a form of their own
	KindBool                 // CK_BBOOL, one octet 0 or 1
	KindUlong                // CK_ULONG
	KindUlongs               // array of CK_ULONG
	KindText                 // UTF-8
	KindDate                 // CK_DATE, eight digits YYYYMMDD or empty
	KindTemplate             // array of CK_ATTRIBUTE
)

// String is the attribute's standard name.
func (a AttributeType) String() string {
	if row, ok := attributes[a]; ok {
		return row.name
	}
	return unnamed("CKA", uint64(a))
}

// Kind is the form of the attribute's value; ok is false for attributes that this package does not know.
func (a AttributeType) Kind() (kind Kind, ok bool) {
	row, ok := attributes[a]
	return row.kind, ok
}

// MarshalText writes the attribute as its standard name, for JSON records.
func (a AttributeType) MarshalText() ([]byte, error) {
	row, ok := attributes[a]
	if !ok {
		return nil, fmt.Errorf("couldn't name attribute 0x%08X", uint64(a))
	}
	return []byte(row.name), nil
}

// UnmarshalText is the reverse of MarshalText.
func (a *AttributeType) UnmarshalText(name []byte) error {
	attribute, ok := attributesByName()[string(name)]
	if !ok {
		return fmt.Errorf("unknown attribute name %q", name)
	}
	*a = attribute
	return nil
}

var attributesByName = sync.OnceValue(func() map[string]AttributeType {
	byName := make(map[string]AttributeType, len(attributes))
	for attribute, row := range attributes {
		byName[row.name] = attribute
	}
	return byName
})

type attributeRow struct {
	name string
	kind Kind
}

var attributes = map[AttributeType]attributeRow{
	CKA_CLASS:                      {"CKA_CLASS", KindUlong},
	CKA_TOKEN:                      {"CKA_TOKEN", KindBool},
	CKA_PRIVATE:                    {"CKA_PRIVATE", KindBool},
	CKA_LABEL:                      {"CKA_LABEL", KindText},
	CKA_UNIQUE_ID:                  {"CKA_UNIQUE_ID", KindText},
	CKA_APPLICATION:                {"CKA_APPLICATION", KindText},
	CKA_VALUE:                      {"CKA_VALUE", KindBytes},
	CKA_OBJECT_ID:                  {"CKA_OBJECT_ID", KindBytes},
	CKA_CERTIFICATE_TYPE:           {"CKA_CERTIFICATE_TYPE", KindUlong},
	CKA_ISSUER:                     {"CKA_ISSUER", KindBytes},
	CKA_SERIAL_NUMBER:              {"CKA_SERIAL_NUMBER", KindBytes},
	CKA_AC_ISSUER:                  {"CKA_AC_ISSUER", KindBytes},
	CKA_OWNER:                      {"CKA_OWNER", KindBytes},
	CKA_ATTR_TYPES:                 {"CKA_ATTR_TYPES", KindBytes},
	CKA_TRUSTED:                    {"CKA_TRUSTED", KindBool},
	CKA_CERTIFICATE_CATEGORY:       {"CKA_CERTIFICATE_CATEGORY", KindUlong},
	CKA_JAVA_MIDP_SECURITY_DOMAIN:  {"CKA_JAVA_MIDP_SECURITY_DOMAIN", KindUlong},
	CKA_URL:                        {"CKA_URL", KindText},
	CKA_HASH_OF_SUBJECT_PUBLIC_KEY: {"CKA_HASH_OF_SUBJECT_PUBLIC_KEY", KindBytes},
	CKA_HASH_OF_ISSUER_PUBLIC_KEY:  {"CKA_HASH_OF_ISSUER_PUBLIC_KEY", KindBytes},
	CKA_NAME_HASH_ALGORITHM:        {"CKA_NAME_HASH_ALGORITHM", KindUlong},
	CKA_CHECK_VALUE:                {"CKA_CHECK_VALUE", KindBytes},
	CKA_KEY_TYPE:                   {"CKA_KEY_TYPE", KindUlong},
	CKA_SUBJECT:                    {"CKA_SUBJECT", KindBytes},
	CKA_ID:                         {"CKA_ID", KindBytes},
	CKA_SENSITIVE:                  {"CKA_SENSITIVE", KindBool},
	CKA_ENCRYPT:                    {"CKA_ENCRYPT", KindBool},
	CKA_DECRYPT:                    {"CKA_DECRYPT", KindBool},
	CKA_WRAP:                       {"CKA_WRAP", KindBool},
	CKA_UNWRAP:                     {"CKA_UNWRAP", KindBool},
	CKA_SIGN:                       {"CKA_SIGN", KindBool},
	CKA_SIGN_RECOVER:               {"CKA_SIGN_RECOVER", KindBool},
	CKA_VERIFY:                     {"CKA_VERIFY", KindBool},
	CKA_VERIFY_RECOVER:             {"CKA_VERIFY_RECOVER", KindBool},
	CKA_DERIVE:                     {"CKA_DERIVE", KindBool},
	CKA_START_DATE:                 {"CKA_START_DATE", KindDate},
	CKA_END_DATE:                   {"CKA_END_DATE", KindDate},
	CKA_MODULUS:                    {"CKA_MODULUS", KindBytes},
	CKA_MODULUS_BITS:               {"CKA_MODULUS_BITS", KindUlong},
	CKA_PUBLIC_EXPONENT:            {"CKA_PUBLIC_EXPONENT", KindBytes},
	CKA_PRIVATE_EXPONENT:           {"CKA_PRIVATE_EXPONENT", KindBytes},
	CKA_PRIME_1:                    {"CKA_PRIME_1", KindBytes},
	CKA_PRIME_2:                    {"CKA_PRIME_2", KindBytes},
	CKA_EXPONENT_1:                 {"CKA_EXPONENT_1", KindBytes},
	CKA_EXPONENT_2:                 {"CKA_EXPONENT_2", KindBytes},
	CKA_COEFFICIENT:                {"CKA_COEFFICIENT", KindBytes},
	CKA_PUBLIC_KEY_INFO:            {"CKA_PUBLIC_KEY_INFO", KindBytes},
	CKA_PRIME:                      {"CKA_PRIME", KindBytes},
	CKA_SUBPRIME:                   {"CKA_SUBPRIME", KindBytes},
	CKA_BASE:                       {"CKA_BASE", KindBytes},
	CKA_PRIME_BITS:                 {"CKA_PRIME_BITS", KindUlong},
	CKA_SUBPRIME_BITS:              {"CKA_SUBPRIME_BITS", KindUlong},
	CKA_VALUE_BITS:                 {"CKA_VALUE_BITS", KindUlong},
	CKA_VALUE_LEN:                  {"CKA_VALUE_LEN", KindUlong},
	CKA_EXTRACTABLE:                {"CKA_EXTRACTABLE", KindBool},
	CKA_LOCAL:                      {"CKA_LOCAL", KindBool},
	CKA_NEVER_EXTRACTABLE:          {"CKA_NEVER_EXTRACTABLE", KindBool},
	CKA_ALWAYS_SENSITIVE:           {"CKA_ALWAYS_SENSITIVE", KindBool},
	CKA_KEY_GEN_MECHANISM:          {"CKA_KEY_GEN_MECHANISM", KindUlong},
	CKA_MODIFIABLE:                 {"CKA_MODIFIABLE", KindBool},
	CKA_COPYABLE:                   {"CKA_COPYABLE", KindBool},
	CKA_DESTROYABLE:                {"CKA_DESTROYABLE", KindBool},
	CKA_EC_PARAMS:                  {"CKA_EC_PARAMS", KindBytes},
	CKA_EC_POINT:                   {"CKA_EC_POINT", KindBytes},
	CKA_ALWAYS_AUTHENTICATE:        {"CKA_ALWAYS_AUTHENTICATE", KindBool},
	CKA_WRAP_WITH_TRUSTED:          {"CKA_WRAP_WITH_TRUSTED", KindBool},
	CKA_HW_FEATURE_TYPE:            {"CKA_HW_FEATURE_TYPE", KindUlong},
	CKA_RESET_ON_INIT:              {"CKA_RESET_ON_INIT", KindBool},
	CKA_HAS_RESET:                  {"CKA_HAS_RESET", KindBool},
	CKA_PROFILE_ID:                 {"CKA_PROFILE_ID", KindUlong},
	CKA_HSS_LEVELS:                 {"CKA_HSS_LEVELS", KindUlong},
	CKA_HSS_LMS_TYPE:               {"CKA_HSS_LMS_TYPE", KindUlong},
	CKA_HSS_LMOTS_TYPE:             {"CKA_HSS_LMOTS_TYPE", KindUlong},
	CKA_HSS_LMS_TYPES:              {"CKA_HSS_LMS_TYPES", KindUlongs},
	CKA_HSS_LMOTS_TYPES:            {"CKA_HSS_LMOTS_TYPES", KindUlongs},
	CKA_HSS_KEYS_REMAINING:         {"CKA_HSS_KEYS_REMAINING", KindUlong},
	CKA_PARAMETER_SET:              {"CKA_PARAMETER_SET", KindUlong},
	CKA_OBJECT_VALIDATION_FLAGS:    {"CKA_OBJECT_VALIDATION_FLAGS", KindUlong},
	CKA_ENCAPSULATE:                {"CKA_ENCAPSULATE", KindBool},
	CKA_DECAPSULATE:                {"CKA_DECAPSULATE", KindBool},
	CKA_PUBLIC_CRC64_VALUE:         {"CKA_PUBLIC_CRC64_VALUE", KindBytes},
	CKA_SEED:                       {"CKA_SEED", KindBytes},
	CKA_WRAP_TEMPLATE:              {"CKA_WRAP_TEMPLATE", KindTemplate},
	CKA_UNWRAP_TEMPLATE:            {"CKA_UNWRAP_TEMPLATE", KindTemplate},
	CKA_DERIVE_TEMPLATE:            {"CKA_DERIVE_TEMPLATE", KindTemplate},
	CKA_ENCAPSULATE_TEMPLATE:       {"CKA_ENCAPSULATE_TEMPLATE", KindTemplate},
	CKA_DECAPSULATE_TEMPLATE:       {"CKA_DECAPSULATE_TEMPLATE", KindTemplate},
	CKA_ALLOWED_MECHANISMS:         {"CKA_ALLOWED_MECHANISMS", KindUlongs},
	CKA_VENDOR_DEFINED:             {"CKA_VENDOR_DEFINED", KindBytes},
	CKA_ONCELEAF_TRANSFERABLE:      {"CKA_ONCELEAF_TRANSFERABLE", KindBool},
	CKA_ONCELEAF_RECEIPT:           {"CKA_ONCELEAF_RECEIPT", KindBytes},
	CKA_ONCELEAF_STATE:             {"CKA_ONCELEAF_STATE", KindBytes},
	CKA_ONCELEAF_FINGERPRINT:       {"CKA_ONCELEAF_FINGERPRINT", KindText},
	CKA_ONCELEAF_RESERVE:           {"CKA_ONCELEAF_RESERVE", KindUlong},
	CKA_ONCELEAF_WARN_BELOW:        {"CKA_ONCELEAF_WARN_BELOW", KindUlong},
	CKA_ONCELEAF_LOW:               {"CKA_ONCELEAF_LOW", KindBool},
}

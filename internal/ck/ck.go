// Package ck holds the names and numbers of PKCS#11: the types of the standard as Go types and its constants under
// their standard names, so that ck.CKA_LABEL here is CKA_LABEL there.
//
// The numbers are those of PKCS#11 3.2 (OASIS); everything of 2.40 keeps its number in it. The package holds what
// this token answers with, accepts or names in a message, and no more. It knows nothing of C: a CK_ULONG is a uint64,
// and how wide it is on the wire is the business of the boundary.
//
// Vendor numbers are CKx_VENDOR_DEFINED with 'O' 'L' in the middle, but without bit 30, which would make an attribute an
// array of attributes: 0x8F4C0001 and so on.
package ck

import "fmt"

// SlotID is CK_SLOT_ID.
type SlotID uint64

// SessionHandle is CK_SESSION_HANDLE. Zero is CK_INVALID_HANDLE.
type SessionHandle uint64

// ObjectHandle is CK_OBJECT_HANDLE. Zero is CK_INVALID_HANDLE.
type ObjectHandle uint64

// UserType is CK_USER_TYPE.
type UserType uint64

// ObjectClass is CK_OBJECT_CLASS.
type ObjectClass uint64

// KeyType is CK_KEY_TYPE.
type KeyType uint64

// AttributeType is CK_ATTRIBUTE_TYPE.
type AttributeType uint64

// MechanismType is CK_MECHANISM_TYPE.
type MechanismType uint64

// RV is CK_RV, the result of a PKCS#11 function. As an error it carries its name, such as CKR_PIN_INCORRECT.
type RV uint64

const (
	// UNAVAILABLE is CK_UNAVAILABLE_INFORMATION: the length of an attribute that cannot be shown, and a number that
	// the token does not know.
	UNAVAILABLE uint64 = ^uint64(0)

	// CK_EFFECTIVELY_INFINITE says that a count has no limit.
	CK_EFFECTIVELY_INFINITE uint64 = 0

	// CK_INVALID_HANDLE is never the handle of a session or of an object.
	CK_INVALID_HANDLE = 0

	// VENDOR is the common prefix of this project's numbers.
	VENDOR = 0x8F4C0000
)

// Users that log in.
const (
	CKU_SO               UserType = 0
	CKU_USER             UserType = 1
	CKU_CONTEXT_SPECIFIC UserType = 2
)

// Session states of C_GetSessionInfo.
const (
	CKS_RO_PUBLIC_SESSION uint64 = 0
	CKS_RO_USER_FUNCTIONS uint64 = 1
	CKS_RW_PUBLIC_SESSION uint64 = 2
	CKS_RW_USER_FUNCTIONS uint64 = 3
	CKS_RW_SO_FUNCTIONS   uint64 = 4
)

// Object classes.
const (
	CKO_DATA              ObjectClass = 0x00
	CKO_CERTIFICATE       ObjectClass = 0x01
	CKO_PUBLIC_KEY        ObjectClass = 0x02
	CKO_PRIVATE_KEY       ObjectClass = 0x03
	CKO_SECRET_KEY        ObjectClass = 0x04
	CKO_HW_FEATURE        ObjectClass = 0x05
	CKO_DOMAIN_PARAMETERS ObjectClass = 0x06
	CKO_MECHANISM         ObjectClass = 0x07
	CKO_OTP_KEY           ObjectClass = 0x08
	CKO_PROFILE           ObjectClass = 0x09
	CKO_VENDOR_DEFINED    ObjectClass = 0x80000000
)

// Key types.
const (
	CKK_RSA            KeyType = 0x00
	CKK_EC             KeyType = 0x03
	CKK_GENERIC_SECRET KeyType = 0x10
	CKK_AES            KeyType = 0x1f
	CKK_SHA_1_HMAC     KeyType = 0x28
	CKK_SHA256_HMAC    KeyType = 0x2b
	CKK_SHA384_HMAC    KeyType = 0x2c
	CKK_SHA512_HMAC    KeyType = 0x2d
	CKK_SHA224_HMAC    KeyType = 0x2e
	CKK_EC_EDWARDS     KeyType = 0x40
	CKK_EC_MONTGOMERY  KeyType = 0x41
	CKK_HKDF           KeyType = 0x42
	CKK_HSS            KeyType = 0x46
	CKK_XMSS           KeyType = 0x47
	CKK_XMSSMT         KeyType = 0x48
	CKK_ML_KEM         KeyType = 0x49
	CKK_ML_DSA         KeyType = 0x4a
	CKK_SLH_DSA        KeyType = 0x4b
	CKK_VENDOR_DEFINED KeyType = 0x80000000

	// CKK_ONCELEAF_TRANSFER is a one-time key pair that a destination makes to receive leaves.
	CKK_ONCELEAF_TRANSFER KeyType = VENDOR | 0x0001
)

// Text of numbers that have no name here, such as "CKA 0x80000123".
func unnamed(prefix string, n uint64) string { return fmt.Sprintf("%s 0x%08X", prefix, n) }

// String is the class's standard name.
func (c ObjectClass) String() string { return nameOf(classNames, c, "CKO") }

// String is the key type's standard name.
func (k KeyType) String() string { return nameOf(keyTypeNames, k, "CKK") }

// String is the user's standard name.
func (u UserType) String() string { return nameOf(userNames, u, "CKU") }

func nameOf[N ~uint64](names map[N]string, n N, prefix string) string {
	if name, ok := names[n]; ok {
		return name
	}
	return unnamed(prefix, uint64(n))
}

var userNames = map[UserType]string{
	CKU_SO:               "CKU_SO",
	CKU_USER:             "CKU_USER",
	CKU_CONTEXT_SPECIFIC: "CKU_CONTEXT_SPECIFIC",
}

var classNames = map[ObjectClass]string{
	CKO_DATA:              "CKO_DATA",
	CKO_CERTIFICATE:       "CKO_CERTIFICATE",
	CKO_PUBLIC_KEY:        "CKO_PUBLIC_KEY",
	CKO_PRIVATE_KEY:       "CKO_PRIVATE_KEY",
	CKO_SECRET_KEY:        "CKO_SECRET_KEY",
	CKO_HW_FEATURE:        "CKO_HW_FEATURE",
	CKO_DOMAIN_PARAMETERS: "CKO_DOMAIN_PARAMETERS",
	CKO_MECHANISM:         "CKO_MECHANISM",
	CKO_OTP_KEY:           "CKO_OTP_KEY",
	CKO_PROFILE:           "CKO_PROFILE",
	CKO_VENDOR_DEFINED:    "CKO_VENDOR_DEFINED",
}

var keyTypeNames = map[KeyType]string{
	CKK_RSA:               "CKK_RSA",
	CKK_EC:                "CKK_EC",
	CKK_GENERIC_SECRET:    "CKK_GENERIC_SECRET",
	CKK_AES:               "CKK_AES",
	CKK_SHA_1_HMAC:        "CKK_SHA_1_HMAC",
	CKK_SHA256_HMAC:       "CKK_SHA256_HMAC",
	CKK_SHA384_HMAC:       "CKK_SHA384_HMAC",
	CKK_SHA512_HMAC:       "CKK_SHA512_HMAC",
	CKK_SHA224_HMAC:       "CKK_SHA224_HMAC",
	CKK_EC_EDWARDS:        "CKK_EC_EDWARDS",
	CKK_EC_MONTGOMERY:     "CKK_EC_MONTGOMERY",
	CKK_HKDF:              "CKK_HKDF",
	CKK_HSS:               "CKK_HSS",
	CKK_XMSS:              "CKK_XMSS",
	CKK_XMSSMT:            "CKK_XMSSMT",
	CKK_ML_KEM:            "CKK_ML_KEM",
	CKK_ML_DSA:            "CKK_ML_DSA",
	CKK_SLH_DSA:           "CKK_SLH_DSA",
	CKK_VENDOR_DEFINED:    "CKK_VENDOR_DEFINED",
	CKK_ONCELEAF_TRANSFER: "CKK_ONCELEAF_TRANSFER",
}

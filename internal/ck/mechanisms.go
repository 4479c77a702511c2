package ck

// Mechanisms.
const (
	CKM_RSA_PKCS_KEY_PAIR_GEN   MechanismType = 0x00
	CKM_RSA_PKCS                MechanismType = 0x01
	CKM_RSA_X_509               MechanismType = 0x03
	CKM_RSA_PKCS_OAEP           MechanismType = 0x09
	CKM_RSA_PKCS_PSS            MechanismType = 0x0d
	CKM_SHA256_RSA_PKCS         MechanismType = 0x40
	CKM_SHA256_RSA_PKCS_PSS     MechanismType = 0x43
	CKM_SHA_1                   MechanismType = 0x220
	CKM_SHA256                  MechanismType = 0x250
	CKM_SHA384                  MechanismType = 0x260
	CKM_SHA512                  MechanismType = 0x270
	CKM_GENERIC_SECRET_KEY_GEN  MechanismType = 0x350
	CKM_EC_KEY_PAIR_GEN         MechanismType = 0x1040
	CKM_ECDSA                   MechanismType = 0x1041
	CKM_ECDSA_SHA256            MechanismType = 0x1044
	CKM_ECDH1_DERIVE            MechanismType = 0x1050
	CKM_EC_EDWARDS_KEY_PAIR_GEN MechanismType = 0x1055
	CKM_EDDSA                   MechanismType = 0x1057
	CKM_AES_KEY_GEN             MechanismType = 0x1080
	CKM_AES_ECB                 MechanismType = 0x1081
	CKM_AES_CBC                 MechanismType = 0x1082
	CKM_AES_CBC_PAD             MechanismType = 0x1085
	CKM_AES_CTR                 MechanismType = 0x1086
	CKM_AES_GCM                 MechanismType = 0x1087
	CKM_AES_KEY_WRAP            MechanismType = 0x2109
	CKM_AES_KEY_WRAP_PAD        MechanismType = 0x210a
	CKM_HSS_KEY_PAIR_GEN        MechanismType = 0x4032
	CKM_HSS                     MechanismType = 0x4033
	CKM_XMSS_KEY_PAIR_GEN       MechanismType = 0x4034
	CKM_XMSSMT_KEY_PAIR_GEN     MechanismType = 0x4035
	CKM_XMSS                    MechanismType = 0x4036
	CKM_XMSSMT                  MechanismType = 0x4037
	CKM_VENDOR_DEFINED          MechanismType = 0x80000000

	// CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN makes a destination's one-time transfer key. Parameter: none for HPKE, or a
	// CK_ULONG TRANSFER_HPKE or TRANSFER_RSA.
	CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN MechanismType = VENDOR | 0x0001
	// CKM_ONCELEAF_PARTITION gives root leaves away. C_WrapKey at the source, parameter none for half of the free ones
	// or a CK_ULONG count; C_UnwrapKey at the destination, no parameter.
	CKM_ONCELEAF_PARTITION MechanismType = VENDOR | 0x0002
	// CKM_ONCELEAF_RECEIPT takes in the destination's receipt at the source, by C_UnwrapKey with the HSS private key
	// as unwrapping key.
	CKM_ONCELEAF_RECEIPT MechanismType = VENDOR | 0x0003

	// CK_UNAVAILABLE_MECHANISM is the CKA_KEY_GEN_MECHANISM of a key that was not generated here.
	CK_UNAVAILABLE_MECHANISM MechanismType = ^MechanismType(0)
)

// Parameter values of CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN.
const (
	TRANSFER_HPKE uint64 = 1 // ML-KEM-768 with X25519
	TRANSFER_RSA  uint64 = 2 // RSA-3072 OAEP with AES key wrap
)

// String is the mechanism's standard name.
func (m MechanismType) String() string { return nameOf(mechanismNames, m, "CKM") }

var mechanismNames = map[MechanismType]string{
	CKM_RSA_PKCS_KEY_PAIR_GEN:          "CKM_RSA_PKCS_KEY_PAIR_GEN",
	CKM_RSA_PKCS:                       "CKM_RSA_PKCS",
	CKM_RSA_X_509:                      "CKM_RSA_X_509",
	CKM_RSA_PKCS_OAEP:                  "CKM_RSA_PKCS_OAEP",
	CKM_RSA_PKCS_PSS:                   "CKM_RSA_PKCS_PSS",
	CKM_SHA256_RSA_PKCS:                "CKM_SHA256_RSA_PKCS",
	CKM_SHA256_RSA_PKCS_PSS:            "CKM_SHA256_RSA_PKCS_PSS",
	CKM_SHA_1:                          "CKM_SHA_1",
	CKM_SHA256:                         "CKM_SHA256",
	CKM_SHA384:                         "CKM_SHA384",
	CKM_SHA512:                         "CKM_SHA512",
	CKM_GENERIC_SECRET_KEY_GEN:         "CKM_GENERIC_SECRET_KEY_GEN",
	CKM_EC_KEY_PAIR_GEN:                "CKM_EC_KEY_PAIR_GEN",
	CKM_ECDSA:                          "CKM_ECDSA",
	CKM_ECDSA_SHA256:                   "CKM_ECDSA_SHA256",
	CKM_ECDH1_DERIVE:                   "CKM_ECDH1_DERIVE",
	CKM_EC_EDWARDS_KEY_PAIR_GEN:        "CKM_EC_EDWARDS_KEY_PAIR_GEN",
	CKM_EDDSA:                          "CKM_EDDSA",
	CKM_AES_KEY_GEN:                    "CKM_AES_KEY_GEN",
	CKM_AES_ECB:                        "CKM_AES_ECB",
	CKM_AES_CBC:                        "CKM_AES_CBC",
	CKM_AES_CBC_PAD:                    "CKM_AES_CBC_PAD",
	CKM_AES_CTR:                        "CKM_AES_CTR",
	CKM_AES_GCM:                        "CKM_AES_GCM",
	CKM_AES_KEY_WRAP:                   "CKM_AES_KEY_WRAP",
	CKM_AES_KEY_WRAP_PAD:               "CKM_AES_KEY_WRAP_PAD",
	CKM_HSS_KEY_PAIR_GEN:               "CKM_HSS_KEY_PAIR_GEN",
	CKM_HSS:                            "CKM_HSS",
	CKM_XMSS_KEY_PAIR_GEN:              "CKM_XMSS_KEY_PAIR_GEN",
	CKM_XMSSMT_KEY_PAIR_GEN:            "CKM_XMSSMT_KEY_PAIR_GEN",
	CKM_XMSS:                           "CKM_XMSS",
	CKM_XMSSMT:                         "CKM_XMSSMT",
	CKM_VENDOR_DEFINED:                 "CKM_VENDOR_DEFINED",
	CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN: "CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN",
	CKM_ONCELEAF_PARTITION:             "CKM_ONCELEAF_PARTITION",
	CKM_ONCELEAF_RECEIPT:               "CKM_ONCELEAF_RECEIPT",
	CK_UNAVAILABLE_MECHANISM:           "CK_UNAVAILABLE_INFORMATION",
}

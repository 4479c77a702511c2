package ck

// Mechanisms.
const (
	CKM_RSA_PKCS_KEY_PAIR_GEN      MechanismType = 0x00
	CKM_RSA_PKCS                   MechanismType = 0x01
	CKM_RSA_X_509                  MechanismType = 0x03
	CKM_SHA1_RSA_PKCS              MechanismType = 0x06
	CKM_RSA_PKCS_OAEP              MechanismType = 0x09
	CKM_RSA_PKCS_PSS               MechanismType = 0x0d
	CKM_SHA1_RSA_PKCS_PSS          MechanismType = 0x0e
	CKM_ML_KEM_KEY_PAIR_GEN        MechanismType = 0x0f
	CKM_ML_KEM                     MechanismType = 0x17
	CKM_ML_DSA_KEY_PAIR_GEN        MechanismType = 0x1c
	CKM_ML_DSA                     MechanismType = 0x1d
	CKM_SHA256_RSA_PKCS            MechanismType = 0x40
	CKM_SHA384_RSA_PKCS            MechanismType = 0x41
	CKM_SHA512_RSA_PKCS            MechanismType = 0x42
	CKM_SHA256_RSA_PKCS_PSS        MechanismType = 0x43
	CKM_SHA384_RSA_PKCS_PSS        MechanismType = 0x44
	CKM_SHA512_RSA_PKCS_PSS        MechanismType = 0x45
	CKM_SHA224_RSA_PKCS            MechanismType = 0x46
	CKM_SHA224_RSA_PKCS_PSS        MechanismType = 0x47
	CKM_SHA512_224                 MechanismType = 0x48
	CKM_SHA512_224_HMAC            MechanismType = 0x49
	CKM_SHA512_224_HMAC_GENERAL    MechanismType = 0x4a
	CKM_SHA512_256                 MechanismType = 0x4c
	CKM_SHA512_256_HMAC            MechanismType = 0x4d
	CKM_SHA512_256_HMAC_GENERAL    MechanismType = 0x4e
	CKM_SHA3_256_RSA_PKCS          MechanismType = 0x60
	CKM_SHA3_384_RSA_PKCS          MechanismType = 0x61
	CKM_SHA3_512_RSA_PKCS          MechanismType = 0x62
	CKM_SHA3_256_RSA_PKCS_PSS      MechanismType = 0x63
	CKM_SHA3_384_RSA_PKCS_PSS      MechanismType = 0x64
	CKM_SHA3_512_RSA_PKCS_PSS      MechanismType = 0x65
	CKM_SHA3_224_RSA_PKCS          MechanismType = 0x66
	CKM_SHA3_224_RSA_PKCS_PSS      MechanismType = 0x67
	CKM_SHA_1                      MechanismType = 0x220
	CKM_SHA_1_HMAC                 MechanismType = 0x221
	CKM_SHA_1_HMAC_GENERAL         MechanismType = 0x222
	CKM_SHA256                     MechanismType = 0x250
	CKM_SHA256_HMAC                MechanismType = 0x251
	CKM_SHA256_HMAC_GENERAL        MechanismType = 0x252
	CKM_SHA224                     MechanismType = 0x255
	CKM_SHA224_HMAC                MechanismType = 0x256
	CKM_SHA224_HMAC_GENERAL        MechanismType = 0x257
	CKM_SHA384                     MechanismType = 0x260
	CKM_SHA384_HMAC                MechanismType = 0x261
	CKM_SHA384_HMAC_GENERAL        MechanismType = 0x262
	CKM_SHA512                     MechanismType = 0x270
	CKM_SHA512_HMAC                MechanismType = 0x271
	CKM_SHA512_HMAC_GENERAL        MechanismType = 0x272
	CKM_SHA3_256                   MechanismType = 0x2b0
	CKM_SHA3_256_HMAC              MechanismType = 0x2b1
	CKM_SHA3_256_HMAC_GENERAL      MechanismType = 0x2b2
	CKM_SHA3_224                   MechanismType = 0x2b5
	CKM_SHA3_224_HMAC              MechanismType = 0x2b6
	CKM_SHA3_224_HMAC_GENERAL      MechanismType = 0x2b7
	CKM_SHA3_384                   MechanismType = 0x2c0
	CKM_SHA3_384_HMAC              MechanismType = 0x2c1
	CKM_SHA3_384_HMAC_GENERAL      MechanismType = 0x2c2
	CKM_SHA3_512                   MechanismType = 0x2d0
	CKM_SHA3_512_HMAC              MechanismType = 0x2d1
	CKM_SHA3_512_HMAC_GENERAL      MechanismType = 0x2d2
	CKM_GENERIC_SECRET_KEY_GEN     MechanismType = 0x350
	CKM_EC_KEY_PAIR_GEN            MechanismType = 0x1040
	CKM_ECDSA                      MechanismType = 0x1041
	CKM_ECDSA_SHA1                 MechanismType = 0x1042
	CKM_ECDSA_SHA224               MechanismType = 0x1043
	CKM_ECDSA_SHA256               MechanismType = 0x1044
	CKM_ECDSA_SHA384               MechanismType = 0x1045
	CKM_ECDSA_SHA512               MechanismType = 0x1046
	CKM_ECDSA_SHA3_224             MechanismType = 0x1047
	CKM_ECDSA_SHA3_256             MechanismType = 0x1048
	CKM_ECDSA_SHA3_384             MechanismType = 0x1049
	CKM_ECDSA_SHA3_512             MechanismType = 0x104a
	CKM_ECDH1_DERIVE               MechanismType = 0x1050
	CKM_ECDH1_COFACTOR_DERIVE      MechanismType = 0x1051
	CKM_RSA_AES_KEY_WRAP           MechanismType = 0x1054
	CKM_EC_EDWARDS_KEY_PAIR_GEN    MechanismType = 0x1055
	CKM_EC_MONTGOMERY_KEY_PAIR_GEN MechanismType = 0x1056
	CKM_EDDSA                      MechanismType = 0x1057
	CKM_AES_KEY_GEN                MechanismType = 0x1080
	CKM_AES_ECB                    MechanismType = 0x1081
	CKM_AES_CBC                    MechanismType = 0x1082
	CKM_AES_CBC_PAD                MechanismType = 0x1085
	CKM_AES_CTR                    MechanismType = 0x1086
	CKM_AES_GCM                    MechanismType = 0x1087
	CKM_AES_CMAC                   MechanismType = 0x108a
	CKM_AES_CMAC_GENERAL           MechanismType = 0x108b
	CKM_AES_ECB_ENCRYPT_DATA       MechanismType = 0x1104
	CKM_AES_CBC_ENCRYPT_DATA       MechanismType = 0x1105
	CKM_AES_KEY_WRAP               MechanismType = 0x2109
	CKM_AES_KEY_WRAP_PAD           MechanismType = 0x210a
	CKM_AES_KEY_WRAP_KWP           MechanismType = 0x210b
	CKM_HKDF_DERIVE                MechanismType = 0x402a
	CKM_HKDF_DATA                  MechanismType = 0x402b
	CKM_HSS_KEY_PAIR_GEN           MechanismType = 0x4032
	CKM_HSS                        MechanismType = 0x4033
	CKM_XMSS_KEY_PAIR_GEN          MechanismType = 0x4034
	CKM_XMSSMT_KEY_PAIR_GEN        MechanismType = 0x4035
	CKM_XMSS                       MechanismType = 0x4036
	CKM_XMSSMT                     MechanismType = 0x4037
	CKM_VENDOR_DEFINED             MechanismType = 0x80000000

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
	CKM_SHA1_RSA_PKCS:                  "CKM_SHA1_RSA_PKCS",
	CKM_RSA_PKCS_OAEP:                  "CKM_RSA_PKCS_OAEP",
	CKM_RSA_PKCS_PSS:                   "CKM_RSA_PKCS_PSS",
	CKM_SHA1_RSA_PKCS_PSS:              "CKM_SHA1_RSA_PKCS_PSS",
	CKM_ML_KEM_KEY_PAIR_GEN:            "CKM_ML_KEM_KEY_PAIR_GEN",
	CKM_ML_KEM:                         "CKM_ML_KEM",
	CKM_ML_DSA_KEY_PAIR_GEN:            "CKM_ML_DSA_KEY_PAIR_GEN",
	CKM_ML_DSA:                         "CKM_ML_DSA",
	CKM_SHA256_RSA_PKCS:                "CKM_SHA256_RSA_PKCS",
	CKM_SHA384_RSA_PKCS:                "CKM_SHA384_RSA_PKCS",
	CKM_SHA512_RSA_PKCS:                "CKM_SHA512_RSA_PKCS",
	CKM_SHA256_RSA_PKCS_PSS:            "CKM_SHA256_RSA_PKCS_PSS",
	CKM_SHA384_RSA_PKCS_PSS:            "CKM_SHA384_RSA_PKCS_PSS",
	CKM_SHA512_RSA_PKCS_PSS:            "CKM_SHA512_RSA_PKCS_PSS",
	CKM_SHA224_RSA_PKCS:                "CKM_SHA224_RSA_PKCS",
	CKM_SHA224_RSA_PKCS_PSS:            "CKM_SHA224_RSA_PKCS_PSS",
	CKM_SHA512_224:                     "CKM_SHA512_224",
	CKM_SHA512_224_HMAC:                "CKM_SHA512_224_HMAC",
	CKM_SHA512_224_HMAC_GENERAL:        "CKM_SHA512_224_HMAC_GENERAL",
	CKM_SHA512_256:                     "CKM_SHA512_256",
	CKM_SHA512_256_HMAC:                "CKM_SHA512_256_HMAC",
	CKM_SHA512_256_HMAC_GENERAL:        "CKM_SHA512_256_HMAC_GENERAL",
	CKM_SHA3_256_RSA_PKCS:              "CKM_SHA3_256_RSA_PKCS",
	CKM_SHA3_384_RSA_PKCS:              "CKM_SHA3_384_RSA_PKCS",
	CKM_SHA3_512_RSA_PKCS:              "CKM_SHA3_512_RSA_PKCS",
	CKM_SHA3_256_RSA_PKCS_PSS:          "CKM_SHA3_256_RSA_PKCS_PSS",
	CKM_SHA3_384_RSA_PKCS_PSS:          "CKM_SHA3_384_RSA_PKCS_PSS",
	CKM_SHA3_512_RSA_PKCS_PSS:          "CKM_SHA3_512_RSA_PKCS_PSS",
	CKM_SHA3_224_RSA_PKCS:              "CKM_SHA3_224_RSA_PKCS",
	CKM_SHA3_224_RSA_PKCS_PSS:          "CKM_SHA3_224_RSA_PKCS_PSS",
	CKM_SHA_1:                          "CKM_SHA_1",
	CKM_SHA_1_HMAC:                     "CKM_SHA_1_HMAC",
	CKM_SHA_1_HMAC_GENERAL:             "CKM_SHA_1_HMAC_GENERAL",
	CKM_SHA256:                         "CKM_SHA256",
	CKM_SHA256_HMAC:                    "CKM_SHA256_HMAC",
	CKM_SHA256_HMAC_GENERAL:            "CKM_SHA256_HMAC_GENERAL",
	CKM_SHA224:                         "CKM_SHA224",
	CKM_SHA224_HMAC:                    "CKM_SHA224_HMAC",
	CKM_SHA224_HMAC_GENERAL:            "CKM_SHA224_HMAC_GENERAL",
	CKM_SHA384:                         "CKM_SHA384",
	CKM_SHA384_HMAC:                    "CKM_SHA384_HMAC",
	CKM_SHA384_HMAC_GENERAL:            "CKM_SHA384_HMAC_GENERAL",
	CKM_SHA512:                         "CKM_SHA512",
	CKM_SHA512_HMAC:                    "CKM_SHA512_HMAC",
	CKM_SHA512_HMAC_GENERAL:            "CKM_SHA512_HMAC_GENERAL",
	CKM_SHA3_256:                       "CKM_SHA3_256",
	CKM_SHA3_256_HMAC:                  "CKM_SHA3_256_HMAC",
	CKM_SHA3_256_HMAC_GENERAL:          "CKM_SHA3_256_HMAC_GENERAL",
	CKM_SHA3_224:                       "CKM_SHA3_224",
	CKM_SHA3_224_HMAC:                  "CKM_SHA3_224_HMAC",
	CKM_SHA3_224_HMAC_GENERAL:          "CKM_SHA3_224_HMAC_GENERAL",
	CKM_SHA3_384:                       "CKM_SHA3_384",
	CKM_SHA3_384_HMAC:                  "CKM_SHA3_384_HMAC",
	CKM_SHA3_384_HMAC_GENERAL:          "CKM_SHA3_384_HMAC_GENERAL",
	CKM_SHA3_512:                       "CKM_SHA3_512",
	CKM_SHA3_512_HMAC:                  "CKM_SHA3_512_HMAC",
	CKM_SHA3_512_HMAC_GENERAL:          "CKM_SHA3_512_HMAC_GENERAL",
	CKM_GENERIC_SECRET_KEY_GEN:         "CKM_GENERIC_SECRET_KEY_GEN",
	CKM_EC_KEY_PAIR_GEN:                "CKM_EC_KEY_PAIR_GEN",
	CKM_ECDSA:                          "CKM_ECDSA",
	CKM_ECDSA_SHA1:                     "CKM_ECDSA_SHA1",
	CKM_ECDSA_SHA224:                   "CKM_ECDSA_SHA224",
	CKM_ECDSA_SHA256:                   "CKM_ECDSA_SHA256",
	CKM_ECDSA_SHA384:                   "CKM_ECDSA_SHA384",
	CKM_ECDSA_SHA512:                   "CKM_ECDSA_SHA512",
	CKM_ECDSA_SHA3_224:                 "CKM_ECDSA_SHA3_224",
	CKM_ECDSA_SHA3_256:                 "CKM_ECDSA_SHA3_256",
	CKM_ECDSA_SHA3_384:                 "CKM_ECDSA_SHA3_384",
	CKM_ECDSA_SHA3_512:                 "CKM_ECDSA_SHA3_512",
	CKM_ECDH1_DERIVE:                   "CKM_ECDH1_DERIVE",
	CKM_ECDH1_COFACTOR_DERIVE:          "CKM_ECDH1_COFACTOR_DERIVE",
	CKM_RSA_AES_KEY_WRAP:               "CKM_RSA_AES_KEY_WRAP",
	CKM_EC_EDWARDS_KEY_PAIR_GEN:        "CKM_EC_EDWARDS_KEY_PAIR_GEN",
	CKM_EC_MONTGOMERY_KEY_PAIR_GEN:     "CKM_EC_MONTGOMERY_KEY_PAIR_GEN",
	CKM_EDDSA:                          "CKM_EDDSA",
	CKM_AES_KEY_GEN:                    "CKM_AES_KEY_GEN",
	CKM_AES_ECB:                        "CKM_AES_ECB",
	CKM_AES_CBC:                        "CKM_AES_CBC",
	CKM_AES_CBC_PAD:                    "CKM_AES_CBC_PAD",
	CKM_AES_CTR:                        "CKM_AES_CTR",
	CKM_AES_GCM:                        "CKM_AES_GCM",
	CKM_AES_CMAC:                       "CKM_AES_CMAC",
	CKM_AES_CMAC_GENERAL:               "CKM_AES_CMAC_GENERAL",
	CKM_AES_ECB_ENCRYPT_DATA:           "CKM_AES_ECB_ENCRYPT_DATA",
	CKM_AES_CBC_ENCRYPT_DATA:           "CKM_AES_CBC_ENCRYPT_DATA",
	CKM_AES_KEY_WRAP:                   "CKM_AES_KEY_WRAP",
	CKM_AES_KEY_WRAP_PAD:               "CKM_AES_KEY_WRAP_PAD",
	CKM_AES_KEY_WRAP_KWP:               "CKM_AES_KEY_WRAP_KWP",
	CKM_HKDF_DERIVE:                    "CKM_HKDF_DERIVE",
	CKM_HKDF_DATA:                      "CKM_HKDF_DATA",
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

package softhsmtests

import "github.com/miekg/pkcs11"

// Numbers of PKCS#11 3.x that miekg/pkcs11 has no names for.
const (
	CKM_EC_EDWARDS_KEY_PAIR_GEN    = 0x1055
	CKM_EC_MONTGOMERY_KEY_PAIR_GEN = 0x1056
	CKM_EDDSA                      = 0x1057
	CKM_AES_KEY_WRAP_KWP           = 0x210B
	CKM_HKDF_DERIVE                = 0x402A
	CKM_HSS_KEY_PAIR_GEN           = 0x4032
	CKM_HSS                        = 0x4033
	CKM_ML_KEM_KEY_PAIR_GEN        = 0x0F
	CKM_ML_KEM                     = 0x17
	CKM_ML_DSA_KEY_PAIR_GEN        = 0x1C
	CKM_ML_DSA                     = 0x1D

	CKK_EC_EDWARDS    = 0x40
	CKK_EC_MONTGOMERY = 0x41
)

// What mechanisms are for.
const (
	crypts = pkcs11.CKF_ENCRYPT | pkcs11.CKF_DECRYPT
	wraps  = pkcs11.CKF_WRAP | pkcs11.CKF_UNWRAP
	signs  = pkcs11.CKF_SIGN | pkcs11.CKF_VERIFY
)

// offered are the mechanisms that applications look for, in the order of their numbers, and those that are left out on
// purpose.
var offered = []struct {
	name   string
	number uint
	listed bool
	flags  uint
}{
	{"CKM_RSA_PKCS_KEY_PAIR_GEN", pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, true, pkcs11.CKF_GENERATE_KEY_PAIR},
	{"CKM_RSA_PKCS", pkcs11.CKM_RSA_PKCS, true, crypts | signs | wraps},
	{"CKM_RSA_X_509", pkcs11.CKM_RSA_X_509, true, crypts | signs},
	{"CKM_MD5_RSA_PKCS", pkcs11.CKM_MD5_RSA_PKCS, false, 0},
	{"CKM_SHA1_RSA_PKCS", pkcs11.CKM_SHA1_RSA_PKCS, true, signs},
	{"CKM_RSA_PKCS_OAEP", pkcs11.CKM_RSA_PKCS_OAEP, true, crypts | wraps},
	{"CKM_RSA_PKCS_PSS", pkcs11.CKM_RSA_PKCS_PSS, true, signs},
	{"CKM_SHA1_RSA_PKCS_PSS", pkcs11.CKM_SHA1_RSA_PKCS_PSS, true, signs},
	{"CKM_ML_KEM_KEY_PAIR_GEN", CKM_ML_KEM_KEY_PAIR_GEN, true, pkcs11.CKF_GENERATE_KEY_PAIR},
	{"CKM_ML_DSA_KEY_PAIR_GEN", CKM_ML_DSA_KEY_PAIR_GEN, true, pkcs11.CKF_GENERATE_KEY_PAIR},
	{"CKM_ML_DSA", CKM_ML_DSA, true, signs},
	{"CKM_DSA", pkcs11.CKM_DSA, false, 0},
	{"CKM_DH_PKCS_DERIVE", pkcs11.CKM_DH_PKCS_DERIVE, false, 0},
	{"CKM_SHA224_RSA_PKCS", pkcs11.CKM_SHA224_RSA_PKCS, true, signs},
	{"CKM_SHA256_RSA_PKCS", pkcs11.CKM_SHA256_RSA_PKCS, true, signs},
	{"CKM_SHA384_RSA_PKCS", pkcs11.CKM_SHA384_RSA_PKCS, true, signs},
	{"CKM_SHA512_RSA_PKCS", pkcs11.CKM_SHA512_RSA_PKCS, true, signs},
	{"CKM_SHA224_RSA_PKCS_PSS", pkcs11.CKM_SHA224_RSA_PKCS_PSS, true, signs},
	{"CKM_SHA256_RSA_PKCS_PSS", pkcs11.CKM_SHA256_RSA_PKCS_PSS, true, signs},
	{"CKM_SHA384_RSA_PKCS_PSS", pkcs11.CKM_SHA384_RSA_PKCS_PSS, true, signs},
	{"CKM_SHA512_RSA_PKCS_PSS", pkcs11.CKM_SHA512_RSA_PKCS_PSS, true, signs},
	{"CKM_RC4", pkcs11.CKM_RC4, false, 0},
	{"CKM_DES_ECB", pkcs11.CKM_DES_ECB, false, 0},
	{"CKM_DES3_KEY_GEN", pkcs11.CKM_DES3_KEY_GEN, false, 0},
	{"CKM_DES3_CBC", pkcs11.CKM_DES3_CBC, false, 0},
	{"CKM_MD5", pkcs11.CKM_MD5, false, 0},
	{"CKM_MD5_HMAC", pkcs11.CKM_MD5_HMAC, false, 0},
	{"CKM_SHA_1", pkcs11.CKM_SHA_1, true, pkcs11.CKF_DIGEST},
	{"CKM_SHA_1_HMAC", pkcs11.CKM_SHA_1_HMAC, true, signs},
	{"CKM_SHA224", pkcs11.CKM_SHA224, true, pkcs11.CKF_DIGEST},
	{"CKM_SHA224_HMAC", pkcs11.CKM_SHA224_HMAC, true, signs},
	{"CKM_SHA256", pkcs11.CKM_SHA256, true, pkcs11.CKF_DIGEST},
	{"CKM_SHA256_HMAC", pkcs11.CKM_SHA256_HMAC, true, signs},
	{"CKM_SHA384", pkcs11.CKM_SHA384, true, pkcs11.CKF_DIGEST},
	{"CKM_SHA384_HMAC", pkcs11.CKM_SHA384_HMAC, true, signs},
	{"CKM_SHA512", pkcs11.CKM_SHA512, true, pkcs11.CKF_DIGEST},
	{"CKM_SHA512_HMAC", pkcs11.CKM_SHA512_HMAC, true, signs},
	{"CKM_SHA3_256", pkcs11.CKM_SHA3_256, true, pkcs11.CKF_DIGEST},
	{"CKM_SHA3_256_HMAC", pkcs11.CKM_SHA3_256_HMAC, true, signs},
	{"CKM_GENERIC_SECRET_KEY_GEN", pkcs11.CKM_GENERIC_SECRET_KEY_GEN, true, pkcs11.CKF_GENERATE},
	{"CKM_EC_KEY_PAIR_GEN", pkcs11.CKM_EC_KEY_PAIR_GEN, true, pkcs11.CKF_GENERATE_KEY_PAIR},
	{"CKM_ECDSA", pkcs11.CKM_ECDSA, true, signs},
	{"CKM_ECDSA_SHA256", pkcs11.CKM_ECDSA_SHA256, true, signs},
	{"CKM_ECDH1_DERIVE", pkcs11.CKM_ECDH1_DERIVE, true, pkcs11.CKF_DERIVE},
	{"CKM_ECDH1_COFACTOR_DERIVE", pkcs11.CKM_ECDH1_COFACTOR_DERIVE, true, pkcs11.CKF_DERIVE},
	{"CKM_EC_EDWARDS_KEY_PAIR_GEN", CKM_EC_EDWARDS_KEY_PAIR_GEN, true, pkcs11.CKF_GENERATE_KEY_PAIR},
	{"CKM_EC_MONTGOMERY_KEY_PAIR_GEN", CKM_EC_MONTGOMERY_KEY_PAIR_GEN, true, pkcs11.CKF_GENERATE_KEY_PAIR},
	{"CKM_EDDSA", CKM_EDDSA, true, signs},
	{"CKM_AES_KEY_GEN", pkcs11.CKM_AES_KEY_GEN, true, pkcs11.CKF_GENERATE},
	{"CKM_AES_ECB", pkcs11.CKM_AES_ECB, true, crypts},
	{"CKM_AES_CBC", pkcs11.CKM_AES_CBC, true, crypts},
	{"CKM_AES_CBC_PAD", pkcs11.CKM_AES_CBC_PAD, true, crypts | wraps},
	{"CKM_AES_CTR", pkcs11.CKM_AES_CTR, true, crypts},
	{"CKM_AES_GCM", pkcs11.CKM_AES_GCM, true, crypts},
	{"CKM_AES_CMAC", pkcs11.CKM_AES_CMAC, true, signs},
	{"CKM_AES_ECB_ENCRYPT_DATA", pkcs11.CKM_AES_ECB_ENCRYPT_DATA, true, pkcs11.CKF_DERIVE},
	{"CKM_AES_CBC_ENCRYPT_DATA", pkcs11.CKM_AES_CBC_ENCRYPT_DATA, true, pkcs11.CKF_DERIVE},
	{"CKM_AES_KEY_WRAP", pkcs11.CKM_AES_KEY_WRAP, true, crypts | wraps},
	{"CKM_AES_KEY_WRAP_KWP", CKM_AES_KEY_WRAP_KWP, true, crypts | wraps},
	{"CKM_HKDF_DERIVE", CKM_HKDF_DERIVE, true, pkcs11.CKF_DERIVE},
	{"CKM_HSS_KEY_PAIR_GEN", CKM_HSS_KEY_PAIR_GEN, true, pkcs11.CKF_GENERATE_KEY_PAIR},
	{"CKM_HSS", CKM_HSS, true, signs},
}

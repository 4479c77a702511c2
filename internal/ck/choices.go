package ck

// Choices inside mechanism parameters, and the values of CKA_PARAMETER_SET.

// Mask generation functions of OAEP and PSS.
const (
	CKG_MGF1_SHA1     uint64 = 0x01
	CKG_MGF1_SHA256   uint64 = 0x02
	CKG_MGF1_SHA384   uint64 = 0x03
	CKG_MGF1_SHA512   uint64 = 0x04
	CKG_MGF1_SHA224   uint64 = 0x05
	CKG_MGF1_SHA3_224 uint64 = 0x06
	CKG_MGF1_SHA3_256 uint64 = 0x07
	CKG_MGF1_SHA3_384 uint64 = 0x08
	CKG_MGF1_SHA3_512 uint64 = 0x09
)

// CKZ_DATA_SPECIFIED says that OAEP's parameter holds the label.
const CKZ_DATA_SPECIFIED uint64 = 0x01

// Key derivation functions of ECDH: CKD_SHAx_KDF is that of ANSI X9.63.
const (
	CKD_NULL         uint64 = 0x01
	CKD_SHA1_KDF     uint64 = 0x02
	CKD_SHA224_KDF   uint64 = 0x05
	CKD_SHA256_KDF   uint64 = 0x06
	CKD_SHA384_KDF   uint64 = 0x07
	CKD_SHA512_KDF   uint64 = 0x08
	CKD_SHA3_224_KDF uint64 = 0x0a
	CKD_SHA3_256_KDF uint64 = 0x0b
	CKD_SHA3_384_KDF uint64 = 0x0c
	CKD_SHA3_512_KDF uint64 = 0x0d
)

// Parameter sets of ML-DSA.
const (
	CKP_ML_DSA_44 uint64 = 0x01
	CKP_ML_DSA_65 uint64 = 0x02
	CKP_ML_DSA_87 uint64 = 0x03
)

// Parameter sets of ML-KEM. Go has no ML-KEM-512, and so this token has none.
const (
	CKP_ML_KEM_768  uint64 = 0x02
	CKP_ML_KEM_1024 uint64 = 0x03
)

// How much a signature of ML-DSA is to depend on fresh random numbers.
const (
	CKH_HEDGE_PREFERRED        uint64 = 0x00
	CKH_HEDGE_REQUIRED         uint64 = 0x01
	CKH_DETERMINISTIC_REQUIRED uint64 = 0x02
)

// CKC_X_509 is the CKA_CERTIFICATE_TYPE of X.509 certificates.
const CKC_X_509 uint64 = 0x00

// Profiles, CKA_PROFILE_ID.
const (
	CKP_BASELINE_PROVIDER uint64 = 0x01
	CKP_EXTENDED_PROVIDER uint64 = 0x02
)

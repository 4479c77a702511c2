package ck

// Generators of initialisation vectors: CK_GENERATOR_FUNCTION in CK_GCM_MESSAGE_PARAMS.
const (
	CKG_NO_GENERATE          uint64 = 0x00
	CKG_GENERATE             uint64 = 0x01
	CKG_GENERATE_COUNTER     uint64 = 0x02
	CKG_GENERATE_RANDOM      uint64 = 0x03
	CKG_GENERATE_COUNTER_XOR uint64 = 0x04
)

// What the salt of CK_HKDF_PARAMS is.
const (
	CKF_HKDF_SALT_NULL uint64 = 0x01
	CKF_HKDF_SALT_DATA uint64 = 0x02
	CKF_HKDF_SALT_KEY  uint64 = 0x04
)

package ck

// Flags of C_Initialize.
const (
	CKF_LIBRARY_CANT_CREATE_OS_THREADS uint64 = 0x01
	CKF_OS_LOCKING_OK                  uint64 = 0x02
)

// Flags of a slot.
const (
	CKF_TOKEN_PRESENT    uint64 = 0x01
	CKF_REMOVABLE_DEVICE uint64 = 0x02
	CKF_HW_SLOT          uint64 = 0x04
)

// Flags of a token.
const (
	CKF_RNG                           uint64 = 0x00000001
	CKF_WRITE_PROTECTED               uint64 = 0x00000002
	CKF_LOGIN_REQUIRED                uint64 = 0x00000004
	CKF_USER_PIN_INITIALIZED          uint64 = 0x00000008
	CKF_RESTORE_KEY_NOT_NEEDED        uint64 = 0x00000020
	CKF_CLOCK_ON_TOKEN                uint64 = 0x00000040
	CKF_PROTECTED_AUTHENTICATION_PATH uint64 = 0x00000100
	CKF_DUAL_CRYPTO_OPERATIONS        uint64 = 0x00000200
	CKF_TOKEN_INITIALIZED             uint64 = 0x00000400
	CKF_SECONDARY_AUTHENTICATION      uint64 = 0x00000800
	CKF_USER_PIN_COUNT_LOW            uint64 = 0x00010000
	CKF_USER_PIN_FINAL_TRY            uint64 = 0x00020000
	CKF_USER_PIN_LOCKED               uint64 = 0x00040000
	CKF_USER_PIN_TO_BE_CHANGED        uint64 = 0x00080000
	CKF_SO_PIN_COUNT_LOW              uint64 = 0x00100000
	CKF_SO_PIN_FINAL_TRY              uint64 = 0x00200000
	CKF_SO_PIN_LOCKED                 uint64 = 0x00400000
	CKF_SO_PIN_TO_BE_CHANGED          uint64 = 0x00800000
	CKF_ERROR_STATE                   uint64 = 0x01000000
)

// Flags of a session.
const (
	CKF_RW_SESSION     uint64 = 0x02
	CKF_SERIAL_SESSION uint64 = 0x04
)

// Flags of a mechanism. Those of operations also name what C_SessionCancel ends.
const (
	CKF_HW                uint64 = 0x00000001
	CKF_MESSAGE_ENCRYPT   uint64 = 0x00000002
	CKF_MESSAGE_DECRYPT   uint64 = 0x00000004
	CKF_MESSAGE_SIGN      uint64 = 0x00000008
	CKF_MESSAGE_VERIFY    uint64 = 0x00000010
	CKF_FIND_OBJECTS      uint64 = 0x00000040
	CKF_ENCRYPT           uint64 = 0x00000100
	CKF_DECRYPT           uint64 = 0x00000200
	CKF_DIGEST            uint64 = 0x00000400
	CKF_SIGN              uint64 = 0x00000800
	CKF_SIGN_RECOVER      uint64 = 0x00001000
	CKF_VERIFY            uint64 = 0x00002000
	CKF_VERIFY_RECOVER    uint64 = 0x00004000
	CKF_GENERATE          uint64 = 0x00008000
	CKF_GENERATE_KEY_PAIR uint64 = 0x00010000
	CKF_WRAP              uint64 = 0x00020000
	CKF_UNWRAP            uint64 = 0x00040000
	CKF_DERIVE            uint64 = 0x00080000
	CKF_EC_F_P            uint64 = 0x00100000
	CKF_EC_OID            uint64 = 0x00800000
	CKF_EC_UNCOMPRESS     uint64 = 0x01000000
	CKF_ENCAPSULATE       uint64 = 0x10000000
	CKF_DECAPSULATE       uint64 = 0x20000000
	CKF_EXTENSION         uint64 = 0x80000000
)

// CKF_END_OF_MESSAGE marks the last part of a message.
const CKF_END_OF_MESSAGE uint64 = 0x01

// CKF_DONT_BLOCK makes C_WaitForSlotEvent return at once.
const CKF_DONT_BLOCK uint64 = 0x01

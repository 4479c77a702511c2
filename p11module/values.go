package p11module

import "github.com/onceleaf/onceleaf/internal/ck"

// Version is CK_VERSION.
type Version struct{ Major, Minor byte }

// Info is CK_INFO. Texts are not padded.
type Info struct {
	CryptokiVersion Version
	Manufacturer    string
	Flags           uint64
	Description     string
	LibraryVersion  Version
}

// SlotInfo is CK_SLOT_INFO. Texts are not padded.
type SlotInfo struct {
	Description, Manufacturer string
	Flags                     uint64
	Hardware, Firmware        Version
}

// TokenInfo is CK_TOKEN_INFO. Texts are not padded; counts and sizes may be ck.UNAVAILABLE.
type TokenInfo struct {
	Label, Manufacturer, Model, Serial    string
	Flags                                 uint64
	MaxSessionCount, SessionCount         uint64
	MaxRWSessionCount, RWSessionCount     uint64
	MaxPINLen, MinPINLen                  uint64 // bytes
	TotalPublicMemory, FreePublicMemory   uint64 // bytes
	TotalPrivateMemory, FreePrivateMemory uint64 // bytes
	Hardware, Firmware                    Version
	UTCTime                               string // 16 digits, empty without CKF_CLOCK_ON_TOKEN
}

// SessionInfo is CK_SESSION_INFO. State is one of ck.CKS_*.
type SessionInfo struct {
	Slot        ck.SlotID
	State       uint64
	Flags       uint64
	DeviceError uint64
}

// MechanismInfo is CK_MECHANISM_INFO.
type MechanismInfo struct{ MinKeySize, MaxKeySize, Flags uint64 }

// Attribute is CK_ATTRIBUTE with the bytes that the application gave: a CK_ULONG is 8 bytes, little-endian.
type Attribute struct {
	Type  ck.AttributeType
	Value []byte
}

// Mechanism is CK_MECHANISM. Parameter is nil or empty when the application gave none.
type Mechanism struct {
	Type      ck.MechanismType
	Parameter []byte
}

// Output is the application's output buffer: Query when its pointer is NULL, else Room bytes.
type Output struct {
	Query bool
	Room  uint64
}

// AttributeQuery is one entry of the template of C_GetAttributeValue.
type AttributeQuery struct {
	Type ck.AttributeType
	Output
}

// AttributeResult answers one AttributeQuery. Value is nil when nothing is to be copied (a length query, or an
// attribute that cannot be given); Length is the new ulValueLen, ck.UNAVAILABLE when the value cannot be given.
type AttributeResult struct {
	Value  []byte
	Length uint64
}

// InitializeArgs is CK_C_INITIALIZE_ARGS.
type InitializeArgs struct {
	Flags     uint64
	Callbacks int  // how many of the four mutex functions are there
	Reserved  bool // pReserved is not NULL
}

// Operation names what a session can have in progress; values can be combined.
type Operation int

// Operations of a session.
const (
	SignOperation Operation = 1 << iota
	VerifyOperation
	FindOperation
)

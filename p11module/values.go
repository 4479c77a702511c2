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
	// Nested is the value of an attribute that is a template (ck.KindTemplate), never nil then, and Value has no meaning.
	// Such an attribute without it came with a length that no template has.
	Nested []Attribute
}

// Mechanism is CK_MECHANISM.
type Mechanism = ck.Mechanism

// MessageParameter is what came as the parameter of a message function: nothing, a structure, or something of a length
// that no structure has.
type MessageParameter struct {
	GCM    *ck.GCMMessage
	Misfit bool
}

// MessageOutput is what an encryption puts into the application's parameter; nil leaves a part alone.
type MessageOutput struct{ IV, Tag []byte }

// AsyncData is CK_ASYNC_DATA. Value is nil for a length query.
type AsyncData struct {
	Version    uint64
	Value      []byte
	Length     uint64
	Object     ck.ObjectHandle
	Additional ck.ObjectHandle
}

// Output is the application's output buffer: Query when its pointer is NULL, else Room bytes.
type Output struct {
	Query bool
	Room  uint64
}

// AttributeQuery is one entry of the template of C_GetAttributeValue. Nested are the entries of the template in its
// place, if there is one: nil for a length query and for attributes that are no templates.
type AttributeQuery struct {
	Type ck.AttributeType
	Output
	Nested []AttributeQuery
}

// AttributeResult answers one AttributeQuery. Value is nil when nothing is to be copied (a length query, or an
// attribute that cannot be given); Length is the new ulValueLen, ck.UNAVAILABLE when the value cannot be given. Nested
// is nil exactly if that of the query is, has as many entries as that otherwise, and their Type says what they are.
type AttributeResult struct {
	Type   ck.AttributeType
	Value  []byte
	Length uint64
	Nested []AttributeResult
}

// InitializeArgs is CK_C_INITIALIZE_ARGS.
type InitializeArgs struct {
	Flags     uint64
	Callbacks int  // how many of the four mutex functions are there
	Reserved  bool // pReserved is not NULL
}

// MaxPart bounds the data that one call gives to an operation, in bytes. More is CKR_DATA_LEN_RANGE and ends the operation.
const MaxPart = 64 << 20

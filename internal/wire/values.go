package wire

import "github.com/onceleaf/onceleaf/internal/ck"

// Attribute is one entry of a template. Nested counts when the entry crossed as a template (form 1), which only the
// attributes of isTemplate do; Value is nil then.
type Attribute struct {
	Type   ck.AttributeType
	Value  []byte // nil for NULL
	Form   Form
	Nested []Attribute
}

// Query is one entry of the template of C_GetAttributeValue.
type Query struct {
	Type   ck.AttributeType
	Form   Form
	Query  bool   // NULL: only the length is asked for
	Room   uint64 // bytes
	Nested []Query
}

// Result answers a Query, in the same form. In a template the type tells what is there: the query does not need to know it.
type Result struct {
	Type   ck.AttributeType
	Length uint64
	Form   Form
	Value  []byte // nil when nothing is to be copied
	Nested []Result
}

// Form says whether an attribute crosses as bytes or as a template.
type Form uint8

// Forms of attributes.
const (
	FormBytes    Form = 0
	FormTemplate Form = 1
)

// MechanismForm says what came with a mechanism.
type MechanismForm uint8

// Forms of mechanisms.
const (
	MechanismNull   MechanismForm = 0 // the pointer was NULL
	MechanismBare   MechanismForm = 1 // no parameter
	MechanismRaw    MechanismForm = 2 // a parameter without pointers, as it lies in memory
	MechanismStruct MechanismForm = 3 // one of Params
	MechanismMisfit MechanismForm = 4 // a parameter that the mechanism cannot have
)

// Mechanism is CK_MECHANISM.
type Mechanism struct {
	Form      MechanismForm
	Type      ck.MechanismType
	Parameter []byte // of MechanismRaw
	Struct    Struct // of MechanismStruct
}

// Struct is a parameter structure with what its pointers point to.
type Struct struct {
	ID     uint8 // of Params; 0: absent (a NULL pointer)
	Values []StructValue
}

// StructValue is one field, by its kind in the table.
type StructValue struct {
	Number uint64
	Octets []byte
	Struct Struct
}

// Message is the parameter of the message functions.
type Message struct {
	Form      MessageForm
	IV        []byte
	FixedBits uint64
	Generator uint64
	TagBits   uint64
	Tag       []byte // of decryption
}

// MessageForm says what came as the parameter of a message.
type MessageForm uint8

// Forms of message parameters.
const (
	MessageBare   MessageForm = 0
	MessageGCM    MessageForm = 1
	MessageMisfit MessageForm = 2
)

// Bounds of CK_GCM_MESSAGE_PARAMS.
const (
	maxIV      = 256
	maxTagBits = 1024
)

// Output is the application's buffer: Query when its pointer is NULL, else Room bytes.
type Output struct {
	Query bool
	Room  uint64
}

// isTemplate are the attributes whose value is a template, by number and never by bit 30: numbers of other vendors have
// that bit and hold plain bytes.
func isTemplate(a ck.AttributeType) bool {
	switch a {
	case ck.CKA_WRAP_TEMPLATE, ck.CKA_UNWRAP_TEMPLATE, ck.CKA_DERIVE_TEMPLATE, ck.CKA_ENCAPSULATE_TEMPLATE, ck.CKA_DECAPSULATE_TEMPLATE:
		return true
	}
	return false
}

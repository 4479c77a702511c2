package token

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// Attribute is one attribute of a template or an object. Its value is in this package's own form, which does not
// depend on the machine: a CK_ULONG is 8 bytes big-endian, an array of them is their concatenation, a CK_BBOOL is one
// byte 0 or 1, and all else is as PKCS#11 has it.
type Attribute struct {
	Type  ck.AttributeType
	Value []byte
}

// Attributes are the attributes of an object.
type Attributes map[ck.AttributeType][]byte

// Bool is the value of a CK_BBOOL.
func Bool(b bool) []byte {
	if b {
		return []byte{1}
	}
	return []byte{0}
}

// Ulong is the value of a CK_ULONG.
func Ulong[N ~uint64](n N) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// Ulongs is the value of an array of CK_ULONG.
func Ulongs[N ~uint64](all ...N) []byte {
	value := []byte{}
	for _, n := range all {
		value = append(value, Ulong(n)...)
	}
	return value
}

// parseUlongs is the reverse of Ulongs.
func parseUlongs(value []byte) []uint64 {
	all := make([]uint64, len(value)/8)
	for i := range all {
		all[i] = binary.BigEndian.Uint64(value[8*i:])
	}
	return all
}

func (a Attributes) bool(attribute ck.AttributeType) bool {
	value := a[attribute]
	return len(value) == 1 && value[0] != 0
}

func (a Attributes) ulong(attribute ck.AttributeType) uint64 {
	value := a[attribute]
	if len(value) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(value)
}

func (a Attributes) clone() Attributes {
	c := make(Attributes, len(a))
	for attribute, value := range a {
		c[attribute] = bytes.Clone(value)
	}
	return c
}

func (a Attributes) class() ck.ObjectClass { return ck.ObjectClass(a.ulong(ck.CKA_CLASS)) }
func (a Attributes) keyType() ck.KeyType   { return ck.KeyType(a.ulong(ck.CKA_KEY_TYPE)) }

// revealable reports whether the application may read the value of such a private or secret key.
func (a Attributes) revealable() bool { return !a.bool(ck.CKA_SENSITIVE) && a.bool(ck.CKA_EXTRACTABLE) }

// maxValue bounds one attribute value of a template, in bytes. Certificates' subjects fit, files do not.
const maxValue = 64 << 10

// checkValue holds a value to the form of its attribute. CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID.
func checkValue(a Attribute) error {
	kind, known := a.Type.Kind()
	if !known {
		return refuse(ck.CKR_ATTRIBUTE_TYPE_INVALID, "%s", a.Type)
	}
	if !validForm(kind, a.Value) {
		return refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, "%s with a value of %d bytes", a.Type, len(a.Value))
	}
	return nil
}

func validForm(kind ck.Kind, value []byte) bool {
	switch kind {
	case ck.KindBool:
		return len(value) == 1 && value[0] <= 1
	case ck.KindUlong:
		return len(value) == 8
	case ck.KindUlongs:
		return len(value)%8 == 0 && len(value) <= maxValue
	case ck.KindDate:
		return len(value) == 0 || validDate(string(value))
	case ck.KindTemplate:
		return validTemplate(value)
	default:
		return len(value) <= maxValue
	}
}

// validTemplate holds an attribute that is a template to its form: attributes that are known and valid, none of them a
// template itself.
func validTemplate(value []byte) bool {
	nested, err := DecodeTemplate(value)
	return err == nil && len(value) <= maxValue && !slices.ContainsFunc(nested, func(a Attribute) bool {
		kind, _ := a.Type.Kind()
		return kind == ck.KindTemplate || checkValue(a) != nil
	})
}

// EncodeTemplate is the value of an attribute that is a template, such as CKA_UNWRAP_TEMPLATE. For each entry in order:
// type (8 bytes) and length of the value (4 bytes), both big-endian, and the value.
func EncodeTemplate(template []Attribute) []byte {
	value := []byte{}
	for _, a := range template {
		value = binary.BigEndian.AppendUint64(value, uint64(a.Type))
		value = binary.BigEndian.AppendUint32(value, uint32(len(a.Value)))
		value = append(value, a.Value...)
	}
	return value
}

// DecodeTemplate is the reverse of EncodeTemplate. CKR_ATTRIBUTE_VALUE_INVALID.
func DecodeTemplate(value []byte) (template []Attribute, err error) {
	const head = 12
	for len(value) > 0 {
		if len(value) < head || uint64(len(value)-head) < uint64(binary.BigEndian.Uint32(value[8:])) {
			return nil, refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, "a template that is cut off")
		}
		end := head + int(binary.BigEndian.Uint32(value[8:]))
		template = append(template, Attribute{ck.AttributeType(binary.BigEndian.Uint64(value)), bytes.Clone(value[head:end])})
		value = value[end:]
	}
	return template, nil
}

func validDate(date string) bool {
	_, err := time.Parse("20060102", date)
	return err == nil
}

// lookup finds an attribute in a template. Giving one twice is no error as long as both say the same.
func lookup(template []Attribute, attribute ck.AttributeType) (value []byte, given bool, err error) {
	for _, a := range template {
		if a.Type != attribute {
			continue
		}
		if given && !bytes.Equal(value, a.Value) {
			return nil, false, refuse(ck.CKR_TEMPLATE_INCONSISTENT, "%s is given twice", attribute)
		}
		value, given = a.Value, true
	}
	return value, given, nil
}

// lookupUlong is lookup for a CK_ULONG that must be given.
func lookupUlong(template []Attribute, attribute ck.AttributeType) (uint64, error) {
	value, given, err := lookup(template, attribute)
	if err != nil {
		return 0, err
	}
	if !given {
		return 0, refuse(ck.CKR_TEMPLATE_INCOMPLETE, "%s is missing", attribute)
	}
	if err := checkValue(Attribute{attribute, value}); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(value), nil
}

// newUniqueID is a value of CKA_UNIQUE_ID.
func newUniqueID() []byte { return fmt.Appendf(nil, "%s%s", newSerial(), newSerial()) }

package p11module

import (
	"encoding/binary"
	"slices"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/token"
)

// swapUlongs turns CK_ULONGs from the application's byte order (8 bytes, little-endian) into that of package token
// (big-endian), and back. Values of another length are left alone, for package token to refuse.
func swapUlongs(attribute ck.AttributeType, value []byte) []byte {
	kind, _ := attribute.Kind()
	if kind != ck.KindUlong && kind != ck.KindUlongs || len(value)%8 != 0 {
		return value
	}
	swapped := slices.Clone(value)
	for i := 0; i < len(swapped); i += 8 {
		slices.Reverse(swapped[i : i+8])
	}
	return swapped
}

func fromApplication(template []Attribute) []token.Attribute {
	converted := make([]token.Attribute, len(template))
	for i, a := range template {
		converted[i] = token.Attribute{Type: a.Type, Value: swapUlongs(a.Type, a.Value)}
		if kind, _ := a.Type.Kind(); kind == ck.KindTemplate {
			converted[i].Value = templateValue(a.Nested)
		}
	}
	return converted
}

// templateValue is an attribute that is a template as package token knows it: empty or not. It keeps none that is not
// empty, and refuses it by its length.
func templateValue(nested []Attribute) []byte {
	if nested != nil && len(nested) == 0 {
		return nil
	}
	return make([]byte, 1)
}

// noParameter refuses a mechanism that came with a parameter.
func (m Mechanism) noParameter() error {
	if len(m.Parameter) != 0 || m.Struct != nil || m.Misfit {
		return ck.CKR_MECHANISM_PARAM_INVALID
	}
	return nil
}

// ulongParameter is a parameter that is a CK_ULONG, or absent.
func (m Mechanism) ulongParameter() (n uint64, given bool, err error) {
	switch {
	case m.Struct != nil || m.Misfit:
	case len(m.Parameter) == 0:
		return 0, false, nil
	case len(m.Parameter) == 8:
		return binary.LittleEndian.Uint64(m.Parameter), true, nil
	}
	return 0, false, ck.CKR_MECHANISM_PARAM_INVALID
}

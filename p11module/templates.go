package p11module

import (
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

// templateValue is an attribute that is a template in the form of package token. What came with a length that no template
// has gets a value that none has.
func templateValue(nested []Attribute) []byte {
	if nested == nil {
		return make([]byte, 1)
	}
	return token.EncodeTemplate(fromApplication(nested))
}

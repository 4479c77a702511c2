package token

import (
	"bytes"
	"maps"
	"slices"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// A schema is what the attributes of one kind of object may be: one rule per attribute. The tables (schemacommon.go,
// schemakeys.go, schemahss.go) are those of PKCS#11 3.2 sections 4.4 to 4.10 and of each key type in section 6, with
// the footnotes of the standard as what a rule says. docs/attributes.md is made from them. Attributes that are
// computed when they are read, such as CKA_HSS_KEYS_REMAINING, have a rule too, so that a template that gives them
// gets its answer.
type schema map[ck.AttributeType]rule

// rule is about one attribute of one kind of object.
type rule struct {
	in    inputs // what a template may do with it when an object is made, by call
	value []byte // the default; nil if there is none to read, because the attribute is computed
	// other are defaults that differ in one call.
	other map[call][]byte
	set   editing // what C_SetAttributeValue and C_CopyObject may do with it
	most  uint64  // bounds the value of a CK_ULONG; 0 stands for no bound
	// hidden attributes are not shown while CKA_SENSITIVE is TRUE or CKA_EXTRACTABLE is FALSE (footnote 7).
	hidden bool
	// officer says that only the SO may make the attribute TRUE (footnote 10).
	officer bool
	// role says that the default depends on the template: see defaultRoles.
	role bool
}

// call is a way in which an object comes into being.
type call int

const (
	create   call = iota // C_CreateObject
	generate             // C_GenerateKey, C_GenerateKeyPair
	unwrap               // C_UnwrapKey
	derive               // C_DeriveKey, C_EncapsulateKey, C_DecapsulateKey
	calls
)

// inputs has an entry for each call.
type inputs [calls]entry

// entry says what a template may do with an attribute when an object is made.
type entry int

const (
	optional entry = iota // any value of the right form
	required              // CKR_TEMPLATE_INCOMPLETE without it (footnotes 1, 3, 5)
	fixed                 // the default or nothing: CKR_TEMPLATE_INCONSISTENT
	foreign               // stands elsewhere or is not for templates: CKR_TEMPLATE_INCONSISTENT
	own                   // the token's to set: CKR_ATTRIBUTE_READ_ONLY (footnotes 2, 4, 6)
)

// always has the same entry in all calls.
func always(e entry) inputs { return inputs{e, e, e, e} }

// editing says what may be done with an attribute of an object that is there.
type editing int

const (
	readOnly editing = iota // nothing; if it is fixed, it may be set to what it is
	settable                // any value (footnote 8)
	raised                  // FALSE may become TRUE, and stays so (footnotes 8 and 11)
	lowered                 // TRUE may become FALSE, and stays so (footnotes 8 and 12)
	kept                    // it may be set to what it is, and its copy too
	inCopy                  // C_CopyObject alone
	lowerIn                 // C_CopyObject alone, from TRUE to FALSE
)

var (
	yes   = []byte{1}
	no    = []byte{0}
	empty = []byte{}
)

// with is s with more rules, or others.
func (s schema) with(more schema) schema {
	joined := maps.Clone(s)
	maps.Copy(joined, more)
	return joined
}

// fill checks a template and completes it with the defaults.
func (s schema) fill(c call, template []Attribute) (Attributes, error) {
	filled, err := s.given(c, template)
	if err != nil {
		return nil, err
	}
	for _, attribute := range slices.Sorted(maps.Keys(s)) {
		if _, given := filled[attribute]; given {
			continue
		}
		r := s[attribute]
		if r.in[c] == required {
			return nil, refuse(ck.CKR_TEMPLATE_INCOMPLETE, "%s is missing", attribute)
		}
		if value := r.standard(c); value != nil && !r.role {
			filled[attribute] = value
		}
	}
	s.defaultRoles(filled)
	return filled, nil
}

// given are the attributes of a template, each checked by itself.
func (s schema) given(c call, template []Attribute) (Attributes, error) {
	filled := Attributes{}
	for _, a := range template {
		if err := s.admit(c, a); err != nil {
			return nil, err
		}
		if value, given := filled[a.Type]; given && !bytes.Equal(value, a.Value) {
			return nil, refuse(ck.CKR_TEMPLATE_INCONSISTENT, "%s is given twice", a.Type)
		}
		filled[a.Type] = append([]byte{}, a.Value...)
	}
	return filled, nil
}

// standard is the default in one call.
func (r rule) standard(c call) []byte {
	if value, there := r.other[c]; there {
		return value
	}
	return r.value
}

// admit says whether a template may give an attribute with this value.
func (s schema) admit(c call, a Attribute) error {
	r, belongs := s[a.Type]
	if _, known := a.Type.Kind(); known && !belongs {
		return refuse(ck.CKR_TEMPLATE_INCONSISTENT, "%s does not belong to this object", a.Type)
	}
	if err := r.check(a); err != nil {
		return err
	}
	switch r.in[c] {
	case foreign:
		return refuse(ck.CKR_TEMPLATE_INCONSISTENT, "%s is not given in this template", a.Type)
	case own:
		return refuse(ck.CKR_ATTRIBUTE_READ_ONLY, "%s is set by the token", a.Type)
	case fixed:
		if !bytes.Equal(a.Value, r.standard(c)) {
			return refuse(ck.CKR_TEMPLATE_INCONSISTENT, "%s has another value here", a.Type)
		}
	}
	return nil
}

// check holds a value to the form of its attribute and to the rule's bound. The errors are those of checkValue.
func (r rule) check(a Attribute) error {
	if err := checkValue(a); err != nil {
		return err
	}
	if n := (Attributes{a.Type: a.Value}).ulong(a.Type); r.most > 0 && n > r.most {
		return refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, "%s is %d, at most %d is possible", a.Type, n, r.most)
	}
	return nil
}

// change says whether C_SetAttributeValue, or C_CopyObject, may set an attribute that now has the value present.
func (s schema) change(a Attribute, present []byte, copied bool) error {
	r, belongs := s[a.Type]
	if err := r.check(a); err != nil {
		return err
	}
	same := bytes.Equal(a.Value, present)
	switch {
	case !belongs:
		return refuse(ck.CKR_ATTRIBUTE_TYPE_INVALID, "%s does not belong to this object", a.Type)
	case r.allows(a.Value, copied), same && r.quiet(copied):
		return nil
	}
	return refuse(ck.CKR_ATTRIBUTE_READ_ONLY, "%s cannot be changed so", a.Type)
}

// allows says whether the rule lets an attribute become value.
func (r rule) allows(value []byte, copied bool) bool {
	switch r.set {
	case settable:
		return true
	case raised:
		return bytes.Equal(value, yes)
	case lowered:
		return bytes.Equal(value, no)
	case inCopy:
		return copied
	case lowerIn:
		return copied && bytes.Equal(value, no)
	}
	return false
}

// quiet says whether the attribute may be set to what it is.
func (r rule) quiet(copied bool) bool {
	switch r.set {
	case raised, lowered, kept:
		return true
	case lowerIn:
		return copied
	}
	return r.in[generate] == fixed
}

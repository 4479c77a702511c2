package token

import (
	"bytes"
	"maps"
	"slices"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// A schema is what the attributes of one kind of object may be: one rule per attribute. The tables below are PKCS#11
// 3.2 sections 4.4 to 4.10 (common attributes) and 6.65 (HSS). Attributes that are computed when they are read, such
// as CKA_HSS_KEYS_REMAINING, have a rule too, so that a template that gives them gets its answer.
type schema map[ck.AttributeType]rule

// rule is about one attribute of one kind of object.
type rule struct {
	entry entry
	// value is the default; nil if there is none to read, because the attribute is computed.
	value []byte
	// settable says whether C_SetAttributeValue may change the attribute. What it may not change, it may still set to
	// the value that is there, if entry is fixed.
	settable bool
	// most bounds the value of a CK_ULONG; 0 stands for no bound.
	most uint64
}

// entry says what a template may do with an attribute when an object is made.
type entry int

const (
	optional entry = iota // any value of the right form
	required              // CKR_TEMPLATE_INCOMPLETE without it
	fixed                 // the default or nothing: CKR_TEMPLATE_INCONSISTENT
	foreign               // stands elsewhere or is not for templates: CKR_TEMPLATE_INCONSISTENT
	own                   // the token's to set: CKR_ATTRIBUTE_READ_ONLY
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
func (s schema) fill(template []Attribute) (Attributes, error) {
	filled := Attributes{}
	for _, a := range template {
		if err := s.admit(a); err != nil {
			return nil, err
		}
		if value, given := filled[a.Type]; given && !bytes.Equal(value, a.Value) {
			return nil, refuse(ck.CKR_TEMPLATE_INCONSISTENT, "%s is given twice", a.Type)
		}
		filled[a.Type] = append([]byte{}, a.Value...)
	}
	for _, attribute := range slices.Sorted(maps.Keys(s)) {
		if _, given := filled[attribute]; given {
			continue
		}
		if s[attribute].entry == required {
			return nil, refuse(ck.CKR_TEMPLATE_INCOMPLETE, "%s is missing", attribute)
		}
		if value := s[attribute].value; value != nil {
			filled[attribute] = value
		}
	}
	return filled, nil
}

// admit says whether a template may give an attribute with this value.
func (s schema) admit(a Attribute) error {
	r, belongs := s[a.Type]
	if _, known := a.Type.Kind(); known && !belongs {
		return refuse(ck.CKR_TEMPLATE_INCONSISTENT, "%s does not belong to this object", a.Type)
	}
	if err := r.check(a); err != nil {
		return err
	}
	switch r.entry {
	case foreign:
		return refuse(ck.CKR_TEMPLATE_INCONSISTENT, "%s is not given in this template", a.Type)
	case own:
		return refuse(ck.CKR_ATTRIBUTE_READ_ONLY, "%s is set by the token", a.Type)
	case fixed:
		if !bytes.Equal(a.Value, r.value) {
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

// change says whether C_SetAttributeValue may set an attribute that now has the value present.
func (s schema) change(a Attribute, present []byte) error {
	r, belongs := s[a.Type]
	if err := r.check(a); err != nil {
		return err
	}
	switch {
	case !belongs:
		return refuse(ck.CKR_ATTRIBUTE_TYPE_INVALID, "%s does not belong to this object", a.Type)
	case r.settable:
		return nil
	case r.entry == fixed && bytes.Equal(a.Value, present):
		return nil
	}
	return refuse(ck.CKR_ATTRIBUTE_READ_ONLY, "%s cannot be changed", a.Type)
}

// The attributes of every object here (section 4.4 and 4.7): CKA_TOKEN is FALSE and CKA_MODIFIABLE TRUE by default, as
// the standard has it.
var storage = schema{
	ck.CKA_TOKEN:       {entry: optional, value: no},
	ck.CKA_PRIVATE:     {entry: optional, value: no},
	ck.CKA_MODIFIABLE:  {entry: optional, value: yes},
	ck.CKA_COPYABLE:    {entry: optional, value: yes},
	ck.CKA_DESTROYABLE: {entry: optional, value: yes},
	ck.CKA_LABEL:       {entry: optional, value: empty, settable: true},
	ck.CKA_UNIQUE_ID:   {entry: own},
}

// Of every key (section 4.7). None of ours derives.
var anyKey = storage.with(schema{
	ck.CKA_ID:                      {entry: optional, value: empty, settable: true},
	ck.CKA_START_DATE:              {entry: optional, value: empty, settable: true},
	ck.CKA_END_DATE:                {entry: optional, value: empty, settable: true},
	ck.CKA_DERIVE:                  {entry: fixed, value: no},
	ck.CKA_LOCAL:                   {entry: own},
	ck.CKA_KEY_GEN_MECHANISM:       {entry: own},
	ck.CKA_ALLOWED_MECHANISMS:      {entry: optional, value: empty},
	ck.CKA_DERIVE_TEMPLATE:         {entry: fixed, value: empty},
	ck.CKA_OBJECT_VALIDATION_FLAGS: {entry: own, value: Ulong(uint64(0))},
	ck.CKA_SUBJECT:                 {entry: optional, value: empty, settable: true},
	ck.CKA_PUBLIC_KEY_INFO:         {entry: own},
})

// Of every public key (section 4.8). What a key cannot do is fixed to FALSE.
var anyPublicKey = anyKey.with(schema{
	ck.CKA_CLASS:          {entry: fixed, value: Ulong(ck.CKO_PUBLIC_KEY)},
	ck.CKA_ENCRYPT:        {entry: fixed, value: no},
	ck.CKA_VERIFY:         {entry: fixed, value: no},
	ck.CKA_VERIFY_RECOVER: {entry: fixed, value: no},
	ck.CKA_WRAP:           {entry: fixed, value: no},
	ck.CKA_ENCAPSULATE:    {entry: fixed, value: no},
	ck.CKA_TRUSTED:        {entry: fixed, value: no},
	ck.CKA_WRAP_TEMPLATE:  {entry: fixed, value: empty},
})

// Of every private key (section 4.9). None leaves the token: sensitive, not extractable and not copyable, whatever the
// template leaves out, and a template that says otherwise is refused.
//
// CKA_COPYABLE is the one that clients set to TRUE without thinking, in the default template of all their private
// keys. It is refused all the same, with CKR_TEMPLATE_INCONSISTENT: PKCS#11 3.2 section 6.65 demands FALSE of an HSS
// key, and an object that said TRUE would promise a copy of state that may exist only once.
var anyPrivateKey = anyKey.with(schema{
	ck.CKA_CLASS:               {entry: fixed, value: Ulong(ck.CKO_PRIVATE_KEY)},
	ck.CKA_PRIVATE:             {entry: optional, value: yes},
	ck.CKA_COPYABLE:            {entry: fixed, value: no},
	ck.CKA_SENSITIVE:           {entry: fixed, value: yes},
	ck.CKA_EXTRACTABLE:         {entry: fixed, value: no},
	ck.CKA_ALWAYS_SENSITIVE:    {entry: own},
	ck.CKA_NEVER_EXTRACTABLE:   {entry: own},
	ck.CKA_DECRYPT:             {entry: fixed, value: no},
	ck.CKA_SIGN:                {entry: fixed, value: no},
	ck.CKA_SIGN_RECOVER:        {entry: fixed, value: no},
	ck.CKA_UNWRAP:              {entry: fixed, value: no},
	ck.CKA_DECAPSULATE:         {entry: fixed, value: no},
	ck.CKA_WRAP_WITH_TRUSTED:   {entry: fixed, value: no},
	ck.CKA_ALWAYS_AUTHENTICATE: {entry: fixed, value: no},
	ck.CKA_UNWRAP_TEMPLATE:     {entry: fixed, value: empty},
	ck.CKA_VALUE:               {entry: foreign},
})

// An HSS public key (section 6.65.2) that C_GenerateKeyPair makes: the levels stand in the private template alone.
var hssPublic = anyPublicKey.with(schema{
	ck.CKA_KEY_TYPE:       {entry: fixed, value: Ulong(ck.CKK_HSS)},
	ck.CKA_VERIFY:         {entry: optional, value: yes, settable: true},
	ck.CKA_VALUE:          {entry: foreign},
	ck.CKA_HSS_LEVELS:     {entry: foreign},
	ck.CKA_HSS_LMS_TYPE:   {entry: foreign},
	ck.CKA_HSS_LMOTS_TYPE: {entry: foreign},
})

// An HSS public key from C_CreateObject: its value says all.
var hssPublicCreated = hssPublic.with(schema{
	ck.CKA_CLASS:           {entry: required},
	ck.CKA_KEY_TYPE:        {entry: required},
	ck.CKA_VALUE:           {entry: required},
	ck.CKA_PUBLIC_KEY_INFO: {entry: optional},
})

// An HSS private key (section 6.65.3) that C_GenerateKeyPair makes.
var hssPrivate = anyPrivateKey.with(schema{
	ck.CKA_KEY_TYPE:              {entry: fixed, value: Ulong(ck.CKK_HSS)},
	ck.CKA_SIGN:                  {entry: optional, value: yes, settable: true},
	ck.CKA_HSS_LEVELS:            {entry: required},
	ck.CKA_HSS_LMS_TYPES:         {entry: required},
	ck.CKA_HSS_LMOTS_TYPES:       {entry: required},
	ck.CKA_HSS_KEYS_REMAINING:    {entry: foreign},
	ck.CKA_ONCELEAF_TRANSFERABLE: {entry: optional, value: no},
	ck.CKA_ONCELEAF_RECEIPT:      {entry: own},
	ck.CKA_ONCELEAF_STATE:        {entry: own},
	ck.CKA_ONCELEAF_RESERVE:      {entry: optional},
	ck.CKA_ONCELEAF_WARN_BELOW:   {entry: optional, value: Ulong(defaultWarnBelow), settable: true, most: 100},
	ck.CKA_ONCELEAF_LOW:          {entry: own},
})

// An HSS private key that C_UnwrapKey takes out of a capsule. The capsule says what the key is, so it brings neither
// label nor id: they are the destination's to choose. A received key is always a token object.
var hssPrivateReceived = hssPrivate.with(schema{
	ck.CKA_TOKEN:                 {entry: fixed, value: yes},
	ck.CKA_HSS_LEVELS:            {entry: foreign},
	ck.CKA_HSS_LMS_TYPES:         {entry: foreign},
	ck.CKA_HSS_LMOTS_TYPES:       {entry: foreign},
	ck.CKA_ONCELEAF_TRANSFERABLE: {entry: fixed, value: yes},
})

// A transfer request: at the destination the public half of a transfer key, which outlives the session unless the
// template says otherwise (the request travels, the answer takes days), at the source an object from C_CreateObject.
var transferPublic = anyPublicKey.with(schema{
	ck.CKA_TOKEN:                {entry: optional, value: yes},
	ck.CKA_KEY_TYPE:             {entry: fixed, value: Ulong(ck.CKK_ONCELEAF_TRANSFER)},
	ck.CKA_WRAP:                 {entry: optional, value: yes, settable: true},
	ck.CKA_PUBLIC_KEY_INFO:      {entry: own, value: empty}, // no such key has a SubjectPublicKeyInfo
	ck.CKA_VALUE:                {entry: foreign},
	ck.CKA_ONCELEAF_FINGERPRINT: {entry: own},
})

var transferPublicCreated = transferPublic.with(schema{
	ck.CKA_TOKEN:    {entry: optional, value: no},
	ck.CKA_CLASS:    {entry: required},
	ck.CKA_KEY_TYPE: {entry: required},
	ck.CKA_VALUE:    {entry: required},
})

// The secret half of a transfer key. It is always private: it is sealed under the master key.
var transferPrivate = anyPrivateKey.with(schema{
	ck.CKA_TOKEN:                {entry: optional, value: yes},
	ck.CKA_PRIVATE:              {entry: fixed, value: yes},
	ck.CKA_KEY_TYPE:             {entry: fixed, value: Ulong(ck.CKK_ONCELEAF_TRANSFER)},
	ck.CKA_UNWRAP:               {entry: optional, value: yes, settable: true},
	ck.CKA_PUBLIC_KEY_INFO:      {entry: own, value: empty},
	ck.CKA_ONCELEAF_FINGERPRINT: {entry: own},
})

// schemaOf is the schema for reading and changing an object that is there.
func schemaOf(class ck.ObjectClass, keyType ck.KeyType) (schema, bool) {
	switch {
	case class == ck.CKO_PUBLIC_KEY && keyType == ck.CKK_HSS:
		return hssPublic, true
	case class == ck.CKO_PRIVATE_KEY && keyType == ck.CKK_HSS:
		return hssPrivate, true
	case class == ck.CKO_PUBLIC_KEY && keyType == ck.CKK_ONCELEAF_TRANSFER:
		return transferPublic, true
	case class == ck.CKO_PRIVATE_KEY && keyType == ck.CKK_ONCELEAF_TRANSFER:
		return transferPrivate, true
	}
	return nil, false
}

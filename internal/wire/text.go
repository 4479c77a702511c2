package wire

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
)

// forms is how composite values look.
const forms = `## Forms of values

` + "```" + `
bytes      u32 length | octets             length 0xffffffff stands for NULL and has no octets
text       bytes, UTF-8, not padded, not longer than the field of the C structure
template   u32 count  | count x ( u64 type   | u8 form | form 0: bytes | form 1: template )
queries    u32 count  | count x ( u64 type   | u8 form | form 0: u8 query, u64 room | form 1: queries )
results    u32 count  | count x ( u64 type   | u64 length | u8 form | form 0: bytes, NULL if nothing is to be copied | form 1: results )
mechanism  u8 form    | 0: the pointer was NULL | 1: u64 type, no parameter | 2: u64 type, bytes as they lie in memory
                      | 3: u64 type, u8 structure, its fields | 4: u64 type, of a parameter that it cannot have
message    u8 form    | 0: no parameter | 1: bytes iv, u64 ulIvFixedBits, u64 ivGenerator, u64 ulTagBits, bytes tag
                      | 2: a parameter of another length than CK_GCM_MESSAGE_PARAMS has
` + "```" + `

Form 1 of attributes is for CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE, CKA_DERIVE_TEMPLATE, CKA_ENCAPSULATE_TEMPLATE and
CKA_DECAPSULATE_TEMPLATE, with a length that is whole entries of CK_ATTRIBUTE (24 bytes), and one level deep. The length
of such a result is 24 bytes for each entry, and the types in it say which they are; all other results have the type of
their query.
`

// Text is what both ends must agree on, for people to read: it stands in docs/spec/wire.md.
func Text() string { return forms + kindsText() + functionsText() + paramsText() }

// Hash is SHA-256 of Text.
func Hash() [32]byte { return hash() }

var hash = sync.OnceValue(func() [32]byte { return sha256.Sum256([]byte(Text())) })

func kindsText() string {
	var b strings.Builder
	b.WriteString("\n## Kinds of arguments\n\n| kind | in C | request | answer to CKR_OK | bad arguments if |\n|---|---|---|---|---|\n")
	for _, k := range Kinds {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", k.Name, k.C, k.Request, k.Answer, k.Bad)
	}
	return b.String()
}

func functionsText() string {
	var b strings.Builder
	b.WriteString("\n## Functions\n\n| number | function | where | ends | arguments |\n|---|---|---|---|---|\n")
	for i, f := range Functions {
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s |\n", i+1, f.Name, f.Place, ending(f.Ends), strings.Join(arguments(f), ", "))
	}
	return b.String()
}

// String is the place in one word.
func (p Place) String() string { return [...]string{"daemon", "library", "absent"}[p] }

func ending(flags uint64) string {
	if flags == 0 {
		return ""
	}
	return fmt.Sprintf("0x%x", flags)
}

func arguments(f FunctionRow) (names []string) {
	for _, a := range f.Args {
		names = append(names, fmt.Sprintf("%s %s", a.Kind, a.Name))
	}
	return names
}

func paramsText() string {
	var b strings.Builder
	b.WriteString("\n## Structures of parameters\n\n| number | structure | bytes | mechanisms | fields |\n|---|---|---|---|---|\n")
	for _, p := range Params {
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s |\n", p.ID, p.Struct, strings.Trim(fmt.Sprint(p.Sizes), "[]"), users(p), fieldsText(p))
	}
	return b.String()
}

func users(p Param) string {
	var names []string
	for _, m := range p.Mechanisms {
		names = append(names, fmt.Sprintf("0x%x", uint64(m)))
	}
	text := strings.Join(names, ", ")
	if p.Wrapping {
		text += " of authenticated wrapping"
	}
	if p.Struct == messageStruct {
		text = "the functions of messages"
	}
	return text
}

func fieldsText(p Param) string {
	var fields []string
	for _, f := range p.crossing() {
		fields = append(fields, f.form()+" "+f.C)
	}
	return strings.Join(fields, ", ")
}

func (f Field) form() string {
	switch f.Kind {
	case Flag:
		return "u8"
	case Fixed:
		return fmt.Sprintf("%d octets", f.Size)
	case Octets:
		return "bytes"
	case Pointer:
		return fmt.Sprintf("u8, structure %d", f.Struct)
	}
	return "u64"
}

package main

import (
	"fmt"
	"strings"

	"github.com/onceleaf/onceleaf/internal/wire"
)

const pointed = `
/* pointed: a pointer of a structure can be followed. */
static bool pointed(const void *octets, CK_ULONG length)
{
	return length <= MAX_VALUE && !(octets == NULL && length != 0);
}
`

const putParams = `
void put_params(struct buffer *out, const CK_MECHANISM *m, bool wrapping)
{
	unsigned id = 0;
	put_structure *put = structure_of(m->mechanism, wrapping, &id);
	size_t start = out->used;
	put_u8(out, put == NULL ? 2 : 3);
	put_ulong(out, m->mechanism);
	if (put == NULL) {
		put_bytes(out, m->pParameter, m->ulParameterLen);
		return;
	}
	put_u8(out, id);
	if (put(out, m->pParameter, m->ulParameterLen))
		return;
	if (out->used > start)
		explicit_bzero(out->bytes + start, out->used - start);
	out->used = start;
	put_u8(out, 4); /* a misfit */
	put_ulong(out, m->mechanism);
}
`

// structures is how parameters with pointers cross.
func structures() string {
	var b strings.Builder
	b.WriteString(pointed)
	for _, p := range wire.Params {
		if p.Mechanisms != nil {
			b.WriteString(structure(p) + putter(p))
		}
	}
	b.WriteString(structureOf())
	b.WriteString(putParams)
	return b.String()
}

// structure declares a structure, and its short form.
func structure(p wire.Param) string {
	var b strings.Builder
	for i, size := range p.Sizes {
		name := p.Struct + strings.Repeat("_SHORT", i)
		fmt.Fprintf(&b, "\nstruct %s {\n", name)
		for _, f := range p.Fields {
			if i == 0 || f.Short == "" {
				b.WriteString("\t" + member(f) + ";\n")
			}
		}
		fmt.Fprintf(&b, "};\n_Static_assert(sizeof(struct %s) == %d, \"natural alignment\");\n", name, size)
	}
	return b.String()
}

func member(f wire.Field) string {
	switch f.Kind {
	case wire.Flag:
		return "CK_BBOOL " + f.C
	case wire.Fixed:
		return fmt.Sprintf("CK_BYTE %s[%d]", f.C, f.Size)
	case wire.Octets, wire.Pointer:
		return "const void *" + f.C
	}
	return "CK_ULONG " + f.C
}

// putter is the function that puts a structure, or answers false.
func putter(p wire.Param) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nstatic bool put_%s(struct buffer *out, const void *parameter, CK_ULONG length)\n{\n\tstruct %s p;\n", p.Struct, p.Struct)
	b.WriteString(taking(p))
	var checks []string
	for _, f := range p.Fields {
		if f.Kind == wire.Octets {
			checks = append(checks, fmt.Sprintf("!pointed(p.%s, p.%s)", f.C, lengthOf(p, f)))
		}
	}
	if checks != nil {
		fmt.Fprintf(&b, "\tif (%s)\n\t\treturn false;\n", strings.Join(checks, " || "))
	}
	for _, f := range p.Fields {
		b.WriteString(putField(p, f))
	}
	return b.String() + "\treturn true;\n}\n"
}

// taking copies the parameter into p, which its memory may not be aligned for.
func taking(p wire.Param) string {
	if len(p.Sizes) == 1 {
		return "\tif (length != sizeof p)\n\t\treturn false;\n\tmemcpy(&p, parameter, sizeof p);\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\tstruct %s_SHORT s;\n\tif (length == sizeof s) {\n\t\tmemcpy(&s, parameter, sizeof s);\n", p.Struct)
	fmt.Fprintf(&b, "\t\tp = (struct %s){\n", p.Struct)
	for _, f := range p.Fields {
		value := "s." + f.C
		if f.Short != "" {
			value = f.Short
		}
		fmt.Fprintf(&b, "\t\t\t.%s = %s,\n", f.C, value)
	}
	b.WriteString("\t\t};\n\t} else if (length == sizeof p) {\n\t\tmemcpy(&p, parameter, sizeof p);\n\t} else {\n\t\treturn false;\n\t}\n")
	return b.String()
}

func lengthOf(p wire.Param, pointer wire.Field) string {
	for _, f := range p.Fields {
		if f.Kind == wire.Length && f.Of == pointer.C {
			return f.C
		}
	}
	panic(pointer.C + " has no length")
}

func putField(p wire.Param, f wire.Field) string {
	switch f.Kind {
	case wire.Length:
		return ""
	case wire.Flag:
		return fmt.Sprintf("\tput_u8(out, p.%s != 0);\n", f.C)
	case wire.Fixed:
		return fmt.Sprintf("\tput_octets(out, p.%s, sizeof p.%s);\n", f.C, f.C)
	case wire.Octets:
		return fmt.Sprintf("\tput_bytes(out, p.%s, p.%s);\n", f.C, lengthOf(p, f))
	case wire.Pointer:
		inner := wire.Params[f.Struct-1].Struct
		return fmt.Sprintf("\tput_u8(out, p.%s != NULL);\n\tif (p.%s != NULL && !put_%s(out, p.%s, sizeof(struct %s)))\n\t\treturn false;\n",
			f.C, f.C, inner, f.C, inner)
	}
	return fmt.Sprintf("\tput_ulong(out, p.%s);\n", f.C)
}

// structureOf finds the structure that belongs to a mechanism.
func structureOf() string {
	var b strings.Builder
	b.WriteString("\ntypedef bool put_structure(struct buffer *, const void *, CK_ULONG);\n" +
		"\nstatic put_structure *structure_of(CK_MECHANISM_TYPE type, bool wrapping, unsigned *id)\n{\n")
	for _, wrapping := range []bool{true, false} {
		indent := "\t"
		if wrapping {
			b.WriteString("\tif (wrapping) {\n")
			indent = "\t\t"
		}
		fmt.Fprintf(&b, "%sswitch (type) {\n", indent)
		for _, p := range wire.Params {
			if p.Wrapping == wrapping && p.Mechanisms != nil {
				for _, m := range p.Mechanisms {
					fmt.Fprintf(&b, "%scase 0x%x:\n", indent, uint64(m))
				}
				fmt.Fprintf(&b, "%s\t*id = %d;\n%s\treturn put_%s;\n", indent, p.ID, indent, p.Struct)
			}
		}
		fmt.Fprintf(&b, "%s}\n", indent)
		if wrapping {
			b.WriteString("\t}\n")
		}
	}
	return b.String() + "\treturn NULL;\n}\n"
}

package main

import (
	"fmt"
	"go/format"
	"strings"

	"github.com/onceleaf/onceleaf/internal/wire"
)

const messageTypes = `
// MessageParameter is what came as the parameter of a message function: nothing, a structure, or something of a length
// that no structure has.
type MessageParameter struct {
	GCM    *GCMMessage
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
`

// paramsGo is p11module/params.go.
func paramsGo() ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, goHead, "p11module", ckImport)
	for _, p := range wire.Params {
		fmt.Fprintf(&b, "\n// %s is %s.\ntype %s struct {\n", p.Go, p.Struct, p.Go)
		for _, f := range p.Fields {
			if f.Kind != wire.Length {
				fmt.Fprintf(&b, "\t%s %s\n", f.Go, goType(f))
			}
		}
		b.WriteString("}\n")
	}
	b.WriteString(messageTypes)
	return format.Source([]byte(b.String()))
}

func goType(f wire.Field) string {
	switch f.Kind {
	case wire.Flag:
		return "bool"
	case wire.Fixed:
		return fmt.Sprintf("[%d]byte", f.Size)
	case wire.Octets:
		return "[]byte // nil for NULL"
	case wire.Handle:
		return "ck.ObjectHandle"
	case wire.Pointer:
		return "*" + wire.Params[f.Struct-1].Go + " // nil for NULL"
	}
	return "uint64"
}

// infoWriters write the structures of general information.
func infoWriters() string {
	var b strings.Builder
	for kind := wire.ArgInfo; kind <= wire.ArgMechanismInfo; kind++ {
		fmt.Fprintf(&b, "\nfunc write%s(out *wire.Writer, info p11module.%s, rv ck.RV) {\n\tif rv != ck.CKR_OK {\n\t\treturn\n\t}\n", kind, kind)
		for _, f := range wire.Infos[kind].Fields {
			switch {
			case f.Text != 0:
				fmt.Fprintf(&b, "\tout.Text(info.%s, %d)\n", f.Go, f.Text)
			case f.Version:
				fmt.Fprintf(&b, "\twriteVersion(out, info.%s)\n", f.Go)
			case f.Go == "Slot":
				b.WriteString("\tout.U64(uint64(info.Slot))\n")
			default:
				fmt.Fprintf(&b, "\tout.U64(info.%s)\n", f.Go)
			}
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// structReaders turn parameter structures into those of p11module.
func structReaders() string {
	var b, cases strings.Builder
	for _, p := range wire.Params {
		if p.Mechanisms == nil {
			continue
		}
		fmt.Fprintf(&cases, "\tcase %d:\n\t\treturn to%s(s)\n", p.ID, p.Go)
		fmt.Fprintf(&b, "\nfunc to%s(s wire.Struct) *p11module.%s {\n\treturn &p11module.%s{\n", p.Go, p.Go, p.Go)
		i := 0
		for _, f := range p.Fields {
			if f.Kind != wire.Length {
				fmt.Fprintf(&b, "\t\t%s: %s,\n", f.Go, goValue(f, fmt.Sprintf("s.Values[%d]", i)))
				i++
			}
		}
		b.WriteString("\t}\n}\n")
	}
	return "\n// fromStruct is a pointer to the structure of p11module.\nfunc fromStruct(s wire.Struct) any {\n\tswitch s.ID {\n" +
		cases.String() + "\t}\n\treturn nil\n}\n" + b.String()
}

func goValue(f wire.Field, value string) string {
	switch f.Kind {
	case wire.Flag:
		return value + ".Number != 0"
	case wire.Fixed:
		return fmt.Sprintf("[%d]byte(%s.Octets)", f.Size, value)
	case wire.Octets:
		return fmt.Sprintf("bytes.Clone(%s.Octets)", value)
	case wire.Handle:
		return fmt.Sprintf("ck.ObjectHandle(%s.Number)", value)
	case wire.Pointer:
		return fmt.Sprintf("inner(%s.Struct, to%s)", value, wire.Params[f.Struct-1].Go)
	}
	return value + ".Number"
}

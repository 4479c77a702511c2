package main

import (
	"fmt"
	"strings"

	"github.com/onceleaf/onceleaf/internal/wire"
)

const callsHead = `/*
 * The functions of PKCS#11 that the token answers: one stub each, for both libraries, made from the table in internal/wire
 * by go generate ./internal/wire. A stub holds the arguments to what they must be, hands them on once, takes the whole
 * answer apart, and only when all of it was right stores anything where the caller can see it.
 */
#include "call.h"

#include <string.h>

`

// callsC is cgo/embedded/calls.c; with all, absent functions are made like the others.
func callsC(all bool) []byte {
	var b strings.Builder
	b.WriteString(callsHead)
	b.WriteString(constants())
	b.WriteString(structures())
	b.WriteString(infos())
	for i, f := range wire.Functions {
		if f.Place == wire.Remote || all && f.Place == wire.Absent {
			b.WriteString("\n" + stub(i+1, f))
		}
	}
	if !all {
		b.WriteString(absent)
	}
	return []byte(b.String())
}

const absent = `
/* The functions that this token does not offer. Their parameters have names because C11 asks for them. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

#define ELSEWHERE(name, parameters)
#define ABSENT(name, parameters)        \
	CK_RV name parameters           \
	{                               \
		return not_supported(); \
	}

CK_FUNCTIONS_2_40(ELSEWHERE, ABSENT)
CK_FUNCTIONS_ADDED_IN_3_0(ELSEWHERE, ABSENT)
CK_FUNCTIONS_ADDED_IN_3_2(ELSEWHERE, ABSENT)
`

// constants are what the handshake and refused arguments need.
func constants() string {
	var b strings.Builder
	fmt.Fprintf(&b, "_Static_assert(MAX_PART == %d && MAX_FRAME == %d && MAX_VALUE == %d && MAX_ATTRIBUTES == %d && MAX_LIST == %d &&\n"+
		"\t       MAX_NAME == %d && RANDOM_CHUNK == %d, \"the other side has other bounds\");\n\n",
		wire.MaxPart, wire.MaxFrame, wire.MaxValue, wire.MaxAttributes, wire.MaxList, wire.MaxName, wire.MaxRandom)
	fmt.Fprintf(&b, "const uint32_t wire_version = %d;\n\nconst unsigned char wire_hash[32] = {", wire.Version)
	for i, octet := range wire.Hash() {
		if i%16 == 0 {
			b.WriteString("\n\t")
		} else {
			b.WriteString(" ")
		}
		fmt.Fprintf(&b, "0x%02x,", octet)
	}
	fmt.Fprintf(&b, "\n};\n\nconst CK_FLAGS wire_ends[%d] = {\n", len(wire.Functions)+1)
	for i, f := range wire.Functions {
		if f.Ends != 0 {
			fmt.Fprintf(&b, "\t[%d] = 0x%x, /* %s */\n", i+1, f.Ends, f.Name)
		}
	}
	b.WriteString("};\n")
	return b.String()
}

// infos are functions that read the structures of general information.
func infos() string {
	var b strings.Builder
	for kind := wire.ArgInfo; kind <= wire.ArgMechanismInfo; kind++ {
		row := wire.Infos[kind]
		fmt.Fprintf(&b, "\nstatic void get_%s(struct reader *in, %s *info, CK_RV rv)\n{\n", row.Struct, row.Struct)
		b.WriteString("\tmemset(info, 0, sizeof *info);\n\tif (rv != CKR_OK)\n\t\treturn;\n")
		for _, f := range row.Fields {
			switch {
			case f.Text != 0:
				fmt.Fprintf(&b, "\tget_text(in, info->%s, sizeof info->%s);\n", f.C, f.C)
			case f.Version:
				fmt.Fprintf(&b, "\tget_version(in, &info->%s);\n", f.C)
			default:
				fmt.Fprintf(&b, "\tinfo->%s = get_ulong(in);\n", f.C)
			}
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// steps are the C statements for one argument, in the parts of a stub.
type steps struct {
	bad     string // condition
	declare string
	put     string
	get     string
	store   string
}

// stub is one function.
func stub(number int, f wire.FunctionRow) string {
	if f.Args[len(f.Args)-1].Kind == wire.ArgRandom {
		return randomStub(number, f)
	}
	var bad, declare, put, get, store []string
	for _, a := range f.Args {
		s := stepsOf(f, a)
		bad, declare, put = add(bad, s.bad), add(declare, s.declare), add(put, s.put)
		get, store = add(get, s.get), add(store, s.store)
	}
	var b strings.Builder
	b.WriteString(opening(number, f, declare, bad))
	lines(&b, put...)
	lines(&b, "rv = exchange(call);")
	lines(&b, get...)
	b.WriteString("\tif (!complete(call))\n\t\treturn leave(call, CKR_DEVICE_ERROR);\n")
	lines(&b, store...)
	lines(&b, "return leave(call, rv);")
	return b.String() + "}\n"
}

func add(list []string, text string) []string {
	if text == "" {
		return list
	}
	return append(list, text)
}

func lines(b *strings.Builder, texts ...string) {
	for _, text := range texts {
		b.WriteString("\t" + strings.ReplaceAll(text, "\n", "\n\t") + "\n")
	}
}

// opening is a stub up to where its arguments are known to be right.
func opening(number int, f wire.FunctionRow, declare, bad []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n{\n", prototype(f))
	lines(&b, "struct call *call;")
	lines(&b, declare...)
	lines(&b, fmt.Sprintf("CK_RV rv = enter(&call, %d);", number), "if (rv != CKR_OK)\n\treturn rv;")
	if len(bad) != 0 {
		refuse := fmt.Sprintf("return leave(call, refuse(call, %s, 0x%x));", sessionOf(f), f.Ends)
		lines(&b, "if ("+anyOf(bad)+")\n\t"+refuse)
	}
	return b.String()
}

// anyOf joins conditions, on one line if they fit.
func anyOf(conditions []string) string {
	line := strings.Join(conditions, " || ")
	if len(line) > 100 {
		line = strings.Join(conditions, " ||\n    ")
	}
	return line
}

func prototype(f wire.FunctionRow) string {
	line := "CK_RV " + f.Name + "("
	column := len(line)
	indent := strings.Repeat("\t", column/8) + strings.Repeat(" ", column%8)
	all := parameters(f)
	for i, p := range all {
		if i > 0 && column+len(p)+2 > 120 {
			line = strings.TrimRight(line, " ") + "\n" + indent
			column = len(f.Name) + 7
		}
		if i < len(all)-1 {
			p += ", "
		}
		line += p
		column += len(p)
	}
	return line + ")"
}

// sessionOf is the session whose operations a bad argument ends.
func sessionOf(f wire.FunctionRow) string {
	if f.Args[0].Kind == wire.ArgSession {
		return f.Args[0].Name
	}
	return "0"
}

// stepsOf is how one argument crosses.
func stepsOf(f wire.FunctionRow, a wire.Arg) steps {
	value := a.Name + "Value"
	switch a.Kind {
	case wire.ArgSession, wire.ArgSlot, wire.ArgObject, wire.ArgNumber:
		return steps{put: call("put_ulong", a.Name)}
	case wire.ArgBool:
		return steps{put: call("put_u8", a.Name+" != 0")}
	case wire.ArgLabel:
		return steps{bad: a.Name + " == NULL", put: call("put_octets", a.Name, "32")}
	case wire.ArgIn:
		return steps{bad: pair("bad_bytes", a), put: call("put_bytes", a.Name, a.Length)}
	case wire.ArgInGiven:
		return steps{bad: a.Name + " == NULL || " + pair("bad_bytes", a), put: call("put_bytes", a.Name, a.Length)}
	case wire.ArgName:
		return steps{bad: fmt.Sprintf("bad_name(%s)", a.Name), put: call("put_name", a.Name)}
	case wire.ArgTemplate:
		return steps{bad: pair("bad_template", a), put: call("put_template", a.Name, a.Length)}
	case wire.ArgMechanism, wire.ArgWrapMechanism:
		wraps := fmt.Sprint(a.Kind == wire.ArgWrapMechanism)
		return steps{bad: fmt.Sprintf("bad_mechanism(%s)", a.Name), put: call("put_mechanism", a.Name, wraps)}
	case wire.ArgMechanismOrNull:
		return steps{bad: fmt.Sprintf("(%s != NULL && bad_mechanism(%s))", a.Name, a.Name), put: call("put_mechanism", a.Name, "false")}
	case wire.ArgReserved:
		return steps{bad: a.Name + " != NULL"}
	case wire.ArgIgnored:
		return steps{declare: fmt.Sprintf("(void)%s;", a.Name)}
	case wire.ArgEncrypting, wire.ArgDecrypting, wire.ArgMessage:
		return messageSteps(a, value)
	case wire.ArgNewSession, wire.ArgNewObject, wire.ArgOutNumber:
		return numberSteps(f, a, value)
	case wire.ArgInfo, wire.ArgSlotInfo, wire.ArgTokenInfo, wire.ArgSessionInfo, wire.ArgMechanismInfo:
		name := wire.Infos[a.Kind].Struct
		return steps{bad: a.Name + " == NULL", declare: fmt.Sprintf("%s %s;", name, value),
			get:   fmt.Sprintf("get_%s(&call->in, &%s, rv);", name, value),
			store: fmt.Sprintf("if (rv == CKR_OK)\n\t*%s = %s;", a.Name, value)}
	}
	return bufferSteps(a, value)
}

// bufferSteps are those of arguments that fill the caller's memory.
func bufferSteps(a wire.Arg, value string) steps {
	p, n := a.Name, a.Length
	switch a.Kind {
	case wire.ArgOut, wire.ArgOutOrNone:
		s := steps{bad: n + " == NULL", declare: fmt.Sprintf("struct output %s;", value), put: call("put_room", p, n),
			get:   fmt.Sprintf("get_output(&call->in, &%s, rv, %s, %s);", value, p, n),
			store: fmt.Sprintf("store_output(&%s, rv, %s, %s);", value, p, n)}
		if a.Kind == wire.ArgOutOrNone {
			s.bad, s.put = "", call("put_room_or_none", p, n)
		}
		return s
	case wire.ArgList:
		return steps{bad: n + " == NULL", declare: fmt.Sprintf("struct numbers %s;", value),
			get:   fmt.Sprintf("get_numbers(&call->in, &%s, rv, MAX_LIST);", value),
			store: fmt.Sprintf("rv = store_list(&%s, rv, %s, %s);", value, p, n)}
	case wire.ArgFound:
		most := fmt.Sprintf("%s < MAX_LIST ? %s : MAX_LIST", n, n)
		return steps{bad: fmt.Sprintf("(%s == NULL && %s != 0) || count == NULL", p, n), declare: fmt.Sprintf("struct numbers %s;", value),
			put:   call("put_ulong", most),
			get:   fmt.Sprintf("get_numbers(&call->in, &%s, rv, %s);", value, most),
			store: fmt.Sprintf("store_found(&%s, rv, %s, count);", value, p)}
	case wire.ArgQuery:
		return steps{bad: pair("bad_list", a), declare: fmt.Sprintf("struct reader %s;", value), put: call("put_queries", p, n),
			get:   fmt.Sprintf("get_results(&call->in, &%s, rv, %s, %s);", value, p, n),
			store: fmt.Sprintf("store_results(&%s, rv, %s, %s);", value, p, n)}
	case wire.ArgAsync:
		return steps{bad: p + " == NULL", declare: fmt.Sprintf("CK_ASYNC_DATA %s;", value),
			put:   call("put_room", p+"->pValue", "&"+p+"->ulValue"),
			get:   fmt.Sprintf("get_async(&call->in, &%s, rv, %s);", value, p),
			store: fmt.Sprintf("store_async(&%s, rv, %s);", value, p)}
	}
	panic("no C for " + a.Kind.String())
}

func messageSteps(a wire.Arg, value string) steps {
	if a.Kind == wire.ArgMessage { // no mechanism has a structure here, so nothing is known of what it points to
		value += "None"
		return steps{bad: pair("bad_bytes", a), put: call("put_u8", a.Length+" == 0 ? 0 : 2"),
			declare: fmt.Sprintf("struct message %s;", value),
			get:     fmt.Sprintf("get_message(&call->in, &%s, rv, NULL, 0, false);", value)}
	}
	encrypts := fmt.Sprint(a.Kind == wire.ArgEncrypting)
	return steps{bad: pair("bad_bytes", a), declare: fmt.Sprintf("struct message %s;", value),
		put:   call("put_message", a.Name, a.Length, encrypts),
		get:   fmt.Sprintf("get_message(&call->in, &%s, rv, %s, %s, %s);", value, a.Name, a.Length, encrypts),
		store: fmt.Sprintf("store_message(&%s, rv, %s, %s);", value, a.Name, a.Length)}
}

// numberSteps are those of a result that is one number. A length query makes no object, so there is no handle then.
func numberSteps(f wire.FunctionRow, a wire.Arg, value string) steps {
	condition := "rv == CKR_OK"
	for _, other := range f.Args {
		if other.Kind == wire.ArgOut {
			condition += fmt.Sprintf(" && %s != NULL", other.Name)
		}
	}
	return steps{bad: a.Name + " == NULL", declare: fmt.Sprintf("CK_ULONG %s;", value),
		get:   fmt.Sprintf("%s = rv == CKR_OK ? get_ulong(&call->in) : 0;", value),
		store: fmt.Sprintf("if (%s)\n\t*%s = %s;", condition, a.Name, value)}
}

// call is a statement that puts something into the request.
func call(function string, arguments ...string) string {
	return fmt.Sprintf("%s(&call->out, %s);", function, strings.Join(arguments, ", "))
}

func pair(function string, a wire.Arg) string {
	return fmt.Sprintf("%s(%s, %s)", function, a.Name, a.Length)
}

// randomStub asks for random octets in parts, at least once. Of a call that fails nothing stays.
func randomStub(number int, f wire.FunctionRow) string {
	s, a := f.Args[0].Name, f.Args[1]
	bad := []string{pair("bad_bytes", a)}
	return opening(number, f, []string{"struct output part;", "CK_ULONG done = 0;"}, bad) +
		strings.NewReplacer("SESSION", s, "VALUE", a.Name, "LENGTH", a.Length).Replace(`	do {
		CK_ULONG length = LENGTH - done < RANDOM_CHUNK ? LENGTH - done : RANDOM_CHUNK;
		again(call);
		put_ulong(&call->out, SESSION);
		put_ulong(&call->out, length);
		rv = exchange(call);
		get_random(&call->in, &part, rv, length);
		if (!complete(call))
			rv = CKR_DEVICE_ERROR;
		if (rv == CKR_OK && length != 0)
			store_random(&part, rv, VALUE + done);
		if (rv == CKR_OK)
			done += length;
	} while (rv == CKR_OK && done < LENGTH);
	rv = leave(call, rv);
	if (rv != CKR_OK && done != 0)
		explicit_bzero(VALUE, done);
	return rv;
}
`)
}

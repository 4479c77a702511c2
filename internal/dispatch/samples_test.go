package dispatch

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/onceleaf/onceleaf/internal/wire"
)

// A variant is one way in which the sample program calls a function.
const (
	plain  = "plain"  // everything is there, with room enough
	query  = "query"  // output buffers at NULL, inputs empty
	small  = "small"  // output buffers of two bytes
	none   = "none"   // what may be NULL is NULL
	failed = "failed" // the module answers with an error
)

// sample is one argument in the sample program.
type sample struct {
	declare string // C: before the call
	args    string // C: the arguments
	call    string // how the recorder writes it down
	print   string // C: prints what came back
	stored  string // what that prints when it was stored
	kept    string // what that prints when nothing was
}

const untouched = "eeeeeeeeeeeeeeee"

// sampleOf is the argument a of function number n in a variant.
func sampleOf(n, i int, a wire.Arg, variant string) sample {
	name := a.Name
	id := uint64(0x1100000000000000) | uint64(n)<<8 | uint64(i)
	if variant == failed {
		id |= failing
	}
	octets := fmt.Sprintf("%02x%02xab", n, i)
	switch a.Kind {
	case wire.ArgSession, wire.ArgSlot, wire.ArgObject, wire.ArgNumber:
		return sample{args: fmt.Sprintf("0x%xUL", id), call: fmt.Sprintf("0x%x", id)}
	case wire.ArgBool:
		return sample{args: fmt.Sprint(map[bool]int{true: 0, false: 7}[variant == failed]), call: fmt.Sprint(variant != failed)}
	case wire.ArgLabel:
		label := strings.Repeat("l", 32)
		return sample{args: fmt.Sprintf("(CK_BYTE *)%q", label), call: fmt.Sprintf("[%x]", label)}
	case wire.ArgIn, wire.ArgInGiven:
		return sampleIn(name, octets, variant, a.Kind == wire.ArgInGiven)
	case wire.ArgName:
		return sample{args: `(CK_BYTE *)"C_Sign"`, call: "C_Sign"}
	case wire.ArgTemplate:
		return sampleTemplate(name, octets, variant)
	case wire.ArgMechanism, wire.ArgMechanismOrNull, wire.ArgWrapMechanism:
		return sampleMechanism(name, octets, variant, a.Kind)
	case wire.ArgReserved, wire.ArgIgnored:
		return sample{args: "NULL"}
	case wire.ArgNewSession, wire.ArgNewObject, wire.ArgOutNumber:
		stored := map[wire.Kind]uint64{wire.ArgNewSession: 0x5151, wire.ArgNewObject: uint64(len(name))<<40 | 77, wire.ArgOutNumber: 0x4242}[a.Kind]
		return sample{declare: fmt.Sprintf("CK_ULONG %s = 0x%s;", name, untouched), args: "&" + name,
			print: fmt.Sprintf(`printf(" %%lx", %s);`, name), stored: fmt.Sprintf(" %x", stored), kept: " " + untouched}
	case wire.ArgInfo, wire.ArgSlotInfo, wire.ArgTokenInfo, wire.ArgSessionInfo, wire.ArgMechanismInfo:
		memory := memoryOf(a.Kind)
		return sample{declare: fmt.Sprintf("%s %s; memset(&%s, 0xee, sizeof %s);", wire.Infos[a.Kind].Struct, name, name, name),
			args: "&" + name, print: fmt.Sprintf("show(&%s, sizeof %s);", name, name),
			stored: " " + hex.EncodeToString(memory), kept: " " + strings.Repeat("ee", len(memory))}
	}
	return sampleBuffer(name, a, variant)
}

func sampleIn(name, octets, variant string, given bool) sample {
	switch {
	case variant == none && !given:
		return sample{args: "NULL, 0", call: "NULL"}
	case variant == query || variant == none:
		return sample{args: `(CK_BYTE *)"", 0`, call: "[]"}
	}
	return sample{declare: fmt.Sprintf("CK_BYTE %s[] = {%s};", name, listed(octets)), args: fmt.Sprintf("%s, sizeof %s", name, name),
		call: "[" + octets + "]"}
}

// listed makes an initialiser of hexadecimal octets.
func listed(octets string) string {
	var list []string
	for part := range slices.Chunk([]byte(octets), 2) {
		list = append(list, "0x"+string(part))
	}
	return strings.Join(list, ", ")
}

func sampleTemplate(name, octets, variant string) sample {
	if variant == none {
		return sample{args: "NULL, 0", call: "{}"}
	}
	length, nested := "sizeof inner", "{0x1=["+octets+"]}"
	if variant == small { // no whole entries: no template
		length, nested = "sizeof inner - 1", "NULL"
	}
	if variant == query {
		length, nested = "0", "{}"
	}
	declare := fmt.Sprintf("CK_BYTE %sValue[] = {%s}; CK_ATTRIBUTE %sInner[] = {{0x1, %sValue, sizeof %sValue}};\n", name, listed(octets), name, name, name) +
		fmt.Sprintf("\tCK_ATTRIBUTE %s[] = {{0x3, %sValue, sizeof %sValue}, {0x102, NULL, 0}, {0x40000211, %sInner, %s}, {0xce534351, %sValue, 1}};",
			name, name, name, name, strings.ReplaceAll(length, "inner", name+"Inner"), name)
	return sample{declare: declare, args: name + ", 4",
		call: fmt.Sprintf("{0x3=[%s],0x102=NULL,0x40000211=%s,0xce534351=[%s]}", octets, nested, octets[:2])}
}

func sampleMechanism(name, octets, variant string, kind wire.Kind) sample {
	switch {
	case variant == none && kind == wire.ArgMechanismOrNull:
		return sample{args: "NULL"}
	case variant == query || variant == none:
		return sample{declare: fmt.Sprintf("CK_MECHANISM %s = {0x4033, NULL, 0};", name), args: "&" + name, call: "0x4033 NULL"}
	}
	return sample{declare: fmt.Sprintf("CK_BYTE %sValue[] = {%s}; CK_MECHANISM %s = {0x4033, %sValue, sizeof %sValue};", name, listed(octets), name, name, name),
		args: "&" + name, call: "0x4033 [" + octets + "]"}
}

// The octets that the recorder gives, and the room that a sample has: guard bytes show what was written beyond it.
const (
	given     = "0102030405"
	roomBytes = 8
)

// sampleBuffer are the arguments that fill memory.
func sampleBuffer(name string, a wire.Arg, variant string) sample {
	room := map[string]int{small: 2}[variant]
	if room == 0 {
		room = roomBytes
	}
	memory := strings.Repeat("ee", 2*roomBytes)
	s := sample{declare: fmt.Sprintf("CK_BYTE %s[%d]; memset(%s, 0xee, sizeof %s); CK_ULONG %sRoom = %d;", name, 2*roomBytes, name, name, name, room),
		args: fmt.Sprintf("%s, &%sRoom", name, name), call: fmt.Sprintf("room(%d)", room),
		print:  fmt.Sprintf(`show(%s, sizeof %s); printf(" %%lu", %sRoom);`, name, name, name),
		stored: " " + given + memory[len(given):] + " 5", kept: fmt.Sprintf(" %s %d", memory, room)}
	if variant == query {
		s.args, s.call, s.stored = fmt.Sprintf("NULL, &%sRoom", name), "query", " "+memory+" 5"
	}
	if variant == small {
		s.stored = " " + memory + " 5"
	}
	switch a.Kind {
	case wire.ArgOutOrNone:
		if variant == none {
			s.args, s.call, s.stored = "NULL, NULL", "none", s.kept
		}
	case wire.ArgList, wire.ArgFound:
		return sampleList(name, a.Kind, variant)
	case wire.ArgRandom:
		return sampleRandom(name, variant)
	case wire.ArgQuery:
		return sampleQuery(name, variant)
	case wire.ArgAsync:
		return sampleAsync(s, name, variant)
	case wire.ArgEncrypting, wire.ArgDecrypting:
		return sampleGCM(name, a.Kind, variant)
	case wire.ArgMessage:
		if variant == small {
			return sample{args: `(CK_BYTE *)"12345", 5`, call: "misfit"}
		}
		return sample{args: "NULL, 0", call: "no parameter"}
	}
	return s
}

// The recorder's lists have three numbers: 1, 2, 3.
func sampleList(name string, kind wire.Kind, variant string) sample {
	room := map[string]int{small: 1}[variant]
	if room == 0 {
		room = 4
	}
	s := sample{declare: fmt.Sprintf("CK_ULONG %s[4]; memset(%s, 0xee, sizeof %s); CK_ULONG %sCount = %d;", name, name, name, name, room),
		args:   fmt.Sprintf("%s, &%sCount", name, name),
		print:  fmt.Sprintf(`printf(" %%lx %%lx %%lx %%lx %%lu", %s[0], %s[1], %s[2], %s[3], %sCount);`, name, name, name, name, name),
		stored: " 1 2 3 " + untouched + " 3", kept: strings.Repeat(" "+untouched, 4) + fmt.Sprint(" ", room)}
	if kind == wire.ArgFound {
		s.args, s.call = fmt.Sprintf("%s, %d, &%sCount", name, room, name), fmt.Sprintf("0x%x", room)
	}
	switch {
	case variant == small && kind == wire.ArgFound:
		s.stored = " 1" + strings.Repeat(" "+untouched, 3) + " 1"
	case variant == small:
		s.stored = strings.Repeat(" "+untouched, 4) + " 3"
	case variant == query && kind == wire.ArgFound:
		s.args, s.call, s.stored = fmt.Sprintf("NULL, 0, &%sCount", name), "0x0", strings.Repeat(" "+untouched, 4)+" 0"
	case variant == query:
		s.args, s.stored = fmt.Sprintf("NULL, &%sCount", name), strings.Repeat(" "+untouched, 4)+" 3"
	}
	return s
}

// sampleRandom asks for more than one frame gives; its call is that of the second frame.
func sampleRandom(name, variant string) sample {
	if variant == none || variant == query {
		return sample{args: "NULL, 0", call: "0x0"}
	}
	const n = wire.MaxRandom + 9
	last := n - wire.MaxRandom
	call := fmt.Sprintf("0x%x", last)
	if variant == failed {
		call = fmt.Sprintf("0x%x", wire.MaxRandom)
	}
	return sample{declare: fmt.Sprintf("static CK_BYTE %s[%d]; memset(%s, 0xee, sizeof %s);", name, n+2, name, name),
		args: fmt.Sprintf("%s, %d", name, n), call: call, print: fmt.Sprintf("show(%s + %d, 12);", name, n-10),
		stored: " fa01080f161d242b3239eeee", kept: " " + strings.Repeat("ee", 12)}
}

func sampleQuery(name, variant string) sample {
	room := map[string]int{small: 2}[variant]
	if room == 0 {
		room = roomBytes
	}
	if variant == none {
		return sample{args: "NULL, 0", call: "{}"}
	}
	label, inner := given+"eeeeee", given+"eeeeee"
	length := "5"
	if variant == small {
		label, inner, length = untouched, untouched, "18446744073709551615"
	}
	return sample{declare: fmt.Sprintf("CK_BYTE label[8], inner[8]; memset(label, 0xee, 8); memset(inner, 0xee, 8);\n"+
		"\tCK_ATTRIBUTE nested[] = {{0x1, inner, %d}, {0x2, NULL, 77}};\n"+
		"\tCK_ATTRIBUTE %s[] = {{0x3, label, %d}, {0x102, NULL, 78}, {0x40000211, nested, sizeof nested}, {0x40000212, NULL, 0}};", room, name, room),
		args: name + ", 4", call: fmt.Sprintf("{0x3=room(%d),0x102=query,0x40000211={0x1=room(%d),0x2=query},0x40000212=query}", room, room),
		print: fmt.Sprintf(`show(label, 8); show(inner, 8); printf(" %%lu %%lu %%lu %%lu %%lu %%lu", %s[0].ulValueLen, %s[1].ulValueLen, %s[2].ulValueLen,
		%s[3].ulValueLen, nested[0].ulValueLen, nested[1].ulValueLen);`, name, name, name, name),
		stored: fmt.Sprintf(" %s %s %s 5 48 5 %s 5", label, inner, length, length),
		kept:   fmt.Sprintf(" %s %s %d 78 48 0 %d 77", untouched, untouched, room, room)}
}

func sampleAsync(s sample, name, variant string) sample {
	pointer := name + "Memory"
	if variant == query {
		pointer = "NULL"
	}
	s.declare = strings.ReplaceAll(s.declare, name, name+"Memory") + fmt.Sprintf("\n\tCK_ASYNC_DATA %s = {9, %s, %sMemoryRoom, 8, 7};", name, pointer, name)
	s.args = "&" + name
	s.print = fmt.Sprintf(`show(%sMemory, sizeof %sMemory); printf(" %%lu %%lx %%lx %%lu", %s.ulValue, %s.hObject, %s.hAdditionalObject, %s.ulVersion);`,
		name, name, name, name, name, name)
	s.stored += " 1234 5678 1"
	s.kept += " 8 7 9"
	if variant == small {
		s.stored = s.kept
	}
	return s
}

func sampleGCM(name string, kind wire.Kind, variant string) sample {
	switch variant {
	case query:
		return sample{args: "NULL, 0", call: "no parameter"}
	case none:
		return sample{args: `(CK_BYTE *)"12345", 5`, call: "misfit"}
	}
	generator := map[string]int{small: 0}[variant]
	if variant != small {
		generator = 2
	}
	s := sample{declare: fmt.Sprintf("CK_BYTE iv[4] = {0x21, 0x22, 0x23, 0x24}, tag[4] = {0x31, 0x32, 0x33, 0x34};\n"+
		"\tCK_GCM_MESSAGE_PARAMS %s = {iv, 3, 8, %d, tag, 20};", name, generator), args: fmt.Sprintf("&%s, sizeof %s", name, name),
		print: "show(iv, 4); show(tag, 4);", kept: " 21222324 31323334"}
	s.call, s.stored = fmt.Sprintf("gcm([212223],0x8,0x%x,0x14,NULL)", generator), " 71727324 81828334"
	if generator == 0 {
		s.stored = " 21222324 81828334"
	}
	if kind == wire.ArgDecrypting {
		s.call, s.stored = strings.Replace(s.call, "NULL", "[313233]", 1), s.kept
	}
	return s
}

// memoryOf is what a structure of information looks like in C, when the recorder has filled each of its fields with
// something of its own.
func memoryOf(kind wire.Kind) []byte {
	var memory []byte
	for i, f := range wire.Infos[kind].Fields {
		switch {
		case f.Text != 0:
			memory = append(memory, fmt.Sprintf("%-*s", f.Text, sampleText(i))...)
		case f.Version:
			memory = append(memory, byte(i+1), byte(i+2))
		default:
			memory = append(memory, make([]byte, -len(memory)&7)...)
			memory = binary.LittleEndian.AppendUint64(memory, sampleNumber(i))
		}
	}
	if slices.ContainsFunc(wire.Infos[kind].Fields, func(f wire.InfoField) bool { return f.Text == 0 && !f.Version }) {
		memory = append(memory, make([]byte, -len(memory)&7)...)
	}
	return memory
}

func sampleText(i int) string { return fmt.Sprintf("text %d", i) }

func sampleNumber(i int) uint64 { return 0x0102030405060708 * uint64(i+1) }

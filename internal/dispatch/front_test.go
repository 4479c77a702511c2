package dispatch

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/wire"
	"github.com/onceleaf/onceleaf/p11module"
)

// failing is a bit of a handle that makes the recorder fail.
const failing uint64 = 1 << 62

// newRecorder is a recorder that answers what the samples expect.
func newRecorder() *recorder {
	r := &recorder{octets: []byte{1, 2, 3, 4, 5}, listSlots: []ck.SlotID{1, 2, 3}, listMechanisms: []ck.MechanismType{1, 2, 3},
		found: []ck.ObjectHandle{1, 2, 3}, newSession: 0x5151, outNumber: 0x4242,
		encrypting: p11module.MessageOutput{IV: []byte{0x71, 0x72, 0x73}, Tag: []byte{0x81, 0x82, 0x83}}}
	for kind, info := range map[wire.Kind]any{wire.ArgInfo: &r.info, wire.ArgSlotInfo: &r.slotInfo, wire.ArgTokenInfo: &r.tokenInfo,
		wire.ArgSessionInfo: &r.sessionInfo, wire.ArgMechanismInfo: &r.mechanismInfo} {
		for i, f := range wire.Infos[kind].Fields {
			field := reflect.ValueOf(info).Elem().FieldByName(f.Go)
			switch {
			case f.Text != 0:
				field.SetString(sampleText(i))
			case f.Version:
				field.Set(reflect.ValueOf(p11module.Version{Major: byte(i + 1), Minor: byte(i + 2)}))
			default:
				field.SetUint(sampleNumber(i))
			}
		}
	}
	return r
}

// expectation is what a call of the sample program must come to.
type expectation struct {
	calls  []string // at the recorder
	output string   // of the program
}

// example is one call of the sample program.
func example(n int, f wire.FunctionRow, variant string) (source string, want expectation) {
	var samples []sample
	for i, a := range f.Args {
		samples = append(samples, sampleOf(n, i, a, variant))
	}
	rv := result(f, variant)
	return inC(f, variant, samples), expectation{calls(f, variant, samples), fmt.Sprintf("%s %s 0x%x%s", f.Name, variant, uint64(rv), printed(f, variant, samples, rv))}
}

// result is the rv of an example.
func result(f wire.FunctionRow, variant string) ck.RV {
	switch {
	case variant == failed:
		return ck.CKR_KEY_EXHAUSTED
	case variant == small && has(f, wire.ArgOut, wire.ArgOutOrNone, wire.ArgList, wire.ArgAsync, wire.ArgQuery):
		return ck.CKR_BUFFER_TOO_SMALL
	}
	return ck.CKR_OK
}

func has(f wire.FunctionRow, kinds ...wire.Kind) bool {
	return slices.ContainsFunc(f.Args, func(a wire.Arg) bool { return slices.Contains(kinds, a.Kind) })
}

func calls(f wire.FunctionRow, variant string, samples []sample) []string {
	if has(f, wire.ArgMechanismOrNull) && variant == none {
		return []string{fmt.Sprintf("SessionCancel %s 0x%x", samples[0].call, f.Ends)}
	}
	line := strings.TrimPrefix(f.Name, "C_")
	for _, s := range samples {
		if s.call != "" {
			line += " " + s.call
		}
	}
	if has(f, wire.ArgRandom) && (variant == plain || variant == small) { // more than one frame gives
		return []string{fmt.Sprintf("GenerateRandom %s 0x%x", samples[0].call, wire.MaxRandom), line}
	}
	return []string{line}
}

// printed is what the arguments look like after the call.
func printed(f wire.FunctionRow, variant string, samples []sample, rv ck.RV) (text string) {
	for i, a := range f.Args {
		stored := rv == ck.CKR_OK
		switch a.Kind {
		case wire.ArgQuery:
			stored = true
		case wire.ArgOut, wire.ArgOutOrNone, wire.ArgList:
			stored = stored || rv == ck.CKR_BUFFER_TOO_SMALL
		case wire.ArgNewObject:
			stored = stored && !(variant == query && has(f, wire.ArgOut))
		}
		if stored {
			text += samples[i].stored
		} else {
			text += samples[i].kept
		}
	}
	return text
}

func inC(f wire.FunctionRow, variant string, samples []sample) string {
	var declarations, arguments, prints []string
	for _, s := range samples {
		declarations = append(declarations, "\t"+s.declare)
		arguments = append(arguments, s.args)
		prints = append(prints, "\t"+s.print)
	}
	return fmt.Sprintf("static void %s_%s(void)\n{\n%s\n\tCK_RV rv = %s(%s);\n\tprintf(\"%s %s 0x%%lx\", rv);\n%s\n\tputchar('\\n');\n}\n\n",
		f.Name, variant, strings.Join(declarations, "\n"), f.Name, strings.Join(arguments, ", "), f.Name, variant, strings.Join(prints, "\n"))
}

// badArgument is an argument as it must not be; none if there is no such thing.
func badArgument(a wire.Arg) string {
	switch a.Kind {
	case wire.ArgLabel, wire.ArgName, wire.ArgNewSession, wire.ArgNewObject, wire.ArgOutNumber, wire.ArgMechanism, wire.ArgWrapMechanism,
		wire.ArgInfo, wire.ArgSlotInfo, wire.ArgTokenInfo, wire.ArgSessionInfo, wire.ArgMechanismInfo, wire.ArgAsync:
		return "NULL"
	case wire.ArgInGiven:
		return "NULL, 0"
	case wire.ArgIn, wire.ArgTemplate, wire.ArgQuery, wire.ArgRandom, wire.ArgEncrypting, wire.ArgDecrypting, wire.ArgMessage:
		return "NULL, 1"
	case wire.ArgMechanismOrNull:
		return "&(CK_MECHANISM){0x4033, NULL, 1}"
	case wire.ArgOut, wire.ArgList:
		return "NULL, NULL"
	case wire.ArgFound:
		return "NULL, 1, &(CK_ULONG){1}"
	}
	return ""
}

// refusals are examples with one bad argument each: nothing is called but BadArguments, and nothing is stored.
func refusals(n int, f wire.FunctionRow) (source string, names []string, wants []expectation) {
	session := "0x0"
	if f.Args[0].Kind == wire.ArgSession {
		session = sampleOf(n, 0, f.Args[0], plain).call
	}
	for bad, a := range f.Args {
		if badArgument(a) == "" {
			continue
		}
		var samples []sample
		for i, other := range f.Args {
			samples = append(samples, sampleOf(n, i, other, plain))
		}
		samples[bad] = sample{args: badArgument(a)}
		refused := func(name, session string) {
			source += inC(f, name, samples)
			names = append(names, name)
			wants = append(wants, expectation{[]string{fmt.Sprintf("BadArguments %s 0x%x", session, f.Ends)},
				fmt.Sprintf("%s %s 0x7%s", f.Name, name, printedKept(samples))})
		}
		refused(fmt.Sprintf("bad%d", bad), session)
		if a.Kind == wire.ArgTemplate || a.Kind == wire.ArgQuery { // each count is right, and the sum is not
			samples[bad] = sample{args: "crowd, 1024"}
			whose := session
			if f.Ends == 0 {
				whose = "0x0" // where nothing ends, it is not asked for
			}
			refused(fmt.Sprintf("crowded%d", bad), whose)
		}
	}
	return source, names, wants
}

func printedKept(samples []sample) (text string) {
	for _, s := range samples {
		text += s.kept
	}
	return text
}

// program is the sample program and what must come of it.
func program() (string, []expectation) {
	var functions, list strings.Builder
	var wants []expectation
	for i, f := range wire.Functions {
		if f.Place == wire.Local {
			continue
		}
		for _, variant := range []string{plain, query, small, none, failed} {
			if variant == failed && f.Name == "C_GetInfo" { // no handle that could tell
				continue
			}
			source, want := example(i+1, f, variant)
			functions.WriteString(source)
			fmt.Fprintf(&list, "\t%s_%s();\n", f.Name, variant)
			wants = append(wants, want)
		}
		source, names, refused := refusals(i+1, f)
		functions.WriteString(source)
		wants = append(wants, refused...)
		for _, name := range names {
			fmt.Fprintf(&list, "\t%s_%s();\n", f.Name, name)
		}
	}
	return fmt.Sprintf(mainC, functions.String(), list.String()), wants
}

const mainC = `#include "cryptoki.h"

#include <stdio.h>
#include <string.h>

static void show(const void *memory, size_t length)
{
	putchar(' ');
	for (size_t i = 0; i < length; i++)
		printf("%%02x", ((const unsigned char *)memory)[i]);
}

static CK_ATTRIBUTE one, crowd[1024] = {[5] = {0x40000211, &one, sizeof one}};

%s
void send_params(void);

int main(int argc, char **argv)
{
	(void)argv;
	CK_RV rv = C_Initialize(NULL);
	if (rv != CKR_OK) {
		printf("C_Initialize: 0x%%lx\n", rv);
		return 1;
	}
	if (argc > 1)
		send_params();
	else {
%s	}
	return (int)C_Finalize(NULL);
}
`

// build compiles the sample program with the front library in which every function is offered.
func build(t *testing.T, main string) string {
	t.Helper()
	folder := t.TempDir()
	source, stubs, binary := filepath.Join(folder, "main.c"), filepath.Join(folder, "calls.c"), filepath.Join(folder, "program")
	if err := os.WriteFile(source, []byte(main), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, exec.Command("go", "run", "../wire/generate", "-all", "-o", stubs))
	front, err := filepath.Glob("../../cgo/front/*.c")
	if err != nil || len(front) == 0 {
		t.Fatal(err)
	}
	for _, name := range []string{"events.c", "exchange.c", "marshal.c"} { // of both libraries
		front = append(front, filepath.Join("../../cgo/embedded", name))
	}
	arguments := []string{"-std=c11", "-D_GNU_SOURCE", "-O0", "-g1", "-Wall", "-Wextra", "-Werror", "-pthread", "-fsanitize=address,undefined",
		"-fno-sanitize-recover=all", `-DONCELEAF_SBINDIR="/nonexistent"`, "-I", "../../cgo/embedded", "-I", "../../cgo/front", "-o", binary,
		source, stubs, "testdata/params.c"}
	run(t, exec.Command("gcc", append(arguments, front...)...))
	return binary
}

func run(t *testing.T, c *exec.Cmd) string {
	t.Helper()
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", c, err, out)
	}
	return string(out)
}

// serve is a daemon of one application, whose module is m.
func serve(t *testing.T, m wholeModule) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				if err := serveOne(conn, m); err != nil && !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				_ = conn.Close()
			}()
		}
	}()
	return socket
}

func serveOne(conn net.Conn, m wholeModule) error {
	hello, version, hash, err := wire.ReadHello(conn)
	if err != nil {
		return err
	}
	if !wire.Matches(version, hash) {
		return errors.New("the program was built from other tables")
	}
	if _, err := conn.Write(wire.Welcome{Cookie: [16]byte{1, 2, 3}}.Encode()); err != nil {
		return err
	}
	if hello.Kind != wire.KindApplication && hello.Cookie != [16]byte{1, 2, 3} {
		return errors.New("another cookie came back")
	}
	for {
		request, err := wire.ReadFrame(conn, nil, nil)
		if err != nil {
			return err
		}
		frame, err := wire.NewAnswer(nil, wire.Finalize).Answer(ck.CKR_OK), error(nil)
		if hello.Kind != wire.KindApplication {
			frame, err = answer(m, request, nil, callWhole)
		}
		if err != nil {
			return err
		}
		if err := wire.WriteFrame(conn, frame); err != nil {
			return err
		}
	}
}

// TestFrontAndDispatcher: C and Go agree on every function of the table, also on those that are not offered yet, in
// each kind of argument: what the C stubs make of a call reaches the module, and what the module answers reaches the
// caller's memory and nothing beyond it.
func TestFrontAndDispatcher(t *testing.T) {
	main, wants := program()
	binary := build(t, main)
	recorder := newRecorder()
	c := exec.Command(binary)
	c.Env = append(os.Environ(), "ONCELEAF_SOCKET="+serve(t, recorder), "ONCELEAF_AUTOSTART=0", "ONCELEAF_LOG=debug")
	output := strings.Split(strings.TrimSuffix(run(t, c), "\n"), "\n")
	var called, printed []string
	for _, want := range wants {
		called = append(called, want.calls...)
		printed = append(printed, want.output)
	}
	compare(t, "the module got", recorder.taken(), called)
	compare(t, "the program printed", output, printed)

	c = exec.Command(binary, "params")
	c.Env = append(os.Environ(), "ONCELEAF_SOCKET="+serve(t, recorder), "ONCELEAF_AUTOSTART=0")
	run(t, c)
	params, err := os.ReadFile("testdata/params.txt")
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "the module got", recorder.taken(), strings.Split(strings.TrimSuffix(string(params), "\n"), "\n"))
}

// compare tells the first lines that differ.
func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	told := 0
	for i := range max(len(got), len(want)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w && told < 10 {
			t.Errorf("%s, line %d of %d:\n%s\nwant\n%s", what, i+1, len(want), g, w)
			told++
		}
	}
}

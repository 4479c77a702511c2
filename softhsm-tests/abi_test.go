package softhsmtests

import (
	"debug/elf"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The header that miekg/pkcs11 carries is the standard's own of 2.40: an independent witness of our structs' layout and
// of the order of the first 68 functions.
func TestHostLayout(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/miekg/pkcs11").Output()
	if err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(strings.TrimSpace(string(out)), "pkcs11go.h")
	ours, err := filepath.Abs(filepath.Join("..", "cgo", "embedded", "cryptoki.h"))
	if err != nil {
		t.Fatal(err)
	}
	want := layout(t, theirs)
	got := layout(t, ours)
	if len(want) < 100 {
		t.Fatalf("their header gave only %d facts", len(want))
	}
	if !slices.Equal(got, want) {
		t.Errorf("our layout:\n%s\ntheirs:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func layout(t *testing.T, header string) []string {
	t.Helper()
	program := compile(t, "layout", fmt.Sprintf("-DHEADER=%q", header))
	return strings.Split(strings.TrimSpace(run(t, program)), "\n")
}

// cgo's own symbols must not meet those of another Go library in the process.
func TestOnlyThreeSymbolsAreExported(t *testing.T) {
	library := openELF(t)
	symbols, err := library.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	var exported []string
	for _, symbol := range symbols {
		if symbol.Section != elf.SHN_UNDEF {
			exported = append(exported, symbol.Name)
		}
	}
	slices.Sort(exported)
	if want := []string{"C_GetFunctionList", "C_GetInterface", "C_GetInterfaceList"}; !slices.Equal(exported, want) {
		t.Errorf("exported: %q, want %q", exported, want)
	}
}

func TestTheLibraryIsMappedForEverAndBoundAtOnce(t *testing.T) {
	library := openELF(t)
	flags, err := library.DynValue(elf.DT_FLAGS_1)
	if err != nil || len(flags) != 1 {
		t.Fatalf("DT_FLAGS_1: %v, %v", flags, err)
	}
	// dlclose() of a Go library would leave its threads without code; a lazy binding is resolved under the loader's
	// lock, which a forked child may find taken for ever.
	for _, flag := range []elf.DynFlag1{elf.DF_1_NODELETE, elf.DF_1_NOW} {
		if elf.DynFlag1(flags[0])&flag == 0 {
			t.Errorf("%v is not set", flag)
		}
	}
}

// The front needs the C library and nothing else, and no code of its own runs when it is loaded or when the process ends.
func TestFrontIsInert(t *testing.T) {
	library := openELF(t)
	needed, err := library.DynString(elf.DT_NEEDED)
	must(t, err)
	if !slices.Equal(needed, []string{"libc.so.6"}) {
		t.Errorf("it needs %q, want libc.so.6 alone", needed)
	}
	// The compiler puts one function of its own into each of these.
	for _, name := range []string{".init_array", ".fini_array"} {
		if section := library.Section(name); section != nil && section.Size > 8 {
			t.Errorf("%s holds %d functions, want the compiler's one", name, section.Size/8)
		}
	}
	wanted, err := library.ImportedSymbols()
	must(t, err)
	for _, symbol := range wanted {
		if slices.Contains(forbiddenToFront, symbol.Name) {
			t.Errorf("it uses %s", symbol.Name)
		}
	}
}

// What changes the host, starts threads, or may take a lock that another thread held when the process forked.
var forbiddenToFront = []string{"pthread_create", "pthread_atfork", "__register_atfork", "atexit", "__cxa_atexit", "on_exit",
	"dlopen", "dlsym", "dladdr", "dl_iterate_phdr", "setlocale", "setenv", "putenv", "unsetenv",
	"printf", "puts", "fopen", "fprintf", "fputs", "fork", "system", "popen", "exit"}

func openELF(t *testing.T) *elf.File {
	t.Helper()
	library, err := elf.Open(module)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { library.Close() })
	return library
}

package p11module

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/tools/go/packages"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

func TestInitializeArguments(t *testing.T) {
	const threads, locking = ck.CKF_LIBRARY_CANT_CREATE_OS_THREADS, ck.CKF_OS_LOCKING_OK
	for _, c := range []struct {
		args *InitializeArgs
		want ck.RV
	}{
		{nil, ck.CKR_OK},
		{&InitializeArgs{}, ck.CKR_OK},
		{&InitializeArgs{Flags: locking}, ck.CKR_OK},
		{&InitializeArgs{Flags: locking, Callbacks: 4}, ck.CKR_OK},
		{&InitializeArgs{Callbacks: 4}, ck.CKR_CANT_LOCK},
		{&InitializeArgs{Callbacks: 1}, ck.CKR_ARGUMENTS_BAD},
		{&InitializeArgs{Callbacks: 2, Flags: locking}, ck.CKR_ARGUMENTS_BAD},
		{&InitializeArgs{Callbacks: 3}, ck.CKR_ARGUMENTS_BAD},
		{&InitializeArgs{Flags: threads}, ck.CKR_NEED_TO_CREATE_THREADS},
		{&InitializeArgs{Flags: threads | locking}, ck.CKR_NEED_TO_CREATE_THREADS},
		{&InitializeArgs{Reserved: true, Flags: locking}, ck.CKR_ARGUMENTS_BAD},
	} {
		m := newModule(t.TempDir(), nil)
		if rv := m.Initialize(c.args); rv != c.want {
			t.Errorf("%+v: got %s, want %s", c.args, rv.Error(), c.want.Error())
		}
		after := ck.CKR_OK
		if c.want != ck.CKR_OK {
			after = ck.CKR_CRYPTOKI_NOT_INITIALIZED
		}
		if rv := m.Finalize(false); rv != after {
			t.Errorf("%+v: then C_Finalize gave %s, want %s", c.args, rv.Error(), after.Error())
		}
	}
}

func TestInitializeAndFinalize(t *testing.T) {
	b := newTokenBench(t)
	b.want(ck.CKR_CRYPTOKI_ALREADY_INITIALIZED, b.m.Initialize(nil))
	h := b.open(0, true)
	b.want(ck.CKR_ARGUMENTS_BAD, b.m.Finalize(true))
	info, rv := b.m.GetInfo()
	b.must(rv)
	if info.Manufacturer == "" || info.Description == "" || info.CryptokiVersion.Major < 2 || info.LibraryVersion != LibraryVersion {
		t.Errorf("%+v", info)
	}
	b.must(b.m.Finalize(false))
	b.want(ck.CKR_CRYPTOKI_NOT_INITIALIZED, b.m.Finalize(false))
	_, rv = b.m.GetInfo()
	b.want(ck.CKR_CRYPTOKI_NOT_INITIALIZED, rv)
	b.want(ck.CKR_CRYPTOKI_NOT_INITIALIZED, b.m.CloseSession(h))
	b.must(b.m.Initialize(nil))
	b.want(ck.CKR_SESSION_HANDLE_INVALID, b.m.CloseSession(h)) // nothing is left of the life before
}

// Every method answers CKR_CRYPTOKI_NOT_INITIALIZED before C_Initialize.
func TestNothingWorksUninitialised(t *testing.T) {
	m := newModule(t.TempDir(), nil)
	for name, rv := range everyCall(m, 1) {
		if rv != ck.CKR_CRYPTOKI_NOT_INITIALIZED {
			t.Errorf("%s: got %s", name, rv.Error())
		}
	}
}

func TestBadSessionHandles(t *testing.T) {
	b := newTokenBench(t)
	withoutSession := map[string]bool{"GetInfo": true, "GetSlotList": true, "GetSlotInfo": true, "GetTokenInfo": true,
		"GetMechanismList": true, "GetMechanismInfo": true, "InitToken": true, "OpenSession": true, "CloseAllSessions": true}
	for name, rv := range everyCall(b.m, 4711) {
		if !withoutSession[name] && rv != ck.CKR_SESSION_HANDLE_INVALID {
			t.Errorf("%s: got %s", name, rv.Error())
		}
	}
}

func second[T any](_ T, rv ck.RV) ck.RV        { return rv }
func third[T, U any](_ T, _ U, rv ck.RV) ck.RV { return rv }
func everyCall(m *Module, h ck.SessionHandle) map[string]ck.RV {
	none := Mechanism{}
	return map[string]ck.RV{
		"GetInfo":           second(m.GetInfo()),
		"GetSlotList":       second(m.GetSlotList(true)),
		"GetSlotInfo":       second(m.GetSlotInfo(0)),
		"GetTokenInfo":      second(m.GetTokenInfo(0)),
		"GetMechanismList":  second(m.GetMechanismList(0)),
		"GetMechanismInfo":  second(m.GetMechanismInfo(0, 0)),
		"InitToken":         m.InitToken(0, nil, [32]byte{}),
		"InitPIN":           m.InitPIN(h, nil),
		"SetPIN":            m.SetPIN(h, nil, nil),
		"OpenSession":       second(m.OpenSession(0, 0)),
		"CloseSession":      m.CloseSession(h),
		"CloseAllSessions":  m.CloseAllSessions(9),
		"GetSessionInfo":    second(m.GetSessionInfo(h)),
		"Login":             m.Login(h, 0, nil),
		"Logout":            m.Logout(h),
		"CreateObject":      second(m.CreateObject(h, nil)),
		"CopyObject":        second(m.CopyObject(h, 0, nil)),
		"DestroyObject":     m.DestroyObject(h, 0),
		"GetAttributeValue": second(m.GetAttributeValue(h, 0, nil)),
		"SetAttributeValue": m.SetAttributeValue(h, 0, nil),
		"GetObjectSize":     second(m.GetObjectSize(h, 0)),
		"FindObjectsInit":   m.FindObjectsInit(h, nil),
		"FindObjects":       second(m.FindObjects(h, 0)),
		"FindObjectsFinal":  m.FindObjectsFinal(h),
		"SignInit":          m.SignInit(h, none, 0),
		"Sign":              third(m.Sign(h, nil, Output{})),
		"SignUpdate":        m.SignUpdate(h, nil),
		"SignFinal":         third(m.SignFinal(h, Output{})),
		"VerifyInit":        m.VerifyInit(h, none, 0),
		"Verify":            m.Verify(h, nil, nil),
		"VerifyUpdate":      m.VerifyUpdate(h, nil),
		"VerifyFinal":       m.VerifyFinal(h, nil),
		"SessionCancel":     m.SessionCancel(h, ck.CKF_SIGN),
		"BadArguments":      m.BadArguments(h, ck.CKF_SIGN),
		"GenerateKeyPair":   third(m.GenerateKeyPair(h, none, nil, nil)),
		"WrapKey":           third(m.WrapKey(h, none, 0, 0, Output{})),
		"UnwrapKey":         second(m.UnwrapKey(h, none, 0, nil, nil)),
		"GenerateRandom":    second(m.GenerateRandom(h, 1)),
		"SeedRandom":        m.SeedRandom(h, nil),
	}
}

// A quarantined or external key is the operator's business: it is logged as an error, whoever asked.
func TestLogLevels(t *testing.T) {
	b, text := loggedBench(t)
	for _, c := range []struct {
		err  error
		want string
	}{
		{keystore.ErrQuarantined, "level=ERROR msg=C_Test result=CKR_KEY_FUNCTION_NOT_PERMITTED"},
		{keystore.ErrExternal, "level=ERROR msg=C_Test result=CKR_KEY_FUNCTION_NOT_PERMITTED"},
		{keystore.ErrExhausted, "level=WARN msg=C_Test result=CKR_KEY_EXHAUSTED"},
		{keystore.ErrStore, "level=ERROR msg=C_Test result=CKR_DEVICE_ERROR"},
		{ck.CKR_PIN_INCORRECT, "level=DEBUG msg=C_Test result=CKR_PIN_INCORRECT"},
		{nil, "level=DEBUG msg=C_Test result=CKR_OK"},
	} {
		text.Reset()
		b.m.library.answer("C_Test", c.err)
		if !strings.Contains(text.String(), c.want) {
			t.Errorf("%v: %s", c.err, text)
		}
	}
}

// Two modules in one process stand for two processes: the lock is by open file.
func TestAnotherOwner(t *testing.T) {
	b := newTokenBench(t)
	logFile := filepath.Join(t.TempDir(), "log")
	config := filepath.Join(t.TempDir(), "onceleaf.toml")
	text := fmt.Sprintf("owner_wait = \"50ms\"\n[log]\nlevel = \"error\"\nfile = %q\n", logFile)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	other := newModule(b.dir, map[string]string{"ONCELEAF_CONF": config})
	b.want(ck.CKR_FUNCTION_FAILED, other.Initialize(nil))
	logged, err := os.ReadFile(logFile)
	if err != nil || !strings.Contains(string(logged), fmt.Sprintf("process %d (", os.Getpid())) {
		t.Errorf("the log does not name the owner: %q, %v", logged, err)
	}
	b.must(b.m.Finalize(false))
	b.must(other.Initialize(nil))
	b.must(other.Finalize(false))
	b.must(b.m.Initialize(nil))
}

// An owner that goes while another waits is no error.
func TestWaitingForTheOwner(t *testing.T) {
	b := newTokenBench(t)
	config := filepath.Join(t.TempDir(), "patient.toml")
	if err := os.WriteFile(config, []byte("owner_wait = \"1m\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := newModule(b.dir, map[string]string{"ONCELEAF_CONF": config})
	done := make(chan ck.RV)
	go func() { done <- other.Initialize(nil) }()
	b.must(b.m.Finalize(false))
	b.must(<-done)
	b.must(other.Finalize(false))
	b.must(b.m.Initialize(nil))
}

func TestBadConfiguration(t *testing.T) {
	config := filepath.Join(t.TempDir(), "onceleaf.toml")
	if err := os.WriteFile(config, []byte("dirctory = \"/x\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := newModule(t.TempDir(), map[string]string{"ONCELEAF_CONF": config})
	if rv := m.Initialize(nil); rv != ck.CKR_GENERAL_ERROR {
		t.Errorf("got %s", rv.Error())
	}
}

// C_Finalize ends a long key generation and waits for it.
// A second C_Initialize, as another library of the process may call it, neither waits for long work nor makes the
// others wait.
func TestInitializeAgainDuringLongWork(t *testing.T) {
	b, h := newUserBench(t)
	public, private := templates(true, "large", large)
	done := make(chan ck.RV)
	go func() {
		done <- third(b.m.GenerateKeyPair(h, Mechanism{Type: ck.CKM_HSS_KEY_PAIR_GEN}, public, private))
	}()
	for range 3 {
		b.want(ck.CKR_CRYPTOKI_ALREADY_INITIALIZED, b.m.Initialize(nil))
		_, rv := b.m.GetInfo()
		b.must(rv)
	}
	select {
	case rv := <-done:
		t.Fatalf("the generation was over too soon to show anything: %s", rv.Error())
	default:
	}
	b.must(b.m.Finalize(false))
	if rv := <-done; rv != ck.CKR_FUNCTION_CANCELED && rv != ck.CKR_CRYPTOKI_NOT_INITIALIZED {
		t.Errorf("got %s", rv.Error())
	}
}

func TestFinalizeEndsLongWork(t *testing.T) {
	b, h := newUserBench(t)
	public, private := templates(true, "large", large)
	begun, done := make(chan struct{}), make(chan ck.RV)
	go func() {
		close(begun)
		done <- third(b.m.GenerateKeyPair(h, Mechanism{Type: ck.CKM_HSS_KEY_PAIR_GEN}, public, private))
	}()
	<-begun
	b.must(b.m.Finalize(false))
	// The generation came before C_Finalize and was cut off, or after it.
	if rv := <-done; rv != ck.CKR_FUNCTION_CANCELED && rv != ck.CKR_CRYPTOKI_NOT_INITIALIZED {
		t.Errorf("got %s", rv.Error())
	}
	b.must(b.m.Initialize(nil))
	if found := b.find(b.userSession(0)); len(found) != 0 {
		t.Errorf("%d objects are left of a generation that was cut off", len(found))
	}
}

func TestPanicsStayInside(t *testing.T) {
	b, text := loggedBench(t)
	rv := b.m.run("C_Test", func(*library) error { panic("secret text") })
	b.want(ck.CKR_GENERAL_ERROR, rv)
	if logged := text.String(); !strings.Contains(logged, "TestPanicsStayInside") || strings.Contains(logged, "secret text") {
		t.Errorf("log: %s", logged)
	}
	_, rv = b.m.GetInfo()
	b.must(rv) // no lock was left behind
}

func TestRandom(t *testing.T) {
	b := newTokenBench(t)
	h := b.open(0, false)
	one, rv := b.m.GenerateRandom(h, 32)
	b.must(rv)
	two, rv := b.m.GenerateRandom(h, 32)
	b.must(rv)
	if len(one) != 32 || bytes.Equal(one, two) {
		t.Errorf("%x, %x", one, two)
	}
	none, rv := b.m.GenerateRandom(h, 0)
	if rv != ck.CKR_OK || len(none) != 0 {
		t.Errorf("%d bytes, %s", len(none), rv.Error())
	}
	b.want(ck.CKR_RANDOM_SEED_NOT_SUPPORTED, b.m.SeedRandom(h, []byte("seed")))
}

// notAnswered are errors of an inspection of a token directory, which no function of PKCS#11 makes.
var notAnswered = []string{"token.ErrInUse", "token.ErrNoTokens"}

// Every error that a package below exports has its row in the table.
func TestEveryErrorHasItsResult(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if pkg, ok := s.X.(*ast.Ident); ok {
				rows[pkg.Name+"."+s.Sel.Name] = true
			}
		}
		return true
	})
	loaded, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedTypes},
		"github.com/onceleaf/onceleaf/keystore", "github.com/onceleaf/onceleaf/backup", "github.com/onceleaf/onceleaf/lms", "github.com/onceleaf/onceleaf/token")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, pkg := range loaded {
		for _, name := range pkg.Types.Scope().Names() {
			if !strings.HasPrefix(name, "Err") || slices.Contains(notAnswered, pkg.Name+"."+name) {
				continue
			}
			checked++
			if !rows[pkg.Name+"."+name] {
				t.Errorf("%s.%s has no result", pkg.Name, name)
			}
		}
	}
	if checked < 15 {
		t.Fatalf("only %d errors found", checked)
	}
}

func TestResults(t *testing.T) {
	for _, c := range []struct {
		err  error
		want ck.RV
	}{
		{nil, ck.CKR_OK},
		{ck.CKR_PIN_LOCKED, ck.CKR_PIN_LOCKED},
		{fmt.Errorf("couldn't: %w", ck.CKR_PIN_LOCKED), ck.CKR_PIN_LOCKED},
		{fmt.Errorf("couldn't: %w", keystore.ErrExhausted), ck.CKR_KEY_EXHAUSTED},
		{fmt.Errorf("%w: %w", ck.CKR_DEVICE_ERROR, keystore.ErrExhausted), ck.CKR_DEVICE_ERROR},
		{fmt.Errorf("couldn't write: %w", syscall.ENOSPC), ck.CKR_DEVICE_ERROR},
		{fmt.Errorf("something else"), ck.CKR_GENERAL_ERROR},
	} {
		if got := resultOf(c.err); got != c.want {
			t.Errorf("%v: got %s, want %s", c.err, got.Error(), c.want.Error())
		}
	}
}

// A generation in one session keeps no other session waiting.
func TestLongWorkKeepsNobodyWaiting(t *testing.T) {
	b, h := newUserBench(t)
	_, priv := b.generate(h, true, h5w8)
	public, private := templates(false, "large", large)
	session := b.open(0, false)
	begun, done := make(chan struct{}), make(chan ck.RV)
	go func() {
		close(begun)
		done <- third(b.m.GenerateKeyPair(session, Mechanism{Type: ck.CKM_HSS_KEY_PAIR_GEN}, public, private))
	}()
	<-begun
	b.sign(h, priv, "meanwhile")
	b.must(b.m.CloseSession(b.open(0, true)))
	b.find(h)
	select {
	case rv := <-done:
		t.Fatalf("the generation was over too soon to show anything: %s", rv.Error())
	default:
	}
	b.m.Cancel()
	b.want(ck.CKR_FUNCTION_CANCELED, <-done)
}

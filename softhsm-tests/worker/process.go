package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// Options says what a worker process is to be.
type Options struct {
	Module string   // the library's path
	Dir    string   // ONCELEAF_DIR
	Env    []string // more environment variables, KEY=value
	// Program is run instead of the test binary, which another user may not be able to reach; a copy of it.
	Program string
	// As runs the worker as another user and group with this number; 0 leaves it as the test's own.
	As uint32
}

// Process is a worker. Its methods may be called from many goroutines at once.
type Process struct {
	command *exec.Cmd
	client  *rpc.Client
	stderr  bytes.Buffer
	waiting sync.Once
	ended   error
}

// Start runs a worker that has loaded the library and called nothing yet. It is killed at the end of the test, and what
// it wrote to standard error is logged if the test failed.
func Start(t testing.TB, o Options) *Process {
	t.Helper()
	program := o.Program
	if program == "" {
		program = self(t)
	}
	p := &Process{command: exec.Command(program)}
	p.command.Env = append(Environment(o.Dir), environment+"="+o.Module)
	p.command.Env = append(p.command.Env, o.Env...)
	p.command.Dir = o.Dir
	p.command.Stderr = &p.stderr
	if o.As != 0 {
		p.command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: o.As, Gid: o.As}}
	}
	in, err := p.command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatalf("couldn't start a worker: %v", err)
	}
	p.client = jsonrpc.NewClient(pipes{out, in})
	StopDaemons(t, o.Module, o.Dir) // after the kill
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() && p.stderr.Len() > 0 {
			t.Logf("the worker's standard error:\n%s", p.stderr.String())
		}
	})
	return p
}

func self(t testing.TB) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// Environment is what a process that loads the library gets: the directory, an empty configuration and a log of
// errors, whatever the tester's own settings are.
func Environment(dir string) []string {
	return append(os.Environ(), "ONCELEAF_DIR="+dir, "ONCELEAF_CONF="+os.DevNull, "ONCELEAF_LOG=error")
}

type pipes struct {
	io.ReadCloser
	io.WriteCloser
}

func (p pipes) Close() error { return errors.Join(p.WriteCloser.Close(), p.ReadCloser.Close()) }

// PID is the worker's process number.
func (p *Process) PID() int { return p.command.Process.Pid }

// Kill ends the worker with SIGKILL, as a crash does, and waits until it is gone.
func (p *Process) Kill() {
	p.command.Process.Kill()
	p.wait()
}

// Exit ends the worker as an application ends that never calls C_Finalize, and waits until it is gone.
func (p *Process) Exit() error {
	p.client.Close()
	return p.wait()
}

// Stderr is what the worker wrote to its standard error; it is complete after Kill or Exit.
func (p *Process) Stderr() string {
	p.wait()
	return p.stderr.String()
}

func (p *Process) wait() error {
	p.waiting.Do(func() { p.ended = p.command.Wait() })
	return p.ended
}

// call makes one call of the worker's Library.
func (p *Process) call(method string, argument, answer any) error {
	err := p.client.Call("Library."+method, argument, answer)
	var remote rpc.ServerError
	if !errors.As(err, &remote) {
		return err
	}
	number, ok := strings.CutPrefix(string(remote), rvPrefix)
	if !ok {
		return err
	}
	rv, parseErr := strconv.ParseUint(number, 10, 64)
	if parseErr != nil {
		return err
	}
	return fmt.Errorf("%s: %w", method, ck.RV(rv))
}

// ask is call for a method with an answer.
func ask[A any](p *Process, method string, argument any) (answer A, err error) {
	err = p.call(method, argument, &answer)
	return answer, err
}

// Initialize is C_Initialize with CKF_OS_LOCKING_OK.
func (p *Process) Initialize() error { return p.call("Initialize", Nothing{}, &Nothing{}) }

// Finalize is C_Finalize.
func (p *Process) Finalize() error { return p.call("Finalize", Nothing{}, &Nothing{}) }

// GetInfo is C_GetInfo.
func (p *Process) GetInfo() (pkcs11.Info, error) {
	return ask[pkcs11.Info](p, "GetInfo", Nothing{})
}

// GetSlotList is C_GetSlotList.
func (p *Process) GetSlotList(tokenPresent bool) ([]uint, error) {
	return ask[[]uint](p, "GetSlotList", tokenPresent)
}

// GetTokenInfo is C_GetTokenInfo.
func (p *Process) GetTokenInfo(slot uint) (pkcs11.TokenInfo, error) {
	return ask[pkcs11.TokenInfo](p, "GetTokenInfo", slot)
}

// GetMechanismList is C_GetMechanismList.
func (p *Process) GetMechanismList(slot uint) ([]uint, error) {
	return ask[[]uint](p, "GetMechanismList", slot)
}

// InitToken is C_InitToken.
func (p *Process) InitToken(slot uint, soPIN, label string) error {
	return p.call("InitToken", TokenCall{Slot: slot, PIN: soPIN, Label: label}, &Nothing{})
}

// OpenSession is C_OpenSession; CKF_SERIAL_SESSION is added to flags.
func (p *Process) OpenSession(slot, flags uint) (pkcs11.SessionHandle, error) {
	call := TokenCall{Slot: slot, Flags: flags | pkcs11.CKF_SERIAL_SESSION}
	return ask[pkcs11.SessionHandle](p, "OpenSession", call)
}

// CloseSession is C_CloseSession.
func (p *Process) CloseSession(session pkcs11.SessionHandle) error {
	return p.call("CloseSession", SessionCall{Session: session}, &Nothing{})
}

// CloseAllSessions is C_CloseAllSessions.
func (p *Process) CloseAllSessions(slot uint) error {
	return p.call("CloseAllSessions", slot, &Nothing{})
}

// InitPIN is C_InitPIN.
func (p *Process) InitPIN(session pkcs11.SessionHandle, pin string) error {
	return p.call("InitPIN", PINCall{Session: session, PIN: pin}, &Nothing{})
}

// SetPIN is C_SetPIN.
func (p *Process) SetPIN(session pkcs11.SessionHandle, oldPIN, newPIN string) error {
	return p.call("SetPIN", PINCall{Session: session, PIN: oldPIN, NewPIN: newPIN}, &Nothing{})
}

// Login is C_Login.
func (p *Process) Login(session pkcs11.SessionHandle, user uint, pin string) error {
	return p.call("Login", PINCall{Session: session, User: user, PIN: pin}, &Nothing{})
}

// Logout is C_Logout.
func (p *Process) Logout(session pkcs11.SessionHandle) error {
	return p.call("Logout", SessionCall{Session: session}, &Nothing{})
}

// CreateObject is C_CreateObject.
func (p *Process) CreateObject(session pkcs11.SessionHandle, template ...*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	return ask[pkcs11.ObjectHandle](p, "CreateObject", TemplateCall{SessionCall{Session: session}, template})
}

// CopyObject is C_CopyObject.
func (p *Process) CopyObject(session pkcs11.SessionHandle, object pkcs11.ObjectHandle, template ...*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	return ask[pkcs11.ObjectHandle](p, "CopyObject", TemplateCall{SessionCall{session, object}, template})
}

// DestroyObject is C_DestroyObject.
func (p *Process) DestroyObject(session pkcs11.SessionHandle, object pkcs11.ObjectHandle) error {
	return p.call("DestroyObject", SessionCall{session, object}, &Nothing{})
}

// GetAttributeValue is C_GetAttributeValue of one attribute.
func (p *Process) GetAttributeValue(session pkcs11.SessionHandle, object pkcs11.ObjectHandle, attribute ck.AttributeType) ([]byte, error) {
	call := TemplateCall{SessionCall{session, object}, []*pkcs11.Attribute{{Type: uint(attribute)}}}
	values, err := ask[[]*pkcs11.Attribute](p, "GetAttributeValue", call)
	if err != nil {
		return nil, err
	}
	return values[0].Value, nil
}

// SetAttributeValue is C_SetAttributeValue.
func (p *Process) SetAttributeValue(session pkcs11.SessionHandle, object pkcs11.ObjectHandle, template ...*pkcs11.Attribute) error {
	return p.call("SetAttributeValue", TemplateCall{SessionCall{session, object}, template}, &Nothing{})
}

// FindObjects is a whole search.
func (p *Process) FindObjects(session pkcs11.SessionHandle, template ...*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	return ask[[]pkcs11.ObjectHandle](p, "FindObjects", TemplateCall{SessionCall{Session: session}, template})
}

// GenerateKeyPair is C_GenerateKeyPair.
func (p *Process) GenerateKeyPair(call KeyPairCall) (KeyPair, error) {
	return ask[KeyPair](p, "GenerateKeyPair", call)
}

// Sign signs with CKM_HSS: one part with C_Sign, more with C_SignUpdate and C_SignFinal.
func (p *Process) Sign(session pkcs11.SessionHandle, key pkcs11.ObjectHandle, parts ...[]byte) ([]byte, error) {
	return ask[[]byte](p, "Sign", MessageCall{SessionCall: SessionCall{session, key}, Mechanism: uint(ck.CKM_HSS), Parts: parts})
}

// SignInit is C_SignInit with CKM_HSS.
func (p *Process) SignInit(session pkcs11.SessionHandle, key pkcs11.ObjectHandle) error {
	return p.call("SignInit", MessageCall{SessionCall: SessionCall{session, key}, Mechanism: uint(ck.CKM_HSS)}, &Nothing{})
}

// SignUpdate is C_SignUpdate.
func (p *Process) SignUpdate(session pkcs11.SessionHandle, part []byte) error {
	return p.call("SignUpdate", MessageCall{SessionCall: SessionCall{Session: session}, Parts: [][]byte{part}}, &Nothing{})
}

// SignFinal is C_SignFinal.
func (p *Process) SignFinal(session pkcs11.SessionHandle) ([]byte, error) {
	return ask[[]byte](p, "SignFinal", SessionCall{Session: session})
}

// Verify verifies with CKM_HSS: one part with C_Verify, more with C_VerifyUpdate and C_VerifyFinal.
func (p *Process) Verify(session pkcs11.SessionHandle, key pkcs11.ObjectHandle, signature []byte, parts ...[]byte) error {
	call := MessageCall{SessionCall: SessionCall{session, key}, Mechanism: uint(ck.CKM_HSS), Parts: parts, Signature: signature}
	return p.call("Verify", call, &Nothing{})
}

// WrapKey is C_WrapKey.
func (p *Process) WrapKey(call WrapCall) ([]byte, error) { return ask[[]byte](p, "WrapKey", call) }

// UnwrapKey is C_UnwrapKey.
func (p *Process) UnwrapKey(call WrapCall) (pkcs11.ObjectHandle, error) {
	return ask[pkcs11.ObjectHandle](p, "UnwrapKey", call)
}

package worker

import (
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"

	"github.com/miekg/pkcs11"
)

// environment holds the library's path and makes a process a worker.
const environment = "ONCELEAF_TEST_WORKER"

// Main serves and exits if this process was started as a worker; else it returns at once. TestMain calls it first.
func Main() {
	path := os.Getenv(environment)
	if path == "" {
		return
	}
	library := pkcs11.New(path)
	if library == nil {
		fmt.Fprintln(os.Stderr, "couldn't load", path)
		os.Exit(1)
	}
	server := rpc.NewServer()
	if err := server.RegisterName("Library", &Library{library}); err != nil {
		panic(err)
	}
	server.ServeCodec(jsonrpc.NewServerCodec(standardStreams{}))
	// The test is gone, or wants the process to end without C_Finalize, as most applications do.
	os.Exit(0)
}

type standardStreams struct{}

func (standardStreams) Read(b []byte) (int, error)  { return os.Stdin.Read(b) }
func (standardStreams) Write(b []byte) (int, error) { return os.Stdout.Write(b) }
func (standardStreams) Close() error                { return os.Stdin.Close() }

var _ io.ReadWriteCloser = standardStreams{}

// Library is the worker's side: the methods that a test calls through Process. It is exported for net/rpc alone.
type Library struct{ p11 *pkcs11.Ctx }

// rvPrefix marks the text of an error that is a CK_RV.
const rvPrefix = "CK_RV "

// failure is err as it crosses the pipe.
func failure(err error) error {
	var rv pkcs11.Error
	if errors.As(err, &rv) {
		return fmt.Errorf("%s%d", rvPrefix, uint(rv))
	}
	return err
}

// Nothing is the argument or the answer of a call that has none.
type Nothing struct{}

// SessionCall names a session, and an object in it.
type SessionCall struct {
	Session pkcs11.SessionHandle
	Object  pkcs11.ObjectHandle
}

// TokenCall is the argument of the calls that name a slot.
type TokenCall struct {
	Slot  uint
	Flags uint
	PIN   string
	Label string
}

// PINCall is the argument of the calls that take PINs.
type PINCall struct {
	Session pkcs11.SessionHandle
	User    uint
	PIN     string
	NewPIN  string
}

// TemplateCall is the argument of the calls that take attributes.
type TemplateCall struct {
	SessionCall
	Template []*pkcs11.Attribute
}

// KeyPairCall is the argument of C_GenerateKeyPair.
type KeyPairCall struct {
	Session         pkcs11.SessionHandle
	Mechanism       uint
	Parameter       []byte
	Public, Private []*pkcs11.Attribute
}

// KeyPair holds the handles of a key pair.
type KeyPair struct{ Public, Private pkcs11.ObjectHandle }

// MessageCall is the argument of signing and verifying. More than one part makes a multi-part operation.
type MessageCall struct {
	SessionCall
	Mechanism uint
	Parts     [][]byte
	Signature []byte
}

// WrapCall is the argument of C_WrapKey and C_UnwrapKey.
type WrapCall struct {
	Session       pkcs11.SessionHandle
	Mechanism     uint
	Parameter     []byte
	With, Key     pkcs11.ObjectHandle
	Wrapped       []byte
	KeyAttributes []*pkcs11.Attribute
}

// Initialize is C_Initialize.
func (l *Library) Initialize(_ Nothing, _ *Nothing) error { return failure(l.p11.Initialize()) }

// Finalize is C_Finalize.
func (l *Library) Finalize(_ Nothing, _ *Nothing) error { return failure(l.p11.Finalize()) }

// GetInfo is C_GetInfo.
func (l *Library) GetInfo(_ Nothing, info *pkcs11.Info) (err error) {
	*info, err = l.p11.GetInfo()
	return failure(err)
}

// GetSlotList is C_GetSlotList.
func (l *Library) GetSlotList(tokenPresent bool, slots *[]uint) (err error) {
	*slots, err = l.p11.GetSlotList(tokenPresent)
	return failure(err)
}

// GetTokenInfo is C_GetTokenInfo.
func (l *Library) GetTokenInfo(slot uint, info *pkcs11.TokenInfo) (err error) {
	*info, err = l.p11.GetTokenInfo(slot)
	return failure(err)
}

// GetMechanismList is C_GetMechanismList.
func (l *Library) GetMechanismList(slot uint, mechanisms *[]uint) error {
	list, err := l.p11.GetMechanismList(slot)
	for _, m := range list {
		*mechanisms = append(*mechanisms, m.Mechanism)
	}
	return failure(err)
}

// InitToken is C_InitToken.
func (l *Library) InitToken(c TokenCall, _ *Nothing) error {
	return failure(l.p11.InitToken(c.Slot, c.PIN, c.Label))
}

// OpenSession is C_OpenSession.
func (l *Library) OpenSession(c TokenCall, session *pkcs11.SessionHandle) (err error) {
	*session, err = l.p11.OpenSession(c.Slot, c.Flags)
	return failure(err)
}

// CloseSession is C_CloseSession.
func (l *Library) CloseSession(c SessionCall, _ *Nothing) error {
	return failure(l.p11.CloseSession(c.Session))
}

// CloseAllSessions is C_CloseAllSessions.
func (l *Library) CloseAllSessions(slot uint, _ *Nothing) error {
	return failure(l.p11.CloseAllSessions(slot))
}

// InitPIN is C_InitPIN.
func (l *Library) InitPIN(c PINCall, _ *Nothing) error {
	return failure(l.p11.InitPIN(c.Session, c.PIN))
}

// SetPIN is C_SetPIN.
func (l *Library) SetPIN(c PINCall, _ *Nothing) error {
	return failure(l.p11.SetPIN(c.Session, c.PIN, c.NewPIN))
}

// Login is C_Login.
func (l *Library) Login(c PINCall, _ *Nothing) error {
	return failure(l.p11.Login(c.Session, c.User, c.PIN))
}

// Logout is C_Logout.
func (l *Library) Logout(c SessionCall, _ *Nothing) error { return failure(l.p11.Logout(c.Session)) }

// CreateObject is C_CreateObject.
func (l *Library) CreateObject(c TemplateCall, object *pkcs11.ObjectHandle) (err error) {
	*object, err = l.p11.CreateObject(c.Session, c.Template)
	return failure(err)
}

// CopyObject is C_CopyObject.
func (l *Library) CopyObject(c TemplateCall, object *pkcs11.ObjectHandle) (err error) {
	*object, err = l.p11.CopyObject(c.Session, c.Object, c.Template)
	return failure(err)
}

// DestroyObject is C_DestroyObject.
func (l *Library) DestroyObject(c SessionCall, _ *Nothing) error {
	return failure(l.p11.DestroyObject(c.Session, c.Object))
}

// GetAttributeValue is C_GetAttributeValue.
func (l *Library) GetAttributeValue(c TemplateCall, values *[]*pkcs11.Attribute) (err error) {
	*values, err = l.p11.GetAttributeValue(c.Session, c.Object, c.Template)
	return failure(err)
}

// SetAttributeValue is C_SetAttributeValue.
func (l *Library) SetAttributeValue(c TemplateCall, _ *Nothing) error {
	return failure(l.p11.SetAttributeValue(c.Session, c.Object, c.Template))
}

// FindObjects is a whole search: C_FindObjectsInit, C_FindObjects until it is dry, C_FindObjectsFinal.
func (l *Library) FindObjects(c TemplateCall, objects *[]pkcs11.ObjectHandle) error {
	if err := l.p11.FindObjectsInit(c.Session, c.Template); err != nil {
		return failure(err)
	}
	for {
		found, _, err := l.p11.FindObjects(c.Session, 3) // few, so that longer lists come in parts
		if err != nil {
			return failure(err)
		}
		if len(found) == 0 {
			return failure(l.p11.FindObjectsFinal(c.Session))
		}
		*objects = append(*objects, found...)
	}
}

// GenerateKeyPair is C_GenerateKeyPair.
func (l *Library) GenerateKeyPair(c KeyPairCall, pair *KeyPair) (err error) {
	pair.Public, pair.Private, err = l.p11.GenerateKeyPair(c.Session, mechanism(c.Mechanism, c.Parameter), c.Public, c.Private)
	return failure(err)
}

// Sign is C_SignInit and C_Sign, or C_SignUpdate for each part and C_SignFinal.
func (l *Library) Sign(c MessageCall, signature *[]byte) (err error) {
	if err := l.p11.SignInit(c.Session, mechanism(c.Mechanism, nil), c.Object); err != nil {
		return failure(err)
	}
	if len(c.Parts) == 1 {
		*signature, err = l.p11.Sign(c.Session, c.Parts[0])
		return failure(err)
	}
	for _, part := range c.Parts {
		if err := l.p11.SignUpdate(c.Session, part); err != nil {
			return failure(err)
		}
	}
	*signature, err = l.p11.SignFinal(c.Session)
	return failure(err)
}

// SignInit is C_SignInit.
func (l *Library) SignInit(c MessageCall, _ *Nothing) error {
	return failure(l.p11.SignInit(c.Session, mechanism(c.Mechanism, nil), c.Object))
}

// SignUpdate is C_SignUpdate of one part.
func (l *Library) SignUpdate(c MessageCall, _ *Nothing) error {
	return failure(l.p11.SignUpdate(c.Session, c.Parts[0]))
}

// SignFinal is C_SignFinal.
func (l *Library) SignFinal(c SessionCall, signature *[]byte) (err error) {
	*signature, err = l.p11.SignFinal(c.Session)
	return failure(err)
}

// Verify is C_VerifyInit and C_Verify, or C_VerifyUpdate for each part and C_VerifyFinal.
func (l *Library) Verify(c MessageCall, _ *Nothing) error {
	if err := l.p11.VerifyInit(c.Session, mechanism(c.Mechanism, nil), c.Object); err != nil {
		return failure(err)
	}
	if len(c.Parts) == 1 {
		return failure(l.p11.Verify(c.Session, c.Parts[0], c.Signature))
	}
	for _, part := range c.Parts {
		if err := l.p11.VerifyUpdate(c.Session, part); err != nil {
			return failure(err)
		}
	}
	return failure(l.p11.VerifyFinal(c.Session, c.Signature))
}

// WrapKey is C_WrapKey.
func (l *Library) WrapKey(c WrapCall, wrapped *[]byte) (err error) {
	*wrapped, err = l.p11.WrapKey(c.Session, mechanism(c.Mechanism, c.Parameter), c.With, c.Key)
	return failure(err)
}

// UnwrapKey is C_UnwrapKey.
func (l *Library) UnwrapKey(c WrapCall, key *pkcs11.ObjectHandle) (err error) {
	*key, err = l.p11.UnwrapKey(c.Session, mechanism(c.Mechanism, c.Parameter), c.With, c.Wrapped, c.KeyAttributes)
	return failure(err)
}

func mechanism(number uint, parameter []byte) []*pkcs11.Mechanism {
	if len(parameter) == 0 {
		return []*pkcs11.Mechanism{pkcs11.NewMechanism(number, nil)}
	}
	return []*pkcs11.Mechanism{pkcs11.NewMechanism(number, parameter)}
}

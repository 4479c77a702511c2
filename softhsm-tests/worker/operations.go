package worker

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/miekg/pkcs11"
	"golang.org/x/sys/unix"
)

// Mechanism is a CK_MECHANISM. Its parameter is the structure as it lies in memory; what its pointers point to stands
// beside it, since addresses do not travel.
type Mechanism struct {
	Type      uint
	Parameter []byte
	Pointers  []Pointer
}

// Pointer says that the parameter has the address of Data at Offset. Without data the pointer stays as it is.
type Pointer struct {
	Offset int
	Data   []byte
}

// OperationCall is the argument of the calls of an operation. Each reads what belongs to it.
type OperationCall struct {
	SessionCall
	Function  string // the function's name without C_
	Mechanism Mechanism
	Data      []byte // the data or the part
	Signature []byte
}

// FindCall is the argument of C_FindObjects.
type FindCall struct {
	Session pkcs11.SessionHandle
	Most    int
}

// KeyCall is the argument of C_GenerateKey and C_DeriveKey.
type KeyCall struct {
	SessionCall // of the base key
	Mechanism   Mechanism
	Template    []*pkcs11.Attribute
}

// PairCall is the argument of C_GenerateKeyPair with any mechanism.
type PairCall struct {
	Session         pkcs11.SessionHandle
	Mechanism       Mechanism
	Public, Private []*pkcs11.Attribute
}

// WrappingCall is the argument of C_WrapKey and C_UnwrapKey with any mechanism.
type WrappingCall struct {
	Session   pkcs11.SessionHandle
	Mechanism Mechanism
	With, Key pkcs11.ObjectHandle
	Wrapped   []byte
	Template  []*pkcs11.Attribute
}

// RandomCall is the argument of C_GenerateRandom and C_SeedRandom.
type RandomCall struct {
	Session pkcs11.SessionHandle
	Length  int
	Seed    []byte
}

// The forms that functions of operations have.
type (
	initiating   = func(*pkcs11.Ctx, pkcs11.SessionHandle, []*pkcs11.Mechanism, pkcs11.ObjectHandle) error
	transforming = func(*pkcs11.Ctx, pkcs11.SessionHandle, []byte) ([]byte, error)
	absorbing    = func(*pkcs11.Ctx, pkcs11.SessionHandle, []byte) error
	finishing    = func(*pkcs11.Ctx, pkcs11.SessionHandle) ([]byte, error)
)

// operations are the functions that Operate calls, by their names without C_.
var operations = map[string]any{
	"EncryptInit": (*pkcs11.Ctx).EncryptInit, "Encrypt": (*pkcs11.Ctx).Encrypt,
	"EncryptUpdate": (*pkcs11.Ctx).EncryptUpdate, "EncryptFinal": (*pkcs11.Ctx).EncryptFinal,
	"DecryptInit": (*pkcs11.Ctx).DecryptInit, "Decrypt": (*pkcs11.Ctx).Decrypt,
	"DecryptUpdate": (*pkcs11.Ctx).DecryptUpdate, "DecryptFinal": (*pkcs11.Ctx).DecryptFinal,
	"DigestInit": (*pkcs11.Ctx).DigestInit, "Digest": (*pkcs11.Ctx).Digest,
	"DigestUpdate": (*pkcs11.Ctx).DigestUpdate, "DigestKey": (*pkcs11.Ctx).DigestKey,
	"DigestFinal": (*pkcs11.Ctx).DigestFinal,
	"SignInit":    (*pkcs11.Ctx).SignInit, "Sign": (*pkcs11.Ctx).Sign,
	"SignUpdate": (*pkcs11.Ctx).SignUpdate, "SignFinal": (*pkcs11.Ctx).SignFinal,
	"SignRecoverInit": (*pkcs11.Ctx).SignRecoverInit, "SignRecover": (*pkcs11.Ctx).SignRecover,
	"VerifyInit": (*pkcs11.Ctx).VerifyInit, "Verify": (*pkcs11.Ctx).Verify,
	"VerifyUpdate": (*pkcs11.Ctx).VerifyUpdate, "VerifyFinal": (*pkcs11.Ctx).VerifyFinal,
	"VerifyRecoverInit": (*pkcs11.Ctx).VerifyRecoverInit, "VerifyRecover": (*pkcs11.Ctx).VerifyRecover,
	"DigestEncryptUpdate": (*pkcs11.Ctx).DigestEncryptUpdate, "DecryptDigestUpdate": (*pkcs11.Ctx).DecryptDigestUpdate,
	"SignEncryptUpdate": (*pkcs11.Ctx).SignEncryptUpdate, "DecryptVerifyUpdate": (*pkcs11.Ctx).DecryptVerifyUpdate,
	"GetOperationState": (*pkcs11.Ctx).GetOperationState,
}

// Operate calls one function of an operation.
func (l *Library) Operate(c OperationCall, out *[]byte) (err error) {
	m, free, err := c.Mechanism.build()
	if err != nil {
		return err
	}
	defer free()
	switch f := operations[c.Function].(type) {
	case initiating:
		err = f(l.p11, c.Session, m, c.Object)
	case transforming:
		*out, err = f(l.p11, c.Session, c.Data)
	case absorbing:
		err = f(l.p11, c.Session, c.Data)
	case finishing:
		*out, err = f(l.p11, c.Session)
	case func(*pkcs11.Ctx, pkcs11.SessionHandle, []*pkcs11.Mechanism) error: // C_DigestInit
		err = f(l.p11, c.Session, m)
	case func(*pkcs11.Ctx, pkcs11.SessionHandle, pkcs11.ObjectHandle) error: // C_DigestKey
		err = f(l.p11, c.Session, c.Object)
	case func(*pkcs11.Ctx, pkcs11.SessionHandle, []byte, []byte) error: // C_Verify
		err = f(l.p11, c.Session, c.Data, c.Signature)
	default:
		return fmt.Errorf("no function %q", c.Function)
	}
	return failure(err)
}

// build is the mechanism for one call, and what frees its memory after it: a library may keep nothing of it.
func (m Mechanism) build() (built []*pkcs11.Mechanism, free func(), err error) {
	var parts [][]byte
	free = func() {
		for _, part := range parts {
			unix.Munmap(part)
		}
	}
	parameter := append([]byte{}, m.Parameter...)
	for _, p := range m.Pointers {
		if len(p.Data) == 0 {
			continue
		}
		part, err := unix.Mmap(-1, 0, len(p.Data), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			free()
			return nil, nil, fmt.Errorf("no memory for a parameter: %w", err)
		}
		copy(part, p.Data)
		parts = append(parts, part)
		binary.NativeEndian.PutUint64(parameter[p.Offset:], uint64(uintptr(unsafe.Pointer(&part[0]))))
	}
	return mechanism(m.Type, parameter), free, nil
}

// with makes one call with a mechanism.
func with(m Mechanism, call func([]*pkcs11.Mechanism) error) error {
	built, free, err := m.build()
	if err != nil {
		return err
	}
	defer free()
	return failure(call(built))
}

// GetSlotInfo is C_GetSlotInfo.
func (l *Library) GetSlotInfo(slot uint, info *pkcs11.SlotInfo) (err error) {
	*info, err = l.p11.GetSlotInfo(slot)
	return failure(err)
}

// GetMechanismInfo is C_GetMechanismInfo.
func (l *Library) GetMechanismInfo(c MechanismCall, info *pkcs11.MechanismInfo) (err error) {
	*info, err = l.p11.GetMechanismInfo(c.Slot, mechanism(c.Mechanism, nil))
	return failure(err)
}

// MechanismCall is the argument of C_GetMechanismInfo.
type MechanismCall struct{ Slot, Mechanism uint }

// InitializeWith is C_Initialize with these flags.
func (l *Library) InitializeWith(flags uint, _ *Nothing) error {
	return failure(l.p11.Initialize(pkcs11.InitializeWithFlags(flags)))
}

// OpenAnySession is C_OpenSession with the flags as they are.
func (l *Library) OpenAnySession(c TokenCall, session *pkcs11.SessionHandle) (err error) {
	*session, err = l.p11.OpenSession(c.Slot, c.Flags)
	return failure(err)
}

// GetSessionInfo is C_GetSessionInfo.
func (l *Library) GetSessionInfo(session pkcs11.SessionHandle, info *pkcs11.SessionInfo) (err error) {
	*info, err = l.p11.GetSessionInfo(session)
	return failure(err)
}

// SetOperationState is C_SetOperationState without keys.
func (l *Library) SetOperationState(c OperationCall, _ *Nothing) error {
	return failure(l.p11.SetOperationState(c.Session, c.Data, 0, 0))
}

// GetObjectSize is C_GetObjectSize.
func (l *Library) GetObjectSize(c SessionCall, size *uint) (err error) {
	*size, err = l.p11.GetObjectSize(c.Session, c.Object)
	return failure(err)
}

// FindObjectsInit is C_FindObjectsInit.
func (l *Library) FindObjectsInit(c TemplateCall, _ *Nothing) error {
	return failure(l.p11.FindObjectsInit(c.Session, c.Template))
}

// FindNext is C_FindObjects.
func (l *Library) FindNext(c FindCall, found *[]pkcs11.ObjectHandle) (err error) {
	*found, _, err = l.p11.FindObjects(c.Session, c.Most)
	return failure(err)
}

// FindObjectsFinal is C_FindObjectsFinal.
func (l *Library) FindObjectsFinal(c SessionCall, _ *Nothing) error {
	return failure(l.p11.FindObjectsFinal(c.Session))
}

// GenerateKey is C_GenerateKey.
func (l *Library) GenerateKey(c KeyCall, key *pkcs11.ObjectHandle) error {
	return with(c.Mechanism, func(m []*pkcs11.Mechanism) (err error) {
		*key, err = l.p11.GenerateKey(c.Session, m, c.Template)
		return err
	})
}

// GeneratePair is C_GenerateKeyPair.
func (l *Library) GeneratePair(c PairCall, pair *KeyPair) error {
	return with(c.Mechanism, func(m []*pkcs11.Mechanism) (err error) {
		pair.Public, pair.Private, err = l.p11.GenerateKeyPair(c.Session, m, c.Public, c.Private)
		return err
	})
}

// DeriveKey is C_DeriveKey.
func (l *Library) DeriveKey(c KeyCall, key *pkcs11.ObjectHandle) error {
	return with(c.Mechanism, func(m []*pkcs11.Mechanism) (err error) {
		*key, err = l.p11.DeriveKey(c.Session, m, c.Object, c.Template)
		return err
	})
}

// Wrap is C_WrapKey.
func (l *Library) Wrap(c WrappingCall, wrapped *[]byte) error {
	return with(c.Mechanism, func(m []*pkcs11.Mechanism) (err error) {
		*wrapped, err = l.p11.WrapKey(c.Session, m, c.With, c.Key)
		return err
	})
}

// Unwrap is C_UnwrapKey.
func (l *Library) Unwrap(c WrappingCall, key *pkcs11.ObjectHandle) error {
	return with(c.Mechanism, func(m []*pkcs11.Mechanism) (err error) {
		*key, err = l.p11.UnwrapKey(c.Session, m, c.With, c.Wrapped, c.Template)
		return err
	})
}

// SeedRandom is C_SeedRandom.
func (l *Library) SeedRandom(c RandomCall, _ *Nothing) error {
	return failure(l.p11.SeedRandom(c.Session, c.Seed))
}

// GenerateRandom is C_GenerateRandom.
func (l *Library) GenerateRandom(c RandomCall, random *[]byte) (err error) {
	*random, err = l.p11.GenerateRandom(c.Session, c.Length)
	return failure(err)
}

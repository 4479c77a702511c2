package worker

import (
	"github.com/miekg/pkcs11"
)

// InitializeWith is C_Initialize with these flags.
func (p *Process) InitializeWith(flags uint) error {
	return p.call("InitializeWith", flags, &Nothing{})
}

// GetSlotInfo is C_GetSlotInfo.
func (p *Process) GetSlotInfo(slot uint) (pkcs11.SlotInfo, error) {
	return ask[pkcs11.SlotInfo](p, "GetSlotInfo", slot)
}

// GetMechanismInfo is C_GetMechanismInfo.
func (p *Process) GetMechanismInfo(slot, mechanism uint) (pkcs11.MechanismInfo, error) {
	return ask[pkcs11.MechanismInfo](p, "GetMechanismInfo", MechanismCall{slot, mechanism})
}

// OpenAnySession is C_OpenSession with the flags as they are.
func (p *Process) OpenAnySession(slot, flags uint) (pkcs11.SessionHandle, error) {
	return ask[pkcs11.SessionHandle](p, "OpenAnySession", TokenCall{Slot: slot, Flags: flags})
}

// GetSessionInfo is C_GetSessionInfo.
func (p *Process) GetSessionInfo(session pkcs11.SessionHandle) (pkcs11.SessionInfo, error) {
	return ask[pkcs11.SessionInfo](p, "GetSessionInfo", session)
}

// Operate calls a function of an operation: of encryption, decryption, digests, signing and verifying.
func (p *Process) Operate(call OperationCall) ([]byte, error) {
	return ask[[]byte](p, "Operate", call)
}

// SetOperationState is C_SetOperationState without keys.
func (p *Process) SetOperationState(session pkcs11.SessionHandle, state []byte) error {
	return p.call("SetOperationState", OperationCall{SessionCall: SessionCall{Session: session}, Data: state}, &Nothing{})
}

// GetObjectSize is C_GetObjectSize.
func (p *Process) GetObjectSize(session pkcs11.SessionHandle, object pkcs11.ObjectHandle) (uint, error) {
	return ask[uint](p, "GetObjectSize", SessionCall{session, object})
}

// FindObjectsInit is C_FindObjectsInit.
func (p *Process) FindObjectsInit(session pkcs11.SessionHandle, template ...*pkcs11.Attribute) error {
	return p.call("FindObjectsInit", TemplateCall{SessionCall{Session: session}, template}, &Nothing{})
}

// FindNext is C_FindObjects for so many objects.
func (p *Process) FindNext(session pkcs11.SessionHandle, most int) ([]pkcs11.ObjectHandle, error) {
	return ask[[]pkcs11.ObjectHandle](p, "FindNext", FindCall{session, most})
}

// FindObjectsFinal is C_FindObjectsFinal.
func (p *Process) FindObjectsFinal(session pkcs11.SessionHandle) error {
	return p.call("FindObjectsFinal", SessionCall{Session: session}, &Nothing{})
}

// GenerateKey is C_GenerateKey.
func (p *Process) GenerateKey(call KeyCall) (pkcs11.ObjectHandle, error) {
	return ask[pkcs11.ObjectHandle](p, "GenerateKey", call)
}

// GeneratePair is C_GenerateKeyPair with any mechanism.
func (p *Process) GeneratePair(call PairCall) (KeyPair, error) {
	return ask[KeyPair](p, "GeneratePair", call)
}

// DeriveKey is C_DeriveKey.
func (p *Process) DeriveKey(call KeyCall) (pkcs11.ObjectHandle, error) {
	return ask[pkcs11.ObjectHandle](p, "DeriveKey", call)
}

// Wrap is C_WrapKey with any mechanism.
func (p *Process) Wrap(call WrappingCall) ([]byte, error) { return ask[[]byte](p, "Wrap", call) }

// Unwrap is C_UnwrapKey with any mechanism.
func (p *Process) Unwrap(call WrappingCall) (pkcs11.ObjectHandle, error) {
	return ask[pkcs11.ObjectHandle](p, "Unwrap", call)
}

// SeedRandom is C_SeedRandom.
func (p *Process) SeedRandom(session pkcs11.SessionHandle, seed []byte) error {
	return p.call("SeedRandom", RandomCall{Session: session, Seed: seed}, &Nothing{})
}

// GenerateRandom is C_GenerateRandom of so many bytes.
func (p *Process) GenerateRandom(session pkcs11.SessionHandle, length int) ([]byte, error) {
	return ask[[]byte](p, "GenerateRandom", RandomCall{Session: session, Length: length})
}

// GetAttributes is C_GetAttributeValue of several attributes at once.
func (p *Process) GetAttributes(session pkcs11.SessionHandle, object pkcs11.ObjectHandle,
	types ...uint) ([]*pkcs11.Attribute, error) {
	call := TemplateCall{SessionCall: SessionCall{session, object}}
	for _, number := range types {
		call.Template = append(call.Template, &pkcs11.Attribute{Type: number})
	}
	return ask[[]*pkcs11.Attribute](p, "GetAttributeValue", call)
}

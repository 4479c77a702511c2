package softhsmtests

import (
	"encoding/binary"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// attributes is a template: attributes and their values in turns.
func attributes(pairs ...any) (template []*pkcs11.Attribute) {
	for i := 0; i < len(pairs); i += 2 {
		template = append(template, pkcs11.NewAttribute(pairs[i].(uint), pairs[i+1]))
	}
	return template
}

// Attributes of PKCS#11 as the type that attributes wants.
const (
	CLASS             = uint(pkcs11.CKA_CLASS)
	TOKEN             = uint(pkcs11.CKA_TOKEN)
	PRIVATE           = uint(pkcs11.CKA_PRIVATE)
	LABEL             = uint(pkcs11.CKA_LABEL)
	APPLICATION       = uint(pkcs11.CKA_APPLICATION)
	OBJECT_ID         = uint(pkcs11.CKA_OBJECT_ID)
	VALUE             = uint(pkcs11.CKA_VALUE)
	CERTIFICATE_TYPE  = uint(pkcs11.CKA_CERTIFICATE_TYPE)
	KEY_TYPE          = uint(pkcs11.CKA_KEY_TYPE)
	SUBJECT           = uint(pkcs11.CKA_SUBJECT)
	ID                = uint(pkcs11.CKA_ID)
	SENSITIVE         = uint(pkcs11.CKA_SENSITIVE)
	ENCRYPT           = uint(pkcs11.CKA_ENCRYPT)
	DECRYPT           = uint(pkcs11.CKA_DECRYPT)
	WRAP              = uint(pkcs11.CKA_WRAP)
	UNWRAP            = uint(pkcs11.CKA_UNWRAP)
	SIGN              = uint(pkcs11.CKA_SIGN)
	VERIFY            = uint(pkcs11.CKA_VERIFY)
	DERIVE            = uint(pkcs11.CKA_DERIVE)
	MODULUS           = uint(pkcs11.CKA_MODULUS)
	MODULUS_BITS      = uint(pkcs11.CKA_MODULUS_BITS)
	PUBLIC_EXPONENT   = uint(pkcs11.CKA_PUBLIC_EXPONENT)
	VALUE_LEN         = uint(pkcs11.CKA_VALUE_LEN)
	EXTRACTABLE       = uint(pkcs11.CKA_EXTRACTABLE)
	MODIFIABLE        = uint(pkcs11.CKA_MODIFIABLE)
	COPYABLE          = uint(pkcs11.CKA_COPYABLE)
	DESTROYABLE       = uint(pkcs11.CKA_DESTROYABLE)
	TRUSTED           = uint(pkcs11.CKA_TRUSTED)
	EC_PARAMS         = uint(pkcs11.CKA_EC_PARAMS)
	EC_POINT          = uint(pkcs11.CKA_EC_POINT)
	WRAP_WITH_TRUSTED = uint(pkcs11.CKA_WRAP_WITH_TRUSTED)
)

// begin is C_EncryptInit, C_SignInit and so on.
func (a *actor) begin(function string, m worker.Mechanism, key pkcs11.ObjectHandle) error {
	_, err := a.operate(worker.OperationCall{Function: function + "Init", Mechanism: m}, key)
	return err
}

// once is C_Encrypt, C_Sign and so on.
func (a *actor) once(function string, data []byte) ([]byte, error) {
	return a.operate(worker.OperationCall{Function: function, Data: data}, 0)
}

// update is C_EncryptUpdate and so on.
func (a *actor) update(function string, part []byte) ([]byte, error) {
	return a.operate(worker.OperationCall{Function: function + "Update", Data: part}, 0)
}

// final is C_EncryptFinal and so on; the signature is for C_VerifyFinal.
func (a *actor) final(function string, signature ...byte) ([]byte, error) {
	return a.operate(worker.OperationCall{Function: function + "Final", Data: signature}, 0)
}

func (a *actor) operate(call worker.OperationCall, key pkcs11.ObjectHandle) ([]byte, error) {
	call.SessionCall = worker.SessionCall{Session: a.session, Object: key}
	return a.Operate(call)
}

// apply is a whole single-part operation: Encrypt, Decrypt, Sign, Digest.
func (a *actor) apply(function string, m worker.Mechanism, key pkcs11.ObjectHandle, data []byte) ([]byte, error) {
	if err := a.begin(function, m, key); err != nil {
		return nil, err
	}
	return a.once(function, data)
}

// applyParts is a whole operation in parts.
func (a *actor) applyParts(function string, m worker.Mechanism, key pkcs11.ObjectHandle,
	parts ...[]byte) (out []byte, err error) {
	if err := a.begin(function, m, key); err != nil {
		return nil, err
	}
	for _, part := range parts {
		piece, err := a.update(function, part)
		if err != nil {
			return nil, err
		}
		out = append(out, piece...)
	}
	rest, err := a.final(function)
	return append(out, rest...), err
}

// verify is C_VerifyInit and C_Verify.
func (a *actor) verify(m worker.Mechanism, key pkcs11.ObjectHandle, data, signature []byte) error {
	if err := a.begin("Verify", m, key); err != nil {
		return err
	}
	_, err := a.operate(worker.OperationCall{Function: "Verify", Data: data, Signature: signature}, 0)
	return err
}

// verifyParts is C_VerifyInit, C_VerifyUpdate for each part, C_VerifyFinal.
func (a *actor) verifyParts(m worker.Mechanism, key pkcs11.ObjectHandle, signature []byte, parts ...[]byte) error {
	if err := a.begin("Verify", m, key); err != nil {
		return err
	}
	for _, part := range parts {
		if _, err := a.update("Verify", part); err != nil {
			return err
		}
	}
	_, err := a.final("Verify", signature...)
	return err
}

// offers notes down whether the token has a mechanism for a purpose, and stops the scenario on a side that has not.
func (a *actor) offers(name string, number, flag uint) {
	info, err := a.GetMechanismInfo(a.slot, number)
	a.equal(name+" is offered", true, err == nil && info.Flags&flag != 0)
	if err != nil || info.Flags&flag == 0 {
		panic(stop{})
	}
}

// apart plays steps in a session of their own, so that an operation that stays active is in nobody's way.
func (a *actor) apart(steps func()) {
	a.t.Helper()
	before := a.session
	a.session = value(a.OpenSession(a.slot, pkcs11.CKF_RW_SESSION))(a.t)
	defer func() {
		must(a.t, a.CloseSession(a.session))
		a.session = before
	}()
	steps()
}

// object makes an object that the rest of the scenario needs.
func (a *actor) object(step string, template []*pkcs11.Attribute) pkcs11.ObjectHandle {
	object, err := a.CreateObject(a.session, template...)
	a.need(step, err)
	return object
}

// create tries to make an object, and destroys it at once.
func (a *actor) create(template []*pkcs11.Attribute) error {
	object, err := a.CreateObject(a.session, template...)
	if err == nil {
		err = a.DestroyObject(a.session, object)
	}
	return err
}

// attribute is the value of one attribute.
func (a *actor) attribute(object pkcs11.ObjectHandle, number uint) ([]byte, error) {
	values, err := a.GetAttributes(a.session, object, number)
	if err != nil {
		return nil, err
	}
	return values[0].Value, nil
}

// reads notes down the value of an attribute.
func (a *actor) reads(step string, object pkcs11.ObjectHandle, number uint, want any) {
	got, err := a.attribute(object, number)
	switch want := want.(type) {
	case []byte:
		a.gives(step, want, got, err)
	default:
		a.bits(step, pkcs11.NewAttribute(number, want).Value, got, err)
	}
}

// refuses notes down that an attribute cannot be read.
func (a *actor) refuses(step string, object pkcs11.ObjectHandle, number uint, want error) {
	got, err := a.attribute(object, number)
	if err == nil {
		a.note(step, result(want), "the value, "+text(got))
		return
	}
	a.note(step, result(want), result(err))
}

// plain is a mechanism without a parameter, or with one that has no pointers.
func plain(number uint, parameter ...byte) worker.Mechanism {
	return worker.Mechanism{Type: number, Parameter: parameter}
}

// ulongs is a structure of CK_ULONGs.
func ulongs(numbers ...uint) (b []byte) {
	for _, n := range numbers {
		b = binary.NativeEndian.AppendUint64(b, uint64(n))
	}
	return b
}

// gcm is CKM_AES_GCM with CK_GCM_PARAMS of PKCS#11 2.40, which has the length of the IV in bits too.
func gcm(iv, associated []byte, tagBits uint) worker.Mechanism {
	return worker.Mechanism{
		Type:      pkcs11.CKM_AES_GCM,
		Parameter: ulongs(0, uint(len(iv)), uint(8*len(iv)), 0, uint(len(associated)), tagBits),
		Pointers:  []worker.Pointer{{Offset: 0, Data: iv}, {Offset: 24, Data: associated}},
	}
}

// gcm220 is the same with CK_GCM_PARAMS of PKCS#11 2.20.
func gcm220(iv, associated []byte, tagBits uint) worker.Mechanism {
	return worker.Mechanism{
		Type:      pkcs11.CKM_AES_GCM,
		Parameter: ulongs(0, uint(len(iv)), 0, uint(len(associated)), tagBits),
		Pointers:  []worker.Pointer{{Offset: 0, Data: iv}, {Offset: 16, Data: associated}},
	}
}

// ctr is CKM_AES_CTR.
func ctr(bits uint, block []byte) worker.Mechanism {
	return plain(pkcs11.CKM_AES_CTR, append(ulongs(bits), block...)...)
}

// oaep is CKM_RSA_PKCS_OAEP.
func oaep(hash, mgf uint, label []byte) worker.Mechanism {
	return worker.Mechanism{
		Type:      pkcs11.CKM_RSA_PKCS_OAEP,
		Parameter: ulongs(hash, mgf, pkcs11.CKZ_DATA_SPECIFIED, 0, uint(len(label))),
		Pointers:  []worker.Pointer{{Offset: 24, Data: label}},
	}
}

// pss is a mechanism with CK_RSA_PKCS_PSS_PARAMS.
func pss(number, hash, mgf, salt uint) worker.Mechanism {
	return plain(number, ulongs(hash, mgf, salt)...)
}

// stringData is a mechanism with CK_KEY_DERIVATION_STRING_DATA.
func stringData(number uint, data []byte) worker.Mechanism {
	return worker.Mechanism{
		Type:      number,
		Parameter: ulongs(0, uint(len(data))),
		Pointers:  []worker.Pointer{{Offset: 0, Data: data}},
	}
}

// cbcData is CKM_AES_CBC_ENCRYPT_DATA.
func cbcData(iv, data []byte) worker.Mechanism {
	parameter := append(append([]byte{}, iv...), ulongs(0, uint(len(data)))...)
	return worker.Mechanism{
		Type:      pkcs11.CKM_AES_CBC_ENCRYPT_DATA,
		Parameter: parameter,
		Pointers:  []worker.Pointer{{Offset: 16, Data: data}},
	}
}

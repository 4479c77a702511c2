package p11module

import (
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/mechanism"
)

// VerifyInit is C_VerifyInit.
func (m *Module) VerifyInit(h ck.SessionHandle, with Mechanism, key ck.ObjectHandle) ck.RV {
	return m.begin("C_VerifyInit", verifying, h, func(l *library, s *session) (*operation, error) {
		return l.verify(s, with, key)
	})
}

func (l *library) verify(s *session, with Mechanism, key ck.ObjectHandle) (*operation, error) {
	if with.Type == ck.CKM_HSS {
		return l.verifyHSS(s, with, key)
	}
	return l.withKey(s, key, with, ck.CKA_VERIFY, ck.CKF_VERIFY, func(k *mechanism.Key) (engine, error) {
		made, err := mechanism.NewVerifier(with, k)
		return verifier{made}, err
	})
}

func (l *library) verifyHSS(s *session, with Mechanism, key ck.ObjectHandle) (*operation, error) {
	id, err := l.handles.object(s, key, ck.CKR_KEY_HANDLE_INVALID)
	if err != nil {
		return nil, err
	}
	public, err := s.seat.Verifier(id, with.Type)
	if err != nil {
		return nil, err
	}
	if err := with.NoParameter(); err != nil {
		return nil, err
	}
	return &operation{engine: &hssVerifier{public, l.gathering()}, private: s.seat.Private(id)}, nil
}

// Verify is C_Verify. It ends the operation in any case.
func (m *Module) Verify(h ck.SessionHandle, data, signature []byte) ck.RV {
	_, _, rv := m.work("C_Verify", verifying, once, h, input{data, signature}, Output{})
	return rv
}

// VerifyUpdate is C_VerifyUpdate.
func (m *Module) VerifyUpdate(h ck.SessionHandle, part []byte) ck.RV {
	_, _, rv := m.work("C_VerifyUpdate", verifying, update, h, input{data: part}, Output{})
	return rv
}

// VerifyFinal is C_VerifyFinal. It ends the operation in any case.
func (m *Module) VerifyFinal(h ck.SessionHandle, signature []byte) ck.RV {
	_, _, rv := m.work("C_VerifyFinal", verifying, final, h, input{signature: signature}, Output{})
	return rv
}

// VerifySignatureInit is C_VerifySignatureInit: the signature comes first, and the data by functions of their own.
func (m *Module) VerifySignatureInit(h ck.SessionHandle, with Mechanism, key ck.ObjectHandle, signature []byte) ck.RV {
	return m.begin("C_VerifySignatureInit", verifyingKnown, h, func(l *library, s *session) (*operation, error) {
		if len(signature) > maxSignature {
			return nil, ck.CKR_SIGNATURE_LEN_RANGE
		}
		op, err := l.verify(s, with, key)
		if err != nil {
			return nil, err
		}
		op.engine, err = l.known(op.engine, signature)
		return op, err
	})
}

// maxSignature is more than any signature has, in bytes.
const maxSignature = 1 << 20

// VerifySignature is C_VerifySignature.
func (m *Module) VerifySignature(h ck.SessionHandle, data []byte) ck.RV {
	_, _, rv := m.work("C_VerifySignature", verifyingKnown, once, h, input{data: data}, Output{})
	return rv
}

// VerifySignatureUpdate is C_VerifySignatureUpdate.
func (m *Module) VerifySignatureUpdate(h ck.SessionHandle, part []byte) ck.RV {
	_, _, rv := m.work("C_VerifySignatureUpdate", verifyingKnown, update, h, input{data: part}, Output{})
	return rv
}

// VerifySignatureFinal is C_VerifySignatureFinal.
func (m *Module) VerifySignatureFinal(h ck.SessionHandle) ck.RV {
	_, _, rv := m.work("C_VerifySignatureFinal", verifyingKnown, final, h, input{}, Output{})
	return rv
}

package p11module

import (
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/token"
)

// verifying is a verification in progress.
type verifying struct {
	key *token.Verifier
	gathering
}

// VerifyInit is C_VerifyInit.
func (m *Module) VerifyInit(h ck.SessionHandle, mechanism Mechanism, key ck.ObjectHandle) ck.RV {
	return m.runInSession("C_VerifyInit", h, func(l *library, s *session) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.verify != nil {
			return ck.CKR_OPERATION_ACTIVE
		}
		id, err := l.handles.object(s, key, ck.CKR_KEY_HANDLE_INVALID)
		if err != nil {
			return err
		}
		verifier, err := s.seat.Verifier(id, mechanism.Type)
		if err != nil {
			return handleError(err, ck.CKR_KEY_HANDLE_INVALID)
		}
		if err := mechanism.noParameter(); err != nil {
			return err
		}
		s.verify = &verifying{verifier, gathering{memory: l.memory}}
		return nil
	})
}

// Verify is C_Verify. It ends the operation in any case.
func (m *Module) Verify(h ck.SessionHandle, data, signature []byte) ck.RV {
	return m.runInSession("C_Verify", h, func(_ *library, s *session) error {
		if len(data) > MaxPart {
			s.cancel(ck.CKF_VERIFY)
			return ck.CKR_DATA_LEN_RANGE
		}
		op, err := s.takeVerifying()
		if err != nil {
			return err
		}
		defer op.end()
		if op.parts {
			return ck.CKR_OPERATION_ACTIVE
		}
		return op.key.Verify(data, signature)
	})
}

// VerifyUpdate is C_VerifyUpdate. It keeps the part; an error ends the operation.
func (m *Module) VerifyUpdate(h ck.SessionHandle, part []byte) ck.RV {
	return m.runInSession("C_VerifyUpdate", h, func(l *library, s *session) error {
		if len(part) > MaxPart {
			s.cancel(ck.CKF_VERIFY)
			return ck.CKR_DATA_LEN_RANGE
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.verify == nil {
			return ck.CKR_OPERATION_NOT_INITIALIZED
		}
		err := s.verify.add(part, l.host.config.Sign.MaxMessage)
		if err != nil {
			s.endVerifying()
		}
		return err
	})
}

// VerifyFinal is C_VerifyFinal. It ends the operation in any case.
func (m *Module) VerifyFinal(h ck.SessionHandle, signature []byte) ck.RV {
	return m.runInSession("C_VerifyFinal", h, func(_ *library, s *session) error {
		op, err := s.takeVerifying()
		if err != nil {
			return err
		}
		defer op.end()
		return op.key.Verify(op.message, signature)
	})
}

func (s *session) takeVerifying() (*verifying, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	op := s.verify
	if op == nil {
		return nil, ck.CKR_OPERATION_NOT_INITIALIZED
	}
	s.verify = nil
	return op, nil
}

// endVerifying ends the operation if there is one. The caller holds s.mu.
func (s *session) endVerifying() {
	if s.verify != nil {
		s.verify.end()
		s.verify = nil
	}
}

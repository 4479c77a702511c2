package p11module

import (
	"fmt"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/token"
)

// signing is a signature operation in progress. No leaf is taken for it yet.
type signing struct {
	key *token.Signer
	gathering
}

// SignInit is C_SignInit. CKR_KEY_EXHAUSTED if the key has no leaf left.
func (m *Module) SignInit(h ck.SessionHandle, mechanism Mechanism, key ck.ObjectHandle) ck.RV {
	return m.runInSession("C_SignInit", h, func(l *library, s *session) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.sign != nil {
			return ck.CKR_OPERATION_ACTIVE
		}
		id, err := l.handles.object(s, key, ck.CKR_KEY_HANDLE_INVALID)
		if err != nil {
			return err
		}
		signer, err := s.seat.Signer(id, mechanism.Type)
		if err != nil {
			return handleError(err, ck.CKR_KEY_HANDLE_INVALID)
		}
		if err := mechanism.noParameter(); err != nil {
			return err
		}
		s.sign = &signing{signer, gathering{memory: l.memory}}
		return nil
	})
}

// Sign is C_Sign: a signature of data, which has any length. See finishSign for what it costs.
func (m *Module) Sign(h ck.SessionHandle, data []byte, out Output) (signature []byte, length uint64, rv ck.RV) {
	rv = m.runInSession("C_Sign", h, func(l *library, s *session) error {
		if len(data) > MaxPart {
			s.cancel(ck.CKF_SIGN)
			return ck.CKR_DATA_LEN_RANGE
		}
		op, size, err := s.takeSigning(out, true)
		length = size
		if op == nil {
			return err
		}
		signature, err = l.finishSign(op, data)
		return err
	})
	return signature, length, rv
}

// SignUpdate is C_SignUpdate. It keeps the part; an error ends the operation and drops what was kept.
func (m *Module) SignUpdate(h ck.SessionHandle, part []byte) ck.RV {
	return m.runInSession("C_SignUpdate", h, func(l *library, s *session) error {
		if len(part) > MaxPart {
			s.cancel(ck.CKF_SIGN)
			return ck.CKR_DATA_LEN_RANGE
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.sign == nil {
			return ck.CKR_OPERATION_NOT_INITIALIZED
		}
		err := s.sign.add(part, l.host.config.Sign.MaxMessage)
		if err != nil {
			s.endSigning()
		}
		return err
	})
}

// SignFinal is C_SignFinal: a signature of all the parts; of the empty message if there was none.
func (m *Module) SignFinal(h ck.SessionHandle, out Output) (signature []byte, length uint64, rv ck.RV) {
	rv = m.runInSession("C_SignFinal", h, func(l *library, s *session) error {
		op, size, err := s.takeSigning(out, false)
		length = size
		if op == nil {
			return err
		}
		signature, err = l.finishSign(op, op.message)
		return err
	})
	return signature, length, rv
}

// takeSigning takes the operation out of the session, for the one caller who will finish it. Without an error and
// without an operation it was a length query; that and CKR_BUFFER_TOO_SMALL leave the operation where it is.
func (s *session) takeSigning(out Output, single bool) (*signing, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	op := s.sign
	if op == nil {
		return nil, 0, ck.CKR_OPERATION_NOT_INITIALIZED
	}
	if single && op.parts || !single && op.single {
		s.endSigning()
		return nil, 0, ck.CKR_OPERATION_ACTIVE
	}
	size := uint64(op.key.Size)
	if out.Query || out.Room < size {
		op.single = single
		if out.Query {
			return nil, size, nil
		}
		return nil, size, ck.CKR_BUFFER_TOO_SMALL
	}
	s.sign = nil
	return op, size, nil
}

// endSigning ends the operation if there is one. The caller holds s.mu.
func (s *session) endSigning() {
	if s.sign != nil {
		s.sign.end()
		s.sign = nil
	}
}

// finishSign makes the signature. This is the one place of the module where a leaf is spent, and by now there is room
// for the result.
func (l *library) finishSign(op *signing, message []byte) ([]byte, error) {
	defer op.end()
	signature, err := op.key.Sign(l.ctx, message)
	if err != nil {
		return nil, err
	}
	if len(signature) != op.key.Size {
		return nil, fmt.Errorf("a signature of %d bytes, %d were announced", len(signature), op.key.Size)
	}
	return signature, nil
}

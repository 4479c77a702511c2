package p11module

import (
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/mechanism"
)

// DigestInit is C_DigestInit.
func (m *Module) DigestInit(h ck.SessionHandle, with Mechanism) ck.RV {
	return m.begin("C_DigestInit", digesting, h, func(*library, *session) (*operation, error) {
		made, err := mechanism.NewDigest(with)
		if err != nil {
			return nil, err
		}
		return &operation{engine: digest{made}}, nil
	})
}

// Digest is C_Digest.
func (m *Module) Digest(h ck.SessionHandle, data []byte, out Output) (value []byte, length uint64, rv ck.RV) {
	return m.work("C_Digest", digesting, once, h, input{data: data}, out)
}

// DigestUpdate is C_DigestUpdate.
func (m *Module) DigestUpdate(h ck.SessionHandle, part []byte) ck.RV {
	_, _, rv := m.work("C_DigestUpdate", digesting, update, h, input{data: part}, Output{})
	return rv
}

// DigestKey is C_DigestKey: the value of a secret key as the next part. CKR_KEY_INDIGESTIBLE for other keys.
func (m *Module) DigestKey(h ck.SessionHandle, key ck.ObjectHandle) ck.RV {
	return m.runInSession("C_DigestKey", h, func(l *library, s *session) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		op := s.operations[digesting]
		if op == nil {
			return ck.CKR_OPERATION_NOT_INITIALIZED
		}
		err := op.goOn(update, Output{})
		if err == nil {
			err = l.digestKey(s, op, key)
		}
		if err != nil {
			s.end(digesting)
		}
		return handleError(err, ck.CKR_KEY_HANDLE_INVALID)
	})
}

// digestKey adds a key to a digest, which is as private as the key from then on. The caller holds s.mu.
func (l *library) digestKey(s *session, op *operation, key ck.ObjectHandle) error {
	id, err := l.handles.object(s, key, ck.CKR_KEY_HANDLE_INVALID)
	if err != nil {
		return err
	}
	use, err := s.seat.SecretKey(id)
	if err != nil {
		return err
	}
	op.private = op.private || use.Private
	return mechanism.DigestKey(op.engine.(digest).Digest, use.Key)
}

// DigestFinal is C_DigestFinal.
func (m *Module) DigestFinal(h ck.SessionHandle, out Output) (value []byte, length uint64, rv ck.RV) {
	return m.work("C_DigestFinal", digesting, final, h, input{}, out)
}

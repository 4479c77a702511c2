package p11module

import (
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/mechanism"
)

// SignInit is C_SignInit. CKR_KEY_EXHAUSTED if an HSS key has no leaf left.
func (m *Module) SignInit(h ck.SessionHandle, with Mechanism, key ck.ObjectHandle) ck.RV {
	return m.begin("C_SignInit", signing, h, startSigning(with, key))
}

// SignInitAhead is SignInit for a signature that nobody has begun yet. It says nothing in the log, and does not wait for
// others where the application is about to end: CKR_FUNCTION_CANCELED.
func (m *Module) SignInitAhead(h ck.SessionHandle, with Mechanism, key ck.ObjectHandle) ck.RV {
	return m.runAhead(h, beginning(signing, startSigning(with, key)))
}

// TakeBackSign undoes SignInitAhead. Where the application is about to end, its sessions end anyway.
func (m *Module) TakeBackSign(h ck.SessionHandle) {
	m.runAhead(h, func(_ *library, s *session) error {
		s.cancel(flagOf[signing])
		return nil
	})
}

func startSigning(with Mechanism, key ck.ObjectHandle) starter {
	return func(l *library, s *session) (*operation, error) {
		if with.Type == ck.CKM_HSS {
			return l.signHSS(s, with, key)
		}
		return l.withKey(s, key, with, ck.CKA_SIGN, ck.CKF_SIGN, func(k *mechanism.Key) (engine, error) {
			made, err := mechanism.NewSigner(with, k)
			return signer{made}, err
		})
	}
}

// signHSS begins a signature with an HSS key. No leaf is taken for it yet.
func (l *library) signHSS(s *session, with Mechanism, key ck.ObjectHandle) (*operation, error) {
	id, err := l.handles.object(s, key, ck.CKR_KEY_HANDLE_INVALID)
	if err != nil {
		return nil, err
	}
	private, err := s.seat.Signer(id, with.Type)
	if err != nil {
		return nil, err
	}
	if err := with.NoParameter(); err != nil {
		return nil, err
	}
	return &operation{engine: &hssSigner{private, l.ctx, l.gathering()}, private: true, alone: true}, nil
}

func (l *library) gathering() gathering {
	return gathering{held: held{memory: l.memory}, most: l.host.config.Sign.MaxMessage}
}

// Sign is C_Sign: a signature of data. With an HSS key this and SignFinal cost a leaf, if there is room for the signature.
func (m *Module) Sign(h ck.SessionHandle, data []byte, out Output) (signature []byte, length uint64, rv ck.RV) {
	return m.work("C_Sign", signing, once, h, input{data: data}, out)
}

// SignUpdate is C_SignUpdate.
func (m *Module) SignUpdate(h ck.SessionHandle, part []byte) ck.RV {
	_, _, rv := m.work("C_SignUpdate", signing, update, h, input{data: part}, Output{})
	return rv
}

// SignFinal is C_SignFinal: a signature of all the parts; of the empty message if there was none.
func (m *Module) SignFinal(h ck.SessionHandle, out Output) (signature []byte, length uint64, rv ck.RV) {
	return m.work("C_SignFinal", signing, final, h, input{}, out)
}

package p11module

import (
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/token"
)

// WrapKey is C_WrapKey with CKM_ONCELEAF_PARTITION, which gives leaves of an HSS private key to the destination of a
// transfer request. A length query and a buffer that is too small give nothing, and the same request again gives the
// same capsule. With any other mechanism a private key is CKR_KEY_UNEXTRACTABLE.
func (m *Module) WrapKey(h ck.SessionHandle, mechanism Mechanism, wrapping, key ck.ObjectHandle, out Output) (wrapped []byte, length uint64, rv ck.RV) {
	rv = m.runInSession("C_WrapKey", h, func(l *library, s *session) error {
		giving, err := l.giving(s, mechanism, wrapping, key)
		if err != nil {
			return err
		}
		wrapped, length, err = l.give(giving, out)
		return err
	})
	return wrapped, length, rv
}

// giving checks the arguments of C_WrapKey.
func (l *library) giving(s *session, mechanism Mechanism, wrapping, key ck.ObjectHandle) (*token.Giving, error) {
	keyID, err := l.handles.object(s, key, ck.CKR_KEY_HANDLE_INVALID)
	if err != nil {
		return nil, err
	}
	if mechanism.Type != ck.CKM_ONCELEAF_PARTITION {
		return nil, s.seat.RefuseWrap(keyID, mechanism.Type)
	}
	count, given, err := mechanism.ulongParameter()
	if err != nil {
		return nil, err
	}
	if given && count == 0 {
		return nil, ck.CKR_MECHANISM_PARAM_INVALID
	}
	requestID, err := l.handles.object(s, wrapping, ck.CKR_WRAPPING_KEY_HANDLE_INVALID)
	if err != nil {
		return nil, err
	}
	return s.seat.Giving(s.asker(), requestID, keyID, count)
}

// give gives the leaves if there is room for the capsule.
func (l *library) give(g *token.Giving, out Output) ([]byte, uint64, error) {
	size, err := g.Size()
	if err != nil {
		return nil, 0, err
	}
	if out.Query {
		return nil, uint64(size), nil
	}
	if out.Room < uint64(size) {
		return nil, uint64(size), ck.CKR_BUFFER_TOO_SMALL
	}
	capsule, err := g.Give(l.ctx)
	if err != nil {
		return nil, 0, err
	}
	// Signatures since Size can have changed which leaves go, and so the length by some digits. The capsule stays in
	// the outbox: the next call gives the same one.
	if uint64(len(capsule)) > out.Room {
		return nil, uint64(len(capsule)), ck.CKR_BUFFER_TOO_SMALL
	}
	return capsule, uint64(len(capsule)), nil
}

// UnwrapKey is C_UnwrapKey with CKM_ONCELEAF_PARTITION, which takes a capsule in at the destination, or with
// CKM_ONCELEAF_RECEIPT, which takes the receipt in at the source; then key is the HSS private key itself, the template
// has no meaning, and the handle that comes back is that of key.
func (m *Module) UnwrapKey(h ck.SessionHandle, mechanism Mechanism, unwrapping ck.ObjectHandle, wrapped []byte, template []Attribute) (key ck.ObjectHandle, rv ck.RV) {
	rv = m.runInSession("C_UnwrapKey", h, func(l *library, s *session) error {
		return l.inTurn(func() error {
			id, err := l.unwrap(s, mechanism, unwrapping, wrapped, fromApplication(template))
			if err == nil {
				key = l.handles.of(s, id)
			}
			return err
		})
	})
	return key, rv
}

func (l *library) unwrap(s *session, mechanism Mechanism, unwrapping ck.ObjectHandle, wrapped []byte, template []token.Attribute) (token.ObjectID, error) {
	if mechanism.Type != ck.CKM_ONCELEAF_PARTITION && mechanism.Type != ck.CKM_ONCELEAF_RECEIPT {
		return "", ck.CKR_MECHANISM_INVALID
	}
	if err := mechanism.noParameter(); err != nil {
		return "", err
	}
	id, err := l.handles.object(s, unwrapping, ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID)
	if err != nil {
		return "", err
	}
	if mechanism.Type == ck.CKM_ONCELEAF_RECEIPT {
		return id, s.seat.Acknowledge(s.asker(), id, wrapped)
	}
	return s.seat.Receive(l.ctx, s.asker(), id, wrapped, template)
}

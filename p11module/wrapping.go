package p11module

import (
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/token"
)

// WrapKey is C_WrapKey. With CKM_ONCELEAF_PARTITION it gives leaves of an HSS private key to the destination of a transfer
// request: a length query and a buffer that is too small give nothing, and the same request again gives the same capsule.
// With any other mechanism such a key is CKR_KEY_UNEXTRACTABLE.
func (m *Module) WrapKey(h ck.SessionHandle, with Mechanism, wrapping, key ck.ObjectHandle,
	out Output) (wrapped []byte, length uint64, rv ck.RV) {
	rv = m.runInSession("C_WrapKey", h, func(l *library, s *session) error {
		keyID, err := l.handles.object(s, key, ck.CKR_KEY_HANDLE_INVALID)
		if err != nil {
			return err
		}
		wrappingID, err := l.handles.object(s, wrapping, ck.CKR_WRAPPING_KEY_HANDLE_INVALID)
		if err != nil {
			return err
		}
		if with.Type == ck.CKM_ONCELEAF_PARTITION {
			wrapped, length, err = l.partition(s, with, wrappingID, keyID, out)
		} else {
			wrapped, length, err = wrap(s, with, wrappingID, keyID, out)
		}
		return err
	})
	return wrapped, length, rv
}

// wrap wraps a key. The size that is known before may be more than comes out.
func wrap(s *session, with Mechanism, wrapping, key token.ObjectID, out Output) ([]byte, uint64, error) {
	if out.Query {
		size, err := s.seat.WrappedSize(with, wrapping, key)
		return nil, uint64(max(size, 0)), err
	}
	wrapped, err := s.seat.Wrap(s.asker(), with, wrapping, key)
	if err != nil {
		return nil, 0, err
	}
	if length := uint64(len(wrapped)); length > out.Room {
		return nil, length, ck.CKR_BUFFER_TOO_SMALL
	}
	return wrapped, uint64(len(wrapped)), nil
}

// partition gives leaves away.
func (l *library) partition(s *session, with Mechanism, request, key token.ObjectID, out Output) ([]byte,
	uint64, error) {
	count, given, err := with.UlongParameter()
	if err != nil {
		return nil, 0, err
	}
	if given && count == 0 {
		return nil, 0, ck.CKR_MECHANISM_PARAM_INVALID
	}
	giving, err := s.seat.Giving(s.asker(), request, key, count)
	if err != nil {
		return nil, 0, err
	}
	return l.give(giving, out)
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

// UnwrapKey is C_UnwrapKey. CKM_ONCELEAF_PARTITION takes a capsule in at the destination, CKM_ONCELEAF_RECEIPT the receipt
// at the source; then unwrapping is the HSS private key itself, the template has no meaning, and the handle that comes back
// is that of unwrapping.
func (m *Module) UnwrapKey(h ck.SessionHandle, with Mechanism, unwrapping ck.ObjectHandle, wrapped []byte,
	template []Attribute) (key ck.ObjectHandle, rv ck.RV) {
	return m.makeObject("C_UnwrapKey", h, func(l *library, s *session) (made token.ObjectID, err error) {
		err = l.inTurn(func() error {
			made, err = l.unwrap(s, with, unwrapping, wrapped, fromApplication(template))
			return err
		})
		return made, err
	})
}

func (l *library) unwrap(s *session, with Mechanism, unwrapping ck.ObjectHandle, wrapped []byte,
	template []token.Attribute) (token.ObjectID, error) {
	own := with.Type == ck.CKM_ONCELEAF_PARTITION || with.Type == ck.CKM_ONCELEAF_RECEIPT
	if own && with.NoParameter() != nil {
		return "", ck.CKR_MECHANISM_PARAM_INVALID
	}
	id, err := l.handles.object(s, unwrapping, ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID)
	if err != nil {
		return "", err
	}
	switch with.Type {
	case ck.CKM_ONCELEAF_RECEIPT:
		return id, s.seat.Acknowledge(s.asker(), id, wrapped)
	case ck.CKM_ONCELEAF_PARTITION:
		return s.seat.Receive(l.ctx, s.asker(), id, wrapped, template)
	}
	return s.seat.Unwrap(s.asker(), with, id, wrapped, template)
}

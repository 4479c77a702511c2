package p11module

import (
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/token"
)

// GenerateKey is C_GenerateKey.
func (m *Module) GenerateKey(h ck.SessionHandle, with Mechanism, template []Attribute) (key ck.ObjectHandle, rv ck.RV) {
	return m.makeObject("C_GenerateKey", h, func(_ *library, s *session) (token.ObjectID, error) {
		return s.seat.GenerateKey(s.asker(), with, fromApplication(template))
	})
}

// GenerateKeyPair is C_GenerateKeyPair. CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN is for the destination of leaves.
func (m *Module) GenerateKeyPair(h ck.SessionHandle, with Mechanism, public, private []Attribute) (pub,
	priv ck.ObjectHandle, rv ck.RV) {
	rv = m.runInSession("C_GenerateKeyPair", h, func(l *library, s *session) error {
		var pubID, privID token.ObjectID
		err := l.inTurn(func() (err error) {
			pubID, privID, err = l.generate(s, with, fromApplication(public), fromApplication(private))
			return err
		})
		if err != nil {
			return err
		}
		pub, priv = l.handles.of(s, pubID), l.handles.of(s, privID)
		return nil
	})
	return pub, priv, rv
}

// inTurn does work that takes long, such as building a root tree, of which the application may do only so much at one time.
func (l *library) inTurn(work func() error) error {
	if l.turns == nil {
		return work()
	}
	select {
	case l.turns <- struct{}{}:
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
	defer func() { <-l.turns }()
	return work()
}

func (l *library) generate(s *session, with Mechanism, public, private []token.Attribute) (pub,
	priv token.ObjectID, err error) {
	switch with.Type {
	case ck.CKM_HSS_KEY_PAIR_GEN:
		if err := with.NoParameter(); err != nil {
			return "", "", err
		}
		return s.seat.GenerateHSS(l.ctx, s.asker(), public, private)
	case ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN:
		scheme, given, err := with.UlongParameter()
		if err != nil {
			return "", "", err
		}
		if !given {
			scheme = ck.TRANSFER_HPKE
		}
		return s.seat.GenerateTransferKey(s.asker(), scheme, public, private)
	}
	return s.seat.GenerateKeyPair(s.asker(), with, public, private)
}

// DeriveKey is C_DeriveKey.
func (m *Module) DeriveKey(h ck.SessionHandle, with Mechanism, base ck.ObjectHandle,
	template []Attribute) (key ck.ObjectHandle, rv ck.RV) {
	return m.makeObject("C_DeriveKey", h, func(l *library, s *session) (token.ObjectID, error) {
		id, err := l.handles.object(s, base, ck.CKR_KEY_HANDLE_INVALID)
		if err != nil {
			return "", err
		}
		salt, err := l.salt(s, with)
		if err != nil {
			return "", err
		}
		derived, err := s.seat.Derive(s.asker(), with, id, salt, fromApplication(template))
		return derived, handleError(err, ck.CKR_KEY_HANDLE_INVALID)
	})
}

// salt is the key that HKDF takes as its salt, if it does.
func (l *library) salt(s *session, with Mechanism) (token.ObjectID, error) {
	hkdf, ok := with.Struct.(*ck.HKDFParams)
	if !ok || hkdf.SaltType != ck.CKF_HKDF_SALT_KEY {
		return "", nil
	}
	return l.handles.object(s, hkdf.SaltKey, ck.CKR_KEY_HANDLE_INVALID)
}

// EncapsulateKey is C_EncapsulateKey. A length query and CKR_BUFFER_TOO_SMALL make no key.
func (m *Module) EncapsulateKey(h ck.SessionHandle, with Mechanism, public ck.ObjectHandle,
	template []Attribute, out Output) (encapsulated []byte, length uint64, key ck.ObjectHandle, rv ck.RV) {
	rv = m.runInSession("C_EncapsulateKey", h, func(l *library, s *session) error {
		id, err := l.handles.object(s, public, ck.CKR_KEY_HANDLE_INVALID)
		if err != nil {
			return err
		}
		length, err = l.roomFor(out, func() (int, error) { return s.seat.EncapsulatedSize(with, id) })
		if err != nil || out.Query {
			return handleError(err, ck.CKR_KEY_HANDLE_INVALID)
		}
		var made token.ObjectID
		encapsulated, made, err = s.seat.Encapsulate(s.asker(), with, id, fromApplication(template))
		if err != nil {
			length = 0
			return handleError(err, ck.CKR_KEY_HANDLE_INVALID)
		}
		length, key = uint64(len(encapsulated)), l.handles.of(s, made)
		return nil
	})
	return encapsulated, length, key, rv
}

// roomFor is the size of a result, and CKR_BUFFER_TOO_SMALL if there is no room for it.
func (l *library) roomFor(out Output, size func() (int, error)) (uint64, error) {
	n, err := size()
	if err != nil {
		return 0, err
	}
	if !out.Query && out.Room < uint64(n) {
		return uint64(n), ck.CKR_BUFFER_TOO_SMALL
	}
	return uint64(n), nil
}

// DecapsulateKey is C_DecapsulateKey.
func (m *Module) DecapsulateKey(h ck.SessionHandle, with Mechanism, private ck.ObjectHandle,
	template []Attribute, encapsulated []byte) (key ck.ObjectHandle, rv ck.RV) {
	return m.makeObject("C_DecapsulateKey", h, func(l *library, s *session) (token.ObjectID, error) {
		id, err := l.handles.object(s, private, ck.CKR_KEY_HANDLE_INVALID)
		if err != nil {
			return "", err
		}
		made, err := s.seat.Decapsulate(s.asker(), with, id, encapsulated, fromApplication(template))
		return made, handleError(err, ck.CKR_KEY_HANDLE_INVALID)
	})
}

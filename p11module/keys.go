package p11module

import (
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/token"
)

// GenerateKeyPair is C_GenerateKeyPair: CKM_HSS_KEY_PAIR_GEN, and CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN at a destination.
func (m *Module) GenerateKeyPair(h ck.SessionHandle, mechanism Mechanism, public, private []Attribute) (pub, priv ck.ObjectHandle, rv ck.RV) {
	rv = m.runInSession("C_GenerateKeyPair", h, func(l *library, s *session) error {
		var pubID, privID token.ObjectID
		err := l.inTurn(func() (err error) {
			pubID, privID, err = l.generate(s, mechanism, fromApplication(public), fromApplication(private))
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

// inTurn does work that builds a root tree, of which the application may do only so much at one time.
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

func (l *library) generate(s *session, mechanism Mechanism, public, private []token.Attribute) (pub, priv token.ObjectID, err error) {
	switch mechanism.Type {
	case ck.CKM_HSS_KEY_PAIR_GEN:
		if err := mechanism.noParameter(); err != nil {
			return "", "", err
		}
		return s.seat.GenerateHSS(l.ctx, s.asker(), public, private)
	case ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN:
		scheme, given, err := mechanism.ulongParameter()
		if err != nil {
			return "", "", err
		}
		if !given {
			scheme = ck.TRANSFER_HPKE
		}
		return s.seat.GenerateTransferKey(s.asker(), scheme, public, private)
	}
	return "", "", ck.CKR_MECHANISM_INVALID
}

package p11module

import (
	"sync"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/token"
)

// session is one open session and the operations in progress in it.
type session struct {
	handle    ck.SessionHandle
	slot      ck.SlotID
	token     *token.Token
	readWrite bool

	mu     sync.Mutex // guards what follows; not held while a signature is made
	sign   *signing
	verify *verifying
	search *search
}

// asker is the session as package token knows it.
func (s *session) asker() token.Session {
	return token.Session{ID: uint64(s.handle), ReadWrite: s.readWrite}
}

func (l *library) session(h ck.SessionHandle) (*session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s, ok := l.sessions[h]; ok {
		return s, nil
	}
	return nil, ck.CKR_SESSION_HANDLE_INVALID
}

// gate makes the calls that open, close, log in and log out on one slot wait for each other: which sessions there are
// and who is logged in depend on one another.
func (l *library) gate(slot ck.SlotID) *sync.Mutex {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gates[slot] == nil {
		l.gates[slot] = &sync.Mutex{}
	}
	return l.gates[slot]
}

// sessionsOf lists the sessions of a slot.
func (l *library) sessionsOf(slot ck.SlotID) (all []*session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sessions {
		if s.slot == slot {
			all = append(all, s)
		}
	}
	return all
}

func (l *library) countSessions(slot ck.SlotID) (all, readWrite uint64) {
	for _, s := range l.sessionsOf(slot) {
		all++
		if s.readWrite {
			readWrite++
		}
	}
	return all, readWrite
}

// OpenSession is C_OpenSession.
func (m *Module) OpenSession(slot ck.SlotID, flags uint64) (h ck.SessionHandle, rv ck.RV) {
	rv = m.run("C_OpenSession", func(l *library) error {
		if err := l.device.Has(slot); err != nil {
			return err
		}
		if flags&ck.CKF_SERIAL_SESSION == 0 {
			return ck.CKR_SESSION_PARALLEL_NOT_SUPPORTED
		}
		t, err := l.device.Token(slot)
		if err != nil {
			return err
		}
		h, err = l.openSession(slot, t, flags&ck.CKF_RW_SESSION != 0)
		return err
	})
	return h, rv
}

func (l *library) openSession(slot ck.SlotID, t *token.Token, readWrite bool) (ck.SessionHandle, error) {
	gate := l.gate(slot)
	gate.Lock()
	defer gate.Unlock()
	if user := t.User(); !readWrite && user != nil && *user == ck.CKU_SO {
		return 0, ck.CKR_SESSION_READ_WRITE_SO_EXISTS
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	s := &session{handle: l.last, slot: slot, token: t, readWrite: readWrite}
	t.BeginSession(uint64(s.handle))
	l.sessions[s.handle] = s
	return s.handle, nil
}

// CloseSession is C_CloseSession: the session's objects go, and with the last session of the slot the login.
func (m *Module) CloseSession(h ck.SessionHandle) ck.RV {
	return m.runInSession("C_CloseSession", h, func(l *library, s *session) error {
		gate := l.gate(s.slot)
		gate.Lock()
		defer gate.Unlock()
		if _, err := l.session(h); err != nil { // closed while this call waited
			return err
		}
		l.closeSession(s)
		return nil
	})
}

// closeSession ends a session. The caller holds the slot's gate.
func (l *library) closeSession(s *session) {
	l.mu.Lock()
	delete(l.sessions, s.handle)
	l.mu.Unlock()
	s.cancel(SignOperation | VerifyOperation | FindOperation)
	l.handles.drop(s.slot, s.token.EndSession(uint64(s.handle))...)
	if len(l.sessionsOf(s.slot)) == 0 {
		s.token.LogoutIfAny()
		l.handles.dropSlot(s.slot, true)
	}
}

// CloseAllSessions is C_CloseAllSessions.
func (m *Module) CloseAllSessions(slot ck.SlotID) ck.RV {
	return m.run("C_CloseAllSessions", func(l *library) error {
		if err := l.device.Has(slot); err != nil {
			return err
		}
		gate := l.gate(slot)
		gate.Lock()
		defer gate.Unlock()
		for _, s := range l.sessionsOf(slot) {
			l.closeSession(s)
		}
		return nil
	})
}

// GetSessionInfo is C_GetSessionInfo.
func (m *Module) GetSessionInfo(h ck.SessionHandle) (info SessionInfo, rv ck.RV) {
	rv = m.runInSession("C_GetSessionInfo", h, func(_ *library, s *session) error {
		info = SessionInfo{Slot: s.slot, State: s.state(), Flags: ck.CKF_SERIAL_SESSION}
		if s.readWrite {
			info.Flags |= ck.CKF_RW_SESSION
		}
		return nil
	})
	return info, rv
}

// state is the CKS_ state of PKCS#11 section 5.6.
func (s *session) state() uint64 {
	user := s.token.User()
	switch {
	case user == nil && s.readWrite:
		return ck.CKS_RW_PUBLIC_SESSION
	case user == nil:
		return ck.CKS_RO_PUBLIC_SESSION
	case *user == ck.CKU_SO:
		return ck.CKS_RW_SO_FUNCTIONS
	case s.readWrite:
		return ck.CKS_RW_USER_FUNCTIONS
	default:
		return ck.CKS_RO_USER_FUNCTIONS
	}
}

// Login is C_Login; user is one of ck.CKU_*.
func (m *Module) Login(h ck.SessionHandle, user uint64, pin []byte) ck.RV {
	return m.runInSession("C_Login", h, func(l *library, s *session) error {
		switch ck.UserType(user) {
		case ck.CKU_SO, ck.CKU_USER:
		case ck.CKU_CONTEXT_SPECIFIC:
			return ck.CKR_OPERATION_NOT_INITIALIZED // no key here is CKA_ALWAYS_AUTHENTICATE
		default:
			return ck.CKR_USER_TYPE_INVALID
		}
		if pin == nil {
			return ck.CKR_ARGUMENTS_BAD // there is no PIN pad to read it from
		}
		return l.login(s, ck.UserType(user), pin)
	})
}

func (l *library) login(s *session, user ck.UserType, pin []byte) error {
	gate := l.gate(s.slot)
	gate.Lock()
	defer gate.Unlock()
	if _, err := l.session(s.handle); err != nil { // closed while this call waited: nobody would log out
		return err
	}
	if all, readWrite := l.countSessions(s.slot); user == ck.CKU_SO && all != readWrite {
		return ck.CKR_SESSION_READ_ONLY_EXISTS
	}
	return s.token.Login(user, pin)
}

// Logout is C_Logout. Handles of private objects end, and so do all operations of the slot's sessions.
func (m *Module) Logout(h ck.SessionHandle) ck.RV {
	return m.runInSession("C_Logout", h, func(l *library, s *session) error {
		gate := l.gate(s.slot)
		gate.Lock()
		defer gate.Unlock()
		if s.token.User() == nil {
			return ck.CKR_USER_NOT_LOGGED_IN
		}
		err := s.token.Logout() // first: until then a search could give out handles anew
		for _, other := range l.sessionsOf(s.slot) {
			other.cancel(SignOperation | VerifyOperation | FindOperation)
		}
		l.handles.dropSlot(s.slot, true)
		return err
	})
}

// Cancel ends operations in progress. The boundary to C calls it when arguments of a Sign or Verify function are bad,
// which ends the operation, and for an Init without a mechanism.
func (m *Module) Cancel(h ck.SessionHandle, operations Operation) ck.RV {
	return m.runInSession("cancel", h, func(_ *library, s *session) error {
		s.cancel(operations)
		return nil
	})
}

func (s *session) cancel(operations Operation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if operations&SignOperation != 0 {
		s.sign = nil
	}
	if operations&VerifyOperation != 0 {
		s.verify = nil
	}
	if operations&FindOperation != 0 {
		s.search = nil
	}
}

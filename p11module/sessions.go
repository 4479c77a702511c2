package p11module

import (
	"fmt"
	"sync"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/token"
)

// session is one open session and the operations in progress in it.
type session struct {
	handle    ck.SessionHandle
	slot      ck.SlotID
	seat      *token.Seat
	readWrite bool

	mu         sync.Mutex // guards what follows; not held while an HSS signature is made
	operations [kinds]*operation
	waiting    *operation // the last one that began and waits for the PIN
	search     *search
	closed     bool
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

// pinTurn waits until the application may try a PIN of the slot, or change one: it does so with one at a time, for those
// of all applications wait for each other. It answers no more after Cancel, or when the session was closed meanwhile. The
// caller calls done.
func (l *library) pinTurn(s *session) (done func(), err error) {
	gate := l.gate(s.slot)
	gate.Lock()
	if err = l.ctx.Err(); err == nil {
		_, err = l.session(s.handle)
	}
	if err != nil {
		gate.Unlock()
		return nil, err
	}
	return gate.Unlock, nil
}

// Sessions counts the open sessions of the application.
func (m *Module) Sessions() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.library == nil {
		return 0
	}
	m.library.mu.Lock()
	defer m.library.mu.Unlock()
	return len(m.library.sessions)
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
		if err := l.host.device.Has(slot); err != nil {
			return err
		}
		if flags&ck.CKF_SERIAL_SESSION == 0 {
			return ck.CKR_SESSION_PARALLEL_NOT_SUPPORTED
		}
		t, err := l.host.device.Token(slot)
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
	s, err := l.newSession(slot, t, readWrite)
	if err != nil {
		return 0, err
	}
	if user := s.seat.User(); !readWrite && user != nil && *user == ck.CKU_SO {
		return 0, ck.CKR_SESSION_READ_WRITE_SO_EXISTS
	}
	if err := s.seat.BeginSession(uint64(s.handle)); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.roomForSession(); err != nil { // other slots have other gates
		s.seat.EndSession(uint64(s.handle))
		return 0, err
	}
	l.sessions[s.handle] = s
	return s.handle, nil
}

// newSession is a session that is not open yet, with a handle of its own.
func (l *library) newSession(slot ck.SlotID, t *token.Token, readWrite bool) (*session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.roomForSession(); err != nil {
		return nil, err
	}
	if l.seats[t] == nil {
		l.seats[t] = t.NewSeat(token.SeatLimits{
			Objects: l.limits.Objects, SessionKeys: l.limits.SessionKeys, Application: l.ctx, Shared: l.shared,
			Claim: l.memory.claim, Release: l.memory.release,
		})
	}
	l.last++
	return &session{handle: l.last, slot: slot, seat: l.seats[t], readWrite: readWrite}, nil
}

// roomForSession is CKR_SESSION_COUNT if the application has all the sessions that it may. The caller holds mu.
func (l *library) roomForSession() error {
	if most := l.limits.Sessions; most > 0 && len(l.sessions) >= most {
		return ck.CKR_SESSION_COUNT
	}
	return nil
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
	s.close()
	l.handles.drop(s.slot, s.seat.EndSession(uint64(s.handle))...)
	if len(l.sessionsOf(s.slot)) == 0 {
		s.seat.LogoutIfAny()
		l.handles.dropSlot(s.slot, true)
	}
}

// CloseAllSessions is C_CloseAllSessions.
func (m *Module) CloseAllSessions(slot ck.SlotID) ck.RV {
	return m.run("C_CloseAllSessions", func(l *library) error {
		if err := l.host.device.Has(slot); err != nil {
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
	user := s.seat.User()
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
	return m.loginAs("C_Login", h, user, pin)
}

// LoginUser is C_LoginUser. A token has one user and one SO, so their names say nothing more.
func (m *Module) LoginUser(h ck.SessionHandle, user uint64, pin, _ []byte) ck.RV {
	return m.loginAs("C_LoginUser", h, user, pin)
}

func (m *Module) loginAs(function string, h ck.SessionHandle, user uint64, pin []byte) ck.RV {
	return m.runInSession(function, h, func(l *library, s *session) error {
		who := ck.UserType(user)
		if who != ck.CKU_SO && who != ck.CKU_USER && who != ck.CKU_CONTEXT_SPECIFIC {
			return ck.CKR_USER_TYPE_INVALID
		}
		if pin == nil {
			return ck.CKR_ARGUMENTS_BAD // there is no PIN pad to read it from
		}
		if who == ck.CKU_CONTEXT_SPECIFIC {
			return l.authenticate(s, pin)
		}
		return l.login(s, who, pin)
	})
}

func (l *library) login(s *session, user ck.UserType, pin []byte) error {
	done, err := l.pinTurn(s)
	if err != nil { // such as a session that was closed: nobody would log out
		return err
	}
	defer done()
	if all, readWrite := l.countSessions(s.slot); user == ck.CKU_SO && all != readWrite {
		return ck.CKR_SESSION_READ_ONLY_EXISTS
	}
	return s.seat.Login(user, pin)
}

// errAuthenticate is the answer of a key that is CKA_ALWAYS_AUTHENTICATE.
var errAuthenticate = fmt.Errorf("%w: the key wants the PIN before each use (CKU_CONTEXT_SPECIFIC)", ck.CKR_USER_NOT_LOGGED_IN)

// authenticate is C_Login with CKU_CONTEXT_SPECIFIC: it frees the operation that began last of those that wait for it. A
// wrong PIN leaves it waiting.
func (l *library) authenticate(s *session, pin []byte) error {
	op := s.waitingOperation()
	if op == nil {
		return ck.CKR_OPERATION_NOT_INITIALIZED
	}
	done, err := l.pinTurn(s)
	if err != nil {
		return err
	}
	defer done()
	if err := s.seat.Authenticate(pin); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	op.waits = false
	return nil
}

// waitingOperation is the one that waits for the PIN, nil if none does.
func (s *session) waitingOperation() *operation {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, op := range s.operations {
		if op != nil && op == s.waiting && op.waits {
			return op
		}
	}
	return nil
}

// Logout is C_Logout. Handles of private objects end, and so do the operations with private keys in the slot's sessions,
// and searches.
func (m *Module) Logout(h ck.SessionHandle) ck.RV {
	return m.runInSession("C_Logout", h, func(l *library, s *session) error {
		gate := l.gate(s.slot)
		gate.Lock()
		defer gate.Unlock()
		if s.seat.User() == nil {
			return ck.CKR_USER_NOT_LOGGED_IN
		}
		err := s.seat.Logout() // first: until then a search could give out handles anew
		for _, other := range l.sessionsOf(s.slot) {
			other.cancelPrivate()
		}
		l.handles.dropSlot(s.slot, true)
		return err
	})
}

// SessionCancel is C_SessionCancel: it ends the operations in progress that flags name. An Init function without a
// mechanism is this too. Flags of operations that are not offered here name nothing.
func (m *Module) SessionCancel(h ck.SessionHandle, flags uint64) ck.RV {
	return m.runInSession("C_SessionCancel", h, func(_ *library, s *session) error {
		s.cancel(flags)
		return nil
	})
}

// BadArguments is the answer to arguments that cannot be right, which a library finds before it calls any function
// here: it ends those operations of the session that flags name, as SessionCancel does, and answers CKR_ARGUMENTS_BAD,
// unless there is something more telling to say: that the library is not initialised, or the session does not exist.
func (m *Module) BadArguments(h ck.SessionHandle, flags uint64) ck.RV {
	return m.run("bad arguments", func(l *library) error {
		if flags == 0 {
			return ck.CKR_ARGUMENTS_BAD
		}
		s, err := l.session(h)
		if err != nil {
			return err
		}
		s.cancel(flags)
		return ck.CKR_ARGUMENTS_BAD
	})
}

// leave is the end of the application. No call is under way.
func (l *library) leave() {
	for _, s := range l.sessions {
		s.close()
	}
	for _, seat := range l.seats {
		seat.Close()
	}
}

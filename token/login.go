package token

import (
	"slices"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

// Login is C_Login for CKU_SO and CKU_USER. The keystore opens for the user alone; the SO only gets what InitPIN needs.
// CKR_USER_ALREADY_LOGGED_IN, CKR_USER_ANOTHER_ALREADY_LOGGED_IN, CKR_USER_PIN_NOT_INITIALIZED, CKR_PIN_INCORRECT and
// CKR_PIN_LOCKED.
func (t *Token) Login(user ck.UserType, pin []byte) error {
	t.pins.Lock()
	defer t.pins.Unlock()
	if present := t.User(); present != nil {
		if *present == user {
			return refuse(ck.CKR_USER_ALREADY_LOGGED_IN, "%s is logged in", user)
		}
		return refuse(ck.CKR_USER_ANOTHER_ALREADY_LOGGED_IN, "%s is logged in", *present)
	}
	master, err := t.tryPIN(user, pin)
	if err != nil {
		return err
	}
	if user == ck.CKU_USER {
		t.watchAll()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.user, t.master = &user, master
	if user == ck.CKU_USER {
		t.keys.Unlock(copyOf(master)) // the keystore wipes its own
	}
	return nil
}

func copyOf(master keystore.MasterKey) keystore.MasterKey {
	c := keystore.MasterKey(keystore.NewSecret(len(master)))
	copy(c, master)
	return c
}

// User is who is logged in, nil for nobody.
func (t *Token) User() *ck.UserType {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.user
}

func (t *Token) userIs(user ck.UserType) bool {
	present := t.User()
	return present != nil && *present == user
}

// Logout is C_Logout: private session objects go, lower trees are parked and all secrets wiped. If parking fails, the
// leaves in memory are burned and the log says so; the user is logged out in any case. CKR_USER_NOT_LOGGED_IN.
func (t *Token) Logout() error {
	t.pins.Lock()
	defer t.pins.Unlock()
	if t.User() == nil {
		return refuse(ck.CKR_USER_NOT_LOGGED_IN, "nobody is logged in")
	}
	t.logout()
	return nil
}

// LogoutIfAny is Logout that does not mind if nobody is logged in: the last session was closed.
func (t *Token) LogoutIfAny() {
	t.pins.Lock()
	defer t.pins.Unlock()
	t.logout()
}

// logout does nothing if nobody is logged in. The caller holds t.pins. keystore.Lock can wait for a signature under
// way, so it is called last, and without t.mu.
func (t *Token) logout() {
	t.mu.Lock()
	wasUser := t.user != nil && *t.user == ck.CKU_USER
	t.user = nil
	keystore.Wipe(t.master)
	t.master = nil
	gone := t.takeSessionObjects(func(o *object) bool { return o.private() })
	t.mu.Unlock()
	for _, o := range gone {
		o.discard()
	}
	if wasUser {
		if err := t.keys.Lock(); err != nil { // the keystore logged which keys
			t.log.Error("some lower trees could not be parked; their leaves are burned, none can be used again", "token", t.serial, "error", err)
		}
	}
}

// InitPIN is C_InitPIN: the SO, logged in, sets the user PIN, which also unlocks it.
func (t *Token) InitPIN(pin []byte) error {
	t.pins.Lock()
	defer t.pins.Unlock()
	if !t.userIs(ck.CKU_SO) {
		return refuse(ck.CKR_USER_NOT_LOGGED_IN, "the SO sets the user PIN")
	}
	if err := checkPINLength(pin); err != nil {
		return err
	}
	return t.storePIN(ck.CKU_USER, t.master, pin) // t.pins keeps the SO from logging out meanwhile
}

// SetPIN is C_SetPIN: the SO's own PIN while the SO is logged in, else the user's. A wrong old PIN counts as a try.
func (t *Token) SetPIN(old, pin []byte) error {
	t.pins.Lock()
	defer t.pins.Unlock()
	if err := checkPINLength(pin); err != nil {
		return err
	}
	user := ck.CKU_USER
	if t.userIs(ck.CKU_SO) {
		user = ck.CKU_SO
	}
	master, err := t.tryPIN(user, old)
	if err != nil {
		return err
	}
	defer keystore.Wipe(master)
	return t.storePIN(user, master, pin)
}

func (t *Token) storePIN(user ck.UserType, master keystore.MasterKey, pin []byte) error {
	record, err := wrapMaster(master, pin, t.kdf, pinContext(t.serial, user))
	if err != nil {
		return err
	}
	return t.shelf.Write(map[string][]byte{pinName(user): record})
}

// seal and open use the master key of who is logged in; without anybody they answer CKR_USER_NOT_LOGGED_IN.
func (t *Token) seal(secret, context []byte) ([]byte, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.master == nil {
		return nil, refuse(ck.CKR_USER_NOT_LOGGED_IN, "secrets are sealed while nobody is logged in")
	}
	return t.master.Seal(secret, context)
}

func (t *Token) open(sealed, context []byte) ([]byte, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.master == nil {
		return nil, refuse(ck.CKR_USER_NOT_LOGGED_IN, "secrets are sealed while nobody is logged in")
	}
	return t.master.Open(sealed, context)
}

// Session is who asks: a session, and what it may do.
type Session struct {
	ID        uint64
	ReadWrite bool
}

// BeginSession makes a session known, so that it can own objects.
func (t *Token) BeginSession(id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sessions[id] = true
}

// EndSession destroys the session's objects and returns their names.
func (t *Token) EndSession(id uint64) []ObjectID {
	t.mu.Lock()
	delete(t.sessions, id)
	gone := t.takeSessionObjects(func(o *object) bool { return o.owner == id })
	t.mu.Unlock()
	ids := make([]ObjectID, 0, len(gone))
	for _, o := range gone {
		o.discard()
		ids = append(ids, o.id)
	}
	slices.Sort(ids)
	return ids
}

// takeSessionObjects removes the session objects that go. The caller holds t.mu for writing, and discards them without
// it.
func (t *Token) takeSessionObjects(goes func(*object) bool) (gone []*object) {
	for id, o := range t.loose {
		if o.owner != 0 && goes(o) {
			gone = append(gone, o)
			delete(t.loose, id)
		}
	}
	return gone
}

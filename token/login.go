package token

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/mechanism"
)

// Login is C_Login for CKU_SO and CKU_USER. The keystore opens for the user alone; the SO only gets what InitPIN needs.
// CKR_USER_ALREADY_LOGGED_IN, CKR_USER_ANOTHER_ALREADY_LOGGED_IN, CKR_USER_PIN_NOT_INITIALIZED, CKR_PIN_INCORRECT and
// CKR_PIN_LOCKED.
func (seat *Seat) Login(user ck.UserType, pin []byte) error {
	seat.token.pins.Lock()
	defer seat.token.pins.Unlock()
	if err := seat.mayTry(); err != nil {
		return err
	}
	if present := seat.User(); present != nil {
		if *present == user {
			return refuse(ck.CKR_USER_ALREADY_LOGGED_IN, "%s is logged in", user)
		}
		return refuse(ck.CKR_USER_ANOTHER_ALREADY_LOGGED_IN, "%s is logged in", *present)
	}
	master, err := seat.token.tryPIN(user, pin)
	if err != nil {
		return err
	}
	if user == ck.CKU_USER {
		seat.token.userCame(master)
	}
	seat.mu.Lock()
	defer seat.mu.Unlock()
	seat.user, seat.master = &user, master
	seat.present, seat.leave = context.WithCancel(context.Background())
	seat.using, _ = seat.untilLogout(cmp.Or(seat.limits.Application, context.Background()))
	return nil
}

// Cancel says that the application is about to end: of its calls that wait for their turn to try a PIN, none does so any
// more, and there is no login afterwards. CKR_FUNCTION_CANCELED.
func (seat *Seat) Cancel() { seat.cancelled.Store(true) }

// mayTry says whether a PIN may still be tried for the seat: who waited long for it may have gone, and the next are
// waiting. The caller holds token.pins.
func (seat *Seat) mayTry() error {
	if seat.cancelled.Load() || seat.token.closing.Load() {
		return refuse(ck.CKR_FUNCTION_CANCELED, "the application or the token came to its end meanwhile")
	}
	seat.mu.RLock()
	defer seat.mu.RUnlock()
	if seat.closed { // nobody would log out again
		return errClosed
	}
	return nil
}

func copyOf(master keystore.MasterKey) keystore.MasterKey {
	c := keystore.MasterKey(keystore.NewSecret(len(master)))
	copy(c, master)
	return c
}

// userCame counts a seat where the user logged in, and opens the keystore if it is not open. The caller holds pins.
func (t *Token) userCame(master keystore.MasterKey) {
	t.stopRest()
	if !t.unlocked {
		t.watchAll()
		t.keys.Unlock(copyOf(master)) // the keystore wipes its own
	}
	t.unwrapped.begin()
	t.setUsers(t.users+1, true)
}

// userWent is the reverse of userCame: after the last user the keystore locks, at once or when it has lingered, and the
// caller wipes the keys, without pins. The caller holds pins.
func (t *Token) userWent() (keys []*mechanism.Key) {
	t.setUsers(t.users-1, t.unlocked)
	if t.users == 0 {
		keys = t.unwrapped.end()
	}
	switch {
	case t.users > 0:
	case t.linger > 0:
		t.restLater()
	default:
		t.lockKeys()
	}
	return keys
}

// setUsers notes how many seats have the user, and whether the keystore is open. The caller holds pins; mu is for those
// who only want to know.
func (t *Token) setUsers(users int, unlocked bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users, t.unlocked = users, unlocked
}

// restLater locks the keystore when it has lingered, unless a user comes meanwhile. The caller holds pins.
func (t *Token) restLater() {
	t.stopRest()
	var mine *time.Timer
	mine = time.AfterFunc(t.linger, func() {
		t.pins.Lock()
		defer t.pins.Unlock()
		if t.rest == mine && t.users == 0 { // it was not stopped while this waited
			t.lockKeys()
		}
	})
	t.rest = mine
}

// stopRest forgets restLater. The caller holds pins.
func (t *Token) stopRest() {
	if t.rest != nil {
		t.rest.Stop()
		t.rest = nil
	}
}

// lockKeys parks the lower trees and locks the keystore. It waits for no tree that is built: what used a key of the token
// ended with the last login (see whileUser). If parking fails, the leaves in memory are burned and the log says so. The
// caller holds pins, and no other lock but opening.
func (t *Token) lockKeys() {
	t.stopRest()
	if !t.unlocked {
		return
	}
	if err := t.keys.Lock(); err != nil { // the keystore logged which keys
		t.log.Error("some lower trees could not be parked; their leaves are burned, none can be used again", "token", t.serial, "error", err)
	}
	t.setUsers(t.users, false)
}

// User is who is logged in, nil for nobody.
func (seat *Seat) User() *ck.UserType {
	seat.mu.RLock()
	defer seat.mu.RUnlock()
	return seat.user
}

func (seat *Seat) userIs(user ck.UserType) bool {
	present := seat.User()
	return present != nil && *present == user
}

// visit is one login of the user, from C_Login to C_Logout. A later login at the same seat is another one.
type visit struct{ present context.Context } // nil: the user was not logged in

// over reports whether the user logged out. It is so from before C_Logout returns.
func (v visit) over() bool { return v.present == nil || v.present.Err() != nil }

// result gives what whileUser cut off its result.
func (v visit) result(err error) error {
	if errors.Is(err, context.Canceled) && v.over() {
		return errLoggedOut
	}
	return err
}

var errLoggedOut = refuse(ck.CKR_USER_NOT_LOGGED_IN, "the user logged out meanwhile")

// whileUser is ctx, which now ends with the login too: what takes long and needs the user is not finished after the
// logout, although another seat may keep the keystore open. The caller calls stop.
func (seat *Seat) whileUser(ctx context.Context) (until context.Context, v visit, stop func()) {
	seat.mu.RLock()
	defer seat.mu.RUnlock()
	switch {
	case seat.user == nil || *seat.user != ck.CKU_USER:
		until, stop = context.WithCancel(ctx)
		stop()
		return until, visit{}, stop
	case ctx == seat.limits.Application: // as with every signature
		return seat.using, visit{seat.present}, func() {}
	}
	until, stop = seat.untilLogout(ctx)
	return until, visit{seat.present}, stop
}

// untilLogout is ctx, which now ends with the login too. The caller holds mu, and calls stop before the logout or not at
// all.
func (seat *Seat) untilLogout(ctx context.Context) (until context.Context, stop func()) {
	until, cancel := context.WithCancel(ctx)
	forget := context.AfterFunc(seat.present, cancel)
	return until, func() {
		forget()
		cancel()
	}
}

// Logout is C_Logout: private session objects go and the seat's secrets are wiped; after the last user of the token
// lower trees are parked and all secrets wiped. The user is logged out in any case, and no signature that the login
// allowed is given out afterwards. CKR_USER_NOT_LOGGED_IN.
func (seat *Seat) Logout() error {
	return seat.ending(func() ([]*object, error) {
		if seat.User() == nil {
			return nil, refuse(ck.CKR_USER_NOT_LOGGED_IN, "nobody is logged in")
		}
		return seat.logout(), nil
	})
}

// LogoutIfAny is Logout that does not mind if nobody is logged in: the last session was closed.
func (seat *Seat) LogoutIfAny() {
	_ = seat.ending(func() ([]*object, error) { return seat.logout(), nil })
}

// ending does work under token.pins, and discards what it took off the list when others may log in again.
func (seat *Seat) ending(work func() (gone []*object, err error)) error {
	gone, err := func() ([]*object, error) {
		seat.token.pins.Lock()
		defer seat.token.pins.Unlock()
		return work()
	}()
	seat.discard(gone...)
	return err
}

// logout takes private session objects off the list, which the caller discards without pins, and with them the decoded
// keys of the token if this was its last user; it does no more if nobody is logged in. The caller holds token.pins.
func (seat *Seat) logout() (gone []*object) {
	seat.adding.Lock()
	seat.mu.Lock()
	wasUser := seat.user != nil && *seat.user == ck.CKU_USER
	if seat.user != nil {
		seat.leave()
		keystore.Wipe(seat.master)
		seat.user, seat.master, seat.present, seat.using = nil, nil, nil, nil
	}
	gone = seat.takeSessionObjects(func(o *object) bool { return o.private() })
	seat.mu.Unlock()
	seat.adding.Unlock()
	if wasUser {
		keys := seat.token.userWent()
		seat.mu.Lock()
		seat.leaving = append(seat.leaving, keys...)
		seat.mu.Unlock()
	}
	return gone
}

// InitPIN is C_InitPIN: the SO, logged in, sets the user PIN, which also unlocks it.
func (seat *Seat) InitPIN(pin []byte) error {
	seat.token.pins.Lock()
	defer seat.token.pins.Unlock()
	if err := seat.mayTry(); err != nil {
		return err
	}
	if !seat.userIs(ck.CKU_SO) {
		return refuse(ck.CKR_USER_NOT_LOGGED_IN, "the SO sets the user PIN")
	}
	if err := checkPINLength(pin); err != nil {
		return err
	}
	return seat.token.storePIN(ck.CKU_USER, seat.master, pin) // pins keeps the SO from logging out meanwhile
}

// SetPIN is C_SetPIN: the SO's own PIN while the SO is logged in, else the user's. A wrong old PIN counts as a try.
func (seat *Seat) SetPIN(old, pin []byte) error {
	t := seat.token
	t.pins.Lock()
	defer t.pins.Unlock()
	if err := seat.mayTry(); err != nil {
		return err
	}
	if err := checkPINLength(pin); err != nil {
		return err
	}
	user := ck.CKU_USER
	if seat.userIs(ck.CKU_SO) {
		user = ck.CKU_SO
	}
	master, err := t.tryPIN(user, old)
	if err != nil {
		return err
	}
	defer keystore.Wipe(master)
	return t.storePIN(user, master, pin)
}

// Authenticate is C_Login for CKU_CONTEXT_SPECIFIC: the user, who is logged in, gives the PIN once more. It changes nothing
// but the count of wrong tries. CKR_USER_NOT_LOGGED_IN, CKR_PIN_INCORRECT, CKR_PIN_LOCKED.
func (seat *Seat) Authenticate(pin []byte) error {
	seat.token.pins.Lock()
	defer seat.token.pins.Unlock()
	if err := seat.mayTry(); err != nil {
		return err
	}
	if !seat.userIs(ck.CKU_USER) {
		return refuse(ck.CKR_USER_NOT_LOGGED_IN, "only who is logged in gives the PIN again")
	}
	master, err := seat.token.tryPIN(ck.CKU_USER, pin)
	if err != nil {
		return err
	}
	keystore.Wipe(master)
	return nil
}

func (t *Token) storePIN(user ck.UserType, master keystore.MasterKey, pin []byte) error {
	record, err := wrapMaster(master, pin, t.kdf, pinContext(t.serial, user))
	if err != nil {
		return err
	}
	return t.shelf.Write(map[string][]byte{pinName(user): record})
}

// seal and open use the master key of who is logged in; without anybody they answer CKR_USER_NOT_LOGGED_IN.
func (seat *Seat) seal(secret, context []byte) ([]byte, error) {
	seat.mu.RLock()
	defer seat.mu.RUnlock()
	if seat.master == nil {
		return nil, refuse(ck.CKR_USER_NOT_LOGGED_IN, "secrets are sealed while nobody is logged in")
	}
	return seat.master.Seal(secret, context)
}

func (seat *Seat) open(sealed, context []byte) ([]byte, error) {
	seat.mu.RLock()
	defer seat.mu.RUnlock()
	if seat.master == nil {
		return nil, refuse(ck.CKR_USER_NOT_LOGGED_IN, "secrets are sealed while nobody is logged in")
	}
	return seat.master.Open(sealed, context)
}

package token

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/mechanism"
)

// safe is what an object keeps secret while it is in memory, and its key ready for use. All versions of an object
// share it: C_SetAttributeValue changes neither.
//
// The secret values of private token objects are sealed, under the master key, at rest and in memory. Those of session
// objects are in memory alone, in the clear. Those of objects that nobody has to log in for (CKA_PRIVATE is FALSE) are
// in the clear at rest too: without a login there is no key that could open them.
type safe struct {
	key  atomic.Pointer[mechanism.Key] // decoded at its first use; nil before, and after it was wiped or put away
	used atomic.Bool                   // the key, since shown looked the last time

	mu       sync.Mutex // one decoding at a time; guards what follows
	values   Attributes // the secret values in the clear; nil if there are none, or they are sealed
	empty    bool       // the object is gone
	reported bool       // that what is sealed does not open
}

// secretKeyValues are those of private and of secret keys.
var secretKeyValues = []ck.AttributeType{ck.CKA_VALUE, ck.CKA_PRIVATE_EXPONENT, ck.CKA_PRIME_1, ck.CKA_PRIME_2,
	ck.CKA_EXPONENT_1, ck.CKA_EXPONENT_2, ck.CKA_COEFFICIENT, ck.CKA_SEED}

// secretDataValues are those of private data objects. Their labels stay outside, to be found by.
var secretDataValues = []ck.AttributeType{ck.CKA_VALUE, ck.CKA_APPLICATION, ck.CKA_OBJECT_ID}

// secretAttributes are the attributes of an object whose values are kept in its safe.
func (o *object) secretAttributes() []ck.AttributeType {
	switch class := o.class(); {
	case class == ck.CKO_PRIVATE_KEY || class == ck.CKO_SECRET_KEY:
		return secretKeyValues
	case class == ck.CKO_DATA && o.private():
		return secretDataValues
	}
	return nil
}

// takeSecrets moves the secret values of a new object from its attributes into its safe.
func (o *object) takeSecrets() {
	for _, attribute := range o.secretAttributes() {
		if value, there := o.stored[attribute]; there {
			if o.safe.values == nil {
				o.safe.values = Attributes{}
			}
			o.safe.values[attribute] = value
			delete(o.stored, attribute)
		}
	}
	if o.safe.values != nil {
		o.secretSize = o.safe.values.size() - sizeOfAttribute
	}
}

// wipe clears secret values.
func wipe(a Attributes) {
	for _, value := range a {
		clear(value)
	}
}

// objectContext binds the sealed values to their object, and to all that its record says in the clear: who may do what
// with the secret follows from that, and who can write the file must not decide it.
func (t *Token) objectContext(o *object) []byte {
	sum := sha256.Sum256(o.stored.append(nil))
	return append(fmt.Appendf(nil, "onceleaf object/2 %s %s ", t.serial, o.id), sum[:]...)
}

// sealObject puts the secret values of a new private token object, which has its name by now, under the master key.
// The caller holds the seat's mu.
func (seat *Seat) sealObject(o *object) error {
	o.safe.mu.Lock()
	defer o.safe.mu.Unlock()
	if o.safe.values == nil {
		return nil
	}
	if seat.master == nil {
		return errLoggedOut
	}
	var err error
	if o.sealed, err = seat.sealValues(o, o.safe.values); err != nil {
		return err
	}
	wipe(o.safe.values)
	o.safe.values = nil
	return nil
}

// sealValues seals secret values beside the attributes of an object as they are now. The caller holds the seat's mu,
// and has seen that there is a master key.
func (seat *Seat) sealValues(o *object, values Attributes) ([]byte, error) {
	plain := values.append(nil)
	defer clear(plain)
	return seat.master.Seal(plain, seat.token.objectContext(o))
}

// isSealed reports whether the secret values of an object are sealed by sealValues.
func (o *object) isSealed() bool { return len(o.sealed) > 0 && !o.isTransferKey() }

// checkSealing holds what is stored to the rule that the secret values of private objects are sealed, and no others:
// else who can write the file would show a secret to all, or have the user take a foreign one for the own.
func (o *object) checkSealing() error {
	switch {
	case len(o.sealed) > 0 && !o.private():
		return errors.New("it has a sealed secret, and is not private")
	case o.private() && o.safe.values != nil:
		return errors.New("it is private, and its secret is not sealed")
	}
	return nil
}

// secrets are the secret values of an object, in memory of the caller's, who wipes them. There may be none.
// CKR_USER_NOT_LOGGED_IN if they are sealed and nobody is logged in; CKR_OBJECT_HANDLE_INVALID if the object is gone.
func (seat *Seat) secrets(o *object) (Attributes, error) {
	o.safe.mu.Lock()
	defer o.safe.mu.Unlock()
	return seat.openSafe(o)
}

// openSafe is secrets for a caller who holds the safe's lock.
func (seat *Seat) openSafe(o *object) (Attributes, error) {
	if o.safe.empty {
		return nil, errGone(o.id)
	}
	if !o.isSealed() {
		return o.safe.values.clone(), nil
	}
	plain, err := seat.open(o.sealed, seat.token.objectContext(o))
	if err != nil {
		err = fmt.Errorf("couldn't open the secret of object %s: %w", o.id, err)
		seat.reportSafe(o, err)
		return nil, err
	}
	defer keystore.Wipe(plain)
	values := Attributes{}
	rest, err := walkAttributes(plain, func(attribute ck.AttributeType, value []byte) {
		values[attribute] = bytes.Clone(value)
	})
	if err != nil || len(rest) > 0 {
		wipe(values)
		return nil, fmt.Errorf("%w: the secret of object %s", keystore.ErrDamaged, o.id)
	}
	return values, nil
}

// reportSafe tells the log once of a secret that does not open. The caller holds the safe's lock.
func (seat *Seat) reportSafe(o *object, err error) {
	if errors.Is(err, keystore.ErrDamaged) && !o.safe.reported {
		o.safe.reported = true
		seat.token.log.Error("an object was changed in the store, or is damaged; it is kept and does nothing", "token",
			seat.token.serial, "error", err)
	}
}

// value is one attribute of an object, from its safe too. The errors are those of object.value and of secrets.
func (seat *Seat) value(o *object, attribute ck.AttributeType) ([]byte, error) {
	if o.hides(attribute) || !slices.Contains(o.secretAttributes(), attribute) {
		return o.value(attribute)
	}
	values, err := seat.secrets(o)
	if err != nil {
		return nil, err
	}
	defer wipe(values)
	if value, there := values[attribute]; there {
		return bytes.Clone(value), nil
	}
	return o.value(attribute)
}

// changed is an object with other attributes, to which what is sealed is bound anew. CKR_USER_NOT_LOGGED_IN if it is
// and nobody is logged in.
func (seat *Seat) changed(o *object, changes []Attribute) (*object, error) {
	next := o.with(changes)
	if slices.ContainsFunc(changes, func(a Attribute) bool { return slices.Contains(o.secretAttributes(), a.Type) }) {
		return next, seat.refill(o, next)
	}
	if !o.isSealed() {
		return next, nil
	}
	values, err := seat.secrets(o)
	if err != nil {
		return nil, err
	}
	defer wipe(values)
	seat.mu.RLock()
	defer seat.mu.RUnlock()
	if seat.master == nil {
		return nil, errLoggedOut
	}
	next.sealed, err = seat.sealValues(next, values)
	return next, err
}

// refill gives an object with other secret values another safe: they are those of a data object, which has no key.
func (seat *Seat) refill(o, next *object) error {
	values, err := seat.secrets(o)
	if err != nil {
		return err
	}
	next.safe, next.sealed = &safe{values: values}, nil
	next.takeSecrets()
	if o.owner != 0 || !o.private() {
		return nil
	}
	seat.mu.RLock()
	defer seat.mu.RUnlock()
	return seat.sealObject(next)
}

// key is the decoded key of an object, which is kept. CKR_ATTRIBUTE_VALUE_INVALID for one that is damaged.
func (seat *Seat) key(o *object) (*mechanism.Key, error) {
	if key := o.safe.ready(); key != nil {
		return key, nil
	}
	o.safe.mu.Lock()
	defer o.safe.mu.Unlock()
	if key := o.safe.ready(); key != nil {
		return key, nil
	}
	values, err := seat.openSafe(o)
	if err != nil {
		return nil, err
	}
	defer wipe(values)
	key, err := decoded(o, values)
	if err != nil {
		return nil, err
	}
	if !seat.token.keep(o, key) {
		key.Wipe()
		return nil, errLoggedOut
	}
	return key, nil
}

// ready is the decoded key, nil if there is none.
func (s *safe) ready() *mechanism.Key {
	key := s.key.Load()
	if key != nil && !s.used.Load() { // one write is enough for many uses
		s.used.Store(true)
	}
	return key
}

// keep puts a decoded key into its object's safe. It is false if the key is private and the last user logged out.
func (t *Token) keep(o *object, key *mechanism.Key) bool {
	switch {
	case o.owner != 0:
		o.safe.key.Store(key)
	case o.private():
		return t.unwrapped.keep(o.safe, key)
	default:
		t.unwrapped.shown.keep(o.safe, key)
	}
	return true
}

func decoded(o *object, secrets Attributes) (*mechanism.Key, error) {
	all := maps.Clone(o.stored)
	maps.Copy(all, secrets)
	key, err := mechanism.Parse(o.class(), o.keyType(), all)
	if err != nil {
		return nil, fmt.Errorf("couldn't use the key of object %s: %w", o.id, err)
	}
	return key, nil
}

// close forgets all: the object is gone. It waits for what computes with the key.
func (s *safe) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.empty = true
	wipe(s.values)
	s.values = nil
	if key := s.key.Swap(nil); key != nil {
		key.Wipe()
	}
}

// unwrapped are the decoded keys of the token's objects: of the private ones from their first use to the logout of
// the last user, and some of the others.
type unwrapped struct {
	shown shown

	mu    sync.Mutex // guards what follows
	open  bool       // the user is logged in at some seat
	safes map[*safe]bool
}

// begin is the login of the first user.
func (u *unwrapped) begin() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open = true
}

// keep puts a decoded key into its safe, unless the last user logged out meanwhile.
func (u *unwrapped) keep(s *safe, key *mechanism.Key) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.open {
		return false
	}
	if u.safes == nil {
		u.safes = map[*safe]bool{}
	}
	u.safes[s] = true
	s.key.Store(key)
	return true
}

// drop forgets a safe that was closed.
func (u *unwrapped) drop(s *safe) {
	u.shown.drop(s)
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.safes, s)
}

// end takes the private keys out of their safes. Nobody finds them there any more; the caller wipes them, which
// waits for what computes with them.
func (u *unwrapped) end() (keys []*mechanism.Key) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for s := range u.safes {
		if key := s.key.Swap(nil); key != nil {
			keys = append(keys, key)
		}
	}
	u.open, u.safes = false, nil
	return keys
}

// mostShown bounds the decoded keys that are kept of token objects with CKA_PRIVATE FALSE. No logout ends them.
const mostShown = 256

// shown are these keys. One that has to give way is not wiped, for somebody may compute with it: it is in the clear at
// rest anyway.
type shown struct {
	mu    sync.Mutex
	safes []*safe // those that hold a key, as they came
}

// keep puts a decoded key into its safe; one that was not used for long gives way if there are too many.
func (k *shown) keep(s *safe, key *mechanism.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.makeRoom()
	s.key.Store(key)
	k.safes = append(k.safes, s)
}

// makeRoom ends, for the second round finds no key used. The caller holds mu.
func (k *shown) makeRoom() {
	for len(k.safes) >= mostShown {
		first := k.safes[0]
		k.safes = k.safes[1:]
		if first.used.Swap(false) {
			k.safes = append(k.safes, first) // another round
		} else {
			first.key.Store(nil)
		}
	}
}

// drop forgets a safe that was closed.
func (k *shown) drop(s *safe) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if at := slices.Index(k.safes, s); at >= 0 {
		k.safes = slices.Delete(k.safes, at, at+1)
	}
}

package token

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

// loadShelf reads the objects that are not part of an HSS key pair. One that cannot be read is reported and kept.
func (t *Token) loadShelf() error {
	var cards []*card
	err := t.store.Each(objectPrefix, func(name string, record []byte) error {
		e, err := storedCard(ObjectID(strings.TrimPrefix(name, objectPrefix)), bytes.Clone(record))
		if err != nil {
			t.log.Error("an object cannot be read; it is kept and not shown", "token", t.serial, "error", err)
			return nil
		}
		cards = append(cards, e)
		t.stock.bytes += e.size
		return nil
	})
	if err != nil {
		return fmt.Errorf("couldn't read the objects: %w", err)
	}
	t.loose.load(cards)
	return nil
}

// What token objects beside the key pairs may take. Nobody has to log in to make one.
const (
	maxObject = 64 << 10 // bytes of one, and of one half of a key pair
	maxStock  = 64 << 20 // bytes of all
)

// stock is what they take, with those that are being written; guarded by mu.
type stock struct {
	adding int // objects that are not in loose yet
	bytes  int64
}

// reserve is CKR_DEVICE_MEMORY if there is no room for so many more objects and bytes. What shrinks is never refused.
func (t *Token) reserve(objects int, bytes int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if most := t.mostObjects; most > 0 && objects > 0 && t.loose.len()+t.stock.adding+objects > most {
		return refuse(ck.CKR_DEVICE_MEMORY, "a token can have %d objects beside its key pairs, see limits.token_objects", most)
	}
	if bytes > 0 && t.stock.bytes+bytes > t.mostBytes {
		return refuse(ck.CKR_DEVICE_MEMORY, "the objects of a token can take %d bytes", t.mostBytes)
	}
	t.stock.adding += objects
	t.stock.bytes += bytes
	return nil
}

// settle ends a reservation: the objects are in loose, or were not written and give their bytes back. The caller holds
// mu.
func (t *Token) settle(objects int, bytes int64, written bool) {
	t.stock.adding -= objects
	if !written {
		t.stock.bytes -= bytes
	}
}

// checkSize bounds one token object. One that is larger, from before this bound, may stay so.
func checkSize(last, next int64) error {
	if next > maxObject && next > last {
		return refuse(ck.CKR_DEVICE_MEMORY, "the attributes of a token object can take %d bytes", maxObject)
	}
	return nil
}

func (t *Token) dropLoose(id ObjectID) error {
	if err := t.shelf.Write(map[string][]byte{objectPrefix + string(id): nil}); err != nil {
		return fmt.Errorf("couldn't delete object %s: %w", id, err)
	}
	if o := t.takeLoose(id).get(); o != nil {
		o.safe.close() // without the lock: it waits for who computes with the key
		t.unwrapped.drop(o.safe)
	}
	return nil
}

func (t *Token) takeLoose(id ObjectID) *card {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.loose.remove(id)
	if e != nil {
		t.stock.bytes -= e.size
	}
	return e
}

// candidates are the objects of the token and of the seat, visible or not, among which all are that match the template:
// few of the others, if it asks for something that is indexed.
func (seat *Seat) candidates(template []Attribute) []*object {
	t := seat.token
	t.refreshHalves()
	objects := t.halves.objects.search(&t.halves.mu, template)
	objects = append(objects, seat.loose.search(&seat.mu, template)...)
	objects = append(objects, t.loose.search(&t.mu, template)...)
	return append(objects, profiles...)
}

// all lists every object of the token and of the seat, visible or not, in a fixed order.
func (seat *Seat) all() []*object { return seat.candidates(nil) }

// bare is a token object with the defaults, but without rights: what its attributes denied cannot be read, and what
// they say must not be overwritten. It can be destroyed.
func (s schema) bare(id ObjectID) *object {
	o := &object{id: id, schema: s, stored: Attributes{}, safe: &safe{}}
	for attribute, r := range s {
		if r.value != nil {
			o.stored[attribute] = r.value
		}
	}
	o.stored[ck.CKA_TOKEN] = yes
	for _, right := range []ck.AttributeType{ck.CKA_SIGN, ck.CKA_VERIFY, ck.CKA_MODIFIABLE} {
		o.stored[right] = no
	}
	return o
}

// visible reports whether an object is shown: a private one only to the user, logged in at this seat.
func (seat *Seat) visible(o *object) bool { return !o.private() || seat.userIs(ck.CKU_USER) }

// object is a visible object, or CKR_OBJECT_HANDLE_INVALID.
func (seat *Seat) object(id ObjectID) (*object, error) {
	o := seat.find(id)
	if o == nil || !seat.visible(o) {
		return nil, refuse(ck.CKR_OBJECT_HANDLE_INVALID, "no object %s", id)
	}
	return o, nil
}

// find is an object, visible or not; nil if there is none.
func (seat *Seat) find(id ObjectID) *object {
	switch {
	case id.inSession():
		seat.mu.RLock()
		defer seat.mu.RUnlock()
		return seat.loose.get(id)
	case id.inPair():
		return seat.token.half(id)
	}
	if at := slices.IndexFunc(profiles, func(o *object) bool { return o.id == id }); at >= 0 {
		return profiles[at]
	}
	seat.token.mu.RLock()
	defer seat.token.mu.RUnlock()
	return seat.token.loose.get(id)
}

// Find names the visible objects that have all the attributes of the template, in a fixed order. An attribute that an
// object does not have, or does not show, matches nothing.
func (seat *Seat) Find(template []Attribute) (ids []ObjectID) {
	user := seat.userIs(ck.CKU_USER)
	for _, o := range seat.candidates(template) {
		if (user || !o.private()) && seat.matches(o, template) {
			ids = append(ids, o.id)
		}
	}
	return ids
}

func (seat *Seat) matches(o *object, template []Attribute) bool {
	return agree(template, func(attribute ck.AttributeType) ([]byte, error) { return seat.value(o, attribute) })
}

// matches is about what is not in the safe.
func (o *object) matches(template []Attribute) bool { return agree(template, o.value) }

func agree(template []Attribute, value func(ck.AttributeType) ([]byte, error)) bool {
	for _, a := range template {
		if value, err := value(a.Type); err != nil || !bytes.Equal(value, a.Value) {
			return false
		}
	}
	return true
}

// Reading is one attribute of an object, or why it cannot be given: CKR_ATTRIBUTE_SENSITIVE or
// CKR_ATTRIBUTE_TYPE_INVALID.
type Reading struct {
	Value []byte
	Err   error
}

// Read gives the attributes of a visible object, in order. CKR_OBJECT_HANDLE_INVALID.
func (seat *Seat) Read(id ObjectID, attributes []ck.AttributeType) ([]Reading, error) {
	o, err := seat.object(id)
	if err != nil {
		return nil, err
	}
	readings := make([]Reading, len(attributes))
	for i, attribute := range attributes {
		readings[i].Value, readings[i].Err = seat.value(o, attribute)
	}
	return readings, nil
}

// Exists reports whether there is such an object, shown or not.
func (seat *Seat) Exists(id ObjectID) bool { return seat.find(id) != nil }

// Private reports whether an object is only shown to the user. It does not change while the object lives.
func (seat *Seat) Private(id ObjectID) bool {
	o := seat.find(id)
	return o != nil && o.private()
}

// mayWrite is what a session needs in order to make, change or destroy an object.
func (seat *Seat) mayWrite(s Session, a Attributes) error {
	if a.bool(ck.CKA_PRIVATE) && !seat.userIs(ck.CKU_USER) {
		return refuse(ck.CKR_USER_NOT_LOGGED_IN, "a private object needs the user")
	}
	if a.bool(ck.CKA_TOKEN) && !s.ReadWrite {
		return refuse(ck.CKR_SESSION_READ_ONLY, "a token object needs a read-write session")
	}
	if a.bool(ck.CKA_TRUSTED) && seat.User() == nil {
		return refuse(ck.CKR_USER_NOT_LOGGED_IN, "what the SO trusts is not written without a login")
	}
	return nil
}

// mayMake is mayWrite for a new object.
func (seat *Seat) mayMake(s Session, a Attributes) error {
	if err := seat.mayWrite(s, a); err != nil {
		return err
	}
	if !a.bool(ck.CKA_TOKEN) {
		return nil
	}
	return checkSize(0, a.size())
}

// add makes new objects known: session objects in memory, all token objects in one durable write. Nothing is added if
// it fails. CKR_SESSION_HANDLE_INVALID if the session ended meanwhile, CKR_DEVICE_MEMORY beyond the seat's limits.
func (seat *Seat) add(s Session, objects ...*object) error {
	seat.adding.RLock() // over the write too: a session that ended, so that C_InitToken can come, adds nothing afterwards
	defer seat.adding.RUnlock()
	ours, shared, err := seat.addOurs(s, objects)
	if err == nil {
		err = seat.token.add(shared)
	}
	if err == nil {
		return nil
	}
	for _, o := range objects {
		o.safe.close()
	}
	for _, o := range ours {
		seat.takeBack(o.id)
	}
	return err
}

// addOurs names the objects, adds those of the session, and gives back which these are and which are the token's.
func (seat *Seat) addOurs(s Session, objects []*object) (ours, shared []*object, err error) {
	seat.mu.Lock()
	defer seat.mu.Unlock()
	for _, o := range objects {
		if err := seat.place(s, o); err != nil {
			return nil, nil, err
		}
		if o.owner == 0 {
			shared = append(shared, o)
		} else {
			ours = append(ours, o)
		}
	}
	if err := seat.room(ours); err != nil {
		return nil, nil, err
	}
	if err := seat.claim(ours...); err != nil {
		return nil, nil, err
	}
	for _, o := range ours {
		seat.loose.put(o)
	}
	return ours, shared, nil
}

// takeBack takes a session object off the list again, unless somebody destroyed it in the meantime.
func (seat *Seat) takeBack(id ObjectID) {
	seat.mu.Lock()
	defer seat.mu.Unlock()
	if c := seat.loose.remove(id); c != nil {
		seat.release(c.get())
	}
}

// add makes token objects known that are not in keys, in one durable write.
func (t *Token) add(objects []*object) error {
	if len(objects) == 0 {
		return nil
	}
	changes, bytes := map[string][]byte{}, int64(0)
	for _, o := range objects {
		changes[objectPrefix+string(o.id)] = o.record()
		bytes += o.size()
	}
	if err := t.reserve(len(objects), bytes); err != nil {
		return err
	}
	err := t.shelf.Write(changes)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle(len(objects), bytes, err == nil)
	if err != nil {
		return err
	}
	for _, o := range objects {
		t.loose.put(o)
	}
	return nil
}

// place gives a new object its name and owner. The caller holds mu.
func (seat *Seat) place(s Session, o *object) error {
	if !seat.sessions[s.ID] {
		return refuse(ck.CKR_SESSION_HANDLE_INVALID, "session %d has ended", s.ID)
	}
	if o.private() && (seat.user == nil || *seat.user != ck.CKU_USER) {
		return refuse(ck.CKR_USER_NOT_LOGGED_IN, "the user logged out meanwhile")
	}
	if o.stored.bool(ck.CKA_TOKEN) {
		o.id = ObjectID(tokenPrefix + string(newUniqueID()))
		if !o.private() {
			return nil
		}
		return seat.sealObject(o)
	}
	seat.next++
	o.id, o.owner = ObjectID(fmt.Sprintf("%s%016x", sessionPrefix, seat.next)), s.ID
	return nil
}

// Change is C_SetAttributeValue: all of the template or nothing.
func (seat *Seat) Change(s Session, id ObjectID, template []Attribute) error {
	edits := seat.editsOf(id)
	edits.Lock()
	defer edits.Unlock()
	o, err := seat.object(id)
	if err != nil {
		return err
	}
	if err := seat.mayWrite(s, o.stored); err != nil {
		return err
	}
	if !o.may(ck.CKA_MODIFIABLE) {
		return refuse(ck.CKR_ACTION_PROHIBITED, "the object is not modifiable")
	}
	if err := o.edit(template, seat.userIs(ck.CKU_SO)); err != nil {
		return err
	}
	next, err := seat.changed(o, template)
	if err != nil {
		return err
	}
	if o.owner == 0 {
		if err := checkSize(o.size(), next.size()); err != nil {
			return err
		}
	}
	err = seat.replace(next)
	if err == nil && next.is(ck.CKO_PRIVATE_KEY, ck.CKK_HSS) {
		seat.token.watch(next)
	}
	return err
}

// editsOf is the lock that changes of an object take one after the other. Changes of a key pair wait for a signature that
// builds a tree of the key; so each pair has a lock of its own, and nobody else waits too.
func (seat *Seat) editsOf(id ObjectID) *sync.Mutex {
	switch {
	case id.inSession():
		return &seat.edits
	case id.inPair():
		if o := seat.token.half(id); o != nil {
			return seat.token.pairEdits(o.key.identity)
		}
	}
	return &seat.token.edits // if there is no such object, there is nothing to change
}

func (t *Token) pairEdits(identity keystore.Identity) *sync.Mutex {
	t.pairsMu.Lock()
	defer t.pairsMu.Unlock()
	if t.pairs[identity] == nil {
		t.pairs[identity] = &sync.Mutex{}
	}
	return t.pairs[identity]
}

// replace stores an edited object. The caller holds the lock of editsOf.
func (seat *Seat) replace(o *object) error {
	if o.inPair() {
		return seat.token.replaceHalf(o)
	}
	if o.owner == 0 {
		return seat.token.replaceLoose(o)
	}
	return seat.replaceLoose(o)
}

func (seat *Seat) replaceLoose(o *object) error {
	if err := seat.claim(o); err != nil {
		return err
	}
	seat.mu.Lock()
	defer seat.mu.Unlock()
	last := seat.loose.get(o.id)
	err := exchange(seat.loose, o)
	if err != nil {
		last = o
	}
	seat.release(last)
	return err
}

func (t *Token) replaceLoose(o *object) error {
	t.mu.RLock()
	last := t.loose.get(o.id) // edits keeps it there
	t.mu.RUnlock()
	if last == nil {
		return errGone(o.id)
	}
	more := o.size() - last.size()
	if err := t.reserve(0, more); err != nil {
		return err
	}
	err := t.shelf.Write(map[string][]byte{objectPrefix + string(o.id): o.record()})
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle(0, more, err == nil)
	if err != nil {
		return err
	}
	return exchange(t.loose, o)
}

func errGone(id ObjectID) error {
	return refuse(ck.CKR_OBJECT_HANDLE_INVALID, "object %s went away meanwhile", id)
}

func exchange(objects *catalogue, o *object) error {
	if objects.byID[o.id] == nil {
		return errGone(o.id)
	}
	objects.put(o)
	return nil
}

// replaceHalf stores one object of a pair beside the other as it is.
func (t *Token) replaceHalf(o *object) error {
	private, public, _, err := t.keys.Attributes(o.key.identity)
	if err != nil {
		return err
	}
	if o.class() == ck.CKO_PRIVATE_KEY {
		private = o.record()
	} else {
		public = o.record()
	}
	return t.keys.SetAttributes(o.key.identity, private, public)
}

// Destroy is C_DestroyObject. The private key of a pair takes its leaves with it, for good; its public key stays, as
// PKCS#11 has it.
func (seat *Seat) Destroy(s Session, id ObjectID) error {
	if id.inSession() { // without the lock: to end a session key may take a moment
		o, err := seat.destroyable(s, id)
		if err == nil {
			seat.drop(o.id)
		}
		return err
	}
	edits := seat.editsOf(id)
	edits.Lock()
	defer edits.Unlock()
	o, err := seat.destroyable(s, id)
	if err != nil {
		return err
	}
	if o.inPair() {
		return seat.token.destroyHalf(o)
	}
	return seat.token.dropLoose(o.id)
}

// destroyable is an object that the session may destroy.
func (seat *Seat) destroyable(s Session, id ObjectID) (*object, error) {
	o, err := seat.object(id)
	if err != nil {
		return nil, err
	}
	if err := seat.mayWrite(s, o.stored); err != nil {
		return nil, err
	}
	switch {
	case o.inPair() && o.class() == ck.CKO_PRIVATE_KEY && !seat.userIs(ck.CKU_USER):
		return nil, refuse(ck.CKR_USER_NOT_LOGGED_IN, "the leaves of a token key are the user's to burn")
	case !o.may(ck.CKA_DESTROYABLE):
		return nil, refuse(ck.CKR_ACTION_PROHIBITED, "the object is not destroyable")
	}
	return o, nil
}

// drop destroys a session object, unless its session or the login ended first and did so.
func (seat *Seat) drop(id ObjectID) {
	seat.mu.Lock()
	o := seat.loose.remove(id).get()
	seat.mu.Unlock()
	if o != nil {
		seat.discard(o)
	}
}

func (t *Token) destroyHalf(o *object) error {
	if o.class() == ck.CKO_PRIVATE_KEY {
		return t.keys.Destroy(o.key.identity)
	}
	private, _, _, err := t.keys.Attributes(o.key.identity)
	if err != nil {
		return err
	}
	return t.keys.SetAttributes(o.key.identity, private, nil)
}

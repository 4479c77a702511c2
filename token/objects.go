package token

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

// loadShelf reads the objects that are not part of an HSS key pair. One that cannot be read is reported and kept.
func (t *Token) loadShelf() error {
	names, err := t.shelf.Names(objectPrefix)
	if err != nil {
		return fmt.Errorf("couldn't list the objects: %w", err)
	}
	for _, name := range names {
		text, err := t.shelf.Read(name)
		if err != nil {
			return fmt.Errorf("couldn't read object %s: %w", name, err)
		}
		id := ObjectID(strings.TrimPrefix(name, objectPrefix))
		o, err := parseObject(id, text)
		if err != nil {
			t.log.Error("an object cannot be read; it is kept and not shown", "token", t.serial, "error", err)
			continue
		}
		t.loose[id] = o
		t.stock.bytes += o.size()
	}
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
	if most := t.mostObjects; most > 0 && objects > 0 && len(t.loose)+t.stock.adding+objects > most {
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
	t.mu.Lock()
	defer t.mu.Unlock()
	if o := t.loose[id]; o != nil {
		t.stock.bytes -= o.size()
		delete(t.loose, id)
	}
	return nil
}

// all lists every object of the token and of the seat, visible or not, in a fixed order.
func (seat *Seat) all() (objects []*object) {
	for _, info := range seat.token.keys.Keys() {
		objects = append(objects, seat.token.pair(info)...)
	}
	seat.mu.RLock()
	objects = appendSorted(objects, seat.loose)
	seat.mu.RUnlock()
	seat.token.mu.RLock()
	defer seat.token.mu.RUnlock()
	return appendSorted(objects, seat.token.loose)
}

func appendSorted(objects []*object, more map[ObjectID]*object) []*object {
	for _, id := range slices.Sorted(maps.Keys(more)) {
		objects = append(objects, more[id])
	}
	return objects
}

// pair are the objects in the record of an HSS key: the private key unless it is destroyed, and the public one if it
// is there.
func (t *Token) pair(info keystore.Info) (objects []*object) {
	if info.Status != keystore.Destroyed {
		objects = append(objects, t.half(ObjectID(privatePrefix+info.Identity.String()), info, info.Private, hssPrivate))
	}
	if info.Public != nil {
		objects = append(objects, t.half(ObjectID(publicPrefix+info.Identity.String()), info, info.Public, hssPublic))
	}
	return objects
}

// half is one object of a pair. What was read last of it is kept, for a signature looks its key up twice.
func (t *Token) half(id ObjectID, info keystore.Info, attributes []byte, s schema) *object {
	t.halvesMu.Lock()
	defer t.halvesMu.Unlock()
	last, known := t.halves[id]
	if known && bytes.Equal(last.attributes, attributes) {
		return last.object
	}
	o, err := parseObject(id, attributes)
	if err == nil && !bytes.Equal(o.stored[ck.CKA_CLASS], s[ck.CKA_CLASS].value) {
		err = fmt.Errorf("%w: object %s is stored as %s", keystore.ErrDamaged, id, o.class())
	}
	if err != nil {
		t.log.Error("the attributes of a key cannot be read; they are kept, and the key does nothing", "token", t.serial, "error", err)
		o = s.bare(id)
	}
	o.key = &hssKey{keys: t.keys, identity: info.Identity}
	if known {
		o.key = last.object.key // whose gauge goes on
	}
	if o.class() == ck.CKO_PUBLIC_KEY {
		o.public = &info.PublicKey
	}
	t.halves[id] = half{attributes, o}
	return o
}

// half is an object of a pair and the stored form that it was read from.
type half struct {
	attributes []byte
	object     *object
}

// bare is a token object with the defaults, but without rights: what its attributes denied cannot be read, and what
// they say must not be overwritten. It can be destroyed.
func (s schema) bare(id ObjectID) *object {
	o := &object{id: id, schema: s, stored: Attributes{}}
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

func (seat *Seat) find(id ObjectID) *object {
	for _, prefix := range []string{privatePrefix, publicPrefix} {
		if identity, ok := id.identity(prefix); ok {
			if o := seat.token.findHalf(id, identity); o != nil {
				return o
			}
		}
	}
	seat.mu.RLock()
	o := seat.loose[id]
	seat.mu.RUnlock()
	if o != nil {
		return o
	}
	seat.token.mu.RLock()
	defer seat.token.mu.RUnlock()
	return seat.token.loose[id]
}

// findHalf finds an object of a key pair.
func (t *Token) findHalf(id ObjectID, identity keystore.Identity) *object {
	info, err := t.keys.Info(identity)
	if err != nil {
		return nil
	}
	for _, o := range t.pair(info) {
		if o.id == id {
			return o
		}
	}
	return nil
}

// Find names the visible objects that have all the attributes of the template. An attribute that an object does not
// have, or does not show, matches nothing.
func (seat *Seat) Find(template []Attribute) (ids []ObjectID) {
	for _, o := range seat.all() {
		if seat.visible(o) && o.matches(template) {
			ids = append(ids, o.id)
		}
	}
	return ids
}

func (o *object) matches(template []Attribute) bool {
	for _, a := range template {
		if value, err := o.value(a.Type); err != nil || !bytes.Equal(value, a.Value) {
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
		readings[i].Value, readings[i].Err = o.value(attribute)
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
	seat.mu.Lock() // over the write too: a session that ended, so that C_InitToken can come, adds nothing afterwards
	defer seat.mu.Unlock()
	var ours, shared []*object
	for _, o := range objects {
		if err := seat.place(s, o); err != nil {
			return err
		}
		if o.owner == 0 {
			shared = append(shared, o)
		} else {
			ours = append(ours, o)
		}
	}
	if err := seat.room(ours); err != nil {
		return err
	}
	if err := seat.claim(ours...); err != nil {
		return err
	}
	if err := seat.token.add(shared); err != nil {
		seat.release(ours...)
		return err
	}
	for _, o := range ours {
		seat.loose[o.id] = o
	}
	return nil
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
		t.loose[o.id] = o
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
		return nil
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
	for _, a := range template {
		if err := o.schema.change(a, o.stored[a.Type]); err != nil {
			return err
		}
		if _, _, err := lookup(template, a.Type); err != nil {
			return err
		}
	}
	next := o.with(template)
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
	for _, prefix := range []string{privatePrefix, publicPrefix} {
		if identity, ok := id.identity(prefix); ok {
			return seat.token.pairEdits(identity)
		}
	}
	if id.inSession() {
		return &seat.edits
	}
	return &seat.token.edits
}

func (t *Token) pairEdits(identity keystore.Identity) *sync.Mutex {
	if _, err := t.keys.Info(identity); err != nil {
		return &t.edits // there is nothing to change
	}
	t.halvesMu.Lock()
	defer t.halvesMu.Unlock()
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
	last := seat.loose[o.id]
	err := exchange(seat.loose, o)
	if err != nil {
		last = o
	}
	seat.release(last)
	return err
}

func (t *Token) replaceLoose(o *object) error {
	t.mu.RLock()
	last := t.loose[o.id] // edits keeps it there
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

func exchange(objects map[ObjectID]*object, o *object) error {
	if _, there := objects[o.id]; !there {
		return errGone(o.id)
	}
	objects[o.id] = o
	return nil
}

// replaceHalf stores one object of a pair beside the other as it is.
func (t *Token) replaceHalf(o *object) error {
	info, err := t.keys.Info(o.key.identity)
	if err != nil {
		return err
	}
	private, public := info.Private, info.Public
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
	o, there := seat.loose[id]
	delete(seat.loose, id)
	seat.mu.Unlock()
	if there {
		seat.discard(o)
	}
}

func (t *Token) destroyHalf(o *object) error {
	info, err := t.keys.Info(o.key.identity)
	if err != nil {
		return err
	}
	if o.class() == ck.CKO_PUBLIC_KEY {
		return t.keys.SetAttributes(info.Identity, info.Private, nil)
	}
	return t.keys.Destroy(info.Identity)
}

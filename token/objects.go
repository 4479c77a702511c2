package token

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

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
	}
	return nil
}

func (t *Token) dropLoose(id ObjectID) error {
	if err := t.shelf.Write(map[string][]byte{objectPrefix + string(id): nil}); err != nil {
		return fmt.Errorf("couldn't delete object %s: %w", id, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.loose, id)
	return nil
}

// all lists every object, visible or not, in a fixed order.
func (t *Token) all() (objects []*object) {
	for _, info := range t.keys.Keys() {
		objects = append(objects, t.pair(info)...)
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, id := range slices.Sorted(maps.Keys(t.loose)) {
		objects = append(objects, t.loose[id])
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

// visible reports whether an object is shown: a private one only to the user.
func (t *Token) visible(o *object) bool { return !o.private() || t.userIs(ck.CKU_USER) }

// object is a visible object, or CKR_OBJECT_HANDLE_INVALID.
func (t *Token) object(id ObjectID) (*object, error) {
	o := t.find(id)
	if o == nil || !t.visible(o) {
		return nil, refuse(ck.CKR_OBJECT_HANDLE_INVALID, "no object %s", id)
	}
	return o, nil
}

func (t *Token) find(id ObjectID) *object {
	for _, prefix := range []string{privatePrefix, publicPrefix} {
		if identity, ok := id.identity(prefix); ok {
			if o := t.findHalf(id, identity); o != nil {
				return o
			}
		}
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.loose[id]
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
func (t *Token) Find(template []Attribute) (ids []ObjectID) {
	for _, o := range t.all() {
		if t.visible(o) && o.matches(template) {
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
func (t *Token) Read(id ObjectID, attributes []ck.AttributeType) ([]Reading, error) {
	o, err := t.object(id)
	if err != nil {
		return nil, err
	}
	readings := make([]Reading, len(attributes))
	for i, attribute := range attributes {
		readings[i].Value, readings[i].Err = o.value(attribute)
	}
	return readings, nil
}

// Private reports whether an object is only shown to the user. It does not change while the object lives.
func (t *Token) Private(id ObjectID) bool {
	o := t.find(id)
	return o != nil && o.private()
}

// mayWrite is what a session needs in order to make, change or destroy an object.
func (t *Token) mayWrite(s Session, a Attributes) error {
	if a.bool(ck.CKA_PRIVATE) && !t.userIs(ck.CKU_USER) {
		return refuse(ck.CKR_USER_NOT_LOGGED_IN, "a private object needs the user")
	}
	if a.bool(ck.CKA_TOKEN) && !s.ReadWrite {
		return refuse(ck.CKR_SESSION_READ_ONLY, "a token object needs a read-write session")
	}
	return nil
}

// add makes new objects known: session objects in memory, all token objects in one durable write. Nothing is added if
// it fails. CKR_SESSION_HANDLE_INVALID if the session ended meanwhile.
func (t *Token) add(s Session, objects ...*object) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	changes := map[string][]byte{}
	for _, o := range objects {
		if err := t.place(s, o); err != nil {
			return err
		}
		if o.owner == 0 {
			changes[objectPrefix+string(o.id)] = o.record()
		}
	}
	if len(changes) > 0 {
		if err := t.shelf.Write(changes); err != nil {
			return err
		}
	}
	for _, o := range objects {
		t.loose[o.id] = o
	}
	return nil
}

// place gives a new object its name and owner. The caller holds t.mu.
func (t *Token) place(s Session, o *object) error {
	if o.stored.bool(ck.CKA_TOKEN) {
		o.id = ObjectID(tokenPrefix + string(newUniqueID()))
		return nil
	}
	if !t.sessions[s.ID] {
		return refuse(ck.CKR_SESSION_HANDLE_INVALID, "session %d has ended", s.ID)
	}
	if o.private() && (t.user == nil || *t.user != ck.CKU_USER) {
		return refuse(ck.CKR_USER_NOT_LOGGED_IN, "the user logged out meanwhile")
	}
	t.next++
	o.id, o.owner = ObjectID(fmt.Sprintf("%s%016x", sessionPrefix, t.next)), s.ID
	return nil
}

// Change is C_SetAttributeValue: all of the template or nothing.
func (t *Token) Change(s Session, id ObjectID, template []Attribute) error {
	t.edits.Lock()
	defer t.edits.Unlock()
	o, err := t.object(id)
	if err != nil {
		return err
	}
	if err := t.mayWrite(s, o.stored); err != nil {
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
	err = t.replace(next)
	if err == nil && next.is(ck.CKO_PRIVATE_KEY, ck.CKK_HSS) {
		t.watch(next)
	}
	return err
}

// replace stores an edited object. The caller holds t.edits.
func (t *Token) replace(o *object) error {
	if o.inPair() {
		return t.replaceHalf(o)
	}
	if o.owner == 0 {
		if err := t.shelf.Write(map[string][]byte{objectPrefix + string(o.id): o.record()}); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, there := t.loose[o.id]; !there {
		return refuse(ck.CKR_OBJECT_HANDLE_INVALID, "object %s went away meanwhile", o.id)
	}
	t.loose[o.id] = o
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
func (t *Token) Destroy(s Session, id ObjectID) error {
	t.edits.Lock()
	defer t.edits.Unlock()
	o, err := t.object(id)
	if err != nil {
		return err
	}
	if err := t.mayWrite(s, o.stored); err != nil {
		return err
	}
	switch {
	case o.inPair() && o.class() == ck.CKO_PRIVATE_KEY && !t.userIs(ck.CKU_USER):
		return refuse(ck.CKR_USER_NOT_LOGGED_IN, "the leaves of a token key are the user's to burn")
	case !o.may(ck.CKA_DESTROYABLE):
		return refuse(ck.CKR_ACTION_PROHIBITED, "the object is not destroyable")
	case o.inPair():
		return t.destroyHalf(o)
	case o.owner == 0:
		return t.dropLoose(o.id)
	}
	t.mu.Lock()
	delete(t.loose, o.id)
	t.mu.Unlock()
	o.discard()
	return nil
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

package token

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

// halves are the objects of the HSS key pairs, as the keystore holds them at this moment. They are read anew when it
// says that something changed, and only those that did.
type halves struct {
	mu      sync.RWMutex // guards what follows
	keys    *keystore.Keystore
	changes uint64 // of keys, when objects was made; meaningless without keys
	objects *catalogue
	sources map[ObjectID][]byte // the stored form of each
}

// allHalves lists them.
func (t *Token) allHalves() []*object {
	t.refreshHalves()
	return t.halves.objects.search(&t.halves.mu, nil)
}

// half is one object of a pair, nil if there is none of that name. It costs one look into a map.
func (t *Token) half(id ObjectID) *object {
	t.refreshHalves()
	t.halves.mu.RLock()
	defer t.halves.mu.RUnlock()
	return t.halves.objects.get(id)
}

// refreshHalves reads what changed since the last time.
func (t *Token) refreshHalves() {
	h := &t.halves
	changes := t.keys.Changes() // before the keys are looked at: what changes meanwhile is read again the next time
	h.mu.RLock()
	fresh := h.keys == t.keys && h.changes == changes
	h.mu.RUnlock()
	if fresh {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t.readHalves()
	h.keys, h.changes = t.keys, changes
}

// readHalves reads what changed. The caller holds halves.mu.
func (t *Token) readHalves() {
	h := &t.halves
	seen := map[ObjectID]bool{}
	for _, identity := range t.keys.Identities() {
		private, public, status, err := t.keys.Attributes(identity)
		if err != nil {
			continue // no key is ever forgotten: this one was not there
		}
		if status != keystore.Destroyed {
			seen[t.readHalf(privatePrefix, identity, private, hssPrivate)] = true
		}
		if public != nil {
			seen[t.readHalf(publicPrefix, identity, public, hssPublic)] = true
		}
	}
	for id := range h.sources {
		if !seen[id] {
			h.objects.remove(id)
			delete(h.sources, id)
		}
	}
}

// readHalf reads one object of a pair unless it is as it was. The caller holds halves.mu.
func (t *Token) readHalf(prefix string, identity keystore.Identity, attributes []byte, s schema) ObjectID {
	h, id := &t.halves, ObjectID(prefix+identity.String())
	last := h.objects.get(id)
	if last != nil && last.key.keys == t.keys && bytes.Equal(h.sources[id], attributes) {
		return id
	}
	o := t.parseHalf(id, attributes, s)
	o.key = &hssKey{keys: t.keys, identity: identity}
	if last != nil && last.key.keys == t.keys {
		o.key = last.key // whose gauge goes on
	}
	if info, err := t.keys.Info(identity); err == nil && o.class() == ck.CKO_PUBLIC_KEY {
		o.public = &info.PublicKey
	}
	h.objects.put(o)
	h.sources[id] = attributes
	return id
}

func (t *Token) parseHalf(id ObjectID, attributes []byte, s schema) *object {
	o, err := parseObject(id, attributes)
	if err == nil && !bytes.Equal(o.stored[ck.CKA_CLASS], s[ck.CKA_CLASS].value) {
		err = fmt.Errorf("%w: object %s is stored as %s", keystore.ErrDamaged, id, o.class())
	}
	if err != nil {
		t.log.Error("the attributes of a key cannot be read; they are kept, and the key does nothing", "token", t.serial, "error", err)
		return s.bare(id)
	}
	return o
}

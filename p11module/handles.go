package p11module

import (
	"cmp"
	"sync"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/token"
)

// handles gives objects their handles. A handle belongs to one object of one slot, is the same for all sessions, and
// is never given to another object. It ends with the object, and that of a private object with the login.
type handles struct {
	most int // so many are kept before those of objects that went away are dropped; 0 stands for manyHandles

	mu      sync.Mutex // guards what follows
	last    ck.ObjectHandle
	enough  int // so many are kept before the next tidying up
	objects map[ck.ObjectHandle]handleEntry
	byName  map[objectName]ck.ObjectHandle
}

// objectName is an object's name in the whole module.
type objectName struct {
	slot ck.SlotID
	id   token.ObjectID
}

type handleEntry struct {
	objectName
	private bool
}

// of is the handle of an object of the session's token.
func (h *handles) of(s *session, id token.ObjectID) ck.ObjectHandle {
	name := objectName{s.slot, id}
	h.mu.Lock()
	defer h.mu.Unlock()
	if handle, ok := h.byName[name]; ok {
		return handle
	}
	if h.objects == nil {
		h.objects, h.byName = map[ck.ObjectHandle]handleEntry{}, map[objectName]ck.ObjectHandle{}
	}
	h.tidy(s)
	h.last++
	h.objects[h.last] = handleEntry{name, s.seat.Private(id)}
	h.byName[name] = h.last
	return h.last
}

// manyHandles is more than any application has objects.
const manyHandles = 1 << 20

// tidy drops the handles of objects of the session's token that went away: other applications destroyed them, and
// nobody said so here. It does so each time when their number has doubled. The caller holds mu.
func (h *handles) tidy(s *session) {
	if h.enough == 0 {
		h.enough = cmp.Or(h.most, manyHandles)
	}
	if len(h.objects) < h.enough {
		return
	}
	for handle, entry := range h.objects {
		if entry.slot == s.slot && !s.seat.Exists(entry.id) {
			delete(h.objects, handle)
			delete(h.byName, entry.objectName)
		}
	}
	h.enough = max(h.enough, 2*len(h.objects))
}

// object is the object that a handle names for the session, or the error invalid.
func (h *handles) object(s *session, handle ck.ObjectHandle, invalid ck.RV) (token.ObjectID, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	entry, ok := h.objects[handle]
	if !ok || entry.slot != s.slot {
		return "", invalid
	}
	return entry.id, nil
}

// drop ends the handles of objects.
func (h *handles) drop(slot ck.SlotID, ids ...token.ObjectID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		name := objectName{slot, id}
		delete(h.objects, h.byName[name])
		delete(h.byName, name)
	}
}

// dropSlot ends the handles of a slot: all, or those of private objects.
func (h *handles) dropSlot(slot ck.SlotID, privateOnly bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for handle, entry := range h.objects {
		if entry.slot == slot && (entry.private || !privateOnly) {
			delete(h.objects, handle)
			delete(h.byName, entry.objectName)
		}
	}
}

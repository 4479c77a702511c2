package p11module

import (
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/token"
)

// CreateObject is C_CreateObject. HSS private keys are not created from values.
func (m *Module) CreateObject(h ck.SessionHandle, template []Attribute) (object ck.ObjectHandle, rv ck.RV) {
	return m.makeObject("C_CreateObject", h, func(_ *library, s *session) (token.ObjectID, error) {
		return s.seat.Create(s.asker(), fromApplication(template))
	})
}

// CopyObject is C_CopyObject. HSS private keys and whatever else is not CKA_COPYABLE: CKR_ACTION_PROHIBITED.
func (m *Module) CopyObject(h ck.SessionHandle, object ck.ObjectHandle,
	template []Attribute) (made ck.ObjectHandle, rv ck.RV) {
	return m.makeObject("C_CopyObject", h, func(l *library, s *session) (token.ObjectID, error) {
		id, err := l.handles.object(s, object, ck.CKR_OBJECT_HANDLE_INVALID)
		if err != nil {
			return "", err
		}
		return s.seat.Copy(s.asker(), id, fromApplication(template))
	})
}

// makeObject does what makes one object, and gives it a handle.
func (m *Module) makeObject(function string, h ck.SessionHandle, work func(*library, *session) (token.ObjectID,
	error)) (object ck.ObjectHandle, rv ck.RV) {
	rv = m.runInSession(function, h, func(l *library, s *session) error {
		id, err := work(l, s)
		if err == nil {
			object = l.handles.of(s, id)
		}
		return err
	})
	return object, rv
}

// DestroyObject is C_DestroyObject.
func (m *Module) DestroyObject(h ck.SessionHandle, object ck.ObjectHandle) ck.RV {
	return m.runInSession("C_DestroyObject", h, func(l *library, s *session) error {
		id, err := l.handles.object(s, object, ck.CKR_OBJECT_HANDLE_INVALID)
		if err != nil {
			return err
		}
		if err := s.seat.Destroy(s.asker(), id); err != nil {
			return err
		}
		l.handles.drop(s.slot, id)
		return nil
	})
}

// GetAttributeValue is C_GetAttributeValue. Every query is answered, whatever the others gave; the result is that of
// the first one that went wrong.
func (m *Module) GetAttributeValue(h ck.SessionHandle, object ck.ObjectHandle,
	queries []AttributeQuery) (results []AttributeResult, rv ck.RV) {
	rv = m.runInSession("C_GetAttributeValue", h, func(l *library, s *session) error {
		id, err := l.handles.object(s, object, ck.CKR_OBJECT_HANDLE_INVALID)
		if err != nil {
			return err
		}
		wanted := make([]ck.AttributeType, len(queries))
		for i, q := range queries {
			wanted[i] = q.Type
		}
		readings, err := s.seat.Read(id, wanted)
		if err != nil {
			return err
		}
		results = make([]AttributeResult, len(queries))
		for i, q := range queries {
			if wrong := results[i].fill(q, readings[i]); err == nil {
				err = wrong
			}
		}
		return err
	})
	return results, rv
}

// fill answers one query.
func (r *AttributeResult) fill(q AttributeQuery, reading token.Reading) error {
	r.Type, r.Length = q.Type, ck.UNAVAILABLE
	if q.Nested != nil {
		r.Nested = make([]AttributeResult, len(q.Nested))
		for i, entry := range q.Nested {
			r.Nested[i].Type = entry.Type
		}
	}
	if reading.Err != nil {
		return reading.Err
	}
	if kind, _ := q.Type.Kind(); kind == ck.KindTemplate {
		return r.fillTemplate(q, reading.Value)
	}
	length := uint64(len(reading.Value))
	switch {
	case q.Query:
		r.Length = length
	case q.Room < length:
		return ck.CKR_BUFFER_TOO_SMALL
	default:
		r.Value, r.Length = swapUlongs(q.Type, reading.Value), length
	}
	return nil
}

// attributeSize is the size of a CK_ATTRIBUTE in bytes.
const attributeSize = 24

// fillTemplate answers a query for an attribute that is a template: entry by entry, each in the place that the application
// has for it. Places that are left over stay without a value.
func (r *AttributeResult) fillTemplate(q AttributeQuery, value []byte) (err error) {
	entries, err := token.DecodeTemplate(value)
	if err != nil {
		return err
	}
	if !q.Query && len(q.Nested) < len(entries) {
		return ck.CKR_BUFFER_TOO_SMALL
	}
	r.Length = attributeSize * uint64(len(entries))
	if q.Query {
		return nil
	}
	for i, entry := range entries {
		place := q.Nested[i]
		place.Type = entry.Type // the application does not have to know it
		if wrong := r.Nested[i].fill(place, token.Reading{Value: entry.Value}); err == nil {
			err = wrong
		}
	}
	return err
}

// SetAttributeValue is C_SetAttributeValue: all of the template or nothing.
func (m *Module) SetAttributeValue(h ck.SessionHandle, object ck.ObjectHandle, template []Attribute) ck.RV {
	return m.runInSession("C_SetAttributeValue", h, func(l *library, s *session) error {
		id, err := l.handles.object(s, object, ck.CKR_OBJECT_HANDLE_INVALID)
		if err != nil {
			return err
		}
		return s.seat.Change(s.asker(), id, fromApplication(template))
	})
}

// GetObjectSize is C_GetObjectSize. How many bytes an object takes is not known: ck.UNAVAILABLE.
func (m *Module) GetObjectSize(h ck.SessionHandle, object ck.ObjectHandle) (uint64, ck.RV) {
	return ck.UNAVAILABLE, m.runInSession("C_GetObjectSize", h, func(l *library, s *session) error {
		id, err := l.handles.object(s, object, ck.CKR_OBJECT_HANDLE_INVALID)
		if err != nil {
			return err
		}
		_, err = s.seat.Read(id, nil)
		return err
	})
}

// search is a C_FindObjects in progress: the objects that are still to be given.
type search struct {
	found   []ck.ObjectHandle
	memory  *memory
	claimed int64 // bytes
}

// endSearch ends the search if there is one. The caller holds s.mu.
func (s *session) endSearch() {
	if s.search != nil {
		s.search.memory.release(s.search.claimed)
		s.search = nil
	}
}

// FindObjectsInit is C_FindObjectsInit. What it finds is settled now. A template with attributes that nothing here has
// finds nothing, and is no error.
func (m *Module) FindObjectsInit(h ck.SessionHandle, template []Attribute) ck.RV {
	return m.runInSession("C_FindObjectsInit", h, func(l *library, s *session) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.search != nil {
			return ck.CKR_OPERATION_ACTIVE
		}
		if s.closed {
			return ck.CKR_SESSION_HANDLE_INVALID
		}
		ids := s.seat.Find(fromApplication(template))
		found := &search{memory: l.memory, claimed: handleSize * int64(len(ids))}
		if !l.memory.claim(found.claimed) {
			return ck.CKR_DEVICE_MEMORY
		}
		for _, id := range ids {
			found.found = append(found.found, l.handles.of(s, id))
		}
		s.search = found
		return nil
	})
}

// FindObjects is C_FindObjects: at most max more objects, none when all were given.
func (m *Module) FindObjects(h ck.SessionHandle, max uint64) (objects []ck.ObjectHandle, rv ck.RV) {
	rv = m.runInSession("C_FindObjects", h, func(_ *library, s *session) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.search == nil {
			return ck.CKR_OPERATION_NOT_INITIALIZED
		}
		n := min(max, uint64(len(s.search.found)))
		objects, s.search.found = s.search.found[:n], s.search.found[n:]
		return nil
	})
	return objects, rv
}

// FindObjectsFinal is C_FindObjectsFinal.
func (m *Module) FindObjectsFinal(h ck.SessionHandle) ck.RV {
	return m.runInSession("C_FindObjectsFinal", h, func(_ *library, s *session) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.search == nil {
			return ck.CKR_OPERATION_NOT_INITIALIZED
		}
		s.endSearch()
		return nil
	})
}

package dispatch

import (
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/p11module"
)

const (
	// little is how many bytes of values an answer may hold without a look at them.
	little = 16 << 10
	// mostValues bounds the bytes of values of one answer: an object has a handful of attributes of 64 KiB at most, but a
	// request may ask a thousand times for each of them.
	mostValues = 1 << 20
	// perQuery is what a query and its result take beside the value while they are being answered, in bytes.
	perQuery = 400
)

// careful is a module that looks how long the values of attributes are before it gets them.
type careful struct {
	Module
	claim func(bytes int) bool // nil: nobody counts
}

func (c careful) GetAttributeValue(session ck.SessionHandle, object ck.ObjectHandle, queries []p11module.AttributeQuery) ([]p11module.AttributeResult, ck.RV) {
	if !c.affords(queries, 0) {
		return nil, ck.CKR_DEVICE_MEMORY
	}
	if rooms(queries) > little {
		lengths, rv := c.Module.GetAttributeValue(session, object, lengthsOf(queries))
		if len(lengths) != len(queries) { // the whole call fails
			return nil, rv
		}
		queries = limited(queries, lengths)
		if !c.affords(queries, rooms(queries)) {
			return nil, ck.CKR_DEVICE_MEMORY
		}
	}
	return c.Module.GetAttributeValue(session, object, queries)
}

// affords says whether there is memory for so many bytes of values: they are in the answer once, and once more in a module
// that has them in another form.
func (c careful) affords(queries []p11module.AttributeQuery, values int) bool {
	if values > mostValues {
		return false
	}
	bytes := 2*values + perQuery*entries(queries)
	return bytes <= 2*little || c.claim == nil || c.claim(bytes)
}

func entries(queries []p11module.AttributeQuery) (n int) {
	for _, q := range queries {
		n += 1 + entries(q.Nested)
	}
	return n
}

// rooms is how many bytes of values there is room for, as far as it matters.
func rooms(queries []p11module.AttributeQuery) (bytes int) {
	for _, q := range queries {
		switch {
		case q.Nested != nil:
			bytes += rooms(q.Nested)
		case !q.Query:
			bytes += int(min(q.Room, mostValues+1))
		}
	}
	return bytes
}

// lengthsOf asks for the lengths of what queries ask for.
func lengthsOf(queries []p11module.AttributeQuery) []p11module.AttributeQuery {
	asked := make([]p11module.AttributeQuery, len(queries))
	for i, q := range queries {
		asked[i] = q
		if q.Nested != nil {
			asked[i].Nested = lengthsOf(q.Nested)
		} else {
			asked[i].Query, asked[i].Room = true, 0
		}
	}
	return asked
}

// limited takes from each query the room that its value does not need. A value that grows meanwhile is too long for it.
func limited(queries []p11module.AttributeQuery, lengths []p11module.AttributeResult) []p11module.AttributeQuery {
	less := make([]p11module.AttributeQuery, len(queries))
	for i, q := range queries {
		less[i] = q
		switch {
		case q.Nested != nil && len(q.Nested) == len(lengths[i].Nested):
			less[i].Nested = limited(q.Nested, lengths[i].Nested)
		case q.Nested == nil && !q.Query:
			less[i].Room = roomFor(q.Room, lengths[i].Length)
		}
	}
	return less
}

// roomFor is what a value of this length needs of a room: nothing, if it does not fit or is none.
func roomFor(room, length uint64) uint64 {
	if length > room { // ck.UNAVAILABLE is the longest
		return 0
	}
	return length
}

package wire

import (
	"encoding/binary"
	"slices"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// Writer appends values to a frame.
type Writer struct{ frame []byte }

// NewRequest begins the request of a function in buf, which it empties.
func NewRequest(buf []byte, function uint32) *Writer {
	w := &Writer{append(buf[:0], 0, 0, 0, 0)}
	w.U32(function)
	return w
}

// NewAnswer begins the answer of a function in buf, which it empties. Finish gives it its rv.
func NewAnswer(buf []byte, function uint32) *Writer {
	w := NewRequest(buf, function)
	w.U64(0)
	return w
}

// Request is the whole frame of a request, with its size field.
func (w *Writer) Request() []byte {
	binary.LittleEndian.PutUint32(w.frame, uint32(len(w.frame)-sizeField))
	return w.frame
}

// Answer is the whole frame of an answer, with its size field.
func (w *Writer) Answer(rv ck.RV) []byte {
	binary.LittleEndian.PutUint64(w.frame[sizeField+requestStart:], uint64(rv))
	return w.Request()
}

// Wipe clears everything that was written, and all the memory behind it.
func (w *Writer) Wipe() { clear(w.frame[:cap(w.frame)]) }

// Grow makes room for so many bytes more, so that a long answer is not copied while it grows.
func (w *Writer) Grow(bytes int) { w.frame = slices.Grow(w.frame, bytes) }

// Body is what was written after the header of a request.
func (w *Writer) Body() []byte { return w.frame[sizeField+requestStart:] }

// U8 appends one octet.
func (w *Writer) U8(v uint8) { w.frame = append(w.frame, v) }

// U32 appends 4 octets.
func (w *Writer) U32(v uint32) { w.frame = binary.LittleEndian.AppendUint32(w.frame, v) }

// U64 appends 8 octets.
func (w *Writer) U64(v uint64) { w.frame = binary.LittleEndian.AppendUint64(w.frame, v) }

// Bool appends a CK_BBOOL.
func (w *Writer) Bool(v bool) {
	if v {
		w.U8(1)
	} else {
		w.U8(0)
	}
}

// Raw appends octets without a length.
func (w *Writer) Raw(v []byte) { w.frame = append(w.frame, v...) }

// Octets appends octets with their length; nil stands for NULL.
func (w *Writer) Octets(v []byte) {
	if v == nil {
		w.U32(null)
		return
	}
	w.U32(uint32(len(v)))
	w.Raw(v)
}

// Text appends text for a field of size bytes, without padding and cut at a character.
func (w *Writer) Text(text string, size int) { w.Octets([]byte(cut(text, size))) }

// Attributes appends a template.
func (w *Writer) Attributes(template []Attribute) {
	w.U32(uint32(len(template)))
	for _, a := range template {
		w.U64(uint64(a.Type))
		w.U8(uint8(a.Form))
		if a.Form == FormTemplate {
			w.Attributes(a.Nested)
		} else {
			w.Octets(a.Value)
		}
	}
}

// Queries appends the template of C_GetAttributeValue.
func (w *Writer) Queries(queries []Query) {
	w.U32(uint32(len(queries)))
	for _, q := range queries {
		w.U64(uint64(q.Type))
		w.U8(uint8(q.Form))
		if q.Form == FormTemplate {
			w.Queries(q.Nested)
		} else {
			w.Output(Output{q.Query, q.Room})
		}
	}
}

// Results appends the answers to queries.
func (w *Writer) Results(results []Result) {
	w.U32(uint32(len(results)))
	for _, r := range results {
		w.U64(uint64(r.Type))
		w.U64(r.Length)
		w.U8(uint8(r.Form))
		if r.Form == FormTemplate {
			w.Results(r.Nested)
		} else {
			w.Octets(r.Value)
		}
	}
}

// Output appends what the application's buffer is.
func (w *Writer) Output(out Output) {
	w.Bool(out.Query)
	w.U64(out.Room)
}

// Numbers appends a list.
func Numbers[N ~uint64](w *Writer, list []N) {
	w.U32(uint32(len(list)))
	for _, v := range list {
		w.U64(uint64(v))
	}
}

// Mechanism appends a mechanism.
func (w *Writer) Mechanism(m Mechanism) {
	w.U8(uint8(m.Form))
	if m.Form == MechanismNull {
		return
	}
	w.U64(uint64(m.Type))
	switch m.Form {
	case MechanismRaw:
		w.Octets(m.Parameter)
	case MechanismStruct:
		w.U8(m.Struct.ID)
		w.fields(m.Struct)
	}
}

func (w *Writer) fields(s Struct) {
	for i, field := range paramOf(s.ID).crossing() {
		value := s.Values[i]
		switch field.Kind {
		case Octets:
			w.Octets(value.Octets)
		case Fixed:
			w.Raw(value.Octets)
		case Flag:
			w.U8(uint8(value.Number))
		case Pointer:
			w.Bool(value.Struct.ID != 0)
			if value.Struct.ID != 0 {
				w.fields(value.Struct)
			}
		default:
			w.U64(value.Number)
		}
	}
}

// Message appends the parameter of a message function.
func (w *Writer) Message(m Message) {
	w.U8(uint8(m.Form))
	if m.Form != MessageGCM {
		return
	}
	w.Octets(m.IV)
	w.U64(m.FixedBits)
	w.U64(m.Generator)
	w.U64(m.TagBits)
	w.Octets(m.Tag)
}

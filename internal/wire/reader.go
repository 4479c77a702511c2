package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// errShort is a frame that ends before its values do.
var errShort = errors.New("a frame ends too early")

// Reader takes values from a frame. After the first error it gives zeros; Err and Done tell. Octets are part of the
// frame and not copied.
type Reader struct {
	rest    []byte
	err     error
	entries int // of templates, queries and results so far
}

// NewReader reads the body of a frame.
func NewReader(body []byte) *Reader { return &Reader{rest: body} }

// Err is the first error.
func (r *Reader) Err() error { return r.err }

// Done is the first error, or one if there is something left.
func (r *Reader) Done() error {
	if r.err == nil && len(r.rest) != 0 {
		r.Fail(fmt.Errorf("a frame has %d bytes too many", len(r.rest)))
	}
	return r.err
}

// Fail makes err the reader's error, if it has none yet.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

// Raw takes n octets; nil after an error.
func (r *Reader) Raw(n int) []byte {
	if n > len(r.rest) {
		r.Fail(errShort)
	}
	if r.err != nil {
		return nil
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

// U8 takes one octet.
func (r *Reader) U8() uint8 {
	if b := r.Raw(1); b != nil {
		return b[0]
	}
	return 0
}

// U32 takes 4 octets.
func (r *Reader) U32() uint32 {
	if b := r.Raw(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// U64 takes 8 octets.
func (r *Reader) U64() uint64 {
	if b := r.Raw(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// number takes one octet up to last.
func (r *Reader) number(last uint8, what string) uint8 {
	v := r.U8()
	if v > last {
		r.Fail(fmt.Errorf("a frame has %d for %s", v, what))
		return 0
	}
	return v
}

// Bool takes a CK_BBOOL.
func (r *Reader) Bool() bool { return r.number(1, "true or false") == 1 }

// Octets takes octets with their length, at most MaxPart; nil for NULL.
func (r *Reader) Octets() []byte { return r.OctetsTo(MaxPart) }

// OctetsTo is Octets with a bound of its own.
func (r *Reader) OctetsTo(most int) []byte {
	n := r.U32()
	if n == null || r.err != nil {
		return nil
	}
	if int64(n) > int64(most) {
		r.Fail(fmt.Errorf("a frame has a value of %d bytes, at most %d are allowed", n, most))
		return nil
	}
	return r.Raw(int(n))
}

// Name takes the name of a function, which is never NULL.
func (r *Reader) Name() string {
	name := r.OctetsTo(MaxName)
	if name == nil {
		r.Fail(errors.New("a frame lacks a name"))
	}
	return string(name)
}

// Output takes what the application's buffer is.
func (r *Reader) Output() Output { return Output{r.Bool(), r.U64()} }

// The least bytes of an entry. A count is believed only as far as the frame has bytes for it.
const (
	leastAttribute = 8 + 1 + 4
	leastQuery     = 8 + 1 + 4
	leastResult    = 8 + 8 + 1 + 4
)

// count takes the number of entries that follow.
func (r *Reader) count(most, least int) int {
	n := r.U32()
	if int64(n) > int64(most) {
		r.Fail(fmt.Errorf("a frame has a list of %d entries, at most %d are allowed", n, most))
		return 0
	}
	if int(n)*least > len(r.rest) {
		r.Fail(errShort)
		return 0
	}
	return int(n)
}

// countEntries is count for attributes: all of a frame together are at most MaxAttributes, since an entry of 13 octets
// takes some hundred bytes of memory.
func (r *Reader) countEntries(least int) int {
	n := r.count(MaxAttributes-r.entries, least)
	r.entries += n
	return n
}

// Attributes takes a template.
func (r *Reader) Attributes() []Attribute { return r.attributes(1) }

func (r *Reader) attributes(depth int) []Attribute {
	template := make([]Attribute, r.countEntries(leastAttribute))
	for i := range template {
		a := &template[i]
		a.Type = ck.AttributeType(r.U64())
		a.Form = r.form(a.Type, depth)
		if a.Form == FormTemplate {
			a.Nested = r.attributes(depth + 1)
		} else {
			a.Value = r.OctetsTo(MaxValue)
		}
		if r.err != nil {
			return nil
		}
	}
	return template
}

// form takes the form of an attribute, which must be one that the attribute can have here.
func (r *Reader) form(a ck.AttributeType, depth int) Form {
	form := Form(r.number(uint8(FormTemplate), "the form of an attribute"))
	if form == FormTemplate && !isTemplate(a) {
		r.Fail(fmt.Errorf("a frame has a template for %s", a))
	}
	if form == FormTemplate && depth >= MaxDepth {
		r.Fail(errors.New("a frame has templates that are nested too deeply"))
	}
	return form
}

// Queries takes the template of C_GetAttributeValue.
func (r *Reader) Queries() []Query { return r.queries(1) }

func (r *Reader) queries(depth int) []Query {
	queries := make([]Query, r.countEntries(leastQuery))
	for i := range queries {
		q := &queries[i]
		q.Type = ck.AttributeType(r.U64())
		q.Form = r.form(q.Type, depth)
		if q.Form == FormTemplate {
			q.Nested = r.queries(depth + 1)
		} else {
			out := r.Output()
			q.Query, q.Room = out.Query, out.Room
		}
		if r.err != nil {
			return nil
		}
	}
	return queries
}

// Results takes the answers to queries.
func (r *Reader) Results() []Result { return r.results(1) }

func (r *Reader) results(depth int) []Result {
	results := make([]Result, r.countEntries(leastResult))
	for i := range results {
		result := &results[i]
		result.Type = ck.AttributeType(r.U64())
		result.Length = r.U64()
		result.Form = Form(r.number(uint8(FormTemplate), "the form of a result"))
		switch {
		case result.Form == FormBytes:
			result.Value = r.Octets()
		case depth < MaxDepth:
			result.Nested = r.results(depth + 1)
		default:
			r.Fail(errors.New("a frame has results that are nested too deeply"))
		}
		if r.err != nil {
			return nil
		}
	}
	return results
}

// ReadNumbers takes a list of at most most numbers.
func ReadNumbers[N ~uint64](r *Reader, most int) []N {
	list := make([]N, r.count(most, 8))
	for i := range list {
		list[i] = N(r.U64())
	}
	return list
}

// Mechanism takes a mechanism. Null says whether it may be missing.
func (r *Reader) Mechanism(null bool) Mechanism {
	m := Mechanism{Form: MechanismForm(r.number(uint8(MechanismMisfit), "the form of a mechanism"))}
	if m.Form == MechanismNull {
		if !null {
			r.Fail(errors.New("a frame lacks a mechanism"))
		}
		return m
	}
	m.Type = ck.MechanismType(r.U64())
	switch m.Form {
	case MechanismRaw:
		m.Parameter = r.OctetsTo(MaxValue)
	case MechanismStruct:
		m.Struct = r.structure(r.U8())
	}
	return m
}

func (r *Reader) structure(id uint8) Struct {
	param := paramOf(id)
	if param == nil || param.Struct == messageStruct {
		r.Fail(fmt.Errorf("a frame has %d for the structure of a parameter", id))
		return Struct{}
	}
	s := Struct{ID: id}
	for _, field := range param.crossing() {
		s.Values = append(s.Values, r.value(field))
	}
	return s
}

func (r *Reader) value(field Field) (v StructValue) {
	switch field.Kind {
	case Octets:
		v.Octets = r.OctetsTo(MaxValue)
	case Fixed:
		v.Octets = r.Raw(field.Size)
	case Flag:
		v.Number = uint64(r.number(1, "true or false"))
	case Pointer:
		if r.Bool() {
			v.Struct = r.structure(field.Struct)
		}
	default:
		v.Number = r.U64()
	}
	return v
}

// Message takes the parameter of a message function.
func (r *Reader) Message() Message {
	m := Message{Form: MessageForm(r.number(uint8(MessageMisfit), "the form of a message parameter"))}
	if m.Form != MessageGCM {
		return m
	}
	m.IV = r.OctetsTo(maxIV)
	m.FixedBits, m.Generator, m.TagBits = r.U64(), r.U64(), r.U64()
	m.Tag = r.OctetsTo(maxTagBits / 8)
	if m.TagBits > maxTagBits {
		r.Fail(fmt.Errorf("a frame has a tag of %d bits, at most %d are allowed", m.TagBits, maxTagBits))
	}
	return m
}

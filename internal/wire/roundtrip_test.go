package wire

import (
	"bytes"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// Values as they can cross: what is empty and what is NULL stay apart.

func drawOctets(t *rapid.T, most int) []byte {
	if rapid.Bool().Draw(t, "null") {
		return nil
	}
	return rapid.SliceOfN(rapid.Byte(), 0, most).Draw(t, "octets")
}

var templates = []ck.AttributeType{ck.CKA_WRAP_TEMPLATE, ck.CKA_UNWRAP_TEMPLATE, ck.CKA_DERIVE_TEMPLATE,
	ck.CKA_ENCAPSULATE_TEMPLATE, ck.CKA_DECAPSULATE_TEMPLATE}

func drawType(t *rapid.T, nested bool) (ck.AttributeType, Form) {
	if nested && rapid.Bool().Draw(t, "is template") {
		return rapid.SampledFrom(templates).Draw(t, "type"), FormTemplate
	}
	return ck.AttributeType(rapid.Uint64().Draw(t, "type")), FormBytes
}

func drawTemplate(t *rapid.T, nested bool) []Attribute {
	template := make([]Attribute, rapid.IntRange(0, 4).Draw(t, "entries"))
	for i := range template {
		a := &template[i]
		a.Type, a.Form = drawType(t, nested)
		if a.Form == FormTemplate {
			a.Nested = drawTemplate(t, false)
		} else {
			a.Value = drawOctets(t, 20)
		}
	}
	return template
}

func drawQueries(t *rapid.T, nested bool) []Query {
	queries := make([]Query, rapid.IntRange(0, 4).Draw(t, "entries"))
	for i := range queries {
		q := &queries[i]
		q.Type, q.Form = drawType(t, nested)
		if q.Form == FormTemplate {
			q.Nested = drawQueries(t, false)
		} else {
			q.Query, q.Room = rapid.Bool().Draw(t, "query"), rapid.Uint64().Draw(t, "room")
		}
	}
	return queries
}

func drawResults(t *rapid.T, nested bool) []Result {
	results := make([]Result, rapid.IntRange(0, 4).Draw(t, "entries"))
	for i := range results {
		r := &results[i]
		r.Length = rapid.Uint64().Draw(t, "length")
		if nested && rapid.Bool().Draw(t, "nested") {
			r.Form, r.Nested = FormTemplate, drawResults(t, false)
		} else {
			r.Value = drawOctets(t, 20)
		}
	}
	return results
}

func drawStruct(t *rapid.T, id uint8) Struct {
	s := Struct{ID: id}
	for _, f := range paramOf(id).crossing() {
		var v StructValue
		switch f.Kind {
		case Octets:
			v.Octets = drawOctets(t, 20)
		case Fixed:
			v.Octets = rapid.SliceOfN(rapid.Byte(), f.Size, f.Size).Draw(t, "fixed")
		case Flag:
			v.Number = rapid.Uint64Range(0, 1).Draw(t, "flag")
		case Pointer:
			if rapid.Bool().Draw(t, "there") {
				v.Struct = drawStruct(t, f.Struct)
			}
		default:
			v.Number = rapid.Uint64().Draw(t, "number")
		}
		s.Values = append(s.Values, v)
	}
	return s
}

func drawMechanism(t *rapid.T) Mechanism {
	m := Mechanism{Form: MechanismForm(rapid.IntRange(0, 4).Draw(t, "form"))}
	if m.Form == MechanismNull {
		return m
	}
	m.Type = ck.MechanismType(rapid.Uint64().Draw(t, "mechanism"))
	switch m.Form {
	case MechanismRaw:
		m.Parameter = drawOctets(t, 20)
	case MechanismStruct:
		p := rapid.SampledFrom(Params).Filter(func(p Param) bool { return p.Struct != messageStruct }).Draw(t, "structure")
		m.Struct = drawStruct(t, p.ID)
	}
	return m
}

func drawMessage(t *rapid.T) Message {
	m := Message{Form: MessageForm(rapid.IntRange(0, 2).Draw(t, "form"))}
	if m.Form == MessageGCM {
		m.IV, m.Tag = drawOctets(t, maxIV), drawOctets(t, maxTagBits/8)
		m.FixedBits, m.Generator = rapid.Uint64().Draw(t, "fixed"), rapid.Uint64().Draw(t, "generator")
		m.TagBits = rapid.Uint64Range(0, maxTagBits).Draw(t, "bits")
	}
	return m
}

// TestRoundTrip: what is written is read, and nothing is left.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		template, queries, results := drawTemplate(t, true), drawQueries(t, true), drawResults(t, true)
		mechanism, message := drawMechanism(t), drawMessage(t)
		octets, list := drawOctets(t, 300), rapid.SliceOfN(rapid.Uint64(), 0, 9).Draw(t, "list")

		w := NewRequest(nil, 44)
		w.Attributes(template)
		w.Queries(queries)
		w.Results(results)
		w.Mechanism(mechanism)
		w.Message(message)
		w.Octets(octets)
		Numbers(w, list)

		r := NewReader(w.Body())
		same(t, r.Attributes(), template)
		same(t, r.Queries(), queries)
		same(t, r.Results(), results)
		same(t, r.Mechanism(true), mechanism)
		same(t, r.Message(), message)
		same(t, r.Octets(), octets)
		same(t, ReadNumbers[uint64](r, MaxList), list)
		if err := r.Done(); err != nil {
			t.Fatal(err)
		}
	})
}

func same(t interface{ Fatalf(string, ...any) }, got, want any) {
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%#v came as %#v", want, got)
	}
}

// TestEachStructure: each row of the table crosses alone.
func TestEachStructure(t *testing.T) {
	for _, p := range Params {
		if p.Struct == messageStruct {
			continue
		}
		rapid.Check(t, func(t *rapid.T) {
			m := Mechanism{Form: MechanismStruct, Type: p.Mechanisms[0], Struct: drawStruct(t, p.ID)}
			w := NewRequest(nil, 44)
			w.Mechanism(m)
			r := NewReader(w.Body())
			same(t, r.Mechanism(false), m)
			if err := r.Done(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestReaderRefuses: what breaks the protocol is an error, and gives nothing.
func TestReaderRefuses(t *testing.T) {
	deep := func(w *Writer) {
		inner := []Attribute{{Type: ck.CKA_WRAP_TEMPLATE, Form: FormTemplate}}
		w.Attributes([]Attribute{{Type: ck.CKA_WRAP_TEMPLATE, Form: FormTemplate, Nested: inner}})
	}
	for name, c := range map[string]struct {
		write func(*Writer)
		read  func(*Reader)
	}{
		"short number":           {func(w *Writer) { w.U32(1) }, func(r *Reader) { r.U64() }},
		"rest":                   {func(w *Writer) { w.U64(1) }, func(r *Reader) { r.U32() }},
		"neither true nor false": {func(w *Writer) { w.U8(2) }, func(r *Reader) { r.Bool() }},
		"octets that are not there": {func(w *Writer) { w.U32(8); w.U32(0) },
			func(r *Reader) { r.Octets() }},
		"too many octets":     {func(w *Writer) { w.Octets(make([]byte, 65)) }, func(r *Reader) { _ = r.Name() }},
		"no name":             {func(w *Writer) { w.Octets(nil) }, func(r *Reader) { _ = r.Name() }},
		"too many attributes": {func(w *Writer) { w.Attributes(make([]Attribute, 1025)) }, func(r *Reader) { r.Attributes() }},
		"too many attributes in two templates": {func(w *Writer) { w.Attributes(make([]Attribute, 600)); w.Attributes(make([]Attribute, 425)) },
			func(r *Reader) { r.Attributes(); r.Attributes() }},
		"too many nested attributes": {func(w *Writer) { w.Attributes(append(make([]Attribute, 1000), nest(24))) },
			func(r *Reader) { r.Attributes() }},
		"too many nested queries": {func(w *Writer) {
			w.Queries([]Query{{Type: ck.CKA_WRAP_TEMPLATE, Form: FormTemplate, Nested: make([]Query, 1024)}})
		}, func(r *Reader) { r.Queries() }},
		"too many nested results": {func(w *Writer) { w.Results([]Result{{Form: FormTemplate, Nested: make([]Result, 1024)}}) },
			func(r *Reader) { r.Results() }},
		"attributes that are not there": {func(w *Writer) { w.U32(1000); w.U64(0) },
			func(r *Reader) { r.Attributes() }},
		"nested too deeply": {deep, func(r *Reader) { r.Attributes() }},
		"a template for a label": {func(w *Writer) { w.Attributes([]Attribute{{Type: ck.CKA_LABEL, Form: FormTemplate}}) },
			func(r *Reader) { r.Attributes() }},
		"a template for another vendor's bit 30": {func(w *Writer) { w.Attributes([]Attribute{{Type: 0xCE534351, Form: FormTemplate}}) },
			func(r *Reader) { r.Attributes() }},
		"no mechanism":          {func(w *Writer) { w.U8(0) }, func(r *Reader) { r.Mechanism(false) }},
		"unknown form":          {func(w *Writer) { w.U8(5) }, func(r *Reader) { r.Mechanism(true) }},
		"unknown structure":     {func(w *Writer) { w.U8(3); w.U64(9); w.U8(15) }, func(r *Reader) { r.Mechanism(true) }},
		"structure 0":           {func(w *Writer) { w.U8(3); w.U64(9); w.U8(0) }, func(r *Reader) { r.Mechanism(true) }},
		"a message's structure": {func(w *Writer) { w.U8(3); w.U64(9); w.U8(13) }, func(r *Reader) { r.Mechanism(true) }},
		"a long tag": {func(w *Writer) { w.Message(Message{Form: MessageGCM, TagBits: maxTagBits + 1}) },
			func(r *Reader) { r.Message() }},
		"a long list": {func(w *Writer) { Numbers(w, make([]uint64, 3)) }, func(r *Reader) { ReadNumbers[uint64](r, 2) }},
	} {
		w := NewRequest(nil, 1)
		c.write(w)
		r := NewReader(w.Body())
		c.read(r)
		if r.Done() == nil {
			t.Errorf("%s: no error", name)
		}
		if r.U64() != 0 || r.Octets() != nil {
			t.Errorf("%s: something is left after the error", name)
		}
	}
}

// nest is an attribute with so many in it.
func nest(entries int) Attribute {
	return Attribute{Type: ck.CKA_WRAP_TEMPLATE, Form: FormTemplate, Nested: make([]Attribute, entries)}
}

// TestMostAttributes: the bound is met exactly, by two templates and what is in them.
func TestMostAttributes(t *testing.T) {
	w := NewRequest(nil, 1)
	w.Attributes(append(make([]Attribute, 999), nest(14)))
	w.Attributes(make([]Attribute, 10))
	r := NewReader(w.Body())
	r.Attributes()
	if last := r.Attributes(); len(last) != 10 || r.Done() != nil {
		t.Errorf("%d, %v", len(last), r.Err())
	}
}

// FuzzReader: no octets make a reader panic or claim much memory, and what it takes without error is written the same.
func FuzzReader(f *testing.F) {
	w := NewRequest(nil, 1)
	w.Attributes([]Attribute{{Type: ck.CKA_LABEL, Value: []byte("label")},
		{Type: ck.CKA_WRAP_TEMPLATE, Form: FormTemplate, Nested: []Attribute{{Type: ck.CKA_ID, Value: []byte{}}}}})
	f.Add(uint8(0), bytes.Clone(w.Body()))
	w = NewRequest(nil, 1)
	w.Queries([]Query{{Type: ck.CKA_LABEL, Room: 5}, {Type: ck.CKA_ID, Query: true}, {Type: ck.CKA_DERIVE_TEMPLATE, Form: FormTemplate}})
	f.Add(uint8(1), bytes.Clone(w.Body()))
	w = NewRequest(nil, 1)
	w.Results([]Result{{Type: ck.CKA_LABEL, Length: 5, Value: []byte("label")},
		{Type: ck.CKA_WRAP_TEMPLATE, Length: 24, Form: FormTemplate, Nested: []Result{{Type: ck.CKA_ID, Length: ck.UNAVAILABLE}}}})
	f.Add(uint8(2), bytes.Clone(w.Body()))
	for _, p := range Params {
		w = NewRequest(nil, 1)
		w.Mechanism(Mechanism{Form: MechanismStruct, Struct: emptyStruct(p.ID)})
		f.Add(uint8(3), bytes.Clone(w.Body()))
	}
	w = NewRequest(nil, 1)
	w.Message(Message{Form: MessageGCM, IV: make([]byte, 12), TagBits: 128, Tag: make([]byte, 16)})
	f.Add(uint8(4), bytes.Clone(w.Body()))
	f.Fuzz(func(t *testing.T, what uint8, body []byte) {
		r, w := NewReader(body), NewRequest(nil, 1)
		switch what % 5 {
		case 0:
			w.Attributes(r.Attributes())
		case 1:
			w.Queries(r.Queries())
		case 2:
			w.Results(r.Results())
		case 3:
			if m := r.Mechanism(true); r.Err() == nil {
				w.Mechanism(m)
			}
		case 4:
			w.Message(r.Message())
		}
		if r.Done() == nil && !bytes.Equal(w.Body(), body) {
			t.Errorf("% x was written as % x", body, w.Body())
		}
	})
}

// emptyStruct has nothing in it but zeros.
func emptyStruct(id uint8) Struct {
	s := Struct{ID: id}
	for _, f := range paramOf(id).crossing() {
		s.Values = append(s.Values, StructValue{Octets: make([]byte, f.Size)})
	}
	return s
}

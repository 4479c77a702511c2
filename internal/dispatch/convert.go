package dispatch

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/wire"
	"github.com/onceleaf/onceleaf/p11module"
)

// Arguments. What a module may keep is copied; data, PINs and signatures are read during the call only.

func readLabel(in *wire.Reader) (label [32]byte) {
	copy(label[:], in.Raw(len(label)))
	return label
}

func readGiven(in *wire.Reader) []byte {
	value := in.Octets()
	if value == nil {
		in.Fail(errors.New("a frame lacks a value"))
	}
	return value
}

func readUpTo(in *wire.Reader, most uint64) uint64 {
	n := in.U64()
	if n > most {
		in.Fail(fmt.Errorf("a frame asks for %d, at most %d are allowed", n, most))
	}
	return n
}

func readOutput(in *wire.Reader) p11module.Output {
	o := in.Output()
	return p11module.Output{Query: o.Query, Room: o.Room}
}

func readOutputOrNone(in *wire.Reader) *p11module.Output {
	if !in.Bool() {
		return nil
	}
	o := readOutput(in)
	return &o
}

func readTemplate(in *wire.Reader) []p11module.Attribute { return fromTemplate(in.Attributes()) }

// fromTemplate keeps the difference between an empty template, which is one, and none.
func fromTemplate(template []wire.Attribute) []p11module.Attribute {
	attributes := make([]p11module.Attribute, len(template))
	for i, a := range template {
		attributes[i] = p11module.Attribute{Type: a.Type, Value: bytes.Clone(a.Value)}
		if a.Form == wire.FormTemplate {
			attributes[i].Nested = fromTemplate(a.Nested)
		}
	}
	return attributes
}

func readQueries(in *wire.Reader) []p11module.AttributeQuery { return fromQueries(in.Queries()) }

func fromQueries(asked []wire.Query) []p11module.AttributeQuery {
	queries := make([]p11module.AttributeQuery, len(asked))
	for i, q := range asked {
		queries[i] = p11module.AttributeQuery{Type: q.Type, Output: p11module.Output{Query: q.Query, Room: q.Room}}
		if q.Form == wire.FormTemplate {
			queries[i].Nested = fromQueries(q.Nested)
			queries[i].Room = uint64(len(q.Nested)) * attributeSize
		}
	}
	return queries
}

// attributeSize is sizeof(CK_ATTRIBUTE).
const attributeSize = 24

func readMechanism(in *wire.Reader) ck.Mechanism {
	m := in.Mechanism(false)
	if in.Err() != nil {
		return ck.Mechanism{}
	}
	return fromMechanism(m)
}

// mechanismOrNull is nil if the application gave NULL.
type mechanismOrNull struct{ given ck.Mechanism }

func (m *mechanismOrNull) value() ck.Mechanism { return m.given }

func readMechanismOrNull(in *wire.Reader) *mechanismOrNull {
	m := in.Mechanism(true)
	if in.Err() != nil || m.Form == wire.MechanismNull {
		return nil
	}
	return &mechanismOrNull{fromMechanism(m)}
}

func fromMechanism(m wire.Mechanism) ck.Mechanism {
	converted := ck.Mechanism{Type: m.Type, Parameter: bytes.Clone(m.Parameter), Misfit: m.Form == wire.MechanismMisfit}
	if m.Form == wire.MechanismStruct {
		converted.Struct = fromStruct(m.Struct)
	}
	return converted
}

// inner is a structure behind a pointer of another one; nil for NULL.
func inner[T any](s wire.Struct, convert func(wire.Struct) *T) *T {
	if s.ID == 0 {
		return nil
	}
	return convert(s)
}

func readMessage(in *wire.Reader) p11module.MessageParameter {
	m := in.Message()
	switch m.Form {
	case wire.MessageGCM:
		return p11module.MessageParameter{GCM: &ck.GCMMessage{
			IV: bytes.Clone(m.IV), FixedBits: m.FixedBits, Generator: m.Generator, TagBits: m.TagBits, Tag: bytes.Clone(m.Tag),
		}}
	case wire.MessageMisfit:
		return p11module.MessageParameter{Misfit: true}
	}
	return p11module.MessageParameter{}
}

// Results. Each is written only if the call went well.

// fits is the last look at an output buffer before an answer is made of it: p11module knew the room, and what does not
// fit after all never leaves.
func fits(room p11module.Output, value []byte, length uint64, rv ck.RV) ck.RV {
	if rv != ck.CKR_OK || room.Query {
		return rv
	}
	if uint64(len(value)) != length || length > room.Room {
		return ck.CKR_GENERAL_ERROR
	}
	return rv
}

func writeOutput(out *wire.Writer, room p11module.Output, value []byte, length uint64, rv ck.RV) {
	switch {
	case rv == ck.CKR_BUFFER_TOO_SMALL:
		out.U64(length)
	case rv == ck.CKR_OK:
		out.U64(length)
		out.Octets(answered(room, value))
	}
}

// answered is a value as it crosses: NULL for a length query, and never NULL otherwise.
func answered(room p11module.Output, value []byte) []byte {
	if room.Query {
		return nil
	}
	return notNull(value)
}

func notNull(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}

func fitsOrNone(room *p11module.Output, value []byte, length uint64, rv ck.RV) ck.RV {
	if room == nil {
		return rv
	}
	return fits(*room, value, length, rv)
}

func writeOutputOrNone(out *wire.Writer, room *p11module.Output, value []byte, length uint64, rv ck.RV) {
	if room != nil {
		writeOutput(out, *room, value, length, rv)
	}
}

func writeNumber[N ~uint64](out *wire.Writer, n N, rv ck.RV) {
	if rv == ck.CKR_OK {
		out.U64(uint64(n))
	}
}

func writeList[N ~uint64](out *wire.Writer, list []N, rv ck.RV) {
	if rv == ck.CKR_OK {
		wire.Numbers(out, list)
	}
}

func writeRandom(out *wire.Writer, random []byte, rv ck.RV) {
	if rv == ck.CKR_OK {
		out.Octets(notNull(random))
	}
}

// fitting is fits for the results of attribute queries, which are answered whatever rv is; there are none if the whole
// call failed.
func fitting(queries []p11module.AttributeQuery, results []p11module.AttributeResult, rv ck.RV) ([]p11module.AttributeResult, ck.RV) {
	if len(results) == 0 && (rv != ck.CKR_OK || len(queries) == 0) {
		return nil, rv
	}
	if !allFit(queries, results) {
		return nil, ck.CKR_GENERAL_ERROR
	}
	return results, rv
}

// total is how many bytes results take in a frame.
func total(results []p11module.AttributeResult) (bytes int) {
	for _, r := range results {
		bytes += 8 + 8 + 1 + 4 + len(r.Value) + total(r.Nested)
	}
	return bytes
}

func allFit(queries []p11module.AttributeQuery, results []p11module.AttributeResult) bool {
	if len(queries) != len(results) {
		return false
	}
	for i, q := range queries {
		r := results[i]
		tooLong := uint64(len(r.Value)) > q.Room || q.Query && r.Value != nil
		if q.Nested == nil && tooLong || (q.Nested == nil) != (r.Nested == nil) {
			return false
		}
		if q.Nested != nil && !allFit(q.Nested, r.Nested) {
			return false
		}
	}
	return true
}

func writeResults(out *wire.Writer, results []p11module.AttributeResult) {
	out.Grow(4 + total(results))
	out.Results(toResults(results))
}

func toResults(results []p11module.AttributeResult) []wire.Result {
	converted := make([]wire.Result, len(results))
	for i, r := range results {
		converted[i] = wire.Result{Type: r.Type, Length: r.Length, Value: r.Value}
		if r.Nested != nil {
			converted[i] = wire.Result{Type: r.Type, Length: r.Length, Form: wire.FormTemplate, Nested: toResults(r.Nested)}
		}
	}
	return converted
}

func asyncFits(room p11module.Output, a p11module.AsyncData, rv ck.RV) ck.RV {
	return fits(room, a.Value, a.Length, rv)
}

func writeAsync(out *wire.Writer, room p11module.Output, a p11module.AsyncData, rv ck.RV) {
	if rv != ck.CKR_OK {
		return
	}
	out.U64(a.Version)
	out.Octets(answered(room, a.Value))
	out.U64(a.Length)
	out.U64(uint64(a.Object))
	out.U64(uint64(a.Additional))
}

// writeMessage writes what an encryption puts into the application's parameter. Without a generator the application has
// made the initialisation vector itself.
func writeMessage(out *wire.Writer, asked p11module.MessageParameter, given p11module.MessageOutput, rv ck.RV) {
	switch {
	case rv != ck.CKR_OK:
	case asked.GCM == nil:
		out.U8(0)
	case asked.GCM.Generator != 0:
		out.U8(2)
		out.Octets(given.IV)
		out.Octets(given.Tag)
	default:
		out.U8(1)
		out.Octets(given.Tag)
	}
}

func writeNoMessage(out *wire.Writer, rv ck.RV) {
	if rv == ck.CKR_OK {
		out.U8(0)
	}
}

func writeVersion(out *wire.Writer, v p11module.Version) {
	out.U8(v.Major)
	out.U8(v.Minor)
}

package dispatch

import (
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/p11module"
)

// recorder is a module that writes down what it is called with and answers with what a test gave it. Its methods are
// generated (whole_test.go).
type recorder struct {
	mu    sync.Mutex // guards calls
	calls []string

	octets         []byte // of every output
	listSlots      []ck.SlotID
	listMechanisms []ck.MechanismType
	found          []ck.ObjectHandle
	newSession     ck.SessionHandle
	outNumber      uint64
	info           p11module.Info
	slotInfo       p11module.SlotInfo
	tokenInfo      p11module.TokenInfo
	sessionInfo    p11module.SessionInfo
	mechanismInfo  p11module.MechanismInfo
	encrypting     p11module.MessageOutput
}

// taken are the calls so far; from then on it begins anew.
func (r *recorder) taken() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

// called writes a call down, and answers as an output buffer among its arguments asks for.
func (r *recorder) called(name string, args ...any) ck.RV {
	texts, rv := []string{name}, ck.CKR_OK
	if name == "BadArguments" {
		rv = ck.CKR_ARGUMENTS_BAD
	}
	for _, a := range args {
		texts = append(texts, show(a))
		switch v := a.(type) {
		case ck.SessionHandle:
			rv = failIf(uint64(v)&failing != 0, rv)
		case ck.SlotID:
			rv = failIf(uint64(v)&failing != 0, rv)
		case bool:
			rv = failIf(!v, rv)
		case p11module.Output:
			rv = r.tooSmall(v, rv)
		case *p11module.Output:
			if v != nil {
				rv = r.tooSmall(*v, rv)
			}
		case []p11module.AttributeQuery:
			rv = r.anyTooSmall(v, rv)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, strings.Join(texts, " "))
	return rv
}

func failIf(fails bool, rv ck.RV) ck.RV {
	if fails {
		return ck.CKR_KEY_EXHAUSTED
	}
	return rv
}

func (r *recorder) tooSmall(room p11module.Output, rv ck.RV) ck.RV {
	if rv == ck.CKR_OK && !room.Query && room.Room < uint64(len(r.octets)) {
		return ck.CKR_BUFFER_TOO_SMALL
	}
	return rv
}

func (r *recorder) anyTooSmall(queries []p11module.AttributeQuery, rv ck.RV) ck.RV {
	for _, q := range queries {
		if q.Nested != nil {
			rv = r.anyTooSmall(q.Nested, rv)
		} else {
			rv = r.tooSmall(q.Output, rv)
		}
	}
	return rv
}

// object tells handles of different arguments apart.
func (r *recorder) object(argument string) ck.ObjectHandle {
	return ck.ObjectHandle(len(argument))<<40 | 77
}

func (r *recorder) FoundFor(most uint64) []ck.ObjectHandle {
	return r.found[:min(most, uint64(len(r.found)))]
}

func (r *recorder) RandomFor(n uint64) []byte {
	random := make([]byte, n)
	for i := range random {
		random[i] = byte(i*7 + 1)
	}
	return random
}

// QueryFor gives every attribute the same octets, as far as they fit.
func (r *recorder) QueryFor(queries []p11module.AttributeQuery) []p11module.AttributeResult {
	results := make([]p11module.AttributeResult, len(queries))
	for i, q := range queries {
		switch {
		case q.Nested != nil:
			results[i] = p11module.AttributeResult{Type: q.Type, Length: uint64(len(q.Nested)) * attributeSize, Nested: r.QueryFor(q.Nested)}
		case q.Query:
			results[i] = p11module.AttributeResult{Type: q.Type, Length: uint64(len(r.octets))}
		case q.Room < uint64(len(r.octets)):
			results[i] = p11module.AttributeResult{Type: q.Type, Length: ck.UNAVAILABLE}
		default:
			results[i] = p11module.AttributeResult{Type: q.Type, Value: r.octets, Length: uint64(len(r.octets))}
		}
	}
	return results
}

func (r *recorder) AsyncFor(room p11module.Output) p11module.AsyncData {
	return p11module.AsyncData{Version: 1, Value: r.octets, Length: uint64(len(r.octets)), Object: 0x1234, Additional: 0x5678}
}

// show writes an argument, with NULL told from empty and pointers followed.
func show(a any) string {
	switch v := a.(type) {
	case []byte:
		if v == nil {
			return "NULL"
		}
		return fmt.Sprintf("[%x]", v)
	case [32]byte:
		return fmt.Sprintf("[%x]", v[:])
	case p11module.Output:
		if v.Query {
			return "query"
		}
		return fmt.Sprintf("room(%d)", v.Room)
	case *p11module.Output:
		if v == nil {
			return "none"
		}
		return show(*v)
	case []p11module.Attribute:
		return showTemplate(v)
	case []p11module.AttributeQuery:
		return showQueries(v)
	case ck.Mechanism:
		return showMechanism(v)
	case p11module.MessageParameter:
		return showMessage(v)
	case [16]byte:
		return fmt.Sprintf("[%x]", v[:])
	case *ck.OAEPParams:
		return "NULL"
	case string, bool:
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("0x%x", reflect.ValueOf(a).Uint())
}

func showTemplate(template []p11module.Attribute) string {
	var texts []string
	for _, a := range template {
		value := show(a.Value)
		if a.Nested != nil {
			value = showTemplate(a.Nested)
		}
		texts = append(texts, fmt.Sprintf("0x%x=%s", uint64(a.Type), value))
	}
	return "{" + strings.Join(texts, ",") + "}"
}

func showQueries(queries []p11module.AttributeQuery) string {
	var texts []string
	for _, q := range queries {
		value := show(q.Output)
		if q.Nested != nil {
			value = showQueries(q.Nested)
		}
		texts = append(texts, fmt.Sprintf("0x%x=%s", uint64(q.Type), value))
	}
	return "{" + strings.Join(texts, ",") + "}"
}

func showMechanism(m ck.Mechanism) string {
	switch {
	case m.Misfit:
		return fmt.Sprintf("0x%x misfit", uint64(m.Type))
	case m.Struct != nil:
		return fmt.Sprintf("0x%x %s", uint64(m.Type), showStruct(m.Struct))
	}
	return fmt.Sprintf("0x%x %s", uint64(m.Type), show(m.Parameter))
}

// showStruct shows a structure with the names of its fields.
func showStruct(s any) string {
	structure := reflect.ValueOf(s).Elem()
	var texts []string
	for i := range structure.NumField() {
		value := structure.Field(i)
		text := show(value.Interface())
		if value.Kind() == reflect.Pointer && !value.IsNil() {
			text = showStruct(value.Interface())
		}
		texts = append(texts, structure.Type().Field(i).Name+"="+text)
	}
	return structure.Type().Name() + "{" + strings.Join(texts, " ") + "}"
}

func showMessage(m p11module.MessageParameter) string {
	switch {
	case m.Misfit:
		return "misfit"
	case m.GCM != nil:
		return fmt.Sprintf("gcm(%s,0x%x,0x%x,0x%x,%s)", show(m.GCM.IV), m.GCM.FixedBits, m.GCM.Generator, m.GCM.TagBits, show(m.GCM.Tag))
	}
	return "no parameter"
}

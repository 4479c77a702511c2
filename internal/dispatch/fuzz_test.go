package dispatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/wire"
	"github.com/onceleaf/onceleaf/p11module"
	"github.com/onceleaf/onceleaf/token"
)

// stage is a real module with a session, a key and a login that stay: what would take them away is refused here, as is
// what takes minutes.
type stage struct {
	*p11module.Module
	session   ck.SessionHandle
	pub, priv ck.ObjectHandle
}

func (s *stage) InitToken(ck.SlotID, []byte, [32]byte) ck.RV   { return ck.CKR_FUNCTION_REJECTED }
func (s *stage) InitPIN(ck.SessionHandle, []byte) ck.RV        { return ck.CKR_FUNCTION_REJECTED }
func (s *stage) SetPIN(ck.SessionHandle, []byte, []byte) ck.RV { return ck.CKR_FUNCTION_REJECTED }
func (s *stage) Login(ck.SessionHandle, uint64, []byte) ck.RV  { return ck.CKR_FUNCTION_REJECTED }
func (s *stage) Logout(ck.SessionHandle) ck.RV                 { return ck.CKR_FUNCTION_REJECTED }
func (s *stage) CloseAllSessions(ck.SlotID) ck.RV              { return ck.CKR_FUNCTION_REJECTED }
func (s *stage) DestroyObject(ck.SessionHandle, ck.ObjectHandle) ck.RV {
	return ck.CKR_FUNCTION_REJECTED
}
func (s *stage) SetAttributeValue(ck.SessionHandle, ck.ObjectHandle, []p11module.Attribute) ck.RV {
	return ck.CKR_FUNCTION_REJECTED
}

func (s *stage) GenerateKeyPair(ck.SessionHandle, ck.Mechanism, []p11module.Attribute, []p11module.Attribute) (ck.ObjectHandle, ck.ObjectHandle, ck.RV) {
	return 0, 0, ck.CKR_FUNCTION_REJECTED
}

func (s *stage) CloseSession(h ck.SessionHandle) ck.RV {
	if h == s.session {
		return ck.CKR_FUNCTION_REJECTED
	}
	return s.Module.CloseSession(h)
}

// newStage sets it up, with PINs that cost little.
func newStage(f testing.TB) *stage {
	dir := f.TempDir()
	config, err := token.LoadConfig(func(name string) string { return map[string]string{"ONCELEAF_DIR": dir}[name] })
	must(f, err)
	config.KDF = token.KDF{Time: 1, Memory: 8, Threads: 1}
	host, err := p11module.OpenHost(config, slog.New(slog.DiscardHandler))
	must(f, err)
	s := &stage{Module: host.NewModule(host.Log(), p11module.Limits{Sessions: 8, Objects: 8, Memory: 1 << 20})}
	f.Cleanup(func() {
		s.Finalize(false)
		must(f, host.Close())
	})
	ok(f, s.Module.InitToken(0, []byte("12345678"), [32]byte(bytes.Repeat([]byte{'a'}, 32))))
	session, rv := s.OpenSession(0, ck.CKF_SERIAL_SESSION|ck.CKF_RW_SESSION)
	ok(f, rv)
	ok(f, s.Module.Login(session, uint64(ck.CKU_SO), []byte("12345678")))
	ok(f, s.Module.InitPIN(session, []byte("87654321")))
	ok(f, s.Module.Logout(session))
	ok(f, s.Module.Login(session, uint64(ck.CKU_USER), []byte("87654321")))
	s.session = session
	s.makeKey(f)
	return s
}

// makeKey makes a token key of two levels, H5 and H10, both W8.
func (s *stage) makeKey(f testing.TB) {
	ulongs := func(all ...uint64) (value []byte) {
		for _, n := range all {
			value = binary.LittleEndian.AppendUint64(value, n)
		}
		return value
	}
	var rv ck.RV
	s.pub, s.priv, rv = s.Module.GenerateKeyPair(s.session, ck.Mechanism{Type: ck.CKM_HSS_KEY_PAIR_GEN},
		[]p11module.Attribute{{Type: ck.CKA_TOKEN, Value: []byte{1}}, {Type: ck.CKA_LABEL, Value: []byte("fuzz")}},
		[]p11module.Attribute{{Type: ck.CKA_TOKEN, Value: []byte{1}}, {Type: ck.CKA_LABEL, Value: []byte("fuzz")},
			{Type: ck.CKA_HSS_LEVELS, Value: ulongs(2)}, {Type: ck.CKA_HSS_LMS_TYPES, Value: ulongs(5, 6)}, {Type: ck.CKA_HSS_LMOTS_TYPES, Value: ulongs(4, 4)}})
	ok(f, rv)
}

// remaining is what the key still can sign.
func (s *stage) remaining(t testing.TB) uint64 {
	results, rv := s.GetAttributeValue(s.session, s.priv, []p11module.AttributeQuery{{Type: ck.CKA_HSS_KEYS_REMAINING, Output: p11module.Output{Room: 8}}})
	ok(t, rv)
	return binary.LittleEndian.Uint64(results[0].Value)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ok(t testing.TB, rv ck.RV) {
	t.Helper()
	if rv != ck.CKR_OK {
		t.Fatal(rv)
	}
}

// frame writes a request.
func frame(function uint32, write func(*wire.Writer)) []byte {
	w := wire.NewRequest(nil, function)
	write(w)
	return w.Request()
}

// conversations are what a fuzzer begins from.
func (s *stage) conversations() [][]byte {
	session := func(w *wire.Writer) { w.U64(uint64(s.session)) }
	signInit := frame(43, func(w *wire.Writer) {
		session(w)
		w.Mechanism(wire.Mechanism{Form: wire.MechanismBare, Type: ck.CKM_HSS})
		w.U64(uint64(s.priv))
	})
	sign := func(out wire.Output) []byte {
		return frame(44, func(w *wire.Writer) { session(w); w.Octets([]byte("message")); w.Output(out) })
	}
	final := func(out wire.Output) []byte { return frame(46, func(w *wire.Writer) { session(w); w.Output(out) }) }
	update := frame(45, func(w *wire.Writer) { session(w); w.Octets([]byte("part")) })
	whole, asked, little := wire.Output{Room: 8192}, wire.Output{Query: true}, wire.Output{Room: 5}
	label := []wire.Attribute{{Type: ck.CKA_LABEL, Value: []byte("fuzz")}}
	return [][]byte{
		slices.Concat(signInit, sign(asked), sign(little), sign(whole)),
		slices.Concat(signInit, update, update, final(asked), final(little), final(whole)),
		slices.Concat(signInit, frame(wire.Refuse, func(w *wire.Writer) { session(w); w.U64(ck.CKF_SIGN) }), sign(whole)),
		slices.Concat(signInit, frame(43, func(w *wire.Writer) { session(w); w.Mechanism(wire.Mechanism{}); w.U64(0) }), sign(whole)),
		slices.Concat(signInit, frame(72, func(w *wire.Writer) { session(w); w.U64(ck.CKF_SIGN) }), sign(whole)),
		slices.Concat(frame(27, func(w *wire.Writer) { session(w); w.Attributes(label) }), frame(28, func(w *wire.Writer) { session(w); w.U64(10) }), frame(29, session)),
		frame(25, func(w *wire.Writer) {
			session(w)
			w.U64(uint64(s.priv))
			w.Queries([]wire.Query{{Type: ck.CKA_HSS_KEYS_REMAINING, Room: 8}, {Type: ck.CKA_LABEL, Query: true}, {Type: ck.CKA_VALUE, Room: 100},
				{Type: ck.CKA_WRAP_TEMPLATE, Form: wire.FormTemplate, Nested: []wire.Query{{Type: ck.CKA_TOKEN, Room: 1}}}})
		}),
		frame(21, func(w *wire.Writer) {
			session(w)
			w.Attributes([]wire.Attribute{{Type: ck.CKA_CLASS, Value: make([]byte, 8)}, {Type: ck.CKA_WRAP_TEMPLATE, Form: wire.FormTemplate, Nested: label}})
		}),
		frame(61, func(w *wire.Writer) {
			session(w)
			w.Mechanism(wire.Mechanism{Form: wire.MechanismRaw, Type: ck.CKM_ONCELEAF_PARTITION, Parameter: []byte{1, 0, 0, 0, 0, 0, 0, 0}})
			w.U64(uint64(s.pub))
			w.U64(uint64(s.priv))
			w.Output(whole)
		}),
		slices.Concat(frame(3, func(*wire.Writer) {}), frame(5, func(w *wire.Writer) { w.Bool(true) }), frame(6, func(w *wire.Writer) { w.U64(0) }),
			frame(7, func(w *wire.Writer) { w.U64(0) }), frame(8, func(w *wire.Writer) { w.U64(0) }), frame(16, session)),
		slices.Concat(frame(13, func(w *wire.Writer) { w.U64(0); w.U64(6) }), frame(65, func(w *wire.Writer) { session(w); w.U64(100) })),
	}
}

// talk answers a conversation until it ends or breaks the protocol, holds every answer to the rules, and counts the
// signatures.
func talk(t *testing.T, m Module, conversation []byte) (signatures uint64) {
	stream := bytes.NewReader(conversation)
	for {
		request, err := wire.ReadFrame(stream, nil, nil)
		if err != nil {
			return signatures
		}
		frame, err := Answer(m, request, nil, nil)
		if err != nil {
			if frame != nil {
				t.Fatalf("an answer of %d bytes came with %v", len(frame), err)
			}
			return signatures
		}
		if checkAnswer(t, request, frame) {
			signatures++
		}
	}
}

// checkAnswer holds one answer to docs/spec/wire.md, and reports whether it is a signature.
func checkAnswer(t *testing.T, request, frame []byte) (signature bool) {
	answer, err := wire.ReadFrame(bytes.NewReader(frame), nil, nil)
	if err != nil || wire.Function(answer) != wire.Function(request) || len(answer) != len(frame)-4 {
		t.Fatalf("function %d was answered with %x (%v)", wire.Function(request), frame, err)
	}
	function, rv, in := wire.Function(answer), ck.RV(binary.LittleEndian.Uint64(answer[4:])), wire.NewReader(answer[12:])
	switch {
	case function == 25:
		in.Results()
	case rv == ck.CKR_BUFFER_TOO_SMALL:
		in.U64()
	case rv == ck.CKR_OK && (function == 44 || function == 46):
		length := in.U64()
		octets := in.Octets()
		signature = octets != nil
		if signature && length != uint64(len(octets)) {
			t.Fatalf("a signature of %d bytes is announced with %d", len(octets), length)
		}
	case rv == ck.CKR_OK:
		return false
	}
	if err := in.Done(); err != nil {
		t.Fatalf("function %d, %s: %v", function, rv, err)
	}
	return signature
}

// FuzzAnswer: whatever a client sends, nothing crashes, each answer keeps to the rules, and the key loses exactly the
// leaves whose signatures came out.
func FuzzAnswer(f *testing.F) {
	s := newStage(f)
	for _, conversation := range s.conversations() {
		f.Add(conversation)
	}
	f.Fuzz(func(t *testing.T, conversation []byte) {
		s.SessionCancel(s.session, ck.CKF_SIGN|ck.CKF_VERIFY|ck.CKF_FIND_OBJECTS)
		before := s.remaining(t)
		signatures := talk(t, s, conversation)
		if after := s.remaining(t); before-after != signatures {
			t.Errorf("%d signatures came out, and the key lost %d", signatures, before-after)
		}
	})
}

// TestConversations: what the fuzzer begins from comes as far as it should, signatures included.
func TestConversations(t *testing.T) {
	s := newStage(t)
	for i, conversation := range s.conversations() {
		s.SessionCancel(s.session, ck.CKF_SIGN|ck.CKF_VERIFY|ck.CKF_FIND_OBJECTS)
		before, want := s.remaining(t), uint64(0)
		if i < 2 {
			want = 1
		}
		if signatures := talk(t, s, conversation); signatures != want || before-s.remaining(t) != want {
			t.Errorf("conversation %d: %d signatures, %d leaves, want %d", i, signatures, before-s.remaining(t), want)
		}
	}
}

// TestAnswerRefuses: requests that break the protocol reach no module and get no answer.
func TestAnswerRefuses(t *testing.T) {
	r := newRecorder()
	whole := frame(44, func(w *wire.Writer) { w.U64(5); w.Octets([]byte("abc")); w.Output(wire.Output{Room: 9}) })[4:]
	if _, err := Answer(r, whole, nil, nil); err != nil || len(r.taken()) != 1 {
		t.Fatal(err)
	}
	requests := map[string][]byte{
		"nothing": nil, "half a number": {44, 0}, "no such function": {105, 0, 0, 0}, "C_Finalize": {2, 0, 0, 0}, "status": {1, 0x10, 0, 0},
		"a byte too many": append(bytes.Clone(whole), 0),
		"too much random": frame(65, func(w *wire.Writer) { w.U64(5); w.U64(wire.MaxRandom + 1) })[4:],
		"no mechanism":    frame(61, func(w *wire.Writer) { w.U64(5); w.U8(0); w.U64(0); w.U64(0); w.Output(wire.Output{}) })[4:],
	}
	for i := range len(whole) - 1 {
		requests[string(rune('a'+i))+" bytes of it"] = whole[:i]
	}
	for name, request := range requests {
		if answer, err := Answer(r, request, nil, nil); err == nil || answer != nil {
			t.Errorf("%s: %x, %v", name, answer, err)
		}
		if calls := r.taken(); len(calls) != 0 {
			t.Errorf("%s: %v was called", name, calls)
		}
	}
}

// lying is a module that answers more than there is room for.
type lying struct{ *recorder }

func (lying) Sign(ck.SessionHandle, []byte, p11module.Output) ([]byte, uint64, ck.RV) {
	return make([]byte, 10), 10, ck.CKR_OK
}

func (lying) GetAttributeValue(ck.SessionHandle, ck.ObjectHandle, []p11module.AttributeQuery) ([]p11module.AttributeResult, ck.RV) {
	return []p11module.AttributeResult{{Value: make([]byte, 10), Length: 10}}, ck.CKR_OK
}

// SignFinal gives nothing and says that it is something.
func (lying) SignFinal(ck.SessionHandle, p11module.Output) ([]byte, uint64, ck.RV) {
	return nil, 5, ck.CKR_OK
}

func (lying) Logout(ck.SessionHandle) ck.RV { panic("secret") }

// TestLyingModule: what does not fit does not leave, and a panic ends the connection without its text.
func TestLyingModule(t *testing.T) {
	m := lying{newRecorder()}
	sign := frame(44, func(w *wire.Writer) { w.U64(5); w.Octets(nil); w.Output(wire.Output{Room: 9}) })[4:]
	query := frame(25, func(w *wire.Writer) { w.U64(5); w.U64(6); w.Queries([]wire.Query{{Type: 3, Room: 9}}) })[4:]
	final := frame(46, func(w *wire.Writer) { w.U64(5); w.Output(wire.Output{Room: 9}) })[4:]
	for _, request := range [][]byte{sign, query, final} {
		answer, err := Answer(m, request, nil, nil)
		must(t, err)
		if rv := ck.RV(binary.LittleEndian.Uint64(answer[8:])); rv != ck.CKR_GENERAL_ERROR || len(answer) > 20 {
			t.Errorf("%s in %d bytes", rv, len(answer))
		}
	}
	out := bytes.Repeat([]byte{7}, 100)
	_, err := Answer(m, frame(20, func(w *wire.Writer) { w.U64(5) })[4:], out[:0], nil)
	if !errors.Is(err, ErrPanic) || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "dispatch.lying.Logout, line ") ||
		!bytes.Equal(out, make([]byte, 100)) {
		t.Errorf("%v, %x", err, out)
	}
}

// TestPanicInGrownAnswer: what was written before a panic is wiped, also where the answer has outgrown its buffer.
func TestPanicInGrownAnswer(t *testing.T) {
	var grown []byte
	breaking := func(_ int, _ uint32, _ *wire.Reader, out *wire.Writer) ck.RV {
		out.Raw(bytes.Repeat([]byte{7}, 1000))
		grown = out.Body()
		panic("secret")
	}
	_, err := answer(0, make([]byte, 4), make([]byte, 0, 100), breaking)
	if !errors.Is(err, ErrPanic) {
		t.Fatal(err)
	}
	if len(grown) < 1000 || !bytes.Equal(grown, make([]byte, len(grown))) {
		t.Errorf("%x is left", grown)
	}
}

// greedy has one long attribute, and notes how often it had to make a copy of it.
type greedy struct {
	*recorder
	length uint64
	copies *int
}

func (g greedy) GetAttributeValue(_ ck.SessionHandle, _ ck.ObjectHandle, queries []p11module.AttributeQuery) ([]p11module.AttributeResult, ck.RV) {
	results := make([]p11module.AttributeResult, len(queries))
	rv := ck.CKR_OK
	for i, q := range queries {
		results[i].Length = g.length
		switch {
		case q.Query:
		case q.Room < g.length:
			results[i].Length, rv = ck.UNAVAILABLE, ck.CKR_BUFFER_TOO_SMALL
		default:
			*g.copies++
			results[i].Value = make([]byte, g.length)
		}
	}
	return results, rv
}

func asking(n int, room uint64) []byte {
	return frame(25, func(w *wire.Writer) {
		w.U64(5)
		w.U64(6)
		w.Queries(slices.Repeat([]wire.Query{{Type: ck.CKA_VALUE, Room: room}}, n))
	})[4:]
}

// TestLongAnswer: what is too much for an answer is CKR_DEVICE_MEMORY before any of it is there.
func TestLongAnswer(t *testing.T) {
	const length = 64 << 10
	for n, want := range map[int]ck.RV{1: ck.CKR_OK, mostValues / length: ck.CKR_OK, mostValues/length + 1: ck.CKR_DEVICE_MEMORY,
		wire.MaxAttributes: ck.CKR_DEVICE_MEMORY} {
		g := greedy{newRecorder(), length, new(int)}
		answer, err := Answer(g, asking(n, wire.MaxPart), nil, nil)
		must(t, err)
		rv := ck.RV(binary.LittleEndian.Uint64(answer[8:]))
		if rv != want || rv == ck.CKR_OK && *g.copies != n || rv != ck.CKR_OK && (len(answer) != 20 || *g.copies != 0) {
			t.Errorf("%d attributes: %s in %d bytes, %d copies", n, rv, len(answer), *g.copies)
		}
		must(t, wire.WriteFrame(io.Discard, answer))
	}
}

// TestClaim: long values are paid for before they are there, and short ones in long rooms are not.
func TestClaim(t *testing.T) {
	for _, c := range []struct {
		length, room   uint64
		allowed, asked bool
		want           ck.RV
	}{
		{1000, wire.MaxPart, false, false, ck.CKR_OK},
		{100_000, wire.MaxPart, true, true, ck.CKR_OK},
		{100_000, wire.MaxPart, false, true, ck.CKR_DEVICE_MEMORY},
		{100_000, 99_999, false, false, ck.CKR_BUFFER_TOO_SMALL},
		{ck.UNAVAILABLE, ck.UNAVAILABLE - 1, false, false, ck.CKR_BUFFER_TOO_SMALL},
	} {
		g, asked := greedy{newRecorder(), c.length, new(int)}, 0
		answer, err := Answer(g, asking(2, c.room), nil, func(bytes int) bool {
			if asked = bytes; *g.copies != 0 {
				t.Error("asked too late")
			}
			return c.allowed
		})
		must(t, err)
		if rv := ck.RV(binary.LittleEndian.Uint64(answer[8:])); rv != c.want || (asked != 0) != c.asked || c.asked && asked < len(answer) {
			t.Errorf("%+v: %s in %d bytes, asked for %d", c, rv, len(answer), asked)
		}
	}
}

// deaf knows no session.
type deaf struct{ *recorder }

func (deaf) GetAttributeValue(ck.SessionHandle, ck.ObjectHandle, []p11module.AttributeQuery) ([]p11module.AttributeResult, ck.RV) {
	return nil, ck.CKR_SESSION_HANDLE_INVALID
}

// TestLongQueryOfNothing: what is wrong with a call is told before what is wrong with its rooms.
func TestLongQueryOfNothing(t *testing.T) {
	answer, err := Answer(deaf{newRecorder()}, asking(1000, wire.MaxPart), nil, nil)
	must(t, err)
	if rv := ck.RV(binary.LittleEndian.Uint64(answer[8:])); rv != ck.CKR_SESSION_HANDLE_INVALID {
		t.Error(rv)
	}
}

// TestBounds: the protocol and the module draw the line at the same place.
func TestBounds(t *testing.T) {
	if wire.MaxPart != p11module.MaxPart {
		t.Errorf("%d bytes cross in one call, the module takes %d", wire.MaxPart, p11module.MaxPart)
	}
}

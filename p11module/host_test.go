package p11module

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/token"
)

// hostBench is a host with a token in slot 0, as a daemon has it.
type hostBench struct {
	*testing.T
	host *Host
}

func newHostBench(t *testing.T, configure func(*token.Config)) *hostBench {
	t.Helper()
	dir := t.TempDir()
	config, err := token.LoadConfig(func(name string) string { return map[string]string{"ONCELEAF_DIR": dir}[name] })
	if err != nil {
		t.Fatal(err)
	}
	cheap(&config)
	if configure != nil {
		configure(&config)
	}
	host, err := OpenHost(config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &hostBench{t, host}
	first := h.client(Limits{})
	first.makeToken(0, "shared")
	first.must(first.m.Finalize(false))
	return h
}

// client is one more application.
func (h *hostBench) client(limits Limits) *bench {
	h.Helper()
	b := &bench{T: h.T, m: h.host.NewModule(h.host.Log(), limits)}
	b.Cleanup(func() { b.m.Finalize(false) })
	return b
}

// Two applications on one token: each has its login, its sessions, its session objects, its handles and its operations.
func TestApplications(t *testing.T) {
	host := newHostBench(t, nil)
	a, b := host.client(Limits{}), host.client(Limits{})
	h := a.userSession(0)
	if other := b.open(0, true); other != h {
		t.Fatal("the applications count their sessions alike, or this test shows little")
	}
	pub, priv := a.generate(h, true, h5w8)
	audit := a.audit(h, pub)
	_, private := templates(false, "session's", h5w8)
	_, sessionKey, rv := a.m.GenerateKeyPair(h, generation, nil, append(private, Attribute{Type: ck.CKA_PRIVATE, Value: truth(false)}))
	a.must(rv)

	if b.state(h) != ck.CKS_RW_PUBLIC_SESSION {
		t.Error("a login of one application logged in the other")
	}
	if found := b.find(h); len(found) != 1 || !bytes.Equal(b.value(h, found[0], ck.CKA_VALUE), a.value(h, pub, ck.CKA_VALUE)) {
		t.Errorf("found %v, want the public key of the token alone", found)
	}
	if everything := b.findAll(h); len(everything) != 1+profiles {
		t.Errorf("found %v, want the public key and the profiles", everything)
	}
	for _, key := range []ck.ObjectHandle{priv, sessionKey} {
		if rv := b.m.SignInit(h, hss, key); rv == ck.CKR_OK {
			t.Error("a handle of one application names a key for another")
		}
		b.want(ck.CKR_OBJECT_HANDLE_INVALID, b.m.DestroyObject(h, key+1+profiles))
	}

	a.must(a.m.SignInit(h, hss, priv))
	a.must(a.m.FindObjectsInit(h, nil))
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, b.m.SignUpdate(h, []byte("m")))
	_, rv = b.m.FindObjects(h, 1)
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, rv)
	b.must(b.m.SessionCancel(h, ^uint64(0)))
	signature, _, rv := a.m.Sign(h, []byte("one"), Output{Room: 1 << 20})
	a.must(rv)
	audit.check("one", signature)
	a.must(a.m.FindObjectsFinal(h))

	if info, _ := b.m.GetTokenInfo(0); info.SessionCount != 1 {
		t.Errorf("%d sessions, the other application's are not shown", info.SessionCount)
	}
	b.login(h)
	key := b.privateKey(h)
	audit.check("two", b.sign(h, key, "two"))
	audit.check("three", a.sign(h, priv, "three"))
	a.must(a.m.Logout(h))
	a.must(a.m.Login(h, uint64(ck.CKU_SO), []byte(soPIN)))
	audit.check("four", b.sign(h, key, "four")) // the SO here, the user there
	a.must(a.m.CloseAllSessions(0))
	audit.check("five", b.sign(h, key, "five"))
}

// A logout ends the operations of its own application, whose key the other goes on using.
func TestLogoutOfOneApplication(t *testing.T) {
	host := newHostBench(t, nil)
	a, b := host.client(Limits{}), host.client(Limits{})
	h, h2 := a.userSession(0), b.userSession(0)
	pub, priv := a.generate(h, true, h5w8)
	audit, key := a.audit(h, pub), b.privateKey(h2)
	a.must(a.m.SignInit(h, hss, priv))
	b.must(b.m.SignInit(h2, hss, key))
	a.must(a.m.Logout(h))
	_, _, rv := a.m.Sign(h, []byte("m"), Output{Room: 1 << 20})
	a.want(ck.CKR_OPERATION_NOT_INITIALIZED, rv)
	a.want(ck.CKR_KEY_HANDLE_INVALID, a.m.SignInit(h, hss, priv))
	signature, _, rv := b.m.Sign(h2, []byte("m"), Output{Room: 1 << 20})
	b.must(rv)
	audit.check("m", signature)
	if left := b.remaining(h2, key); left != 31 {
		t.Errorf("%d leaves are left, want 31", left)
	}
}

// The end of an application: its sessions go, and nothing else.
func TestApplicationEnds(t *testing.T) {
	host := newHostBench(t, nil)
	a, b := host.client(Limits{}), host.client(Limits{})
	h, h2 := a.userSession(0), b.userSession(0)
	_, priv := a.generate(h, true, h5w8)
	key := b.privateKey(h2)
	a.want(ck.CKR_CRYPTOKI_ALREADY_INITIALIZED, a.m.Initialize(nil))
	if a.m.Sessions() != 1 || b.m.Sessions() != 1 {
		t.Errorf("%d and %d sessions", a.m.Sessions(), b.m.Sessions())
	}
	a.must(a.m.Finalize(false))
	a.want(ck.CKR_CRYPTOKI_NOT_INITIALIZED, a.m.Finalize(false))
	a.want(ck.CKR_CRYPTOKI_NOT_INITIALIZED, a.m.SignInit(h, hss, priv))
	b.sign(h2, key, "m")
	if got := host.host.Status(); len(got) != 1 || got[0].Users != 1 || got[0].Sessions != 1 || got[0].Label != "shared" || a.m.Sessions() != 0 {
		t.Errorf("%+v", got)
	}
	b.must(b.m.Finalize(false))
	if got := host.host.Status(); got[0].Users != 0 || got[0].Seats != 0 || got[0].Lingering {
		t.Errorf("%+v", got)
	}
}

// C_InitToken is refused while any application has a session, before it tries the PIN.
func TestInitTokenBesideApplications(t *testing.T) {
	host := newHostBench(t, nil)
	a, b := host.client(Limits{}), host.client(Limits{})
	h := a.open(0, true)
	for range 12 { // more than a PIN has tries
		b.want(ck.CKR_SESSION_EXISTS, b.m.InitToken(0, []byte("wrong"), b.label("again")))
	}
	a.must(a.m.CloseSession(h))
	b.must(b.m.InitToken(0, []byte(soPIN), b.label("again")))
	a.want(ck.CKR_USER_PIN_NOT_INITIALIZED, a.m.Login(a.open(0, true), uint64(ck.CKU_USER), []byte(userPIN)))
}

// What one application destroys is gone for the other, and so are its handles when there are many.
func TestDestroyedElsewhere(t *testing.T) {
	host := newHostBench(t, nil)
	a, b := host.client(Limits{Objects: 8}), host.client(Limits{})
	h, h2 := a.userSession(0), b.userSession(0)
	for range 20 {
		pub, priv := b.generate(h2, true, h5w8)
		mine := a.privateKey(h)
		b.must(b.m.DestroyObject(h2, priv))
		a.want(ck.CKR_KEY_HANDLE_INVALID, a.m.SignInit(h, hss, mine))
		a.want(ck.CKR_OBJECT_HANDLE_INVALID, a.m.DestroyObject(h, mine))
		a.find(h)
		b.must(b.m.DestroyObject(h2, pub))
	}
	if kept := len(a.m.library.handles.objects); kept > 8 || kept != len(a.m.library.handles.byName) {
		t.Errorf("%d handles are kept, %d by name", kept, len(a.m.library.handles.byName))
	}
}

func TestSessionLimit(t *testing.T) {
	host := newHostBench(t, nil)
	a, b := host.client(Limits{Sessions: 2, Objects: 2, SessionKeys: 1}), host.client(Limits{})
	a.makeToken(1, "second")
	h := a.open(0, true)
	a.open(1, false)
	for slot := range ck.SlotID(2) {
		_, rv := a.m.OpenSession(slot, ck.CKF_SERIAL_SESSION)
		a.want(ck.CKR_SESSION_COUNT, rv)
	}
	b.open(0, true)
	a.generate(a.sessionOf(h), false, h5w8)
	public, private := templates(false, "too many", large)
	_, _, rv := a.m.GenerateKeyPair(h, generation, public, private)
	a.want(ck.CKR_DEVICE_MEMORY, rv)
	a.must(a.m.CloseAllSessions(0))
	a.open(0, true)
}

// sessionOf logs the user in.
func (b *bench) sessionOf(h ck.SessionHandle) ck.SessionHandle {
	b.login(h)
	return h
}

// What parts of messages take is counted over all sessions of an application, and given back however it ends.
func TestMemoryLimit(t *testing.T) {
	host := newHostBench(t, nil)
	var total atomic.Int64
	limits := Limits{
		Memory:  1000,
		Claim:   func(n int64) bool { return total.Add(n) <= 1500 || total.Add(-n) < 0 },
		Release: func(n int64) { total.Add(-n) },
	}
	a, b := host.client(limits), host.client(limits)
	h, h2 := a.userSession(0), a.open(0, true)
	pub, priv := a.generate(h, true, h5w8)
	part := make([]byte, 400)
	a.must(a.m.SignInit(h, hss, priv))
	a.must(a.m.VerifyInit(h2, hss, pub))
	a.must(a.m.SignUpdate(h, part))
	a.must(a.m.VerifyUpdate(h2, part))
	a.want(ck.CKR_DEVICE_MEMORY, a.m.SignUpdate(h, part)) // ends the operation
	a.want(ck.CKR_OPERATION_NOT_INITIALIZED, a.m.SignUpdate(h, part))
	a.must(a.m.VerifyUpdate(h2, part))

	other := b.userSession(0)
	b.must(b.m.SignInit(other, hss, b.privateKey(other)))
	b.must(b.m.SignUpdate(other, part))
	b.want(ck.CKR_DEVICE_MEMORY, b.m.SignUpdate(other, part)) // of both applications
	a.want(ck.CKR_SIGNATURE_LEN_RANGE, a.m.VerifyFinal(h2, nil))
	if got := total.Load(); got != 0 {
		t.Errorf("%d bytes are still claimed", got)
	}
	for _, end := range []func(){
		func() { _, _, rv := a.m.SignFinal(h, Output{Room: 1 << 20}); a.must(rv) },
		func() { _, _, rv := a.m.Sign(h, nil, Output{Room: 1 << 20}); a.want(ck.CKR_OPERATION_ACTIVE, rv) },
		func() { a.must(a.m.SessionCancel(h, ck.CKF_SIGN)) },
		func() { a.want(ck.CKR_ARGUMENTS_BAD, a.m.BadArguments(h, ck.CKF_SIGN)) },
		func() { a.must(a.m.Logout(h)); a.login(h) },
		func() { a.want(ck.CKR_DATA_LEN_RANGE, a.m.SignUpdate(h, make([]byte, MaxPart+1))) },
		func() { a.must(a.m.CloseSession(h)) },
		func() { a.must(a.m.Finalize(false)) },
	} {
		if a.m.SignInit(h, hss, priv) == ck.CKR_KEY_HANDLE_INVALID { // after the logout
			priv = a.privateKey(h)
			a.must(a.m.SignInit(h, hss, priv))
		}
		a.must(a.m.SignUpdate(h, part))
		if got := total.Load(); got != 400 {
			t.Fatalf("%d bytes are claimed, want 400", got)
		}
		end()
		if got := total.Load(); got != 0 {
			t.Fatalf("%d bytes are still claimed", got)
		}
		if a.m.CloseSession(h) != ck.CKR_CRYPTOKI_NOT_INITIALIZED {
			h = a.open(0, true)
		}
	}
}

// Session objects and searches count as well, however they end.
func TestMemoryOfObjects(t *testing.T) {
	host := newHostBench(t, nil)
	var total atomic.Int64
	a := host.client(Limits{
		Memory: 180_000,
		Claim:  func(n int64) bool { total.Add(n); return true }, Release: func(n int64) { total.Add(-n) },
	})
	h := a.userSession(0)
	pub, _ := a.generate(h, true, h5w8)
	value := a.value(h, pub, ck.CKA_VALUE)
	if got := total.Load(); got != 0 {
		t.Fatalf("%d bytes are claimed for token objects", got)
	}
	create := func(label int) (ck.ObjectHandle, ck.RV) {
		return a.m.CreateObject(h, []Attribute{
			{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PUBLIC_KEY)}, {Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_HSS)},
			{Type: ck.CKA_VALUE, Value: value}, {Type: ck.CKA_LABEL, Value: make([]byte, label)},
		})
	}
	relabel := func(object ck.ObjectHandle, label int) ck.RV {
		return a.m.SetAttributeValue(h, object, []Attribute{{Type: ck.CKA_LABEL, Value: make([]byte, label)}})
	}
	small, rv := create(1)
	a.must(rv)
	first := total.Load()
	for range 2 {
		_, rv = create(60_000)
		a.must(rv)
	}
	_, rv = create(60_000)
	a.want(ck.CKR_DEVICE_MEMORY, rv)
	full := total.Load()
	a.must(relabel(small, 40_000))
	if got := total.Load(); got != full+39_999 {
		t.Errorf("%d bytes are claimed, want %d", got, full+39_999)
	}
	a.want(ck.CKR_DEVICE_MEMORY, relabel(small, 40_001)) // both are there for a moment
	a.must(a.m.DestroyObject(h, small))
	if got := total.Load(); got != full-first {
		t.Errorf("%d bytes are claimed, want %d", got, full-first)
	}
	a.must(a.m.FindObjectsInit(h, nil))
	if got := total.Load(); got != full-first+(4+profiles)*handleSize {
		t.Errorf("%d bytes are claimed, want those of a search too", got)
	}
	a.must(a.m.CloseSession(h))
	if got := total.Load(); got != 0 {
		t.Errorf("%d bytes are still claimed", got)
	}
	h = a.userSession(0)
	_, rv = create(60_000)
	a.must(rv)
	a.must(a.m.FindObjectsInit(h, nil))
	a.must(a.m.Finalize(false))
	if got := total.Load(); got != 0 {
		t.Errorf("%d bytes are still claimed", got)
	}
}

// Only so many root trees grow at one time; who waits is ended with the rest.
func TestGenerationsTakeTurns(t *testing.T) {
	host := newHostBench(t, nil)
	a, b := host.client(Limits{Generations: 1}), host.client(Limits{Generations: 1})
	h := a.userSession(0)
	public, private := templates(true, "large", large)
	done := make(chan ck.RV)
	for range 3 {
		go func() { done <- third(a.m.GenerateKeyPair(h, generation, public, private)) }()
	}
	for len(a.m.library.turns) == 0 {
		time.Sleep(time.Millisecond)
	}
	b.generate(b.userSession(0), true, h5w8) // another application has turns of its own
	a.m.Cancel()
	for range 3 {
		a.want(ck.CKR_FUNCTION_CANCELED, <-done)
	}
	a.must(a.m.Finalize(false))
}

func TestMaxPart(t *testing.T) {
	b, h := newUserBench(t)
	pub, priv := b.generate(h, true, h5w8)
	b.m.library.host.config.Sign.MaxMessage = 4 * MaxPart
	long := make([]byte, MaxPart+1)
	for name, c := range map[string]struct {
		init func() ck.RV
		try  func(data []byte) ck.RV
	}{
		"Sign":         {func() ck.RV { return b.m.SignInit(h, hss, priv) }, func(d []byte) ck.RV { return third(b.m.Sign(h, d, Output{Query: true})) }},
		"SignUpdate":   {func() ck.RV { return b.m.SignInit(h, hss, priv) }, func(d []byte) ck.RV { return b.m.SignUpdate(h, d) }},
		"Verify":       {func() ck.RV { return b.m.VerifyInit(h, hss, pub) }, func(d []byte) ck.RV { return b.m.Verify(h, d, nil) }},
		"VerifyUpdate": {func() ck.RV { return b.m.VerifyInit(h, hss, pub) }, func(d []byte) ck.RV { return b.m.VerifyUpdate(h, d) }},
	} {
		b.must(c.init())
		if rv := c.try(long); rv != ck.CKR_DATA_LEN_RANGE {
			t.Errorf("%s: got %s", name, rv.Error())
		}
		if rv := c.try(nil); rv != ck.CKR_OPERATION_NOT_INITIALIZED {
			t.Errorf("%s, again: got %s", name, rv.Error())
		}
	}
	b.must(b.m.SignInit(h, hss, priv))
	b.must(b.m.SignUpdate(h, long[:MaxPart]))
	if left := b.remaining(h, priv); left != 32 {
		t.Errorf("%d leaves are left, want 32", left)
	}
}

// The flags of C_SessionCancel end what they name, and those of operations that are not offered end nothing.
func TestSessionCancel(t *testing.T) {
	b, h := newUserBench(t)
	pub, priv := b.generate(h, true, h5w8)
	begin := map[uint64]func() ck.RV{
		ck.CKF_SIGN:         func() ck.RV { return b.m.SignInit(h, hss, priv) },
		ck.CKF_VERIFY:       func() ck.RV { return b.m.VerifyInit(h, hss, pub) },
		ck.CKF_FIND_OBJECTS: func() ck.RV { return b.m.FindObjectsInit(h, nil) },
	}
	for _, end := range []func(uint64) ck.RV{
		func(flags uint64) ck.RV { return b.m.SessionCancel(h, flags) },
		func(flags uint64) ck.RV {
			b.want(ck.CKR_ARGUMENTS_BAD, b.m.BadArguments(h, flags))
			return ck.CKR_OK
		},
	} {
		for flag, init := range begin {
			b.must(init())
			b.must(end(^(ck.CKF_SIGN | ck.CKF_VERIFY | ck.CKF_FIND_OBJECTS)))
			b.want(ck.CKR_OPERATION_ACTIVE, init())
			b.must(end(flag))
			b.must(init())
			b.must(end(flag | 1<<40))
		}
	}
	b.want(ck.CKR_ARGUMENTS_BAD, b.m.BadArguments(4711, 0)) // no operation of any session
	b.want(ck.CKR_SESSION_HANDLE_INVALID, b.m.BadArguments(4711, ck.CKF_SIGN))
}

// An empty template is a value like others; one with entries, or with a length that none has, is refused.
func TestTemplatesInTemplates(t *testing.T) {
	b, h := newUserBench(t)
	for _, attribute := range []ck.AttributeType{ck.CKA_DERIVE_TEMPLATE, ck.CKA_UNWRAP_TEMPLATE} {
		for _, c := range []struct {
			nested []Attribute
			want   ck.RV
		}{
			{[]Attribute{}, ck.CKR_OK},
			{nil, ck.CKR_ATTRIBUTE_VALUE_INVALID},
			{[]Attribute{{Type: ck.CKA_TOKEN, Value: truth(true)}}, ck.CKR_TEMPLATE_INCONSISTENT},
		} {
			public, private := templates(false, "key", h5w8)
			_, key, rv := b.m.GenerateKeyPair(h, generation, public, append(private, Attribute{Type: attribute, Nested: c.nested}))
			if rv != c.want {
				t.Errorf("%s, %v: %s, want %s", attribute, c.nested, rv.Error(), c.want.Error())
			}
			if rv != ck.CKR_OK {
				continue
			}
			for _, nested := range [][]AttributeQuery{nil, {}, {{Type: ck.CKA_TOKEN}}} {
				query := AttributeQuery{Type: attribute, Output: Output{Query: nested == nil, Room: 24 * uint64(len(nested))}, Nested: nested}
				results, rv := b.m.GetAttributeValue(h, key, []AttributeQuery{query})
				b.must(rv)
				if r := results[0]; r.Length != 0 || len(r.Value) != 0 || (r.Nested == nil) != (nested == nil) || len(r.Nested) != len(nested) {
					t.Errorf("%s with %d entries: %+v", attribute, len(nested), r)
				}
			}
		}
	}
}

// A parameter that is a structure, or none at all, is not taken for absent.
func TestParametersThatAreStructures(t *testing.T) {
	b, h := newUserBench(t)
	_, priv := b.generate(h, true, h5w8)
	for _, m := range []Mechanism{
		{Type: ck.CKM_HSS, Misfit: true}, {Type: ck.CKM_HSS, Struct: &struct{}{}}, {Type: ck.CKM_HSS, Parameter: []byte{0}},
	} {
		b.want(ck.CKR_MECHANISM_PARAM_INVALID, b.m.SignInit(h, m, priv))
		m.Type = ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN
		b.want(ck.CKR_MECHANISM_PARAM_INVALID, third(b.m.GenerateKeyPair(h, m, nil, nil)))
	}
}

// A program that signs once and goes costs no root leaf while the keystore lingers.
func TestLingeringHost(t *testing.T) {
	host := newHostBench(t, func(c *token.Config) { c.Linger = time.Hour })
	first := host.client(Limits{})
	h := first.userSession(0)
	pub, _ := first.generate(h, true, h5w8, h5w8)
	audit := first.audit(h, pub)
	first.must(first.m.Finalize(false))
	for range 5 {
		b := host.client(Limits{})
		h := b.userSession(0)
		key := b.privateKey(h)
		audit.check("m", b.sign(h, key, "m"))
		if l := b.ledger(h, key); l.RootRemaining != 31 {
			t.Errorf("%d root leaves are left", l.RootRemaining)
		}
		b.must(b.m.Finalize(false))
	}
	if got := host.host.Status()[0]; !got.Lingering {
		t.Errorf("%+v", got)
	}
}

// Many applications with many threads on one key: no leaf twice, whoever comes and goes. For the race detector too.
func TestManyApplications(t *testing.T) {
	host := newHostBench(t, func(c *token.Config) { c.Linger = time.Millisecond })
	first := host.client(Limits{})
	h := first.userSession(0)
	pub, _ := first.generate(h, true, h5w8, h5w8)
	audit := first.audit(h, pub)
	var mu sync.Mutex
	var signatures [][]byte
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 3 {
				made := oneApplication(host)
				mu.Lock()
				signatures = append(signatures, made...)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	for _, signature := range signatures {
		audit.check("m", signature)
	}
	if len(signatures) != 4*3*2*5 {
		t.Errorf("%d signatures", len(signatures))
	}
}

// oneApplication signs in two threads, one of which is in the way of the other.
func oneApplication(host *hostBench) (signatures [][]byte) {
	m := host.host.NewModule(host.host.Log(), Limits{Sessions: 8, Objects: 100, SessionKeys: 2, Memory: 1 << 20, Generations: 1})
	defer m.Finalize(false)
	b := &bench{T: host.T, m: m}
	keep := b.userSession(0)
	key := b.privateKey(keep)
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			h, rv := m.OpenSession(0, ck.CKF_SERIAL_SESSION)
			for range 5 {
				signature, rv2 := b.trySign(h, key, "m")
				if rv != ck.CKR_OK || rv2 != ck.CKR_OK {
					host.Errorf("%s, %s", rv.Error(), rv2.Error())
				}
				mu.Lock()
				signatures = append(signatures, signature)
				mu.Unlock()
			}
			m.CloseSession(h)
		})
	}
	group.Wait()
	return slices.Clip(signatures)
}

// Nothing is put together for a log that does not want it.
func TestQuietCallsAreCheap(t *testing.T) {
	b := newTokenBench(t)
	h := b.open(0, true)
	if allocations := testing.AllocsPerRun(100, func() { b.m.GetSessionInfo(h) }); allocations > 4 {
		t.Errorf("%.0f allocations for a call that answers from memory", allocations)
	}
	logged, text := loggedBench(t)
	logged.m.GetInfo()
	if !strings.Contains(text.String(), "msg=C_GetInfo result=CKR_OK") {
		t.Errorf("log: %s", text)
	}
}

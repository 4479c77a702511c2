package daemon

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/wire"
)

var (
	hss  = wire.Mechanism{Form: wire.MechanismBare, Type: ck.CKM_HSS}
	room = wire.Output{Room: 1 << 20}
)

// signer is a guest or a thread: the tests ask both the same.
type signer interface {
	call(name string, arguments ...any) (ck.RV, []byte)
	must(name string, arguments ...any) []byte
	login() uint64
	open() uint64
	key(session uint64) uint64
}

func (g *guest) thread() *thread { return g.client.thread() }
func (g *guest) login() uint64   { return g.thread().login() }
func (g *guest) open() uint64    { return g.thread().open() }
func (g *guest) key(session uint64) uint64 {
	return g.thread().key(session)
}

// always takes every offer.
func always() bool { return true }

// ready is a guest that has signed twice, and is offered the next C_SignInit.
func ready(t *testing.T, b *bench) (g *guest, session, key uint64) {
	t.Helper()
	g = b.client().guest()
	session = g.login()
	key = g.key(session)
	signTwice(t, g, session, key)
	return g, session, key
}

func signTwice(t *testing.T, g *guest, session, key uint64) {
	t.Helper()
	for range 2 {
		g.must("C_SignInit", session, hss, key)
		g.must("C_Sign", session, "message", room)
	}
	w := wire.NewRequest(nil, number("C_SignInit"))
	w.Raw(body(session, hss, key))
	if !bytes.Equal(g.offered(), w.Request()[4:]) {
		t.Fatalf("% x is offered", g.offered())
	}
}

// What is offered has been begun; what is taken is signed with; each signature is another one.
func TestOfferIsTaken(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	g, session, key := ready(t, b)
	g.takes = always
	seen := map[string]bool{}
	for range 20 {
		g.must("C_SignInit", session, hss, key)
		seen[string(g.must("C_Sign", session, "message", room))] = true
	}
	if len(seen) != 20 || g.taken != 20 {
		t.Errorf("%d signatures, %d offers taken", len(seen), g.taken)
	}
}

// After an offer was made, and not taken, everything is as if nothing had been begun; after it was taken, as if the library
// had asked.
func TestOfferAndOthers(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	type state struct {
		g            *guest
		session, key uint64
	}
	cases := []struct {
		name                       string
		with                       func(*testing.T, state) ck.RV
		rejected, accepted, offers ck.RV // offers: what C_Sign says afterwards, if the offer was taken
	}{
		{"C_Sign", func(_ *testing.T, s state) ck.RV { rv, _ := s.g.call("C_Sign", s.session, "m", room); return rv },
			ck.CKR_OPERATION_NOT_INITIALIZED, ck.CKR_OK, ck.CKR_OPERATION_NOT_INITIALIZED},
		{"C_Sign for the length", func(_ *testing.T, s state) ck.RV {
			rv, _ := s.g.call("C_Sign", s.session, "m", wire.Output{Query: true})
			return rv
		}, ck.CKR_OPERATION_NOT_INITIALIZED, ck.CKR_OK, ck.CKR_OK},
		{"C_SignUpdate", func(_ *testing.T, s state) ck.RV { rv, _ := s.g.call("C_SignUpdate", s.session, "m"); return rv },
			ck.CKR_OPERATION_NOT_INITIALIZED, ck.CKR_OK, ck.CKR_OPERATION_ACTIVE},
		{"C_SignInit, asked for", func(_ *testing.T, s state) ck.RV { rv, _ := s.g.call("C_SignInit", s.session, hss, s.key); return rv },
			ck.CKR_OK, ck.CKR_OPERATION_ACTIVE, ck.CKR_OK},
		{"C_SignInit of another thread", func(_ *testing.T, s state) ck.RV {
			rv, _ := s.g.thread().call("C_SignInit", s.session, hss, s.key)
			return rv
		}, ck.CKR_OK, ck.CKR_OPERATION_ACTIVE, ck.CKR_OK},
		{"C_SignInit in another session", func(_ *testing.T, s state) ck.RV {
			rv, _ := s.g.call("C_SignInit", s.g.open(), hss, s.key)
			return rv
		}, ck.CKR_OK, ck.CKR_OK, ck.CKR_OK},
		{"C_SessionCancel", func(_ *testing.T, s state) ck.RV {
			rv, _ := s.g.call("C_SessionCancel", s.session, uint64(ck.CKF_SIGN))
			return rv
		}, ck.CKR_OK, ck.CKR_OK, ck.CKR_OPERATION_NOT_INITIALIZED},
		{"C_Logout", func(_ *testing.T, s state) ck.RV { rv, _ := s.g.call("C_Logout", s.session); return rv },
			ck.CKR_OK, ck.CKR_OK, ck.CKR_OPERATION_NOT_INITIALIZED},
		{"C_CloseSession", func(_ *testing.T, s state) ck.RV { rv, _ := s.g.call("C_CloseSession", s.session); return rv },
			ck.CKR_OK, ck.CKR_OK, ck.CKR_SESSION_HANDLE_INVALID},
		{"the end of the thread", func(t *testing.T, s state) ck.RV {
			atomic.OrUint32(s.g.Turn(), wire.TurnGone)
			wake(s.g.Turn())
			s.g.closed(s.g.socket, 2e9)
			*s.g = *s.g.guest()
			return ck.CKR_OK
		}, ck.CKR_OK, ck.CKR_OK, ck.CKR_OK},
	}
	for _, c := range cases {
		for _, taken := range []bool{false, true} {
			g, session, key := ready(t, b)
			want := c.rejected
			if taken {
				want = c.accepted
				g.takes = always
				g.must("C_SignInit", session, hss, key)
				g.takes = nil
			}
			if rv := c.with(t, state{g, session, key}); rv != want {
				t.Errorf("%s, taken %t: %v, want %v", c.name, taken, rv, want)
			}
			if rv, _ := g.call("C_Sign", session, "m", room); taken && rv != c.offers {
				t.Errorf("%s, and C_Sign after it: %v, want %v", c.name, rv, c.offers)
			}
			g.finalize()
		}
	}
}

// What another application changes is found by the next C_SignInit.
func TestOfferAndOtherApplications(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	g, _, _ := ready(t, b)
	other := b.client().thread()
	session := other.login()
	no := []wire.Attribute{{Type: ck.CKA_LABEL, Value: []byte("x")}}
	other.must("C_SetAttributeValue", session, other.key(session), no)
	if g.offered() != nil {
		t.Error("the offer stands after an attribute was changed")
	}
}

// A key that has no leaf left is not begun with; and what is begun ahead takes no leaf.
func TestOfferAndLeaves(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	g := b.client().guest()
	session := g.login()
	g.takes = always
	key := sessionKey(g, session, 1)
	for i := range 32 {
		g.must("C_SignInit", session, hss, key)
		g.must("C_Sign", session, "m", room)
		if (g.offered() == nil) != (i == 31) {
			t.Fatalf("after %d signatures %x is offered", i+1, g.offered())
		}
	}
	if rv, _ := g.call("C_SignInit", session, hss, key); rv != ck.CKR_KEY_EXHAUSTED {
		t.Error(rv)
	}
}

// Whoever makes the last signature of a key, the next C_SignInit with it says so, in every session.
func TestOfferAndLastLeaf(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	for name, last := range map[string]func(*guest, *thread, uint64, uint64){
		"another session of the thread": func(g *guest, _ *thread, session, key uint64) {
			g.must("C_SignInit", session, hss, key)
			g.must("C_Sign", session, "m", room)
		},
		"a thread without a window": func(_ *guest, th *thread, session, key uint64) {
			th.must("C_SignInit", session, hss, key)
			th.must("C_Sign", session, "m", room)
		},
	} {
		g := b.client().guest()
		session := g.login()
		key, other := sessionKey(g, session, 1), g.open()
		th := g.thread()
		for range 31 {
			g.must("C_SignInit", session, hss, key)
			g.must("C_Sign", session, "m", room)
		}
		if g.offered() == nil {
			t.Fatalf("%s: nothing is offered", name)
		}
		last(g, th, other, key)
		g.takes = always
		if rv, _ := g.call("C_SignInit", session, hss, key); rv != ck.CKR_KEY_EXHAUSTED {
			t.Errorf("%s: %v", name, rv)
		}
		g.finalize()
	}
}

// While an application ends that waits for a long call, its offers keep nobody waiting.
func TestOfferAndEnd(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	g, session, key := ready(t, b)
	th := g.thread()
	mechanism := wire.Mechanism{Form: wire.MechanismBare, Type: ck.CKM_RSA_PKCS_KEY_PAIR_GEN}
	bits := binary.LittleEndian.AppendUint64(nil, 4096)
	w := wire.NewRequest(nil, number("C_GenerateKeyPair"))
	w.Raw(body(th.open(), mechanism, []wire.Attribute{{Type: ck.CKA_MODULUS_BITS, Value: bits}}, []wire.Attribute{}))
	other := b.client().thread()
	theirs := other.login()
	if _, err := th.line.Conn().Write(w.Request()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	signTwice(t, g, session, key)
	g.control.Close()
	time.Sleep(20 * time.Millisecond)
	began := time.Now()
	other.call("C_SetAttributeValue", theirs, other.key(theirs), []wire.Attribute{{Type: ck.CKA_LABEL, Value: []byte("x")}})
	b.client()
	if took := time.Since(began); took > 300*time.Millisecond {
		t.Errorf("others waited %s", took)
	}
}

// Where calls of one session meet, nothing is begun ahead; and what has no use any more is forgotten.
func TestCourse(t *testing.T) {
	request := func(number uint32) []byte {
		w := wire.NewRequest(nil, number)
		w.U64(7)
		return w.Request()[4:]
	}
	a := &application{}
	one := a.enter(request(sign))
	if one.crossed {
		t.Error("one call crosses itself")
	}
	two := a.enter(request(signInit))
	a.leave(two, &line{}, request(signInit), wire.NewAnswer(nil, signInit).Answer(ck.CKR_OK))
	if !one.crossed || len(one.request) == 0 {
		t.Errorf("%+v", one.course)
	}
	a.leave(one, &line{}, request(sign), nil)
	if one.crossed || len(a.ahead.sessions) != 1 {
		t.Errorf("%+v, %d sessions", one.course, len(a.ahead.sessions))
	}
	other := request(number("C_GetSessionInfo"))
	a.leave(a.enter(other), &line{}, other, nil)
	if len(a.ahead.sessions) != 0 {
		t.Errorf("%d sessions", len(a.ahead.sessions))
	}
}

// sessionKey makes an HSS key of 32 leaves, or of 1,024 with two levels.
func sessionKey(s signer, session uint64, levels int) uint64 {
	public, private := templates(false, levels, 5)
	answer := s.must("C_GenerateKeyPair", session, wire.Mechanism{Form: wire.MechanismBare, Type: ck.CKM_HSS_KEY_PAIR_GEN},
		crossing(public), crossing(private))
	return binary.LittleEndian.Uint64(answer[8:])
}

// party is an application with threads, sessions and a key; two of them are asked the same things.
type party struct {
	threads  [2]signer
	renew    func() signer
	sessions [2]uint64
	key      uint64
}

func newParty(renew func() signer) *party {
	p := &party{renew: renew, threads: [2]signer{renew(), renew()}}
	p.sessions = [2]uint64{p.threads[0].login(), p.threads[0].open()}
	p.key = sessionKey(p.threads[0], p.sessions[0], 2)
	return p
}

// step does one thing and returns what it gave, as far as it has to be the same.
func (p *party) step(what, thread, s int) (rv ck.RV, answer []byte) {
	t, h := p.threads[thread], p.sessions[s]
	switch what {
	default:
		return t.call("C_SignInit", h, hss, p.key)
	case 6, 7, 8, 9, 10, 11:
		rv, answer = t.call("C_Sign", h, "message", room)
		return rv, answer[:min(len(answer), 12)] // the lengths: the signatures differ
	case 12:
		return t.call("C_Sign", h, "message", wire.Output{Query: true})
	case 13:
		return t.call("C_Sign", h, "message", wire.Output{Room: 5})
	case 14:
		return t.call("C_SignInit", h, hss, uint64(4711))
	case 15:
		return t.call("C_SignUpdate", h, "part")
	case 16:
		rv, answer = t.call("C_SignFinal", h, room)
		return rv, answer[:min(len(answer), 12)]
	case 17:
		return t.call("C_SessionCancel", h, uint64(ck.CKF_SIGN))
	case 18:
		rv, answer = t.call("C_GetSessionInfo", h)
		return rv, answer
	case 19:
		return t.call("C_Logout", h)
	case 20:
		return t.call("C_Login", h, uint64(ck.CKU_USER), userPIN)
	case 21:
		rv, _ = t.call("C_CloseSession", h)
		answer = t.must("C_OpenSession", 0, serial)
		p.sessions[s] = binary.LittleEndian.Uint64(answer)
		return rv, nil
	case 22:
		rv, _ = t.call("C_DestroyObject", h, p.key)
		_, _ = t.call("C_Login", h, uint64(ck.CKU_USER), userPIN)
		p.key = sessionKey(t, h, 2)
		return rv, nil
	case 23:
		p.threads[thread] = p.renew()
		return 0, nil
	case 24:
		return t.call("C_VerifyInit", h, hss, p.key)
	}
}

const steps = 25

// Whatever an application does, it finds the same with offers and without.
func TestOffersAreNotSeen(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	seed := rand.Uint64()
	dice := rand.New(rand.NewPCG(seed, 7))
	taken := 0
	for range 12 {
		var guests []*guest
		with, without := b.client(), b.client()
		one := newParty(func() signer {
			g := with.guest()
			g.takes = func() bool { return dice.IntN(8) > 0 }
			guests = append(guests, g)
			return g
		})
		two := newParty(func() signer { return without.thread() })
		next := [2]int{}
		for n := range 600 {
			what, thread, s := dice.IntN(steps), dice.IntN(2), dice.IntN(2)
			if dice.IntN(8) > 0 { // the thread goes on signing in its session
				what, s = next[thread], thread
				next[thread] = 6 - what
			}
			rv, answer := one.step(what, thread, s)
			want, wanted := two.step(what, thread, s)
			if rv != want || !bytes.Equal(answer, wanted) {
				t.Fatalf("seed %d, step %d (%d, thread %d, session %d): %v % x, without offers %v % x",
					seed, n, what, thread, s, rv, answer, want, wanted)
			}
		}
		for _, g := range guests {
			taken += g.taken
		}
		with.finalize()
		without.finalize()
	}
	if taken < 300 {
		t.Errorf("%d offers were taken: the test does not test", taken)
	}
	t.Logf("%d offers were taken", taken)
}

package daemon

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/dispatch"
	"github.com/onceleaf/onceleaf/internal/wire"
	"github.com/onceleaf/onceleaf/p11module"
	"github.com/onceleaf/onceleaf/token"
)

// ahead is what an application's sessions do before they are asked. A session that has made a signature begins the next one,
// with the C_SignInit that began the last one, and offers that at the window of the thread that signed: a library that
// would send this very request takes the offer, and saves a way to the daemon and back. Whoever else could see the
// difference finds that the operation was not begun: an offer is taken back before any other call of the application, but
// for signatures in other sessions, and after any call that changes what the next C_SignInit would find, of this
// application or another one.
//
// No leaf is taken for what is begun, and the signature itself is made as always.
type ahead struct {
	mu       sync.Mutex
	sessions map[uint64]*course // those that have calls under way, or have begun a signature
}

// course is what goes on in a session.
type course struct {
	session uint64
	under   int    // calls under way
	crossed bool   // some of them met: then who began what is not certain
	request []byte // the C_SignInit that began the last signature, or none
	at      *line  // at whose window the next one is offered, or nil
}

// changing are the functions with which one application changes what others find.
var changing = numbersOf("C_InitToken", "C_InitPIN", "C_SetPIN", "C_DestroyObject", "C_SetAttributeValue")

var (
	signInit = numbersOf("C_SignInit")[0]
	sign     = numbersOf("C_Sign")[0]
)

func numbersOf(names ...string) (numbers []uint32) {
	for i, f := range wire.Functions {
		if slices.Contains(names, f.Name) {
			numbers = append(numbers, uint32(i+1))
		}
	}
	return numbers
}

func (h *ahead) course(session uint64) *course {
	c := h.sessions[session]
	if c != nil {
		return c
	}
	if h.sessions == nil {
		h.sessions = map[uint64]*course{}
	}
	c = &course{session: session}
	h.sessions[session] = c
	return c
}

// visit is one call.
type visit struct {
	*course
	keysEnded uint64 // token.KeysEnded before the call
}

// quiet is a module whose C_SignInit is ahead of the application's.
type quiet struct{ *p11module.Module }

// SignInit implements dispatch.Module.
func (q quiet) SignInit(h ck.SessionHandle, with p11module.Mechanism, key ck.ObjectHandle) ck.RV {
	return q.SignInitAhead(h, with, key)
}

// enter comes before each call.
func (a *application) enter(request []byte) visit {
	a.ahead.mu.Lock()
	defer a.ahead.mu.Unlock()
	session := sessionOf(request)
	if number := wire.Function(request); number != signInit && number != sign {
		a.withdrawAll()
	}
	c := a.ahead.course(session)
	a.withdraw(c)
	c.crossed = c.crossed || c.under > 0
	c.under++
	return visit{c, token.KeysEnded()}
}

// leave comes after each call, before its answer goes.
func (a *application) leave(v visit, l *line, request, answer []byte) {
	c, number := v.course, wire.Function(request)
	if slices.Contains(changing, number) || token.KeysEnded() != v.keysEnded {
		a.everywhere()
	}
	a.ahead.mu.Lock()
	defer a.ahead.mu.Unlock()
	switch {
	case number == signInit:
		c.keep(request, answer)
	case number == sign:
		a.goOn(c, l, answer)
	default:
		a.withdrawAll()
	}
	if c.under--; c.under == 0 {
		c.crossed = false
	}
	if c.under == 0 && len(c.request) == 0 {
		delete(a.ahead.sessions, c.session)
	}
}

// keep remembers how a signature was begun.
func (c *course) keep(request, answer []byte) {
	c.request = c.request[:0]
	if len(request) <= wire.MaxOffer && succeeded(answer) {
		c.request = append(c.request, request...)
	}
}

// goOn begins the next signature of a session that has made one, if its thread has a window to offer it at. Where C_Sign told
// a length alone, the operation goes on and the next one cannot begin.
func (a *application) goOn(c *course, l *line, answer []byte) {
	if l.window == nil || c.crossed || len(c.request) == 0 || !succeeded(answer) {
		return
	}
	begun, err := dispatch.Answer(quiet{a.module}, c.request, l.begun[:0], nil)
	if errors.Is(err, dispatch.ErrPanic) {
		a.confess(err)
	}
	if err != nil || !succeeded(begun) {
		return // the application will see that for itself
	}
	if l.offers != nil {
		a.withdraw(l.offers)
	}
	l.window.propose(c.request)
	c.at, l.offers = l, c
}

// withdraw takes back what a session offers. What the library has taken was begun as if it had asked.
func (a *application) withdraw(c *course) {
	if c.at == nil {
		return
	}
	if !c.at.window.withdraw() {
		a.module.TakeBackSign(ck.SessionHandle(c.session))
	}
	c.at.offers, c.at = nil, nil
}

// withdrawAll takes all offers back and forgets what is not under way.
func (a *application) withdrawAll() {
	for session, c := range a.ahead.sessions {
		a.withdraw(c)
		c.request = c.request[:0]
		if c.under == 0 {
			delete(a.ahead.sessions, session)
		}
	}
}

// withdrawAt takes back what is offered at a window, whose thread has gone.
func (a *application) withdrawAt(l *line) {
	a.ahead.mu.Lock()
	defer a.ahead.mu.Unlock()
	if l.offers != nil {
		a.withdraw(l.offers)
	}
}

// withdrawEverywhere comes after a call that changes what other applications find, before its answer goes.
func (d *Daemon) withdrawEverywhere() {
	for _, a := range d.clients() {
		a.ahead.mu.Lock()
		a.withdrawAll()
		a.ahead.mu.Unlock()
	}
}

// sessionOf is the first number of a request, which is the session of nearly all functions. Where it is something else it
// does no harm.
func sessionOf(request []byte) uint64 {
	if len(request) < 12 {
		return 0
	}
	return binary.LittleEndian.Uint64(request[4:])
}

// succeeded says whether an answer is CKR_OK.
func succeeded(answer []byte) bool {
	return len(answer) >= 16 && ck.RV(binary.LittleEndian.Uint64(answer[8:])) == ck.CKR_OK
}

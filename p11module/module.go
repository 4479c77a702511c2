// Package p11module is PKCS#11 in Go terms: one method per C_ function, with sessions, handles, operations in progress,
// buffer rules and results. It has no C in it; the boundary to C only converts.
//
// The files follow the chapters of the standard: general, slots, sessions, objects, encrypting, messages, digesting,
// signing, verifying, keys, wrapping, random. errors.go has the one table from an error to a CK_RV.
//
// operations.go has the one machine for all operations: what begins and ends them, how a call fits what came before, and
// the rules for buffers. What an operation does is its engine's business (engines.go); keys, rights and objects are
// package token's, and algorithms package mechanism's.
//
// A Module is one application. Alone in its process it opens the token directory itself; in a daemon each client has a
// Module of its own on one Host, with its own login, sessions, session objects, handles and operations.
//
// Invariants. A length query, a buffer that is too small, an Init, an Update and a cancelled operation cost no leaf:
// lengths come from the parameters of the key, and a signature is made only when there is room for it. No signature
// leaves with an error. Of two threads that finish the same operation of one session, one does and the other gets
// CKR_OPERATION_NOT_INITIALIZED.
//
// Locks. A call holds the module's lock for reading, so that C_Finalize waits for it; opening, closing, login and
// logout of one slot wait for each other, and those that try a PIN for those of other applications too; all other locks
// are held for moments. So a signature or a key generation in one session keeps nobody else waiting, but for those who
// use the same key.
package p11module

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/token"
)

// Module is one PKCS#11 library, not initialised at first.
type Module struct {
	getenv    func(string) string
	configure func(*token.Config) // for tests: changes what was read; nil otherwise
	hosted    bool                // it came from a Host, which does without the two above and lives on

	mu      sync.RWMutex // read by every call; written by Initialize and Finalize
	library *library     // nil unless initialised
	logFile io.Closer    // of a module with a host of its own
}

// New returns a module that reads the environment of the process.
func New() *Module { return NewWithEnvironment(os.Getenv) }

// NewWithEnvironment returns a module that asks getenv for ONCELEAF_CONF, ONCELEAF_DIR, ONCELEAF_LOG, HOME and the XDG
// variables, at each Initialize. A Go library in a foreign process sees only the environment of the moment when it was
// loaded; its boundary to C can ask the process itself.
func NewWithEnvironment(getenv func(string) string) *Module { return &Module{getenv: getenv} }

// library is what lives from Initialize to Finalize.
type library struct {
	host    *Host
	log     *slog.Logger
	limits  Limits
	shared  bool // other applications are on the host
	memory  *memory
	ctx     context.Context // of long operations; Finalize ends it
	cancel  context.CancelFunc
	handles handles
	turns   chan struct{} // one place for each of limits.Generations; nil without a bound

	mu       sync.Mutex // guards what follows
	sessions map[ck.SessionHandle]*session
	last     ck.SessionHandle
	gates    map[ck.SlotID]*sync.Mutex
	seats    map[*token.Token]*token.Seat
}

// run does the work of one C_ function.
func (m *Module) run(function string, work func(*library) error) ck.RV {
	m.mu.RLock()
	defer m.mu.RUnlock()
	l := m.library
	if l == nil {
		return ck.CKR_CRYPTOKI_NOT_INITIALIZED
	}
	return l.answer(function, guarded(func() error { return work(l) }))
}

// runInSession is run for a function that has a session handle.
func (m *Module) runInSession(function string, h ck.SessionHandle, work func(*library, *session) error) ck.RV {
	return m.run(function, func(l *library) error {
		s, err := l.session(h)
		if err != nil {
			return err
		}
		return work(l, s)
	})
}

// runAhead is runInSession for what no application asked for: without a word, and not if C_Finalize waits for its turn.
func (m *Module) runAhead(h ck.SessionHandle, work func(*library, *session) error) ck.RV {
	if !m.mu.TryRLock() {
		return ck.CKR_FUNCTION_CANCELED
	}
	defer m.mu.RUnlock()
	l := m.library
	if l == nil {
		return ck.CKR_CRYPTOKI_NOT_INITIALIZED
	}
	return resultOf(guarded(func() error {
		s, err := l.session(h)
		if err != nil {
			return err
		}
		return work(l, s)
	}))
}

// answer is the result for an error, and a line in the log: what the operator has to look after as an error, a key
// that is used up as a warning, the rest for debugging. So are errors that were told just before.
func (l *library) answer(function string, err error) ck.RV {
	rv := resultOf(err)
	level := gravity(rv, err)
	if level == slog.LevelError && !l.host.said.anew(function, err) {
		level = slog.LevelDebug
	}
	switch ctx := context.Background(); {
	case !l.log.Enabled(ctx, level): // asked first: this is the way of every call
	case err == nil:
		l.log.Log(ctx, level, function, "result", rv)
	default:
		l.log.Log(ctx, level, function, "result", rv, "error", err)
	}
	return rv
}

// gravity is the level at which an answer is logged.
func gravity(rv ck.RV, err error) slog.Level {
	switch {
	case err == nil:
	case rv == ck.CKR_DEVICE_ERROR, rv == ck.CKR_GENERAL_ERROR, rv == ck.CKR_FUNCTION_FAILED,
		errors.Is(err, keystore.ErrQuarantined), errors.Is(err, keystore.ErrExternal):
		return slog.LevelError
	case rv == ck.CKR_KEY_EXHAUSTED:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// repeats keeps errors that come again and again, with every call of anybody, from filling the log.
type repeats struct {
	mu   sync.Mutex
	last map[string]time.Time // by line, when it was told last; guarded by mu
}

// Of a line that does not change, one is told in so long a time; so many different ones are remembered.
const (
	repeatAfter = 10 * time.Second
	mostRepeats = 256
)

// anew reports whether the line was not told lately, and notes that it is now.
func (r *repeats) anew(function string, err error) bool {
	line, now := fmt.Sprint(function, " ", err), time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if told, there := r.last[line]; there && now.Sub(told) < repeatAfter {
		return false
	}
	if len(r.last) >= mostRepeats {
		r.last = nil
	}
	if r.last == nil {
		r.last = map[string]time.Time{}
	}
	r.last[line] = now
	return true
}

// panicked is a bug of this program.
type panicked struct{ where string }

func (p panicked) Error() string { return "the program panicked at " + p.where }

// guarded does work and makes an error of a panic: a host process must not die of it. The text of a panic can hold
// anything, so only its type and its place are told.
func guarded(work func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked{fmt.Sprintf("%s (%T)", placeOfPanic(), p)}
		}
	}()
	return work()
}

// placeOfPanic is the innermost function on the stack of a panic that is not the runtime's.
func placeOfPanic() string {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Sprintf("%s, line %d", frame.Function, frame.Line)
		}
		if !more {
			return "an unknown place"
		}
	}
}

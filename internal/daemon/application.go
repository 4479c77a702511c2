package daemon

import (
	"crypto/subtle"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/wire"
	"github.com/onceleaf/onceleaf/p11module"
	"github.com/onceleaf/onceleaf/token"
)

// When an application ends: how long a call under way may take, and how long its answer may wait to be read.
const (
	callsEnd   = 5 * time.Second
	answersEnd = 2 * time.Second
)

// application is one client process: PKCS#11's application, with a login, sessions and session objects of its own.
type application struct {
	number  int
	cookie  [16]byte // who knows it, and is the same process, may join
	peer    peer
	since   time.Time
	module  *p11module.Module
	log     *slog.Logger
	budget  *budget
	gripes  *gripes
	limits  token.Limits
	control *line

	everywhere func() // takes back what all applications are offered

	mu      sync.Mutex // guards what follows
	ending  bool
	lines   map[*line]struct{}
	memory  int64 // bytes
	windows int

	calls sync.WaitGroup // the connections in lines
	ahead ahead
}

func newApplication(p peer, d *Daemon, control *line) *application {
	return &application{
		peer: p, since: time.Now(), log: d.log, budget: d.budget, gripes: &d.gripes, limits: d.options.Config.Limits,
		control: control, lines: map[*line]struct{}{}, everywhere: d.withdrawEverywhere,
	}
}

// is says whether a connection that shows this cookie belongs to the application: it is of the same process, which may be
// another user's by now. Where a process cannot be seen, at least the user has to be the same.
func (a *application) is(cookie [16]byte, p peer) bool {
	if subtle.ConstantTimeCompare(a.cookie[:], cookie[:]) != 1 {
		return false
	}
	if a.peer.pid == 0 || p.pid == 0 {
		return a.peer.uid == p.uid
	}
	return a.peer.pid == p.pid
}

// join takes a connection in; the status of the welcome says why not.
func (a *application) join(l *line) (status uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.ending:
		return wire.StatusNoApplication
	case len(a.lines) >= a.limits.Connections, !a.budget.take(a.peer.uid, usage{connections: 1}):
		return wire.StatusTooMany
	}
	a.lines[l] = struct{}{}
	a.calls.Add(1)
	return wire.StatusOK
}

// part is the reverse of join.
func (a *application) part(l *line) {
	a.mu.Lock()
	delete(a.lines, l)
	a.mu.Unlock()
	a.budget.giveBack(a.peer.uid, usage{connections: 1})
	a.calls.Done()
}

// takeWindow counts one more window. One application may have half of those that there are.
func (a *application) takeWindow() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.windows >= windowsMost/2 || !a.budget.take(a.peer.uid, usage{windows: 1}) {
		return false
	}
	a.windows++
	return true
}

func (a *application) giveWindow() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.windows--
	a.budget.giveBack(a.peer.uid, usage{windows: 1})
}

// claim takes memory for the application.
func (a *application) claim(bytes int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.memory+bytes > a.limits.Memory || !a.budget.take(a.peer.uid, usage{memory: bytes}) {
		return false
	}
	a.memory += bytes
	return true
}

func (a *application) release(bytes int64) {
	a.mu.Lock()
	a.memory -= bytes
	a.mu.Unlock()
	a.budget.giveBack(a.peer.uid, usage{memory: bytes})
}

// attend waits on the control connection for the end of the application: C_Finalize, whose answer it sends, or the end
// of the connection. The end of the process shuts it down (watch), even while a forked child keeps a copy open.
func (a *application) attend() {
	request, err := a.control.read(tooLong)
	finalize := err == nil && len(request) == 4 && wire.Function(request) == wire.Finalize
	if err == nil && !finalize {
		err = errProtocol
	}
	if err = protocolError(err); errors.Is(err, errProtocol) {
		a.complain(err)
	}
	rv := a.end()
	if finalize {
		_ = a.control.write(wire.NewAnswer(nil, wire.Finalize).Answer(rv)) // who is gone needs no answer
	}
}

// tooLong refuses what is no C_Finalize.
func tooLong(n int) error {
	if n > 4 {
		return errProtocol
	}
	return nil
}

// watch shuts the control connection down when the process ends, also if it has ended already. It returns what ends the
// watch.
func (a *application) watch(control *net.UnixConn) (unwatch func()) {
	pidfd, err := pidfdOf(control, a.peer)
	if errors.Is(err, errUnseen) {
		a.log.Debug("only the end of this client's connection can be seen", "error", err)
		return func() {}
	}
	if err != nil {
		a.log.Debug("this client has ended", "error", err)
		a.control.shutdown()
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		awaitEnd(pidfd)
		a.control.shutdown()
	}()
	return func() {
		_ = pidfd.Close() // which ends awaitEnd
		<-done
	}
}

// end ends the application: long calls are cancelled, the others end by themselves, and then nothing is left of its
// sessions, its session objects and its login.
func (a *application) end() ck.RV {
	a.mu.Lock()
	a.ending = true
	for l := range a.lines {
		l.shutdown()
	}
	a.mu.Unlock()
	a.module.Cancel()
	rv := a.module.Finalize(false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.calls.Wait()
	}()
	for {
		select {
		case <-done:
			return rv
		case <-time.After(answersEnd): // somebody does not read an answer
			a.hangUp()
		}
	}
}

// hangUp closes the connections of the application.
func (a *application) hangUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for l := range a.lines {
		_ = l.conn.Close()
		l.shutdown()
	}
}

// within says whether wait came to its end in time. If not, it still waits somewhere.
func within(limit time.Duration, wait func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		wait()
	}()
	select {
	case <-done:
		return true
	case <-time.After(limit):
		return false
	}
}

// complain logs what a client does wrong.
func (a *application) complain(err error) {
	if a.gripes.due(a.peer.uid) {
		a.log.Warn("a connection was closed", "error", err)
	}
}

// confess logs a bug of the daemon.
func (a *application) confess(err error) {
	if a.gripes.due(a.peer.uid) {
		a.log.Error("a call failed by a bug of this program, and its connection was closed: please report this", "error", err)
	}
}

// gripes sees to it that no user fills the log: one line a second of each.
type gripes struct {
	mu   sync.Mutex
	last map[uint32]time.Time
}

func (g *gripes) due(uid uint32) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.last[uid]) < time.Second {
		return false
	}
	if g.last == nil || len(g.last) > 1000 {
		g.last = map[uint32]time.Time{}
	}
	g.last[uid] = time.Now()
	return true
}

// isEnd says whether err is the ordinary end of a connection.
func isEnd(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// clientStatus is one client in the answer to `onceleaf daemon status`.
type clientStatus struct {
	PID         int       `json:"pid"`
	UID         uint32    `json:"uid"`
	Connections int       `json:"connections"`
	Sessions    int       `json:"sessions"`
	Since       time.Time `json:"since"`
}

func (a *application) status() clientStatus {
	a.mu.Lock()
	connections := len(a.lines) + 1
	a.mu.Unlock()
	return clientStatus{a.peer.pid, a.peer.uid, connections, a.module.Sessions(), a.since}
}

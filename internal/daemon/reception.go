package daemon

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/internal/wire"
	"github.com/onceleaf/onceleaf/p11module"
)

// accept lets connections in until the listener is closed.
func (d *Daemon) accept() {
	for {
		c, err := d.socket.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too many open files, above all: connections end, and strangers soon
			d.say(err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if d.letIn(c) != nil {
			_ = c.Close() // who it was cannot be told, or the daemon has begun to end
		}
	}
}

// letIn shows a connection to the lobby, or a user who is not admitted the door.
func (d *Daemon) letIn(c *net.UnixConn) error {
	p, err := peerOf(c, len(d.door.gids) > 0)
	if err != nil {
		return err
	}
	if !d.door.admits(p) {
		d.turnAway(c, p)
		return nil
	}
	if !d.arrive() {
		return net.ErrClosed
	}
	d.lobby.enter(c)
	go func() {
		defer d.depart()
		defer c.Close()
		d.receive(c, p)
	}()
	return nil
}

const (
	// outside is how many connections of users who are not admitted are told so at one time.
	outside = 16
	// outsideTime is how long they have for their hello.
	outsideTime = time.Second
)

// turnAway tells a user that he is not admitted, if not too many are being told. He takes no place of anybody else.
func (d *Daemon) turnAway(c *net.UnixConn, p peer) {
	d.log.Debug("a user was not admitted", "uid", p.uid, "pid", p.pid)
	select {
	case d.outside <- struct{}{}:
	default:
		_ = c.Close()
		return
	}
	go func() {
		defer func() { <-d.outside }()
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(outsideTime)) // on a closed connection the next step fails
		if _, _, _, err := wire.ReadHello(c); err == nil {
			_ = welcome(c, wire.Welcome{Status: wire.StatusNotAdmitted, Text: fmt.Sprintf("user %d is not among those whom this daemon serves", p.uid)})
		}
	}()
}

// arrive counts a connection, unless the daemon has begun to end.
func (d *Daemon) arrive() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping {
		return false
	}
	d.connections++
	return true
}

func (d *Daemon) depart() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.connections--; d.connections > 0 {
		return
	}
	d.emptied = time.Now()
	if d.idle != nil {
		d.idle.Reset(d.options.IdleExit)
	}
}

// leaveIfIdle ends the daemon if nobody has been there for long enough.
func (d *Daemon) leaveIfIdle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.connections == 0 && time.Since(d.emptied) >= d.options.IdleExit {
		d.stopping = true // from here on nobody comes in
		d.stop()
	}
}

// receive finds out what a connection is, and serves it.
func (d *Daemon) receive(c *net.UnixConn, p peer) {
	_ = c.SetDeadline(time.Now().Add(helloTime)) // on a closed connection the next step fails
	hello, version, hash, err := wire.ReadHello(c)
	if !d.lobby.leave(c) || err != nil {
		return
	}
	if w := d.otherBuild(hello, version, hash); w.Status != wire.StatusOK {
		_ = welcome(c, w)
		return
	}
	switch hello.Kind {
	case wire.KindApplication:
		d.serveApplication(c, p)
	case wire.KindJoin, wire.KindJoinWindow:
		d.serveThread(c, p, hello)
	case wire.KindOperator:
		d.serveOperator(c, p)
	}
}

// otherBuild is the welcome for a hello of another build, of which nothing can come.
func (d *Daemon) otherBuild(hello wire.Hello, version uint32, hash [32]byte) wire.Welcome {
	// An operator may be of another build: to stop the daemon that is too old is what he is there for.
	if !wire.Matches(version, hash) && (hello.Kind != wire.KindOperator || version != wire.Version) {
		return wire.Welcome{Status: wire.StatusMismatch, Text: d.mismatch(version, hash)}
	}
	return wire.Welcome{}
}

func (d *Daemon) mismatch(version uint32, hash [32]byte) string {
	own := wire.Hash()
	return fmt.Sprintf("this library speaks wire %d, table %x; the daemon (onceleafd %s, process %d) wire %d, table %x: "+
		"install both from one build and restart the daemon", version, hash[:4], d.options.Version, os.Getpid(), wire.Version, own[:4])
}

// welcome answers a hello. What follows has no time limit.
func welcome(c *net.UnixConn, w wire.Welcome) error {
	if err := c.SetDeadline(time.Now().Add(helloTime)); err != nil {
		return err
	}
	if _, err := c.Write(w.Encode()); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}

// welcomeWith welcomes one more connection, and hands the file of its window over, or none. Then nobody needs the file.
func welcomeWith(c *net.UnixConn, window *os.File) error {
	if window == nil {
		return welcome(c, wire.Welcome{})
	}
	defer window.Close()
	if err := c.SetDeadline(time.Now().Add(helloTime)); err != nil {
		return err
	}
	_, _, err := c.WriteMsgUnix(wire.Welcome{}.Encode(), unix.UnixRights(int(window.Fd())), nil)
	return errors.Join(err, c.SetDeadline(time.Time{}))
}

// confirmed waits for the client to say that it has the window. If it has not, nobody would say there that it goes.
func confirmed(c *net.UnixConn) bool {
	var octet [1]byte
	if c.SetReadDeadline(time.Now().Add(helloTime)) != nil {
		return false
	}
	n, err := c.Read(octet[:])
	return n == 1 && octet[0] == 1 && err == nil && c.SetReadDeadline(time.Time{}) == nil
}

// serveApplication is the life of an application, on its control connection.
func (d *Daemon) serveApplication(c *net.UnixConn, p peer) {
	room := usage{clients: 1, connections: 1}
	if !d.budget.take(p.uid, room) {
		_ = welcome(c, wire.Welcome{Status: wire.StatusTooMany, Text: "the daemon has as many clients as it may have ([limits] clients)"})
		return
	}
	defer d.budget.giveBack(p.uid, room)
	a := newApplication(p, d, d.newLine(c))
	rand.Read(a.cookie[:])
	if !d.admit(a) {
		_ = welcome(c, wire.Welcome{Status: wire.StatusStopping, Text: "the daemon is stopping"})
		return
	}
	defer d.dismiss(a)
	unwatch := a.watch(c)
	defer unwatch()
	a.log.Debug("a client came")
	if err := welcome(c, wire.Welcome{Cookie: a.cookie}); err != nil {
		a.log.Debug("a client went before it was welcomed", "error", err)
	}
	a.attend()
	a.log.Debug("a client went")
}

// admit gives the application its module, unless the daemon has begun to end.
func (d *Daemon) admit(a *application) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping {
		return false
	}
	d.last++
	a.number = d.last
	a.log = d.log.With("client", a.number, "pid", a.peer.pid, "uid", a.peer.uid)
	l := d.options.Config.Limits
	a.module = d.host.NewModule(a.log, p11module.Limits{
		Sessions: l.Sessions, Objects: l.Objects, SessionKeys: l.SessionKeys, Generations: 1,
		Memory: l.Memory, Claim: a.claim, Release: a.release,
	})
	d.applications[a] = struct{}{}
	d.serving.Add(1)
	return true
}

func (d *Daemon) dismiss(a *application) {
	d.mu.Lock()
	delete(d.applications, a)
	d.mu.Unlock()
	d.serving.Done()
}

// serveThread serves one more connection of an application.
func (d *Daemon) serveThread(c *net.UnixConn, p peer, hello wire.Hello) {
	l := d.newLine(c)
	a := d.find(hello.Cookie, p)
	if a == nil {
		_ = welcome(c, wire.Welcome{Status: wire.StatusNoApplication, Text: "no such application: it has ended, or belongs to another process"})
		return
	}
	var file *os.File
	if hello.Kind == wire.KindJoinWindow {
		var clear func()
		file, clear = d.furnish(a, l)
		defer clear()
	}
	if status := a.join(l); status != wire.StatusOK {
		_ = welcome(c, wire.Welcome{Status: status, Text: "the application has as many connections as it may have ([limits] connections), or ends"})
		return
	}
	defer a.part(l)
	if welcomeWith(c, file) == nil && (l.window == nil || confirmed(c)) {
		a.serve(l)
	}
}

// furnish gives a connection a window, and the file of it to hand to the client, if there are not too many. A connection
// without one is served all the same.
func (d *Daemon) furnish(a *application, l *line) (file *os.File, clear func()) {
	if !a.takeWindow() {
		return nil, func() {}
	}
	w, file, err := newWindow()
	if err != nil {
		a.log.Debug("a connection has to do without a window", "error", err)
		a.giveWindow()
		return nil, func() {}
	}
	l.window = w
	return file, func() {
		_ = file.Close() // nothing is written with it
		w.release()
		a.giveWindow()
	}
}

func (d *Daemon) find(cookie [16]byte, p peer) *application {
	d.mu.Lock()
	defer d.mu.Unlock()
	for a := range d.applications {
		if a.is(cookie, p) {
			return a
		}
	}
	return nil
}

const (
	// lobbySize is how many connections may be at their hello. The others wait in the kernel, in order.
	lobbySize = 512
	// lobbyTime is how long a connection has for its hello when others wait for its place. The library says it at once.
	lobbyTime = 250 * time.Millisecond
)

// lobby holds the connections that have not said yet what they are, oldest first.
type lobby struct {
	mu      sync.Mutex
	waiting []stranger
}

type stranger struct {
	conn  *net.UnixConn
	since time.Time
}

// enter waits for a place. In a full lobby it is that of the oldest: if newcomers were turned away, whoever fills it with
// silence would keep them out.
func (l *lobby) enter(c *net.UnixConn) {
	for !l.entered(c) {
		time.Sleep(lobbyTime / 50)
	}
}

func (l *lobby) entered(c *net.UnixConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) >= lobbySize {
		if time.Since(l.waiting[0].since) < lobbyTime {
			return false
		}
		_ = l.waiting[0].conn.Close() // its reader sees that
		l.waiting = l.waiting[1:]
	}
	l.waiting = append(l.waiting, stranger{c, time.Now()})
	return true
}

// leave says whether the connection was still there.
func (l *lobby) leave(c *net.UnixConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.IndexFunc(l.waiting, func(s stranger) bool { return s.conn == c })
	if at < 0 {
		return false
	}
	l.waiting = slices.Delete(l.waiting, at, at+1)
	return true
}

// clear closes all.
func (l *lobby) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.waiting {
		_ = s.conn.Close()
	}
	l.waiting = nil
}

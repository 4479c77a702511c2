// Package daemon is onceleafd: one token directory, served to every program of this machine that may reach its socket.
//
// Each client process is one PKCS#11 application with a module of its own (p11module.Host.NewModule), so that it cannot
// see the login, the sessions or the session objects of another. It has one control connection, whose end is the end
// of the application, and one connection per calling thread (internal/wire).
//
// Clients are not trusted: a broken frame costs its connection, and what one client can take of connections, memory and
// sessions has a limit (budget). A call that came whole is done once; if its answer cannot be delivered, it is lost.
//
// Locks: Daemon.mu > application.mu > budget.mu, all held for moments and never during a call.
package daemon

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/durable"
	"github.com/onceleaf/onceleaf/p11module"
	"github.com/onceleaf/onceleaf/token"
)

// Options are what a daemon is started with.
type Options struct {
	Config  token.Config
	Version string // of the program
	// Spawned is that a program started the daemon because it needs it: nobody reads standard error then.
	Spawned  bool
	IdleExit time.Duration // without a connection; 0: never
	Ready    *os.File      // told how the start went; nil: nobody waits
	Getenv   func(string) string

	frameTime time.Duration // of a test that cannot wait as long; 0: frameTime
}

const (
	// handover is how long a new daemon waits for an old one that is just ending: less than a library waits for it.
	handover = 8 * time.Second

	// allConnections is the most that a daemon serves at once.
	allConnections = 4096

	// otherFiles is how many descriptors the rest of the daemon may have: stores, log, poller.
	otherFiles = 64

	spawnedLog = "onceleafd.log"
)

// Daemon is a running onceleafd.
type Daemon struct {
	options Options
	log     *slog.Logger
	logFile io.Closer
	host    *p11module.Host
	socket  *socket
	door    admission
	budget  *budget
	lobby   lobby
	outside chan struct{}
	gripes  gripes
	started time.Time

	stop context.CancelFunc // begins the end
	free chan struct{}      // closed when the token directory is free again
	err  error              // of its closing; to be read after free

	serving   sync.WaitGroup // applications
	operators sync.WaitGroup

	mu           sync.Mutex // guards what follows
	stopping     bool
	connections  int // all, from accept to close
	emptied      time.Time
	idle         *time.Timer // nil: never
	last         int         // number of the last client
	applications map[*application]struct{}
	desks        map[*line]struct{} // connections of operators
}

// Run is the life of a daemon: it serves until ctx ends, an operator stops it, or nobody needed it for IdleExit, then
// parks what is in memory and gives the token directory up. A spawned daemon that finds another one at its place has
// nothing to do, which is no error.
func Run(ctx context.Context, o Options) error {
	d := &Daemon{
		options: o, started: time.Now(), free: make(chan struct{}), outside: make(chan struct{}, outside),
		applications: map[*application]struct{}{}, desks: map[*line]struct{}{},
	}
	if err := d.open(); err != nil {
		if d.needless(err) {
			return tell(o.Ready, nil) // the end of the pipe says: connect, there is one
		}
		return errors.Join(err, TellFailure(o.Ready, err))
	}
	ctx, d.stop = context.WithCancel(ctx)
	defer d.stop()
	d.serve(ctx)
	return d.close()
}

// TellFailure says on ready why there will be no daemon: "E", the CK_RV for C_Initialize, one octet of length, text.
func TellFailure(ready *os.File, err error) error {
	rv := ck.CKR_GENERAL_ERROR
	if p11module.ResultOf(err) == ck.CKR_FUNCTION_FAILED { // somebody else has the token directory
		rv = ck.CKR_FUNCTION_FAILED
	}
	text := []byte(err.Error())
	text = text[:min(len(text), 255)]
	message := binary.LittleEndian.AppendUint64([]byte("E"), uint64(rv))
	return tell(ready, append(append(message, byte(len(text))), text...))
}

// tell writes to whoever waits for the start, and lets go of it.
func tell(ready *os.File, message []byte) error {
	if ready == nil {
		return nil
	}
	_, _ = ready.Write(message) // who did not wait any longer is not told
	return ready.Close()
}

// open gets everything ready for the first connection.
func (d *Daemon) open() (err error) {
	if err := protect(); err != nil {
		return err
	}
	if err := d.configure(); err != nil {
		return err
	}
	if err := d.openLog(); err != nil {
		return err
	}
	if err := d.openDirectory(); err != nil {
		d.notStarted(err)
		return errors.Join(err, d.logFile.Close())
	}
	if err := d.openSocket(); err != nil {
		d.notStarted(err)
		return errors.Join(err, d.host.Close(), d.logFile.Close())
	}
	return nil
}

// notStarted logs why. Programs that start at the same time start a daemon each, of which one is needed.
func (d *Daemon) notStarted(err error) {
	if d.needless(err) {
		d.log.Debug("another daemon was faster")
		return
	}
	d.log.Error("couldn't start", "error", err)
}

func (d *Daemon) needless(err error) bool { return d.options.Spawned && errors.Is(err, errLiving) }

// configure takes what the configuration says, and what can be wrong about it, before anything is touched.
func (d *Daemon) configure() (err error) {
	c := &d.options.Config
	c.Linger = time.Duration(c.Daemon.Linger)
	if d.door, err = admissionOf(c.Daemon); err != nil {
		return err
	}
	o, err := ownershipOf(c.Daemon)
	if err != nil {
		return err
	}
	others := d.door.lists() || o.mode&0o077 != 0 || activated(d.options.Getenv) // whose socket has what mode it likes
	d.budget = newBudget(usage{c.Limits.Clients, connectionsFor(c.Limits.Clients), windowsMost, c.Limits.TotalMemory}, others)
	return nil
}

// connectionsFor leaves descriptors for the rest: the token's files, a lobby, and a pidfd of each client.
func connectionsFor(clients int) int {
	return min(allConnections, max(openFiles()-clients-lobbySize-otherFiles, 16))
}

func (d *Daemon) openLog() (err error) {
	c := &d.options.Config
	if err := durable.MkdirAll(c.Directory, 0o700); err != nil {
		return err
	}
	if d.options.Spawned && c.Log.File == "" {
		c.Log.File = filepath.Join(c.Directory, spawnedLog)
	}
	d.log, d.logFile, err = token.OpenLog(*c)
	return err
}

// openDirectory becomes the owner of the token directory. Another daemon that has it is either in good health, and
// then this one is not needed, or about to end.
func (d *Daemon) openDirectory() (err error) {
	c := d.options.Config
	for deadline := time.Now().Add(handover); ; {
		if !activated(d.options.Getenv) && living(c.SocketPath()) {
			return fmt.Errorf("couldn't serve %s at %s: %w", c.Directory, c.SocketPath(), errLiving)
		}
		d.host, err = p11module.OpenHost(c, d.log)
		if p11module.ResultOf(err) != ck.CKR_FUNCTION_FAILED || !ownerIsDaemon(c.Directory) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(25 * time.Millisecond)
	}
}

// ownerIsDaemon reads the note that the owner of the directory leaves in it: a number and a program. An empty one is an
// owner that comes or goes.
func ownerIsDaemon(directory string) bool {
	text, err := os.ReadFile(filepath.Join(directory, "onceleaf.lock"))
	if err != nil {
		return false
	}
	note := strings.TrimSpace(string(text))
	return note == "" || filepath.Base(note) == "onceleafd"
}

func (d *Daemon) openSocket() (err error) {
	c := d.options.Config
	if d.socket, err = handed(d.options.Getenv); d.socket != nil || err != nil {
		return err
	}
	o, err := ownershipOf(c.Daemon)
	if err != nil {
		return err
	}
	if d.door.lists() && o.mode&0o077 == 0 {
		d.log.Warn("the mode of the socket keeps the users and groups of the lists out", "mode", fmt.Sprintf("%04o", o.mode))
	}
	d.socket, err = claim(c.SocketPath(), o, max(time.Duration(c.OwnerWait), time.Second))
	return err
}

// serve lets clients in until ctx ends.
func (d *Daemon) serve(ctx context.Context) {
	d.mu.Lock()
	d.emptied = time.Now()
	if wait := d.options.IdleExit; wait > 0 {
		d.idle = time.AfterFunc(wait, d.leaveIfIdle)
	}
	d.mu.Unlock()
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		d.accept()
	}()
	d.say(tell(d.options.Ready, []byte("R")))
	d.notify("READY=1\nSTATUS=serving " + d.options.Config.Directory)
	d.log.Info("the daemon serves", "directory", d.options.Config.Directory, "socket", d.socket.path, "process", os.Getpid())
	<-ctx.Done()
	d.notify("STOPPING=1")
	d.mu.Lock()
	d.stopping = true
	d.mu.Unlock()
	d.say(d.socket.giveUp())
	<-accepting
}

// notify tells systemd. The variables of a spawned daemon are those of its client, which may be a service itself.
func (d *Daemon) notify(state string) {
	if !d.options.Spawned {
		d.say(notify(d.options.Getenv, state))
	}
}

// say logs what went wrong beside the way.
func (d *Daemon) say(err error) {
	if err != nil {
		d.log.Warn("something went wrong that the daemon can do without", "error", err)
	}
}

// close ends every application, parks what is in memory, and gives the token directory up.
func (d *Daemon) close() error {
	d.lobby.clear()
	d.dismissAll()
	if !within(callsEnd+answersEnd, d.serving.Wait) {
		d.log.Error("a call did not end; the token directory is closed all the same, and the call fails")
	}
	d.err = d.host.Close()
	close(d.free)
	within(time.Second, d.operators.Wait) // those who stopped the daemon get their answer
	if d.err != nil {
		return errors.Join(fmt.Errorf("couldn't close %s in order: %w", d.options.Config.Directory, d.err), d.logFile.Close())
	}
	d.log.Info("the daemon ended; everything is parked", "directory", d.options.Config.Directory)
	return d.logFile.Close()
}

// dismissAll makes each control connection see its end. An application that is just beginning sees that stopping is
// set.
func (d *Daemon) dismissAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for a := range d.applications {
		a.control.shutdown()
	}
	for l := range d.desks {
		l.shutdown()
	}
}

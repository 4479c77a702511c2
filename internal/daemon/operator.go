package daemon

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/wire"
	"github.com/onceleaf/onceleaf/token"
)

// operatorTime is how long an operator's connection may be silent.
const operatorTime = time.Minute

// status is the answer to `onceleaf daemon status`.
type status struct {
	Version   string         `json:"version"`
	PID       int            `json:"pid"`
	Directory string         `json:"directory"`
	Socket    string         `json:"socket"`
	Started   time.Time      `json:"started"`
	Wire      int            `json:"wire"`
	Table     string         `json:"table"`
	Clients   []clientStatus `json:"clients"`
	Tokens    []token.Status `json:"tokens"`
	Memory    memoryStatus   `json:"memory"`
	IdleExit  string         `json:"idleExit"`
}

type memoryStatus struct {
	Heap     uint64 `json:"heap"`     // bytes
	InFlight int64  `json:"inFlight"` // bytes of clients' frames and gathered parts
}

// serveOperator answers status and stop. Whoever is admitted may ask; who may stop the daemon could kill it as well.
func (d *Daemon) serveOperator(c *net.UnixConn, p peer) {
	room := usage{connections: 1}
	if !d.budget.take(p.uid, room) {
		_ = welcome(c, wire.Welcome{Status: wire.StatusTooMany, Text: "the daemon has as many connections as it may have"})
		return
	}
	defer d.budget.giveBack(p.uid, room)
	l := d.newLine(c)
	if !d.sitDown(l) {
		_ = welcome(c, wire.Welcome{Status: wire.StatusStopping, Text: "the daemon is stopping"})
		return
	}
	defer d.getUp(l)
	if err := welcome(c, wire.Welcome{}); err != nil {
		return
	}
	for d.operate(l, p) == nil {
	}
}

func (d *Daemon) sitDown(l *line) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping {
		return false
	}
	d.desks[l] = struct{}{}
	d.operators.Add(1)
	return true
}

func (d *Daemon) getUp(l *line) {
	d.mu.Lock()
	delete(d.desks, l)
	d.mu.Unlock()
	d.operators.Done()
}

// operate answers one request of an operator.
func (d *Daemon) operate(l *line, p peer) error {
	if err := l.conn.SetReadDeadline(time.Now().Add(operatorTime)); err != nil {
		return err
	}
	request, err := l.read(tooLong)
	if err != nil {
		return err
	}
	number := wire.Function(request)
	w := wire.NewAnswer(nil, number)
	switch number {
	case wire.Status:
		return l.write(w.Answer(d.putStatus(w, p)))
	case wire.Stop:
		return l.write(w.Answer(d.stopFor(p)))
	}
	return fmt.Errorf("%w: an operator asks for function %#x", errProtocol, number)
}

func (d *Daemon) putStatus(w *wire.Writer, p peer) ck.RV {
	if d.door.operates(p) {
		runtime.GC() // so that the number says what is in use; others could make the daemon do nothing else
	}
	text, err := json.Marshal(d.status())
	if err != nil {
		d.log.Error("couldn't tell the status", "error", err)
		return ck.CKR_GENERAL_ERROR
	}
	w.Raw(text)
	return ck.CKR_OK
}

func (d *Daemon) status() status {
	hash := wire.Hash()
	s := status{
		Version: d.options.Version, PID: os.Getpid(), Directory: d.options.Config.Directory, Socket: d.socket.path,
		Started: d.started, Wire: wire.Version, Table: fmt.Sprintf("%x", hash[:4]), Clients: []clientStatus{},
		Tokens: append([]token.Status{}, d.host.Status()...), Memory: memoryStatus{heap(), d.budget.inUse().memory}, IdleExit: d.options.IdleExit.String(),
	}
	for _, a := range d.clients() {
		s.Clients = append(s.Clients, a.status())
	}
	return s
}

func (d *Daemon) clients() (all []*application) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for a := range d.applications {
		all = append(all, a)
	}
	return all
}

// heap is what objects take, in bytes.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// stopFor ends the daemon and returns when the token directory is free.
func (d *Daemon) stopFor(p peer) ck.RV {
	if !d.door.operates(p) {
		if d.gripes.due(p.uid) {
			d.log.Warn("a user who may not stop the daemon tried to", "uid", p.uid, "pid", p.pid)
		}
		return ck.CKR_ACTION_PROHIBITED
	}
	d.log.Info("an operator stops the daemon", "uid", p.uid, "pid", p.pid)
	d.stop()
	<-d.free
	if d.err != nil {
		return ck.CKR_GENERAL_ERROR
	}
	return ck.CKR_OK
}

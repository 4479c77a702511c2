package daemon

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/dispatch"
	"github.com/onceleaf/onceleaf/internal/wire"
)

const (
	helloTime = 5 * time.Second
	frameTime = 30 * time.Second // for a frame under way, and a second more for each MiB of it

	small = 64 << 10 // bytes: what a connection may have in a frame without being charged for it
	kept  = 16 << 10 // bytes: what it keeps between calls
)

// errProtocol is that a peer broke the rules of the protocol. What it sends then means nothing.
var errProtocol = errors.New("the client broke the protocol")

// line is a connection after its hello: frames in, frames out. One call at a time uses it.
type line struct {
	conn   *net.UnixConn
	window *window       // in which the frames cross that fit into it, or nil
	time   time.Duration // for a frame under way, beside what its size needs
	// what has come and was not read yet is early[from:to]: a small request comes in one piece
	early    [4096]byte
	from, to int
	// buffers of a request and its answer
	request, answer []byte

	offers *course  // what the window offers, or nil; guarded by the lock of the application's ahead
	begun  [16]byte // the answer to what is begun ahead
}

func (d *Daemon) newLine(c *net.UnixConn) *line {
	return &line{conn: c, time: cmp.Or(d.options.frameTime, frameTime)}
}

// Read implements io.Reader.
func (l *line) Read(p []byte) (int, error) {
	if l.from == l.to {
		return l.conn.Read(p)
	}
	n := copy(p, l.early[l.from:l.to])
	l.from += n
	return n, nil
}

// read waits for a request as long as it takes. limit is as for wire.ReadFrame; it has nothing to do with what crosses in
// a window.
func (l *line) read(limit func(n int) error) ([]byte, error) {
	if l.window == nil {
		return l.readSocket(limit)
	}
	if err := l.window.await(); err != nil {
		return nil, err
	}
	if frame, err := l.window.take(l.request[:0]); frame != nil || err != nil {
		return frame, err
	}
	return l.readSocket(limit)
}

// readSocket reads a request that has to come to its end once it has begun.
func (l *line) readSocket(limit func(n int) error) ([]byte, error) {
	n, err := l.conn.Read(l.early[:])
	if err != nil {
		return nil, err
	}
	l.from, l.to = 0, n
	whole := n >= 4 && l.announced() == n-4
	if !whole {
		err = l.conn.SetReadDeadline(time.Now().Add(l.patience(l.announced())))
	}
	frame, readErr := wire.ReadFrame(l, l.request, limit)
	if !whole {
		err = errors.Join(err, l.conn.SetReadDeadline(time.Time{}))
	}
	if readErr == nil && l.from != l.to {
		readErr = fmt.Errorf("%w: a request came before the answer to the one before", errProtocol)
	}
	if readErr != nil {
		err = readErr
	}
	return frame, err
}

// announced is the size of the frame that begins in early, 0 if that is not known yet.
func (l *line) announced() int {
	if l.to < 4 {
		return 0
	}
	return int(binary.LittleEndian.Uint32(l.early[:]))
}

func (l *line) patience(size int) time.Duration {
	return l.time + time.Duration(min(size, wire.MaxFrame)>>20)*time.Second
}

// write sends an answer. A peer that does not read it loses its connection.
func (l *line) write(answer []byte) error {
	if l.window != nil && l.window.give(answer) {
		return nil
	}
	if err := l.conn.SetWriteDeadline(time.Now().Add(l.patience(len(answer)))); err != nil {
		return err
	}
	return wire.WriteFrame(l.conn, answer)
}

// wipe forgets a call: PINs and secrets are in requests, signatures in answers.
func (l *line) wipe(request, answer []byte) {
	clear(l.early[:l.to])
	clear(request[:cap(request)])
	clear(answer[:cap(answer)])
	l.request, l.answer = keep(request), keep(answer)
}

func keep(buf []byte) []byte {
	if cap(buf) > kept {
		return nil
	}
	return buf[:0]
}

// shutdown makes the reader of the connection see its end; an answer under way still goes out.
func (l *line) shutdown() {
	_ = l.conn.CloseRead()
	if l.window != nil {
		l.window.end()
	}
}

// function is what the daemon needs to know of a row of wire's table.
type function struct {
	ends   uint64 // operations that end with a call that fails
	query  bool   // results are in every answer
	output bool   // octets come out that cannot be had twice
	long   bool   // it works for milliseconds or more
}

// long are the functions that make keys or compute a PIN's hash.
var long = []string{"C_InitToken", "C_InitPIN", "C_SetPIN", "C_Login", "C_LoginUser", "C_GenerateKey", "C_GenerateKeyPair"}

// functions are by number.
var functions = func() map[uint32]function {
	all := map[uint32]function{}
	for i, f := range wire.Functions {
		kind := func(k wire.Kind) bool {
			return slices.ContainsFunc(f.Args, func(a wire.Arg) bool { return a.Kind == k })
		}
		all[uint32(i+1)] = function{f.Ends, kind(wire.ArgQuery), kind(wire.ArgOut) || kind(wire.ArgOutOrNone), slices.Contains(long, f.Name)}
	}
	return all
}()

// errTooMuch is that a request or an answer does not fit into the memory that the client may use.
var errTooMuch = errors.New("the client's memory is used up")

// serve answers the calls of one thread until the connection ends.
func (a *application) serve(l *line) {
	if l.window != nil {
		defer l.window.settle()()
		defer a.withdrawAt(l)
	}
	for {
		err := a.call(l)
		if err == nil {
			continue
		}
		switch {
		case errors.Is(err, dispatch.ErrPanic):
			a.confess(err)
		case errors.Is(err, errProtocol):
			a.complain(err)
		}
		return
	}
}

// call does one call. An error ends the connection, and nothing but the connection.
func (a *application) call(l *line) error {
	charged := charge{application: a}
	defer charged.end()
	request, err := l.read(charged.upTo)
	tooMuch := errors.Is(err, errTooMuch)
	if err != nil && !tooMuch {
		return protocolError(err)
	}
	if l.window != nil && functions[wire.Function(request)].long {
		_ = l.window.roam() // or it stays where the client is
	}
	var answer []byte
	defer func() { l.wipe(request, answer) }()
	claim := charged.beside()
	if answer, err = a.do(l, request, tooMuch, claim); err != nil {
		return err
	}
	if !claim(len(answer)) && !functions[wire.Function(request)].output {
		clear(answer)
		answer = a.refuse(request, nil)
	}
	return l.write(answer)
}

// protocolError tells what a client did wrong from what happens when it ends.
func protocolError(err error) error {
	var network net.Error
	switch {
	case errors.Is(err, errProtocol), errors.As(err, &network), errors.Is(err, net.ErrClosed), isEnd(err):
		return err
	}
	return fmt.Errorf("%w: %w", errProtocol, err)
}

// do answers a request, or refuses one that was too much.
func (a *application) do(l *line, request []byte, tooMuch bool, claim func(bytes int) bool) (answer []byte, err error) {
	v := a.enter(request)
	defer func() { a.leave(v, l, request, answer) }()
	if tooMuch {
		return a.refuse(request, l.answer), nil
	}
	return a.answer(request, l.answer, claim)
}

// answer lets the module answer.
func (a *application) answer(request, buf []byte, claim func(bytes int) bool) ([]byte, error) {
	answer, err := dispatch.Answer(a.module, request, buf[:0], claim)
	if errors.Is(err, dispatch.ErrPanic) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProtocol, err)
	}
	return answer, nil
}

// refuse is the answer to a request that does not fit into memory. It ends the operation that the request was part of,
// as any other failure of it would.
func (a *application) refuse(request, buf []byte) []byte {
	number := wire.Function(request)
	f := functions[number]
	if f.ends != 0 && len(request) >= 12 {
		w := wire.NewRequest(nil, wire.Refuse)
		w.Raw(request[4:12]) // the session
		w.U64(f.ends)
		_, _ = a.answer(w.Request()[4:], nil, nil) // that the session is not there either changes nothing
	}
	w := wire.NewAnswer(buf, number)
	if f.query {
		w.U32(0) // no results
	}
	return w.Answer(ck.CKR_DEVICE_MEMORY)
}

// charge is what one call has taken of its client's memory.
type charge struct {
	*application
	taken int64
}

// upTo charges for n bytes in all. The first ones are free: every connection may have them.
func (c *charge) upTo(n int) error {
	more := int64(n) - small - c.taken
	if more <= 0 {
		return nil
	}
	if !c.claim(more) {
		return errTooMuch
	}
	c.taken += more
	return nil
}

// beside gives what charges for n bytes in all beside what was taken so far.
func (c *charge) beside() (claim func(n int) bool) {
	before := int(c.taken)
	return func(n int) bool { return c.upTo(before+n) == nil }
}

func (c *charge) end() {
	if c.taken > 0 {
		c.release(c.taken)
	}
}

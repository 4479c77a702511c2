package softhsmtests

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/wire"
)

// liar is a server in the daemon's place. It answers each call with success and nonsense of the right form, of which some
// part is then spoiled.
type liar struct {
	t       *testing.T
	good    atomic.Int64
	spoiled atomic.Int64
	windows atomic.Int64

	mu   sync.Mutex
	dice *rand.Rand // guarded by mu
}

// n is a random number below the limit.
func (l *liar) n(limit int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dice.IntN(limit)
}

// octets are random, with a random length up to most.
func (l *liar) octets(most int) []byte {
	b := make([]byte, l.n(most+1))
	for i := range b {
		b[i] = byte(l.n(256))
	}
	return b
}

// serve accepts until the listener is closed.
func (l *liar) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			l.converse(conn)
		}()
	}
}

func (l *liar) converse(socket net.Conn) {
	hello, _, _, err := wire.ReadHello(socket)
	if err != nil {
		return
	}
	welcome := wire.Welcome{Text: "welcome"}.Encode()
	if l.n(50) == 0 {
		welcome = l.badWelcome(welcome)
	}
	conn, end, err := l.welcome(socket.(*net.UnixConn), hello.Kind, welcome)
	defer end()
	if err != nil {
		return
	}
	for {
		request, err := wire.ReadFrame(conn, nil, nil)
		if err != nil {
			return
		}
		frame := l.answer(wire.Function(request), request[4:])
		if l.n(20) == 0 {
			l.spoiled.Add(1)
			if !l.spoil(conn, frame) {
				return
			}
			continue
		}
		l.good.Add(1)
		if _, err := conn.Write(frame); err != nil {
			return
		}
	}
}

// badWelcome is a welcome of which nothing good can come. It is none that asks to try again.
func (l *liar) badWelcome(welcome []byte) []byte {
	switch l.n(5) {
	case 0:
		welcome[l.n(8)] ^= 1 // not ours
	case 1:
		welcome[8]++ // another version
	case 2:
		welcome[16+l.n(32)] ^= 1 // other tables
	case 3:
		refusals := []byte{1, 2, 3, 4, 6, 7, 255}
		welcome[12] = refusals[l.n(len(refusals))]
	default:
		copy(welcome[64:], l.octets(192)) // a text that is none
		welcome[12] = 2
	}
	return welcome
}

// answer is a whole frame with the size in front.
func (l *liar) answer(function uint32, body []byte) []byte {
	rv, w := ck.CKR_OK, wire.NewAnswer(nil, function)
	if function == 0 || function > uint32(len(wire.Functions)) || function == wire.Finalize {
		return w.Answer(ck.CKR_ARGUMENTS_BAD)
	}
	row := wire.Functions[function-1]
	switch l.n(8) {
	case 0:
		errors := []ck.RV{ck.CKR_GENERAL_ERROR, ck.CKR_SESSION_HANDLE_INVALID, ck.CKR_DEVICE_ERROR, ck.CKR_FUNCTION_CANCELED}
		rv = errors[l.n(len(errors))]
	case 1:
		rv = ck.CKR_BUFFER_TOO_SMALL
	}
	r := wire.NewReader(body)
	for _, arg := range row.Args {
		l.argument(arg.Kind, r, w, rv)
	}
	if err := r.Done(); err != nil {
		l.t.Errorf("%s: the library's request is wrong: %v", row.Name, err)
	}
	return w.Answer(rv)
}

// argument reads what came for one argument, and writes the answer to it.
func (l *liar) argument(kind wire.Kind, r *wire.Reader, w *wire.Writer, rv ck.RV) {
	switch kind {
	case wire.ArgSession, wire.ArgSlot, wire.ArgObject, wire.ArgNumber:
		r.U64()
	case wire.ArgBool:
		r.Bool()
	case wire.ArgLabel:
		r.Raw(32)
	case wire.ArgIn, wire.ArgInGiven:
		r.Octets()
	case wire.ArgTemplate:
		r.Attributes()
	case wire.ArgMechanism, wire.ArgMechanismOrNull, wire.ArgWrapMechanism:
		r.Mechanism(kind == wire.ArgMechanismOrNull)
	case wire.ArgQuery:
		w.Results(l.results(r.Queries(), rv))
	case wire.ArgOut:
		l.output(r.Output(), w, rv)
	case wire.ArgFound:
		l.numbers(w, rv, int(r.U64()))
	case wire.ArgList:
		l.numbers(w, rv, 20)
	case wire.ArgRandom:
		if n := r.U64(); rv == ck.CKR_OK {
			w.Octets(make([]byte, n))
		}
	case wire.ArgNewSession, wire.ArgNewObject, wire.ArgOutNumber:
		if rv == ck.CKR_OK {
			w.U64(uint64(l.n(1 << 30)))
		}
	default:
		if info, known := wire.Infos[kind]; known && rv == ck.CKR_OK {
			l.info(w, info)
		}
	}
}

func (l *liar) output(out wire.Output, w *wire.Writer, rv ck.RV) {
	switch {
	case rv == ck.CKR_BUFFER_TOO_SMALL:
		w.U64(min(out.Room, 1<<20) + 1 + uint64(l.n(100)))
	case rv != ck.CKR_OK:
	case out.Query:
		w.U64(uint64(l.n(5000)))
		w.Octets(nil)
	default:
		value := l.octets(int(min(out.Room, 2000)))
		w.U64(uint64(len(value)))
		w.Octets(append([]byte{}, value...))
	}
}

func (l *liar) numbers(w *wire.Writer, rv ck.RV, most int) {
	if rv == ck.CKR_OK {
		wire.Numbers(w, make([]ck.ObjectHandle, l.n(most+1)))
	}
}

// results are not always what belongs to success.
func (l *liar) results(queries []wire.Query, rv ck.RV) (results []wire.Result) {
	unavailable := 4
	if rv == ck.CKR_OK {
		unavailable = 50
		if l.n(10) == 0 {
			return nil
		}
	}
	for _, q := range queries {
		r := wire.Result{Form: q.Form, Length: ^uint64(0)}
		switch {
		case l.n(unavailable) == 0:
		case q.Form == wire.FormTemplate:
			r.Nested, r.Length = l.results(q.Nested, rv), uint64(24*len(q.Nested))
		case q.Query:
			r.Length = uint64(l.n(1000))
		default:
			r.Value = l.octets(int(min(q.Room, 1000)))
			r.Length = uint64(len(r.Value))
		}
		if q.Form == wire.FormTemplate && r.Nested == nil {
			r.Nested = l.results(q.Nested, rv)
		}
		results = append(results, r)
	}
	return results
}

func (l *liar) info(w *wire.Writer, info wire.InfoRow) {
	for _, field := range info.Fields {
		switch {
		case field.Version:
			w.U8(3)
			w.U8(2)
		case field.Text > 0:
			w.Octets(append([]byte{}, l.octets(field.Text)...))
		default:
			w.U64(uint64(l.n(1 << 30)))
		}
	}
}

// spoil sends a frame that is wrong in one way or another, and says whether the connection goes on.
func (l *liar) spoil(conn net.Conn, frame []byte) (goesOn bool) {
	const header = 4
	announce := func(size uint32) { binary.LittleEndian.PutUint32(frame, size) }
	switch l.n(12) {
	case 0: // a bit
		frame[header+l.n(len(frame)-header)] ^= 1 << l.n(8)
	case 1: // several bytes
		for range 1 + l.n(8) {
			frame[header+l.n(len(frame)-header)] = byte(l.n(256))
		}
	case 2: // shorter, and it says so
		frame = frame[:header+l.n(len(frame)-header)]
		announce(uint32(len(frame) - header))
	case 3: // longer, and it says so
		frame = append(frame, l.octets(100)...)
		announce(uint32(len(frame) - header))
	case 4: // cut off
		frame = frame[:l.n(len(frame))]
		conn.Write(frame)
		return false
	case 5: // more is announced than comes
		announce(uint32(len(frame) + l.n(1<<26)))
		conn.Write(frame)
		return false
	case 6: // more than a frame may have
		announce(uint32(1)<<31 + uint32(l.n(1<<30)))
	case 7: // too little
		announce(uint32(l.n(12)))
	case 8: // the answer to something else
		binary.LittleEndian.PutUint32(frame[header:], uint32(l.n(200)))
	case 9: // a result that no function has
		binary.LittleEndian.PutUint64(frame[header+4:], 1<<40|uint64(l.n(1<<20)))
	case 10: // two answers
		frame = append(frame, frame...)
	default: // nothing at all
		return false
	}
	conn.Write(frame)
	return l.n(2) == 0
}

// A hostile server in the daemon's place gets nothing written where it must not be, and no call of a host hangs.
func TestHostHostile(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	l := &liar{t: t, dice: rand.New(rand.NewPCG(seed, 1))}
	socket := filepath.Join(worldReadable(t), "liar.sock") // t.TempDir may be too long for a socket
	listener := value(net.Listen("unix", socket))(t)
	defer listener.Close()
	go l.serve(listener)
	t.Setenv("ONCELEAF_SOCKET", socket)
	t.Setenv("ONCELEAF_AUTOSTART", "0")
	program := compile(t, "hostile")
	calls, answers := 0, 0
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && !t.Failed(); {
		var c, a int
		if said := run(t, program, module, strconv.Itoa(100)); !scanned(said, "calls %d\nanswers %d\n", &c, &a) {
			t.Fatalf("the host says %q", said)
		}
		calls, answers = calls+c, answers+a
	}
	if l.spoiled.Load() == 0 || answers == 0 || l.windows.Load() == 0 {
		t.Errorf("%d answers were spoiled, %d good ones arrived, %d windows were used: the test does not test", l.spoiled.Load(), answers, l.windows.Load())
	}
	t.Logf("%d calls, %d good answers, %d spoiled ones, %d windows, %d successes", calls, l.good.Load(), l.spoiled.Load(), l.windows.Load(), answers)
	counted(t, "hostile-frames", int(l.spoiled.Load()))
}

// A server that takes its time keeps no host longer than the library promises, whatever signals the host gets meanwhile.
func TestHostImpatient(t *testing.T) {
	program := compile(t, "impatient")
	t.Setenv("ONCELEAF_AUTOSTART", "0")
	welcome := wire.Welcome{Text: "welcome"}.Encode()
	silent := func(net.Conn, wire.Hello) {}
	dripping := func(conn net.Conn, _ wire.Hello) {
		for i := range welcome {
			if _, err := conn.Write(welcome[i : i+1]); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}
	mute := func(conn net.Conn, _ wire.Hello) { _, _ = conn.Write(welcome) }
	muteAtWindow := func(conn net.Conn, hello wire.Hello) {
		if hello.Kind != wire.KindJoinWindow {
			mute(conn, hello)
			return
		}
		fd := windowFile(t, wire.WindowSize, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW)
		_, _, _ = conn.(*net.UnixConn).WriteMsgUnix(welcome, unix.UnixRights(fd), nil)
		_ = unix.Close(fd)
	}
	tests := []struct {
		name, scenario string
		greet          func(net.Conn, wire.Hello)
	}{
		{"silent", "initialize", silent},
		{"dripping", "initialize", dripping},
		{"mute", "finalize", mute},
		{"left by a jump", "jump", mute},
		{"left by a jump and finalized", "jump-finalize", mute},
		{"mute at a window", "finalize", muteAtWindow},
		{"a window left by a jump", "jump", muteAtWindow},
		{"a window left by a jump and finalized", "jump-finalize", muteAtWindow},
		{"finalized by a handler", "handler", mute},
		{"a window finalized by a handler", "handler", muteAtWindow},
		{"a window without descriptors to spare", "descriptors", muteAtWindow},
	}
	for _, test := range tests {
		if strings.HasPrefix(test.scenario, "jump") && os.Getenv("ONCELEAF_SANITIZE") != "" {
			continue // the address sanitizer takes the frames that a cancellation unwinds for living ones
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			socket := filepath.Join(worldReadable(t), "slow.sock")
			listener := value(net.Listen("unix", socket))(t)
			defer listener.Close()
			go hold(listener, test.greet)
			run(t, program, module, test.scenario, socket)
		})
	}
}

// hold reads hellos, greets, and then only listens, until the listener is closed.
func hold(listener net.Listener, greet func(net.Conn, wire.Hello)) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			if hello, _, _, err := wire.ReadHello(conn); err == nil {
				greet(conn, hello)
				_, _ = io.Copy(io.Discard, conn)
			}
		}()
	}
}

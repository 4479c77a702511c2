package daemon

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/wire"
)

// guest is one thread of a client at its window, as the library is one. It may also break the rules.
type guest struct {
	*client
	socket *net.UnixConn
	wire.Window
	takes func() bool // whether it takes an offer; nil for never
	taken int
}

// guest asks for a connection with a window; it has none if the daemon gave none.
func (c *client) guest() *guest {
	c.Helper()
	g := &guest{client: c, socket: c.raw()}
	if _, err := g.socket.Write(wire.Hello{Kind: wire.KindJoinWindow, Cookie: c.cookie}.Encode()); err != nil {
		c.Fatal(err)
	}
	text, rights := make([]byte, 256), make([]byte, 64)
	n, m, _, _, err := g.socket.ReadMsgUnix(text, rights)
	if err != nil || n != len(text) {
		c.Fatalf("a welcome of %d bytes, %v", n, err)
	}
	if w, _, _, err := wire.ReadWelcome(bytes.NewReader(text)); err != nil || w.Status != wire.StatusOK {
		c.Fatalf("%+v, %v", w, err)
	}
	if m == 0 {
		return g
	}
	g.unpack(rights[:m])
	if _, err := g.socket.Write([]byte{1}); err != nil { // the window has arrived
		c.Fatal(err)
	}
	return g
}

func (g *guest) unpack(rights []byte) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil || len(messages) != 1 {
		g.Fatal(len(messages), err)
	}
	files, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(files) != 1 {
		g.Fatal(files, err)
	}
	if g.Window, err = unix.Mmap(files[0], 0, wire.WindowSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { _ = unix.Munmap(g.Window) })
	if err := unix.Ftruncate(files[0], 0); !errors.Is(err, unix.EPERM) {
		g.Errorf("the file of a window could be cut: %v", err)
	}
	_ = unix.Close(files[0])
}

// pass makes it the daemon's turn.
func (g *guest) pass() {
	atomic.StoreUint32(g.Turn(), wire.TurnDaemon)
	wake(g.Turn())
}

// back waits until it is the daemon's turn no more. That the daemon goes does not end it: the answer may still come.
func (g *guest) back() (turn uint32) {
	g.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Microsecond) {
		if turn = atomic.LoadUint32(g.Turn()); turn&wire.TurnDaemon == 0 {
			return turn
		}
	}
	g.Fatal("the daemon does not answer")
	return 0
}

// offered is the request that is offered, or nothing.
func (g *guest) offered() []byte {
	if atomic.LoadUint32(g.Offer())&wire.OfferBits != wire.OfferMade {
		return nil
	}
	return bytes.Clone(g.Window[16:][:binary.LittleEndian.Uint32(g.Window[12:])])
}

// take takes the offer of a request, if there is one.
func (g *guest) take(request []byte) bool {
	word := atomic.LoadUint32(g.Offer())
	if !bytes.Equal(g.offered(), request) {
		return false
	}
	g.taken++
	return atomic.CompareAndSwapUint32(g.Offer(), word, word&^wire.OfferBits|wire.OfferTaken)
}

// call is one call, as the library makes it.
func (g *guest) call(name string, arguments ...any) (ck.RV, []byte) {
	g.Helper()
	w := wire.NewRequest(nil, number(name))
	w.Raw(body(arguments...))
	request := w.Request()
	if g.takes != nil && g.takes() && g.take(request[4:]) {
		return ck.CKR_OK, nil
	}
	inside := g.Put(request)
	g.pass()
	if !inside {
		if _, err := g.socket.Write(request); err != nil {
			g.Fatal(err)
		}
	}
	g.back()
	answer, err := g.Take(nil)
	if answer == nil && err == nil {
		answer, err = wire.ReadFrame(g.socket, nil, nil)
	}
	if err != nil || wire.Function(answer) != number(name) {
		g.Fatalf("%s: % x, %v", name, answer, err)
	}
	return ck.RV(binary.LittleEndian.Uint64(answer[4:])), answer[12:]
}

func (g *guest) must(name string, arguments ...any) []byte {
	g.Helper()
	rv, answer := g.call(name, arguments...)
	if rv != ck.CKR_OK {
		g.Fatalf("%s: %v", name, rv)
	}
	return answer
}

// goneWithin waits for the daemon to leave the window, and to close the socket.
func (g *guest) goneWithin(limit time.Duration) {
	g.Helper()
	for deadline := time.Now().Add(limit); atomic.LoadUint32(g.Turn())&wire.TurnGone == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			g.Error("the daemon stays at the window")
			return
		}
	}
	g.closed(g.socket, limit)
}

const serial = uint64(ck.CKF_SERIAL_SESSION)

// Small frames cross in the window, large ones over the socket, in any order; what has crossed is wiped.
func TestWindowCarries(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	g := b.client().guest()
	h := binary.LittleEndian.Uint64(g.must("C_OpenSession", 0, serial))
	const most = wire.WindowSize - 64 - 4 - 12 - 4 // bytes of an argument
	for _, size := range []int{1, 100, most - 1, most, most + 1, 60_000, 3} {
		random := g.must("C_GenerateRandom", h, size)
		if len(random) != 4+size {
			t.Errorf("%d bytes came, not %d", len(random)-4, size)
		}
		if size != 1 && len(bytes.Trim(random[4:], "\x00")) == 0 {
			t.Error("nothing but zeros came")
		}
		if rv, _ := g.call("C_SeedRandom", h, random[4:]); rv != ck.CKR_RANDOM_SEED_NOT_SUPPORTED && rv != ck.CKR_OK {
			t.Errorf("%d bytes: %v", size, rv)
		}
		if left := bytes.Trim(g.Window[68:], "\x00"); len(left) != 0 {
			t.Errorf("%d bytes stayed in the window after %d crossed", len(left), size)
		}
	}
}

// The thread of a window is where the client's is, but for calls that take long.
func TestWindowFollows(t *testing.T) {
	w := &window{Window: make([]byte, wire.WindowSize), cpu: -1}
	runtime.LockOSThread() // and not unlocked
	allowed := func() (set unix.CPUSet) {
		if err := unix.SchedGetaffinity(0, &set); err != nil {
			t.Fatal(err)
		}
		return set
	}
	before := allowed()
	for cpu := range 64 {
		if !before.IsSet(cpu) {
			continue
		}
		w.follow(cpu)
		if now := allowed(); now.Count() != 1 || !now.IsSet(cpu) {
			t.Fatalf("the thread is not on processor %d", cpu)
		}
		w.follow(-1)
		w.follow(1 << 20)
		if now := allowed(); !now.IsSet(cpu) {
			t.Error("the thread follows to a processor that is none")
		}
	}
	if err := w.roam(); err != nil || allowed() != before {
		t.Errorf("the thread does not roam: %v", err)
	}
	for _, name := range long {
		if !functions[number(name)].long {
			t.Errorf("%s is none", name)
		}
	}
}

// Only so many connections have a window, and one application half of them; the next ones, and those that ask for none, are
// served over the socket.
func TestWindowsMost(t *testing.T) {
	b := start(t, tokenFolder(t), func(o *Options) { o.Config.Limits.Connections = 2 * windowsMost })
	const half = windowsMost / 2
	furnish := func(c *client, want int) {
		t.Helper()
		for i := range half + 1 {
			if g := c.guest(); (g.Window != nil) != (i < want) {
				t.Fatalf("connection %d: %d windows were to be had", i+1, want)
			}
		}
		th := &thread{c, nil}
		th.line, _ = c.dial(wire.Hello{Kind: wire.KindJoinWindow, Cookie: c.cookie})
		th.must("C_GetSessionInfo", th.open())
	}
	for range 2 {
		clients := []*client{b.client(), b.client(), b.client()}
		for i, want := range []int{half, half, 0} {
			furnish(clients[i], want)
		}
		for _, c := range clients {
			c.finalize()
		}
		b.until("all windows back", func() bool {
			c := b.client()
			defer c.finalize()
			return c.guest().Window != nil && len(b.ask().Clients) == 1
		})
	}
}

// A frame in a window that breaks the rules costs its connection and no other.
func TestBrokenWindows(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	c := b.client()
	good := c.guest()
	h := binary.LittleEndian.Uint64(good.must("C_OpenSession", 0, serial))
	for name, size := range map[string]uint32{"1": 1, "3": 3, "one more than there is room": 16_317, "all": 1<<32 - 1} {
		g := c.guest()
		binary.LittleEndian.PutUint32(g.Window[64:], size)
		g.pass()
		t.Run("size "+name, func(*testing.T) { g.goneWithin(2 * time.Second) })
	}
	for name, function := range map[string]uint32{"unknown function": 4711, "C_Finalize": wire.Finalize, "stop": wire.Stop} {
		g := c.guest()
		g.Put(wire.NewRequest(nil, function).Request())
		g.pass()
		t.Run(name, func(*testing.T) { g.goneWithin(2 * time.Second) })
	}
	good.must("C_GetSessionInfo", h)
}

// What a client does to a window while the daemon works, or while it waits, harms nobody but the client.
func TestRestlessWindows(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	c := b.client()
	good := c.guest()
	h := binary.LittleEndian.Uint64(good.must("C_OpenSession", 0, serial))
	stop, done := make(chan struct{}), make(chan struct{}, 8)
	for i := range cap(done) {
		g := c.guest()
		g.Put(wire.NewRequest(nil, number("C_GetInfo")).Request())
		go func() {
			defer func() { done <- struct{}{} }()
			for n := uint32(i); ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				atomic.StoreUint32(g.Turn(), n*2654435761>>16&1) // never gone, also after the daemon has gone
				g.Window[64+n%80]++
				wake(g.Turn())
			}
		}()
	}
	for range 300 {
		good.must("C_GetSessionInfo", h)
	}
	b.stop() // while they play
	close(stop)
	for range cap(done) {
		<-done
	}
}

// A client can move the daemon's thread to a word at which nobody wakes it, and does not keep it there.
func TestRequeuedWindow(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	c := b.client()
	g := c.guest()
	g.must("C_OpenSession", 0, serial)
	const requeue, everybody = 3, 100
	moved := uintptr(0)
	b.until("the daemon waits", func() bool {
		moved, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(g.Turn())), requeue, 0, everybody, uintptr(unsafe.Pointer(&g.Window[60])), 0)
		return moved == 1
	})
	c.control.Close()
	began := time.Now()
	b.until("its end", func() bool { return len(b.ask().Clients) == 0 })
	if took := time.Since(began); took > 2500*time.Millisecond {
		t.Errorf("the application ended after %s", took)
	}
}

// The answer to a call under way comes, also if the daemon has begun to end.
func TestWindowDuringStop(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	g := b.client().guest()
	h := binary.LittleEndian.Uint64(g.must("C_OpenSession", 0, serial))
	g.must("C_DigestInit", h, wire.Mechanism{Form: wire.MechanismBare, Type: ck.CKM_SHA512})
	w := wire.NewRequest(nil, number("C_Digest"))
	w.Raw(body(h, make([]byte, 60<<20), wire.Output{Room: 64}))
	request := w.Request()
	g.Put(request) // has no room in the window
	g.pass()
	if _, err := g.socket.Write(request); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond) // then the daemon has it, as a rule, and works for a tenth of a second
	b.cancel()
	g.back()
	answer, err := g.Take(nil)
	if err != nil || len(answer) != 12+8+4+64 || !succeeded(append(make([]byte, 4), answer...)) {
		t.Errorf("% x, %v", answer, err)
	}
	b.wait()
}

// A client that could not use the window, and goes without a word there, leaves nothing behind.
func TestLostWindow(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	c := b.client()
	for range windowsMost {
		socket := b.raw()
		if w := b.hello(socket, wire.Hello{Kind: wire.KindJoinWindow, Cookie: c.cookie}); w.Status != wire.StatusOK {
			t.Fatalf("%+v", w)
		}
		socket.Close()
	}
	b.until("nothing left", func() bool { return b.ask().Clients[0].Connections == 1 })
	if c.guest().Window == nil {
		t.Error("there is no window left")
	}
}

// Who says good-bye, or whose process ends without a word, leaves nothing behind.
func TestWindowEnds(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	c := b.client()
	g := c.guest()
	atomic.OrUint32(g.Turn(), wire.TurnGone)
	wake(g.Turn())
	g.closed(g.socket, 2*time.Second)
	b.until("one connection", func() bool { return b.ask().Clients[0].Connections == 1 })

	c.guest()
	c.control.Close() // as a process does that is killed
	b.until("its end", func() bool { return len(b.ask().Clients) == 0 })

	c = b.client()
	g = c.guest()
	g.must("C_OpenSession", 0, serial)
	c.finalize()
	g.goneWithin(2 * time.Second)
}

// end wakes a thread that waits, also one that a client has put off before; the answer that was given stays there.
func TestWindowEnd(t *testing.T) {
	w, file, err := newWindow()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ended := make(chan error)
	go func() { ended <- w.await() }()
	time.Sleep(10 * time.Millisecond)
	w.end()
	if err := <-ended; err != io.EOF {
		t.Error(err)
	}
	atomic.StoreUint32(w.Turn(), wire.TurnDaemon|wire.TurnGone)
	w.give(wire.NewAnswer(nil, 5).Answer(ck.CKR_OK))
	w.release()
	w.end() // too late
	again, err := unix.Mmap(int(file.Fd()), 0, wire.WindowSize, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(again) }()
	if turn := binary.LittleEndian.Uint32(again); turn != wire.TurnGone || again[68] != 5 {
		t.Errorf("turn %d, function %d", turn, again[68])
	}
}

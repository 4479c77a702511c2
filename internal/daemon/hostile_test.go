package daemon

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/wire"
)

// well checks that the daemon still serves, and soon.
func (b *bench) well() { b.wellWithin(3 * time.Second) }

func (b *bench) wellWithin(limit time.Duration) {
	b.Helper()
	began := time.Now()
	c := b.client()
	th := c.thread()
	th.must("C_GetSessionInfo", th.open())
	c.finalize()
	if took := time.Since(began); took > limit {
		b.Errorf("a good client waited %s", took)
	}
}

// closed waits for the daemon to close the connection.
func (b *bench) closed(c net.Conn, within time.Duration) {
	b.Helper()
	_ = c.SetReadDeadline(time.Now().Add(within))
	if n, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		b.Errorf("the connection is still open after %s (%d bytes came)", within, n)
	}
}

func TestLimitsOfNumbers(t *testing.T) {
	b := start(t, tokenFolder(t), func(o *Options) {
		l := &o.Config.Limits
		l.Clients, l.Connections, l.Sessions, l.Objects, l.SessionKeys = 3, 2, 4, 5, 1
	})
	one := b.client()
	b.client()
	b.client()
	if w := b.hello(b.raw(), wire.Hello{Kind: wire.KindApplication}); w.Status != wire.StatusTooMany || w.Text == "" {
		t.Errorf("a fourth client: %+v", w)
	}
	th := one.thread()
	one.thread()
	if w := b.hello(b.raw(), wire.Hello{Kind: wire.KindJoin, Cookie: one.cookie}); w.Status != wire.StatusTooMany {
		t.Errorf("a third connection: %+v", w)
	}
	h := th.login()
	for range 3 {
		th.open()
	}
	th.want(ck.CKR_SESSION_COUNT, "C_OpenSession", 0, uint64(ck.CKF_SERIAL_SESSION))

	make := func() ck.RV {
		public, private := templates(false, 1, 5)
		rv, _ := th.call("C_GenerateKeyPair", h, wire.Mechanism{Form: wire.MechanismBare, Type: ck.CKM_HSS_KEY_PAIR_GEN}, crossing(public), crossing(private))
		return rv
	}
	if rv := make(); rv != ck.CKR_OK {
		t.Fatal(rv)
	}
	if rv := make(); rv != ck.CKR_DEVICE_MEMORY {
		t.Errorf("a second session key: %v", rv)
	}
	one.finalize()
	b.until("room again", func() bool { return len(b.ask().Clients) == 2 })
	b.client().thread()
}

// Strangers who say nothing, or nothing sensible, keep nobody out.
func TestSilentStrangers(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	var silent []net.Conn
	for range 2 * lobbySize {
		silent = append(silent, b.raw())
	}
	b.well()
	b.closed(silent[0], time.Second) // to make room for the newcomers
	garbage := b.raw()
	if _, err := garbage.Write(bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 8)); err != nil {
		t.Fatal(err)
	}
	b.closed(garbage, time.Second)
	half := b.raw()
	if _, err := half.Write(wire.Hello{}.Encode()[:63]); err != nil {
		t.Fatal(err)
	}
	strange := b.raw()
	if _, err := strange.Write(wire.Hello{Kind: 3}.Encode()); err != nil {
		t.Fatal(err)
	}
	b.closed(strange, time.Second)
	b.closed(half, helloTime+2*time.Second)
	for _, c := range silent {
		b.closed(c, time.Second)
	}
}

// A flood of connections that come and go, from several sides at once.
func TestFlood(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	stop, flood := make(chan struct{}), sync.WaitGroup{}
	for i := range 4 {
		flood.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := net.Dial("unix", b.socket)
				if err != nil {
					continue // a full backlog
				}
				switch i {
				case 1:
					_, _ = c.Write(wire.Hello{}.Encode()) // an application that goes before its welcome
				case 2:
					_, _ = c.Write(wire.Hello{Kind: wire.KindJoin}.Encode())
				}
				c.Close()
			}
		})
	}
	for range 3 {
		b.wellWithin(15 * time.Second)
		time.Sleep(100 * time.Millisecond)
	}
	close(stop)
	flood.Wait()
	b.until("no client", func() bool { return len(b.ask().Clients) == 0 })
}

// A frame that breaks the rules costs its connection and no other.
func TestBrokenFrames(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	c := b.client()
	good := c.thread()
	h := good.open()
	frame := func(function uint32, body []byte) []byte {
		w := wire.NewRequest(nil, function)
		w.Raw(body)
		return w.Request()
	}
	info := frame(number("C_GetSessionInfo"), body(h))
	for name, bytes := range map[string][]byte{
		"size 0":              {0, 0, 0, 0},
		"size 3":              {3, 0, 0, 0, 1, 2, 3},
		"size above all":      {255, 255, 255, 255},
		"unknown function":    frame(4711, nil),
		"C_Initialize":        frame(1, nil),
		"C_Finalize":          frame(wire.Finalize, nil),
		"status":              frame(wire.Status, nil),
		"stop":                frame(wire.Stop, nil),
		"no arguments":        frame(number("C_GetSessionInfo"), nil),
		"too many arguments":  frame(number("C_GetSessionInfo"), body(h, 0)),
		"octets beyond":       frame(number("C_Login"), append(body(h, 1), 255, 255, 0, 0)),
		"attributes beyond":   frame(number("C_FindObjectsInit"), append(body(h), 255, 255, 255, 127)),
		"two calls at once":   append(info[:len(info):len(info)], info...),
		"a call and a little": append(info[:len(info):len(info)], 1),
	} {
		th := c.thread()
		if _, err := th.line.Conn().Write(bytes); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		b.closed(th.line.Conn(), 2*time.Second)
		good.must("C_GetSessionInfo", h)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		th := c.thread()
		junk := make([]byte, random.IntN(300)+8)
		for i := range junk {
			junk[i] = byte(random.Uint32())
		}
		binary.LittleEndian.PutUint32(junk, uint32(len(junk)-4))
		binary.LittleEndian.PutUint32(junk[4:], uint32(random.IntN(110)))
		_, _ = th.line.Conn().Write(junk)
		th.line.Close()
	}
	good.must("C_GetSessionInfo", h)

	// On the control connection it costs the application, whose it is.
	if _, err := c.control.Conn().Write(info); err != nil {
		t.Fatal(err)
	}
	b.closed(good.line.Conn(), 2*time.Second)
	b.until("no client", func() bool { return len(b.ask().Clients) == 0 })
	b.well()
}

// Sizes that are only announced cost nothing; what comes is counted.
func TestMemory(t *testing.T) {
	const mib = 1 << 20
	b := start(t, tokenFolder(t), func(o *Options) {
		o.Config.Limits.Memory, o.Config.Limits.TotalMemory = 4*mib, 6*mib
	})
	before := b.ask().Memory.Heap
	c := b.client()
	for range 40 {
		th := c.thread()
		if _, err := th.line.Conn().Write(binary.LittleEndian.AppendUint32(nil, wire.MaxFrame)); err != nil {
			t.Fatal(err)
		}
	}
	if grown := int64(b.ask().Memory.Heap) - int64(before); grown > 16*mib { // 64 KiB each, and what else goes on
		t.Errorf("40 announcements cost %d bytes", grown)
	}

	// Half a frame is charged, and given back when it ends.
	big := c.thread()
	if _, err := big.line.Conn().Write(append(binary.LittleEndian.AppendUint32(nil, 32*mib), make([]byte, 3*mib)...)); err != nil {
		t.Fatal(err)
	}
	b.until("3 MiB to be charged", func() bool { return b.ask().Memory.InFlight >= 2*mib })
	th := c.thread()
	h := th.login()
	th.want(ck.CKR_DEVICE_MEMORY, "C_SignUpdate", h, make([]byte, 3*mib)) // dropped, and the connection goes on
	th.must("C_GetSessionInfo", h)
	if inFlight := b.ask().Memory.InFlight; inFlight > 4*mib {
		t.Errorf("%d bytes in flight of one client that may have 4 MiB", inFlight)
	}

	// Another client still has room, but all together have no more than the total.
	other := b.client().thread()
	o := other.login()
	other.want(ck.CKR_OPERATION_NOT_INITIALIZED, "C_SignUpdate", o, make([]byte, mib))
	other.want(ck.CKR_DEVICE_MEMORY, "C_SignUpdate", o, make([]byte, 4*mib-1000))
	big.line.Close()
	b.until("the memory back", func() bool { return b.ask().Memory.InFlight == 0 })

	// A request that does not fit ends its operation, as a failure does.
	th.must("C_SignInit", h, wire.Mechanism{Form: wire.MechanismBare, Type: ck.CKM_HSS}, th.key(h))
	th.must("C_SignUpdate", h, make([]byte, mib))
	th.want(ck.CKR_DEVICE_MEMORY, "C_SignUpdate", h, make([]byte, 8*mib))
	th.want(ck.CKR_OPERATION_NOT_INITIALIZED, "C_SignUpdate", h, []byte("x"))
	// The same for what was gathered in small parts.
	th.must("C_SignInit", h, wire.Mechanism{Form: wire.MechanismBare, Type: ck.CKM_HSS}, th.key(h))
	var rv ck.RV
	for range 200 {
		if rv, _ = th.call("C_SignUpdate", h, make([]byte, 50_000)); rv != ck.CKR_OK {
			break
		}
	}
	if rv != ck.CKR_DEVICE_MEMORY {
		t.Errorf("gathering without end: %v", rv)
	}
	th.want(ck.CKR_OPERATION_NOT_INITIALIZED, "C_SignFinal", h, wire.Output{Room: 1 << 20})
	b.until("the memory back", func() bool { return b.ask().Memory.InFlight == 0 })

	// An attribute query that does not fit is answered as the table has it, with results.
	queries := body(h, th.key(h))
	queries = append(queries, make([]byte, 8*mib)...)
	rv, answer, err := th.line.Call(number("C_GetAttributeValue"), queries)
	if rv != ck.CKR_DEVICE_MEMORY || !bytes.Equal(answer, make([]byte, 4)) || err != nil {
		t.Errorf("%v, %x, %v", rv, answer, err)
	}
	th.sign(h, "still in order")

	// What was gathered goes with the client.
	th.must("C_SignInit", h, wire.Mechanism{Form: wire.MechanismBare, Type: ck.CKM_HSS}, th.key(h))
	th.must("C_SignUpdate", h, make([]byte, mib))
	if b.ask().Memory.InFlight < mib {
		t.Error("what was gathered is not counted")
	}
	c.control.Close()
	b.until("the memory back", func() bool { return b.ask().Memory.InFlight == 0 })
}

// A frame may come in any pieces.
func TestPieces(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	th := b.client().thread()
	h := th.open()
	w := wire.NewRequest(nil, number("C_SeedRandom"))
	w.Raw(body(h, make([]byte, 5000)))
	frame := w.Request()
	random := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		for rest := frame; len(rest) > 0; {
			n := min(random.IntN(9)*random.IntN(500)+1, len(rest))
			if _, err := th.line.Conn().Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			if rest = rest[n:]; random.IntN(3) == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		answer, err := wire.ReadFrame(th.line.Conn(), nil, nil)
		if err != nil || wire.Function(answer) != number("C_SeedRandom") {
			t.Fatalf("%x, %v", answer, err)
		}
	}
	th.must("C_GetSessionInfo", h)
}

// Who does not read its answers holds up nobody else, and not its own end; its connection ends in time.
func TestSlowReader(t *testing.T) {
	for name, patience := range map[string]time.Duration{"impatient": 300 * time.Millisecond, "patient": time.Hour} {
		b := start(t, tokenFolder(t), func(o *Options) { o.frameTime = patience })
		c := b.client()
		th := c.thread()
		h := th.open()
		th.fill(h)
		b.well()
		connections := func() int {
			for _, s := range b.ask().Clients {
				return s.Connections
			}
			return 0
		}
		if patience == time.Hour {
			time.Sleep(time.Second)
			if n := connections(); n != 2 {
				t.Errorf("%s: %d connections; whom the other daemon hangs up on, this test does not show", name, n)
			}
		} else {
			b.until("the slow one to be hung up on", func() bool { return connections() == 1 })
		}
		c.control.Close()
		b.until("its end", func() bool { return len(b.ask().Clients) == 0 })
	}
}

// fill asks until no more answers fit into the connection, and reads none of them.
func (th *thread) fill(session uint64) {
	th.Helper()
	w := wire.NewRequest(nil, number("C_GenerateRandom"))
	w.Raw(body(session, 1<<16))
	for range 20 { // one at a time, as the protocol wants it
		_ = th.line.Conn().SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := th.line.Conn().Write(w.Request()); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Keys that take an hour to make: they end with the application, and keep its other threads and other clients going.
func TestEndlessGeneration(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	c := b.client()
	th := c.thread()
	h := th.login()
	public, private := templates(false, 1, 9) // H25
	type outcome struct {
		rv  ck.RV
		err error
	}
	ended := make(chan outcome, 8)
	for range cap(ended) {
		line := c.thread().line
		go func() {
			rv, _, err := line.Call(number("C_GenerateKeyPair"), body(h, wire.Mechanism{Form: wire.MechanismBare, Type: ck.CKM_HSS_KEY_PAIR_GEN}, crossing(public), crossing(private)))
			ended <- outcome{rv, err}
		}()
	}
	time.Sleep(300 * time.Millisecond)
	th.must("C_GetSessionInfo", h)
	b.well()
	c.finalize()
	for range cap(ended) {
		if o := <-ended; o.rv != ck.CKR_FUNCTION_CANCELED || o.err != nil {
			t.Errorf("%v, %v", o.rv, o.err)
		}
	}
	b.until("its end", func() bool { return len(b.ask().Clients) == 0 })
}

// A daemon that has to stop does not wait for such keys.
func TestStopDuringGeneration(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	th := b.client().thread()
	h := th.login()
	public, private := templates(true, 1, 9) // H25
	ended := make(chan error, 1)
	go func() {
		_, _, err := th.line.Call(number("C_GenerateKeyPair"), body(h, wire.Mechanism{Form: wire.MechanismBare, Type: ck.CKM_HSS_KEY_PAIR_GEN}, crossing(public), crossing(private)))
		ended <- err
	}()
	time.Sleep(300 * time.Millisecond)
	began := time.Now()
	b.stop()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("that took %s", took)
	}
	<-ended
}

// No user fills the log.
func TestGripes(t *testing.T) {
	var g gripes
	if !g.due(1) || g.due(1) || !g.due(2) || g.due(2) {
		t.Error("one line a second of each user, no more and no less")
	}
}

// A cookie is good for the process that got it.
func TestCookies(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	c := b.client()
	wrong := c.cookie
	wrong[15] ^= 1
	for _, cookie := range [][16]byte{wrong, {}} {
		if w := b.hello(b.raw(), wire.Hello{Kind: wire.KindJoin, Cookie: cookie}); w.Status != wire.StatusNoApplication {
			t.Errorf("%+v", w)
		}
	}
	c.finalize()
	b.until("its end", func() bool { return len(b.ask().Clients) == 0 })
	if w := b.hello(b.raw(), wire.Hello{Kind: wire.KindJoin, Cookie: c.cookie}); w.Status != wire.StatusNoApplication {
		t.Errorf("%+v", w)
	}
	a := application{cookie: c.cookie, peer: peer{pid: 5, uid: 7}}
	for p, want := range map[[2]int]bool{{5, 7}: true, {6, 7}: false, {5, 8}: true, {0, 7}: true, {0, 8}: false} {
		if got := a.is(c.cookie, peer{pid: p[0], uid: uint32(p[1])}); got != want {
			t.Errorf("process %d of user %d: %t", p[0], p[1], got)
		}
	}
}

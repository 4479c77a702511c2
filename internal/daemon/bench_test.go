package daemon

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/wire"
	"github.com/onceleaf/onceleaf/p11module"
	"github.com/onceleaf/onceleaf/token"
)

const (
	soPIN   = "so-pin-1"
	userPIN = "user-pin-1"
)

// bench is a daemon in this process.
type bench struct {
	*testing.T
	dir, socket string
	cancel      context.CancelFunc
	ended       chan error
}

func configFor(t *testing.T, dir string) token.Config {
	t.Helper()
	c, err := token.LoadConfig(func(name string) string {
		return map[string]string{"ONCELEAF_DIR": dir, "ONCELEAF_CONF": os.DevNull}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	c.KDF = token.KDF{Time: 1, Memory: 8, Threads: 1}
	return c
}

// start runs a daemon on a directory; change adapts its options.
func start(t *testing.T, dir string, change func(*Options)) *bench {
	t.Helper()
	o := Options{Config: configFor(t, dir), Version: "test", Getenv: func(string) string { return "" }}
	if change != nil {
		change(&o)
	}
	ready, started, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	o.Ready = started
	b := &bench{T: t, dir: dir, socket: o.Config.SocketPath(), ended: make(chan error, 1)}
	var ctx context.Context
	ctx, b.cancel = context.WithCancel(context.Background())
	go func() { b.ended <- Run(ctx, o) }()
	t.Cleanup(func() { b.stop() })
	word := make([]byte, 300)
	if n, err := ready.Read(word); err != nil || word[0] != 'R' {
		t.Fatalf("the daemon did not start: %q, %v", word[:n], err)
	}
	return b
}

// stop ends the daemon as SIGTERM does. It may be called twice.
func (b *bench) stop() {
	b.Helper()
	b.cancel()
	b.wait()
}

func (b *bench) wait() {
	b.Helper()
	select {
	case err := <-b.ended:
		if err != nil {
			b.Errorf("the daemon ended with %v", err)
		}
		b.ended <- nil
	case <-time.After(20 * time.Second):
		b.Fatal("the daemon does not end")
	}
}

// client is one application, as the front is one.
type client struct {
	*bench
	control *wire.Client
	cookie  [16]byte
}

func (b *bench) client() *client {
	b.Helper()
	control, welcome := b.dial(wire.Hello{Kind: wire.KindApplication})
	return &client{b, control, welcome.Cookie}
}

// dial waits while the backlog is full, as a connection that blocks does by itself, and comes again when it was closed
// before its welcome, as the library does.
func (b *bench) dial(h wire.Hello) (*wire.Client, wire.Welcome) {
	b.Helper()
	line, welcome, err := wire.Dial(b.socket, h)
	again := func(err error) bool {
		return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)
	}
	for deadline := time.Now().Add(10 * time.Second); again(err) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
		line, welcome, err = wire.Dial(b.socket, h)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { line.Close() })
	return line, welcome
}

func (c *client) finalize() {
	c.Helper()
	if rv, _, err := c.control.Call(wire.Finalize, nil); rv != ck.CKR_OK || err != nil {
		c.Fatalf("C_Finalize: %v, %v", rv, err)
	}
}

// thread is one connection for calls.
type thread struct {
	*client
	line *wire.Client
}

func (c *client) thread() *thread {
	c.Helper()
	line, _ := c.dial(wire.Hello{Kind: wire.KindJoin, Cookie: c.cookie})
	return &thread{c, line}
}

// number is the function's place in the table.
func number(name string) uint32 {
	return uint32(slices.IndexFunc(wire.Functions, func(f wire.FunctionRow) bool { return f.Name == name }) + 1)
}

// body writes arguments: numbers as u64, octets with their length, and what a function does to the writer.
func body(arguments ...any) []byte {
	w := wire.NewRequest(nil, 0)
	for _, a := range arguments {
		switch v := a.(type) {
		case uint64:
			w.U64(v)
		case int:
			w.U64(uint64(v))
		case string:
			w.Octets([]byte(v))
		case []byte:
			w.Octets(v)
		case wire.Output:
			w.Output(v)
		case wire.Mechanism:
			w.Mechanism(v)
		case []wire.Attribute:
			w.Attributes(v)
		default:
			panic("what is this?")
		}
	}
	return w.Body()
}

func (th *thread) call(name string, arguments ...any) (ck.RV, []byte) {
	th.Helper()
	rv, answer, err := th.line.Call(number(name), body(arguments...))
	if err != nil {
		th.Fatalf("%s: %v", name, err)
	}
	return rv, answer
}

func (th *thread) must(name string, arguments ...any) []byte {
	th.Helper()
	rv, answer := th.call(name, arguments...)
	if rv != ck.CKR_OK {
		th.Fatalf("%s: %v", name, rv)
	}
	return answer
}

func (th *thread) want(want ck.RV, name string, arguments ...any) {
	th.Helper()
	if rv, _ := th.call(name, arguments...); rv != want {
		th.Fatalf("%s: %v, want %v", name, rv, want)
	}
}

// open opens a read-write session.
func (th *thread) open() uint64 {
	th.Helper()
	return binary.LittleEndian.Uint64(th.must("C_OpenSession", 0, uint64(ck.CKF_SERIAL_SESSION|ck.CKF_RW_SESSION)))
}

func (th *thread) login() (session uint64) {
	th.Helper()
	session = th.open()
	th.must("C_Login", session, uint64(ck.CKU_USER), userPIN)
	return session
}

// sign signs with the token's only key, and returns what comes out.
func (th *thread) sign(session uint64, message string) []byte {
	th.Helper()
	th.must("C_SignInit", session, wire.Mechanism{Form: wire.MechanismBare, Type: ck.CKM_HSS}, th.key(session))
	answer := th.must("C_Sign", session, message, wire.Output{Room: 1 << 20})
	return answer[12:]
}

func (th *thread) key(session uint64) uint64 {
	th.Helper()
	class := binary.LittleEndian.AppendUint64(nil, uint64(ck.CKO_PRIVATE_KEY))
	th.must("C_FindObjectsInit", session, []wire.Attribute{{Type: ck.CKA_CLASS, Value: class}})
	found := th.must("C_FindObjects", session, 2)
	th.must("C_FindObjectsFinal", session)
	if n := binary.LittleEndian.Uint32(found); n != 1 {
		th.Fatalf("%d keys", n)
	}
	return binary.LittleEndian.Uint64(found[4:])
}

// ask is what `onceleaf daemon status` does.
func (b *bench) ask() (s status) {
	b.Helper()
	operator, _ := b.dial(wire.Hello{Kind: wire.KindOperator})
	defer operator.Close()
	rv, answer, err := operator.Call(wire.Status, nil)
	if err != nil || rv != ck.CKR_OK {
		b.Fatalf("status: %v, %v", rv, err)
	}
	if err := json.Unmarshal(answer, &s); err != nil {
		b.Fatal(err)
	}
	return s
}

// until waits for something that comes soon.
func (b *bench) until(what string, there func() bool) {
	b.Helper()
	for deadline := time.Now().Add(15 * time.Second); !there(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("in vain waited for: %s", what)
		}
	}
}

// raw is a connection that has said nothing yet.
func (b *bench) raw() *net.UnixConn {
	b.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: b.socket})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

// hello says what the connection is, and returns the welcome.
func (b *bench) hello(c net.Conn, h wire.Hello) wire.Welcome {
	b.Helper()
	if _, err := c.Write(h.Encode()); err != nil {
		b.Fatal(err)
	}
	w, _, _, err := wire.ReadWelcome(c)
	if err != nil {
		b.Fatal(err)
	}
	return w
}

// tokenFolder is a directory with a token, both PINs and an HSS key of two small trees.
func tokenFolder(t *testing.T) string { return tokenFolderWith(t, 5) }

// tokenFolderWith is the same with trees of this LMS type.
func tokenFolderWith(t *testing.T, lms uint64) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tokens")
	config := configFor(t, dir)
	log, _, err := token.OpenLog(config)
	if err != nil {
		t.Fatal(err)
	}
	host, err := p11module.OpenHost(config, log)
	if err != nil {
		t.Fatal(err)
	}
	m := host.NewModule(log, p11module.Limits{})
	must := func(rv ck.RV) {
		t.Helper()
		if rv != ck.CKR_OK {
			t.Fatal(rv)
		}
	}
	var label [32]byte
	copy(label[:], "bench                           ")
	must(m.InitToken(0, []byte(soPIN), label))
	h, rv := m.OpenSession(0, uint64(ck.CKF_SERIAL_SESSION|ck.CKF_RW_SESSION))
	must(rv)
	must(m.Login(h, uint64(ck.CKU_SO), []byte(soPIN)))
	must(m.InitPIN(h, []byte(userPIN)))
	must(m.Logout(h))
	must(m.Login(h, uint64(ck.CKU_USER), []byte(userPIN)))
	public, private := templates(true, 2, lms)
	_, _, rv = m.GenerateKeyPair(h, p11module.Mechanism{Type: ck.CKM_HSS_KEY_PAIR_GEN}, public, private)
	must(rv)
	must(m.Finalize(false))
	if err := host.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// templates are those of a key whose levels have one type of tree.
func templates(onToken bool, levels int, lms uint64) (public, private []p11module.Attribute) {
	number := func(n ...uint64) (value []byte) {
		for _, v := range n {
			value = binary.LittleEndian.AppendUint64(value, v)
		}
		return value
	}
	yes, place := []byte{1}, []byte{0}
	if onToken {
		place = yes
	}
	const w8 = 4 // LMOTS_SHA256_N32_W8
	public = []p11module.Attribute{{Type: ck.CKA_TOKEN, Value: place}, {Type: ck.CKA_VERIFY, Value: yes}}
	private = []p11module.Attribute{{Type: ck.CKA_TOKEN, Value: place}, {Type: ck.CKA_SIGN, Value: yes},
		{Type: ck.CKA_HSS_LEVELS, Value: number(uint64(levels))},
		{Type: ck.CKA_HSS_LMS_TYPES, Value: number(slices.Repeat([]uint64{lms}, levels)...)},
		{Type: ck.CKA_HSS_LMOTS_TYPES, Value: number(slices.Repeat([]uint64{w8}, levels)...)}}
	return public, private
}

// crossing is a template as it crosses.
func crossing(template []p11module.Attribute) (all []wire.Attribute) {
	for _, a := range template {
		all = append(all, wire.Attribute{Type: a.Type, Value: a.Value})
	}
	return all
}

package daemon

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/internal/wire"
	"github.com/onceleaf/onceleaf/token"
)

// Users who are not admitted are told so, but their silence takes no place of others.
func TestStrangersOutside(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root can be somebody else")
		return
	}
	folder, err := os.MkdirTemp("", "onceleafd")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	b := start(t, tokenFolder(t), func(o *Options) {
		o.Config.Daemon.Socket, o.Config.Daemon.Mode = filepath.Join(folder, "s"), "0666"
		o.Config.Daemon.AllowUIDs = []token.Account{"4712"}
	})
	var strangers []*net.UnixConn
	as(4711, func() {
		for range outside + 10 {
			strangers = append(strangers, b.raw())
		}
	})
	for _, c := range strangers[outside:] {
		b.closed(c, helloTime/5)
	}
	b.well()
	for _, c := range strangers {
		b.closed(c, outsideTime+time.Second)
	}
	var late *net.UnixConn
	as(4711, func() { late = b.raw() })
	if w := b.hello(late, wire.Hello{Kind: wire.KindApplication}); w.Status != wire.StatusNotAdmitted || !strings.Contains(w.Text, "user 4711") {
		t.Errorf("%+v", w)
	}
}

// as does work on a thread of another user.
func as(uid uintptr, work func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // which ends with this goroutine
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
			panic(errno)
		}
		work()
	}()
	<-done
}

// A bug of the daemon is told as one, with its place; nobody says that the client broke the protocol.
func TestPanicIsTold(t *testing.T) {
	near, far := pair(t)
	var log bytes.Buffer
	a := &application{log: slog.New(slog.NewTextHandler(&log, nil)), gripes: new(gripes)} // without a module
	if _, err := far.Write(wire.NewRequest(nil, number("C_GetInfo")).Request()); err != nil {
		t.Fatal(err)
	}
	a.serve(new(Daemon).newLine(near))
	if text := log.String(); !strings.Contains(text, "level=ERROR") || !strings.Contains(text, ", line ") || strings.Contains(text, "protocol") {
		t.Error(text)
	}
	near.Close()
	if n, _ := io.Copy(io.Discard, far); n != 0 {
		t.Errorf("%d bytes came", n)
	}
}

// connectTo makes this test program connect its descriptor 3 and end.
const connectTo = "ONCELEAF_TEST_CONNECT_TO"

// A process that has ended before it is looked at is not waited for, though somebody keeps its connection open. Which way
// that is found out depends on the kernel; TestPeerPidfd has them all.
func TestDeadClient(t *testing.T) {
	if path := os.Getenv(connectTo); path != "" {
		if err := unix.Connect(3, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		return
	}
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	far := os.NewFile(uintptr(fd), "the connection")
	defer far.Close()
	dead := exec.Command(os.Args[0], "-test.run=^TestDeadClient$")
	dead.Env, dead.ExtraFiles = append(os.Environ(), connectTo+"="+path), []*os.File{far}
	if out, err := dead.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	near, err := listener.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	p, err := peerOf(near, false)
	if err != nil || p.pid != dead.Process.Pid {
		t.Fatalf("%+v, %v", p, err)
	}
	a := &application{log: slog.New(slog.DiscardHandler), control: new(Daemon).newLine(near), peer: p}
	defer a.watch(near)()
	_ = near.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := a.control.read(tooLong); !errors.Is(err, io.EOF) {
		t.Errorf("its control connection goes on: %v", err)
	}
}

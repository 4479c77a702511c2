package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/wire"
)

// This test program is also the daemon, and a client of it.
const role = "ONCELEAF_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "daemon":
		main()
	case "activated": // as systemd does it: the variable names the process that was executed
		if err := os.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid())); err != nil {
			panic(err)
		}
		main()
	case "client":
		client()
	default:
		os.Exit(m.Run())
	}
}

// running is an onceleafd, or one that has just been started.
type running struct {
	*testing.T
	dir, socket string
	cmd         *exec.Cmd
	stderr      *strings.Builder
	ended       chan struct{}
}

// begin starts a daemon on dir; with may change how.
func begin(t *testing.T, dir string, with func(*exec.Cmd), args ...string) *running {
	t.Helper()
	d := &running{T: t, dir: dir, socket: filepath.Join(dir, "onceleaf.sock"), stderr: &strings.Builder{}, ended: make(chan struct{})}
	d.cmd = exec.Command(os.Args[0], append([]string{"--directory", dir}, args...)...)
	d.cmd.Env = append(os.Environ(), role+"=daemon", "ONCELEAF_CONF="+os.DevNull, "ONCELEAF_LOG=info", "ONCELEAF_SOCKET=")
	d.cmd.Stderr = d.stderr
	if with != nil {
		with(d.cmd)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = d.cmd.Wait()
		close(d.ended)
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		<-d.ended
		if t.Failed() {
			t.Logf("the daemon said:\n%s", d.stderr)
		}
	})
	return d
}

// serving waits until the daemon answers.
func serving(t *testing.T, dir string, with func(*exec.Cmd), args ...string) *running {
	t.Helper()
	d := begin(t, dir, with, args...)
	d.until("the daemon", func() bool {
		c, _, err := wire.Dial(d.socket, wire.Hello{Kind: wire.KindOperator})
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
	return d
}

func (d *running) until(what string, there func() bool) {
	d.Helper()
	for deadline := time.Now().Add(20 * time.Second); !there(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.Fatalf("in vain waited for: %s", what)
		}
	}
}

// exits waits for the daemon's end.
func (d *running) exits(code int) {
	d.Helper()
	select {
	case <-d.ended:
		if got := d.cmd.ProcessState.ExitCode(); got != code {
			d.Errorf("exit code %d, want %d", got, code)
		}
	case <-time.After(30 * time.Second):
		d.Fatal("the daemon does not end")
	}
}

func (d *running) signal(s os.Signal) {
	d.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.Fatal(err)
	}
}

// clients asks the daemon how many it has.
func (d *running) clients() int {
	d.Helper()
	c, _, err := wire.Dial(d.socket, wire.Hello{Kind: wire.KindOperator})
	if err != nil {
		d.Fatal(err)
	}
	defer c.Close()
	rv, text, err := c.Call(wire.Status, nil)
	if rv != ck.CKR_OK || err != nil {
		d.Fatal(rv, err)
	}
	var status struct{ Clients []struct{ PID int } }
	if err := json.Unmarshal(text, &status); err != nil {
		d.Fatal(err)
	}
	return len(status.Clients)
}

func folder(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "tokens")
}

func TestSignalsEndIt(t *testing.T) {
	for _, s := range []os.Signal{unix.SIGTERM, unix.SIGINT} {
		d := serving(t, folder(t), nil)
		d.signal(unix.SIGHUP) // the terminal goes, the daemon stays
		if d.clients() != 0 {
			t.Error("who is that?")
		}
		d.signal(s)
		d.exits(exitDone)
		if _, err := os.Lstat(d.socket); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
		if !strings.Contains(d.stderr.String(), "everything is parked") {
			t.Errorf("the log says: %s", d.stderr)
		}
	}
}

func TestStop(t *testing.T) {
	d := serving(t, folder(t), nil)
	app, _, err := wire.Dial(d.socket, wire.Hello{Kind: wire.KindApplication})
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	operator, _, err := wire.Dial(d.socket, wire.Hello{Kind: wire.KindOperator})
	if err != nil {
		t.Fatal(err)
	}
	rv, _, err := operator.Call(wire.Stop, nil)
	if rv != ck.CKR_OK || err != nil {
		t.Error(rv, err)
	}
	if _, err := io.Copy(io.Discard, operator.Conn()); err != nil {
		t.Error(err)
	}
	d.exits(exitDone)
	serving(t, d.dir, nil) // at once
}

// Killed, it leaves its socket and its lock file; the next one takes both over.
func TestAfterAKill(t *testing.T) {
	d := serving(t, folder(t), nil)
	d.signal(unix.SIGKILL)
	<-d.ended
	if _, err := os.Lstat(d.socket); err != nil {
		t.Errorf("this test needs a socket that was left: %v", err)
	}
	serving(t, d.dir, nil)
}

func TestOnePerDirectory(t *testing.T) {
	one := serving(t, folder(t), nil)
	two := begin(t, one.dir, nil)
	two.exits(exitFailed)
	if !strings.Contains(two.stderr.String(), "another daemon answers there") {
		t.Errorf("it says: %s", two.stderr)
	}
	elsewhere := begin(t, one.dir, nil, "--socket", filepath.Join(t.TempDir(), "s"))
	elsewhere.exits(exitFailed)
	if !strings.Contains(elsewhere.stderr.String(), fmt.Sprintf("process %d", one.cmd.Process.Pid)) {
		t.Errorf("it does not name the owner: %s", elsewhere.stderr)
	}
	stranger := begin(t, folder(t), nil, "--socket", one.socket)
	stranger.exits(exitFailed)
	if one.clients() != 0 {
		t.Error("who is that?")
	}
}

// spawn starts a daemon as libonceleaf.so does, and returns what it says on the pipe.
func spawn(t *testing.T, dir string) (*running, []byte) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	d := begin(t, dir, func(c *exec.Cmd) { c.ExtraFiles = []*os.File{write} }, "--spawned", "--idle-exit", "1s", "--ready-fd", "3")
	write.Close()
	word, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	return d, word
}

func TestSpawned(t *testing.T) {
	one, word := spawn(t, folder(t))
	if string(word) != "R" {
		t.Fatalf("it says %q", word)
	}
	two, word := spawn(t, one.dir) // was not needed: its library connects to the first
	if len(word) != 0 {
		t.Errorf("it says %q", word)
	}
	two.exits(exitDone)
	one.exits(exitDone) // nobody came
	if one.stderr.Len() != 0 || two.stderr.Len() != 0 {
		t.Errorf("a spawned daemon writes to nobody: %s%s", one.stderr, two.stderr)
	}
	log, err := os.ReadFile(filepath.Join(one.dir, "onceleafd.log"))
	if err != nil || !strings.Contains(string(log), "the daemon ended") {
		t.Errorf("the log says %q, %v", log, err)
	}
}

// Somebody else has the directory: a program with the embedded library.
func TestSpawnedInVain(t *testing.T) {
	dir := folder(t)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(filepath.Join(dir, "onceleaf.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(lock, "4711 /usr/bin/signer\n")
	d, word := spawn(t, dir)
	d.exits(exitFailed)
	if len(word) < 10 || word[0] != 'E' || binary.LittleEndian.Uint64(word[1:]) != uint64(ck.CKR_FUNCTION_FAILED) || !strings.Contains(string(word[10:]), "process 4711") {
		t.Errorf("it says %q", word)
	}
}

// A daemon that is about to end keeps its directory for a moment; the next one waits for it.
func TestHandover(t *testing.T) {
	dir := folder(t)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(filepath.Join(dir, "onceleaf.lock"))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(lock, "4711 /usr/sbin/onceleafd\n")
	time.AfterFunc(1500*time.Millisecond, func() { lock.Close() })
	if _, word := spawn(t, dir); string(word) != "R" {
		t.Errorf("it says %q", word)
	}
}

func TestSocketActivation(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(t.TempDir(), "given.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	file, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	early, err := net.Dial("unix", path) // what starts it
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	if _, err := early.Write(wire.Hello{Kind: wire.KindApplication}.Encode()); err != nil {
		t.Fatal(err)
	}
	notes, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify")})
	if err != nil {
		t.Fatal(err)
	}
	defer notes.Close()
	d := begin(t, dir, func(c *exec.Cmd) {
		c.ExtraFiles = []*os.File{file}
		c.Env = append(c.Env, role+"=activated", "LISTEN_FDS=1", "NOTIFY_SOCKET="+notes.LocalAddr().String())
	})
	note := make([]byte, 1000)
	_ = notes.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := notes.Read(note); err != nil || !strings.HasPrefix(string(note[:n]), "READY=1\n") {
		t.Errorf("systemd is told %q, %v", note[:n], err)
	}
	_ = early.SetDeadline(time.Now().Add(20 * time.Second))
	if w, _, _, err := wire.ReadWelcome(early); err != nil || w.Status != wire.StatusOK {
		t.Errorf("%+v, %v", w, err)
	}
	d.signal(unix.SIGTERM)
	d.exits(exitDone)
	if n, err := notes.Read(note); err != nil || string(note[:n]) != "STOPPING=1" {
		t.Errorf("systemd is told %q, %v", note[:n], err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("systemd's socket is gone: %v", err)
	}
	if _, err := os.Lstat(d.socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it made a socket of its own: %v", err)
	}
}

// Idle means without connections, and who connects at the last moment is served, or can see that he was not.
func TestIdleExit(t *testing.T) {
	d := serving(t, folder(t), nil, "--idle-exit", "500ms")
	app, _, err := wire.Dial(d.socket, wire.Hello{Kind: wire.KindApplication})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if d.clients() != 1 {
		t.Error("the client is gone")
	}
	app.Close()
	d.exits(exitDone)

	for wait := 90 * time.Millisecond; wait < 120*time.Millisecond; wait += time.Millisecond {
		d := serving(t, folder(t), nil, "--idle-exit", "100ms")
		time.Sleep(wait)
		app, w, err := wire.Dial(d.socket, wire.Hello{Kind: wire.KindApplication})
		if err == nil {
			app.Close()
			continue
		}
		if os.IsTimeout(err) || w.Status != wire.StatusOK && w.Status != wire.StatusStopping {
			t.Errorf("after %s: %+v, %v", wait, w, err)
		}
	}
}

// client is an application that leaves a child with its connections behind, tells its child's number, and waits.
func client() {
	app, w, err := wire.Dial(os.Args[1], wire.Hello{Kind: wire.KindApplication})
	if err != nil {
		panic(err)
	}
	thread, _, err := wire.Dial(os.Args[1], wire.Hello{Kind: wire.KindJoin, Cookie: w.Cookie})
	if err != nil {
		panic(err)
	}
	child := exec.Command("sleep", "1000")
	for _, c := range []*wire.Client{app, thread} {
		file, err := c.Conn().(*net.UnixConn).File()
		if err != nil {
			panic(err)
		}
		child.ExtraFiles = append(child.ExtraFiles, file)
	}
	if err := child.Start(); err != nil {
		panic(err)
	}
	fmt.Println(child.Process.Pid)
	select {}
}

// A process that dies is gone, though a child of it holds its connections open.
func TestDeathOfAClient(t *testing.T) {
	d := serving(t, folder(t), nil)
	c := exec.Command(os.Args[0], d.socket)
	c.Env = append(os.Environ(), role+"=client")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Kill(-c.Process.Pid, unix.SIGKILL) }() // the child too
	var child int
	if _, err := fmt.Fscan(bufio.NewReader(out), &child); err != nil {
		t.Fatal(err)
	}
	if d.clients() != 1 {
		t.Error("the client is not there")
	}
	began := time.Now()
	_ = c.Process.Kill()
	_ = c.Wait()
	d.until("its end", func() bool { return d.clients() == 0 })
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("that took %s", took)
	}
	if err := unix.Kill(child, 0); err != nil {
		t.Errorf("the child has ended, and this test has shown nothing: %v", err)
	}
}

// Another user: no core, no debugger, and no entry unless he is admitted.
func TestOtherUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root can be somebody else")
		return
	}
	const nobody, daemons = 65534, 4711
	base, err := os.MkdirTemp("", "onceleafd")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	dir := filepath.Join(base, "tokens")
	if err := errors.Join(os.Chmod(base, 0o755), os.Mkdir(dir, 0o755), os.Chown(dir, daemons, daemons)); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(base, "onceleafd")
	if err := copyFile(os.Args[0], program); err != nil {
		t.Fatal(err)
	}
	configuration := filepath.Join(base, "onceleaf.toml")
	for text, admitted := range map[string]bool{
		"[daemon]\nmode = \"0666\"\n":                            true,
		"[daemon]\nmode = \"0666\"\nallow_uids = [\"nobody\"]\n": true,
		"[daemon]\nmode = \"0666\"\nallow_gids = [65534]\n":      true,
		"[daemon]\nmode = \"0666\"\nallow_uids = [4712]\n":       false,
		"[daemon]\nmode = \"0600\"\nallow_uids = [\"nobody\"]\n": false, // the mode keeps him out
		"": false,
	} {
		if err := os.WriteFile(configuration, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		d := serving(t, dir, func(c *exec.Cmd) {
			c.Path = program
			c.Env = append(c.Env, "ONCELEAF_CONF="+configuration)
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: daemons, Gid: daemons}}
		})
		if info, err := os.Stat(fmt.Sprintf("/proc/%d/mem", d.cmd.Process.Pid)); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
			t.Errorf("the daemon can be debugged or dumped: %v", err)
		}
		visitor := exec.Command(program, d.socket)
		visitor.Env = append(os.Environ(), role+"=client")
		visitor.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, err := visitor.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := visitor.Start(); err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(out).ReadString('\n')
		if got := line != ""; got != admitted {
			t.Errorf("%q: admitted %t", text, got)
		}
		_ = unix.Kill(-visitor.Process.Pid, unix.SIGKILL)
		_ = visitor.Wait()
		d.signal(unix.SIGTERM)
		d.exits(exitDone)
	}
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"more"}, {"--no-such-flag"}, {"--ready-fd", "99"}, {"--ready-fd", "1"}, {"--idle-exit", "-1s"}} {
		var out, errs strings.Builder
		if code := run(args, &out, &errs); code != exitUsage || errs.Len() == 0 {
			t.Errorf("%q: exit code %d, %q", args, code, errs.String())
		}
	}
	var out, errs strings.Builder
	if code := run([]string{"--version"}, &out, &errs); code != exitDone || !strings.Contains(out.String(), "onceleafd version") {
		t.Errorf("%d, %q, %q", code, out.String(), errs.String())
	}
}

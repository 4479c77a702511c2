package softhsmtests

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// compile builds testdata/name.c, with warnings as errors, and returns the program's path.
func compile(t *testing.T, name string, flags ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	// -rdynamic shows the program's own symbols to the library, as a program linked with other libraries does.
	arguments := []string{"-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-rdynamic", "-o", program}
	if sanitizers := os.Getenv("ONCELEAF_SANITIZE"); sanitizers != "" {
		arguments = append(arguments, "-fsanitize="+sanitizers, "-fno-sanitize-recover=all")
	}
	arguments = append(arguments, flags...)
	arguments = append(arguments, filepath.Join("testdata", name+".c"), "-pthread", "-ldl")
	compiler := os.Getenv("ONCELEAF_CC")
	if compiler == "" {
		compiler = "gcc"
	}
	if text, err := exec.Command(compiler, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", compiler, strings.Join(arguments, " "), err, text)
	}
	return program
}

// run runs a program over a fresh token directory until it ends well, and returns its standard output.
func run(t *testing.T, program string, arguments ...string) string {
	t.Helper()
	return runIn(t, t.TempDir(), program, arguments...)
}

func runIn(t *testing.T, dir, program string, arguments ...string) string {
	t.Helper()
	worker.StopDaemons(t, module, dir)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, arguments...)
	// A program that hangs goes with all its children.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.Env = worker.Environment(dir)
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(program), strings.Join(arguments, " "), err, out, stderr.String())
	}
	return string(out)
}

func TestHostInterfaces(t *testing.T) {
	run(t, compile(t, "interfaces"), module)
}

func TestHostArguments(t *testing.T) {
	run(t, compile(t, "arguments"), module)
}

func TestHostBuffers(t *testing.T) {
	run(t, compile(t, "buffers"), module)
}

func TestHostSignsAgain(t *testing.T) {
	run(t, compile(t, "again"), module)
}

func TestHostEnvironment(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	worker.StopDaemons(t, module, dir, other)
	run(t, compile(t, "environment"), module, dir, other)
	tokens, err := os.ReadDir(filepath.Join(dir, "tokens"))
	if err != nil || len(tokens) != 1 {
		t.Errorf("the directory that the host chose holds %d tokens (%v), want 1", len(tokens), err)
	}
}

func TestHostFork(t *testing.T) {
	program := compile(t, "fork")
	for _, scenario := range []string{"before-initialize", "after-finalize", "exit", "twice", "shared-memory", "threads"} {
		t.Run(scenario, func(t *testing.T) {
			run(t, program, module, scenario)
		})
	}
	t.Run("same-number", func(t *testing.T) {
		needRoot(t, "a process number space of one's own")
		run(t, program, module, "same-number")
	})
}

func TestHostThreads(t *testing.T) {
	program := compile(t, "threads")
	for _, scenario := range []string{"dlclose", "cancel", "finalize"} {
		t.Run(scenario, func(t *testing.T) {
			run(t, program, module, scenario)
		})
	}
}

// What libonceleaf.so owes to threads beside what every library does.
func TestHostThreadsOfFront(t *testing.T) {
	scenarios(t, "threads", "cancelled-end", "copies", "again", "small-stacks")
	t.Run("given up", func(t *testing.T) {
		needRoot(t, "chroot and setuid")
		withoutProc(t)
		program := compile(t, "threads")
		run(t, program, module, "chroot", t.TempDir())
		run(t, program, module, "setuid")
	})
}

// dialogue is a host that prints what it has come to and waits for a line.
type dialogue struct {
	t      *testing.T
	dir    string
	pid    int
	input  io.Writer
	output *bufio.Reader
	ended  func() error
}

// converse starts a host over a fresh token directory.
func converse(t *testing.T, program string, arguments ...string) *dialogue {
	t.Helper()
	d := &dialogue{t: t, dir: t.TempDir()}
	worker.StopDaemons(t, module, d.dir)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = worker.Environment(d.dir)
	var stderr strings.Builder
	command.Stderr = &stderr
	d.input = value(command.StdinPipe())(t)
	d.output = bufio.NewReader(value(command.StdoutPipe())(t))
	must(t, command.Start())
	d.pid = command.Process.Pid
	d.ended = sync.OnceValue(func() error {
		defer cancel()
		if err := command.Wait(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(arguments, " "), err, stderr.String())
		}
		return nil
	})
	t.Cleanup(func() {
		cancel()
		d.ended()
	})
	return d
}

// hear is the host's next line.
func (d *dialogue) hear() string {
	d.t.Helper()
	line, err := d.output.ReadString('\n')
	if err != nil {
		d.t.Fatalf("the host says nothing more: %v", d.ended())
	}
	return strings.TrimSpace(line)
}

// hears waits until the host has come to a point.
func (d *dialogue) hears(wanted string) {
	d.t.Helper()
	if got := d.hear(); got != wanted {
		d.t.Fatalf("the host says %q, want %q", got, wanted)
	}
}

// goOn lets the host go on.
func (d *dialogue) goOn() {
	d.t.Helper()
	_, err := io.WriteString(d.input, "\n")
	must(d.t, err)
}

// Each thread has a connection of its own and gives it back at its end.
func TestThreadsHaveConnections(t *testing.T) {
	d := converse(t, compile(t, "threads"), module, "connections")
	const threads, own = 8, 2 // the main thread's and the process's
	d.hears("working")
	d.connections(threads+own, d.pid)
	d.goOn()
	d.hears("ended")
	d.connections(own, d.pid)
	d.goOn()
	must(t, d.ended())
}

// connections waits until a process with so many connections is the daemon's only client: the end of one is noticed a
// moment later.
func (d *dialogue) connections(want, pid int) {
	d.t.Helper()
	var clients []worker.Client
	for range 300 {
		clients = value(worker.AskDaemon(d.dir))(d.t).Clients
		if len(clients) == 1 && clients[0].PID == pid && clients[0].Connections == want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	d.t.Errorf("the daemon has the clients %+v, want process %d with %d connections", clients, pid, want)
}

package softhsmtests

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// C programs that do what hosts of libonceleaf.so do: fork, become daemons, close descriptors, catch signals. The head of
// each says what its scenarios are.

// scenarios runs each scenario of a host over a fresh directory, some at once, and returns what they printed.
func scenarios(t *testing.T, host string, names ...string) string {
	t.Helper()
	program := compile(t, host)
	said := make([]string, len(names))
	t.Run(host, func(t *testing.T) {
		for i, name := range names {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				said[i] = run(t, program, module, name)
			})
		}
	})
	return strings.Join(said, "")
}

func TestHostForks(t *testing.T) {
	said := scenarios(t, "forks", "before-initialize", "after-finalize", "child", "exit", "deep", "threads", "thread-in-child",
		"atfork", "many-children", "shared-memory", "vfork")
	forks := 0
	if _, err := fmt.Sscanf(said, "forks %d", &forks); err != nil || forks == 0 {
		t.Errorf("the host says %q, want its forks: %v", said, err)
	}
	counted(t, "forks", forks)
	t.Run("same number", func(t *testing.T) {
		needRoot(t, "a process number space of one's own")
		withoutProc(t)
		run(t, compile(t, "forks"), module, "same-number")
	})
}

// withoutProc is for hosts that cannot look at themselves in /proc: the search for leaks at their end would fail.
func withoutProc(t *testing.T) {
	t.Helper()
	t.Setenv("ASAN_OPTIONS", "detect_leaks=0")
}

// The kernel of long ago needs no daemon.
func TestHostProcess(t *testing.T) {
	run(t, compile(t, "process", "-D_GNU_SOURCE"))
}

func TestHostPrefork(t *testing.T) {
	run(t, compile(t, "prefork"), module)
}

func TestHostDescriptors(t *testing.T) {
	scenarios(t, "descriptors", "closed", "finalize", "files", "sockets", "one", "standard", "few", "none", "exec")
}

// The process that initialised is gone, and its child is the daemon's one client.
func TestHostDaemonise(t *testing.T) {
	d := converse(t, compile(t, "daemonise"), module)
	var pid int
	if line := d.hear(); !scanned(line, "ready %d", &pid) {
		t.Fatalf("the host says %q", line)
	}
	d.connections(2, pid) // of the process and of its one thread
	d.goOn()
	must(t, d.ended())
}

func scanned(line, format string, into ...any) bool {
	n, err := fmt.Sscanf(line, format, into...)
	return err == nil && n == len(into)
}

func TestHostStart(t *testing.T) {
	program := compile(t, "start")
	const generalError, functionFailed = "0x5", "0x6"
	t.Run("nothing to be noticed", func(t *testing.T) {
		// Both outputs are pipes: a daemon that had one would keep the test waiting.
		if said := run(t, program, module, "quiet"); said != "" {
			t.Errorf("the host's output has %q", said)
		}
		run(t, program, module, "ignored")
	})
	t.Run("64 at once", func(t *testing.T) {
		d := converse(t, program, module, "many")
		d.hears("up 64")
		if n := len(value(worker.AskDaemon(d.dir))(t).Clients); n != 64 {
			t.Errorf("the daemon has %d clients, want 64", n)
		}
		d.oneDaemon()
		d.goOn()
		must(t, d.ended())
	})
	t.Run("no program", func(t *testing.T) {
		t.Setenv("ONCELEAF_DAEMON", filepath.Join(t.TempDir(), "onceleafd"))
		run(t, program, module, "fails", generalError)
	})
	t.Run("a program that is none", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "onceleafd")
		must(t, os.WriteFile(file, []byte("no program"), 0o700))
		t.Setenv("ONCELEAF_DAEMON", file)
		run(t, program, module, "fails", generalError)
	})
	t.Run("nobody reads why", func(t *testing.T) {
		t.Setenv("ONCELEAF_DAEMON", filepath.Join(t.TempDir(), "onceleafd"))
		t.Setenv("ONCELEAF_LOG", "error")
		run(t, program, module, "unread", generalError)
	})
	t.Run("a program that lies", func(t *testing.T) {
		starts := filepath.Join(t.TempDir(), "starts")
		aProgram(t, "echo >> "+starts+"\nprintf R >&3")
		run(t, program, module, "unread", generalError)
		if n := len(value(os.ReadFile(starts))(t)); n < 2 || n > 100 {
			t.Errorf("it was started %d times in ten seconds", n)
		}
	})
	t.Run("a copy of the pipe", func(t *testing.T) {
		// Somebody serves, and the pipe on which the library waits stays open without a word.
		daemon := filepath.Join(testedFolder(), "onceleafd")
		if named := os.Getenv("ONCELEAF_DAEMON"); named != "" {
			daemon = named
		}
		aProgram(t, daemon+" \"$@\" 3>/dev/null &\nexec sleep 11")
		begun := time.Now()
		run(t, program, module, "quiet")
		if took := time.Since(begun); took > 8*time.Second {
			t.Errorf("the library noticed after %v", took)
		}
	})
	t.Run("limits", func(t *testing.T) {
		d := converse(t, program, module, "limited")
		d.hears("up")
		ordinary(t, value(worker.AskDaemon(d.dir))(t).PID)
		d.goOn()
		must(t, d.ended())
	})
	t.Run("not by itself", func(t *testing.T) {
		t.Setenv("ONCELEAF_AUTOSTART", "0")
		run(t, program, module, "fails", generalError)
	})
	t.Run("empty root", func(t *testing.T) {
		needRoot(t, "chroot")
		withoutProc(t)
		run(t, program, module, "chroot", t.TempDir(), generalError)
	})
	t.Run("another owner", func(t *testing.T) {
		dir := t.TempDir()
		owner := worker.Start(t, worker.Options{Module: filepath.Join(testedFolder(), "libonceleaf-embedded.so"), Dir: dir})
		must(t, owner.Initialize())
		runIn(t, dir, program, module, "fails", functionFailed)
		must(t, owner.Finalize())
		runIn(t, dir, program, module, "quiet")
	})
}

// aProgram makes a shell script the daemon's program.
func aProgram(t *testing.T, script string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "onceleafd")
	must(t, os.WriteFile(file, []byte("#!/bin/sh\n"+script+"\n"), 0o700))
	t.Setenv("ONCELEAF_DAEMON", file)
}

// ordinary checks that a daemon has nothing of the limits and the priority of the host that started it.
func ordinary(t *testing.T, pid int) {
	t.Helper()
	for line := range strings.Lines(string(value(os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid)))(t))) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimPrefix(line, "Max file size"), "Max cpu time"))
		if fields[0] != "Max" && fields[0] != "Limit" && fields[0] != fields[1] {
			t.Errorf("a limit of the host's: %s", line)
		}
	}
	const niceness, policy = 18, 40 // fields of proc(5), counted from 0
	stat := strings.Fields(string(value(os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)))(t)))
	if stat[policy] != "0" {
		t.Errorf("the daemon's scheduling policy is %s", stat[policy])
	}
	if os.Geteuid() == 0 && stat[niceness] != "0" { // others may not raise a priority
		t.Errorf("the daemon's niceness is %s", stat[niceness])
	}
}

// testedFolder is where all that was built is. A library for a sanitizer has the others one folder up.
func testedFolder() string {
	folder := filepath.Dir(module)
	if _, err := os.Stat(filepath.Join(folder, "onceleafd")); err != nil {
		return filepath.Dir(folder)
	}
	return folder
}

// oneDaemon waits until of all the daemons that were started for a directory only one is left.
func (d *dialogue) oneDaemon() {
	d.t.Helper()
	n := 0
	for range 300 {
		if n = daemons(d.t, d.dir); n == 1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	d.t.Errorf("%d daemons for one directory", n)
}

// daemons counts the processes that were started as the directory's daemon.
func daemons(t *testing.T, dir string) (n int) {
	t.Helper()
	for _, path := range value(filepath.Glob("/proc/[0-9]*/cmdline"))(t) {
		line, err := os.ReadFile(path) // it may have ended
		if err == nil && strings.HasPrefix(string(line), "onceleafd\x00") && strings.Contains(string(line), dir+"\x00") {
			n++
		}
	}
	return n
}

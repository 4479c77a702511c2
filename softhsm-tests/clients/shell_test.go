package clients

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A section takes seconds: patience is for one that hangs, and grace for what ends a moment after its shell.
const (
	patience = 10 * time.Minute
	grace    = 20 * time.Second
)

// faultSignals are those that strace tells of. Java's virtual machine gets SIGSEGV for its own purposes, and lives on.
const faultSignals = "SEGV,BUS,ABRT,ILL,FPE,SYS"

// follow works through a section of the page with a new token and returns what the commands printed.
func follow(t *testing.T, heading string, prepare ...func(*desk)) string {
	t.Helper()
	t.Parallel()
	blocks := section(t, heading)
	d := newDesk(t, prepare...)
	d.setUp()
	out := d.run(blocks)
	d.nothingLeft()
	return string(out)
}

// run writes the files of a section and runs its commands.
func (d *desk) run(blocks []block) []byte {
	d.t.Helper()
	for _, b := range blocks {
		if b.isFile() {
			d.write(b)
		}
	}
	return d.shell(script(blocks))
}

// shell runs commands until the first that fails, and returns what they printed.
func (d *desk) shell(commands string) []byte {
	d.t.Helper()
	var out bytes.Buffer
	if why := d.watched(commands, &out); why != "" {
		d.t.Fatalf("%s:\n%s", why, &out)
	}
	return out.Bytes()
}

// watched runs commands and says what was wrong with them, nothing if all was well: the first that failed, a process
// below the shell that was killed by a fault, or one that stayed.
func (d *desk) watched(commands string, out *bytes.Buffer) string {
	d.t.Helper()
	notes := d.t.TempDir()
	must(d.t, os.Chmod(notes, 0o777))
	exits, ended := filepath.Join(notes, "exits"), filepath.Join(notes, "ended")
	// strace stays until the last process has ended, and says how each one did.
	shell := exec.Command("strace", "-f", "-q", "--seccomp-bpf", "-e", "trace=exit_group", "-e", "signal="+faultSignals,
		"-o", exits, "bash", "-euxo", "pipefail", "-c", "trap 'echo >"+ended+"' EXIT\n"+commands)
	shell.Dir, shell.Env, shell.SysProcAttr = d.work, d.environment, d.as()
	shell.Stdout, shell.Stderr = out, out
	must(d.t, shell.Start())
	left := watch(shell.Process.Pid, ended)
	err := shell.Wait()
	if why := left(); why != "" {
		return why
	}
	if why := faults(d.t, exits); why != "" {
		return why
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// watch ends the processes of a shell that hangs, and those that it leaves. The function that it returns stops that,
// and says what was found.
func watch(tracer int, ended string) (stop func() string) {
	done, found := make(chan bool), make(chan string)
	go func() {
		deadline, why := time.Now().Add(patience), "the commands hang"
		for shellEnded := false; time.Now().Before(deadline); {
			select {
			case <-done:
				found <- ""
				return
			case <-time.After(50 * time.Millisecond):
			}
			if _, err := os.Stat(ended); err == nil && !shellEnded {
				deadline, why, shellEnded = time.Now().Add(grace), "processes were left", true
			}
		}
		why += endAll(tracer)
		<-done
		found <- why
	}()
	return func() string { close(done); return <-found }
}

// endAll kills the processes that a tracer has, and says which these were. The tracer then ends too.
func endAll(tracer int) (commands string) {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	wanted := []byte(fmt.Sprintf("\nTracerPid:\t%d\n", tracer))
	for _, process := range processes {
		status, _ := os.ReadFile(filepath.Join(process, "status"))
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil || !bytes.Contains(status, wanted) {
			continue
		}
		command, _ := os.ReadFile(filepath.Join(process, "cmdline"))
		commands += fmt.Sprintf("; %d %s", pid, bytes.ReplaceAll(command, []byte{0}, []byte{' '}))
		syscall.Kill(pid, syscall.SIGKILL)
	}
	return commands
}

var killed = regexp.MustCompile(`(\d+) +\+\+\+ killed by (SIG\w+)`)

// faults reads how processes ended, and names those that a fault killed.
func faults(t *testing.T, exits string) (found string) {
	t.Helper()
	text, err := os.ReadFile(exits)
	must(t, err)
	if !bytes.Contains(text, []byte("exited with")) {
		return "strace saw no process"
	}
	for _, match := range killed.FindAllStringSubmatch(string(text), -1) {
		found += fmt.Sprintf("process %s was killed by %s; ", match[1], match[2])
	}
	return found
}

// What the sections rely on: a fault deep below the shell is seen, and a process that stays is found and ended.
func TestShellSeesFaultsAndOrphans(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ commands, want string }{
		"fault":  {"( sh -c 'kill -SEGV $$' || true )", "was killed by SIGSEGV"},
		"orphan": {"setsid sleep 1000 > /dev/null 2>&1 &", "processes were left"},
		"error":  {"false; true", "exit status 1"},
	} {
		d := &desk{t: t, work: t.TempDir(), environment: os.Environ()}
		if why := d.watched(c.commands, new(bytes.Buffer)); !strings.Contains(why, c.want) {
			t.Errorf("%s: the shell found %q, want %q", name, why, c.want)
		}
	}
}

package crashtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// plan is what one worker process does in its folder.
type plan struct {
	Folder     string
	Act        string // the name of an entry of acts
	Tokens     []string
	Shapes     []shape
	Signatures int   // per thread
	Rounds     int   // how often everything is opened, and stopped cleanly; 0 is 1
	Patient    bool  // after an error of the store, do the same again
	Fault      fault // of a durable write
}

func (p plan) released() string { return filepath.Join(p.Folder, "released") }

// store is the file of a token.
func (p plan) store(token string) string { return filepath.Join(p.Folder, token+".db") }

// patience is when a worker is said to hang.
const patience = 2 * time.Minute

// outcome is how a worker process ended.
type outcome struct {
	killed     bool // by SIGKILL
	code       int
	complaints string
	took       time.Duration
}

// run starts a worker, by the command in front if there is one, and waits for its
// end. A panic, a hang and a broken promise fail the test at once.
func (p plan) run(t *testing.T, meanwhile func(*os.Process), front ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	command := append(front, os.Args[0])
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), planVariable+"="+p.text(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if meanwhile != nil {
		meanwhile(cmd.Process)
	}
	err := cmd.Wait()
	end := outcome{code: cmd.ProcessState.ExitCode(), complaints: complaints.String(), took: time.Since(began)}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		end.killed = exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
	}
	switch {
	case ctx.Err() != nil:
		t.Fatalf("the worker hangs: %s\n%s", p.text(t), &complaints)
	case !end.killed && end.code != 0 && end.code != exitRefused:
		t.Fatalf("worker %s: %v\n%s", p.text(t), err, &complaints)
	}
	return end
}

func (p plan) text(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// recovery is the plan of a process that starts after the faults, and signs with
// all that is left. It is short enough to be done in the test process.
func (p plan) recovery() plan {
	return plan{Folder: p.Folder, Act: "recover", Tokens: p.Tokens, Shapes: p.Shapes, Rounds: 2}
}

// recover does the recovery and hands the whole story to the checker.
func (p plan) recover(t *testing.T) *checker {
	t.Helper()
	if err := work(p.recovery()); err != nil {
		t.Fatalf("recovery after %s: %v", p.text(t), err)
	}
	c := newChecker()
	if err := c.readFile(p.released()); err != nil {
		t.Fatalf("after %s: %v", p.text(t), err)
	}
	return c
}

package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/wire"
)

// HasDaemon says by its name whether a library is the one that leaves everything to a daemon.
func HasDaemon(module string) bool { return filepath.Base(module) == "libonceleaf.so" }

// DaemonLog is the file in which a daemon that a library started logs.
func DaemonLog(dir string) string { return filepath.Join(dir, "onceleafd.log") }

// Socket is where the daemon of a directory listens.
func Socket(dir string) string { return filepath.Join(dir, "onceleaf.sock") }

// DaemonStatus is what a daemon says of itself.
type DaemonStatus struct {
	PID     int
	Clients []Client
	Tokens  []TokenStatus
	Memory  struct{ Heap, InFlight uint64 }
}

// Client is an application of a daemon.
type Client struct{ PID, Connections, Sessions int }

// TokenStatus is a token of a daemon.
type TokenStatus struct {
	Label           string
	Users, Sessions int
	Lingering       bool
}

// AskDaemon is the status of the directory's daemon; without one the error is os.ErrNotExist.
func AskDaemon(dir string) (s DaemonStatus, err error) {
	client, err := operate(dir)
	if err != nil {
		return s, err
	}
	defer client.Close()
	answer, err := order(client, wire.Status)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(answer, &s)
}

// StopDaemon stops the directory's daemon as an operator does and waits until it is gone. No daemon is fine.
func StopDaemon(dir string) error {
	return end(dir, func(int) error { return stop(dir) })
}

// KillDaemon ends the directory's daemon with SIGKILL, as a crash does, and waits until it is gone.
func KillDaemon(dir string) error {
	return end(dir, func(pid int) error { return unix.Kill(pid, unix.SIGKILL) })
}

// StopDaemons stops the daemons of directories at the end of the test. Call it when the folders are made, so that they
// are still there.
func StopDaemons(t testing.TB, module string, dirs ...string) {
	t.Helper()
	if !HasDaemon(module) {
		return
	}
	t.Cleanup(func() {
		for _, dir := range dirs {
			if err := StopDaemon(dir); err != nil {
				t.Errorf("the daemon of %s did not stop: %v", dir, err)
			}
			if log, err := os.ReadFile(DaemonLog(dir)); err == nil && t.Failed() && len(log) > 0 {
				t.Logf("the daemon's log:\n%s", log)
			}
		}
	})
}

// operate connects to the directory's daemon as an operator.
func operate(dir string) (*wire.Client, error) {
	client, _, err := wire.Dial(Socket(dir), wire.Hello{Kind: wire.KindOperator})
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("no daemon at %s: %w", dir, os.ErrNotExist)
	}
	return client, err
}

func order(client *wire.Client, function uint32) ([]byte, error) {
	rv, answer, err := client.Call(function, nil)
	if err == nil && rv != ck.CKR_OK {
		err = rv
	}
	return answer, err
}

// end makes the directory's daemon end and waits for the end of its process.
func end(dir string, how func(pid int) error) error {
	status, err := AskDaemon(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("couldn't ask the daemon: %w", err)
	}
	process, err := unix.PidfdOpen(status.PID, 0)
	if err != nil {
		return fmt.Errorf("couldn't watch the daemon, process %d: %w", status.PID, err)
	}
	defer unix.Close(process)
	if err := how(status.PID); err != nil {
		return err
	}
	return gone(process)
}

func stop(dir string) error {
	client, err := operate(dir)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := order(client, wire.Stop); err != nil {
		return fmt.Errorf("the daemon refused to stop: %w", err)
	}
	_, err = io.Copy(io.Discard, client.Conn())
	return err
}

// gone waits for the end of a process.
func gone(process int) error {
	const patience = 30 * time.Second
	for deadline := time.Now().Add(patience); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds()))
		switch {
		case n == 1:
			return nil
		case err != nil && err != unix.EINTR:
			return fmt.Errorf("couldn't wait for the daemon's end: %w", err)
		case time.Now().After(deadline):
			return fmt.Errorf("the daemon is still there after %v", patience)
		}
	}
}

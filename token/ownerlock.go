package token

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/internal/durable"
	"github.com/onceleaf/onceleaf/keystore"
)

// ownerLock is the right to use a token directory. While it is held, the lock file names the holder.
type ownerLock struct{ file *os.File }

// lockPoll is how often a waiting process tries again. flock can wait by itself, but not for a limited time.
const lockPoll = 25 * time.Millisecond

// takeOwnership locks the directory for this process. It waits up to wait for another owner to go; then the error
// wraps keystore.ErrOwned and names the owner.
func takeOwnership(directory string, wait time.Duration) (*ownerLock, error) {
	path := filepath.Join(directory, "onceleaf.lock")
	file, err := durable.Append(path, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flockWithin(file, wait); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = fmt.Errorf("%w: %s; end it first: one process uses a token directory at a time", keystore.ErrOwned, holder(path))
		}
		return nil, errors.Join(fmt.Errorf("couldn't lock %s: %w", path, err), file.Close())
	}
	l := &ownerLock{file}
	if err := l.sign(); err != nil {
		return nil, errors.Join(fmt.Errorf("couldn't write %s: %w", path, err), l.release())
	}
	return l, nil
}

// flockWithin tries until the deadline, and once in any case.
func flockWithin(file *os.File, wait time.Duration) error {
	deadline := time.Now().Add(wait)
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		again := errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR)
		if !again || time.Now().After(deadline) {
			return err
		}
		time.Sleep(lockPoll)
	}
}

// sign writes who holds the lock: "1234 /usr/bin/program". It is for people; the lock itself is the flock.
func (l *ownerLock) sign() error {
	program, err := os.Executable()
	if err != nil {
		program = "unknown program"
	}
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err = fmt.Fprintf(l.file, "%d %s\n", os.Getpid(), program)
	return err
}

// holder reads what sign wrote.
func holder(path string) string {
	text, err := os.ReadFile(path)
	pid, program, ok := strings.Cut(strings.TrimSpace(string(text)), " ")
	if err != nil || !ok {
		return "the owner has not written its name yet"
	}
	if filepath.Base(program) == "onceleafd" {
		return fmt.Sprintf("process %s (%s), the daemon, which 'onceleaf daemon stop' ends", pid, program)
	}
	return fmt.Sprintf("process %s (%s)", pid, program)
}

// release unlocks explicitly: a child that was forked while the lock was held has the same open file, and closing ours
// alone would leave the directory locked for as long as that child lives.
func (l *ownerLock) release() error {
	return errors.Join(l.file.Truncate(0), unix.Flock(int(l.file.Fd()), unix.LOCK_UN), l.file.Close())
}

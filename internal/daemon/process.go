package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// protect keeps the memory of this process from debuggers, core dumps and the swap, as far as the system lets it. It
// comes before the first secret.
func protect() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("couldn't make the process undumpable: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("couldn't forbid core dumps: %w", err)
	}
	// Many descriptors for connections; room for secrets in locked memory.
	return errors.Join(raise(unix.RLIMIT_NOFILE, "open files"), raise(unix.RLIMIT_MEMLOCK, "locked memory"))
}

// raise takes of a limit what the system grants.
func raise(resource int, what string) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(resource, &limit); err != nil {
		return fmt.Errorf("couldn't read the limit of %s: %w", what, err)
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(resource, &limit); err != nil {
		return fmt.Errorf("couldn't raise the limit of %s: %w", what, err)
	}
	return nil
}

// openFiles is how many descriptors this process may have.
func openFiles() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return int(min(limit.Cur, 1<<20))
}

// notify tells systemd what state the daemon is in; without systemd it does nothing.
func notify(getenv func(string) string, state string) error {
	name := getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"}) // Go knows what a leading @ means
	if err != nil {
		return fmt.Errorf("couldn't notify systemd: %w", err)
	}
	_, err = c.Write([]byte(state))
	return errors.Join(err, c.Close())
}

// errUnseen is that the system does not show the end of a process; that of its connection has to do then.
var errUnseen = errors.New("the end of the process cannot be seen")

// pidfdOf is a descriptor that becomes readable when the peer ends. An error but errUnseen is that it has ended already,
// as far as can be known.
func pidfdOf(c *net.UnixConn, p peer) (*os.File, error) {
	if p.pid == 0 {
		return nil, fmt.Errorf("%w: it is of another namespace", errUnseen)
	}
	fd, err := peerPidfd(
		func() (fd int, err error) {
			err = onDescriptor(c, func(s int) error {
				fd, err = unix.GetsockoptInt(s, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
				return err
			})
			return fd, err
		},
		func() (int, error) { return unix.PidfdOpen(p.pid, unix.PIDFD_NONBLOCK) })
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil { // only such a file goes to the poller
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// peerPidfd takes the descriptor that the kernel kept since the peer connected. Only a kernel that keeps none is asked by
// number: the number of a process that has ended may be another's.
func peerPidfd(kept, byNumber func() (int, error)) (fd int, err error) {
	if fd, err = kept(); !errors.Is(err, unix.ENOPROTOOPT) {
		return fd, err
	}
	if fd, err = byNumber(); errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // an old kernel, a strict sandbox
		return fd, fmt.Errorf("%w: %w", errUnseen, err)
	}
	return fd, err
}

// awaitEnd returns when the process ended, or when the file was closed.
func awaitEnd(pidfd *os.File) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool { // an error means closed
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, _ := unix.Poll(polled, 0)
		return n > 0
	})
}

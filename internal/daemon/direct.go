package daemon

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// stream is a connection: one of package net, or a direct one.
type stream interface {
	io.ReadWriteCloser
	CloseRead() error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// direct is a connection whose reader waits in the kernel. Go's poller, which waits for all others, costs a call that does
// little as much again as the call itself; but a direct connection has a thread of its own.
type direct struct {
	fd            int
	reading, send time.Time // deadlines; zero for none

	mu     sync.Mutex // guards closed: the number of a closed descriptor may be somebody else's
	closed bool
}

// directOnes is how many connections of a daemon may be direct. They are the first that come.
const directOnes = 64

// newDirect takes the connection over. c is closed afterwards, also to the poller; after an error it is as it was.
func newDirect(c *net.UnixConn) (*direct, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	d := &direct{}
	controlErr := raw.Control(func(fd uintptr) { d.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(controlErr, err); err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(d.fd, false); err != nil {
		return nil, errors.Join(err, unix.Close(d.fd))
	}
	_ = c.Close() // the socket lives on in d.fd
	return d, nil
}

// Read implements io.Reader.
func (d *direct) Read(p []byte) (int, error) {
	for {
		if err := d.patience(unix.SO_RCVTIMEO, d.reading); err != nil {
			return 0, err
		}
		n, err := unix.Read(d.fd, p)
		switch {
		case err == nil && n == 0 && len(p) > 0:
			return 0, io.EOF
		case err == nil:
			return n, nil
		case err == unix.EAGAIN:
			return 0, os.ErrDeadlineExceeded
		case err != unix.EINTR:
			return 0, os.NewSyscallError("read", err)
		}
	}
}

// patientStep is what is sent at once where the peer is waited for, in bytes: for each piece that the kernel takes it
// would begin to wait anew.
const patientStep = 16 << 10

// Write implements io.Writer. What the peer's socket has room for goes without a look at the clock.
func (d *direct) Write(p []byte) (written int, err error) {
	flags, most := unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, len(p)
	for written < len(p) {
		n, err := unix.SendmsgN(d.fd, p[written:min(len(p), written+most)], nil, nil, flags)
		switch {
		case err == nil:
			written += n
		case err == unix.EAGAIN && flags&unix.MSG_DONTWAIT == 0:
			return written, os.ErrDeadlineExceeded
		case err != unix.EAGAIN && err != unix.EINTR:
			return written, os.NewSyscallError("send", err)
		}
		if written < len(p) {
			flags, most = unix.MSG_NOSIGNAL, patientStep
			if err := d.patience(unix.SO_SNDTIMEO, d.send); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

// patience bounds how long the next call waits. Without a deadline there is no bound, as there is at first.
func (d *direct) patience(option int, deadline time.Time) error {
	if deadline.IsZero() {
		return nil
	}
	left := time.Until(deadline)
	if left <= 0 {
		return os.ErrDeadlineExceeded
	}
	wait := unix.NsecToTimeval(max(int64(left), int64(time.Microsecond)))
	return os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(d.fd, unix.SOL_SOCKET, option, &wait))
}

// SetReadDeadline bounds the reads from now on; the zero time takes the bound away. The reader calls it.
func (d *direct) SetReadDeadline(t time.Time) error {
	d.reading = t
	if !t.IsZero() {
		return nil
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(d.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{}))
}

// SetWriteDeadline bounds the writes from now on. The writer calls it.
func (d *direct) SetWriteDeadline(t time.Time) error {
	d.send = t
	return nil
}

// CloseRead ends the reading, also one that is under way.
func (d *direct) CloseRead() error { return d.shutdown(unix.SHUT_RD) }

// Close ends reading and writing, also under way. What the connection holds goes with release.
func (d *direct) Close() error { return d.shutdown(unix.SHUT_RDWR) }

func (d *direct) shutdown(how int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	return os.NewSyscallError("shutdown", unix.Shutdown(d.fd, how))
}

// release gives the descriptor back. Nobody reads or writes any more.
func (d *direct) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	_ = unix.Close(d.fd)
}

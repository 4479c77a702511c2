package softhsmtests

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/internal/wire"
)

// liarsWindow is a connection whose frames cross in a window, as far as the liar keeps to that.
type liarsWindow struct {
	net.Conn
	*liar
	window wire.Window
	early  []byte // of a request
	last   []byte // the request before, without its size

	spoiled bool // what comes next is not the library's fault
}

// welcome greets, perhaps with a window or what is none, and says over what the calls go. end gives the memory back.
func (l *liar) welcome(socket *net.UnixConn, kind uint32, welcome []byte) (conn net.Conn, end func(), err error) {
	end = func() {}
	if kind != wire.KindJoinWindow || l.n(3) == 0 {
		_, err = socket.Write(welcome)
		return socket, end, err
	}
	memory, files, err := l.files()
	if err != nil {
		l.t.Error(err)
		return nil, end, err
	}
	end = func() { _ = unix.Munmap(memory) }
	_, _, err = socket.WriteMsgUnix(welcome, unix.UnixRights(files...), nil)
	for _, fd := range files {
		_ = unix.Close(fd)
	}
	if _, gone := socket.Read(make([]byte, 1)); gone != nil { // the library has no use for it
		return nil, end, gone
	}
	l.windows.Add(1)
	return &liarsWindow{Conn: socket, liar: l, window: memory}, end, err
}

// files are a window, or what looks like one.
func (l *liar) files() (memory []byte, files []int, err error) {
	size, seals := wire.WindowSize, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW
	number := 1
	switch l.n(12) {
	case 0:
		seals = 0 // it could be made smaller
	case 1:
		seals = unix.F_SEAL_GROW
	case 2:
		size = 4096
	case 3:
		size += 4096
	case 4:
		number = 2
	case 5:
		number = 100
	case 6:
		fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
		return nil, []int{fd}, err
	}
	fd := windowFile(l.t, size, seals)
	memory, err = unix.Mmap(fd, 0, max(size, wire.WindowSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	files = []int{fd}
	for len(files) < number {
		again, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return memory, files, err
		}
		files = append(files, again)
	}
	return memory, files, err
}

// windowFile is a file in memory.
func windowFile(t *testing.T, size, seals int) (fd int) {
	fd, err := unix.MemfdCreate("window", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err == nil {
		err = unix.Ftruncate(fd, int64(size))
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		t.Error(err)
	}
	return fd
}

// Read gives the requests as a stream.
func (w *liarsWindow) Read(p []byte) (int, error) {
	if len(w.early) == 0 {
		if err := w.await(); err != nil {
			return 0, err
		}
		frame, err := w.window.Take(nil)
		if frame == nil && err == nil {
			frame, err = wire.ReadFrame(w.Conn, nil, nil)
		}
		if err != nil {
			return 0, err
		}
		w.last = frame
		w.early = append(binary.LittleEndian.AppendUint32(nil, uint32(len(frame))), frame...)
	}
	n := copy(p, w.early)
	w.early = w.early[n:]
	return n, nil
}

// await waits for the library, as a daemon should not: again and again.
func (w *liarsWindow) await() error {
	if w.spoiled {
		return net.ErrClosed
	}
	if w.window == nil {
		_, err := w.Conn.Read(make([]byte, 1)) // nothing comes
		return errors.Join(err, net.ErrClosed)
	}
	for {
		switch atomic.LoadUint32(w.window.Turn()) {
		case wire.TurnDaemon:
			return nil
		case 0:
		default:
			return net.ErrClosed
		}
		_ = w.Conn.SetReadDeadline(time.Now().Add(50 * time.Microsecond))
		_, err := w.Conn.Read(make([]byte, 1))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.Join(err, net.ErrClosed)
		}
		_ = w.Conn.SetReadDeadline(time.Time{})
	}
}

// Write puts an answer into the window as it is, or lets it follow over the socket; and now and then something is wrong.
func (w *liarsWindow) Write(frame []byte) (int, error) {
	const place = 64
	inside := len(frame) >= 4 && len(frame) <= len(w.window)-place && w.n(4) > 0
	if inside {
		copy(w.window[place:], frame)
	} else {
		binary.LittleEndian.PutUint32(w.window[place:], 0)
	}
	if w.n(4) == 0 {
		w.propose()
	}
	switch w.n(40) {
	case 0:
		atomic.OrUint32(w.window.Turn(), wire.TurnGone) // and yet there is an answer
	case 1:
		binary.LittleEndian.PutUint32(w.window[place:], uint32(1+w.n(1<<15)))
	case 2:
		done := make(chan struct{})
		defer func() {
			<-done
			w.spoiled = true
			w.Conn.Close()
		}()
		go w.scribble(done)
	case 3:
		atomic.StoreUint32(w.window.Turn(), uint32(w.n(1<<30))<<2|wire.TurnDaemon) // it stays the daemon's turn
		return 0, w.Conn.Close()
	}
	atomic.AndUint32(w.window.Turn(), ^wire.TurnDaemon)
	w.wake()
	if !inside {
		return w.Conn.Write(frame)
	}
	if binary.LittleEndian.Uint32(w.window[place:]) == 0 {
		return 0, w.Conn.Close() // it says that something follows over the socket
	}
	return len(frame), nil
}

// propose offers the request that came last, or nonsense.
func (w *liarsWindow) propose() {
	w.window.SetOffer(w.last[:min(len(w.last), wire.MaxOffer)])
	atomic.StoreUint32(w.window.Offer(), uint32(w.n(1<<30))<<2|wire.OfferMade)
	if w.n(4) == 0 {
		copy(w.window[8+w.n(56):64], w.octets(40))
	}
}

// scribble changes the answer while the library takes it.
func (w *liarsWindow) scribble(done chan struct{}) {
	defer close(done)
	for range 200 {
		copy(w.window[64+w.n(200):], w.octets(16))
	}
}

func (w *liarsWindow) wake() {
	_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(w.window.Turn())), 1, 1, 0, 0, 0)
}

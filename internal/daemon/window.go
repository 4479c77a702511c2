package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/internal/wire"
)

// windowsMost is how many connections of a daemon may have a window, and with it a thread. They are the first that come.
// One application has at most half of them, and where several users may connect the rule of budget.share holds too.
const windowsMost = 64

// yieldsMost is how often a thread gives its processor up before it sleeps.
const yieldsMost = 4

// Operations of futex(2), between processes.
const (
	futexWait = 0
	futexWake = 1
)

// window is the memory that the daemon shares with one thread of a client. Both wait for their turn in the kernel, the
// daemon with a thread that follows the client's to its processor: they never work at the same time, and to wake a
// processor that sleeps costs more than most calls do.
type window struct {
	wire.Window
	cpu   int         // where the thread stays, or -1
	ended atomic.Bool // the daemon has ended the connection
	offer uint32      // number of the last offer, in the place that it has in the word

	mu   sync.Mutex // guards gone
	gone bool       // the memory is not there any more
}

// newWindow gives the window and the file to hand to the client. Its memory is there, and nobody can make the file smaller: no
// access to it fails, unless the client gives memory back (fallocate(2), FALLOC_FL_PUNCH_HOLE) when the machine has none left.
func newWindow() (*window, *os.File, error) {
	fd, err := unix.MemfdCreate("onceleaf-window", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // a kernel before 6.3
		fd, err = unix.MemfdCreate("onceleaf-window", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, nil, os.NewSyscallError("memfd_create", err)
	}
	file := os.NewFile(uintptr(fd), "window")
	memory, err := mapWindow(fd)
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return &window{Window: memory, cpu: -1}, file, nil
}

func mapWindow(fd int) ([]byte, error) {
	if err := unix.Fallocate(fd, 0, 0, wire.WindowSize); err != nil { // where there is no memory, it shows here
		return nil, os.NewSyscallError("fallocate", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	memory, err := unix.Mmap(fd, 0, wire.WindowSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return memory, os.NewSyscallError("mmap", err)
}

// await waits for a request. io.EOF means that the connection has ended. At first it only gives the processor up, to the
// client as a rule, whose next request may be there when it comes back.
func (w *window) await() error {
	for yields := 0; !w.ended.Load(); yields++ {
		switch turn := atomic.LoadUint32(w.Turn()); {
		case turn == wire.TurnDaemon:
			w.follow(int(w.CPU()))
			return nil
		case turn&wire.TurnGone != 0:
			return io.EOF
		case yields < yieldsMost:
			_, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		default:
			waitWhile(w.Turn(), turn)
		}
	}
	return io.EOF
}

// take takes the request out of the window, into buf. There is none if it comes over the socket.
func (w *window) take(buf []byte) ([]byte, error) {
	frame, err := w.Take(buf)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProtocol, err)
	}
	return frame, nil
}

// give hands an answer over; it is false if the answer has to follow over the socket.
func (w *window) give(answer []byte) bool {
	inside := w.Put(answer)
	atomic.AndUint32(w.Turn(), ^wire.TurnDaemon)
	wake(w.Turn())
	return inside
}

// propose offers to have done a request: its answer is CKR_OK and nothing else.
func (w *window) propose(request []byte) {
	w.offer += wire.OfferBits + 1
	w.SetOffer(request)
	atomic.StoreUint32(w.Window.Offer(), w.offer|wire.OfferMade)
}

// withdraw takes an offer back, and says whether the library had taken it.
func (w *window) withdraw() (taken bool) {
	taken = !atomic.CompareAndSwapUint32(w.Window.Offer(), w.offer|wire.OfferMade, 0)
	atomic.StoreUint32(w.Window.Offer(), 0)
	return taken
}

// end makes the daemon's thread see the end of the connection, at once or, if the client works against it, when its wait
// is over. The answer to a call under way still goes out.
func (w *window) end() {
	w.ended.Store(true)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.gone {
		atomic.OrUint32(w.Turn(), wire.TurnGone)
		wake(w.Turn())
	}
}

// release gives the memory back. Nobody waits any more, but for the client, who sees the end.
func (w *window) release() {
	w.end()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = true
	_ = unix.Munmap(w.Window)
}

// everywhere are the processors that the daemon may run on.
var everywhere = sync.OnceValue(func() (set unix.CPUSet) {
	_ = unix.SchedGetaffinity(os.Getpid(), &set)
	return set
})

// follow keeps the calling thread, which belongs to the window, on the client's processor.
func (w *window) follow(cpu int) {
	all := everywhere()
	if cpu == w.cpu || !all.IsSet(cpu) {
		return
	}
	var one unix.CPUSet
	one.Set(cpu)
	_ = stay(&one) // where it is, if that cannot be
	w.cpu = cpu
}

// settle ties the calling goroutine to a thread. If the thread cannot be let go where it likes in the end, it ends too.
func (w *window) settle() (leave func()) {
	runtime.LockOSThread()
	return func() {
		if w.roam() == nil {
			runtime.UnlockOSThread()
		}
	}
}

// roam lets the calling thread go where there is room: for calls that take long, and at the end.
func (w *window) roam() error {
	if w.cpu < 0 {
		return nil
	}
	all := everywhere()
	err := stay(&all)
	if err == nil {
		w.cpu = -1
	}
	return err
}

// stay is sched_setaffinity(2) for the calling thread. It returns when a processor of the set has time for the thread, and
// Go has to know that it waits: x/sys does not tell.
func stay(set *unix.CPUSet) error {
	_, _, errno := unix.Syscall(unix.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(*set), uintptr(unsafe.Pointer(set)))
	if errno != 0 {
		return os.NewSyscallError("sched_setaffinity", errno)
	}
	return nil
}

// waitWhile waits while the word has the value: not at all, or until somebody wakes it, or for at most a second. A client
// can see to it that nobody wakes the thread (futex(2), FUTEX_REQUEUE), but not that the wait goes on.
func waitWhile(word *uint32, value uint32) {
	most := unix.Timespec{Sec: 1}
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWait, uintptr(value), uintptr(unsafe.Pointer(&most)), 0, 0)
}

// wake wakes one who waits for the word.
func wake(word *uint32) {
	_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWake, 1, 0, 0, 0)
}

package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/token"
)

// errLiving is that another daemon answers at the socket.
var errLiving = errors.New("another daemon answers there")

// socket is the listening socket and, if this process made it, its name.
type socket struct {
	*net.UnixListener
	path   string
	folder *os.File // the name is in it; nil if the socket came from systemd, whose name it is
	made   unix.Stat_t
}

// ownership is who may open the socket.
type ownership struct {
	mode  uint32
	group int // -1: as it is
}

// ownershipOf reads the configuration.
func ownershipOf(c token.Daemon) (ownership, error) {
	mode, err := c.SocketMode()
	if err != nil {
		return ownership{}, err
	}
	o := ownership{uint32(mode), -1}
	if c.Group == "" {
		return o, nil
	}
	id, err := groupID(string(c.Group))
	if err != nil {
		return o, fmt.Errorf("daemon.group: %w", err)
	}
	o.group = int(id)
	return o, nil
}

func groupID(name string) (uint32, error) {
	if id, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(id), nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, err
	}
	id, err := strconv.ParseUint(g.Gid, 10, 32)
	return uint32(id), err
}

func userID(name string) (uint32, error) {
	if id, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(id), nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(id), err
}

// openFolder opens the folder of a path without the right to read it: a socket's address holds 107 bytes at most, and
// /proc/self/fd/N/name is short however long the path is.
func openFolder(path string) (*os.File, error) {
	fd, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
	}
	return os.NewFile(uintptr(fd), filepath.Dir(path)), nil
}

// address is the socket's address by way of its open folder.
func address(folder *os.File, path string) *unix.SockaddrUnix {
	return &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), filepath.Base(path))}
}

// living says whether somebody listens at the path.
func living(path string) bool {
	folder, err := openFolder(path)
	if err != nil {
		return false
	}
	defer folder.Close()
	return answers(folder, path)
}

func answers(folder *os.File, path string) bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, address(folder, path))
	return err == nil || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINPROGRESS) // a full backlog is life too
}

// claim listens at the path, and removes a socket that a dead daemon left there. Two daemons that claim one path at the
// same time would remove each other's, so each holds a lock beside the socket meanwhile; there is no other lock that
// daemons of two directories share.
func claim(path string, o ownership, wait time.Duration) (*socket, error) {
	folder, err := openFolder(path)
	if err != nil {
		return nil, err
	}
	s := &socket{path: path, folder: folder}
	if err := s.locked(wait, func() error { return s.listen(o) }); err != nil {
		return nil, errors.Join(fmt.Errorf("couldn't listen at %s: %w", path, err), folder.Close())
	}
	return s, nil
}

// lockSuffix is what the name of the lock has beyond that of the socket.
const lockSuffix = ".lock"

// errLocked is that another daemon claims or gives up the path at this moment.
var errLocked = errors.New("another daemon holds the lock beside it")

// locked does work while no other daemon claims or gives up the path. The lock is a file that only the daemon's user can
// open, or anybody could keep daemons out, and it is there only as long.
func (s *socket) locked(wait time.Duration, work func() error) error {
	for deadline := time.Now().Add(wait); ; time.Sleep(10 * time.Millisecond) {
		lock, err := s.lock()
		if err == nil {
			err = work()
			_ = unix.Unlinkat(int(s.folder.Fd()), s.lockName(), 0) // one that stays is taken by the next
			return errors.Join(err, unix.Close(lock))              // which unlocks
		}
		if !errors.Is(err, errLocked) || time.Now().After(deadline) {
			return fmt.Errorf("couldn't lock %s: %w", s.path+lockSuffix, err)
		}
	}
}

func (s *socket) lockName() string { return filepath.Base(s.path) + lockSuffix }

// lock returns the locked file that has the name of the lock.
func (s *socket) lock() (fd int, err error) {
	flags := unix.O_RDWR | unix.O_CREAT | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	if fd, err = unix.Openat(int(s.folder.Fd()), s.lockName(), flags, 0o600); err != nil {
		return -1, err
	}
	if err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
		err = errLocked
	}
	if err == nil {
		err = s.stillThere(fd)
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// stillThere finds out whether who had the lock before removed its file since it was opened.
func (s *socket) stillThere(fd int) error {
	var opened, found unix.Stat_t
	if err := unix.Fstat(fd, &opened); err != nil {
		return err
	}
	err := unix.Fstatat(int(s.folder.Fd()), s.lockName(), &found, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && opened.Dev == found.Dev && opened.Ino == found.Ino {
		return nil
	}
	return errLocked
}

// listen makes the socket. Nobody can connect before listen, so mode and group are right from the first connection on.
func (s *socket) listen(o ownership) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), s.path)
	defer file.Close() // the listener has its own copy
	// Before it has a name: by that, something else could be hit.
	if err := unix.Fchmod(fd, o.mode); err != nil {
		return fmt.Errorf("couldn't give the socket its mode: %w", err)
	}
	if err := s.bind(fd); err != nil {
		return err
	}
	if err := s.dress(o); err != nil {
		return err
	}
	if err := unix.Listen(fd, unix.SOMAXCONN); err != nil {
		return err
	}
	s.UnixListener, err = unixListener(file)
	return err
}

func (s *socket) bind(fd int) error {
	err := s.name(fd)
	if !errors.Is(err, unix.EADDRINUSE) {
		return err
	}
	var found unix.Stat_t
	if err := s.stat(&found); err != nil {
		return err
	}
	if found.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return errors.New("there is something that is no socket; it is left alone")
	}
	if answers(s.folder, s.path) {
		return errLiving
	}
	if err := unix.Unlinkat(int(s.folder.Fd()), filepath.Base(s.path), 0); err != nil {
		return fmt.Errorf("couldn't remove the socket of a daemon that has ended: %w", err)
	}
	return s.name(fd)
}

// naming is held while the process has another umask.
var naming sync.Mutex

// name gives the socket its name, and with it the mode of the descriptor, less the umask. The daemon makes no file
// without saying its mode, so that a umask of 0 changes nothing else.
func (s *socket) name(fd int) error {
	naming.Lock()
	defer naming.Unlock()
	defer unix.Umask(unix.Umask(0))
	return unix.Bind(fd, address(s.folder, s.path))
}

// dress gives the socket its group, looks whether it has its mode, and notes which one it is. Whoever may write the
// folder can put anything else in its place by now: nothing but a socket is touched.
func (s *socket) dress(o ownership) error {
	fd, err := unix.Openat(int(s.folder.Fd()), filepath.Base(s.path), unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Fstat(fd, &s.made); err != nil {
		return err
	}
	if s.made.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return errors.New("something else is in the place of the new socket")
	}
	if mode := s.made.Mode & 0o777; mode != o.mode {
		return fmt.Errorf("the socket got mode %04o instead of %04o: does its folder have an access control list?", mode, o.mode)
	}
	if o.group < 0 {
		return nil
	}
	if err := unix.Fchownat(fd, "", -1, o.group, unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("couldn't give the socket to group %d: %w", o.group, err)
	}
	return nil
}

func (s *socket) stat(into *unix.Stat_t) error {
	return unix.Fstatat(int(s.folder.Fd()), filepath.Base(s.path), into, unix.AT_SYMLINK_NOFOLLOW)
}

// giveUp closes the socket and removes its name, if that is still this socket's.
func (s *socket) giveUp() error {
	err := s.UnixListener.Close()
	if s.folder == nil {
		return err
	}
	defer s.folder.Close()
	return errors.Join(err, s.locked(time.Second, s.remove))
}

func (s *socket) remove() error {
	var found unix.Stat_t
	if err := s.stat(&found); err != nil || found.Dev != s.made.Dev || found.Ino != s.made.Ino {
		return nil // somebody else's, or nobody's
	}
	return unix.Unlinkat(int(s.folder.Fd()), filepath.Base(s.path), 0)
}

func unixListener(file *os.File) (*net.UnixListener, error) {
	l, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	listener, ok := l.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(errors.New("not a Unix stream socket"), l.Close())
	}
	listener.SetUnlinkOnClose(false) // by its path it could remove another daemon's
	return listener, nil
}

// The first descriptor that systemd hands over.
const firstHanded = 3

// activated says whether systemd hands sockets over to this process; a variable can also be left from another one.
func activated(getenv func(string) string) bool {
	return getenv("LISTEN_PID") == strconv.Itoa(os.Getpid())
}

// handed is the socket that systemd listens at for this process, nil if there is none.
func handed(getenv func(string) string) (*socket, error) {
	if !activated(getenv) {
		return nil, nil
	}
	if n := getenv("LISTEN_FDS"); n != "1" {
		return nil, fmt.Errorf("systemd hands over %s sockets, and this daemon serves one: the unit must have one ListenStream", n)
	}
	unix.CloseOnExec(firstHanded)
	file := os.NewFile(firstHanded, "systemd's socket")
	defer file.Close()
	listener, err := unixListener(file)
	if err != nil {
		return nil, fmt.Errorf("couldn't use the socket that systemd hands over: %w", err)
	}
	return &socket{UnixListener: listener, path: listener.Addr().String()}, nil
}

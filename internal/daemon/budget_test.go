package daemon

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/token"
)

func TestBudget(t *testing.T) {
	b := newBudget(usage{clients: 8, connections: 100, windows: 4, memory: 1000}, true)
	for i := range 6 {
		if !b.take(1, usage{clients: 1}) {
			t.Fatalf("client %d was refused", i)
		}
	}
	if b.take(1, usage{clients: 1}) {
		t.Error("one user took more than three quarters")
	}
	if !b.take(2, usage{clients: 2, memory: 750}) || b.take(2, usage{memory: 1}) || b.take(3, usage{memory: 251}) || !b.take(3, usage{memory: 250}) {
		t.Error("memory is not counted right")
	}
	if !b.take(3, usage{windows: 3}) || b.take(3, usage{windows: 1}) {
		t.Error("windows are not counted right")
	}
	if b.take(3, usage{clients: 1}) {
		t.Error("a ninth client of eight")
	}
	b.giveBack(1, usage{clients: 6})
	b.giveBack(2, usage{clients: 2, memory: 750})
	b.giveBack(3, usage{windows: 3, memory: 250})
	if b.inUse() != (usage{}) || len(b.users) != 0 {
		t.Errorf("%+v stays, of %d users", b.inUse(), len(b.users))
	}
	own := newBudget(usage{clients: 8}, false)
	if !own.take(1, usage{clients: 8}) || own.take(1, usage{clients: 1}) {
		t.Error("where there is one user, all is for him")
	}
}

// A full lobby loses who was silent for longest.
func TestLobby(t *testing.T) {
	var l lobby
	near, far := pair(t)
	l.enter(near)
	c, _ := pair(t)
	for range lobbySize {
		l.enter(c)
	}
	_ = far.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := far.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the oldest is still connected: %v", err)
	}
	if l.leave(near) || !l.leave(c) || len(l.waiting) != lobbySize-1 {
		t.Error("the wrong one went")
	}
	l.clear()
	if len(l.waiting) != 0 {
		t.Error("somebody stays")
	}
}

// pair is two ends of a connection.
func pair(t *testing.T) (near, far *net.UnixConn) {
	t.Helper()
	path := t.TempDir() + "/s"
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if far, err = net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr)); err != nil {
		t.Fatal(err)
	}
	if near, err = l.AcceptUnix(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

func TestAdmission(t *testing.T) {
	a, err := admissionOf(token.Daemon{AllowUIDs: []token.Account{"4711"}, AllowGIDs: []token.Account{"root", "99"}})
	if err != nil {
		t.Fatal(err)
	}
	a.own = 1000
	for _, c := range []struct {
		peer peer
		want bool
	}{
		{peer{uid: 4711, gid: 5}, true}, {peer{uid: 1000, gid: 5}, true}, {peer{uid: 0, gid: 5}, true}, {peer{uid: 4712, gid: 5}, false},
		{peer{uid: 4712, gid: 99}, true}, {peer{uid: 4712, gid: 5, groups: []uint32{3, 99}}, true}, {peer{uid: 4712, gid: 4711, groups: []uint32{3}}, false},
		{peer{uid: 4712, gid: 0}, true},
	} {
		if got := a.admits(c.peer); got != c.want {
			t.Errorf("%+v: %t", c.peer, got)
		}
	}
	if open := (admission{own: 1000}); !open.admits(peer{uid: 5}) || open.operates(peer{uid: 5}) || !open.operates(peer{uid: 0}) {
		t.Error("without lists the mode of the socket decides, and only the owner and root operate")
	}
	if _, err := admissionOf(token.Daemon{AllowUIDs: []token.Account{"no such user here"}}); err == nil {
		t.Error("an unknown user passed")
	}
}

// Who has gone is nobody: the zero would be root.
func TestPeerOfClosed(t *testing.T) {
	near, _ := pair(t)
	near.Close()
	if p, err := peerOf(near, true); err == nil {
		t.Errorf("a closed connection is of %+v", p)
	}
	if pidfd, err := pidfdOf(near, peer{pid: os.Getpid()}); err == nil || errors.Is(err, errUnseen) {
		t.Errorf("a closed connection is of the process of %v: %v", pidfd, err)
	}
}

// By its number a process is looked for on old kernels only.
func TestPeerPidfd(t *testing.T) {
	for _, c := range []struct {
		kept, byNumber error
		fd             int
		unseen, dead   bool
	}{
		{nil, nil, 1, false, false},
		{unix.ESRCH, nil, 0, false, true},
		{unix.EINVAL, nil, 0, false, true},
		{unix.EMFILE, nil, 0, false, true},
		{unix.ENOPROTOOPT, nil, 2, false, false},
		{unix.ENOPROTOOPT, unix.ESRCH, 0, false, true},
		{unix.ENOPROTOOPT, unix.ENOSYS, 0, true, false},
		{unix.ENOPROTOOPT, unix.EPERM, 0, true, false},
	} {
		fd, err := peerPidfd(func() (int, error) { return 1, c.kept }, func() (int, error) { return 2, c.byNumber })
		if err == nil && fd != c.fd || errors.Is(err, errUnseen) != c.unseen || (err != nil && !c.unseen) != c.dead {
			t.Errorf("%+v: %d, %v", c, fd, err)
		}
	}
}

// The kernel's word about this very process.
func TestPeer(t *testing.T) {
	near, _ := pair(t)
	p, err := peerOf(near, true)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := os.Getgroups()
	if err != nil || p.pid != os.Getpid() || p.uid != uint32(os.Getuid()) || p.gid != uint32(os.Getgid()) || len(p.groups) != len(groups) {
		t.Errorf("%+v, %v", p, err)
	}
	pidfd, err := pidfdOf(near, p)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { awaitEnd(pidfd); close(ended) }()
	select {
	case <-ended:
		t.Error("this process has ended")
	case <-time.After(50 * time.Millisecond):
	}
	pidfd.Close()
	<-ended
}

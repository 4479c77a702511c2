package daemon

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/token"
)

var private = ownership{0o600, -1}

func mustClaim(t *testing.T, path string) *socket {
	t.Helper()
	s, err := claim(path, private, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.giveUp() })
	return s
}

// A path that is longer than a socket's address.
func TestLongPath(t *testing.T) {
	folder := filepath.Join(t.TempDir(), strings.Repeat("long/", 40))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "onceleaf.sock")
	s := mustClaim(t, path)
	if !living(path) {
		t.Error("nobody answers")
	}
	if err := s.giveUp(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) || living(path) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestModeAndGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	group := os.Getegid()
	if os.Geteuid() == 0 { // who may give it to a group that it is not in
		group = 4711
	}
	o, err := ownershipOf(token.Daemon{Group: token.Account(strconv.Itoa(group))})
	if err != nil {
		t.Fatal(err)
	}
	s, err := claim(path, o, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer s.giveUp()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil || st.Mode&0o777 != 0o660 || int(st.Gid) != group {
		t.Errorf("mode %o, group %d, %v", st.Mode, st.Gid, err)
	}
	for _, c := range []struct {
		daemon token.Daemon
		mode   uint32
	}{{token.Daemon{}, 0o600}, {token.Daemon{Mode: "0666"}, 0o666}, {token.Daemon{Mode: "0600", Group: "0"}, 0o600}} {
		if o, err := ownershipOf(c.daemon); err != nil || o.mode != c.mode {
			t.Errorf("%+v: mode %o, %v", c.daemon, o.mode, err)
		}
	}
	if _, err := ownershipOf(token.Daemon{Group: "no such group here"}); err == nil {
		t.Error("an unknown group passed")
	}
}

func TestDeadSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	mustClaim(t, path)
	if !living(path) {
		t.Error("nobody answers")
	}
}

func TestLivingSocketIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	mustClaim(t, path)
	if _, err := claim(path, private, time.Second); !errors.Is(err, errLiving) {
		t.Errorf("claimed twice: %v", err)
	}
	if !living(path) {
		t.Error("nobody answers any more")
	}
}

func TestOtherFilesAreLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := claim(path, private, time.Second); err == nil {
		t.Error("a file was taken for a socket")
	}
	if text, _ := os.ReadFile(path); string(text) != "precious" {
		t.Error("the file is gone")
	}
	if _, err := claim(filepath.Join(path, "s"), private, time.Second); err == nil {
		t.Error("a file was taken for a folder")
	}
}

// Who gives up does not remove the socket that another one has put there meanwhile.
func TestGiveUpRemovesItsOwnOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old := mustClaim(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	mustClaim(t, path)
	if err := old.giveUp(); err != nil {
		t.Error(err)
	}
	if !living(path) {
		t.Error("the other one's socket is gone")
	}
}

// Of many that find a dead socket at the same time, one gets the place.
func TestClaimRace(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "s")
		dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
		if err != nil {
			t.Fatal(err)
		}
		dead.SetUnlinkOnClose(false)
		dead.Close()
		won := make(chan *socket, 8)
		var all sync.WaitGroup
		for range cap(won) {
			all.Go(func() {
				if s, err := claim(path, private, 5*time.Second); err == nil {
					won <- s
				} else if !errors.Is(err, errLiving) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(won) != 1 || !living(path) {
			t.Fatalf("%d have the socket", len(won))
		}
		if err := (<-won).giveUp(); err != nil {
			t.Error(err)
		}
	}
}

// A folder's lock is anybody's who may read it; that of the socket is not, and nothing of it stays.
func TestLockOfTheFolderIsNobodys(t *testing.T) {
	folder := t.TempDir()
	stranger, err := os.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if err := unix.Flock(int(stranger.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "s")
	s := mustClaim(t, path)
	names := func() (all []string) {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}
	if got := names(); len(got) != 1 || got[0] != "s" {
		t.Errorf("the folder has %q", got)
	}
	if err := s.giveUp(); err != nil || len(names()) != 0 {
		t.Errorf("the folder still has %q, %v", names(), err)
	}
}

// While one has the lock, which only its user can open, others wait; one that a dead daemon left is taken.
func TestLockBesideTheSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	folder, err := openFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	s := &socket{path: path, folder: folder}
	if err := os.WriteFile(path+lockSuffix, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err = s.locked(0, func() error {
		if info, err := os.Lstat(path + lockSuffix); err != nil || info.Mode() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		if _, err := claim(path, private, 30*time.Millisecond); !errors.Is(err, errLocked) {
			t.Errorf("claimed beside the lock: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	mustClaim(t, path)

	if err := os.Symlink("/dev/null", path+lockSuffix); err != nil {
		t.Fatal(err)
	}
	if err := s.locked(0, func() error { return nil }); err == nil {
		t.Error("a link was followed")
	}
	if err := os.Remove(path + lockSuffix); err != nil {
		t.Fatal(err)
	}
}

// Exactly the mode that was asked for, whatever the umask, which is as before afterwards.
func TestModeAndMask(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077, 0o177} {
		for _, mode := range []uint32{0o600, 0o660, 0o666, 0o777} {
			folder := t.TempDir()
			before := unix.Umask(mask)
			s, err := claim(filepath.Join(folder, "s"), ownership{mode, -1}, time.Second)
			after := unix.Umask(before)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Lstat(filepath.Join(folder, "s")); err != nil || info.Mode() != os.ModeSocket|os.FileMode(mode) || after != mask {
				t.Errorf("umask %03o: %v instead of %o, %v; then the umask was %03o", mask, info.Mode(), mode, err, after)
			}
			if err := s.giveUp(); err != nil {
				t.Error(err)
			}
		}
	}
}

// Somebody who may write the folder puts something else in the place of the socket before it has its mode and group.
func TestDressTouchesSocketsOnly(t *testing.T) {
	victim := filepath.Join(t.TempDir(), "victim")
	for name, put := range map[string]func(path string) error{
		"a link":       func(path string) error { return os.Symlink(victim, path) },
		"another name": func(path string) error { return os.Link(victim, path) },
	} {
		if err := errors.Join(os.WriteFile(victim, nil, 0o600), os.Chmod(victim, 0o660)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(filepath.Dir(victim), "s")
		folder, err := openFolder(path)
		if err != nil {
			t.Fatal(err)
		}
		defer folder.Close()
		s := &socket{path: path, folder: folder}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := errors.Join(s.bind(fd), os.Remove(path), put(path)); err != nil {
			t.Fatal(err)
		}
		var before, after unix.Stat_t
		err = errors.Join(unix.Stat(victim, &before))
		if dressed := s.dress(ownership{0o660, os.Getegid() + 1}); dressed == nil || err != nil {
			t.Errorf("%s was taken for the socket: %v", name, err)
		}
		if err := unix.Stat(victim, &after); err != nil || after.Mode != before.Mode || after.Gid != before.Gid {
			t.Errorf("%s: the file behind it has mode %o and group %d now: %v", name, after.Mode, after.Gid, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

package daemon

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/token"
)

// peer is the process at the other end, as the kernel knows it from the moment of its connect.
type peer struct {
	pid    int // 0: of another namespace, where its number means nothing here
	uid    uint32
	gid    uint32
	groups []uint32
}

// peerOf asks the kernel. The groups are asked for only if they matter.
func peerOf(c *net.UnixConn, withGroups bool) (p peer, err error) {
	err = onDescriptor(c, func(fd int) error {
		credentials, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return os.NewSyscallError("getsockopt SO_PEERCRED", err)
		}
		p = peer{pid: int(credentials.Pid), uid: credentials.Uid, gid: credentials.Gid}
		if withGroups {
			p.groups, err = peerGroups(fd)
		}
		return err
	})
	return p, err
}

// onDescriptor runs work on the descriptor of a connection. On a closed one it does not run, which is an error: without
// one, who asked for a user would get the zero, which is root.
func onDescriptor(c *net.UnixConn, work func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	if err := raw.Control(func(fd uintptr) { failure = work(int(fd)) }); err != nil {
		return err
	}
	return failure
}

// peerGroups are the supplementary groups of the peer. 65536 is the kernel's limit for one process.
func peerGroups(fd int) ([]uint32, error) {
	raw := make([]byte, 256)
	for {
		length := uint32(len(raw))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&raw[0])), uintptr(unsafe.Pointer(&length)), 0)
		if errors.Is(errno, unix.ERANGE) && int(length) > len(raw) {
			raw = make([]byte, length)
			continue
		}
		if errno != 0 {
			return nil, os.NewSyscallError("getsockopt SO_PEERGROUPS", errno)
		}
		groups := make([]uint32, length/4)
		for i := range groups {
			groups[i] = binary.NativeEndian.Uint32(raw[4*i:])
		}
		return groups, nil
	}
}

// admission says who may connect, beside the mode of the socket, which the kernel looks after.
type admission struct {
	own        uint32 // the daemon's user
	uids, gids []uint32
}

// admissionOf reads the lists of the configuration, names or numbers.
func admissionOf(c token.Daemon) (admission, error) {
	a := admission{own: uint32(os.Geteuid())}
	for _, name := range c.AllowUIDs {
		id, err := userID(string(name))
		if err != nil {
			return a, fmt.Errorf("daemon.allow_uids: %w", err)
		}
		a.uids = append(a.uids, id)
	}
	for _, name := range c.AllowGIDs {
		id, err := groupID(string(name))
		if err != nil {
			return a, fmt.Errorf("daemon.allow_gids: %w", err)
		}
		a.gids = append(a.gids, id)
	}
	return a, nil
}

// lists says whether there are lists at all; without them whoever can open the socket is welcome.
func (a admission) lists() bool { return len(a.uids)+len(a.gids) > 0 }

// admits says whether the peer may talk to the daemon at all.
func (a admission) admits(p peer) bool {
	if !a.lists() || a.operates(p) || slices.Contains(a.uids, p.uid) || slices.Contains(a.gids, p.gid) {
		return true
	}
	return slices.ContainsFunc(p.groups, func(g uint32) bool { return slices.Contains(a.gids, g) })
}

// operates says whether the peer may stop the daemon.
func (a admission) operates(p peer) bool { return p.uid == a.own || p.uid == 0 }

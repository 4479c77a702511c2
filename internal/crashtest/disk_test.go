package crashtest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// disk is the file system as a sequence of system calls made it: what every
// process sees, and the part of it that outlives a loss of power. A name is
// durable once its folder was synced, a write once its file was; a sync that
// failed makes nothing durable, and the system forgets that there was something
// to write.
//
// Assumed of a real disk: what was not synced may be there or not, in any
// combination, but names change in their order (a journal), and sectors of 512
// bytes are written whole. Of one place the newest content wins.
type disk struct {
	names   map[string]*inode // as processes see them
	durable map[string]*inode
	changes []naming // since the folder was synced
}

// naming gives a name to a file, or to none.
type naming struct {
	name string
	file *inode
}

// inode is a file: what is durable, and the writes since the first of those that
// are not.
type inode struct {
	base   []byte
	writes []write
}

// write is data at an offset; or a new size, without data.
type write struct {
	data  []byte
	at    int64
	state state
}

type state int

const (
	pending state = iota // since the last sync
	durable              // but one before it may not be
	doubted              // of a sync that failed: no later one will write it
)

const sector = 512

func newDisk() *disk { return &disk{names: map[string]*inode{}, durable: map[string]*inode{}} }

// harmless are calls that change nothing durable.
var harmless = []string{"fcntl", "epoll_ctl", "flock", "fstat", "newfstatat", "pread64", "read", "lseek", "close"}

// apply makes one call happen. Every call that could change a file must be known
// here.
func (d *disk) apply(t *testing.T, c call) {
	t.Helper()
	switch {
	case slices.Contains(harmless, c.name), c.name == "mmap" && !strings.Contains(c.args, "PROT_WRITE"):
	case c.name == "fdatasync" || c.name == "fsync":
		d.sync(c.file(t), c)
	case !c.done():
	case c.name == "openat":
		if strings.Contains(c.args, "O_TRUNC") {
			t.Fatalf("a file is emptied: %v", c)
		}
		if name := c.texts(t)[0]; strings.Contains(c.args, "O_CREAT") && d.names[name] == nil {
			d.name(name, &inode{})
		}
	case c.name == "pwrite64":
		data := []byte(c.texts(t)[0])
		if int64(len(data)) != c.number(t, 2) || c.result != fmt.Sprint(len(data)) {
			t.Fatalf("a write that is not whole: %v", c)
		}
		d.write(c.file(t), write{data: data, at: c.number(t, 1)})
	case c.name == "ftruncate":
		d.write(c.file(t), write{at: c.number(t, 1)})
	case strings.HasPrefix(c.name, "rename"):
		names := c.texts(t)
		d.name(names[1], d.names[names[0]])
		d.name(names[0], nil)
	case strings.HasPrefix(c.name, "unlink"):
		d.name(c.texts(t)[0], nil)
	default:
		t.Fatalf("a call of which this test does not know what it does: %v", c)
	}
}

func (d *disk) name(name string, file *inode) {
	n := naming{name, file}
	n.in(d.names)
	d.changes = append(d.changes, n)
}

func (n naming) in(names map[string]*inode) {
	if n.file == nil {
		delete(names, n.name)
		return
	}
	names[n.name] = n.file
}

func (d *disk) write(name string, w write) {
	file := d.names[name]
	file.writes = append(file.writes, w)
}

// sync makes a file or the names in the folder durable.
func (d *disk) sync(name string, c call) {
	file, isFile := d.names[name]
	switch {
	case c.result == "?": // the process died before
	case !isFile && c.done():
		d.durable, d.changes = maps.Clone(d.names), nil
	case isFile && c.done():
		file.settle(durable)
	case isFile:
		file.settle(doubted)
	}
}

// settle gives every pending write its state.
func (f *inode) settle(s state) {
	for i, w := range f.writes {
		if w.state == pending {
			f.writes[i].state = s
		}
	}
	for len(f.writes) > 0 && f.writes[0].state == durable {
		f.base = f.writes[0].on(f.base, nil)
		f.writes = f.writes[1:]
	}
}

// content is the file after a loss of power.
func (f *inode) content(l luck) []byte {
	content := bytes.Clone(f.base)
	for _, w := range f.writes {
		content = w.lucky(content, l)
	}
	return content
}

// on is content with the write done, or with those of its sectors that keep says;
// nil is all of them.
func (w write) on(content []byte, keep func() bool) []byte {
	end := w.at + int64(len(w.data))
	if grown := end - int64(len(content)); grown > 0 {
		content = append(content, make([]byte, grown)...)
	}
	if w.data == nil {
		return content[:end]
	}
	for from := w.at; from < end; {
		to := min(end, (from/sector+1)*sector)
		if keep == nil || keep() {
			copy(content[from:to], w.data[from-w.at:])
		}
		from = to
	}
	return content
}

// unsynced is a reason why a loss of power now would take back what was written.
func (d *disk) unsynced() error {
	if len(d.changes) > 0 {
		return fmt.Errorf("%d names of files are not durable", len(d.changes))
	}
	for name, file := range d.names {
		if slices.ContainsFunc(file.writes, func(w write) bool { return w.state == pending }) {
			return fmt.Errorf("writes to %s are not durable", filepath.Base(name))
		}
	}
	return nil
}

// image is what is found on the disk afterwards: content by base name.
type image map[string][]byte

// luck says what of the unsynced writes reached the disk.
type luck struct {
	change func() bool // one change of a name, and all before it
	write  func() bool // a write, not torn
	sector func() bool // a sector of a write that is not whole
}

func always() bool { return true }
func never() bool  { return false }

var (
	nothing    = luck{never, never, never}    // that was not synced reached the disk
	everything = luck{always, always, always} // did; this is also what other processes see
)

func chance(r *rand.Rand) luck {
	coin := func() bool { return r.IntN(2) == 0 }
	return luck{coin, coin, coin}
}

func (d *disk) cut(l luck) image {
	names := maps.Clone(d.durable)
	for _, n := range d.changes {
		if !l.change() {
			break
		}
		n.in(names)
	}
	i := image{}
	for name, file := range names {
		i[filepath.Base(name)] = file.content(l)
	}
	return i
}

// lucky is the write done whole, in part, or not at all.
func (w write) lucky(content []byte, l luck) []byte {
	switch {
	case w.state == durable || l.write():
		return w.on(content, nil)
	case w.data != nil && l.write():
		return w.on(content, l.sector)
	}
	return content
}

// digest tells images apart.
func (i image) digest() [sha256.Size]byte {
	hash := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(i)) {
		fmt.Fprintf(hash, "%s %d\n", name, len(i[name]))
		hash.Write(i[name])
	}
	return [sha256.Size]byte(hash.Sum(nil))
}

package token

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

// Report is what Inspect found in a token directory. docs/check.md has its JSON form.
type Report struct {
	Directory string        `json:"directory"`
	Stores    []StoreReport `json:"stores"`
	Findings  []Finding     `json:"findings"` // the gravest first
}

// StoreReport is about one store that is there, or ought to be.
type StoreReport struct {
	File      string      `json:"file"` // in the directory
	Slot      *ck.SlotID  `json:"slot"` // nil: no slot has it
	Serial    string      `json:"serial"`
	Label     string      `json:"label"`
	State     string      `json:"state"`     // see stateOf
	Remaining uint64      `json:"remaining"` // signatures of all active keys, at most 2^64-1
	Keys      []KeyReport `json:"keys"`      // destroyed and damaged ones too
}

// KeyReport is about one key record. Spans are of leaves of the root tree.
type KeyReport struct {
	Identity   string         `json:"identity"` // hexadecimal
	Label      string         `json:"label"`
	Status     string         `json:"status"` // of keystore.Status, or "damaged": then the rest is zero
	Generation uint64         `json:"generation"`
	Levels     []string       `json:"levels"` // parameter sets, root first
	Remaining  uint64         `json:"remaining"`
	Capacity   uint64         `json:"capacity"` // signatures that it began with here
	Free       keystore.Spans `json:"free"`
	Parked     keystore.Spans `json:"parked"` // the leaf that the parked trees hang on
	Given      keystore.Spans `json:"given"`
	Received   keystore.Spans `json:"received"`
	Used       keystore.Spans `json:"used"` // or burned
}

// Finding is one thing to say, and where.
type Finding struct {
	keystore.Finding
	File   string `json:"file"`            // in the directory; "." is the directory itself
	Key    string `json:"key,omitempty"`   // identity of a key, hexadecimal
	Label  string `json:"label,omitempty"` // of that key
	Value  string `json:"value,omitempty"` // name of a value on the shelf
	Unread bool   `json:"unread"`          // the system did not let us look, so nothing is known
}

// Reasons why Inspect does not look at all.
var (
	ErrInUse    = errors.New("the token directory is in use")
	ErrNoTokens = errors.New("this is no token directory")
)

const lockName = "onceleaf.lock"

// daemonFiles are what a daemon keeps beside the tokens, and the type of each.
var daemonFiles = map[string]fs.FileMode{socketName: fs.ModeSocket, socketName + ".lock": 0, "onceleafd.log": 0}

// inspection is a Report in the making.
type inspection struct {
	Report
	sightings map[string][]sighting // of each key
	serials   map[string][]string   // files of each serial number that the stores have inside
}

// sighting is a key record in a store.
type sighting struct {
	file, label string
	state       keystore.State
}

// Inspect checks every store, record and value of a token directory. It changes nothing, needs no PIN, and keeps owners
// out meanwhile. ErrInUse, with the process that owns the directory, or ErrNoTokens.
func Inspect(directory string) (*Report, error) {
	i := &inspection{sightings: map[string][]sighting{}, serials: map[string][]string{}}
	i.Report = Report{Directory: directory, Stores: []StoreReport{}, Findings: []Finding{}}
	if err := i.folder(); err != nil {
		return nil, err
	}
	lock, err := i.share()
	if err != nil {
		return nil, err
	}
	defer lock.Close() // nil is no file, and no error either
	if err := i.inspectStores(); err != nil {
		return nil, err
	}
	i.compareKeys()
	i.compareSerials()
	for n := range i.Stores {
		i.Stores[n].State = i.stateOf(i.Stores[n])
	}
	slices.SortStableFunc(i.Findings, func(a, b Finding) int { return cmp.Compare(b.Severity, a.Severity) })
	return &i.Report, nil
}

func (i *inspection) add(f Finding, severity keystore.Severity, next, what string, args ...any) {
	f.Finding = keystore.Finding{Severity: severity, What: fmt.Sprintf(what, args...), Next: next}
	i.Findings = append(i.Findings, f)
}

// addUnread is about a file that the system does not let us see. That is no damage.
func (i *inspection) addUnread(file string, err error) {
	i.add(Finding{File: file, Unread: true}, keystore.Warning,
		"run the check again as a user who may read it; if a disk fails, copy it before anything else is tried", "it could not be looked at: %v", err)
}

// stateOf is "missing", "unread", the worst of what is said of the store, or "good".
func (i *inspection) stateOf(s StoreReport) string {
	worst := keystore.Information
	for _, f := range i.Findings {
		if f.File != s.File {
			continue
		}
		if f.Unread {
			return "unread"
		}
		worst = max(worst, f.Severity)
	}
	if s.State != "" || worst == keystore.Information {
		return cmp.Or(s.State, "good")
	}
	return worst.String()
}

// folder looks at the directory itself.
func (i *inspection) folder() error {
	info, err := os.Stat(i.Directory)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoTokens, err)
	}
	entries, err := os.ReadDir(i.Directory)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoTokens, err)
	}
	ours := []string{lockName, "slots.json", "tokens"}
	if !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return slices.Contains(ours, e.Name()) }) {
		return fmt.Errorf("%w: %s has neither slots.json nor tokens", ErrNoTokens, i.Directory)
	}
	if info.Mode().Perm()&0o077 != 0 {
		i.add(Finding{File: "."}, keystore.Warning, "take the rights of others away if none of them is meant to sign: chmod 700",
			"the directory is open to other users (%s)", info.Mode().Perm())
	}
	for _, e := range entries {
		kind, daemons := daemonFiles[e.Name()]
		if !slices.Contains(ours, e.Name()) && (!daemons || e.Type() != kind) {
			i.foreign(e.Name(), strings.HasPrefix(e.Name(), ".onceleaf-"))
		}
	}
	return nil
}

// foreign is about a file that is not part of a token directory. What a crash leaves behind is expected.
func (i *inspection) foreign(file string, leftOver bool) {
	if leftOver {
		i.add(Finding{File: file}, keystore.Information, "leave it; nothing reads it", "the file was not finished when a program ended")
		return
	}
	i.add(Finding{File: file}, keystore.Warning, "find out who put it there; if it is a copy of a store, no token may ever use it",
		"the file does not belong in a token directory")
}

// openRegular opens a file to read, and nothing that would keep us waiting: a named pipe, a terminal.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file: %s", filepath.Base(path), info.Mode().Type())
	}
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// maxList bounds slots.json, in bytes: some thousand tokens.
const maxList = 1 << 20

func readSmall(path string) ([]byte, error) {
	file, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxList+1))
	if err == nil && len(text) > maxList {
		err = fmt.Errorf("%s has more than %d bytes", filepath.Base(path), maxList)
	}
	return text, err
}

// share holds the owner's lock together with other readers. Without a lock file nobody ever owned the directory, or it
// is a copy; the stores have locks of their own.
func (i *inspection) share() (*os.File, error) {
	path := filepath.Join(i.Directory, lockName)
	file, err := openRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrInUse, holder(path)), file.Close())
	}
	if err != nil {
		i.addUnread(lockName, err)
	}
	return file, nil
}

// slotEntries are those of slots.json; known says whether it could be read.
func (i *inspection) slotEntries() (entries []slotEntry, known bool) {
	text, err := readSmall(slotListPath(i.Directory))
	at := Finding{File: "slots.json"}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err := refuseOrphans(i.Directory)
		if errors.Is(err, keystore.ErrMissing) {
			i.add(at, keystore.Damage, "no token is used without it and the stores are not changed; put the same file back", "%v", err)
		}
		return nil, err == nil
	case err != nil:
		i.addUnread(at.File, err)
		return nil, false
	}
	list, err := parseSlotList(text)
	if err != nil {
		i.add(at, keystore.Damage, "no token is used without it and the stores are not changed; keep it for the investigation",
			"the list of slots cannot be used: %v", err)
	}
	return list.Slots, err == nil
}

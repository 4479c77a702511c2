package keystore_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/rpc"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/onceleaf/onceleaf/keystore"
	. "github.com/onceleaf/onceleaf/keystore/storetest"
)

const contractSerial = "0123456789abcdef"

// What each medium exercises.
var (
	everyStore = []Duty{RoundTrip, CreateOnce, StaleWriter, RaceToReplace, WholeRecords, LatestRecord, IdentitiesApart,
		NoAliases, CompleteList, DurableTruth}
	openedAgain = []Duty{KeptClosed, StaleAfterOpening, Missing, CreateStoreOnce, OneOwner}
	withFaults  = []Duty{KeptKilled, UnknownOutcome, MidWriteKilled, EachStepKilled, ShownKilled, StoredAgainKilled}
)

// volatile is the medium of keystore.Volatile: a process.
type volatile struct{}

func (volatile) Create() (keystore.Store, error) { return keystore.NewVolatile(), nil }
func (volatile) Close(keystore.Store) error      { return nil }

func TestVolatileContract(t *testing.T) {
	gaps := Run(t, func(*testing.T) Medium { return volatile{} })
	wantExercised(t, gaps, everyStore)
}

// folder is the medium of keystore.Bolt, opened in this process, where threads
// and slices are shared as in a token.
type folder struct {
	t    *testing.T
	path string
}

func newFolder(t *testing.T) folder { return folder{t, filepath.Join(t.TempDir(), "t.db")} }

func (f folder) Create() (keystore.Store, error) { return f.opened(keystore.CreateBolt) }
func (f folder) Open() (keystore.Store, error)   { return f.opened(keystore.OpenBolt) }
func (f folder) Close(s keystore.Store) error    { return s.(*keystore.Bolt).Close() }
func (f folder) Remove() error                   { return os.Remove(f.path) }

type opening func(path, serial string) (*keystore.Bolt, error)

func (f folder) opened(open opening) (keystore.Store, error) {
	b, err := open(f.path, contractSerial)
	if err != nil {
		return nil, err
	}
	f.t.Cleanup(func() { b.Close() })
	return b, nil
}

func TestBoltContract(t *testing.T) {
	gaps := Run(t, func(t *testing.T) Medium { return newFolder(t) })
	wantExercised(t, gaps, everyStore, openedAgain)
}

// TestBoltContractAcrossProcesses adds what only an owner in a process of its own
// can show: that it dies by SIGKILL, and that the system refuses its writes. A
// power cut is not shown: the kernel keeps what a killed process wrote. Nor is a
// sync that fails, or a meta page that cannot be written while others can.
func TestBoltContractAcrossProcesses(t *testing.T) {
	gaps := Run(t, func(t *testing.T) Medium { return processes{newFolder(t)} })
	wantExercised(t, gaps, everyStore, openedAgain, withFaults)
}

// wantExercised makes sure that these duties, and no others, were exercised.
func wantExercised(t *testing.T, gaps []Gap, want ...[]Duty) {
	t.Helper()
	for _, duty := range Duties() {
		left := slices.ContainsFunc(gaps, func(g Gap) bool { return g.Duty == duty })
		if left == slices.Contains(slices.Concat(want...), duty) {
			t.Errorf("duty %q: left out is %v", duty, left)
		}
	}
}

// processes is the medium of keystore.Bolt with each owner in a process of its
// own: the test binary, started again, which serves the store on its standard
// input and output.
type processes struct{ folder }

func (p processes) Create() (keystore.Store, error) { return p.start("create") }
func (p processes) Open() (keystore.Store, error)   { return p.start("open") }

func (p processes) Close(s keystore.Store) error {
	owner := s.(*owner)
	_, err := owner.ask(Question{Call: "close"})
	return errors.Join(err, owner.client.Close(), owner.command.Wait())
}

func (p processes) Kill(s keystore.Store) error {
	owner := s.(*owner)
	if err := owner.command.Process.Kill(); err != nil {
		return err
	}
	_ = owner.client.Close()
	_ = owner.command.Wait() // says that it was killed
	return nil
}

// FailFrom limits the size of files in the owner's process: from some page on no
// byte can be written, the pages before can be. The limits rise faster than the
// store grows.
func (p processes) FailFrom(s keystore.Store, step int) error {
	_, err := s.(*owner).ask(Question{Call: "limit", Limit: uint64(step*(step-1)/2) * 4096})
	return err
}

func (p processes) Heal(s keystore.Store) error {
	_, err := s.(*owner).ask(Question{Call: "limit", Limit: ^uint64(0)})
	return err
}

const ownerVariable = "ONCELEAF_TEST_STORE_OWNER"

func (p processes) start(how string) (keystore.Store, error) {
	command := exec.Command(os.Args[0], how, p.path)
	command.Env = append(os.Environ(), ownerVariable+"=1", "GORACE=atexit_sleep_ms=0")
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	o := &owner{command, rpc.NewClient(pipes{out, in})}
	p.t.Cleanup(func() { _ = p.Kill(o) })
	if _, err := o.ask(Question{Call: "opened"}); err != nil {
		return nil, errors.Join(err, o.client.Close(), command.Wait())
	}
	return o, nil
}

type pipes struct {
	io.Reader
	io.WriteCloser
}

// owner is a store in another process.
type owner struct {
	command *exec.Cmd
	client  *rpc.Client
}

// Question and Answer are a call of the store and what it gave.
type Question struct {
	Call        string
	ID          keystore.Identity
	Old, Record []byte
	Limit       uint64 // bytes
}

type Answer struct {
	Record  []byte
	IDs     []keystore.Identity
	Durable bool
	Kind    int // of the error, from 1 in sentinels; 0 if it is another one
	Err     string
}

var sentinels = []error{
	keystore.ErrNoKey, keystore.ErrStale, keystore.ErrStore, keystore.ErrMissing, keystore.ErrOwned, keystore.ErrDamaged,
}

// ask calls the other process, and makes an error of the one that it answers.
func (o *owner) ask(q Question) (a Answer, err error) {
	err = o.client.Call("Service.Do", q, &a)
	switch {
	case err != nil || a.Err == "":
		return a, err
	case a.Kind == 0:
		return a, errors.New(a.Err)
	}
	return a, fmt.Errorf("%w: in the owner: %s", sentinels[a.Kind-1], a.Err)
}

func (o *owner) Durable() bool {
	a, err := o.ask(Question{Call: "durable"})
	return err == nil && a.Durable
}

func (o *owner) Fetch(id keystore.Identity) (keystore.Snapshot, error) {
	return o.snapshot(Question{Call: "fetch", ID: id})
}

func (o *owner) Replace(old keystore.Snapshot, record []byte) (keystore.Snapshot, error) {
	return o.snapshot(Question{Call: "replace", ID: old.Identity(), Old: old.Record(), Record: record})
}

func (o *owner) Create(id keystore.Identity, record []byte) (keystore.Snapshot, error) {
	return o.snapshot(Question{Call: "create", ID: id, Record: record})
}

func (o *owner) List() ([]keystore.Identity, error) {
	a, err := o.ask(Question{Call: "list"})
	return a.IDs, err
}

func (o *owner) snapshot(q Question) (keystore.Snapshot, error) {
	a, err := o.ask(q)
	if err != nil {
		return nil, err
	}
	return copied{q.ID, a.Record}, nil
}

// copied is a snapshot that came from another process.
type copied struct {
	id     keystore.Identity
	record []byte
}

func (c copied) Identity() keystore.Identity { return c.id }
func (c copied) Record() []byte              { return c.record }

// TestMain makes this binary the owner of a store if it was started as one.
func TestMain(m *testing.M) {
	if os.Getenv(ownerVariable) == "" {
		os.Exit(m.Run())
	}
	signal.Ignore(syscall.SIGXFSZ) // then a write beyond the limit is an error
	open := map[string]opening{"create": keystore.CreateBolt, "open": keystore.OpenBolt}[os.Args[1]]
	service := &Service{}
	service.store, service.opened = open(os.Args[2], contractSerial)
	server := rpc.NewServer()
	if err := server.Register(service); err != nil {
		log.Fatal(err)
	}
	server.ServeConn(pipes{os.Stdin, os.Stdout})
}

// Service is the store in the process of its owner.
type Service struct {
	store  *keystore.Bolt
	opened error
}

// Do is a call of the store, or of its process.
func (s *Service) Do(q Question, a *Answer) error {
	var snap keystore.Snapshot
	var err error
	switch q.Call {
	case "opened":
		err = s.opened
	case "close":
		err = s.store.Close()
	case "limit":
		err = limitFiles(q.Limit)
	case "durable":
		a.Durable = s.store.Durable()
	case "fetch":
		snap, err = s.store.Fetch(q.ID)
	case "replace":
		snap, err = s.store.Replace(copied{q.ID, q.Old}, q.Record)
	case "create":
		snap, err = s.store.Create(q.ID, q.Record)
	case "list":
		a.IDs, err = s.store.List()
	}
	if err != nil {
		a.Err, a.Kind = err.Error(), 1+slices.IndexFunc(sentinels, func(s error) bool { return errors.Is(err, s) })
	} else if snap != nil {
		a.Record = snap.Record()
	}
	return nil
}

// limitFiles sets how large, in bytes, the files may be that this process writes.
func limitFiles(size uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = min(size, limit.Max)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

package crashtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

const planVariable = "ONCELEAF_CRASHTEST_PLAN"

// plan is what one worker process does in its folder.
type plan struct {
	Folder string
	Rounds int  // signatures per thread, then a clean stop; 0: until killed
	Life   bool // walk through every kind of change instead of only signing
	DieAt  int  // the durable write at which to die; 0: none
	After  bool // die after that write, not before
}

// released is what the worker lets out: one line per signature, and one at the
// start and the end with what is left.
type released struct {
	Key, Message, Signature []byte
	Left                    uint64
	Event                   string // "open", "signed", "closed"
}

func TestMain(m *testing.M) {
	text := os.Getenv(planVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var p plan
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		panic(err)
	}
	if err := work(p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// worker is one life of the process.
type worker struct {
	plan
	*keystore.Keystore
	mu  sync.Mutex
	out *os.File
}

func work(p plan) error {
	out, err := os.OpenFile(filepath.Join(p.Folder, "released"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if _, err := out.WriteString("\n"); err != nil { // ends a line that a kill tore
		return err
	}
	bolt, err := openStore(p.Folder)
	if err != nil {
		return err
	}
	w := &worker{plan: p, out: out}
	store := &deadly{Store: bolt, plan: p}
	for life := range 3 {
		if err := w.open(store); err != nil {
			return err
		}
		if err := w.act(life); err != nil {
			return err
		}
		if err := w.Lock(); err != nil {
			return err
		}
		if err := w.report("closed"); err != nil {
			return err
		}
		if !p.Life {
			break
		}
	}
	return bolt.Close()
}

func openStore(folder string) (*keystore.Bolt, error) {
	path := filepath.Join(folder, "t.db")
	bolt, err := keystore.OpenBolt(path, "serial")
	if errors.Is(err, keystore.ErrMissing) {
		return keystore.CreateBolt(path, "serial")
	}
	return bolt, err
}

func (w *worker) open(store keystore.Store) (err error) {
	if w.Keystore, err = keystore.New(store, keystore.NoGuard{}, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	master := keystore.MasterKey(keystore.NewSecret(32)) // all zero: the same in every life
	w.Unlock(master)
	return w.report("open")
}

func (w *worker) report(event string) error {
	for _, info := range w.Keys() {
		if err := w.write(released{Key: info.PublicKey.Bytes(), Left: info.Remaining, Event: event}); err != nil {
			return err
		}
	}
	return nil
}

// write lets a line out. A kill may tear it.
func (w *worker) write(r released) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err = w.out.Write(append(line, '\n'))
	return err
}

func (w *worker) act(life int) error {
	if w.Life {
		return w.liveOnce(life)
	}
	single, err := w.keyWith(rootH10)
	if err != nil {
		return err
	}
	double, err := w.keyWith(rootH10, lowerH5)
	if err != nil {
		return err
	}
	errs := make(chan error, 3)
	for _, id := range []keystore.Identity{single, double, double} {
		go func() { errs <- w.signMany(id) }()
	}
	return errors.Join(<-errs, <-errs, <-errs)
}

var (
	rootH10 = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H10, OTS: lms.LMOTS_SHA256_N32_W2}
	lowerH5 = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W4}
)

// keyWith is a key with these levels that has leaves left, made if there is none.
func (w *worker) keyWith(levels ...lms.ParameterSet) (keystore.Identity, error) {
	for _, info := range w.Keys() {
		if slices.Equal(info.Levels, levels) && info.Remaining > 0 {
			return info.Identity, nil
		}
	}
	blob := func(lms.HSSPublicKey) []byte { return []byte("attributes") }
	return w.Generate(context.Background(), keystore.Spec{Levels: levels, Transferable: true, Private: blob, Public: blob})
}

func (w *worker) signMany(id keystore.Identity) error {
	for i := 0; w.Rounds == 0 || i < w.Rounds; i++ {
		err := w.signOne(id)
		if errors.Is(err, keystore.ErrExhausted) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) signOne(id keystore.Identity) error {
	message := fmt.Appendf(nil, "%d %d", os.Getpid(), time.Now().UnixNano())
	signature, err := w.Sign(context.Background(), id, message)
	if err != nil {
		return err
	}
	info, err := w.Info(id)
	if err != nil {
		return err
	}
	return w.write(released{info.PublicKey.Bytes(), message, signature, info.Remaining, "signed"})
}

// liveOnce takes one- and two-level keys through every kind of change. Each
// life ends with a clean stop, so that the next one takes parked trees out.
func (w *worker) liveOnce(life int) error {
	for _, levels := range [][]lms.ParameterSet{{lowerH5}, {lowerH5, lowerH5}} {
		id, err := w.keyWith(levels...)
		if err != nil {
			return err
		}
		for range 2 {
			if err := w.signOne(id); err != nil {
				return err
			}
		}
		if err := w.giveAndTake(id, life); err != nil {
			return err
		}
		if err := w.signOne(id); err != nil {
			return err
		}
		if life == 2 {
			if err := w.Destroy(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// giveAndTake gives leaves away, takes the receipt, and tries to take the same
// leaves back, which must be refused in every life.
func (w *worker) giveAndTake(id keystore.Identity, life int) error {
	var seed []byte
	var leaves keystore.Spans
	giving := keystore.Giving{Transfer: fmt.Sprint(os.Getpid(), life), Peer: "other", Count: 2,
		Seal: func(s []byte, going keystore.Spans) ([]byte, []byte, error) {
			seed, leaves = slices.Clone(s), going
			return []byte("capsule"), []byte("proof"), nil
		}}
	if _, err := w.Give(context.Background(), id, giving); err != nil {
		return err
	}
	if err := w.Acknowledge(id, giving.Transfer, []byte("proof")); err != nil {
		return err
	}
	info, err := w.Info(id)
	if err != nil {
		return err
	}
	_, err = w.Receive(context.Background(), keystore.Share{
		Transfer: "back", Peer: "other", PublicKey: info.PublicKey, Levels: info.Levels, Leaves: leaves, Seed: seed})
	if !errors.Is(err, keystore.ErrSeen) {
		return fmt.Errorf("leaves given away came back: %v", err)
	}
	return nil
}

// deadly is a store that kills its process at one durable write.
type deadly struct {
	keystore.Store
	plan
	mu     sync.Mutex
	writes int // guarded by mu
}

// around runs a durable write, and dies before or after it if its turn has come.
func (d *deadly) around(write func() (keystore.Snapshot, error)) (keystore.Snapshot, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes++
	die := d.writes == d.DieAt
	if die && !d.After {
		dieNow()
	}
	snap, err := write()
	if die {
		dieNow()
	}
	return snap, err
}

func dieNow() {
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // until the kernel has done it
}

func (d *deadly) Replace(old keystore.Snapshot, record []byte) (keystore.Snapshot, error) {
	return d.around(func() (keystore.Snapshot, error) { return d.Store.Replace(old, record) })
}

func (d *deadly) Create(id keystore.Identity, record []byte) (keystore.Snapshot, error) {
	return d.around(func() (keystore.Snapshot, error) { return d.Store.Create(id, record) })
}

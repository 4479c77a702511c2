package crashtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/onceleaf/onceleaf/keystore"
)

// errViolation is a broken promise that no checker of lines can see.
var errViolation = errors.New("broken promise")

// worker is one process of the signer.
type worker struct {
	plan
	trap
	tokens []*desk
	mu     sync.Mutex
	out    io.Writer // guarded by mu
}

// desk is one open token.
type desk struct {
	*keystore.Keystore
	*worker
	name string
	bolt *keystore.Bolt
}

// acts are what a worker can do with its open tokens.
var acts = map[string]func(w *worker, round int) error{
	"open":       func(*worker, int) error { return nil },
	"sign":       (*worker).signAll,
	"everything": (*worker).everyChange,
	"recover":    (*worker).recoverAll,
}

func work(p plan) error {
	out, err := os.OpenFile(p.released(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	w := &worker{plan: p, out: out}
	w.trap = trap{fault: p.Fault, spring: func() error { return w.say(line{Event: sprung}) }}
	return w.live()
}

func (w *worker) live() error {
	if err := w.write([]byte("\n")); err != nil { // ends a line that a kill tore
		return err
	}
	if err := w.say(line{Event: began}); err != nil {
		return err
	}
	for round := range max(1, w.Rounds) {
		if err := w.round(round); err != nil {
			return err
		}
	}
	return w.say(line{Event: ended})
}

// round opens the tokens, acts, and stops cleanly. On an error the process ends
// as it stands.
func (w *worker) round(round int) error {
	w.tokens = nil
	for _, name := range w.Tokens {
		if err := w.open(name); err != nil {
			return err
		}
	}
	if err := acts[w.Act](w, round); err != nil {
		return err
	}
	for _, d := range w.tokens {
		if err := d.stop(); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) open(name string) error {
	bolt, err := openStore(w.store(name), name)
	if err != nil {
		return err
	}
	store := &trapped{Store: bolt, trap: &w.trap}
	ks, err := keystore.New(store, keystore.NoGuard{}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if damage := ks.Damaged(); damage != nil {
		return fmt.Errorf("%w: records cannot be read: %w", errViolation, errors.Join(damage...))
	}
	ks.Unlock(keystore.MasterKey(keystore.NewSecret(32))) // all zero: the same in every life
	d := &desk{ks, w, name, bolt}
	w.tokens = append(w.tokens, d)
	return errors.Join(d.say(line{Event: opening}), d.tellAll(opened), d.say(line{Event: ready}))
}

func openStore(path, serial string) (*keystore.Bolt, error) {
	bolt, err := keystore.OpenBolt(path, serial)
	if errors.Is(err, keystore.ErrMissing) {
		return keystore.CreateBolt(path, serial)
	}
	return bolt, err
}

// stop is a clean stop. Without success in parking, nothing is said to be clean.
func (d *desk) stop() error {
	if err := d.say(line{Event: locking}); err != nil {
		return err
	}
	err := d.Lock()
	if err == nil {
		err = d.tellAll(closed)
	}
	if err != nil && !d.forgives(err) {
		return err
	}
	return d.bolt.Close()
}

// tellAll lets out a line for each key.
func (d *desk) tellAll(e event) error {
	for _, info := range d.Keys() {
		if err := d.tell(e, info, line{}); err != nil {
			return err
		}
	}
	return nil
}

// tell lets out a line about a key, with what l has already.
func (d *desk) tell(e event, info keystore.Info, l line) error {
	l.Event, l.Status, l.Key, l.Left = e, info.Status, info.PublicKey.Bytes(), int(info.Remaining)
	l.Shape = d.shapeOf(info)
	return d.say(l)
}

// shapeOf is the shape of a key, with the threads that this plan gives it.
func (w *worker) shapeOf(info keystore.Info) shape {
	found := shape{Levels: info.Levels, Reserve: int(info.Reserve), Threads: 1}
	for _, s := range w.Shapes {
		if s.same(found) {
			found.Threads = s.Threads
		}
	}
	return found
}

func (d *desk) say(l line) error {
	l.Token = d.name
	return d.worker.say(l)
}

// say lets a line out. A kill may tear it.
func (w *worker) say(l line) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return w.write(append(text, '\n'))
}

func (w *worker) write(text []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.out.Write(text)
	return err
}

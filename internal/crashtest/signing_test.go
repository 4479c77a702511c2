package crashtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

// signAll signs with a key of each shape, with as many threads as the shape has.
// With one thread in all, nothing leaves the thread of the process.
func (w *worker) signAll(int) error {
	d := w.tokens[0]
	var threads []keystore.Identity
	for _, s := range w.Shapes {
		id, err := d.keyOf(s)
		if err != nil {
			return err
		}
		for range s.Threads {
			threads = append(threads, id)
		}
	}
	if len(threads) == 1 {
		return d.signMany(threads[0], w.Signatures)
	}
	errs := make(chan error, len(threads))
	for _, id := range threads {
		go func() { errs <- d.signMany(id, w.Signatures) }()
	}
	var all error
	for range threads {
		all = errors.Join(all, <-errs)
	}
	return all
}

// keyOf is a key of this shape that has leaves left, made if there is none.
func (d *desk) keyOf(s shape) (keystore.Identity, error) {
	for _, info := range d.Keys() {
		if d.shapeOf(info).same(s) && info.Status == keystore.Active && info.Remaining > 0 {
			return info.Identity, nil
		}
	}
	return d.make(s)
}

func attributes(lms.HSSPublicKey) []byte { return []byte("attributes") }

func (d *desk) make(s shape) (keystore.Identity, error) {
	if err := d.say(line{Event: making}); err != nil {
		return keystore.Identity{}, err
	}
	spec := keystore.Spec{
		Levels: s.Levels, Reserve: uint64(s.Reserve), Transferable: true, Private: attributes, Public: attributes}
	id, err := d.Generate(context.Background(), spec)
	if err != nil && d.forgives(err) { // the key may be there, and stays unused
		id, err = d.Generate(context.Background(), spec)
	}
	if err != nil {
		return id, err
	}
	return id, d.note(made, id, line{})
}

// note is tell by identity.
func (d *desk) note(e event, id keystore.Identity, l line) error {
	info, err := d.Info(id)
	if err != nil {
		return err
	}
	return d.tell(e, info, l)
}

func (d *desk) signMany(id keystore.Identity, n int) error {
	for range n {
		err := d.signOne(id)
		if errors.Is(err, keystore.ErrExhausted) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *desk) signOne(id keystore.Identity) error {
	message := fmt.Appendf(nil, "%d %d", os.Getpid(), time.Now().UnixNano())
	var signature []byte
	err := d.attempt(id, func() (err error) {
		signature, err = d.Sign(context.Background(), id, message)
		if err != nil && signature != nil {
			return fmt.Errorf("%w: a signature beside the error %w", errViolation, err)
		}
		return err
	})
	if err != nil {
		return err
	}
	return d.note(signed, id, line{Message: message, Signature: signature})
}

// attempt makes one change. Who is patient does the same again after an error of
// the store, as the documentation says; a fault comes once.
func (d *desk) attempt(id keystore.Identity, change func() error) error {
	err := change()
	if err == nil || !d.forgives(err) {
		return err
	}
	if err := d.note(failed, id, line{}); err != nil {
		return err
	}
	return change()
}

func (w *worker) forgives(err error) bool {
	return w.Patient && errors.Is(err, keystore.ErrStore) && !errors.Is(err, errViolation)
}

// recoverAll fetches the keys that are outside, and signs with every key that is
// left: once more than a batch holds, so that a leaf that came back is used. What
// was cut off before there was a key is made up for.
func (w *worker) recoverAll(int) error {
	for _, d := range w.tokens {
		if err := d.fetchAll(); err != nil {
			return err
		}
	}
	for _, s := range w.Shapes {
		if _, err := w.tokens[0].keyOf(s); err != nil {
			return err
		}
	}
	for _, d := range w.tokens {
		for _, info := range d.Keys() {
			if info.Status != keystore.Active {
				continue
			}
			if err := d.signMany(info.Identity, max(2, int(info.Reserve)+1)); err != nil {
				return err
			}
		}
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

// opening measures the time from a closed store to the first signature of a key of H20/W4, on all cores, with the file in
// the system's cache. The median of the repeats counts: the first one may do what later ones need not.
func (b *bench) opening(ctx context.Context) error {
	if err := b.allCores(); err != nil {
		return err
	}
	d, err := createDesk(filepath.Join(b.folder, "open.db"))
	if err != nil {
		return err
	}
	s := &signer{}
	made, err := measure(func() (err error) {
		s.id, err = d.keys.Generate(ctx, keystore.Spec{Levels: []lms.ParameterSet{setH20W4}})
		return err
	})
	if err := errors.Join(err, d.close()); err != nil {
		return err
	}
	var opened []float64
	for range 3 {
		c, err := measure(func() error { return d.openAndSign(ctx, s) })
		if err := errors.Join(err, d.close()); err != nil {
			return err
		}
		opened = append(opened, c.clock)
	}
	b.addTimes("open/H20W4", "ms", percentile(opened, 50), made.clock, "generation of the same key")
	return nil
}

// desk is a keystore with its store on disk.
type desk struct {
	path   string
	master []byte
	store  *keystore.Bolt
	keys   *keystore.Keystore
}

// createDesk makes a new store and opens it.
func createDesk(path string) (*desk, error) {
	d := &desk{path: path, master: randomBytes(32)}
	store, err := keystore.CreateBolt(path, filepath.Base(path))
	if err != nil {
		return nil, err
	}
	return d, d.use(store)
}

// open opens the store again after close.
func (d *desk) open() error {
	store, err := keystore.OpenBolt(d.path, filepath.Base(d.path))
	if err != nil {
		return err
	}
	return d.use(store)
}

func (d *desk) use(store *keystore.Bolt) error {
	keys, err := keystore.New(store, keystore.NoGuard{}, keystoreLog())
	if err != nil {
		return errors.Join(err, store.Close())
	}
	master := keystore.MasterKey(keystore.NewSecret(len(d.master)))
	copy(master, d.master)
	keys.Unlock(master)
	d.store, d.keys = store, keys
	return nil
}

// close is a clean stop. A desk that is not open stays closed.
func (d *desk) close() error {
	if d.store == nil {
		return nil
	}
	err := errors.Join(d.keys.Lock(), d.store.Close())
	d.store, d.keys = nil, nil
	return err
}

func (d *desk) openAndSign(ctx context.Context, s *signer) error {
	if err := d.open(); err != nil {
		return err
	}
	s.keys = d.keys
	return errors.Join(s.sign(ctx)(0), s.check())
}

// keystoreLog shows what a keystore has to complain about.
func keystoreLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

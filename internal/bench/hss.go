package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

// key is an HSS key of two levels, with what is measured of it.
type key struct {
	name          string
	levels        []lms.ParameterSet
	changes, long int  // of the lower tree in the mean, without and with -long
	more          bool // percentiles at a pace, and verification
}

var measuredKeys = []key{
	{"L2-H10W8", []lms.ParameterSet{setH10W8, setH10W8}, 4, 8, true},
	{"L2-H15W4", []lms.ParameterSet{setH15W4, setH15W4}, 1, 3, false},
}

func (k key) lower() lms.ParameterSet { return k.levels[len(k.levels)-1] }

// hss measures a key in a keystore, first with its store in memory and then with one on disk; the lower trees are in
// memory both times.
func (b *bench) hss(ctx context.Context, k key) error {
	session, err := keystore.NewSession(keystoreLog())
	if err != nil {
		return err
	}
	session.Unlock(keystore.NewMasterKey())
	inMemory := func(c cost) float64 { return c.processor }
	if err := errors.Join(b.signing(ctx, k, session, "", inMemory), session.Lock()); err != nil {
		return err
	}
	d, err := createDesk(filepath.Join(b.folder, k.name+".db"))
	if err != nil {
		return err
	}
	waiting := func(c cost) float64 { return c.clock }
	return errors.Join(b.signing(ctx, k, d.keys, "/bbolt", waiting), d.close())
}

// signing adds the rows of one key in one keystore. which is the time that counts in the mean.
func (b *bench) signing(ctx context.Context, k key, keys *keystore.Keystore, suffix string, which func(cost) float64) error {
	if err := b.oneCore(); err != nil {
		return err
	}
	id, err := keys.Generate(ctx, keystore.Spec{Levels: k.levels})
	if err != nil {
		return err
	}
	s := &signer{keys: keys, id: id}
	if err := b.mean(ctx, k, s, suffix, which); err != nil {
		return err
	}
	if !k.more {
		return s.check()
	}
	if err := b.paced(ctx, k, s, "sign/"+k.name+suffix); err != nil {
		return err
	}
	return errors.Join(s.check(), b.verification(ctx, k, s, suffix))
}

// mean is over whole lives of lower trees. The first one, which may be made in another way, does not count; from then on
// each life of 2^h signatures begins with the change of the tree and has the cost of one, whenever it is made.
func (b *bench) mean(ctx context.Context, k key, s *signer, suffix string, which func(cost) float64) error {
	m, life, changes, total := kernelMeter(b.kernels[hashOf(k.lower())]), int(k.lower().Leaves()), k.changes, 0.0
	cost := pathCost(k.levels[0], k.lower())
	if b.long {
		changes = k.long
	}
	if err := times(ctx, life, s.sign(ctx)); err != nil {
		return err
	}
	for range changes {
		m.turn(cost * float64(life))
		c, err := measure(func() error { return times(ctx, life, s.sign(ctx)) })
		if err != nil {
			return err
		}
		total += which(c)
	}
	m.turn(cost * float64(life))
	b.addFloor("sign/"+k.name+suffix, "us", total/float64(changes*life), cost, m)
	return nil
}

// verification is of the last signatures, on one core.
func (b *bench) verification(ctx context.Context, k key, s *signer, suffix string) error {
	if suffix != "" {
		return nil // the store has no part in it
	}
	if err := b.oneCore(); err != nil {
		return err
	}
	const count = 256 // signatures
	signed := make([]lastSignature, count)
	err := times(ctx, count, func(i int) error {
		err := s.sign(ctx)(i)
		signed[i] = s.last
		return err
	})
	if err != nil {
		return err
	}
	public, err := s.public()
	if err != nil {
		return err
	}
	cost := verifyCost(k.levels[0]) + verifyCost(k.lower())
	return b.operation(ctx, "verify/"+k.name, k.lower(), cost, count, func(i int) error {
		return public.Verify(signed[i].message, signed[i].signature)
	})
}

// signer signs with one key, each time another message.
type signer struct {
	keys *keystore.Keystore
	id   keystore.Identity
	last lastSignature
}

type lastSignature struct{ message, signature []byte }

func (s *signer) sign(ctx context.Context) func(int) error {
	return func(int) error {
		message := randomBytes(messageSize)
		signature, err := s.keys.Sign(ctx, s.id, message)
		s.last = lastSignature{message, signature}
		return err
	}
}

func (s *signer) public() (lms.HSSPublicKey, error) {
	info, err := s.keys.Info(s.id)
	return info.PublicKey, err
}

// check makes sure that signatures were measured.
func (s *signer) check() error {
	public, err := s.public()
	if err != nil {
		return err
	}
	return public.Verify(s.last.message, s.last.signature)
}

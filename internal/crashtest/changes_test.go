package crashtest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/onceleaf/onceleaf/keystore"
)

// everyChange takes a key of each shape through every kind of change, on two
// tokens. Each round ends with a clean stop, so that the next one wakes what was
// parked; the last one destroys.
func (w *worker) everyChange(round int) error {
	one, two := w.tokens[0], w.tokens[1]
	for _, s := range w.Shapes {
		id, err := one.keyOf(s)
		if err != nil {
			return err
		}
		last := round == w.Rounds-1
		for _, step := range []func() error{
			func() error { return one.signMany(id, w.Signatures) },
			func() error { return one.annotate(id) },
			func() error { return one.giveTo(two, id, 2) },
			func() error { return two.signMany(id, 2) },
			func() error { return one.goAndComeBack(id) },
			func() error { return one.signMany(id, 1) },
			func() error { return two.destroy(id, last) },
		} {
			if err := step(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *desk) annotate(id keystore.Identity) error {
	return d.attempt(id, func() error { return d.SetAttributes(id, []byte("private"), []byte("public")) })
}

func (d *desk) destroy(id keystore.Identity, really bool) error {
	if !really {
		return nil
	}
	if err := d.note(destroying, id, line{}); err != nil {
		return err
	}
	if err := d.attempt(id, func() error { return d.Destroy(id) }); err != nil {
		return err
	}
	return d.note(destroyed, id, line{})
}

// giveTo gives root leaves to another token, hands the receipt back, and tries to
// take the same leaves back, which must be refused.
func (d *desk) giveTo(peer *desk, id keystore.Identity, count int) error {
	if err := d.note(giving, id, line{Count: count}); err != nil {
		return err
	}
	var share keystore.Share
	name := fmt.Sprint(os.Getpid(), len(d.mustInfo(id).Given))
	gift := keystore.Giving{Transfer: name, Peer: peer.name, Count: uint64(count),
		Seal: func(seed []byte, leaves keystore.Spans) ([]byte, []byte, error) {
			share.Seed, share.Leaves = slices.Clone(seed), leaves
			return []byte("capsule"), []byte("proof"), nil
		}}
	if err := d.attempt(id, func() error { _, err := d.Give(context.Background(), id, gift); return err }); err != nil {
		return err
	}
	if err := d.note(given, id, line{}); err != nil {
		return err
	}
	if err := peer.take(d, d.mustInfo(id), share); err != nil {
		return err
	}
	err := d.attempt(id, func() error { return d.Acknowledge(id, name, []byte("proof")) })
	if err != nil {
		return err
	}
	return d.refuses(id, share)
}

// mustInfo is Info of a key that is known to be there.
func (d *desk) mustInfo(id keystore.Identity) keystore.Info {
	info, _ := d.Info(id)
	return info
}

func (d *desk) share(from *desk, info keystore.Info, s keystore.Share) keystore.Share {
	s.Transfer, s.Peer = fmt.Sprint(from.name, len(info.Given)), from.name
	s.PublicKey, s.Levels, s.Reserve, s.Transferable = info.PublicKey, info.Levels, info.Reserve, true
	s.Private, s.Public = attributes, attributes
	return s
}

// take receives leaves from another token. If the outcome was unknown and the
// same is done again, ErrSeen says that they are here.
func (d *desk) take(from *desk, info keystore.Info, s keystore.Share) error {
	s = d.share(from, info, s)
	count := line{Count: int(s.Leaves.Count()), Shape: d.shapeOf(info), Key: info.PublicKey.Bytes(), Event: receiving}
	if err := d.say(count); err != nil {
		return err
	}
	_, err := d.Receive(context.Background(), s)
	if err != nil && d.forgives(err) {
		if _, err = d.Receive(context.Background(), s); errors.Is(err, keystore.ErrSeen) {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	return d.note(received, info.Identity, line{})
}

func (d *desk) refuses(id keystore.Identity, s keystore.Share) error {
	s = d.share(d, d.mustInfo(id), s)
	s.Transfer = "back"
	if _, err := d.Receive(context.Background(), s); !errors.Is(err, keystore.ErrSeen) {
		return fmt.Errorf("%w: leaves given away came back: %w", errViolation, err)
	}
	return nil
}

// goAndComeBack puts a key outside the token and brings it back.
func (d *desk) goAndComeBack(id keystore.Identity) error {
	if err := d.note(leaving, id, line{}); err != nil {
		return err
	}
	var capsule []byte
	err := d.attempt(id, func() (err error) {
		capsule, err = d.Externalise(id)
		return err
	})
	if err != nil {
		return err
	}
	if err := d.note(away, id, line{Capsule: capsule}); err != nil {
		return err
	}
	digest := sha256.Sum256(capsule)
	if err := d.attempt(id, func() error { return d.Stored(id, digest[:]) }); err != nil {
		return err
	}
	return d.comeBack(id, capsule)
}

// comeBack brings a key back. After an unknown outcome ErrSeen says that it is
// here.
func (d *desk) comeBack(id keystore.Identity, capsule []byte) error {
	err := d.BringBack(id, capsule)
	if err != nil && d.forgives(err) {
		if err = d.BringBack(id, capsule); errors.Is(err, keystore.ErrSeen) {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	return d.note(back, id, line{})
}

// fetchAll brings back the keys that a crash left outside: from the capsules that
// were let out, or from the outbox. All other capsules must be refused.
func (d *desk) fetchAll() error {
	capsules, err := d.capsules()
	if err != nil {
		return err
	}
	for _, info := range d.Keys() {
		kept := capsules[string(info.PublicKey.Bytes())]
		if info.Status == keystore.External {
			if newest, err := d.Externalise(info.Identity); err == nil {
				kept = append(kept, newest)
			} else if !errors.Is(err, keystore.ErrAcknowledged) {
				return err
			}
			if err := d.comeBack(info.Identity, kept[len(kept)-1]); err != nil {
				return err
			}
		}
		for _, old := range kept {
			if err := d.BringBack(info.Identity, old); !errors.Is(err, keystore.ErrSeen) {
				return fmt.Errorf("%w: an old capsule was taken: %w", errViolation, err)
			}
		}
	}
	return nil
}

// capsules are those that were ever let out of this token, by public key.
func (d *desk) capsules() (map[string][][]byte, error) {
	file, err := os.Open(d.released())
	if err != nil {
		return nil, err
	}
	defer file.Close()
	found := map[string][][]byte{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var l line
		if json.Unmarshal(lines.Bytes(), &l) == nil && l.Event == away && l.Token == d.name {
			found[string(l.Key)] = append(found[string(l.Key)], l.Capsule)
		}
	}
	return found, lines.Err()
}

package keystore

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"
)

// TestExternalKey goes out and comes back, with a restart and lower trees.
func TestExternalKey(t *testing.T) {
	for _, shape := range []batchShape{{1, 4}, {2, 0}, {2, 4}} {
		d := newDesk(t, NewVolatile())
		id := d.generateBatched(shape.levels, shape.n)
		d.sign(id)
		before := d.info(id).Remaining
		first, err := d.Externalise(id)
		must(t, err)
		if again, err := d.Externalise(id); err != nil || !bytes.Equal(again, first) {
			t.Fatalf("the outbox gives other bytes: %v", err)
		}
		d.restart()
		if _, err := d.Sign(t.Context(), id, nil); !errors.Is(err, ErrExternal) {
			t.Errorf("%v: Sign while outside: %v, want ErrExternal", shape, err)
		}
		if err := d.Usable(id); !errors.Is(err, ErrExternal) {
			t.Errorf("%v: Usable while outside: %v, want ErrExternal", shape, err)
		}
		if info := d.info(id); info.Status != External || info.Remaining != 0 {
			t.Errorf("%v: outside, with %d signatures and status %s", shape, info.Remaining, info.Status)
		}
		must(t, d.BringBack(id, first))
		if got := number(d.sign(id)); got != 1 || d.info(id).Remaining != before-1 {
			t.Errorf("%v: signature number %d, %d left; %d before", shape, got, d.info(id).Remaining, before)
		}
		if err := d.BringBack(id, first); !errors.Is(err, ErrSeen) {
			t.Errorf("%v: a capsule came back twice: %v", shape, err)
		}
	}
}

// TestOnlyTheNewestComesBack: an older capsule would bring used leaves.
func TestOnlyTheNewestComesBack(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generate(levels(1)...)
	first, err := d.Externalise(id)
	must(t, err)
	must(t, d.BringBack(id, first))
	d.sign(id)
	second, err := d.Externalise(id)
	must(t, err)
	altered := bytes.Clone(second)
	altered[len(altered)-3] ^= 1
	for name, capsule := range map[string][]byte{"older": first, "altered": altered, "empty": nil} {
		if err := d.BringBack(id, capsule); !errors.Is(err, ErrSeen) {
			t.Errorf("the %s capsule: %v, want ErrSeen", name, err)
		}
	}
	must(t, d.BringBack(id, second))
	if q := d.sign(id); q[0] != 1 {
		t.Errorf("leaf %d, want 1", q[0])
	}
}

// TestStored: the secrets leave the token when the capsule is known to be kept.
func TestStored(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generate(levels(1)...)
	if err := d.Stored(id, nil); !errors.Is(err, ErrUnknownTransfer) {
		t.Errorf("Stored of a key that is here: %v", err)
	}
	capsule, err := d.Externalise(id)
	must(t, err)
	digest := sha256.Sum256(capsule)
	if err := d.Stored(id, digest[1:]); !errors.Is(err, ErrUnknownTransfer) {
		t.Errorf("Stored with another digest: %v", err)
	}
	must(t, d.Stored(id, digest[:]))
	must(t, d.Stored(id, digest[:]))
	if _, err := d.Externalise(id); !errors.Is(err, ErrAcknowledged) {
		t.Errorf("the outbox: %v, want ErrAcknowledged", err)
	}
	must(t, d.BringBack(id, capsule))
	d.sign(id)
}

// TestExternalKeyGivesNothing while it is outside; destroyed there, it does not
// come back.
func TestExternalKeyGivesNothing(t *testing.T) {
	d := newDesk(t, NewVolatile())
	id := d.generate(levels(1)...)
	capsule, err := d.Externalise(id)
	must(t, err)
	if _, err := d.Give(t.Context(), id, Giving{Transfer: "t"}); !errors.Is(err, ErrExhausted) && !errors.Is(err, ErrExternal) {
		t.Errorf("Give: %v", err)
	}
	must(t, d.Destroy(id))
	if err := d.BringBack(id, capsule); !errors.Is(err, ErrSeen) {
		t.Errorf("a destroyed key came back: %v", err)
	}
}

package token

import (
	"math/bits"
	"sync/atomic"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

// defaultWarnBelow is CKA_ONCELEAF_WARN_BELOW, in percent, of keys that nobody set it for.
const defaultWarnBelow uint64 = 10

// supply is what an HSS private key has left, held against the threshold of its owner.
type supply struct {
	keystore.Supply
	warnBelow uint64 // percent of Capacity; 0: never low
}

func supplyOf(info keystore.Info, warnBelow uint64) supply {
	return supply{keystore.Supply{Status: info.Status, Remaining: info.Remaining, Capacity: info.Capacity}, warnBelow}
}

// supply reads what the HSS private key behind o has left at this moment.
func (o *object) supply() (supply, error) {
	s, err := o.key.keys.Supply(o.key.identity)
	return supply{s, o.stored.warnBelow()}, err
}

// warnBelow is CKA_ONCELEAF_WARN_BELOW, which older keys do not have.
func (a Attributes) warnBelow() uint64 {
	if _, there := a[ck.CKA_ONCELEAF_WARN_BELOW]; !there {
		return defaultWarnBelow
	}
	return a.ulong(ck.CKA_ONCELEAF_WARN_BELOW)
}

// low says that the key can sign and has less than its threshold left. The products have 128 bits: a key may have 2^64
// signatures or more.
func (s supply) low() bool {
	leftHigh, leftLow := bits.Mul64(s.Remaining, 100)
	mostHigh, mostLow := bits.Mul64(s.Capacity, s.warnBelow)
	less := leftHigh < mostHigh || leftHigh == mostHigh && leftLow < mostLow
	return s.Status == keystore.Active && less
}

// exhausted says that the key is used up. This is the one place that derives it: the stored status stays active.
func (s supply) exhausted() bool { return s.Status == keystore.Active && s.Remaining == 0 }

// level is what the log has to tell about a supply.
type level struct{ low, exhausted bool }

func (s supply) level() level { return level{s.low(), s.exhausted()} }

// gauge remembers the level of a key that the log knows of, so that many threads that sign with the key tell it once.
type gauge struct{ last atomic.Pointer[level] }

// move notes the level that read gives, and returns the one before it too. A level that another caller noted meanwhile
// is taken into account: the noted levels are in the order in which they were read, and no fall is missed or seen twice.
func (g *gauge) move(read func() level) (from, to level) {
	for {
		last := g.last.Load()
		from = level{}
		if last != nil {
			from = *last
		}
		to = read()
		if from == to {
			return from, to
		}
		if noted := to; g.last.CompareAndSwap(last, &noted) {
			return from, to
		}
	}
}

var keysEnded atomic.Uint64

// KeysEnded changes whenever a key of this process, of any token, may have ceased to sign: it has no leaf left, or a
// signature failed. Who remembers that a key can be used looks again then.
func KeysEnded() uint64 { return keysEnded.Load() }

// watch tells the log if the key has fallen below its threshold, or to nothing, since it was last looked at. It is
// called after everything that changes what the key has left, or the threshold.
func (t *Token) watch(o *object) {
	var s supply
	from, to := o.key.gauge.move(func() level {
		s, _ = o.supply() // without the key: neither low nor used up
		return s.level()
	})
	if to.low && !from.low {
		t.log.Warn("the key is low; plan the next one", o.about(s)...)
	}
	if to.exhausted && !from.exhausted {
		keysEnded.Add(1)
		t.log.Error("the key is used up for good; make a new key, what this one signed can still be verified", o.about(s)...)
	}
}

// watchAll tells the log about every key that is low. Nobody signs meanwhile: the user is about to log in.
func (t *Token) watchAll() {
	for _, o := range t.allHalves() {
		if o.class() != ck.CKO_PRIVATE_KEY {
			continue
		}
		s, _ := o.supply() // of a key that went meanwhile: nothing
		now := s.level()
		o.key.gauge.last.Store(&now)
		switch {
		case now.low && now.exhausted:
			t.log.Warn("the key is used up for good; make a new key", o.about(s)...)
		case now.low:
			t.log.Warn("the key is low; plan the next one", o.about(s)...)
		}
	}
}

// about names a key and its supply in the log.
func (o *object) about(s supply) []any {
	return []any{"key", o.key.identity, "label", string(o.stored[ck.CKA_LABEL]),
		"remaining", s.Remaining, "capacity", s.Capacity, "warnBelowPercent", s.warnBelow}
}

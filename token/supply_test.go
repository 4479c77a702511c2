package token

import (
	"bytes"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

// The last words of the log about a key.
const (
	saidLow    = `level=WARN msg="the key is low`
	saidSpent  = `level=WARN msg="the key is used up`
	saidUsedUp = `level=ERROR msg="the key is used up for good`
)

func TestLevelOfASupply(t *testing.T) {
	for _, c := range []struct {
		status                         keystore.Status
		remaining, capacity, warnBelow uint64
		low, exhausted                 bool
	}{
		{keystore.Active, 32, 32, 10, false, false},
		{keystore.Active, 4, 32, 10, false, false}, // 12.5 percent
		{keystore.Active, 3, 32, 10, true, false},
		{keystore.Active, 10, 100, 10, false, false}, // not below
		{keystore.Active, 9, 100, 10, true, false},
		{keystore.Active, 1, 100, 0, false, false},
		{keystore.Active, 0, 100, 0, false, true},
		{keystore.Active, 0, 100, 1, true, true},
		{keystore.Active, 99, 100, 100, true, false},
		{keystore.Active, 100, 100, 100, false, false},
		{keystore.Active, 0, 0, 100, false, true}, // all of it was given away
		{keystore.Active, math.MaxUint64, math.MaxUint64, 10, false, false},
		{keystore.Active, math.MaxUint64 / 11, math.MaxUint64, 10, true, false},
		{keystore.Active, math.MaxUint64, math.MaxUint64, 100, false, false},
		{keystore.Quarantined, 0, 100, 10, false, false},
		{keystore.External, 0, 100, 10, false, false},
		{keystore.Destroyed, 0, 100, 10, false, false},
	} {
		s := supply{keystore.Supply{Status: c.status, Remaining: c.remaining, Capacity: c.capacity}, c.warnBelow}
		if s.low() != c.low || s.exhausted() != c.exhausted {
			t.Errorf("%+v: low %v, exhausted %v", c, s.low(), s.exhausted())
		}
	}
}

// listen sends the token's log into a buffer.
func (tk *testToken) listen() *bytes.Buffer {
	text := &bytes.Buffer{} // the handler writes one line at a time
	tk.log = slog.New(slog.NewTextHandler(text, nil))
	return text
}

// heard checks how often the log has said something since the last time.
func (tk *testToken) heard(text *bytes.Buffer, when string, low, spent, usedUp int) {
	tk.Helper()
	said := text.String()
	if strings.Count(said, saidLow) != low || strings.Count(said, saidSpent) != spent || strings.Count(said, saidUsedUp) != usedUp {
		tk.Errorf("%s: want %d, %d and %d lines, got:\n%s", when, low, spent, usedUp, said)
	}
	text.Reset()
}

func (tk *testToken) signTimes(id ObjectID, n int) {
	tk.Helper()
	for range n {
		signer, err := tk.Signer(id, ck.CKM_HSS)
		tk.must(err)
		_, err = signer.Sign(tk.Context(), []byte("m"))
		tk.must(err)
	}
}

// The whole life of a key of 32 signatures, as the log tells it.
func TestLogOfASupply(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	_, priv := tk.tokenPair(s)
	log := tk.listen()
	tk.signTimes(priv, 28)
	tk.heard(log, "4 of 32 left", 0, 0, 0)
	tk.expect(priv, map[ck.AttributeType][]byte{ck.CKA_ONCELEAF_LOW: no})
	tk.signTimes(priv, 1)
	tk.heard(log, "3 of 32 left", 1, 0, 0)
	tk.expect(priv, map[ck.AttributeType][]byte{ck.CKA_ONCELEAF_LOW: yes})
	tk.must(tk.Change(s, priv, []Attribute{{ck.CKA_LABEL, []byte("renamed")}}))
	tk.signTimes(priv, 1)
	tk.heard(log, "2 of 32 left, under another label", 0, 0, 0)

	warnBelow := func(percent uint64) {
		tk.must(tk.Change(s, priv, []Attribute{{ck.CKA_ONCELEAF_WARN_BELOW, Ulong(percent)}}))
	}
	warnBelow(5)
	tk.expect(priv, map[ck.AttributeType][]byte{ck.CKA_ONCELEAF_LOW: no})
	tk.heard(log, "2 of 32 and a threshold of 5 percent", 0, 0, 0)
	tk.signTimes(priv, 1)
	tk.heard(log, "1 of 32 and a threshold of 5 percent", 1, 0, 0)
	warnBelow(0)
	warnBelow(100)
	tk.heard(log, "the threshold was raised", 1, 0, 0)
	tk.must(tk.Logout())
	tk.must(tk.Login(ck.CKU_USER, userPIN))
	tk.heard(log, "login with a low key", 1, 0, 0)

	tk.signTimes(priv, 1)
	tk.heard(log, "the last signature", 0, 0, 1)
	if _, err := tk.Signer(priv, ck.CKM_HSS); err == nil || !strings.Contains(err.Error(), "used up for good; make a new key") {
		t.Errorf("Signer: %v", err)
	}
	if text := tk.value(priv, ck.CKA_ONCELEAF_STATE); !bytes.Contains(text, []byte(`"status":"active","exhausted":true`)) {
		t.Errorf("%s", text)
	}
	tk.must(tk.Logout())
	tk.must(tk.Login(ck.CKU_USER, userPIN))
	tk.heard(log, "login with a key that is used up", 0, 1, 0)
	warnBelow(0)
	tk.must(tk.Logout())
	tk.must(tk.Login(ck.CKU_SO, soPIN))
	tk.must(tk.Logout())
	tk.must(tk.Login(ck.CKU_USER, userPIN))
	tk.heard(log, "nobody wants to know", 0, 0, 0)
}

// Many threads take a key past its threshold and to its end. One of them tells it, whichever it is.
func TestOneThreadTells(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	log := tk.listen()
	for range 8 {
		_, priv := tk.tokenPair(s)
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() { tk.signTimes(priv, 4) })
		}
		group.Wait()
		tk.heard(log, "32 signatures by 8 threads", 1, 0, 1)
		tk.must(tk.Destroy(s, priv))
	}
}

// The levels that a gauge notes are in the order in which they were read, whoever is faster.
func TestGauge(t *testing.T) {
	var g gauge
	var between sync.Once
	from, to := g.move(func() level {
		between.Do(func() { g.move(func() level { return level{low: true} }) }) // another thread was faster
		return level{low: true}
	})
	if from != to {
		t.Errorf("both threads saw the fall: %v, %v", from, to)
	}
	if from, to := g.move(func() level { return level{} }); !from.low || to.low {
		t.Errorf("%v, %v", from, to)
	}
	if from, to := g.move(func() level { return level{low: true, exhausted: true} }); from != (level{}) || !to.low || !to.exhausted {
		t.Errorf("%v, %v", from, to)
	}
}

// A session key has a threshold too.
func TestLowSessionKey(t *testing.T) {
	tk := newTestToken(t)
	tk.must(tk.BeginSession(1))
	s := Session{ID: 1}
	log := tk.listen()
	_, priv, err := tk.GenerateHSS(t.Context(), s, nil, append(oneLevel(), Attribute{ck.CKA_PRIVATE, no}))
	tk.must(err)
	tk.must(tk.Change(s, priv, []Attribute{{ck.CKA_LABEL, []byte("volatile")}}))
	tk.signTimes(priv, 29)
	tk.heard(log, "3 of 32 left", 1, 0, 0)
}

// Attributes that were stored before there was a threshold go on as they are.
func TestKeyWithoutThreshold(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	_, priv := tk.tokenPair(s)
	o, err := tk.object(priv)
	tk.must(err)
	old := o.with(nil)
	delete(old.stored, ck.CKA_ONCELEAF_WARN_BELOW)
	tk.must(tk.replace(old))
	tk.reopen()
	s = tk.userSession()
	log := tk.listen()
	tk.expect(priv, map[ck.AttributeType][]byte{
		ck.CKA_ONCELEAF_WARN_BELOW: Ulong(uint64(10)), ck.CKA_ONCELEAF_LOW: no, ck.CKA_LABEL: []byte("priv"),
	})
	tk.signTimes(priv, 29)
	tk.heard(log, "3 of 32 left", 1, 0, 0)
	tk.must(tk.Change(s, priv, []Attribute{{ck.CKA_ONCELEAF_WARN_BELOW, Ulong(uint64(1))}}))
	tk.expect(priv, map[ck.AttributeType][]byte{ck.CKA_ONCELEAF_WARN_BELOW: Ulong(uint64(1)), ck.CKA_ONCELEAF_LOW: no})
}

func TestReserve(t *testing.T) {
	two := levelsOf(2, []uint64{5, 5}, []uint64{4, 4})
	for _, c := range []struct {
		name     string
		template []Attribute
		want     uint64
	}{
		{"one level", oneLevel(), 1},
		{"one level, 0", append(oneLevel(), Attribute{ck.CKA_ONCELEAF_RESERVE, Ulong(uint64(0))}), 1},
		{"one level, 7", append(oneLevel(), Attribute{ck.CKA_ONCELEAF_RESERVE, Ulong(uint64(7))}), 7},
		{"two levels", two, 0},
		{"two levels, 32", append(two, Attribute{ck.CKA_ONCELEAF_RESERVE, Ulong(uint64(32))}), 32},
	} {
		for _, onToken := range [][]byte{yes, no} {
			t.Run(c.name, func(t *testing.T) {
				tk := newTestToken(t)
				_, priv, err := tk.GenerateHSS(t.Context(), tk.userSession(), nil, append(c.template, Attribute{ck.CKA_TOKEN, onToken}))
				tk.must(err)
				tk.expect(priv, map[ck.AttributeType][]byte{ck.CKA_ONCELEAF_RESERVE: Ulong(c.want)})
				tk.signTimes(priv, 3)
			})
		}
	}
}

// A key outside the token stays visible, and says what to do.
func TestExternalKey(t *testing.T) {
	tk := newTestToken(t)
	_, priv := tk.tokenPair(tk.userSession())
	identity, _ := priv.identity(privatePrefix)
	log := tk.listen()
	_, err := tk.keys.Externalise(identity)
	tk.must(err)
	if _, err := tk.Signer(priv, ck.CKM_HSS); err == nil || !strings.Contains(err.Error(), "newest capsule") {
		t.Errorf("Signer: %v", err)
	}
	tk.must(tk.Logout())
	tk.must(tk.Login(ck.CKU_USER, userPIN))
	tk.heard(log, "nothing is left here, but the key is not used up", 0, 0, 0)
	tk.expect(priv, map[ck.AttributeType][]byte{ck.CKA_ONCELEAF_LOW: no})
}

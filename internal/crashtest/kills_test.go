package crashtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

const (
	kills        = 2000 // of TestRandomKills
	killsPerPlan = 50   // in one folder, before it is checked and a new one begins
	shapesAtOnce = 3
)

// TestRandomKills kills processes that sign with several threads and keys, at
// random moments, and lets some of them stop cleanly in between. With
// ONCELEAF_SOAK=<duration> it goes on for that long.
func TestRandomKills(t *testing.T) {
	s := newSweep(t)
	began := time.Now()
	t.Run("lanes", func(t *testing.T) {
		for lane := range max(2, runtime.NumCPU()) {
			t.Run(fmt.Sprint(lane), func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(lane)))
				for s.goOn(t) {
					s.campaign(t, r)
				}
			})
		}
	})
	t.Logf("%v in %v", s, time.Since(began).Round(time.Second))
	for _, phase := range []*atomic.Int64{&s.starting, &s.generating, &s.signing, &s.parking} {
		if phase.Load() == 0 {
			t.Error("one kind of moment was never hit")
		}
	}
	tally.require(t, "kills", "clean-restarts", "crash-signatures")
}

// sweep is the state and the figures of TestRandomKills.
type sweep struct {
	until time.Time // of a soak; zero: until kills is reached
	said  atomic.Int64

	kills, signatures, upper, clean, lost, torn atomic.Int64
	starting, generating, signing, parking      atomic.Int64 // what was under way
}

func newSweep(t *testing.T) *sweep {
	s := &sweep{}
	if text := os.Getenv("ONCELEAF_SOAK"); text != "" {
		length, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		s.until = time.Now().Add(length)
	}
	s.said.Store(time.Now().Unix())
	return s
}

func (s *sweep) String() string {
	moments := fmt.Sprintf("%d starting, %d generating, %d signing, %d parking",
		s.starting.Load(), s.generating.Load(), s.signing.Load(), s.parking.Load())
	return fmt.Sprintf("%d kills (%s): %d signatures, %d leaves signed trees; crashes cost %d; "+
		"%d clean restarts of a key cost nothing; %d lines torn", s.kills.Load(), moments,
		s.signatures.Load(), s.upper.Load(), s.lost.Load(), s.clean.Load(), s.torn.Load())
}

// goOn also speaks once a minute.
func (s *sweep) goOn(t *testing.T) bool {
	now := time.Now()
	if said := s.said.Load(); now.Unix()-said >= 60 && s.said.CompareAndSwap(said, now.Unix()) {
		t.Log(s)
	}
	if s.until.IsZero() {
		return s.kills.Load() < kills && !t.Failed()
	}
	return now.Before(s.until) && !t.Failed()
}

// campaign is one folder: some kills, clean stops as they come, and the check. The
// folder is kept if something was found.
func (s *sweep) campaign(t *testing.T, r *rand.Rand) {
	folder, err := os.MkdirTemp("", "onceleaf-kills-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			t.Logf("the evidence is in %s", folder)
			return
		}
		os.RemoveAll(folder)
	}()
	p := plan{Folder: folder, Act: "sign", Tokens: []string{"one"}}
	for _, i := range r.Perm(len(shapes))[:shapesAtOnce] {
		p.Shapes = append(p.Shapes, shapes[i])
	}
	s.killOften(t, p, r)
	s.note(p.recover(t), killsPerPlan)
}

// killOften kills at moments that are spread over the length of a life, start-up
// and clean stop included.
func (s *sweep) killOften(t *testing.T, p plan, r *rand.Rand) {
	t.Helper()
	life := 50 * time.Millisecond // how long one takes that is not killed; measured below
	for killed := 0; killed < killsPerPlan; {
		p.Signatures = 1 + r.IntN(6)
		end := p.run(t, func(process *os.Process) {
			time.Sleep(rand.N(life))
			process.Kill()
		})
		switch {
		case end.killed:
			killed++
			life += life / 20 // so that clean stops come, too
		case end.code != 0:
			t.Fatalf("worker %s: exit %d\n%s", p.text(t), end.code, end.complaints)
		default:
			life = (life + end.took) / 2
		}
	}
}

func (s *sweep) note(c *checker, killed int) {
	lost, clean := c.lost()
	s.kills.Add(int64(killed))
	s.signatures.Add(int64(c.audit.Signatures()))
	s.upper.Add(int64(c.audit.Upper()))
	s.lost.Add(int64(lost))
	s.clean.Add(int64(clean))
	s.torn.Add(int64(c.torn))
	for last, n := range c.ends {
		phase := &s.signing
		switch last {
		case began, opening, opened:
			phase = &s.starting
		case making:
			phase = &s.generating
		case locking, closed:
			phase = &s.parking
		}
		phase.Add(int64(n))
	}
	tally.add("kills", killed)
	c.record()
}

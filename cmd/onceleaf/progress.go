package main

import (
	"context"
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/onceleaf/onceleaf/lms"
)

// patience is how long a step may take before its progress is shown.
const patience = time.Second

// estimateTree says how long a token would take for a tree, from the time that a small one of the same kind takes here.
// It is a guess: the token may use other code, and the machine may be busy. 0 stands for no estimate.
func estimateTree(set lms.ParameterSet) time.Duration {
	small, ok := smallestLike(set)
	if !ok {
		return 0
	}
	best := time.Duration(0)
	for range 2 { // the first run is slower
		began := time.Now()
		if _, err := lms.NewTree(context.Background(), small, lms.ID{}, make([]byte, small.N())); err != nil {
			return 0
		}
		if took := time.Since(began); best == 0 || took < best {
			best = took
		}
	}
	return best * time.Duration(set.Leaves()/small.Leaves())
}

// smallestLike is the set with the lowest tree among those with the LM-OTS type of set.
func smallestLike(set lms.ParameterSet) (small lms.ParameterSet, ok bool) {
	for _, s := range lms.ParameterSets() {
		if s.OTS == set.OTS && (!ok || s.Height() < small.Height()) {
			small, ok = s, true
		}
	}
	return small, ok
}

// during runs do and, if it takes more than a second, shows how far it may be. With an estimate the bar follows the
// clock, since a PKCS#11 module does not report; without one (0) it only turns.
func (inv *invocation) during(what string, estimate time.Duration, do func() error) error {
	if inv.quiet || !isTerminal(inv.stderr) {
		if !inv.quiet && estimate > 10*time.Second {
			inv.note("%s: about %s (an estimate)", what, rounded(estimate))
		}
		return do()
	}
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
	}
	return inv.follow(what, estimate, done)
}

// follow moves a progress bar until done tells the outcome.
func (inv *invocation) follow(what string, estimate time.Duration, done <-chan error) error {
	began := time.Now().Add(-patience)
	bar := inv.bar(what, estimate)
	defer bar.Clear()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			advance(bar, time.Since(began), estimate)
		}
	}
}

// bar counts in milliseconds of the estimate.
func (inv *invocation) bar(what string, estimate time.Duration) *progressbar.ProgressBar {
	total := int64(-1)
	if estimate > 0 {
		total = max(estimate, patience).Milliseconds()
		what = fmt.Sprintf("%s (estimate %s)", what, rounded(estimate))
	}
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(inv.stderr),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(30),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionClearOnFinish(),
	)
}

// advance never says that all is done: an estimate cannot know that.
func advance(bar *progressbar.ProgressBar, elapsed, estimate time.Duration) {
	if estimate <= 0 {
		bar.Add(1)
		return
	}
	if elapsed >= estimate {
		bar.Describe("taking longer than estimated")
	}
	bar.Set64(min(elapsed.Milliseconds(), bar.GetMax64()*99/100))
}

// rounded is a duration to the precision of an estimate.
func rounded(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}

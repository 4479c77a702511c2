package main

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/keystore"
)

// paced measures percentiles at half the rate that the key sustains, on all cores, over changes of the lower tree. A
// request's time counts from when it was due: who waits behind a slow one waits too.
func (b *bench) paced(ctx context.Context, k key, s *signer, name string) error {
	m := kernelMeter(b.kernels[hashOf(k.lower())])
	m.turn(checkedCost(k.lower()) * float64(k.lower().Leaves()))
	if err := b.allCores(); err != nil {
		return err
	}
	runtime.GOMAXPROCS(keystore.Places()) // as p11module has it; who moves to other cores next changes it again
	life := int(k.lower().Leaves())
	full, err := measure(func() error { return times(ctx, 2*life, s.sign(ctx)) })
	if err != nil {
		return err
	}
	changes := k.changes
	if b.long {
		changes = k.long
	}
	interval := time.Duration(2 * full.clock / float64(2*life) * float64(time.Second))
	latencies, err := atPace(ctx, interval, changes*life, s.sign(ctx))
	if err != nil {
		return err
	}
	median := percentile(latencies, 50)
	b.addFloor(name+"/p50", "us", median, checkedCost(k.lower()), m)
	b.addTimes(name+"/p99", "us", percentile(latencies, 99), median, "p50, one signature every "+interval.Round(time.Microsecond).String())
	return nil
}

// atPace calls do count times, one per interval, and returns for each call the seconds from when it was due to its end. It
// is on a thread of its own that sleeps in the system, as the caller of a library would.
func atPace(ctx context.Context, interval time.Duration, count int, do func(i int) error) ([]float64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return nil, err
	}
	defer unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0)
	begin, latencies := time.Now(), make([]float64, count)
	err := times(ctx, count, func(i int) error {
		due := begin.Add(time.Duration(i) * interval)
		waitUntil(due)
		err := do(i)
		latencies[i] = time.Since(due).Seconds()
		return err
	})
	return latencies, err
}

// waitUntil sleeps until shortly before the time, since nobody wakes up on the dot, and then looks at the clock.
func waitUntil(due time.Time) {
	const wakingUp = 60 * time.Microsecond
	for left := time.Until(due) - wakingUp; left > 0; left = time.Until(due) - wakingUp {
		sleep := unix.NsecToTimespec(left.Nanoseconds())
		_ = unix.Nanosleep(&sleep, nil) // a signal may end it early
	}
	for time.Now().Before(due) {
	}
}

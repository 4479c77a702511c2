package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/onceleaf/onceleaf/lms"
)

// keyGeneration measures the tree of one private key in turns: the kernel alone, the tree on one core, on all cores.
func (b *bench) keyGeneration(ctx context.Context, s set) error {
	m, seed := kernelMeter(b.kernels[hashOf(s.ParameterSet)]), randomBytes(s.N())
	one, all, least := endless, endless, 3
	if s.long {
		least = 1
	}
	for range rounds(least, 12, 3*time.Second) {
		if err := b.oneCore(); err != nil {
			return err
		}
		m.turn(treeCost(s.ParameterSet))
		alone, root, err := timedTree(ctx, s.ParameterSet, seed)
		if err != nil {
			return err
		}
		m.turn(treeCost(s.ParameterSet))
		if err := b.allCores(); err != nil {
			return err
		}
		together, same, err := timedTree(ctx, s.ParameterSet, seed)
		if err != nil {
			return err
		}
		if !bytes.Equal(root, same) {
			return errors.New("one core and all cores made different trees of one seed")
		}
		one, all = one.best(alone), all.best(together)
	}
	b.addFloor("keygen/"+s.name, "ms", one.processor, treeCost(s.ParameterSet), m)
	b.add(row{"keygen/" + s.name + "/cores", all.clock * 1e3, "ms", one.clock * 1e3, one.clock / all.clock,
		"reference / value: one core / all cores, by the clock"})
	return nil
}

// timedTree makes a tree and returns its root with what it took.
func timedTree(ctx context.Context, set lms.ParameterSet, seed []byte) (c cost, root []byte, err error) {
	var tree *lms.Tree
	own := slices.Clone(seed)
	c, err = measure(func() (err error) {
		tree, err = lms.NewTree(ctx, set, lms.ID{}, own)
		return err
	})
	if err != nil {
		return c, nil, err
	}
	defer tree.Wipe()
	return c, tree.PublicKey().Root, nil
}

// signatures measures signing with a tree in memory and verifying, on one core. All repeats sign the same messages under
// the same C, so that they do the same work, and no leaf signs two messages.
func (b *bench) signatures(ctx context.Context, s set) error {
	if err := b.oneCore(); err != nil {
		return err
	}
	tree, err := lms.NewTree(ctx, s.ParameterSet, lms.ID{}, randomBytes(s.N()))
	if err != nil {
		return err
	}
	defer tree.Wipe()
	const count = 1024 // leaves
	messages, randomizers, signed := randomBytes(count*messageSize), randomBytes(count*s.N()), make([][]byte, count)
	part := func(of []byte, i int) []byte { size := len(of) / count; return of[i*size : (i+1)*size] }
	err = b.operation(ctx, "sign/"+s.name, s.ParameterSet, signCost(s.ParameterSet), count, func(i int) (err error) {
		signed[i], err = tree.SignLeaf(nil, uint32(i), part(randomizers, i), part(messages, i))
		return err
	})
	if err != nil {
		return err
	}
	public := tree.PublicKey()
	return b.operation(ctx, "verify/"+s.name, s.ParameterSet, verifyCost(s.ParameterSet), count, func(i int) error {
		return public.Verify(part(messages, i), signed[i])
	})
}

// operation measures count calls of do, for the mean without and for the percentiles with a look at the clock each. A
// percentile is the median of those of the repeats.
func (b *bench) operation(ctx context.Context, name string, s lms.ParameterSet, compressions float64, count int, do func(i int) error) error {
	m, best := kernelMeter(b.kernels[hashOf(s)]), endless
	var medians, tails []float64
	for range rounds(3, 12, 3*time.Second) {
		m.turn(compressions * float64(count))
		c, err := measure(func() error { return times(ctx, count, do) })
		if err != nil {
			return err
		}
		best = best.best(c)
		latencies, err := latenciesOf(ctx, count, do)
		if err != nil {
			return err
		}
		medians, tails = append(medians, percentile(latencies, 50)), append(tails, percentile(latencies, 99))
	}
	b.addFloor(name, "us", best.processor/float64(count), compressions, m)
	b.addFloor(name+"/p50", "us", percentile(medians, 50), compressions, m)
	b.addFloor(name+"/p99", "us", percentile(tails, 50), compressions, m)
	return nil
}

// times calls do(0), ..., do(count-1) until an error.
func times(ctx context.Context, count int, do func(i int) error) error {
	for i := range count {
		if err := do(i); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// latenciesOf is times with the seconds of the clock that each call took.
func latenciesOf(ctx context.Context, count int, do func(i int) error) ([]float64, error) {
	latencies := make([]float64, count)
	err := times(ctx, count, func(i int) error {
		begin := time.Now()
		err := do(i)
		latencies[i] = time.Since(begin).Seconds()
		return err
	})
	return latencies, err
}

// percentile is the smallest of values that at least so many percent of them do not exceed.
func percentile(values []float64, percent int) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

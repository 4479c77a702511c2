package keystore

import (
	"context"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/lms"
)

// nursery has the lower trees that will follow the live ones, by level. They are
// computed in the background while the live ones sign, so that no signature waits
// for a tree. Nothing has signed them and they have signed nothing: to throw one
// away costs time and no leaf.
type nursery map[int]*growing

// growing is a tree that is being computed.
type growing struct {
	builder *lms.Builder
	seed    []byte    // of the tree, in locked memory; the builder uses this very slice
	helping *lms.Work // of the signer, who helps when the background is late
	stopped atomic.Bool
	ended   chan struct{} // closed when the background is done
}

// The next tree of a level is begun when one leaf in growAfter of the present one
// is used: not at once, for many processes sign once and end.
const growAfter = 8

// backgroundNice is the priority of the thread that computes, as nice(1) counts.
const backgroundNice = 10

// grow begins a tree from fresh random I and SEED.
func grow(set lms.ParameterSet) (*growing, error) {
	id, seed := freshTree(set)
	builder, err := lms.NewBuilder(set, id, seed)
	if err != nil {
		Wipe(seed)
		return nil, err
	}
	g := &growing{builder: builder, seed: seed, helping: builder.NewWork(), ended: make(chan struct{})}
	go g.run()
	return g, nil
}

// run computes in the background.
func (g *growing) run() {
	defer close(g.ended)
	runtime.LockOSThread() // and not unlocked: the thread ends with its priority
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, backgroundNice)
	for work := g.builder.NewWork(); !g.stopped.Load() && work.Step(); {
	}
}

// keepPace computes until so much of the tree is done, unless the background has
// done it: who signs faster than a tree can be computed pays for it evenly.
func (g *growing) keepPace(part, whole uint64) {
	for {
		done, blocks := g.builder.Progress()
		if uint64(done)*whole >= part*uint64(blocks) || !g.helping.Step() {
			return
		}
	}
}

// finish computes what is left on all cores. On an error, that of ctx, the tree
// goes on growing.
func (g *growing) finish(ctx context.Context) (*tree, error) {
	built, err := g.builder.Build(ctx)
	if err != nil {
		return nil, err
	}
	return &tree{built, built.PublicKey(), g.seed}, nil
}

// discard ends the computation and wipes the seed.
func (g *growing) discard() {
	g.stopped.Store(true)
	g.builder.Discard()
	<-g.ended
	Wipe(g.seed)
}

// take hands out the next tree of a level: the one that grew, or a new one.
func (n nursery) take(ctx context.Context, level int, set lms.ParameterSet) (*tree, error) {
	g := n[level]
	if g == nil {
		return newTree(ctx, set)
	}
	t, err := g.finish(ctx)
	if err == nil {
		delete(n, level)
	}
	return t, err
}

func (n *nursery) clear() {
	for _, g := range *n {
		g.discard()
	}
	*n = nil
}

// tend begins the trees that will be needed, and keeps them in step with the
// leaves that are used.
func (k *key) tend() {
	above := k.state.Free.Count() > 0
	for level := 1; level <= len(k.path); level++ {
		whole := k.state.Levels[level].Leaves()
		if used, first := whole-k.left(level), whole/growAfter; above && used >= first {
			if g := k.growAt(level); g != nil {
				g.keepPace(used-first, whole-first)
			}
		}
		above = above || k.left(level) > 0
	}
}

// growAt is the growing tree of a level, begun if there is none.
func (k *key) growAt(level int) *growing {
	if g := k.nursery[level]; g != nil {
		return g
	}
	g, err := grow(k.state.Levels[level])
	if err != nil {
		k.ks.log.Error("couldn't begin the next lower tree", "key", k.id, "error", err)
		return nil
	}
	if k.nursery == nil {
		k.nursery = nursery{}
	}
	k.nursery[level] = g
	return g
}

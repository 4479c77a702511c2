package keystore

import (
	"context"
	"runtime"

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
	left    uint64 // unused leaves of the live tree when this one was begun
	builder *lms.Builder
	seed    []byte        // of the tree, in locked memory; the builder uses this very slice
	helping *lms.Work     // of the signer, who helps when the background is late
	stop    chan struct{} // closed to end the background
	ended   chan struct{} // closed when it has ended
}

// growAfter divides the leaves that a process finds in a tree: when it has used
// one part of them, the next tree is begun (not at once, for many processes sign
// once and end), and one part of the rest later the signers begin to help.
const growAfter = 8

// backgroundNice is the priority of the thread that computes, as nice(1) counts.
const backgroundNice = 10

// gardeners is how many trees may grow at a time, each on a thread of its own:
// one core is left to those who sign.
func gardeners() int { return max(1, runtime.GOMAXPROCS(0)-1) }

// grow begins a tree from fresh random I and SEED. The background waits for a
// place among turns.
func grow(set lms.ParameterSet, left uint64, turns chan struct{}) (*growing, error) {
	id, seed := freshTree(set)
	builder, err := lms.NewBuilder(set, id, seed)
	if err != nil {
		Wipe(seed)
		return nil, err
	}
	g := &growing{left, builder, seed, builder.NewWork(), make(chan struct{}), make(chan struct{})}
	go g.run(turns)
	return g, nil
}

// run computes in the background.
func (g *growing) run(turns chan struct{}) {
	defer close(g.ended)
	select {
	case <-g.stop:
		return
	case turns <- struct{}{}:
		defer func() { <-turns }()
	}
	runtime.LockOSThread() // and not unlocked: the thread ends with its priority
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, backgroundNice)
	for work := g.builder.NewWork(); !g.stopped() && work.Step(); {
	}
}

func (g *growing) stopped() bool {
	select {
	case <-g.stop:
		return true
	default:
		return false
	}
}

// keepPace computes until so much of the tree is done as of the live one is used,
// unless the background has done it: who signs faster than a tree can be computed
// pays for it evenly. The background has a lead.
func (g *growing) keepPace(ctx context.Context, left uint64) {
	whole := g.left - g.left/growAfter
	part := whole - min(whole, left)
	for ctx.Err() == nil {
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
	close(g.stop)
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

// clear discards what grows.
func (n nursery) clear() {
	for level := range n {
		n.drop(level)
	}
}

// drop discards what grows for a level.
func (n nursery) drop(level int) {
	if g := n[level]; g != nil {
		g.discard()
		delete(n, level)
	}
}

// tend begins the trees that will be needed, and keeps them in step with the
// leaves that are used. There is no next tree where no leaf is left to sign it.
func (k *key) tend(ctx context.Context) {
	above := k.state.Free.Count() > 0
	for level := 1; level <= len(k.path); level++ {
		if above {
			k.tendLevel(ctx, level)
		} else {
			k.nursery.drop(level)
		}
		above = above || k.left(level) > 0
	}
}

// tendLevel counts from what this process found in the live tree: one that begins
// with a tree nearly used up does not pay for all that was used before it.
func (k *key) tendLevel(ctx context.Context, level int) {
	found, left := k.path[level-1].found, k.unused(level)
	if found-min(found, left) < found/growAfter {
		return
	}
	if g := k.growAt(level, left); g != nil {
		g.keepPace(ctx, left)
	}
}

// unused is left with the leaves that are taken and not used, a batch in memory.
func (k *key) unused(level int) uint64 {
	if level < len(k.path) {
		return k.left(level)
	}
	return k.left(level) + k.batch.Count()
}

// growAt is the growing tree of a level, begun if there is none.
func (k *key) growAt(level int, left uint64) *growing {
	if g := k.nursery[level]; g != nil {
		return g
	}
	g, err := grow(k.state.Levels[level], left, k.ks.turns)
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

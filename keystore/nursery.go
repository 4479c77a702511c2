package keystore

import (
	"context"
	"sync"

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
	works   sync.Pool     // *lms.Work of those who compute: the background, and signers when it is late
	stop    chan struct{} // closed to end the background
	ended   chan struct{} // closed when it has ended
	by      *gardeners
}

// growAfter divides the leaves that a process finds in a tree: when it has used
// one part of them, the next tree is begun (not at once, for many processes sign
// once and end), and one part of the rest later the signers begin to help.
const growAfter = 8

// grow begins a tree from fresh random I and SEED.
func (ks *Keystore) grow(set lms.ParameterSet, left uint64) (*growing, error) {
	id, seed := freshTree(set)
	builder, err := lms.NewBuilder(set, id, seed)
	if err != nil {
		Wipe(seed)
		return nil, err
	}
	g := &growing{left: left, builder: builder, seed: seed, by: ks.gardeners,
		stop: make(chan struct{}), ended: make(chan struct{})}
	g.works.New = func() any { return builder.NewWork() }
	ks.gardeners.begin(g)
	return g, nil
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
// unless the background has done it, and at most a little more than the share of one
// leaf: who signs faster than a tree can be computed pays for it evenly. The
// background has a lead. It is called without the lock of the key, also for a tree
// that is in use by then, or was discarded: there is nothing to compute of it.
func (g *growing) keepPace(ctx context.Context, left uint64) {
	whole := max(1, g.left-g.left/growAfter)
	part := whole - min(whole, left)
	done, blocks := g.builder.Progress()
	for share := uint64(blocks)/whole + 2; share > 0 && uint64(done)*whole < part*uint64(blocks); share-- {
		if ctx.Err() != nil || g.stopped() || !g.step() {
			return
		}
		done, _ = g.builder.Progress()
	}
}

// step computes one block.
func (g *growing) step() bool {
	work := g.works.Get().(*lms.Work)
	defer g.works.Put(work)
	return work.Step()
}

// finish computes what is left on all cores, or waits for the background if that
// has to do. On an error, that of ctx, the tree goes on growing.
func (g *growing) finish(ctx context.Context, quiet bool) (*tree, error) {
	end := g.builder.Build
	if quiet {
		end = g.builder.Wait
	}
	built, err := end(ctx)
	if err != nil {
		return nil, err
	}
	close(g.stop)
	return &tree{Tree: built, public: built.PublicKey(), seed: g.seed}, nil
}

// discard ends the computation and wipes the seed.
func (g *growing) discard() {
	close(g.stop)
	g.builder.Discard()
	g.by.end(g)
	Wipe(g.seed)
}

// makeTree makes a tree from fresh random I and SEED.
func (ks *Keystore) makeTree(ctx context.Context, set lms.ParameterSet) (*tree, error) {
	if !ks.quiet {
		return newTree(ctx, set)
	}
	g, err := ks.grow(set, 0)
	if err != nil {
		return nil, err
	}
	t, err := g.finish(ctx, true)
	if err != nil {
		g.discard()
	}
	return t, err
}

// nextTree hands out the next tree of a level: the one that grew, or a new one.
func (k *key) nextTree(ctx context.Context, level int) (*tree, error) {
	g := k.nursery[level]
	if g == nil {
		return k.ks.makeTree(ctx, k.state.Levels[level])
	}
	t, err := g.finish(ctx, k.ks.quiet)
	if err == nil {
		delete(k.nursery, level)
	}
	return t, err
}

// clear discards what grows.
func (n nursery) clear() {
	for level, g := range n {
		g.discard()
		delete(n, level)
	}
}

// pace is how far the live tree of a growing one's level is used.
type pace struct {
	growing *growing
	left    uint64
}

// keepPace keeps the trees to come in step with the leaves that are used.
func (o owned) keepPace(ctx context.Context) {
	for _, p := range o.next {
		p.growing.keepPace(ctx, p.left)
	}
}

// tend begins the trees that will be needed, and returns those that grow. There is
// no next tree where no leaf is left to sign it.
func (k *key) tend() (next []pace) {
	above := k.state.Free.Count() > 0
	for level := 1; level <= len(k.path); level++ {
		if !above {
			k.dropLater(level)
		} else if left := k.unused(level); k.due(level, left) {
			next = k.appendPace(next, level, left)
		}
		above = above || k.left(level) > 0
	}
	return next
}

// dropLater discards what grows for a level, without waiting for the background.
// Lock does.
func (k *key) dropLater(level int) {
	if g := k.nursery[level]; g != nil {
		delete(k.nursery, level)
		k.ks.discarding.Go(g.discard)
	}
}

// due is whether the next tree of a level should grow. It counts from what this
// process found in the live one: who begins with a tree nearly used up does not pay
// for all that was used before.
func (k *key) due(level int, left uint64) bool {
	found := k.path[level-1].found
	return found-min(found, left) >= found/growAfter
}

// unused is left with the leaves that are taken and not used, a batch in memory.
func (k *key) unused(level int) uint64 {
	if level < len(k.path) {
		return k.left(level)
	}
	return k.left(level) + k.batch.Count()
}

// appendPace appends the growing tree of a level, which is begun if there is none,
// for the signer to help with.
func (k *key) appendPace(next []pace, level int, left uint64) []pace {
	g := k.nursery[level]
	if g == nil {
		var err error
		if g, err = k.ks.grow(k.state.Levels[level], left); err != nil {
			k.ks.log.Error("couldn't begin the next lower tree", "key", k.id, "error", err)
			return next
		}
		if k.nursery == nil {
			k.nursery = nursery{}
		}
		k.nursery[level] = g
	}
	if k.ks.quiet {
		return next // nobody helps
	}
	return append(next, pace{g, left})
}

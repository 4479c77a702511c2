package keystore

import (
	"context"
	"runtime"
	"sync"

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
	helping *lms.Work     // of a signer, who helps when the background is late; guarded by help
	help    sync.Mutex    // one helps at a time
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

// grow begins the next tree of a level from fresh random I and SEED. The
// background waits for its turn.
func (k *key) grow(level int, left uint64) (*growing, error) {
	id, seed := freshTree(k.state.Levels[level])
	builder, err := lms.NewBuilder(k.state.Levels[level], id, seed)
	if err != nil {
		Wipe(seed)
		return nil, err
	}
	g := &growing{left: left, builder: builder, seed: seed, helping: builder.NewWork(),
		stop: make(chan struct{}), ended: make(chan struct{})}
	go g.run(k.ks.turns)
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
// pays for it evenly. The background has a lead. It is called without the lock of
// the key, also for a tree that is in use by then, or was discarded: there is
// nothing to compute of it any more.
func (g *growing) keepPace(ctx context.Context, left uint64) {
	if !g.help.TryLock() {
		return
	}
	defer g.help.Unlock()
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
	return &tree{Tree: built, public: built.PublicKey(), seed: g.seed}, nil
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

// pace is how far the live tree of a growing one's level is used.
type pace struct {
	growing *growing
	left    uint64
}

// tend begins the trees that will be needed, and returns those that grow. There is
// no next tree where no leaf is left to sign it.
func (k *key) tend() (next []pace) {
	above := k.state.Free.Count() > 0
	for level := 1; level <= len(k.path); level++ {
		if !above {
			k.nursery.drop(level)
		} else if left := k.unused(level); k.due(level, left) {
			next = k.appendPace(next, level, left)
		}
		above = above || k.left(level) > 0
	}
	return next
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

// appendPace appends the growing tree of a level, which is begun if there is none.
func (k *key) appendPace(next []pace, level int, left uint64) []pace {
	g := k.nursery[level]
	if g == nil {
		var err error
		if g, err = k.grow(level, left); err != nil {
			k.ks.log.Error("couldn't begin the next lower tree", "key", k.id, "error", err)
			return next
		}
		if k.nursery == nil {
			k.nursery = nursery{}
		}
		k.nursery[level] = g
	}
	return append(next, pace{g, left})
}

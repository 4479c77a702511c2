package lms

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// leavesAtOnce is how many leaves are computed side by side: so many that they have chains for all lanes of any hasher, and
// so few that they take about half a millisecond, which is how long a signer who helps is kept.
func (o *otsParams) leavesAtOnce() int {
	if o.w == 8 {
		return 4
	}
	return 32
}

// bench is where one goroutine computes leaves and subtrees.
type bench struct {
	set                      ParameterSet
	topHeight, subtreeHeight int
	hasher
	otsScratch
}

func (t *Tree) newBench() *bench {
	o := t.set.OTS.params()
	some := o.leavesAtOnce() * o.p
	scratch := otsScratch{values: make([]byte, some*o.n), batch: make([]chain, some)}
	return &bench{t.set, t.topHeight, t.subtreeHeight(), newHasher(t.set, t.id), scratch}
}

// leaves writes the leaves T[2^h + q], T[2^h + q+1], ... into out, n bytes each (RFC 8554 section 5.3).
func (b *bench) leaves(seed []byte, q uint32, out []byte) {
	o := b.set.OTS.params()
	for len(out) > 0 {
		some := out[:min(len(out), o.leavesAtOnce()*o.n)]
		b.publicKeys(b.hasher, o, seed, q, some)
		b.Nodes(1<<b.set.Height()+q, dLEAF, some, some)
		q, out = q+uint32(len(some)/o.n), out[len(some):]
	}
}

// subtree writes the nodes of a subtree below the top into a heap.
func (b *bench) subtree(seed []byte, index uint32, nodes []byte) {
	b.leaves(seed, index<<b.subtreeHeight, nodes[len(nodes)/2:])
	raise(b.hasher, b.set.N(), 1<<b.topHeight+index, b.subtreeHeight, nodes)
}

// raise computes the inner nodes of the tree under T[r] from its lowest level (RFC 8554 section 5.3). nodes is a heap:
// T[r] is at n, its children are at 2n and 3n, and so on down height levels.
func raise(h hasher, n int, r uint32, height int, nodes []byte) {
	for level := height - 1; level >= 0; level-- {
		first := 1 << level
		h.Nodes(r<<level, dINTR, nodes[2*first*n:4*first*n], nodes[first*n:2*first*n])
	}
}

// Builder computes a Tree block by block, from as many goroutines as like to take part.
type Builder struct {
	tree   *Tree
	blocks int64
	taken  atomic.Int64
	done   atomic.Int64
	ready  chan struct{} // closed when the tree is complete

	mu    sync.Mutex // guards the top of tree until it is complete, and ended
	ended []bool     // by block
}

// NewBuilder makes a Builder of the tree of the LMS private key (id, seed), as NewTree would; nothing is computed yet.
// ErrParameters. The Builder keeps seed; Discard zeroes it, and so does Wipe of the finished Tree.
func NewBuilder(set ParameterSet, id ID, seed []byte) (*Builder, error) {
	t, err := newTree(set, id, seed)
	if err != nil {
		return nil, err
	}
	blocks := int64(set.Leaves()) / t.blockLeaves()
	return &Builder{tree: t, blocks: blocks, ready: make(chan struct{}), ended: make([]bool, blocks)}, nil
}

// blockLeaves is the number of leaves of a block: some leaves of the top, or a subtree below it.
func (t *Tree) blockLeaves() int64 {
	if height := t.subtreeHeight(); height > 0 {
		return 1 << height
	}
	return int64(t.set.OTS.params().leavesAtOnce())
}

// Progress returns how many of the blocks are done.
func (b *Builder) Progress() (done, blocks int64) { return b.done.Load(), b.blocks }

// Work takes part in the computation until Step has nothing left. It is for one goroutine.
type Work struct {
	builder *Builder
	bench   *bench
	nodes   []byte // of a subtree, or the leaves of a block
}

// NewWork makes what one goroutine needs to take part.
func (b *Builder) NewWork() *Work {
	size := b.tree.blockLeaves()
	if b.tree.subtreeHeight() > 0 {
		size *= 2
	}
	return &Work{b, b.tree.newBench(), make([]byte, size*int64(b.tree.set.N()))}
}

// Step computes one block. It returns false if there is none to take: others may still be at theirs.
func (w *Work) Step() bool {
	k := w.builder.taken.Add(1) - 1
	return k < w.builder.blocks && w.compute(k)
}

// compute computes block k and puts it into the tree. It returns false if the computation was discarded.
func (w *Work) compute(k int64) bool {
	t := w.builder.tree
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.seed == nil {
		return false
	}
	if t.subtreeHeight() > 0 {
		w.bench.subtree(t.seed, uint32(k), w.nodes)
		w.put(k, w.nodes[t.set.N():2*t.set.N()])
	} else {
		w.bench.leaves(t.seed, uint32(k*t.blockLeaves()), w.nodes)
		w.put(k, w.nodes)
	}
	return true
}

// put puts the nodes of block k into the lowest level of the top, if nobody was faster. The last one completes the top.
func (w *Work) put(k int64, nodes []byte) {
	b, t := w.builder, w.builder.tree
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended[k] {
		return
	}
	b.ended[k] = true
	copy(t.bottom()[k*int64(len(nodes)):], nodes)
	if b.done.Add(1) == b.blocks {
		raise(w.bench.hasher, t.set.N(), 1, t.topHeight, t.top)
		close(b.ready)
	}
}

// cores is how many threads can run at one time. A process may let more of them hold Go's attention, for those that wait.
func cores() int64 { return int64(min(runtime.GOMAXPROCS(0), runtime.NumCPU())) }

// Build computes what is left, on all cores, beside others who take part, and returns the Tree. It does not wait for the
// others, who may have a lower priority, but computes the blocks that they are at too. The error is that of ctx, which is
// looked at every few leaves; what was computed until then is kept, and Build may be called again.
func (b *Builder) Build(ctx context.Context) (*Tree, error) {
	work := func() {
		for w := b.NewWork(); ctx.Err() == nil && w.Step(); {
			runtime.Gosched() // before the scheduler has to see to it: it would be awake from then on
		}
	}
	var group sync.WaitGroup
	for range min(cores(), b.blocks-b.taken.Load()) - 1 {
		group.Go(work)
	}
	work()
	group.Wait()
	b.computeOutstanding(ctx)
	return b.Wait(ctx)
}

// computeOutstanding computes the blocks that are taken and not done, once more.
func (b *Builder) computeOutstanding(ctx context.Context) {
	for w, k := b.NewWork(), int64(0); k < b.blocks && ctx.Err() == nil; k++ {
		b.mu.Lock()
		ended := b.ended[k]
		b.mu.Unlock()
		if !ended {
			w.compute(k)
		}
	}
}

// Wait returns the Tree when it is complete, or the error of ctx.
func (b *Builder) Wait(ctx context.Context) (*Tree, error) {
	select {
	case <-b.ready:
		return b.tree, nil
	case <-ctx.Done():
	}
	select {
	case <-b.ready: // both; that it is complete counts
		return b.tree, nil
	default:
		return nil, fmt.Errorf("couldn't compute the tree: %w", ctx.Err())
	}
}

// Discard ends the computation, after the blocks under way, and zeroes the seed. Not for a Builder whose Tree is in use.
func (b *Builder) Discard() { b.tree.Wipe() }

package lms

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
)

// subtrees are the two subtrees below the top that were used last, or will be next. Their nodes are public.
type subtrees struct {
	mu    sync.Mutex
	kept  [2]subtree // of an even and an odd index; guarded by mu
	ahead atomic.Bool
}

// subtree is a heap of nodes, n bytes each: its root T[2^topHeight + index] at n, the children at 2n and 3n, and so on.
type subtree struct {
	index uint32
	nodes []byte // nil: none
}

// subtree returns the nodes of a subtree, and sees to it that the next one is there when it is needed. The caller holds
// t.mu.
func (t *Tree) subtree(index uint32) ([]byte, error) {
	nodes, err := t.computed(index)
	if err == nil && t.below.look(index) == nil {
		t.below.keep(subtree{index, nodes})
	}
	if next := index + 1; err == nil && next>>t.topHeight == 0 && t.below.look(next) == nil {
		t.computeAhead(next)
	}
	return nodes, err
}

// computed returns the nodes of a subtree, from memory if they are there.
func (t *Tree) computed(index uint32) ([]byte, error) {
	if nodes := t.below.look(index); nodes != nil {
		return nodes, nil
	}
	n, height := t.set.N(), t.subtreeHeight()
	nodes := make([]byte, 2*n<<height)
	t.newBench().subtree(t.seed, index, nodes)
	if !bytes.Equal(nodes[n:2*n], t.node(1<<t.topHeight+int(index))) {
		return nil, fmt.Errorf("%w: subtree %d has another root", ErrNodes, index)
	}
	return nodes, nil
}

// computeAhead computes a subtree beside the signatures, unless one is being computed already.
func (t *Tree) computeAhead(index uint32) {
	if !t.below.ahead.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer t.below.ahead.Store(false)
		t.mu.RLock()
		defer t.mu.RUnlock()
		if t.seed == nil {
			return
		}
		if nodes, err := t.computed(index); err == nil { // who signs with it will see the error
			t.below.keep(subtree{index, nodes})
		}
	}()
}

func (s *subtrees) look(index uint32) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kept := s.kept[index%2]; kept.index == index {
		return kept.nodes
	}
	return nil
}

func (s *subtrees) keep(one subtree) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[one.index%2] = one
}

package keystore

import (
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// gardeners compute growing trees in the background: a block of each in turn, on a
// few threads of low priority, which end when nothing grows.
type gardeners struct {
	mu      sync.Mutex
	most    int // threads
	working int // of them
	waiting []*growing
}

// The gardeners of this process leave one core to those who sign. The one of quiet
// keystores takes no place from the others.
var (
	background = &gardeners{most: max(1, cores-1)}
	quietly    = &gardeners{most: 1}

	cores = runtime.GOMAXPROCS(0) // when the process began
)

// Places is what runtime.GOMAXPROCS should be in a process that serves a keystore: twice the cores. Go counts a thread
// that is in C, or waits in the kernel, and a gardener, whose priority it does not know: with one place for each core
// those who sign would wait for them. So the operating system decides who runs.
func Places() int { return 2 * cores }

// backgroundNice is their priority, as nice(1) counts.
const backgroundNice = 10

// begin puts a tree among those that wait for a block to be computed.
func (w *gardeners) begin(g *growing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = append(w.waiting, g)
	w.hire()
}

// hire starts threads for those who wait. The caller has the lock.
func (w *gardeners) hire() {
	for w.working < min(w.most, len(w.waiting)) {
		w.working++
		go w.work()
	}
}

// end takes a tree out if it waits; else its block under way is waited for.
func (w *gardeners) end(g *growing) {
	w.mu.Lock()
	if k := slices.Index(w.waiting, g); k >= 0 {
		w.waiting = slices.Delete(w.waiting, k, k+1)
		close(g.ended)
	}
	w.mu.Unlock()
	<-g.ended
}

func (w *gardeners) work() {
	runtime.LockOSThread() // and not unlocked: the thread ends with its priority
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, backgroundNice)
	for g := w.next(); g != nil; g = w.next() {
		if g.stopped() || !g.step() {
			close(g.ended)
		} else {
			w.putBack(g)
		}
		runtime.Gosched() // Go's scheduler knows no priorities: who waits for a turn to run gets it here
	}
}

// putBack puts a tree at the end of those who wait, unless it was stopped.
func (w *gardeners) putBack(g *growing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if g.stopped() {
		close(g.ended) // end may be waiting for it
		return
	}
	w.waiting = append(w.waiting, g)
}

// next takes the first one of those who wait. If there is none the thread ends.
func (w *gardeners) next() (first *growing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 || w.working > w.most {
		w.working--
		return nil
	}
	first, w.waiting = w.waiting[0], w.waiting[1:]
	return first
}

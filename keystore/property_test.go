package keystore

import (
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// world is several tokens that share one key, and the naive model of it: where
// each root leaf is, leaf by leaf, and every leaf that ever signed. The tokens
// take their steps through the pure functions of state.go alone; the model never
// asks them.
type world struct {
	tokens   []*holder
	where    map[uint64]string // of each root leaf
	signed   map[string]bool   // "root 5", "tree 7 leaf 3"
	capsules []sent
	trees    int // lower trees made so far
	steps    map[string]int
}

// holder is one token: its durable state, and the memory that a crash empties.
type holder struct {
	name    string
	state   State
	batch   Spans
	path    []ParkedTree // in memory alone
	outside [][]byte     // every capsule that externalise ever gave
	held    map[uint64]bool
}

// sent is a capsule under way. Only its destination can open it, but as often as
// somebody brings it.
type sent struct {
	arrival Arrival
	to      int
}

func newWorld(t *rapid.T) *world {
	w := &world{where: map[uint64]string{}, signed: map[string]bool{}, steps: map[string]int{}}
	depth := rapid.IntRange(1, 3).Draw(t, "levels")
	size := rapid.SampledFrom([]uint64{0, 1, 3, 32}).Draw(t, "reserve")
	for i := range 3 {
		s := newState(depth)
		s.Reserve = size
		h := &holder{name: fmt.Sprint("token ", i), state: s, held: map[uint64]bool{}}
		if i > 0 {
			h.state.Free, h.state.Held = nil, nil
		}
		w.tokens = append(w.tokens, h)
	}
	w.move(w.tokens[0].state.Free, "nowhere", "free at token 0")
	w.tokens[0].remember(w.tokens[0].state.Free)
	return w
}

func (h *holder) remember(leaves Spans) {
	for _, q := range listed(leaves) {
		h.held[q] = true
	}
}

// move is the model's only step: leaves go from one place to another.
func (w *world) move(leaves Spans, from, to string) {
	for _, q := range listed(leaves) {
		if at, known := w.where[q]; known && at != from {
			panic(fmt.Sprintf("leaf %d goes from %q to %q, but is at %q", q, from, to, at))
		}
		w.where[q] = to
	}
}

func (w *world) at(place string) (leaves Spans) {
	for q, at := range w.where {
		if at == place {
			leaves = leaves.union(Spans{{q, q + 1}})
		}
	}
	return leaves
}

// store makes next the durable state, if the disk plays along: the outcome can be
// unknown, and then the change is there or not, and the caller gets nothing.
func (w *world) store(t *rapid.T, h *holder, next State) bool {
	next.Generation = h.state.Generation + 1
	if err := h.state.follows(next); err != nil {
		t.Fatalf("%s: the second opinion refuses: %v", h.name, err)
	}
	record, err := next.encode()
	if err != nil {
		t.Fatal(err)
	}
	if next, err = decode(record); err != nil {
		t.Fatal(err)
	}
	w.steps["durable changes"]++
	outcome := rapid.SampledFrom([]string{"done", "done", "done", "unknown, done", "unknown, lost"}).Draw(t, "outcome")
	if outcome != "unknown, lost" {
		h.state = next
	}
	return outcome == "done"
}

// release is a signature: the leaf must be a new one.
func (w *world) release(t *rapid.T, h *holder, leaf string) {
	if w.signed[leaf] {
		t.Fatalf("%s signs a second time with %s", h.name, leaf)
	}
	w.signed[leaf] = true
	w.steps["signatures"]++
}

// takeRoot reserves root leaves for memory. What the store did not confirm is
// burned: it is free no more, or it stays free.
func (w *world) takeRoot(t *rapid.T, h *holder, transition func(State) (State, Spans, error)) Spans {
	next, leaves, err := transition(h.state)
	if err != nil {
		return nil
	}
	confirmed := w.store(t, h, next)
	if !leaves.meets(h.state.Free) {
		w.move(leaves, "free at "+h.name, "taken")
	}
	if !confirmed {
		return nil
	}
	return leaves
}

func (h *holder) sign(t *rapid.T, w *world) {
	switch {
	case h.state.mayReserve() != nil:
	case len(h.state.Levels) == 1:
		h.signWithRoot(t, w)
	case h.state.batchSize() > 0:
		h.signWithBatch(t, w)
	default:
		h.signWithMemory(t, w)
	}
}

func (h *holder) signWithRoot(t *rapid.T, w *world) {
	if len(h.batch) == 0 {
		h.batch = w.takeRoot(t, h, drawBatch)
	}
	if len(h.batch) > 0 {
		w.release(t, h, fmt.Sprint("root ", h.next()))
	}
}

func (h *holder) next() uint64 {
	one, rest := h.batch.lowest(1)
	h.batch = rest
	return one[0].From
}

// fresh makes lower trees for the levels below one; the first hangs on leaf q.
func (w *world) fresh(t *rapid.T, h *holder, level int, parent string, q uint64) (trees []ParkedTree) {
	for range len(h.state.Levels) - 1 - level {
		w.release(t, h, fmt.Sprint(parent, " ", q))
		w.trees++
		tree := ParkedTree{I: make([]byte, 16), Seed: []byte("sealed"), Root: make([]byte, 32), Next: 1, Signature: make([]byte, setH5W8.SignatureSize())}
		binary.BigEndian.PutUint64(tree.I, uint64(w.trees))
		binary.BigEndian.PutUint32(tree.Signature, uint32(q))
		trees = append(trees, tree)
		parent, q = tree.name(), 0
	}
	trees[len(trees)-1].Next = 0
	return trees
}

func (t ParkedTree) name() string { return fmt.Sprintf("tree %x", t.I[:8]) }

// room is the lowest level of trees with an unused leaf, 0 for the root.
func room(trees []ParkedTree) int {
	for i := len(trees); i > 0; i-- {
		if uint64(trees[i-1].Next) < setH5W8.Leaves() {
			return i
		}
	}
	return 0
}

func (h *holder) signWithMemory(t *rapid.T, w *world) {
	if len(h.state.Parked) > 0 {
		next, trees, err := takeOut(h.state)
		if err != nil || !w.store(t, h, next) {
			return
		}
		h.path = slices.Clone(trees)
		w.steps["taken out"]++
	}
	switch level := room(h.path); {
	case level == 0:
		leaf := w.takeRoot(t, h, func(s State) (State, Spans, error) { return reserve(s, 1, low) })
		if len(leaf) == 0 {
			return
		}
		h.path = w.fresh(t, h, 0, "root", leaf[0].From)
	case level < len(h.path):
		q := h.path[level-1].Next
		h.path[level-1].Next++
		h.path = append(h.path[:level:level], w.fresh(t, h, level, h.path[level-1].name(), uint64(q))...)
	}
	lowest := &h.path[len(h.path)-1]
	w.release(t, h, fmt.Sprint(lowest.name(), " ", lowest.Next))
	lowest.Next++
}

func (h *holder) signWithBatch(t *rapid.T, w *world) {
	if len(h.batch) == 0 {
		h.fill(t, w)
	}
	if len(h.batch) > 0 {
		w.release(t, h, fmt.Sprint(h.state.Parked[len(h.state.Parked)-1].name(), " ", h.next()))
	}
}

// fill takes the next batch; before that it plants new trees if it must.
func (h *holder) fill(t *rapid.T, w *world) {
	level := room(h.state.Parked)
	parent, leaf := "root", Spans(nil)
	switch {
	case level == len(h.state.Levels)-1:
		next, leaves, err := drawBatch(h.state)
		if err == nil && w.store(t, h, next) {
			h.batch = leaves
		}
		return
	case level == 0:
		leaf = w.takeRoot(t, h, func(s State) (State, Spans, error) { return reserve(s, 1, low) })
	default:
		next, leaves, err := draw(h.state, level, 1)
		if err == nil && w.store(t, h, next) {
			parent, leaf = h.state.Parked[level-1].name(), leaves
		}
	}
	if len(leaf) == 0 {
		return
	}
	trees := w.fresh(t, h, level, parent, leaf[0].From)
	next, leaves, err := plant(h.state, slices.Concat(h.state.Parked[:level], trees))
	if err != nil {
		t.Fatal(err)
	}
	if w.store(t, h, next) {
		h.batch = leaves
	}
}

// crash empties the memory. The state stays.
func (h *holder) crash() { h.batch, h.path = nil, nil }

// rest is a clean stop: what is in memory goes into the record or is burned.
func (h *holder) rest(t *rapid.T, w *world) {
	batch, path := h.batch, h.path
	h.crash()
	var next State
	var err error
	switch {
	case len(batch) > 0:
		next, err = putBack(h.state, batch)
	case len(path) > 0:
		next, err = park(h.state, path)
	default:
		return
	}
	if err != nil {
		return // quarantined, external or destroyed meanwhile
	}
	w.store(t, h, next)
	w.steps["put back"]++
	if len(h.state.Levels) == 1 && batch.within(h.state.Free) {
		w.move(batch, "taken", "free at "+h.name)
	}
}

func (h *holder) give(t *rapid.T, w *world) {
	leaves, err := goingLeaves(h.state, rapid.Uint64Range(0, 5).Draw(t, "count"))
	if err != nil {
		return
	}
	id := fmt.Sprint("transfer ", len(w.capsules))
	next, err := give(h.state, Gift{Transfer: id, Leaves: leaves, Capsule: []byte("capsule")})
	if err != nil {
		t.Fatal(err)
	}
	w.store(t, h, next)
	if h.state.gift(id) >= 0 { // confirmed or found by looking again: it goes out
		w.move(leaves, "free at "+h.name, id)
		w.capsules = append(w.capsules, sent{Arrival{Transfer: id, Leaves: leaves}, rapid.IntRange(0, 2).Draw(t, "to")})
	}
}

// receive brings any capsule to its destination, for the first time or again.
func (w *world) receive(t *rapid.T) {
	if len(w.capsules) == 0 {
		return
	}
	c := rapid.SampledFrom(w.capsules).Draw(t, "capsule")
	h := w.tokens[c.to]
	seen := slices.ContainsFunc(listed(c.arrival.Leaves), func(q uint64) bool { return h.held[q] })
	next, err := receive(h.state, c.arrival)
	if err == nil && seen {
		t.Fatalf("%s takes leaves %v that it had before", h.name, c.arrival.Leaves)
	}
	if err != nil {
		return
	}
	if h.state.Status == Destroyed {
		next.Seed = []byte("sealed")
	}
	w.store(t, h, next)
	if c.arrival.Leaves.within(h.state.Free) {
		w.move(c.arrival.Leaves, c.arrival.Transfer, "free at "+h.name)
		h.remember(c.arrival.Leaves)
		w.steps["received"]++
	}
}

func (h *holder) externalise(t *rapid.T, w *world) {
	h.rest(t, w)
	next, err := externalise(h.state)
	if err != nil {
		return
	}
	w.store(t, h, next)
	if h.state.Status == External {
		w.move(w.at("free at "+h.name), "free at "+h.name, "away from "+h.name)
		h.outside = append(h.outside, h.state.Away.Capsule)
	}
}

// bringBack tries any capsule that ever went out; only the newest may work, and
// only while the key is away.
func (h *holder) bringBack(t *rapid.T, w *world) {
	if len(h.outside) == 0 {
		return
	}
	i := rapid.IntRange(0, len(h.outside)-1).Draw(t, "capsule")
	next, err := bringBack(h.state, h.outside[i])
	if err == nil && (h.state.Status != External || i != len(h.outside)-1) {
		t.Fatalf("capsule %d of %d came back", i, len(h.outside))
	}
	if err != nil {
		return
	}
	w.store(t, h, next)
	if h.state.Status == Active {
		w.steps["brought back"]++
		w.move(w.at("away from "+h.name), "away from "+h.name, "free at "+h.name)
	}
}

func (h *holder) end(t *rapid.T, w *world, next State) {
	w.store(t, h, next)
	if h.state.Status == Destroyed {
		h.crash()
		w.move(w.at("free at "+h.name), "free at "+h.name, "burned")
		w.move(w.at("away from "+h.name), "away from "+h.name, "burned")
	}
}

// agree compares the tokens with the model, leaf by leaf.
func (w *world) agree(t *rapid.T) {
	for _, h := range w.tokens {
		if want := w.at("free at " + h.name); !slices.Equal(h.state.Free, want) {
			t.Fatalf("%s: free %v, the model says %v", h.name, h.state.Free, want)
		}
		if !slices.Equal(listed(h.state.Held), slices.Sorted(maps.Keys(h.held))) {
			t.Fatalf("%s: held %v, the model says %v", h.name, h.state.Held, h.held)
		}
	}
}

// TestStateAgainstModel lets three tokens sign, stop, crash, give, receive, go
// out, come back and be destroyed in any order, with a disk whose answers may be
// lost. No leaf ever signs twice, and the free leaves are those of the model.
func TestStateAgainstModel(t *testing.T) {
	const checks = 500
	must(t, flag.Set("rapid.checks", fmt.Sprint(checks)))
	must(t, flag.Set("rapid.steps", "120"))
	total := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		one := func(t *rapid.T) *holder { return w.tokens[max(0, rapid.IntRange(-2, 2).Draw(t, "token"))] }
		sign := func(t *rapid.T) {
			h := one(t)
			for range rapid.SampledFrom([]int{1, 2, 40}).Draw(t, "signatures") {
				h.sign(t, w)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"sign":      sign,
			"sign more": sign,
			"rest more": func(t *rapid.T) { one(t).rest(t, w) },
			"rest":      func(t *rapid.T) { one(t).rest(t, w) },
			"crash":     func(t *rapid.T) { one(t).crash() },
			"give":      func(t *rapid.T) { one(t).give(t, w) },
			"receive":   w.receive,
			"externalise": func(t *rapid.T) {
				if h := one(t); rapid.IntRange(0, 4).Draw(t, "really") == 1 {
					h.externalise(t, w)
				}
			},
			"bring back": func(t *rapid.T) { one(t).bringBack(t, w) },
			"destroy": func(t *rapid.T) {
				if h := one(t); h.state.Status != Quarantined && rapid.IntRange(0, 99).Draw(t, "really") == 57 {
					h.end(t, w, destroy(h.state))
				}
			},
			"quarantine": func(t *rapid.T) {
				if h := one(t); h.state.Status == Active && rapid.IntRange(0, 99).Draw(t, "really") == 57 {
					h.end(t, w, quarantine(h.state))
				}
			},
			"": w.agree,
		})
		for name, n := range w.steps {
			total[name] += n
		}
	})
	t.Log(total)
	for _, step := range []string{"signatures", "taken out", "put back", "received", "brought back"} {
		if total[step] < checks/10 {
			t.Errorf("only %d steps %q in %d lives", total[step], step, checks)
		}
	}
	count(t, "property-steps", total["durable changes"])
}

// count adds to the figures that the whole test run prints at its end.
func count(t *testing.T, name string, n int) {
	t.Helper()
	t.Logf("%s: %d", name, n)
	path := os.Getenv("ONCELEAF_COUNTS")
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	must(t, err)
	defer file.Close()
	_, err = fmt.Fprintln(file, name, n)
	must(t, err)
}

package keystore

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/onceleaf/onceleaf/lms"
)

var setH5W8 = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W8}
var setH5W4 = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W4}

// newState is a valid state of L levels of H5; its key is made up.
func newState(levels int) State {
	s := State{Status: Active, Transferable: true, Seed: []byte("sealed"), Private: []byte("p")}
	for range levels {
		s.Levels = append(s.Levels, setH5W8)
	}
	pub := lms.HSSPublicKey{Levels: levels, Root: lms.PublicKey{Set: setH5W8, I: lms.ID{7}, Root: make([]byte, 32)}}
	s.PublicKey = pub.Bytes()
	s.Free, s.Held = Spans{{0, 32}}, Spans{{0, 32}}
	return s
}

func TestReserve(t *testing.T) {
	s := newState(1)
	s, leaves, err := reserve(s, 2, low)
	if err != nil || leaves[0] != (Span{0, 2}) {
		t.Fatalf("low: %v, %v", leaves, err)
	}
	s, leaves, err = reserve(s, 3, high)
	if err != nil || leaves[0] != (Span{29, 32}) || s.Free[0] != (Span{2, 29}) {
		t.Fatalf("high: %v, %v, free %v", leaves, err, s.Free)
	}
	for n, want := range map[uint64]error{0: ErrExhausted, 28: ErrExhausted, 1 << 63: ErrExhausted, 27: nil} {
		if _, _, err := reserve(s, n, low); !errors.Is(err, want) {
			t.Errorf("reserve %d of 27: %v, want %v", n, err, want)
		}
	}
	if _, _, err := reserve(quarantine(s), 1, low); !errors.Is(err, ErrQuarantined) {
		t.Errorf("quarantined: %v", err)
	}
	if _, _, err := reserve(destroy(s), 1, low); !errors.Is(err, ErrNoKey) {
		t.Errorf("destroyed: %v", err)
	}
}

func TestGoingLeaves(t *testing.T) {
	s := newState(1)
	for _, c := range []struct {
		free Spans
		n    uint64
		want Spans
		err  error
	}{
		{Spans{{0, 32}}, 0, Spans{{16, 32}}, nil},
		{Spans{{0, 5}}, 0, Spans{{3, 5}}, nil},
		{Spans{{0, 5}}, 4, Spans{{1, 5}}, nil},
		{Spans{{0, 5}}, 5, Spans{{0, 5}}, nil},
		{Spans{{0, 5}}, 6, nil, ErrExhausted},
		{Spans{{0, 2}, {8, 10}}, 3, Spans{{1, 2}, {8, 10}}, nil},
		{Spans{{4, 5}}, 1, nil, ErrExhausted},
		{nil, 0, nil, ErrExhausted},
	} {
		s.Free = c.free
		got, err := goingLeaves(s, c.n)
		if !errors.Is(err, c.err) || fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%d of %v: got %v, %v; want %v, %v", c.n, c.free, got, err, c.want, c.err)
		}
	}
	s.Transferable = false
	if _, err := goingLeaves(s, 1); !errors.Is(err, ErrNotTransferable) {
		t.Errorf("not transferable: %v", err)
	}
}

func TestReceiveRefusesWhatWasHere(t *testing.T) {
	full := newState(1)
	leaves, _ := goingLeaves(full, 16)
	source, err := give(full, Gift{Transfer: "a", Leaves: leaves, Capsule: []byte("c")})
	if err != nil {
		t.Fatal(err)
	}
	blank := newState(1)
	blank.Free, blank.Held = nil, nil
	there, err := receive(blank, Arrival{Transfer: "a", Leaves: leaves})
	if err != nil || there.Free.Count() != 16 {
		t.Fatalf("first import: %v", err)
	}
	used, _, _ := reserve(there, 16, low)
	for name, c := range map[string]struct {
		at State
		a  Arrival
	}{
		"replayed":                    {there, Arrival{Transfer: "a", Leaves: leaves}},
		"replayed under another name": {there, Arrival{Transfer: "b", Leaves: leaves}},
		"one leaf of it":              {there, Arrival{Transfer: "b", Leaves: Spans{{15, 17}}}},
		"after exhaustion":            {used, Arrival{Transfer: "b", Leaves: leaves}},
		"after destruction":           {destroy(there), Arrival{Transfer: "b", Leaves: leaves}},
		"back at the source":          {source, Arrival{Transfer: "b", Leaves: leaves}},
		"used at the source":          {full, Arrival{Transfer: "b", Leaves: Spans{{0, 1}}}},
	} {
		if _, err := receive(c.at, c.a); !errors.Is(err, ErrSeen) {
			t.Errorf("%s: %v, want ErrSeen", name, err)
		}
	}
	for name, bad := range map[string]Spans{"none": nil, "backward": {{5, 4}}, "past the end": {{0, 33}}, "twice": {{0, 2}, {1, 3}}} {
		if _, err := receive(blank, Arrival{Transfer: "b", Leaves: bad}); !errors.Is(err, ErrParameters) {
			t.Errorf("leaves %s: %v, want ErrParameters", name, err)
		}
	}
	if _, err := receive(quarantine(there), Arrival{Transfer: "b", Leaves: Spans{{0, 4}}}); !errors.Is(err, ErrQuarantined) {
		t.Errorf("quarantined: %v", err)
	}
	back, err := receive(destroy(there), Arrival{Transfer: "b", Leaves: Spans{{0, 4}}})
	if err != nil || back.Status != Active || back.Free.Count() != 4 {
		t.Errorf("new leaves after destruction: %v", err)
	}
}

func TestAcknowledge(t *testing.T) {
	s := newState(1)
	sum := sha256.Sum256([]byte("proof"))
	leaves, _ := goingLeaves(s, 4)
	s, _ = give(s, Gift{Transfer: "a", Leaves: leaves, Capsule: []byte("c"), Receipt: sum[:]})
	if _, err := acknowledge(s, "b", []byte("proof")); !errors.Is(err, ErrUnknownTransfer) {
		t.Errorf("unknown transfer: %v", err)
	}
	if _, err := acknowledge(s, "a", []byte("guess")); !errors.Is(err, ErrReceipt) {
		t.Errorf("wrong proof: %v", err)
	}
	done, err := acknowledge(s, "a", []byte("proof"))
	if err != nil || done.Given[0].Capsule != nil || s.Given[0].Capsule == nil {
		t.Errorf("acknowledge: %v; the former state must not change", err)
	}
	if _, err := give(s, Gift{Transfer: "a", Leaves: Spans{{24, 28}}}); err == nil {
		t.Error("one transfer gave twice")
	}
}

func TestParkAndTakeOut(t *testing.T) {
	s := newState(2)
	s.Free = Spans{{1, 32}}
	tree := ParkedTree{I: make([]byte, 16), Seed: []byte("sealed"), Root: make([]byte, 32), Next: 3, Signature: make([]byte, setH5W8.SignatureSize())}
	if _, err := park(s, nil); err == nil {
		t.Error("parked no tree")
	}
	parked, err := park(s, []ParkedTree{tree})
	if err != nil || parked.Remaining() != 31*32+29 {
		t.Fatalf("park: %v, remaining %d", err, parked.Remaining())
	}
	if _, err := park(parked, []ParkedTree{tree}); err == nil {
		t.Error("parked over parked trees")
	}
	out, trees, err := takeOut(parked)
	if err != nil || len(trees) != 1 || len(out.Parked) != 0 {
		t.Errorf("takeOut: %v", err)
	}
}

// TestFollows breaks every rule of a step, one at a time.
func TestFollows(t *testing.T) {
	base := newState(1)
	base, _, _ = reserve(base, 4, low)
	base.Given = []Gift{{Transfer: "a", Leaves: Spans{{30, 32}}}}
	base.Free = Spans{{4, 30}}
	for name, change := range map[string]func(*State){
		"a used leaf is free again":  func(s *State) { s.Free = Spans{{3, 30}} },
		"a given leaf is free again": func(s *State) { s.Free = Spans{{4, 31}} },
		"the ledger shrinks":         func(s *State) { s.Held = Spans{{1, 32}} },
		"a transfer is forgotten":    func(s *State) { s.Given = nil },
		"free but never held":        func(s *State) { s.Free, s.Held = Spans{{4, 40}}, Spans{{0, 40}} },
		"another key":                func(s *State) { s.PublicKey = append([]byte{}, s.PublicKey...); s.PublicKey[20]++ },
		"other levels":               func(s *State) { s.Levels = []lms.ParameterSet{setH5W4} },
		"a transfer is exchanged":    func(s *State) { s.Given = []Gift{{Transfer: "b", Leaves: Spans{{30, 32}}}} },
		"given leaves change":        func(s *State) { s.Given = []Gift{{Transfer: "a", Leaves: Spans{{31, 32}}}} },
		"unknown status":             func(s *State) { s.Status = "" },
	} {
		next := base
		change(&next)
		if err := base.follows(next); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := base.follows(base); err != nil {
		t.Errorf("no change: %v", err)
	}
	stopped := quarantine(base)
	if err := stopped.follows(base); err == nil {
		t.Error("a quarantine ended")
	}
	parked := exampleState()
	back := exampleState()
	back.Parked[0].Next--
	if err := parked.follows(back); err == nil {
		t.Error("a parked tree went back")
	}
}

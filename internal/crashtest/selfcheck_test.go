package crashtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/audit"
)

// TestCheckerSeesReuse puts an old copy of a store back, as nobody may.
func TestCheckerSeesReuse(t *testing.T) {
	for _, s := range shapes {
		p := plan{Folder: t.TempDir(), Act: "sign", Tokens: []string{"one"}, Shapes: []shape{s.alone()}, Signatures: 2}
		must(t, work(p))
		old, err := os.ReadFile(p.store("one"))
		must(t, err)
		must(t, work(p))
		c := newChecker()
		if err := c.readFile(p.released()); err != nil {
			t.Fatalf("%v: without a fault: %v", s, err)
		}
		must(t, os.WriteFile(p.store("one"), old, 0o600))
		must(t, work(p))
		if err := newChecker().readFile(p.released()); err == nil {
			t.Errorf("%v: the checker said nothing of a restored store", s)
		}
		if err := reuse(t, p); !errors.Is(err, audit.ErrReuse) {
			t.Errorf("%v: %v, want ErrReuse", s, err)
		}
	}
}

// reuse looks at the signatures alone.
func reuse(t *testing.T, p plan) error {
	t.Helper()
	text, err := os.ReadFile(p.released())
	must(t, err)
	c := newChecker()
	for text := range bytes.Lines(text) {
		if e, torn, err := examine(text); !torn && err == nil && e.Event == signed {
			e.Key = nil
			if err := c.take(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestLeast has bounds that were worked out by hand.
func TestLeast(t *testing.T) {
	for _, c := range []struct {
		levels, reserve, threads, said, least int
	}{
		{1, 1, 1, 20, 19}, // reserved, and not signed with
		{1, 1, 3, 20, 17}, // and two signatures whose lines were cut off
		{1, 4, 1, 20, 16}, // a whole batch
		{1, 4, 1, 2, 0},
		{2, 0, 1, 70, 64}, // six left of the started tree
		{2, 0, 1, 65, 64}, // its last one
		{2, 0, 1, 64, 32}, // the next root leaf was reserved
		{2, 0, 2, 65, 32}, // a thread took the last one, another reserved the next root leaf
		{2, 0, 1, 0, 0},
		{2, 8, 1, 70, 62}, // a batch
		{2, 8, 1, 64, 32}, // a root leaf, whose tree was not stored
		{2, 8, 2, 65, 32}, // the same, after a signature whose line was cut off
		{2, 8, 2, 66, 57}, // too far from the end of the tree for that
		{3, 3, 1, 1030, 1027},
		{3, 3, 1, 1056, 1024}, // a leaf of level 1
		{3, 3, 1, 2048, 1024}, // a root leaf
	} {
		if least := shapeOf(c.levels, c.reserve, c.threads).least(c.said); least != c.least {
			t.Errorf("%+v: %d", c, least)
		}
	}
}

// TestCheckerSeesLoss changes what the keys of a good story say.
func TestCheckerSeesLoss(t *testing.T) {
	p := life(shapeOf(1, 1, 1))
	p.Folder = t.TempDir()
	must(t, work(p))
	text, err := os.ReadFile(p.released())
	must(t, err)
	lines := strings.Split(string(text), "\n")
	must(t, newChecker().read(strings.NewReader(strings.Join(lines, "\n"))))
	for i, text := range lines {
		var l line
		if json.Unmarshal([]byte(text), &l) != nil || l.Key == nil || l.Event == receiving || l.Event == destroying {
			continue
		}
		for _, by := range []int{-2, 2} {
			l := l
			l.Left += by
			changed, err := json.Marshal(l)
			must(t, err)
			story := slices.Replace(slices.Clone(lines), i, i+1, string(changed))
			if newChecker().read(strings.NewReader(strings.Join(story, "\n"))) == nil && l.Status != "destroyed" {
				t.Errorf("line %d, %s: the checker did not notice %+d", i, l.Event, by)
			}
		}
	}
}

// TestCheckerMissesKeys: a store that comes back empty lost them.
func TestCheckerMissesKeys(t *testing.T) {
	p := plan{Folder: t.TempDir(), Act: "sign", Tokens: []string{"one"}, Shapes: shapes[:1], Signatures: 1}
	must(t, work(p))
	must(t, os.Remove(p.store("one")))
	must(t, work(p))
	if err := newChecker().readFile(p.released()); err == nil || !strings.Contains(err.Error(), "not there any more") {
		t.Errorf("a key is gone: %v", err)
	}
}

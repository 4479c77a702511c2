package crashtest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/onceleaf/onceleaf/keystore"
)

// TestPowerCut cuts the power after each system call of a life: what was not
// synced is lost, or some of it is; what was released is out in the world.
func TestPowerCut(t *testing.T) {
	needStrace(t)
	t.Run("lives", func(t *testing.T) {
		for _, s := range shapes {
			t.Run(s.String(), func(t *testing.T) {
				t.Parallel()
				p := life(s.alone())
				p.Folder = t.TempDir()
				calls, end := p.trace(t)
				if end.code != 0 || end.killed {
					t.Fatalf("exit %d\n%s", end.code, end.complaints)
				}
				newOutage(t, p).cutAll(calls, 2)
			})
		}
	})
	tally.require(t, "power-cuts", "crash-signatures")
}

// trace is a run with every call and the lines that it let out.
func (p plan) trace(t *testing.T, options ...string) ([]call, outcome) {
	t.Helper()
	threads, end := p.traced(t, append(options, "-s", "1000000"), p.released())
	return onlyOne(t, threads), end
}

// outage is the disk of one life, at the moment of a cut.
type outage struct {
	*testing.T
	plan
	disk     *disk
	random   *rand.Rand
	evidence []evidence // released so far
	lines    []byte     // the same, as written
	capsules int        // among them

	recovered map[moment][]evidence // by what recovery depends on
	cuts      int
	refused   int // stores that did not open
}

// moment is what a recovery can see.
type moment struct {
	image    [sha256.Size]byte
	capsules int
}

func newOutage(t *testing.T, p plan) *outage {
	return &outage{T: t, plan: p, disk: newDisk(), random: rand.New(rand.NewPCG(1, 2)), recovered: map[moment][]evidence{}}
}

// cutAll follows the calls of a life and cuts the power after each, with so many
// random choices of what reached the disk.
func (o *outage) cutAll(calls []call, chances int) {
	o.Helper()
	for _, c := range calls {
		if o.happens(c) {
			o.cutHere(c, chances)
		}
	}
	o.Logf("%d calls, %d lines: %d power cuts, %d recoveries, %d stores refused",
		len(calls), len(o.evidence), o.cuts, len(o.recovered), o.refused)
	tally.add("power-cuts", o.cuts)
}

// happens reports whether the call changed the disk or the world.
func (o *outage) happens(c call) bool {
	if slices.Contains(harmless, c.name) || c.name == "mmap" {
		return false
	}
	if slices.Contains(c.texts(o.T), o.released()) || c.name == "write" {
		return o.release(c)
	}
	o.disk.apply(o.T, c)
	return true
}

// release lets a line out. What it stands for must be durable by now.
func (o *outage) release(c call) bool {
	if c.name != "write" {
		return false // opened
	}
	text := []byte(c.texts(o.T)[0])
	o.lines = append(o.lines, text...)
	if len(bytes.TrimSpace(text)) == 0 {
		return false
	}
	e, torn, err := examine(text)
	if err != nil || torn {
		o.Fatalf("line %.200s: %v", text, err)
	}
	o.evidence = append(o.evidence, e)
	if e.Event == away {
		o.capsules++
	}
	if err := o.disk.unsynced(); err != nil && e.Key != nil && e.Event != failed {
		o.Errorf("%s was released, and %v", e.Event, err)
	}
	return true
}

func (o *outage) cutHere(after call, chances int) {
	o.Helper()
	if refused := o.cut(o.disk.cut(nothing), after); refused != nil {
		o.Errorf("after %v: a store does not open though only whole writes were lost: %v", after, refused)
	}
	images := []image{o.disk.cut(everything)}
	for range chances {
		images = append(images, o.disk.cut(chance(o.random)))
	}
	for _, i := range images {
		if refused := o.cut(i, after); refused != nil {
			o.refused++
			o.Logf("after %v: %v", after, refused)
		}
	}
}

// cut lets a new process find the image, and gives all lines to the checker.
func (o *outage) cut(i image, after call) (refused error) {
	o.Helper()
	o.cuts++
	seen := moment{i.digest(), o.capsules}
	if _, done := o.recovered[seen]; !done {
		found, err := o.restart(i)
		if errors.Is(err, keystore.ErrDamaged) && !errors.Is(err, errViolation) {
			return err
		}
		if err != nil {
			o.Fatalf("after %v: %v", after, err)
		}
		o.recovered[seen] = found
		tally.add("crash-signatures", len(found))
	}
	c := newChecker()
	for _, e := range slices.Concat(o.evidence, o.recovered[seen]) {
		if err := c.take(e); err != nil {
			o.Fatalf("power cut after %v: %v", after, err)
		}
	}
	return nil
}

// restart recovers from an image in a new folder, and returns what was released.
func (o *outage) restart(i image) (found []evidence, err error) {
	folder, err := os.MkdirTemp(o.Folder, "")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	p := o.recovery()
	p.Folder, p.Rounds = folder, 1
	if err := o.furnish(folder, i); err != nil {
		return nil, err
	}
	if err := work(p); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(p.released())
	if err != nil {
		return nil, err
	}
	for text := range bytes.Lines(text[len(o.lines):]) {
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		e, torn, err := examine(text)
		if err != nil || torn {
			return nil, fmt.Errorf("line %.200s: %w", text, err)
		}
		found = append(found, e)
	}
	return found, nil
}

// furnish writes an image and the lines into a folder.
func (o *outage) furnish(folder string, i image) error {
	for name, content := range i {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(folder, "released"), o.lines, 0o600)
}

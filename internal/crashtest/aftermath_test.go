package crashtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestPowerCutAfterFault cuts the power after something went wrong before: a sync
// failed, or the process was killed in front of it. What is not durable is then
// shown to those who go on or come after, and whoever acts on it must make it
// durable first.
func TestPowerCutAfterFault(t *testing.T) {
	needStrace(t)
	t.Run("lives", func(t *testing.T) {
		for _, s := range []shape{shapes[0], shapes[2], shapes[4]} {
			p := plan{Act: "sign", Tokens: []string{"one"}, Shapes: []shape{s.alone()}, Signatures: 2, Rounds: 2}
			for _, patient := range []bool{false, true} {
				t.Run(fmt.Sprint(s, ",failed,patient=", patient), func(t *testing.T) {
					t.Parallel()
					p := p
					p.Patient = patient
					atLeast(t, 10, func(k int) bool { return afterFailedSync(t, p, k) })
				})
			}
			t.Run(fmt.Sprint(s, ",killed"), func(t *testing.T) {
				t.Parallel()
				atLeast(t, 10, func(k int) bool { return afterKill(t, p, k) })
			})
		}
	})
	tally.require(t, "power-cuts")
}

// atLeast counts up until fault reports that there is no such fault.
func atLeast(t *testing.T, least int, fault func(k int) bool) {
	t.Helper()
	k := 1
	for ; fault(k); k++ {
	}
	if k <= least {
		t.Errorf("only %d faults were met", k-1)
	}
}

// afterFailedSync lets the k-th sync fail, and cuts the power in the rest of that
// life, if it goes on, and in the next one.
func afterFailedSync(t *testing.T, p plan, k int) bool {
	t.Helper()
	p.Folder = t.TempDir()
	first, end := p.trace(t, "-e", fmt.Sprintf("inject=fdatasync:error=EIO:when=%d", k))
	met := slices.IndexFunc(first, func(c call) bool { return c.injected })
	if met < 0 {
		return false
	}
	second, recovery := p.recovery().trace(t)
	if recovery.code != 0 || recovery.killed {
		t.Fatalf("sync %d, exit %d; then exit %d\n%s", k, end.code, recovery.code, recovery.complaints)
	}
	o := newOutage(t, p)
	o.follow(first[:met])
	o.cutAll(slices.Concat(first[met:], second), 1)
	return true
}

// afterKill ends a life in front of its k-th sync, and cuts the power in the next
// one, which finds what was written.
func afterKill(t *testing.T, p plan, k int) bool {
	t.Helper()
	p.Folder = t.TempDir()
	first, _ := p.trace(t)
	var syncs []int
	for i, c := range first {
		if c.name == "fdatasync" || c.name == "fsync" {
			syncs = append(syncs, i)
		}
	}
	if k > len(syncs) {
		return false
	}
	o := newOutage(t, p)
	o.follow(first[:syncs[k-1]])
	o.rebuild(o.disk.cut(everything))
	second, recovery := p.recovery().trace(t)
	if recovery.code != 0 || recovery.killed {
		t.Fatalf("killed before sync %d; then exit %d\n%s", k, recovery.code, recovery.complaints)
	}
	o.cutAll(second, 1)
	return true
}

// follow lets calls happen, without a cut.
func (o *outage) follow(calls []call) {
	o.Helper()
	for _, c := range calls {
		o.happens(c)
	}
}

// rebuild makes the folder what it was at this moment.
func (o *outage) rebuild(i image) {
	o.Helper()
	old, err := filepath.Glob(filepath.Join(o.Folder, "*"))
	if err != nil {
		o.Fatal(err)
	}
	for _, path := range append(old, filepath.Join(o.Folder, ".new-one.db")) {
		os.RemoveAll(path)
	}
	if err := o.furnish(o.Folder, i); err != nil {
		o.Fatal(err)
	}
}

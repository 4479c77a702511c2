package crashtest

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
)

// errnos are what each system call answers once.
var errnos = []string{"EIO", "ENOSPC"}

// TestEverySystemCall makes each system call of a life on the files of a token
// fail once, whatever it is. The process may then end with an error, but in no
// other way; those who come after it must get along with what it left.
func TestEverySystemCall(t *testing.T) {
	needStrace(t)
	t.Run("lives", func(t *testing.T) {
		t.Run("creation", func(t *testing.T) {
			t.Parallel()
			everyCall(t, plan{Act: "open", Rounds: 1}, func(*testing.T, plan) {})
		})
		for _, s := range shapes {
			t.Run(s.String(), func(t *testing.T) {
				t.Parallel()
				everyCall(t, plan{Act: "sign", Shapes: []shape{s.alone()}, Signatures: 2, Rounds: 2, Patient: true}, prepare)
			})
		}
	})
	tally.require(t, "syscall-faults")
}

// prepare makes an empty token, whose creation is a life of its own.
func prepare(t *testing.T, p plan) {
	t.Helper()
	p.Act, p.Rounds = "open", 1
	if err := work(p); err != nil {
		t.Fatal(err)
	}
}

func everyCall(t *testing.T, p plan, before func(*testing.T, plan)) {
	fresh := func() plan {
		q := p
		q.Folder, q.Tokens = t.TempDir(), []string{"one"}
		before(t, q)
		return q
	}
	met := goodRun(t, fresh())
	refused := 0
	for _, fault := range faults(met) {
		hit, code := failedCall(t, fresh(), fault)
		if !hit {
			t.Errorf("%s: the good run made this call, the faulty one did not", fault)
			continue
		}
		refused += code
		tally.add("syscall-faults", 1)
	}
	t.Logf("the calls %v: %d runs ended with an error", met, refused)
}

// goodRun counts the calls of a run without a fault.
func goodRun(t *testing.T, p plan) map[string]int {
	t.Helper()
	threads, end := p.traced(t, nil)
	if end.code != 0 || end.killed {
		t.Fatalf("without a fault: exit %d\n%s", end.code, end.complaints)
	}
	met := map[string]int{}
	for _, c := range onlyOne(t, threads) {
		met[c.name]++
	}
	return met
}

// faults are the options of strace for each of these calls and each error.
func faults(met map[string]int) (options []string) {
	for _, name := range slices.Sorted(maps.Keys(met)) {
		for k := range met[name] {
			for _, errno := range errnos {
				options = append(options, fmt.Sprintf("inject=%s:error=%s:when=%d", name, errno, k+1))
			}
		}
	}
	return options
}

// failedCall reports whether strace met the call, and how the worker ended.
func failedCall(t *testing.T, p plan, fault string) (hit bool, code int) {
	t.Helper()
	threads, end := p.traced(t, []string{"-e", fault}) // a second one may close what an error left open
	if end.killed {
		t.Fatalf("%s: the worker was killed", fault)
	}
	c := p.recover(t)
	c.signatures(t, len(p.Shapes))
	c.record()
	if err := os.RemoveAll(p.Folder); err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(slices.Concat(threads...), func(c call) bool { return c.injected }), end.code
}

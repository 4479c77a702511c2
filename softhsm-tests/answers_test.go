package softhsmtests

import (
	"path/filepath"
	"strings"
	"testing"
)

// difference is a line of answers.c that the two libraries may print differently.
type difference struct{ embedded, front, why string }

// differences are all of them. A difference that is not here fails the test, and so does one that is here and does not
// show.
var differences = []difference{
	{"C_Initialize with no threads: 0x9", "C_Initialize with no threads: 0x0", "the front makes no threads"},
	{"C_Initialize with no threads, locking: 0x9", "C_Initialize with no threads, locking: 0x0", "the front makes no threads"},
}

// The two libraries give the same answer to everything that answers.c asks: some thousands of calls in all states of
// sessions, logins and operations.
func TestBothAnswerAlike(t *testing.T) {
	program := compile(t, "answers")
	embedded := filepath.Join(filepath.Dir(module), "libonceleaf-embedded.so")
	theirs := strings.Split(run(t, program, embedded), "\n")
	ours := strings.Split(run(t, program, module), "\n")
	if len(ours) < 3000 || len(ours) != len(theirs) {
		t.Fatalf("%d and %d lines, want the same number of at least 3000", len(theirs), len(ours))
	}
	shown := map[difference]bool{}
	for i := range ours {
		if ours[i] == theirs[i] {
			continue
		}
		known, ok := allowed(theirs[i], ours[i])
		if !ok {
			t.Errorf("embedded: %s\n   front: %s", theirs[i], ours[i])
		}
		shown[known] = true
	}
	for _, d := range differences {
		if !shown[d] {
			t.Errorf("no difference any more, take it out of the table: %q (%s)", d.front, d.why)
		}
	}
}

func allowed(embedded, front string) (difference, bool) {
	for _, d := range differences {
		if d.embedded == embedded && d.front == front {
			return d, true
		}
	}
	return difference{}, false
}

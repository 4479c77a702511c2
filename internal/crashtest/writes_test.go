package crashtest

import (
	"testing"
)

// TestEveryWrite makes each durable write of a life go wrong, lost or done: the
// process dies there; or the store answers an error, and the process goes on, or
// ends and another one starts.
func TestEveryWrite(t *testing.T) {
	t.Run("shapes", func(t *testing.T) {
		for _, s := range shapes {
			t.Run(s.String(), func(t *testing.T) {
				t.Parallel()
				everyWrite(t, s.alone())
			})
		}
	})
	tally.require(t, "write-faults", "crash-signatures")
}

func everyWrite(t *testing.T, s shape) {
	for _, how := range []plan{
		{Fault: fault{Die: true}},
		{Fault: fault{Die: true, Done: true}},
		{Patient: true},
		{Patient: true, Fault: fault{Done: true}},
		{},
		{Fault: fault{Done: true}},
	} {
		write, surfaced := 1, 0
		for ; ; write++ {
			p := life(s)
			p.Folder, p.Patient, p.Fault = t.TempDir(), how.Patient, how.Fault
			p.Fault.Write = write
			met, died := faultyLife(t, p)
			if !met {
				break
			}
			if died {
				surfaced++
			}
		}
		t.Logf("%+v, patient: %v: %d writes, %d lives ended", how.Fault, how.Patient, write-1, surfaced)
		if write < 20 || !how.Patient && surfaced < write-3 || how.Patient && surfaced > 0 {
			t.Errorf("%+v: %d writes were met, and %d lives ended", how.Fault, write-1, surfaced)
		}
		tally.add("write-faults", write-1)
	}
}

// life is a life with every kind of change, in two rounds. There are enough
// signatures for a second tree of the lowest level, if not each takes a write.
func life(s shape) plan {
	p := plan{Act: "everything", Tokens: []string{"one", "two"}, Shapes: []shape{s}, Signatures: 3, Rounds: 2}
	if len(s.Levels) > 1 && s.Reserve != 1 {
		p.Signatures = 17
	}
	return p
}

// faultyLife reports whether the write was met, and whether the process ended
// over it.
func faultyLife(t *testing.T, p plan) (met, ended bool) {
	t.Helper()
	end := p.run(t, nil)
	if p.Patient && end.code != 0 || end.killed != p.Fault.Die && end.killed {
		t.Fatalf("after %s: exit %d\n%s", p.text(t), end.code, end.complaints)
	}
	c := p.recover(t)
	c.signatures(t, 4)
	c.record()
	return c.sprung > 0, end.killed || end.code != 0
}

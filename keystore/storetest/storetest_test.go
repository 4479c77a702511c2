package storetest_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"

	"github.com/onceleaf/onceleaf/keystore"
	. "github.com/onceleaf/onceleaf/keystore/storetest"
)

// alone is the one duty that a machine with one owner cannot show.
var alone = []Gap{{RaceOfOwners, "Sharer"}}

func TestHonest(t *testing.T) {
	for _, durable := range []bool{false, true} {
		l := honest()
		l.durable = durable
		t.Run(fmt.Sprintf("one owner, durable %v", durable), func(t *testing.T) {
			if gaps := Run(t, func(*testing.T) Medium { return &machine{lie: l} }); !slices.Equal(gaps, alone) {
				t.Errorf("gaps: %v, want %v", gaps, alone)
			}
		})
	}
	t.Run("many owners", func(t *testing.T) {
		gaps := Run(t, func(*testing.T) Medium { return cluster{&machine{lie: honest()}} })
		if want := []Gap{{OneOwner, "sole owner"}}; !slices.Equal(gaps, want) {
			t.Errorf("gaps: %v, want %v", gaps, want)
		}
	})
}

// TestLiars: each lying store is caught by every duty that it breaks.
func TestLiars(t *testing.T) {
	caught := 0
	catch := func(l liar, medium func(lie) Medium) {
		t.Run(l.name, func(t *testing.T) {
			broken, _ := Check(func() Medium {
				lies := honest()
				l.lies(&lies)
				return medium(lies)
			})
			for _, want := range l.breaks {
				if !slices.ContainsFunc(broken, func(v Violation) bool { return v.Duty == want }) {
					t.Errorf("not caught breaking the duty %q", want)
				}
			}
			for _, v := range broken {
				t.Logf("%s: %v", v.Duty, v.Err)
			}
			if !t.Failed() {
				caught++
			}
		})
	}
	for _, l := range liars {
		catch(l, func(l lie) Medium { return &machine{lie: l} })
	}
	for _, l := range strangers {
		catch(l, func(l lie) Medium { return cluster{&machine{lie: l}} })
	}
	report(t, "lying-stores-caught", caught)
}

// TestEveryDutyCatches: there is no duty that no liar breaks.
func TestEveryDutyCatches(t *testing.T) {
	for _, duty := range Duties() {
		breaks := func(l liar) bool { return slices.Contains(l.breaks, duty) }
		if !slices.ContainsFunc(slices.Concat(liars, strangers), breaks) {
			t.Errorf("nobody breaks the duty %q", duty)
		}
	}
}

// TestDurableWithoutOpening: who says durable must be able to show it.
func TestDurableWithoutOpening(t *testing.T) {
	l := honest()
	l.durable = true
	broken, gaps := Check(func() Medium { return plain{&machine{lie: l}} })
	if len(broken) != 1 || broken[0].Duty != DurableTruth {
		t.Errorf("broken: %v, want %q alone", broken, DurableTruth)
	}
	for i, duty := range Duties()[10:] {
		if i >= len(gaps) || gaps[i].Duty != duty || gaps[i].Lacks == "" {
			t.Errorf("the duty %q passed in silence", duty)
		}
	}
}

// TestNotForTokens: the store of these tests is refused for real keys.
func TestNotForTokens(t *testing.T) {
	store, err := (&machine{lie: honest()}).Create()
	if err != nil {
		t.Fatal(err)
	}
	_, err = keystore.New(store, keystore.NoGuard{}, slog.New(slog.DiscardHandler))
	if !errors.Is(err, keystore.ErrParameters) {
		t.Errorf("New: %v, want ErrParameters", err)
	}
}

// report appends a count to the file that collects them, if there is one.
func report(t *testing.T, name string, count int) {
	path := os.Getenv("ONCELEAF_COUNTS")
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintf(file, "%s %d\n", name, count)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		t.Error(err)
	}
}

package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/lms"
)

func TestSmallestLike(t *testing.T) {
	for _, set := range lms.ParameterSets() {
		small, ok := smallestLike(set)
		if !ok || small.OTS != set.OTS || small.Height() != 5 || !small.SameHash(set) {
			t.Errorf("%v: measured by %v", set, small)
		}
	}
}

func TestEstimateGrowsWithTheTree(t *testing.T) {
	estimate := estimateTree(lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H25, OTS: lms.LMOTS_SHA256_N32_W1})
	if estimate < time.Second {
		t.Errorf("a tree of 2^25 leaves is estimated at %v", estimate)
	}
}

func TestProgressNeverClaimsTheEnd(t *testing.T) {
	var screen bytes.Buffer
	inv := &invocation{stderr: &screen}
	estimate := 10 * time.Second
	bar := inv.bar("making", estimate)
	for _, elapsed := range []time.Duration{time.Second, 9 * time.Second, estimate, 100 * estimate} {
		advance(bar, elapsed, estimate)
		if bar.IsFinished() {
			t.Fatalf("finished after %v", elapsed)
		}
	}
	if !strings.Contains(screen.String(), "taking longer than estimated") || strings.Contains(screen.String(), "100%") {
		t.Errorf("showed %q", screen.String())
	}
}

func TestProgressIsForTerminals(t *testing.T) {
	var stderr bytes.Buffer
	inv := &invocation{stderr: &stderr}
	want := errors.New("outcome")
	if err := inv.during("making", time.Hour, func() error { return want }); err != want {
		t.Errorf("the outcome became %v", err)
	}
	if got := stderr.String(); got != "onceleaf: making: about 1h0m0s (an estimate)\n" {
		t.Errorf("said %q", got)
	}
	stderr.Reset()
	inv.quiet = true
	if err := inv.during("making", time.Hour, func() error { return nil }); err != nil || stderr.Len() > 0 {
		t.Errorf("with -q: %v, %q", err, stderr.String())
	}
}

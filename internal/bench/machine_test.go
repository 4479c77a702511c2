package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/lms"
)

// TestCores: on one core, every thread of the process is on the same one, and afterwards on all again.
func TestCores(t *testing.T) {
	m, err := thisMachine()
	if err != nil {
		t.Fatal(err)
	}
	defer m.allCores()
	for _, c := range []struct {
		move        func() error
		cpus, procs int
	}{{m.oneCore, 1, 1}, {m.allCores, m.all.Count(), m.cores}} {
		if err := c.move(); err != nil {
			t.Fatal(err)
		}
		union, procs := coresOfThreads(t), runtime.GOMAXPROCS(0)
		if union.Count() != c.cpus || procs != c.procs {
			t.Errorf("threads on %d cores, GOMAXPROCS %d, want %d and %d", union.Count(), procs, c.cpus, c.procs)
		}
	}
}

func coresOfThreads(t *testing.T) (union unix.CPUSet) {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		var cpus unix.CPUSet
		if err := unix.SchedGetaffinity(id, &cpus); err != nil {
			continue // it has ended
		}
		for cpu := range 1024 {
			if cpus.IsSet(cpu) {
				union.Set(cpu)
			}
		}
	}
	return union
}

// TestPace: no call begins before it is due, and one that waits behind a slow one has waited.
func TestPace(t *testing.T) {
	const interval = time.Millisecond
	begin := time.Now()
	latencies, err := atPace(t.Context(), interval, 10, func(i int) error {
		if early := time.Duration(i)*interval - time.Since(begin); early > 0 {
			t.Errorf("call %d came %v early", i, early)
		}
		if i == 2 {
			time.Sleep(5 * interval)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(latencies) != 10 || latencies[2] < 0.005 || latencies[3] < 0.004 {
		t.Errorf("latencies %v do not show the slow call and who waited for it", latencies)
	}
}

// TestSmallRun measures a small key from end to end: the rows are there, and their values are times.
func TestSmallRun(t *testing.T) {
	small := lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W1}
	b, err := newBench(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer b.allCores()
	for _, step := range []func(context.Context) error{
		b.kernelRates,
		func(ctx context.Context) error { return b.keyGeneration(ctx, set{name: "S", ParameterSet: small}) },
		func(ctx context.Context) error {
			return b.hss(ctx, key{"L2-S", []lms.ParameterSet{small, small}, 2, 2, false})
		},
	} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]bool{"kernel/portable": true, "kernel/shake-portable": true, "keygen/S": true, "keygen/S/cores": true,
		"sign/L2-S": true, "sign/L2-S/bbolt": true}
	for _, r := range b.rows {
		delete(want, r.Name)
		if !(r.Value > 0) || !(r.Reference > 0) || !(r.Ratio > 0) || r.Against == "" {
			t.Errorf("row without numbers: %+v", r)
		}
	}
	if len(want) != 0 {
		t.Errorf("rows not measured: %v", want)
	}
}

// TestGenerateAndTell: a generation tells its memory, also one that is stopped on the way.
func TestGenerateAndTell(t *testing.T) {
	for _, c := range []struct {
		set      lms.ParameterSet
		limit    time.Duration
		complete bool
	}{{lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W1}, 0, true}, {setH20W4, 100 * time.Millisecond, false}} {
		var told bytes.Buffer
		if err := generateAndTell(t.Context(), &told, c.set.String(), t.TempDir(), c.limit); err != nil {
			t.Fatal(err)
		}
		var g generated
		if err := json.Unmarshal(told.Bytes(), &g); err != nil {
			t.Fatal(err)
		}
		if g.Complete != c.complete || !(g.MiB > 1) || !(g.Seconds > 0) {
			t.Errorf("%v: told %+v", c.set, g)
		}
	}
}

package main

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// machine moves this process between one core and all that it may use.
type machine struct {
	one, all unix.CPUSet
	cores    int
}

// thisMachine takes the last core for the one: the first often has the interrupts.
func thisMachine() (m machine, err error) {
	if err := unix.SchedGetaffinity(0, &m.all); err != nil {
		return m, fmt.Errorf("couldn't read which cores there are: %w", err)
	}
	m.cores = runtime.GOMAXPROCS(0)
	last := 0
	for cpu, left := 0, m.all.Count(); left > 0; cpu++ {
		if m.all.IsSet(cpu) {
			last, left = cpu, left-1
		}
	}
	m.one.Set(last)
	return m, nil
}

func (m *machine) oneCore() error {
	runtime.GOMAXPROCS(1)
	return pin(&m.one)
}

func (m *machine) allCores() error {
	runtime.GOMAXPROCS(m.cores)
	return pin(&m.all)
}

// pin moves every thread of the process, since Go may run a goroutine on any of them; later threads inherit it. It looks
// twice: a thread that was not moved yet may have made another one.
func pin(cpus *unix.CPUSet) error {
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(id, cpus); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("couldn't move a thread to its core: %w", err)
			}
		}
	}
	return nil
}

// cost is what a piece of work took: seconds of the processor, all threads of the process together, and of the clock.
type cost struct{ processor, clock float64 }

var endless = cost{math.Inf(1), math.Inf(1)}

// best is the smaller of each.
func (c cost) best(o cost) cost { return cost{min(c.processor, o.processor), min(c.clock, o.clock)} }

// measure runs f once, after a collection of what earlier work left.
func measure(f func() error) (cost, error) {
	runtime.GC()
	return watch(f)
}

// watch is measure without the collection.
func watch(f func() error) (cost, error) {
	begin, processor := time.Now(), processorTime()
	err := f()
	return cost{processorTime() - processor, time.Since(begin).Seconds()}, err
}

// processorTime is what the process has used, in seconds.
func processorTime() float64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &now); err != nil {
		panic(fmt.Sprintf("no clock of the process: %v", err))
	}
	return time.Duration(now.Nano()).Seconds()
}

// rounds are least to most repeats, as many as begin within the budget.
func rounds(least, most int, budget time.Duration) iter.Seq[int] {
	return func(yield func(int) bool) {
		begin := time.Now()
		for n := 0; n < least || n < most && time.Since(begin) < budget; n++ {
			if !yield(n) {
				return
			}
		}
	}
}

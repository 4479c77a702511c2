// Bench measures the speed of this module on the machine it runs on: raw kernels, key generation, signing, verifying,
// HSS keys in a keystore, memory. It prints one table and writes it as JSON (report.go says what the columns are).
//
// What is compared is measured in the same run and in turns, so that a change in the machine's speed hits both sides.
// The floor of an operation is the number of its compressions (compressions.go) divided by the rate of the fastest kernel
// alone, which does as many compressions in turns with the operation; the best turn counts. The best of several repeats
// counts also for the operation, where the text does not say otherwise.
//
// One-core rows run with every thread of the process on one core and GOMAXPROCS 1, and are times of the processor: what
// the operating system gives to others meanwhile does not count, what runs beside the operation in this process does.
// Rows that wait for a disk, keep a pace or use all cores are times of the clock.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/onceleaf/onceleaf/internal/durable"
)

var (
	long   = flag.Bool("long", false, "measure also what takes minutes: memory of H25/W4, longer runs of H15/W4")
	output = flag.String("json", "build/bench.json", "file for the rows")
	only   = flag.String("only", "", "measure only the steps whose names match this regular expression, and the kernels")

	// The run asks these of a process of its own.
	generate = flag.String("generate", "", "only generate a key of this parameter set and tell the memory that it took")
	folder   = flag.String("folder", ".", "with -generate: where the store goes")
	until    = flag.Duration("until", 0, "with -generate: stop after this time")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("bench takes no arguments, only flags: %v", flag.Args())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *generate != "" {
		if err := generateAndTell(ctx, os.Stdout, *generate, *folder, *until); err != nil {
			log.Fatal(err)
		}
		return
	}
	if err := run(ctx, *output); err != nil {
		log.Fatalf("not measured to the end, %s is not written: %v", *output, err)
	}
}

// run measures everything; on an error it prints what it has.
func run(ctx context.Context, path string) error {
	if err := durable.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(filepath.Dir(path), ".bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	b, err := newBench(scratch, *long)
	if err != nil {
		return err
	}
	if b.only, err = regexp.Compile(*only); err != nil {
		return err
	}
	err = b.measureAll(ctx)
	if err := errors.Join(err, printTable(os.Stdout, b.rows)); err != nil {
		return err
	}
	return writeJSON(path, b.rows)
}

// bench is one run.
type bench struct {
	machine
	folder  string // for stores, on a disk
	long    bool
	only    *regexp.Regexp
	begin   time.Time
	kernels fastest
	rows    []row

	secondsH20 float64 // of a generation in a process of its own
}

func newBench(folder string, long bool) (*bench, error) {
	m, err := thisMachine()
	return &bench{machine: m, folder: folder, long: long, begin: time.Now()}, err
}

// progress tells what is going on.
func (b *bench) progress(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "%6.1f s  %s\n", time.Since(b.begin).Seconds(), fmt.Sprintf(format, arguments...))
}

// step is a part of the run.
type step struct {
	name string
	long bool // only with -long
	run  func(context.Context) error
}

// steps are all parts; the kernels come first, since the others need to know the fastest.
func (b *bench) steps() []step {
	steps := []step{{"kernel", false, b.kernelRates}}
	for _, s := range measuredSets {
		steps = append(steps, step{"keygen/" + s.name, s.long, func(ctx context.Context) error { return b.keyGeneration(ctx, s) }})
		if s.signs {
			steps = append(steps, step{"sign, verify/" + s.name, false, func(ctx context.Context) error { return b.signatures(ctx, s) }})
		}
	}
	for _, k := range measuredKeys {
		steps = append(steps, step{"sign, verify/" + k.name, false, func(ctx context.Context) error { return b.hss(ctx, k) }})
	}
	return append(steps,
		step{"keygen/H20W4/rss", false, b.memory},
		step{"keygen/H25W4/rss", true, b.memoryOfLargest},
		step{"open/H20W4", false, b.opening},
		step{"front", false, b.front},
		step{"p11", false, b.p11})
}

func (b *bench) measureAll(ctx context.Context) error {
	var left []string
	for _, s := range b.steps() {
		if s.long && !b.long {
			left = append(left, s.name)
			continue
		}
		if s.name != "kernel" && !b.only.MatchString(s.name) {
			continue
		}
		b.progress("%s", s.name)
		if err := errors.Join(ctx.Err(), s.run(ctx)); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if len(left) > 0 {
		b.progress("not measured without -long: %s", strings.Join(left, ", "))
	}
	b.progress("done")
	return nil
}

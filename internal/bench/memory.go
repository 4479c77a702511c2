package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

// generated is what the process of one key generation says of itself.
type generated struct {
	Complete bool
	Seconds  float64
	MiB      float64 // most of its memory at any time
}

// memory is the peak of a process that generates one key of H20/W4 in a store on disk, on all cores.
func (b *bench) memory(ctx context.Context) error {
	g, err := b.generation(ctx, setH20W4, 0)
	if err != nil {
		return err
	}
	b.secondsH20 = g.Seconds
	b.addMemory("keygen/H20W4/rss", setH20W4, g, "")
	return nil
}

// memoryOfLargest is the same for H25/W4, which takes minutes: it is stopped on the way. How far it came follows from
// the time that memory took for H20/W4.
func (b *bench) memoryOfLargest(ctx context.Context) error {
	part, err := b.generation(ctx, setH25W4, time.Minute)
	if err != nil {
		return err
	}
	note := fmt.Sprintf(", until about %.0f %% of the leaves", 100*part.Seconds/(32*b.secondsH20))
	if part.Complete {
		note = fmt.Sprintf(", all leaves, %.0f s on %d cores", part.Seconds, b.cores)
	}
	b.addMemory("keygen/H25W4/rss", setH25W4, part, note)
	return nil
}

func (b *bench) addMemory(name string, s lms.ParameterSet, g generated, note string) {
	nodes := float64(2*s.Leaves()*uint64(s.N())) / (1 << 20)
	b.add(row{name, g.MiB, "MiB", nodes, g.MiB / nodes, "value / all nodes of the tree" + note})
}

// generation runs this program anew, for a process whose memory is that of one key generation.
func (b *bench) generation(ctx context.Context, s lms.ParameterSet, limit time.Duration) (g generated, err error) {
	if err := b.allCores(); err != nil {
		return g, err
	}
	folder, err := os.MkdirTemp(b.folder, "generation-")
	if err != nil {
		return g, err
	}
	self, err := os.Executable()
	if err != nil {
		return g, err
	}
	command := exec.CommandContext(ctx, self, "-generate", s.String(), "-folder", folder, "-until", limit.String())
	command.Stderr = os.Stderr
	told, err := command.Output()
	if err != nil {
		return g, fmt.Errorf("couldn't generate a key in a process of its own: %w", err)
	}
	return g, json.Unmarshal(told, &g)
}

// generateAndTell is that process: it writes to w what it has to say.
func generateAndTell(ctx context.Context, w io.Writer, name, folder string, limit time.Duration) error {
	s, err := lms.ParseParameterSet(name)
	if err != nil {
		return err
	}
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	objects, c, err := watchObjects(func() error { return generateOne(ctx, s, filepath.Join(folder, "key.db")) })
	g := generated{Complete: err == nil, Seconds: c.clock}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	resident, err := peakResident()
	if err != nil {
		return err
	}
	// What is allocated and not yet written to is not resident, but would be at the end.
	g.MiB = max(resident, objects)
	return json.NewEncoder(w).Encode(g)
}

// generateOne makes a key of one level in a new store.
func generateOne(ctx context.Context, s lms.ParameterSet, path string) error {
	d, err := createDesk(path)
	if err != nil {
		return err
	}
	_, err = d.keys.Generate(ctx, keystore.Spec{Levels: []lms.ParameterSet{s}})
	return errors.Join(err, d.close())
}

// watchObjects runs f and returns the most memory that objects on the heap had meanwhile, in MiB.
func watchObjects(f func() error) (peak float64, c cost, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err = watch(f)
	}()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-done:
			return peak, c, err
		case <-look.C:
			sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
			metrics.Read(sample)
			peak = max(peak, float64(sample[0].Value.Uint64())/(1<<20))
		}
	}
}

// peakResident is the most memory that this process had in use at any time, in MiB (proc_pid_status(5)).
func peakResident() (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	return parsePeak(status)
}

func parsePeak(status []byte) (float64, error) {
	for line := range bytes.Lines(status) {
		if fields := strings.Fields(string(line)); len(fields) == 3 && fields[0] == "VmHWM:" && fields[2] == "kB" {
			kib, err := strconv.ParseUint(fields[1], 10, 64)
			return float64(kib) / 1024, err
		}
	}
	return 0, errors.New("the system does not tell the peak of the memory (VmHWM)")
}

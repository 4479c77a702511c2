package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/onceleaf/onceleaf/internal/durable"
)

// Bounds on files that have a known form, in bytes: far above any valid one.
const (
	maxKeyFile       = 64 << 10
	maxSignatureFile = 1 << 20
	maxCeremonyFile  = 16 << 20
)

// readFile reads a file of at most limit bytes; more is an error.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, refusal("", "couldn't read: %v", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, refusal("", "couldn't read: %v", err)
	}
	if int64(len(data)) > limit {
		return nil, refusal("check that it is the right file", "%s is too long: more than %d bytes", shown(path), limit)
	}
	return data, nil
}

// readMessage reads the whole file, or stdin if path is "-".
func (inv *invocation) readMessage(path string) ([]byte, error) {
	var data []byte
	var err error
	if path == "-" {
		data, err = io.ReadAll(inv.stdin)
	} else {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, refusal("", "couldn't read the message: %v", err)
	}
	return data, nil
}

// output is a file that a command is going to write.
type output struct {
	path  string
	force bool // replace a file that is there
}

// outputFlags lets a command name its output.
func outputFlags(cmd *cobra.Command, o *output, name, usage string) {
	cmd.Flags().StringVar(&o.path, name, "", usage)
	cmd.Flags().BoolVar(&o.force, "force", false, "replace that file if it exists")
}

// checkNamed is check for an output that the flag must name.
func (o output) checkNamed(flag string) error {
	if o.path == "" {
		return refusal("give "+flag+" FILE", "the output has no name")
	}
	return o.check()
}

// check refuses, before anything irreversible is done, a file that could not be written then.
func (o output) check() error {
	if info, err := os.Stat(o.path); err == nil && !info.Mode().IsRegular() {
		return refusal("name a file", "%s is a folder, a device or the like", shown(o.path))
	}
	if _, err := os.Lstat(o.path); err == nil && !o.force {
		return o.taken()
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return refusal("", "couldn't look at the output: %v", err)
	}
	folder := filepath.Dir(o.path)
	info, err := os.Stat(folder)
	if err != nil {
		return refusal("make the folder or choose another", "couldn't look at the output's folder: %v", err)
	}
	if !info.IsDir() {
		return refusal("choose another output", "%s is not a folder", shown(folder))
	}
	return probe(folder)
}

// probeSize is more than any signature or capsule has, in bytes.
const probeSize = 128 << 10

// probe writes to the folder as much as it will have to hold. Rights alone do not tell: disks are read-only or full.
func probe(folder string) error {
	if err := durable.Probe(folder, probeSize); err != nil {
		return refusal("choose another output", "the folder %s is not writable: %v", shown(folder), err)
	}
	return nil
}

func (o output) taken() error {
	return &problem{what: shown(o.path) + " exists already", safe: "it was not touched, and no leaf was used",
		next: "choose another file, or replace it with --force"}
}

// write puts data there, durably: when it returns nil, a crash cannot take the file away.
func (o output) write(data []byte, mode fs.FileMode) error {
	put := durable.Create
	if o.force {
		put = durable.Write
	}
	if err := put(o.path, data, mode); err != nil {
		return fmt.Errorf("couldn't keep the result: %w", err)
	}
	return nil
}

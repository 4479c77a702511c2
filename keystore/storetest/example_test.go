package storetest_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/keystore/storetest"
)

// folder is the medium of a store in a file: a folder of its own. It can open
// the store again and lose it. It kills nobody and fails no write: that takes a
// store in a process of its own.
type folder struct{ path string }

func newFolder(parent string) folder {
	path, err := os.MkdirTemp(parent, "")
	if err != nil {
		panic(err)
	}
	return folder{path}
}

func (f folder) file() string { return filepath.Join(f.path, "store.db") }

func (f folder) Create() (keystore.Store, error) { return keystore.CreateBolt(f.file(), "serial") }
func (f folder) Open() (keystore.Store, error)   { return keystore.OpenBolt(f.file(), "serial") }
func (f folder) Close(s keystore.Store) error    { return s.(*keystore.Bolt).Close() }
func (f folder) Remove() error                   { return os.Remove(f.file()) }

// A test says Run(t, ...) instead of Check, and compares the gaps with those that
// it expects.
func Example() {
	parent, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(parent)
	broken, gaps := storetest.Check(func() storetest.Medium { return newFolder(parent) })
	for _, v := range broken {
		fmt.Printf("broken: %s: %v\n", v.Duty, v.Err)
	}
	for _, gap := range gaps {
		fmt.Printf("not exercised, for want of a %s: %s\n", gap.Lacks, gap.Duty)
	}
	// Output:
	// not exercised, for want of a Killer: kept when killed
	// not exercised, for want of a PowerCutter: kept at a power cut
	// not exercised, for want of a Sharer: race of owners
	// not exercised, for want of a Failer: unknown outcome
	// not exercised, for want of a Killer: killed at a random moment
	// not exercised, for want of a Killer: killed at each step
	// not exercised, for want of a PowerCutter: power cut at a random moment
	// not exercised, for want of a PowerCutter: power cut at each step
	// not exercised, for want of a Killer: shown, then killed
	// not exercised, for want of a PowerCutter: shown, then power cut
	// not exercised, for want of a PowerCutter: shown at opening, then power cut
	// not exercised, for want of a Killer: stored again, then killed
	// not exercised, for want of a PowerCutter: stored again, then power cut
}

// Command generate writes what follows from the tables of package wire: the C stubs of the front library, the function
// lists of C, the dispatcher, the parameter structures of ck, the tables of docs/spec/wire.md,
// and the table of functions in docs/pkcs11.md.
//
// With -all it writes the C stubs alone, with the functions that are absent so far as if they were offered: a test
// compiles and runs these.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/onceleaf/onceleaf/internal/durable"
)

func main() {
	all := flag.Bool("all", false, "only the C stubs, of all functions")
	name := flag.String("o", "", "with -all: the file to write")
	flag.Parse()
	if err := run(*all, *name); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// run works in the folder of package wire, as go generate does.
func run(all bool, name string) error {
	if all {
		return durable.Write(name, callsC(true), 0o644)
	}
	files, err := generated("../..")
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := durable.Write(f.path, f.text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

type file struct {
	path string
	text []byte
}

// generated are all files, for the repository at root.
func generated(root string) ([]file, error) {
	dispatcher, err := dispatchGo(false)
	if err != nil {
		return nil, err
	}
	whole, err := dispatchGo(true)
	if err != nil {
		return nil, err
	}
	params, err := paramsGo()
	if err != nil {
		return nil, err
	}
	page := filepath.Join(root, "docs/spec/wire.md")
	document, err := specification(page)
	if err != nil {
		return nil, err
	}
	manual := filepath.Join(root, "docs/pkcs11.md")
	functions, err := functionsPage(manual)
	if err != nil {
		return nil, err
	}
	return []file{
		{filepath.Join(root, "cgo/embedded/calls.c"), callsC(false)},
		{filepath.Join(root, "cgo/embedded/functions.h"), functionsH()},
		{filepath.Join(root, "internal/dispatch/calls.go"), dispatcher},
		{filepath.Join(root, "internal/dispatch/whole_test.go"), whole},
		{filepath.Join(root, "internal/ck/params.go"), params},
		{page, document},
		{manual, functions},
	}, nil
}

package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/onceleaf/onceleaf/internal/wire"
)

// Between these lines of the specification stand the tables.
const (
	generatedFrom = "<!-- generated: go generate ./internal/wire -->\n"
	generatedTo   = "<!-- end -->\n"
)

// specification is the page with its tables replaced.
func specification(page string) ([]byte, error) {
	text, err := os.ReadFile(page)
	if err != nil {
		return nil, err
	}
	before, rest, found := bytes.Cut(text, []byte(generatedFrom))
	_, after, ended := bytes.Cut(rest, []byte(generatedTo))
	if !found || !ended {
		return nil, fmt.Errorf("%s has no lines %q and %q", page, generatedFrom, generatedTo)
	}
	tables := generatedFrom + "\n" + wire.Text() + "\n" + generatedTo
	return bytes.Join([][]byte{before, []byte(tables), after}, nil), nil
}

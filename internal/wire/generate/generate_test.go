package main

import (
	"bytes"
	"os"
	"testing"
)

// TestGeneratedFilesAreCurrent: what is checked in is what the tables give.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	files, err := generated("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f.path)
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(text, f.text) {
			t.Errorf("%s is not what the tables give: run go generate ./internal/wire", f.path)
		}
	}
}

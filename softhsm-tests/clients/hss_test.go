package clients

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestHSS(t *testing.T) { follow(t, "HSS", withGo, withCommandLine) }

// withGo makes the shell's folder a Go module that has what this one has.
func withGo(d *desk) {
	d.t.Helper()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join("..", "..", name))
		must(d.t, err)
		text = bytes.Replace(text, []byte("module github.com/onceleaf/onceleaf"), []byte("module example.org/hss"), 1)
		must(d.t, os.WriteFile(filepath.Join(d.work, name), text, 0o644))
	}
	// Its HOME is another one, and what Go has fetched and compiled is not there.
	for _, variable := range []string{"GOPATH", "GOMODCACHE", "GOCACHE"} {
		value, err := exec.Command("go", "env", variable).Output()
		must(d.t, err)
		d.set(variable, strings.TrimSpace(string(value)))
	}
}

// withCommandLine puts our command line into the path.
func withCommandLine(d *desk) {
	d.set("PATH", filepath.Dir(d.module)+":"+os.Getenv("PATH"))
}

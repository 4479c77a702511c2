package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOutputIsCheckedFirst(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	if err := os.WriteFile(taken, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(dir, "dangling")
	if err := os.Symlink(filepath.Join(dir, "nowhere"), dangling); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		out  output
		says string // "" if it is fine
	}{
		"new file":             {output{path: filepath.Join(dir, "new")}, ""},
		"taken":                {output{path: taken}, "exists already"},
		"taken, forced":        {output{path: taken, force: true}, ""},
		"device":               {output{path: "/dev/null"}, "a device"},
		"device, forced":       {output{path: "/dev/null", force: true}, "a device"},
		"folder":               {output{path: dir}, "is a folder"},
		"folder, forced":       {output{path: dir, force: true}, "is a folder"},
		"no such folder":       {output{path: filepath.Join(dir, "no", "new")}, "folder"},
		"a file as folder":     {output{path: filepath.Join(taken, "new")}, "not a directory"},
		"dangling link":        {output{path: dangling}, "exists already"},
		"kernel's own folder":  {output{path: "/proc/onceleaf.sig"}, "/proc"},
		"unwritable, although": {output{path: "/proc/onceleaf.sig", force: true}, "/proc"},
	}
	for name, test := range tests {
		err := test.out.check()
		if test.says == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: got %v, want %q", name, err, test.says)
		}
	}
}

func TestCheckingLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	for _, force := range []bool{false, true} {
		if err := (output{path: filepath.Join(dir, "new"), force: force}).check(); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestOutputIsReplacedOnlyByForce(t *testing.T) {
	out := output{path: filepath.Join(t.TempDir(), "out")}
	if err := out.write([]byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := out.write([]byte("two"), 0o644); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second write answered %v", err)
	}
	if data, _ := os.ReadFile(out.path); string(data) != "one" {
		t.Errorf("the file holds %q", data)
	}
	out.force = true
	if err := out.write([]byte("three"), 0o644); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(out.path); string(data) != "three" {
		t.Errorf("the file holds %q", data)
	}
}

func TestReadFileIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(path, make([]byte, 11), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := readFile(path, 11); err != nil || len(data) != 11 {
		t.Errorf("11 bytes of 11: %d, %v", len(data), err)
	}
	if _, err := readFile(path, 10); err == nil {
		t.Error("11 bytes of at most 10 were read")
	}
}

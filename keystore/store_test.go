package keystore

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

const testSerial = "0123456789abcdef"

func newBolt(t testing.TB, path string) *Bolt {
	t.Helper()
	b, err := CreateBolt(path, testSerial)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestBoltShelf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	b := newBolt(t, path)
	if err := b.Write(map[string][]byte{"x": []byte("1"), "xy": []byte("2"), "y": []byte("3")}); err != nil {
		t.Fatal(err)
	}
	if err := b.Write(map[string][]byte{"y": nil, "xy": []byte("4")}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := OpenBolt(path, testSerial)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	names, err := b.Names("x")
	if err != nil || !slices.Equal(names, []string{"x", "xy"}) {
		t.Errorf("Names: %v, %v", names, err)
	}
	if v, err := b.Read("xy"); err != nil || string(v) != "4" {
		t.Errorf("Read: %q, %v", v, err)
	}
	if v, err := b.Read("y"); err != nil || v != nil {
		t.Errorf("Read of a deleted name: %q, %v", v, err)
	}
}

// TestOpenBoltRefuses damages a store in every way that an operator may meet.
func TestOpenBoltRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, path string)
		want   error
	}{
		"missing":        {func(t *testing.T, path string) { must(t, os.Remove(path)) }, ErrMissing},
		"empty":          {func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) }, ErrDamaged},
		"one page":       {func(t *testing.T, path string) { must(t, os.Truncate(path, 4096)) }, ErrDamaged},
		"two pages":      {func(t *testing.T, path string) { must(t, os.Truncate(path, 8192)) }, ErrDamaged},
		"half":           {halve, ErrDamaged},
		"not a store":    {func(t *testing.T, path string) { must(t, os.WriteFile(path, make([]byte, 65536), 0o600)) }, ErrDamaged},
		"overwritten":    {func(t *testing.T, path string) { overwrite(t, path, 2*4096, 1<<20, 0xff) }, ErrDamaged},
		"another format": {func(t *testing.T, path string) { overwrite(t, path, 20, 4, 9); overwrite(t, path, 4096+20, 4, 9) }, ErrVersion},
		"a folder":       {func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, os.Mkdir(path, 0o700)) }, ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "t.db")
			filled(t, path)
			c.damage(t, path)
			before, _ := os.Stat(path)
			b, err := OpenBolt(path, testSerial)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if b != nil {
				t.Error("got a store beside the error")
			}
			after, _ := os.Stat(path)
			if (before == nil) != (after == nil) || before != nil && before.Size() != after.Size() {
				t.Error("a store that cannot be opened was changed")
			}
		})
	}
}

func TestOpenBoltRefusesOtherVersionAndToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	filled(t, path)
	if _, err := OpenBolt(path, "fedcba9876543210"); !errors.Is(err, ErrDamaged) {
		t.Errorf("the store of another token: %v", err)
	}
	b, err := OpenBolt(path, testSerial)
	must(t, err)
	must(t, setVersion(b, "onceleaf-store/2"))
	must(t, b.Close())
	if _, err := OpenBolt(path, testSerial); !errors.Is(err, ErrVersion) {
		t.Errorf("a newer version: %v", err)
	}
}

// TestBoltCutWhileOpen cuts the file under a running process: an error, not the
// end of the process.
func TestBoltCutWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	filled(t, path)
	b, err := OpenBolt(path, testSerial)
	must(t, err)
	defer b.Close()
	must(t, os.Truncate(path, 8192))
	for i := range byte(40) {
		if _, err := b.Fetch(Identity{i}); err != nil && !errors.Is(err, ErrStore) && !errors.Is(err, ErrDamaged) {
			t.Errorf("Fetch: %v", err)
		}
	}
}

// filled makes a store with several pages of records, and closes it.
func filled(t *testing.T, path string) {
	t.Helper()
	b := newBolt(t, path)
	for i := range byte(40) {
		_, err := b.Create(Identity{i}, bytes.Repeat([]byte{i}, 3000))
		must(t, err)
	}
	must(t, b.Close())
}

func halve(t *testing.T, path string) {
	info, err := os.Stat(path)
	must(t, err)
	must(t, os.Truncate(path, info.Size()/2))
}

func overwrite(t *testing.T, path string, at, n int64, with byte) {
	info, err := os.Stat(path)
	must(t, err)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	_, err = f.WriteAt(bytes.Repeat([]byte{with}, int(min(n, info.Size()-at))), at)
	must(t, err)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestBoltNotWritable runs as somebody who may read the store but not write it.
func TestBoltNotWritable(t *testing.T) {
	if path := os.Getenv("ONCELEAF_TEST_READONLY"); path != "" {
		_, err := OpenBolt(path, testSerial)
		if !errors.Is(err, ErrStore) {
			t.Fatalf("got %v, want ErrStore", err)
		}
		return
	}
	if os.Getuid() != 0 {
		path := filepath.Join(t.TempDir(), "t.db")
		filled(t, path)
		must(t, os.Chmod(path, 0o400))
		if _, err := OpenBolt(path, testSerial); !errors.Is(err, ErrStore) {
			t.Fatalf("got %v, want ErrStore", err)
		}
		return
	}
	dir, err := os.MkdirTemp("", "onceleaf-readonly")
	must(t, err)
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "t.db")
	filled(t, path)
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Chmod(path, 0o444))
	self := filepath.Join(dir, "test")
	binary, err := os.ReadFile(os.Args[0])
	must(t, err)
	must(t, os.WriteFile(self, binary, 0o755))
	asNobody := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", self, "-test.run=^TestBoltNotWritable$")
	asNobody.Env = append(os.Environ(), "ONCELEAF_TEST_READONLY="+path)
	asNobody.Dir = dir
	if out, err := asNobody.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

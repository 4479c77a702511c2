// Package softhsmtests drives the built library from outside, as applications do: through miekg/pkcs11 in processes of
// their own, through C programs that load it, and through other people's PKCS#11 tools.
//
// ONCELEAF_MODULE names the library; without it the one that `make build` leaves in build/ is taken. ONCELEAF_SANITIZE
// (such as "address,undefined") is passed to gcc as -fsanitize for the C programs, for a library built to match.
package softhsmtests

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// module is the library's absolute path.
var module string

func TestMain(m *testing.M) {
	worker.Main()
	path := os.Getenv("ONCELEAF_MODULE")
	if path == "" {
		path = filepath.Join("..", "build", "libonceleaf-embedded.so")
	}
	if _, err := os.Stat(path); err != nil {
		fmt.Fprintf(os.Stderr, "these tests need the library: run make build (%v)\n", err)
		os.Exit(1)
	}
	var err error
	if module, err = filepath.Abs(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// needRoot skips a test that only root can make, with the reason, and fails where no test may be skipped.
func needRoot(t *testing.T, why string) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("not root, but CI=true: %s", why)
	}
	t.Skipf("not root: %s", why)
}

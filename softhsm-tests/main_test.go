// Package softhsmtests drives the built library from outside, as applications do: through miekg/pkcs11 in processes of
// their own, through C programs that load it, and through other people's PKCS#11 tools.
//
// There are two libraries and one behaviour: the same tests drive libonceleaf-embedded.so, which is the token itself, and
// libonceleaf.so, which leaves everything to the daemon onceleafd; every test directory has a daemon of its own then.
// ONCELEAF_MODULE names the library; without it the embedded one that `make build` leaves in build/ is taken. The few
// tests that belong to one library alone are in the table below, and answers_test.go holds the two side by side.
// The groups, group_*_test.go, are put to SoftHSM too (compare_test.go); docs/softhsm-differences.md has the differences.
// ONCELEAF_CC is the compiler of the C programs, gcc without it, and ONCELEAF_SANITIZE (such as "address,undefined") its
// -fsanitize, for a library built to match.
package softhsmtests

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// module is the library's absolute path, and front says that it is the one with a daemon.
var (
	module string
	front  bool
)

// Tests of one library alone.
var (
	ofEmbedded = []string{
		"TestHostFork", // nothing works in a forked child
		"TestOneOwner", // a second process is refused
	}
	ofFront = []string{
		"TestInstall", "TestBothAnswerAlike", "TestFrontIsInert", "TestApplicationsAreApart",
		"TestOperationsAreApart", "TestApplicationsShareTheToken", "TestEndOfAnApplication", "TestHostForks",
		"TestHostPrefork", "TestHostDescriptors", "TestHostDaemonise", "TestHostDeath", "TestHostHostile",
		"TestHostStart", "TestHostPlace", "TestSocketAlone", "TestHostThreadsOfFront", "TestHostImpatient", "TestHostProcess", "TestThreadsHaveConnections", "TestManyProcesses", "TestManyDaemonsDie",
		"TestLowerTreesAreShared", "TestCrashOfAnApplicationCostsNothing",
	}
)

func TestMain(m *testing.M) {
	worker.Main()
	beCrypto11()
	flag.Parse()
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
	front = worker.HasDaemon(module)
	if err := leaveOut(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// leaveOut takes the tests of the other library out of the run.
func leaveOut() error {
	others := ofFront
	if front {
		others = ofEmbedded
	}
	if len(others) == 0 {
		return nil
	}
	patterns := []string{"^(" + strings.Join(others, "|") + ")$"}
	if asked := flag.Lookup("test.skip").Value.String(); asked != "" {
		patterns = append(patterns, asked)
	}
	return flag.Set("test.skip", strings.Join(patterns, "|"))
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

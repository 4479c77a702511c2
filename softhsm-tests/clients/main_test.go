// Package clients runs the programs that people use with PKCS#11 tokens over the built library, one file per program.
//
// docs/clients.md is what they run: each test takes the commands of one section, with the files that the section shows,
// and lets a shell work through them in an empty folder, with a fresh token beside it. A section fails when a command
// fails, when any process of it is killed by a signal such as SIGSEGV, and when it leaves a process, an application at
// the daemon, or an object in the token.
//
// ONCELEAF_MODULE names the library, libonceleaf.so in build/ without it. The embedded library takes the clients that
// neither fork nor forbid it threads. SoftHSM's libsofthsm2.so may stand there too: what asks nothing of Onceleaf alone
// passes with it, which says that the commands are right.
package clients

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// module is the library's absolute path; front says that it is the one with a daemon, ours that it is not SoftHSM's.
var (
	module      string
	front, ours bool
)

// Tests that one of the libraries cannot pass, and why. They are no part of its run.
var (
	notEmbedded = []string{
		"TestGnuTLS", // GnuTLS forbids the library threads of its own
		"TestP11Kit", // so does p11tool, and the server forks
		"TestSSH",    // the agent and ssh-keygen use the token at the same time
		"TestNginx",  // the workers are forked
	}
	notSoftHSM = []string{
		"TestHSS",
		"TestNginx", // a worker that logs in beside others may get CKR_GENERAL_ERROR there, and never works again
	}
)

func TestMain(m *testing.M) {
	flag.Parse()
	path := os.Getenv("ONCELEAF_MODULE")
	if path == "" {
		path = filepath.Join("..", "..", "build", "libonceleaf.so")
	}
	var err error
	if module, err = filepath.Abs(path); err == nil {
		_, err = os.Stat(module)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "these tests need the library: run make build (%v)\n", err)
		os.Exit(1)
	}
	front = worker.HasDaemon(module)
	ours = strings.HasPrefix(filepath.Base(module), "libonceleaf")
	if err := leaveOut(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// leaveOut takes the tests that the library cannot pass out of the run.
func leaveOut() error {
	var out []string
	switch {
	case !ours:
		out = notSoftHSM
	case !front:
		out = notEmbedded
	}
	if len(out) == 0 {
		return nil
	}
	patterns := []string{"^(" + strings.Join(out, "|") + ")$"}
	if asked := flag.Lookup("test.skip").Value.String(); asked != "" {
		patterns = append(patterns, asked)
	}
	return flag.Set("test.skip", strings.Join(patterns, "|"))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// skip leaves a test out with its reason, and fails where no test may be left out.
func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI=true: %s", why)
	}
	t.Skip(why)
}

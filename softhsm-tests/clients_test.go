package softhsmtests

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// client runs somebody else's PKCS#11 tool over the library and returns what it printed.
func client(t *testing.T, dir, name string, arguments ...string) string {
	t.Helper()
	return output(t, clientCommand(t, dir, name, arguments...))
}

func clientCommand(t *testing.T, dir, name string, arguments ...string) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%v: run make deps", err)
		}
		t.Skipf("%v: run make deps", err)
	}
	worker.StopDaemons(t, module, dir)
	command := exec.Command(name, arguments...)
	command.Env = worker.Environment(dir)
	return command
}

func output(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command.Args, " "), err, out)
	}
	return string(out)
}

func wantText(t *testing.T, out string, wanted ...string) {
	t.Helper()
	for _, text := range wanted {
		if !strings.Contains(out, text) {
			t.Errorf("%q is not in:\n%s", text, out)
		}
	}
}

// OpenSC's pkcs11-tool sets a token up; our key shows in its lists.
func TestPKCS11Tool(t *testing.T) {
	dir := t.TempDir()
	tool := func(arguments ...string) string {
		t.Helper()
		return client(t, dir, "pkcs11-tool", append([]string{"--module", module}, arguments...)...)
	}
	wantText(t, tool("--show-info"), "Cryptoki version", "Onceleaf")
	wantText(t, tool("--list-slots"), "uninitialized")
	wantText(t, tool("--init-token", "--slot-index", "0", "--label", "opensc", "--so-pin", soPIN), "successfully initialized")
	wantText(t, tool("--init-pin", "--token-label", "opensc", "--so-pin", soPIN, "--pin", userPIN), "successfully initialized")
	wantText(t, tool("--list-token-slots"), "opensc", "login required")
	wantText(t, tool("--list-mechanisms", "--token-label", "opensc"), "0x4032", "0x4033", "sign", "verify", "generate_key_pair")

	k := openToken(t, dir, "opensc")
	k.generate(twoLevels)
	k.stop()
	wantText(t, tool("--list-objects", "--token-label", "opensc", "--login", "--pin", userPIN), "Public Key Object", "Private Key Object", "key")
	// The public key alone is there without a login.
	if out := tool("--list-objects", "--token-label", "opensc"); strings.Contains(out, "Private Key Object") {
		t.Errorf("a private key without a login:\n%s", out)
	}
	tool("--change-pin", "--token-label", "opensc", "--login", "--pin", userPIN, "--new-pin", "new-pin-1")
	tool("--generate-random", "16", "--token-label", "opensc", "--output-file", filepath.Join(t.TempDir(), "random"))
}

// p11-kit loads the library through a configuration file, as it does for every application that asks it for modules. It
// ignores the user's own files when it runs as root, so that it runs as somebody else then.
func TestP11Kit(t *testing.T) {
	open := worldReadable(t)
	dir := filepath.Join(open, "tokens")
	must(t, os.Mkdir(dir, 0o700))
	k := newTokenIn(t, dir, "through p11-kit")
	k.generate(oneLevel)
	k.stop()
	modules := filepath.Join(open, "pkcs11", "modules")
	must(t, os.MkdirAll(modules, 0o755))
	config := "module: " + copyModule(t, open) + "\n"
	must(t, os.WriteFile(filepath.Join(modules, "onceleaf.module"), []byte(config), 0o644))

	command := clientCommand(t, dir, "p11-kit", "list-modules")
	command.Env = append(command.Env, "XDG_CONFIG_HOME="+open)
	if os.Geteuid() == 0 {
		const nobody = 65534
		giveTo(t, dir, nobody)
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	wantText(t, output(t, command), "onceleaf", "through p11-kit")
}

// giveTo makes a user the owner of a directory and all that is in it.
func giveTo(t *testing.T, dir string, user int) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, user, user)
	}))
}

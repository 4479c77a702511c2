package softhsmtests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// installation is what `make install` puts below a folder.
type installation struct {
	*testing.T
	root string // DESTDIR
	dir  string // token directory
}

func (i installation) path(name string) string { return filepath.Join(i.root, "usr/local", name) }

// run runs an installed program, with nothing of this build in its environment.
func (i installation) run(program string, arguments ...string) string {
	i.Helper()
	command := exec.Command(i.path(program), arguments...)
	for _, variable := range worker.Environment(i.dir) {
		if !strings.HasPrefix(variable, "ONCELEAF_MODULE=") && !strings.HasPrefix(variable, "ONCELEAF_DAEMON=") {
			command.Env = append(command.Env, variable)
		}
	}
	command.Env = append(command.Env, "ONCELEAF_PIN="+userPIN, "ONCELEAF_SO_PIN="+soPIN)
	return output(i.T, command)
}

// What is installed finds its parts: the command line the library, and the library the daemon.
func TestInstall(t *testing.T) {
	i := installation{t, t.TempDir(), filepath.Join(t.TempDir(), "tokens")}
	command := exec.Command("make", "--no-print-directory", "install", "DESTDIR="+i.root)
	command.Dir = ".."
	output(t, command)
	worker.StopDaemons(t, i.path("lib/libonceleaf.so"), i.dir)
	wantText(t, i.run("bin/onceleaf", "version"), i.path("lib/libonceleaf.so"))
	i.run("bin/onceleaf", "init", "--label", "installed")
	wantText(t, i.run("bin/onceleaf", "daemon", "status"), "installed", i.dir)
	if link := value(os.Stat(i.path("lib/pkcs11/libonceleaf.so")))(t); link.Size() == 0 {
		t.Error("p11-kit's folder has no library")
	}
	i.program()
	i.units()
	i.manuals()
	i.throughP11Kit()
}

// program: the daemon that the library started is the installed one.
func (i installation) program() {
	i.Helper()
	status := value(worker.AskDaemon(i.dir))(i.T)
	lock := value(os.ReadFile(filepath.Join(i.dir, "onceleaf.lock")))(i.T)
	if status.PID == 0 || !strings.HasSuffix(strings.TrimSpace(string(lock)), i.path("sbin/onceleafd")) {
		i.Errorf("the owner of the directory is %s, want %s", lock, i.path("sbin/onceleafd"))
	}
}

// units: systemd finds nothing wrong with the units, once the program is where they say.
func (i installation) units() {
	i.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		i.Log("systemd is not here: the units were not looked at")
		return
	}
	folder := i.TempDir()
	for _, name := range []string{"onceleafd.service", "onceleafd.socket"} {
		text := string(value(os.ReadFile(i.path("lib/systemd/system/" + name)))(i.T))
		text = strings.ReplaceAll(text, "/usr/local/sbin/onceleafd", i.path("sbin/onceleafd"))
		must(i.T, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644))
	}
	command := exec.Command("systemd-analyze", "verify", filepath.Join(folder, "onceleafd.service"), filepath.Join(folder, "onceleafd.socket"))
	command.Env = append(os.Environ(), "MANPATH="+i.path("share/man")) // it looks for the page that the unit names
	if out := output(i.T, command); out != "" {
		i.Errorf("systemd-analyze says: %s", out)
	}
}

// manuals: the pages can be read.
func (i installation) manuals() {
	i.Helper()
	if _, err := exec.LookPath("man"); err != nil {
		i.Log("man is not here: the manual pages were not rendered")
		return
	}
	for _, page := range []string{"man1/onceleaf.1", "man8/onceleafd.8"} {
		command := exec.Command("man", "--warnings", "--local-file", i.path("share/man/"+page))
		command.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANPAGER=cat", "TERM=dumb")
		var warnings strings.Builder
		command.Stderr = &warnings
		text := value(command.Output())(i.T)
		if warnings.Len() > 0 || len(text) < 1000 {
			i.Errorf("%s: %d bytes; %s", page, len(text), warnings.String())
		}
	}
}

// throughP11Kit: its file names the library, and what it names is a module.
func (i installation) throughP11Kit() {
	i.Helper()
	text := string(value(os.ReadFile(i.path("share/p11-kit/modules/onceleaf.module")))(i.T))
	wantText(i.T, text, "module: /usr/local/lib/libonceleaf.so\n")
	wantText(i.T, client(i.T, i.dir, "pkcs11-tool", "--module", i.path("lib/pkcs11/libonceleaf.so"), "--list-token-slots"), "installed")
}

package clients

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// desk is where a section is worked through: a fresh token in a folder of its own, with a daemon if the library wants
// one, and an empty folder for the files.
type desk struct {
	t           *testing.T
	module      string // the library
	dir         string // the token directory
	work        string // the shell's folder, and its HOME
	environment []string
	user        uint32 // who runs it all; 0: who runs the tests
	// edit changes a file of the page before it is written; nil: none is.
	edit func(text string) string
}

// setUp is the section that makes a token.
const setUp = "A token"

// newDesk makes a desk without a token, and lets it be prepared.
func newDesk(t *testing.T, prepare ...func(*desk)) *desk {
	t.Helper()
	d := &desk{t: t, module: module, dir: t.TempDir(), work: t.TempDir()}
	must(t, os.Chmod(d.dir, 0o700))
	d.environment = append(worker.Environment(d.dir), "HOME="+d.work, "PIN=2468-user", "SO_PIN=1357-officer",
		"ONCELEAF_AUTOSTART=0", "XDG_CONFIG_HOME="+d.work+"/.config", "LC_ALL=C.UTF-8", "MODULE="+module)
	for _, p := range prepare {
		p(d)
	}
	return d
}

// setUp makes the token as the page says.
func (d *desk) setUp() {
	d.t.Helper()
	if !ours {
		d.useSoftHSM()
	}
	if front {
		d.startDaemon()
	}
	d.run(section(d.t, setUp))
}

// asNobody lets a user work who is not root, where root runs the tests: with a copy of the library that this user can
// reach.
func asNobody(d *desk) {
	d.t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	const nobody = 65534
	d.user = nobody
	if ours {
		d.copyModule()
	}
	must(d.t, os.Chmod(filepath.Dir(d.dir), 0o755))
	for _, dir := range []string{d.dir, d.work} {
		must(d.t, os.Chown(dir, nobody, nobody))
	}
}

func (d *desk) copyModule() {
	d.t.Helper()
	dir := d.t.TempDir()
	files := []string{module}
	if front {
		files = append(files, filepath.Join(filepath.Dir(module), "onceleafd"))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(d.t, err)
		must(d.t, os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o755))
	}
	d.module = filepath.Join(dir, filepath.Base(module))
	d.set("MODULE", d.module)
}

// as makes a command of the desk's user.
func (d *desk) as() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if d.user != 0 {
		attributes.Credential = &syscall.Credential{Uid: d.user, Gid: d.user}
	}
	return attributes
}

func (d *desk) set(variable, value string) { d.environment = append(d.environment, variable+"="+value) }

// write puts a file of the page into the shell's folder.
func (d *desk) write(b block) {
	d.t.Helper()
	if d.edit != nil {
		b.text = d.edit(b.text)
	}
	must(d.t, os.WriteFile(filepath.Join(d.work, b.file), []byte(b.text), 0o644))
}

func (d *desk) useSoftHSM() {
	d.t.Helper()
	const settings = "objectstore.backend = file\nlog.level = ERROR\nlibrary.reset_on_fork = true\ndirectories.tokendir = "
	must(d.t, os.WriteFile(filepath.Join(d.dir, "softhsm2.conf"), []byte(settings+d.dir+"\n"), 0o644))
	d.set("SOFTHSM2_CONF", filepath.Join(d.dir, "softhsm2.conf"))
}

// startDaemon starts the daemon that stands beside the library, and waits until it answers.
func (d *desk) startDaemon() {
	d.t.Helper()
	daemon := exec.Command(filepath.Join(filepath.Dir(d.module), "onceleafd"))
	daemon.Env, daemon.SysProcAttr = d.environment, d.as()
	var said bytes.Buffer
	daemon.Stderr = &said
	must(d.t, daemon.Start())
	d.t.Cleanup(func() {
		if err := worker.StopDaemon(d.dir); err != nil {
			d.t.Errorf("the daemon did not stop: %v", err)
			daemon.Process.Kill()
		}
		if err := daemon.Wait(); err != nil || d.t.Failed() {
			d.t.Logf("the daemon ended with %v and said:\n%s", err, &said)
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, err := worker.AskDaemon(d.dir)
		if err == nil {
			return
		}
		if !errors.Is(err, os.ErrNotExist) || time.Now().After(deadline) {
			d.t.Fatalf("the daemon does not answer: %v", err)
		}
	}
}

// nothingLeft fails if the clients have left an application at the daemon, or an object in the token.
func (d *desk) nothingLeft() {
	d.t.Helper()
	if front {
		d.noApplications()
	}
	out := d.shell(`pkcs11-tool --module "$MODULE" --token-label clients --login --pin env:PIN --list-objects`)
	if bytes.Contains(out, []byte("label:")) || bytes.Contains(out, []byte("Object")) {
		d.t.Errorf("the client left objects in the token:\n%s", out)
	}
}

// noApplications waits a moment: the daemon notices the end of a process a little later.
func (d *desk) noApplications() {
	d.t.Helper()
	var status worker.DaemonStatus
	for range 300 {
		var err error
		status, err = worker.AskDaemon(d.dir)
		must(d.t, err)
		if len(status.Clients) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	d.t.Errorf("applications that are still there: %+v", status.Clients)
}

// with puts a file of testdata into the shell's folder.
func with(name string) func(*desk) {
	return func(d *desk) {
		d.t.Helper()
		text, err := os.ReadFile(filepath.Join("testdata", name))
		must(d.t, err)
		must(d.t, os.WriteFile(filepath.Join(d.work, name), text, 0o644))
	}
}

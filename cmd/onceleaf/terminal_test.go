package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// terminal CODE TYPED COMMAND... runs a command at a terminal of its own, with stdin, stdout and stderr there too, and
// types one line of the file TYPED at each prompt (output that ends with ": "), as a person would. The command must
// end with this exit code, and leave the terminal's echo on. The line ^C stands for the interrupt key. What the terminal
// showed is then in the file "screen".
func terminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: terminal CODE TYPED COMMAND...")
	}
	control, tty, err := openTerminal()
	ts.Check(err)
	defer control.Close()
	cmd := exec.Command(args[2], args[3:]...)
	cmd.Dir, cmd.Env = ts.Getenv("WORK"), environment(ts)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = cmd.Start()
	tty.Close()
	ts.Check(err)
	screen := converse(control, strings.SplitAfter(ts.ReadFile(args[1]), "\n"))
	ts.Check(os.WriteFile(ts.MkAbs("screen"), screen, 0o600))
	ts.Logf("[screen]\n%s", screen)
	cmd.Wait() // its error is the exit code, looked at next
	if code := fmt.Sprint(cmd.ProcessState.ExitCode()); code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
	state, err := unix.IoctlGetTermios(int(control.Fd()), unix.TCGETS)
	ts.Check(err)
	if state.Lflag&unix.ECHO == 0 {
		ts.Fatalf("the terminal's echo is off")
	}
}

func openTerminal() (control, tty *os.File, err error) {
	control, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetPointerInt(int(control.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(control.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	return control, tty, err
}

// environment is what scripts set, for a command that testscript does not start.
func environment(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "ONCELEAF_MODULE", "ONCELEAF_DIR", "ONCELEAF_CONF", "ONCELEAF_PIN", "ONCELEAF_SO_PIN"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

// converse answers prompts until the other side is gone, and returns what it showed.
func converse(control *os.File, typed []string) (screen []byte) {
	answered := 0
	chunk := make([]byte, 4096)
	for {
		n, err := control.Read(chunk)
		screen = append(screen, chunk[:n]...)
		if bytes.HasSuffix(screen, []byte(": ")) && len(screen) > answered && len(typed) > 0 {
			control.WriteString(strings.Replace(typed[0], "^C\n", "\x03", 1))
			typed, answered = typed[1:], len(screen)
		}
		if err != nil {
			return screen
		}
	}
}

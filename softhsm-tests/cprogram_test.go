package softhsmtests

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// compile builds testdata/name.c, with warnings as errors, and returns the program's path.
func compile(t *testing.T, name string, flags ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	// -rdynamic shows the program's own symbols to the library, as a program linked with other libraries does.
	arguments := []string{"-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-rdynamic", "-o", program}
	if sanitizers := os.Getenv("ONCELEAF_SANITIZE"); sanitizers != "" {
		arguments = append(arguments, "-fsanitize="+sanitizers, "-fno-sanitize-recover=all")
	}
	arguments = append(arguments, flags...)
	arguments = append(arguments, filepath.Join("testdata", name+".c"), "-pthread", "-ldl")
	if text, err := exec.Command("gcc", arguments...).CombinedOutput(); err != nil {
		t.Fatalf("gcc %s: %v\n%s", strings.Join(arguments, " "), err, text)
	}
	return program
}

// run runs a program over a fresh token directory until it ends well, and returns its standard output.
func run(t *testing.T, program string, arguments ...string) string {
	t.Helper()
	return runIn(t, t.TempDir(), program, arguments...)
}

func runIn(t *testing.T, dir, program string, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, arguments...)
	// A program that hangs goes with all its children.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.Env = worker.Environment(dir)
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(program), strings.Join(arguments, " "), err, out, stderr.String())
	}
	return string(out)
}

func TestHostInterfaces(t *testing.T) {
	run(t, compile(t, "interfaces"), module)
}

func TestHostArguments(t *testing.T) {
	run(t, compile(t, "arguments"), module)
}

func TestHostBuffers(t *testing.T) {
	run(t, compile(t, "buffers"), module)
}

func TestHostEnvironment(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	run(t, compile(t, "environment"), module, dir, other)
	tokens, err := os.ReadDir(filepath.Join(dir, "tokens"))
	if err != nil || len(tokens) != 1 {
		t.Errorf("the directory that the host chose holds %d tokens (%v), want 1", len(tokens), err)
	}
}

func TestHostFork(t *testing.T) {
	program := compile(t, "fork")
	for _, scenario := range []string{"before-initialize", "after-finalize", "exit", "twice", "shared-memory", "threads"} {
		t.Run(scenario, func(t *testing.T) {
			run(t, program, module, scenario)
		})
	}
	t.Run("same-number", func(t *testing.T) {
		needRoot(t, "a process number space of one's own")
		run(t, program, module, "same-number")
	})
}

package crashtest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// call is one system call of a worker on the files of its tokens.
type call struct {
	name     string
	args     string // as strace writes them, every text in hexadecimal
	result   string // "?" if the process died in it
	injected bool   // by strace
}

// filesystem are the classes of calls that can have to do with the files.
const filesystem = "%file,%desc"

// needStrace ends a test on a machine without strace.
func needStrace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("%v: run make deps", err)
	}
}

// traced runs a worker under strace and returns the calls of each of its threads
// that made any on its stores, their folder, or the further paths.
func (p plan) traced(t *testing.T, options []string, paths ...string) ([][]call, outcome) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	command := []string{"strace", "-ff", "--seccomp-bpf", "-qq", "-y", "-xx", "-o", log,
		"-e", "signal=none", "-e", "trace=" + filesystem}
	paths = append(paths, p.Folder)
	for _, token := range p.Tokens {
		paths = append(paths, p.store(token), filepath.Join(p.Folder, ".new-"+token+".db"))
	}
	for _, path := range paths {
		command = append(command, "-P", path)
	}
	end := p.run(t, nil, append(command, options...)...)
	return readCalls(t, log), end
}

func readCalls(t *testing.T, log string) (threads [][]call) {
	t.Helper()
	logs, err := filepath.Glob(log + ".*")
	if err != nil {
		t.Fatal(err)
	}
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		os.Remove(log)
		if calls := parseCalls(t, text); len(calls) > 0 {
			threads = append(threads, calls)
		}
	}
	return threads
}

// onlyOne is the calls of the one thread that made any. strace counts per thread,
// and writes no order between them; so two would mean that nothing is known.
func onlyOne(t *testing.T, threads [][]call) []call {
	t.Helper()
	if len(threads) != 1 {
		t.Fatalf("%d threads of a worker touched its stores", len(threads))
	}
	return threads[0]
}

var callPattern = regexp.MustCompile(`^(\w+)\((.*)\)\s+= (\S+)(.*)$`)

func parseCalls(t *testing.T, text []byte) (calls []call) {
	t.Helper()
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "???(") {
			continue // a thread that died with its process before strace could see into it
		}
		m := callPattern.FindStringSubmatch(lines.Text())
		if m == nil {
			t.Fatalf("a line of strace that cannot be read: %.200s", lines.Text())
		}
		calls = append(calls, call{m[1], m[2], m[3], strings.Contains(m[4], "(INJECTED)")})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return calls
}

func (c call) String() string { return fmt.Sprintf("%s(%.100s) = %s", c.name, c.args, c.result) }

// done reports whether the call succeeded.
func (c call) done() bool { return !strings.HasPrefix(c.result, "-") && c.result != "?" }

var (
	quotedPattern     = regexp.MustCompile(`"((?:\\x[0-9a-f]{2})*)"`)
	descriptorPattern = regexp.MustCompile(`^\d+<((?:\\x[0-9a-f]{2})*)>`)
)

// texts are the texts among the arguments: names of files, or data.
func (c call) texts(t *testing.T) (texts []string) {
	t.Helper()
	for _, m := range quotedPattern.FindAllStringSubmatch(c.args, -1) {
		texts = append(texts, unquote(t, m[1]))
	}
	return texts
}

// file is the name of the file that the first argument, a descriptor, stands for.
func (c call) file(t *testing.T) string {
	t.Helper()
	m := descriptorPattern.FindStringSubmatch(c.args)
	if m == nil {
		t.Fatalf("no descriptor first in %v", c)
	}
	return unquote(t, m[1])
}

func unquote(t *testing.T, hex string) string {
	t.Helper()
	text, err := strconv.Unquote(`"` + hex + `"`)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// number is an argument that is a number, counted from the end: 1 is the last.
func (c call) number(t *testing.T, fromEnd int) int64 {
	t.Helper()
	args := strings.Split(c.args, ", ")
	n, err := strconv.ParseInt(args[len(args)-fromEnd], 10, 64)
	if err != nil {
		t.Fatalf("%v: %v", c, err)
	}
	return n
}

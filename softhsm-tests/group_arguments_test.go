package softhsmtests

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// Arguments that only a C program can give: NULL, short buffers, mixed templates.
func TestGroupArguments(t *testing.T) {
	programs(t, "arguments", nil, compile(t, "strict"))
}

// programs runs a C program on both libraries and compares what it prints. In wants is what we have to answer to some
// steps instead of what the program wants.
func programs(t *testing.T, name string, wants map[string]string, program string, arguments ...string) {
	t.Helper()
	g := &comparison{t: t, name: name, known: readDifferences(t, name)}
	ours := printed(t, module, program, arguments...)
	for i, answer := range ours.answers {
		if want, ok := wants[answer.step]; ok {
			ours.answers[i].want = want
		}
	}
	var theirs *actor
	if needSoftHSM(t) {
		theirs = printed(t, softHSM, program, arguments...)
	}
	g.judge(t, name+"/", ours, theirs)
	if theirs != nil && !t.Failed() {
		g.staleDifferences()
	}
}

// printed is what a program prints about a library: lines of a step, what it has come to, and what is wanted of it.
func printed(t *testing.T, library, program string, arguments ...string) *actor {
	t.Helper()
	dir := t.TempDir()
	worker.StopDaemons(t, library, dir)
	command := exec.Command(program, append([]string{library}, arguments...)...)
	command.Env = append(worker.Environment(dir), softHSMEnvironment(t, dir)...)
	return answersOf(t, command)
}

func answersOf(t *testing.T, command *exec.Cmd) *actor {
	t.Helper()
	a := &actor{}
	for line := range strings.Lines(output(t, command)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 3 {
			t.Fatalf("%s printed %q", command.Path, line)
		}
		a.note(fields[0], named(fields[2]), named(fields[1]))
	}
	return a
}

// named is a number as the lists of answers have it: a CK_RV is hexadecimal.
func named(number string) string {
	if rv, err := strconv.ParseUint(number, 0, 64); err == nil && strings.HasPrefix(number, "0x") {
		return ck.RV(rv).Error()
	}
	return number
}

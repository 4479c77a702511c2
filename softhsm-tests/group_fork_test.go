package softhsmtests

import (
	"os"
	"os/exec"
	"testing"
)

// Forked children: each is an application of its own.
func TestGroupFork(t *testing.T) {
	program := compile(t, "children")
	wants := embeddedInChild
	if front || module == softHSM {
		wants = nil
	}
	for _, scenario := range []string{"initialize", "nothing", "after"} {
		t.Run(scenario, func(t *testing.T) {
			programs(t, "fork "+scenario, wants, program, scenario)
		})
	}
}

// SoftHSM with library.reset_on_fork answers as libonceleaf.so does, which docs/softhsm-differences.md says.
func TestSoftHSMResetOnFork(t *testing.T) {
	if !needSoftHSM(t) {
		t.Skip("no SoftHSM")
	}
	program := compile(t, "children")
	for _, scenario := range []string{"initialize", "nothing", "after"} {
		command := exec.Command(program, softHSM, scenario)
		command.Env = append(os.Environ(), softHSMEnvironment(t, t.TempDir(), "library.reset_on_fork = true")...)
		for _, answer := range answersOf(t, command).answers {
			if answer.got != answer.want {
				t.Errorf("%s: %s: %s, want %s", scenario, answer.step, answer.got, answer.want)
			}
		}
	}
}

// embeddedInChild is what the embedded library answers in a child, in which no thread of the Go runtime is left.
var embeddedInChild = map[string]string{
	"child: C_Initialize":       "CKR_GENERAL_ERROR",
	"child: C_Initialize again": "CKR_GENERAL_ERROR",
	"child: C_OpenSession":      "CKR_CRYPTOKI_NOT_INITIALIZED",
	"child: C_Login":            "CKR_CRYPTOKI_NOT_INITIALIZED",
	"child: C_Sign":             "CKR_CRYPTOKI_NOT_INITIALIZED",
	"child: C_Logout":           "CKR_CRYPTOKI_NOT_INITIALIZED",
	"child: C_Finalize":         "CKR_CRYPTOKI_NOT_INITIALIZED",
}

package crashtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
)

const planVariable = "ONCELEAF_CRASHTEST_PLAN"

// How a worker ends, if not by a signal. 2 is a panic.
const (
	exitRefused  = 1 // an error, as a host program would see it
	exitViolated = 3 // a promise was broken in sight of the worker
)

func TestMain(m *testing.M) {
	text := os.Getenv(planVariable)
	if text == "" {
		code := m.Run()
		if err := tally.publish(os.Getenv("ONCELEAF_COUNTS")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}
	runtime.LockOSThread() // strace counts calls per thread
	var p plan
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		panic(err)
	}
	if err := work(p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, errViolation) {
			os.Exit(exitViolated)
		}
		os.Exit(exitRefused)
	}
}

package softhsmtests

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/internal/audit"
	"github.com/onceleaf/onceleaf/lms"
	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// mourner is a host of death.c, with all that it was given.
type mourner struct {
	*dialogue
	daemon int // the first one's process
	public lms.HSSPublicKey
	given  audit.Audit
}

// reach reads what the host says until it says a word, or to its end for none. Every signature on the way is audited.
func (m *mourner) reach(word string) {
	m.t.Helper()
	for {
		line, err := m.output.ReadString('\n')
		if err != nil {
			if word != "" {
				m.t.Fatalf("before %q: %v", word, m.ended())
			}
			must(m.t, m.ended())
			return
		}
		fields := strings.Fields(line)
		switch {
		case len(fields) == 1 && fields[0] == word:
			return
		case len(fields) == 2 && fields[0] == "public":
			m.public = value(lms.ParseHSSPublicKey(value(hex.DecodeString(fields[1]))(m.t)))(m.t)
		case len(fields) == 3 && fields[0] == "signature":
			message, signature := value(hex.DecodeString(fields[1]))(m.t), value(hex.DecodeString(fields[2]))(m.t)
			must(m.t, m.given.Add(m.public, message, signature))
		default:
			m.t.Fatalf("the host says %q, want %q", line, word)
		}
	}
}

// signal sends the first daemon a signal.
func (m *mourner) signal(number unix.Signal) {
	m.t.Helper()
	must(m.t, unix.Kill(m.daemon, number))
}

// stand lets the daemon stand still, and waits until each of its threads does: a signal takes its time.
func (m *mourner) stand() {
	m.t.Helper()
	m.signal(unix.SIGSTOP)
	for range 1000 {
		running := 0
		for _, path := range value(filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", m.daemon)))(m.t) {
			line, err := os.ReadFile(path) // the thread may have ended
			if _, state, _ := strings.Cut(string(line), ") "); err == nil && !strings.HasPrefix(state, "T") {
				running++
			}
		}
		if running == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	m.t.Fatal("the daemon does not stand still")
}

// The daemon dies, or stands still, at the worst moments. The host sees an error and untouched buffers, and goes on with
// a new daemon; no leaf is used twice.
func TestHostDeath(t *testing.T) {
	program := compile(t, "death")
	soon := 300 * time.Millisecond
	for _, death := range []struct {
		name, scenario string
		befalls        func(m *mourner)
	}{
		{"idle", "idle", func(m *mourner) {
			must(m.t, worker.KillDaemon(m.dir))
			m.goOn()
		}},
		{"in a call", "call", func(m *mourner) {
			m.stand()
			m.goOn()
			m.reach("calling")
			time.Sleep(soon)
			m.signal(unix.SIGKILL)
		}},
		{"stopped and then killed after C_Finalize", "finalize", func(m *mourner) { m.finalized(unix.SIGKILL) }},
		{"stopped and awake again after C_Finalize", "finalize", func(m *mourner) { m.finalized(unix.SIGCONT) }},
		{"in C_Initialize", "initialize", func(m *mourner) {
			m.stand()
			m.goOn()
			m.reach("calling")
			time.Sleep(soon)
			m.signal(unix.SIGKILL)
		}},
		{"at any moment", "loop", func(m *mourner) {
			time.Sleep(rand.N(soon))
			m.signal(unix.SIGKILL)
		}},
		{"at any moment again", "loop", func(m *mourner) {
			time.Sleep(rand.N(soon / 10))
			m.signal(unix.SIGKILL)
		}},
	} {
		t.Run(death.name, func(t *testing.T) {
			t.Parallel() // some wait until C_Finalize gives up
			m := &mourner{dialogue: converse(t, program, module, death.scenario)}
			m.reach("ready")
			m.daemon = value(worker.AskDaemon(m.dir))(t).PID
			t.Cleanup(func() {
				if t.Failed() {
					unix.Kill(m.daemon, unix.SIGCONT) // one that stands still cannot be stopped
				}
			})
			death.befalls(m)
			m.reach("")
			if n := m.given.Signatures(); n < 6 {
				t.Errorf("the host was given %d signatures, want 3 and 3 at least", n)
			}
		})
	}
}

// finalized is C_Finalize while the daemon stands still in another thread's call.
func (m *mourner) finalized(then unix.Signal) {
	m.t.Helper()
	m.stand()
	m.goOn()
	m.reach("calling")
	m.reach("finalized")
	m.reach("ready")
	m.signal(then)
	m.goOn()
}

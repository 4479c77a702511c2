package crashtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/internal/audit"
	"github.com/onceleaf/onceleaf/lms"
)

// kills is how often TestRandomKills kills; every fifth life ends cleanly.
const kills = 200

// run starts a worker. It returns true if the worker died by SIGKILL, and fails
// the test if it ended in any other way but success.
func run(t *testing.T, p plan, kill func(*os.Process)) (killed bool) {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), planVariable+"="+string(text))
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if kill != nil {
		kill(cmd.Process)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true
	}
	if err != nil {
		t.Fatalf("worker %+v: %v\n%s", p, err, &complaints)
	}
	return false
}

// findings is what the checker makes of the released lines.
type findings struct {
	audit  audit.Audit
	opens  int
	torn   int               // lines that a kill cut off
	closed map[string]uint64 // what each key had left at the last clean stop
	clean  int               // keys that were reopened after a clean stop
}

// check reads every line that was ever released, in order, and nothing else.
func check(t *testing.T, folder string) *findings {
	t.Helper()
	file, err := os.Open(filepath.Join(folder, "released"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f := &findings{closed: map[string]uint64{}}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r released
		switch err := json.Unmarshal(lines.Bytes(), &r); {
		case err == nil:
			f.take(t, r)
		case lines.Text() != "":
			f.torn++
		}
	}
	return f
}

func (f *findings) take(t *testing.T, r released) {
	t.Helper()
	key := string(r.Key)
	switch r.Event {
	case "closed":
		f.closed[key] = r.Left
	case "open":
		f.opens++
		if left, ok := f.closed[key]; ok {
			f.clean++
			if left != r.Left {
				t.Fatalf("a clean restart changed the signatures left from %d to %d", left, r.Left)
			}
		}
		delete(f.closed, key)
	case "signed":
		delete(f.closed, key)
		pub, err := lms.ParseHSSPublicKey(r.Key)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.audit.Add(pub, r.Message, r.Signature); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRandomKills kills a process with three signing threads and two keys at
// random moments, and stops it cleanly in between.
func TestRandomKills(t *testing.T) {
	folder := t.TempDir()
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	run(t, plan{Folder: folder, Rounds: 1}, nil)
	for killed := 0; killed < kills; {
		if killed%5 == 4 {
			run(t, plan{Folder: folder, Rounds: 5}, nil)
		}
		if run(t, plan{Folder: folder}, func(p *os.Process) {
			time.Sleep(time.Duration(r.IntN(250)) * time.Millisecond)
			p.Kill()
		}) {
			killed++
		}
	}
	run(t, plan{Folder: folder, Rounds: 5}, nil)
	f := check(t, folder)
	if f.audit.Signatures() < kills || f.clean < kills/5 || f.torn > kills {
		t.Fatalf("only %d signatures and %d clean restarts were seen", f.audit.Signatures(), f.clean)
	}
	t.Logf("%d kills: %d signatures, as many leaves; %d leaves signed lower trees; %d clean restarts of a key lost nothing; %d lines torn",
		kills, f.audit.Signatures(), f.audit.Upper(), f.clean, f.torn)
}

// TestKillAtEveryWrite kills before and after each durable write of a life that
// has every kind of change, and goes on in a new process.
func TestKillAtEveryWrite(t *testing.T) {
	for _, after := range []bool{false, true} {
		write := 1
		for ; ; write++ {
			folder := t.TempDir()
			killed := run(t, plan{Folder: folder, Life: true, DieAt: write, After: after}, nil)
			run(t, plan{Folder: folder, Life: true}, nil)
			run(t, plan{Folder: folder, Rounds: 3}, nil)
			if f := check(t, folder); f.audit.Signatures() < 24 {
				t.Fatalf("write %d: only %d signatures", write, f.audit.Signatures())
			}
			if !killed {
				break
			}
		}
		if write < 30 {
			t.Errorf("only %d durable writes were met", write-1)
		}
		t.Logf("killed at each of %d durable writes; after the write: %v", write-1, after)
	}
}

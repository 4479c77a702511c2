package softhsmtests

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/internal/audit"
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/lms"
	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// crowdThreads is the number of threads of each process of a crowd.
const crowdThreads = 8

var h10w4 = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H10, OTS: lms.LMOTS_SHA256_N32_W4}

// crowd is many processes of many.c at work with one token.
type crowd struct {
	t       *testing.T
	dir     string // of the token
	files   string // folder of what the processes were given
	program string
	mode    string // strict or patient
	members []*member
	started int
	killed  int
}

// member is one process of a crowd. It ends well when its standard input ends.
type member struct {
	*exec.Cmd
	input  io.Closer
	stderr bytes.Buffer
}

// duration is how long a crowd works: ten seconds, or ONCELEAF_MANY, some minutes at most: every signature goes to a
// file, and the keys have an end.
func duration(t *testing.T) time.Duration {
	t.Helper()
	if text := os.Getenv("ONCELEAF_MANY"); text != "" {
		return value(time.ParseDuration(text))(t)
	}
	return 10 * time.Second
}

// crowdKeys makes the keys: one with its lower trees in memory alone, one with a durable write for each signature, one
// with a write for 64.
func crowdKeys(k *token) {
	k.t.Helper()
	for _, reserve := range []uint64{0, 1, 64} {
		label := fmt.Sprintf("reserve %d", reserve)
		private := append(levelAttributes([]lms.ParameterSet{h10w4, h10w4}), common(label)...)
		value(k.GenerateKeyPair(worker.KeyPairCall{
			Session:   k.session,
			Mechanism: uint(ck.CKM_HSS_KEY_PAIR_GEN),
			Public:    common(label),
			Private:   append(private, attribute(ck.CKA_ONCELEAF_RESERVE, reserve)),
		}))(k.t)
	}
}

func (c *crowd) start() *member {
	c.t.Helper()
	c.started++
	file := filepath.Join(c.files, strconv.Itoa(c.started))
	m := &member{Cmd: exec.Command(c.program, module, file, strconv.Itoa(crowdThreads), c.mode)}
	m.Env = worker.Environment(c.dir)
	m.Stderr = &m.stderr
	m.input = value(m.StdinPipe())(c.t)
	must(c.t, m.Start())
	return m
}

// work lets so many processes work. Meanwhile disturb is called now and then.
func (c *crowd) work(processes int, disturb func()) {
	c.t.Helper()
	for range processes {
		c.members = append(c.members, c.start())
	}
	for end := time.Now().Add(duration(c.t)); time.Now().Before(end); {
		time.Sleep(rand.N(time.Second)) // a login takes some tenths of a second, one after the other
		disturb()
	}
	for _, m := range c.members {
		must(c.t, m.input.Close())
	}
	for _, m := range c.members {
		c.ended(m)
	}
}

// ended waits for the good end of a process.
func (c *crowd) ended(m *member) {
	c.t.Helper()
	hangs := time.AfterFunc(2*time.Minute, func() { m.Process.Kill() })
	defer hangs.Stop()
	if err := m.Wait(); err != nil {
		c.t.Errorf("a process that nobody killed ended badly: %v\n%s", err, m.stderr.String())
	}
}

// kill ends one process in the middle of its work, and another one takes its place.
func (c *crowd) kill() {
	c.t.Helper()
	i := rand.N(len(c.members))
	must(c.t, c.members[i].Process.Kill())
	c.members[i].Wait()
	c.killed++
	c.members[i] = c.start()
}

// check reads all that the processes were given: no leaf twice, each signature good. It returns how many there are of
// each key.
func (c *crowd) check(k *token) map[string]uint64 {
	c.t.Helper()
	public, used, given := map[string]lms.HSSPublicKey{}, new(audit.Audit), map[string]uint64{}
	for i := range c.started {
		data, err := os.ReadFile(filepath.Join(c.files, strconv.Itoa(i+1)))
		if os.IsNotExist(err) {
			continue // killed before it began
		}
		must(c.t, err)
		for len(data) > 0 {
			var r record
			if r, data = cut(data); r.signature == nil {
				break // the kill cut it off
			}
			if _, known := public[r.label]; !known {
				public[r.label] = k.publicKey(k.find(ck.CKO_PUBLIC_KEY, r.label))
			}
			must(c.t, used.Add(public[r.label], r.message, r.signature))
			given[r.label]++
		}
	}
	return given
}

// record is one signature in a file of many.c.
type record struct {
	label              string
	message, signature []byte
}

// cut takes a record off. One that is not whole has no signature.
func cut(data []byte) (r record, rest []byte) {
	const message = 32
	if len(data) < 8 {
		return record{}, nil
	}
	label, signature := int(binary.LittleEndian.Uint32(data)), int(binary.LittleEndian.Uint32(data[4:]))
	data = data[8:]
	if len(data) < label+message+signature {
		return record{}, nil
	}
	r = record{string(data[:label]), data[label : label+message], data[label+message : label+message+signature]}
	return r, data[label+message+signature:]
}

func newCrowd(t *testing.T, mode string) (*crowd, *token) {
	t.Helper()
	k := newToken(t)
	crowdKeys(k)
	for _, reserve := range []int{0, 1, 64} {
		must(t, k.trySign(fmt.Sprintf("reserve %d", reserve)))
	}
	return &crowd{t: t, dir: k.dir, files: t.TempDir(), program: compile(t, "many"), mode: mode}, k
}

func (k *token) trySign(label string) error {
	_, err := k.Sign(k.session, k.key(label).Private, []byte("message"))
	return err
}

// Many processes with many threads work with one token, and some are killed. The others see nothing of it; every
// signature is good and of a leaf of its own; the daemon forgets the dead and gives back what they had.
func TestManyProcesses(t *testing.T) {
	c, k := newCrowd(t, "strict")
	k.clients(1)
	before := k.status()
	c.work(64, c.kill)
	k.clients(1)
	after := k.status()
	// Of each process that was killed, each thread may have lost one answer.
	released := uint64(0)
	for label, given := range c.check(k) {
		left := k.remaining(k.find(ck.CKO_PRIVATE_KEY, label))
		used := h10w4.Leaves()*h10w4.Leaves() - 1 - left
		if used < given || used > given+uint64(c.killed*crowdThreads) {
			t.Errorf("key %q: %d leaves are used, and %d signatures were given; %d processes were killed", label, used, given, c.killed)
		}
		released += given
	}
	if limit := before.Memory.Heap + before.Memory.Heap/10 + 8<<20; after.Memory.Heap > limit || after.Memory.InFlight != 0 {
		t.Errorf("the daemon's memory: %+v before, %+v after", before.Memory, after.Memory)
	}
	if released == 0 || c.killed == 0 {
		t.Fatalf("%d signatures and %d kills: the test does not test", released, c.killed)
	}
	t.Logf("%d processes, %d killed, %d signatures, heap %d and %d KiB, %d cores", c.started, c.killed, released,
		before.Memory.Heap>>10, after.Memory.Heap>>10, runtime.NumCPU())
	counted(t, "front-processes", c.started)
}

// The daemon is killed again and again under its applications: each loses a call at most, and goes on with the next
// daemon. No leaf is used twice.
func TestManyDaemonsDie(t *testing.T) {
	c, k := newCrowd(t, "patient")
	k.leave()
	deaths := 0
	c.work(8, func() {
		c.kill()
		if c.killed%3 == 0 {
			must(t, worker.KillDaemon(c.dir))
			deaths++
		}
	})
	k = openToken(t, k.dir, k.label)
	released := uint64(0)
	for _, given := range c.check(k) {
		released += given
	}
	if released == 0 || deaths == 0 {
		t.Fatalf("%d signatures and %d dead daemons: the test does not test", released, deaths)
	}
	t.Logf("%d processes, %d killed, %d daemons killed, %d signatures", c.started, c.killed, deaths, released)
	counted(t, "daemon-kills", deaths)
}

// counted adds to what the whole test run covered (.ci/counts).
func counted(t *testing.T, name string, n int) {
	t.Helper()
	path := os.Getenv("ONCELEAF_COUNTS")
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	must(t, err)
	defer file.Close()
	_, err = fmt.Fprintln(file, strings.TrimSpace(name), n)
	must(t, err)
}

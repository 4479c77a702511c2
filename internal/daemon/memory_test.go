package daemon

import (
	"encoding/binary"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/wire"
)

const mib = 1 << 20

// peak is the most that objects take while work runs, and for a while after it, beyond what they took before it.
func peak(work func(), after time.Duration) (bytes int64) {
	defer debug.SetGCPercent(debug.SetGCPercent(5)) // so that what is counted is in use
	runtime.GC()
	before := int64(heap())
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			bytes = max(bytes, int64(heap())-before)
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	work()
	time.Sleep(after)
	close(stop)
	<-done
	return bytes
}

// all sends one frame on many connections of a client at once, and reads no answer.
func (c *client) all(connections int, frame []byte) (work func()) {
	c.Helper()
	var threads []*thread
	for range connections {
		threads = append(threads, c.thread())
	}
	return func() {
		var sent sync.WaitGroup
		for _, th := range threads {
			sent.Go(func() { _, _ = th.line.Conn().Write(frame) }) // whom the daemon hangs up on is fine
		}
		sent.Wait()
	}
}

// Small requests for a lot: neither what the answers take nor what was thrown away passes the client's limit.
func TestMemoryOfAnswers(t *testing.T) {
	const limit = 8 * mib
	b := start(t, tokenFolder(t), func(o *Options) { o.Config.Limits.Memory = limit })
	c := b.client()
	th := c.thread()
	h := th.open()
	for _, attribute := range []ck.AttributeType{ck.CKA_LABEL, ck.CKA_ALLOWED_MECHANISMS} { // the second one is copied by the module
		_, private := templates(false, 1, 5)
		crossed := append(crossing(private), wire.Attribute{Type: ck.CKA_PRIVATE, Value: []byte{0}},
			wire.Attribute{Type: attribute, Value: make([]byte, 64<<10)})
		answer := th.must("C_GenerateKeyPair", h, wire.Mechanism{Form: wire.MechanismBare, Type: ck.CKM_HSS_KEY_PAIR_GEN}, []wire.Attribute{}, crossed)
		key := binary.LittleEndian.Uint64(answer[8:])
		for _, times := range []int{15, 1000} { // as much as one answer may have, and much more
			w := wire.NewRequest(nil, number("C_GetAttributeValue"))
			w.Raw(body(h, key))
			queries := make([]wire.Query, times)
			for i := range queries {
				queries[i] = wire.Query{Type: attribute, Room: mib}
			}
			w.Queries(queries)
			work := c.all(40, w.Request())
			if grown := peak(work, time.Second); grown > limit+16*mib { // what the connections may have for themselves, and garbage
				t.Errorf("40 times %d times %s took %d MiB, with a limit of %d", times, attribute, grown>>20, limit>>20)
			}
			if got := b.ask().Memory.InFlight; got > limit {
				t.Errorf("%d bytes are in flight", got)
			}
		}
		th.must("C_DestroyObject", h, key)
		c.finalize()
		b.until("its end", func() bool { return len(b.ask().Clients) == 0 })
		c = b.client()
		th = c.thread()
		h = th.open()
	}
	th.must("C_GetSessionInfo", h)
}

// Templates in templates: an entry is worth many times the octets in which it crosses.
func TestMemoryOfTemplates(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	c := b.client()
	h := c.thread().open()
	outer := make([]wire.Attribute, 1024)
	for i := range outer {
		outer[i] = wire.Attribute{Type: ck.CKA_WRAP_TEMPLATE, Form: wire.FormTemplate, Nested: make([]wire.Attribute, 1024)}
	}
	w := wire.NewRequest(nil, number("C_FindObjectsInit"))
	w.U64(h)
	w.Attributes(outer)
	frame := append([]byte{}, w.Request()...)
	frames := int64(8 * len(frame))
	// Each once more while its buffer grows, and once more until that is collected.
	if grown := peak(c.all(8, frame), 2*time.Second); grown > 3*frames+16*mib {
		t.Errorf("%d MiB of frames took %d MiB", frames>>20, grown>>20)
	}
	b.well()
}

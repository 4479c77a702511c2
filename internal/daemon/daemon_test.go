package daemon

import (
	"bytes"
	"encoding/binary"
	"strings"
	"sync"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/wire"
)

// A client's whole life: it comes, signs, and goes; what it leaves is parked.
func TestOneClient(t *testing.T) {
	dir := tokenFolder(t)
	b := start(t, dir, nil)
	c := b.client()
	th := c.thread()
	h := th.login()
	first := th.sign(h, "a message")
	if s := b.ask(); len(s.Clients) != 1 || s.Clients[0].Connections != 2 || s.Clients[0].Sessions != 1 || s.Tokens[0].Label != "bench" || s.Directory != dir {
		t.Errorf("%+v", s)
	}
	c.finalize()
	b.until("no client", func() bool { return len(b.ask().Clients) == 0 })
	b.stop()

	b = start(t, dir, nil)
	th = b.client().thread()
	second := th.sign(th.login(), "a message")
	rootOne, one := split(first, 5)
	rootTwo, two := split(second, 5)
	if one != 0 || two != 1 || !bytes.Equal(rootOne, rootTwo) {
		t.Errorf("lower leaves %d and %d: the tree was not parked", one, two)
	}
}

// Stopped while clients sign: what they got is all that was used, and nothing is lost.
func TestStopUnderLoad(t *testing.T) {
	const h10 = 6 // LMS_SHA256_M32_H10
	dir := tokenFolderWith(t, h10)
	b := start(t, dir, nil)
	var (
		mu     sync.Mutex
		leaves = map[uint32]bool{}
		root   []byte
		all    sync.WaitGroup
	)
	keep := func(signature []byte) {
		mu.Lock()
		defer mu.Unlock()
		r, leaf := split(signature, 10)
		if root == nil {
			root = r
		}
		if leaves[leaf] || !bytes.Equal(r, root) {
			t.Errorf("lower leaf %d came twice, or another root leaf was used", leaf)
		}
		leaves[leaf] = true
	}
	for range 3 {
		c := b.client()
		th := c.thread()
		h := th.login()
		key := th.key(h)
		all.Go(func() {
			for {
				rv, _, err := th.line.Call(number("C_SignInit"), body(h, wire.Mechanism{Form: wire.MechanismBare, Type: ck.CKM_HSS}, key))
				if rv != ck.CKR_OK || err != nil {
					return
				}
				rv, answer, err := th.line.Call(number("C_Sign"), body(h, "message", wire.Output{Room: 1 << 20}))
				if rv != ck.CKR_OK || err != nil {
					return
				}
				keep(answer[12:])
			}
		})
	}
	b.until("some signatures", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(leaves) > 50
	})
	b.stop()
	all.Wait()
	used := len(leaves)
	if used == 0 || used > 1000 {
		t.Fatalf("%d signatures show nothing", used)
	}
	b = start(t, dir, nil)
	th := b.client().thread()
	h := th.login()
	keep(th.sign(h, "afterwards"))
	// A call under way whose answer was cut off may have used its leaf: three clients, three leaves.
	if _, last := split(th.sign(h, "afterwards"), 10); int(last) > used+1+3 {
		t.Errorf("leaf %d after %d signatures", last, used)
	}
}

// split takes the root's signature and the number of the lower leaf out of an HSS signature of two SHA-256/W8 levels.
func split(s []byte, height int) (root []byte, leaf uint32) {
	signature := 4 + (4 + 32 + 34*32) + 4 + height*32
	public := 4 + 4 + 16 + 32
	return s[4 : 4+signature], binary.BigEndian.Uint32(s[4+signature+public:])
}

// Who is of another build is told so; an operator of another build is served.
func TestOtherBuilds(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	for name, change := range map[string]func(hello []byte){
		"version": func(h []byte) { h[8]++ }, "table": func(h []byte) { h[16]++ },
	} {
		for _, kind := range []uint32{wire.KindApplication, wire.KindJoin, wire.KindOperator} {
			hello := wire.Hello{Kind: kind}.Encode()
			change(hello)
			c := b.raw()
			if _, err := c.Write(hello); err != nil {
				t.Fatal(err)
			}
			w, _, _, err := wire.ReadWelcome(c)
			if err != nil {
				t.Fatal(err)
			}
			served := name == "table" && kind == wire.KindOperator
			if served != (w.Status == wire.StatusOK) {
				t.Errorf("other %s, kind %d: %+v", name, kind, w)
			}
			if !served && (w.Status != wire.StatusMismatch || !strings.Contains(w.Text, "install both from one build and restart the daemon") ||
				!strings.Contains(w.Text, "onceleafd test, process")) {
				t.Errorf("other %s, kind %d: %+v", name, kind, w)
			}
		}
	}
}

// Two processes would be two applications; here they are two control connections.
func TestClientsAreApart(t *testing.T) {
	b := start(t, tokenFolder(t), nil)
	one, two := b.client(), b.client()
	a, z := one.thread(), two.thread()
	h := a.login()
	a.must("C_GetSessionInfo", h)
	z.want(ck.CKR_SESSION_HANDLE_INVALID, "C_GetSessionInfo", h)
	other := z.open()
	z.must("C_FindObjectsInit", other, []wire.Attribute{{Type: ck.CKA_CLASS, Value: binary.LittleEndian.AppendUint64(nil, uint64(ck.CKO_PRIVATE_KEY))}})
	if found := z.must("C_FindObjects", other, 10); binary.LittleEndian.Uint32(found) > 0 {
		t.Error("private objects are seen without login")
	}
	z.must("C_FindObjectsFinal", other)
	one.finalize()
	z.must("C_Login", other, uint64(ck.CKU_USER), userPIN)
	z.sign(other, "two")
}

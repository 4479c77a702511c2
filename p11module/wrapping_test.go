package p11module

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

var (
	partition = Mechanism{Type: ck.CKM_ONCELEAF_PARTITION}
	receipt   = Mechanism{Type: ck.CKM_ONCELEAF_RECEIPT}
)

// ceremony is a transfer between the tokens in slots 0 and 1 of one module.
type ceremony struct {
	*bench
	source, destination ck.SessionHandle
	key, pub            ck.ObjectHandle // at the source
	transferPublic      ck.ObjectHandle // at the destination
	transfer            ck.ObjectHandle
	request             ck.ObjectHandle // at the source
	audit               *audit
}

func newCeremony(t *testing.T, scheme []byte) *ceremony {
	t.Helper()
	b := newTokenBench(t)
	b.makeToken(1, "destination")
	c := &ceremony{bench: b, source: b.userSession(0), destination: b.userSession(1)}
	public, private := templates(true, "root", h5w8, h5w8)
	var rv ck.RV
	c.pub, c.key, rv = b.m.GenerateKeyPair(c.source, generation, public, append(private, Attribute{Type: ck.CKA_ONCELEAF_TRANSFERABLE, Value: truth(true)}))
	b.must(rv)
	c.audit = b.audit(c.source, c.pub)
	c.ask(scheme)
	return c
}

// ask makes a request at the destination and takes it to the source.
func (c *ceremony) ask(scheme []byte) {
	c.Helper()
	var rv ck.RV
	c.transferPublic, c.transfer, rv = c.m.GenerateKeyPair(c.destination, Mechanism{Type: ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN, Parameter: scheme}, nil, nil)
	c.must(rv)
	c.request, rv = c.m.CreateObject(c.source, requestTemplate(c.value(c.destination, c.transferPublic, ck.CKA_VALUE)))
	c.must(rv)
}

func requestTemplate(text []byte) []Attribute {
	return []Attribute{
		{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PUBLIC_KEY)}, {Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_ONCELEAF_TRANSFER)}, {Type: ck.CKA_VALUE, Value: text},
	}
}

func (c *ceremony) give(mechanism Mechanism) []byte {
	c.Helper()
	capsule, length, rv := c.m.WrapKey(c.source, mechanism, c.request, c.key, Output{Room: 1 << 20})
	c.must(rv)
	if uint64(len(capsule)) != length {
		c.Errorf("%d bytes, length %d", len(capsule), length)
	}
	return capsule
}

func (c *ceremony) receive(capsule []byte, template ...Attribute) (ck.ObjectHandle, ck.RV) {
	return c.m.UnwrapKey(c.destination, partition, c.transfer, capsule, template)
}

// ledger is CKA_ONCELEAF_STATE.
type ledger struct {
	Status        string              `json:"status"`
	Exhausted     bool                `json:"exhausted"`
	Generation    uint64              `json:"generation"`
	Levels        []string            `json:"levels"`
	Remaining     uint64              `json:"remaining"`
	Capacity      uint64              `json:"capacity"`
	Low           bool                `json:"low"`
	WarnBelow     uint64              `json:"warnBelow"`
	Reserve       uint64              `json:"reserve"`
	RootRemaining uint64              `json:"rootRemaining"`
	Free          []keystore.Span     `json:"free"`
	Given         []keystore.Transfer `json:"given"`
	Received      []keystore.Transfer `json:"received"`
	Guard         string              `json:"guard"`
}

func (b *bench) ledger(h ck.SessionHandle, key ck.ObjectHandle) (l ledger) {
	b.Helper()
	decoder := json.NewDecoder(bytes.NewReader(b.value(h, key, ck.CKA_ONCELEAF_STATE)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil {
		b.Fatal(err)
	}
	return l
}

func TestCeremony(t *testing.T) {
	for name, scheme := range map[string][]byte{
		"default": nil, "HPKE": ulong(ck.TRANSFER_HPKE), "RSA": ulong(ck.TRANSFER_RSA),
	} {
		t.Run(name, func(t *testing.T) {
			c := newCeremony(t, scheme)
			c.audit.check("before", c.sign(c.source, c.key, "before"))
			here, there := c.value(c.source, c.request, ck.CKA_ONCELEAF_FINGERPRINT), c.value(c.destination, c.transferPublic, ck.CKA_ONCELEAF_FINGERPRINT)
			if !bytes.Equal(here, there) || len(here) != 24 || !bytes.Equal(there, c.value(c.destination, c.transfer, ck.CKA_ONCELEAF_FINGERPRINT)) {
				t.Errorf("fingerprints %q, %q", here, there)
			}
			total := c.ledger(c.source, c.key).RootRemaining
			capsule := c.give(partition)
			key, rv := c.receive(capsule, Attribute{Type: ck.CKA_LABEL, Value: []byte("half")}, Attribute{Type: ck.CKA_ID, Value: []byte{7}})
			c.must(rv)
			c.checkReceived(key, total)
			c.checkAcknowledgement(key)
			for i := range 40 {
				message := fmt.Sprint(i)
				c.audit.check(message, c.sign(c.source, c.key, message))
				c.audit.check(message, c.sign(c.destination, key, message))
			}
		})
	}
}

func (c *ceremony) checkReceived(key ck.ObjectHandle, total uint64) {
	c.Helper()
	source, destination := c.ledger(c.source, c.key), c.ledger(c.destination, key)
	if source.RootRemaining+destination.RootRemaining != total || destination.RootRemaining != total/2 {
		c.Errorf("%d and %d root leaves of %d", source.RootRemaining, destination.RootRemaining, total)
	}
	if len(source.Given) != 1 || source.Given[0].Acknowledged || len(destination.Received) != 1 || source.Guard != "none" || source.Status != "active" {
		c.Errorf("%+v, %+v", source, destination)
	}
	for attribute, want := range map[ck.AttributeType][]byte{
		ck.CKA_LABEL: []byte("half"), ck.CKA_ID: {7}, ck.CKA_LOCAL: truth(false), ck.CKA_TOKEN: truth(true),
		ck.CKA_PRIVATE: truth(true), ck.CKA_SENSITIVE: truth(true), ck.CKA_EXTRACTABLE: truth(false),
		ck.CKA_NEVER_EXTRACTABLE: truth(false), ck.CKA_ALWAYS_SENSITIVE: truth(false), ck.CKA_SIGN: truth(true),
		ck.CKA_KEY_GEN_MECHANISM: ulong(ck.UNAVAILABLE), ck.CKA_ONCELEAF_TRANSFERABLE: truth(true),
		ck.CKA_PUBLIC_KEY_INFO: c.value(c.source, c.key, ck.CKA_PUBLIC_KEY_INFO),
	} {
		if got := c.value(c.destination, key, attribute); !bytes.Equal(got, want) {
			c.Errorf("%s: %x, want %x", attribute, got, want)
		}
	}
	c.want(ck.CKR_KEY_HANDLE_INVALID, c.m.SignInit(c.source, hss, key)) // the same key at another token has another handle
	c.want(ck.CKR_KEY_HANDLE_INVALID, c.m.SignInit(c.destination, hss, c.key))
	pub := c.one(c.destination, Attribute{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PUBLIC_KEY)}) // the transfer key is gone
	if string(c.value(c.destination, pub, ck.CKA_LABEL)) != "half" || !bytes.Equal(c.value(c.destination, pub, ck.CKA_VALUE), c.value(c.source, c.pub, ck.CKA_VALUE)) {
		c.Error("the public key is not the one of the received key")
	}
	c.want(ck.CKR_OBJECT_HANDLE_INVALID, c.m.DestroyObject(c.destination, c.transfer))
}

func (c *ceremony) checkAcknowledgement(key ck.ObjectHandle) {
	c.Helper()
	text := c.value(c.destination, key, ck.CKA_ONCELEAF_RECEIPT)
	if len(c.value(c.source, c.key, ck.CKA_ONCELEAF_RECEIPT)) != 0 {
		c.Error("the source has a receipt")
	}
	altered := bytes.Replace(text, []byte(`"proof": "`), []byte(`"proof": "A`), 1)
	for _, bad := range [][]byte{nil, []byte("{}"), altered, text[:len(text)-2]} {
		_, rv := c.m.UnwrapKey(c.source, receipt, c.key, bad, nil)
		c.want(ck.CKR_WRAPPED_KEY_INVALID, rv)
	}
	_, rv := c.m.UnwrapKey(c.source, receipt, c.pub, text, nil)
	c.want(ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, rv)
	_, rv = c.m.UnwrapKey(c.source, Mechanism{Type: ck.CKM_ONCELEAF_RECEIPT, Parameter: []byte{1}}, c.key, text, nil)
	c.want(ck.CKR_MECHANISM_PARAM_INVALID, rv)
	_, rv = c.m.UnwrapKey(c.destination, receipt, key, text, nil)
	c.want(ck.CKR_WRAPPED_KEY_INVALID, rv) // the destination gave nothing
	if c.ledger(c.source, c.key).Given[0].Acknowledged {
		c.Error("a bad receipt was taken")
	}
	for range 2 { // to repeat it is no error
		same, rv := c.m.UnwrapKey(c.source, receipt, c.key, text, nil)
		c.must(rv)
		if same != c.key {
			c.Errorf("handle %d, want that of the key, %d", same, c.key)
		}
	}
	if !c.ledger(c.source, c.key).Given[0].Acknowledged {
		c.Error("the receipt was not taken")
	}
	_, _, rv = c.m.WrapKey(c.source, partition, c.request, c.key, Output{Room: 1 << 20})
	c.want(ck.CKR_WRAPPING_KEY_HANDLE_INVALID, rv)
}

func TestWrapCostsNothingUntilItGives(t *testing.T) {
	c := newCeremony(t, nil)
	before := c.ledger(c.source, c.key)
	unchanged := func(what string) {
		t.Helper()
		if now := c.ledger(c.source, c.key); now.Generation != before.Generation || now.RootRemaining != before.RootRemaining {
			t.Errorf("%s changed the key", what)
		}
	}
	_, length, rv := c.m.WrapKey(c.source, partition, c.request, c.key, Output{Query: true})
	c.must(rv)
	unchanged("a length query")
	capsule, again, rv := c.m.WrapKey(c.source, partition, c.request, c.key, Output{Room: length - 1})
	c.want(ck.CKR_BUFFER_TOO_SMALL, rv)
	if capsule != nil || again != length {
		t.Errorf("%d bytes, length %d, want %d", len(capsule), again, length)
	}
	unchanged("a short buffer")
	capsule, _, rv = c.m.WrapKey(c.source, partition, c.request, c.key, Output{Room: length})
	c.must(rv)
	if uint64(len(capsule)) != length {
		t.Errorf("%d bytes, %d were announced", len(capsule), length)
	}
	before = c.ledger(c.source, c.key)
	if !bytes.Equal(c.give(partition), capsule) {
		t.Error("the same request gave another capsule")
	}
	c.sign(c.source, c.key, "moves the lowest leaf")
	before = c.ledger(c.source, c.key)
	if !bytes.Equal(c.give(partition), capsule) {
		t.Error("the same request gave another capsule after a signature")
	}
	unchanged("to ask again")
}

func TestWrapRefusals(t *testing.T) {
	c := newCeremony(t, nil)
	plainPub, plain := c.generate(c.source, true, h5w8)
	_, session := c.generate(c.source, false, h5w8)
	_, ownTransfer, rv := c.m.GenerateKeyPair(c.source, Mechanism{Type: ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN}, nil, nil)
	c.must(rv)
	ownRequest := c.one(c.source, Attribute{Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_ONCELEAF_TRANSFER)}, Attribute{Type: ck.CKA_TOKEN, Value: truth(true)}, Attribute{Type: ck.CKA_WRAP, Value: truth(true)})
	noWrap, rv := c.m.CreateObject(c.source, append(requestTemplate(c.value(c.source, c.request, ck.CKA_VALUE)), Attribute{Type: ck.CKA_WRAP, Value: truth(false)}))
	c.must(rv)
	before := c.ledger(c.source, c.key).RootRemaining
	for _, w := range []struct {
		name          string
		mechanism     Mechanism
		wrapping, key ck.ObjectHandle
		want          ck.RV
	}{
		{"another mechanism", Mechanism{Type: ck.CKM_AES_KEY_WRAP}, c.request, c.key, ck.CKR_KEY_UNEXTRACTABLE},
		{"another mechanism, no wrapping key", Mechanism{Type: ck.CKM_AES_KEY_WRAP}, 0, plain, ck.CKR_WRAPPING_KEY_HANDLE_INVALID},
		{"a mechanism that only unwraps", receipt, c.request, c.key, ck.CKR_KEY_UNEXTRACTABLE},
		{"another mechanism, public key", Mechanism{Type: ck.CKM_AES_KEY_WRAP}, c.request, c.pub, ck.CKR_KEY_NOT_WRAPPABLE},
		{"not transferable", partition, c.request, plain, ck.CKR_KEY_UNEXTRACTABLE},
		{"session key", partition, c.request, session, ck.CKR_KEY_UNEXTRACTABLE},
		{"transfer key", partition, c.request, ownTransfer, ck.CKR_KEY_UNEXTRACTABLE},
		{"public key", partition, c.request, plainPub, ck.CKR_KEY_NOT_WRAPPABLE},
		{"no such key", partition, c.request, 99, ck.CKR_KEY_HANDLE_INVALID},
		{"no such request", partition, 99, c.key, ck.CKR_WRAPPING_KEY_HANDLE_INVALID},
		{"a key for a request", partition, c.pub, c.key, ck.CKR_WRAPPING_KEY_TYPE_INCONSISTENT},
		{"its own request", partition, ownRequest, c.key, ck.CKR_WRAPPING_KEY_HANDLE_INVALID},
		{"CKA_WRAP is FALSE", partition, noWrap, c.key, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"parameter of another length", Mechanism{Type: ck.CKM_ONCELEAF_PARTITION, Parameter: []byte{1}}, c.request, c.key, ck.CKR_MECHANISM_PARAM_INVALID},
		{"no leaves", Mechanism{Type: ck.CKM_ONCELEAF_PARTITION, Parameter: ulong(uint64(0))}, c.request, c.key, ck.CKR_MECHANISM_PARAM_INVALID},
		{"too many leaves", Mechanism{Type: ck.CKM_ONCELEAF_PARTITION, Parameter: ulong(before + 1)}, c.request, c.key, ck.CKR_KEY_EXHAUSTED},
		{"endless leaves", Mechanism{Type: ck.CKM_ONCELEAF_PARTITION, Parameter: ulong(^uint64(0))}, c.request, c.key, ck.CKR_KEY_EXHAUSTED},
	} {
		for _, out := range []Output{{Query: true}, {Room: 1 << 20}} {
			wrapped, _, rv := c.m.WrapKey(c.source, w.mechanism, w.wrapping, w.key, out)
			if rv != w.want || wrapped != nil {
				t.Errorf("%s: %d bytes, %s, want %s", w.name, len(wrapped), rv.Error(), w.want.Error())
			}
		}
	}
	if now := c.ledger(c.source, c.key).RootRemaining; now != before {
		t.Errorf("%d root leaves are left of %d", now, before)
	}
}

// The number of leaves that is asked for is given, down to the last two.
func TestGivingCounts(t *testing.T) {
	c := newCeremony(t, nil)
	left := c.ledger(c.source, c.key).RootRemaining
	for _, count := range []uint64{1, 5, left - 8} {
		c.give(Mechanism{Type: ck.CKM_ONCELEAF_PARTITION, Parameter: ulong(count)})
		left -= count
		if now := c.ledger(c.source, c.key).RootRemaining; now != left {
			t.Fatalf("%d root leaves, want %d", now, left)
		}
		c.ask(nil)
	}
	c.give(partition) // one of two
	c.ask(nil)
	_, _, rv := c.m.WrapKey(c.source, partition, c.request, c.key, Output{Room: 1 << 20})
	c.want(ck.CKR_KEY_EXHAUSTED, rv)
}

func TestBadCapsules(t *testing.T) {
	c := newCeremony(t, nil)
	capsule := c.give(partition)
	otherTransfer := c.transfer
	c.ask(nil) // another request: the capsule is not for its key
	newer := c.transfer
	c.transfer = otherTransfer
	altered := func(old, new string) []byte {
		t.Helper()
		text := strings.Replace(string(capsule), old, new, 1)
		if text == string(capsule) {
			t.Fatalf("nothing to replace: %s", old)
		}
		return []byte(text)
	}
	sealed := strings.Index(string(capsule), `"sealed": "`) + len(`"sealed": "`)
	flipped := bytes.Clone(capsule)
	if flipped[sealed+20] == 'A' {
		flipped[sealed+20] = 'B'
	} else {
		flipped[sealed+20] = 'A'
	}
	for name, bad := range map[string][]byte{
		"empty":             nil,
		"not JSON":          []byte("capsule"),
		"truncated":         capsule[:len(capsule)/2],
		"cut by one":        capsule[:len(capsule)-1],
		"longer":            append(bytes.Clone(capsule), '\n'),
		"other leaves":      altered(`"from": 16`, `"from": 15`),
		"source's label":    altered(`"label": "bench"`, `"label": "eve"`),
		"secret is flipped": flipped,
	} {
		if key, rv := c.receive(bad); rv != ck.CKR_WRAPPED_KEY_INVALID || key != 0 {
			t.Errorf("%s: %s", name, rv.Error())
		}
	}
	c.transfer = newer
	_, rv := c.receive(capsule)
	c.want(ck.CKR_WRAPPED_KEY_INVALID, rv) // for another request of the same token
	c.transfer = otherTransfer
	c.want(ck.CKR_WRAPPED_KEY_INVALID, second(c.m.UnwrapKey(c.destination, partition, newer, capsule, nil)))
	c.want(ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID, second(c.m.UnwrapKey(c.destination, partition, 99, capsule, nil)))
	c.want(ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, second(c.m.UnwrapKey(c.destination, partition, c.transferPublic, capsule, nil)))
	c.want(ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, second(c.m.UnwrapKey(c.destination, Mechanism{Type: ck.CKM_AES_KEY_WRAP}, c.transfer, capsule, nil)))
	c.want(ck.CKR_MECHANISM_INVALID, second(c.m.UnwrapKey(c.destination, Mechanism{Type: ck.CKM_AES_CTR}, c.transfer, capsule, nil)))
	c.want(ck.CKR_MECHANISM_PARAM_INVALID, second(c.m.UnwrapKey(c.destination, Mechanism{Type: ck.CKM_ONCELEAF_PARTITION, Parameter: []byte{1}}, c.transfer, capsule, nil)))
	ro := c.open(1, false)
	c.want(ck.CKR_SESSION_READ_ONLY, second(c.m.UnwrapKey(ro, partition, c.transfer, capsule, nil)))
	for _, a := range []Attribute{
		{Type: ck.CKA_TOKEN, Value: truth(false)}, {Type: ck.CKA_EXTRACTABLE, Value: truth(true)}, {Type: ck.CKA_HSS_LEVELS, Value: ulong(uint64(2))},
		{Type: ck.CKA_COPYABLE, Value: truth(true)}, {Type: ck.CKA_VALUE, Value: []byte("x")}, {Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PUBLIC_KEY)},
		{Type: ck.CKA_ONCELEAF_RESERVE, Value: ulong(uint64(33))}, // more than the leaves of the lowest tree
	} {
		_, rv := c.receive(capsule, a)
		if rv != ck.CKR_TEMPLATE_INCONSISTENT {
			t.Errorf("%s: %s", a.Type, rv.Error())
		}
	}
	if found := c.find(c.destination, Attribute{Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_HSS)}); len(found) != 0 {
		t.Fatalf("refused capsules left %d objects", len(found))
	}
	key, rv := c.receive(capsule) // all the while the right one is still good, once
	c.must(rv)
	c.audit.check("m", c.sign(c.destination, key, "m"))
	_, rv = c.receive(capsule)
	c.want(ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID, rv)
}

// A capsule for one token is worth nothing to a third, even with a request of the same text.
func TestCapsuleForAnotherToken(t *testing.T) {
	c := newCeremony(t, nil)
	capsule := c.give(partition)
	c.makeToken(2, "third")
	h := c.userSession(2)
	_, transfer, rv := c.m.GenerateKeyPair(h, Mechanism{Type: ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN}, nil, nil)
	c.must(rv)
	_, rv = c.m.UnwrapKey(h, partition, transfer, capsule, nil)
	c.want(ck.CKR_WRAPPED_KEY_INVALID, rv)
}

// Leaves that were here do not come back: not to the source, not after destruction, not after exhaustion.
func TestLeavesDoNotComeBack(t *testing.T) {
	for _, end := range []string{"destroyed", "exhausted"} {
		t.Run(end, func(t *testing.T) {
			c := newCeremony(t, nil)
			capsule := c.give(Mechanism{Type: ck.CKM_ONCELEAF_PARTITION, Parameter: ulong(uint64(1))})
			saved := c.saveShelf(1)
			key, rv := c.receive(capsule)
			c.must(rv)
			switch end {
			case "destroyed":
				c.must(c.m.DestroyObject(c.destination, key))
			case "exhausted":
				for i := range 32 {
					c.audit.check(fmt.Sprint(i), c.sign(c.destination, key, fmt.Sprint(i)))
				}
				c.want(ck.CKR_KEY_EXHAUSTED, c.m.SignInit(c.destination, hss, key))
				if now := c.ledger(c.destination, key); !now.Exhausted || !now.Low || now.Status != "active" || now.Capacity != 32 {
					t.Errorf("%+v", now)
				}
			}
			// The transfer key is put back, as somebody would who has a copy of the store's small values.
			c.restoreShelf(1, saved)
			transfer := c.one(c.destination, Attribute{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PRIVATE_KEY)}, Attribute{Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_ONCELEAF_TRANSFER)})
			_, rv = c.m.UnwrapKey(c.destination, partition, transfer, capsule, nil)
			c.want(ck.CKR_WRAPPED_KEY_INVALID, rv)
			for _, key := range c.find(c.destination, Attribute{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PRIVATE_KEY)}, Attribute{Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_HSS)}) {
				c.want(ck.CKR_KEY_EXHAUSTED, c.m.SignInit(c.destination, hss, key))
			}
		})
	}
}

// More leaves can come to a key that is here, and to one that was destroyed.
func TestMoreLeavesCome(t *testing.T) {
	c := newCeremony(t, nil)
	one := Mechanism{Type: ck.CKM_ONCELEAF_PARTITION, Parameter: ulong(uint64(1))}
	key, rv := c.receive(c.give(one), Attribute{Type: ck.CKA_LABEL, Value: []byte("first")}, Attribute{Type: ck.CKA_ONCELEAF_RESERVE, Value: ulong(uint64(4))})
	c.must(rv)
	c.ask(nil)
	same, rv := c.receive(c.give(one), Attribute{Type: ck.CKA_LABEL, Value: []byte("second")}, Attribute{Type: ck.CKA_ONCELEAF_RESERVE, Value: ulong(uint64(8))})
	c.must(rv)
	if reserve := c.ledger(c.destination, key).Reserve; reserve != 4 {
		t.Errorf("batches of %d leaves: a key that is here keeps its own", reserve)
	}
	if same != key || string(c.value(c.destination, key, ck.CKA_LABEL)) != "first" || c.remaining(c.destination, key) != 64 {
		t.Errorf("handle %d, label %q, %d left", same, c.value(c.destination, key, ck.CKA_LABEL), c.remaining(c.destination, key))
	}
	c.must(c.m.DestroyObject(c.destination, key))
	c.one(c.destination) // its public key stays
	c.ask(nil)
	again, rv := c.receive(c.give(one), Attribute{Type: ck.CKA_LABEL, Value: []byte("third")})
	c.must(rv)
	if again == key || string(c.value(c.destination, again, ck.CKA_LABEL)) != "third" || c.remaining(c.destination, again) != 32 {
		t.Errorf("handle %d, %d left", again, c.remaining(c.destination, again))
	}
	if found := c.find(c.destination); len(found) != 2 {
		t.Errorf("%d objects, want the pair", len(found))
	}
	c.audit.check("m", c.sign(c.destination, again, "m"))
}

func TestCeremonyOverRestarts(t *testing.T) {
	c := newCeremony(t, nil)
	capsule := c.give(partition)
	text := c.value(c.destination, c.transferPublic, ck.CKA_VALUE)
	c.restart()
	c.source, c.destination = c.userSession(0), c.userSession(1)
	c.key = c.privateKey(c.source)
	var rv ck.RV
	c.request, rv = c.m.CreateObject(c.source, requestTemplate(text))
	c.must(rv)
	if !bytes.Equal(c.give(partition), capsule) {
		t.Error("another capsule after a restart")
	}
	c.transfer = c.one(c.destination, Attribute{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PRIVATE_KEY)})
	_, rv = c.receive(capsule)
	c.must(rv)
	c.restart()
	c.source, c.destination = c.userSession(0), c.userSession(1)
	key := c.privateKey(c.destination)
	c.audit.check("m", c.sign(c.destination, key, "m"))
	_, rv = c.m.UnwrapKey(c.source, receipt, c.privateKey(c.source), c.value(c.destination, key, ck.CKA_ONCELEAF_RECEIPT), nil)
	c.must(rv)
}

func TestTransferKeys(t *testing.T) {
	b, h := newUserBench(t)
	generate := func(h ck.SessionHandle, parameter []byte, public, private []Attribute) ck.RV {
		_, _, rv := b.m.GenerateKeyPair(h, Mechanism{Type: ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN, Parameter: parameter}, public, private)
		return rv
	}
	b.want(ck.CKR_MECHANISM_PARAM_INVALID, generate(h, []byte{1}, nil, nil))
	b.want(ck.CKR_MECHANISM_PARAM_INVALID, generate(h, ulong(uint64(3)), nil, nil))
	b.want(ck.CKR_TEMPLATE_INCONSISTENT, generate(h, nil, nil, []Attribute{{Type: ck.CKA_PRIVATE, Value: truth(false)}}))
	b.want(ck.CKR_TEMPLATE_INCONSISTENT, generate(h, nil, nil, []Attribute{{Type: ck.CKA_EXTRACTABLE, Value: truth(true)}}))
	b.want(ck.CKR_TEMPLATE_INCONSISTENT, generate(h, nil, []Attribute{{Type: ck.CKA_VALUE, Value: []byte("x")}}, nil))
	ro := b.open(0, false)
	b.want(ck.CKR_SESSION_READ_ONLY, generate(ro, nil, nil, nil))
	session := []Attribute{{Type: ck.CKA_TOKEN, Value: truth(false)}}
	b.must(generate(ro, nil, session, session))
	b.must(b.m.CloseSession(ro))
	if found := b.find(h); len(found) != 0 {
		t.Errorf("%d objects are left of a session", len(found))
	}
	b.must(b.m.Logout(h))
	b.want(ck.CKR_USER_NOT_LOGGED_IN, generate(h, nil, nil, nil))
	b.login(h)
	b.must(generate(h, nil, nil, nil))
	key := b.one(h, Attribute{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PRIVATE_KEY)})
	results, rv := b.m.GetAttributeValue(h, key, []AttributeQuery{{Type: ck.CKA_VALUE, Output: Output{Room: 1 << 20}}})
	if rv != ck.CKR_ATTRIBUTE_SENSITIVE || results[0].Value != nil || results[0].Length != ck.UNAVAILABLE {
		t.Errorf("%+v, %s", results[0], rv.Error())
	}
}

// saveShelf copies the small values of a token's store; restoreShelf puts them back. The module is off meanwhile.
func (c *ceremony) saveShelf(slot ck.SlotID) map[string][]byte {
	c.Helper()
	saved := map[string][]byte{}
	c.offline(slot, func(shelf keystore.Shelf) error {
		names, err := shelf.Names("object/")
		for _, name := range names {
			if saved[name], err = shelf.Read(name); err != nil {
				return err
			}
		}
		return err
	})
	if len(saved) == 0 {
		c.Fatal("nothing to save")
	}
	c.transfer = c.one(c.destination, Attribute{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PRIVATE_KEY)})
	return saved
}

func (c *ceremony) restoreShelf(slot ck.SlotID, saved map[string][]byte) {
	c.Helper()
	c.offline(slot, func(shelf keystore.Shelf) error { return shelf.Write(saved) })
}

func (c *ceremony) offline(slot ck.SlotID, work func(keystore.Shelf) error) {
	c.Helper()
	info, rv := c.m.GetTokenInfo(slot)
	c.must(rv)
	c.must(c.m.Finalize(false))
	store, err := keystore.OpenBolt(filepath.Join(c.dir, "tokens", info.Serial+".db"), info.Serial)
	if err != nil {
		c.Fatal(err)
	}
	if err := errors.Join(work(store), store.Close()); err != nil {
		c.Fatal(err)
	}
	c.must(c.m.Initialize(nil))
	c.source, c.destination = c.userSession(0), c.userSession(1)
}

// One request is answered by one key, even if two are asked at once; the other capsule would never open.
func TestOneRequestTwoKeysAtOnce(t *testing.T) {
	c := newCeremony(t, nil)
	public, private := templates(true, "other", h5w8)
	_, other, rv := c.m.GenerateKeyPair(c.source, generation, public, append(private, Attribute{Type: ck.CKA_ONCELEAF_TRANSFERABLE, Value: truth(true)}))
	c.must(rv)
	for range 5 {
		answers := make(chan ck.RV)
		for _, key := range []ck.ObjectHandle{c.key, other} {
			go func() {
				_, _, rv := c.m.WrapKey(c.source, Mechanism{Type: partition.Type, Parameter: ulong(uint64(1))}, c.request, key, Output{Room: 1 << 20})
				answers <- rv
			}()
		}
		if a, b := <-answers, <-answers; (a == ck.CKR_OK) == (b == ck.CKR_OK) {
			t.Fatalf("answers %s and %s", a.Error(), b.Error())
		}
		c.ask(nil)
	}
}

func TestWrapNeedsAReadWriteSession(t *testing.T) {
	c := newCeremony(t, nil)
	before := c.ledger(c.source, c.key).Generation
	_, _, rv := c.m.WrapKey(c.open(0, false), partition, c.request, c.key, Output{Room: 1 << 20})
	c.want(ck.CKR_SESSION_READ_ONLY, rv)
	if after := c.ledger(c.source, c.key).Generation; after != before {
		t.Error("the key changed")
	}
}

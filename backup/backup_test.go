package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/audit"
	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

var setH5W4 = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W4}

// device is a token as far as this package sees one.
type device struct {
	*keystore.Keystore
	t    *testing.T
	self Party
}

func newDevice(t *testing.T, name string) *device {
	t.Helper()
	ks, err := keystore.NewSession(slog.New(slog.DiscardHandler))
	must(t, err)
	ks.Unlock(keystore.NewMasterKey())
	return &device{ks, t, Party{Serial: "serial-of-" + name, Label: name}}
}

func blob(lms.HSSPublicKey) []byte { return []byte("attributes") }

func (d *device) generate(levels int) keystore.Identity {
	d.t.Helper()
	id, err := d.Generate(context.Background(), keystore.Spec{
		Levels: slices.Repeat([]lms.ParameterSet{setH5W4}, levels), Transferable: true, Private: blob, Public: blob})
	must(d.t, err)
	return id
}

func (d *device) request(scheme Scheme) *TransferKey {
	d.t.Helper()
	tk, err := NewTransferKey(scheme, d.self)
	must(d.t, err)
	again, err := ParseTransferKey(tk.Secret())
	must(d.t, err)
	return again
}

func (d *device) give(id keystore.Identity, req *Request, count uint64) []byte {
	d.t.Helper()
	size, err := CapsuleSize(d.Keystore, id, req, d.self, count)
	must(d.t, err)
	capsule, err := Partition(context.Background(), d.Keystore, id, req, d.self, count)
	must(d.t, err)
	if len(capsule) != size {
		d.t.Errorf("CapsuleSize says %d bytes, the capsule has %d", size, len(capsule))
	}
	return capsule
}

func (d *device) take(tk *TransferKey, capsule []byte) (keystore.Identity, error) {
	attributes := func(lms.HSSPublicKey, []lms.ParameterSet) []byte { return []byte("imported") }
	return Import(context.Background(), d.Keystore, tk, capsule, d.self, Attributes{Reserve: 2, Private: attributes, Public: attributes})
}

func (d *device) signAll(a *audit.Audit, id keystore.Identity, most int) (n int) {
	d.t.Helper()
	info, err := d.Info(id)
	must(d.t, err)
	for n = range most {
		message := fmt.Appendf(nil, "%s %d", d.self.Label, n)
		signature, err := d.Sign(context.Background(), id, message)
		if errors.Is(err, keystore.ErrExhausted) {
			return n
		}
		must(d.t, err)
		must(d.t, a.Add(info.PublicKey, message, signature))
	}
	return most
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCeremony divides keys of one, two and three levels, with both schemes,
// twice, and lets all three tokens sign.
func TestCeremony(t *testing.T) {
	for _, scheme := range []Scheme{SchemeHPKE, SchemeRSA} {
		for levels := 1; levels <= 3; levels++ {
			t.Run(fmt.Sprintf("%s L=%d", scheme, levels), func(t *testing.T) {
				a, b, c := newDevice(t, "a"), newDevice(t, "b"), newDevice(t, "c")
				id := a.generate(levels)
				auditor := &audit.Audit{}
				a.signAll(auditor, id, 3)
				first := hand(t, a, b, id, scheme, 0)
				if info, err := b.Info(id); err != nil || info.Reserve != 2 {
					t.Errorf("batches of %d leaves (%v), want the destination's choice", info.Reserve, err)
				}
				b.signAll(auditor, id, 3)
				second := hand(t, b, c, id, scheme, 5)
				third := hand(t, a, c, id, scheme, 4)
				if first+second+third == 0 {
					t.Fatal("nothing was given")
				}
				for _, d := range []*device{a, b, c} {
					d.signAll(auditor, id, 70)
				}
				if levels == 1 && auditor.Signatures() != 32 {
					t.Errorf("%d signatures of a key with 32 leaves", auditor.Signatures())
				}
			})
		}
	}
}

// hand runs one whole ceremony and reports how many root leaves went over.
func hand(t *testing.T, from, to *device, id keystore.Identity, scheme Scheme, count uint64) uint64 {
	t.Helper()
	before, _ := from.Info(id)
	tk := to.request(scheme)
	capsule := from.give(id, tk.Request(), count)
	if again := from.give(id, tk.Request(), count); !bytes.Equal(again, capsule) {
		t.Fatal("the same request gave another capsule")
	}
	got, err := to.take(tk, capsule)
	must(t, err)
	if got != id {
		t.Fatalf("imported %s, want %s", got, id)
	}
	after, _ := from.Info(id)
	there, _ := to.Info(id)
	receipt, err := ParseReceipt(there.Receipt)
	must(t, err)
	if receipt.ID() != tk.Request().ID() {
		t.Error("the receipt names another transfer")
	}
	must(t, Acknowledge(from.Keystore, id, there.Receipt))
	must(t, Acknowledge(from.Keystore, id, there.Receipt)) // to repeat is no error
	if _, err := Partition(t.Context(), from.Keystore, id, tk.Request(), from.self, 0); !errors.Is(err, keystore.ErrAcknowledged) {
		t.Errorf("after the receipt: %v, want ErrAcknowledged", err)
	}
	return before.RootRemaining - after.RootRemaining
}

func TestPartitionRefuses(t *testing.T) {
	a, b := newDevice(t, "a"), newDevice(t, "b")
	id := a.generate(1)
	own, other := a.request(SchemeHPKE).Request(), b.request(SchemeHPKE).Request()
	fixed, err := a.Generate(t.Context(), keystore.Spec{Levels: []lms.ParameterSet{setH5W4}, Private: blob})
	must(t, err)
	elsewhere := b.request(SchemeHPKE).Request()
	a.give(a.generate(1), elsewhere, 2)
	for name, c := range map[string]struct {
		id    keystore.Identity
		req   *Request
		count uint64
		want  error
	}{
		"to itself":             {id, own, 0, ErrNotForUs},
		"more than there are":   {id, other, 33, keystore.ErrExhausted},
		"not made transferable": {fixed, other, 0, keystore.ErrNotTransferable},
		"answered elsewhere":    {id, elsewhere, 0, ErrNotForUs},
		"no such key":           {keystore.Identity{}, other, 0, keystore.ErrNoKey},
	} {
		before, _ := a.Info(c.id)
		bad := Party{a.self.Serial, "two\nlines"}
		if _, err := Partition(t.Context(), a.Keystore, id, other, bad, 1); !errors.Is(err, ErrFormat) {
			t.Errorf("a label that the destination refuses: %v, want ErrFormat", err)
		}
		if _, err := Partition(t.Context(), a.Keystore, c.id, c.req, a.self, c.count); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if _, err := CapsuleSize(a.Keystore, c.id, c.req, a.self, c.count); !errors.Is(err, c.want) {
			t.Errorf("%s: CapsuleSize: %v, want %v", name, err, c.want)
		}
		if after, _ := a.Info(c.id); after.RootRemaining != before.RootRemaining || after.Generation != before.Generation {
			t.Errorf("%s: the key changed", name)
		}
	}
	a.signAll(&audit.Audit{}, id, 31)
	if _, err := Partition(t.Context(), a.Keystore, id, other, a.self, 1); !errors.Is(err, keystore.ErrExhausted) {
		t.Errorf("with one leaf left: %v, want ErrExhausted", err)
	}
	if n := a.signAll(&audit.Audit{}, id, 5); n != 1 {
		t.Errorf("%d signatures afterwards, want 1", n)
	}
}

// TestImportRefuses shows every bad capsule to the destination; after each the
// good one still works, and after that nothing does.
func TestImportRefuses(t *testing.T) {
	for _, scheme := range []Scheme{SchemeHPKE, SchemeRSA} {
		a, b, c := newDevice(t, "a"), newDevice(t, "b"), newDevice(t, "c")
		id := a.generate(2)
		tk, foreign, later := b.request(scheme), c.request(scheme), b.request(scheme)
		capsule := a.give(id, tk.Request(), 4)
		for name, bad := range map[string]struct {
			at      *device
			key     *TransferKey
			capsule []byte
			want    error
		}{
			"empty":                       {b, tk, nil, ErrFormat},
			"cut off":                     {b, tk, capsule[:len(capsule)/2], ErrFormat},
			"without the last byte":       {b, tk, capsule[:len(capsule)-1], ErrFormat},
			"two of them":                 {b, tk, append(bytes.Clone(capsule), capsule...), ErrFormat},
			"another serial":              {b, tk, edit(t, capsule, `"serial-of-a"`, `"serial-of-x"`), ErrAuthentic},
			"another label":               {b, tk, edit(t, capsule, `"label": "a"`, `"label": "z"`), ErrAuthentic},
			"other leaves":                {b, tk, edit(t, capsule, `"from": 28`, `"from": 27`), ErrAuthentic},
			"leaves out of range":         {b, tk, edit(t, capsule, `"to": 32`, `"to": 33`), ErrAuthentic},
			"for somebody else":           {c, foreign, capsule, ErrNotForUs},
			"with a key of a later try":   {b, later, capsule, ErrNotForUs},
			"at another token":            {c, tk, capsule, ErrNotForUs},
			"unknown field":               {b, tk, edit(t, capsule, `"transfer"`, `"extra": 1, "transfer"`), ErrFormat},
			"sealed part altered":         {b, tk, altered(t, capsule, 10), ErrAuthentic},
			"end of sealed part altered":  {b, tk, altered(t, capsule, -1), ErrAuthentic},
			"sealed part shortened":       {b, tk, shortened(t, capsule), ErrAuthentic},
			"another version":             {b, tk, edit(t, capsule, "capsule/1", "capsule/2"), ErrFormat},
			"levels of another key":       {b, tk, edit(t, capsule, `"LMS_SHA256_M32_H5/LMOTS_SHA256_N32_W4",`, `"LMS_SHA256_M32_H5/LMOTS_SHA256_N32_W8",`), ErrFormat},
			"lower level of another type": {b, tk, edit(t, capsule, `W4"`+"\n  ]", `W8"`+"\n  ]"), ErrAuthentic},
		} {
			if _, err := bad.at.take(bad.key, bad.capsule); !errors.Is(err, bad.want) {
				t.Errorf("%s: %s: %v, want %v", scheme, name, err, bad.want)
			}
			if len(bad.at.Keys()) != 0 {
				t.Fatalf("%s: %s: a key appeared", scheme, name)
			}
		}
		_, err := b.take(tk, capsule)
		must(t, err)
		testReplays(t, b, tk, id, capsule)
	}
}

// testReplays shows one good capsule again in every stage of the key's life.
func testReplays(t *testing.T, b *device, tk *TransferKey, id keystore.Identity, capsule []byte) {
	t.Helper()
	replay := func(stage string) {
		t.Helper()
		if _, err := b.take(tk, capsule); !errors.Is(err, keystore.ErrSeen) {
			t.Errorf("replayed %s: %v, want ErrSeen", stage, err)
		}
	}
	auditor := &audit.Audit{}
	replay("at once")
	b.signAll(auditor, id, 1)
	replay("after use")
	if n := b.signAll(auditor, id, 200); n != 4*32-1 {
		t.Errorf("%d signatures from 4 root leaves", n+1)
	}
	replay("after exhaustion")
	must(t, b.Destroy(id))
	replay("after destruction")
}

func TestForgedReceipt(t *testing.T) {
	a, b := newDevice(t, "a"), newDevice(t, "b")
	id := a.generate(1)
	tk := b.request(SchemeHPKE)
	capsule := a.give(id, tk.Request(), 4)
	_, err := b.take(tk, capsule)
	must(t, err)
	info, _ := b.Info(id)
	var fields receiptFields
	must(t, json.Unmarshal(info.Receipt, &fields))
	fields.Proof[0] ^= 1
	forged, err := format(fields)
	must(t, err)
	for name, c := range map[string]struct {
		receipt []byte
		want    error
	}{
		"forged":        {forged, keystore.ErrReceipt},
		"cut off":       {info.Receipt[:20], ErrFormat},
		"other file":    {capsule, ErrFormat},
		"other label":   {edit(t, info.Receipt, `"label": "b"`, `"label": "c"`), keystore.ErrReceipt},
		"other version": {edit(t, info.Receipt, "receipt/1", "receipt/2"), ErrFormat},
	} {
		if err := Acknowledge(a.Keystore, id, c.receipt); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if again := a.give(id, tk.Request(), 4); !bytes.Equal(again, capsule) {
		t.Error("a forged receipt emptied the outbox")
	}
	must(t, Acknowledge(a.Keystore, id, info.Receipt))
}

func TestParseRequestRefuses(t *testing.T) {
	good := newDevice(t, "a").request(SchemeRSA).Request()
	for name, text := range map[string][]byte{
		"empty":            nil,
		"unknown scheme":   edit(t, good.Bytes(), "rsa3072", "rsa1024"),
		"key of no scheme": edit(t, good.Bytes(), string(SchemeRSA), string(SchemeHPKE)),
		"short transfer":   edit(t, good.Bytes(), good.ID(), good.ID()[:30]),
		"upper case":       edit(t, good.Bytes(), good.ID(), strings.Repeat("AB", 16)),
		"long label":       edit(t, good.Bytes(), `"label": "a"`, `"label": "`+strings.Repeat("a", 33)+`"`),
		"control in label": edit(t, good.Bytes(), `"label": "a"`, `"label": "a\u001b"`),
		"blank in serial":  edit(t, good.Bytes(), `"serial-of-a"`, `"serial of a"`),
		"no serial":        edit(t, good.Bytes(), `"serial-of-a"`, `""`),
		"oversized":        append(bytes.Clone(good.Bytes()), bytes.Repeat([]byte(" "), maxFile)...),
	} {
		if _, err := ParseRequest(text); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
	if _, err := ParseTransferKey([]byte("{}")); !errors.Is(err, ErrFormat) {
		t.Errorf("transfer key: %v", err)
	}
}

func TestFingerprint(t *testing.T) {
	if got := fingerprint([]byte("abc")); got != "ba78-16bf-8f01-cfea-4141" {
		t.Errorf("fingerprint of abc: %s", got)
	}
}

// edit replaces text in a file that must hold it.
func edit(t *testing.T, text []byte, old, new string) []byte {
	t.Helper()
	if !bytes.Contains(text, []byte(old)) {
		t.Fatalf("the file has no %s", old)
	}
	return bytes.Replace(text, []byte(old), []byte(new), 1)
}

func altered(t *testing.T, capsule []byte, at int) []byte {
	return resealed(t, capsule, func(sealed []byte) []byte {
		sealed[(at+len(sealed))%len(sealed)] ^= 1
		return sealed
	})
}

func shortened(t *testing.T, capsule []byte) []byte {
	return resealed(t, capsule, func(sealed []byte) []byte { return sealed[:8] })
}

func resealed(t *testing.T, capsule []byte, change func([]byte) []byte) []byte {
	t.Helper()
	var fields capsuleFields
	must(t, json.Unmarshal(capsule, &fields))
	fields.Sealed = change(fields.Sealed)
	text, err := format(fields)
	must(t, err)
	return text
}

package backup

import (
	"bytes"
	"os"
	"testing"

	"github.com/onceleaf/onceleaf/keystore"
)

const spec = "../docs/spec/"

// makeExamples writes a new set of example files; with UPDATE_EXAMPLES only.
func makeExamples(t *testing.T) {
	a, b := newDevice(t, "first token"), newDevice(t, "second token")
	a.self.Serial, b.self.Serial = "6f1d0a5b7c9e2233", "b7d01c2a9f3e4455"
	id := a.generate(2)
	tk := b.request(SchemeHPKE)
	capsule := a.give(id, tk.Request(), 0)
	_, err := b.take(tk, capsule)
	must(t, err)
	info, err := b.Info(id)
	must(t, err)
	for name, text := range map[string][]byte{
		spec + "request.example": tk.Request().Bytes(), spec + "capsule.example": capsule,
		spec + "receipt.example": info.Receipt, "testdata/transfer-key": tk.Secret(),
	} {
		must(t, os.WriteFile(name, text, 0o644))
	}
}

// TestExamples reads the files of docs/spec, and imports the capsule among them.
func TestExamples(t *testing.T) {
	if os.Getenv("UPDATE_EXAMPLES") != "" {
		makeExamples(t)
	}
	read := func(name string) []byte {
		text, err := os.ReadFile(name)
		must(t, err)
		return text
	}
	request, err := ParseRequest(read(spec + "request.example"))
	must(t, err)
	tk, err := ParseTransferKey(read("testdata/transfer-key"))
	must(t, err)
	capsule, err := ParseCapsule(read(spec + "capsule.example"))
	must(t, err)
	if capsule.ID() != request.ID() || tk.Request().Fingerprint() != request.Fingerprint() {
		t.Error("the examples are not of one transfer")
	}
	d := newDevice(t, "second token")
	d.self = request.Destination()
	id, err := d.take(tk, capsule.text)
	must(t, err)
	info, err := d.Info(id)
	must(t, err)
	if id != keystore.IdentityOf(capsule.PublicKey()) || info.RootRemaining != 16 {
		t.Errorf("imported %d root leaves of %s", info.RootRemaining, id)
	}
	if !bytes.Equal(info.Receipt, read(spec+"receipt.example")) {
		t.Error("the receipt is not the example")
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"request", "capsule", "receipt"} {
		text, err := os.ReadFile(spec + name + ".example")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if r, err := ParseRequest(text); err == nil {
			same(t, r.fields, text)
		}
		if c, err := ParseCapsule(text); err == nil {
			same(t, c.fields, text)
		}
		if r, err := ParseReceipt(text); err == nil {
			same(t, r.fields, text)
		}
	})
}

// same checks that what was parsed is written back byte for byte.
func same(t *testing.T, fields any, text []byte) {
	if again, err := format(fields); err != nil || !bytes.Equal(again, text) {
		t.Fatalf("parse and format differ: %v", err)
	}
}

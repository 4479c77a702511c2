package p11module

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/lms"
	"github.com/onceleaf/onceleaf/token"
)

// profiles is the number of profile objects of a token.
const profiles = 2

const (
	soPIN   = "so-pin-1"
	userPIN = "user-pin-1"
)

// bench is a module over a token directory of its own.
type bench struct {
	*testing.T
	m   *Module
	dir string
}

// cheap makes PINs quick to try; the cost of a real one is a fifth of a second.
func cheap(c *token.Config) { c.KDF = token.KDF{Time: 1, Memory: 8, Threads: 1} }

// newBench initialises a module on an empty directory.
func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, dir: t.TempDir()}
	b.m = newModule(b.dir, nil)
	b.must(b.m.Initialize(nil))
	b.Cleanup(func() { b.m.Finalize(false) })
	return b
}

// newModule makes a module whose environment is the directory and what env holds.
func newModule(dir string, env map[string]string) *Module {
	m := NewWithEnvironment(func(name string) string {
		if name == "ONCELEAF_DIR" {
			return dir
		}
		return env[name]
	})
	m.configure = cheap
	return m
}

// newTokenBench has an initialised token with both PINs in slot 0, and nobody logged in.
func newTokenBench(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	b.makeToken(0, "bench")
	return b
}

// newUserBench has a read-write session with the user logged in.
func newUserBench(t *testing.T) (*bench, ck.SessionHandle) {
	t.Helper()
	b := newTokenBench(t)
	return b, b.userSession(0)
}

func (b *bench) must(rv ck.RV) {
	b.Helper()
	if rv != ck.CKR_OK {
		b.Fatalf("got %s", rv.Error())
	}
}

func (b *bench) want(want, got ck.RV) {
	b.Helper()
	if got != want {
		b.Fatalf("got %s, want %s", got.Error(), want.Error())
	}
}

// restart finalises and initialises again, as another run of the program would.
func (b *bench) restart() {
	b.Helper()
	b.must(b.m.Finalize(false))
	b.must(b.m.Initialize(nil))
}

func (b *bench) label(text string) (label [32]byte) {
	copy(label[:], text+strings.Repeat(" ", 32))
	return label
}

func (b *bench) makeToken(slot ck.SlotID, label string) {
	b.Helper()
	b.must(b.m.InitToken(slot, []byte(soPIN), b.label(label)))
	h := b.open(slot, true)
	b.must(b.m.Login(h, uint64(ck.CKU_SO), []byte(soPIN)))
	b.must(b.m.InitPIN(h, []byte(userPIN)))
	b.must(b.m.CloseSession(h))
}

func (b *bench) open(slot ck.SlotID, readWrite bool) ck.SessionHandle {
	b.Helper()
	flags := ck.CKF_SERIAL_SESSION
	if readWrite {
		flags |= ck.CKF_RW_SESSION
	}
	h, rv := b.m.OpenSession(slot, flags)
	b.must(rv)
	return h
}

func (b *bench) userSession(slot ck.SlotID) ck.SessionHandle {
	b.Helper()
	h := b.open(slot, true)
	b.login(h)
	return h
}

func (b *bench) login(h ck.SessionHandle) {
	b.Helper()
	b.must(b.m.Login(h, uint64(ck.CKU_USER), []byte(userPIN)))
}

// Attributes as an application writes them.

func ulong[N ~uint64](n N) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(n)) }

func ulongs(all ...uint64) (value []byte) {
	for _, n := range all {
		value = append(value, ulong(n)...)
	}
	return value
}

func truth(b bool) []byte {
	if b {
		return []byte{1}
	}
	return []byte{0}
}

func readUlong(value []byte) uint64 { return binary.LittleEndian.Uint64(value) }

// h5w8 and h5w4 are the quickest levels.
var (
	h5w8 = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W8}
	h5w4 = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W4}
)

// templates are those of a key pair, both halves token objects or both session objects.
func templates(onToken bool, label string, levels ...lms.ParameterSet) (public, private []Attribute) {
	var types, otsTypes []uint64
	for _, set := range levels {
		types, otsTypes = append(types, uint64(set.LMS)), append(otsTypes, uint64(set.OTS))
	}
	public = []Attribute{{Type: ck.CKA_TOKEN, Value: truth(onToken)}, {Type: ck.CKA_LABEL, Value: []byte(label)}}
	private = []Attribute{
		{Type: ck.CKA_TOKEN, Value: truth(onToken)}, {Type: ck.CKA_LABEL, Value: []byte(label)},
		{Type: ck.CKA_HSS_LEVELS, Value: ulong(uint64(len(levels)))},
		{Type: ck.CKA_HSS_LMS_TYPES, Value: ulongs(types...)}, {Type: ck.CKA_HSS_LMOTS_TYPES, Value: ulongs(otsTypes...)},
	}
	return public, private
}

func (b *bench) generate(h ck.SessionHandle, onToken bool, levels ...lms.ParameterSet) (pub, priv ck.ObjectHandle) {
	b.Helper()
	public, private := templates(onToken, "key", levels...)
	pub, priv, rv := b.m.GenerateKeyPair(h, Mechanism{Type: ck.CKM_HSS_KEY_PAIR_GEN}, public, private)
	b.must(rv)
	return pub, priv
}

var hss = Mechanism{Type: ck.CKM_HSS}

func (b *bench) sign(h ck.SessionHandle, key ck.ObjectHandle, message string) []byte {
	b.Helper()
	signature, rv := b.trySign(h, key, message)
	b.must(rv)
	return signature
}

func (b *bench) trySign(h ck.SessionHandle, key ck.ObjectHandle, message string) ([]byte, ck.RV) {
	if rv := b.m.SignInit(h, hss, key); rv != ck.CKR_OK {
		return nil, rv
	}
	signature, _, rv := b.m.Sign(h, []byte(message), Output{Room: 1 << 20})
	return signature, rv
}

// value reads one attribute.
func (b *bench) value(h ck.SessionHandle, object ck.ObjectHandle, attribute ck.AttributeType) []byte {
	b.Helper()
	results, rv := b.m.GetAttributeValue(h, object, []AttributeQuery{{Type: attribute, Output: Output{Room: 1 << 20}}})
	if rv != ck.CKR_OK {
		b.Fatalf("%s: got %s", attribute, rv.Error())
	}
	return results[0].Value
}

func (b *bench) remaining(h ck.SessionHandle, key ck.ObjectHandle) uint64 {
	b.Helper()
	return readUlong(b.value(h, key, ck.CKA_HSS_KEYS_REMAINING))
}

// find finds objects, but for the profiles that every token has.
func (b *bench) find(h ck.SessionHandle, template ...Attribute) []ck.ObjectHandle {
	b.Helper()
	profile := func(object ck.ObjectHandle) bool {
		return readUlong(b.value(h, object, ck.CKA_CLASS)) == uint64(ck.CKO_PROFILE)
	}
	return slices.DeleteFunc(b.findAll(h, template...), profile)
}

func (b *bench) findAll(h ck.SessionHandle, template ...Attribute) []ck.ObjectHandle {
	b.Helper()
	b.must(b.m.FindObjectsInit(h, template))
	objects, rv := b.m.FindObjects(h, 1000)
	b.must(rv)
	b.must(b.m.FindObjectsFinal(h))
	return objects
}

// one finds exactly one object.
func (b *bench) one(h ck.SessionHandle, template ...Attribute) ck.ObjectHandle {
	b.Helper()
	objects := b.find(h, template...)
	if len(objects) != 1 {
		b.Fatalf("found %d objects, want 1", len(objects))
	}
	return objects[0]
}

func (b *bench) privateKey(h ck.SessionHandle) ck.ObjectHandle {
	b.Helper()
	return b.one(h, Attribute{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PRIVATE_KEY)}, Attribute{Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_HSS)})
}

// audit checks signatures as a receiver would, and that no leaf was used twice.
type audit struct {
	*testing.T
	public lms.HSSPublicKey
	used   map[string]bool
}

func (b *bench) audit(h ck.SessionHandle, pub ck.ObjectHandle) *audit {
	b.Helper()
	public, err := lms.ParseHSSPublicKey(b.value(h, pub, ck.CKA_VALUE))
	if err != nil {
		b.Fatal(err)
	}
	return &audit{b.T, public, map[string]bool{}}
}

// check returns the number of the leaf of the lowest level.
func (a *audit) check(message string, signature []byte) uint32 {
	a.Helper()
	if err := a.public.Verify([]byte(message), signature); err != nil {
		a.Fatalf("a signature does not verify: %v", err)
	}
	parsed, err := lms.ParseHSSSignature(signature)
	if err != nil {
		a.Fatal(err)
	}
	leaves := parsed.Leaves()
	last := leaves[len(leaves)-1]
	name := string(append(last.I[:], binary.BigEndian.AppendUint32(nil, last.Q)...))
	if a.used[name] {
		a.Fatalf("leaf %d of tree %x was used twice", last.Q, last.I)
	}
	a.used[name] = true
	return last.Q
}

// logged is a module whose log can be read.
func loggedBench(t *testing.T) (*bench, *bytes.Buffer) {
	t.Helper()
	b := newBench(t)
	text := &bytes.Buffer{}
	b.m.library.log = slog.New(slog.NewTextHandler(text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return b, text
}

// large takes minutes to generate: tests that use it cut it off.
var large = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H20, OTS: lms.LMOTS_SHA256_N32_W8}

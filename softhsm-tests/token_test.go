package softhsmtests

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/audit"
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/lms"
	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

const (
	soPIN   = "so-12345"
	userPIN = "user-1234"
)

var (
	h5w4 = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W4}

	oneLevel  = []lms.ParameterSet{h5w4}       // 32 signatures, each with its own durable write
	twoLevels = []lms.ParameterSet{h5w4, h5w4} // 1024 signatures
)

// token is a worker with an initialised token in which the user is logged in, in one read-write session.
type token struct {
	*worker.Process
	t       *testing.T
	dir     string
	label   string
	slot    uint
	session pkcs11.SessionHandle
}

// start runs a worker over dir and calls C_Initialize. The environment variables are for both.
func start(t *testing.T, dir string, environment ...string) *worker.Process {
	t.Helper()
	p := worker.Start(t, worker.Options{Module: module, Dir: dir, Env: environment})
	must(t, p.Initialize())
	return p
}

// writeConfig makes a configuration file.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "onceleaf.toml")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// newToken makes a token in a directory of its own.
func newToken(t *testing.T) *token {
	t.Helper()
	return newTokenIn(t, t.TempDir(), "test")
}

// newTokenIn makes one more token in dir, which no other process may own.
func newTokenIn(t *testing.T, dir, label string) *token {
	t.Helper()
	k := &token{Process: start(t, dir), t: t, dir: dir, label: label}
	slots := value(k.GetSlotList(false))(t)
	k.slot = slots[len(slots)-1]
	must(t, k.InitToken(k.slot, soPIN, label))
	k.session = value(k.OpenSession(k.slot, pkcs11.CKF_RW_SESSION))(t)
	must(t, k.Login(k.session, pkcs11.CKU_SO, soPIN))
	must(t, k.InitPIN(k.session, userPIN))
	must(t, k.Logout(k.session))
	must(t, k.Login(k.session, pkcs11.CKU_USER, userPIN))
	return k
}

// openToken opens the token with that label in a new process.
func openToken(t *testing.T, dir, label string) *token {
	t.Helper()
	return openTokenWith(t, dir, label)
}

func openTokenWith(t *testing.T, dir, label string, environment ...string) *token {
	t.Helper()
	k := &token{Process: start(t, dir, environment...), t: t, dir: dir, label: label}
	for _, slot := range value(k.GetSlotList(true))(t) {
		info, err := k.GetTokenInfo(slot)
		if err != nil || info.Label != label {
			continue
		}
		k.slot = slot
		k.session = value(k.OpenSession(slot, pkcs11.CKF_RW_SESSION))(t)
		must(t, k.Login(k.session, pkcs11.CKU_USER, userPIN))
		return k
	}
	t.Fatalf("no token %q in %s", label, dir)
	return nil
}

// restart ends the process with C_Finalize and opens the token in another one.
func (k *token) restart() *token {
	k.t.Helper()
	k.stop()
	return openToken(k.t, k.dir, k.label)
}

// crash ends everything with SIGKILL and opens the token in another process.
func (k *token) crash() *token {
	k.t.Helper()
	k.die()
	return openToken(k.t, k.dir, k.label)
}

// die is a crash of the device: of the daemon, if there is one, and of its application.
func (k *token) die() {
	k.t.Helper()
	if front {
		must(k.t, worker.KillDaemon(k.dir))
	}
	k.Kill()
}

// stop ends everything cleanly: after it nobody owns the directory.
func (k *token) stop() {
	k.t.Helper()
	k.leave()
	if front {
		must(k.t, worker.StopDaemon(k.dir))
	}
}

// leave ends the application cleanly.
func (k *token) leave() {
	k.t.Helper()
	must(k.t, k.Finalize())
	if err := k.Exit(); err != nil {
		k.t.Fatalf("the worker ended badly: %v\n%s", err, k.Stderr())
	}
}

// log is what was logged for the token's directory. It is complete after stop.
func (k *token) log() string {
	k.t.Helper()
	return k.Stderr() + daemonLog(k.t, k.dir)
}

// daemonLog is what the daemons of a directory have logged; none logged nothing.
func daemonLog(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(worker.DaemonLog(dir))
	if !errors.Is(err, fs.ErrNotExist) {
		must(t, err)
	}
	return string(text)
}

// tryGenerate makes an HSS key pair with these levels, top first, as token objects labelled "key". More attributes of
// the private key stand above that.
func (k *token) tryGenerate(levels []lms.ParameterSet, private ...*pkcs11.Attribute) (worker.KeyPair, error) {
	template := append(levelAttributes(levels), private...)
	for _, a := range common("key") {
		if !has(template, ck.AttributeType(a.Type)) {
			template = append(template, a)
		}
	}
	return k.GenerateKeyPair(worker.KeyPairCall{
		Session:   k.session,
		Mechanism: uint(ck.CKM_HSS_KEY_PAIR_GEN),
		Public:    common("key"),
		Private:   template,
	})
}

func (k *token) generate(levels []lms.ParameterSet, private ...*pkcs11.Attribute) worker.KeyPair {
	k.t.Helper()
	return value(k.tryGenerate(levels, private...))(k.t)
}

// find is the one object of a class with a label.
func (k *token) find(class ck.ObjectClass, label string) pkcs11.ObjectHandle {
	k.t.Helper()
	found := value(k.FindObjects(k.session, attribute(ck.CKA_CLASS, uint64(class)), attribute(ck.CKA_LABEL, label)))(k.t)
	if len(found) != 1 {
		k.t.Fatalf("%d objects %v %q, want 1", len(found), class, label)
	}
	return found[0]
}

// key finds the key pair with a label again.
func (k *token) key(label string) worker.KeyPair {
	k.t.Helper()
	return worker.KeyPair{Public: k.find(ck.CKO_PUBLIC_KEY, label), Private: k.find(ck.CKO_PRIVATE_KEY, label)}
}

// bytes and ulong read an attribute.
func (k *token) bytes(object pkcs11.ObjectHandle, attribute ck.AttributeType) []byte {
	k.t.Helper()
	return value(k.GetAttributeValue(k.session, object, attribute))(k.t)
}

func (k *token) ulong(object pkcs11.ObjectHandle, attribute ck.AttributeType) uint64 {
	k.t.Helper()
	b := k.bytes(object, attribute)
	if len(b) != 8 {
		k.t.Fatalf("%v has %d bytes, want a CK_ULONG", attribute, len(b))
	}
	return binary.NativeEndian.Uint64(b)
}

func (k *token) remaining(key pkcs11.ObjectHandle) uint64 {
	k.t.Helper()
	return k.ulong(key, ck.CKA_HSS_KEYS_REMAINING)
}

// publicKey is the public key as the object gives it.
func (k *token) publicKey(object pkcs11.ObjectHandle) lms.HSSPublicKey {
	k.t.Helper()
	return value(lms.ParseHSSPublicKey(k.bytes(object, ck.CKA_VALUE)))(k.t)
}

// sign signs with the key, and holds the signature to two judges: the token's own verifier, and the audit, which
// verifies too and knows all leaves that were used before, whichever process or token used them.
func (k *token) sign(key worker.KeyPair, used *audit.Audit, parts ...[]byte) []byte {
	k.t.Helper()
	signature := value(k.Sign(k.session, key.Private, parts...))(k.t)
	must(k.t, k.Verify(k.session, key.Public, signature, parts...))
	must(k.t, used.Add(k.publicKey(key.Public), bytes.Join(parts, nil), signature))
	return signature
}

// signTimes signs n messages.
func (k *token) signTimes(n int, key worker.KeyPair, used *audit.Audit) {
	k.t.Helper()
	for i := range n {
		k.sign(key, used, fmt.Appendf(nil, "message %d", i))
	}
}

// levelAttributes are the attributes of CKM_HSS_KEY_PAIR_GEN's private template that name the levels.
func levelAttributes(levels []lms.ParameterSet) []*pkcs11.Attribute {
	var trees, otss []byte
	for _, set := range levels {
		trees = binary.NativeEndian.AppendUint64(trees, uint64(set.LMS))
		otss = binary.NativeEndian.AppendUint64(otss, uint64(set.OTS))
	}
	return []*pkcs11.Attribute{
		attribute(ck.CKA_HSS_LEVELS, uint64(len(levels))),
		attribute(ck.CKA_HSS_LMS_TYPES, trees),
		attribute(ck.CKA_HSS_LMOTS_TYPES, otss),
	}
}

func common(label string) []*pkcs11.Attribute {
	return []*pkcs11.Attribute{
		attribute(ck.CKA_TOKEN, true),
		attribute(ck.CKA_LABEL, label),
		attribute(ck.CKA_ID, []byte{1}),
	}
}

func attribute(number ck.AttributeType, value any) *pkcs11.Attribute {
	return pkcs11.NewAttribute(uint(number), value)
}

func has(template []*pkcs11.Attribute, number ck.AttributeType) bool {
	for _, a := range template {
		if a.Type == uint(number) {
			return true
		}
	}
	return false
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// value unwraps a result that must be without error: value(f())(t).
func value[V any](v V, err error) func(*testing.T) V {
	return func(t *testing.T) V {
		t.Helper()
		must(t, err)
		return v
	}
}

// wantRV fails the test unless err is that result of the library.
func wantRV(t *testing.T, err error, want ck.RV) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%v, want %v", err, want)
	}
}

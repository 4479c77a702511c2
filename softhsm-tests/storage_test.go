package softhsmtests

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/audit"
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// smallDisk is a directory on a file system of 2 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	needRoot(t, "mounting a small file system")
	dir := t.TempDir()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m,mode=0700"))
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("couldn't unmount: %v", err)
		}
	})
	return dir
}

// The host sees to it that no byte of a signature is left in its buffer.
func TestHostDiskFull(t *testing.T) {
	dir := smallDisk(t)
	runIn(t, filepath.Join(dir, "tokens"), compile(t, "diskfull"), module, filepath.Join(dir, "ballast"))
}

// The disk fills up under a key whose every signature needs a durable write; when there is room again, the key goes on
// with other leaves.
func TestDiskFull(t *testing.T) {
	dir := smallDisk(t)
	k, used := newTokenIn(t, dir, "test"), new(audit.Audit)
	// A record that is long has no room in the store to be written anew: each write makes the file longer.
	key := k.generate(oneLevel, attribute(ck.CKA_LABEL, strings.Repeat("long ", 12000)))

	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	message, public, failed := []byte("on a full disk"), k.publicKey(key.Public), 0
	for range 8 {
		signature, err := k.Sign(k.session, key.Private, message)
		if err == nil {
			must(t, used.Add(public, message, signature)) // a write that found room in the file is as good as any
			continue
		}
		failed++
		if len(signature) != 0 {
			t.Errorf("an error, and %d bytes of a signature", len(signature))
		}
	}
	if failed == 0 {
		t.Fatal("no signature failed on a full disk: the test does not test")
	}
	must(t, os.Remove(ballast))
	k.signTimes(3, key, used)

	k = k.restart()
	private := value(k.FindObjects(k.session, attribute(ck.CKA_CLASS, uint64(ck.CKO_PRIVATE_KEY))))(t)
	k.signTimes(3, worker.KeyPair{Public: k.find(ck.CKO_PUBLIC_KEY, "key"), Private: private[0]}, used)
}

// fill writes a file until there is no room left.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	must(t, err)
	defer file.Close()
	for size := 1 << 16; size > 0; size /= 16 {
		for err == nil {
			_, err = file.Write(make([]byte, size))
		}
		err = nil
	}
	if _, err := file.Write([]byte{0}); err == nil {
		t.Fatal("the disk did not fill up")
	}
}

// Another user may read the directory, but not write it. There is no way to sign that is safe, so there is none.
func TestReadOnlyForAnotherUser(t *testing.T) {
	needRoot(t, "becoming another user")
	const nobody = 65534
	open := worldReadable(t)
	dir := filepath.Join(open, "tokens of root")
	must(t, os.Mkdir(dir, 0o700))
	k := newTokenIn(t, dir, "test")
	k.generate(oneLevel)
	k.stop()
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return os.Chmod(path, 0o644)
	}))
	before := fingerprint(t, dir)

	p := worker.Start(t, worker.Options{
		Module:  copyModule(t, open),
		Dir:     dir,
		Program: copyTo(t, open, testBinary(t), 0o755),
		As:      nobody,
	})
	err := p.Initialize()
	if err == nil {
		err = signWith(p)
	}
	if err == nil {
		t.Error("signed with a store that cannot be written")
	}
	p.Kill()
	if fingerprint(t, dir) != before {
		t.Error("the directory changed")
	}
}

// signWith tries the whole way to a signature in an initialised library.
func signWith(p *worker.Process) error {
	slots, err := p.GetSlotList(true)
	if err != nil {
		return err
	}
	session, err := p.OpenSession(slots[0], pkcs11.CKF_RW_SESSION)
	if err != nil {
		return err
	}
	if err := p.Login(session, pkcs11.CKU_USER, userPIN); err != nil {
		return err
	}
	keys, err := p.FindObjects(session, attribute(ck.CKA_CLASS, uint64(ck.CKO_PRIVATE_KEY)))
	if err != nil {
		return err
	}
	_, err = p.Sign(session, keys[0], []byte("message"))
	return err
}

// worldReadable is a folder that every user can enter, unlike t.TempDir.
func worldReadable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "onceleaf-test")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

func testBinary(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	must(t, err)
	return path
}

// copyModule copies the library for other users, with its daemon beside it.
func copyModule(t *testing.T, dir string) string {
	t.Helper()
	if front {
		copyTo(t, dir, filepath.Join(filepath.Dir(module), "onceleafd"), 0o755)
	}
	return copyTo(t, dir, module, 0o755)
}

func copyTo(t *testing.T, dir, path string, mode os.FileMode) string {
	t.Helper()
	from, err := os.Open(path)
	must(t, err)
	defer from.Close()
	to, err := os.OpenFile(filepath.Join(dir, filepath.Base(path)), os.O_WRONLY|os.O_CREATE, mode)
	must(t, err)
	_, err = io.Copy(to, from)
	must(t, err)
	must(t, to.Close())
	return to.Name()
}

// fingerprint is a hash over the names and contents of all files of a directory.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	hash := sha256.New()
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		sum := sha256.Sum256(content)
		hash.Write(append([]byte(path), sum[:]...))
		return err
	}))
	return hex.EncodeToString(hash.Sum(nil))
}

// A directory has one owner. A second process is told at once who that is; one that was configured to wait gets the
// directory when it is free.
func TestOneOwner(t *testing.T) {
	k, used := newToken(t), new(audit.Audit)
	k.signTimes(3, k.generate(twoLevels), used)
	second := worker.Start(t, worker.Options{Module: module, Dir: k.dir})
	wantRV(t, second.Initialize(), ck.CKR_FUNCTION_FAILED)
	k.sign(k.key("key"), used, []byte("the owner goes on"))

	config := writeConfig(t, "owner_wait = \"1m\"\n")
	patient := worker.Start(t, worker.Options{Module: module, Dir: k.dir, Env: []string{"ONCELEAF_CONF=" + config}})
	got := make(chan error)
	go func() { got <- patient.Initialize() }()
	time.Sleep(300 * time.Millisecond) // so that it is waiting, most likely; right in any case
	must(t, k.Finalize())
	must(t, <-got)
	must(t, patient.Finalize())

	must(t, second.Initialize()) // an error does not spoil the process
	second.Kill()
	if want := fmt.Sprintf("another process: process %d (", k.PID()); !strings.Contains(second.Stderr(), want) {
		t.Errorf("the second process was not told %q:\n%s", want, second.Stderr())
	}
	k.Exit()
	k = openToken(t, k.dir, k.label) // a killed owner leaves the directory free
	k.sign(k.key("key"), used, []byte("the next owner"))
}

// spoiled is a directory with one token and one key on which the test may lay hands, and the path of its store.
func spoiled(t *testing.T, used *audit.Audit) (k *token, store string) {
	t.Helper()
	k = newToken(t)
	k.signTimes(3, k.generate(twoLevels), used)
	k.stop()
	stores, err := filepath.Glob(filepath.Join(k.dir, "tokens", "*.db"))
	must(t, err)
	if len(stores) != 1 {
		t.Fatalf("stores %v, want one", stores)
	}
	return k, stores[0]
}

// refused checks that a token which is expected but cannot be opened is never taken for a fresh one.
func refused(t *testing.T, k *token) {
	t.Helper()
	must(t, os.RemoveAll(worker.DaemonLog(k.dir)))
	p := start(t, k.dir)
	slots := value(p.GetSlotList(false))(t)
	if len(slots) != 2 || slots[0] != k.slot {
		t.Fatalf("slots %v, want the broken token in slot %d and an uninitialised one", slots, k.slot)
	}
	if err := signWithSlot(p, k.slot); err == nil {
		t.Error("the broken token signs")
	}
	if err := p.InitToken(k.slot, soPIN, "fresh"); err == nil {
		t.Error("C_InitToken made a fresh token in place of the broken one")
	}
	if info, err := p.GetTokenInfo(k.slot); err == nil && info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 {
		t.Errorf("the broken token shows as uninitialised: flags %#x", info.Flags)
	}
	k = &token{Process: p, t: t, dir: k.dir}
	k.stop()
	if !strings.Contains(k.log(), "level=ERROR") {
		t.Errorf("nothing in the log says why:\n%s", k.log())
	}
}

func signWithSlot(p *worker.Process, slot uint) error {
	session, err := p.OpenSession(slot, pkcs11.CKF_RW_SESSION)
	if err != nil {
		return err
	}
	return p.Login(session, pkcs11.CKU_USER, userPIN)
}

func TestTruncatedStore(t *testing.T) {
	used := new(audit.Audit)
	k, store := spoiled(t, used)
	whole, err := os.ReadFile(store)
	must(t, err)
	for _, size := range []int{0, 1, 4096, len(whole) / 2} { // it doubles when it grows: half has lost something
		t.Run(fmt.Sprintf("to %d of %d bytes", size, len(whole)), func(t *testing.T) {
			must(t, os.WriteFile(store, whole[:size], 0o600))
			refused(t, k)
			if left, err := os.ReadFile(store); err != nil || len(left) != size {
				t.Errorf("it has %d bytes now (%v)", len(left), err)
			}
		})
	}
	must(t, os.WriteFile(store, whole, 0o600))
	k = openToken(t, k.dir, k.label)
	k.sign(k.key("key"), used, []byte("the store is back"))
}

func TestMissingStore(t *testing.T) {
	used := new(audit.Audit)
	k, store := spoiled(t, used)
	must(t, os.Rename(store, store+".away"))
	refused(t, k)
	if _, err := os.Stat(store); err == nil {
		t.Error("the missing store was made anew")
	}
	must(t, os.Rename(store+".away", store))
	k = openToken(t, k.dir, k.label)
	k.sign(k.key("key"), used, []byte("the store is back"))
}

// A copy of a store under another name is no token: its leaves would be used twice.
func TestUnlistedStoreIsLeftAlone(t *testing.T) {
	k, store := spoiled(t, new(audit.Audit))
	copied := filepath.Join(filepath.Dir(store), "00000000000000ff.db")
	content, err := os.ReadFile(store)
	must(t, err)
	must(t, os.WriteFile(copied, content, 0o600))
	p := start(t, k.dir)
	if slots := value(p.GetSlotList(false))(t); len(slots) != 2 {
		t.Errorf("%d slots with an unlisted store, want 2", len(slots))
	}
	must(t, p.Finalize())
	if left, err := os.ReadFile(copied); err != nil || string(left) != string(content) {
		t.Errorf("the unlisted store was touched (%v)", err)
	}
}

// A message longer than the configured bound is refused before it costs a leaf.
func TestMessageBound(t *testing.T) {
	k := newToken(t)
	key := k.generate(oneLevel)
	k.stop()
	config := writeConfig(t, "[sign]\nmax_message = 1000\n")
	k = openTokenWith(t, k.dir, k.label, "ONCELEAF_CONF="+config)
	key = k.key("key")
	_, err := k.Sign(k.session, key.Private, make([]byte, 600), make([]byte, 600))
	wantRV(t, err, ck.CKR_DATA_LEN_RANGE)
	if n := k.remaining(key.Private); n != 32 {
		t.Errorf("%d signatures left, want 32", n)
	}
	k.sign(key, new(audit.Audit), make([]byte, 500), make([]byte, 500))
}

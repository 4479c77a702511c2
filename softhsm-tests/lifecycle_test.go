package softhsmtests

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/audit"
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/lms"
	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// What somebody does who has just built the library.
func TestFreshUser(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	worker.StopDaemons(t, module, dir)
	p := worker.Start(t, worker.Options{Module: module, Dir: t.TempDir(), Env: []string{"ONCELEAF_DIR=" + dir}})
	must(t, p.Initialize())
	slots := value(p.GetSlotList(false))(t)
	if len(slots) != 1 {
		t.Fatalf("%d slots, want the one uninitialised one", len(slots))
	}
	info := value(p.GetTokenInfo(slots[0]))(t)
	if info.Flags&pkcs11.CKF_TOKEN_INITIALIZED != 0 {
		t.Errorf("a fresh token is initialised: flags %#x", info.Flags)
	}
	must(t, p.InitToken(slots[0], soPIN, "first"))
	info = value(p.GetTokenInfo(slots[0]))(t)
	if want := uint(pkcs11.CKF_TOKEN_INITIALIZED | pkcs11.CKF_LOGIN_REQUIRED); info.Flags&want != want || info.Label != "first" {
		t.Errorf("token %q, flags %#x", info.Label, info.Flags)
	}
	if info.Flags&pkcs11.CKF_USER_PIN_INITIALIZED != 0 {
		t.Errorf("the user has a PIN before C_InitPIN: flags %#x", info.Flags)
	}
	if slots = value(p.GetSlotList(false))(t); len(slots) != 2 {
		t.Errorf("%d slots, want the token and a new uninitialised one", len(slots))
	}
	mechanisms := value(p.GetMechanismList(slots[0]))(t)
	for _, m := range []ck.MechanismType{ck.CKM_HSS, ck.CKM_HSS_KEY_PAIR_GEN} {
		if !slices.Contains(mechanisms, uint(m)) {
			t.Errorf("%v is not in the list of mechanisms", m)
		}
	}
}

func TestSignAndRestart(t *testing.T) {
	k, used := newToken(t), new(audit.Audit)
	key := k.generate(twoLevels)
	if n := k.remaining(key.Private); n != 1024 {
		t.Errorf("a fresh key has %d signatures left, want 1024", n)
	}
	k.sign(key, used, []byte("single part"))
	k.sign(key, used, []byte("several "), nil, []byte("parts"))
	k.sign(key, used, []byte{})
	if n := k.remaining(key.Private); n != 1021 {
		t.Errorf("%d signatures left after 3 of 1024, want 1021", n)
	}
	for range 3 {
		k = k.restart()
		key = k.key("key")
		k.sign(key, used, []byte("after a restart"))
	}
	if n := k.remaining(key.Private); n != 1018 {
		t.Errorf("%d signatures left, want 1018: a restart after C_Finalize costs nothing", n)
	}
}

func TestCrashReusesNothing(t *testing.T) {
	k, used := newToken(t), new(audit.Audit)
	k.generate(twoLevels)
	for range 3 {
		k.signTimes(3, k.key("key"), used)
		k = k.crash()
	}
	// A crash may burn the rest of the lower tree: 32 signatures, three times.
	if n := k.remaining(k.key("key").Private); n > 1024-9 || n < 1024-3*32 {
		t.Errorf("%d signatures left after 3 crashes, want 928 to 1015", n)
	}
	k.signTimes(3, k.key("key"), used)
}

func TestCrashOfAKeyWithOneLevel(t *testing.T) {
	k, used := newToken(t), new(audit.Audit)
	k.generate(oneLevel)
	signed := 0
	for range 3 {
		k.signTimes(3, k.key("key"), used)
		signed += 3
		k = k.crash()
	}
	if n := k.remaining(k.key("key").Private); n > uint64(32-signed) {
		t.Errorf("%d signatures left after %d of 32", n, signed)
	}
}

func TestVerifyRefuses(t *testing.T) {
	k := newToken(t)
	key, other := k.generate(twoLevels), k.generate(oneLevel)
	signature := k.sign(key, new(audit.Audit), []byte("message"))
	wantRV(t, k.Verify(k.session, key.Public, signature, []byte("another")), ck.CKR_SIGNATURE_INVALID)
	for _, i := range []int{0, 4, 100, len(signature) - 1} {
		altered := bytes.Clone(signature)
		altered[i] ^= 1
		if err := k.Verify(k.session, key.Public, altered, []byte("message")); err == nil {
			t.Errorf("a signature with byte %d altered verifies", i)
		}
	}
	if err := k.Verify(k.session, key.Public, signature[:len(signature)-1], []byte("message")); err == nil {
		t.Error("a truncated signature verifies")
	}
	if err := k.Verify(k.session, other.Public, signature, []byte("message")); err == nil {
		t.Error("a signature verifies under another key")
	}
}

func TestKeyAttributes(t *testing.T) {
	k := newToken(t)
	key := k.generate(twoLevels)
	bools := []struct {
		attribute ck.AttributeType
		want      byte
	}{
		{ck.CKA_TOKEN, 1}, {ck.CKA_PRIVATE, 1}, {ck.CKA_SENSITIVE, 1}, {ck.CKA_EXTRACTABLE, 0}, {ck.CKA_COPYABLE, 0},
		{ck.CKA_SIGN, 1}, {ck.CKA_LOCAL, 1}, {ck.CKA_ALWAYS_SENSITIVE, 1}, {ck.CKA_NEVER_EXTRACTABLE, 1},
	}
	for _, b := range bools {
		if got := k.bytes(key.Private, b.attribute); len(got) != 1 || got[0] != b.want {
			t.Errorf("%v of the private key is %v, want %d", b.attribute, got, b.want)
		}
	}
	for _, object := range []pkcs11.ObjectHandle{key.Public, key.Private} {
		if got := k.ulong(object, ck.CKA_KEY_TYPE); got != uint64(ck.CKK_HSS) {
			t.Errorf("CKA_KEY_TYPE is %#x", got)
		}
		if got := k.ulong(object, ck.CKA_HSS_LEVELS); got != 2 {
			t.Errorf("CKA_HSS_LEVELS is %d", got)
		}
	}
	if got := k.bytes(key.Public, ck.CKA_VALUE); len(got) != lms.HSSPublicKeySize(h5w4) {
		t.Errorf("the public key has %d bytes, want %d", len(got), lms.HSSPublicKeySize(h5w4))
	}
	_, err := k.GetAttributeValue(k.session, key.Private, ck.CKA_VALUE)
	wantRV(t, err, ck.CKR_ATTRIBUTE_SENSITIVE)
	_, err = k.CopyObject(k.session, key.Private)
	wantRV(t, err, ck.CKR_ACTION_PROHIBITED)
}

func TestHashFamilies(t *testing.T) {
	k := newToken(t)
	for _, set := range []lms.ParameterSet{
		{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W8},
		{LMS: lms.LMS_SHA256_M24_H5, OTS: lms.LMOTS_SHA256_N24_W4},
		{LMS: lms.LMS_SHAKE_M32_H5, OTS: lms.LMOTS_SHAKE_N32_W2},
		{LMS: lms.LMS_SHAKE_M24_H5, OTS: lms.LMOTS_SHAKE_N24_W1},
	} {
		for levels := 1; levels <= 2; levels++ {
			t.Run(fmt.Sprintf("%v x%d", set, levels), func(t *testing.T) {
				k.t = t
				sets := slices.Repeat([]lms.ParameterSet{set}, levels)
				key := k.generate(sets)
				signature := k.sign(key, new(audit.Audit), []byte("message"))
				if got, want := len(signature), lms.HSSSignatureSize(sets); got != want {
					t.Errorf("the signature has %d bytes, want %d", got, want)
				}
			})
		}
	}
}

func TestSessionKeys(t *testing.T) {
	k, used := newToken(t), new(audit.Audit)
	second := value(k.OpenSession(k.slot, pkcs11.CKF_RW_SESSION))(t)
	pair := k.generate(twoLevels, attribute(ck.CKA_TOKEN, false), attribute(ck.CKA_LABEL, "volatile"))
	k.signTimes(40, pair, used) // more than one lower tree
	if n := k.remaining(pair.Private); n != 1024-40 {
		t.Errorf("%d signatures left, want %d", n, 1024-40)
	}
	if _, err := k.Sign(second, pair.Private, []byte("from the other session")); err != nil {
		t.Errorf("another session of the application: %v", err)
	}
	must(t, k.CloseSession(k.session))
	k.session = second
	if found := value(k.FindObjects(second, attribute(ck.CKA_LABEL, "volatile")))(t); len(found) != 0 {
		t.Errorf("%d session objects outlive their session", len(found))
	}
	_, err := k.Sign(second, pair.Private, []byte("after its end"))
	wantRV(t, err, ck.CKR_KEY_HANDLE_INVALID)
}

func TestDestroyedKeyIsGone(t *testing.T) {
	k := newToken(t)
	key := k.generate(oneLevel)
	must(t, k.DestroyObject(k.session, key.Private))
	_, err := k.Sign(k.session, key.Private, []byte("message"))
	wantRV(t, err, ck.CKR_KEY_HANDLE_INVALID)
	k = k.restart()
	if found := value(k.FindObjects(k.session, attribute(ck.CKA_CLASS, uint64(ck.CKO_PRIVATE_KEY))))(t); len(found) != 0 {
		t.Errorf("%d private keys after the only one was destroyed", len(found))
	}
	k.find(ck.CKO_PUBLIC_KEY, "key")
}

func TestExhaustion(t *testing.T) {
	k, used := newToken(t), new(audit.Audit)
	key := k.generate(oneLevel)
	k.signTimes(32, key, used)
	if n := k.remaining(key.Private); n != 0 {
		t.Errorf("%d signatures left after 32 of 32", n)
	}
	_, err := k.Sign(k.session, key.Private, []byte("one more"))
	wantRV(t, err, ck.CKR_KEY_EXHAUSTED)
	k = k.restart()
	_, err = k.Sign(k.session, k.key("key").Private, []byte("one more"))
	wantRV(t, err, ck.CKR_KEY_EXHAUSTED)
}

// The next lower tree takes over without a gap, and the last signature of all is as good as the first.
func TestEverySignatureOfAKey(t *testing.T) {
	k, used := newToken(t), new(audit.Audit)
	key := k.generate(twoLevels)
	public := k.publicKey(key.Public)
	for range 1024 {
		signature := value(k.Sign(k.session, key.Private, []byte("message")))(t)
		must(t, used.Add(public, []byte("message"), signature))
	}
	_, err := k.Sign(k.session, key.Private, []byte("message"))
	wantRV(t, err, ck.CKR_KEY_EXHAUSTED)
}

package p11module

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/token"
)

func (b *bench) slots() []ck.SlotID {
	b.Helper()
	slots, rv := b.m.GetSlotList(true)
	b.must(rv)
	return slots
}

func (b *bench) tokenFlags(slot ck.SlotID) uint64 {
	b.Helper()
	info, rv := b.m.GetTokenInfo(slot)
	b.must(rv)
	return info.Flags
}

func TestSlotsStayInPlace(t *testing.T) {
	b := newBench(t)
	for n := range 3 {
		want := []ck.SlotID{0, 1, 2, 3}[:n+1]
		if got := b.slots(); !slices.Equal(got, want) {
			t.Fatalf("slots %v, want %v", got, want)
		}
		b.makeToken(ck.SlotID(n), "token "+string(rune('a'+n)))
	}
	b.restart()
	if got := b.slots(); !slices.Equal(got, []ck.SlotID{0, 1, 2, 3}) {
		t.Errorf("slots %v after a restart", got)
	}
	serials := map[string]bool{}
	for n := range 3 {
		info, rv := b.m.GetTokenInfo(ck.SlotID(n))
		b.must(rv)
		if info.Label != "token "+string(rune('a'+n)) || len(info.Serial) != 16 || serials[info.Serial] {
			t.Errorf("slot %d: %+v", n, info)
		}
		serials[info.Serial] = true
		slot, rv := b.m.GetSlotInfo(ck.SlotID(n))
		b.must(rv)
		if slot.Flags != ck.CKF_TOKEN_PRESENT {
			t.Errorf("slot flags %x", slot.Flags)
		}
	}
	for _, slot := range []ck.SlotID{4, 1 << 31, 1 << 63} {
		_, rv := b.m.GetSlotInfo(slot)
		b.want(ck.CKR_SLOT_ID_INVALID, rv)
		_, rv = b.m.GetTokenInfo(slot)
		b.want(ck.CKR_SLOT_ID_INVALID, rv)
		_, rv = b.m.GetMechanismList(slot)
		b.want(ck.CKR_SLOT_ID_INVALID, rv)
		_, rv = b.m.GetMechanismInfo(slot, ck.CKM_HSS)
		b.want(ck.CKR_SLOT_ID_INVALID, rv)
		_, rv = b.m.OpenSession(slot, ck.CKF_SERIAL_SESSION)
		b.want(ck.CKR_SLOT_ID_INVALID, rv)
		b.want(ck.CKR_SLOT_ID_INVALID, b.m.CloseAllSessions(slot))
		b.want(ck.CKR_SLOT_ID_INVALID, b.m.InitToken(slot, []byte(soPIN), b.label("x")))
	}
}

func TestUninitialisedToken(t *testing.T) {
	b := newBench(t)
	if flags := b.tokenFlags(0); flags != ck.CKF_RNG|ck.CKF_LOGIN_REQUIRED {
		t.Errorf("flags %x", flags)
	}
	_, rv := b.m.OpenSession(0, ck.CKF_SERIAL_SESSION)
	b.want(ck.CKR_TOKEN_NOT_RECOGNIZED, rv)
	list, rv := b.m.GetMechanismList(0)
	if rv != ck.CKR_OK || len(list) != len(token.Mechanisms()) {
		t.Errorf("%v, %s", list, rv.Error())
	}
	b.must(b.m.CloseAllSessions(0))
}

func TestMechanismInfo(t *testing.T) {
	b := newTokenBench(t)
	list, rv := b.m.GetMechanismList(0)
	b.must(rv)
	if len(list) != len(token.Mechanisms()) {
		t.Errorf("%d mechanisms, want %d", len(list), len(token.Mechanisms()))
	}
	want := map[ck.MechanismType]MechanismInfo{
		ck.CKM_HSS_KEY_PAIR_GEN:               {Flags: ck.CKF_GENERATE_KEY_PAIR},
		ck.CKM_HSS:                            {Flags: ck.CKF_SIGN | ck.CKF_VERIFY},
		ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN: {Flags: ck.CKF_GENERATE_KEY_PAIR},
		ck.CKM_ONCELEAF_PARTITION:             {Flags: ck.CKF_WRAP | ck.CKF_UNWRAP},
		ck.CKM_ONCELEAF_RECEIPT:               {Flags: ck.CKF_UNWRAP},
		ck.CKM_RSA_PKCS_KEY_PAIR_GEN:          {2048, 4096, ck.CKF_GENERATE_KEY_PAIR},
		ck.CKM_AES_KEY_GEN:                    {16, 32, ck.CKF_GENERATE},
		ck.CKM_SHA256:                         {Flags: ck.CKF_DIGEST},
	}
	for mechanism, expected := range want {
		info, rv := b.m.GetMechanismInfo(0, mechanism)
		if rv != ck.CKR_OK || info != expected || !slices.Contains(list, mechanism) {
			t.Errorf("%s: %+v, %s", mechanism, info, rv.Error())
		}
	}
	_, rv = b.m.GetMechanismInfo(0, ck.CKM_XMSS)
	b.want(ck.CKR_MECHANISM_INVALID, rv)
}

func TestInitTokenArguments(t *testing.T) {
	b := newBench(t)
	b.want(ck.CKR_ARGUMENTS_BAD, b.m.InitToken(0, nil, b.label("x")))
	b.want(ck.CKR_PIN_LEN_RANGE, b.m.InitToken(0, []byte("123"), b.label("x")))
	b.want(ck.CKR_PIN_LEN_RANGE, b.m.InitToken(0, make([]byte, 256), b.label("x")))
	if stores, _ := filepath.Glob(filepath.Join(b.dir, "tokens", "*")); len(stores) != 0 {
		t.Errorf("refused calls left %v", stores)
	}
	b.makeToken(0, "x")
	h := b.open(0, false)
	b.want(ck.CKR_SESSION_EXISTS, b.m.InitToken(0, []byte(soPIN), b.label("y")))
	b.must(b.m.CloseSession(h))
	b.want(ck.CKR_PIN_INCORRECT, b.m.InitToken(0, []byte("wrong"), b.label("y")))
	b.must(b.m.InitToken(0, []byte(soPIN), b.label("y")))
	info, rv := b.m.GetTokenInfo(0)
	if rv != ck.CKR_OK || info.Label != "y" || info.Flags&ck.CKF_USER_PIN_INITIALIZED != 0 {
		t.Errorf("%+v", info)
	}
	h = b.open(0, true)
	b.want(ck.CKR_USER_PIN_NOT_INITIALIZED, b.m.Login(h, uint64(ck.CKU_USER), []byte(userPIN)))
}

func TestPINs(t *testing.T) {
	b := newTokenBench(t)
	h := b.open(0, true)
	b.want(ck.CKR_USER_NOT_LOGGED_IN, b.m.InitPIN(h, []byte("another")))
	b.want(ck.CKR_ARGUMENTS_BAD, b.m.InitPIN(h, nil))
	b.want(ck.CKR_ARGUMENTS_BAD, b.m.SetPIN(h, nil, []byte("1234")))
	b.want(ck.CKR_ARGUMENTS_BAD, b.m.SetPIN(h, []byte("1234"), nil))
	b.want(ck.CKR_PIN_LEN_RANGE, b.m.SetPIN(h, []byte(userPIN), []byte("123")))
	b.want(ck.CKR_PIN_INCORRECT, b.m.SetPIN(h, []byte("wrong"), []byte("user-pin-2")))
	b.want(ck.CKR_SESSION_READ_ONLY, b.m.SetPIN(b.open(0, false), []byte(userPIN), []byte("user-pin-2")))

	b.must(b.m.SetPIN(h, []byte(userPIN), []byte("user-pin-2"))) // nobody is logged in: the user's
	b.want(ck.CKR_PIN_INCORRECT, b.m.Login(h, uint64(ck.CKU_USER), []byte(userPIN)))
	b.must(b.m.Login(h, uint64(ck.CKU_USER), []byte("user-pin-2")))
	_, priv := b.generate(h, true, h5w8)
	b.must(b.m.SetPIN(h, []byte("user-pin-2"), []byte("user-pin-3")))
	b.want(ck.CKR_USER_NOT_LOGGED_IN, b.m.InitPIN(h, []byte("user-pin-4"))) // the user is not the SO
	b.sign(h, priv, "m")
	b.must(b.m.CloseAllSessions(0))

	h = b.open(0, true)
	b.must(b.m.Login(h, uint64(ck.CKU_SO), []byte(soPIN)))
	b.want(ck.CKR_PIN_LEN_RANGE, b.m.InitPIN(h, []byte("123")))
	b.must(b.m.SetPIN(h, []byte(soPIN), []byte("so-pin-2"))) // the SO's
	b.must(b.m.InitPIN(h, []byte("user-pin-5")))
	b.must(b.m.Logout(h))
	b.want(ck.CKR_PIN_INCORRECT, b.m.Login(h, uint64(ck.CKU_SO), []byte(soPIN)))
	b.must(b.m.Login(h, uint64(ck.CKU_USER), []byte("user-pin-5")))
	b.sign(h, b.privateKey(h), "the keys are those from before")
}

// Reinitialised: no object, no key is left, and the ledger stays in the store.
func TestInitTokenDestroysEverything(t *testing.T) {
	b, h := newUserBench(t)
	b.generate(h, true, h5w8)
	_, _, rv := b.m.GenerateKeyPair(h, Mechanism{Type: ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN}, nil, nil)
	b.must(rv)
	if found := b.find(h); len(found) != 4 {
		t.Fatalf("%d objects", len(found))
	}
	before, rv := b.m.GetTokenInfo(0)
	b.must(rv)
	b.must(b.m.CloseAllSessions(0))
	b.makeToken(0, "again")
	for range 2 {
		h = b.userSession(0)
		if found := b.find(h); len(found) != 0 {
			t.Errorf("%d objects are left", len(found))
		}
		b.restart()
	}
	after, rv := b.m.GetTokenInfo(0)
	if rv != ck.CKR_OK || after.Serial != before.Serial || after.Label != "again" {
		t.Errorf("%+v", after)
	}
}

// The answers of a slot whose store cannot be used, and that nothing happens to the file.
func TestUnusableStores(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(path string) error
		log   string
	}{
		{"missing", os.Remove, "missing"},
		{"damaged", func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte{0xff}, 40000), 0o600) }, "damaged"},
		{"empty", func(path string) error { return os.Truncate(path, 0) }, "damaged"},
		{"truncated", func(path string) error { return os.Truncate(path, 8192) }, "damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newTokenBench(t)
			b.makeToken(1, "the other")
			info, rv := b.m.GetTokenInfo(0)
			b.must(rv)
			b.must(b.m.Finalize(false))
			path := filepath.Join(b.dir, "tokens", info.Serial+".db")
			if err := c.spoil(path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(path)
			logFile := filepath.Join(t.TempDir(), "log")
			b.m.getenv = withLog(b.m.getenv, t, logFile)
			b.must(b.m.Initialize(nil))
			b.usesFail(0)
			b.userSession(1) // the other token is not touched
			if got := b.slots(); !slices.Equal(got, []ck.SlotID{0, 1, 2}) {
				t.Errorf("slots %v", got)
			}
			b.must(b.m.Finalize(false))
			after, err := os.ReadFile(path)
			if !bytes.Equal(before, after) || (err == nil) != (c.name != "missing") {
				t.Errorf("the file was changed: %v", err)
			}
			logged, err := os.ReadFile(logFile)
			if err != nil || !strings.Contains(string(logged), c.log) || !strings.Contains(string(logged), "safe=") {
				t.Errorf("log: %s, %v", logged, err)
			}
			b.must(b.m.Initialize(nil))
		})
	}
}

func withLog(getenv func(string) string, t *testing.T, file string) func(string) string {
	config := filepath.Join(t.TempDir(), "onceleaf.toml")
	if err := os.WriteFile(config, []byte("[log]\nlevel = \"error\"\nfile = \""+file+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(name string) string {
		if name == "ONCELEAF_CONF" {
			return config
		}
		return getenv(name)
	}
}

func (b *bench) usesFail(slot ck.SlotID) {
	b.Helper()
	info, rv := b.m.GetSlotInfo(slot)
	if rv != ck.CKR_OK || info.Flags&ck.CKF_TOKEN_PRESENT == 0 {
		b.Errorf("C_GetSlotInfo: %+v, %s", info, rv.Error())
	}
	_, rv = b.m.GetTokenInfo(slot)
	b.want(ck.CKR_DEVICE_ERROR, rv)
	_, rv = b.m.OpenSession(slot, ck.CKF_SERIAL_SESSION)
	b.want(ck.CKR_DEVICE_ERROR, rv)
	b.want(ck.CKR_DEVICE_ERROR, b.m.InitToken(slot, []byte(soPIN), b.label("again")))
}

package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

// A right PIN gives the master key back, at the cost that the contract with the operator names.
func TestWrapMaster(t *testing.T) {
	master := keystore.NewMasterKey()
	defer keystore.Wipe(master)
	record, err := wrapMaster(master, userPIN, defaultKDF, pinContext("0123", ck.CKU_USER))
	if err != nil {
		t.Fatal(err)
	}
	r, err := parsePIN(record)
	if err != nil || r.KDF != (KDF{1, 65536, 4}) || len(r.Salt) != 16 {
		t.Fatalf("%+v, %v", r, err)
	}
	got, err := r.open(userPIN, pinContext("0123", ck.CKU_USER))
	if err != nil || !bytes.Equal(got, master) {
		t.Errorf("%v", err)
	}
	if _, err := r.open([]byte("wrong"), pinContext("0123", ck.CKU_USER)); result(err) != ck.CKR_PIN_INCORRECT {
		t.Errorf("wrong PIN: %v", err)
	}
}

// A record opens only for its user and its token.
func TestPINContext(t *testing.T) {
	master := keystore.NewMasterKey()
	defer keystore.Wipe(master)
	cheap := KDF{1, 8, 1}
	record, err := wrapMaster(master, userPIN, cheap, pinContext("0123", ck.CKU_USER))
	if err != nil {
		t.Fatal(err)
	}
	r, err := parsePIN(record)
	if err != nil {
		t.Fatal(err)
	}
	for _, context := range [][]byte{pinContext("0123", ck.CKU_SO), pinContext("0124", ck.CKU_USER)} {
		if _, err := r.open(userPIN, context); result(err) != ck.CKR_PIN_INCORRECT {
			t.Errorf("%s: %v", context, err)
		}
	}
}

func TestDamagedPINRecords(t *testing.T) {
	good := pinRecord{Version: 1, KDF: KDF{1, 8, 1}, Salt: make([]byte, 16), Sealed: make([]byte, 60)}
	for name, change := range map[string]func(*pinRecord){
		"version": func(r *pinRecord) { r.Version = 2 },
		"tries":   func(r *pinRecord) { r.Tries = -1 },
		"salt":    func(r *pinRecord) { r.Salt = nil },
		"passes":  func(r *pinRecord) { r.KDF.Time = 0 },
		"many":    func(r *pinRecord) { r.KDF.Time = 1 << 30 },
		"threads": func(r *pinRecord) { r.KDF.Threads = 0 },
		"memory":  func(r *pinRecord) { r.KDF.Memory = 1 << 31 },
		"little":  func(r *pinRecord) { r.KDF.Memory = 1 },
	} {
		r := good
		change(&r)
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parsePIN(text); !errors.Is(err, keystore.ErrDamaged) && !errors.Is(err, keystore.ErrVersion) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := parsePIN([]byte("?")); !errors.Is(err, keystore.ErrDamaged) {
		t.Errorf("%v", err)
	}
}

// refusing is a shelf that does not confirm writes.
type refusing struct{ keystore.Shelf }

var errRefused = errors.New("no room")

func (refusing) Write(map[string][]byte) error { return errRefused }

// The try is counted before the PIN is looked at: if it cannot be counted, even the right PIN is not tried.
func TestUncountedTryIsNoTry(t *testing.T) {
	tk := newTestToken(t)
	shelf := tk.shelf
	tk.shelf = refusing{shelf}
	for _, pin := range [][]byte{userPIN, []byte("wrong")} {
		if err := tk.Login(ck.CKU_USER, pin); !errors.Is(err, errRefused) || result(err) == ck.CKR_PIN_INCORRECT {
			t.Errorf("%v", err)
		}
	}
	if tk.User() != nil {
		t.Error("logged in")
	}
	tk.shelf = shelf
	tk.must(tk.Login(ck.CKU_USER, userPIN))
}

// counting remembers each write of a PIN record.
type counting struct {
	keystore.Shelf
	tries []int
}

func (c *counting) Write(changes map[string][]byte) error {
	for _, value := range changes {
		var r pinRecord
		if json.Unmarshal(value, &r) == nil {
			c.tries = append(c.tries, r.Tries)
		}
	}
	return c.Shelf.Write(changes)
}

func TestTriesAreDurable(t *testing.T) {
	tk := newTestToken(t)
	c := &counting{Shelf: tk.shelf}
	tk.shelf = c
	for range 2 {
		if err := tk.Login(ck.CKU_USER, []byte("wrong")); result(err) != ck.CKR_PIN_INCORRECT {
			t.Errorf("%v", err)
		}
	}
	tk.must(tk.Login(ck.CKU_USER, userPIN))
	if want := []int{1, 2, 3, 0}; len(c.tries) != 4 || c.tries[0] != want[0] || c.tries[1] != want[1] || c.tries[2] != want[2] || c.tries[3] != want[3] {
		t.Errorf("counts written: %v, want %v", c.tries, want)
	}
}

// A second call finishes what a crash left of C_InitToken on an initialised token.
func TestReinitialiseCanBeRepeated(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	tk.tokenPair(s)
	pub, _ := tk.tokenPair(s)
	identity, _ := pub.identity(publicPrefix)
	tk.EndSession(s.ID)
	tk.LogoutIfAny()
	shelf := tk.shelf
	tk.shelf = refusing{shelf}
	if err := tk.device.InitToken(0, soPIN, "again"); !errors.Is(err, errRefused) {
		t.Errorf("%v", err)
	}
	tk.shelf = shelf
	tk.must(tk.device.InitToken(0, soPIN, "again"))
	tk.reopen()
	info, err := tk.keys.Info(identity)
	if err != nil || info.Status != keystore.Destroyed {
		t.Errorf("the ledger: %+v, %v", info.Status, err)
	}
	if err := tk.Login(ck.CKU_USER, userPIN); result(err) != ck.CKR_USER_PIN_NOT_INITIALIZED {
		t.Errorf("%v", err)
	}
	tk.must(tk.Login(ck.CKU_SO, soPIN))
	tk.must(tk.InitPIN(userPIN))
	tk.must(tk.Logout())
	tk.userSession()
	tk.expectLabels()
}

// A label that no file of a transfer may name would cost the leaves that such a token gives away.
func TestLabelsRefused(t *testing.T) {
	tk := newTestToken(t)
	for _, label := range []string{"two\nlines", "esc\x1b", "\xff\xfe", "\x00"} {
		for slot := range ck.SlotID(2) { // the token that is there, and the free slot
			if err := tk.device.InitToken(slot, []byte(soPIN), label); result(err) != ck.CKR_ARGUMENTS_BAD {
				t.Errorf("slot %d, label %q: %v", slot, label, err)
			}
		}
	}
	tk.reopen()
}

// A PIN longer than any is no try, and is not read.
func TestEndlessPIN(t *testing.T) {
	tk := newTestToken(t)
	if err := tk.Login(ck.CKU_USER, make([]byte, MaxPIN+1)); result(err) != ck.CKR_PIN_LEN_RANGE {
		t.Errorf("got %v", err)
	}
	if flags, err := tk.pinFlags(ck.CKU_USER); err != nil || flags&ck.CKF_USER_PIN_COUNT_LOW != 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
}

func TestLabelOfToken(t *testing.T) {
	tk := newTestToken(t)
	for range 2 {
		info, err := tk.device.Info(0)
		if err != nil || info.Label != "test token" || info.Serial != tk.serial {
			t.Errorf("%+v, %v", info, err)
		}
		tk.reopen()
	}
}

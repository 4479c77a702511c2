package token

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

var (
	soPIN   = []byte("so-pin-1")
	userPIN = []byte("user-pin-1")
)

// testConfig is a token directory of its own, with PINs that are quick to try.
func testConfig(t testing.TB) Config {
	t.Helper()
	dir := t.TempDir()
	c, err := LoadConfig(environment(map[string]string{"ONCELEAF_DIR": dir}))
	if err != nil {
		t.Fatal(err)
	}
	c.KDF = KDF{Time: 1, Memory: 8, Threads: 1}
	c.OwnerWait = 0
	return c
}

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func openDevice(t testing.TB, c Config) (*Device, *bytes.Buffer) {
	t.Helper()
	text := &bytes.Buffer{}
	d, err := OpenDevice(c, slog.New(slog.NewTextHandler(text, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, text
}

// testToken is a token in slot 0 with both PINs.
type testToken struct {
	testing.TB
	*Token
	*Seat
	config Config
	device *Device
	last   uint64
}

func newTestToken(t testing.TB) *testToken {
	t.Helper()
	c := testConfig(t)
	d, _ := openDevice(t, c)
	if err := d.InitToken(0, soPIN, "test token"); err != nil {
		t.Fatal(err)
	}
	tk := &testToken{TB: t, config: c, device: d}
	tk.adopt()
	tk.must(tk.Login(ck.CKU_SO, soPIN))
	tk.must(tk.InitPIN(userPIN))
	tk.must(tk.Logout())
	return tk
}

func (tk *testToken) adopt() {
	tk.Helper()
	var err error
	if tk.Token, err = tk.device.Token(0); err != nil {
		tk.Fatal(err)
	}
	tk.Seat = tk.NewSeat(SeatLimits{})
}

func (tk *testToken) must(err error) {
	tk.Helper()
	if err != nil {
		tk.Fatal(err)
	}
}

// reopen closes the directory and opens it again.
func (tk *testToken) reopen() {
	tk.Helper()
	tk.must(tk.device.Close())
	tk.device, _ = openDevice(tk.TB, tk.config)
	tk.adopt()
}

// userSession is a read-write session with the user logged in.
func (tk *testToken) userSession() Session {
	tk.Helper()
	if !tk.userIs(ck.CKU_USER) {
		tk.must(tk.Login(ck.CKU_USER, userPIN))
	}
	tk.last++
	tk.must(tk.BeginSession(tk.last))
	return Session{ID: tk.last, ReadWrite: true}
}

func (tk *testToken) read(id ObjectID, attribute ck.AttributeType) Reading {
	tk.Helper()
	readings, err := tk.Read(id, []ck.AttributeType{attribute})
	tk.must(err)
	return readings[0]
}

func (tk *testToken) value(id ObjectID, attribute ck.AttributeType) []byte {
	tk.Helper()
	r := tk.read(id, attribute)
	if r.Err != nil {
		tk.Fatalf("%s: %v", id, r.Err)
	}
	return r.Value
}

func (tk *testToken) expect(id ObjectID, values map[ck.AttributeType][]byte) {
	tk.Helper()
	for attribute, want := range values {
		r := tk.read(id, attribute)
		if r.Err != nil || !bytes.Equal(r.Value, want) {
			tk.Errorf("%s, %s: %x, %v, want %x", id, attribute, r.Value, r.Err, want)
		}
	}
}

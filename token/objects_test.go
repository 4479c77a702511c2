package token

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

var discard = slog.New(slog.DiscardHandler)

func dup(f *os.File) (*os.File, error) {
	fd, err := unix.Dup(int(f.Fd()))
	return os.NewFile(uintptr(fd), f.Name()), err
}

// tokenPair makes a key pair of token objects.
func (tk *testToken) tokenPair(s Session) (pub, priv ObjectID) {
	tk.Helper()
	pub, priv, err := tk.GenerateHSS(tk.Context(), s, []Attribute{{ck.CKA_TOKEN, yes}, {ck.CKA_LABEL, []byte("pub")}},
		append(oneLevel(), Attribute{ck.CKA_TOKEN, yes}, Attribute{ck.CKA_LABEL, []byte("priv")}))
	tk.must(err)
	return pub, priv
}

func (tk *testToken) labels() (labels []string) {
	tk.Helper()
	for _, id := range tk.objects() {
		labels = append(labels, string(tk.value(id, ck.CKA_LABEL)))
	}
	return labels
}

// objects are all that the seat sees but the profiles, which every token has.
func (tk *testToken) objects() []ObjectID {
	return slices.DeleteFunc(tk.Find(nil), func(id ObjectID) bool { return strings.HasPrefix(string(id), "profile/") })
}

func (tk *testToken) expectLabels(want ...string) {
	tk.Helper()
	if got := tk.labels(); !slices.Equal(got, want) {
		tk.Errorf("objects %q, want %q", got, want)
	}
}

// Each half of a pair can be destroyed by itself, in both orders, and it stays so.
func TestDestroyHalves(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	pub, priv := tk.tokenPair(s)
	value := tk.value(pub, ck.CKA_VALUE)
	tk.must(tk.Destroy(s, priv))
	for range 2 {
		tk.expectLabels("pub")
		tk.expect(pub, map[ck.AttributeType][]byte{ck.CKA_VALUE: value, ck.CKA_LOCAL: yes, ck.CKA_TOKEN: yes})
		if _, err := tk.Signer(priv, ck.CKM_HSS); result(err) != ck.CKR_OBJECT_HANDLE_INVALID {
			t.Errorf("Signer: %v", err)
		}
		tk.reopen()
		s = tk.userSession()
	}
	tk.must(tk.Destroy(s, pub))
	tk.expectLabels()

	pub, priv = tk.tokenPair(s)
	tk.must(tk.Destroy(s, pub))
	tk.expectLabels("priv")
	tk.reopen()
	s = tk.userSession()
	tk.expectLabels("priv")
	signer, err := tk.Signer(priv, ck.CKM_HSS)
	tk.must(err)
	if _, err := signer.Sign(t.Context(), []byte("m")); err != nil {
		t.Error(err)
	}
	tk.must(tk.Destroy(s, priv))
	tk.reopen()
	tk.userSession()
	tk.expectLabels()
}

func TestDestroyRules(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	pub, priv := tk.tokenPair(s)
	if err := tk.Destroy(Session{ID: s.ID}, pub); result(err) != ck.CKR_SESSION_READ_ONLY {
		t.Errorf("read-only session: %v", err)
	}
	if err := tk.Destroy(s, "token/none"); result(err) != ck.CKR_OBJECT_HANDLE_INVALID {
		t.Errorf("no such object: %v", err)
	}
	stays, _, err := tk.GenerateHSS(t.Context(), s, []Attribute{{ck.CKA_DESTROYABLE, no}, {ck.CKA_MODIFIABLE, no}}, oneLevel())
	tk.must(err)
	if err := tk.Destroy(s, stays); result(err) != ck.CKR_ACTION_PROHIBITED {
		t.Errorf("not destroyable: %v", err)
	}
	if err := tk.Change(s, stays, []Attribute{{ck.CKA_LABEL, []byte("x")}}); result(err) != ck.CKR_ACTION_PROHIBITED {
		t.Errorf("not modifiable: %v", err)
	}
	tk.must(tk.Logout())
	if err := tk.Destroy(s, priv); result(err) != ck.CKR_OBJECT_HANDLE_INVALID {
		t.Errorf("private, nobody logged in: %v", err)
	}
	tk.must(tk.Destroy(s, pub)) // a public object of the token
	tk.must(tk.Login(ck.CKU_USER, userPIN))
	open := append(oneLevel(), Attribute{ck.CKA_PRIVATE, no}, Attribute{ck.CKA_TOKEN, yes})
	_, shown, err := tk.GenerateHSS(t.Context(), s, nil, open)
	tk.must(err)
	tk.must(tk.Logout())
	if err := tk.Destroy(s, shown); result(err) != ck.CKR_USER_NOT_LOGGED_IN {
		t.Errorf("a key that all can see, nobody logged in: %v", err)
	}
	tk.must(tk.Login(ck.CKU_SO, soPIN))
	if err := tk.Destroy(s, priv); result(err) != ck.CKR_OBJECT_HANDLE_INVALID {
		t.Errorf("private, SO logged in: %v", err)
	}
}

// Objects and attributes that cannot be read are reported and kept. A key with such attributes does nothing: they may
// have denied it.
func TestDamagedObjects(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	_, priv := tk.tokenPair(s)
	tk.must(tk.shelf.Write(map[string][]byte{
		objectPrefix + "token/1": []byte("?"),
		objectPrefix + "token/2": []byte(`{"version":7,"attributes":{}}`),
		objectPrefix + "token/3": []byte(`{"version":1,"attributes":{"CKA_CLASS":"AAAAAAAAAGM="}}`),
		objectPrefix + "token/4": []byte(`{"version":1,"attributes":{"CKA_NOBODY":"AA=="}}`),
		objectPrefix + "token/5": flipped(objectRecord{Attributes: plainKey()}.encode()),
	}))
	identity, _ := priv.identity(privatePrefix)
	tk.must(tk.keys.SetAttributes(identity, []byte("?"), []byte("?")))
	tk.must(tk.device.Close())
	var log *bytes.Buffer
	tk.device, log = openDevice(t, tk.config)
	tk.adopt()
	tk.userSession()
	tk.expectLabels("", "")
	tk.expect(priv, map[ck.AttributeType][]byte{ck.CKA_TOKEN: yes, ck.CKA_PRIVATE: yes, ck.CKA_CLASS: Ulong(ck.CKO_PRIVATE_KEY), ck.CKA_SENSITIVE: yes})
	if _, err := tk.Signer(priv, ck.CKM_HSS); result(err) != ck.CKR_KEY_FUNCTION_NOT_PERMITTED {
		t.Errorf("Signer: %v", err)
	}
	if err := tk.Change(tk.userSession(), priv, []Attribute{{ck.CKA_LABEL, []byte("x")}}); result(err) != ck.CKR_ACTION_PROHIBITED {
		t.Errorf("Change: %v", err)
	}
	for _, name := range []string{"token/1", "token/2", "token/3", "token/4", "token/5"} {
		if text, err := tk.shelf.Read(objectPrefix + name); text == nil || !strings.Contains(log.String(), name) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

// A session that ends while its key is made leaves nothing behind.
func TestSessionEndsDuringGeneration(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	tk.EndSession(s.ID)
	_, _, err := tk.GenerateHSS(t.Context(), s, nil, oneLevel())
	if result(err) != ck.CKR_SESSION_HANDLE_INVALID {
		t.Errorf("session key: %v", err)
	}
	_, _, err = tk.GenerateHSS(t.Context(), s, nil, append(oneLevel(), Attribute{ck.CKA_TOKEN, yes}))
	if result(err) != ck.CKR_SESSION_HANDLE_INVALID {
		t.Errorf("token key with a session public key: %v", err)
	}
	tk.expectLabels()
}

// The keystore opens for the user alone, although the SO's PIN gives the same master key.
func TestKeystoreOpensForTheUserAlone(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	_, priv := tk.tokenPair(s)
	identity, _ := priv.identity(privatePrefix)
	sign := func() error {
		_, err := tk.keys.Sign(t.Context(), identity, []byte("m"))
		return err
	}
	if err := sign(); err != nil {
		t.Errorf("user: %v", err)
	}
	tk.must(tk.Logout())
	if err := sign(); !errors.Is(err, keystore.ErrLocked) {
		t.Errorf("nobody: %v", err)
	}
	tk.must(tk.Login(ck.CKU_SO, soPIN))
	if err := sign(); !errors.Is(err, keystore.ErrLocked) {
		t.Errorf("SO: %v", err)
	}
}

// Two half-finished changes of the two halves do not undo each other.
func TestConcurrentChanges(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	pub, priv := tk.tokenPair(s)
	done := make(chan error)
	for _, id := range []ObjectID{pub, priv} {
		go func() {
			for range 20 {
				if err := tk.Change(s, id, []Attribute{{ck.CKA_ID, []byte(id)}}); err != nil {
					done <- err
					return
				}
			}
			done <- tk.Change(s, id, []Attribute{{ck.CKA_LABEL, []byte(id)}})
		}()
	}
	for range 2 {
		tk.must(<-done)
	}
	for _, id := range []ObjectID{pub, priv} {
		tk.expect(id, map[ck.AttributeType][]byte{ck.CKA_ID: []byte(id), ck.CKA_LABEL: []byte(id)})
	}
}

// What is at rest: the shelf shows no secret, and the transfer key opens only where it belongs.
func TestTransferSecretsAreSealed(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	_, one, err := tk.GenerateTransferKey(s, ck.TRANSFER_HPKE, nil, nil)
	tk.must(err)
	_, two, err := tk.GenerateTransferKey(s, ck.TRANSFER_HPKE, nil, nil)
	tk.must(err)
	first, err := tk.object(one)
	tk.must(err)
	secret, err := tk.open(first.sealed, tk.transferContext(first.stored[ck.CKA_ONCELEAF_FINGERPRINT]))
	tk.must(err)
	if text, err := tk.shelf.Read(objectPrefix + string(one)); err != nil || text == nil || bytes.Contains(text, secret[:32]) {
		t.Errorf("stored: %v, %d bytes", err, len(text))
	}
	second, err := tk.object(two)
	tk.must(err)
	record, err := parseRecord(second.record())
	tk.must(err)
	record.Sealed = first.sealed // moved to another object
	tk.must(tk.shelf.Write(map[string][]byte{objectPrefix + string(two): record.encode()}))
	tk.reopen()
	tk.userSession()
	if _, err := tk.transferKey(one); err != nil {
		t.Error(err)
	}
	if _, err := tk.transferKey(two); err == nil {
		t.Error("a secret opened that was moved")
	}
	tk.must(tk.Logout())
	if _, err := tk.open(first.sealed, nil); result(err) != ck.CKR_USER_NOT_LOGGED_IN {
		t.Errorf("open after logout: %v", err)
	}
}

// ahead is a guard that has seen a later state than any store here.
type ahead struct{ keystore.NoGuard }

func (ahead) Current() (uint64, error) { return 1000, nil }

// A quarantined key is there, shows its state, and does nothing.
func TestQuarantinedKey(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	_, priv := tk.tokenPair(s)
	var err error
	tk.keys, err = keystore.New(tk.store, ahead{}, discard)
	tk.must(err)
	if _, err := tk.Signer(priv, ck.CKM_HSS); !errors.Is(err, keystore.ErrQuarantined) {
		t.Errorf("Signer: %v", err)
	}
	if err := tk.Destroy(s, priv); !errors.Is(err, keystore.ErrQuarantined) {
		t.Errorf("Destroy: %v", err)
	}
	if text := tk.value(priv, ck.CKA_ONCELEAF_STATE); !bytes.Contains(text, []byte(`"status":"quarantined"`)) {
		t.Errorf("%s", text)
	}
	tk.EndSession(s.ID)
	tk.LogoutIfAny()
	if err := tk.device.InitToken(0, soPIN, "again"); !errors.Is(err, keystore.ErrQuarantined) {
		t.Errorf("InitToken: %v", err)
	}
}

func TestLedgerJSON(t *testing.T) {
	const want = `{"status":"active","exhausted":false,"generation":7,"levels":["LMS_SHA256_M32_H5/LMOTS_SHA256_N32_W8"],"remaining":3,` +
		`"capacity":31,"low":true,"warnBelow":10,"reserve":4,"rootRemaining":2,` +
		`"free":[{"from":1,"to":3}],"given":[{"id":"t","peer":"p","leaves":[{"from":0,"to":1}],"acknowledged":true}],"received":[],"guard":"none"}`
	p, err := planKey(nil, oneLevel())
	if err != nil {
		t.Fatal(err)
	}
	info := keystore.Info{
		Status: keystore.Active, Generation: 7, Levels: p.levels, Remaining: 3, Capacity: 31, Reserve: 4, RootRemaining: 2, Guard: "none", Free: keystore.Spans{{From: 1, To: 3}},
		Given: []keystore.Transfer{{ID: "t", Peer: "p", Leaves: keystore.Spans{{From: 0, To: 1}}, Acknowledged: true}},
	}
	if got := string(ledger(info, 10)); got != want {
		t.Errorf("%s", got)
	}
}

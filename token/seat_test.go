package token

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

// beside is the token from another seat.
func (tk *testToken) beside(limits SeatLimits) *testToken {
	other := *tk
	other.Seat, other.last = tk.NewSeat(limits), 0
	return &other
}

// everything tells what the seat sees: all objects, what is left of the keys, and who is logged in.
func (tk *testToken) everything() string {
	tk.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "user %t\n", tk.userIs(ck.CKU_USER))
	for _, o := range tk.all() {
		fmt.Fprintf(&text, "%s %q", o.id, o.stored[ck.CKA_LABEL])
		if o.key != nil {
			s, err := o.key.keys.Info(o.key.identity)
			fmt.Fprintf(&text, " %d of %d, generation %d, %v", s.Remaining, s.Capacity, s.Generation, err)
		}
		text.WriteString("\n")
	}
	return text.String()
}

// shownKey is a key that everybody sees, and only the user may use.
func (tk *testToken) shownKey(s Session) ObjectID {
	tk.Helper()
	_, key, err := tk.GenerateHSS(tk.Context(), s, nil, append(oneLevel(), Attribute{ck.CKA_TOKEN, yes}, Attribute{ck.CKA_PRIVATE, no},
		Attribute{ck.CKA_ONCELEAF_TRANSFERABLE, yes}))
	tk.must(err)
	return key
}

// scene is a token where the user is logged in, with one object of each kind and all that a transfer needs.
type scene struct {
	*testToken
	s               Session
	hidden, shown   ObjectID // HSS private keys; hidden is CKA_PRIVATE
	public          ObjectID
	aes             ObjectID // a secret key that is CKA_PRIVATE
	inSession       ObjectID // an HSS private key that all could see, and a session object
	request         ObjectID // from another token
	transfer        ObjectID // which opens capsule
	capsule         []byte
	given           ObjectID // whose leaves went to another token
	receipt         []byte
	requestTemplate []Attribute
}

func newScene(t *testing.T) *scene {
	here, there := newTestToken(t), newTestToken(t)
	c := &scene{testToken: here, s: here.userSession()}
	s2 := there.userSession()
	c.public, c.hidden = here.tokenPair(c.s)
	c.shown, c.given = here.shownKey(c.s), here.shownKey(c.s)
	var err error
	_, c.inSession, err = here.GenerateHSS(t.Context(), c.s, nil, append(oneLevel(), Attribute{ck.CKA_PRIVATE, no}))
	here.must(err)
	c.aes = here.aesKey(c.s)
	received := here.hand(c.s, c.given, 4, there, s2)
	c.receipt = there.value(received, ck.CKA_ONCELEAF_RECEIPT)
	_, transfer, request := here.request(c.s)
	c.transfer, c.capsule = transfer, there.gives(s2, there.levelledKey(s2, 1), request)
	_, _, request = there.request(s2)
	c.requestTemplate = []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_PUBLIC_KEY)}, {ck.CKA_KEY_TYPE, Ulong(ck.CKK_ONCELEAF_TRANSFER)}, {ck.CKA_VALUE, request}}
	c.request, err = here.Create(c.s, append(slices.Clone(c.requestTemplate), Attribute{ck.CKA_TOKEN, yes}))
	here.must(err)
	return c
}

// door is one method of a seat, as somebody tries it who is not the user.
type door struct {
	try        func(b *testToken, s Session) error
	nobody, so ck.RV
}

// doors tries every exported method of Seat. Some have several rows, which begin with the method.
func (c *scene) doors() map[string]door {
	ctx := c.Context()
	onToken := append(oneLevel(), Attribute{ck.CKA_TOKEN, yes}, Attribute{ck.CKA_PRIVATE, no})
	rename := []Attribute{{ck.CKA_LABEL, []byte("mine")}}
	signer := func(id ObjectID) func(*testToken, Session) error {
		return func(b *testToken, _ Session) error {
			signer, err := b.Signer(id, ck.CKM_HSS)
			if err == nil {
				_, err = signer.Sign(ctx, []byte("not mine"))
			}
			return err
		}
	}
	giving := func(id ObjectID) func(*testToken, Session) error {
		return func(b *testToken, s Session) error {
			giving, err := b.Giving(s, c.request, id, 1)
			if err == nil {
				_, err = giving.Give(ctx)
			}
			return err
		}
	}
	change := func(id ObjectID) func(*testToken, Session) error {
		return func(b *testToken, s Session) error { return b.Change(s, id, rename) }
	}
	destroy := func(id ObjectID) func(*testToken, Session) error {
		return func(b *testToken, s Session) error { return b.Destroy(s, id) }
	}
	read := func(id ObjectID) func(*testToken, Session) error {
		return func(b *testToken, _ Session) error {
			_, err := b.Read(id, []ck.AttributeType{ck.CKA_LABEL})
			return err
		}
	}
	const unseen, outside, fine = ck.CKR_OBJECT_HANDLE_INVALID, ck.CKR_USER_NOT_LOGGED_IN, ck.CKR_OK
	return map[string]door{
		"Signer hidden":     {signer(c.hidden), unseen, unseen},
		"Signer shown":      {signer(c.shown), outside, outside},
		"Signer in session": {signer(c.inSession), unseen, unseen},
		"Giving hidden":     {giving(c.hidden), ck.CKR_KEY_HANDLE_INVALID, ck.CKR_KEY_HANDLE_INVALID},
		"Giving shown":      {giving(c.shown), outside, outside},
		"Giving, not yet": {func(b *testToken, s Session) error {
			_, err := b.Giving(s, c.request, c.shown, 1)
			return err
		}, outside, outside},
		"Signer, not yet": {func(b *testToken, s Session) error {
			_, err := b.Signer(c.shown, ck.CKM_HSS)
			return err
		}, outside, outside},
		"Receive": {func(b *testToken, s Session) error {
			_, err := b.Receive(ctx, s, c.transfer, c.capsule, []Attribute{{ck.CKA_PRIVATE, no}})
			return err
		}, outside, outside},
		"Acknowledge":       {func(b *testToken, s Session) error { return b.Acknowledge(s, c.given, c.receipt) }, outside, outside},
		"Destroy hidden":    {destroy(c.hidden), unseen, unseen},
		"Destroy shown":     {destroy(c.shown), outside, outside},
		"Destroy session's": {destroy(c.inSession), unseen, unseen},
		"Change hidden":     {change(c.hidden), unseen, unseen},
		"Change session's":  {change(c.inSession), unseen, unseen},
		"Read hidden":       {read(c.hidden), unseen, unseen},
		"Read session's":    {read(c.inSession), unseen, unseen},
		"Read transfer key": {read(c.transfer), unseen, unseen},
		"Find": {func(b *testToken, _ Session) error {
			for _, id := range b.Find(nil) {
				if id == c.hidden || id == c.transfer || id == c.inSession {
					return fmt.Errorf("%s was found", id)
				}
			}
			return nil
		}, fine, fine},
		"GenerateHSS": {func(b *testToken, s Session) error {
			_, _, err := b.GenerateHSS(ctx, s, nil, onToken)
			return err
		}, outside, outside},
		"GenerateTransferKey": {func(b *testToken, s Session) error {
			_, _, err := b.GenerateTransferKey(s, ck.TRANSFER_HPKE, nil, nil)
			return err
		}, outside, outside},
		"Create private": {func(b *testToken, s Session) error {
			_, err := b.Create(s, append(slices.Clone(c.requestTemplate), Attribute{ck.CKA_PRIVATE, yes}))
			return err
		}, outside, outside},
		"Login": {func(b *testToken, _ Session) error { return b.Login(ck.CKU_USER, []byte("guess")) },
			ck.CKR_PIN_INCORRECT, ck.CKR_USER_ANOTHER_ALREADY_LOGGED_IN},
		"SetPIN":       {func(b *testToken, _ Session) error { return b.SetPIN([]byte("guess"), []byte("mine")) }, ck.CKR_PIN_INCORRECT, ck.CKR_PIN_INCORRECT},
		"InitPIN":      {func(b *testToken, _ Session) error { return b.InitPIN(userPIN) }, outside, fine}, // which is the SO's right
		"Logout":       {func(b *testToken, _ Session) error { return errors.Join(b.Logout(), b.again()) }, outside, fine},
		"LogoutIfAny":  {func(b *testToken, _ Session) error { b.LogoutIfAny(); return b.again() }, fine, fine},
		"BeginSession": {func(b *testToken, _ Session) error { return b.BeginSession(c.s.ID) }, fine, fine},
		"EndSession": {func(b *testToken, _ Session) error { // by the number that another seat's session has
			if gone := b.EndSession(c.s.ID); len(gone) > 0 {
				return fmt.Errorf("%s went", gone)
			}
			return b.BeginSession(c.s.ID)
		}, fine, fine},
		"User": {func(b *testToken, _ Session) error {
			if user := b.User(); user != nil && *user == ck.CKU_USER {
				return errors.New("the user is logged in here")
			}
			return nil
		}, fine, fine},
		"Key": {func(b *testToken, _ Session) error {
			_, err := b.Key(c.aes, ck.Mechanism{Type: ck.CKM_AES_ECB}, ck.CKA_ENCRYPT, ck.CKF_ENCRYPT)
			return err
		}, unseen, unseen},
		"SecretKey":    {func(b *testToken, _ Session) error { return second(b.SecretKey(c.aes)) }, unseen, unseen},
		"Authenticate": {func(b *testToken, _ Session) error { return b.Authenticate(userPIN) }, outside, outside},
		"RefuseWrap":   {func(b *testToken, _ Session) error { return b.RefuseWrap(c.shown, ck.CKM_HSS) }, ck.CKR_KEY_UNEXTRACTABLE, ck.CKR_KEY_UNEXTRACTABLE},
		"Verifier": {func(b *testToken, _ Session) error {
			_, err := b.Verifier(c.public, ck.CKM_HSS)
			return err
		}, fine, fine},
		"Exists": {func(b *testToken, _ Session) error {
			if b.Exists(c.inSession) {
				return errors.New("a session object of another seat exists here")
			}
			return nil
		}, fine, fine},
		"Private": {func(b *testToken, _ Session) error {
			if !b.Private(c.hidden) || b.Private(c.shown) {
				return errors.New("Private is not about the login")
			}
			return nil
		}, fine, fine},
		"Cancel": {func(*testToken, Session) error { c.beside(SeatLimits{}).Seat.Cancel(); return nil }, fine, fine},
		"Close":  {func(b *testToken, _ Session) error { c.beside(SeatLimits{}).Seat.Close(); return nil }, fine, fine},
	}
}

// again logs the SO in after a door that logs out, if it was the SO's turn.
func (tk *testToken) again() error {
	if tk.last != soTurn {
		return nil
	}
	return tk.Login(ck.CKU_SO, soPIN)
}

const soTurn = 7 // number of the session from which the SO tries

// While the user is logged in at one seat the keystore is open. Nothing of it opens at another seat, for nobody and for
// the SO. A method of Seat without a row here fails.
func TestAnotherSeatOpensNothing(t *testing.T) {
	c := newScene(t)
	doors := c.doors()
	maps.Copy(doors, c.makingDoors())
	methods := reflect.TypeFor[*Seat]()
	for i := range methods.NumMethod() {
		name := methods.Method(i).Name
		if !slices.ContainsFunc(slices.Collect(maps.Keys(doors)), func(row string) bool {
			return row == name || strings.HasPrefix(row, name+" ") || strings.HasPrefix(row, name+",")
		}) {
			t.Errorf("Seat.%s has no row", name)
		}
	}
	before := c.everything()
	for name, d := range doors {
		for who, want := range map[string]ck.RV{"nobody": d.nobody, "the SO": d.so} {
			b := c.beside(SeatLimits{})
			s := Session{ID: 1000, ReadWrite: true}
			b.must(b.BeginSession(s.ID))
			if who == "the SO" {
				b.last = soTurn
				b.must(b.Login(ck.CKU_SO, soPIN))
			}
			if err := d.try(b, s); want == ck.CKR_OK && err != nil || result(err) != want {
				t.Errorf("%s, %s: %v, want %s", name, who, err, want.Error())
			}
			b.Seat.Close()
			if after := c.everything(); after != before {
				t.Fatalf("%s, %s, changed\n%sto\n%s", name, who, before, after)
			}
		}
		c.must(c.SetPIN(userPIN, userPIN)) // gives the guessed tries back
	}
	for _, id := range []ObjectID{c.hidden, c.shown, c.inSession} {
		c.signs(id)
	}
	_, err := c.Receive(t.Context(), c.s, c.transfer, c.capsule, nil)
	c.must(err)
	c.must(c.Acknowledge(c.s, c.given, c.receipt))
}

// What passed its checks before the logout does nothing after it, although another seat keeps the keystore open.
func TestLogoutEndsWhatWasBegun(t *testing.T) {
	c := newScene(t)
	b := c.beside(SeatLimits{})
	b.userSession()
	signer, err := c.Signer(c.shown, ck.CKM_HSS)
	c.must(err)
	giving, err := c.Giving(c.s, c.request, c.shown, 1)
	c.must(err)
	private, err := c.Signer(c.hidden, ck.CKM_HSS)
	c.must(err)
	given, err := c.Giving(c.s, c.givenRequest(), c.given, 4)
	c.must(err)
	capsule, err := given.Give(t.Context()) // once more: it lies in the outbox, and nothing has to be opened for it
	c.must(err)
	if len(capsule) == 0 {
		t.Fatal("no capsule")
	}
	c.must(c.Logout())
	before := b.everything()
	for name, err := range map[string]error{
		"Sign":           second(signer.Sign(t.Context(), []byte("m"))),
		"Sign, private":  second(private.Sign(t.Context(), []byte("m"))),
		"Give":           second(giving.Give(t.Context())),
		"Give again":     second(given.Give(t.Context())),
		"Signer":         second(c.Signer(c.shown, ck.CKM_HSS)),
		"transferKey":    second(c.seatOpens()),
		"GenerateHSS":    third(c.GenerateHSS(t.Context(), c.s, nil, append(oneLevel(), Attribute{ck.CKA_TOKEN, yes}))),
		"late, to store": third(c.generateInStore(t.Context(), c.s, mustPlan(c, oneLevel()))),
	} {
		if result(err) != ck.CKR_USER_NOT_LOGGED_IN {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := b.everything(); after != before {
		t.Errorf("changed\n%sto\n%s", before, after)
	}
	b.signs(c.hidden)
}

// givenRequest is the request that c.given answered.
func (c *scene) givenRequest() ObjectID {
	for _, o := range c.all() {
		if o.is(ck.CKO_PUBLIC_KEY, ck.CKK_ONCELEAF_TRANSFER) && o.owner != 0 {
			return o.id
		}
	}
	c.Fatal("no request is left")
	return ""
}

func second[T any](_ T, err error) error      { return err }
func third[T, U any](_ T, _ U, e error) error { return e }

func (c *scene) seatOpens() ([]byte, error) {
	o := c.find(c.transfer)
	return c.open(o.sealed, c.transferContext(o.stored[ck.CKA_ONCELEAF_FINGERPRINT]))
}

func mustPlan(c *scene, private []Attribute) keyPlan {
	p, err := planKey([]Attribute{{ck.CKA_TOKEN, yes}}, append(private, Attribute{ck.CKA_TOKEN, yes}))
	c.must(err)
	return p
}

// A key that grows while its user logs out is not made, although another seat keeps the keystore open.
func TestLogoutDuringGeneration(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	b := tk.beside(SeatLimits{})
	b.userSession()
	done := make(chan error)
	go func() {
		_, _, err := tk.GenerateHSS(t.Context(), s, nil, append(levelsOf(1, []uint64{uint64(lms.LMS_SHA256_M32_H20)}, []uint64{4}), Attribute{ck.CKA_TOKEN, yes}))
		done <- err
	}()
	time.Sleep(50 * time.Millisecond) // either side of it is right
	tk.must(tk.Logout())
	if err := <-done; result(err) != ck.CKR_USER_NOT_LOGGED_IN {
		t.Errorf("%v", err)
	}
	b.expectLabels()
}

// Logins and objects of the seats are apart, the objects of the token and its lower trees are not.
func TestSeatsAreApart(t *testing.T) {
	a := newTestToken(t)
	b := a.beside(SeatLimits{})
	s, s2 := a.userSession(), b.userSession()
	if s.ID != s2.ID {
		t.Fatal("the seats count their sessions alike, or this test shows little")
	}
	_, mine, err := a.GenerateHSS(t.Context(), s, nil, oneLevel())
	a.must(err)
	_, theirs, err := b.GenerateHSS(t.Context(), s2, nil, oneLevel())
	b.must(err)
	if mine != theirs {
		t.Fatal("the seats name their session objects alike, or this test shows little")
	}
	a.signTimes(mine, 5)
	b.expect(theirs, map[ck.AttributeType][]byte{ck.CKA_HSS_KEYS_REMAINING: Ulong(uint64(32))})
	_, shared := a.tokenPair(s)
	b.signs(shared)
	a.signs(shared)
	a.must(a.Logout())
	a.must(a.Login(ck.CKU_SO, soPIN)) // the SO here, the user there
	b.signs(shared)
	b.signs(theirs)
	if gone := a.EndSession(s.ID); len(gone) != 1 { // the private one went with the login
		t.Errorf("%s", gone)
	}
	b.signs(theirs)
	b.must(b.Destroy(s2, shared))
	a.must(a.Logout())
	a.must(a.Login(ck.CKU_USER, userPIN))
	if _, err := a.Signer(shared, ck.CKM_HSS); result(err) != ck.CKR_OBJECT_HANDLE_INVALID {
		t.Errorf("a key that another seat destroyed: %v", err)
	}
}

// lockedKeys reports whether the keystore is locked.
func (tk *testToken) lockedKeys(key ObjectID) bool {
	identity, _ := key.identity(privatePrefix)
	_, err := tk.keys.Sign(tk.Context(), identity, []byte("m"))
	return errors.Is(err, keystore.ErrLocked)
}

// The keystore opens with the first user and locks with the last.
func TestUsersAreCounted(t *testing.T) {
	a := newTestToken(t)
	_, key := a.tokenPair(a.userSession())
	seats := []*testToken{a}
	for range 2 {
		b := a.beside(SeatLimits{})
		b.userSession()
		seats = append(seats, b)
	}
	so := a.beside(SeatLimits{})
	so.must(so.Login(ck.CKU_SO, soPIN))
	if got := a.status(); got.Users != 3 || got.Seats != 4 || got.Sessions != 3 || got.Lingering {
		t.Errorf("%+v", got)
	}
	for i, seat := range seats {
		if a.lockedKeys(key) {
			t.Fatalf("locked while %d users are logged in", 3-i)
		}
		switch i {
		case 0:
			seat.must(seat.Logout())
		case 1:
			seat.LogoutIfAny()
			seat.LogoutIfAny()
		case 2:
			seat.Seat.Close()
			seat.Seat.Close()
		}
	}
	if !a.lockedKeys(key) {
		t.Error("open after the last user went")
	}
	if got := a.status(); got.Users != 0 || got.Seats != 3 || got.Lingering {
		t.Errorf("%+v", got)
	}
}

func TestClosedSeat(t *testing.T) {
	a := newTestToken(t)
	a.userSession()
	a.Seat.Close()
	if err := a.BeginSession(9); result(err) != ck.CKR_CRYPTOKI_NOT_INITIALIZED {
		t.Errorf("BeginSession: %v", err)
	}
	if err := a.Login(ck.CKU_USER, userPIN); result(err) != ck.CKR_CRYPTOKI_NOT_INITIALIZED {
		t.Errorf("Login: %v", err)
	}
	if got := a.status(); got.Users != 0 || got.Seats != 0 || got.Sessions != 0 {
		t.Errorf("%+v", got)
	}
}

// lingering is a token whose keystore stays open for so long.
func lingering(t *testing.T, linger time.Duration) *testToken {
	tk := newTestToken(t)
	tk.config.Linger = linger
	tk.reopen()
	return tk
}

// Short programs one after the other use one lower tree, and cost no root leaf each.
func TestLingering(t *testing.T) {
	tk := lingering(t, time.Hour)
	s := tk.userSession()
	key := tk.levelledKey(s, 2)
	tk.Seat.Close()
	for range 3 {
		b := tk.beside(SeatLimits{})
		if got := tk.status(); !got.Lingering {
			t.Errorf("%+v", got)
		}
		if _, err := b.Signer(key, ck.CKM_HSS); result(err) != ck.CKR_OBJECT_HANDLE_INVALID {
			t.Errorf("Signer without login: %v", err)
		}
		b.userSession()
		b.signs(key)
		identity, _ := key.identity(privatePrefix)
		info, err := tk.keys.Info(identity)
		b.must(err)
		if info.RootRemaining != 31 || info.Generation != 2 {
			t.Errorf("%d root leaves are left, generation %d", info.RootRemaining, info.Generation)
		}
		b.Seat.Close()
	}
	if tk.lockedKeys(key) {
		t.Error("locked before its time")
	}
	tk.reopen() // Close locks, and parks
	tk.userSession()
	tk.signs(key)
}

func TestLingerEnds(t *testing.T) {
	tk := lingering(t, 20*time.Millisecond)
	tk.userSession()
	tk.must(tk.Logout())
	deadline := time.Now().Add(10 * time.Second)
	for tk.status().Lingering {
		if time.Now().After(deadline) {
			t.Fatal("it lingers for ever")
		}
		time.Sleep(5 * time.Millisecond)
	}
	s := tk.userSession() // and opens again
	_, key := tk.tokenPair(s)
	for range 3 {
		b := tk.beside(SeatLimits{})
		b.userSession()
		tk.must(tk.Logout())
		time.Sleep(40 * time.Millisecond) // one seat went; another is there
		b.signs(key)
		b.Seat.Close()
		tk.must(tk.Login(ck.CKU_USER, userPIN)) // in time, mostly
		time.Sleep(40 * time.Millisecond)
		tk.signs(key)
	}
}

// C_InitToken waits for no linger, and a master key from before it opens nothing.
func TestReinitialiseBesideSeats(t *testing.T) {
	tk := lingering(t, time.Hour)
	s := tk.userSession()
	_, key := tk.tokenPair(s)
	b := tk.beside(SeatLimits{})
	s2 := b.userSession()
	tk.EndSession(s.ID)
	for range 12 { // more than a PIN has tries
		if err := tk.device.InitToken(0, []byte("wrong"), "again"); result(err) != ck.CKR_SESSION_EXISTS {
			t.Fatalf("%v", err)
		}
	}
	b.EndSession(s2.ID)
	tk.must(tk.device.InitToken(0, soPIN, "again")) // both are still logged in, without a session
	if got := tk.status(); got.Users != 0 || got.Lingering || tk.User() != nil || b.User() != nil {
		t.Errorf("%+v", got)
	}
	if b.Exists(key) || len(b.objects()) > 0 {
		t.Error("objects are left")
	}
	if err := b.Login(ck.CKU_USER, userPIN); result(err) != ck.CKR_USER_PIN_NOT_INITIALIZED {
		t.Errorf("%v", err)
	}
}

// A session that ended adds nothing to the token, so that C_InitToken finds all there is.
func TestEndedSessionAddsNothing(t *testing.T) {
	c := newScene(t)
	c.EndSession(c.s.ID)
	before := c.everything()
	if _, err := c.Create(c.s, append(slices.Clone(c.requestTemplate), Attribute{ck.CKA_TOKEN, yes})); result(err) != ck.CKR_SESSION_HANDLE_INVALID {
		t.Errorf("Create: %v", err)
	}
	if after := c.everything(); after != before {
		t.Errorf("changed\n%sto\n%s", before, after)
	}
}

// A transfer key of the session goes with its use, as one of the token does.
func TestSessionTransferKey(t *testing.T) {
	source, destination := newTestToken(t), newTestToken(t)
	here, there := source.userSession(), destination.userSession()
	inSession := []Attribute{{ck.CKA_TOKEN, no}}
	pub, transfer, err := destination.GenerateTransferKey(there, ck.TRANSFER_HPKE, inSession, inSession)
	destination.must(err)
	capsule := source.gives(here, source.levelledKey(here, 1), destination.value(pub, ck.CKA_VALUE))
	_, err = destination.Receive(t.Context(), there, transfer, capsule, nil)
	destination.must(err)
	if destination.Exists(pub) || destination.Exists(transfer) {
		t.Error("a used transfer key is left")
	}
}

func TestSeatLimits(t *testing.T) {
	c := newScene(t)
	b := c.beside(SeatLimits{Objects: 3, SessionKeys: 1})
	s := b.userSession()
	_, _, err := b.GenerateHSS(t.Context(), s, nil, oneLevel())
	b.must(err)
	ended, cancel := context.WithCancel(t.Context())
	cancel() // the limit comes before the long work
	if _, _, err := b.GenerateHSS(ended, s, nil, oneLevel()); result(err) != ck.CKR_DEVICE_MEMORY {
		t.Errorf("second session key: %v", err)
	}
	_, err = b.Create(s, c.requestTemplate)
	b.must(err)
	if _, err = b.Create(s, c.requestTemplate); result(err) != ck.CKR_DEVICE_MEMORY {
		t.Errorf("fourth object: %v", err)
	}
	_, key := b.tokenPair(s) // token objects do not count
	b.signs(key)
	_, err = c.Create(c.s, c.requestTemplate) // nor do other seats
	c.must(err)
	b.EndSession(s.ID)
	s = b.userSession()
	_, _, err = b.GenerateHSS(t.Context(), s, nil, oneLevel())
	b.must(err)
}

// Seats come, sign and go in parallel: for the race detector, and for the count of users.
func TestSeatsInParallel(t *testing.T) {
	tk := lingering(t, time.Millisecond)
	s := tk.userSession()
	key := tk.levelledKey(s, 2)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 8 {
				seatsLife(tk, key)
			}
		})
	}
	group.Wait()
	if got := tk.status(); got.Users != 1 || got.Seats != 1 || got.Sessions != 1 {
		t.Errorf("%+v", got)
	}
	tk.signs(key)
}

func seatsLife(tk *testToken, key ObjectID) {
	b := tk.NewSeat(SeatLimits{})
	defer b.Close()
	s := Session{ID: 1, ReadWrite: true}
	_, _, _ = b.BeginSession(s.ID), b.Login(ck.CKU_USER, userPIN), b.Change(s, key, nil)
	signer, err := b.Signer(key, ck.CKM_HSS)
	if err == nil {
		_, err = signer.Sign(tk.Context(), []byte("m"))
	}
	if _, _, e := b.GenerateHSS(tk.Context(), s, nil, oneLevel()); e != nil || err != nil {
		tk.Errorf("%v, %v", err, e)
	}
	b.Find(nil)
}

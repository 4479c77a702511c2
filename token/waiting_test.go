package token

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

// Who waits for what: signatures that build a tree for minutes, and the others.

// slowly begins a signature with a new key whose lower tree takes minutes, and gives its error when it ends.
func (tk *testToken) slowly(s Session, more ...Attribute) (key ObjectID, ended <-chan error) {
	tk.Helper()
	template := levelsOf(2, []uint64{5, uint64(lms.LMS_SHA256_M32_H25)}, []uint64{4, 4})
	_, key, err := tk.GenerateHSS(tk.Context(), s, nil, append(template, more...))
	tk.must(err)
	return key, tk.signsSlowly(key)
}

func (tk *testToken) signsSlowly(key ObjectID) <-chan error {
	tk.Helper()
	signer, err := tk.Signer(key, ck.CKM_HSS)
	tk.must(err)
	ended := make(chan error, 1)
	ctx := tk.Context()
	go func() {
		signature, err := signer.Sign(ctx, []byte("m"))
		if signature != nil {
			err = errors.New("a signature of a key that takes minutes")
		}
		ended <- err
	}()
	time.Sleep(100 * time.Millisecond) // either side of it is right
	return ended
}

// soon does work that must wait for nobody's tree.
func (tk *testToken) soon(what string, work func() error) {
	tk.Helper()
	done := make(chan error, 1)
	go func() { done <- work() }()
	if err := tk.within(what, done); err != nil {
		tk.Errorf("%s: %v", what, err)
	}
}

func (tk *testToken) within(what string, done <-chan error) error {
	tk.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(15 * time.Second):
		tk.Fatalf("%s: it waits", what)
		return nil
	}
}

// A logout ends the signatures that wait, although another seat keeps the keystore open, or it lingers; nobody's login
// waits for them, not even when the keystore locks.
func TestLogoutEndsSigning(t *testing.T) {
	for name, c := range map[string]struct {
		template []Attribute
		linger   time.Duration
		beside   bool
	}{
		"token key":                    {[]Attribute{{ck.CKA_TOKEN, yes}}, 0, false},
		"token key, another user":      {[]Attribute{{ck.CKA_TOKEN, yes}}, 0, true},
		"token key, lingering":         {[]Attribute{{ck.CKA_TOKEN, yes}}, 10 * time.Millisecond, false},
		"shown token key":              {[]Attribute{{ck.CKA_TOKEN, yes}, {ck.CKA_PRIVATE, no}}, time.Hour, false},
		"private session key":          {nil, 0, false},
		"private session key, another": {nil, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			tk := lingering(t, c.linger)
			s := tk.userSession()
			_, ended := tk.slowly(s, c.template...)
			if c.beside {
				tk.beside(SeatLimits{}).userSession()
			}
			tk.soon("Logout", tk.Logout)
			if err := tk.within("Sign", ended); result(err) != ck.CKR_USER_NOT_LOGGED_IN {
				t.Errorf("Sign: %v", err)
			}
			time.Sleep(3 * c.linger % time.Second)
			b := tk.beside(SeatLimits{})
			b.soon("Login", func() error { return b.Login(ck.CKU_USER, userPIN) })
		})
	}
}

// A later login at the seat does not bring back what the logout ended.
func TestVisitIsOneLogin(t *testing.T) {
	tk := newTestToken(t)
	tk.userSession()
	_, login, stop := tk.whileUser(t.Context())
	defer stop()
	if login.over() || login.result(context.Canceled) != context.Canceled {
		t.Error("over before the logout")
	}
	tk.must(tk.Logout())
	tk.must(tk.Login(ck.CKU_USER, userPIN))
	if !login.over() || result(login.result(context.Canceled)) != ck.CKR_USER_NOT_LOGGED_IN {
		t.Error("a new login goes on with the old one")
	}
}

// logoutHandler logs out when the log is told of a key that is low: behind its signature, before that is given out.
type logoutHandler struct {
	slog.Handler
	logout func() error
}

func (h logoutHandler) Handle(_ context.Context, r slog.Record) error {
	if bytes.HasPrefix([]byte(r.Message), []byte("the key is low")) {
		return h.logout()
	}
	return nil
}

// A signature that was computed while the user logged out is dropped.
func TestLogoutDropsSignature(t *testing.T) {
	tk := newTestToken(t)
	b := tk.beside(SeatLimits{})
	b.userSession()
	s := tk.userSession()
	for _, onToken := range [][]byte{yes, no} {
		_, key, err := tk.GenerateHSS(t.Context(), s, nil, append(oneLevel(), Attribute{ck.CKA_TOKEN, onToken},
			Attribute{ck.CKA_ONCELEAF_WARN_BELOW, Ulong(uint64(100))}))
		tk.must(err)
		signer, err := tk.Signer(key, ck.CKM_HSS)
		tk.must(err)
		log := tk.log
		tk.log = slog.New(logoutHandler{log.Handler(), tk.Logout})
		signature, err := signer.Sign(t.Context(), []byte("m"))
		tk.log = log
		if result(err) != ck.CKR_USER_NOT_LOGGED_IN || signature != nil {
			t.Errorf("token key %x: %d bytes, %v", onToken, len(signature), err)
		}
		s = tk.userSession()
	}
}

// To destroy a session key ends its signature, and neither keeps others waiting, whether or not anybody is logged in.
func TestSessionKeysKeepNobodyWaiting(t *testing.T) {
	tk := newTestToken(t)
	ends := map[string]func(*testToken, Session, ObjectID) error{
		"Destroy":    func(b *testToken, s Session, key ObjectID) error { return b.Destroy(s, key) },
		"EndSession": func(b *testToken, s Session, _ ObjectID) error { b.EndSession(s.ID); return nil },
		"Close":      func(b *testToken, _ Session, _ ObjectID) error { b.Seat.Close(); return nil },
	}
	for name, end := range ends {
		b := tk.beside(SeatLimits{})
		s := Session{ID: 1, ReadWrite: true}
		b.must(b.BeginSession(s.ID))
		key, ended := b.slowly(s, Attribute{ck.CKA_PRIVATE, no})
		b.soon("Change", func() error { return b.Change(s, key, []Attribute{{ck.CKA_LABEL, []byte("x")}}) })
		b.soon(name, func() error { return end(b, s, key) })
		if err := b.within("Sign", ended); !errors.Is(err, keystore.ErrNoKey) {
			t.Errorf("%s: Sign: %v", name, err)
		}
	}
}

// Changes of a key pair wait for a signature that builds a tree of it; nothing else does.
func TestOneKeyKeepsOthersFree(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	_, other := tk.tokenPair(s)
	pub, _, err := tk.GenerateHSS(t.Context(), s, []Attribute{{ck.CKA_TOKEN, yes}}, oneLevel())
	tk.must(err)
	signing := tk.beside(SeatLimits{})
	key, ended := signing.slowly(signing.userSession(), Attribute{ck.CKA_TOKEN, yes})
	rename := []Attribute{{ck.CKA_LABEL, []byte("x")}}
	changed, destroyed := make(chan error, 1), make(chan error, 1)
	go func() { changed <- tk.Change(s, key, rename) }()
	third := tk.beside(SeatLimits{})
	s3 := third.userSession()
	go func() { destroyed <- third.Destroy(s3, key) }()
	time.Sleep(50 * time.Millisecond)
	tk.soon("Change of a token object", func() error { return tk.Change(s, pub, rename) })
	tk.soon("Change of another key", func() error { return tk.Change(s, other, rename) })
	tk.soon("Destroy of another key", func() error { return tk.Destroy(s, other) })
	tk.soon("Login", func() error { return tk.beside(SeatLimits{}).Login(ck.CKU_USER, userPIN) })
	tk.must(signing.Logout())
	for what, done := range map[string]<-chan error{"Sign": ended, "Change": changed, "Destroy": destroyed} {
		err := tk.within(what, done)
		if what == "Sign" && result(err) != ck.CKR_USER_NOT_LOGGED_IN || what == "Destroy" && err != nil ||
			what == "Change" && err != nil && result(err) != ck.CKR_OBJECT_HANDLE_INVALID { // it came second
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Who has gone tries no PIN any more: a try costs time, for which others wait.
func TestCancelledSeat(t *testing.T) {
	tk := newTestToken(t)
	b := tk.beside(SeatLimits{})
	tries := map[string]func() error{
		"Login":   func() error { return b.Login(ck.CKU_USER, []byte("wrong")) },
		"SetPIN":  func() error { return b.SetPIN([]byte("wrong"), userPIN) },
		"InitPIN": func() error { return b.InitPIN(userPIN) },
	}
	for name, try := range tries {
		b = tk.beside(SeatLimits{})
		done := make(chan error, 1)
		tk.pins.Lock()
		go func() { done <- try() }()
		time.Sleep(20 * time.Millisecond) // either side of it is right
		b.Cancel()
		tk.pins.Unlock()
		if err := <-done; result(err) != ck.CKR_FUNCTION_CANCELED {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r, err := tk.readPIN(ck.CKU_USER); err != nil || r.Tries != 0 {
		t.Errorf("%d tries, %v", r.Tries, err)
	}
	b = tk.beside(SeatLimits{})
	tk.must(tk.Token.Close())
	for name, try := range tries {
		if err := try(); result(err) != ck.CKR_FUNCTION_CANCELED {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

func TestTokenLimit(t *testing.T) {
	c := testConfig(t)
	c.Limits.Tokens = 2
	d, _ := openDevice(t, c)
	for id, want := range []ck.RV{ck.CKR_OK, ck.CKR_OK, ck.CKR_DEVICE_MEMORY} {
		if err := d.InitToken(ck.SlotID(id), soPIN, "one"); result(err) != want {
			t.Errorf("token %d: %v", id, err)
		}
	}
	if err := d.InitToken(1, soPIN, "again"); err != nil {
		t.Error(err)
	}
}

// Without a login, what a token keeps is bounded in number and bytes; what goes gives its room back.
func TestTokenObjectLimits(t *testing.T) {
	tk := newTestToken(t)
	tk.config.Limits.TokenObjects = 3
	tk.reopen()
	s := Session{ID: 1, ReadWrite: true}
	tk.must(tk.BeginSession(s.ID))
	make1 := func(label int) (ObjectID, error) {
		pub, priv, err := tk.GenerateHSS(t.Context(), s, []Attribute{{ck.CKA_TOKEN, yes}, {ck.CKA_LABEL, make([]byte, label)}},
			append(oneLevel(), Attribute{ck.CKA_PRIVATE, no}))
		if err == nil {
			tk.must(tk.Destroy(s, priv))
		}
		return pub, err
	}
	relabel := func(id ObjectID, label int) error {
		return tk.Change(s, id, []Attribute{{ck.CKA_LABEL, make([]byte, label)}})
	}
	expect := func(what string, err error, want ck.RV) {
		t.Helper()
		if result(err) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	first, err := make1(1000)
	tk.must(err)
	expect("too large", second(make1(maxObject)), ck.CKR_DEVICE_MEMORY)
	expect("too large by a change", relabel(first, maxObject), ck.CKR_DEVICE_MEMORY)
	for range 2 {
		tk.must(second(make1(1000)))
	}
	expect("fourth", second(make1(0)), ck.CKR_DEVICE_MEMORY)
	tk.reopen()
	tk.must(tk.BeginSession(s.ID))
	expect("fourth after a start", second(make1(0)), ck.CKR_DEVICE_MEMORY)
	tk.must(tk.Destroy(s, first))
	first, err = make1(1000)
	tk.must(err)
	sum := int64(0)
	for _, o := range tk.Token.loose.objects() {
		sum += o.size()
	}
	if tk.stock != (stock{0, sum}) {
		t.Errorf("%+v, the objects have %d bytes", tk.stock, sum)
	}
	tk.mostBytes = sum + 100
	expect("bytes, by a change", relabel(first, 1101), ck.CKR_DEVICE_MEMORY)
	tk.must(relabel(first, 1100))
	tk.must(relabel(first, 0))
	tk.must(relabel(first, 1100))
	tk.must(tk.Destroy(s, first))
	expect("bytes", second(make1(1101)), ck.CKR_DEVICE_MEMORY)
	tk.must(second(make1(1100)))
	tk.EndSession(s.ID)
	tk.must(tk.device.InitToken(0, soPIN, "again"))
	if tk.stock != (stock{}) {
		t.Errorf("%+v after InitToken", tk.stock)
	}
}

// The trees of a session key are claimed before they are computed, and given back however the key ends.
func TestSessionKeysClaimTheirTrees(t *testing.T) {
	tk := newTestToken(t)
	var claimed, most int64 = 0, 1 << 40
	limits := SeatLimits{
		Claim: func(n int64) bool {
			if claimed+n > most {
				return false
			}
			claimed += n
			return true
		},
		Release: func(n int64) { claimed -= n },
	}
	levels := []lms.ParameterSet{{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W8}, {LMS: lms.LMS_SHA256_M32_H15, OTS: lms.LMOTS_SHA256_N32_W8}}
	template := levelsOf(2, []uint64{uint64(levels[0].LMS), uint64(levels[1].LMS)}, []uint64{4, 4})
	trees := treeMemory(levels)
	if trees < 4<<20 || trees > 5<<20 { // 2 MiB each, the live one and the next
		t.Errorf("%d bytes", trees)
	}
	b := tk.beside(limits)
	for name, end := range map[string]func(Session, ObjectID){
		"Destroy":    func(s Session, key ObjectID) { b.must(b.Destroy(s, key)) },
		"EndSession": func(Session, ObjectID) {},
		"Logout":     func(Session, ObjectID) { b.must(b.Logout()) },
	} {
		s := b.userSession()
		_, key, err := b.GenerateHSS(t.Context(), s, nil, template)
		b.must(err)
		b.must(b.Change(s, key, []Attribute{{ck.CKA_LABEL, []byte("longer")}}))
		if claimed < trees {
			t.Errorf("%s: %d bytes are claimed for trees of %d", name, claimed, trees)
		}
		end(s, key)
		b.EndSession(s.ID)
		if claimed != 0 {
			t.Fatalf("%s: %d bytes are still claimed", name, claimed)
		}
	}
	s := b.userSession()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	most = trees - 1
	if _, _, err := b.GenerateHSS(ended, s, nil, template); result(err) != ck.CKR_DEVICE_MEMORY { // before the long work
		t.Errorf("%v", err)
	}
	for _, c := range []struct {
		most int64
		ctx  context.Context
		want string
	}{{trees, t.Context(), ck.CKR_DEVICE_MEMORY.Error()}, {1 << 40, ended, context.Canceled.Error()}} {
		most = c.most
		if _, _, err := b.GenerateHSS(c.ctx, s, nil, template); !bytes.Contains(fmt.Append(nil, err), []byte(c.want)) || claimed != 0 {
			t.Errorf("%v, %d bytes are still claimed", err, claimed)
		}
	}
}

// Where applications share the process, session keys wait for each other's trees, and for nobody's cores but one; keys
// elsewhere do not.
func TestSharedSeatsComputeQuietly(t *testing.T) {
	tk := newTestToken(t)
	a, b := tk.beside(SeatLimits{Shared: true}), tk.beside(SeatLimits{Shared: true})
	_, ended := a.slowly(a.userSession())
	s := b.userSession()
	_, _, err := b.GenerateHSS(t.Context(), s, nil, oneLevel()) // beside a large one that grows
	b.must(err)
	b.tokenPair(s)
	_, _, err = tk.GenerateHSS(t.Context(), tk.userSession(), nil, oneLevel())
	tk.must(err)
	a.soon("Logout", a.Logout)
	if err := a.within("Sign", ended); result(err) != ck.CKR_USER_NOT_LOGGED_IN {
		t.Errorf("Sign: %v", err)
	}
	_, key, err := b.GenerateHSS(t.Context(), s, nil, oneLevel())
	b.must(err)
	b.signTimes(key, 3)
}

// Who waits for a key that another seat's signature holds goes with the logout too.
func TestLogoutEndsWaiting(t *testing.T) {
	tk := newTestToken(t)
	b := tk.beside(SeatLimits{})
	b.userSession()
	key, builds := tk.slowly(tk.userSession(), Attribute{ck.CKA_TOKEN, yes})
	waits := b.signsSlowly(key)
	b.soon("Logout", b.Logout)
	if err := b.within("Sign", waits); result(err) != ck.CKR_USER_NOT_LOGGED_IN {
		t.Errorf("who waited: %v", err)
	}
	select {
	case err := <-builds:
		t.Errorf("who builds stays: %v", err)
	default:
	}
	tk.must(tk.Logout())
	if err := tk.within("Sign", builds); result(err) != ck.CKR_USER_NOT_LOGGED_IN {
		t.Errorf("who built: %v", err)
	}
}

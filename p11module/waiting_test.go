package p11module

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

// An application tries one PIN at a time, in whatever function, and none any more when it comes to its end.
func TestPINTurns(t *testing.T) {
	host := newHostBench(t, nil)
	guess := []byte("guess-12")
	for name, try := range map[string]func(*bench, ck.SessionHandle) ck.RV{
		"Login":     func(b *bench, h ck.SessionHandle) ck.RV { return b.m.Login(h, uint64(ck.CKU_USER), guess) },
		"SetPIN":    func(b *bench, h ck.SessionHandle) ck.RV { return b.m.SetPIN(h, guess, guess) },
		"InitPIN":   func(b *bench, h ck.SessionHandle) ck.RV { return b.m.InitPIN(h, guess) },
		"InitToken": func(b *bench, _ ck.SessionHandle) ck.RV { return b.m.InitToken(0, guess, b.label("x")) },
	} {
		b := host.client(Limits{})
		h := b.open(0, true)
		gate := b.m.library.gate(0)
		gate.Lock()
		done := make(chan ck.RV, 1)
		go func() { done <- try(b, h) }()
		select {
		case rv := <-done:
			t.Errorf("%s took no turn: %v", name, rv)
		case <-time.After(50 * time.Millisecond):
			b.m.Cancel()
			gate.Unlock()
			b.want(ck.CKR_FUNCTION_CANCELED, <-done)
			continue
		}
		gate.Unlock()
	}
	b := host.client(Limits{})
	b.login(b.open(0, true)) // the guesses were not counted, and the PIN is the old one
}

// Cancel reaches those who wait at the token, behind other applications.
func TestCancelReachesSeats(t *testing.T) {
	host := newHostBench(t, nil)
	b := host.client(Limits{})
	h := b.open(0, true)
	seat := b.m.library.sessions[h].seat
	b.m.Cancel()
	if err := seat.Login(ck.CKU_USER, []byte("guess")); !errors.Is(err, ck.CKR_FUNCTION_CANCELED) {
		t.Error(err)
	}
}

// C_Sign that builds a tree for minutes ends with C_Logout and with C_DestroyObject.
func TestSignEndsWithItsKey(t *testing.T) {
	host := newHostBench(t, nil)
	lower := lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H25, OTS: lms.LMOTS_SHA256_N32_W8}
	host.client(Limits{}).userSession(0) // the keystore stays open
	for _, c := range []struct {
		name    string
		onToken bool
		end     func(*bench, ck.SessionHandle, ck.ObjectHandle) ck.RV
		want    ck.RV
	}{
		{"token key, Logout", true, func(b *bench, h ck.SessionHandle, _ ck.ObjectHandle) ck.RV { return b.m.Logout(h) }, ck.CKR_USER_NOT_LOGGED_IN},
		{"session key, Logout", false, func(b *bench, h ck.SessionHandle, _ ck.ObjectHandle) ck.RV { return b.m.Logout(h) }, ck.CKR_USER_NOT_LOGGED_IN},
		{"session key, DestroyObject", false, func(b *bench, h ck.SessionHandle, key ck.ObjectHandle) ck.RV { return b.m.DestroyObject(h, key) }, ck.CKR_KEY_HANDLE_INVALID},
		{"token key, CloseAllSessions", true, func(b *bench, _ ck.SessionHandle, _ ck.ObjectHandle) ck.RV { return b.m.CloseAllSessions(0) }, ck.CKR_USER_NOT_LOGGED_IN},
	} {
		a := host.client(Limits{})
		h := a.userSession(0)
		_, key := a.generate(h, c.onToken, h5w8, lower)
		a.must(a.m.SignInit(h, hss, key))
		ended := make(chan ck.RV, 1)
		go func() {
			signature, _, rv := a.m.Sign(h, []byte("m"), Output{Room: 1 << 20})
			if len(signature) > 0 {
				rv = ck.CKR_GENERAL_ERROR
			}
			ended <- rv
		}()
		time.Sleep(100 * time.Millisecond)
		a.must(c.end(a, h, key))
		select {
		case rv := <-ended:
			a.want(c.want, rv)
		case <-time.After(15 * time.Second):
			t.Fatalf("%s: C_Sign goes on", c.name)
		}
	}
}

// The same error again and again, for whichever application, is one line in the log; another one is another line.
func TestRepeatedErrors(t *testing.T) {
	host := newHostBench(t, nil)
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	for range 3 {
		l := newLibrary(host.host, log, Limits{}, true)
		for range 50 {
			l.answer("C_OpenSession", fmt.Errorf("%w: the store", keystore.ErrStore))
		}
		l.answer("C_Sign", keystore.ErrQuarantined)
	}
	if lines := strings.Count(text.String(), "\n"); lines != 2 {
		t.Errorf("%d lines:\n%s", lines, text.String())
	}
	var r repeats
	for i := range 10 * mostRepeats { // however many there are, they do not pile up
		if !r.anew("C_Sign", fmt.Errorf("error %d", i)) || len(r.last) > mostRepeats {
			t.Fatalf("line %d, %d are remembered", i, len(r.last))
		}
	}
	r.last["C_Sign error x"] = time.Now().Add(-repeatAfter)
	if !r.anew("C_Sign", errors.New("error x")) {
		t.Error("an error of a while ago is not told again")
	}
}

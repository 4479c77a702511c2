package p11module

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/lms"
)

func TestSignAndVerify(t *testing.T) {
	b, h := newUserBench(t)
	for _, onToken := range []bool{true, false} {
		for _, levels := range [][]lms.ParameterSet{{h5w8}, {h5w8, h5w4}} {
			t.Run(fmt.Sprintf("token %v, %d levels", onToken, len(levels)), func(t *testing.T) {
				pub, priv := b.generate(h, onToken, levels...)
				a := b.audit(h, pub)
				for i := range 3 {
					message := fmt.Sprint("message ", i)
					signature := b.sign(h, priv, message)
					if got := a.check(message, signature); got != uint32(i) {
						t.Errorf("leaf %d, want %d", got, i)
					}
					b.must(b.m.VerifyInit(h, hss, pub))
					b.must(b.m.Verify(h, []byte(message), signature))
				}
			})
		}
	}
}

func TestQueriesAndShortBuffersCostNothing(t *testing.T) {
	b, h := newUserBench(t)
	for _, levels := range [][]lms.ParameterSet{{h5w8}, {h5w8, h5w8}} {
		pub, priv := b.generate(h, true, levels...)
		a := b.audit(h, pub)
		a.check("first", b.sign(h, priv, "first"))
		before := b.remaining(h, priv)
		size := uint64(lms.HSSSignatureSize(levels))
		unspent := func(what string) {
			t.Helper()
			if got := b.remaining(h, priv); got != before {
				t.Errorf("%s: %d signatures left, want %d", what, got, before)
			}
		}
		b.must(b.m.SignInit(h, hss, priv))
		unspent("C_SignInit")
		for range 3 {
			signature, length, rv := b.m.Sign(h, []byte("m"), Output{Query: true})
			if rv != ck.CKR_OK || length != size || signature != nil {
				t.Errorf("length query: %d bytes, length %d, %s", len(signature), length, rv.Error())
			}
			signature, length, rv = b.m.Sign(h, []byte("m"), Output{Room: size - 1})
			if rv != ck.CKR_BUFFER_TOO_SMALL || length != size || signature != nil {
				t.Errorf("short buffer: %d bytes, length %d, %s", len(signature), length, rv.Error())
			}
		}
		unspent("C_Sign for the length")
		b.must(b.m.SessionCancel(h, ck.CKF_SIGN))
		unspent("cancel")

		b.must(b.m.SignInit(h, hss, priv))
		b.must(b.m.SignUpdate(h, []byte("sec")))
		b.must(b.m.SignUpdate(h, []byte("ond")))
		_, length, rv := b.m.SignFinal(h, Output{Query: true})
		if rv != ck.CKR_OK || length != size {
			t.Errorf("length query: %d, %s", length, rv.Error())
		}
		_, _, rv = b.m.SignFinal(h, Output{Room: 0})
		b.want(ck.CKR_BUFFER_TOO_SMALL, rv)
		unspent("C_SignFinal for the length")
		signature, _, rv := b.m.SignFinal(h, Output{Room: size})
		b.must(rv)
		if leaf := a.check("second", signature); leaf != 1 {
			t.Errorf("leaf %d, want the next one, 1", leaf)
		}
		if got := b.remaining(h, priv); got != before-1 {
			t.Errorf("%d signatures left, want %d", got, before-1)
		}
	}
}

func TestErrorsEndTheOperation(t *testing.T) {
	b, h := newUserBench(t)
	_, priv := b.generate(h, true, h5w8)
	room := Output{Room: 1 << 20}
	ended := func(what string) {
		t.Helper()
		if _, _, rv := b.m.Sign(h, nil, room); rv != ck.CKR_OPERATION_NOT_INITIALIZED {
			t.Errorf("%s: then C_Sign gave %s", what, rv.Error())
		}
		b.must(b.m.SignInit(h, hss, priv))
		b.must(b.m.SessionCancel(h, ck.CKF_SIGN))
	}
	begin := func() {
		t.Helper()
		b.must(b.m.SignInit(h, hss, priv))
	}
	before := b.remaining(h, priv)

	begin()
	b.want(ck.CKR_OPERATION_ACTIVE, b.m.SignInit(h, hss, priv)) // the first one goes on
	b.must(b.m.SignUpdate(h, []byte("a")))
	_, _, rv := b.m.Sign(h, []byte("m"), room)
	b.want(ck.CKR_OPERATION_ACTIVE, rv)
	ended("C_Sign after C_SignUpdate")

	begin()
	_, _, rv = b.m.Sign(h, []byte("m"), Output{Query: true})
	b.must(rv)
	b.want(ck.CKR_OPERATION_ACTIVE, b.m.SignUpdate(h, []byte("a")))
	ended("C_SignUpdate after a length query of C_Sign")

	begin()
	_, _, rv = b.m.Sign(h, []byte("m"), Output{Query: true})
	b.must(rv)
	_, _, rv = b.m.SignFinal(h, room)
	b.want(ck.CKR_OPERATION_ACTIVE, rv)
	ended("C_SignFinal after a length query of C_Sign")

	b.m.library.host.config.Sign.MaxMessage = 10
	begin()
	b.must(b.m.SignUpdate(h, make([]byte, 10)))
	b.want(ck.CKR_DATA_LEN_RANGE, b.m.SignUpdate(h, []byte("a")))
	ended("a message that is too long")
	begin()
	b.want(ck.CKR_DATA_LEN_RANGE, b.m.SignUpdate(h, make([]byte, 11)))
	ended("a part that is too long")

	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, b.m.SignUpdate(h, nil))
	_, _, rv = b.m.SignFinal(h, room)
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, rv)
	if got := b.remaining(h, priv); got != before {
		t.Errorf("errors cost %d leaves", before-got)
	}
}

func TestFinalWithoutUpdateSignsNothing(t *testing.T) {
	b, h := newUserBench(t)
	pub, priv := b.generate(h, true, h5w8)
	b.must(b.m.SignInit(h, hss, priv))
	signature, _, rv := b.m.SignFinal(h, Output{Room: 1 << 20})
	b.must(rv)
	b.audit(h, pub).check("", signature)
}

func TestSignInitChecks(t *testing.T) {
	b, h := newUserBench(t)
	pub, priv := b.generate(h, true, h5w8)
	public, private := templates(false, "mute", h5w8)
	_, mute, rv := b.m.GenerateKeyPair(h, Mechanism{Type: ck.CKM_HSS_KEY_PAIR_GEN}, public, append(private, Attribute{Type: ck.CKA_SIGN, Value: truth(false)}))
	b.must(rv)
	_, other, rv := b.m.GenerateKeyPair(h, Mechanism{Type: ck.CKM_HSS_KEY_PAIR_GEN}, public,
		append(private, Attribute{Type: ck.CKA_ALLOWED_MECHANISMS, Value: ulongs(uint64(ck.CKM_RSA_PKCS))}))
	b.must(rv)
	_, transfer, rv := b.m.GenerateKeyPair(h, Mechanism{Type: ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN}, nil, nil)
	b.must(rv)
	for _, c := range []struct {
		name      string
		mechanism Mechanism
		key       ck.ObjectHandle
		want      ck.RV
	}{
		{"no such key", hss, 4711, ck.CKR_KEY_HANDLE_INVALID},
		{"zero", hss, 0, ck.CKR_KEY_HANDLE_INVALID},
		{"a public key", hss, pub, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"a transfer key", hss, transfer, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"CKA_SIGN is FALSE", hss, mute, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"not an allowed mechanism", hss, other, ck.CKR_MECHANISM_INVALID},
		{"a mechanism of other keys", Mechanism{Type: ck.CKM_RSA_PKCS}, priv, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"another mechanism", Mechanism{Type: ck.CKM_XMSS}, priv, ck.CKR_MECHANISM_INVALID},
		{"a mechanism that does not sign", Mechanism{Type: ck.CKM_HSS_KEY_PAIR_GEN}, priv, ck.CKR_MECHANISM_INVALID},
		{"a parameter", Mechanism{Type: ck.CKM_HSS, Parameter: []byte{1}}, priv, ck.CKR_MECHANISM_PARAM_INVALID},
		{"all in order", hss, priv, ck.CKR_OK},
	} {
		if rv := b.m.SignInit(h, c.mechanism, c.key); rv != c.want {
			t.Errorf("%s: got %s, want %s", c.name, rv.Error(), c.want.Error())
		}
	}
}

func TestExhaustion(t *testing.T) {
	b, h := newUserBench(t)
	pub, priv := b.generate(h, true, h5w8)
	a := b.audit(h, pub)
	second := b.open(0, false)
	for i := range 32 {
		if got := b.remaining(h, priv); got != uint64(32-i) {
			t.Fatalf("%d signatures left, want %d", got, 32-i)
		}
		if i == 31 {
			b.must(b.m.SignInit(second, hss, priv)) // it starts before the last leaf goes
		}
		message := fmt.Sprint(i)
		if leaf := a.check(message, b.sign(h, priv, message)); leaf != uint32(i) {
			t.Fatalf("leaf %d, want %d", leaf, i)
		}
	}
	signature, _, rv := b.m.Sign(second, []byte("one more"), Output{Room: 1 << 20})
	if rv != ck.CKR_KEY_EXHAUSTED || signature != nil {
		t.Errorf("C_Sign: %d bytes, %s", len(signature), rv.Error())
	}
	b.want(ck.CKR_KEY_EXHAUSTED, b.m.SignInit(h, hss, priv))
	b.restart()
	h = b.userSession(0)
	priv = b.privateKey(h)
	b.want(ck.CKR_KEY_EXHAUSTED, b.m.SignInit(h, hss, priv))
	if got := b.remaining(h, priv); got != 0 {
		t.Errorf("%d signatures left after a restart", got)
	}
}

// Many threads finish one operation: one signature, one leaf.
func TestOneWinner(t *testing.T) {
	b, h := newUserBench(t)
	pub, priv := b.generate(h, true, h5w8)
	a := b.audit(h, pub)
	for round := range 5 {
		b.must(b.m.SignInit(h, hss, priv))
		results := make([]ck.RV, 8)
		signatures := make([][]byte, len(results))
		var group sync.WaitGroup
		for i := range results {
			group.Go(func() { signatures[i], _, results[i] = b.m.Sign(h, []byte("m"), Output{Room: 1 << 20}) })
		}
		group.Wait()
		winners := 0
		for i, rv := range results {
			switch rv {
			case ck.CKR_OK:
				winners++
				a.check("m", signatures[i])
			case ck.CKR_OPERATION_NOT_INITIALIZED:
				if signatures[i] != nil {
					t.Error("a signature left with an error")
				}
			default:
				t.Errorf("got %s", rv.Error())
			}
		}
		if winners != 1 {
			t.Fatalf("%d winners", winners)
		}
		if got := b.remaining(h, priv); got != uint64(31-round) {
			t.Errorf("%d signatures left, want %d", got, 31-round)
		}
	}
}

// Many sessions use two keys at once; no leaf is used twice, none is lost.
func TestManySessions(t *testing.T) {
	b, h := newUserBench(t)
	type made struct {
		key       int
		signature []byte
	}
	var keys, pubs [2]ck.ObjectHandle
	for i := range keys {
		pubs[i], keys[i] = b.generate(h, true, h5w8, h5w8)
	}
	before := b.remaining(h, keys[0])
	all := make(chan made, 200)
	var group sync.WaitGroup
	for worker := range 4 {
		session := b.open(0, worker%2 == 0)
		group.Go(func() {
			for i := range 20 {
				key := (worker + i) % 2
				signature, rv := b.trySign(session, keys[key], "m")
				if rv != ck.CKR_OK {
					t.Errorf("got %s", rv.Error())
					return
				}
				all <- made{key, signature}
			}
		})
	}
	group.Wait()
	close(all)
	audits := []*audit{b.audit(h, pubs[0]), b.audit(h, pubs[1])}
	for m := range all {
		audits[m.key].check("m", m.signature)
	}
	for i, key := range keys {
		if got := b.remaining(h, key); got != before-uint64(len(audits[i].used)) {
			t.Errorf("key %d: %d signatures left after %d of %d", i, got, len(audits[i].used), before)
		}
	}
}

func TestLogoutParksAndLosesNoLeaf(t *testing.T) {
	b, h := newUserBench(t)
	pub, priv := b.generate(h, true, h5w8, h5w8)
	a := b.audit(h, pub)
	ends := []struct {
		name string
		end  func()
	}{
		{"C_Logout", func() { b.must(b.m.Logout(h)); b.login(h) }},
		{"last session closed", func() { b.must(b.m.CloseSession(h)); h = b.userSession(0) }},
		{"all sessions closed", func() { b.must(b.m.CloseAllSessions(0)); h = b.userSession(0) }},
		{"C_Finalize", func() { b.restart(); h = b.userSession(0) }},
	}
	total := b.remaining(h, priv)
	for i, end := range ends {
		message := fmt.Sprint(i)
		if leaf := a.check(message, b.sign(h, priv, message)); leaf != uint32(i) {
			t.Errorf("before %s: leaf %d, want %d", end.name, leaf, i)
		}
		end.end()
		priv = b.privateKey(h)
		if got := b.remaining(h, priv); got != total-uint64(i+1) {
			t.Errorf("%s: %d signatures left, want %d", end.name, got, total-uint64(i+1))
		}
	}
}

func TestNoSigningAfterLogout(t *testing.T) {
	b, h := newUserBench(t)
	_, onToken := b.generate(h, true, h5w8)
	_, inSession := b.generate(h, false, h5w8)
	other := b.open(0, true)
	b.must(b.m.SignInit(h, hss, onToken))
	b.must(b.m.SignInit(other, hss, inSession))
	b.must(b.m.Logout(h))
	for _, session := range []ck.SessionHandle{h, other} {
		signature, _, rv := b.m.Sign(session, []byte("m"), Output{Room: 1 << 20})
		if rv != ck.CKR_OPERATION_NOT_INITIALIZED || signature != nil {
			t.Errorf("after logout: %d bytes, %s", len(signature), rv.Error())
		}
	}
	b.login(h)
	for _, key := range []ck.ObjectHandle{onToken, inSession} {
		b.want(ck.CKR_KEY_HANDLE_INVALID, b.m.SignInit(h, hss, key)) // the handles ended with the login
	}
	b.privateKey(h) // the session key is gone, the token key is there
}

// A private key that is not a private object is seen by everybody, and signs for the user alone.
func TestPublicPrivateKeyNeedsLoginToSign(t *testing.T) {
	b, h := newUserBench(t)
	public, private := templates(true, "seen", h5w8)
	_, priv, rv := b.m.GenerateKeyPair(h, Mechanism{Type: ck.CKM_HSS_KEY_PAIR_GEN}, public, append(private, Attribute{Type: ck.CKA_PRIVATE, Value: truth(false)}))
	b.must(rv)
	b.must(b.m.SignInit(h, hss, priv))
	b.must(b.m.Logout(h))
	if b.privateKey(h) != priv {
		t.Error("the handle of a public object changed")
	}
	b.want(ck.CKR_USER_NOT_LOGGED_IN, b.m.SignInit(h, hss, priv))
	_, _, rv = b.m.GenerateKeyPair(h, Mechanism{Type: ck.CKM_HSS_KEY_PAIR_GEN}, public, append(private, Attribute{Type: ck.CKA_PRIVATE, Value: truth(false)}))
	b.want(ck.CKR_USER_NOT_LOGGED_IN, rv)
	b.login(h)
	b.sign(h, priv, "m")
}

func TestSessionKeysDieWithTheirSession(t *testing.T) {
	b, h := newUserBench(t)
	owner := b.open(0, false)
	pub, priv := b.generate(owner, false, h5w8, h5w8)
	b.sign(h, priv, "another session uses it")
	b.must(b.m.SignInit(h, hss, priv))
	b.must(b.m.CloseSession(owner))
	signature, _, rv := b.m.Sign(h, []byte("m"), Output{Room: 1 << 20})
	if rv != ck.CKR_KEY_HANDLE_INVALID || signature != nil {
		t.Errorf("%d bytes, %s", len(signature), rv.Error())
	}
	b.want(ck.CKR_KEY_HANDLE_INVALID, b.m.SignInit(h, hss, priv))
	b.want(ck.CKR_KEY_HANDLE_INVALID, b.m.VerifyInit(h, hss, pub))
	if found := b.find(h); len(found) != 0 {
		t.Errorf("%d objects are left", len(found))
	}
}

func TestVerify(t *testing.T) {
	b, h := newUserBench(t)
	message := bytes.Repeat([]byte("long "), 1000)
	for _, levels := range [][]lms.ParameterSet{{h5w8}, {h5w8, h5w4}} {
		pub, priv := b.generate(h, true, levels...)
		signature := b.sign(h, priv, string(message))
		value := b.value(h, pub, ck.CKA_VALUE)
		loose, rv := b.m.CreateObject(h, []Attribute{
			{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PUBLIC_KEY)}, {Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_HSS)}, {Type: ck.CKA_VALUE, Value: value},
		})
		b.must(rv)
		altered := bytes.Clone(signature)
		altered[len(altered)-1] ^= 1
		for _, key := range []ck.ObjectHandle{pub, loose} {
			for _, c := range []struct {
				name               string
				message, signature []byte
				want               ck.RV
			}{
				{"right", message, signature, ck.CKR_OK},
				{"another message", message[1:], signature, ck.CKR_SIGNATURE_INVALID},
				{"altered", message, altered, ck.CKR_SIGNATURE_INVALID},
				{"zeroes", message, make([]byte, len(signature)), ck.CKR_SIGNATURE_INVALID},
				{"empty", message, nil, ck.CKR_SIGNATURE_LEN_RANGE},
				{"far too long", message, make([]byte, 1<<20), ck.CKR_SIGNATURE_LEN_RANGE},
			} {
				b.must(b.m.VerifyInit(h, hss, key))
				if rv := b.m.Verify(h, c.message, c.signature); rv != c.want {
					t.Errorf("%s: got %s, want %s", c.name, rv.Error(), c.want.Error())
				}
				b.want(ck.CKR_OPERATION_NOT_INITIALIZED, b.m.Verify(h, c.message, c.signature))
				b.must(b.m.VerifyInit(h, hss, key))
				b.must(b.m.VerifyUpdate(h, c.message[:100]))
				b.must(b.m.VerifyUpdate(h, c.message[100:]))
				if rv := b.m.VerifyFinal(h, c.signature); rv != c.want {
					t.Errorf("%s, in parts: got %s, want %s", c.name, rv.Error(), c.want.Error())
				}
			}
		}
		b.must(b.m.VerifyInit(h, hss, pub)) // the token knows all levels of this one
		b.want(ck.CKR_SIGNATURE_LEN_RANGE, b.m.Verify(h, message, signature[1:]))
	}
}

func TestVerifyWithoutLogin(t *testing.T) {
	b, h := newUserBench(t)
	_, priv := b.generate(h, true, h5w8)
	signature := b.sign(h, priv, "m")
	b.restart()
	h = b.open(0, false)
	b.must(b.m.VerifyInit(h, hss, b.one(h)))
	b.must(b.m.Verify(h, []byte("m"), signature))
}

func TestVerifyOperation(t *testing.T) {
	b, h := newUserBench(t)
	pub, priv := b.generate(h, true, h5w8)
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, b.m.VerifyUpdate(h, nil))
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, b.m.VerifyFinal(h, nil))
	b.want(ck.CKR_KEY_TYPE_INCONSISTENT, b.m.VerifyInit(h, hss, priv))
	b.want(ck.CKR_KEY_HANDLE_INVALID, b.m.VerifyInit(h, hss, 99))
	b.want(ck.CKR_MECHANISM_INVALID, b.m.VerifyInit(h, Mechanism{Type: ck.CKM_XMSS}, pub))
	b.want(ck.CKR_KEY_TYPE_INCONSISTENT, b.m.VerifyInit(h, Mechanism{Type: ck.CKM_ECDSA}, pub))
	b.want(ck.CKR_MECHANISM_PARAM_INVALID, b.m.VerifyInit(h, Mechanism{Type: ck.CKM_HSS, Parameter: []byte{0}}, pub))

	b.must(b.m.VerifyInit(h, hss, pub))
	b.want(ck.CKR_OPERATION_ACTIVE, b.m.VerifyInit(h, hss, pub))
	b.must(b.m.VerifyUpdate(h, []byte("m")))
	b.want(ck.CKR_OPERATION_ACTIVE, b.m.Verify(h, nil, nil))
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, b.m.VerifyFinal(h, nil))

	b.m.library.host.config.Sign.MaxMessage = 3
	b.must(b.m.VerifyInit(h, hss, pub))
	b.want(ck.CKR_DATA_LEN_RANGE, b.m.VerifyUpdate(h, []byte("four")))
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, b.m.VerifyFinal(h, nil))

	b.must(b.m.SetAttributeValue(h, pub, []Attribute{{Type: ck.CKA_VERIFY, Value: truth(false)}}))
	b.want(ck.CKR_KEY_FUNCTION_NOT_PERMITTED, b.m.VerifyInit(h, hss, pub))
}

// The limit for messages in parts does not bound what comes in one piece.
func TestLongMessages(t *testing.T) {
	b, h := newUserBench(t)
	pub, priv := b.generate(h, true, h5w8)
	long := string(make([]byte, 1<<20))
	b.m.library.host.config.Sign.MaxMessage = 16
	b.audit(h, pub).check(long, b.sign(h, priv, long))
}

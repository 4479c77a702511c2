package p11module

import (
	"strings"
	"sync"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// part is the data that the operations of these tests get: a block of AES and some more.
var part = []byte("twenty octets of it.")

// trial is one kind of operation with one mechanism.
type trial struct {
	name   string
	flag   uint64
	init   func() ck.RV
	once   func(Output) (uint64, ck.RV)
	update func(Output) (uint64, ck.RV)
	final  func(Output) (uint64, ck.RV)

	silent bool  // gives no result: there is no length query
	whole  bool  // no multi-part form
	empty  ck.RV // result of the last call without data
	public bool  // goes on after a logout
}

// secretKey generates a secret key with all rights.
func (b *bench) secretKey(h ck.SessionHandle, generation ck.MechanismType, more ...Attribute) ck.ObjectHandle {
	b.Helper()
	template := []Attribute{{Type: ck.CKA_VALUE_LEN, Value: ulong(uint64(32))}}
	for _, right := range []ck.AttributeType{ck.CKA_ENCRYPT, ck.CKA_DECRYPT, ck.CKA_SIGN, ck.CKA_VERIFY} {
		template = append(template, Attribute{Type: right, Value: truth(true)})
	}
	key, rv := b.m.GenerateKey(h, Mechanism{Type: generation}, append(template, more...))
	b.must(rv)
	return key
}

// p256 is the DER of the curve's name.
var p256 = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}

func (b *bench) ecPair(h ck.SessionHandle, more ...Attribute) (pub, priv ck.ObjectHandle) {
	b.Helper()
	pub, priv, rv := b.m.GenerateKeyPair(h, Mechanism{Type: ck.CKM_EC_KEY_PAIR_GEN},
		[]Attribute{{Type: ck.CKA_EC_PARAMS, Value: p256}, {Type: ck.CKA_VERIFY, Value: truth(true)}},
		append(more, Attribute{Type: ck.CKA_SIGN, Value: truth(true)}))
	b.must(rv)
	return pub, priv
}

func cbcPad() Mechanism { return Mechanism{Type: ck.CKM_AES_CBC_PAD, Parameter: make([]byte, 16)} }

func gcm() Mechanism {
	return Mechanism{Type: ck.CKM_AES_GCM, Struct: &ck.GCMParams{IV: make([]byte, 12), IVBits: 96, TagBits: 128}}
}

func lengthOf(_ []byte, length uint64, rv ck.RV) (uint64, ck.RV) { return length, rv }

func nothing(rv ck.RV) (uint64, ck.RV) { return 0, rv }

// encryption, decryption and so on are trials with a key.
func (b *bench) encryption(h ck.SessionHandle, with Mechanism, key ck.ObjectHandle) trial {
	return trial{
		name: "encrypt " + with.Type.String(), flag: ck.CKF_ENCRYPT,
		init:   func() ck.RV { return b.m.EncryptInit(h, with, key) },
		once:   func(out Output) (uint64, ck.RV) { return lengthOf(b.m.Encrypt(h, part, out)) },
		update: func(out Output) (uint64, ck.RV) { return lengthOf(b.m.EncryptUpdate(h, part, out)) },
		final:  func(out Output) (uint64, ck.RV) { return lengthOf(b.m.EncryptFinal(h, out)) },
	}
}

func (b *bench) decryption(h ck.SessionHandle, with Mechanism, key ck.ObjectHandle) trial {
	b.must(b.m.EncryptInit(h, with, key))
	encrypted, _, rv := b.m.Encrypt(h, part, Output{Room: 1 << 10})
	b.must(rv)
	return trial{
		name: "decrypt " + with.Type.String(), flag: ck.CKF_DECRYPT,
		init:   func() ck.RV { return b.m.DecryptInit(h, with, key) },
		once:   func(out Output) (uint64, ck.RV) { return lengthOf(b.m.Decrypt(h, encrypted, out)) },
		update: func(out Output) (uint64, ck.RV) { return lengthOf(b.m.DecryptUpdate(h, encrypted, out)) },
		final:  func(out Output) (uint64, ck.RV) { return lengthOf(b.m.DecryptFinal(h, out)) },
		empty:  ck.CKR_ENCRYPTED_DATA_LEN_RANGE,
	}
}

func (b *bench) digestion(h ck.SessionHandle) trial {
	return trial{
		name: "digest", flag: ck.CKF_DIGEST, public: true,
		init:   func() ck.RV { return b.m.DigestInit(h, Mechanism{Type: ck.CKM_SHA256}) },
		once:   func(out Output) (uint64, ck.RV) { return lengthOf(b.m.Digest(h, part, out)) },
		update: func(Output) (uint64, ck.RV) { return nothing(b.m.DigestUpdate(h, part)) },
		final:  func(out Output) (uint64, ck.RV) { return lengthOf(b.m.DigestFinal(h, out)) },
	}
}

func (b *bench) signature(h ck.SessionHandle, with Mechanism, key ck.ObjectHandle) trial {
	return trial{
		name: "sign " + with.Type.String(), flag: ck.CKF_SIGN,
		init:   func() ck.RV { return b.m.SignInit(h, with, key) },
		once:   func(out Output) (uint64, ck.RV) { return lengthOf(b.m.Sign(h, part, out)) },
		update: func(Output) (uint64, ck.RV) { return nothing(b.m.SignUpdate(h, part)) },
		final:  func(out Output) (uint64, ck.RV) { return lengthOf(b.m.SignFinal(h, out)) },
	}
}

// signed is a signature of one part.
func (b *bench) signed(h ck.SessionHandle, with Mechanism, key ck.ObjectHandle) []byte {
	b.Helper()
	b.must(b.m.SignInit(h, with, key))
	signature, _, rv := b.m.Sign(h, part, Output{Room: 1 << 20})
	b.must(rv)
	return signature
}

func (b *bench) verification(h ck.SessionHandle, with Mechanism, pub, priv ck.ObjectHandle, public bool) trial {
	signature := b.signed(h, with, priv)
	return trial{
		name: "verify " + with.Type.String(), flag: ck.CKF_VERIFY, silent: true, empty: ck.CKR_SIGNATURE_INVALID, public: public,
		init:   func() ck.RV { return b.m.VerifyInit(h, with, pub) },
		once:   func(Output) (uint64, ck.RV) { return nothing(b.m.Verify(h, part, signature)) },
		update: func(Output) (uint64, ck.RV) { return nothing(b.m.VerifyUpdate(h, part)) },
		final:  func(Output) (uint64, ck.RV) { return nothing(b.m.VerifyFinal(h, signature)) },
	}
}

func (b *bench) knownVerification(h ck.SessionHandle, with Mechanism, pub, priv ck.ObjectHandle, public bool) trial {
	signature := b.signed(h, with, priv)
	return trial{
		name: "verify signature " + with.Type.String(), flag: ck.CKF_VERIFY, silent: true, empty: ck.CKR_SIGNATURE_INVALID, public: public,
		init:   func() ck.RV { return b.m.VerifySignatureInit(h, with, pub, signature) },
		once:   func(Output) (uint64, ck.RV) { return nothing(b.m.VerifySignature(h, part)) },
		update: func(Output) (uint64, ck.RV) { return nothing(b.m.VerifySignatureUpdate(h, part)) },
		final:  func(Output) (uint64, ck.RV) { return nothing(b.m.VerifySignatureFinal(h)) },
	}
}

// trials are operations of every kind.
func (b *bench) trials(h ck.SessionHandle) (all []trial) {
	aes, generic := b.secretKey(h, ck.CKM_AES_KEY_GEN), b.secretKey(h, ck.CKM_GENERIC_SECRET_KEY_GEN)
	ecPub, ecPriv := b.ecPair(h)
	hssPub, hssPriv := b.generate(h, false, h5w8, h5w8)
	for _, with := range []Mechanism{cbcPad(), gcm()} {
		all = append(all, b.encryption(h, with, aes), b.decryption(h, with, aes))
	}
	hmac, ecdsa := Mechanism{Type: ck.CKM_SHA256_HMAC}, Mechanism{Type: ck.CKM_ECDSA_SHA256}
	whole := b.signature(h, Mechanism{Type: ck.CKM_ECDSA}, ecPriv)
	whole.whole = true
	return append(all, b.digestion(h), whole,
		b.signature(h, hmac, generic), b.signature(h, ecdsa, ecPriv), b.signature(h, hss, hssPriv),
		b.verification(h, hmac, generic, generic, false), b.verification(h, ecdsa, ecPub, ecPriv, true),
		b.verification(h, hss, hssPub, hssPriv, true),
		b.knownVerification(h, ecdsa, ecPub, ecPriv, true), b.knownVerification(h, hss, hssPub, hssPriv, true))
}

// The calls of an operation in one letter each: init, once, update, final; capitals ask for the length, and with a digit
// 0 there is no room.
//
// Each line is one story with the results it has to have.
var stories = []string{
	"o=none u=none f=none",
	"i=ok o=ok o=none",
	"i=ok i=active o=ok i=ok o=ok",
	"i=ok u=ok f=ok f=none",
	"i=ok u=ok i=active f=ok",
	"i=ok u=ok o=active o=none i=ok o=ok",
	"i=ok O=ok o=ok",
	"i=ok O=ok O=ok u=active u=none",
	"i=ok O=ok f=active f=none",
	"i=ok o0=small o0=small o=ok o=none",
	"i=ok o0=small u=active u=none",
	"i=ok u=ok F=ok F=ok f=ok f=none",
	"i=ok u=ok f0=small f0=small f=ok",
	"i=ok u=ok F=ok o=active o=none",
	"i=ok U=ok u=ok f=ok",
	"i=ok U=ok o=active o=none",
	"i=ok f=empty f=none i=ok o=ok",
	"i=ok c=ok o=none i=ok u=ok c=ok u=none i=ok O=ok c=ok f=none",
	"i=ok b=bad o=none i=ok u=ok b=bad f=none",
}

func TestOperationStates(t *testing.T) {
	b, h := newUserBench(t)
	for _, trial := range b.trials(h) {
		for _, story := range stories {
			if trial.fits(story) {
				b.play(h, trial, story)
			}
		}
	}
}

// fits says whether a story can be that of the trial.
func (tr trial) fits(story string) bool {
	switch {
	case tr.silent && strings.ContainsAny(story, "OFU0"):
	case tr.whole && strings.ContainsAny(story, "uUfF"):
	case strings.Contains(story, "U") && tr.flag&(ck.CKF_ENCRYPT|ck.CKF_DECRYPT) == 0: // C_SignUpdate gives nothing
	default:
		return true
	}
	return false
}

func (b *bench) play(h ck.SessionHandle, tr trial, story string) {
	b.Helper()
	for i, step := range strings.Fields(story) {
		call, word, _ := strings.Cut(step, "=")
		length, rv := b.perform(h, tr, call)
		if want := tr.result(word); rv != want {
			b.Errorf("%s, %s: step %d gave %s, want %s", tr.name, story, i, rv.Error(), want.Error())
			b.must(b.m.SessionCancel(h, everyOperation))
			return
		}
		if rv == ck.CKR_BUFFER_TOO_SMALL && length == 0 {
			b.Errorf("%s, %s: step %d does not say how much is needed", tr.name, story, i)
		}
	}
	b.must(b.m.SessionCancel(h, everyOperation))
}

func (b *bench) perform(h ck.SessionHandle, tr trial, call string) (uint64, ck.RV) {
	room := Output{Room: 1 << 20, Query: strings.ToUpper(call) == call && call != strings.ToLower(call)}
	if strings.HasSuffix(call, "0") {
		room = Output{}
	}
	switch strings.ToLower(call[:1]) {
	case "i":
		return 0, tr.init()
	case "o":
		return tr.once(room)
	case "u":
		return tr.update(room)
	case "f":
		return tr.final(room)
	case "c":
		return 0, b.m.SessionCancel(h, tr.flag)
	case "b":
		return 0, b.m.BadArguments(h, tr.flag)
	}
	panic(call)
}

// result is the CK_RV for a word of a story.
func (tr trial) result(word string) ck.RV {
	if word == "empty" {
		return tr.empty
	}
	return map[string]ck.RV{
		"ok": ck.CKR_OK, "none": ck.CKR_OPERATION_NOT_INITIALIZED, "active": ck.CKR_OPERATION_ACTIVE,
		"small": ck.CKR_BUFFER_TOO_SMALL, "bad": ck.CKR_ARGUMENTS_BAD,
	}[word]
}

// A logout ends the operations with private keys, in all sessions, and no others.
func TestLogoutEndsPrivateOperations(t *testing.T) {
	b, h := newUserBench(t)
	for i := range b.trials(h) {
		trial := b.trials(h)[i] // with new keys: those before went with the login
		b.must(trial.init())
		b.must(b.m.Logout(h))
		want := ck.CKR_OPERATION_NOT_INITIALIZED
		if trial.public {
			want = ck.CKR_OK
		}
		if _, rv := trial.once(Output{Room: 1 << 20}); rv != want {
			t.Errorf("%s after the logout: %s, want %s", trial.name, rv.Error(), want.Error())
		}
		b.login(h)
	}
}

// Operations of different kinds do not meet.
func TestAllKindsAtOnce(t *testing.T) {
	b, h := newUserBench(t)
	began := map[uint64]trial{}
	for _, trial := range b.trials(h) {
		if _, there := began[trial.flag]; there {
			b.want(ck.CKR_OPERATION_ACTIVE, trial.init())
			continue
		}
		b.must(trial.init())
		began[trial.flag] = trial
	}
	if len(began) != 5 {
		t.Errorf("%d kinds", len(began))
	}
	for _, trial := range began {
		_, rv := trial.once(Output{Room: 1 << 20})
		b.must(rv)
	}
}

// Data of one call are bounded, and what is longer ends the operation.
func TestLongDataEndsOperations(t *testing.T) {
	b, h := newUserBench(t)
	old := part
	t.Cleanup(func() { part = old })
	for _, trial := range b.trials(h) {
		if trial.flag == ck.CKF_DECRYPT {
			continue // these trials have their own data
		}
		for _, call := range []func(Output) (uint64, ck.RV){trial.once, trial.update} {
			b.must(trial.init())
			part = make([]byte, MaxPart+1)
			_, rv := call(Output{Room: 1 << 30})
			part = old
			b.want(ck.CKR_DATA_LEN_RANGE, rv)
			_, rv = call(Output{Room: 1 << 30})
			b.want(ck.CKR_OPERATION_NOT_INITIALIZED, rv)
		}
	}
}

// Sessions that are used while others log out and in, close and cancel: each call has one of the answers that fit, and
// what is signed after all is right.
func TestOperationsInParallel(t *testing.T) {
	b, h := newUserBench(t)
	pub, _ := b.ecPair(h, Attribute{Type: ck.CKA_TOKEN, Value: truth(true)}, Attribute{Type: ck.CKA_LABEL, Value: []byte("parallel")})
	with, ended := Mechanism{Type: ck.CKM_ECDSA_SHA256}, make(chan struct{})
	sessions := make([]ck.SessionHandle, 4)
	for i := range sessions {
		sessions[i] = b.open(0, true)
	}
	key := []Attribute{{Type: ck.CKA_LABEL, Value: []byte("parallel")}, {Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PRIVATE_KEY)}}
	fine := map[ck.RV]bool{ck.CKR_OK: true, ck.CKR_OPERATION_NOT_INITIALIZED: true, ck.CKR_USER_NOT_LOGGED_IN: true, ck.CKR_KEY_HANDLE_INVALID: true,
		ck.CKR_OPERATION_ACTIVE: true}
	var group sync.WaitGroup
	var signatures sync.Map
	for _, session := range sessions {
		group.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				if rv := b.m.FindObjectsInit(session, key); rv != ck.CKR_OK {
					t.Errorf("C_FindObjectsInit: %s", rv.Error())
					return
				}
				found, rv := b.m.FindObjects(session, 1)
				b.m.FindObjectsFinal(session) // a logout may have ended it
				if rv != ck.CKR_OK || len(found) == 0 {
					continue
				}
				init := b.m.SignInit(session, with, found[0])
				signature, _, rv := b.m.Sign(session, part, Output{Room: 100})
				if !fine[init] || !fine[rv] {
					t.Errorf("%s, %s", init.Error(), rv.Error())
					return
				}
				if rv == ck.CKR_OK {
					signatures.Store(string(signature), true)
				}
			}
		})
	}
	for range 10 {
		b.must(b.m.Logout(h))
		b.login(h)
		for _, session := range sessions {
			b.must(b.m.SessionCancel(session, ck.CKF_SIGN))
		}
	}
	close(ended)
	group.Wait()
	count := 0
	signatures.Range(func(signature, _ any) bool {
		count++
		b.must(b.m.VerifyInit(h, with, pub))
		b.must(b.m.Verify(h, part, []byte(signature.(string))))
		return true
	})
	if count == 0 {
		t.Error("nothing was signed")
	}
}

// What an Init function says of a key or a mechanism that does not fit.
func TestInitChecks(t *testing.T) {
	b, h := newUserBench(t)
	pub, priv := b.ecPair(h)
	mute, rv := b.m.GenerateKey(h, Mechanism{Type: ck.CKM_AES_KEY_GEN}, []Attribute{{Type: ck.CKA_VALUE_LEN, Value: ulong(uint64(16))},
		{Type: ck.CKA_ENCRYPT, Value: truth(false)}, {Type: ck.CKA_DECRYPT, Value: truth(true)}})
	b.must(rv)
	bound := b.secretKey(h, ck.CKM_AES_KEY_GEN, Attribute{Type: ck.CKA_ALLOWED_MECHANISMS, Value: ulongs(uint64(ck.CKM_AES_GCM))})
	data, rv := b.m.CreateObject(h, []Attribute{{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_DATA)}})
	b.must(rv)
	for _, c := range []struct {
		name string
		init func(ck.SessionHandle, Mechanism, ck.ObjectHandle) ck.RV
		with Mechanism
		key  ck.ObjectHandle
		want ck.RV
	}{
		{"no such key", b.m.EncryptInit, cbcPad(), 99, ck.CKR_KEY_HANDLE_INVALID},
		{"data", b.m.EncryptInit, cbcPad(), data, ck.CKR_KEY_HANDLE_INVALID},
		{"data", b.m.SignInit, hss, data, ck.CKR_KEY_HANDLE_INVALID},
		{"a key of another type", b.m.EncryptInit, cbcPad(), pub, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"the other half", b.m.SignInit, Mechanism{Type: ck.CKM_ECDSA}, pub, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"the other half", b.m.VerifyInit, Mechanism{Type: ck.CKM_ECDSA}, priv, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"HSS with another key", b.m.SignInit, hss, priv, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"no right", b.m.EncryptInit, cbcPad(), mute, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"not an allowed mechanism", b.m.EncryptInit, cbcPad(), bound, ck.CKR_MECHANISM_INVALID},
		{"an allowed one", b.m.EncryptInit, gcm(), bound, ck.CKR_OK},
		{"a mechanism for other things", b.m.DecryptInit, Mechanism{Type: ck.CKM_SHA256}, mute, ck.CKR_MECHANISM_INVALID},
		{"no mechanism of the token", b.m.DecryptInit, Mechanism{Type: ck.CKM_XMSS}, mute, ck.CKR_MECHANISM_INVALID},
		{"no parameter", b.m.DecryptInit, Mechanism{Type: ck.CKM_AES_CBC_PAD}, mute, ck.CKR_MECHANISM_PARAM_INVALID},
		{"a short parameter", b.m.DecryptInit, Mechanism{Type: ck.CKM_AES_CBC_PAD, Parameter: make([]byte, 15)}, mute, ck.CKR_MECHANISM_PARAM_INVALID},
		{"a misfit", b.m.DecryptInit, Mechanism{Type: ck.CKM_AES_GCM, Misfit: true}, mute, ck.CKR_MECHANISM_PARAM_INVALID},
	} {
		if rv := c.init(h, c.with, c.key); rv != c.want {
			t.Errorf("%s: %s, want %s", c.name, rv.Error(), c.want.Error())
		}
		b.must(b.m.SessionCancel(h, everyOperation))
	}
}

package mechanism

import (
	"errors"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// calls are the calls of an operation that has begun, after which each call has to say that the key was wiped.
type calls map[string]func() error

func transformCalls(x Transform) calls {
	return calls{
		"Once":   func() error { _, err := x.Once(make([]byte, 16)); return err },
		"Update": func() error { _, err := x.Update(make([]byte, 16)); return err },
		"Final":  func() error { _, err := x.Final(); return err },
	}
}

func signerCalls(s Signer) calls {
	return calls{
		"Once":   func() error { _, err := s.Once(make([]byte, 16)); return err },
		"Update": func() error { return s.Update(make([]byte, 16)) },
		"Final":  func() error { _, err := s.Final(); return err },
	}
}

func verifierCalls(v Verifier) calls {
	return calls{
		"Once":   func() error { return v.Once(make([]byte, 16), make([]byte, v.Size())) },
		"Update": func() error { return v.Update(make([]byte, 16)) },
		"Final":  func() error { return v.Final(make([]byte, v.Size())) },
	}
}

func messageCalls(c MessageCipher) calls {
	p := &ck.GCMMessage{IV: make([]byte, 12), TagBits: 128, Tag: make([]byte, 16)}
	return calls{
		"Whole": func() error { _, _, err := c.Whole(p, nil, nil); return err },
		"Begin": func() error { _, err := c.Begin(p, nil); return err },
		"Next":  func() error { _, _, err := c.Next(p, make([]byte, 16), false); return err },
	}
}

// beginEach begins every operation that a mechanism has with a key.
func beginEach(t *testing.T, m ck.Mechanism, k *Key) map[string]func() calls {
	all := map[string]func() calls{}
	o := offers()[m.Type]
	if o.encrypt != nil {
		all["encrypt"] = func() calls { return transformCalls(begun[Transform](t)(NewEncryption(m, k))) }
		all["decrypt"] = func() calls { return transformCalls(begun[Transform](t)(NewDecryption(m, k))) }
	}
	if o.sign != nil {
		all["sign"] = func() calls { return signerCalls(begun[Signer](t)(NewSigner(m, k))) }
		all["verify"] = func() calls { return verifierCalls(begun[Verifier](t)(NewVerifier(m, k))) }
	}
	return all
}

// Nothing goes on with a secret key that was wiped, whatever the mechanism and the call.
func TestOperationsEndWithTheirKey(t *testing.T) {
	for _, m := range []ck.Mechanism{
		{Type: ck.CKM_AES_ECB}, {Type: ck.CKM_AES_CBC, Parameter: make([]byte, 16)},
		{Type: ck.CKM_AES_CBC_PAD, Parameter: make([]byte, 16)},
		{Type: ck.CKM_AES_CTR, Struct: &ck.CTRParams{CounterBits: 128}}, gcmWith(t, gcmIV, 128), {Type: ck.CKM_AES_CMAC},
		{Type: ck.CKM_AES_KEY_WRAP}, {Type: ck.CKM_AES_KEY_WRAP_KWP}, {Type: ck.CKM_SHA256_HMAC},
	} {
		keyType := offers()[m.Type].Keys[0]
		k := secretOf(t, keyType, make([]byte, 32))
		for kind, begin := range beginEach(t, m, k) {
			for call := range begin() {
				wiped := secretOf(t, keyType, make([]byte, 32))
				then := beginEach(t, m, wiped)[kind]()
				if call == "Final" && !offers()[m.Type].Single {
					if err := then["Update"](); err != nil {
						t.Fatal(err)
					}
				}
				wiped.Wipe()
				if err := then[call](); !errors.Is(err, ck.CKR_KEY_HANDLE_INVALID) {
					t.Errorf("%s: %s, %s with a wiped key: %v", m.Type, kind, call, err)
				}
			}
		}
	}
}

// The same is true of messages, and of those that began before.
func TestMessagesEndWithTheirKey(t *testing.T) {
	k := aesKey(t, nist256)
	encryption, decryption := messageCiphers(t, k)
	for _, c := range []MessageCipher{encryption, decryption} {
		if err := messageCalls(c)["Begin"](); err != nil {
			t.Fatal(err)
		}
	}
	k.Wipe()
	for _, c := range []MessageCipher{encryption, decryption} {
		wantRV(t, messageCalls(c)["Next"](), ck.CKR_KEY_HANDLE_INVALID)
		if c.Held(0) != 0 {
			t.Errorf("%d bytes stay of a message whose key is gone", c.Held(0))
		}
		for _, call := range messageCalls(c) {
			wantRV(t, call(), ck.CKR_KEY_HANDLE_INVALID)
		}
	}
}

// With its last call, and with an error, an operation lets go of its round keys and of what it keeps.
func TestOperationsLetGo(t *testing.T) {
	for name, end := range map[string]func(Transform){
		"Once":  func(x Transform) { _, _ = x.Once(nil) },
		"Final": func(x Transform) { _, _ = x.Final() },
		"error": func(x Transform) { _, _ = x.Update(make([]byte, maxHeld+1)) },
	} {
		x := encrypter(t, gcmWith(t, gcmIV, 128), aesKey(t, gcmKey))
		end(x)
		if x.(guardedTransform).now != nil || x.Held(0) != 0 {
			t.Errorf("%s: the operation is still there", name)
		}
		if _, err := x.Update(nil); err == nil {
			t.Errorf("%s: the operation goes on", name)
		}
	}
}

package p11module

import (
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// keeper is an operation that keeps what comes in parts, and 1012 bytes of initialisation vector and associated data.
type keeper struct {
	flag uint64
	init func() ck.RV
	more func() ck.RV // one part of 60000 bytes
	last func() ck.RV
}

const keptAtFirst, keptPerPart = 1012, 60_000

func gcmOfThousand() Mechanism {
	p := &ck.GCMParams{IV: make([]byte, 12), AAD: make([]byte, 1000), TagBits: 128}
	return Mechanism{Type: ck.CKM_AES_GCM, Struct: p}
}

// keepers are AES-GCM in both directions, of data and of messages.
func (b *bench) keepers(h ck.SessionHandle, key ck.ObjectHandle) map[string]keeper {
	part, room, aad := make([]byte, keptPerPart), Output{Room: 1 << 20}, make([]byte, 1000)
	first := func(begun, first ck.RV) ck.RV {
		if begun != ck.CKR_OK {
			return begun
		}
		return first
	}
	return map[string]keeper{
		"encrypt": {ck.CKF_ENCRYPT,
			func() ck.RV { return b.m.EncryptInit(h, gcmOfThousand(), key) },
			func() ck.RV { _, _, rv := b.m.EncryptUpdate(h, part, room); return rv },
			func() ck.RV { _, _, rv := b.m.EncryptFinal(h, room); return rv }},
		"decrypt": {ck.CKF_DECRYPT,
			func() ck.RV { return b.m.DecryptInit(h, gcmOfThousand(), key) },
			func() ck.RV { _, _, rv := b.m.DecryptUpdate(h, part, room); return rv },
			func() ck.RV { _, _, rv := b.m.DecryptFinal(h, room); return rv }},
		"encrypt messages": {ck.CKF_MESSAGE_ENCRYPT,
			func() ck.RV {
				begun := b.m.MessageEncryptInit(h, Mechanism{Type: ck.CKM_AES_GCM}, key)
				return first(begun, second(b.m.EncryptMessageBegin(h, gcmMessage(0), aad)))
			},
			func() ck.RV { _, _, _, rv := b.m.EncryptMessageNext(h, gcmMessage(0), part, room, 0); return rv },
			func() ck.RV {
				_, _, _, rv := b.m.EncryptMessageNext(h, gcmMessage(0), nil, room, ck.CKF_END_OF_MESSAGE)
				return rv
			}},
		"decrypt messages": {ck.CKF_MESSAGE_DECRYPT,
			func() ck.RV {
				begun := b.m.MessageDecryptInit(h, Mechanism{Type: ck.CKM_AES_GCM}, key)
				return first(begun, b.m.DecryptMessageBegin(h, gcmMessage(0), aad))
			},
			func() ck.RV { _, _, rv := b.m.DecryptMessageNext(h, gcmMessage(0), part, room, 0); return rv },
			func() ck.RV {
				_, _, rv := b.m.DecryptMessageNext(h, gcmMessage(0), nil, room, ck.CKF_END_OF_MESSAGE)
				return rv
			}},
	}
}

// An application pays for all that AES-GCM keeps of its parts and parameters until the tag, in both directions, whole
// and as messages, and gets it back however that ends.
func TestMemoryOfGCM(t *testing.T) {
	host := newHostBench(t, nil)
	for ending, end := range map[string]func(*bench, ck.SessionHandle, keeper){
		"last":         func(_ *bench, _ ck.SessionHandle, k keeper) { k.last() },
		"no room":      func(b *bench, _ ck.SessionHandle, k keeper) { b.want(ck.CKR_DEVICE_MEMORY, k.more()) },
		"cancelled":    func(b *bench, h ck.SessionHandle, k keeper) { b.must(b.m.SessionCancel(h, k.flag)) },
		"bad argument": func(b *bench, h ck.SessionHandle, k keeper) { b.m.BadArguments(h, k.flag) },
		"logout":       func(b *bench, h ck.SessionHandle, _ keeper) { b.must(b.m.Logout(h)) },
		"close":        func(b *bench, h ck.SessionHandle, _ keeper) { b.must(b.m.CloseSession(h)) },
		"finalize":     func(b *bench, _ ck.SessionHandle, _ keeper) { b.must(b.m.Finalize(false)) },
		"other call": func(b *bench, h ck.SessionHandle, _ keeper) {
			room := Output{Room: 1 << 20}
			b.m.Encrypt(h, part, room)
			b.m.Decrypt(h, part, room)
			b.m.EncryptMessage(h, gcmMessage(0), nil, part, room)
			b.m.DecryptMessage(h, gcmMessage(0), nil, part, room)
		},
	} {
		for _, name := range []string{"encrypt", "decrypt", "encrypt messages", "decrypt messages"} {
			b := host.client(Limits{Memory: 100_000})
			memory := b.m.library.memory
			h := b.userSession(0)
			k := b.keepers(h, b.secretKey(h, ck.CKM_AES_KEY_GEN, Attribute{Type: ck.CKA_TOKEN, Value: truth(true)}))[name]
			b.must(k.init())
			if got := memory.used.Load(); got != keptAtFirst {
				t.Errorf("%s: %d bytes are claimed at first", name, got)
			}
			b.must(k.more())
			if got := memory.used.Load(); got != keptAtFirst+keptPerPart {
				t.Errorf("%s: %d bytes are claimed after a part", name, got)
			}
			if end(b, h, k); memory.used.Load() != 0 {
				t.Errorf("%s, %s: %d bytes are still claimed", name, ending, memory.used.Load())
			}
		}
	}
}

// What is given up does not stay, though nobody pays for it any more.
func TestGivenUpMessageGoes(t *testing.T) {
	b, h := newUserBench(t)
	k := b.keepers(h, b.secretKey(h, ck.CKM_AES_KEY_GEN))["encrypt messages"]
	b.must(k.init())
	b.must(k.more())
	_, _, _, rv := b.m.EncryptMessage(h, gcmMessage(0), nil, part, Output{Room: 100})
	b.want(ck.CKR_OPERATION_ACTIVE, rv)
	if held := b.m.library.sessions[h].operations[encryptingMessages].message.cipher.Held(0); held != 0 {
		t.Errorf("%d bytes of the message stay", held)
	}
}

// Parameters and signatures that an Init function gets count: with many sessions they are more than there is.
func TestMemoryOfInit(t *testing.T) {
	host := newHostBench(t, nil)
	b := host.client(Limits{Memory: 3000})
	h := b.userSession(0)
	onToken := Attribute{Type: ck.CKA_TOKEN, Value: truth(true)}
	aes := b.secretKey(h, ck.CKM_AES_KEY_GEN, onToken)
	generic := b.secretKey(h, ck.CKM_GENERIC_SECRET_KEY_GEN, onToken)
	hmac := Mechanism{Type: ck.CKM_SHA256_HMAC}
	message := func(h ck.SessionHandle) ck.RV {
		b.must(b.m.MessageDecryptInit(h, Mechanism{Type: ck.CKM_AES_GCM}, aes))
		return b.m.DecryptMessageBegin(h, gcmMessage(0), make([]byte, 1000))
	}
	for name, begin := range map[string]func(ck.SessionHandle) ck.RV{
		"encrypt": func(h ck.SessionHandle) ck.RV { return b.m.EncryptInit(h, gcmOfThousand(), aes) },
		"decrypt": func(h ck.SessionHandle) ck.RV { return b.m.DecryptInit(h, gcmOfThousand(), aes) },
		"message": message,
		"verify signature": func(h ck.SessionHandle) ck.RV {
			return b.m.VerifySignatureInit(h, hmac, generic, make([]byte, 1012))
		},
	} {
		sessions := []ck.SessionHandle{b.open(0, true), b.open(0, true), b.open(0, true)}
		b.must(begin(sessions[0]))
		b.must(begin(sessions[1]))
		b.want(ck.CKR_DEVICE_MEMORY, begin(sessions[2]))
		if got := b.m.library.memory.used.Load(); got != 2*keptAtFirst {
			t.Errorf("%s: %d bytes are claimed", name, got)
		}
		for _, s := range sessions {
			b.must(b.m.CloseSession(s))
		}
		if got := b.m.library.memory.used.Load(); got != 0 {
			t.Errorf("%s: %d bytes are still claimed", name, got)
		}
	}
}

// Operations that one application has begun end when another one destroys the key.
func TestOperationsEndWithTheirKey(t *testing.T) {
	host := newHostBench(t, nil)
	a, b := host.client(Limits{}), host.client(Limits{})
	h, other := a.userSession(0), b.userSession(0)
	room, ecb := Output{Room: 1 << 10}, Mechanism{Type: ck.CKM_AES_ECB}
	for name, c := range map[string]struct {
		generation ck.MechanismType
		init       func(ck.ObjectHandle) ck.RV
		call       func() ck.RV
	}{
		"encrypt": {ck.CKM_AES_KEY_GEN, func(k ck.ObjectHandle) ck.RV { return b.m.EncryptInit(other, ecb, k) },
			func() ck.RV { _, _, rv := b.m.Encrypt(other, make([]byte, 16), room); return rv }},
		"decrypt": {ck.CKM_AES_KEY_GEN, func(k ck.ObjectHandle) ck.RV { return b.m.DecryptInit(other, gcm(), k) },
			func() ck.RV { _, _, rv := b.m.DecryptUpdate(other, make([]byte, 16), room); return rv }},
		"cmac": {ck.CKM_AES_KEY_GEN,
			func(k ck.ObjectHandle) ck.RV { return b.m.SignInit(other, Mechanism{Type: ck.CKM_AES_CMAC}, k) },
			func() ck.RV { _, _, rv := b.m.Sign(other, part, room); return rv }},
		"hmac": {ck.CKM_GENERIC_SECRET_KEY_GEN,
			func(k ck.ObjectHandle) ck.RV { return b.m.VerifyInit(other, Mechanism{Type: ck.CKM_SHA256_HMAC}, k) },
			func() ck.RV { return b.m.VerifyUpdate(other, part) }},
		"message": {ck.CKM_AES_KEY_GEN,
			func(k ck.ObjectHandle) ck.RV {
				return b.m.MessageEncryptInit(other, Mechanism{Type: ck.CKM_AES_GCM}, k)
			},
			func() ck.RV { _, _, _, rv := b.m.EncryptMessage(other, gcmMessage(0), nil, part, room); return rv }},
	} {
		label := Attribute{Type: ck.CKA_LABEL, Value: []byte(name)}
		key := a.secretKey(h, c.generation, label, Attribute{Type: ck.CKA_TOKEN, Value: truth(true)})
		b.must(c.init(b.one(other, label)))
		a.must(a.m.DestroyObject(h, key))
		if rv := c.call(); rv != ck.CKR_KEY_HANDLE_INVALID {
			t.Errorf("%s with a key that was destroyed: %s", name, rv.Error())
		}
	}
}

package p11module

import (
	"bytes"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// gcmMessage is a parameter with room for a tag; generator 0 leaves the initialisation vector to the application.
func gcmMessage(generator uint64) MessageParameter {
	return MessageParameter{GCM: &ck.GCMMessage{IV: make([]byte, 12), Generator: generator, Tag: make([]byte, 16), TagBits: 128}}
}

// The same message, whole and in parts, encrypts alike and comes back.
func TestMessages(t *testing.T) {
	b, h := newUserBench(t)
	key := b.secretKey(h, ck.CKM_AES_KEY_GEN)
	with := Mechanism{Type: ck.CKM_AES_GCM}
	associated, plain := []byte("associated"), bytes.Repeat([]byte("m"), 50)
	b.must(b.m.MessageEncryptInit(h, with, key))
	made, whole, length, rv := b.m.EncryptMessage(h, gcmMessage(0), associated, plain, Output{Room: 50})
	b.must(rv)
	if length != 50 || len(whole) != 50 || len(made.Tag) != 16 || made.IV != nil {
		t.Fatalf("%d bytes, length %d, %+v", len(whole), length, made)
	}
	_, rv = b.m.EncryptMessageBegin(h, gcmMessage(0), associated)
	b.must(rv)
	_, first, _, rv := b.m.EncryptMessageNext(h, gcmMessage(0), plain[:20], Output{Room: 20}, 0)
	b.must(rv)
	last, rest, _, rv := b.m.EncryptMessageNext(h, gcmMessage(0), plain[20:], Output{Room: 30}, ck.CKF_END_OF_MESSAGE)
	b.must(rv)
	if !bytes.Equal(append(first, rest...), whole) || !bytes.Equal(last.Tag, made.Tag) {
		t.Error("a message in parts is another one")
	}
	b.must(b.m.MessageEncryptFinal(h))

	parameter := gcmMessage(0)
	parameter.GCM.Tag = made.Tag
	b.must(b.m.MessageDecryptInit(h, with, key))
	back, _, rv := b.m.DecryptMessage(h, parameter, associated, whole, Output{Room: 50})
	if rv != ck.CKR_OK || !bytes.Equal(back, plain) {
		t.Errorf("%q, %s", back, rv.Error())
	}
	b.must(b.m.DecryptMessageBegin(h, parameter, associated))
	back, length, rv = b.m.DecryptMessageNext(h, parameter, whole[:20], Output{}, 0)
	if rv != ck.CKR_OK || length != 0 || len(back) != 0 {
		t.Errorf("%d bytes came before the tag was seen, %s", len(back), rv.Error())
	}
	_, length, rv = b.m.DecryptMessageNext(h, parameter, whole[20:], Output{Room: 49}, ck.CKF_END_OF_MESSAGE)
	if rv != ck.CKR_BUFFER_TOO_SMALL || length != 50 {
		t.Errorf("length %d, %s", length, rv.Error())
	}
	back, _, rv = b.m.DecryptMessageNext(h, parameter, whole[20:], Output{Room: 50}, ck.CKF_END_OF_MESSAGE)
	if rv != ck.CKR_OK || !bytes.Equal(back, plain) {
		t.Errorf("in parts: %q, %s", back, rv.Error())
	}
	b.must(b.m.MessageDecryptFinal(h))
}

// The token makes initialisation vectors, each once.
func TestMessageVectors(t *testing.T) {
	b, h := newUserBench(t)
	key := b.secretKey(h, ck.CKM_AES_KEY_GEN)
	b.must(b.m.MessageEncryptInit(h, Mechanism{Type: ck.CKM_AES_GCM}, key))
	seen := map[string]bool{}
	for _, generator := range []uint64{ck.CKG_GENERATE, ck.CKG_GENERATE_RANDOM} {
		for range 10 {
			_, _, length, rv := b.m.EncryptMessage(h, gcmMessage(generator), nil, part, Output{Query: true})
			if rv != ck.CKR_OK || length != uint64(len(part)) {
				t.Errorf("length query: %d, %s", length, rv.Error())
			}
			made, _, _, rv := b.m.EncryptMessage(h, gcmMessage(generator), nil, part, Output{Room: 100})
			b.must(rv)
			if len(made.IV) != 12 || seen[string(made.IV)] {
				t.Errorf("vector % x", made.IV)
			}
			seen[string(made.IV)] = true
		}
	}
}

// What does not fit the message under way ends the message; the operation goes on with the next.
func TestMessageStates(t *testing.T) {
	b, h := newUserBench(t)
	key := b.secretKey(h, ck.CKM_AES_KEY_GEN)
	with, room := Mechanism{Type: ck.CKM_AES_GCM}, Output{Room: 100}
	whole := func(p MessageParameter) ck.RV {
		_, _, _, rv := b.m.EncryptMessage(h, p, nil, part, room)
		return rv
	}
	next := func(flags uint64) ck.RV {
		_, _, _, rv := b.m.EncryptMessageNext(h, gcmMessage(0), part, room, flags)
		return rv
	}
	begin := func() ck.RV { return second(b.m.EncryptMessageBegin(h, gcmMessage(0), nil)) }

	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, whole(gcmMessage(0)))
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, begin())
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, next(0))
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, b.m.MessageEncryptFinal(h))
	b.must(b.m.MessageEncryptInit(h, with, key))
	b.want(ck.CKR_OPERATION_ACTIVE, b.m.MessageEncryptInit(h, with, key))
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, next(0)) // no message was begun
	b.want(ck.CKR_ARGUMENTS_BAD, whole(MessageParameter{}))
	b.want(ck.CKR_ARGUMENTS_BAD, whole(MessageParameter{Misfit: true}))
	b.must(whole(gcmMessage(0)))
	b.must(begin())
	b.must(next(0))
	b.want(ck.CKR_OPERATION_ACTIVE, whole(gcmMessage(0)))
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, next(0)) // the message went
	b.must(begin())
	b.want(ck.CKR_OPERATION_ACTIVE, begin())
	b.must(begin())
	b.must(next(ck.CKF_END_OF_MESSAGE))
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, next(ck.CKF_END_OF_MESSAGE))
	b.must(begin())
	b.want(ck.CKR_OPERATION_ACTIVE, b.m.MessageEncryptFinal(h)) // ends it all the same
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, begin())

	b.must(b.m.MessageDecryptInit(h, with, key))
	_, _, rv := b.m.DecryptMessage(h, gcmMessage(0), nil, part, room)
	b.want(ck.CKR_AEAD_DECRYPT_FAILED, rv)
	b.must(b.m.DecryptMessageBegin(h, gcmMessage(0), nil)) // the next message may be right
	b.must(b.m.SessionCancel(h, ck.CKF_MESSAGE_DECRYPT))
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, b.m.DecryptMessageBegin(h, gcmMessage(0), nil))
	b.must(b.m.MessageEncryptInit(h, with, key))
	b.must(b.m.Logout(h))
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, begin())
}

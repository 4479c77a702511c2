package mechanism

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/big"
	"sync"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

var gcmMessages = ck.Mechanism{Type: ck.CKM_AES_GCM}

func messageCiphers(t testing.TB, k *Key) (encryption, decryption MessageCipher) {
	t.Helper()
	encryption = begun[MessageCipher](t)(NewMessageEncryption(gcmMessages, k))
	return encryption, begun[MessageCipher](t)(NewMessageDecryption(gcmMessages, k))
}

// messageInParts does a message in parts of 7 bytes, and holds each length to its bound.
func messageInParts(t testing.TB, c MessageCipher, p *ck.GCMMessage, associated, data []byte) (
	out []byte, made MessageParts, err error) {
	t.Helper()
	if made, err = c.Begin(p, associated); err != nil {
		return nil, made, err
	}
	for last := false; !last; {
		n := min(7, len(data))
		last = n == len(data)
		bound := c.NextBound(n, last)
		came, more, err := c.Next(p, data[:n], last)
		if err != nil {
			return nil, made, err
		}
		if len(came) != bound || more.IV != nil {
			t.Fatalf("%d bytes, the bound was %d; made %v", len(came), bound, more)
		}
		out, data, made.Tag = append(out, came...), data[n:], more.Tag
	}
	return out, made, nil
}

func TestMessageKnownAnswers(t *testing.T) {
	for _, c := range gcmCases {
		encryption, decryption := messageCiphers(t, aesKey(t, c.key))
		for range 2 { // one after the other
			for tagBits := range tagLengths {
				tag := octets(t, c.tag)[:tagBits/8]
				p := &ck.GCMMessage{IV: octets(t, c.iv), TagBits: tagBits}
				for name, f := range map[string]func(MessageCipher, *ck.GCMMessage, []byte) ([]byte, MessageParts, error){
					"whole": func(m MessageCipher, p *ck.GCMMessage, data []byte) ([]byte, MessageParts, error) {
						return m.Whole(p, octets(t, gcmAAD), data)
					},
					"parts": func(m MessageCipher, p *ck.GCMMessage, data []byte) ([]byte, MessageParts, error) {
						return messageInParts(t, m, p, octets(t, gcmAAD), data)
					},
				} {
					out, made, err := f(encryption, p, octets(t, gcmPlain))
					if err != nil || !bytes.Equal(out, octets(t, c.encrypted)) || !bytes.Equal(made.Tag, tag) || made.IV != nil {
						t.Fatalf("%s: %x, %x, %v", name, out, made, err)
					}
					p.Tag = tag
					out, made, err = f(decryption, p, octets(t, c.encrypted))
					if err != nil || !bytes.Equal(out, octets(t, gcmPlain)) || made.IV != nil || made.Tag != nil {
						t.Fatalf("%s: %x, %x, %v", name, out, made, err)
					}
				}
			}
		}
	}
}

// After a message that is not right the next one may come.
func TestMessageForged(t *testing.T) {
	c := gcmCases[0]
	_, decryption := messageCiphers(t, aesKey(t, c.key))
	good := &ck.GCMMessage{IV: octets(t, c.iv), TagBits: 128, Tag: octets(t, c.tag)}
	bad := *good
	bad.Tag = make([]byte, 16)
	for range 2 {
		out, _, err := decryption.Whole(&bad, octets(t, gcmAAD), octets(t, c.encrypted))
		wantRV(t, err, ck.CKR_AEAD_DECRYPT_FAILED)
		parts, _, err := messageInParts(t, decryption, &bad, octets(t, gcmAAD), octets(t, c.encrypted))
		wantRV(t, err, ck.CKR_AEAD_DECRYPT_FAILED)
		if out != nil || parts != nil {
			t.Errorf("%x and %x came out", out, parts)
		}
		if _, _, err := decryption.Next(good, nil, true); err == nil {
			t.Error("a message goes on after its error")
		}
		out, _, err = decryption.Whole(good, octets(t, gcmAAD), octets(t, c.encrypted))
		if err != nil || !bytes.Equal(out, octets(t, gcmPlain)) {
			t.Errorf("%x, %v", out, err)
		}
	}
}

func TestMessageParameters(t *testing.T) {
	encryption, decryption := messageCiphers(t, aesKey(t, gcmKey))
	for _, p := range []*ck.GCMMessage{nil, {TagBits: 128}, {IV: make([]byte, 12)}, {IV: make([]byte, 12), TagBits: 12}} {
		for _, c := range []MessageCipher{encryption, decryption} {
			_, _, err := c.Whole(p, nil, nil)
			wantRV(t, err, ck.CKR_ARGUMENTS_BAD)
			_, err = c.Begin(p, nil)
			wantRV(t, err, ck.CKR_ARGUMENTS_BAD)
			_, _, err = c.Next(p, nil, true)
			wantRV(t, err, ck.CKR_OPERATION_NOT_INITIALIZED)
		}
	}
	_, _, err := decryption.Whole(&ck.GCMMessage{IV: make([]byte, 12), TagBits: 128, Tag: make([]byte, 15)}, nil, nil)
	wantRV(t, err, ck.CKR_ARGUMENTS_BAD)
	for _, m := range []ck.Mechanism{gcmWith(t, gcmIV, 128), {Type: ck.CKM_AES_GCM, Misfit: true}} {
		_, err := NewMessageEncryption(m, aesKey(t, gcmKey))
		wantRV(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	_, err = NewMessageEncryption(ck.Mechanism{Type: ck.CKM_AES_CTR}, aesKey(t, gcmKey))
	wantRV(t, err, ck.CKR_MECHANISM_INVALID)
}

// vectors makes initialisation vectors by encrypting messages.
func vectors(t *testing.T, c MessageCipher, p ck.GCMMessage, n int) (all [][]byte) {
	t.Helper()
	for range n {
		_, made, err := c.Whole(&p, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, made.IV)
	}
	return all
}

func TestMessageVectors(t *testing.T) {
	iv := bytes.Repeat([]byte{0xa5}, 16)
	for _, c := range []struct {
		generator, fixed uint64
		length           int
		want             ck.RV // 0 for none
	}{
		{ck.CKG_GENERATE, 0, 12, 0}, {ck.CKG_GENERATE, 32, 12, 0}, {ck.CKG_GENERATE, 13, 16, 0},
		{ck.CKG_GENERATE_COUNTER, 0, 12, 0}, {ck.CKG_GENERATE_COUNTER, 32, 12, 0}, {ck.CKG_GENERATE_COUNTER, 29, 12, 0},
		{ck.CKG_GENERATE_COUNTER, 3, 16, 0},
		{ck.CKG_GENERATE_RANDOM, 0, 12, 0}, {ck.CKG_GENERATE_RANDOM, 30, 16, 0},
		{ck.CKG_GENERATE_RANDOM, 1, 12, ck.CKR_ARGUMENTS_BAD}, {ck.CKG_GENERATE_RANDOM, 33, 16, ck.CKR_ARGUMENTS_BAD},
		{ck.CKG_GENERATE_COUNTER, 96, 12, ck.CKR_ARGUMENTS_BAD}, {ck.CKG_GENERATE_COUNTER, 97, 12, ck.CKR_ARGUMENTS_BAD},
		{ck.CKG_GENERATE, ^uint64(0), 12, ck.CKR_ARGUMENTS_BAD}, {ck.CKG_GENERATE, 0, 11, ck.CKR_ARGUMENTS_BAD},
		{ck.CKG_GENERATE_COUNTER_XOR, 32, 12, ck.CKR_ARGUMENTS_BAD}, {99, 32, 12, ck.CKR_ARGUMENTS_BAD},
	} {
		encryption, decryption := messageCiphers(t, aesKey(t, nist256))
		p := ck.GCMMessage{IV: iv[:c.length], FixedBits: c.fixed, Generator: c.generator, TagBits: 128}
		if c.want != 0 {
			_, _, err := encryption.Whole(&p, nil, nil)
			wantRV(t, err, c.want)
			continue
		}
		seen := map[string]bool{}
		for _, made := range vectors(t, encryption, p, 100) {
			if len(made) != c.length || !sameBits(made, iv, c.fixed) || seen[string(made)] {
				t.Errorf("%+v: %x, seen %v", c, made, seen[string(made)])
			}
			seen[string(made)] = true
		}
		out, made, err := messageInParts(t, encryption, &p, []byte("a"), []byte("a message of some length"))
		if err != nil || seen[string(made.IV)] {
			t.Fatalf("%+v: %x, %v", c, made, err)
		}
		back, _, err := decryption.Whole(&ck.GCMMessage{IV: made.IV, TagBits: 128, Tag: made.Tag}, []byte("a"), out)
		if err != nil || string(back) != "a message of some length" {
			t.Errorf("%+v: %q, %v", c, back, err)
		}
	}
}

// sameBits compares the first n bits.
func sameBits(a, b []byte, n uint64) bool {
	shift := func(v []byte) *big.Int { return new(big.Int).Rsh(new(big.Int).SetBytes(v), uint(8*uint64(len(v))-n)) }
	return shift(a).Cmp(shift(b[:len(a)])) == 0
}

// Two runs of a key, or a key and its copy, do not meet: a counter has room for a random beginning of 64 bits.
func TestMessageCountersAreWide(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		encryption, _ := messageCiphers(t, aesKey(t, nist256))
		for _, generator := range []uint64{ck.CKG_GENERATE, ck.CKG_GENERATE_COUNTER} {
			for _, fixed := range []uint64{33, 64, 88, 92, 95} {
				p := ck.GCMMessage{IV: make([]byte, 12), FixedBits: fixed, Generator: generator, TagBits: 128}
				_, _, err := encryption.Whole(&p, nil, nil)
				wantRV(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
			}
			p := ck.GCMMessage{IV: make([]byte, 12), FixedBits: 32, Generator: generator, TagBits: 128}
			for _, iv := range vectors(t, encryption, p, 200) {
				if seen[string(iv)] {
					t.Errorf("%x comes again", iv)
				}
				seen[string(iv)] = true
			}
		}
	}
}

// What a message keeps is known before it is kept, and goes with the message, however that ends.
func TestMessageHolds(t *testing.T) {
	encryption, decryption := messageCiphers(t, aesKey(t, nist256))
	p := &ck.GCMMessage{IV: make([]byte, 12), TagBits: 128, Tag: make([]byte, 16)}
	for _, c := range []MessageCipher{encryption, decryption} {
		for name, end := range map[string]func(){
			"given up": c.GiveUp,
			"last":     func() { _, _, _ = c.Next(p, nil, true) },
			"error":    func() { _, _, _ = c.Next(p, make([]byte, maxHeld), false) },
		} {
			begun[MessageParts](t)(c.Begin(p, make([]byte, 100)))
			if _, _, err := c.Next(p, make([]byte, 1000), false); err != nil {
				t.Fatal(err)
			}
			if held := c.Held(7); held != 12+100+1000+7 {
				t.Errorf("%d bytes are held", held)
			}
			if end(); c.Held(0) != 0 {
				t.Errorf("%s: %d bytes are held", name, c.Held(0))
			}
			_, _, err := c.Next(p, nil, true)
			wantRV(t, err, ck.CKR_OPERATION_NOT_INITIALIZED)
		}
	}
}

// Threads that share a key never get the same vector.
func TestMessageVectorsOfThreads(t *testing.T) {
	k := aesKey(t, nist256)
	var mu sync.Mutex
	seen := map[uint64]bool{}
	var threads sync.WaitGroup
	for range 4 {
		encryption, _ := messageCiphers(t, k)
		threads.Go(func() {
			for range 500 {
				p := ck.GCMMessage{IV: make([]byte, 12), FixedBits: 32, Generator: ck.CKG_GENERATE_COUNTER, TagBits: 96}
				_, made, err := encryption.Whole(&p, nil, nil)
				mu.Lock()
				if n := binary.BigEndian.Uint64(made.IV[4:]); err != nil || seen[n] {
					t.Errorf("%x, %v", made.IV, err)
				} else {
					seen[n] = true
				}
				mu.Unlock()
			}
		})
	}
	threads.Wait()
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte("data"), []byte("associated"), make([]byte, 12), uint64(32), uint64(2), uint64(128))
	f.Add([]byte{}, []byte{}, make([]byte, 13), uint64(3), uint64(1), uint64(32))
	f.Add([]byte("more than seven bytes"), []byte{}, []byte{1}, uint64(0), uint64(0), uint64(96))
	f.Fuzz(func(t *testing.T, data, associated, iv []byte, fixed, generator, tagBits uint64) {
		encryption, decryption := messageCiphers(t, aesKey(t, nist128))
		p := &ck.GCMMessage{IV: iv, FixedBits: fixed, Generator: generator, TagBits: tagBits}
		out, made, err := messageInParts(t, encryption, p, associated, data)
		if err != nil {
			if !errors.Is(err, ck.CKR_ARGUMENTS_BAD) && !errors.Is(err, ck.CKR_MECHANISM_PARAM_INVALID) {
				t.Fatal(err)
			}
			return
		}
		if made.IV != nil && !sameBits(made.IV, iv, fixed) {
			t.Fatalf("%x keeps no %d bits of %x", made.IV, fixed, iv)
		}
		if made.IV != nil {
			p.IV = made.IV
		}
		p.Tag = made.Tag
		back, _, err := decryption.Whole(p, associated, out)
		parts, _, partsErr := messageInParts(t, decryption, p, associated, out)
		if err != nil || partsErr != nil || !bytes.Equal(back, data) || !bytes.Equal(parts, data) {
			t.Fatalf("%x, %v, in parts %x, %v", back, err, parts, partsErr)
		}
	})
}

package p11module

import (
	"bytes"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// The length of a decryption with padding is a bound; what comes out has its own length, and a buffer of just that
// length does. Nothing is written where it does not fit, and the same call comes again.
func TestDecryptIntoExactRoom(t *testing.T) {
	b, h := newUserBench(t)
	key := b.secretKey(h, ck.CKM_AES_KEY_GEN)
	b.must(b.m.EncryptInit(h, cbcPad(), key))
	encrypted, length, rv := b.m.Encrypt(h, part, Output{Room: 32})
	b.must(rv)
	if length != 32 || len(encrypted) != 32 {
		t.Fatalf("%d bytes, length %d", len(encrypted), length)
	}
	b.must(b.m.DecryptInit(h, cbcPad(), key))
	_, length, rv = b.m.Decrypt(h, encrypted, Output{Query: true})
	if rv != ck.CKR_OK || length < uint64(len(part)) || length > 32 {
		t.Errorf("length query: %d, %s", length, rv.Error())
	}
	data, length, rv := b.m.Decrypt(h, encrypted, Output{Room: uint64(len(part)) - 1})
	if rv != ck.CKR_BUFFER_TOO_SMALL || length != uint64(len(part)) || data != nil {
		t.Errorf("short buffer: %d bytes, length %d, %s", len(data), length, rv.Error())
	}
	data, length, rv = b.m.Decrypt(h, encrypted, Output{Room: uint64(len(part))})
	if rv != ck.CKR_OK || length != uint64(len(part)) || !bytes.Equal(data, part) {
		t.Errorf("%q, length %d, %s", data, length, rv.Error())
	}
}

// In parts of every size, with a query and a short buffer before each call, the same comes out as at once.
func TestEncryptionInParts(t *testing.T) {
	b, h := newUserBench(t)
	key := b.secretKey(h, ck.CKM_AES_KEY_GEN)
	data := bytes.Repeat([]byte("0123456789"), 10)
	for _, with := range []Mechanism{cbcPad(), gcm()} {
		b.must(b.m.EncryptInit(h, with, key))
		whole, _, rv := b.m.Encrypt(h, data, Output{Room: 1 << 10})
		b.must(rv)
		for _, size := range []int{1, 7, 16, 33, 100} {
			b.must(b.m.EncryptInit(h, with, key))
			if got := b.inParts(h, data, size, b.m.EncryptUpdate, b.m.EncryptFinal); !bytes.Equal(got, whole) {
				t.Errorf("%s in parts of %d: % x, want % x", with.Type, size, got, whole)
			}
			b.must(b.m.DecryptInit(h, with, key))
			if got := b.inParts(h, whole, size, b.m.DecryptUpdate, b.m.DecryptFinal); !bytes.Equal(got, data) {
				t.Errorf("%s back in parts of %d: %q", with.Type, size, got)
			}
		}
	}
}

func (b *bench) inParts(h ck.SessionHandle, data []byte, size int, update func(ck.SessionHandle, []byte, Output) ([]byte, uint64, ck.RV),
	final func(ck.SessionHandle, Output) ([]byte, uint64, ck.RV)) (all []byte) {
	b.Helper()
	step := func(call func(Output) ([]byte, uint64, ck.RV)) {
		b.Helper()
		_, length, rv := call(Output{Query: true})
		b.must(rv)
		if length > 0 {
			result, again, rv := call(Output{Room: length - 1})
			if rv != ck.CKR_BUFFER_TOO_SMALL || again != length || result != nil {
				b.Errorf("short buffer: %d bytes, length %d, %s, want %d", len(result), again, rv.Error(), length)
			}
		}
		result, got, rv := call(Output{Room: length})
		b.must(rv)
		if got != length || uint64(len(result)) != length {
			b.Errorf("%d bytes, length %d, %d were announced", len(result), got, length)
		}
		all = append(all, result...)
	}
	for len(data) > 0 {
		n := min(size, len(data))
		step(func(out Output) ([]byte, uint64, ck.RV) { return update(h, data[:n], out) })
		data = data[n:]
	}
	step(func(out Output) ([]byte, uint64, ck.RV) { return final(h, out) })
	return all
}

// A decryption that keeps everything back until its tag is right pays for what it keeps.
func TestMemoryOfDecryption(t *testing.T) {
	host := newHostBench(t, nil)
	b := host.client(Limits{Memory: 100_000})
	h := b.userSession(0)
	key := b.secretKey(h, ck.CKM_AES_KEY_GEN)
	before := b.m.library.memory.used.Load()
	b.must(b.m.DecryptInit(h, gcm(), key))
	room := Output{Room: 1 << 20}
	_, _, rv := b.m.DecryptUpdate(h, make([]byte, 60_000), room)
	b.must(rv)
	_, _, rv = b.m.DecryptUpdate(h, make([]byte, 60_000), room)
	b.want(ck.CKR_DEVICE_MEMORY, rv)
	if now := b.m.library.memory.used.Load(); now != before {
		t.Errorf("%d bytes are claimed, %d before", now, before)
	}
	ctr := Mechanism{Type: ck.CKM_AES_CTR, Struct: &ck.CTRParams{CounterBits: 128}}
	b.must(b.m.EncryptInit(h, ctr, key)) // which keeps nothing
	for range 10 {
		_, _, rv = b.m.EncryptUpdate(h, make([]byte, 60_000), room)
		b.must(rv)
	}
}

// Empty data are data.
func TestEmptyData(t *testing.T) {
	b, h := newUserBench(t)
	key := b.secretKey(h, ck.CKM_AES_KEY_GEN)
	for _, empty := range [][]byte{nil, {}} {
		for _, with := range []Mechanism{cbcPad(), gcm()} {
			b.must(b.m.EncryptInit(h, with, key))
			encrypted, length, rv := b.m.Encrypt(h, empty, Output{Room: 100})
			if rv != ck.CKR_OK || length != 16 {
				t.Errorf("%s: length %d, %s", with.Type, length, rv.Error())
			}
			b.must(b.m.DecryptInit(h, with, key))
			data, length, rv := b.m.Decrypt(h, encrypted, Output{Room: 0})
			if rv != ck.CKR_OK || length != 0 || len(data) != 0 {
				t.Errorf("%s back: %d bytes, length %d, %s", with.Type, len(data), length, rv.Error())
			}
		}
		b.must(b.m.DigestInit(h, Mechanism{Type: ck.CKM_SHA256}))
		digest, _, rv := b.m.Digest(h, empty, Output{Room: 32})
		if rv != ck.CKR_OK || len(digest) != 32 {
			t.Errorf("digest of nothing: %d bytes, %s", len(digest), rv.Error())
		}
	}
}

package mechanism

import (
	"bytes"
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// Test cases 4, 5, 6 and 16 of the specification of GCM (McGrew, Viega).
const (
	gcmKey   = "feffe9928665731c6d6a8f9467308308"
	gcmPlain = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aed" +
		"f5aa0de657ba637b39"
	gcmAAD = "feedfacedeadbeeffeedfacedeadbeefabaddad2"
	gcmIV  = "cafebabefacedbaddecaf888"
)

var gcmCases = []struct{ key, iv, encrypted, tag string }{
	{gcmKey, gcmIV, "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051b" +
		"a30b396a0aac973d58e091",
		"5bc94fbc3221a5db94fae95ae7121a47"},
	{gcmKey, "cafebabefacedbad", "61353b4c2806934a777ff51fa22a4755699b2a714fcdc6f83766e5f97b6c742373806900e49f24b22b09" +
		"7544d4896b424989b5e1ebac0f07c23f4598",
		"3612d2e79e3b0785561be14aaca2fccb"},
	{gcmKey, "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728c3c0c95156809539fcf0e2429a6b525416aedbf5" +
		"a0de6a57a637b39b",
		"8ce24998625615b603a033aca13fb894be9112a5c3a211a8ba262a3cca7e2ca701e4a9a4fba43c90ccdcb281d48c7c6fd62875d2aca41703" +
			"4c34aee5",
		"619cc5aefffe0bfa462af43c1699d050"},
	{gcmKey + gcmKey, gcmIV, "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b10" +
		"56828838c5f61e6393ba7a0abcc9f662",
		"76fc6ece0f4e1768cddf8853bb2d551b"},
}

func gcmWith(t testing.TB, iv string, tagBits uint64) ck.Mechanism {
	p := &ck.GCMParams{IV: octets(t, iv), AAD: octets(t, gcmAAD), TagBits: tagBits}
	return ck.Mechanism{Type: ck.CKM_AES_GCM, Struct: p}
}

func TestGCMKnownAnswers(t *testing.T) {
	for _, c := range gcmCases {
		for tagBits := range tagLengths {
			sealed := append(octets(t, c.encrypted), octets(t, c.tag)[:tagBits/8]...)
			bothWays(t, gcmWith(t, c.iv, tagBits), aesKey(t, c.key), octets(t, gcmPlain), sealed)
		}
	}
}

// Test case 1: nothing to encrypt, nothing to authenticate.
func TestGCMOfNothing(t *testing.T) {
	m := ck.Mechanism{Type: ck.CKM_AES_GCM, Struct: &ck.GCMParams{IV: make([]byte, 12), TagBits: 128}}
	bothWays(t, m, aesKey(t, "00000000000000000000000000000000"), nil, octets(t, "58e2fccefa7e3061367f1d57a4e7455a"))
}

func TestGCMForged(t *testing.T) {
	c := gcmCases[0]
	for tagBits := range tagLengths {
		m := gcmWith(t, c.iv, tagBits)
		sealed := append(octets(t, c.encrypted), octets(t, c.tag)[:tagBits/8]...)
		for i := range 8 * len(sealed) {
			forged := bytes.Clone(sealed)
			forged[i/8] ^= 1 << (i % 8)
			if out, err := decrypter(t, m, aesKey(t, c.key)).Once(forged); err == nil || out != nil {
				t.Fatalf("%d bits of tag: bit %d may be another: %x", tagBits, i, out)
			} else {
				wantRV(t, err, ck.CKR_ENCRYPTED_DATA_INVALID)
			}
		}
		d := decrypter(t, m, aesKey(t, c.key))
		if out, err := d.Update(sealed[:40]); len(out) != 0 || err != nil {
			t.Errorf("%x came out before the tag, %v", out, err)
		}
		if out, err := d.Final(); out != nil {
			t.Errorf("%x came out of half a message", out)
		} else {
			wantRV(t, err, ck.CKR_ENCRYPTED_DATA_INVALID)
		}
		_, err := decrypter(t, m, aesKey(t, c.key)).Once(sealed[:tagBits/8-1])
		wantRV(t, err, ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
	}
}

// Neither an initialisation vector nor associated data are longer than what may be kept.
func TestLengthOfAssociatedData(t *testing.T) {
	with := func(iv, aad int) ck.Mechanism {
		p := &ck.GCMParams{IV: make([]byte, iv), AAD: make([]byte, aad), TagBits: 128}
		return ck.Mechanism{Type: ck.CKM_AES_GCM, Struct: p}
	}
	k := aesKey(t, gcmKey)
	encrypter(t, with(maxAssociated, maxAssociated), k)
	for _, m := range []ck.Mechanism{with(maxAssociated+1, 0), with(12, maxAssociated+1)} {
		_, err := NewEncryption(m, k)
		wantRV(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
	encryption, decryption := messageCiphers(t, k)
	for _, c := range []MessageCipher{encryption, decryption} {
		p := &ck.GCMMessage{IV: make([]byte, 12), TagBits: 128, Tag: make([]byte, 16)}
		begun[MessageParts](t)(c.Begin(p, make([]byte, maxAssociated)))
		_, err := c.Begin(p, make([]byte, maxAssociated+1))
		wantRV(t, err, ck.CKR_DATA_LEN_RANGE)
		_, _, err = c.Whole(p, make([]byte, maxAssociated+1), nil)
		wantRV(t, err, ck.CKR_DATA_LEN_RANGE)
	}
}

func TestGCMParameters(t *testing.T) {
	for _, m := range []ck.Mechanism{{}, {Misfit: true}, {Parameter: make([]byte, 12)}, gcmWith(t, "", 128),
		gcmWith(t, gcmIV, 0), gcmWith(t, gcmIV, 8), gcmWith(t, gcmIV, 129), gcmWith(t, gcmIV, 80), gcmWith(t, gcmIV, 136)} {
		m.Type = ck.CKM_AES_GCM
		_, err := NewEncryption(m, aesKey(t, gcmKey))
		wantRV(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
	}
}

// The 32 bits that count come round without touching the other 96.
func TestGCMStreamComesRound(t *testing.T) {
	block, _ := aes.NewCipher(octets(t, nist128))
	w := &wrapping32{block: block, counter: [16]byte(octets(t, "ffffffffffffffffffffffff00000000"))}
	w.restart(1<<32 - 2)
	got, want := make([]byte, 100), make([]byte, 112)
	for i, plain := 0, make([]byte, 100); i < len(got); i += 7 {
		end := min(i+7, len(got))
		w.XORKeyStream(got[i:end], plain[i:end])
	}
	counter := octets(t, "ffffffffffffffffffffffff00000000")
	for i := range 7 {
		binary.BigEndian.PutUint32(counter[12:], 1<<32-2+uint32(i))
		block.Encrypt(want[16*i:], counter)
	}
	if subtle.ConstantTimeCompare(got, want[:100]) != 1 {
		t.Errorf("the key stream is %x, want %x", got, want[:100])
	}
}

// What comes in parts is kept for the tag, and has an end.
func TestGCMHolds(t *testing.T) {
	for _, begin := range []func(ck.Mechanism, *Key) (Transform, error){NewEncryption, NewDecryption} {
		transform := begun[Transform](t)(begin(gcmWith(t, gcmIV, 128), aesKey(t, gcmKey)))
		part := make([]byte, maxHeld/2)
		for range 2 {
			if _, err := transform.Update(part); err != nil {
				t.Fatal(err)
			}
		}
		if held, parameters := transform.Held(7), len(octets(t, gcmIV))+len(octets(t, gcmAAD)); held != maxHeld+7+parameters {
			t.Errorf("%d bytes are held", held)
		}
		if _, err := transform.Update([]byte{0}); err == nil {
			t.Error("there is no end")
		}
	}
}

func FuzzGCM(f *testing.F) {
	for i, c := range gcmCases {
		f.Add(octets(f, c.encrypted+c.tag[:32-8*(i%2)]), octets(f, c.iv), octets(f, gcmAAD), uint64(128-32*(i%2)), 1+9*i)
	}
	f.Add([]byte{}, []byte{1}, []byte{}, uint64(96), 1)
	f.Fuzz(func(t *testing.T, data, iv, aad []byte, tagBits uint64, most int) {
		if most < 1 || most > 1<<20 {
			return
		}
		m := ck.Mechanism{Type: ck.CKM_AES_GCM, Struct: &ck.GCMParams{IV: iv, AAD: aad, TagBits: tagBits}}
		k := aesKey(t, gcmKey)
		if _, err := NewDecryption(m, k); err != nil {
			wantRV(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
			return
		}
		whole, wholeErr := decrypter(t, m, k).Once(data)
		parts, partsErr := inParts(t, decrypter(t, m, k), data, most)
		if !bytes.Equal(whole, parts) || (wholeErr == nil) != (partsErr == nil) {
			t.Fatalf("%x, %v; in parts %x, %v", whole, wholeErr, parts, partsErr)
		}
		sealed := once(t, encrypter(t, m, k), data)
		parts, partsErr = inParts(t, encrypter(t, m, k), data, most)
		if partsErr != nil || !bytes.Equal(sealed, parts) {
			t.Fatalf("sealed %x, in parts %x, %v", sealed, parts, partsErr)
		}
		if again := once(t, decrypter(t, m, k), sealed); !bytes.Equal(again, data) {
			t.Fatalf("%x was sealed and opened as %x", data, again)
		}
	})
}

package main

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/lms"
)

// rawKey makes an HSS public key with a recognisable root; nobody has its private key.
func rawKey(t testing.TB, set lms.ParameterSet, levels int) []byte {
	t.Helper()
	key := lms.HSSPublicKey{Levels: levels, Root: lms.PublicKey{Set: set, Root: bytes.Repeat([]byte{0x5a}, set.N())}}
	copy(key.Root.I[:], "I of the top tree")
	return key.Bytes()
}

var (
	set32 = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H10, OTS: lms.LMOTS_SHA256_N32_W4}
	set24 = lms.ParameterSet{LMS: lms.LMS_SHAKE_M24_H5, OTS: lms.LMOTS_SHAKE_N24_W8}
)

// The DER that goes before the raw key, as other implementations write it.
const (
	raw32     = "304e300d060b2a864886f70d0109100311033d00"
	raw24     = "3046300d060b2a864886f70d0109100311033500"
	wrapped32 = "3050300d060b2a864886f70d0109100311033f00043c"
	wrapped24 = "3048300d060b2a864886f70d01091003110337000434"
)

func spki(t testing.TB, prefix string, raw []byte) []byte {
	t.Helper()
	head, err := hex.DecodeString(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return append(head, raw...)
}

func inPEM(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}) }

func TestParsePublicKeyForms(t *testing.T) {
	key32, key24 := rawKey(t, set32, 2), rawKey(t, set24, 8)
	tests := map[string]struct{ file, raw []byte }{
		"raw 60 bytes":         {key32, key32},
		"raw 52 bytes":         {key24, key24},
		"DER RFC 9708, n 32":   {spki(t, raw32, key32), key32},
		"DER RFC 9708, n 24":   {spki(t, raw24, key24), key24},
		"DER RFC 8708, n 32":   {spki(t, wrapped32, key32), key32},
		"DER RFC 8708, n 24":   {spki(t, wrapped24, key24), key24},
		"PEM RFC 9708":         {inPEM(spki(t, raw32, key32)), key32},
		"PEM RFC 8708":         {inPEM(spki(t, wrapped24, key24)), key24},
		"PEM, text before it":  {append([]byte("our key\n"), inPEM(spki(t, raw32, key32))...), key32},
		"PEM, blank lines end": {append(inPEM(spki(t, raw32, key32)), "\n\n"...), key32},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			key, err := parsePublicKey(test.file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(key.Bytes(), test.raw) {
				t.Errorf("got key %x, want %x", key.Bytes(), test.raw)
			}
		})
	}
}

func TestParsePublicKeyRefuses(t *testing.T) {
	key := rawKey(t, set32, 2)
	good := spki(t, raw32, key)
	otherOID := bytes.Replace(good, []byte{0x10, 3, 17}, []byte{0x10, 3, 18}, 1)
	unused := bytes.Clone(good)
	unused[19] = 3 // unused bits of the BIT STRING
	tests := map[string][]byte{
		"empty":                nil,
		"short":                key[:59],
		"long":                 append(bytes.Clone(key), 0),
		"no level":             append([]byte{0, 0, 0, 0}, key[4:]...),
		"nine levels":          append([]byte{0, 0, 0, 9}, key[4:]...),
		"LMS key, not HSS":     key[4:],
		"DER, bytes after":     append(bytes.Clone(good), 0),
		"DER, cut":             good[:len(good)-1],
		"DER, other algorithm": otherOID,
		"DER, odd bits":        unused,
		"DER, NULL parameters": spki(t, "3050300f060b2a864886f70d01091003110500033d00", key),
		"PEM, other type":      pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: good}),
		"PEM, two blocks":      append(inPEM(good), inPEM(good)...),
		"PEM, raw inside":      inPEM(key),
		"a text":               []byte("this is no key"),
	}
	for name, file := range tests {
		t.Run(name, func(t *testing.T) {
			if key, err := parsePublicKey(file); err == nil {
				t.Errorf("accepted as %x", key.Bytes())
			}
		})
	}
}

func TestFormatsAreReadBack(t *testing.T) {
	for _, set := range lms.ParameterSets() {
		key, err := lms.ParseHSSPublicKey(rawKey(t, set, 1))
		if err != nil {
			t.Fatal(err)
		}
		for format, encode := range publicKeyForms {
			data, err := encode(key)
			if err != nil {
				t.Fatalf("%v as %s: %v", set, format, err)
			}
			back, err := parsePublicKey(data)
			if err != nil || !bytes.Equal(back.Bytes(), key.Bytes()) {
				t.Errorf("%v as %s: read back %x, %v", set, format, back.Bytes(), err)
			}
		}
	}
}

func TestSPKIIsThatOfRFC9708(t *testing.T) {
	for prefix, raw := range map[string][]byte{raw32: rawKey(t, set32, 3), raw24: rawKey(t, set24, 1)} {
		key, err := lms.ParseHSSPublicKey(raw)
		if err != nil {
			t.Fatal(err)
		}
		der, err := formatSPKI(key)
		if err != nil || !bytes.Equal(der, spki(t, prefix, raw)) {
			t.Errorf("got %x, %v", der, err)
		}
	}
}

// FuzzParsePublicKey: what is accepted has one DER form and one raw form.
func FuzzParsePublicKey(f *testing.F) {
	key := rawKey(f, set32, 2)
	for _, seed := range [][]byte{key, rawKey(f, set24, 1), spki(f, raw32, key), spki(f, wrapped32, key), inPEM(spki(f, raw32, key))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		key, err := parsePublicKey(file)
		if err != nil {
			return
		}
		raw := key.Bytes()
		der, err := formatSPKI(key)
		if err != nil {
			t.Fatal(err)
		}
		isRaw, isDER := bytes.Equal(file, raw), bytes.Equal(file, der)
		isWrapped := bytes.Equal(file, spki(t, map[int]string{60: wrapped32, 52: wrapped24}[len(raw)], raw))
		if !isRaw && !isDER && !isWrapped && !strings.Contains(string(file), "-----BEGIN PUBLIC KEY-----") {
			t.Errorf("accepted %x as key %x", file, raw)
		}
	})
}

func TestOIDIsHSS(t *testing.T) {
	der, err := asn1.Marshal(hssOID)
	if want := "060b2a864886f70d0109100311"; err != nil || hex.EncodeToString(der) != want {
		t.Errorf("OID is %x, %v; want %s", der, err, want)
	}
}

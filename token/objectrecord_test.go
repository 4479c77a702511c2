package token

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"os"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

var rewrite = flag.Bool("rewrite", false, "write the example of docs/spec/object.md anew")

const exampleFile = "../docs/spec/object.example"

// plainKey are attributes of an AES key that nobody has to log in for.
func plainKey() Attributes {
	return Attributes{
		ck.CKA_CLASS: Ulong(ck.CKO_SECRET_KEY), ck.CKA_KEY_TYPE: Ulong(ck.CKK_AES), ck.CKA_TOKEN: yes, ck.CKA_PRIVATE: no,
		ck.CKA_LABEL: []byte("wrapping key 7"), ck.CKA_ID: {7}, ck.CKA_ALLOWED_MECHANISMS: Ulongs(ck.CKM_AES_ECB, ck.CKM_AES_CBC),
		ck.CKA_VALUE: []byte("sixteen bytes, a"), ck.CKA_VALUE_LEN: Ulong(uint64(16)), ck.CKA_SENSITIVE: no, ck.CKA_EXTRACTABLE: yes,
	}
}

func plainSecretless() Attributes {
	a := plainKey()
	delete(a, ck.CKA_VALUE)
	return a
}

// exampleMaster is 00 01 .. 1f.
func exampleMaster() keystore.MasterKey {
	master := make(keystore.MasterKey, 32)
	for i := range master {
		master[i] = byte(i)
	}
	return master
}

const (
	exampleSerial = "0123456789abcdef"
	exampleID     = ObjectID("token/example")
)

// exampleRecord is of a key whose value is sealed, under exampleMaster and with a nonce of zeros: the example is always
// the same.
func exampleRecord() []byte {
	a := plainSecretless()
	a[ck.CKA_PRIVATE], a[ck.CKA_SENSITIVE], a[ck.CKA_EXTRACTABLE] = yes, yes, no
	block, err := aes.NewCipher(exampleMaster())
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(a.append(nil)) // said once more, not asked of the code: docs/spec/object.md
	context := append([]byte("onceleaf object/2 "+exampleSerial+" "+string(exampleID)+" "), sum[:]...)
	nonce := make([]byte, 12)
	plain := Attributes{ck.CKA_VALUE: plainKey()[ck.CKA_VALUE]}.append(nil)
	return objectRecord{a, aead.Seal(nonce, nonce, plain, context)}.encode()
}

// What was written once stays readable, and does not depend on the machine.
func TestObjectExample(t *testing.T) {
	if *rewrite {
		if err := os.WriteFile(exampleFile, exampleRecord(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(exampleFile)
	if err != nil || !bytes.Equal(stored, exampleRecord()) {
		t.Fatalf("%v, %x, want %x", err, stored, exampleRecord())
	}
	o, err := parseObject(exampleID, stored)
	if err != nil || !bytes.Equal(o.record(), stored) {
		t.Fatalf("%v, %v", o, err)
	}
	seat := &Seat{token: &Token{serial: exampleSerial, log: discard}, master: exampleMaster()}
	if values, err := seat.secrets(o); err != nil || string(values[ck.CKA_VALUE]) != "sixteen bytes, a" {
		t.Errorf("the secret: %q, %v", values, err)
	}
	if label, err := o.value(ck.CKA_LABEL); err != nil || string(label) != "wrapping key 7" {
		t.Errorf("%q, %v", label, err)
	}
}

// The records of the first version, which were JSON, are read, and written anew in the present form.
func TestObjectOfTheFirstVersion(t *testing.T) {
	keyType := base64.StdEncoding.EncodeToString(Ulong(ck.CKK_ONCELEAF_TRANSFER))
	text := `{"version":1,"attributes":{"CKA_CLASS":"AAAAAAAAAAM=","CKA_KEY_TYPE":"` + keyType + `","CKA_LABEL":"bGFiZWw=","CKA_PRIVATE":"AQ==","CKA_TOKEN":"AQ=="},"sealed":"AAAA"}`
	o, err := parseObject("token/x", []byte(text))
	if err != nil || string(o.stored[ck.CKA_LABEL]) != "label" || len(o.sealed) != 3 {
		t.Fatalf("%+v, %v", o, err)
	}
	again, err := parseObject("token/x", o.record())
	if err != nil || o.record()[0] != binaryRecord || !bytes.Equal(again.record(), o.record()) {
		t.Errorf("%v, %x", err, o.record())
	}
	for _, r := range [][]byte{[]byte(text), o.record()} {
		parsed, err := parseRecord(r)
		if err != nil || !parsed.canonical(r) {
			t.Errorf("%v, %s is not as it was written", err, r)
		}
	}
}

func flipped(record []byte) []byte {
	record[len(record)/2] ^= 1
	return record
}

// Each bit counts, and so does each byte that is missing or too many.
func TestDamagedRecords(t *testing.T) {
	good := exampleRecord()
	for i := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := parseRecord(bad); !errors.Is(err, keystore.ErrDamaged) && !errors.Is(err, keystore.ErrVersion) {
			t.Errorf("bit %d: %v", i, err)
		}
	}
	for n := range good {
		if _, err := parseRecord(good[:n]); !errors.Is(err, keystore.ErrDamaged) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := parseRecord(append(bytes.Clone(good), 0)); !errors.Is(err, keystore.ErrDamaged) {
		t.Errorf("one byte too many: %v", err)
	}
}

// What checkSealing and the names of attributes rule out is damage, for the object and for its card.
func TestRecordsThatAreNeverWritten(t *testing.T) {
	sealed := plainSecretless()
	planted := plainKey()
	planted[ck.CKA_PRIVATE] = yes
	for what, record := range map[string][]byte{
		"sealed, but not private": objectRecord{sealed, []byte{1}}.encode(),
		"private, but not sealed": objectRecord{planted, nil}.encode(),
		"no attribute of ours":    []byte(`{"version":1,"attributes":{"0":"AAAAAAAAAAA=","1":"AQ==","1311768467294899695":"AA=="}}`),
	} {
		if _, err := parseObject("token/x", record); !errors.Is(err, keystore.ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := storedCard("token/x", record); !errors.Is(err, keystore.ErrDamaged) {
			t.Errorf("%s: its card: %v", what, err)
		}
	}
}

func FuzzParseObject(f *testing.F) {
	hss := Attributes{ck.CKA_CLASS: Ulong(ck.CKO_PRIVATE_KEY), ck.CKA_KEY_TYPE: Ulong(ck.CKK_HSS), ck.CKA_ALLOWED_MECHANISMS: {0, 0}}
	for _, seed := range [][]byte{
		[]byte(`{"version":1,"attributes":{"CKA_CLASS":"AAAAAAAAAAI=","CKA_KEY_TYPE":"AAAAAAAAAEY="}}`),
		[]byte(`{"version":1,"attributes":{"CKA_CLASS":"AAAAAAAAAAI=","CKA_KEY_TYPE":"AAAAAAAAAEY=","CKA_VALUE":"AAAA","CKA_TOKEN":""}}`),
		[]byte(`{"version":1,"attributes":{"CKA_CLASS":"AAAAAAAAAAM=","CKA_KEY_TYPE":"AAAAAAAAAEY=","CKA_ALLOWED_MECHANISMS":"AAA="},"sealed":"AAAA"}`),
		[]byte(`{"version":2}`), []byte(`{}`), {}, {binaryRecord},
		exampleRecord(), objectRecord{Attributes: plainKey()}.encode(), objectRecord{Attributes: hss, Sealed: []byte{1}}.encode(),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		fuzzObject(t, record)
		if len(record) > 0 && record[0] == binaryRecord { // once more with the right sum, so that what is behind it is reached
			body := bytes.Clone(record[:max(1, len(record)-crc32.Size)])
			fuzzObject(t, binary.BigEndian.AppendUint32(body, crc32.Checksum(body, castagnoli)))
		}
	})
}

func fuzzObject(t *testing.T, record []byte) {
	o, err := parseObject("token/x", record)
	c, cardErr := storedCard("token/x", record)
	if (cardErr == nil) != (err == nil) {
		t.Fatalf("the object: %v, its card: %v", err, cardErr)
	}
	if err != nil {
		return
	}
	if c.get() == nil || c.size != o.size() {
		t.Fatalf("the card says %d bytes, the object %d", c.size, o.size())
	}
	for attribute := range o.schema {
		_, _ = o.value(attribute) // whatever was stored, reading does not panic
	}
	o.allows(ck.CKM_HSS)
	o.matches([]Attribute{{ck.CKA_LABEL, nil}})
	again, err := parseObject("token/x", o.record())
	if err != nil || !bytes.Equal(again.record(), o.record()) {
		t.Errorf("%v", err)
	}
}

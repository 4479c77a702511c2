package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

const page = "../../docs/spec/wire.md"

// An example is a heading and a block of octets, with comments after //.
var (
	example = regexp.MustCompile("(?ms)^### (.*?)\n+```\n(.*?)^```")
	comment = regexp.MustCompile(`//.*`)
)

// frames are the examples of the specification, made by this package.
var frames = map[string]func() []byte{
	"A hello of a new application, but for the hash": func() []byte { return withoutHash(Hello{Kind: KindApplication}.Encode()) },
	"A welcome, but for the hash and the last 176 octets": func() []byte {
		w := Welcome{Status: StatusTooMany, Text: "too many clients"}
		return withoutHash(w.Encode())[:welcomeSize-176]
	},
	"A window of 16,384 bytes after C_Finalize was asked for on processor 3, but for its last 16,300 bytes": func() []byte {
		w := Window(make([]byte, WindowSize))
		w.Put(NewRequest(nil, Finalize).Request())
		binary.LittleEndian.PutUint32(w[cpuAt:], 3)
		atomic.StoreUint32(w.Turn(), TurnDaemon)
		return w[:WindowSize-16_300]
	},
	"C_Sign in session 5 of `abc` into 2048 bytes": func() []byte {
		w := NewRequest(nil, 44)
		w.U64(5)
		w.Octets([]byte("abc"))
		w.Output(Output{Room: 2048})
		return w.Request()
	},
	"The same with a length query, and no data at NULL": func() []byte {
		w := NewRequest(nil, 44)
		w.U64(5)
		w.Octets(nil)
		w.Output(Output{Query: true})
		return w.Request()
	},
	"Its answer: 1292 bytes are needed": func() []byte {
		w := NewAnswer(nil, 44)
		w.U64(1292)
		w.Octets(nil)
		return w.Answer(ck.CKR_OK)
	},
	"An answer to a room that is too small": func() []byte {
		w := NewAnswer(nil, 44)
		w.U64(1292)
		return w.Answer(ck.CKR_BUFFER_TOO_SMALL)
	},
	"C_GetAttributeValue in session 5 of object 7: the label, the length of the identifier, a template of one entry": func() []byte {
		w := NewRequest(nil, 25)
		w.U64(5)
		w.U64(7)
		w.Queries([]Query{{Type: ck.CKA_LABEL, Room: 16}, {Type: ck.CKA_ID, Query: true},
			{Type: ck.CKA_WRAP_TEMPLATE, Form: FormTemplate, Nested: []Query{{Type: ck.CKA_TOKEN, Room: 1}}}})
		return w.Request()
	},
	"Its answer: one of them cannot be given": func() []byte {
		w := NewAnswer(nil, 25)
		w.Results([]Result{{Type: ck.CKA_LABEL, Length: 3, Value: []byte("key")}, {Type: ck.CKA_ID, Length: ck.UNAVAILABLE},
			{Type: ck.CKA_WRAP_TEMPLATE, Length: 24, Form: FormTemplate, Nested: []Result{{Type: ck.CKA_TOKEN, Length: 1, Value: []byte{1}}}}})
		return w.Answer(ck.CKR_ATTRIBUTE_TYPE_INVALID)
	},
	"C_EncryptInit in session 5 with CKM_AES_GCM and key 9": func() []byte {
		w := NewRequest(nil, 30)
		w.U64(5)
		w.Mechanism(Mechanism{Form: MechanismStruct, Type: ck.CKM_AES_GCM, Struct: Struct{ID: 4, Values: []StructValue{
			{Octets: []byte("initialisatn")}, {Number: 96}, {}, {Number: 128}}}})
		w.U64(9)
		return w.Request()
	},
}

func withoutHash(handshake []byte) []byte {
	hash := Hash()
	return bytes.Replace(handshake, hash[:], nil, 1)
}

// TestExampleFrames: the examples of docs/spec/wire.md are what this package writes, and there is none that it does not
// know. To show a new one it prints what it would be.
func TestExampleFrames(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, match := range example.FindAllStringSubmatch(string(text), -1) {
		name, make := match[1], frames[match[1]]
		octets, err := hex.DecodeString(strings.Join(strings.Fields(comment.ReplaceAllString(match[2], "")), ""))
		if err != nil || make == nil {
			t.Errorf("%s: %v, known: %t", name, err, make != nil)
			continue
		}
		seen[name] = true
		if !bytes.Equal(octets, make()) {
			t.Errorf("%s: the page has\n%s, this package writes\n%s", name, spaced(octets), spaced(make()))
		}
	}
	for name, make := range frames {
		if !seen[name] {
			t.Errorf("the page lacks %q:\n%s", name, spaced(make()))
		}
	}
}

func spaced(octets []byte) string { return fmt.Sprintf("% x", octets) }

package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Kinds of connections, in a hello.
const (
	KindApplication uint32 = 0 // a new application: its control connection
	KindJoin        uint32 = 1 // one more connection of the application that has the cookie
	KindOperator    uint32 = 2 // status and stop
	KindJoinWindow  uint32 = 3 // as KindJoin, and the descriptor of a window may come with the welcome
)

// What a welcome says.
const (
	StatusOK            uint32 = 0
	StatusMismatch      uint32 = 1 // other version or other tables
	StatusNotAdmitted   uint32 = 2
	StatusTooMany       uint32 = 3
	StatusNoApplication uint32 = 4
	StatusStopping      uint32 = 5
	StatusCannot        uint32 = 6
)

// How hello and welcome look, in bytes.
const (
	magic       = "ONCELEAF"
	hashAt      = 16 // after magic, version, kind or status
	helloSize   = 64
	welcomeSize = 256
	welcomeText = 192
)

// errNotOurs is what comes from a program that speaks something else.
var errNotOurs = errors.New("the peer does not speak Onceleaf's protocol")

// Hello opens a connection.
type Hello struct {
	Kind   uint32
	Cookie [16]byte // of KindJoin
}

// Welcome answers a Hello. Text is for people; it is cut at 192 bytes.
type Welcome struct {
	Status uint32
	Cookie [16]byte // of a new application
	Text   string
}

// Encode returns the 64 bytes of a hello of this version and these tables.
func (h Hello) Encode() []byte { return header(h.Kind, h.Cookie, helloSize) }

// Encode returns the 256 bytes of a welcome of this version and these tables.
func (w Welcome) Encode() []byte {
	out := header(w.Status, w.Cookie, welcomeSize)
	copy(out[welcomeSize-welcomeText:], cut(w.Text, welcomeText))
	return out
}

// header is what both begin with: magic, version, number, hash, cookie.
func header(number uint32, cookie [16]byte, size int) []byte {
	out := make([]byte, 0, size)
	out = append(out, magic...)
	out = binary.LittleEndian.AppendUint32(out, Version)
	out = binary.LittleEndian.AppendUint32(out, number)
	hash := Hash()
	out = append(out, hash[:]...)
	out = append(out, cookie[:]...)
	return out[:size]
}

// ReadHello reads a hello of any version.
func ReadHello(r io.Reader) (h Hello, version uint32, hash [32]byte, err error) {
	data, err := readHandshake(r, helloSize)
	if err != nil {
		return h, 0, hash, fmt.Errorf("couldn't read a hello: %w", err)
	}
	version, h.Kind, hash, h.Cookie = parseHeader(data)
	return h, version, hash, nil
}

// ReadWelcome reads a welcome of any version.
func ReadWelcome(r io.Reader) (w Welcome, version uint32, hash [32]byte, err error) {
	data, err := readHandshake(r, welcomeSize)
	if err != nil {
		return w, 0, hash, fmt.Errorf("couldn't read a welcome: %w", err)
	}
	version, w.Status, hash, w.Cookie = parseHeader(data)
	text := bytes.TrimRight(data[welcomeSize-welcomeText:], "\x00")
	w.Text = strings.ToValidUTF8(string(text), "?")
	return w, version, hash, nil
}

func readHandshake(r io.Reader, size int) ([]byte, error) {
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	if string(data[:len(magic)]) != magic {
		return nil, errNotOurs
	}
	return data, nil
}

func parseHeader(data []byte) (version, number uint32, hash [32]byte, cookie [16]byte) {
	version = binary.LittleEndian.Uint32(data[len(magic):])
	number = binary.LittleEndian.Uint32(data[len(magic)+4:])
	copy(hash[:], data[hashAt:])
	copy(cookie[:], data[hashAt+len(hash):])
	return version, number, hash, cookie
}

// Matches reports whether a peer of this version and these tables can be talked to.
func Matches(version uint32, hash [32]byte) bool { return version == Version && hash == Hash() }

// cut shortens text to size bytes, at a character.
func cut(text string, size int) string {
	for len(text) > size {
		_, last := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-last]
	}
	return text
}

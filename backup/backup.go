// Package backup divides HSS keys between tokens.
//
// A partition gives some root leaves of a key to another token: from then on
// each of the two signs alone, under one public key, and their leaves never
// meet. Three text files travel: the request (docs/spec/request.md) from the
// destination, the capsule (docs/spec/capsule.md) from the source, and the
// receipt (docs/spec/receipt.md) back.
//
// Invariant: a capsule leaves this package only after the record of the source
// lacks its leaves, durably (keystore.Give); and a token takes a leaf in only if
// it never held it (keystore.Receive). So whatever is replayed, altered or lost,
// a leaf has one owner or none.
//
// What is not promised: the root tree's SEED is in the capsule, so both tokens
// could compute every leaf; honesty of both is assumed, as in Cryptech. SP
// 800-208 does not allow this form of export.
package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The errors of this package; others come from keystore.
var (
	ErrFormat    = errors.New("not a well-formed file of this kind")
	ErrNotForUs  = errors.New("made for another token or another request")
	ErrAuthentic = errors.New("altered, damaged, or sealed to another key")
)

// Scheme says how a capsule is sealed to the destination.
type Scheme string

const (
	// SchemeHPKE is HPKE (RFC 9180) with ML-KEM-768+X25519, HKDF-SHA256 and
	// AES-256-GCM: safe if one of the two key agreements is.
	SchemeHPKE Scheme = "hpke-mlkem768-x25519-aes256gcm"
	// SchemeRSA is what Cryptech has: an AES-256 key under RSA-OAEP (3072 bits,
	// SHA-256) that wraps the secret with AES key wrap (RFC 3394). A quantum
	// computer breaks it.
	SchemeRSA Scheme = "rsa3072-oaep-sha256-aeskw"
)

// Party is a token that takes part in a transfer.
type Party struct {
	Serial string `json:"serial"`
	Label  string `json:"label"`
}

// Bounds of what a file says of a token; both end up in the key's record.
const (
	maxSerial = 32 // printable ASCII
	maxLabel  = 32 // bytes of UTF-8, as CK_TOKEN_INFO has it
)

// Check reports a serial number or a label that no file of a transfer may name:
// ErrFormat.
func (p Party) Check() error {
	printable := func(r rune) bool { return r > ' ' && r <= '~' }
	if p.Serial == "" || len(p.Serial) > maxSerial || strings.ContainsFunc(p.Serial, func(r rune) bool { return !printable(r) }) {
		return fmt.Errorf("%w: serial number %q", ErrFormat, p.Serial)
	}
	if len(p.Label) > maxLabel || !utf8.ValidString(p.Label) || strings.ContainsFunc(p.Label, unicode.IsControl) {
		return fmt.Errorf("%w: label %q", ErrFormat, p.Label)
	}
	return nil
}

// maxFile bounds what is parsed and written, in bytes. A capsule takes about 4
// KiB and some 50 bytes per span of leaves.
const maxFile = 64 << 10

// format writes a file of this package: JSON, two blanks of indent, one newline
// at the end.
func format(v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("couldn't write the file: %w", err)
	}
	return append(text, '\n'), nil
}

// parse reads a file strictly: no unknown field, no other spelling than the one
// that format gives.
func parse(text []byte, v any) error {
	if len(text) > maxFile {
		return fmt.Errorf("%w: %d bytes", ErrFormat, len(text))
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	again, err := format(v)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if !bytes.Equal(again, text) {
		return fmt.Errorf("%w: it was edited, or is cut off", ErrFormat)
	}
	return nil
}

// fingerprint is 80 bits of the SHA-256 of a file, for two people to compare:
// "a1b2-c3d4-e5f6-0718-293a".
func fingerprint(text []byte) string {
	sum := sha256.Sum256(text)
	digits := hex.EncodeToString(sum[:10])
	groups := make([]string, 0, 5)
	for i := 0; i < len(digits); i += 4 {
		groups = append(groups, digits[i:i+4])
	}
	return strings.Join(groups, "-")
}

// digest names a file in another one: its SHA-256, 64 hex digits.
func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// isTransferID reports whether id is 16 bytes in hex, as NewTransferKey makes it.
func isTransferID(id string) bool {
	raw, err := hex.DecodeString(id)
	return err == nil && len(raw) == 16 && hex.EncodeToString(raw) == id
}

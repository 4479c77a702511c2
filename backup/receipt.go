package backup

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
)

const receiptFormat = "onceleaf-receipt/1"

// Receipt is the destination's word that a capsule was imported:
// docs/spec/receipt.md.
type Receipt struct{ fields receiptFields }

type receiptFields struct {
	Format      string `json:"format"`
	Transfer    string `json:"transfer"`
	Capsule     string `json:"capsule"` // SHA-256 of the capsule file
	Source      Party  `json:"source"`
	Destination Party  `json:"destination"`
	Proof       []byte `json:"proof"` // HMAC that only who opened the capsule can make
}

// ParseReceipt reads a receipt file. ErrFormat.
func ParseReceipt(text []byte) (*Receipt, error) {
	r := &Receipt{}
	if err := parse(text, &r.fields); err != nil {
		return nil, fmt.Errorf("couldn't read the receipt: %w", err)
	}
	if r.fields.Format != receiptFormat || !isTransferID(r.fields.Transfer) {
		return nil, fmt.Errorf("couldn't read the receipt: %w: format %q", ErrFormat, r.fields.Format)
	}
	return r, nil
}

// ID names the transfer: 32 hex digits.
func (r *Receipt) ID() string { return r.fields.Transfer }

// Source is the token that gave.
func (r *Receipt) Source() Party { return r.fields.Source }

// Destination is the token that received.
func (r *Receipt) Destination() Party { return r.fields.Destination }

// newReceipt is the receipt file for a capsule. The source writes it too, when it
// seals, and keeps its hash: no other receipt is accepted, to the last byte.
func newReceipt(h capsuleHeader, capsule, receiptKey []byte) ([]byte, error) {
	return format(receiptFields{
		Format: receiptFormat, Transfer: h.Transfer, Capsule: digest(capsule),
		Source: h.Source, Destination: h.Destination, Proof: proof(receiptKey, capsule),
	})
}

// proof shows knowledge of the receipt key, which travels inside the capsule.
func proof(receiptKey, capsule []byte) []byte {
	mac := hmac.New(sha256.New, receiptKey)
	fmt.Fprintf(mac, "onceleaf receipt/1 %s", digest(capsule))
	return mac.Sum(nil)
}

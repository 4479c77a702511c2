package backup

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

const requestFormat = "onceleaf-request/1"

// Request is what a destination asks with: docs/spec/request.md.
type Request struct {
	text   []byte
	fields requestFields
}

type requestFields struct {
	Format      string `json:"format"`
	Transfer    string `json:"transfer"` // 16 random bytes in hex, also the nonce
	Scheme      Scheme `json:"scheme"`
	Destination Party  `json:"destination"`
	PublicKey   []byte `json:"publicKey"` // to seal to
}

// ParseRequest reads a request file. ErrFormat.
func ParseRequest(text []byte) (*Request, error) {
	r := &Request{text: text}
	if err := parse(text, &r.fields); err != nil {
		return nil, fmt.Errorf("couldn't read the request: %w", err)
	}
	if r.fields.Format != requestFormat || !isTransferID(r.fields.Transfer) {
		return nil, fmt.Errorf("couldn't read the request: %w: format %q", ErrFormat, r.fields.Format)
	}
	if err := r.fields.Destination.Check(); err != nil {
		return nil, fmt.Errorf("couldn't read the request: %w", err)
	}
	if _, err := r.fields.Scheme.sealer(r.fields.PublicKey); err != nil {
		return nil, fmt.Errorf("couldn't read the request: %w", err)
	}
	return r, nil
}

// Bytes is the request file.
func (r *Request) Bytes() []byte { return r.text }

// ID names the transfer: 32 hex digits.
func (r *Request) ID() string { return r.fields.Transfer }

// Destination is the token that asks.
func (r *Request) Destination() Party { return r.fields.Destination }

// Scheme is how the capsule will be sealed.
func (r *Request) Scheme() Scheme { return r.fields.Scheme }

// Fingerprint is short enough for two people to compare, each on their side,
// and long enough (80 bits) that nobody makes another request that has it.
func (r *Request) Fingerprint() string { return fingerprint(r.text) }

// TransferKey is the secret half of a request. It opens one capsule, once; the
// token destroys it with the import.
type TransferKey struct {
	request *Request
	private []byte // as the scheme writes it
}

// NewTransferKey makes a key pair for one transfer to the token self.
func NewTransferKey(scheme Scheme, self Party) (*TransferKey, error) {
	public, private, err := scheme.generate()
	if err != nil {
		return nil, fmt.Errorf("couldn't make a transfer key: %w", err)
	}
	id := make([]byte, 16)
	rand.Read(id)
	text, err := format(requestFields{requestFormat, hex.EncodeToString(id), scheme, self, public})
	if err != nil {
		return nil, err
	}
	request, err := ParseRequest(text)
	if err != nil {
		return nil, err
	}
	return &TransferKey{request, private}, nil
}

// Request is the public half.
func (k *TransferKey) Request() *Request { return k.request }

// secretFields is the form in which a token keeps a transfer key, sealed.
type secretFields struct {
	Request []byte `json:"request"`
	Private []byte `json:"private"`
}

// Secret is the whole key as bytes, for the token to seal.
func (k *TransferKey) Secret() []byte {
	secret, _ := json.Marshal(secretFields{k.request.text, k.private}) // two byte strings always encode
	return secret
}

// ParseTransferKey is the reverse of Secret. ErrFormat.
func ParseTransferKey(secret []byte) (*TransferKey, error) {
	var fields secretFields
	if err := json.Unmarshal(secret, &fields); err != nil {
		return nil, fmt.Errorf("%w: not a transfer key", ErrFormat)
	}
	request, err := ParseRequest(fields.Request)
	if err != nil {
		return nil, err
	}
	return &TransferKey{request, fields.Private}, nil
}

package mechanism

import (
	"crypto/hmac"
	"fmt"
	"hash"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// hmacOffers are the HMAC mechanisms of a hash function: one that gives the whole MAC, and one (_GENERAL) whose
// parameter is the number of bytes to give.
func hmacOffers(h hashing) []offer {
	row := Row{Type: h.hmac, MinKeySize: 1, MaxKeySize: maxSecret, Keys: []ck.KeyType{ck.CKK_GENERIC_SECRET}}
	if h.key != ck.CKK_GENERIC_SECRET {
		row.Keys = append(row.Keys, h.key)
	}
	general := row
	general.Type = h.general
	start := func(k *Key) (hash.Hash, error) { return hmac.New(h.hash, k.secret), nil }
	return []offer{macOffer(row, start, wholeMAC), macOffer(general, start, generalMAC)}
}

// macOffer is an offer of a MAC: start begins it with a key, and length is how many bytes of it a mechanism wants.
func macOffer(row Row, start func(*Key) (hash.Hash, error), length func(ck.Mechanism, int) (int, error)) offer {
	begin := func(m ck.Mechanism, k *Key) (*mac, error) {
		h, err := start(k)
		if err != nil {
			return nil, err
		}
		size, err := length(m, h.Size())
		return &mac{h, size}, err
	}
	return offer{
		Row:  row,
		sign: func(m ck.Mechanism, k *Key) (Signer, error) { return orNil[Signer](begin(m, k)) },
		verify: func(m ck.Mechanism, k *Key) (Verifier, error) {
			mac, err := begin(m, k)
			return orNil[Verifier](macCheck{mac}, err)
		},
	}
}

// orNil is made without an error, else nil.
func orNil[T any](made T, err error) (none T, _ error) {
	if err != nil {
		return none, err
	}
	return made, nil
}

// wholeMAC is the length of a MAC whose mechanism has no parameter.
func wholeMAC(m ck.Mechanism, size int) (int, error) { return size, parameterless(m) }

// generalMAC is the length that a mechanism's CK_MAC_GENERAL_PARAMS wants, 1 to size bytes.
func generalMAC(m ck.Mechanism, size int) (int, error) {
	n, given, err := m.UlongParameter()
	if err != nil {
		return 0, err
	}
	if !given || n < 1 || n > uint64(size) {
		return 0, fmt.Errorf("%w: %s takes a length of 1 to %d bytes", ck.CKR_MECHANISM_PARAM_INVALID, m.Type, size)
	}
	return int(n), nil
}

// mac makes a MAC: a Signer.
type mac struct {
	hash hash.Hash
	size int // bytes of it that are given
}

func (m *mac) Size() int { return m.size }

func (m *mac) Update(part []byte) error {
	m.hash.Write(part)
	return nil
}

func (m *mac) Final() ([]byte, error) { return m.hash.Sum(nil)[:m.size], nil }

func (m *mac) Once(data []byte) ([]byte, error) {
	m.hash.Write(data)
	return m.Final()
}

// macCheck compares a MAC: a Verifier.
type macCheck struct{ mac *mac }

func (c macCheck) Size() int { return c.mac.size }

func (c macCheck) Update(part []byte) error { return c.mac.Update(part) }

func (c macCheck) Once(data, signature []byte) error {
	c.mac.hash.Write(data)
	return c.Final(signature)
}

func (c macCheck) Final(signature []byte) error {
	if len(signature) != c.mac.size {
		return fmt.Errorf("%w: %d bytes of MAC, not %d", ck.CKR_SIGNATURE_LEN_RANGE, len(signature), c.mac.size)
	}
	right, err := c.mac.Final()
	if err != nil {
		return err
	}
	if !hmac.Equal(right, signature) {
		return fmt.Errorf("%w: the MAC does not fit", ck.CKR_SIGNATURE_INVALID)
	}
	return nil
}

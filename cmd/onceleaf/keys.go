package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/lms"
)

// hssKey is an HSS key as the token shows it. private is absent (zero) in a key that was read without login.
type hssKey struct {
	private pkcs11.ObjectHandle
	label   string
	id      []byte
	// identity is the hexadecimal form of I and T[1] of the root tree, padded to 48 bytes; empty, as is public, if the
	// token no longer has the public key.
	identity     string
	public       lms.HSSPublicKey
	transferable bool
	state        ledger
}

// ledger is CKA_ONCELEAF_STATE: what the token's record of the key says at this moment.
type ledger struct {
	Status        string           `json:"status"`
	Exhausted     bool             `json:"exhausted"` // active, and nothing left to sign with
	Generation    uint64           `json:"generation"`
	Levels        []string         `json:"levels"`
	Remaining     uint64           `json:"remaining"`     // signatures
	Capacity      uint64           `json:"capacity"`      // signatures it began with here, without those it gave away
	Low           bool             `json:"low"`           // remaining is below the threshold
	WarnBelow     uint64           `json:"warnBelow"`     // the threshold, percent of capacity; 0: never low
	Reserve       uint64           `json:"reserve"`       // message leaves per durable write; 0: lower trees in memory
	RootRemaining uint64           `json:"rootRemaining"` // free root leaves
	Guard         string           `json:"guard"`
	Free          []spanReport     `json:"free"`
	Given         []transferReport `json:"given"`
	Received      []transferReport `json:"received"`
	raw           json.RawMessage
}

// spanReport is the root leaves From <= q < To.
type spanReport struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// transferReport is leaves that went to another token or came from it.
type transferReport struct {
	ID           string       `json:"id"`
	Peer         string       `json:"peer"` // serial number
	Leaves       []spanReport `json:"leaves"`
	Acknowledged bool         `json:"acknowledged"`
}

// identityOf is the identity of a public key, as tokens form it: I, then the root hash padded with zeroes to 32 bytes.
func identityOf(pub lms.HSSPublicKey) string {
	var b [48]byte
	copy(b[:16], pub.Root.I[:])
	copy(b[16:], pub.Root.Root)
	return hex.EncodeToString(b[:])
}

// keys lists the HSS private keys of the token, with the public keys that belong to them. The user must be logged in.
func (s *session) keys() ([]hssKey, error) {
	publics, err := s.publicKeys()
	if err != nil {
		return nil, err
	}
	handles, err := s.find(number(ck.CKA_CLASS, ck.CKO_PRIVATE_KEY), number(ck.CKA_KEY_TYPE, ck.CKK_HSS))
	if err != nil {
		return nil, err
	}
	keys := make([]hssKey, len(handles))
	for i, h := range handles {
		if keys[i], err = s.privateKey(h, publics); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// publicKeys lists the HSS public keys that can be seen, whether or not somebody is logged in.
func (s *session) publicKeys() ([]hssKey, error) {
	handles, err := s.find(number(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY), number(ck.CKA_KEY_TYPE, ck.CKK_HSS))
	if err != nil {
		return nil, err
	}
	keys := make([]hssKey, len(handles))
	for i, h := range handles {
		if keys[i], err = s.publicKey(h); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func (s *session) publicKey(h pkcs11.ObjectHandle) (k hssKey, err error) {
	if err = s.readName(h, &k); err != nil {
		return k, err
	}
	value, err := s.value(h, ck.CKA_VALUE)
	if err != nil {
		return k, err
	}
	return k, k.setPublic(value)
}

func (k *hssKey) setPublic(value []byte) (err error) {
	if k.public, err = lms.ParseHSSPublicKey(value); err != nil {
		return fmt.Errorf("couldn't read the public key %s: %w", shown(k.label), err)
	}
	k.identity = identityOf(k.public)
	return nil
}

func (s *session) readName(h pkcs11.ObjectHandle, k *hssKey) error {
	label, err := s.value(h, ck.CKA_LABEL)
	if err != nil {
		return err
	}
	k.label = string(label)
	k.id, err = s.value(h, ck.CKA_ID)
	return err
}

func (s *session) privateKey(h pkcs11.ObjectHandle, publics []hssKey) (hssKey, error) {
	k := hssKey{private: h}
	if err := s.readName(h, &k); err != nil {
		return k, err
	}
	transferable, err := s.value(h, ck.CKA_ONCELEAF_TRANSFERABLE)
	if err != nil {
		return k, err
	}
	k.transferable = bytes.Equal(transferable, []byte{1})
	if k.state, err = s.ledger(h); err != nil {
		return k, err
	}
	return k, s.joinPublic(&k, publics)
}

// ledger reads the state of a private key as it is now.
func (s *session) ledger(h pkcs11.ObjectHandle) (ledger, error) {
	value, err := s.value(h, ck.CKA_ONCELEAF_STATE)
	if err != nil {
		return ledger{}, err
	}
	state := ledger{raw: value}
	if err := json.Unmarshal(value, &state); err != nil {
		return state, fmt.Errorf("couldn't read the key's state: %w", err)
	}
	return state, nil
}

// joinPublic finds the public half of k: in its own CKA_PUBLIC_KEY_INFO, or in the one public key with its id. A key
// whose public half is not found has no identity.
func (s *session) joinPublic(k *hssKey, publics []hssKey) error {
	if info, err := s.value(k.private, ck.CKA_PUBLIC_KEY_INFO); err == nil && len(info) > 0 {
		k.public, err = parsePublicKey(info)
		k.identity = identityOf(k.public)
		return err
	}
	same := keysWhere(publics, func(p hssKey) bool { return len(k.id) > 0 && bytes.Equal(p.id, k.id) })
	if len(same) == 1 {
		k.public, k.identity = same[0].public, same[0].identity
	}
	return nil
}

// key finds the one private key that name means.
func (s *session) key(name string) (hssKey, error) {
	keys, err := s.keys()
	if err != nil {
		return hssKey{}, err
	}
	return chooseKey(keys, name)
}

// sets are the parameter sets of the key's levels, top first.
func (l ledger) sets() ([]lms.ParameterSet, error) {
	return parseLevels(l.Levels)
}

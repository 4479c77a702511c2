package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onceleaf/onceleaf/backup"
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

// keepValue is safe to do with a value of the shelf that cannot be used.
const keepValue = "leave the store as it is for the investigation; no leaf depends on this value"

// inspectShelf looks at the token's own values and returns the token's label.
func (i *inspection) inspectShelf(file string, shelf map[string][]byte) (label string) {
	for _, required := range []string{tokenName, pinName(ck.CKU_SO)} {
		if _, there := shelf[required]; !there {
			i.add(Finding{File: file, Value: required}, keystore.Damage, keepValue, "the value is missing")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(shelf)) {
		at, text := Finding{File: file, Value: name}, shelf[name]
		known, err := checkValueOf(name, text)
		switch {
		case !known:
			i.add(at, keystore.Information, "leave it; perhaps another version of this program wrote it", "this version does not know the value")
		case err != nil:
			i.add(at, keystore.Damage, keepValue, "the value cannot be used: %v", err)
		case name == tokenName:
			label = labelOf(text)
		case isLocked(name, text):
			i.add(at, keystore.Information, "the security officer sets a new user PIN with 'onceleaf pin reset'; a locked SO PIN stays locked",
				"the PIN is locked after %d wrong tries", maxTries)
		}
	}
	return label
}

// checkValueOf holds a value to its form; known is false if the name says nothing to us.
func checkValueOf(name string, text []byte) (known bool, err error) {
	id, isObject := strings.CutPrefix(name, objectPrefix)
	switch {
	case name == tokenName:
		return true, checkTokenRecord(text)
	case name == pinName(ck.CKU_SO) || name == pinName(ck.CKU_USER):
		return true, checkPIN(text)
	case isObject && strings.HasPrefix(id, tokenPrefix):
		return true, checkLoose(ObjectID(id), text)
	}
	return false, nil
}

// asWritten reports a text that differs from what would be written for it: a changed field name, for one, reads as a
// field that is not there.
func asWritten(text, again []byte) error {
	if !bytes.Equal(text, again) {
		return errNotAsWritten
	}
	return nil
}

var errNotAsWritten = fmt.Errorf("%w: it is not as it was written", keystore.ErrDamaged)

func checkTokenRecord(text []byte) error {
	var r tokenRecord
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("%w: %w", keystore.ErrDamaged, err)
	}
	if r.Version != 1 {
		return fmt.Errorf("%w: version %d", keystore.ErrVersion, r.Version)
	}
	again, err := r.encode()
	if err != nil {
		return err
	}
	return errors.Join(asWritten(text, again), backup.Party{Serial: "any", Label: r.Label}.Check())
}

func labelOf(text []byte) string {
	var r tokenRecord
	_ = json.Unmarshal(text, &r) // it was checked
	return r.Label
}

func checkPIN(text []byte) error {
	r, err := parsePIN(text)
	if err != nil {
		return err
	}
	const sealed = 12 + 32 + 16 // nonce, master key, tag
	if len(r.Salt) != 16 || len(r.Sealed) != sealed {
		return fmt.Errorf("%w: a salt of %d bytes, a sealed key of %d", keystore.ErrDamaged, len(r.Salt), len(r.Sealed))
	}
	again, err := r.encode()
	if err != nil {
		return err
	}
	return asWritten(text, again)
}

func isLocked(name string, text []byte) bool {
	r, err := parsePIN(text)
	return strings.HasPrefix(name, "pin/") && err == nil && r.Tries >= maxTries
}

// checkObject holds the stored form of an object to what the token writes.
func checkObject(id ObjectID, text []byte) (*object, error) {
	o, err := parseObject(id, text)
	if err != nil {
		return nil, err
	}
	r, err := parseRecord(text) // again: the object has taken its secrets out of the first one
	if err != nil {
		return nil, err
	}
	for attribute, value := range r.Attributes {
		if err := checkValue(Attribute{attribute, value}); err != nil {
			return nil, fmt.Errorf("%w: %w", keystore.ErrDamaged, err)
		}
	}
	if !r.canonical(text) {
		return nil, errNotAsWritten
	}
	return o, nil
}

// checkLoose is checkObject for an object that is no half of an HSS key pair. A transfer request must still be one, and
// the secret of a transfer key must be there.
func checkLoose(id ObjectID, text []byte) error {
	o, err := checkObject(id, text)
	switch {
	case err != nil:
		return err
	case o.is(ck.CKO_PRIVATE_KEY, ck.CKK_HSS):
		return fmt.Errorf("%w: an HSS private key outside a key record", keystore.ErrDamaged)
	case o.isTransferKey() && len(o.sealed) == 0:
		return fmt.Errorf("%w: a transfer key without its secret", keystore.ErrDamaged)
	case o.hasSecret() && len(o.sealed) == 0 && o.safe.values == nil:
		return fmt.Errorf("%w: a key without its secret", keystore.ErrDamaged)
	case o.is(ck.CKO_PUBLIC_KEY, ck.CKK_ONCELEAF_TRANSFER):
		return checkRequest(o)
	}
	return nil
}

// hasSecret reports whether an object is nothing without its secret values.
func (o *object) hasSecret() bool {
	return o.class() == ck.CKO_PRIVATE_KEY || o.class() == ck.CKO_SECRET_KEY
}

func checkRequest(o *object) error {
	request, err := backup.ParseRequest(o.stored[ck.CKA_VALUE])
	if err == nil && request.Fingerprint() != string(o.stored[ck.CKA_ONCELEAF_FINGERPRINT]) {
		err = fmt.Errorf("%w: the request has another fingerprint", keystore.ErrDamaged)
	}
	return err
}

// inspectObjects looks at the attributes of the two objects in a key record.
func (i *inspection) inspectObjects(at Finding, s keystore.State) {
	const next = "leave the store as it is: the token keeps them, and the key has no rights; no leaf depends on them"
	if s.Status != keystore.Destroyed {
		if err := checkHalf(ObjectID(privatePrefix+at.Key), s.Private, ck.CKO_PRIVATE_KEY); err != nil {
			i.add(at, keystore.Damage, next, "the attributes of the private key object cannot be used: %v", err)
		}
	}
	if s.Public != nil {
		if err := checkHalf(ObjectID(publicPrefix+at.Key), s.Public, ck.CKO_PUBLIC_KEY); err != nil {
			i.add(at, keystore.Damage, next, "the attributes of the public key object cannot be used: %v", err)
		}
	}
}

func checkHalf(id ObjectID, text []byte, class ck.ObjectClass) error {
	o, err := checkObject(id, text)
	if err == nil && !o.is(class, ck.CKK_HSS) {
		err = fmt.Errorf("%w: they are of %s, %s", keystore.ErrDamaged, o.class(), o.keyType())
	}
	return err
}

// inspectSupply tells of a key that is low, or used up. Neither is wrong.
func (i *inspection) inspectSupply(at Finding, s keystore.State) {
	o, err := parseObject("", s.Private)
	if err != nil {
		return
	}
	left := supply{keystore.Supply{Status: s.Status, Remaining: s.Remaining(), Capacity: s.Capacity()}, o.stored.warnBelow()}
	switch {
	case left.exhausted():
		i.add(at, keystore.Information, "make a new key; the record of this one stays, so that no old capsule brings a leaf back", "no signature is left")
	case left.low():
		i.add(at, keystore.Information, "make a new key in time",
			"%d signatures of %d are left, less than %d percent", left.Remaining, left.Capacity, left.warnBelow)
	}
}

// labelIn is the label of a key, as far as its record tells.
func labelIn(s keystore.State) string {
	for _, text := range [][]byte{s.Private, s.Public} {
		if o, err := parseObject("", text); err == nil {
			return string(o.stored[ck.CKA_LABEL])
		}
	}
	return ""
}

package mechanism

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// asymmetricOffers are the mechanisms of key pairs.
func asymmetricOffers() []offer {
	return slices.Concat(rsaOffers(), ecOffers(), edwardsOffers(), montgomeryOffers(), agreementOffers(),
		mldsaOffers(), mlkemOffers())
}

// pair is the public or private half of a key pair in the form that its algorithm wants.
type pair interface {
	bits() int              // as Key.Bits
	values() Attributes     // all value attributes but CKA_PUBLIC_KEY_INFO
	publicKeyInfo() []byte  // SubjectPublicKeyInfo in DER
	pkcs8() ([]byte, error) // PrivateKeyInfo in DER; CKR_KEY_NOT_WRAPPABLE for a public half
	wipe()                  // lets go of what is secret, and clears it as far as Go lets one reach it
}

// public is what all public halves have in common.
type public struct{}

func (public) wipe() {}

func (public) pkcs8() ([]byte, error) {
	return nil, fmt.Errorf("%w: a public key", ck.CKR_KEY_NOT_WRAPPABLE)
}

// half is one key type's way to read one half of a pair from attributes.
type half struct {
	class   ck.ObjectClass
	keyType ck.KeyType
}

var halves = map[half]func(Attributes) (pair, error){
	{ck.CKO_PUBLIC_KEY, ck.CKK_RSA}:            parseRSAPublic,
	{ck.CKO_PRIVATE_KEY, ck.CKK_RSA}:           parseRSAPrivate,
	{ck.CKO_PUBLIC_KEY, ck.CKK_EC}:             parseECPublic,
	{ck.CKO_PRIVATE_KEY, ck.CKK_EC}:            parseECPrivate,
	{ck.CKO_PUBLIC_KEY, ck.CKK_EC_EDWARDS}:     parseEdwardsPublic,
	{ck.CKO_PRIVATE_KEY, ck.CKK_EC_EDWARDS}:    parseEdwardsPrivate,
	{ck.CKO_PUBLIC_KEY, ck.CKK_EC_MONTGOMERY}:  parseMontgomeryPublic,
	{ck.CKO_PRIVATE_KEY, ck.CKK_EC_MONTGOMERY}: parseMontgomeryPrivate,
	{ck.CKO_PUBLIC_KEY, ck.CKK_ML_DSA}:         parseMLDSAPublic,
	{ck.CKO_PRIVATE_KEY, ck.CKK_ML_DSA}:        parseMLDSAPrivate,
	{ck.CKO_PUBLIC_KEY, ck.CKK_ML_KEM}:         parseMLKEMPublic,
	{ck.CKO_PRIVATE_KEY, ck.CKK_ML_KEM}:        parseMLKEMPrivate,
}

// parsePair decodes one half of a key pair.
func parsePair(class ck.ObjectClass, keyType ck.KeyType, a Attributes) (*Key, error) {
	parse := halves[half{class, keyType}]
	if parse == nil {
		return nil, fmt.Errorf("%w: %s of type %s", ck.CKR_ATTRIBUTE_VALUE_INVALID, class, keyType)
	}
	p, err := parse(a)
	if err != nil {
		return nil, err
	}
	return &Key{class: class, keyType: keyType, bits: p.bits(), pair: p}, nil
}

// completePair is Complete for one half of a key pair.
func completePair(class ck.ObjectClass, keyType ck.KeyType, a Attributes) (Attributes, error) {
	k, err := parsePair(class, keyType, a)
	if err != nil {
		return nil, err
	}
	defer k.Wipe()
	complete := valuesOf(k.pair)
	info := a[ck.CKA_PUBLIC_KEY_INFO]
	if len(info) != 0 && !bytes.Equal(info, complete[ck.CKA_PUBLIC_KEY_INFO]) {
		return nil, fmt.Errorf("%w: CKA_PUBLIC_KEY_INFO is not this key's", ck.CKR_TEMPLATE_INCONSISTENT)
	}
	return complete, nil
}

// valuesOf are all value attributes of one half.
func valuesOf(p pair) Attributes {
	a := p.values()
	a[ck.CKA_PUBLIC_KEY_INFO] = p.publicKeyInfo()
	return a
}

// given is the value of an attribute that must be there and not empty. CKR_TEMPLATE_INCOMPLETE.
func given(a Attributes, attribute ck.AttributeType) ([]byte, error) {
	value := a[attribute]
	if len(value) == 0 {
		return nil, fmt.Errorf("%w: %s is missing", ck.CKR_TEMPLATE_INCOMPLETE, attribute)
	}
	return value, nil
}

// invalid is CKR_ATTRIBUTE_VALUE_INVALID with the attribute's name and a reason without any value.
func invalid(attribute ck.AttributeType, reason string) error {
	return fmt.Errorf("%w: %s %s", ck.CKR_ATTRIBUTE_VALUE_INVALID, attribute, reason)
}

// parameterless refuses a parameter.
func parameterless(m ck.Mechanism) error {
	if err := m.NoParameter(); err != nil {
		return fmt.Errorf("%w: %s takes no parameter", err, m.Type)
	}
	return nil
}

// parameter is the mechanism's parameter as the structure that it must be.
func parameter[P any](m ck.Mechanism) (*P, error) {
	p, ok := m.Struct.(*P)
	if !ok || p == nil {
		return nil, fmt.Errorf("%w: %s needs its parameter structure", ck.CKR_MECHANISM_PARAM_INVALID, m.Type)
	}
	return p, nil
}

// unsigned is a big integer without leading zeros; zero is empty.
func unsigned(value []byte) []byte { return bytes.TrimLeft(value, "\x00") }

package token

import (
	"bytes"
	"context"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/mechanism"
)

// source is a key that another one is made from.
type source struct {
	*object
	key   *mechanism.Key
	login visit // in which it was found
}

// source finds a key that may be used so. The results are those of Seat.Key; CKR_USER_NOT_LOGGED_IN too for a key with
// CKA_ALWAYS_AUTHENTICATE, since these calls have no Init after which somebody could give the PIN.
func (seat *Seat) source(id ObjectID, m ck.Mechanism, right ck.AttributeType, flag uint64) (from source, err error) {
	login := seat.visit()
	use, err := seat.Key(id, m, right, flag)
	if err != nil {
		return from, err
	}
	if use.Authenticate {
		return from, refuse(ck.CKR_USER_NOT_LOGGED_IN, "the key wants the PIN for each use, which this call cannot take")
	}
	o, err := seat.object(id)
	return source{o, use.Key, login}, err
}

// visit is the user's login at this moment.
func (seat *Seat) visit() visit {
	_, login, stop := seat.whileUser(context.Background())
	stop()
	return login
}

// still says whether what was computed with the key may be used: not after the logout, if the key is private.
func (from source) still() error {
	if from.private() && from.login.over() {
		return errLoggedOut
	}
	return nil
}

// Derive is C_DeriveKey: a secret key, or with CKM_HKDF_DATA a data object. salt is the key that the parameter of HKDF
// names, else "". A derived key is not sensitive and is extractable unless its template, or the CKA_DERIVE_TEMPLATE of
// the base key, says otherwise: its user wants its value. CKR_OBJECT_HANDLE_INVALID is about the base key.
func (seat *Seat) Derive(s Session, m ck.Mechanism, base, salt ObjectID, template []Attribute) (ObjectID, error) {
	from, err := seat.source(base, m, ck.CKA_DERIVE, ck.CKF_DERIVE)
	if err != nil {
		return "", err
	}
	saltKey, err := seat.saltKey(salt, m.Type)
	if err != nil {
		return "", err
	}
	class := ck.CKO_SECRET_KEY
	if m.Type == ck.CKM_HKDF_DATA {
		class = ck.CKO_DATA
	}
	p, err := seat.planSecret(s, class, template, from.stored[ck.CKA_DERIVE_TEMPLATE])
	if err != nil {
		return "", err
	}
	value, err := mechanism.Derive(m, from.key, saltKey, p.attributes.keyType(), p.length)
	if err != nil {
		return "", err
	}
	defer clear(value)
	return seat.addSecret(s, p, value, from)
}

// saltKey is a secret key that may be the salt of a derivation, nil without one.
func (seat *Seat) saltKey(id ObjectID, m ck.MechanismType) (*mechanism.Key, error) {
	if id == "" {
		return nil, nil
	}
	o, err := seat.object(id)
	switch {
	case err != nil:
		return nil, refuse(ck.CKR_KEY_HANDLE_INVALID, "%w", err)
	case o.class() != ck.CKO_SECRET_KEY:
		return nil, refuse(ck.CKR_KEY_TYPE_INCONSISTENT, "a salt is a secret key")
	case !o.may(ck.CKA_DERIVE):
		return nil, refuse(ck.CKR_KEY_FUNCTION_NOT_PERMITTED, "CKA_DERIVE of the salt is FALSE")
	case !o.allows(m):
		return nil, refuse(ck.CKR_MECHANISM_INVALID, "CKA_ALLOWED_MECHANISMS of the salt do not name %s", m)
	}
	return seat.key(o)
}

// planSecret is plan for a derived secret: bound is the template that the key it comes from adds. Without a key type it
// is a generic secret.
func (seat *Seat) planSecret(s Session, class ck.ObjectClass, template []Attribute, bound []byte) (p plan, err error) {
	joined, err := join(template, bound)
	if err != nil {
		return p, err
	}
	length, err := lengthOf(joined)
	if err != nil {
		return p, err
	}
	keyType := ck.CKK_GENERIC_SECRET
	value, given, err := lookup(joined, ck.CKA_KEY_TYPE)
	if err != nil {
		return p, err
	}
	if given && len(value) == 8 {
		keyType = (Attributes{ck.CKA_KEY_TYPE: value}).keyType()
	}
	if class == ck.CKO_DATA { // which has a length, but not the attribute
		joined = without(joined, ck.CKA_VALUE_LEN)
	}
	if p, err = seat.plan(s, derive, class, keyType, joined); err != nil {
		return p, err
	}
	p.length = length
	return p, mayDerive(p.attributes)
}

// maxSecretLength bounds CKA_VALUE_LEN in bytes.
const maxSecretLength = 16 << 10

// lengthOf is CKA_VALUE_LEN of a template, 0 without it.
func lengthOf(template []Attribute) (int, error) {
	if _, given, err := lookup(template, ck.CKA_VALUE_LEN); err != nil || !given {
		return 0, err
	}
	n, err := lookupUlong(template, ck.CKA_VALUE_LEN)
	if err != nil {
		return 0, err
	}
	if n == 0 || n > maxSecretLength {
		return 0, refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, "a secret of %d bytes, 1 to %d are possible", n, maxSecretLength)
	}
	return int(n), nil
}

// join is a template with the attributes that a key demands of what comes from it. CKR_TEMPLATE_INCONSISTENT.
func join(template []Attribute, bound []byte) ([]Attribute, error) {
	demanded, err := DecodeTemplate(bound)
	if err != nil {
		return nil, err
	}
	joined := append([]Attribute{}, template...)
	for _, a := range demanded {
		value, given, err := lookup(template, a.Type)
		switch {
		case err != nil:
			return nil, err
		case given && !bytes.Equal(value, a.Value):
			return nil, refuse(ck.CKR_TEMPLATE_INCONSISTENT, "the key demands another %s", a.Type)
		case !given:
			joined = append(joined, a)
		}
	}
	return joined, nil
}

func without(template []Attribute, attribute ck.AttributeType) (rest []Attribute) {
	for _, a := range template {
		if a.Type != attribute {
			rest = append(rest, a)
		}
	}
	return rest
}

// addSecret makes the object of a derived secret. It has always been sensitive, and never extractable, if that is so of
// itself and of the key that it comes from.
func (seat *Seat) addSecret(s Session, p plan, value []byte, from source) (ObjectID, error) {
	a := p.attributes
	if err := a.hidesEnough(value); err != nil {
		return "", err
	}
	a.received()
	if a.class() == ck.CKO_SECRET_KEY {
		a[ck.CKA_ALWAYS_SENSITIVE] = Bool(a.bool(ck.CKA_SENSITIVE) && from.may(ck.CKA_ALWAYS_SENSITIVE))
		a[ck.CKA_NEVER_EXTRACTABLE] = Bool(!a.bool(ck.CKA_EXTRACTABLE) && from.may(ck.CKA_NEVER_EXTRACTABLE))
	}
	o, err := p.finish(Attributes{ck.CKA_VALUE: bytes.Clone(value)})
	if err != nil {
		return "", err
	}
	if err := from.still(); err != nil {
		o.safe.close()
		return "", err
	}
	err = seat.add(s, o)
	return o.id, err
}

// Encapsulate is C_EncapsulateKey: a secret key, and what goes to the owner of the private key. The template and the
// results are those of Derive.
func (seat *Seat) Encapsulate(s Session, m ck.Mechanism, public ObjectID, template []Attribute) (
	encapsulated []byte, key ObjectID, err error) {
	from, err := seat.source(public, m, ck.CKA_ENCAPSULATE, ck.CKF_ENCAPSULATE)
	if err != nil {
		return nil, "", err
	}
	p, err := seat.planSecret(s, ck.CKO_SECRET_KEY, template, from.stored[ck.CKA_ENCAPSULATE_TEMPLATE])
	if err != nil {
		return nil, "", err
	}
	encapsulated, secret, err := mechanism.Encapsulate(m, from.key)
	if err != nil {
		return nil, "", err
	}
	defer clear(secret)
	key, err = seat.addAgreed(s, p, secret, from)
	if err != nil {
		return nil, "", err
	}
	return encapsulated, key, nil
}

// EncapsulatedSize is the length in bytes of what Encapsulate gives with this key. It makes no object.
func (seat *Seat) EncapsulatedSize(m ck.Mechanism, public ObjectID) (int, error) {
	from, err := seat.source(public, m, ck.CKA_ENCAPSULATE, ck.CKF_ENCAPSULATE)
	if err != nil {
		return 0, err
	}
	encapsulated, secret, err := mechanism.Encapsulate(m, from.key)
	clear(secret)
	return len(encapsulated), err
}

// Decapsulate is C_DecapsulateKey, the other side of Encapsulate. A ciphertext that nobody made for this key gives a
// secret that nobody knows, as ML-KEM has it.
func (seat *Seat) Decapsulate(s Session, m ck.Mechanism, private ObjectID, encapsulated []byte, template []Attribute) (
	ObjectID, error) {
	from, err := seat.source(private, m, ck.CKA_DECAPSULATE, ck.CKF_DECAPSULATE)
	if err != nil {
		return "", err
	}
	p, err := seat.planSecret(s, ck.CKO_SECRET_KEY, template, from.stored[ck.CKA_DECAPSULATE_TEMPLATE])
	if err != nil {
		return "", err
	}
	secret, err := mechanism.Decapsulate(m, from.key, encapsulated)
	if err != nil {
		return "", err
	}
	defer clear(secret)
	return seat.addAgreed(s, p, secret, from)
}

// addAgreed is addSecret for a secret of a fixed length, of which a shorter key takes the first bytes.
func (seat *Seat) addAgreed(s Session, p plan, secret []byte, from source) (ObjectID, error) {
	if p.length > len(secret) {
		return "", refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, "%d bytes were agreed on, not %d", len(secret), p.length)
	}
	if p.length > 0 {
		secret = secret[:p.length]
	}
	return seat.addSecret(s, p, secret, from)
}

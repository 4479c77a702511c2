package token

import (
	"errors"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/mechanism"
)

// Wrap is C_WrapKey with a standard mechanism: a private or secret key, encrypted under another one. No HSS key
// leaves so. CKR_KEY_HANDLE_INVALID, CKR_KEY_UNEXTRACTABLE and CKR_KEY_NOT_WRAPPABLE are about the key,
// CKR_WRAPPING_KEY_HANDLE_INVALID, CKR_WRAPPING_KEY_TYPE_INCONSISTENT and CKR_WRAPPING_KEY_SIZE_RANGE about the one
// that wraps; and CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID, CKR_KEY_FUNCTION_NOT_PERMITTED. Nothing is given
// out after a logout.
func (seat *Seat) Wrap(_ Session, m ck.Mechanism, wrapping, key ObjectID) ([]byte, error) {
	login := seat.visit()
	o, err := seat.object(key)
	if err != nil {
		return nil, refuse(ck.CKR_KEY_HANDLE_INVALID, "%w", err)
	}
	if err := o.extractable(); err != nil {
		return nil, err
	}
	under, err := seat.source(wrapping, m, ck.CKA_WRAP, ck.CKF_WRAP)
	if err != nil {
		return nil, inPart(err, wrappingResults)
	}
	if err := seat.mayWrap(m.Type, under.object, o); err != nil {
		return nil, err
	}
	k, err := seat.key(o)
	if err != nil {
		return nil, err
	}
	wrapped, err := mechanism.Wrap(m, under.key, k)
	if err == nil && (o.private() || under.private()) && login.over() {
		return nil, errLoggedOut
	}
	return wrapped, err
}

// WrappedSize is the length in bytes of what Wrap gives. It gives nothing.
func (seat *Seat) WrappedSize(m ck.Mechanism, wrapping, key ObjectID) (int, error) {
	wrapped, err := seat.Wrap(Session{}, m, wrapping, key)
	return len(wrapped), err
}

// What is wrong with a key that wraps or unwraps, by what it is with any key.
var (
	wrappingResults = map[ck.RV]ck.RV{
		ck.CKR_OBJECT_HANDLE_INVALID: ck.CKR_WRAPPING_KEY_HANDLE_INVALID,
		ck.CKR_KEY_HANDLE_INVALID:    ck.CKR_WRAPPING_KEY_HANDLE_INVALID,
		ck.CKR_KEY_TYPE_INCONSISTENT: ck.CKR_WRAPPING_KEY_TYPE_INCONSISTENT,
		ck.CKR_KEY_SIZE_RANGE:        ck.CKR_WRAPPING_KEY_SIZE_RANGE,
	}
	unwrappingResults = map[ck.RV]ck.RV{
		ck.CKR_OBJECT_HANDLE_INVALID: ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID,
		ck.CKR_KEY_HANDLE_INVALID:    ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID,
		ck.CKR_KEY_TYPE_INCONSISTENT: ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT,
		ck.CKR_KEY_SIZE_RANGE:        ck.CKR_UNWRAPPING_KEY_SIZE_RANGE,
	}
)

// inPart gives an error about a key the result that the key's part in the call has.
func inPart(err error, results map[ck.RV]ck.RV) error {
	var rv ck.RV
	if errors.As(err, &rv) && results[rv] != ck.CKR_OK {
		return refuse(results[rv], "%w", err)
	}
	return err
}

// Unwrap is C_UnwrapKey with a standard mechanism. The template says class and key type; a key that it says no more
// of is sensitive and not extractable. Everything that is wrong with the wrapped bytes is one
// CKR_WRAPPED_KEY_INVALID; with CKM_RSA_PKCS it is none at all, see standIn. CKR_UNWRAPPING_KEY_HANDLE_INVALID,
// CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, CKR_UNWRAPPING_KEY_SIZE_RANGE, and what a template can be refused for.
func (seat *Seat) Unwrap(s Session, m ck.Mechanism, unwrapping ObjectID, wrapped []byte, template []Attribute) (
	ObjectID, error) {
	if len(wrapped) > maxWrapped {
		return "", refuse(ck.CKR_WRAPPED_KEY_INVALID, "%d bytes, %d are possible", len(wrapped), maxWrapped)
	}
	by, err := seat.source(unwrapping, m, ck.CKA_UNWRAP, ck.CKF_UNWRAP)
	if err != nil {
		return "", inPart(err, unwrappingResults)
	}
	p, err := seat.planUnwrapped(s, m, by, template)
	if err != nil {
		return "", err
	}
	p.attributes.received()
	other, err := seat.standIn(m, by, wrapped, p) // before it is known whether it is needed
	if err != nil {
		return "", err
	}
	values, err := p.unwrap(m, by, wrapped)
	if other != nil && errors.Is(err, ck.CKR_WRAPPED_KEY_INVALID) {
		values, err = other, nil
	}
	if err != nil {
		return "", err
	}
	o, err := p.finish(values)
	if err != nil {
		return "", errNotWrapped // by such a key
	}
	if err := by.still(); err != nil {
		o.safe.close()
		return "", err
	}
	err = seat.add(s, o)
	return o.id, err
}

// maxWrapped bounds what is unwrapped, in bytes: the longest secret key, and what the mechanisms add.
const maxWrapped = 18 << 10

var errNotWrapped = refuse(ck.CKR_WRAPPED_KEY_INVALID, "not a key wrapped for this key and mechanism")

// unwrap opens wrapped bytes.
func (p plan) unwrap(m ck.Mechanism, by source, wrapped []byte) (Attributes, error) {
	values, err := mechanism.Unwrap(m, by.key, wrapped, p.attributes.class(), p.attributes.keyType())
	if err == nil && p.length > 0 && len(values[ck.CKA_VALUE]) != p.length {
		return nil, errNotWrapped
	}
	return values, err
}

// planUnwrapped checks all that can be said against the template before the wrapped bytes are looked at.
func (seat *Seat) planUnwrapped(s Session, m ck.Mechanism, by source, template []Attribute) (p plan, err error) {
	joined, err := join(template, by.stored[ck.CKA_UNWRAP_TEMPLATE])
	if err != nil {
		return p, err
	}
	if _, given, _ := lookup(joined, ck.CKA_WRAP_WITH_TRUSTED); !given && by.may(ck.CKA_TRUSTED) {
		joined = append(joined, Attribute{ck.CKA_WRAP_WITH_TRUSTED, yes}) // the key may have had it: see mayUnwrap
	}
	class, keyType, err := kindUnwrapped(joined)
	if err != nil {
		return p, err
	}
	length, err := lengthOf(joined)
	if err != nil {
		return p, err
	}
	if p, err = seat.plan(s, unwrap, class, keyType, joined); err != nil {
		return p, err
	}
	p.length = length
	return p, mayUnwrap(m.Type, by.object, p.attributes)
}

// kindUnwrapped is what the template of C_UnwrapKey says the key is: a private or secret key without a state.
func kindUnwrapped(template []Attribute) (ck.ObjectClass, ck.KeyType, error) {
	number, err := lookupUlong(template, ck.CKA_CLASS)
	if err != nil {
		return 0, 0, err
	}
	class := ck.ObjectClass(number)
	if class != ck.CKO_PRIVATE_KEY && class != ck.CKO_SECRET_KEY {
		return 0, 0, refuse(ck.CKR_TEMPLATE_INCONSISTENT, "%s is not what is wrapped", class)
	}
	if number, err = lookupUlong(template, ck.CKA_KEY_TYPE); err != nil {
		return 0, 0, err
	}
	keyType := ck.KeyType(number)
	if stateful(keyType) {
		return 0, 0, refuse(ck.CKR_TEMPLATE_INCONSISTENT, "%s comes by %s alone", keyType, ck.CKM_ONCELEAF_PARTITION)
	}
	return class, keyType, nil
}

// standIn is the value of a secret key that takes the place of one that is not in the wrapped bytes; nil where there is
// none: with other mechanisms, and for lengths of the bytes or of the key that everybody sees are wrong.
func (seat *Seat) standIn(m ck.Mechanism, by source, wrapped []byte, p plan) (Attributes, error) {
	if m.Type != ck.CKM_RSA_PKCS || p.attributes.class() != ck.CKO_SECRET_KEY ||
		len(wrapped) != (by.key.Bits()+7)/8 || p.length > longestPadded(len(wrapped)) {
		return nil, nil
	}
	private, err := seat.secrets(by.object)
	if err != nil {
		return nil, err
	}
	defer wipe(private)
	value, err := standIn(private, wrapped, p.attributes.keyType(), p.length)
	return Attributes{ck.CKA_VALUE: value}, err
}

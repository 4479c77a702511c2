package token

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

// ObjectID names an object within its token, for as long as the object lives:
//
//	private/<identity>  the private key of an HSS key pair of the token
//	public/<identity>   its public key, which outlives the private one
//	token/<number>      any other token object
//	session/<number>    a session object
type ObjectID string

const (
	privatePrefix = "private/"
	publicPrefix  = "public/"
	tokenPrefix   = "token/"
	sessionPrefix = "session/"

	// objectPrefix, before its ObjectID, names an object on the shelf.
	objectPrefix = "object/"
)

// identity is the HSS key in an ObjectID with the given prefix.
func (id ObjectID) identity(prefix string) (identity keystore.Identity, ok bool) {
	digits, ok := strings.CutPrefix(string(id), prefix)
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != len(identity) {
		return identity, false
	}
	return keystore.Identity(raw), true
}

// inSession reports whether the name is of a session object.
func (id ObjectID) inSession() bool { return strings.HasPrefix(string(id), sessionPrefix) }

// inPair reports whether the name is of half an HSS key pair.
func (id ObjectID) inPair() bool {
	return strings.HasPrefix(string(id), privatePrefix) || strings.HasPrefix(string(id), publicPrefix)
}

// object is one object as it was when it was looked up. It does not change; an edit makes another.
type object struct {
	id     ObjectID
	owner  uint64 // the session of a session object, else 0
	stored Attributes
	schema schema

	key    *hssKey           // the HSS private key behind it: of every private key, and of the public key of a pair
	public *lms.HSSPublicKey // of HSS public keys
	sealed []byte            // under the master key: the secret values of private token objects, and of transfer keys their secret
	safe   *safe             // never nil

	secretSize int64 // about what the secret values take in memory, in bytes
}

// hssKey is an HSS key in its keystore: the token's, or the small one in memory of a session key.
type hssKey struct {
	keys     *keystore.Keystore
	identity keystore.Identity
	gauge    gauge

	// Of a session key alone:
	there  context.Context // ends when the key is discarded
	end    context.CancelFunc
	memory int64 // bytes that are claimed for its trees
}

// whileThere is ctx, which now ends with a session key too: nobody waits for a key that is discarded. The caller calls
// stop.
func (k *hssKey) whileThere(ctx context.Context) (until context.Context, stop func()) {
	if k.there == nil {
		return ctx, func() {}
	}
	until, cancel := context.WithCancel(ctx)
	forget := context.AfterFunc(k.there, cancel)
	return until, func() {
		forget()
		cancel()
	}
}

// afterEnd gives what whileThere cut off its result.
func (k *hssKey) afterEnd(err error) error {
	if errors.Is(err, context.Canceled) && k.there != nil && k.there.Err() != nil {
		return fmt.Errorf("%w: it was destroyed meanwhile", keystore.ErrNoKey)
	}
	return err
}

func (o *object) class() ck.ObjectClass { return ck.ObjectClass(o.stored.ulong(ck.CKA_CLASS)) }
func (o *object) keyType() ck.KeyType   { return ck.KeyType(o.stored.ulong(ck.CKA_KEY_TYPE)) }
func (o *object) private() bool         { return o.stored.bool(ck.CKA_PRIVATE) }
func (o *object) may(right ck.AttributeType) bool {
	return o.stored.bool(right)
}

func (o *object) isTransferKey() bool { return o.is(ck.CKO_PRIVATE_KEY, ck.CKK_ONCELEAF_TRANSFER) }

func (o *object) is(class ck.ObjectClass, keyType ck.KeyType) bool {
	return o.class() == class && o.keyType() == keyType
}

// inPair reports whether the record of an HSS key of the token holds the object.
func (o *object) inPair() bool { return o.key != nil && o.owner == 0 }

// allows is CKA_ALLOWED_MECHANISMS; an empty list allows all.
func (o *object) allows(mechanism ck.MechanismType) bool {
	list := parseUlongs(o.stored[ck.CKA_ALLOWED_MECHANISMS])
	for _, m := range list {
		if ck.MechanismType(m) == mechanism {
			return true
		}
	}
	return len(list) == 0
}

// record is the stored form. Secret values that are not sealed are in it: see safe.
func (o *object) record() []byte {
	o.safe.mu.Lock()
	defer o.safe.mu.Unlock()
	all := o.stored
	if len(o.safe.values) > 0 {
		all = maps.Clone(o.stored)
		maps.Copy(all, o.safe.values)
	}
	return objectRecord{all, o.sealed}.encode()
}

// parseObject makes an object of its stored form. The error wraps keystore.ErrDamaged or ErrVersion.
func parseObject(id ObjectID, record []byte) (*object, error) {
	r, err := parseRecord(record)
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", id, err)
	}
	o, err := newObject(r.Attributes)
	if err != nil {
		return nil, fmt.Errorf("%w: object %s: %w", keystore.ErrDamaged, id, err)
	}
	o.id, o.sealed = id, r.Sealed
	o.secretSize += int64(len(r.Sealed))
	if err := o.checkSealing(); err != nil {
		return nil, fmt.Errorf("%w: object %s: %w", keystore.ErrDamaged, id, err)
	}
	return o, nil
}

// newObject makes an object of its attributes, which it keeps; their secret values go into its safe. The name is still
// missing.
func newObject(stored Attributes) (*object, error) {
	o := &object{stored: stored, safe: &safe{}}
	var known bool
	if o.schema, known = schemaOf(o.class(), o.keyType()); !known {
		return nil, fmt.Errorf("%s of type %s", o.class(), o.keyType())
	}
	if value, there := stored[ck.CKA_VALUE]; there && o.is(ck.CKO_PUBLIC_KEY, ck.CKK_HSS) {
		public, err := lms.ParseHSSPublicKey(value)
		if err != nil {
			return nil, err
		}
		o.public = &public
	}
	o.takeSecrets()
	return o, nil
}

// with is the object with other attributes.
func (o *object) with(changes []Attribute) *object {
	next := *o
	next.stored = o.stored.clone()
	for _, a := range changes {
		next.stored[a.Type] = append([]byte{}, a.Value...)
	}
	return &next
}

// value is one attribute that is not in the safe. CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID.
func (o *object) value(attribute ck.AttributeType) ([]byte, error) {
	if _, belongs := o.schema[attribute]; !belongs {
		return nil, errNoAttribute(attribute)
	}
	if o.hides(attribute) {
		return nil, refuse(ck.CKR_ATTRIBUTE_SENSITIVE, "%s of a key that is sensitive or not extractable", attribute)
	}
	if value, ok := o.computed(attribute); ok {
		return value, nil
	}
	if value, ok := o.plain(attribute); ok {
		return value, nil
	}
	return nil, errNoAttribute(attribute)
}

func errNoAttribute(attribute ck.AttributeType) error {
	return refuse(ck.CKR_ATTRIBUTE_TYPE_INVALID, "the object has no %s", attribute)
}

// plain is an attribute whose value lies in the object, or is the default of one that a later version of this program
// added.
func (o *object) plain(attribute ck.AttributeType) (value []byte, there bool) {
	if value, there = o.stored[attribute]; there {
		return value, true
	}
	r := o.schema[attribute]
	return r.value, r.value != nil
}

// hides reports whether an attribute is a secret that leaves the token, if at all, wrapped.
func (o *object) hides(attribute ck.AttributeType) bool {
	return o.class() != ck.CKO_DATA && slices.Contains(o.secretAttributes(), attribute) &&
		(o.stored.bool(ck.CKA_SENSITIVE) || !o.stored.bool(ck.CKA_EXTRACTABLE))
}

// computed are the attributes that follow from the key itself.
func (o *object) computed(attribute ck.AttributeType) ([]byte, bool) {
	if o.public != nil {
		return publicValue(*o.public, attribute)
	}
	if o.key == nil || !slices.Contains(keystoreValues, attribute) {
		return nil, false
	}
	info, err := o.key.keys.Info(o.key.identity)
	if err != nil {
		return nil, false
	}
	return privateValue(info, o.stored.warnBelow(), attribute)
}

// size is about what an object takes in memory, in bytes: of a token object its attributes, of a session object its
// decoded key too. How many decoded keys of token objects there are is bounded otherwise: see unwrapped.
func (o *object) size() int64 {
	if o.owner == 0 {
		return o.stored.size() + o.secretSize
	}
	return o.stored.size() + 2*o.secretSize + o.decodedSize()
}

// decodedSize is about what a decoded key takes beside its values, in bytes: measured, and rounded up. The trees of HSS
// keys are counted by their own.
func (o *object) decodedSize() int64 {
	switch keyType := o.keyType(); {
	case !isKey(o.class()) || stateful(keyType):
		return 0
	case o.is(ck.CKO_PRIVATE_KEY, ck.CKK_ML_DSA):
		return 98 << 10
	case keyType == ck.CKK_ML_KEM:
		return 14 << 10
	case o.is(ck.CKO_PRIVATE_KEY, ck.CKK_RSA):
		return 8 << 10
	case keyType == ck.CKK_ML_DSA:
		return 4 << 10
	}
	return 1 << 10
}

const sizeOfAttribute = 100 // bytes beside the value

func (a Attributes) size() int64 {
	bytes := sizeOfAttribute * (len(a) + 1)
	for _, value := range a {
		bytes += len(value)
	}
	return int64(bytes)
}

// leave ends what waits for a session key.
func (o *object) leave() {
	if o.key != nil && o.key.end != nil {
		o.key.end()
	}
}

// discard ends a session object that was taken off the list: its secrets are erased. What is computed with it at this
// moment is waited for; with the key of HSS it is ended first.
func (o *object) discard() {
	o.safe.close()
	if o.key == nil {
		return
	}
	o.leave()
	// The store of a session key is memory; there is nothing to do about an error, and Lock wipes in any case.
	_ = o.key.keys.Destroy(o.key.identity)
	_ = o.key.keys.Lock()
}

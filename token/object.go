package token

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
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

// object is one object as it was when it was looked up. It does not change; an edit makes another.
type object struct {
	id     ObjectID
	owner  uint64 // the session of a session object, else 0
	stored Attributes
	schema schema

	key    *hssKey           // the HSS private key behind it: of every private key, and of the public key of a pair
	public *lms.HSSPublicKey // of HSS public keys
	sealed []byte            // of transfer private keys: backup.TransferKey.Secret under the master key
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

// objectRecord is the stored form of an object's attributes: in the record of an HSS key pair, where the token's are
// opaque to the keystore, and on the shelf.
type objectRecord struct {
	Version    int        `json:"version"` // 1
	Attributes Attributes `json:"attributes"`
	Sealed     []byte     `json:"sealed,omitempty"`
}

// encode never fails: the attributes come from a schema, and so have names.
func (r objectRecord) encode() []byte {
	r.Version = 1
	text, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("couldn't write the attributes of an object: %v", err))
	}
	return text
}

func (o *object) record() []byte {
	return objectRecord{Attributes: o.stored, Sealed: o.sealed}.encode()
}

func parseObject(id ObjectID, text []byte) (*object, error) {
	var r objectRecord
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%w: object %s: %w", keystore.ErrDamaged, id, err)
	}
	if r.Version != 1 {
		return nil, fmt.Errorf("%w: object %s of version %d", keystore.ErrVersion, id, r.Version)
	}
	o, err := newObject(r.Attributes)
	if err != nil {
		return nil, fmt.Errorf("%w: object %s: %w", keystore.ErrDamaged, id, err)
	}
	o.id, o.sealed = id, r.Sealed
	return o, nil
}

// newObject makes an object of its attributes; the name is still missing.
func newObject(stored Attributes) (*object, error) {
	o := &object{stored: stored}
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

// value is one attribute. CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID.
func (o *object) value(attribute ck.AttributeType) ([]byte, error) {
	if attribute == ck.CKA_VALUE && o.class() == ck.CKO_PRIVATE_KEY {
		return nil, refuse(ck.CKR_ATTRIBUTE_SENSITIVE, "%s of a private key", attribute)
	}
	r, belongs := o.schema[attribute]
	if !belongs {
		return nil, refuse(ck.CKR_ATTRIBUTE_TYPE_INVALID, "the object has no %s", attribute)
	}
	if value, ok := o.computed(attribute); ok {
		return value, nil
	}
	if value, ok := o.stored[attribute]; ok {
		return value, nil
	}
	if r.value != nil { // an attribute that a later version of this program added
		return r.value, nil
	}
	return nil, refuse(ck.CKR_ATTRIBUTE_TYPE_INVALID, "the object has no %s", attribute)
}

// computed are the attributes that follow from the key itself.
func (o *object) computed(attribute ck.AttributeType) ([]byte, bool) {
	if o.public != nil {
		return publicValue(*o.public, attribute)
	}
	if o.key == nil {
		return nil, false
	}
	s, err := o.supply()
	if err != nil {
		return nil, false
	}
	return privateValue(s, attribute)
}

// size is about what the attributes take in memory, in bytes.
func (o *object) size() int64 { return o.stored.size() + int64(len(o.sealed)) }

func (a Attributes) size() int64 {
	const each = 100 // the entry itself
	bytes := each * (len(a) + 1)
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

// discard ends a session object that was taken off the list: the secrets of a session key are erased. What is computed
// with it at this moment is ended first, and waited for.
func (o *object) discard() {
	if o.key == nil {
		return
	}
	o.leave()
	// The store of a session key is memory; there is nothing to do about an error, and Lock wipes in any case.
	_ = o.key.keys.Destroy(o.key.identity)
	_ = o.key.keys.Lock()
}

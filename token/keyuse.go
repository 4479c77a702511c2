package token

import (
	"slices"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/mechanism"
)

// Use is a key that passed the checks of an Init, of every type but HSS and transfer keys. Operations with it end by
// themselves, with CKR_KEY_HANDLE_INVALID, when the object is destroyed, and with the last logout if it is private. Only
// those with the key of a token object that is not private may outlive it, if the key gave way to others: see shown.
type Use struct {
	Key          *mechanism.Key
	Private      bool // only the user may go on with it
	Authenticate bool // CKA_ALWAYS_AUTHENTICATE: the user gives the PIN for each use
}

// usedBy are the classes of keys that have a right.
var usedBy = map[ck.AttributeType][]ck.ObjectClass{
	ck.CKA_ENCRYPT:     {ck.CKO_PUBLIC_KEY, ck.CKO_SECRET_KEY},
	ck.CKA_DECRYPT:     {ck.CKO_PRIVATE_KEY, ck.CKO_SECRET_KEY},
	ck.CKA_SIGN:        {ck.CKO_PRIVATE_KEY, ck.CKO_SECRET_KEY},
	ck.CKA_VERIFY:      {ck.CKO_PUBLIC_KEY, ck.CKO_SECRET_KEY},
	ck.CKA_WRAP:        {ck.CKO_PUBLIC_KEY, ck.CKO_SECRET_KEY},
	ck.CKA_UNWRAP:      {ck.CKO_PRIVATE_KEY, ck.CKO_SECRET_KEY},
	ck.CKA_DERIVE:      {ck.CKO_PRIVATE_KEY, ck.CKO_SECRET_KEY},
	ck.CKA_ENCAPSULATE: {ck.CKO_PUBLIC_KEY},
	ck.CKA_DECAPSULATE: {ck.CKO_PRIVATE_KEY},
}

// Key checks what an Init has to: that the mechanism can be used as flag (ck.CKF_*) says, the key's class and type,
// that its attribute right allows it, and CKA_ALLOWED_MECHANISMS. A private key is not there unless the user is logged
// in. CKR_MECHANISM_INVALID, CKR_OBJECT_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID for what is no key,
// CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_USER_NOT_LOGGED_IN after a logout meanwhile.
func (seat *Seat) Key(id ObjectID, m ck.Mechanism, right ck.AttributeType, flag uint64) (Use, error) {
	if err := checkMechanism(m.Type, flag); err != nil {
		return Use{}, err
	}
	o, err := seat.object(id)
	if err != nil {
		return Use{}, err
	}
	row, _ := mechanism.Find(m.Type)
	switch {
	case !isKey(o.class()):
		return Use{}, refuse(ck.CKR_KEY_HANDLE_INVALID, "%s is no key", id)
	case !slices.Contains(usedBy[right], o.class()) || !slices.Contains(row.Keys, o.keyType()):
		return Use{}, refuse(ck.CKR_KEY_TYPE_INCONSISTENT, "%s is not for %s of type %s", m.Type, o.class(), o.keyType())
	case !o.may(right):
		return Use{}, refuse(ck.CKR_KEY_FUNCTION_NOT_PERMITTED, "%s is FALSE", right)
	case !o.allows(m.Type):
		return Use{}, refuse(ck.CKR_MECHANISM_INVALID, "the key's CKA_ALLOWED_MECHANISMS do not name %s", m.Type)
	}
	return seat.use(o)
}

// SecretKey is the key of C_DigestKey. CKR_OBJECT_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID for what is no key,
// CKR_KEY_INDIGESTIBLE for one that is not secret.
func (seat *Seat) SecretKey(id ObjectID) (Use, error) {
	o, err := seat.object(id)
	switch {
	case err != nil:
		return Use{}, err
	case !isKey(o.class()):
		return Use{}, refuse(ck.CKR_KEY_HANDLE_INVALID, "%s is no key", id)
	case o.class() != ck.CKO_SECRET_KEY:
		return Use{}, refuse(ck.CKR_KEY_INDIGESTIBLE, "%s is no secret key", id)
	}
	return seat.use(o)
}

func (seat *Seat) use(o *object) (Use, error) {
	key, err := seat.key(o)
	return Use{key, o.private(), o.may(ck.CKA_ALWAYS_AUTHENTICATE)}, err
}

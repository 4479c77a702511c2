package token

import (
	"bytes"
	"fmt"

	"github.com/onceleaf/onceleaf/backup"
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/lms"
)

// Create is C_CreateObject. What can be created is what carries no secret: HSS public keys, and transfer requests.
func (seat *Seat) Create(s Session, template []Attribute) (ObjectID, error) {
	class, err := lookupUlong(template, ck.CKA_CLASS)
	if err != nil {
		return "", err
	}
	if !isKey(ck.ObjectClass(class)) {
		return "", refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, "%s objects are not kept here", ck.ObjectClass(class))
	}
	keyType, err := lookupUlong(template, ck.CKA_KEY_TYPE)
	if err != nil {
		return "", err
	}
	o, err := created(ck.ObjectClass(class), ck.KeyType(keyType), template)
	if err != nil {
		return "", err
	}
	if err := seat.mayMake(s, o.stored); err != nil {
		return "", err
	}
	err = seat.add(s, o)
	return o.id, err
}

func isKey(class ck.ObjectClass) bool {
	return class == ck.CKO_PUBLIC_KEY || class == ck.CKO_PRIVATE_KEY || class == ck.CKO_SECRET_KEY
}

func created(class ck.ObjectClass, keyType ck.KeyType, template []Attribute) (*object, error) {
	_, known := schemaOf(class, keyType)
	switch {
	case !known:
		return nil, refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, "%s of type %s is not kept here", class, keyType)
	case class == ck.CKO_PRIVATE_KEY:
		// A private key brought in would be a state that may exist elsewhere too.
		return nil, refuse(ck.CKR_TEMPLATE_INCONSISTENT, "a private key of type %s cannot be created", keyType)
	case keyType == ck.CKK_HSS:
		return createdPublic(template)
	default:
		return createdRequest(template)
	}
}

func createdPublic(template []Attribute) (*object, error) {
	a, err := hssPublicCreated.fill(template)
	if err != nil {
		return nil, err
	}
	k, err := lms.ParseHSSPublicKey(a[ck.CKA_VALUE])
	if err != nil {
		return nil, refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, "CKA_VALUE: %w", err)
	}
	if info, given := a[ck.CKA_PUBLIC_KEY_INFO]; given && !bytes.Equal(info, publicKeyInfo(k)) {
		return nil, refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, "CKA_PUBLIC_KEY_INFO does not agree with CKA_VALUE")
	}
	delete(a, ck.CKA_PUBLIC_KEY_INFO)
	a.received()
	return newObject(a)
}

func createdRequest(template []Attribute) (*object, error) {
	a, err := transferPublicCreated.fill(template)
	if err != nil {
		return nil, err
	}
	request, err := backup.ParseRequest(a[ck.CKA_VALUE])
	if err != nil {
		return nil, refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, "CKA_VALUE: %w", err)
	}
	a.received()
	a[ck.CKA_ONCELEAF_FINGERPRINT] = fmt.Append(nil, request.Fingerprint())
	return newObject(a)
}

package token

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"fmt"

	"github.com/onceleaf/onceleaf/backup"
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/lms"
)

// Create is C_CreateObject: data, X.509 certificates and keys, but no private key that has a state. What cannot be kept
// here is CKR_ATTRIBUTE_VALUE_INVALID in its CKA_CLASS or CKA_KEY_TYPE.
func (seat *Seat) Create(s Session, template []Attribute) (ObjectID, error) {
	number, err := lookupUlong(template, ck.CKA_CLASS)
	if err != nil {
		return "", err
	}
	class, keyType := ck.ObjectClass(number), ck.KeyType(0)
	if isKey(class) {
		if number, err = lookupUlong(template, ck.CKA_KEY_TYPE); err != nil {
			return "", err
		}
		keyType = ck.KeyType(number)
	}
	o, err := seat.created(s, class, keyType, template)
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

// stateful are the keys that are not their value alone.
func stateful(keyType ck.KeyType) bool {
	return keyType == ck.CKK_HSS || keyType == ck.CKK_ONCELEAF_TRANSFER
}

func (seat *Seat) created(s Session, class ck.ObjectClass, keyType ck.KeyType, template []Attribute) (*object, error) {
	switch {
	case class == ck.CKO_PROFILE:
		return nil, refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, "the token alone says what it is")
	case class == ck.CKO_CERTIFICATE:
		return seat.createdCertificate(s, template)
	case class == ck.CKO_PRIVATE_KEY && stateful(keyType):
		// A private key brought in would be a state that may exist elsewhere too.
		return nil, refuse(ck.CKR_TEMPLATE_INCONSISTENT, "a private key of type %s cannot be created", keyType)
	case class == ck.CKO_PUBLIC_KEY && keyType == ck.CKK_HSS:
		return createdPublic(template)
	case class == ck.CKO_PUBLIC_KEY && keyType == ck.CKK_ONCELEAF_TRANSFER:
		return createdRequest(template)
	}
	p, err := seat.plan(s, create, class, keyType, template)
	if err != nil {
		return nil, err
	}
	p.attributes.received()
	return p.finish(nil)
}

// createdCertificate is an X.509 certificate. What its text says of itself stands in attributes too, if it can be read.
func (seat *Seat) createdCertificate(s Session, template []Attribute) (*object, error) {
	form, err := lookupUlong(template, ck.CKA_CERTIFICATE_TYPE)
	if err != nil {
		return nil, err
	}
	if form != ck.CKC_X_509 {
		return nil, refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, "certificates of type %d are not kept here", form)
	}
	p, err := seat.plan(s, create, ck.CKO_CERTIFICATE, 0, template)
	if err != nil {
		return nil, err
	}
	text, url := p.attributes[ck.CKA_VALUE], p.attributes[ck.CKA_URL]
	if len(text) == 0 && len(url) == 0 {
		return nil, refuse(ck.CKR_TEMPLATE_INCOMPLETE, "a certificate has CKA_VALUE or CKA_URL")
	}
	if err := p.attributes.describeCertificate(text); err != nil {
		return nil, err
	}
	p.attributes.received()
	return p.finish(nil)
}

// describeCertificate adds what follows from the text of a certificate: CKA_CHECK_VALUE, the first three bytes of its
// SHA-1 (section 4.6.2), and CKA_PUBLIC_KEY_INFO. A template that says otherwise is CKR_ATTRIBUTE_VALUE_INVALID.
func (a Attributes) describeCertificate(text []byte) error {
	follows := Attributes{}
	if len(text) > 0 {
		digest := sha1.Sum(text)
		follows[ck.CKA_CHECK_VALUE] = digest[:3]
	}
	if parsed, err := x509.ParseCertificate(text); err == nil {
		follows[ck.CKA_PUBLIC_KEY_INFO] = parsed.RawSubjectPublicKeyInfo
	}
	for attribute, value := range follows {
		if given := a[attribute]; len(given) > 0 && !bytes.Equal(given, value) {
			return refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, "%s does not agree with CKA_VALUE", attribute)
		}
		if given, there := a[attribute]; !there || len(given) > 0 {
			a[attribute] = value
		}
	}
	return nil
}

func createdPublic(template []Attribute) (*object, error) {
	a, err := hssPublic.fill(create, template)
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
	a, err := transferPublic.fill(create, template)
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

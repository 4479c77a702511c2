package token

import (
	"bytes"
	"maps"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// Copy is C_CopyObject. The template may change what C_SetAttributeValue may, and say whether the copy is a token
// object, private, modifiable, copyable and destroyable. A copy says of its past what the object says, and has no
// right to decrypt, encrypt, wrap or unwrap that the object has not. CKR_ACTION_PROHIBITED for what is not copyable,
// HSS private keys first of all; CKR_TEMPLATE_INCONSISTENT to show a private object to all.
func (seat *Seat) Copy(s Session, id ObjectID, template []Attribute) (ObjectID, error) {
	o, err := seat.object(id)
	if err != nil {
		return "", err
	}
	if err := seat.copyable(o, template); err != nil {
		return "", err
	}
	copied, err := seat.duplicate(o)
	if err != nil {
		return "", err
	}
	for _, a := range template {
		clear(copied[a.Type]) // of a data object it may be secret
		copied[a.Type] = append([]byte{}, a.Value...)
	}
	copied[ck.CKA_UNIQUE_ID] = newUniqueID()
	return seat.addCopy(s, copied)
}

// addCopy makes an object of attributes, which it uses up.
func (seat *Seat) addCopy(s Session, copied Attributes) (ObjectID, error) {
	if err := seat.mayMake(s, copied); err != nil {
		wipe(copied)
		return "", err
	}
	made, err := newObject(copied)
	if err != nil {
		wipe(copied)
		return "", err
	}
	err = seat.add(s, made)
	return made.id, err
}

// copyable says whether an object may be copied so.
func (seat *Seat) copyable(o *object, template []Attribute) error {
	if !o.may(ck.CKA_COPYABLE) || o.class() == ck.CKO_PRIVATE_KEY && stateful(o.keyType()) {
		return refuse(ck.CKR_ACTION_PROHIBITED, "the object is not copyable")
	}
	if err := o.schema.edit(o.stored, template, true, seat.userIs(ck.CKU_SO)); err != nil {
		return err
	}
	value, given, err := lookup(template, ck.CKA_PRIVATE)
	if err != nil {
		return err
	}
	if given && o.private() && bytes.Equal(value, no) {
		return refuse(ck.CKR_TEMPLATE_INCONSISTENT, "the copy of a private object is private")
	}
	return nil
}

// duplicate are the attributes of an object, hidden ones too.
func (seat *Seat) duplicate(o *object) (Attributes, error) {
	hidden, err := seat.secrets(o)
	if err != nil {
		return nil, err
	}
	all := o.stored.clone()
	maps.Copy(all, hidden)
	if o.public != nil { // the half of an HSS pair, whose value the record of the pair has
		all[ck.CKA_VALUE] = o.public.Bytes()
	}
	return all, nil
}

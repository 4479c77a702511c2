package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/onceleaf/onceleaf/backup"
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

// The ceremony that gives leaves of an HSS key to another token, in four steps, each one call:
//
//  1. destination: GenerateTransferKey makes a one-time key pair; CKA_VALUE of its public half is the request file
//  2. source: Create takes the request in, Partition gives the leaves and returns the capsule file
//  3. destination: Receive opens the capsule; CKA_ONCELEAF_RECEIPT of the key is the receipt file
//  4. source: Acknowledge takes the receipt in

// transferContext names the sealed secret of a transfer key. The fingerprint tells one from another; a stored secret
// moved to another object would not open.
func (t *Token) transferContext(fingerprint []byte) []byte {
	return fmt.Appendf(nil, "onceleaf transfer key/1 %s %s", t.serial, fingerprint)
}

// Schemes of a transfer by the parameter of CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN.
func transferScheme(parameter uint64) (backup.Scheme, error) {
	switch parameter {
	case ck.TRANSFER_HPKE:
		return backup.SchemeHPKE, nil
	case ck.TRANSFER_RSA:
		return backup.SchemeRSA, nil
	}
	return "", refuse(ck.CKR_MECHANISM_PARAM_INVALID, "no transfer scheme %d", parameter)
}

// GenerateTransferKey is C_GenerateKeyPair with CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN; scheme is ck.TRANSFER_HPKE or
// ck.TRANSFER_RSA. Unlike other keys both halves are token objects unless the template says otherwise.
func (t *Token) GenerateTransferKey(s Session, scheme uint64, public, private []Attribute) (pub, priv ObjectID, err error) {
	form, err := transferScheme(scheme)
	if err != nil {
		return "", "", err
	}
	pubAttributes, err := transferPublic.fill(public)
	if err != nil {
		return "", "", err
	}
	privAttributes, err := transferPrivate.fill(private)
	if err != nil {
		return "", "", err
	}
	if err := errors.Join(t.mayWrite(s, privAttributes), t.mayWrite(s, pubAttributes)); err != nil {
		return "", "", err
	}
	key, err := backup.NewTransferKey(form, t.self())
	if err != nil {
		return "", "", err
	}
	pubAttributes[ck.CKA_VALUE] = key.Request().Bytes()
	return t.addTransferKey(s, key, pubAttributes, privAttributes)
}

// addTransferKey stores both halves; as token objects, in one durable write.
func (t *Token) addTransferKey(s Session, key *backup.TransferKey, public, private Attributes) (pub, priv ObjectID, err error) {
	fingerprint := []byte(key.Request().Fingerprint())
	for _, a := range []Attributes{public, private} {
		a[ck.CKA_ONCELEAF_FINGERPRINT] = fingerprint
		a.generated(ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN)
	}
	secret := key.Secret()
	defer clear(secret)
	sealed, err := t.seal(secret, t.transferContext(fingerprint))
	if err != nil {
		return "", "", err
	}
	pubObject, err := newObject(public)
	if err != nil {
		return "", "", err
	}
	privObject, err := newObject(private)
	if err != nil {
		return "", "", err
	}
	privObject.sealed = sealed
	if err := t.add(s, pubObject, privObject); err != nil {
		return "", "", err
	}
	return pubObject.id, privObject.id, nil
}

// Giving is a checked call of C_WrapKey with CKM_ONCELEAF_PARTITION.
type Giving struct {
	token   *Token
	key     *object
	request *backup.Request
	count   uint64 // root leaves; 0 for half of the free ones
}

// Giving checks whether leaves of the HSS private key may go to the destination of the transfer request. It gives
// nothing yet. CKR_KEY_UNEXTRACTABLE unless the key was made transferable.
func (t *Token) Giving(s Session, request, key ObjectID, count uint64) (*Giving, error) {
	if !s.ReadWrite {
		return nil, refuse(ck.CKR_SESSION_READ_ONLY, "giving leaves away changes the key's record")
	}
	k, err := t.transferable(key)
	if err != nil {
		return nil, err
	}
	r, err := t.object(request)
	switch {
	case err != nil:
		return nil, refuse(ck.CKR_WRAPPING_KEY_HANDLE_INVALID, "%w", err)
	case !r.is(ck.CKO_PUBLIC_KEY, ck.CKK_ONCELEAF_TRANSFER):
		return nil, refuse(ck.CKR_WRAPPING_KEY_TYPE_INCONSISTENT, "not a transfer request")
	case !r.may(ck.CKA_WRAP):
		return nil, refuse(ck.CKR_KEY_FUNCTION_NOT_PERMITTED, "CKA_WRAP is FALSE")
	case !r.allows(ck.CKM_ONCELEAF_PARTITION):
		return nil, refuse(ck.CKR_MECHANISM_INVALID, "the request's CKA_ALLOWED_MECHANISMS do not name it")
	}
	parsed, err := backup.ParseRequest(r.stored[ck.CKA_VALUE])
	if err != nil {
		return nil, refuse(ck.CKR_WRAPPING_KEY_HANDLE_INVALID, "%w", err)
	}
	return &Giving{t, k, parsed, count}, nil
}

// transferable is an HSS private key whose leaves may go elsewhere.
func (t *Token) transferable(id ObjectID) (*object, error) {
	o, err := t.object(id)
	switch {
	case err != nil:
		return nil, refuse(ck.CKR_KEY_HANDLE_INVALID, "%w", err)
	case o.class() != ck.CKO_PRIVATE_KEY:
		return nil, refuse(ck.CKR_KEY_NOT_WRAPPABLE, "not a private key")
	case !o.is(ck.CKO_PRIVATE_KEY, ck.CKK_HSS) || o.owner != 0:
		return nil, refuse(ck.CKR_KEY_UNEXTRACTABLE, "not an HSS key of the token")
	case !t.userIs(ck.CKU_USER):
		return nil, refuse(ck.CKR_USER_NOT_LOGGED_IN, "the secret of a token key opens for the user alone")
	}
	return o, nil
}

// RefuseWrap is why no other mechanism than CKM_ONCELEAF_PARTITION wraps a key: CKR_KEY_UNEXTRACTABLE for private keys,
// CKR_MECHANISM_INVALID for others.
func (t *Token) RefuseWrap(id ObjectID, mechanism ck.MechanismType) error {
	o, err := t.object(id)
	if err != nil {
		return refuse(ck.CKR_KEY_HANDLE_INVALID, "%w", err)
	}
	if o.class() == ck.CKO_PRIVATE_KEY {
		return refuse(ck.CKR_KEY_UNEXTRACTABLE, "leaves go to another token by %s alone", ck.CKM_ONCELEAF_PARTITION)
	}
	return refuse(ck.CKR_MECHANISM_INVALID, "%s is not offered for this", mechanism)
}

// Size is the length in bytes of the capsule that Give will return. It gives nothing.
func (g *Giving) Size() (int, error) {
	size, err := backup.CapsuleSize(g.token.keys, g.key.key.identity, g.request, g.token.self(), g.count)
	return size, unusableRequest(err)
}

// Give is the capsule. The leaves are gone from this token, durably, before it returns; the same request again gives
// the same bytes.
func (g *Giving) Give(ctx context.Context) ([]byte, error) {
	g.token.giving.Lock() // one request is answered by one key: the check and the gift are one step
	defer g.token.giving.Unlock()
	capsule, err := backup.Partition(ctx, g.token.keys, g.key.key.identity, g.request, g.token.self(), g.count)
	g.token.watch(g.key) // less is left, of less
	return capsule, unusableRequest(err)
}

// unusableRequest gives the errors that are about the request their result.
func unusableRequest(err error) error {
	if errors.Is(err, backup.ErrNotForUs) || errors.Is(err, keystore.ErrAcknowledged) {
		return refuse(ck.CKR_WRAPPING_KEY_HANDLE_INVALID, "%w", err)
	}
	return err
}

// Receive is C_UnwrapKey with CKM_ONCELEAF_PARTITION: it opens the capsule with the transfer key, takes the leaves in,
// and destroys both halves of the transfer key. The HSS private key gets its label, id and rights from the template,
// since the capsule brings none, and a public key object appears with the same label and id. A key of which other
// leaves are here already keeps the attributes it has.
func (t *Token) Receive(ctx context.Context, s Session, transfer ObjectID, capsule []byte, template []Attribute) (ObjectID, error) {
	private, err := hssPrivateReceived.fill(template)
	if err != nil {
		return "", err
	}
	delete(private, ck.CKA_ONCELEAF_TRANSFERABLE) // the keystore keeps it
	private.received()
	if err := t.mayWrite(s, private); err != nil {
		return "", err
	}
	key, err := t.transferKey(transfer)
	if err != nil {
		return "", err
	}
	reserve, err := reserveOf(private, capsule)
	if err != nil {
		return "", err
	}
	public, err := publicOf(private)
	if err != nil {
		return "", err
	}
	identity, err := backup.Import(ctx, t.keys, key, capsule, t.self(), backup.Attributes{
		Reserve: reserve,
		Private: func(k lms.HSSPublicKey, _ []lms.ParameterSet) []byte { return private.render(k) },
		Public:  func(k lms.HSSPublicKey, _ []lms.ParameterSet) []byte { return public.render(k) },
	})
	if err != nil {
		return "", err
	}
	t.tidyAfterImport(key.Request().Fingerprint())
	id := ObjectID(privatePrefix + identity.String())
	if o := t.find(id); o != nil {
		t.watch(o)
	}
	return id, nil
}

// reserveOf is takeReserve for the key in a capsule, whose levels are read before it is opened: to open it takes long.
func reserveOf(private Attributes, capsule []byte) (uint64, error) {
	c, err := backup.ParseCapsule(capsule)
	if err != nil {
		return 0, err
	}
	return private.takeReserve(c.Levels())
}

// publicOf are the attributes of the public key that appears with a received private key.
func publicOf(private Attributes) (Attributes, error) {
	var template []Attribute
	for _, shared := range []ck.AttributeType{ck.CKA_LABEL, ck.CKA_ID, ck.CKA_SUBJECT, ck.CKA_START_DATE, ck.CKA_END_DATE, ck.CKA_TOKEN} {
		template = append(template, Attribute{shared, private[shared]})
	}
	public, err := hssPublic.fill(template)
	if err != nil {
		return nil, err
	}
	public.received()
	return public, nil
}

// transferKey opens the secret half of a transfer key.
func (t *Token) transferKey(id ObjectID) (*backup.TransferKey, error) {
	o, err := t.object(id)
	switch {
	case err != nil:
		return nil, refuse(ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID, "%w", err)
	case !o.is(ck.CKO_PRIVATE_KEY, ck.CKK_ONCELEAF_TRANSFER):
		return nil, refuse(ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, "not a transfer key")
	case !o.may(ck.CKA_UNWRAP):
		return nil, refuse(ck.CKR_KEY_FUNCTION_NOT_PERMITTED, "CKA_UNWRAP is FALSE")
	case !o.allows(ck.CKM_ONCELEAF_PARTITION):
		return nil, refuse(ck.CKR_MECHANISM_INVALID, "the key's CKA_ALLOWED_MECHANISMS do not name it")
	}
	secret, err := t.open(o.sealed, t.transferContext(o.stored[ck.CKA_ONCELEAF_FINGERPRINT]))
	if err != nil {
		return nil, fmt.Errorf("couldn't open the transfer key: %w", err)
	}
	defer keystore.Wipe(secret)
	return backup.ParseTransferKey(secret)
}

// tidyAfterImport destroys both halves of a used transfer key. The import is durable by now and cannot be repeated, so a
// failure here is no failure of the import: what is left over opens nothing any more.
func (t *Token) tidyAfterImport(fingerprint string) {
	t.edits.Lock()
	defer t.edits.Unlock()
	for _, o := range t.all() {
		if o.keyType() != ck.CKK_ONCELEAF_TRANSFER || string(o.stored[ck.CKA_ONCELEAF_FINGERPRINT]) != fingerprint {
			continue
		}
		if err := t.dropLoose(o.id); err != nil {
			t.log.Error("a used transfer key could not be destroyed; it opens nothing any more", "token", t.serial, "error", err)
		}
	}
}

// Acknowledge is C_UnwrapKey with CKM_ONCELEAF_RECEIPT: the receipt shows that the capsule arrived, and the source
// forgets it. CKR_WRAPPED_KEY_INVALID if it shows nothing of the kind.
func (t *Token) Acknowledge(s Session, key ObjectID, receipt []byte) error {
	o, err := t.object(key)
	switch {
	case err != nil:
		return refuse(ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID, "%w", err)
	case !o.is(ck.CKO_PRIVATE_KEY, ck.CKK_HSS) || o.owner != 0:
		return refuse(ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, "not an HSS private key of the token")
	case !t.userIs(ck.CKU_USER):
		return refuse(ck.CKR_USER_NOT_LOGGED_IN, "a receipt needs the user")
	case !s.ReadWrite:
		return refuse(ck.CKR_SESSION_READ_ONLY, "a receipt changes the key's record")
	}
	return backup.Acknowledge(t.keys, o.key.identity, receipt)
}

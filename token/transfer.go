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
func (seat *Seat) GenerateTransferKey(s Session, scheme uint64, public, private []Attribute) (pub, priv ObjectID, err error) {
	form, err := transferScheme(scheme)
	if err != nil {
		return "", "", err
	}
	pubAttributes, err := transferPublic.fill(generate, public)
	if err != nil {
		return "", "", err
	}
	privAttributes, err := transferPrivate.fill(generate, private)
	if err != nil {
		return "", "", err
	}
	if err := errors.Join(seat.mayMake(s, privAttributes), seat.mayMake(s, pubAttributes)); err != nil {
		return "", "", err
	}
	key, err := backup.NewTransferKey(form, seat.token.self())
	if err != nil {
		return "", "", err
	}
	pubAttributes[ck.CKA_VALUE] = key.Request().Bytes()
	return seat.addTransferKey(s, key, pubAttributes, privAttributes)
}

// addTransferKey stores both halves; as token objects, in one durable write.
func (seat *Seat) addTransferKey(s Session, key *backup.TransferKey, public, private Attributes) (pub, priv ObjectID, err error) {
	fingerprint := []byte(key.Request().Fingerprint())
	for _, a := range []Attributes{public, private} {
		a[ck.CKA_ONCELEAF_FINGERPRINT] = fingerprint
		a.generated(ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN)
	}
	secret := key.Secret()
	defer clear(secret)
	sealed, err := seat.seal(secret, seat.token.transferContext(fingerprint))
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
	if err := seat.add(s, pubObject, privObject); err != nil {
		return "", "", err
	}
	return pubObject.id, privObject.id, nil
}

// Giving is a checked call of C_WrapKey with CKM_ONCELEAF_PARTITION.
type Giving struct {
	seat    *Seat
	key     *object
	request *backup.Request
	count   uint64 // root leaves; 0 for half of the free ones
}

// Giving checks whether leaves of the HSS private key may go to the destination of the transfer request. It gives
// nothing yet. CKR_KEY_UNEXTRACTABLE unless the key was made transferable.
func (seat *Seat) Giving(s Session, request, key ObjectID, count uint64) (*Giving, error) {
	if !s.ReadWrite {
		return nil, refuse(ck.CKR_SESSION_READ_ONLY, "giving leaves away changes the key's record")
	}
	k, err := seat.transferable(key)
	if err != nil {
		return nil, err
	}
	r, err := seat.object(request)
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
	return &Giving{seat, k, parsed, count}, nil
}

// transferable is an HSS private key whose leaves may go elsewhere.
func (seat *Seat) transferable(id ObjectID) (*object, error) {
	o, err := seat.object(id)
	switch {
	case err != nil:
		return nil, refuse(ck.CKR_KEY_HANDLE_INVALID, "%w", err)
	case o.class() != ck.CKO_PRIVATE_KEY:
		return nil, refuse(ck.CKR_KEY_NOT_WRAPPABLE, "not a private key")
	case !o.is(ck.CKO_PRIVATE_KEY, ck.CKK_HSS) || o.owner != 0:
		return nil, refuse(ck.CKR_KEY_UNEXTRACTABLE, "not an HSS key of the token")
	}
	return o, seat.mayUse(o)
}

// RefuseWrap is why no other mechanism than CKM_ONCELEAF_PARTITION wraps a key: CKR_KEY_UNEXTRACTABLE for private keys,
// CKR_MECHANISM_INVALID for others.
func (seat *Seat) RefuseWrap(id ObjectID, mechanism ck.MechanismType) error {
	o, err := seat.object(id)
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
	t := g.seat.token
	size, err := backup.CapsuleSize(t.keys, g.key.key.identity, g.request, t.self(), g.count)
	return size, unusableRequest(err)
}

// Give is the capsule. The leaves are gone from this token, durably, before it returns; the same request again gives
// the same bytes. CKR_USER_NOT_LOGGED_IN after a logout at this seat.
func (g *Giving) Give(ctx context.Context) ([]byte, error) {
	t := g.seat.token
	t.giving.Lock() // one request is answered by one key: the check and the gift are one step
	defer t.giving.Unlock()
	if err := g.seat.mayUse(g.key); err != nil { // now: it may have waited
		return nil, err
	}
	ctx, login, stop := g.seat.whileUser(ctx)
	defer stop()
	capsule, err := backup.Partition(ctx, t.keys, g.key.key.identity, g.request, t.self(), g.count)
	t.watch(g.key) // less is left, of less
	return capsule, unusableRequest(login.result(err))
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
// leaves are here already keeps the attributes it has. CKR_USER_NOT_LOGGED_IN unless the user is logged in.
func (seat *Seat) Receive(ctx context.Context, s Session, transfer ObjectID, capsule []byte, template []Attribute) (ObjectID, error) {
	if !seat.userIs(ck.CKU_USER) { // whatever the template says: the leaves come under the master key
		return "", refuse(ck.CKR_USER_NOT_LOGGED_IN, "leaves are taken in by the user alone")
	}
	private, err := hssPrivate.fill(unwrap, template)
	if err != nil {
		return "", err
	}
	delete(private, ck.CKA_ONCELEAF_TRANSFERABLE) // the keystore keeps it
	private.received()
	if err := seat.mayMake(s, private); err != nil {
		return "", err
	}
	key, err := seat.transferKey(transfer)
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
	ctx, login, stop := seat.whileUser(ctx)
	defer stop()
	identity, err := backup.Import(ctx, seat.token.keys, key, capsule, seat.token.self(), backup.Attributes{
		Reserve: reserve,
		Private: func(k lms.HSSPublicKey, _ []lms.ParameterSet) []byte { return private.render(k) },
		Public:  func(k lms.HSSPublicKey, _ []lms.ParameterSet) []byte { return public.render(k) },
	})
	if err != nil {
		return "", login.result(err)
	}
	seat.tidyAfterImport(key.Request().Fingerprint())
	id := ObjectID(privatePrefix + identity.String())
	if o := seat.find(id); o != nil {
		seat.token.watch(o)
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
	public, err := hssPublic.fill(generate, template)
	if err != nil {
		return nil, err
	}
	public.received()
	return public, nil
}

// transferKey opens the secret half of a transfer key.
func (seat *Seat) transferKey(id ObjectID) (*backup.TransferKey, error) {
	o, err := seat.object(id)
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
	secret, err := seat.open(o.sealed, seat.token.transferContext(o.stored[ck.CKA_ONCELEAF_FINGERPRINT]))
	if err != nil {
		return nil, fmt.Errorf("couldn't open the transfer key: %w", err)
	}
	defer keystore.Wipe(secret)
	return backup.ParseTransferKey(secret)
}

// tidyAfterImport destroys both halves of a used transfer key. The import is durable by now and cannot be repeated, so a
// failure here is no failure of the import: what is left over opens nothing any more.
func (seat *Seat) tidyAfterImport(fingerprint string) {
	seat.token.edits.Lock()
	defer seat.token.edits.Unlock()
	for _, o := range seat.candidates([]Attribute{{ck.CKA_ONCELEAF_FINGERPRINT, []byte(fingerprint)}}) {
		if o.keyType() != ck.CKK_ONCELEAF_TRANSFER || string(o.stored[ck.CKA_ONCELEAF_FINGERPRINT]) != fingerprint {
			continue
		}
		if o.owner != 0 {
			seat.drop(o.id)
		} else if err := seat.token.dropLoose(o.id); err != nil {
			seat.token.log.Error("a used transfer key could not be destroyed; it opens nothing any more", "token", seat.token.serial, "error", err)
		}
	}
}

// Acknowledge is C_UnwrapKey with CKM_ONCELEAF_RECEIPT: the receipt shows that the capsule arrived, and the source
// forgets it. CKR_WRAPPED_KEY_INVALID if it shows nothing of the kind.
func (seat *Seat) Acknowledge(s Session, key ObjectID, receipt []byte) error {
	o, err := seat.object(key)
	switch {
	case err != nil:
		return refuse(ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID, "%w", err)
	case !o.is(ck.CKO_PRIVATE_KEY, ck.CKK_HSS) || o.owner != 0:
		return refuse(ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, "not an HSS private key of the token")
	case !seat.userIs(ck.CKU_USER):
		return refuse(ck.CKR_USER_NOT_LOGGED_IN, "a receipt needs the user")
	case !s.ReadWrite:
		return refuse(ck.CKR_SESSION_READ_ONLY, "a receipt changes the key's record")
	}
	return backup.Acknowledge(seat.token.keys, o.key.identity, receipt)
}

package token

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

// Signer is an HSS private key that passed the checks of C_SignInit.
type Signer struct {
	seat *Seat
	key  *object
	// Size is the length in bytes of every signature of the key. It follows from the parameters alone.
	Size int
}

// Signer checks what C_SignInit has to: the key, its right to sign, the login, and that a leaf is left. It takes no
// leaf. CKR_OBJECT_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID for what is no key, CKR_KEY_TYPE_INCONSISTENT,
// CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_MECHANISM_INVALID, CKR_USER_NOT_LOGGED_IN; keystore.ErrExhausted,
// ErrExternal and ErrQuarantined.
func (seat *Seat) Signer(id ObjectID, mechanism ck.MechanismType) (*Signer, error) {
	if err := checkMechanism(mechanism, ck.CKF_SIGN); err != nil {
		return nil, err
	}
	o, err := seat.object(id)
	if err != nil {
		return nil, err
	}
	if err := o.usable(ck.CKO_PRIVATE_KEY, ck.CKA_SIGN, mechanism); err != nil {
		return nil, err
	}
	if err := seat.mayUse(o); err != nil {
		return nil, err
	}
	if err := o.key.keys.Usable(o.key.identity); err != nil {
		return nil, advised(err)
	}
	size, err := o.key.keys.SignatureSize(o.key.identity)
	if err != nil {
		return nil, err
	}
	return &Signer{seat, o, size}, nil
}

// mayUse says whether the secret of an HSS private key may be used here: that of a token key for the user alone. The
// keystore is no help, for it is open while the user is logged in at any seat.
func (seat *Seat) mayUse(o *object) error {
	if o.needsUser() && !seat.userIs(ck.CKU_USER) {
		return refuse(ck.CKR_USER_NOT_LOGGED_IN, "the secret of a token key opens for the user alone")
	}
	return nil
}

// needsUser reports whether an HSS private key is used by the user alone: one of the token, or a private one.
func (o *object) needsUser() bool { return o.owner == 0 || o.private() }

// usable checks class, type, right and allowed mechanisms of an HSS key.
func (o *object) usable(class ck.ObjectClass, right ck.AttributeType, mechanism ck.MechanismType) error {
	switch {
	case !isKey(o.class()):
		return refuse(ck.CKR_KEY_HANDLE_INVALID, "%s is no key", o.id)
	case !o.is(class, ck.CKK_HSS):
		return refuse(ck.CKR_KEY_TYPE_INCONSISTENT, "%s wants an HSS key of class %s", mechanism, class)
	case !o.may(right):
		return refuse(ck.CKR_KEY_FUNCTION_NOT_PERMITTED, "%s is FALSE", right)
	case !o.allows(mechanism):
		return refuse(ck.CKR_MECHANISM_INVALID, "the key's CKA_ALLOWED_MECHANISMS do not name %s", mechanism)
	}
	return nil
}

// Sign makes one HSS signature (RFC 8554 section 6.2) of Size bytes and costs one leaf. The errors are those of
// keystore.Keystore.Sign, ErrNoKey for a key that was destroyed since, and so on; CKR_USER_NOT_LOGGED_IN after a logout
// at this seat, which ends a signature that waits for a tree. One that is finished after the logout is dropped.
func (s *Signer) Sign(ctx context.Context, message []byte) ([]byte, error) {
	if !s.key.needsUser() {
		return s.sign(ctx, message)
	}
	if err := s.seat.mayUse(s.key); err != nil {
		return nil, err
	}
	ctx, login, stop := s.seat.whileUser(ctx)
	defer stop()
	signature, err := s.sign(ctx, message)
	if !login.over() {
		return signature, err
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return nil, fmt.Errorf("%w: %w", errLoggedOut, err)
	}
	return nil, errLoggedOut
}

func (s *Signer) sign(ctx context.Context, message []byte) ([]byte, error) {
	key := s.key.key
	ctx, stop := key.whileThere(ctx)
	defer stop()
	signature, err := key.keys.Sign(ctx, key.identity, message)
	s.seat.token.watch(s.key) // after an error too: a leaf may be burned
	if err != nil {
		keysEnded.Add(1) // perhaps
	}
	return signature, advised(key.afterEnd(err))
}

// advice is what the owner of a key can do when the key refuses.
var advice = []struct {
	err  error
	next string
}{
	{keystore.ErrExhausted, "this key is used up for good; make a new key, what this one signed can still be verified"},
	{keystore.ErrExternal, "it signs again when its newest capsule was brought back to this token, and not before"},
	{keystore.ErrQuarantined, "keep all files and find out why; it signs no more until then"},
}

// advised adds to the refusal of a key what to do next.
func advised(err error) error {
	for _, a := range advice {
		if errors.Is(err, a.err) {
			return fmt.Errorf("%w; %s", err, a.next)
		}
	}
	return err
}

// Verifier is an HSS public key that passed the checks of C_VerifyInit.
type Verifier struct {
	public            lms.HSSPublicKey
	shortest, longest int // bytes of its signatures
}

// Verifier checks what C_VerifyInit has to. Nobody needs to be logged in for a public object.
func (seat *Seat) Verifier(id ObjectID, mechanism ck.MechanismType) (*Verifier, error) {
	if err := checkMechanism(mechanism, ck.CKF_VERIFY); err != nil {
		return nil, err
	}
	o, err := seat.object(id)
	if err != nil {
		return nil, err
	}
	if err := o.usable(ck.CKO_PUBLIC_KEY, ck.CKA_VERIFY, mechanism); err != nil {
		return nil, err
	}
	v := &Verifier{public: *o.public}
	if o.key == nil {
		v.shortest, v.longest = signatureSizes(v.public)
		return v, nil
	}
	v.shortest, err = o.key.keys.SignatureSize(o.key.identity)
	v.longest = v.shortest
	return v, err
}

// signatureSizes bounds the signatures under a public key, in bytes. The key tells the parameters of the root tree
// and the number of the levels below, but not what they are.
func signatureSizes(k lms.HSSPublicKey) (shortest, longest int) {
	least, most := levelSizes()
	root := lms.HSSSignatureSize([]lms.ParameterSet{k.Root.Set})
	return root + (k.Levels-1)*least, root + (k.Levels-1)*most
}

// levelSizes bounds what one more level adds to a signature: an LMS signature and an LMS public key.
var levelSizes = sync.OnceValues(func() (least, most int) {
	least = math.MaxInt
	for _, set := range lms.ParameterSets() {
		size := set.SignatureSize() + set.PublicKeySize()
		least, most = min(least, size), max(most, size)
	}
	return least, most
})

// Verify is nil for a signature of message under the key. CKR_SIGNATURE_LEN_RANGE if no signature of the key has that
// length, else CKR_SIGNATURE_INVALID.
func (v *Verifier) Verify(message, signature []byte) error {
	if len(signature) < v.shortest || len(signature) > v.longest {
		return refuse(ck.CKR_SIGNATURE_LEN_RANGE, "a signature of %d bytes, %d to %d are possible", len(signature), v.shortest, v.longest)
	}
	if err := v.public.Verify(message, signature); err != nil {
		return refuse(ck.CKR_SIGNATURE_INVALID, "%w", err)
	}
	return nil
}

package token

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// What this token refuses although PKCS#11 would allow it, so that a SENSITIVE key stays unknown to the application
// that uses it: the attacks on C_WrapKey and C_UnwrapKey of Clulow (2003) and of Delaune, Kremer and Steel (2008).
// They all make one key do two things, at once or one after the other: wrap another key and decrypt the result.
//
//   - No AES key wraps and decrypts, or unwraps and encrypts. Whether a key wraps or unwraps is said when it is made and
//     never changes, for its copies neither; other rights over ciphertexts are only taken away. So no order of calls
//     joins two roles.
//   - A key that wraps or unwraps keys is itself not wrapped, and a key that was unwrapped, or that could be derived
//     twice, wraps and unwraps none: so no value has one role here and another there. What the SO marked as CKA_TRUSTED
//     is exempt.
//   - An AES key that wraps or unwraps derives nothing: CKM_AES_ECB_ENCRYPT_DATA is encryption.
//   - A SENSITIVE key is not wrapped by a secret key that the application could ever read, nor by a public key whose
//     private half is here and does more than unwrap. What comes out of a key that the application could not read is
//     SENSITIVE.
//   - A SENSITIVE key that may do less than its type can is not wrapped by a key that could bring it back with more.
//   - CKM_AES_CBC_PAD, which does not authenticate, serves keys alone whose value the application may know: with any
//     other it would encrypt and decrypt whatever it is given. What RSA's PKCS #1 v1.5 padding hides is not told.
//   - What a TRUSTED key brought leaves again, if at all, under a TRUSTED key only.
//   - A derived key that cannot be read is too long to be guessed: shorter ones tell a longer one byte by byte.
//
// What stays with the owner of a key: who may make an EXTRACTABLE key may wrap it with a public key of their own choice,
// of which they may have the private half. CKA_WRAP_WITH_TRUSTED is there to forbid that.

// defaultRoles are the rights that a template says nothing of. A key that the template has wrap or unwrap does nothing
// else; and it does not wrap if the template names the right to encrypt or decrypt.
func (s schema) defaultRoles(a Attributes) {
	ciphers := []ck.AttributeType{ck.CKA_ENCRYPT, ck.CKA_DECRYPT}
	wrappers := []ck.AttributeType{ck.CKA_WRAP, ck.CKA_UNWRAP}
	signers := []ck.AttributeType{ck.CKA_SIGN, ck.CKA_VERIFY}
	wraps := a.bool(ck.CKA_WRAP) || a.bool(ck.CKA_UNWRAP)
	chosen := slices.ContainsFunc(slices.Concat(ciphers, wrappers), func(t ck.AttributeType) bool { return a[t] != nil })
	s.defaultRole(a, slices.Concat(ciphers, signers), !wraps)
	s.defaultRole(a, wrappers, !chosen)
}

func (s schema) defaultRole(a Attributes, roles []ck.AttributeType, allowed bool) {
	for _, role := range roles {
		r := s[role]
		if !r.role || a[role] != nil {
			continue
		}
		a[role] = no
		if allowed {
			a[role] = r.value
		}
	}
}

// isCipher reports whether these are the attributes of a secret key that can encrypt and wrap. To other types the rights
// to do so mean nothing, and clients set them all.
func (a Attributes) isCipher() bool {
	return a.class() == ck.CKO_SECRET_KEY && a.keyType() == ck.CKK_AES
}

// admissible says whether an object with these attributes may be made. CKR_ATTRIBUTE_READ_ONLY for what is the SO's to
// say, CKR_TEMPLATE_INCONSISTENT for roles that do not go together.
func (s schema) admissible(a Attributes, officer bool) error {
	for attribute, r := range s {
		if r.officer && a.bool(attribute) && !officer {
			return refuse(ck.CKR_ATTRIBUTE_READ_ONLY, "%s is the SO's to set", attribute)
		}
	}
	switch {
	case !a.isCipher(): // the halves of a pair: see mayWrap
	case a.bool(ck.CKA_WRAP) && a.bool(ck.CKA_DECRYPT):
		return refuse(ck.CKR_TEMPLATE_INCONSISTENT, "a key that wraps does not decrypt")
	case a.bool(ck.CKA_UNWRAP) && a.bool(ck.CKA_ENCRYPT):
		return refuse(ck.CKR_TEMPLATE_INCONSISTENT, "a key that unwraps does not encrypt")
	case a.wrapsOrUnwraps() && a.bool(ck.CKA_DERIVE):
		return refuse(ck.CKR_TEMPLATE_INCONSISTENT, "a key that wraps or unwraps derives nothing")
	}
	return nil
}

// edit says whether C_SetAttributeValue may change the object so; officer if the SO asks.
func (o *object) edit(template []Attribute, officer bool) error {
	return o.schema.edit(o.stored, template, false, officer)
}

// edit says whether the attributes of an object, or of its copy, may be changed so. CKR_ATTRIBUTE_TYPE_INVALID,
// CKR_ATTRIBUTE_VALUE_INVALID, CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT.
func (s schema) edit(present Attributes, template []Attribute, copied, officer bool) error {
	for _, a := range template {
		if err := s.change(a, present[a.Type], copied); err != nil {
			return err
		}
		if _, _, err := lookup(template, a.Type); err != nil {
			return err
		}
		becomes := (Attributes{a.Type: a.Value}).bool(a.Type)
		if s[a.Type].officer && becomes != present.bool(a.Type) && !officer {
			return refuse(ck.CKR_ATTRIBUTE_READ_ONLY, "%s is the SO's to set", a.Type)
		}
	}
	return nil
}

// handlesKeys reports whether an object wraps or unwraps keys and does nothing else with data. This never changes.
func (o *object) handlesKeys() bool {
	if o.class() == ck.CKO_PRIVATE_KEY {
		return o.may(ck.CKA_UNWRAP) && !o.opensData()
	}
	return o.stored.wrapsOrUnwraps()
}

// opensData reports whether a private RSA key gives out what was encrypted for it: by decrypting it, or by signing it
// with CKM_RSA_X_509, which computes the same.
func (o *object) opensData() bool {
	return o.may(ck.CKA_DECRYPT) || o.may(ck.CKA_SIGN) && o.allows(ck.CKM_RSA_X_509)
}

// onceReadable reports whether the application may know the value of a private or secret key: it brought it along, or
// could read it at some time.
func (a Attributes) onceReadable() bool {
	return !a.bool(ck.CKA_ALWAYS_SENSITIVE) && !a.bool(ck.CKA_NEVER_EXTRACTABLE)
}

// extractable says whether a key may leave the token wrapped. CKR_KEY_HANDLE_INVALID for what is no key,
// CKR_KEY_NOT_WRAPPABLE for a public one, CKR_KEY_UNEXTRACTABLE.
func (o *object) extractable() error {
	switch {
	case !isKey(o.class()):
		return refuse(ck.CKR_KEY_HANDLE_INVALID, "not a key")
	case o.class() == ck.CKO_PUBLIC_KEY:
		return refuse(ck.CKR_KEY_NOT_WRAPPABLE, "a public key has nothing to hide")
	case o.keyType() == ck.CKK_HSS:
		return refuse(ck.CKR_KEY_UNEXTRACTABLE, "leaves go to another token by %s alone", ck.CKM_ONCELEAF_PARTITION)
	case !o.may(ck.CKA_EXTRACTABLE):
		return refuse(ck.CKR_KEY_UNEXTRACTABLE, "CKA_EXTRACTABLE is FALSE")
	}
	return nil
}

// known reports whether the application may know a key that wraps or unwraps, so that it learns nothing by what the
// token does with it. What a trusted key brought is not known, and has CKA_WRAP_WITH_TRUSTED.
func (o *object) known() bool {
	return o.stored.onceReadable() && !o.may(ck.CKA_TRUSTED) && !o.may(ck.CKA_WRAP_WITH_TRUSTED)
}

// opensWithCBC says whether a key may serve CKM_AES_CBC_PAD. CKR_MECHANISM_INVALID.
func (o *object) opensWithCBC() error {
	if !o.known() {
		return refuse(ck.CKR_MECHANISM_INVALID, "%s is not authenticated, and the key cannot be read", ck.CKM_AES_CBC_PAD)
	}
	return nil
}

// mayWrap says whether one key may wrap another one, which is extractable. CKR_MECHANISM_INVALID,
// CKR_KEY_NOT_WRAPPABLE.
func (seat *Seat) mayWrap(m ck.MechanismType, wrapping, key *object) error {
	if m == ck.CKM_AES_CBC_PAD {
		if err := wrapping.opensWithCBC(); err != nil {
			return err
		}
	}
	bound, err := DecodeTemplate(wrapping.stored[ck.CKA_WRAP_TEMPLATE])
	if err != nil {
		return err
	}
	trusted := wrapping.may(ck.CKA_TRUSTED)
	switch {
	case key.may(ck.CKA_WRAP_WITH_TRUSTED) && !trusted:
		return refuse(ck.CKR_KEY_NOT_WRAPPABLE, "only a key that the SO trusts may wrap it")
	case key.handlesKeys() && !(trusted && seat.keepsRoles(wrapping)):
		return refuse(ck.CKR_KEY_NOT_WRAPPABLE, "a key that wraps or unwraps could come back with another role")
	case key.may(ck.CKA_SENSITIVE) && key.restricted() && seat.bringsBack(wrapping):
		return refuse(ck.CKR_KEY_NOT_WRAPPABLE, "a key that may not do all could come back without its restrictions")
	case key.may(ck.CKA_SENSITIVE) && !trusted && seat.tells(wrapping):
		return refuse(ck.CKR_KEY_NOT_WRAPPABLE, "the application could open what this key wraps, and the key is sensitive")
	case !seat.matches(key, bound):
		return refuse(ck.CKR_KEY_NOT_WRAPPABLE, "the wrapping key's CKA_WRAP_TEMPLATE does not fit")
	}
	return nil
}

// tells reports whether the application could open, with this token's help, what a key wraps.
func (seat *Seat) tells(wrapping *object) bool {
	if wrapping.class() == ck.CKO_SECRET_KEY {
		return wrapping.stored.onceReadable()
	}
	return slices.ContainsFunc(seat.privateHalves(wrapping), func(half *object) bool {
		return !half.handlesKeys() || half.stored.onceReadable()
	})
}

// keepsRoles reports whether what a key wraps comes back here, if it does, as a key that wraps and so does not decrypt.
func (seat *Seat) keepsRoles(wrapping *object) bool {
	if !seat.bringsBack(wrapping) {
		return true
	}
	demanded, err := DecodeTemplate(wrapping.stored[ck.CKA_UNWRAP_TEMPLATE])
	return err == nil && slices.ContainsFunc(demanded, func(a Attribute) bool {
		return a.Type == ck.CKA_WRAP && bytes.Equal(a.Value, yes)
	})
}

// bringsBack reports whether what a key wraps can be unwrapped here.
func (seat *Seat) bringsBack(wrapping *object) bool {
	if wrapping.class() == ck.CKO_PUBLIC_KEY {
		return len(seat.privateHalves(wrapping)) > 0
	}
	return wrapping.may(ck.CKA_UNWRAP)
}

// restricted reports whether a key may do less than a template could ask for when the key is unwrapped: with named
// mechanisms alone, with the PIN for each use, or only one of encrypting and decrypting.
func (o *object) restricted() bool {
	return len(o.stored[ck.CKA_ALLOWED_MECHANISMS]) > 0 || o.may(ck.CKA_ALWAYS_AUTHENTICATE) ||
		o.stored.isCipher() && o.may(ck.CKA_ENCRYPT) != o.may(ck.CKA_DECRYPT)
}

// privateHalves are the private halves of a public RSA key, those that nobody sees now too.
func (seat *Seat) privateHalves(public *object) (halves []*object) {
	modulus := public.stored[ck.CKA_MODULUS]
	if modulus == nil {
		return nil
	}
	template := []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_PRIVATE_KEY)}, {ck.CKA_MODULUS, modulus}}
	for _, o := range seat.candidates(template) {
		if o.matches(template) {
			halves = append(halves, o)
		}
	}
	return halves
}

// mayUnwrap says whether a key with these attributes may come out of wrapped bytes. CKR_MECHANISM_INVALID,
// CKR_TEMPLATE_INCONSISTENT.
func mayUnwrap(m ck.MechanismType, unwrapping *object, a Attributes) error {
	if m == ck.CKM_AES_CBC_PAD {
		if err := unwrapping.opensWithCBC(); err != nil {
			return err
		}
	}
	trusted := unwrapping.may(ck.CKA_TRUSTED)
	switch {
	case a.class() == ck.CKO_SECRET_KEY && m == ck.CKM_AES_CBC_PAD:
		return refuse(ck.CKR_MECHANISM_INVALID, "%s is not authenticated and unwraps no secret key", m)
	case trusted && !a.bool(ck.CKA_WRAP_WITH_TRUSTED):
		return refuse(ck.CKR_TEMPLATE_INCONSISTENT, "what a trusted key brings leaves again under a trusted key only")
	case a.wrapsOrUnwraps() && !trusted:
		return refuse(ck.CKR_TEMPLATE_INCONSISTENT, "a key wraps or unwraps only if the SO trusts the one that brings it")
	case !a.bool(ck.CKA_SENSITIVE) && !unwrapping.known():
		return refuse(ck.CKR_TEMPLATE_INCONSISTENT, "what comes out of a key that cannot be read is sensitive")
	}
	return nil
}

// wrapsOrUnwraps reports whether these are the attributes of an AES key that does.
func (a Attributes) wrapsOrUnwraps() bool {
	return a.isCipher() && (a.bool(ck.CKA_WRAP) || a.bool(ck.CKA_UNWRAP))
}

// mayDerive says whether a key with these attributes may be derived, which can be done again with others.
// CKR_TEMPLATE_INCONSISTENT.
func mayDerive(a Attributes) error {
	if a.wrapsOrUnwraps() && !a.revealable() {
		return refuse(ck.CKR_TEMPLATE_INCONSISTENT, "a derived key wraps or unwraps only if it can be read")
	}
	return nil
}

// shortestHidden is the length in bytes of the shortest derived key that cannot be read.
const shortestHidden = 16

// hidesEnough says whether a derived value is long enough for a key with these attributes. CKR_ATTRIBUTE_VALUE_INVALID.
func (a Attributes) hidesEnough(value []byte) error {
	if a.class() == ck.CKO_SECRET_KEY && !a.revealable() && len(value) < shortestHidden {
		return refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, "a derived key of %d bytes: one that cannot be read has %d or more",
			len(value), shortestHidden)
	}
	return nil
}

// standIn is the secret key that CKM_RSA_PKCS unwraps where the padding is wrong: whoever sends wrapped bytes that were
// made up learns nothing from the answer (Bleichenbacher 1998; implicit rejection). It follows from the private key and
// the bytes, so that the same bytes always give the same key; length is in bytes, 0 if the template names none.
//
// The same bytes may be unwrapped again with other lengths. Wrapped bytes of a real key give it at one length, and
// stand-ins at all others; so what stands in at one length must say nothing of what does at another one.
func standIn(private Attributes, wrapped []byte, keyType ck.KeyType, length int) ([]byte, error) {
	expand := func(info string, n int) ([]byte, error) {
		return hkdf.Key(sha256.New, private[ck.CKA_PRIVATE_EXPONENT], wrapped, info, n)
	}
	if length == 0 {
		choice, err := expand("onceleaf stand-in length/2", 8)
		if err != nil {
			return nil, err
		}
		length = standInLength(choice, keyType, len(wrapped))
	}
	return expand(fmt.Sprintf("onceleaf stand-in key/2 %d", length), length)
}

// standInLength is the length of a key in wrapped bytes that hold none, by 8 bytes that stand for chance: for all types
// the same one, unless that is no length of the type.
func standInLength(choice []byte, keyType ck.KeyType, wrapped int) int {
	length := 1 + int(binary.BigEndian.Uint32(choice))%longestPadded(wrapped)
	if keyType == ck.CKK_AES && length != 16 && length != 24 && length != 32 {
		length = 16 + 8*int(binary.BigEndian.Uint32(choice[4:])%3)
	}
	return length
}

// longestPadded is the length of the longest key that PKCS #1 v1.5 pads to so many bytes: at least 11 are padding.
func longestPadded(wrapped int) int { return max(wrapped-11, 1) }

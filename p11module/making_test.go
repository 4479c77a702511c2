package p11module

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// Before each operation with such a key comes the PIN.
func TestAlwaysAuthenticate(t *testing.T) {
	b, h := newUserBench(t)
	_, key := b.ecPair(h, Attribute{Type: ck.CKA_ALWAYS_AUTHENTICATE, Value: truth(true)})
	with, room := Mechanism{Type: ck.CKM_ECDSA_SHA256}, Output{Room: 100}
	login := func(pin string) ck.RV { return b.m.Login(h, uint64(ck.CKU_CONTEXT_SPECIFIC), []byte(pin)) }
	sign := func(out Output) ck.RV { return third(b.m.Sign(h, part, out)) }
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, login(userPIN))
	for range 2 {
		b.must(b.m.SignInit(h, with, key))
		b.must(sign(Output{Query: true}))
		b.must(login(userPIN))
		b.want(ck.CKR_OPERATION_NOT_INITIALIZED, login(userPIN)) // nothing waits any more
		b.must(sign(room))
	}
	b.must(b.m.SignInit(h, with, key))
	b.want(ck.CKR_USER_NOT_LOGGED_IN, sign(room))
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, login(userPIN)) // the error has ended it

	b.must(b.m.SignInit(h, with, key))
	b.want(ck.CKR_PIN_INCORRECT, login("wrong"))
	b.must(b.m.LoginUser(h, uint64(ck.CKU_CONTEXT_SPECIFIC), []byte(userPIN), nil))
	b.must(b.m.SignUpdate(h, part))
	b.must(third(b.m.SignFinal(h, room)))

	other := b.open(0, true)
	b.must(b.m.SignInit(h, with, key))
	b.must(b.m.SignInit(other, with, key))
	b.must(login(userPIN)) // for this session alone
	b.want(ck.CKR_USER_NOT_LOGGED_IN, third(b.m.Sign(other, part, room)))
	b.must(sign(room))
}

func TestLoginUser(t *testing.T) {
	b := newTokenBench(t)
	h := b.open(0, true)
	b.must(b.m.LoginUser(h, uint64(ck.CKU_USER), []byte(userPIN), []byte("any name")))
	if b.state(h) != ck.CKS_RW_USER_FUNCTIONS {
		t.Error("nobody is logged in")
	}
	b.want(ck.CKR_USER_ALREADY_LOGGED_IN, b.m.LoginUser(h, uint64(ck.CKU_USER), []byte(userPIN), nil))
	b.want(ck.CKR_USER_TYPE_INVALID, b.m.LoginUser(h, 3, []byte(userPIN), nil))
	b.want(ck.CKR_ARGUMENTS_BAD, b.m.LoginUser(h, uint64(ck.CKU_USER), nil, nil))
}

func TestDigestKey(t *testing.T) {
	b, h := newUserBench(t)
	secret := bytes.Repeat([]byte{7}, 32)
	key, rv := b.m.CreateObject(h, []Attribute{{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_SECRET_KEY)},
		{Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_GENERIC_SECRET)}, {Type: ck.CKA_VALUE, Value: secret}})
	b.must(rv)
	digest := func() ck.RV { return b.m.DigestInit(h, Mechanism{Type: ck.CKM_SHA256}) }
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, b.m.DigestKey(h, key))
	b.must(digest())
	b.must(b.m.DigestUpdate(h, []byte("before ")))
	b.must(b.m.DigestKey(h, key))
	b.must(b.m.DigestUpdate(h, []byte(" after")))
	got, _, rv := b.m.DigestFinal(h, Output{Room: 32})
	b.must(rv)
	want := sha256.Sum256(append(append([]byte("before "), secret...), " after"...))
	if !bytes.Equal(got, want[:]) {
		t.Errorf("% x, want % x", got, want)
	}
	_, private := b.ecPair(h)
	for bad, want := range map[ck.ObjectHandle]ck.RV{99: ck.CKR_KEY_HANDLE_INVALID, private: ck.CKR_KEY_INDIGESTIBLE} {
		b.must(digest())
		b.want(want, b.m.DigestKey(h, bad))
		b.want(ck.CKR_OPERATION_NOT_INITIALIZED, b.m.DigestUpdate(h, nil))
	}
	b.must(digest())
	b.must(b.m.DigestKey(h, key))
	b.must(b.m.Logout(h)) // the digest was as private as the key
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, third(b.m.DigestFinal(h, Output{Room: 32})))
}

// generic is a template for a key whose value can be read.
func generic(length uint64, more ...Attribute) []Attribute {
	return append([]Attribute{{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_SECRET_KEY)}, {Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_GENERIC_SECRET)},
		{Type: ck.CKA_VALUE_LEN, Value: ulong(length)}, {Type: ck.CKA_SENSITIVE, Value: truth(false)}, {Type: ck.CKA_EXTRACTABLE, Value: truth(true)}}, more...)
}

func TestDeriveWithSaltKey(t *testing.T) {
	b, h := newUserBench(t)
	base := b.secretKey(h, ck.CKM_GENERIC_SECRET_KEY_GEN, Attribute{Type: ck.CKA_DERIVE, Value: truth(true)})
	salt := b.secretKey(h, ck.CKM_GENERIC_SECRET_KEY_GEN, Attribute{Type: ck.CKA_DERIVE, Value: truth(true)})
	derive := func(salt ck.ObjectHandle) (ck.ObjectHandle, ck.RV) {
		return b.m.DeriveKey(h, Mechanism{Type: ck.CKM_HKDF_DERIVE, Struct: &ck.HKDFParams{Extract: true, Expand: true,
			Hash: uint64(ck.CKM_SHA256), SaltType: ck.CKF_HKDF_SALT_KEY, SaltKey: salt}}, base, generic(40))
	}
	first, rv := derive(salt)
	b.must(rv)
	again, rv := derive(salt)
	b.must(rv)
	other, rv := derive(base)
	b.must(rv)
	value := func(key ck.ObjectHandle) string { return string(b.value(h, key, ck.CKA_VALUE)) }
	if len(value(first)) != 40 || value(first) != value(again) || value(first) == value(other) {
		t.Error("the salt has no effect, or chance has")
	}
	_, rv = derive(99)
	b.want(ck.CKR_KEY_HANDLE_INVALID, rv)
	_, rv = b.m.DeriveKey(h, Mechanism{Type: ck.CKM_HKDF_DERIVE}, 99, nil)
	b.want(ck.CKR_KEY_HANDLE_INVALID, rv)
}

// A key is wrapped and comes back; a length query and a short buffer give the length.
func TestWrapAndUnwrap(t *testing.T) {
	b, h := newUserBench(t)
	wrapping, rv := b.m.GenerateKey(h, Mechanism{Type: ck.CKM_AES_KEY_GEN}, []Attribute{{Type: ck.CKA_VALUE_LEN, Value: ulong(uint64(32))},
		{Type: ck.CKA_WRAP, Value: truth(true)}, {Type: ck.CKA_UNWRAP, Value: truth(true)}})
	b.must(rv)
	key := b.secretKey(h, ck.CKM_GENERIC_SECRET_KEY_GEN, Attribute{Type: ck.CKA_EXTRACTABLE, Value: truth(true)})
	with := Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP}
	_, length, rv := b.m.WrapKey(h, with, wrapping, key, Output{Query: true})
	if rv != ck.CKR_OK || length != 40 {
		t.Errorf("length %d, %s", length, rv.Error())
	}
	short, length, rv := b.m.WrapKey(h, with, wrapping, key, Output{Room: 39})
	if rv != ck.CKR_BUFFER_TOO_SMALL || length != 40 || short != nil {
		t.Errorf("%d bytes, length %d, %s", len(short), length, rv.Error())
	}
	wrapped, _, rv := b.m.WrapKey(h, with, wrapping, key, Output{Room: 40})
	b.must(rv)
	template := []Attribute{{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_SECRET_KEY)}, {Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_GENERIC_SECRET)}}
	back, rv := b.m.UnwrapKey(h, with, wrapping, wrapped, template)
	b.must(rv)
	hmac := Mechanism{Type: ck.CKM_SHA256_HMAC}
	if !bytes.Equal(b.signed(h, hmac, back), b.signed(h, hmac, key)) {
		t.Error("another key came back")
	}
	wrapped[5] ^= 1
	b.want(ck.CKR_WRAPPED_KEY_INVALID, second(b.m.UnwrapKey(h, with, wrapping, wrapped, template)))
	b.want(ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID, second(b.m.UnwrapKey(h, with, 99, wrapped, template)))
	b.want(ck.CKR_WRAPPING_KEY_HANDLE_INVALID, third(b.m.WrapKey(h, with, 99, key, Output{Query: true})))
	b.want(ck.CKR_KEY_HANDLE_INVALID, third(b.m.WrapKey(h, with, wrapping, 99, Output{Query: true})))
}

// A length query and a short buffer make no key.
func TestEncapsulate(t *testing.T) {
	b, h := newUserBench(t)
	pub, priv, rv := b.m.GenerateKeyPair(h, Mechanism{Type: ck.CKM_ML_KEM_KEY_PAIR_GEN},
		[]Attribute{{Type: ck.CKA_PARAMETER_SET, Value: ulong(ck.CKP_ML_KEM_768)}, {Type: ck.CKA_ENCAPSULATE, Value: truth(true)}},
		[]Attribute{{Type: ck.CKA_DECAPSULATE, Value: truth(true)}})
	b.must(rv)
	with, template := Mechanism{Type: ck.CKM_ML_KEM}, generic(32)
	before := len(b.find(h))
	_, length, key, rv := b.m.EncapsulateKey(h, with, pub, template, Output{Query: true})
	if rv != ck.CKR_OK || length != 1088 || key != 0 {
		t.Errorf("length %d, key %d, %s", length, key, rv.Error())
	}
	_, length, key, rv = b.m.EncapsulateKey(h, with, pub, template, Output{Room: 1087})
	if rv != ck.CKR_BUFFER_TOO_SMALL || length != 1088 || key != 0 {
		t.Errorf("length %d, key %d, %s", length, key, rv.Error())
	}
	if now := len(b.find(h)); now != before {
		t.Errorf("%d objects, %d before", now, before)
	}
	encapsulated, _, key, rv := b.m.EncapsulateKey(h, with, pub, template, Output{Room: 1088})
	b.must(rv)
	other, rv := b.m.DecapsulateKey(h, with, priv, template, encapsulated)
	b.must(rv)
	if secret := b.value(h, key, ck.CKA_VALUE); len(secret) != 32 || !bytes.Equal(secret, b.value(h, other, ck.CKA_VALUE)) {
		t.Errorf("a secret of %d bytes, or two", len(secret))
	}
	_, _, _, rv = b.m.EncapsulateKey(h, with, 99, template, Output{Query: true})
	b.want(ck.CKR_KEY_HANDLE_INVALID, rv)
	b.want(ck.CKR_KEY_HANDLE_INVALID, second(b.m.DecapsulateKey(h, with, 99, template, encapsulated)))
}

// A template in a key comes back entry by entry, and the token says what the entries are.
func TestReadTemplates(t *testing.T) {
	b, h := newUserBench(t)
	key := b.secretKey(h, ck.CKM_GENERIC_SECRET_KEY_GEN, Attribute{Type: ck.CKA_DERIVE, Value: truth(true)},
		Attribute{Type: ck.CKA_DERIVE_TEMPLATE, Nested: []Attribute{{Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_AES)}, {Type: ck.CKA_LABEL, Value: []byte("derived")}}})
	read := func(out Output, places ...AttributeQuery) (AttributeResult, ck.RV) {
		if !out.Query && places == nil {
			places = []AttributeQuery{}
		}
		results, rv := b.m.GetAttributeValue(h, key, []AttributeQuery{{Type: ck.CKA_DERIVE_TEMPLATE, Output: out, Nested: places}})
		return results[0], rv
	}
	if r, rv := read(Output{Query: true}); rv != ck.CKR_OK || r.Length != 2*attributeSize || r.Nested != nil {
		t.Errorf("%+v, %s", r, rv.Error())
	}
	place := AttributeQuery{Output: Output{Room: 20}}
	if r, rv := read(Output{Room: attributeSize}, place); rv != ck.CKR_BUFFER_TOO_SMALL || r.Length != ck.UNAVAILABLE {
		t.Errorf("%+v, %s", r, rv.Error())
	}
	r, rv := read(Output{Room: 3 * attributeSize}, place, place, place)
	b.must(rv)
	got := map[ck.AttributeType]string{}
	for _, entry := range r.Nested {
		got[entry.Type] = string(entry.Value)
	}
	if r.Length != 2*attributeSize || got[ck.CKA_KEY_TYPE] != string(ulong(ck.CKK_AES)) || got[ck.CKA_LABEL] != "derived" {
		t.Errorf("%+v", r)
	}
	r, rv = read(Output{Room: 2 * attributeSize}, AttributeQuery{Output: Output{Query: true}}, AttributeQuery{Output: Output{Room: 1}})
	if rv != ck.CKR_BUFFER_TOO_SMALL || r.Nested[0].Value != nil && r.Nested[1].Value != nil {
		t.Errorf("%+v, %s", r, rv.Error())
	}
}

// HSS private keys come from nowhere but generation and capsules.
func TestNoHSSPrivateKeyIsMade(t *testing.T) {
	b, h := newUserBench(t)
	_, priv := b.generate(h, true, h5w8)
	_, private := templates(true, "made", h5w8)
	b.want(ck.CKR_TEMPLATE_INCONSISTENT, second(b.m.CreateObject(h, append(private, Attribute{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PRIVATE_KEY)},
		Attribute{Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_HSS)}, Attribute{Type: ck.CKA_VALUE, Value: make([]byte, 48)}))))
	b.want(ck.CKR_ACTION_PROHIBITED, second(b.m.CopyObject(h, priv, []Attribute{{Type: ck.CKA_COPYABLE, Value: truth(true)}})))
	wrapping := b.secretKeyWith(h, ck.CKA_WRAP)
	for _, with := range []ck.MechanismType{ck.CKM_AES_KEY_WRAP, ck.CKM_AES_KEY_WRAP_KWP, ck.CKM_AES_CBC_PAD} {
		b.want(ck.CKR_KEY_UNEXTRACTABLE, third(b.m.WrapKey(h, Mechanism{Type: with, Parameter: nil}, wrapping, priv, Output{Room: 1 << 20})))
	}
	unwrapping := b.secretKeyWith(h, ck.CKA_UNWRAP)
	_, rv := b.m.UnwrapKey(h, Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP}, unwrapping, make([]byte, 56),
		[]Attribute{{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PRIVATE_KEY)}, {Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_HSS)}})
	if rv == ck.CKR_OK {
		t.Error("an HSS key was unwrapped")
	}
	_, rv = b.m.DeriveKey(h, Mechanism{Type: ck.CKM_HKDF_DERIVE, Struct: &ck.HKDFParams{Extract: true, Hash: uint64(ck.CKM_SHA256), SaltType: 1}}, priv, generic(32))
	if rv == ck.CKR_OK {
		t.Error("a key was derived from an HSS key")
	}
}

// secretKeyWith is an AES key with one right.
func (b *bench) secretKeyWith(h ck.SessionHandle, right ck.AttributeType) ck.ObjectHandle {
	b.Helper()
	key, rv := b.m.GenerateKey(h, Mechanism{Type: ck.CKM_AES_KEY_GEN}, []Attribute{{Type: ck.CKA_VALUE_LEN, Value: ulong(uint64(32))}, {Type: right, Value: truth(true)}})
	b.must(rv)
	return key
}

// Every token says which profiles of the standard it follows.
func TestProfiles(t *testing.T) {
	b := newTokenBench(t)
	h := b.open(0, true)
	found := b.findAll(h, Attribute{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PROFILE)})
	if len(found) != profiles {
		t.Fatalf("%d profiles", len(found))
	}
	ids := map[uint64]bool{}
	for _, object := range found {
		ids[readUlong(b.value(h, object, ck.CKA_PROFILE_ID))] = true
		b.want(ck.CKR_ACTION_PROHIBITED, b.m.DestroyObject(h, object))
	}
	if !ids[uint64(ck.CKP_BASELINE_PROVIDER)] || !ids[uint64(ck.CKP_EXTENDED_PROVIDER)] {
		t.Errorf("%v", ids)
	}
}

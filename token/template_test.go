package token

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

// levelsOf are the three attributes that say what a key is.
func levelsOf(n uint64, types, otsTypes []uint64) []Attribute {
	return []Attribute{{ck.CKA_HSS_LEVELS, Ulong(n)}, {ck.CKA_HSS_LMS_TYPES, Ulongs(types...)}, {ck.CKA_HSS_LMOTS_TYPES, Ulongs(otsTypes...)}}
}

func oneLevel() []Attribute { return levelsOf(1, []uint64{5}, []uint64{4}) }

// result is the CK_RV of an error, CKR_OK without one.
func result(err error) ck.RV {
	var rv ck.RV
	if err != nil && !errors.As(err, &rv) {
		return ck.CKR_GENERAL_ERROR
	}
	return rv
}

func TestLevels(t *testing.T) {
	repeat := func(n int, v uint64) []uint64 { return slices.Repeat([]uint64{v}, n) }
	for _, c := range []struct {
		name     string
		template []Attribute
		want     ck.RV
	}{
		{"one level", oneLevel(), ck.CKR_OK},
		{"eight levels", levelsOf(8, repeat(8, 5), repeat(8, 4)), ck.CKR_OK},
		{"levels of different height and width", levelsOf(3, []uint64{6, 5, 5}, []uint64{3, 4, 2}), ck.CKR_OK},
		{"SHA-256/192", levelsOf(2, []uint64{0xa, 0xa}, []uint64{8, 7}), ck.CKR_OK},
		{"SHAKE256/256", levelsOf(1, []uint64{0xf}, []uint64{0xc}), ck.CKR_OK},
		{"SHAKE256/192", levelsOf(1, []uint64{0x14}, []uint64{0x10}), ck.CKR_OK},
		{"no template at all", nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{"no levels", oneLevel()[1:], ck.CKR_TEMPLATE_INCOMPLETE},
		{"no LMS types", []Attribute{oneLevel()[0], oneLevel()[2]}, ck.CKR_TEMPLATE_INCOMPLETE},
		{"no LM-OTS types", oneLevel()[:2], ck.CKR_TEMPLATE_INCOMPLETE},
		{"zero levels", levelsOf(0, nil, nil), ck.CKR_TEMPLATE_INCONSISTENT},
		{"nine levels", levelsOf(9, repeat(9, 5), repeat(9, 4)), ck.CKR_TEMPLATE_INCONSISTENT},
		{"endless levels", levelsOf(math.MaxUint64, repeat(1, 5), repeat(1, 4)), ck.CKR_TEMPLATE_INCONSISTENT},
		{"too few LMS types", levelsOf(2, repeat(1, 5), repeat(2, 4)), ck.CKR_TEMPLATE_INCONSISTENT},
		{"too many LMS types", levelsOf(1, repeat(2, 5), repeat(1, 4)), ck.CKR_TEMPLATE_INCONSISTENT},
		{"too few LM-OTS types", levelsOf(2, repeat(2, 5), repeat(1, 4)), ck.CKR_TEMPLATE_INCONSISTENT},
		{"too many LM-OTS types", levelsOf(1, repeat(1, 5), repeat(2, 4)), ck.CKR_TEMPLATE_INCONSISTENT},
		{"unknown LMS type", levelsOf(1, repeat(1, 0x19), repeat(1, 4)), ck.CKR_TEMPLATE_INCONSISTENT},
		{"LMS type zero", levelsOf(1, repeat(1, 0), repeat(1, 4)), ck.CKR_TEMPLATE_INCONSISTENT},
		{"unknown LM-OTS type", levelsOf(1, repeat(1, 5), repeat(1, 0x11)), ck.CKR_TEMPLATE_INCONSISTENT},
		{"a type of more than 32 bits", levelsOf(1, repeat(1, 1<<32|5), repeat(1, 4)), ck.CKR_TEMPLATE_INCONSISTENT},
		{"m=32 with n=24", levelsOf(1, repeat(1, 5), repeat(1, 8)), ck.CKR_TEMPLATE_INCONSISTENT},
		{"SHA-256 with SHAKE", levelsOf(1, repeat(1, 5), repeat(1, 0xc)), ck.CKR_TEMPLATE_INCONSISTENT},
		{"n=32 above n=24", levelsOf(2, []uint64{5, 0xa}, []uint64{4, 8}), ck.CKR_TEMPLATE_INCONSISTENT},
		{"SHA-256 above SHAKE", levelsOf(2, []uint64{5, 0xf}, []uint64{4, 0xc}), ck.CKR_TEMPLATE_INCONSISTENT},
		{"types of another width", []Attribute{oneLevel()[0], oneLevel()[2], {ck.CKA_HSS_LMS_TYPES, []byte{5, 0, 0, 0}}}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"levels of another width", append(oneLevel()[1:], Attribute{ck.CKA_HSS_LEVELS, []byte{1, 0, 0, 0}}), ck.CKR_ATTRIBUTE_VALUE_INVALID},
	} {
		p, err := planKey(nil, c.template)
		if got := result(err); got != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want.Error())
		}
		if err == nil && len(p.levels) != int(parseUlongs(c.template[0].Value)[0]) {
			t.Errorf("%s: %d levels", c.name, len(p.levels))
		}
	}
}

// One attribute more in the private or the public template of a key pair.
func TestKeyTemplates(t *testing.T) {
	type row struct {
		attribute ck.AttributeType
		value     []byte
		private   ck.RV
		public    ck.RV
	}
	const (
		ok           = ck.CKR_OK
		inconsistent = ck.CKR_TEMPLATE_INCONSISTENT
		readOnly     = ck.CKR_ATTRIBUTE_READ_ONLY
		invalid      = ck.CKR_ATTRIBUTE_VALUE_INVALID
		unknown      = ck.CKR_ATTRIBUTE_TYPE_INVALID
	)
	for _, r := range []row{
		{ck.CKA_CLASS, Ulong(ck.CKO_PRIVATE_KEY), ok, inconsistent},
		{ck.CKA_CLASS, Ulong(ck.CKO_PUBLIC_KEY), inconsistent, ok},
		{ck.CKA_CLASS, []byte{2}, invalid, invalid},
		{ck.CKA_KEY_TYPE, Ulong(ck.CKK_HSS), ok, ok},
		{ck.CKA_KEY_TYPE, Ulong(ck.CKK_XMSS), inconsistent, inconsistent},
		{ck.CKA_TOKEN, yes, ok, ok},
		{ck.CKA_TOKEN, no, ok, ok},
		{ck.CKA_TOKEN, []byte{2}, invalid, invalid},
		{ck.CKA_TOKEN, nil, invalid, invalid},
		{ck.CKA_PRIVATE, yes, ok, ok},
		{ck.CKA_PRIVATE, no, ok, ok},
		{ck.CKA_MODIFIABLE, no, ok, ok},
		{ck.CKA_DESTROYABLE, no, ok, ok},
		{ck.CKA_COPYABLE, no, ok, ok},
		{ck.CKA_COPYABLE, yes, inconsistent, ok},
		{ck.CKA_SENSITIVE, yes, ok, inconsistent},
		{ck.CKA_SENSITIVE, no, inconsistent, inconsistent},
		{ck.CKA_EXTRACTABLE, no, ok, inconsistent},
		{ck.CKA_EXTRACTABLE, yes, inconsistent, inconsistent},
		{ck.CKA_LABEL, []byte("label"), ok, ok},
		{ck.CKA_LABEL, make([]byte, maxValue+1), invalid, invalid},
		{ck.CKA_ID, []byte{1}, ok, ok},
		{ck.CKA_SUBJECT, []byte{0x30, 0}, ok, ok},
		{ck.CKA_START_DATE, []byte("20261130"), ok, ok},
		{ck.CKA_END_DATE, []byte{}, ok, ok},
		{ck.CKA_END_DATE, []byte("20261332"), invalid, invalid},
		{ck.CKA_END_DATE, []byte("2026"), invalid, invalid},
		{ck.CKA_SIGN, yes, ok, inconsistent},
		{ck.CKA_SIGN, no, ok, inconsistent},
		{ck.CKA_VERIFY, yes, inconsistent, ok},
		{ck.CKA_VERIFY, no, inconsistent, ok},
		{ck.CKA_DERIVE, no, ok, ok},
		{ck.CKA_DERIVE, yes, inconsistent, inconsistent},
		{ck.CKA_DECRYPT, no, ok, inconsistent},
		{ck.CKA_DECRYPT, yes, inconsistent, inconsistent},
		{ck.CKA_SIGN_RECOVER, yes, inconsistent, inconsistent},
		{ck.CKA_UNWRAP, no, ok, inconsistent},
		{ck.CKA_UNWRAP, yes, inconsistent, inconsistent},
		{ck.CKA_ENCRYPT, no, inconsistent, ok},
		{ck.CKA_ENCRYPT, yes, inconsistent, inconsistent},
		{ck.CKA_WRAP, yes, inconsistent, inconsistent},
		{ck.CKA_VERIFY_RECOVER, yes, inconsistent, inconsistent},
		{ck.CKA_TRUSTED, yes, inconsistent, inconsistent},
		{ck.CKA_TRUSTED, no, inconsistent, ok},
		{ck.CKA_ALWAYS_AUTHENTICATE, no, ok, inconsistent},
		{ck.CKA_ALWAYS_AUTHENTICATE, yes, inconsistent, inconsistent},
		{ck.CKA_WRAP_WITH_TRUSTED, no, ok, inconsistent},
		{ck.CKA_WRAP_WITH_TRUSTED, yes, inconsistent, inconsistent},
		{ck.CKA_ALLOWED_MECHANISMS, Ulongs(ck.CKM_HSS), ok, ok},
		{ck.CKA_ALLOWED_MECHANISMS, []byte{1}, invalid, invalid},
		{ck.CKA_UNWRAP_TEMPLATE, empty, ok, inconsistent},
		{ck.CKA_UNWRAP_TEMPLATE, make([]byte, 24), invalid, inconsistent},
		{ck.CKA_LOCAL, yes, readOnly, readOnly},
		{ck.CKA_KEY_GEN_MECHANISM, Ulong(ck.CKM_HSS_KEY_PAIR_GEN), readOnly, readOnly},
		{ck.CKA_ALWAYS_SENSITIVE, yes, readOnly, inconsistent},
		{ck.CKA_NEVER_EXTRACTABLE, yes, readOnly, inconsistent},
		{ck.CKA_UNIQUE_ID, []byte("x"), readOnly, readOnly},
		{ck.CKA_PUBLIC_KEY_INFO, []byte("x"), readOnly, readOnly},
		{ck.CKA_VALUE, []byte("x"), inconsistent, inconsistent},
		{ck.CKA_HSS_LEVELS, Ulong(uint64(1)), ok, inconsistent},
		{ck.CKA_HSS_LEVELS, Ulong(uint64(2)), inconsistent, inconsistent}, // given twice
		{ck.CKA_HSS_LMS_TYPES, Ulongs(uint64(5)), ok, inconsistent},
		{ck.CKA_HSS_LMOTS_TYPES, Ulongs(uint64(4)), ok, inconsistent},
		{ck.CKA_HSS_LMS_TYPE, Ulong(uint64(5)), inconsistent, inconsistent},
		{ck.CKA_HSS_LMOTS_TYPE, Ulong(uint64(4)), inconsistent, inconsistent},
		{ck.CKA_HSS_KEYS_REMAINING, Ulong(uint64(32)), inconsistent, inconsistent},
		{ck.CKA_ONCELEAF_TRANSFERABLE, no, ok, inconsistent},
		{ck.CKA_ONCELEAF_TRANSFERABLE, yes, inconsistent, inconsistent}, // a session key
		{ck.CKA_ONCELEAF_RECEIPT, []byte("x"), readOnly, inconsistent},
		{ck.CKA_ONCELEAF_STATE, []byte("x"), readOnly, inconsistent},
		{ck.CKA_ONCELEAF_RESERVE, Ulong(uint64(0)), ok, inconsistent},
		{ck.CKA_ONCELEAF_RESERVE, Ulong(uint64(32)), ok, inconsistent}, // all leaves of the tree at once
		{ck.CKA_ONCELEAF_RESERVE, Ulong(uint64(33)), inconsistent, inconsistent},
		{ck.CKA_ONCELEAF_RESERVE, Ulong(uint64(math.MaxUint64)), inconsistent, inconsistent},
		{ck.CKA_ONCELEAF_RESERVE, []byte{1}, invalid, inconsistent},
		{ck.CKA_ONCELEAF_WARN_BELOW, Ulong(uint64(0)), ok, inconsistent},
		{ck.CKA_ONCELEAF_WARN_BELOW, Ulong(uint64(100)), ok, inconsistent},
		{ck.CKA_ONCELEAF_WARN_BELOW, Ulong(uint64(101)), invalid, inconsistent},
		{ck.CKA_ONCELEAF_WARN_BELOW, []byte{10}, invalid, inconsistent},
		{ck.CKA_ONCELEAF_LOW, yes, readOnly, inconsistent},
		{ck.CKA_MODULUS, []byte{1}, inconsistent, inconsistent},
		{ck.CKA_EC_PARAMS, []byte{1}, inconsistent, inconsistent},
		{0xCE534351, []byte{1}, unknown, unknown},
	} {
		more := Attribute{r.attribute, r.value}
		if _, err := planKey(nil, append(oneLevel(), more)); result(err) != r.private {
			t.Errorf("private, %s = %x: %v, want %s", r.attribute, clip(r.value), err, r.private.Error())
		}
		if _, err := planKey([]Attribute{more}, oneLevel()); result(err) != r.public {
			t.Errorf("public, %s = %x: %v, want %s", r.attribute, clip(r.value), err, r.public.Error())
		}
	}
}

func clip(value []byte) []byte { return value[:min(len(value), 16)] }

// An attribute may be given twice as long as both say the same.
func TestGivenTwice(t *testing.T) {
	label := func(text string) Attribute { return Attribute{ck.CKA_LABEL, []byte(text)} }
	for _, c := range []struct {
		one, two string
		want     ck.RV
	}{{"a", "a", ck.CKR_OK}, {"a", "b", ck.CKR_TEMPLATE_INCONSISTENT}, {"", "b", ck.CKR_TEMPLATE_INCONSISTENT}} {
		twice := []Attribute{label(c.one), label(c.two)}
		if _, err := planKey(nil, append(oneLevel(), twice...)); result(err) != c.want {
			t.Errorf("private, %q and %q: %v", c.one, c.two, err)
		}
		if _, err := planKey(twice, oneLevel()); result(err) != c.want {
			t.Errorf("public, %q and %q: %v", c.one, c.two, err)
		}
	}
}

func TestTransferableTokenKey(t *testing.T) {
	p, err := planKey(nil, append(oneLevel(), Attribute{ck.CKA_TOKEN, yes}, Attribute{ck.CKA_ONCELEAF_TRANSFERABLE, yes}))
	if err != nil || !p.transferable {
		t.Errorf("%+v, %v", p, err)
	}
}

// Every attribute that PKCS#11 gives objects of these classes is there and has its standard default.
func TestDefaults(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	pub, priv, err := tk.GenerateHSS(t.Context(), s, nil, oneLevel())
	if err != nil {
		t.Fatal(err)
	}
	both := map[ck.AttributeType][]byte{
		ck.CKA_KEY_TYPE: Ulong(ck.CKK_HSS), ck.CKA_TOKEN: no, ck.CKA_MODIFIABLE: yes, ck.CKA_DESTROYABLE: yes, ck.CKA_LABEL: empty, ck.CKA_ID: empty,
		ck.CKA_START_DATE: empty, ck.CKA_END_DATE: empty, ck.CKA_DERIVE: no, ck.CKA_LOCAL: yes, ck.CKA_SUBJECT: empty,
		ck.CKA_KEY_GEN_MECHANISM: Ulong(ck.CKM_HSS_KEY_PAIR_GEN), ck.CKA_ALLOWED_MECHANISMS: empty,
		ck.CKA_OBJECT_VALIDATION_FLAGS: Ulong(uint64(0)), ck.CKA_DERIVE_TEMPLATE: empty,
		ck.CKA_HSS_LEVELS: Ulong(uint64(1)),
	}
	tk.expect(priv, both)
	tk.expect(pub, both)
	tk.expect(priv, map[ck.AttributeType][]byte{
		ck.CKA_CLASS: Ulong(ck.CKO_PRIVATE_KEY), ck.CKA_PRIVATE: yes, ck.CKA_SENSITIVE: yes, ck.CKA_EXTRACTABLE: no, ck.CKA_COPYABLE: no,
		ck.CKA_ALWAYS_SENSITIVE: yes, ck.CKA_NEVER_EXTRACTABLE: yes, ck.CKA_SIGN: yes, ck.CKA_SIGN_RECOVER: no, ck.CKA_DECRYPT: no,
		ck.CKA_UNWRAP: no, ck.CKA_DECAPSULATE: no, ck.CKA_WRAP_WITH_TRUSTED: no, ck.CKA_ALWAYS_AUTHENTICATE: no, ck.CKA_UNWRAP_TEMPLATE: empty,
		ck.CKA_HSS_LMS_TYPES: Ulongs(uint64(5)), ck.CKA_HSS_LMOTS_TYPES: Ulongs(uint64(4)), ck.CKA_HSS_KEYS_REMAINING: Ulong(uint64(32)),
		ck.CKA_ONCELEAF_TRANSFERABLE: no, ck.CKA_ONCELEAF_RECEIPT: empty,
		ck.CKA_ONCELEAF_RESERVE: Ulong(uint64(1)), ck.CKA_ONCELEAF_WARN_BELOW: Ulong(uint64(10)), ck.CKA_ONCELEAF_LOW: no,
	})
	tk.expect(pub, map[ck.AttributeType][]byte{
		ck.CKA_CLASS: Ulong(ck.CKO_PUBLIC_KEY), ck.CKA_PRIVATE: no, ck.CKA_COPYABLE: yes, ck.CKA_VERIFY: yes, ck.CKA_VERIFY_RECOVER: no, ck.CKA_ENCRYPT: no,
		ck.CKA_WRAP: no, ck.CKA_ENCAPSULATE: no, ck.CKA_TRUSTED: no, ck.CKA_WRAP_TEMPLATE: empty,
		ck.CKA_HSS_LMS_TYPE: Ulong(uint64(5)), ck.CKA_HSS_LMOTS_TYPE: Ulong(uint64(4)),
	})
	unique := map[string]bool{}
	for _, id := range []ObjectID{pub, priv} {
		unique[string(tk.value(id, ck.CKA_UNIQUE_ID))] = true
	}
	if len(unique) != 2 || unique[""] {
		t.Errorf("CKA_UNIQUE_ID: %v", unique)
	}
	if !bytes.Equal(tk.value(pub, ck.CKA_PUBLIC_KEY_INFO), tk.value(priv, ck.CKA_PUBLIC_KEY_INFO)) {
		t.Error("the halves have different CKA_PUBLIC_KEY_INFO")
	}
	for _, c := range []struct {
		id        ObjectID
		attribute ck.AttributeType
		want      ck.RV
	}{
		{priv, ck.CKA_VALUE, ck.CKR_ATTRIBUTE_SENSITIVE}, {priv, ck.CKA_HSS_LMS_TYPE, ck.CKR_ATTRIBUTE_TYPE_INVALID},
		{priv, ck.CKA_VERIFY, ck.CKR_ATTRIBUTE_TYPE_INVALID}, {pub, ck.CKA_SIGN, ck.CKR_ATTRIBUTE_TYPE_INVALID},
		{pub, ck.CKA_HSS_KEYS_REMAINING, ck.CKR_ATTRIBUTE_TYPE_INVALID}, {pub, ck.CKA_MODULUS, ck.CKR_ATTRIBUTE_TYPE_INVALID},
		{pub, 0x4711, ck.CKR_ATTRIBUTE_TYPE_INVALID},
	} {
		if got := result(tk.read(c.id, c.attribute).Err); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.id, c.attribute, got.Error(), c.want.Error())
		}
	}
}

// Each attribute of each schema can be read from an object that was made by it.
func TestNoAttributeIsForgotten(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	for _, onToken := range [][]byte{yes, no} {
		_, _, err := tk.GenerateHSS(t.Context(), s, []Attribute{{ck.CKA_TOKEN, onToken}}, append(oneLevel(), Attribute{ck.CKA_TOKEN, onToken}))
		if err != nil {
			t.Fatal(err)
		}
		pub, _, err := tk.GenerateTransferKey(s, ck.TRANSFER_HPKE, []Attribute{{ck.CKA_TOKEN, onToken}}, []Attribute{{ck.CKA_TOKEN, onToken}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = tk.Create(s, []Attribute{
			{ck.CKA_CLASS, Ulong(ck.CKO_PUBLIC_KEY)}, {ck.CKA_KEY_TYPE, Ulong(ck.CKK_ONCELEAF_TRANSFER)},
			{ck.CKA_VALUE, tk.value(pub, ck.CKA_VALUE)}, {ck.CKA_TOKEN, onToken},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	objects := tk.all()
	if len(objects) != 10+len(profiles) {
		t.Fatalf("%d objects", len(objects))
	}
	for _, o := range objects {
		for attribute := range o.schema {
			_, err := o.value(attribute)
			secret := attribute == ck.CKA_VALUE && o.class() == ck.CKO_PRIVATE_KEY
			if (err != nil) != secret {
				t.Errorf("%s: %s: %v", o.id, attribute, err)
			}
		}
	}
}

func TestCreateTemplates(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	pub, _, err := tk.GenerateHSS(t.Context(), s, nil, oneLevel())
	if err != nil {
		t.Fatal(err)
	}
	transfer, _, err := tk.GenerateTransferKey(s, ck.TRANSFER_HPKE, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	value, info, request := tk.value(pub, ck.CKA_VALUE), tk.value(pub, ck.CKA_PUBLIC_KEY_INFO), tk.value(transfer, ck.CKA_VALUE)
	public := Attribute{ck.CKA_CLASS, Ulong(ck.CKO_PUBLIC_KEY)}
	hss, ours := Attribute{ck.CKA_KEY_TYPE, Ulong(ck.CKK_HSS)}, Attribute{ck.CKA_KEY_TYPE, Ulong(ck.CKK_ONCELEAF_TRANSFER)}
	key := []Attribute{public, hss, {ck.CKA_VALUE, value}}
	with := func(base []Attribute, more ...Attribute) []Attribute { return append(slices.Clone(base), more...) }
	for _, c := range []struct {
		name     string
		template []Attribute
		want     ck.RV
	}{
		{"public key", key, ck.CKR_OK},
		{"public key with its SPKI", with(key, Attribute{ck.CKA_PUBLIC_KEY_INFO, info}), ck.CKR_OK},
		{"public key with another SPKI", with(key, Attribute{ck.CKA_PUBLIC_KEY_INFO, info[1:]}), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"empty template", nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{"no class", key[1:], ck.CKR_TEMPLATE_INCOMPLETE},
		{"no key type", []Attribute{key[0], key[2]}, ck.CKR_TEMPLATE_INCOMPLETE},
		{"no value", key[:2], ck.CKR_TEMPLATE_INCOMPLETE},
		{"value too short", []Attribute{public, hss, {ck.CKA_VALUE, value[:len(value)-1]}}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"value too long", []Attribute{public, hss, {ck.CKA_VALUE, append(slices.Clone(value), 0)}}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"value in an OCTET STRING", []Attribute{public, hss, {ck.CKA_VALUE, append([]byte{4, byte(len(value))}, value...)}}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"empty value", []Attribute{public, hss, {ck.CKA_VALUE, nil}}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"levels", with(key, Attribute{ck.CKA_HSS_LEVELS, Ulong(uint64(1))}), ck.CKR_TEMPLATE_INCONSISTENT},
		{"LMS type", with(key, Attribute{ck.CKA_HSS_LMS_TYPE, Ulong(uint64(5))}), ck.CKR_TEMPLATE_INCONSISTENT},
		{"LM-OTS type", with(key, Attribute{ck.CKA_HSS_LMOTS_TYPE, Ulong(uint64(4))}), ck.CKR_TEMPLATE_INCONSISTENT},
		{"local", with(key, Attribute{ck.CKA_LOCAL, yes}), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"trusted", with(key, Attribute{ck.CKA_TRUSTED, yes}), ck.CKR_TEMPLATE_INCONSISTENT},
		{"two classes", with(key, Attribute{ck.CKA_CLASS, Ulong(ck.CKO_PRIVATE_KEY)}), ck.CKR_TEMPLATE_INCONSISTENT},
		{"class of another width", with(key[1:], Attribute{ck.CKA_CLASS, []byte{2, 0, 0, 0}}), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"unknown attribute", with(key, Attribute{0x4711, nil}), ck.CKR_ATTRIBUTE_TYPE_INVALID},
		{"HSS private key", []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_PRIVATE_KEY)}, hss, {ck.CKA_VALUE, value}}, ck.CKR_TEMPLATE_INCONSISTENT},
		{"transfer private key", []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_PRIVATE_KEY)}, ours, {ck.CKA_VALUE, value}}, ck.CKR_TEMPLATE_INCONSISTENT},
		{"RSA key without exponent", []Attribute{public, {ck.CKA_KEY_TYPE, Ulong(ck.CKK_RSA)}, {ck.CKA_MODULUS, value}}, ck.CKR_TEMPLATE_INCOMPLETE},
		{"secret key without value", []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_SECRET_KEY)}, {ck.CKA_KEY_TYPE, Ulong(ck.CKK_AES)}}, ck.CKR_TEMPLATE_INCOMPLETE},
		{"certificate without type", []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_CERTIFICATE)}}, ck.CKR_TEMPLATE_INCOMPLETE},
		{"attribute certificate", []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_CERTIFICATE)}, {ck.CKA_CERTIFICATE_TYPE, Ulong(uint64(1))}}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"data", []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_DATA)}, {ck.CKA_VALUE, value}}, ck.CKR_OK},
		{"key of a type that is not offered", []Attribute{public, {ck.CKA_KEY_TYPE, Ulong(ck.CKK_XMSS)}, {ck.CKA_VALUE, value}}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"profile", []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_PROFILE)}, {ck.CKA_PROFILE_ID, Ulong(uint64(1))}}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"vendor class", []Attribute{{ck.CKA_CLASS, Ulong(ck.ObjectClass(0xCE534353))}}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"request", []Attribute{public, ours, {ck.CKA_VALUE, request}}, ck.CKR_OK},
		{"altered request", []Attribute{public, ours, {ck.CKA_VALUE, bytes.Replace(request, []byte("test token"), []byte("eve"), 1)}}, ck.CKR_OK}, // only the fingerprint tells
		{"spaced request", []Attribute{public, ours, {ck.CKA_VALUE, append([]byte(" "), request...)}}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"cut request", []Attribute{public, ours, {ck.CKA_VALUE, request[:100]}}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"request without value", []Attribute{public, ours}, ck.CKR_TEMPLATE_INCOMPLETE},
		{"request with fingerprint", []Attribute{public, ours, {ck.CKA_VALUE, request}, {ck.CKA_ONCELEAF_FINGERPRINT, []byte("x")}}, ck.CKR_ATTRIBUTE_READ_ONLY},
	} {
		_, err := tk.Create(s, c.template)
		if result(err) != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want.Error())
		}
	}
}

func TestChange(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	pub, priv, err := tk.GenerateHSS(t.Context(), s, []Attribute{{ck.CKA_TOKEN, yes}}, append(oneLevel(), Attribute{ck.CKA_TOKEN, yes}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		id        ObjectID
		attribute ck.AttributeType
		value     []byte
		want      ck.RV
	}{
		{priv, ck.CKA_LABEL, []byte("x"), ck.CKR_OK}, {priv, ck.CKA_ID, []byte("x"), ck.CKR_OK}, {priv, ck.CKA_SUBJECT, []byte("x"), ck.CKR_OK},
		{priv, ck.CKA_SIGN, no, ck.CKR_OK}, {priv, ck.CKA_SIGN, yes, ck.CKR_OK}, {pub, ck.CKA_VERIFY, no, ck.CKR_OK},
		{priv, ck.CKA_START_DATE, []byte("20260101"), ck.CKR_OK}, {priv, ck.CKA_START_DATE, []byte("x"), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{priv, ck.CKA_SENSITIVE, yes, ck.CKR_OK}, {priv, ck.CKA_SENSITIVE, no, ck.CKR_ATTRIBUTE_READ_ONLY},
		{priv, ck.CKA_EXTRACTABLE, no, ck.CKR_OK}, {priv, ck.CKA_EXTRACTABLE, yes, ck.CKR_ATTRIBUTE_READ_ONLY},
		{priv, ck.CKA_COPYABLE, yes, ck.CKR_ATTRIBUTE_READ_ONLY}, {priv, ck.CKA_DERIVE, yes, ck.CKR_ATTRIBUTE_READ_ONLY},
		{priv, ck.CKA_TOKEN, no, ck.CKR_ATTRIBUTE_READ_ONLY}, {priv, ck.CKA_PRIVATE, no, ck.CKR_ATTRIBUTE_READ_ONLY},
		{priv, ck.CKA_MODIFIABLE, no, ck.CKR_ATTRIBUTE_READ_ONLY}, {priv, ck.CKA_CLASS, Ulong(ck.CKO_DATA), ck.CKR_ATTRIBUTE_READ_ONLY},
		{priv, ck.CKA_HSS_KEYS_REMAINING, Ulong(uint64(99)), ck.CKR_ATTRIBUTE_READ_ONLY}, {priv, ck.CKA_LOCAL, no, ck.CKR_ATTRIBUTE_READ_ONLY},
		{priv, ck.CKA_ONCELEAF_TRANSFERABLE, yes, ck.CKR_ATTRIBUTE_READ_ONLY}, {priv, ck.CKA_HSS_LEVELS, Ulong(uint64(2)), ck.CKR_ATTRIBUTE_READ_ONLY},
		{priv, ck.CKA_ONCELEAF_STATE, []byte("{}"), ck.CKR_ATTRIBUTE_READ_ONLY}, {pub, ck.CKA_VALUE, []byte("x"), ck.CKR_ATTRIBUTE_READ_ONLY},
		{pub, ck.CKA_MODULUS, []byte("x"), ck.CKR_ATTRIBUTE_TYPE_INVALID}, {pub, 0x4711, []byte("x"), ck.CKR_ATTRIBUTE_TYPE_INVALID},
		{priv, ck.CKA_UNIQUE_ID, []byte("x"), ck.CKR_ATTRIBUTE_READ_ONLY},
		{priv, ck.CKA_ONCELEAF_RESERVE, Ulong(uint64(1)), ck.CKR_ATTRIBUTE_READ_ONLY}, {priv, ck.CKA_ONCELEAF_LOW, no, ck.CKR_ATTRIBUTE_READ_ONLY},
		{priv, ck.CKA_ONCELEAF_WARN_BELOW, Ulong(uint64(50)), ck.CKR_OK}, {priv, ck.CKA_ONCELEAF_WARN_BELOW, Ulong(uint64(0)), ck.CKR_OK},
		{priv, ck.CKA_ONCELEAF_WARN_BELOW, Ulong(uint64(101)), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{priv, ck.CKA_ONCELEAF_WARN_BELOW, []byte{1}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{pub, ck.CKA_ONCELEAF_WARN_BELOW, Ulong(uint64(50)), ck.CKR_ATTRIBUTE_TYPE_INVALID},
	} {
		err := tk.Change(s, c.id, []Attribute{{c.attribute, c.value}})
		if result(err) != c.want {
			t.Errorf("%s = %x: %v, want %s", c.attribute, c.value, err, c.want.Error())
		}
		if err == nil && !bytes.Equal(tk.value(c.id, c.attribute), c.value) {
			t.Errorf("%s was not changed", c.attribute)
		}
	}
	err = tk.Change(s, priv, []Attribute{{ck.CKA_LABEL, []byte("a")}, {ck.CKA_LABEL, []byte("b")}})
	if result(err) != ck.CKR_TEMPLATE_INCONSISTENT {
		t.Errorf("two labels: %v", err)
	}
}

func TestKeysRemainingIsClamped(t *testing.T) {
	for remaining, want := range map[uint64]uint64{0: 0, 32: 32, 1<<32 - 1: 1<<32 - 1, 1 << 32: 1<<32 - 1, 1 << 40: 1<<32 - 1, math.MaxUint64: 1<<32 - 1} {
		value, ok := privateValue(keystore.Info{Remaining: remaining}, 0, ck.CKA_HSS_KEYS_REMAINING)
		if !ok || !bytes.Equal(value, Ulong(want)) {
			t.Errorf("%d: %x", remaining, value)
		}
	}
}

func TestPublicKeyInfo(t *testing.T) {
	key := func(set lms.ParameterSet) lms.HSSPublicKey {
		return lms.HSSPublicKey{Levels: 1, Root: lms.PublicKey{Set: set, Root: make([]byte, set.N())}}
	}
	for _, c := range []struct {
		set    lms.ParameterSet
		prefix []byte
		size   int
	}{
		{lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W8}, []byte("\x30\x4e\x30\x0d\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x03\x11\x03\x3d\x00"), 80},
		{lms.ParameterSet{LMS: lms.LMS_SHAKE_M24_H5, OTS: lms.LMOTS_SHAKE_N24_W8}, []byte("\x30\x46\x30\x0d\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x03\x11\x03\x35\x00"), 72},
	} {
		k := key(c.set)
		want := append(c.prefix, k.Bytes()...)
		if got := publicKeyInfo(k); !bytes.Equal(got, want) || len(got) != c.size {
			t.Errorf("%s: %x", c.set, got)
		}
	}
}

func TestSignatureSizes(t *testing.T) {
	top := lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H5, OTS: lms.LMOTS_SHA256_N32_W8}
	one := lms.HSSPublicKey{Levels: 1, Root: lms.PublicKey{Set: top}}
	if shortest, longest := signatureSizes(one); shortest != longest || shortest != lms.HSSSignatureSize([]lms.ParameterSet{top}) {
		t.Errorf("one level: %d to %d", shortest, longest)
	}
	three := lms.HSSPublicKey{Levels: 3, Root: lms.PublicKey{Set: top}}
	shortest, longest := signatureSizes(three)
	for _, middle := range lms.ParameterSets() {
		for _, low := range lms.ParameterSets() {
			if size := lms.HSSSignatureSize([]lms.ParameterSet{top, middle, low}); size < shortest || size > longest {
				t.Fatalf("%s, %s: %d bytes, bounds %d to %d", middle, low, size, shortest, longest)
			}
		}
	}
}

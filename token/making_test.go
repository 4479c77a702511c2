package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"maps"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/mechanism"
)

// How the objects of the standard mechanisms come into being.

// Parameters of curves in DER: the named curve's object identifier.
var (
	p256    = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}
	ed25519 = []byte{0x06, 0x03, 0x2b, 0x65, 0x70}
	x25519  = []byte{0x06, 0x03, 0x2b, 0x65, 0x6e}
)

// values are what attributes should be.
type values = map[ck.AttributeType][]byte

// by is a mechanism without a parameter.
func by(m ck.MechanismType) ck.Mechanism { return ck.Mechanism{Type: m} }

// length is CKA_VALUE_LEN, in bytes.
func length(n uint64) Attribute { return Attribute{ck.CKA_VALUE_LEN, Ulong(n)} }

func with(template []Attribute, more ...Attribute) []Attribute {
	return append(slices.Clone(template), more...)
}

// bools are rights or other CK_BBOOLs.
func bools(value []byte, attributes ...ck.AttributeType) (template []Attribute) {
	for _, a := range attributes {
		template = append(template, Attribute{a, value})
	}
	return template
}

func granted(attributes ...ck.AttributeType) []Attribute { return bools(yes, attributes...) }

// secretKey generates an AES key of 256 bits.
func (tk *testToken) secretKey(s Session, template ...Attribute) ObjectID {
	tk.Helper()
	id, err := tk.GenerateKey(s, by(ck.CKM_AES_KEY_GEN), with(template, length(32)))
	tk.must(err)
	return id
}

// imported creates an AES key of a value that the application knows.
func (tk *testToken) imported(s Session, value []byte, template ...Attribute) ObjectID {
	tk.Helper()
	id, err := tk.Create(s, with(template, aesKey(value)...))
	tk.must(err)
	return id
}

func aesKey(value []byte) []Attribute {
	return []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_SECRET_KEY)}, {ck.CKA_KEY_TYPE, Ulong(ck.CKK_AES)}, {ck.CKA_VALUE,
		value}}
}

// rsaPair generates an RSA key pair of 2048 bits.
func (tk *testToken) rsaPair(s Session, public, private []Attribute) (pub, priv ObjectID) {
	tk.Helper()
	pub, priv, err := tk.GenerateKeyPair(s, by(ck.CKM_RSA_PKCS_KEY_PAIR_GEN),
		with(public, Attribute{ck.CKA_MODULUS_BITS, Ulong(uint64(2048))}), private)
	tk.must(err)
	return pub, priv
}

// generations are all ways to generate a key or a pair.
var generations = []struct {
	mechanism ck.MechanismType
	keyType   ck.KeyType
	public    []Attribute // or the template of a secret key
	pair      bool
}{
	{ck.CKM_RSA_PKCS_KEY_PAIR_GEN, ck.CKK_RSA, []Attribute{{ck.CKA_MODULUS_BITS, Ulong(uint64(2048))}}, true},
	{ck.CKM_EC_KEY_PAIR_GEN, ck.CKK_EC, []Attribute{{ck.CKA_EC_PARAMS, p256}}, true},
	{ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, ck.CKK_EC_EDWARDS, []Attribute{{ck.CKA_EC_PARAMS, ed25519}}, true},
	{ck.CKM_EDDSA, ck.CKK_EC_EDWARDS, []Attribute{{ck.CKA_EC_PARAMS, ed25519}}, true},
	{ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, ck.CKK_EC_MONTGOMERY, []Attribute{{ck.CKA_EC_PARAMS, x25519}}, true},
	{ck.CKM_ML_DSA_KEY_PAIR_GEN, ck.CKK_ML_DSA, []Attribute{{ck.CKA_PARAMETER_SET, Ulong(ck.CKP_ML_DSA_65)}}, true},
	{ck.CKM_ML_KEM_KEY_PAIR_GEN, ck.CKK_ML_KEM, []Attribute{{ck.CKA_PARAMETER_SET, Ulong(ck.CKP_ML_KEM_768)}}, true},
	{ck.CKM_AES_KEY_GEN, ck.CKK_AES, []Attribute{length(24)}, false},
	{ck.CKM_GENERIC_SECRET_KEY_GEN, ck.CKK_GENERIC_SECRET, []Attribute{length(20)}, false},
}

// generated makes the objects of one row.
func (tk *testToken) generated(s Session, row int, more ...Attribute) []ObjectID {
	tk.Helper()
	g := generations[row]
	m := ck.Mechanism{Type: g.mechanism}
	if !g.pair {
		id, err := tk.GenerateKey(s, m, with(g.public, more...))
		tk.must(err)
		return []ObjectID{id}
	}
	pub, priv, err := tk.GenerateKeyPair(s, m, with(g.public, more...), more)
	tk.must(err)
	return []ObjectID{pub, priv}
}

// Every kind of key that can be generated has all attributes of its table, shows none of its secrets, and is the same
// after the token was opened again.
func TestGenerate(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	for row, g := range generations {
		for _, onToken := range [][]byte{no, yes} {
			for _, id := range tk.generated(s, row, Attribute{ck.CKA_TOKEN, onToken}, Attribute{ck.CKA_LABEL,
				[]byte("x")}) {
				tk.expectWhole(id)
				tk.expect(id, values{ck.CKA_KEY_TYPE: Ulong(g.keyType), ck.CKA_LOCAL: yes, ck.CKA_TOKEN: onToken,
					ck.CKA_LABEL: []byte("x")})
			}
		}
	}
	before := tk.publicAttributes()
	tk.reopen()
	tk.userSession()
	if after := tk.publicAttributes(); len(before) != len(after)+len(generations)*2-2 { // the session objects went
		t.Errorf("%d objects, and %d after the token was opened again", len(before), len(after))
	} else {
		for id, attributes := range after {
			if !maps.EqualFunc(before[id], attributes, bytes.Equal) {
				t.Errorf("%s has changed", id)
			}
		}
	}
}

// publicAttributes are the attributes that can be read, of all objects that are no profiles.
func (tk *testToken) publicAttributes() map[ObjectID]Attributes {
	all := map[ObjectID]Attributes{}
	for _, id := range tk.Find(nil) {
		o, err := tk.object(id)
		tk.must(err)
		if o.class() == ck.CKO_PROFILE {
			continue
		}
		all[id] = Attributes{}
		for attribute := range o.schema {
			if reading := tk.read(id, attribute); reading.Err == nil {
				all[id][attribute] = bytes.Clone(reading.Value)
			}
		}
	}
	return all
}

// expectWhole wants every attribute of an object to be there, and those that are hidden to be hidden.
func (tk *testToken) expectWhole(id ObjectID) {
	tk.Helper()
	o, err := tk.object(id)
	tk.must(err)
	for attribute, r := range o.schema {
		want := ck.CKR_OK
		if r.hidden && !o.stored.revealable() {
			want = ck.CKR_ATTRIBUTE_SENSITIVE
		}
		if got := tk.read(id, attribute); result(got.Err) != want {
			tk.Errorf("%s of %s: %v, want %s", attribute, o.keyType(), got.Err, want)
		}
	}
}

// What a key may read of its own past, for every answer that a template can give.
func TestPastOfKeys(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	for _, c := range []struct{ sensitive, extractable []byte }{{no, no}, {no, yes}, {yes, no}, {yes, yes}} {
		template := []Attribute{{ck.CKA_SENSITIVE, c.sensitive}, {ck.CKA_EXTRACTABLE, c.extractable}}
		never := Bool(bytes.Equal(c.extractable, no))
		tk.expect(tk.secretKey(s, template...), values{
			ck.CKA_ALWAYS_SENSITIVE: c.sensitive, ck.CKA_NEVER_EXTRACTABLE: never, ck.CKA_LOCAL: yes,
			ck.CKA_KEY_GEN_MECHANISM: Ulong(ck.CKM_AES_KEY_GEN)})
		tk.expect(tk.imported(s, make([]byte, 16), template...), values{
			ck.CKA_ALWAYS_SENSITIVE: no, ck.CKA_NEVER_EXTRACTABLE: no, ck.CKA_LOCAL: no,
			ck.CKA_KEY_GEN_MECHANISM: Ulong(ck.CK_UNAVAILABLE_MECHANISM)})
	}
	key := tk.secretKey(s, Attribute{ck.CKA_SENSITIVE, no}, Attribute{ck.CKA_EXTRACTABLE, yes})
	tk.must(tk.Change(s, key, []Attribute{{ck.CKA_SENSITIVE, yes}, {ck.CKA_EXTRACTABLE, no}}))
	tk.expect(key, values{ck.CKA_ALWAYS_SENSITIVE: no, ck.CKA_NEVER_EXTRACTABLE: no})
}

// Attributes of a secret key in the templates of all calls that make one.
func TestSecretTemplates(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	base := tk.secretKey(s, granted(ck.CKA_DERIVE)...)
	derivation := ck.Mechanism{Type: ck.CKM_AES_ECB_ENCRYPT_DATA, Struct: &ck.DerivationData{Data: make([]byte, 32)}}
	const (
		ok           = ck.CKR_OK
		inconsistent = ck.CKR_TEMPLATE_INCONSISTENT
		owned        = ck.CKR_ATTRIBUTE_READ_ONLY
		invalid      = ck.CKR_ATTRIBUTE_VALUE_INVALID
	)
	for _, r := range []struct {
		attribute                ck.AttributeType
		value                    []byte
		create, generate, derive ck.RV
	}{
		{ck.CKA_LABEL, []byte("x"), ok, ok, ok},
		{ck.CKA_CLASS, Ulong(ck.CKO_PUBLIC_KEY), inconsistent, inconsistent, inconsistent},
		{ck.CKA_LOCAL, yes, owned, owned, owned},
		{ck.CKA_ALWAYS_SENSITIVE, yes, owned, owned, owned},
		{ck.CKA_NEVER_EXTRACTABLE, yes, owned, owned, owned},
		{ck.CKA_KEY_GEN_MECHANISM, Ulong(ck.CKM_AES_KEY_GEN), owned, owned, owned},
		{ck.CKA_UNIQUE_ID, []byte("x"), owned, owned, owned},
		{ck.CKA_TRUSTED, yes, owned, owned, owned},
		{ck.CKA_TRUSTED, no, ok, ok, ok},
		{ck.CKA_VALUE_LEN, Ulong(uint64(32)), owned, ok, ok},
		{ck.CKA_VALUE_LEN, Ulong(uint64(16)), owned, inconsistent, inconsistent}, // given twice
		{ck.CKA_SENSITIVE, []byte{2}, invalid, invalid, invalid},
		{ck.CKA_MODULUS, []byte{1}, inconsistent, inconsistent, inconsistent},
		{0x4711, nil, ck.CKR_ATTRIBUTE_TYPE_INVALID, ck.CKR_ATTRIBUTE_TYPE_INVALID, ck.CKR_ATTRIBUTE_TYPE_INVALID},
		{ck.CKA_WRAP_TEMPLATE, EncodeTemplate(granted(ck.CKA_EXTRACTABLE)), ok, ok, ok},
		{ck.CKA_WRAP_TEMPLATE, []byte{1}, invalid, invalid, invalid},
		{ck.CKA_UNWRAP_TEMPLATE, EncodeTemplate([]Attribute{{ck.CKA_SIGN, []byte{7}}}), invalid, invalid, invalid},
		{ck.CKA_UNWRAP_TEMPLATE, EncodeTemplate([]Attribute{{ck.CKA_WRAP_TEMPLATE, empty}}), invalid, invalid, invalid},
		{ck.CKA_ALLOWED_MECHANISMS, Ulongs(ck.CKM_AES_GCM), ok, ok, ok},
	} {
		more := Attribute{r.attribute, r.value}
		_, err := tk.Create(s, append(aesKey(make([]byte, 32)), more))
		if result(err) != r.create {
			t.Errorf("create, %s = %x: %v, want %s", r.attribute, r.value, err, r.create)
		}
		length := length(32)
		if _, err = tk.GenerateKey(s, by(ck.CKM_AES_KEY_GEN), []Attribute{length, more}); result(err) != r.generate {
			t.Errorf("generate, %s = %x: %v, want %s", r.attribute, r.value, err, r.generate)
		}
		kind := Attribute{ck.CKA_KEY_TYPE, Ulong(ck.CKK_AES)}
		if _, err = tk.Derive(s, derivation, base, "", []Attribute{kind, length, more}); result(err) != r.derive {
			t.Errorf("derive, %s = %x: %v, want %s", r.attribute, r.value, err, r.derive)
		}
	}
}

// An empty template and one without what must be there.
func TestIncompleteTemplates(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	if _, err := tk.GenerateKey(s, by(ck.CKM_AES_KEY_GEN), nil); result(err) != ck.CKR_TEMPLATE_INCOMPLETE {
		t.Errorf("AES: %v", err)
	}
	for _, g := range generations {
		if !g.pair {
			continue
		}
		if _, _, err := tk.GenerateKeyPair(s, ck.Mechanism{Type: g.mechanism}, nil,
			nil); result(err) != ck.CKR_TEMPLATE_INCOMPLETE {
			t.Errorf("%s: %v", g.mechanism, err)
		}
		if _, err := tk.Create(s, []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_PRIVATE_KEY)}, {ck.CKA_KEY_TYPE,
			Ulong(g.keyType)}}); result(err) != ck.CKR_TEMPLATE_INCOMPLETE {
			t.Errorf("%s: %v", g.keyType, err)
		}
	}
	for _, m := range []ck.MechanismType{ck.CKM_AES_GCM, ck.CKM_HSS, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, 0x4711} {
		if _, err := tk.GenerateKey(s, ck.Mechanism{Type: m}, nil); result(err) != ck.CKR_MECHANISM_INVALID {
			t.Errorf("GenerateKey with %s: %v", m, err)
		}
	}
}

// A key that leaves in the clear comes in again as the same key: both halves of every pair, and secrets.
func TestCreateWhatWasGenerated(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	for row, g := range generations {
		open := []Attribute{{ck.CKA_EXTRACTABLE, yes}, {ck.CKA_SENSITIVE, no}}
		ids := []ObjectID{}
		if g.pair {
			pub, priv, err := tk.GenerateKeyPair(s, ck.Mechanism{Type: g.mechanism}, g.public, open)
			tk.must(err)
			ids = append(ids, pub, priv)
		} else {
			ids = tk.generated(s, row, open...)
		}
		for _, id := range ids {
			tk.recreate(s, id)
		}
	}
}

// recreate creates a key from what can be read of another, and compares the two.
func (tk *testToken) recreate(s Session, id ObjectID) {
	tk.Helper()
	o, err := tk.object(id)
	tk.must(err)
	template := []Attribute{}
	for attribute, r := range o.schema {
		if reading := tk.read(id, attribute); reading.Err == nil && r.in[create] != own && len(reading.Value) > 0 {
			template = append(template, Attribute{attribute, reading.Value})
		}
	}
	again, err := tk.Create(s, template)
	if err != nil {
		tk.Errorf("%s of type %s: %v", o.class(), o.keyType(), err)
		return
	}
	tk.expectWhole(again)
	for _, a := range []ck.AttributeType{ck.CKA_VALUE, ck.CKA_VALUE_LEN, ck.CKA_MODULUS, ck.CKA_MODULUS_BITS,
		ck.CKA_PRIVATE_EXPONENT, ck.CKA_EC_POINT,
		ck.CKA_CHECK_VALUE, ck.CKA_PUBLIC_KEY_INFO} {
		if _, belongs := o.schema[a]; belongs && !bytes.Equal(tk.value(id, a), tk.value(again, a)) {
			tk.Errorf("%s of type %s: another %s", o.class(), o.keyType(), a)
		}
	}
}

// A private key needs no more than its number: what follows from it is added.
func TestCreateCompletes(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	tk.must(err)
	template := []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_PRIVATE_KEY)}, {ck.CKA_KEY_TYPE, Ulong(ck.CKK_RSA)},
		{ck.CKA_MODULUS, append([]byte{0}, key.N.Bytes()...)}, {ck.CKA_PUBLIC_EXPONENT, []byte{0, 1, 0,
			1}}, {ck.CKA_PRIVATE_EXPONENT, key.D.Bytes()},
		{ck.CKA_SENSITIVE, no}, {ck.CKA_EXTRACTABLE, yes}}
	id, err := tk.Create(s, with(template, Attribute{ck.CKA_PRIME_1, key.Primes[0].Bytes()}, Attribute{ck.CKA_PRIME_2,
		key.Primes[1].Bytes()}))
	tk.must(err)
	tk.expect(id, values{ck.CKA_MODULUS: key.N.Bytes(), ck.CKA_COEFFICIENT: key.Precomputed.Qinv.Bytes(),
		ck.CKA_PUBLIC_EXPONENT: {1, 0, 1}})
	point := tk.value(tk.generated(s, 1)[0], ck.CKA_EC_POINT)
	public := []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_PUBLIC_KEY)}, {ck.CKA_KEY_TYPE, Ulong(ck.CKK_EC)},
		{ck.CKA_EC_PARAMS, p256}}
	raw, err := tk.Create(s, with(public, Attribute{ck.CKA_EC_POINT, point[2:]}))
	tk.must(err)
	tk.expect(raw, values{ck.CKA_EC_POINT: point})
	if _, err := tk.Create(s, with(public, Attribute{ck.CKA_EC_POINT,
		point[3:]})); result(err) != ck.CKR_ATTRIBUTE_VALUE_INVALID {
		t.Errorf("half a point: %v", err)
	}
	secret := tk.imported(s, make([]byte, 16), Attribute{ck.CKA_CHECK_VALUE, []byte{0x66, 0xe9,
		0x4b}}) // AES of zeros under zeros
	tk.expect(secret, values{ck.CKA_VALUE_LEN: Ulong(uint64(16))})
	if _, err := tk.Create(s, append(aesKey(make([]byte, 16)), Attribute{ck.CKA_CHECK_VALUE, []byte{1, 2,
		3}})); result(err) != ck.CKR_ATTRIBUTE_VALUE_INVALID {
		t.Errorf("another check value: %v", err)
	}
}

func selfSigned(t *testing.T) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "x"},
		NotAfter: time.Now().Add(time.Hour)}
	text, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCertificates(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	c := selfSigned(t)
	template := []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_CERTIFICATE)}, {ck.CKA_CERTIFICATE_TYPE, Ulong(ck.CKC_X_509)},
		{ck.CKA_SUBJECT, c.RawSubject}, {ck.CKA_VALUE, c.Raw}, {ck.CKA_TOKEN, yes}}
	id, err := tk.Create(s, template)
	tk.must(err)
	tk.expectWhole(id)
	tk.expect(id, values{ck.CKA_PRIVATE: no, ck.CKA_TRUSTED: no, ck.CKA_PUBLIC_KEY_INFO: c.RawSubjectPublicKeyInfo,
		ck.CKA_CERTIFICATE_CATEGORY: Ulong(uint64(0))})
	if len(tk.value(id, ck.CKA_CHECK_VALUE)) != 3 {
		t.Error("no check value")
	}
	for _, w := range []struct {
		name     string
		template []Attribute
		want     ck.RV
	}{
		{"trusted by the user", with(template, granted(ck.CKA_TRUSTED)...), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"no value", without(template, ck.CKA_VALUE), ck.CKR_TEMPLATE_INCOMPLETE},
		{"a URL", with(without(template, ck.CKA_VALUE), Attribute{ck.CKA_URL, []byte("https://example.org/x.cer")}),
			ck.CKR_OK},
		{"no subject", without(template, ck.CKA_SUBJECT), ck.CKR_TEMPLATE_INCOMPLETE},
		{"another key", with(template, Attribute{ck.CKA_PUBLIC_KEY_INFO, []byte{1}}), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"text that is no X.509", with(without(template, ck.CKA_VALUE), Attribute{ck.CKA_VALUE, []byte("?")}),
			ck.CKR_OK},
	} {
		if _, err := tk.Create(s, w.template); result(err) != w.want {
			t.Errorf("%s: %v, want %s", w.name, err, w.want)
		}
	}
	if err := tk.Change(s, id, granted(ck.CKA_TRUSTED)); result(err) != ck.CKR_ATTRIBUTE_READ_ONLY {
		t.Errorf("the user trusts: %v", err)
	}
	tk.must(tk.Logout())
	tk.must(tk.Login(ck.CKU_SO, soPIN))
	tk.must(tk.Change(s, id, granted(ck.CKA_TRUSTED)))
	tk.expect(id, values{ck.CKA_TRUSTED: yes})
}

func TestCopy(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	key := tk.secretKey(s, Attribute{ck.CKA_LABEL, []byte("key")}, Attribute{ck.CKA_EXTRACTABLE, yes})
	copied, err := tk.Copy(s, key, []Attribute{{ck.CKA_TOKEN, yes}, {ck.CKA_LABEL, []byte("copy")},
		{ck.CKA_EXTRACTABLE, no}})
	tk.must(err)
	tk.expectWhole(copied)
	tk.expect(copied, values{ck.CKA_TOKEN: yes, ck.CKA_LABEL: []byte("copy"), ck.CKA_EXTRACTABLE: no, ck.CKA_LOCAL: yes,
		ck.CKA_NEVER_EXTRACTABLE: no, ck.CKA_CHECK_VALUE: tk.value(key, ck.CKA_CHECK_VALUE)})
	if bytes.Equal(tk.value(copied, ck.CKA_UNIQUE_ID), tk.value(key, ck.CKA_UNIQUE_ID)) {
		t.Error("the copy has the CKA_UNIQUE_ID of the key")
	}
	note, err := tk.Create(s, []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_DATA)}, {ck.CKA_VALUE, []byte("one")}})
	tk.must(err)
	two, err := tk.Copy(s, note, []Attribute{{ck.CKA_VALUE, []byte("two")}})
	tk.must(err)
	if string(tk.value(two, ck.CKA_VALUE)) != "two" || string(tk.value(note, ck.CKA_VALUE)) != "one" {
		t.Error("a copy of data with another value")
	}
	pub, priv, err := tk.GenerateHSS(t.Context(), s, nil, oneLevel())
	tk.must(err)
	also, err := tk.Copy(s, pub, []Attribute{{ck.CKA_TOKEN, yes}})
	tk.must(err)
	tk.expect(also, values{ck.CKA_VALUE: tk.value(pub, ck.CKA_VALUE), ck.CKA_HSS_LEVELS: Ulong(uint64(1))})
	fixed, err := tk.Copy(s, key, []Attribute{{ck.CKA_COPYABLE, no}, {ck.CKA_MODIFIABLE, no}})
	tk.must(err)
	for _, c := range []struct {
		name     string
		id       ObjectID
		template []Attribute
		want     ck.RV
	}{
		{"an HSS private key", priv, nil, ck.CKR_ACTION_PROHIBITED},
		{"not copyable", fixed, nil, ck.CKR_ACTION_PROHIBITED},
		{"no object", "token/none", nil, ck.CKR_OBJECT_HANDLE_INVALID},
		{"for all to see", key, bools(no, ck.CKA_PRIVATE), ck.CKR_TEMPLATE_INCONSISTENT},
		{"less sensitive", key, bools(no, ck.CKA_SENSITIVE), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"extractable again", copied, granted(ck.CKA_EXTRACTABLE), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"with a new right to wrap", key, granted(ck.CKA_WRAP), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"of another class", key, []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_DATA)}}, ck.CKR_ATTRIBUTE_READ_ONLY},
		{"of another value", key, []Attribute{{ck.CKA_VALUE, make([]byte, 32)}}, ck.CKR_ATTRIBUTE_READ_ONLY},
		{"with an attribute of no key", key, []Attribute{{ck.CKA_APPLICATION, nil}}, ck.CKR_ATTRIBUTE_TYPE_INVALID},
		{"trusted", key, granted(ck.CKA_TRUSTED), ck.CKR_ATTRIBUTE_READ_ONLY},
	} {
		if _, err := tk.Copy(s, c.id, c.template); result(err) != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	if _, err := tk.Copy(Session{ID: s.ID}, key, granted(ck.CKA_TOKEN)); result(err) != ck.CKR_SESSION_READ_ONLY {
		t.Errorf("a token object in a read-only session: %v", err)
	}
}

// Sticky attributes go one way, and rights to handle keys only away.
func TestChangeOneWay(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	key := tk.secretKey(s, Attribute{ck.CKA_SENSITIVE, no}, Attribute{ck.CKA_EXTRACTABLE, yes})
	for _, c := range []struct {
		attribute ck.AttributeType
		value     []byte
		want      ck.RV
	}{
		{ck.CKA_SENSITIVE, no, ck.CKR_OK},
		{ck.CKA_SENSITIVE, yes, ck.CKR_OK},
		{ck.CKA_SENSITIVE, yes, ck.CKR_OK},
		{ck.CKA_SENSITIVE, no, ck.CKR_ATTRIBUTE_READ_ONLY},
		{ck.CKA_EXTRACTABLE, yes, ck.CKR_OK},
		{ck.CKA_EXTRACTABLE, no, ck.CKR_OK},
		{ck.CKA_EXTRACTABLE, yes, ck.CKR_ATTRIBUTE_READ_ONLY},
		{ck.CKA_WRAP_WITH_TRUSTED, yes, ck.CKR_OK},
		{ck.CKA_WRAP_WITH_TRUSTED, no, ck.CKR_ATTRIBUTE_READ_ONLY},
		{ck.CKA_ENCRYPT, no, ck.CKR_OK},
		{ck.CKA_ENCRYPT, yes, ck.CKR_ATTRIBUTE_READ_ONLY},
		{ck.CKA_DECRYPT, yes, ck.CKR_OK},
		{ck.CKA_WRAP, no, ck.CKR_OK},
		{ck.CKA_WRAP, yes, ck.CKR_ATTRIBUTE_READ_ONLY},
		{ck.CKA_UNWRAP, yes, ck.CKR_ATTRIBUTE_READ_ONLY},
		{ck.CKA_SIGN, no, ck.CKR_OK},
		{ck.CKA_SIGN, yes, ck.CKR_OK},
		{ck.CKA_DERIVE, no, ck.CKR_OK},
		{ck.CKA_DERIVE, yes, ck.CKR_ATTRIBUTE_READ_ONLY},
		{ck.CKA_TRUSTED, yes, ck.CKR_ATTRIBUTE_READ_ONLY},
		{ck.CKA_LOCAL, yes, ck.CKR_ATTRIBUTE_READ_ONLY},
		{ck.CKA_VALUE, make([]byte, 32), ck.CKR_ATTRIBUTE_READ_ONLY},
		{ck.CKA_TOKEN, yes, ck.CKR_ATTRIBUTE_READ_ONLY},
		{ck.CKA_CHECK_VALUE, []byte{1, 2, 3}, ck.CKR_ATTRIBUTE_READ_ONLY},
		{ck.CKA_APPLICATION, nil, ck.CKR_ATTRIBUTE_TYPE_INVALID},
	} {
		if err := tk.Change(s, key, []Attribute{{c.attribute, c.value}}); result(err) != c.want {
			t.Errorf("%s = %x: %v, want %s", c.attribute, c.value, err, c.want)
		}
	}
}

// The user makes private objects; everybody makes public session objects.
func TestWhoMakes(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	tk.must(tk.Logout())
	m := by(ck.CKM_AES_KEY_GEN)
	template := []Attribute{length(16)}
	if _, err := tk.GenerateKey(s, m, template); result(err) != ck.CKR_USER_NOT_LOGGED_IN {
		t.Errorf("a private key, nobody logged in: %v", err)
	}
	shown, err := tk.GenerateKey(s, m, with(template, Attribute{ck.CKA_PRIVATE, no}))
	tk.must(err)
	tk.expectWhole(shown)
	if _, err := tk.GenerateKey(Session{ID: s.ID}, m, with(template, Attribute{ck.CKA_PRIVATE, no},
		Attribute{ck.CKA_TOKEN, yes})); result(err) != ck.CKR_SESSION_READ_ONLY {
		t.Errorf("a token key, read-only: %v", err)
	}
}

// What ECDH gives is read by programs that give no more than class and key type, as Java does.
func TestDerive(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	for _, row := range []int{1, 4} {
		mine, yours := tk.generated(s, row), tk.generated(s, row)
		agree := func(private, public ObjectID, template ...Attribute) ObjectID {
			m := ck.Mechanism{Type: ck.CKM_ECDH1_DERIVE, Struct: &ck.ECDH1Params{KDF: ck.CKD_NULL,
				PublicData: tk.value(public, ck.CKA_EC_POINT)}}
			id, err := tk.Derive(s, m, private, "", with(template, Attribute{ck.CKA_CLASS, Ulong(ck.CKO_SECRET_KEY)}))
			tk.must(err)
			tk.expectWhole(id)
			return id
		}
		one := agree(mine[1], yours[0], Attribute{ck.CKA_KEY_TYPE, Ulong(ck.CKK_GENERIC_SECRET)})
		two := agree(yours[1], mine[0])
		tk.expect(one, values{ck.CKA_VALUE: tk.value(two, ck.CKA_VALUE), ck.CKA_VALUE_LEN: Ulong(uint64(32)),
			ck.CKA_SENSITIVE:   no,
			ck.CKA_EXTRACTABLE: yes, ck.CKA_LOCAL: no, ck.CKA_ALWAYS_SENSITIVE: no, ck.CKA_NEVER_EXTRACTABLE: no})
		agree(mine[1], yours[0],
			with(granted(ck.CKA_EXTRACTABLE, ck.CKA_ENCRYPT, ck.CKA_DECRYPT, ck.CKA_WRAP, ck.CKA_UNWRAP),
				// as pkcs11-tool asks
				Attribute{ck.CKA_KEY_TYPE, Ulong(ck.CKK_GENERIC_SECRET)}, Attribute{ck.CKA_SENSITIVE, no}, length(32))...)
		hidden := agree(mine[1], yours[0], Attribute{ck.CKA_KEY_TYPE, Ulong(ck.CKK_AES)}, length(16),
			Attribute{ck.CKA_SENSITIVE, yes}, Attribute{ck.CKA_EXTRACTABLE, no})
		tk.expect(hidden, values{ck.CKA_ALWAYS_SENSITIVE: yes, ck.CKA_NEVER_EXTRACTABLE: yes, ck.CKA_LOCAL: no})
	}
}

func TestHKDF(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	generic := func(more ...Attribute) ObjectID {
		id, err := tk.GenerateKey(s, by(ck.CKM_GENERIC_SECRET_KEY_GEN), with(more, length(32)))
		tk.must(err)
		return id
	}
	base, salt := generic(granted(ck.CKA_DERIVE)...), generic(granted(ck.CKA_DERIVE)...)
	m := ck.Mechanism{Type: ck.CKM_HKDF_DERIVE, Struct: &ck.HKDFParams{Extract: true, Expand: true,
		Hash: uint64(ck.CKM_SHA256), SaltType: ck.CKF_HKDF_SALT_KEY, SaltKey: 1}}
	template := []Attribute{{ck.CKA_KEY_TYPE, Ulong(ck.CKK_AES)}, length(16)}
	one, err := tk.Derive(s, m, base, salt, template)
	tk.must(err)
	two, err := tk.Derive(s, m, base, salt, template)
	tk.must(err)
	tk.expect(one, values{ck.CKA_VALUE: tk.value(two, ck.CKA_VALUE), ck.CKA_KEY_TYPE: Ulong(ck.CKK_AES)})
	m.Type = ck.CKM_HKDF_DATA
	text, err := tk.Derive(s, m, base, salt, []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_DATA)}, length(16)})
	tk.must(err)
	tk.expect(text, values{ck.CKA_VALUE: tk.value(one, ck.CKA_VALUE)})
	m.Type = ck.CKM_HKDF_DERIVE
	for _, c := range []struct {
		name       string
		base, salt ObjectID
		template   []Attribute
		want       ck.RV
	}{
		{"a base that may not", generic(), salt, template, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"a salt that may not", base, generic(), template, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"no base", "token/none", salt, template, ck.CKR_OBJECT_HANDLE_INVALID},
		{"no salt", base, "token/none", template, ck.CKR_KEY_HANDLE_INVALID},
		{"a public key", base, salt, []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_PUBLIC_KEY)}},
			ck.CKR_TEMPLATE_INCONSISTENT},
		{"an RSA key", base, salt, []Attribute{{ck.CKA_KEY_TYPE, Ulong(ck.CKK_RSA)}}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"no bytes", base, salt, []Attribute{length(0)}, ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{"too many bytes", base, salt, []Attribute{{ck.CKA_VALUE_LEN, Ulong(uint64(1 << 40))}},
			ck.CKR_ATTRIBUTE_VALUE_INVALID},
	} {
		if _, err := tk.Derive(s, m, c.base, c.salt, c.template); result(err) != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

func TestEncapsulate(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	m := by(ck.CKM_ML_KEM)
	pair := tk.generated(s, 6)
	size, err := tk.EncapsulatedSize(m, pair[0])
	tk.must(err)
	before := len(tk.Find(nil))
	template := []Attribute{{ck.CKA_KEY_TYPE, Ulong(ck.CKK_AES)}}
	text, one, err := tk.Encapsulate(s, m, pair[0], template)
	tk.must(err)
	two, err := tk.Decapsulate(s, m, pair[1], text, template)
	tk.must(err)
	if len(text) != size || size != 1088 || len(tk.Find(nil)) != before+2 {
		t.Errorf("%d bytes, %d announced; %d objects", len(text), size, len(tk.Find(nil))-before)
	}
	tk.expect(one, values{ck.CKA_VALUE: tk.value(two, ck.CKA_VALUE), ck.CKA_VALUE_LEN: Ulong(uint64(32))})
	if _, err := tk.Decapsulate(s, m, pair[1], text[1:], template); result(err) != ck.CKR_WRAPPED_KEY_LEN_RANGE {
		t.Errorf("a short ciphertext: %v", err)
	}
	if _, _, err := tk.Encapsulate(s, m, pair[0], with(template,
		length(64))); result(err) != ck.CKR_ATTRIBUTE_VALUE_INVALID {
		t.Errorf("64 bytes: %v", err)
	}
}

// What a key demands of the keys that come from it.
func TestBoundTemplates(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	demand := Attribute{ck.CKA_DERIVE_TEMPLATE,
		EncodeTemplate([]Attribute{{ck.CKA_SENSITIVE, yes}, {ck.CKA_EXTRACTABLE, no}, {ck.CKA_LABEL, []byte("child")}})}
	base := tk.secretKey(s, append(granted(ck.CKA_DERIVE), demand)...)
	m := ck.Mechanism{Type: ck.CKM_AES_ECB_ENCRYPT_DATA, Struct: &ck.DerivationData{Data: make([]byte, 32)}}
	child, err := tk.Derive(s, m, base, "", nil)
	tk.must(err)
	tk.expect(child, values{ck.CKA_SENSITIVE: yes, ck.CKA_EXTRACTABLE: no, ck.CKA_LABEL: []byte("child")})
	if _, err := tk.Derive(s, m, base, "", bools(no, ck.CKA_SENSITIVE)); result(err) != ck.CKR_TEMPLATE_INCONSISTENT {
		t.Errorf("not sensitive: %v", err)
	}
	if _, err := tk.Derive(s, m, base, "", granted(ck.CKA_SENSITIVE)); err != nil {
		t.Errorf("sensitive: %v", err)
	}
}

func TestTemplateEncoding(t *testing.T) {
	template := []Attribute{{ck.CKA_LABEL, []byte("x")}, {ck.CKA_ID, empty}, {ck.CKA_CLASS, Ulong(ck.CKO_SECRET_KEY)}}
	value := EncodeTemplate(template)
	back, err := DecodeTemplate(value)
	if err != nil || !slices.EqualFunc(back, template, func(a,
		b Attribute) bool {
		return a.Type == b.Type && bytes.Equal(a.Value, b.Value)
	}) {
		t.Errorf("%v, %v", back, err)
	}
	for cut := 1; cut < len(value); cut++ {
		if _, err := DecodeTemplate(value[:cut]); cut != 13 && cut != 25 && err == nil {
			t.Errorf("%d of %d bytes", cut, len(value))
		}
	}
}

func FuzzDecodeTemplate(f *testing.F) {
	f.Add(EncodeTemplate([]Attribute{{ck.CKA_LABEL, []byte("x")}, {ck.CKA_ID, empty}}))
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{255}, 12))
	f.Fuzz(func(t *testing.T, value []byte) {
		template, err := DecodeTemplate(value)
		if err == nil && !bytes.Equal(EncodeTemplate(template), value) {
			t.Error("another value comes back")
		}
	})
}

// Every mechanism that makes keys makes keys that are known here, and none is there twice.
func TestMechanisms(t *testing.T) {
	last := ck.MechanismType(0)
	for i, m := range Mechanisms() {
		if i > 0 && m.Type <= last {
			t.Errorf("%s comes after %s", m.Type, last)
		}
		last = m.Type
		for _, keyType := range m.Keys {
			for _, k := range []struct {
				flag  uint64
				class ck.ObjectClass
			}{{ck.CKF_GENERATE, ck.CKO_SECRET_KEY}, {ck.CKF_GENERATE_KEY_PAIR,
				ck.CKO_PUBLIC_KEY}, {ck.CKF_GENERATE_KEY_PAIR, ck.CKO_PRIVATE_KEY}} {
				if _, known := schemaOf(k.class, keyType); m.Flags&k.flag != 0 && !known {
					t.Errorf("%s makes %s of type %s", m.Type, k.class, keyType)
				}
			}
		}
	}
	if len(Mechanisms()) != len(mechanism.Rows())+5 {
		t.Errorf("%d mechanisms", len(Mechanisms()))
	}
}

// makingDoors tries the methods that make keys from others, and those that make private ones (see doors).
func (c *scene) makingDoors() map[string]door {
	const unseen, outside = ck.CKR_OBJECT_HANDLE_INVALID, ck.CKR_USER_NOT_LOGGED_IN
	ecb := ck.Mechanism{Type: ck.CKM_AES_ECB_ENCRYPT_DATA, Struct: &ck.DerivationData{Data: make([]byte, 32)}}
	kem := by(ck.CKM_ML_KEM)
	return map[string]door{
		"Copy": {func(b *testToken, s Session) error { return second(b.Copy(s, c.aes, nil)) }, unseen, unseen},
		"GenerateKey": {func(b *testToken, s Session) error {
			return second(b.GenerateKey(s, by(ck.CKM_AES_KEY_GEN), []Attribute{length(16)}))
		}, outside, outside},
		"GenerateKeyPair": {func(b *testToken, s Session) error {
			return third(b.GenerateKeyPair(s, by(ck.CKM_EC_KEY_PAIR_GEN), []Attribute{{ck.CKA_EC_PARAMS, p256}}, nil))
		}, outside, outside},
		"Derive": {func(b *testToken, s Session) error { return second(b.Derive(s, ecb, c.aes, "", nil)) },
			unseen, unseen},
		"Encapsulate": {func(b *testToken, s Session) error { return third(b.Encapsulate(s, kem, c.aes, nil)) },
			unseen, unseen},
		"EncapsulatedSize": {func(b *testToken, _ Session) error { return second(b.EncapsulatedSize(kem, c.aes)) },
			unseen, unseen},
		"Decapsulate": {func(b *testToken,
			s Session) error {
			return second(b.Decapsulate(s, kem, c.aes, nil, nil))
		}, unseen, unseen},
		"Wrap": {func(b *testToken, s Session) error { return second(b.Wrap(s, keyWrap, c.aes, c.aes)) },
			ck.CKR_KEY_HANDLE_INVALID, ck.CKR_KEY_HANDLE_INVALID},
		"WrappedSize": {func(b *testToken, _ Session) error { return second(b.WrappedSize(keyWrap, c.aes, c.aes)) },
			ck.CKR_KEY_HANDLE_INVALID, ck.CKR_KEY_HANDLE_INVALID},
		"Unwrap": {func(b *testToken, s Session) error {
			return second(b.Unwrap(s, keyWrap, c.aes, make([]byte, 24), aesTemplate()))
		},
			ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID, ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID},
	}
}

// Any template, in any call that makes or changes an object, gets an answer that PKCS#11 has; what it makes is whole.
func FuzzMaking(f *testing.F) {
	for c := range byte(8) {
		f.Add(c, EncodeTemplate([]Attribute{length(16), {ck.CKA_TOKEN, yes}}))
	}
	f.Add(byte(0), EncodeTemplate(aesKey(make([]byte, 16))))
	f.Add(byte(0), EncodeTemplate([]Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_DATA)}, {ck.CKA_VALUE, []byte("x")}}))
	f.Add(byte(0),
		EncodeTemplate([]Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_PUBLIC_KEY)}, {ck.CKA_KEY_TYPE, Ulong(ck.CKK_RSA)},
			{ck.CKA_MODULUS, []byte{1}}, {ck.CKA_PUBLIC_EXPONENT, []byte{3}}}))
	f.Add(byte(3), EncodeTemplate([]Attribute{{ck.CKA_EC_PARAMS, p256}, {ck.CKA_TOKEN, yes}}))
	f.Add(byte(6), EncodeTemplate(granted(ck.CKA_TOKEN)))
	f.Fuzz(func(t *testing.T, choice byte, text []byte) {
		template, err := DecodeTemplate(text)
		if err != nil || len(template) > 20 {
			return
		}
		tk := newTestToken(t)
		s := tk.userSession()
		base := tk.secretKey(s, granted(ck.CKA_DERIVE)...)
		for _, id := range tk.makes(s, choice, base, template) {
			tk.expectWhole(id)
		}
	})
}

// makes makes objects in one of all ways.
func (tk *testToken) makes(s Session, choice byte, base ObjectID, template []Attribute) (made []ObjectID) {
	tk.Helper()
	var one, two ObjectID
	var err error
	derivation := ck.Mechanism{Type: ck.CKM_AES_ECB_ENCRYPT_DATA, Struct: &ck.DerivationData{Data: make([]byte, 32)}}
	switch choice % 8 {
	case 0, 1:
		one, err = tk.Create(s, template)
	case 2:
		one, err = tk.GenerateKey(s, by(ck.CKM_AES_KEY_GEN), template)
	case 3:
		one, two, err = tk.GenerateKeyPair(s, by(ck.CKM_EC_KEY_PAIR_GEN), template, nil)
	case 4:
		one, two, err = tk.GenerateKeyPair(s, by(ck.CKM_EC_EDWARDS_KEY_PAIR_GEN),
			[]Attribute{{ck.CKA_EC_PARAMS, ed25519}}, template)
	case 5:
		one, err = tk.Derive(s, derivation, base, "", template)
	case 6:
		one, err = tk.Copy(s, base, template)
	case 7:
		one, err = base, tk.Change(s, base, template)
	}
	if result(err) == ck.CKR_GENERAL_ERROR {
		tk.Errorf("way %d: %v", choice%8, err)
	}
	for _, id := range []ObjectID{one, two} {
		if err == nil && id != "" {
			made = append(made, id)
		}
	}
	return made
}

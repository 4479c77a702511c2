package token

import (
	"bytes"
	"crypto/rand"
	"math/big"
	"slices"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// More attacks that policy.go refuses: those in which two mechanisms, or two calls with other templates, meet.

// publicToken are the attributes of a token key that the SO sees.
var publicToken = []Attribute{{ck.CKA_TOKEN, yes}, {ck.CKA_PRIVATE, no}}

// CKA_WRAP_WITH_TRUSTED, taken off by wrapping and unwrapping with the trusted key, would let anybody have the key.
func TestAttackTrustLostOnTheWay(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	carrier := tk.secretKey(s, append(granted(ck.CKA_WRAP, ck.CKA_UNWRAP), publicToken...)...)
	tk.trust(carrier)
	bound := tk.secretKey(s, append(granted(ck.CKA_WRAP_WITH_TRUSTED), wrappable...)...)
	wrapped, err := tk.Wrap(s, keyWrap, carrier, bound)
	tk.must(err)
	for _, extractable := range [][]byte{no, yes} {
		_, err = tk.Unwrap(s, keyWrap, carrier, wrapped, aesTemplate(Attribute{ck.CKA_EXTRACTABLE, extractable},
			Attribute{ck.CKA_WRAP_WITH_TRUSTED, no}))
		tk.refused("free to leave", err, ck.CKR_TEMPLATE_INCONSISTENT)
	}
	back, err := tk.Unwrap(s, keyWrap, carrier, wrapped, aesTemplate(wrappable...))
	tk.must(err)
	tk.expect(back, values{ck.CKA_WRAP_WITH_TRUSTED: yes, ck.CKA_EXTRACTABLE: yes})
	_, err = tk.Wrap(s, keyWrap, tk.secretKey(s, granted(ck.CKA_WRAP)...), back)
	tk.refused("by a key that nobody trusts", err, ck.CKR_KEY_NOT_WRAPPABLE)
}

// A wrapping key goes around a trusted key. The copy that comes back is not one that the application brought along, and
// does not open as readable, nor with CBC, what the first one wrapped.
func TestAttackThroughTrusted(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	both := granted(ck.CKA_WRAP, ck.CKA_UNWRAP)
	carrier := tk.secretKey(s, with(append(both, publicToken...), Attribute{ck.CKA_UNWRAP_TEMPLATE,
		EncodeTemplate(granted(ck.CKA_WRAP))})...)
	tk.trust(carrier)
	below, target := tk.secretKey(s, append(both, wrappable...)...), tk.secretKey(s, wrappable...)
	wrappedBelow, err := tk.Wrap(s, keyWrap, carrier, below)
	tk.must(err)
	wrapped, err := tk.Wrap(s, keyWrap, below, target)
	tk.must(err)
	again, err := tk.Unwrap(s, keyWrap, carrier, wrappedBelow, aesTemplate(both...))
	tk.must(err)
	_, err = tk.Unwrap(s, keyWrap, again, wrapped, aesTemplate(bools(no, ck.CKA_SENSITIVE)...))
	tk.refused("a value to read", err, ck.CKR_TEMPLATE_INCONSISTENT)
	_, err = tk.Unwrap(s, keyWrap, again, wrapped, aesTemplate())
	tk.refused("a value to use", err, ck.CKR_OK)
	_, err = tk.Wrap(s, ck.Mechanism{Type: ck.CKM_AES_CBC_PAD, Parameter: make([]byte, 16)}, again,
		tk.imported(s, make([]byte, 16), granted(ck.CKA_EXTRACTABLE)...))
	tk.refused("CBC", err, ck.CKR_MECHANISM_INVALID)
}

// Bleichenbacher's oracle by lengths: were a short stand-in the beginning of a longer one, or another than the natural
// one of that length, then unwrapping the same bytes twice would tell whether a key is in them.
func TestAttackRSAStandInLengths(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	pub, priv := tk.rsaPair(s, granted(ck.CKA_WRAP), granted(ck.CKA_UNWRAP))
	unwrap := func(wrapped []byte, keyType ck.KeyType, n int) []byte {
		template := []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_SECRET_KEY)}, {ck.CKA_KEY_TYPE, Ulong(keyType)}}
		if n > 0 {
			template = append(template, length(uint64(n)))
		}
		id, err := tk.Unwrap(s, by(ck.CKM_RSA_PKCS), priv, wrapped, template)
		tk.must(err)
		o, err := tk.object(id)
		tk.must(err)
		secret, err := tk.secrets(o)
		tk.must(err)
		tk.must(tk.Destroy(s, id))
		return secret[ck.CKA_VALUE]
	}
	for range 8 {
		random, err := rand.Int(rand.Reader, new(big.Int).SetBytes(tk.value(pub, ck.CKA_MODULUS)))
		tk.must(err)
		wrapped := random.FillBytes(make([]byte, 256))
		for _, keyType := range []ck.KeyType{ck.CKK_GENERIC_SECRET, ck.CKK_AES} {
			natural := unwrap(wrapped, keyType, 0)
			if !bytes.Equal(natural, unwrap(wrapped, ck.CKK_GENERIC_SECRET, len(natural))) {
				t.Error("asked for by its length it is another one")
			}
		}
		long := unwrap(wrapped, ck.CKK_GENERIC_SECRET, 245)
		for _, n := range []int{8, 16, 24, 32, 100, 244} {
			if bytes.HasPrefix(long, unwrap(wrapped, ck.CKK_GENERIC_SECRET, n)) {
				t.Errorf("%d bytes are the beginning of 245", n)
			}
		}
		_, err = tk.Unwrap(s, by(ck.CKM_RSA_PKCS), priv, wrapped, []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_SECRET_KEY)},
			{ck.CKA_KEY_TYPE, Ulong(ck.CKK_GENERIC_SECRET)}, length(246)})
		tk.refused("longer than can be in them", err, ck.CKR_WRAPPED_KEY_INVALID)
	}
}

// The longest stand-in, for an RSA key of 8192 bits.
func TestLongestStandIn(t *testing.T) {
	private := Attributes{ck.CKA_PRIVATE_EXPONENT: make([]byte, 1024)}
	value, err := standIn(private, make([]byte, 1024), ck.CKK_GENERIC_SECRET, 1013)
	if err != nil || len(value) != 1013 {
		t.Errorf("%d bytes, %v", len(value), err)
	}
	for n := range 3000 {
		for keyType, lengths := range map[ck.KeyType][]int{ck.CKK_AES: {16, 24, 32}, ck.CKK_GENERIC_SECRET: nil} {
			got := standInLength(append(Ulong(uint64(n) << 32)[:4], Ulong(uint64(n))[4:]...), keyType, 128)
			if got < 1 || got > 117 || lengths != nil && !slices.Contains(lengths, got) {
				t.Fatalf("%s: %d bytes", keyType, got)
			}
		}
	}
}

// What cannot be a wrapped key for its length alone is not looked at, whoever sends it.
func TestUnwrapTooMuch(t *testing.T) {
	tk := newTestToken(t)
	tk.must(tk.BeginSession(1))
	s := Session{ID: 1, ReadWrite: true}
	by := tk.imported(s, make([]byte, 16), append(granted(ck.CKA_UNWRAP), bools(no, ck.CKA_PRIVATE)...)...)
	for _, m := range []ck.Mechanism{keyWrap, {Type: ck.CKM_AES_CBC_PAD, Parameter: make([]byte, 16)}} {
		_, err := tk.Unwrap(s, m, by, make([]byte, maxWrapped+16), aesTemplate(bools(no, ck.CKA_PRIVATE)...))
		tk.refused(m.Type.String(), err, ck.CKR_WRAPPED_KEY_INVALID)
	}
}

// The longest secret key that can be kept is wrapped, and comes back.
func TestUnwrapLongest(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	carrier := tk.secretKey(s, granted(ck.CKA_WRAP, ck.CKA_UNWRAP)...)
	key, err := tk.GenerateKey(s, by(ck.CKM_GENERIC_SECRET_KEY_GEN), append(wrappable, length(maxSecretLength)))
	tk.must(err)
	tk.goesAround(s, by(ck.CKM_AES_KEY_WRAP_KWP), carrier, carrier, key)
}

// CKA_ALWAYS_AUTHENTICATE: what C_Decrypt wants the PIN for, C_UnwrapKey and the like do not give without. They cannot
// take a PIN.
func TestAlwaysAuthenticateBinds(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	pub, priv := tk.rsaPair(s, granted(ck.CKA_WRAP), granted(ck.CKA_UNWRAP, ck.CKA_ALWAYS_AUTHENTICATE))
	m := ck.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Struct: &ck.OAEPParams{Hash: uint64(ck.CKM_SHA256),
		MGF: ck.CKG_MGF1_SHA256}}
	wrapped, err := tk.Wrap(s, m, pub, tk.secretKey(s, wrappable...))
	tk.must(err)
	_, err = tk.Unwrap(s, m, priv, wrapped, aesTemplate())
	tk.refused("C_UnwrapKey", err, ck.CKR_USER_NOT_LOGGED_IN)

	asks := granted(ck.CKA_ALWAYS_AUTHENTICATE, ck.CKA_DERIVE)
	pub, priv, err = tk.GenerateKeyPair(s, by(ck.CKM_EC_KEY_PAIR_GEN), []Attribute{{ck.CKA_EC_PARAMS, p256}}, asks)
	tk.must(err)
	agreement := ck.Mechanism{Type: ck.CKM_ECDH1_DERIVE, Struct: &ck.ECDH1Params{KDF: ck.CKD_NULL,
		PublicData: tk.value(pub, ck.CKA_EC_POINT)}}
	_, err = tk.Derive(s, agreement, priv, "", nil)
	tk.refused("C_DeriveKey", err, ck.CKR_USER_NOT_LOGGED_IN)

	pub, priv, err = tk.GenerateKeyPair(s, by(ck.CKM_ML_KEM_KEY_PAIR_GEN), []Attribute{{ck.CKA_PARAMETER_SET,
		Ulong(ck.CKP_ML_KEM_768)}}, granted(ck.CKA_ALWAYS_AUTHENTICATE))
	tk.must(err)
	encapsulated, _, err := tk.Encapsulate(s, by(ck.CKM_ML_KEM), pub, nil)
	tk.must(err)
	_, err = tk.Decapsulate(s, by(ck.CKM_ML_KEM), priv, encapsulated, nil)
	tk.refused("C_DecapsulateKey", err, ck.CKR_USER_NOT_LOGGED_IN)
}

// CKM_AES_ECB_ENCRYPT_DATA is encryption: with it, a key that unwraps would take bytes that the application made for
// a key of its own, and one that wraps would be tried out.
func TestAttackDeriveThenUnwrap(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	for _, right := range []ck.AttributeType{ck.CKA_WRAP, ck.CKA_UNWRAP} {
		both := granted(right, ck.CKA_DERIVE)
		_, err := tk.GenerateKey(s, by(ck.CKM_AES_KEY_GEN), append(both, length(32)))
		tk.refused("generated", err, ck.CKR_TEMPLATE_INCONSISTENT)
		_, err = tk.Create(s, with(both, aesKey(make([]byte, 16))...))
		tk.refused("created", err, ck.CKR_TEMPLATE_INCONSISTENT)
		key := tk.secretKey(s, granted(right)...)
		tk.expect(key, values{ck.CKA_DERIVE: no})
		tk.refused("set", tk.Change(s, key, granted(ck.CKA_DERIVE)), ck.CKR_ATTRIBUTE_READ_ONLY)
		_, err = tk.Copy(s, key, granted(ck.CKA_DERIVE))
		tk.refused("a copy", err, ck.CKR_ATTRIBUTE_READ_ONLY)
	}
	base := tk.secretKey(s, granted(ck.CKA_DERIVE)...)
	tk.must(tk.Change(s, base, bools(no, ck.CKA_DERIVE)))
	tk.refused("again", tk.Change(s, base, granted(ck.CKA_DERIVE)), ck.CKR_ATTRIBUTE_READ_ONLY)
}

// A key that may do less than others comes back from nowhere as one that may do all.
func TestAttackReimportWidens(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	kwp := by(ck.CKM_AES_KEY_WRAP_KWP)
	around, out := tk.secretKey(s, granted(ck.CKA_WRAP, ck.CKA_UNWRAP)...), tk.secretKey(s, granted(ck.CKA_WRAP)...)
	curve := []Attribute{{ck.CKA_EC_PARAMS, p256}}
	_, asks, err := tk.GenerateKeyPair(s, by(ck.CKM_EC_KEY_PAIR_GEN), curve, append(granted(ck.CKA_ALWAYS_AUTHENTICATE),
		wrappable...))
	tk.must(err)
	for name, key := range map[string]ObjectID{
		"encrypts alone": tk.secretKey(s, append(bools(no, ck.CKA_DECRYPT), wrappable...)...),
		"decrypts alone": tk.secretKey(s, append(bools(no, ck.CKA_ENCRYPT), wrappable...)...),
		"named mechanisms": tk.secretKey(s, append([]Attribute{{ck.CKA_ALLOWED_MECHANISMS, Ulongs(ck.CKM_AES_GCM)}},
			wrappable...)...),
		"the PIN for each use": asks,
	} {
		_, err := tk.Wrap(s, kwp, around, key)
		tk.refused(name+", by a key that unwraps", err, ck.CKR_KEY_NOT_WRAPPABLE)
		_, err = tk.Wrap(s, kwp, out, key)
		tk.refused(name+", by a key that wraps alone", err, ck.CKR_OK)
	}
}

// What the SO trusts is the SO's, and not that of somebody who is not logged in at all.
func TestTrustIsTheSOs(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	carrier := tk.secretKey(s, append(granted(ck.CKA_WRAP), publicToken...)...)
	tk.trust(carrier)
	tk.refused("the user trusts it no more", tk.Change(s, carrier, bools(no, ck.CKA_TRUSTED)), ck.CKR_ATTRIBUTE_READ_ONLY)
	label := []Attribute{{ck.CKA_LABEL, []byte("mine")}}
	tk.must(tk.Change(s, carrier, label))
	tk.must(tk.Logout())
	tk.refused("changed by nobody", tk.Change(s, carrier, label), ck.CKR_USER_NOT_LOGGED_IN)
	tk.refused("destroyed by nobody", tk.Destroy(s, carrier), ck.CKR_USER_NOT_LOGGED_IN)
	tk.must(tk.Login(ck.CKU_SO, soPIN))
	tk.must(tk.Change(s, carrier, bools(no, ck.CKA_TRUSTED)))
	tk.must(tk.Logout())
	tk.must(tk.Destroy(s, carrier))
}

// A secret derived again and again, each time one byte longer: every byte would be found by 256 trials of what the
// token computes with the key.
func TestAttackDeriveByteByByte(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	hidden := EncodeTemplate([]Attribute{{ck.CKA_SENSITIVE, yes}, {ck.CKA_EXTRACTABLE, no}})
	bound := append(granted(ck.CKA_DERIVE), Attribute{ck.CKA_DERIVE_TEMPLATE, hidden})
	pub, priv, err := tk.GenerateKeyPair(s, by(ck.CKM_EC_KEY_PAIR_GEN), []Attribute{{ck.CKA_EC_PARAMS, p256}}, bound)
	tk.must(err)
	point := tk.value(pub, ck.CKA_EC_POINT)
	base := tk.secretKey(s, bound...)
	generic, err := tk.GenerateKey(s, by(ck.CKM_GENERIC_SECRET_KEY_GEN), append(bound, length(32)))
	tk.must(err)
	for _, c := range []struct {
		m    ck.Mechanism
		base ObjectID
	}{
		{ck.Mechanism{Type: ck.CKM_ECDH1_DERIVE, Struct: &ck.ECDH1Params{KDF: ck.CKD_NULL, PublicData: point}}, priv},
		{ck.Mechanism{Type: ck.CKM_AES_ECB_ENCRYPT_DATA, Struct: &ck.DerivationData{Data: make([]byte, 32)}}, base},
		{ck.Mechanism{Type: ck.CKM_HKDF_DERIVE, Struct: &ck.HKDFParams{Extract: true, Expand: true,
			Hash: uint64(ck.CKM_SHA256), SaltType: ck.CKF_HKDF_SALT_NULL}}, generic},
	} {
		for n, want := range map[uint64]ck.RV{1: ck.CKR_ATTRIBUTE_VALUE_INVALID, 15: ck.CKR_ATTRIBUTE_VALUE_INVALID,
			16: ck.CKR_OK, 32: ck.CKR_OK} {
			_, err := tk.Derive(s, c.m, c.base, "", []Attribute{length(n)})
			tk.refused(c.m.Type.String(), err, want)
		}
	}
	pub, priv, err = tk.GenerateKeyPair(s, by(ck.CKM_ML_KEM_KEY_PAIR_GEN), []Attribute{{ck.CKA_PARAMETER_SET,
		Ulong(ck.CKP_ML_KEM_768)}}, nil)
	tk.must(err)
	encapsulated, _, err := tk.Encapsulate(s, by(ck.CKM_ML_KEM), pub, nil)
	tk.must(err)
	for _, sensitive := range [][]byte{no, yes} {
		_, err = tk.Decapsulate(s, by(ck.CKM_ML_KEM), priv, encapsulated, []Attribute{length(15), {ck.CKA_SENSITIVE,
			sensitive}})
		want := ck.CKR_OK
		if sensitive[0] == 1 {
			want = ck.CKR_ATTRIBUTE_VALUE_INVALID
		}
		tk.refused("CKM_ML_KEM", err, want)
	}
}

// A salt is used with the mechanisms that it allows.
func TestSaltAllowsMechanism(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	salt := func(m ck.MechanismType) ObjectID {
		id, err := tk.GenerateKey(s, by(ck.CKM_GENERIC_SECRET_KEY_GEN), append(granted(ck.CKA_DERIVE), length(32),
			Attribute{ck.CKA_ALLOWED_MECHANISMS, Ulongs(m)}))
		tk.must(err)
		return id
	}
	m := ck.Mechanism{Type: ck.CKM_HKDF_DERIVE, Struct: &ck.HKDFParams{Extract: true, Expand: true,
		Hash: uint64(ck.CKM_SHA256), SaltType: ck.CKF_HKDF_SALT_KEY}}
	base := salt(ck.CKM_HKDF_DERIVE)
	_, err := tk.Derive(s, m, base, salt(ck.CKM_HKDF_DERIVE), []Attribute{length(32)})
	tk.refused("allowed", err, ck.CKR_OK)
	_, err = tk.Derive(s, m, base, salt(ck.CKM_SHA256_HMAC), []Attribute{length(32)})
	tk.refused("not allowed", err, ck.CKR_MECHANISM_INVALID)
}

// What was computed with a private key is of no use after the logout, even if the user came back meanwhile.
func TestSourceEndsWithLogin(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	key := tk.secretKey(s, granted(ck.CKA_WRAP, ck.CKA_TOKEN)...)
	from, err := tk.source(key, keyWrap, ck.CKA_WRAP, ck.CKF_WRAP)
	tk.must(err)
	tk.must(from.still())
	tk.must(tk.Logout())
	tk.refused("after the logout", from.still(), ck.CKR_USER_NOT_LOGGED_IN)
	tk.must(tk.Login(ck.CKU_USER, userPIN))
	tk.refused("in another login", from.still(), ck.CKR_USER_NOT_LOGGED_IN)
}

// A copy that is refused leaves nothing secret behind.
func TestRefusedCopyIsWiped(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	o, err := tk.object(tk.imported(s, bytes.Repeat([]byte{7}, 16)))
	tk.must(err)
	copied, err := tk.duplicate(o)
	tk.must(err)
	value := copied[ck.CKA_VALUE]
	tk.must(tk.Logout())
	_, err = tk.addCopy(s, copied)
	tk.refused("after the logout", err, ck.CKR_USER_NOT_LOGGED_IN)
	if len(value) != 16 || !bytes.Equal(value, make([]byte, 16)) {
		t.Error("the value is still there")
	}
}

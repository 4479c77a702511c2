package token

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/mechanism"
)

// The attacks on wrapping and unwrapping that policy.go refuses, each as somebody would carry it out who has the user's
// session and wants the value of a SENSITIVE key.

var keyWrap = by(ck.CKM_AES_KEY_WRAP)

// secretsOf are rights of a key that can be wrapped.
var wrappable = []Attribute{{ck.CKA_EXTRACTABLE, yes}, {ck.CKA_SENSITIVE, yes}}

// aesTemplate is the template of an unwrapped AES key.
func aesTemplate(more ...Attribute) []Attribute {
	return with(more, Attribute{ck.CKA_CLASS, Ulong(ck.CKO_SECRET_KEY)}, Attribute{ck.CKA_KEY_TYPE, Ulong(ck.CKK_AES)})
}

// refused wants a result.
func (tk *testToken) refused(what string, err error, want ck.RV) {
	tk.Helper()
	if result(err) != want {
		tk.Errorf("%s: %v, want %s", what, err, want)
	}
}

// Clulow's first attack: wrap the target with a key, decrypt the result with the same key. No call makes a key that
// does both, in whatever order its rights are asked for.
func TestAttackWrapThenDecrypt(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	both := granted(ck.CKA_WRAP, ck.CKA_DECRYPT)
	generate := by(ck.CKM_AES_KEY_GEN)
	length := length(32)
	_, err := tk.GenerateKey(s, generate, append(both, length))
	tk.refused("generated", err, ck.CKR_TEMPLATE_INCONSISTENT)
	_, err = tk.Create(s, with(both, aesKey(make([]byte, 32))...))
	tk.refused("created", err, ck.CKR_TEMPLATE_INCONSISTENT)
	base := tk.secretKey(s, granted(ck.CKA_DERIVE)...)
	derivation := ck.Mechanism{Type: ck.CKM_AES_ECB_ENCRYPT_DATA, Struct: &ck.DerivationData{Data: make([]byte, 32)}}
	_, err = tk.Derive(s, derivation, base, "", aesTemplate(append(both, length)...))
	tk.refused("derived", err, ck.CKR_TEMPLATE_INCONSISTENT)

	// First the one right, then the other: a key that wraps does so for good, and one that decrypted never wraps.
	wraps, decrypts := tk.secretKey(s, granted(ck.CKA_WRAP)...), tk.secretKey(s, granted(ck.CKA_DECRYPT)...)
	tk.must(tk.Change(s, wraps, granted(ck.CKA_WRAP))) // as it is
	tk.must(tk.Change(s, decrypts, bools(no, ck.CKA_DECRYPT)))
	for name, c := range map[string]struct {
		key   ObjectID
		right Attribute
	}{
		"no more wrapping": {wraps, Attribute{ck.CKA_WRAP, no}}, "decrypting too": {wraps, Attribute{ck.CKA_DECRYPT,
			yes}},
		"wrapping instead": {decrypts, Attribute{ck.CKA_WRAP, yes}}, "decrypting again": {decrypts,
			Attribute{ck.CKA_DECRYPT, yes}},
	} {
		tk.refused(name, tk.Change(s, c.key, []Attribute{c.right}), ck.CKR_ATTRIBUTE_READ_ONLY)
		_, err := tk.Copy(s, c.key, []Attribute{c.right})
		tk.refused(name+", a copy", err, ck.CKR_ATTRIBUTE_READ_ONLY)
	}
	// A key without rights, and a copy for each.
	idle := tk.secretKey(s, bools(no, ck.CKA_ENCRYPT, ck.CKA_DECRYPT)...)
	for _, right := range []ck.AttributeType{ck.CKA_WRAP, ck.CKA_DECRYPT, ck.CKA_ENCRYPT, ck.CKA_UNWRAP} {
		_, err := tk.Copy(s, idle, granted(right))
		tk.refused("a copy that may", err, ck.CKR_ATTRIBUTE_READ_ONLY)
	}
	tk.expect(tk.secretKey(s, granted(ck.CKA_WRAP)...), values{ck.CKA_DECRYPT: no, ck.CKA_ENCRYPT: no,
		ck.CKA_UNWRAP: no})
}

// The same with the halves of a pair: a client may ask for all rights of both, as NSS does, but then the public half
// wraps nothing that is sensitive.
func TestAttackWrapThenDecryptWithPair(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	pub, priv := tk.rsaPair(s, granted(ck.CKA_WRAP, ck.CKA_ENCRYPT), granted(ck.CKA_UNWRAP, ck.CKA_DECRYPT))
	oaep := ck.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Struct: &ck.OAEPParams{Hash: uint64(ck.CKM_SHA256),
		MGF: ck.CKG_MGF1_SHA256}}
	target := tk.secretKey(s, wrappable...)
	_, err := tk.Wrap(s, oaep, pub, target)
	tk.refused("wrapped for a half that decrypts", err, ck.CKR_KEY_NOT_WRAPPABLE)
	_, err = tk.WrappedSize(oaep, pub, target)
	tk.refused("its length", err, ck.CKR_KEY_NOT_WRAPPABLE)
	again, err := tk.Create(s, []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_PUBLIC_KEY)}, {ck.CKA_KEY_TYPE,
		Ulong(ck.CKK_RSA)}, {ck.CKA_WRAP, yes},
		{ck.CKA_MODULUS, tk.value(pub, ck.CKA_MODULUS)}, {ck.CKA_PUBLIC_EXPONENT, tk.value(pub,
			ck.CKA_PUBLIC_EXPONENT)}})
	tk.must(err)
	_, err = tk.Wrap(s, oaep, again, target)
	tk.refused("wrapped by another object of the same key", err, ck.CKR_KEY_NOT_WRAPPABLE)
	open := tk.secretKey(s, Attribute{ck.CKA_EXTRACTABLE, yes}, Attribute{ck.CKA_SENSITIVE, no})
	_, err = tk.Wrap(s, oaep, pub, open)
	tk.refused("a key that can be read anyway", err, ck.CKR_OK)

	// What the private half does is as it was made: nothing can be wrapped first, and decrypted with a right given
	// later.
	for _, right := range []ck.AttributeType{ck.CKA_DECRYPT, ck.CKA_SIGN, ck.CKA_UNWRAP} {
		now := tk.value(priv, right)
		tk.refused("another "+right.String(), tk.Change(s, priv, bools(Bool(bytes.Equal(now, no)), right)),
			ck.CKR_ATTRIBUTE_READ_ONLY)
		tk.must(tk.Change(s, priv, bools(now, right)))
	}
	signing, _ := tk.rsaPair(s, granted(ck.CKA_WRAP), granted(ck.CKA_UNWRAP, ck.CKA_SIGN))
	_, err = tk.Wrap(s, oaep, signing, target)
	tk.refused("for a half that signs, with CKM_RSA_X_509 too", err, ck.CKR_KEY_NOT_WRAPPABLE)
	idle, _ := tk.rsaPair(s, granted(ck.CKA_WRAP), append(bools(no, ck.CKA_UNWRAP, ck.CKA_SIGN, ck.CKA_DECRYPT),
		wrappable...))
	_, err = tk.Wrap(s, oaep, idle, target)
	tk.refused("for a half that can leave and come back with rights", err, ck.CKR_KEY_NOT_WRAPPABLE)
	read, _ := tk.rsaPair(s, granted(ck.CKA_WRAP), append(granted(ck.CKA_UNWRAP, ck.CKA_EXTRACTABLE), bools(no,
		ck.CKA_SENSITIVE)...))
	_, err = tk.Wrap(s, oaep, read, target)
	tk.refused("for a half that can be read", err, ck.CKR_KEY_NOT_WRAPPABLE)

	pub, priv = tk.rsaPair(s, granted(ck.CKA_WRAP), granted(ck.CKA_UNWRAP))
	tk.expect(priv, values{ck.CKA_DECRYPT: no, ck.CKA_SIGN: no})
	wrapped, err := tk.Wrap(s, oaep, pub, target)
	tk.refused("for a half that unwraps alone", err, ck.CKR_OK)
	_, err = tk.Key(priv, oaep, ck.CKA_DECRYPT, ck.CKF_DECRYPT)
	tk.refused("decrypted", err, ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
	_, err = tk.Key(priv, by(ck.CKM_RSA_X_509), ck.CKA_SIGN, ck.CKF_SIGN)
	tk.refused("signed", err, ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
	id, err := tk.Unwrap(s, oaep, priv, wrapped, aesTemplate())
	tk.must(err)
	tk.expect(id, values{ck.CKA_CHECK_VALUE: tk.value(target, ck.CKA_CHECK_VALUE), ck.CKA_SENSITIVE: yes,
		ck.CKA_EXTRACTABLE: no})
}

// The attack from the other side: encrypt a known key with a key, and have the token unwrap it as one of its own.
func TestAttackEncryptThenUnwrap(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	both := granted(ck.CKA_ENCRYPT, ck.CKA_UNWRAP)
	_, err := tk.GenerateKey(s, by(ck.CKM_AES_KEY_GEN), append(both, length(16)))
	tk.refused("generated", err, ck.CKR_TEMPLATE_INCONSISTENT)
	_, err = tk.Create(s, with(both, aesKey(make([]byte, 32))...))
	tk.refused("created", err, ck.CKR_TEMPLATE_INCONSISTENT)
	key := tk.secretKey(s, granted(ck.CKA_ENCRYPT)...)
	tk.must(tk.Change(s, key, bools(no, ck.CKA_ENCRYPT)))
	tk.refused("set", tk.Change(s, key, granted(ck.CKA_UNWRAP)), ck.CKR_ATTRIBUTE_READ_ONLY)
}

// A key leaves wrapped and comes back with other rights than it had: as a key that decrypts what it wrapped, as one
// that wraps what another copy decrypts, or as one whose value can be read.
func TestAttackReimport(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	carrier := tk.secretKey(s, granted(ck.CKA_WRAP, ck.CKA_UNWRAP)...)

	// A key that wraps or unwraps does not leave at all.
	for _, right := range []ck.AttributeType{ck.CKA_WRAP, ck.CKA_UNWRAP} {
		key := tk.secretKey(s, append(granted(right), wrappable...)...)
		_, err := tk.Wrap(s, keyWrap, carrier, key)
		tk.refused("a key that has "+right.String(), err, ck.CKR_KEY_NOT_WRAPPABLE)
	}
	_, priv := tk.rsaPair(s, granted(ck.CKA_WRAP), append(granted(ck.CKA_UNWRAP), wrappable...))
	_, err := tk.Wrap(s, by(ck.CKM_AES_KEY_WRAP_KWP), carrier, priv)
	tk.refused("a private key that unwraps", err, ck.CKR_KEY_NOT_WRAPPABLE)

	// One that decrypts leaves, and does not come back as one that wraps, nor as one that can be read.
	target := tk.secretKey(s, append(granted(ck.CKA_DECRYPT), wrappable...)...)
	wrapped, err := tk.Wrap(s, keyWrap, carrier, target)
	tk.must(err)
	for name, template := range map[string][]Attribute{
		"wraps": granted(ck.CKA_WRAP), "unwraps": granted(ck.CKA_UNWRAP), "can be read": bools(no, ck.CKA_SENSITIVE),
		"can be read and extracted": {{ck.CKA_SENSITIVE, no}, {ck.CKA_EXTRACTABLE, yes}},
	} {
		_, err := tk.Unwrap(s, keyWrap, carrier, wrapped, aesTemplate(template...))
		tk.refused("one that "+name, err, ck.CKR_TEMPLATE_INCONSISTENT)
	}
	back, err := tk.Unwrap(s, keyWrap, carrier, wrapped, aesTemplate(granted(ck.CKA_EXTRACTABLE)...))
	tk.must(err)
	tk.expect(back, values{ck.CKA_SENSITIVE: yes, ck.CKA_EXTRACTABLE: yes, ck.CKA_LOCAL: no,
		ck.CKA_ALWAYS_SENSITIVE:  no,
		ck.CKA_NEVER_EXTRACTABLE: no, ck.CKA_WRAP: no, ck.CKA_UNWRAP: no, ck.CKA_DECRYPT: yes})
	for _, right := range []ck.AttributeType{ck.CKA_WRAP, ck.CKA_UNWRAP} {
		tk.refused("later "+right.String(), tk.Change(s, back, granted(right)), ck.CKR_ATTRIBUTE_READ_ONLY)
		_, err := tk.Copy(s, back, granted(right))
		tk.refused("a copy that has "+right.String(), err, ck.CKR_ATTRIBUTE_READ_ONLY)
	}

	// A carrier that can be read carries nothing that is sensitive, and one that the application could once read
	// neither.
	known := tk.imported(s, make([]byte, 32), granted(ck.CKA_WRAP)...)
	_, err = tk.Wrap(s, keyWrap, known, target)
	tk.refused("under a key that the application brought along", err, ck.CKR_KEY_NOT_WRAPPABLE)
	readable := tk.secretKey(s, append(granted(ck.CKA_WRAP, ck.CKA_UNWRAP), Attribute{ck.CKA_SENSITIVE, no},
		Attribute{ck.CKA_EXTRACTABLE, yes})...)
	_, err = tk.Wrap(s, keyWrap, readable, target)
	tk.refused("under a key that can be read", err, ck.CKR_KEY_NOT_WRAPPABLE)
	open := tk.secretKey(s, Attribute{ck.CKA_EXTRACTABLE, yes}, Attribute{ck.CKA_SENSITIVE, no})
	wrapped, err = tk.Wrap(s, keyWrap, readable, open)
	tk.must(err)
	tk.must(tk.Change(s, readable, []Attribute{{ck.CKA_SENSITIVE, yes}, {ck.CKA_EXTRACTABLE, no}}))
	_, err = tk.Wrap(s, keyWrap, readable, target)
	tk.refused("under a key that could be read", err, ck.CKR_KEY_NOT_WRAPPABLE)
	again, err := tk.Unwrap(s, keyWrap, readable, wrapped, aesTemplate(Attribute{ck.CKA_SENSITIVE, no},
		Attribute{ck.CKA_EXTRACTABLE, yes}))
	tk.must(err)
	if !bytes.Equal(tk.value(again, ck.CKA_VALUE), tk.value(open, ck.CKA_VALUE)) {
		t.Error("another value came back")
	}
}

// One value from two derivations: a key that wraps, and one that decrypts what it wrapped. A derived key wraps only
// if it can be read anyway, and then nothing that is sensitive.
func TestAttackDeriveTwice(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	base, target := tk.secretKey(s, granted(ck.CKA_DERIVE)...), tk.secretKey(s, wrappable...)
	m := ck.Mechanism{Type: ck.CKM_AES_ECB_ENCRYPT_DATA, Struct: &ck.DerivationData{Data: make([]byte, 32)}}
	hidden := []Attribute{{ck.CKA_SENSITIVE, yes}, {ck.CKA_EXTRACTABLE, no}}
	for _, right := range []ck.AttributeType{ck.CKA_WRAP, ck.CKA_UNWRAP} {
		_, err := tk.Derive(s, m, base, "", aesTemplate(append(granted(right), hidden...)...))
		tk.refused("a key that has "+right.String(), err, ck.CKR_TEMPLATE_INCONSISTENT)
	}
	open, err := tk.Derive(s, m, base, "", aesTemplate(granted(ck.CKA_WRAP)...))
	tk.must(err)
	tk.must(tk.Change(s, open, hidden))
	_, err = tk.Wrap(s, keyWrap, open, target)
	tk.refused("one that could be read", err, ck.CKR_KEY_NOT_WRAPPABLE)
}

// Key binding: pieces of wrapped keys put together to other keys, of which each part can be searched by itself. What is
// not authenticated wraps nothing, or unwraps no secret key.
func TestAttackKeyBinding(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	carrier := tk.secretKey(s, granted(ck.CKA_WRAP, ck.CKA_UNWRAP)...)
	one, two := tk.secretKey(s, wrappable...), tk.secretKey(s, wrappable...)
	for _, m := range []ck.Mechanism{keyWrap, {Type: ck.CKM_AES_KEY_WRAP_KWP}} {
		first, err := tk.Wrap(s, m, carrier, one)
		tk.must(err)
		second, err := tk.Wrap(s, m, carrier, two)
		tk.must(err)
		for name, pieces := range map[string][]byte{
			"half":        first[:24],
			"other half":  first[16:],
			"both halves": append(bytes.Clone(first[:24]), second[24:]...),
			"swapped":     append(bytes.Clone(first[16:]), first[:16]...),
			"one bit":     append(append([]byte{}, first[:7]...), append([]byte{first[7] ^ 1}, first[8:]...)...),
			"nothing":     {},
		} {
			_, err := tk.Unwrap(s, m, carrier, pieces, aesTemplate())
			if rv := result(err); rv != ck.CKR_WRAPPED_KEY_INVALID && rv != ck.CKR_WRAPPED_KEY_LEN_RANGE {
				t.Errorf("%s, %s: %v", m.Type, name, err)
			}
		}
	}
	for _, m := range []ck.MechanismType{ck.CKM_AES_ECB, ck.CKM_AES_CBC, ck.CKM_AES_CTR, ck.CKM_AES_GCM} {
		if row, _ := mechanism.Find(m); row.Flags&(ck.CKF_WRAP|ck.CKF_UNWRAP) != 0 {
			t.Errorf("%s wraps", m)
		}
		_, err := tk.Wrap(s, ck.Mechanism{Type: m, Parameter: make([]byte, 16)}, carrier, one)
		tk.refused(m.String(), err, ck.CKR_MECHANISM_INVALID)
	}
}

// CBC does not authenticate: wrapping chosen keys with it encrypts, unwrapping pieces decrypts, and the answers to
// altered bytes would tell a secret key byte by byte. It serves keys alone whose value the application may know, and
// unwraps no secret key; for private keys all that is wrong is one answer.
func TestAttackCBCPaddingOracle(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	m := ck.Mechanism{Type: ck.CKM_AES_CBC_PAD, Parameter: make([]byte, 16)}
	both := granted(ck.CKA_WRAP, ck.CKA_UNWRAP)
	private := []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_PRIVATE_KEY)}, {ck.CKA_KEY_TYPE, Ulong(ck.CKK_EC)}}
	trusted := tk.imported(s, make([]byte, 32), append(both, append(granted(ck.CKA_TOKEN), bools(no,
		ck.CKA_PRIVATE)...)...)...)
	tk.trust(trusted)
	for name, carrier := range map[string]ObjectID{"generated": tk.secretKey(s, both...), "trusted": trusted} {
		known := tk.imported(s, make([]byte, 16), append(granted(ck.CKA_EXTRACTABLE), bools(no, ck.CKA_SENSITIVE)...)...)
		for _, key := range []ObjectID{known, tk.secretKey(s, wrappable...)} {
			_, err := tk.Wrap(s, m, carrier, key)
			tk.refused(name+", wrapped", err, ck.CKR_MECHANISM_INVALID)
		}
		for _, length := range []int{16, 64, 160} {
			_, err := tk.Unwrap(s, m, carrier, make([]byte, length), private)
			tk.refused(name+", unwrapped", err, ck.CKR_MECHANISM_INVALID)
		}
	}

	carrier := tk.secretKey(s, append(both, Attribute{ck.CKA_SENSITIVE, no}, Attribute{ck.CKA_EXTRACTABLE, yes})...)
	open := []Attribute{{ck.CKA_SENSITIVE, no}, {ck.CKA_EXTRACTABLE, yes}}
	wrapped, err := tk.Wrap(s, m, carrier, tk.secretKey(s, open...))
	tk.must(err)
	_, err = tk.Unwrap(s, m, carrier, wrapped, aesTemplate())
	tk.refused("a secret key", err, ck.CKR_MECHANISM_INVALID)
	generic := []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_SECRET_KEY)}, {ck.CKA_KEY_TYPE, Ulong(ck.CKK_GENERIC_SECRET)}}
	_, err = tk.Unwrap(s, m, carrier, wrapped, generic)
	tk.refused("a generic secret", err, ck.CKR_MECHANISM_INVALID)

	_, priv, err := tk.GenerateKeyPair(s, by(ck.CKM_EC_KEY_PAIR_GEN), []Attribute{{ck.CKA_EC_PARAMS, p256}}, open)
	tk.must(err)
	wrapped, err = tk.Wrap(s, m, carrier, priv)
	tk.must(err)
	back, err := tk.Unwrap(s, m, carrier, wrapped, private)
	tk.must(err)
	tk.expect(back, values{ck.CKA_PUBLIC_KEY_INFO: tk.value(priv, ck.CKA_PUBLIC_KEY_INFO), ck.CKA_LOCAL: no,
		ck.CKA_SENSITIVE: yes})
	texts := map[string]bool{}
	for i := range wrapped {
		altered := bytes.Clone(wrapped)
		altered[i] ^= 0x5a
		_, err := tk.Unwrap(s, m, carrier, altered, private)
		if result(err) != ck.CKR_WRAPPED_KEY_INVALID {
			t.Fatalf("byte %d: %v", i, err)
		}
		texts[err.Error()] = true
	}
	if len(texts) != 1 {
		t.Errorf("answers that differ: %v", texts)
	}
}

// trust has the SO trust objects. The user is logged in before and afterwards.
func (tk *testToken) trust(ids ...ObjectID) {
	tk.Helper()
	tk.must(tk.Logout())
	tk.must(tk.Login(ck.CKU_SO, soPIN))
	for _, id := range ids {
		tk.must(tk.Change(Session{ID: tk.last, ReadWrite: true}, id, granted(ck.CKA_TRUSTED)))
	}
	tk.must(tk.Logout())
	tk.must(tk.Login(ck.CKU_USER, userPIN))
}

// Bleichenbacher's oracle: whether wrapped bytes that were made up have a right padding is not told. Each gives a
// key, the same one every time.
func TestAttackRSAPaddingOracle(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	pub, priv := tk.rsaPair(s, granted(ck.CKA_WRAP), granted(ck.CKA_UNWRAP))
	m := by(ck.CKM_RSA_PKCS)
	target := tk.secretKey(s, wrappable...)
	wrapped, err := tk.Wrap(s, m, pub, target)
	tk.must(err)
	back, err := tk.Unwrap(s, m, priv, wrapped, aesTemplate())
	tk.must(err)
	tk.expect(back, values{ck.CKA_CHECK_VALUE: tk.value(target, ck.CKA_CHECK_VALUE)})

	random, err := rand.Int(rand.Reader, new(big.Int).SetBytes(tk.value(pub, ck.CKA_MODULUS)))
	tk.must(err)
	short, err := tk.Create(s, []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_SECRET_KEY)}, {ck.CKA_KEY_TYPE,
		Ulong(ck.CKK_GENERIC_SECRET)},
		{ck.CKA_VALUE, make([]byte, 5)}, {ck.CKA_EXTRACTABLE, yes}})
	tk.must(err)
	padded, err := tk.Wrap(s, m, pub, short) // no AES key
	tk.must(err)
	altered := bytes.Clone(wrapped)
	altered[100] ^= 1
	for name, bytes := range map[string][]byte{"random": random.FillBytes(make([]byte, 256)), "of 5 bytes": padded,
		"altered": altered} {
		for _, length := range []Attribute{{ck.CKA_LABEL, nil}, length(24)} {
			template := aesTemplate(length)
			one, err := tk.Unwrap(s, m, priv, bytes, template)
			tk.must(err)
			two, err := tk.Unwrap(s, m, priv, bytes, template)
			tk.must(err)
			tk.expect(one, values{ck.CKA_CHECK_VALUE: tk.value(two, ck.CKA_CHECK_VALUE),
				ck.CKA_VALUE_LEN: tk.value(two, ck.CKA_VALUE_LEN)})
			if length.Type == ck.CKA_VALUE_LEN {
				tk.expect(one, values{ck.CKA_VALUE_LEN: length.Value})
			}
			if name == "altered" && string(tk.value(one, ck.CKA_CHECK_VALUE)) == string(tk.value(target,
				ck.CKA_CHECK_VALUE)) {
				t.Error("the altered bytes gave the key")
			}
		}
	}
	_, err = tk.Unwrap(s, m, priv, wrapped[1:], aesTemplate())
	tk.refused("a length that no such key has", err, ck.CKR_WRAPPED_KEY_INVALID)
}

// A wrapping key of the attacker's own choice is what CKA_WRAP_WITH_TRUSTED is against, and only the SO trusts.
func TestWrapWithTrusted(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	known := bytes.Repeat([]byte{7}, 32)
	carrier := tk.imported(s, known, append(granted(ck.CKA_WRAP, ck.CKA_TOKEN), bools(no, ck.CKA_PRIVATE)...)...)
	bound := tk.secretKey(s, append(granted(ck.CKA_WRAP_WITH_TRUSTED), wrappable...)...)
	_, err := tk.Wrap(s, keyWrap, carrier, bound)
	tk.refused("a key that the attacker knows", err, ck.CKR_KEY_NOT_WRAPPABLE)
	tk.refused("the user trusts", tk.Change(s, carrier, granted(ck.CKA_TRUSTED)), ck.CKR_ATTRIBUTE_READ_ONLY)
	tk.refused("not bound any more", tk.Change(s, bound, bools(no, ck.CKA_WRAP_WITH_TRUSTED)),
		ck.CKR_ATTRIBUTE_READ_ONLY)
	tk.must(tk.Logout())
	tk.must(tk.Login(ck.CKU_SO, soPIN))
	tk.must(tk.Change(s, carrier, granted(ck.CKA_TRUSTED)))
	tk.must(tk.Logout())
	tk.must(tk.Login(ck.CKU_USER, userPIN))
	bound = tk.secretKey(s, append(granted(ck.CKA_WRAP_WITH_TRUSTED), wrappable...)...)
	if _, err := tk.Wrap(s, keyWrap, carrier, bound); err != nil {
		t.Errorf("a key that the SO trusts: %v", err)
	}
	unbound := tk.secretKey(s, wrappable...)
	theirs, err := rsa.GenerateKey(rand.Reader, 2048)
	tk.must(err)
	public, err := tk.Create(s, []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_PUBLIC_KEY)}, {ck.CKA_KEY_TYPE,
		Ulong(ck.CKK_RSA)},
		{ck.CKA_MODULUS, theirs.N.Bytes()}, {ck.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}}})
	tk.must(err)
	oaep := ck.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Struct: &ck.OAEPParams{Hash: uint64(ck.CKM_SHA256),
		MGF: ck.CKG_MGF1_SHA256}}
	_, err = tk.Wrap(s, oaep, public, unbound)
	tk.refused("to somebody else, a key whose owner did not forbid it", err, ck.CKR_OK)
	_, err = tk.Wrap(s, oaep, public, bound)
	tk.refused("to somebody else, a key whose owner forbade it", err, ck.CKR_KEY_NOT_WRAPPABLE)
}

// A key that the SO trusts carries keys that wrap, if all that comes out of it wraps and so does not decrypt.
func TestTrustedBringsWrappingKeys(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	rights := append(granted(ck.CKA_WRAP, ck.CKA_UNWRAP, ck.CKA_TOKEN), bools(no, ck.CKA_PRIVATE)...)
	loose := tk.secretKey(s, rights...)
	strict := tk.secretKey(s, append(rights, Attribute{ck.CKA_UNWRAP_TEMPLATE,
		EncodeTemplate(granted(ck.CKA_WRAP))})...)
	tk.must(tk.Logout())
	tk.must(tk.Login(ck.CKU_SO, soPIN))
	tk.must(tk.Change(s, loose, granted(ck.CKA_TRUSTED)))
	tk.must(tk.Change(s, strict, granted(ck.CKA_TRUSTED)))
	tk.must(tk.Logout())
	tk.must(tk.Login(ck.CKU_USER, userPIN))
	below := tk.secretKey(s, append(granted(ck.CKA_WRAP, ck.CKA_UNWRAP), wrappable...)...)
	_, err := tk.Wrap(s, keyWrap, loose, below)
	tk.refused("by one from which it could come with another role", err, ck.CKR_KEY_NOT_WRAPPABLE)
	wrapped, err := tk.Wrap(s, keyWrap, strict, below)
	tk.must(err)
	for name, template := range map[string][]Attribute{
		"both roles":      granted(ck.CKA_WRAP, ck.CKA_DECRYPT),
		"another role":    granted(ck.CKA_DECRYPT),
		"no role":         bools(no, ck.CKA_WRAP),
		"a value to read": bools(no, ck.CKA_SENSITIVE),
	} {
		_, err = tk.Unwrap(s, keyWrap, strict, wrapped, aesTemplate(template...))
		tk.refused("with "+name, err, ck.CKR_TEMPLATE_INCONSISTENT)
	}
	back, err := tk.Unwrap(s, keyWrap, strict, wrapped, aesTemplate())
	tk.must(err)
	tk.expect(back, values{ck.CKA_CHECK_VALUE: tk.value(below, ck.CKA_CHECK_VALUE), ck.CKA_WRAP: yes,
		ck.CKA_DECRYPT: no, ck.CKA_ENCRYPT: no})
}

// What is refused before a key is touched.
func TestWrapRefusals(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	carrier, target := tk.secretKey(s, granted(ck.CKA_WRAP, ck.CKA_UNWRAP)...), tk.secretKey(s, wrappable...)
	stays, ciphers := tk.secretKey(s), tk.secretKey(s, granted(ck.CKA_ENCRYPT, ck.CKA_DECRYPT)...)
	pub, priv, err := tk.GenerateHSS(t.Context(), s, nil, oneLevel())
	tk.must(err)
	picky := tk.secretKey(s, append(granted(ck.CKA_WRAP), Attribute{ck.CKA_WRAP_TEMPLATE,
		EncodeTemplate([]Attribute{{ck.CKA_LABEL, []byte("to go")}})})...)
	named := tk.secretKey(s, append([]Attribute{{ck.CKA_LABEL, []byte("to go")}}, wrappable...)...)
	limited := tk.secretKey(s, append(granted(ck.CKA_WRAP), Attribute{ck.CKA_ALLOWED_MECHANISMS,
		Ulongs(ck.CKM_AES_KEY_WRAP_KWP)})...)
	for _, c := range []struct {
		name          string
		m             ck.MechanismType
		wrapping, key ObjectID
		want          ck.RV
	}{
		{"as it should be", ck.CKM_AES_KEY_WRAP, carrier, target, ck.CKR_OK},
		{"not extractable", ck.CKM_AES_KEY_WRAP, carrier, stays, ck.CKR_KEY_UNEXTRACTABLE},
		{"HSS", ck.CKM_AES_KEY_WRAP, carrier, priv, ck.CKR_KEY_UNEXTRACTABLE},
		{"HSS with no mechanism", 0x4711, carrier, priv, ck.CKR_KEY_UNEXTRACTABLE},
		{"a public key", ck.CKM_AES_KEY_WRAP, carrier, pub, ck.CKR_KEY_NOT_WRAPPABLE},
		{"no object", ck.CKM_AES_KEY_WRAP, carrier, "token/none", ck.CKR_KEY_HANDLE_INVALID},
		{"no key", ck.CKM_AES_KEY_WRAP, carrier, "profile/baseline", ck.CKR_KEY_HANDLE_INVALID},
		{"no wrapping key", ck.CKM_AES_KEY_WRAP, "token/none", target, ck.CKR_WRAPPING_KEY_HANDLE_INVALID},
		{"no right to wrap", ck.CKM_AES_KEY_WRAP, ciphers, target, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"a wrapping key of another type", ck.CKM_RSA_PKCS, carrier, target, ck.CKR_WRAPPING_KEY_TYPE_INCONSISTENT},
		{"no mechanism to wrap", ck.CKM_SHA256, carrier, target, ck.CKR_MECHANISM_INVALID},
		{"not what the wrapping key wants", ck.CKM_AES_KEY_WRAP, picky, target, ck.CKR_KEY_NOT_WRAPPABLE},
		{"what the wrapping key wants", ck.CKM_AES_KEY_WRAP, picky, named, ck.CKR_OK},
		{"not an allowed mechanism", ck.CKM_AES_KEY_WRAP, limited, target, ck.CKR_MECHANISM_INVALID},
		{"an allowed mechanism", ck.CKM_AES_KEY_WRAP_KWP, limited, target, ck.CKR_OK},
	} {
		wrapped, err := tk.Wrap(s, ck.Mechanism{Type: c.m}, c.wrapping, c.key)
		tk.refused(c.name, err, c.want)
		size, err := tk.WrappedSize(ck.Mechanism{Type: c.m}, c.wrapping, c.key)
		tk.refused(c.name+", its length", err, c.want)
		if size != len(wrapped) {
			t.Errorf("%s: %d bytes, %d announced", c.name, len(wrapped), size)
		}
	}
}

func TestUnwrapTemplates(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	carrier, target := tk.secretKey(s, granted(ck.CKA_WRAP, ck.CKA_UNWRAP)...), tk.secretKey(s, wrappable...)
	wrapped, err := tk.Wrap(s, keyWrap, carrier, target)
	tk.must(err)
	before := len(tk.Find(nil))
	for _, c := range []struct {
		name     string
		template []Attribute
		want     ck.RV
	}{
		{"none", nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{"no type", []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_SECRET_KEY)}}, ck.CKR_TEMPLATE_INCOMPLETE},
		{"public", []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_PUBLIC_KEY)}, {ck.CKA_KEY_TYPE, Ulong(ck.CKK_RSA)}},
			ck.CKR_TEMPLATE_INCONSISTENT},
		{"HSS", []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_PRIVATE_KEY)}, {ck.CKA_KEY_TYPE, Ulong(ck.CKK_HSS)}},
			ck.CKR_TEMPLATE_INCONSISTENT},
		{"with a value", aesTemplate(Attribute{ck.CKA_VALUE, make([]byte, 32)}), ck.CKR_ATTRIBUTE_READ_ONLY},
		{"of another length", aesTemplate(length(16)), ck.CKR_WRAPPED_KEY_INVALID},
		{"of another type", []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_PRIVATE_KEY)}, {ck.CKA_KEY_TYPE,
			Ulong(ck.CKK_EC)}}, ck.CKR_WRAPPED_KEY_INVALID},
		{"local", aesTemplate(granted(ck.CKA_LOCAL)...), ck.CKR_ATTRIBUTE_READ_ONLY},
	} {
		_, err := tk.Unwrap(s, keyWrap, carrier, wrapped, c.template)
		tk.refused(c.name, err, c.want)
	}
	if after := len(tk.Find(nil)); after != before {
		t.Errorf("%d objects appeared", after-before)
	}
	demand := []Attribute{{ck.CKA_UNWRAP_TEMPLATE,
		EncodeTemplate([]Attribute{{ck.CKA_EXTRACTABLE, no}, {ck.CKA_LABEL, []byte("came in")}})}}
	value := make([]byte, 16)
	strict := tk.imported(s, value, append(granted(ck.CKA_UNWRAP), demand...)...)
	outside, err := mechanism.Parse(ck.CKO_SECRET_KEY, ck.CKK_AES, Attributes{ck.CKA_VALUE: value})
	tk.must(err)
	wrapped, err = mechanism.Wrap(keyWrap, outside, outside)
	tk.must(err)
	_, err = tk.Unwrap(s, keyWrap, strict, wrapped, aesTemplate(granted(ck.CKA_EXTRACTABLE)...))
	tk.refused("not what the unwrapping key demands", err, ck.CKR_TEMPLATE_INCONSISTENT)
	id, err := tk.Unwrap(s, keyWrap, strict, wrapped, aesTemplate())
	tk.must(err)
	tk.expect(id, values{ck.CKA_LABEL: []byte("came in"), ck.CKA_EXTRACTABLE: no})
}

// Every mechanism that wraps gives a key back as it was, private ones too.
func TestWrapAndUnwrap(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	carrier := tk.secretKey(s, granted(ck.CKA_WRAP, ck.CKA_UNWRAP)...)
	pub, priv := tk.rsaPair(s, granted(ck.CKA_WRAP), granted(ck.CKA_UNWRAP))
	oaep := &ck.OAEPParams{Hash: uint64(ck.CKM_SHA256), MGF: ck.CKG_MGF1_SHA256}
	for _, c := range []struct {
		m                    ck.Mechanism
		wrapping, unwrapping ObjectID
		private              bool
	}{
		{keyWrap, carrier, carrier, false},
		{by(ck.CKM_AES_KEY_WRAP_KWP), carrier, carrier, true},
		{by(ck.CKM_RSA_PKCS), pub, priv, false},
		{ck.Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Struct: oaep}, pub, priv, false},
		{ck.Mechanism{Type: ck.CKM_RSA_AES_KEY_WRAP, Struct: &ck.RSAAESKeyWrapParams{AESKeyBits: 256, OAEP: oaep}},
			pub, priv, true},
	} {
		keys := []ObjectID{tk.secretKey(s, wrappable...)}
		if c.private {
			for row, g := range generations {
				if g.pair {
					_, key, err := tk.GenerateKeyPair(s, ck.Mechanism{Type: g.mechanism}, g.public, wrappable)
					tk.must(err)
					keys = append(keys, key)
				}
				_ = row
			}
		}
		for _, key := range keys {
			tk.goesAround(s, c.m, c.wrapping, c.unwrapping, key)
		}
	}
}

// goesAround wraps and unwraps a key, and compares what can be compared.
func (tk *testToken) goesAround(s Session, m ck.Mechanism, wrapping, unwrapping, key ObjectID) {
	tk.Helper()
	o, err := tk.object(key)
	tk.must(err)
	size, err := tk.WrappedSize(m, wrapping, key)
	tk.must(err)
	wrapped, err := tk.Wrap(s, m, wrapping, key)
	tk.must(err)
	if len(wrapped) != size {
		tk.Errorf("%s of %s: %d bytes, %d announced", m.Type, o.keyType(), len(wrapped), size)
	}
	back, err := tk.Unwrap(s, m, unwrapping, wrapped, []Attribute{{ck.CKA_CLASS, Ulong(o.class())}, {ck.CKA_KEY_TYPE,
		Ulong(o.keyType())}, {ck.CKA_TOKEN, yes}})
	if err != nil {
		tk.Errorf("%s of %s: %v", m.Type, o.keyType(), err)
		return
	}
	tk.expectWhole(back)
	want, err := tk.secrets(o)
	tk.must(err)
	again, err := tk.object(back)
	tk.must(err)
	got, err := tk.secrets(again)
	tk.must(err)
	for attribute, value := range want {
		if !bytes.Equal(value, got[attribute]) {
			tk.Errorf("%s of %s: another %s", m.Type, o.keyType(), attribute)
		}
	}
}

// A key from elsewhere that is in CBC comes as NSS brings it: a private key, under a key of the session.
func TestUnwrapAsNSS(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	value, iv := bytes.Repeat([]byte{3}, 16), make([]byte, 16)
	carrier := tk.imported(s, value, granted(ck.CKA_UNWRAP)...)
	_, priv, err := tk.GenerateKeyPair(s, by(ck.CKM_EC_KEY_PAIR_GEN), []Attribute{{ck.CKA_EC_PARAMS, p256}}, wrappable)
	tk.must(err)
	o, err := tk.object(priv)
	tk.must(err)
	key, err := tk.key(o)
	tk.must(err)
	out, err := mechanism.Parse(ck.CKO_SECRET_KEY, ck.CKK_AES, Attributes{ck.CKA_VALUE: value})
	tk.must(err)
	m := ck.Mechanism{Type: ck.CKM_AES_CBC_PAD, Parameter: iv}
	wrapped, err := mechanism.Wrap(m, out, key)
	tk.must(err)
	block, err := aes.NewCipher(value)
	tk.must(err)
	plain := make([]byte, len(wrapped))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, wrapped)
	if plain[0] != 0x30 {
		t.Errorf("not PKCS #8: %x", plain[:4])
	}
	id, err := tk.Unwrap(s, m, carrier, wrapped,
		append(granted(ck.CKA_TOKEN, ck.CKA_PRIVATE, ck.CKA_SENSITIVE, ck.CKA_SIGN), Attribute{ck.CKA_ID, []byte{1}},
			Attribute{ck.CKA_CLASS, Ulong(ck.CKO_PRIVATE_KEY)}, Attribute{ck.CKA_KEY_TYPE, Ulong(ck.CKK_EC)}))
	tk.must(err)
	tk.expect(id, values{ck.CKA_PUBLIC_KEY_INFO: tk.value(priv, ck.CKA_PUBLIC_KEY_INFO), ck.CKA_SIGN: yes,
		ck.CKA_ID: {1}})
}

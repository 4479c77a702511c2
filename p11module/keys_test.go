package p11module

import (
	"fmt"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

var generation = Mechanism{Type: ck.CKM_HSS_KEY_PAIR_GEN}

// The templates of the only hardware that offers these mechanisms, as its samples send them: no class, no key type, no
// CKA_COPYABLE, and a private public key.
func TestLunaTemplates(t *testing.T) {
	b, h := newUserBench(t)
	for _, onToken := range []bool{false, true} {
		public := []Attribute{
			{Type: ck.CKA_TOKEN, Value: truth(onToken)}, {Type: ck.CKA_PRIVATE, Value: truth(true)}, {Type: ck.CKA_MODIFIABLE, Value: truth(false)},
			{Type: ck.CKA_ENCRYPT, Value: truth(false)}, {Type: ck.CKA_VERIFY, Value: truth(true)}, {Type: ck.CKA_DERIVE, Value: truth(false)},
			{Type: ck.CKA_LABEL, Value: []byte("luna-pub")},
		}
		private := []Attribute{
			{Type: ck.CKA_TOKEN, Value: truth(onToken)}, {Type: ck.CKA_PRIVATE, Value: truth(true)}, {Type: ck.CKA_SENSITIVE, Value: truth(true)},
			{Type: ck.CKA_MODIFIABLE, Value: truth(false)}, {Type: ck.CKA_EXTRACTABLE, Value: truth(false)}, {Type: ck.CKA_DECRYPT, Value: truth(false)},
			{Type: ck.CKA_SIGN, Value: truth(true)}, {Type: ck.CKA_DERIVE, Value: truth(false)}, {Type: ck.CKA_UNWRAP, Value: truth(false)},
			{Type: ck.CKA_HSS_LEVELS, Value: ulong(uint64(2))}, {Type: ck.CKA_HSS_LMS_TYPES, Value: ulongs(5, 5)}, {Type: ck.CKA_HSS_LMOTS_TYPES, Value: ulongs(4, 4)},
			{Type: ck.CKA_LABEL, Value: []byte("luna-priv")},
		}
		pub, priv, rv := b.m.GenerateKeyPair(h, generation, public, private)
		b.must(rv)
		b.audit(h, pub).check("m", b.sign(h, priv, "m"))
		b.want(ck.CKR_ACTION_PROHIBITED, b.m.SetAttributeValue(h, priv, []Attribute{{Type: ck.CKA_LABEL, Value: []byte("x")}}))
	}
	b.must(b.m.Logout(h))
	if found := b.find(h); len(found) != 0 {
		t.Errorf("%d objects seen without login", len(found))
	}
}

// Either half can be a token or a session object.
func TestMixedPairs(t *testing.T) {
	for _, privateOnToken := range []bool{true, false} {
		t.Run(fmt.Sprint("private key on token: ", privateOnToken), func(t *testing.T) {
			b, h := newUserBench(t)
			public, private := templates(privateOnToken, "mixed", h5w8)
			public[0].Value = truth(!privateOnToken)
			pub, priv, rv := b.m.GenerateKeyPair(h, generation, public, private)
			b.must(rv)
			a := b.audit(h, pub)
			signature := b.sign(h, priv, "m")
			a.check("m", signature)
			b.must(b.m.VerifyInit(h, hss, pub))
			b.must(b.m.Verify(h, []byte("m"), signature))
			b.must(b.m.CloseSession(h))
			h = b.userSession(0)
			survivor := b.one(h)
			if privateOnToken {
				a.check("again", b.sign(h, survivor, "again"))
			} else {
				b.must(b.m.VerifyInit(h, hss, survivor))
				b.must(b.m.Verify(h, []byte("m"), signature))
			}
		})
	}
}

func TestGenerateNeeds(t *testing.T) {
	b := newTokenBench(t)
	ro, rw := b.open(0, false), b.open(0, true)
	try := func(h ck.SessionHandle, onToken bool, more ...Attribute) ck.RV {
		public, private := templates(onToken, "key", h5w8)
		_, _, rv := b.m.GenerateKeyPair(h, generation, public, append(private, more...))
		return rv
	}
	open := Attribute{Type: ck.CKA_PRIVATE, Value: truth(false)}
	b.want(ck.CKR_USER_NOT_LOGGED_IN, try(ro, true))
	b.want(ck.CKR_USER_NOT_LOGGED_IN, try(rw, true))
	b.want(ck.CKR_USER_NOT_LOGGED_IN, try(rw, false))
	b.want(ck.CKR_SESSION_READ_ONLY, try(ro, true, open))
	b.want(ck.CKR_USER_NOT_LOGGED_IN, try(rw, true, open))
	b.must(try(ro, false, open)) // a session key that is not private needs nobody
	b.login(rw)
	b.want(ck.CKR_SESSION_READ_ONLY, try(ro, true))
	b.must(try(ro, false))
	b.must(try(rw, true))

	public, private := templates(true, "key", h5w8)
	private[0].Value = truth(false)
	_, _, rv := b.m.GenerateKeyPair(ro, generation, public, private) // the public half alone is a token object
	b.want(ck.CKR_SESSION_READ_ONLY, rv)

	public, private = templates(true, "key", h5w8)
	_, _, rv = b.m.GenerateKeyPair(rw, Mechanism{Type: ck.CKM_HSS_KEY_PAIR_GEN, Parameter: []byte{1}}, public, private)
	b.want(ck.CKR_MECHANISM_PARAM_INVALID, rv)
	for _, mechanism := range []ck.MechanismType{ck.CKM_HSS, ck.CKM_AES_KEY_GEN, ck.CKM_XMSS_KEY_PAIR_GEN} {
		_, _, rv = b.m.GenerateKeyPair(rw, Mechanism{Type: mechanism}, public, private)
		b.want(ck.CKR_MECHANISM_INVALID, rv)
	}
	_, _, rv = b.m.GenerateKeyPair(rw, generation, nil, nil)
	b.want(ck.CKR_TEMPLATE_INCOMPLETE, rv)
}

package p11module

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/token"
)

// caller is an application that makes the calls that a string of octets says, with handles and values that are right
// quite often.
type caller struct {
	testing.TB
	m        *Module
	octets   []byte // what is left of it
	sessions []ck.SessionHandle
	objects  []ck.ObjectHandle
	kept     map[string]ck.ObjectHandle // keys of the token, by their labels
	last     []byte                     // the last result: what can be decrypted, verified and unwrapped
	spoiled  bool                       // the token is not as it was before
}

// pick is the next octet as a number below n, 0 at the end.
func (c *caller) pick(n int) int {
	if len(c.octets) == 0 {
		return 0
	}
	octet := c.octets[0]
	c.octets = c.octets[1:]
	return int(octet) % n
}

func oneOf[T any](c *caller, all ...T) T { return all[c.pick(len(all))] }

// session and object are handles that were given out, mostly lately, or others.
func (c *caller) session() ck.SessionHandle {
	if len(c.sessions) == 0 || c.pick(16) == 0 {
		return oneOf(c, append([]ck.SessionHandle{0, 4711}, c.sessions...)...)
	}
	return c.sessions[len(c.sessions)-1]
}

func (c *caller) object() ck.ObjectHandle {
	if c.pick(2) == 0 {
		return c.kept[oneOf(c, "aes", "wrap", "generic", "ec", "ec public", "rsa", "rsa public", "hss", "hss public", "kem", "kem public")]
	}
	return oneOf(c, append(c.objects[max(0, len(c.objects)-20):], 0, 4711)...)
}

func (c *caller) made(object ck.ObjectHandle, rv ck.RV) ck.RV {
	if rv == ck.CKR_OK {
		c.objects = append(c.objects, object)
	}
	return rv
}

func (c *caller) out() Output {
	return oneOf(c, Output{Room: 1 << 20}, Output{Room: 1 << 20}, Output{Query: true}, Output{}, Output{Room: 1}, Output{Room: 16}, Output{Room: 33})
}

// got holds a result to the buffer rules.
func (c *caller) got(out Output, result []byte, length uint64, rv ck.RV) ck.RV {
	c.Helper()
	switch {
	case rv != ck.CKR_OK && len(result) != 0:
		c.Errorf("%d bytes came with %s", len(result), rv.Error())
	case rv == ck.CKR_OK && out.Query && result != nil:
		c.Errorf("%d bytes came with a length query", len(result))
	case rv == ck.CKR_OK && !out.Query && (uint64(len(result)) != length || length > out.Room):
		c.Errorf("%d bytes, length %d, room %d", len(result), length, out.Room)
	case rv == ck.CKR_BUFFER_TOO_SMALL && length <= out.Room:
		c.Errorf("length %d does not fit into %d", length, out.Room)
	}
	if rv == ck.CKR_OK && !out.Query {
		c.last = result
	}
	return rv
}

func (c *caller) data() []byte {
	return oneOf(c, c.last, c.last, c.last, c.last, c.last, c.last, nil, []byte{}, []byte("m"), make([]byte, 15), make([]byte, 16), make([]byte, 32), make([]byte, 64), make([]byte, 70), make([]byte, 256), make([]byte, 5000))
}

func (c *caller) pin() []byte {
	return oneOf(c, []byte(userPIN), []byte(userPIN), []byte(soPIN), nil, []byte("wrong"), []byte{})
}

// values are attributes that templates are made of.
var values = []Attribute{
	{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_SECRET_KEY)}, {Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PRIVATE_KEY)},
	{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PUBLIC_KEY)}, {Type: ck.CKA_CLASS, Value: ulong(ck.CKO_DATA)},
	{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_CERTIFICATE)}, {Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PROFILE)}, {Type: ck.CKA_CLASS, Value: ulong(uint64(77))},
	{Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_AES)}, {Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_GENERIC_SECRET)}, {Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_RSA)},
	{Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_EC)}, {Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_HSS)}, {Type: ck.CKA_KEY_TYPE, Value: ulong(uint64(99))},
	{Type: ck.CKA_TOKEN, Value: truth(true)}, {Type: ck.CKA_TOKEN, Value: truth(false)}, {Type: ck.CKA_PRIVATE, Value: truth(true)}, {Type: ck.CKA_PRIVATE, Value: truth(false)},
	{Type: ck.CKA_VALUE, Value: make([]byte, 32)}, {Type: ck.CKA_VALUE, Value: []byte{}}, {Type: ck.CKA_VALUE_LEN, Value: ulong(uint64(32))}, {Type: ck.CKA_VALUE_LEN, Value: ulong(^uint64(0))},
	{Type: ck.CKA_LABEL, Value: []byte("label")}, {Type: ck.CKA_ID, Value: []byte{1}}, {Type: ck.CKA_ID}, {Type: ck.CKA_START_DATE, Value: []byte("20260101")},
	{Type: ck.CKA_ENCRYPT, Value: truth(true)}, {Type: ck.CKA_DECRYPT, Value: truth(true)}, {Type: ck.CKA_SIGN, Value: truth(true)}, {Type: ck.CKA_VERIFY, Value: truth(true)},
	{Type: ck.CKA_WRAP, Value: truth(true)}, {Type: ck.CKA_UNWRAP, Value: truth(true)}, {Type: ck.CKA_DERIVE, Value: truth(true)}, {Type: ck.CKA_WRAP, Value: truth(false)},
	{Type: ck.CKA_SENSITIVE, Value: truth(false)}, {Type: ck.CKA_SENSITIVE, Value: truth(true)}, {Type: ck.CKA_EXTRACTABLE, Value: truth(true)}, {Type: ck.CKA_EXTRACTABLE, Value: truth(false)},
	{Type: ck.CKA_MODIFIABLE, Value: truth(false)}, {Type: ck.CKA_COPYABLE, Value: truth(false)}, {Type: ck.CKA_TRUSTED, Value: truth(true)},
	{Type: ck.CKA_ALWAYS_AUTHENTICATE, Value: truth(true)}, {Type: ck.CKA_EC_PARAMS, Value: p256}, {Type: ck.CKA_EC_PARAMS, Value: []byte{6, 1}}, {Type: ck.CKA_MODULUS_BITS, Value: ulong(uint64(1024))},
	{Type: ck.CKA_PUBLIC_EXPONENT, Value: []byte{1, 0, 1}}, {Type: ck.CKA_ALLOWED_MECHANISMS, Value: ulongs(uint64(ck.CKM_AES_GCM))}, {Type: ck.CKA_ALLOWED_MECHANISMS, Value: []byte{1}},
	{Type: ck.CKA_HSS_LEVELS, Value: ulong(uint64(1))}, {Type: ck.CKA_HSS_LMS_TYPES, Value: ulong(uint64(5))}, {Type: ck.CKA_HSS_LMOTS_TYPES, Value: ulong(uint64(4))},
	{Type: ck.CKA_UNWRAP_TEMPLATE, Nested: []Attribute{{Type: ck.CKA_TOKEN, Value: truth(false)}}}, {Type: ck.CKA_WRAP_TEMPLATE, Nested: []Attribute{}}, {Type: ck.CKA_DERIVE_TEMPLATE},
	{Type: ck.CKA_VENDOR_DEFINED, Value: []byte{1}}, {Type: ck.CKA_KEY_GEN_MECHANISM, Value: ulong(uint64(1))}, {Type: ck.CKA_LOCAL, Value: truth(true)}, {Type: ck.CKA_TOKEN, Value: []byte{9, 9}},
}

// Templates that make something.
var wholeTemplates = [][]Attribute{
	{values[0], values[7], values[17]}, // an AES key
	{values[3], values[17]},            // data
	{values[0], values[8], values[17], values[33], values[35]},
	{values[19], values[25], values[26], values[27], values[28], values[31]}, // for a secret key
	{values[41], values[27], values[28], values[31]},                         // for a pair
	{values[47], values[48], values[49]},                                     // for an HSS pair
	nil,
}

func (c *caller) template() []Attribute {
	template := append([]Attribute(nil), oneOf(c, wholeTemplates...)...)
	for range oneOf(c, 0, 0, 0, 1, 2, 4) {
		template = append(template, oneOf(c, values...))
	}
	return template
}

// parameters are of all mechanisms, and some of none.
var parameters = []Mechanism{
	{}, {Parameter: make([]byte, 16)}, {Parameter: []byte{1}}, {Misfit: true}, {Parameter: ulong(uint64(1))},
	{Struct: &ck.GCMParams{IV: make([]byte, 12), IVBits: 96, TagBits: 128}}, {Struct: &ck.GCMParams{TagBits: 1 << 40, IVBits: 3}},
	{Struct: &ck.CTRParams{CounterBits: 128}}, {Struct: &ck.CTRParams{CounterBits: 4}},
	{Struct: &ck.OAEPParams{Hash: uint64(ck.CKM_SHA256), MGF: 2, Source: 1}}, {Struct: &ck.PSSParams{Hash: uint64(ck.CKM_SHA256), MGF: 2, SaltLen: 32}},
	{Struct: &ck.HKDFParams{Extract: true, Expand: true, Hash: uint64(ck.CKM_SHA256), SaltType: 4, SaltKey: 5}}, {Struct: &ck.HKDFParams{Expand: true, Hash: uint64(ck.CKM_SHA256), SaltType: 1}},
	{Struct: &ck.ECDH1Params{KDF: 1, PublicData: append([]byte{4}, make([]byte, 64)...)}}, {Struct: &ck.DerivationData{Data: make([]byte, 32)}},
	{Struct: &ck.CBCEncryptDataParams{Data: make([]byte, 32)}}, {Struct: &ck.RSAAESKeyWrapParams{AESKeyBits: 256}}, {Struct: &ck.EdDSAParams{}}, {Struct: &ck.SignContext{Hedge: 1}},
}

// usual are the mechanisms that are tried most.
var usual = []Mechanism{
	{Type: ck.CKM_AES_KEY_GEN}, {Type: ck.CKM_GENERIC_SECRET_KEY_GEN}, {Type: ck.CKM_EC_KEY_PAIR_GEN}, generation, hss, cbcPad(), gcm(), {Type: ck.CKM_SHA256},
	{Type: ck.CKM_SHA256_HMAC}, {Type: ck.CKM_ECDSA}, {Type: ck.CKM_ECDSA_SHA256}, {Type: ck.CKM_AES_KEY_WRAP}, {Type: ck.CKM_AES_KEY_WRAP_KWP},
	{Type: ck.CKM_AES_CTR, Struct: &ck.CTRParams{CounterBits: 4}}, {Type: ck.CKM_AES_CMAC}, {Type: ck.CKM_AES_ECB}, {Type: ck.CKM_AES_ECB_ENCRYPT_DATA, Struct: &ck.DerivationData{Data: make([]byte, 32)}},
	{Type: ck.CKM_HKDF_DERIVE, Struct: &ck.HKDFParams{Extract: true, Expand: true, Hash: uint64(ck.CKM_SHA256), SaltType: 4, SaltKey: 5}},
}

func (c *caller) mechanism() Mechanism {
	if c.pick(4) != 0 {
		return oneOf(c, usual...)
	}
	m := oneOf(c, parameters...)
	all := token.Mechanisms()
	m.Type = all[c.pick(len(all))].Type
	return m
}

// pairing is a mechanism with a key of the token that fits it.
type pairing struct {
	with Mechanism
	key  string
}

var oaep = Mechanism{Type: ck.CKM_RSA_PKCS_OAEP, Struct: &ck.OAEPParams{Hash: uint64(ck.CKM_SHA256), MGF: ck.CKG_MGF1_SHA256}}

var pairings = map[uint64][]pairing{
	ck.CKF_ENCRYPT: {{cbcPad(), "aes"}, {gcm(), "aes"}, {Mechanism{Type: ck.CKM_AES_CTR, Struct: &ck.CTRParams{CounterBits: 4}}, "aes"},
		{Mechanism{Type: ck.CKM_AES_ECB}, "aes"}, {oaep, "rsa public"}, {Mechanism{Type: ck.CKM_RSA_PKCS}, "rsa public"}},
	ck.CKF_DECRYPT: {{cbcPad(), "aes"}, {gcm(), "aes"}, {Mechanism{Type: ck.CKM_AES_CTR, Struct: &ck.CTRParams{CounterBits: 4}}, "aes"},
		{Mechanism{Type: ck.CKM_AES_ECB}, "aes"}, {oaep, "rsa"}, {Mechanism{Type: ck.CKM_RSA_PKCS}, "rsa"}},
	ck.CKF_DIGEST: {{Mechanism{Type: ck.CKM_SHA256}, ""}, {Mechanism{Type: ck.CKM_SHA3_512}, ""}, {Mechanism{Type: ck.CKM_SHA_1}, ""}},
	ck.CKF_SIGN: {{hss, "hss"}, {Mechanism{Type: ck.CKM_SHA256_HMAC}, "generic"}, {Mechanism{Type: ck.CKM_AES_CMAC}, "aes"}, {Mechanism{Type: ck.CKM_ECDSA}, "ec"},
		{Mechanism{Type: ck.CKM_ECDSA_SHA256}, "ec"}, {Mechanism{Type: ck.CKM_SHA256_RSA_PKCS}, "rsa"}, {Mechanism{Type: ck.CKM_RSA_PKCS}, "rsa"}},
	ck.CKF_VERIFY: {{hss, "hss public"}, {Mechanism{Type: ck.CKM_SHA256_HMAC}, "generic"}, {Mechanism{Type: ck.CKM_AES_CMAC}, "aes"},
		{Mechanism{Type: ck.CKM_ECDSA}, "ec public"}, {Mechanism{Type: ck.CKM_ECDSA_SHA256}, "ec public"}, {Mechanism{Type: ck.CKM_SHA256_RSA_PKCS}, "rsa public"}},
	ck.CKF_MESSAGE_ENCRYPT: {{Mechanism{Type: ck.CKM_AES_GCM}, "aes"}},
	ck.CKF_WRAP:            {{Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP}, "wrap"}, {Mechanism{Type: ck.CKM_AES_KEY_WRAP}, "wrap"}, {oaep, "rsa public"}},
	ck.CKF_UNWRAP:          {{Mechanism{Type: ck.CKM_AES_KEY_WRAP_KWP}, "wrap"}, {Mechanism{Type: ck.CKM_AES_KEY_WRAP}, "wrap"}, {oaep, "rsa"}},
	ck.CKF_DERIVE: {{Mechanism{Type: ck.CKM_HKDF_DERIVE, Struct: &ck.HKDFParams{Expand: true, Hash: uint64(ck.CKM_SHA256), SaltType: 1}}, "generic"},
		{Mechanism{Type: ck.CKM_AES_ECB_ENCRYPT_DATA, Struct: &ck.DerivationData{Data: make([]byte, 32)}}, "aes"}},
	ck.CKF_GENERATE: {{Mechanism{Type: ck.CKM_AES_KEY_GEN}, ""}, {Mechanism{Type: ck.CKM_GENERIC_SECRET_KEY_GEN}, ""}},
	ck.CKF_GENERATE_KEY_PAIR: {{Mechanism{Type: ck.CKM_EC_KEY_PAIR_GEN}, ""}, {generation, ""}, {Mechanism{Type: ck.CKM_ML_KEM_KEY_PAIR_GEN}, ""},
		{Mechanism{Type: ck.CKM_EDDSA}, ""}},
	ck.CKF_ENCAPSULATE: {{Mechanism{Type: ck.CKM_ML_KEM}, "kem public"}},
	ck.CKF_DECAPSULATE: {{Mechanism{Type: ck.CKM_ML_KEM}, "kem"}},
}

// fit is a mechanism and a key for a use, which mostly fit it.
func (c *caller) fit(use uint64) (Mechanism, ck.ObjectHandle) {
	if c.pick(6) == 0 {
		return c.mechanism(), c.object()
	}
	p := oneOf(c, pairings[use]...)
	return p.with, c.kept[p.key]
}

// find notes the handles of the keys of the token.
func (c *caller) find(h ck.SessionHandle) {
	c.m.SessionCancel(h, ck.CKF_FIND_OBJECTS)
	for name := range keptKeys {
		c.m.FindObjectsInit(h, []Attribute{{Type: ck.CKA_LABEL, Value: []byte(name)}, {Type: ck.CKA_DESTROYABLE, Value: truth(false)}})
		if found, _ := c.m.FindObjects(h, 1); len(found) == 1 {
			c.kept[name] = found[0]
		}
		c.m.FindObjectsFinal(h)
	}
}

func (c *caller) message() MessageParameter {
	return oneOf(c, MessageParameter{GCM: &ck.GCMMessage{IV: make([]byte, 12), Tag: make([]byte, 16), TagBits: 128}},
		MessageParameter{GCM: &ck.GCMMessage{IV: make([]byte, 12), FixedBits: 32, Generator: 3, Tag: make([]byte, 16), TagBits: 128}},
		MessageParameter{GCM: &ck.GCMMessage{TagBits: 1 << 40}}, MessageParameter{}, MessageParameter{Misfit: true})
}

func (c *caller) queries() (queries []AttributeQuery) {
	for range c.pick(5) {
		q := AttributeQuery{Type: oneOf(c, values...).Type, Output: c.out()}
		if kind, _ := q.Type.Kind(); kind == ck.KindTemplate && !q.Query {
			q.Nested = make([]AttributeQuery, c.pick(3))
			q.Room = attributeSize * uint64(len(q.Nested))
		}
		queries = append(queries, q)
	}
	return queries
}

// into is a call with a result that goes into a buffer.
func (c *caller) into(call func(Output) ([]byte, uint64, ck.RV)) ck.RV {
	c.Helper()
	out := c.out()
	result, length, rv := call(out)
	return c.got(out, result, length, rv)
}

// login is mostly the user's, with the right PIN.
func (c *caller) login(call func(ck.SessionHandle, uint64, []byte) ck.RV) ck.RV {
	h, user, pin := c.session(), uint64(ck.CKU_USER), []byte(userPIN)
	if c.pick(4) == 0 {
		user, pin = uint64(c.pick(4)), c.pin()
	}
	rv := call(h, user, pin)
	if rv == ck.CKR_OK {
		c.find(h)
	}
	c.spoiled = c.spoiled || rv == ck.CKR_PIN_INCORRECT || rv == ck.CKR_PIN_LOCKED
	return rv
}

// sessionCalls are about the application and its sessions.
var sessionCalls = []func(*caller) ck.RV{
	func(c *caller) ck.RV {
		h, rv := c.m.OpenSession(oneOf(c, ck.SlotID(0), 0, 0, 1, 99), oneOf(c, ck.CKF_SERIAL_SESSION|ck.CKF_RW_SESSION, ck.CKF_SERIAL_SESSION, 0))
		if rv == ck.CKR_OK {
			c.sessions = append(c.sessions, h)
		}
		return rv
	},
	func(c *caller) ck.RV { return c.login(c.m.Login) },
	func(c *caller) ck.RV {
		return c.login(func(h ck.SessionHandle, user uint64, pin []byte) ck.RV {
			return c.m.LoginUser(h, user, pin, []byte("name"))
		})
	},
	func(c *caller) ck.RV {
		if c.pick(4) != 0 {
			return ck.CKR_OK
		}
		return c.m.Logout(c.session())
	},
	func(c *caller) ck.RV {
		if c.pick(4) != 0 {
			return ck.CKR_OK
		}
		return c.m.CloseSession(c.session())
	},
	func(c *caller) ck.RV {
		if c.pick(16) != 0 {
			return ck.CKR_OK
		}
		return c.m.CloseAllSessions(oneOf(c, ck.SlotID(0), 1, 99))
	},
	func(c *caller) ck.RV {
		if c.pick(64) != 1 {
			return ck.CKR_OK
		}
		return c.m.Finalize(c.pick(2) == 1)
	},
	func(c *caller) ck.RV {
		if c.pick(8) != 0 {
			return ck.CKR_OK
		}
		rv := c.m.InitToken(oneOf(c, ck.SlotID(0), 1, 99), c.pin(), [32]byte{'f'})
		c.spoiled = c.spoiled || rv == ck.CKR_OK || rv == ck.CKR_PIN_INCORRECT || rv == ck.CKR_PIN_LOCKED
		return rv
	},
	func(c *caller) ck.RV {
		if c.pick(8) != 0 {
			return ck.CKR_OK
		}
		rv := c.m.InitPIN(c.session(), c.pin())
		c.spoiled = c.spoiled || rv == ck.CKR_OK
		return rv
	},
	func(c *caller) ck.RV {
		if c.pick(8) != 0 {
			return ck.CKR_OK
		}
		rv := c.m.SetPIN(c.session(), c.pin(), c.pin())
		c.spoiled = c.spoiled || rv == ck.CKR_OK || rv == ck.CKR_PIN_INCORRECT || rv == ck.CKR_PIN_LOCKED
		return rv
	},
	func(c *caller) ck.RV { return second(c.m.GetInfo()) },
	func(c *caller) ck.RV { return second(c.m.GetSlotList(true)) },
	func(c *caller) ck.RV { return second(c.m.GetSlotInfo(ck.SlotID(c.pick(3)))) },
	func(c *caller) ck.RV { return second(c.m.GetTokenInfo(ck.SlotID(c.pick(3)))) },
	func(c *caller) ck.RV { return second(c.m.GetMechanismList(ck.SlotID(c.pick(3)))) },
	func(c *caller) ck.RV { return second(c.m.GetMechanismInfo(ck.SlotID(c.pick(3)), c.mechanism().Type)) },
	func(c *caller) ck.RV { return second(c.m.GetSessionInfo(c.session())) },
	func(c *caller) ck.RV { return c.m.SessionCancel(c.session(), 1<<c.pick(30)) },
	func(c *caller) ck.RV { return c.m.BadArguments(c.session(), 1<<c.pick(30)) },
	func(c *caller) ck.RV { return second(c.m.GenerateRandom(c.session(), uint64(c.pick(100)))) },
	func(c *caller) ck.RV { return c.m.SeedRandom(c.session(), c.data()) },
}

// objectCalls are about objects and keys.
var objectCalls = []func(*caller) ck.RV{
	func(c *caller) ck.RV { return c.made(c.m.CreateObject(c.session(), c.template())) },
	func(c *caller) ck.RV { return c.made(c.m.CopyObject(c.session(), c.object(), c.template())) },
	func(c *caller) ck.RV { return c.m.DestroyObject(c.session(), c.object()) },
	func(c *caller) ck.RV { return second(c.m.GetObjectSize(c.session(), c.object())) },
	func(c *caller) ck.RV { return second(c.m.GetAttributeValue(c.session(), c.object(), c.queries())) },
	func(c *caller) ck.RV { return c.m.SetAttributeValue(c.session(), c.object(), c.template()) },
	func(c *caller) ck.RV { return c.m.FindObjectsInit(c.session(), c.template()) },
	func(c *caller) ck.RV {
		found, rv := c.m.FindObjects(c.session(), uint64(c.pick(10)))
		c.objects = append(c.objects, found...)
		return rv
	},
	func(c *caller) ck.RV { return c.m.FindObjectsFinal(c.session()) },
	func(c *caller) ck.RV {
		with, _ := c.fit(ck.CKF_GENERATE)
		return c.made(c.m.GenerateKey(c.session(), with, c.template()))
	},
	func(c *caller) ck.RV {
		with, _ := c.fit(ck.CKF_GENERATE_KEY_PAIR)
		if with.Type == ck.CKM_RSA_PKCS_KEY_PAIR_GEN { // which takes long
			with = generation
		}
		pub, priv, rv := c.m.GenerateKeyPair(c.session(), with, c.template(), c.template())
		c.made(pub, rv)
		return c.made(priv, rv)
	},
	func(c *caller) ck.RV {
		return c.into(func(out Output) ([]byte, uint64, ck.RV) {
			with, key := c.fit(ck.CKF_WRAP)
			return c.m.WrapKey(c.session(), with, key, c.object(), out)
		})
	},
	func(c *caller) ck.RV {
		with, key := c.fit(ck.CKF_UNWRAP)
		return c.made(c.m.UnwrapKey(c.session(), with, key, c.data(), c.template()))
	},
	func(c *caller) ck.RV {
		with, key := c.fit(ck.CKF_DERIVE)
		return c.made(c.m.DeriveKey(c.session(), with, key, c.template()))
	},
	func(c *caller) ck.RV {
		return c.into(func(out Output) ([]byte, uint64, ck.RV) {
			with, public := c.fit(ck.CKF_ENCAPSULATE)
			encapsulated, length, key, rv := c.m.EncapsulateKey(c.session(), with, public, c.template(), out)
			if !out.Query {
				c.made(key, rv)
			}
			return encapsulated, length, rv
		})
	},
	func(c *caller) ck.RV {
		with, key := c.fit(ck.CKF_DECAPSULATE)
		return c.made(c.m.DecapsulateKey(c.session(), with, key, c.template(), c.data()))
	},
}

// operationCalls begin operations and go on with them.
var operationCalls = []func(*caller) ck.RV{
	func(c *caller) ck.RV {
		with, key := c.fit(ck.CKF_ENCRYPT)
		return c.m.EncryptInit(c.session(), with, key)
	},
	func(c *caller) ck.RV {
		return c.into(func(out Output) ([]byte, uint64, ck.RV) { return c.m.Encrypt(c.session(), c.data(), out) })
	},
	func(c *caller) ck.RV {
		return c.into(func(out Output) ([]byte, uint64, ck.RV) { return c.m.EncryptUpdate(c.session(), c.data(), out) })
	},
	func(c *caller) ck.RV {
		return c.into(func(out Output) ([]byte, uint64, ck.RV) { return c.m.EncryptFinal(c.session(), out) })
	},
	func(c *caller) ck.RV {
		with, key := c.fit(ck.CKF_DECRYPT)
		return c.m.DecryptInit(c.session(), with, key)
	},
	func(c *caller) ck.RV {
		return c.into(func(out Output) ([]byte, uint64, ck.RV) { return c.m.Decrypt(c.session(), c.data(), out) })
	},
	func(c *caller) ck.RV {
		return c.into(func(out Output) ([]byte, uint64, ck.RV) { return c.m.DecryptUpdate(c.session(), c.data(), out) })
	},
	func(c *caller) ck.RV {
		return c.into(func(out Output) ([]byte, uint64, ck.RV) { return c.m.DecryptFinal(c.session(), out) })
	},
	func(c *caller) ck.RV {
		with, _ := c.fit(ck.CKF_DIGEST)
		return c.m.DigestInit(c.session(), with)
	},
	func(c *caller) ck.RV {
		return c.into(func(out Output) ([]byte, uint64, ck.RV) { return c.m.Digest(c.session(), c.data(), out) })
	},
	func(c *caller) ck.RV { return c.m.DigestUpdate(c.session(), c.data()) },
	func(c *caller) ck.RV { return c.m.DigestKey(c.session(), c.object()) },
	func(c *caller) ck.RV {
		return c.into(func(out Output) ([]byte, uint64, ck.RV) { return c.m.DigestFinal(c.session(), out) })
	},
	func(c *caller) ck.RV {
		with, key := c.fit(ck.CKF_SIGN)
		return c.m.SignInit(c.session(), with, key)
	},
	func(c *caller) ck.RV {
		return c.into(func(out Output) ([]byte, uint64, ck.RV) { return c.m.Sign(c.session(), c.data(), out) })
	},
	func(c *caller) ck.RV { return c.m.SignUpdate(c.session(), c.data()) },
	func(c *caller) ck.RV {
		return c.into(func(out Output) ([]byte, uint64, ck.RV) { return c.m.SignFinal(c.session(), out) })
	},
	func(c *caller) ck.RV {
		with, key := c.fit(ck.CKF_VERIFY)
		return c.m.VerifyInit(c.session(), with, key)
	},
	func(c *caller) ck.RV { return c.m.Verify(c.session(), c.data(), c.data()) },
	func(c *caller) ck.RV { return c.m.VerifyUpdate(c.session(), c.data()) },
	func(c *caller) ck.RV { return c.m.VerifyFinal(c.session(), c.data()) },
	func(c *caller) ck.RV {
		with, key := c.fit(ck.CKF_VERIFY)
		return c.m.VerifySignatureInit(c.session(), with, key, c.data())
	},
	func(c *caller) ck.RV { return c.m.VerifySignature(c.session(), c.data()) },
	func(c *caller) ck.RV { return c.m.VerifySignatureUpdate(c.session(), c.data()) },
	func(c *caller) ck.RV { return c.m.VerifySignatureFinal(c.session()) },
}

// messageCalls are those of message-based encryption.
var messageCalls = []func(*caller) ck.RV{
	func(c *caller) ck.RV {
		with, key := c.fit(ck.CKF_MESSAGE_ENCRYPT)
		return c.m.MessageEncryptInit(c.session(), with, key)
	},
	func(c *caller) ck.RV {
		return c.into(func(out Output) ([]byte, uint64, ck.RV) {
			_, result, length, rv := c.m.EncryptMessage(c.session(), c.message(), c.data(), c.data(), out)
			return result, length, rv
		})
	},
	func(c *caller) ck.RV { return second(c.m.EncryptMessageBegin(c.session(), c.message(), c.data())) },
	func(c *caller) ck.RV {
		return c.into(func(out Output) ([]byte, uint64, ck.RV) {
			_, result, length, rv := c.m.EncryptMessageNext(c.session(), c.message(), c.data(), out, uint64(c.pick(2)))
			return result, length, rv
		})
	},
	func(c *caller) ck.RV { return c.m.MessageEncryptFinal(c.session()) },
	func(c *caller) ck.RV {
		with, key := c.fit(ck.CKF_MESSAGE_ENCRYPT)
		return c.m.MessageDecryptInit(c.session(), with, key)
	},
	func(c *caller) ck.RV {
		return c.into(func(out Output) ([]byte, uint64, ck.RV) {
			return c.m.DecryptMessage(c.session(), c.message(), c.data(), c.data(), out)
		})
	},
	func(c *caller) ck.RV { return c.m.DecryptMessageBegin(c.session(), c.message(), c.data()) },
	func(c *caller) ck.RV {
		return c.into(func(out Output) ([]byte, uint64, ck.RV) {
			return c.m.DecryptMessageNext(c.session(), c.message(), c.data(), out, uint64(c.pick(2)))
		})
	},
	func(c *caller) ck.RV { return c.m.MessageDecryptFinal(c.session()) },
}

// call makes one call.
func (c *caller) call() ck.RV {
	group := oneOf(c, sessionCalls, objectCalls, objectCalls, operationCalls, operationCalls, operationCalls, messageCalls)
	return group[c.pick(len(group))](c)
}

// ground is a token that applications come to one after another. It is made anew when one has spoiled it.
type ground struct {
	host  *Host
	log   *strings.Builder
	inUse atomic.Int64 // bytes that applications have claimed
}

func newGround(t testing.TB, dir string) *ground {
	config, err := token.LoadConfig(func(name string) string { return map[string]string{"ONCELEAF_DIR": dir}[name] })
	if err != nil {
		t.Fatal(err)
	}
	cheap(&config)
	g := &ground{log: &strings.Builder{}}
	g.host, err = OpenHost(config, slog.New(slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: slog.LevelError})))
	if err != nil {
		t.Fatal(err)
	}
	m := g.application()
	for _, rv := range []ck.RV{m.InitToken(0, []byte(soPIN), [32]byte{'f'}), g.setUserPIN(m), m.Finalize(false)} {
		if rv != ck.CKR_OK {
			t.Fatal(rv)
		}
	}
	g.makeKeys(t)
	return g
}

// keptKeys are the keys of the token, with what makes them beside what all of them have.
var keptKeys = map[string]struct {
	with            Mechanism
	private, public []Attribute // no public half for secret keys
}{
	"aes":     {Mechanism{Type: ck.CKM_AES_KEY_GEN}, append(rights(ck.CKA_ENCRYPT, ck.CKA_DECRYPT, ck.CKA_SIGN, ck.CKA_VERIFY, ck.CKA_DERIVE, ck.CKA_EXTRACTABLE), values[19]), nil},
	"wrap":    {Mechanism{Type: ck.CKM_AES_KEY_GEN}, append(rights(ck.CKA_WRAP, ck.CKA_UNWRAP), values[19]), nil},
	"generic": {Mechanism{Type: ck.CKM_GENERIC_SECRET_KEY_GEN}, append(rights(ck.CKA_SIGN, ck.CKA_VERIFY, ck.CKA_DERIVE, ck.CKA_EXTRACTABLE), values[19]), nil},
	"ec":      {Mechanism{Type: ck.CKM_EC_KEY_PAIR_GEN}, rights(ck.CKA_SIGN, ck.CKA_DERIVE), append(rights(ck.CKA_VERIFY), Attribute{Type: ck.CKA_EC_PARAMS, Value: p256})},
	"rsa":     {Mechanism{Type: ck.CKM_RSA_PKCS_KEY_PAIR_GEN}, nil, []Attribute{{Type: ck.CKA_MODULUS_BITS, Value: ulong(uint64(2048))}}},
	"hss": {generation, []Attribute{{Type: ck.CKA_HSS_LEVELS, Value: ulong(uint64(2))}, {Type: ck.CKA_HSS_LMS_TYPES, Value: ulongs(5, 5)},
		{Type: ck.CKA_HSS_LMOTS_TYPES, Value: ulongs(4, 4)}}, []Attribute{}},
	"kem": {Mechanism{Type: ck.CKM_ML_KEM_KEY_PAIR_GEN}, rights(ck.CKA_DECAPSULATE), append(rights(ck.CKA_ENCAPSULATE), Attribute{Type: ck.CKA_PARAMETER_SET, Value: ulong(ck.CKP_ML_KEM_768)})},

	"ec public": {}, "rsa public": {}, "hss public": {}, "kem public": {}, // which come with their private halves
}

func rights(all ...ck.AttributeType) (template []Attribute) {
	for _, right := range all {
		template = append(template, Attribute{Type: right, Value: truth(true)})
	}
	return template
}

// keptTemplate is what all keys of the token have: nobody destroys or changes them.
func keptTemplate(label string, more []Attribute) []Attribute {
	return append([]Attribute{{Type: ck.CKA_TOKEN, Value: truth(true)}, {Type: ck.CKA_LABEL, Value: []byte(label)},
		{Type: ck.CKA_DESTROYABLE, Value: truth(false)}, {Type: ck.CKA_MODIFIABLE, Value: truth(false)}}, more...)
}

// makeKeys gives the token its keys.
func (g *ground) makeKeys(t testing.TB) {
	m := g.application()
	defer m.Finalize(false)
	h, _ := m.OpenSession(0, ck.CKF_SERIAL_SESSION|ck.CKF_RW_SESSION)
	m.Login(h, uint64(ck.CKU_USER), []byte(userPIN))
	for name, k := range keptKeys {
		var rv ck.RV
		switch {
		case k.public != nil:
			_, _, rv = m.GenerateKeyPair(h, k.with, keptTemplate(name+" public", k.public), keptTemplate(name, k.private))
		case k.private != nil:
			_, rv = m.GenerateKey(h, k.with, keptTemplate(name, k.private))
		}
		if rv != ck.CKR_OK {
			t.Fatalf("%s: %s", name, rv.Error())
		}
	}
}

func (g *ground) setUserPIN(m *Module) ck.RV {
	h, _ := m.OpenSession(0, ck.CKF_SERIAL_SESSION|ck.CKF_RW_SESSION)
	m.Login(h, uint64(ck.CKU_SO), []byte(soPIN))
	return m.InitPIN(h, []byte(userPIN))
}

// application is a new one, with small limits.
func (g *ground) application() *Module {
	return g.host.NewModule(g.host.Log(), Limits{Sessions: 6, Objects: 30, SessionKeys: 4, Memory: 4 << 20,
		Claim: func(n int64) bool { g.inUse.Add(n); return true }, Release: func(n int64) { g.inUse.Add(-n) }})
}

// play lets an application make all the calls that the octets say, from a session of a user on.
func (g *ground) play(t testing.TB, octets []byte) (spoiled bool) {
	c := &caller{TB: t, m: g.application(), octets: octets, kept: map[string]ck.ObjectHandle{}}
	h, _ := c.m.OpenSession(0, ck.CKF_SERIAL_SESSION|ck.CKF_RW_SESSION)
	c.sessions = append(c.sessions, h)
	c.m.Login(h, uint64(ck.CKU_USER), []byte(userPIN))
	c.find(h)
	for len(c.octets) > 0 {
		rv := c.call()
		if strings.HasPrefix(rv.Error(), "CKR 0x") || rv == ck.CKR_GENERAL_ERROR || rv == ck.CKR_DEVICE_ERROR || rv == ck.CKR_FUNCTION_FAILED {
			t.Errorf("a call answered %s; the log: %s", rv.Error(), g.log)
		}
	}
	c.clean()
	c.m.Finalize(false)
	return c.spoiled
}

// clean destroys the objects of the token, as far as that is allowed.
func (c *caller) clean() {
	h, _ := c.m.OpenSession(0, ck.CKF_SERIAL_SESSION|ck.CKF_RW_SESSION)
	c.m.Login(h, uint64(ck.CKU_USER), []byte(userPIN))
	c.m.FindObjectsInit(h, nil)
	found, _ := c.m.FindObjects(h, 1000)
	for _, object := range found {
		c.m.DestroyObject(h, object)
	}
	c.spoiled = c.spoiled || len(found) > 100
}

// FuzzCalls makes calls in any order, with any handles, templates, mechanisms, parameters and lengths. None panics or
// hangs, results keep the buffer rules, errors are known ones, and at the end nothing is held any more.
func FuzzCalls(f *testing.F) {
	f.Add([]byte{})
	for seed := range uint64(24) {
		random := rand.New(rand.NewPCG(seed, 6))
		octets := make([]byte, 1000)
		for i := range octets {
			octets[i] = byte(random.Uint32())
		}
		f.Add(octets)
	}
	var g *ground
	dir, grounds := f.TempDir(), 0
	f.Cleanup(func() { g.close() })
	f.Fuzz(func(t *testing.T, octets []byte) {
		hang := time.AfterFunc(time.Minute, func() {
			stacks := make([]byte, 1<<20)
			panic("a call hangs\n" + string(stacks[:runtime.Stack(stacks, true)]))
		})
		defer hang.Stop()
		if g == nil {
			grounds++
			g = newGround(t, filepath.Join(dir, fmt.Sprint(grounds)))
		}
		before := runtime.NumGoroutine()
		spoiled := g.play(t, octets[:min(len(octets), 1000)])
		if held := g.inUse.Load(); held != 0 {
			t.Errorf("%d bytes are held after the end", held)
		}
		settled(t, before)
		if spoiled {
			g.close()
			g = nil
		}
	})
}

// settled waits until there are no more goroutines than before.
func settled(t testing.TB, before int) {
	for range 100 {
		if runtime.NumGoroutine() <= before+2 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

func (g *ground) close() {
	if g != nil {
		_ = g.host.Close()
	}
}

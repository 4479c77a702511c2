package p11module

import (
	"bytes"
	"slices"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// One call with all kinds of queries: each is answered, the result is that of the first that went wrong.
func TestGetAttributeValue(t *testing.T) {
	b, h := newUserBench(t)
	_, priv := b.generate(h, true, h5w8)
	results, rv := b.m.GetAttributeValue(h, priv, []AttributeQuery{
		{Type: ck.CKA_KEY_TYPE, Output: Output{Room: 8}},
		{Type: ck.CKA_LABEL, Output: Output{Query: true}},
		{Type: ck.CKA_VALUE, Output: Output{Query: true}},
		{Type: 0x4711, Output: Output{Room: 100}},
		{Type: ck.CKA_LABEL, Output: Output{Room: 2}},
		{Type: ck.CKA_LABEL, Output: Output{Room: 3}},
		{Type: ck.CKA_MODULUS, Output: Output{Room: 100}},
		{Type: ck.CKA_ID, Output: Output{Room: 0}},
	})
	b.want(ck.CKR_ATTRIBUTE_SENSITIVE, rv)
	want := []AttributeResult{
		{Value: ulong(ck.CKK_HSS), Length: 8}, {Length: 3}, {Length: ck.UNAVAILABLE}, {Length: ck.UNAVAILABLE}, {Length: ck.UNAVAILABLE},
		{Value: []byte("key"), Length: 3}, {Length: ck.UNAVAILABLE}, {Value: []byte{}},
	}
	for i, w := range want {
		if !bytes.Equal(results[i].Value, w.Value) || results[i].Length != w.Length {
			t.Errorf("query %d: %x, length %d", i, results[i].Value, results[i].Length)
		}
	}
	_, rv = b.m.GetAttributeValue(h, priv, []AttributeQuery{{Type: 0x4711, Output: Output{Query: true}}, {Type: ck.CKA_VALUE, Output: Output{Query: true}}})
	b.want(ck.CKR_ATTRIBUTE_TYPE_INVALID, rv)
	_, rv = b.m.GetAttributeValue(h, priv, []AttributeQuery{{Type: ck.CKA_LABEL, Output: Output{Room: 1}}})
	b.want(ck.CKR_BUFFER_TOO_SMALL, rv)
	results, rv = b.m.GetAttributeValue(h, priv, nil)
	if rv != ck.CKR_OK || len(results) != 0 {
		t.Errorf("%d results, %s", len(results), rv.Error())
	}
	_, rv = b.m.GetAttributeValue(h, 99, nil)
	b.want(ck.CKR_OBJECT_HANDLE_INVALID, rv)
	size, rv := b.m.GetObjectSize(h, priv)
	if rv != ck.CKR_OK || size != ck.UNAVAILABLE {
		t.Errorf("size %d, %s", size, rv.Error())
	}
	_, rv = b.m.GetObjectSize(h, 99)
	b.want(ck.CKR_OBJECT_HANDLE_INVALID, rv)
}

// The byte order of numbers is the application's.
func TestNumbersInAttributes(t *testing.T) {
	b, h := newUserBench(t)
	pub, priv := b.generate(h, true, h5w8, h5w4)
	for _, c := range []struct {
		object    ck.ObjectHandle
		attribute ck.AttributeType
		want      []byte
	}{
		{priv, ck.CKA_HSS_LEVELS, ulong(uint64(2))},
		{priv, ck.CKA_HSS_LMS_TYPES, ulongs(5, 5)},
		{priv, ck.CKA_HSS_LMOTS_TYPES, ulongs(4, 3)},
		{priv, ck.CKA_HSS_KEYS_REMAINING, ulong(uint64(32 * 32))},
		{priv, ck.CKA_KEY_GEN_MECHANISM, ulong(ck.CKM_HSS_KEY_PAIR_GEN)},
		{pub, ck.CKA_HSS_LEVELS, ulong(uint64(2))},
		{pub, ck.CKA_HSS_LMS_TYPE, ulong(uint64(5))},
		{pub, ck.CKA_HSS_LMOTS_TYPE, ulong(uint64(4))},
		{pub, ck.CKA_CLASS, ulong(ck.CKO_PUBLIC_KEY)},
	} {
		if got := b.value(h, c.object, c.attribute); !bytes.Equal(got, c.want) {
			t.Errorf("%s: %x, want %x", c.attribute, got, c.want)
		}
	}
}

func TestFindObjects(t *testing.T) {
	b, h := newUserBench(t)
	pub, priv := b.generate(h, true, h5w8)
	sessionPub, sessionPriv := b.generate(h, false, h5w8)
	class := func(c ck.ObjectClass) Attribute { return Attribute{Type: ck.CKA_CLASS, Value: ulong(c)} }
	onToken := func(yes bool) Attribute { return Attribute{Type: ck.CKA_TOKEN, Value: truth(yes)} }
	for _, c := range []struct {
		name     string
		template []Attribute
		want     []ck.ObjectHandle
	}{
		{"everything", nil, []ck.ObjectHandle{pub, priv, sessionPub, sessionPriv}},
		{"public keys", []Attribute{class(ck.CKO_PUBLIC_KEY)}, []ck.ObjectHandle{pub, sessionPub}},
		{"token objects", []Attribute{onToken(true)}, []ck.ObjectHandle{pub, priv}},
		{"one", []Attribute{onToken(false), class(ck.CKO_PRIVATE_KEY), {Type: ck.CKA_SIGN, Value: truth(true)}}, []ck.ObjectHandle{sessionPriv}},
		{"by levels", []Attribute{{Type: ck.CKA_HSS_LMS_TYPES, Value: ulongs(5)}}, []ck.ObjectHandle{priv, sessionPriv}},
		{"another label", []Attribute{{Type: ck.CKA_LABEL, Value: []byte("other")}}, nil},
		{"vendor class", []Attribute{class(0xCE534353)}, nil},
		{"another class", []Attribute{class(ck.CKO_DATA)}, nil},
		{"unknown attribute", []Attribute{{Type: 0xCE534351}}, nil},
		{"attribute of other keys", []Attribute{{Type: ck.CKA_MODULUS, Value: nil}}, nil},
		{"secret attribute", []Attribute{class(ck.CKO_PRIVATE_KEY), {Type: ck.CKA_VALUE, Value: nil}}, nil},
		{"number of another width", []Attribute{{Type: ck.CKA_CLASS, Value: []byte{2, 0, 0, 0}}}, nil},
	} {
		got := b.find(h, c.template...)
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: found %v, want %v", c.name, got, c.want)
		}
	}
}

func TestFindObjectsOperation(t *testing.T) {
	b, h := newUserBench(t)
	b.generate(h, true, h5w8)
	_, rv := b.m.FindObjects(h, 1)
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, rv)
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, b.m.FindObjectsFinal(h))
	b.must(b.m.FindObjectsInit(h, nil))
	b.want(ck.CKR_OPERATION_ACTIVE, b.m.FindObjectsInit(h, nil))
	for _, want := range []int{0, 1, 1, 0, 0} {
		found, rv := b.m.FindObjects(h, uint64(min(want, 1)))
		if rv != ck.CKR_OK || len(found) != want {
			t.Errorf("%d objects, %s, want %d", len(found), rv.Error(), want)
		}
	}
	b.must(b.m.FindObjectsFinal(h))
	b.want(ck.CKR_OPERATION_NOT_INITIALIZED, b.m.FindObjectsFinal(h))
}

func TestHandles(t *testing.T) {
	b, h := newUserBench(t)
	pub, priv := b.generate(h, true, h5w8)
	all := b.find(h)
	if !slices.Contains(all, pub) || !slices.Contains(all, priv) || len(all) != 2 {
		t.Errorf("C_FindObjects gave other handles: %v, not %d and %d", all, pub, priv)
	}
	if other := b.open(0, false); !slices.Equal(b.find(other), all) {
		t.Error("another session has other handles")
	}
	b.must(b.m.Logout(h))
	if found := b.find(h); !slices.Equal(found, []ck.ObjectHandle{pub}) {
		t.Errorf("found %v without login, want %d", found, pub)
	}
	b.want(ck.CKR_OBJECT_HANDLE_INVALID, b.m.DestroyObject(h, priv))
	b.login(h)
	b.want(ck.CKR_OBJECT_HANDLE_INVALID, b.m.DestroyObject(h, priv))
	again := b.privateKey(h)
	if again == priv {
		t.Error("a private object's handle outlived the login")
	}
	b.must(b.m.DestroyObject(h, again))
	b.want(ck.CKR_OBJECT_HANDLE_INVALID, b.m.DestroyObject(h, again))
	if found := b.find(h); !slices.Equal(found, []ck.ObjectHandle{pub}) {
		t.Errorf("found %v, want the public key %d with the handle it had", found, pub)
	}
}

func TestCopyObject(t *testing.T) {
	b, h := newUserBench(t)
	pub, priv := b.generate(h, true, h5w8)
	_, rv := b.m.CopyObject(h, priv, nil)
	b.want(ck.CKR_ACTION_PROHIBITED, rv)
	copied, rv := b.m.CopyObject(h, pub, []Attribute{{Type: ck.CKA_LABEL, Value: []byte("copy")}, {Type: ck.CKA_TOKEN, Value: truth(false)}})
	b.must(rv)
	if got := b.value(h, copied, ck.CKA_LABEL); string(got) != "copy" || copied == pub {
		t.Errorf("handle %d, label %q", copied, got)
	}
	_, rv = b.m.CopyObject(h, 99, nil)
	b.want(ck.CKR_OBJECT_HANDLE_INVALID, rv)
}

func TestSetAttributeValue(t *testing.T) {
	b, h := newUserBench(t)
	for _, onToken := range []bool{true, false} {
		pub, priv := b.generate(h, onToken, h5w8)
		for _, key := range []ck.ObjectHandle{pub, priv} {
			b.must(b.m.SetAttributeValue(h, key, []Attribute{{Type: ck.CKA_LABEL, Value: []byte("new")}, {Type: ck.CKA_ID, Value: []byte{1, 2}}}))
			if got := b.value(h, key, ck.CKA_LABEL); string(got) != "new" {
				t.Errorf("label %q", got)
			}
			b.want(ck.CKR_ATTRIBUTE_READ_ONLY, b.m.SetAttributeValue(h, key, []Attribute{{Type: ck.CKA_ID, Value: []byte{3}}, {Type: ck.CKA_TOKEN, Value: truth(false)}}))
			if got := b.value(h, key, ck.CKA_ID); !bytes.Equal(got, []byte{1, 2}) {
				t.Errorf("a refused call changed the id to %x", got)
			}
		}
		b.want(ck.CKR_ATTRIBUTE_READ_ONLY, b.m.SetAttributeValue(h, priv, []Attribute{{Type: ck.CKA_EXTRACTABLE, Value: truth(true)}}))
	}
	b.want(ck.CKR_OBJECT_HANDLE_INVALID, b.m.SetAttributeValue(h, 99, nil))
	ro := b.open(0, false)
	key := b.one(h, Attribute{Type: ck.CKA_TOKEN, Value: truth(true)}, Attribute{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PUBLIC_KEY)})
	b.want(ck.CKR_SESSION_READ_ONLY, b.m.SetAttributeValue(ro, key, []Attribute{{Type: ck.CKA_LABEL, Value: []byte("x")}}))
	b.want(ck.CKR_SESSION_READ_ONLY, b.m.DestroyObject(ro, key))
	b.restart()
	h = b.userSession(0)
	for _, key := range b.find(h) {
		if got := b.value(h, key, ck.CKA_LABEL); string(got) != "new" {
			t.Errorf("label %q after a restart", got)
		}
	}
}

func TestCreatedPublicKey(t *testing.T) {
	b, h := newUserBench(t)
	pub, priv := b.generate(h, true, h5w8)
	value := b.value(h, pub, ck.CKA_VALUE)
	template := []Attribute{
		{Type: ck.CKA_CLASS, Value: ulong(ck.CKO_PUBLIC_KEY)}, {Type: ck.CKA_KEY_TYPE, Value: ulong(ck.CKK_HSS)}, {Type: ck.CKA_VALUE, Value: value},
		{Type: ck.CKA_TOKEN, Value: truth(true)}, {Type: ck.CKA_LABEL, Value: []byte("loose")},
	}
	_, rv := b.m.CreateObject(b.open(0, false), template)
	b.want(ck.CKR_SESSION_READ_ONLY, rv)
	_, rv = b.m.CreateObject(h, template)
	b.must(rv)
	signature := b.sign(h, priv, "m")
	b.restart()
	h = b.open(0, true)
	loose := b.one(h, Attribute{Type: ck.CKA_LABEL, Value: []byte("loose")})
	b.must(b.m.VerifyInit(h, hss, loose))
	b.must(b.m.Verify(h, []byte("m"), signature))
	if got := b.value(h, loose, ck.CKA_LOCAL); !bytes.Equal(got, truth(false)) {
		t.Errorf("CKA_LOCAL %x", got)
	}
	b.must(b.m.DestroyObject(h, loose))
	b.restart()
	h = b.open(0, true)
	if found := b.find(h, Attribute{Type: ck.CKA_LABEL, Value: []byte("loose")}); len(found) != 0 {
		t.Error("a destroyed object came back")
	}
}

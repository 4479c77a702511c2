package token

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

// rewriteRecord changes attributes of an object in the store, as somebody does who can write the file.
func (tk *testToken) rewriteRecord(id ObjectID, changes ...Attribute) {
	tk.Helper()
	record, err := tk.shelf.Read(objectPrefix + string(id))
	tk.must(err)
	r, err := parseRecord(record)
	tk.must(err)
	for _, a := range changes {
		r.Attributes[a.Type] = a.Value
	}
	tk.must(tk.shelf.Write(map[string][]byte{objectPrefix + string(id): r.encode()}))
}

// reopenLogged is reopen, and gives what the log says from then on.
func (tk *testToken) reopenLogged() fmt.Stringer {
	tk.Helper()
	tk.must(tk.device.Close())
	d, log := openDevice(tk.TB, tk.config)
	tk.device = d
	tk.adopt()
	return log
}

// Who can write the store decides nothing: a sealed secret opens only beside the attributes that it was sealed with.
// What does not open is kept, reported once, and does nothing; it can be destroyed.
func TestEditedAttributesOpenNothing(t *testing.T) {
	for what, edit := range map[string][]Attribute{
		"readable":         {{ck.CKA_SENSITIVE, no}, {ck.CKA_EXTRACTABLE, yes}},
		"history":          {{ck.CKA_ALWAYS_SENSITIVE, yes}, {ck.CKA_NEVER_EXTRACTABLE, yes}},
		"trusted":          {{ck.CKA_TRUSTED, yes}},
		"for any wrapping": {{ck.CKA_WRAP_WITH_TRUSTED, no}},
		"right":            {{ck.CKA_DECRYPT, yes}},
		"mechanisms":       {{ck.CKA_ALLOWED_MECHANISMS, Ulongs(ck.CKM_AES_ECB)}},
		"authenticate":     {{ck.CKA_ALWAYS_AUTHENTICATE, yes}},
		"template":         {{ck.CKA_UNWRAP_TEMPLATE, EncodeTemplate([]Attribute{{ck.CKA_LABEL, nil}})}},
		"type":             {{ck.CKA_KEY_TYPE, Ulong(ck.CKK_GENERIC_SECRET)}},
		"origin":           {{ck.CKA_LOCAL, yes}},
		"name":             {{ck.CKA_LABEL, []byte("another")}},
	} {
		t.Run(what, func(t *testing.T) { editedOpensNothing(t, edit) })
	}
}

func editedOpensNothing(t *testing.T, edit []Attribute) {
	tk := newTestToken(t)
	id := tk.aesKey(tk.userSession(), Attribute{ck.CKA_DECRYPT, no}, Attribute{ck.CKA_WRAP_WITH_TRUSTED, yes})
	tk.rewriteRecord(id, edit...)
	stored, err := tk.shelf.Read(objectPrefix + string(id))
	tk.must(err)
	log := tk.reopenLogged()
	s := tk.userSession()
	o, err := tk.object(id)
	tk.must(err)
	for range 2 {
		if _, err := tk.key(o); !errors.Is(err, keystore.ErrDamaged) {
			t.Errorf("the key: %v", err)
		}
	}
	if r := tk.read(id, ck.CKA_VALUE); r.Err == nil {
		t.Errorf("read %x", r.Value)
	}
	if err := tk.Change(s, id, []Attribute{{ck.CKA_LABEL, []byte("x")}}); !errors.Is(err, keystore.ErrDamaged) {
		t.Errorf("a change: %v", err)
	}
	if after, err := tk.shelf.Read(objectPrefix + string(id)); err != nil || !bytes.Equal(after, stored) {
		t.Errorf("it was not kept as it is: %v", err)
	}
	if n := strings.Count(log.String(), string(id)); n != 1 {
		t.Errorf("%d reports: %s", n, log)
	}
	tk.must(tk.Destroy(s, id))
}

// Neither is the user's key shown to all by one attribute, nor does the user take for an own key what somebody put
// there.
func TestPrivateIsNotEditable(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	mine, other := tk.aesKey(s), tk.aesKey(s, Attribute{ck.CKA_PRIVATE, no})
	tk.rewriteRecord(mine, Attribute{ck.CKA_PRIVATE, no})
	tk.rewriteRecord(other, Attribute{ck.CKA_PRIVATE, yes})
	log := tk.reopenLogged()
	for _, user := range []ck.UserType{ck.CKU_SO, ck.CKU_USER} {
		tk.must(tk.Login(user, map[ck.UserType][]byte{ck.CKU_SO: soPIN, ck.CKU_USER: userPIN}[user]))
		for _, id := range []ObjectID{mine, other} {
			if tk.Exists(id) {
				t.Errorf("%s sees %s", user, id)
			}
		}
		tk.must(tk.Logout())
	}
	for _, id := range []ObjectID{mine, other} {
		if record, err := tk.shelf.Read(objectPrefix + string(id)); err != nil || record == nil {
			t.Errorf("%s was not kept: %v", id, err)
		}
		if !strings.Contains(log.String(), string(id)) {
			t.Errorf("not reported: %s", log)
		}
	}
}

// A change binds the secret to the attributes as they are then, and only to them.
func TestChangesSealAnew(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	id := tk.aesKey(s, Attribute{ck.CKA_DECRYPT, yes})
	before, err := tk.shelf.Read(objectPrefix + string(id))
	tk.must(err)
	want, err := tk.encrypts(id)
	tk.must(err)
	tk.must(tk.Change(s, id, []Attribute{{ck.CKA_DECRYPT, no}, {ck.CKA_LABEL, []byte("changed")}}))
	for _, when := range []string{"at once", "after a new start"} {
		if got, err := tk.encrypts(id); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v", when, got, err)
		}
		tk.reopen()
		tk.userSession()
	}
	// As it was, but for the seal.
	tk.rewriteRecord(id, Attribute{ck.CKA_DECRYPT, yes}, Attribute{ck.CKA_LABEL, []byte("aes")})
	after, err := tk.shelf.Read(objectPrefix + string(id))
	if err != nil || bytes.Equal(before, after) {
		t.Fatalf("%v: it was not sealed anew", err)
	}
	tk.reopen()
	tk.userSession()
	if _, err := tk.encrypts(id); !errors.Is(err, keystore.ErrDamaged) {
		t.Errorf("the change was undone in the store: %v", err)
	}
	o := tk.find(id)
	tk.must(tk.Logout())
	if _, err := tk.changed(o, granted(ck.CKA_DECRYPT)); result(err) != ck.CKR_USER_NOT_LOGGED_IN {
		t.Errorf("a change without a login: %v", err)
	}
}

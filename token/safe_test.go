package token

import (
	"bytes"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/mechanism"
)

var aesValue = []byte("the secret bytes")

// aesKey makes a secret token key that is CKA_PRIVATE, with more attributes or others.
func (tk *testToken) aesKey(s Session, more ...Attribute) ObjectID {
	tk.Helper()
	template := []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_SECRET_KEY)}, {ck.CKA_KEY_TYPE, Ulong(ck.CKK_AES)}, {ck.CKA_VALUE, aesValue}}
	for _, a := range []Attribute{{ck.CKA_TOKEN, yes}, {ck.CKA_PRIVATE, yes}, {ck.CKA_ENCRYPT, yes}, {ck.CKA_LABEL, []byte("aes")}} {
		if _, given, _ := lookup(more, a.Type); !given {
			template = append(template, a)
		}
	}
	id, err := tk.Create(s, append(template, more...))
	tk.must(err)
	return id
}

// encrypts tries what C_EncryptInit and C_Encrypt do.
func (tk *testToken) encrypts(id ObjectID) ([]byte, error) {
	use, err := tk.Key(id, ck.Mechanism{Type: ck.CKM_AES_ECB}, ck.CKA_ENCRYPT, ck.CKF_ENCRYPT)
	if err != nil {
		return nil, err
	}
	return encryptOnce(use.Key)
}

func encryptOnce(key *mechanism.Key) ([]byte, error) {
	e, err := mechanism.NewEncryption(ck.Mechanism{Type: ck.CKM_AES_ECB}, key)
	if err != nil {
		return nil, err
	}
	return e.Once(make([]byte, 16))
}

// The shelf shows the secret of an object only if nobody has to log in for it, and no label is taken for a secret.
func TestSecretsAtRest(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	private, shown := tk.aesKey(s), tk.aesKey(s, Attribute{ck.CKA_PRIVATE, no})
	data, err := tk.Create(s, []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_DATA)}, {ck.CKA_TOKEN, yes}, {ck.CKA_PRIVATE, yes},
		{ck.CKA_LABEL, []byte("data")}, {ck.CKA_VALUE, aesValue}, {ck.CKA_APPLICATION, []byte("the secret bytes' owner")}})
	tk.must(err)
	for id, open := range map[ObjectID]bool{private: false, shown: true, data: false} {
		record, err := tk.shelf.Read(objectPrefix + string(id))
		if err != nil || record == nil || bytes.Contains(record, aesValue) != open {
			t.Errorf("%s: %v, %q", id, err, record)
		}
	}
	want, err := tk.encrypts(private)
	tk.must(err)
	tk.reopen()
	if got, err := tk.encrypts(shown); err != nil || !bytes.Equal(got, want) {
		t.Errorf("without a login: %x, %v", got, err)
	}
	s = tk.userSession()
	if got, err := tk.encrypts(private); err != nil || !bytes.Equal(got, want) {
		t.Errorf("after a new start: %x, %v", got, err)
	}
	tk.expect(data, map[ck.AttributeType][]byte{ck.CKA_VALUE: aesValue, ck.CKA_APPLICATION: []byte("the secret bytes' owner")})
	for _, a := range []Attribute{{ck.CKA_VALUE, aesValue}, {ck.CKA_LABEL, []byte("data")}} {
		if got := tk.Find([]Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_DATA)}, a}); len(got) != 1 || got[0] != data {
			t.Errorf("%s: found %v", a.Type, got)
		}
	}
	tk.must(tk.Destroy(s, private))
	if _, err := tk.encrypts(private); result(err) != ck.CKR_OBJECT_HANDLE_INVALID {
		t.Errorf("destroyed: %v", err)
	}
}

// A sealed secret opens in its own object alone.
func TestSealedSecretsStayInTheirObject(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	one, two := tk.aesKey(s), tk.aesKey(s)
	first, err := tk.shelf.Read(objectPrefix + string(one))
	tk.must(err)
	tk.must(tk.shelf.Write(map[string][]byte{objectPrefix + string(two): first}))
	tk.reopen()
	tk.userSession()
	if _, err := tk.encrypts(one); err != nil {
		t.Error(err)
	}
	if _, err := tk.encrypts(two); err == nil || !strings.Contains(err.Error(), string(two)) {
		t.Errorf("a secret opened that was moved: %v", err)
	}
}

// Decoded keys are kept for all seats, and are gone after the last logout, those that computed at that moment too.
func TestKeysAreWipedAtTheLastLogout(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	id, shown := tk.aesKey(s), tk.aesKey(s, Attribute{ck.CKA_PRIVATE, no})
	use := func(tk *testToken, id ObjectID) *mechanism.Key {
		t.Helper()
		use, err := tk.Key(id, ck.Mechanism{Type: ck.CKM_AES_ECB}, ck.CKA_ENCRYPT, ck.CKF_ENCRYPT)
		tk.must(err)
		return use.Key
	}
	key, open := use(tk, id), use(tk, shown)
	b := tk.beside(SeatLimits{})
	b.userSession()
	if use(b, id) != key || use(tk, id) != key {
		t.Error("the key was decoded twice")
	}
	tk.must(tk.Logout())
	if _, err := encryptOnce(key); err != nil {
		t.Errorf("another seat has the user: %v", err)
	}
	b.must(b.Logout())
	if _, err := encryptOnce(key); result(err) != ck.CKR_KEY_HANDLE_INVALID {
		t.Errorf("after the last logout: %v", err)
	}
	if bytes.Contains(key.Secret(), aesValue[:4]) || tk.find(id).safe.key.Load() != nil {
		t.Error("the key is still there")
	}
	if _, err := encryptOnce(open); err != nil {
		t.Errorf("a key that nobody has to log in for: %v", err)
	}
	tk.userSession()
	if _, err := tk.encrypts(id); err != nil {
		t.Errorf("after a new login: %v", err)
	}
}

// The secret of a session object ends with it.
func TestSessionSecretsEndWithTheSession(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	id := tk.aesKey(s, Attribute{ck.CKA_TOKEN, no}, Attribute{ck.CKA_PRIVATE, no})
	o := tk.find(id)
	use, err := tk.SecretKey(id)
	tk.must(err)
	tk.EndSession(s.ID)
	if _, err := encryptOnce(use.Key); result(err) != ck.CKR_KEY_HANDLE_INVALID {
		t.Errorf("%v", err)
	}
	if _, err := tk.secrets(o); err == nil || o.safe.values != nil {
		t.Error("the secret is still there")
	}
}

// What an Init is told, and with which result.
func TestChecksOfAnInit(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	pub, _ := tk.tokenPair(s)
	plain := tk.aesKey(s)
	limited := tk.aesKey(s, Attribute{ck.CKA_ALLOWED_MECHANISMS, Ulongs(ck.CKM_AES_CBC)})
	silent := tk.aesKey(s, Attribute{ck.CKA_ENCRYPT, no})
	data, err := tk.Create(s, []Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_DATA)}})
	tk.must(err)
	for _, c := range []struct {
		id        ObjectID
		mechanism ck.MechanismType
		right     ck.AttributeType
		flag      uint64
		want      ck.RV
	}{
		{plain, ck.CKM_AES_ECB, ck.CKA_ENCRYPT, ck.CKF_ENCRYPT, ck.CKR_OK},
		{plain, ck.CKM_AES_ECB, ck.CKA_SIGN, ck.CKF_SIGN, ck.CKR_MECHANISM_INVALID},
		{plain, ck.CKM_RSA_PKCS, ck.CKA_ENCRYPT, ck.CKF_ENCRYPT, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"token/none", ck.CKM_AES_ECB, ck.CKA_ENCRYPT, ck.CKF_ENCRYPT, ck.CKR_OBJECT_HANDLE_INVALID},
		{data, ck.CKM_AES_ECB, ck.CKA_ENCRYPT, ck.CKF_ENCRYPT, ck.CKR_KEY_HANDLE_INVALID},
		{pub, ck.CKM_AES_ECB, ck.CKA_ENCRYPT, ck.CKF_ENCRYPT, ck.CKR_KEY_TYPE_INCONSISTENT},
		{limited, ck.CKM_AES_ECB, ck.CKA_ENCRYPT, ck.CKF_ENCRYPT, ck.CKR_MECHANISM_INVALID},
		{silent, ck.CKM_AES_ECB, ck.CKA_ENCRYPT, ck.CKF_ENCRYPT, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
	} {
		if _, err := tk.Key(c.id, ck.Mechanism{Type: c.mechanism}, c.right, c.flag); result(err) != c.want {
			t.Errorf("%s, %s, %s: %v, want %v", c.id, c.mechanism, c.right, err, c.want)
		}
	}
	if _, err := tk.SecretKey(pub); result(err) != ck.CKR_KEY_INDIGESTIBLE {
		t.Errorf("SecretKey: %v", err)
	}
}

// CKU_CONTEXT_SPECIFIC: the PIN is tried and counted, and nothing else happens.
func TestAuthenticate(t *testing.T) {
	tk := newTestToken(t)
	if err := tk.Authenticate(userPIN); result(err) != ck.CKR_USER_NOT_LOGGED_IN {
		t.Errorf("nobody: %v", err)
	}
	tk.userSession()
	if err := tk.Authenticate([]byte("wrong")); result(err) != ck.CKR_PIN_INCORRECT {
		t.Errorf("wrong: %v", err)
	}
	if r, err := tk.readPIN(ck.CKU_USER); err != nil || r.Tries != 1 || !tk.userIs(ck.CKU_USER) {
		t.Errorf("%d tries, %v", r.Tries, err)
	}
	tk.must(tk.Authenticate(userPIN))
	if r, err := tk.readPIN(ck.CKU_USER); err != nil || r.Tries != 0 {
		t.Errorf("%d tries, %v", r.Tries, err)
	}
}

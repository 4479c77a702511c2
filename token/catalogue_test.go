package token

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// A catalogue finds what a look at every object finds, whatever was put in and taken out before.
func TestCatalogueFindsWhatAScanFinds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var mu sync.RWMutex
	c, all := newCatalogue(), map[ObjectID]*object{}
	for range 3000 {
		o := randomObject(random)
		switch random.IntN(4) {
		case 0:
			if removed := c.remove(o.id).get(); removed != all[o.id] {
				t.Fatalf("removed %v, want %v", removed, all[o.id])
			}
			delete(all, o.id)
		case 1, 2:
			c.put(o)
			all[o.id] = o
		default:
			expectSame(t, c, &mu, all, randomTemplate(random))
		}
		if c.len() != len(all) || c.get(o.id) != all[o.id] {
			t.Fatalf("%d objects, want %d", c.len(), len(all))
		}
	}
}

// expectSame searches, and compares with a scan.
func expectSame(t *testing.T, c *catalogue, mu *sync.RWMutex, all map[ObjectID]*object, template []Attribute) {
	t.Helper()
	var got, want []ObjectID
	for _, o := range c.search(mu, template) {
		if o.matches(template) {
			got = append(got, o.id)
		}
	}
	for id, o := range all {
		if o.matches(template) {
			want = append(want, id)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("%v: %v, want %v", template, got, want)
	}
}

func randomObject(random *rand.Rand) *object {
	a := plainKey()
	a[ck.CKA_LABEL], a[ck.CKA_ID] = randomLabel(random), randomLabel(random)
	o, err := newObject(a)
	if err != nil {
		panic(err)
	}
	o.id = ObjectID(fmt.Sprintf("token/%d", random.IntN(50)))
	return o
}

// randomLabel is one of few, and often empty.
func randomLabel(random *rand.Rand) []byte { return []byte("abcde")[:random.IntN(6)] }

func randomTemplate(random *rand.Rand) (template []Attribute) {
	for _, a := range []Attribute{{ck.CKA_LABEL, randomLabel(random)}, {ck.CKA_ID, randomLabel(random)}, {ck.CKA_CLASS, Ulong(ck.CKO_SECRET_KEY)},
		{ck.CKA_TOKEN, yes}, {ck.CKA_KEY_TYPE, Ulong(ck.CKK_RSA)}} {
		if random.IntN(3) == 0 {
			template = append(template, a)
		}
	}
	return template
}

// Objects from the shelf are found before anybody has read them, and are the same ones afterwards.
func TestObjectsAreReadWhenTheyAreUsed(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	one, two := tk.aesKey(s, Attribute{ck.CKA_LABEL, []byte("one")}), tk.aesKey(s, Attribute{ck.CKA_LABEL, []byte("two")})
	bytes := tk.stock.bytes
	tk.reopen()
	tk.userSession()
	if c := tk.Token.loose.byID[one]; c.object.Load() != nil || tk.Token.loose.len() != 2 {
		t.Error("the objects were read when the token was opened")
	}
	if got := tk.Find([]Attribute{{ck.CKA_LABEL, []byte("two")}}); !slices.Equal(got, []ObjectID{two}) {
		t.Errorf("found %v", got)
	}
	if again := tk.find(two); tk.Token.loose.byID[one].object.Load() != nil || tk.find(two) != again {
		t.Error("an object was read that nobody asked for, or one twice")
	}
	tk.must(tk.Destroy(tk.userSession(), one)) // one that nobody has read before
	if got := tk.Find([]Attribute{{ck.CKA_CLASS, Ulong(ck.CKO_SECRET_KEY)}}); !slices.Equal(got, []ObjectID{two}) {
		t.Errorf("found %v", got)
	}
	if after := tk.stock.bytes; after <= 0 || after >= bytes {
		t.Errorf("%d bytes, were %d for both", after, bytes)
	}
}

// The halves of key pairs follow the keystore, whoever changes it.
func TestHalvesFollowTheKeystore(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	pub, priv := tk.tokenPair(s)
	first := tk.find(priv)
	tk.must(tk.Change(s, pub, []Attribute{{ck.CKA_LABEL, []byte("renamed")}}))
	if tk.find(priv) != first {
		t.Error("a half was read anew that did not change")
	}
	if got := tk.Find([]Attribute{{ck.CKA_LABEL, []byte("renamed")}}); !slices.Equal(got, []ObjectID{pub}) {
		t.Errorf("found %v", got)
	}
	identity := first.key.identity
	private, _, _, err := tk.keys.Attributes(identity)
	tk.must(err)
	tk.must(tk.keys.SetAttributes(identity, private, nil))
	if tk.find(pub) != nil || len(tk.Find([]Attribute{{ck.CKA_LABEL, []byte("renamed")}})) != 0 {
		t.Error("the public key is still there")
	}
	tk.must(tk.keys.Destroy(identity))
	if tk.find(priv) != nil {
		t.Error("the private key is still there")
	}
}

// Creating, finding and destroying side by side.
func TestConcurrentObjects(t *testing.T) {
	tk := newTestToken(t)
	s := tk.userSession()
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 10 {
				label := Attribute{ck.CKA_LABEL, fmt.Appendf(nil, "%d/%d", g, i)}
				id := tk.aesKey(s, label, Attribute{ck.CKA_TOKEN, Bool(i%2 == 0)})
				if got := tk.Find([]Attribute{label}); !slices.Equal(got, []ObjectID{id}) {
					t.Errorf("found %v, want %s", got, id)
				}
				if _, err := tk.encrypts(id); err != nil {
					t.Error(err)
				}
				if err := tk.Destroy(s, id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	tk.expectLabels()
}

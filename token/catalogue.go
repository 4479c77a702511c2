package token

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// catalogue is a set of objects that finds them by name, and by the attributes that people search for, without looking
// at the others. Who uses it locks it; it stays where it is for as long as what it belongs to.
type catalogue struct {
	byID    map[ObjectID]*card
	all     []*card // in order of their names
	byValue map[ck.AttributeType]index
}

// index is of one attribute: the cards with one value, in order of their names, by hashOf. It is made at the first
// search for the attribute. Empty values are not in it: most objects have them.
type index map[uint64][]*card

// indexed are the attributes that tell objects apart. Their values lie in the object: none is computed or in a safe.
var indexed = []ck.AttributeType{
	ck.CKA_LABEL, ck.CKA_ID, ck.CKA_SUBJECT, ck.CKA_ISSUER, ck.CKA_SERIAL_NUMBER, ck.CKA_MODULUS, ck.CKA_EC_POINT,
	ck.CKA_UNIQUE_ID, ck.CKA_ONCELEAF_FINGERPRINT, ck.CKA_KEY_TYPE, ck.CKA_CLASS,
}

// card is one object. One from the shelf is read when it is first used: most of them are not.
type card struct {
	id     ObjectID
	size   int64  // of the object
	record []byte // its stored form; nil if the object is there
	object atomic.Pointer[object]
}

func newCard(o *object) *card {
	e := &card{id: o.id, size: o.size()}
	e.object.Store(o)
	return e
}

// get is the object, nil if there is no card.
func (e *card) get() *object {
	if e == nil {
		return nil
	}
	if o := e.object.Load(); o != nil {
		return o
	}
	o, err := parseObject(e.id, e.record)
	if err != nil { // it was checked before: see storedCard
		return nil
	}
	e.object.CompareAndSwap(nil, o) // all get the same one, with one safe
	return e.object.Load()
}

// value is what the card says about an indexed attribute; empty if it says nothing.
func (e *card) value(attribute ck.AttributeType) []byte {
	if o := e.object.Load(); o != nil {
		return o.stored[attribute]
	}
	return lookInRecord(e.record, attribute)
}

var hashSeed = maphash.MakeSeed()

// hashOf stands for a value. Two may have the same one: what is found by it has to be compared.
func hashOf(value []byte) uint64 { return maphash.Bytes(hashSeed, value) }

func newCatalogue() *catalogue {
	return &catalogue{byID: map[ObjectID]*card{}, byValue: map[ck.AttributeType]index{}}
}

// clear takes all off.
func (c *catalogue) clear() { *c = *newCatalogue() }

// load fills an empty catalogue with cards in order of their names.
func (c *catalogue) load(cards []*card) {
	c.all, c.byID = cards, make(map[ObjectID]*card, len(cards))
	for _, e := range cards {
		c.byID[e.id] = e
	}
}

func (c *catalogue) len() int { return len(c.all) }

func (c *catalogue) get(id ObjectID) *object { return c.byID[id].get() }

// objects are all, in order of their names.
func (c *catalogue) objects() []*object { return objectsOf(c.all) }

// closeSafes forgets the secrets of the objects that were read: they are gone, or the token is closed.
func (c *catalogue) closeSafes() {
	for _, e := range c.all {
		if o := e.object.Load(); o != nil {
			o.safe.close()
		}
	}
}

func objectsOf(cards []*card) []*object {
	objects := make([]*object, 0, len(cards))
	for _, e := range cards {
		if o := e.get(); o != nil {
			objects = append(objects, o)
		}
	}
	return objects
}

// put adds an object, in the place of that with the same name if there is one.
func (c *catalogue) put(o *object) {
	c.remove(o.id)
	e := newCard(o)
	c.byID[o.id] = e
	c.all = insertCard(c.all, e)
	for attribute, index := range c.byValue {
		if value := e.value(attribute); len(value) > 0 {
			h := hashOf(value)
			index[h] = insertCard(index[h], e)
		}
	}
}

// remove takes an card off, and returns it; nil if there is none.
func (c *catalogue) remove(id ObjectID) *card {
	e := c.byID[id]
	if e == nil {
		return nil
	}
	delete(c.byID, id)
	c.all = withoutCard(c.all, e)
	for attribute, index := range c.byValue {
		if value := e.value(attribute); len(value) > 0 {
			index.drop(hashOf(value), e)
		}
	}
	return e
}

func (x index) drop(h uint64, e *card) {
	if x[h] = withoutCard(x[h], e); len(x[h]) == 0 {
		delete(x, h)
	}
}

// search gives the objects among which all are that match the template: the fewest that one of its attributes leaves.
// It takes the lock of the catalogue.
func (c *catalogue) search(mu *sync.RWMutex, template []Attribute) []*object {
	wanted := slices.DeleteFunc(slices.Clone(template), func(a Attribute) bool {
		return len(a.Value) == 0 || !slices.Contains(indexed, a.Type)
	})
	mu.RLock()
	if found, ready := c.fewest(wanted); ready {
		found = slices.Clone(found) // the objects themselves are read without the lock
		mu.RUnlock()
		return objectsOf(found)
	}
	mu.RUnlock()
	mu.Lock()
	c.prepare(wanted)
	found, _ := c.fewest(wanted)
	found = slices.Clone(found)
	mu.Unlock()
	return objectsOf(found)
}

// fewest says whether there is an index for every attribute, and what the best of them leaves.
func (c *catalogue) fewest(wanted []Attribute) (fewest []*card, ready bool) {
	fewest = c.all
	for _, a := range wanted {
		index, ready := c.byValue[a.Type]
		if !ready {
			return nil, false
		}
		if some := index[hashOf(a.Value)]; len(some) < len(fewest) {
			fewest = some
		}
	}
	return fewest, true
}

// prepare makes the indexes that are not there yet.
func (c *catalogue) prepare(wanted []Attribute) {
	for _, a := range wanted {
		if c.byValue[a.Type] != nil {
			continue
		}
		index := make(index, len(c.all))
		for _, e := range c.all {
			if value := e.value(a.Type); len(value) > 0 {
				h := hashOf(value)
				index[h] = append(index[h], e)
			}
		}
		c.byValue[a.Type] = index
	}
}

// insert puts e in its place among cards in order of their names.
func insertCard(cards []*card, e *card) []*card {
	at, _ := placeOf(cards, e.id)
	return slices.Insert(cards, at, e)
}

func withoutCard(cards []*card, e *card) []*card {
	at, there := placeOf(cards, e.id)
	if !there {
		return cards
	}
	return slices.Delete(cards, at, at+1)
}

func placeOf(cards []*card, id ObjectID) (at int, there bool) {
	if n := len(cards); n > 0 && cards[n-1].id < id { // they often come in order
		return n, false
	}
	return slices.BinarySearchFunc(cards, id, func(e *card, id ObjectID) int { return cmp.Compare(e.id, id) })
}

package mechanism

import (
	"cmp"
	"slices"
	"sync"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// Row is one mechanism.
type Row struct {
	Type ck.MechanismType
	// As CK_MECHANISM_INFO; sizes in the unit that the standard says for the mechanism.
	MinKeySize, MaxKeySize, Flags uint64
	Keys                          []ck.KeyType // types of the keys that it works on or makes; nil for digests
	Single                        bool         // it has no multi-part form
}

// offer is a mechanism with the functions that do its work. A function that is nil is not offered: Row.Flags is made
// from what is there, so no flag can name what does not exist.
type offer struct {
	Row
	encrypt, decrypt                 constructor[Transform]
	digest                           func(m ck.Mechanism) (Digest, error)
	sign                             constructor[Signer]
	verify                           constructor[Verifier]
	encryptMessages, decryptMessages constructor[MessageCipher]
	generate                         func(m ck.Mechanism, a Attributes) (Attributes, error)
	generatePair                     func(m ck.Mechanism, public, private Attributes) (pub, priv Attributes, err error)
	derive                           func(m ck.Mechanism, base, salt *Key, keyType ck.KeyType, length int) ([]byte, error)
	wrap                             func(m ck.Mechanism, wrapping, key *Key) ([]byte, error)
	unwrap                           unwrapper
	encapsulate                      func(m ck.Mechanism, k *Key) (encapsulated, secret []byte, err error)
	decapsulate                      func(m ck.Mechanism, k *Key, encapsulated []byte) ([]byte, error)
}

// constructor begins an operation with a key that fits the mechanism.
type constructor[Operation any] = func(m ck.Mechanism, k *Key) (Operation, error)

// unwrapper makes the value attributes of a key of a class and type.
type unwrapper = func(m ck.Mechanism, unwrapping *Key, wrapped []byte, class ck.ObjectClass, keyType ck.KeyType) (
	Attributes, error)

// flags are the CKF_* of what the offer can do.
func (o *offer) flags() (flags uint64) {
	for flag, offered := range map[uint64]bool{
		ck.CKF_ENCRYPT:           o.encrypt != nil,
		ck.CKF_DECRYPT:           o.decrypt != nil,
		ck.CKF_DIGEST:            o.digest != nil,
		ck.CKF_SIGN:              o.sign != nil,
		ck.CKF_VERIFY:            o.verify != nil,
		ck.CKF_MESSAGE_ENCRYPT:   o.encryptMessages != nil,
		ck.CKF_MESSAGE_DECRYPT:   o.decryptMessages != nil,
		ck.CKF_GENERATE:          o.generate != nil,
		ck.CKF_GENERATE_KEY_PAIR: o.generatePair != nil,
		ck.CKF_DERIVE:            o.derive != nil,
		ck.CKF_WRAP:              o.wrap != nil,
		ck.CKF_UNWRAP:            o.unwrap != nil,
		ck.CKF_ENCAPSULATE:       o.encapsulate != nil,
		ck.CKF_DECAPSULATE:       o.decapsulate != nil,
	} {
		if offered {
			flags |= flag
		}
	}
	return flags
}

// offers are all mechanisms by their numbers.
var offers = sync.OnceValue(func() map[ck.MechanismType]*offer {
	all := map[ck.MechanismType]*offer{}
	for _, o := range slices.Concat(asymmetricOffers(), symmetricOffers()) {
		o.Flags |= o.flags() // an offer itself gives flags that say more, such as CKF_EC_NAMEDCURVE
		all[o.Type] = &o
	}
	return all
})

// Rows are all mechanisms in order of their numbers.
func Rows() []Row {
	rows := make([]Row, 0, len(offers()))
	for _, o := range offers() {
		rows = append(rows, o.Row)
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.Type, b.Type) })
	return rows
}

// Find is the row of one mechanism.
func Find(m ck.MechanismType) (Row, bool) {
	o, ok := offers()[m]
	if !ok {
		return Row{}, false
	}
	return o.Row, true
}

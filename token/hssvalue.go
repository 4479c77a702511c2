package token

import (
	"encoding/json"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

// publicValue is an attribute that follows from an HSS public key (PKCS#11 3.2 section 6.65.2).
func publicValue(k lms.HSSPublicKey, attribute ck.AttributeType) ([]byte, bool) {
	switch attribute {
	case ck.CKA_VALUE:
		return k.Bytes(), true
	case ck.CKA_HSS_LEVELS:
		return Ulong(uint64(k.Levels)), true
	case ck.CKA_HSS_LMS_TYPE:
		return Ulong(uint64(k.Root.Set.LMS)), true
	case ck.CKA_HSS_LMOTS_TYPE:
		return Ulong(uint64(k.Root.Set.OTS)), true
	case ck.CKA_PUBLIC_KEY_INFO:
		return publicKeyInfo(k), true
	}
	return nil, false
}

// keystoreValues are the attributes of an HSS private key (section 6.65.3) that its keystore knows.
var keystoreValues = []ck.AttributeType{
	ck.CKA_HSS_LEVELS, ck.CKA_HSS_LMS_TYPES, ck.CKA_HSS_LMOTS_TYPES, ck.CKA_HSS_KEYS_REMAINING, ck.CKA_PUBLIC_KEY_INFO,
	ck.CKA_ONCELEAF_TRANSFERABLE, ck.CKA_ONCELEAF_RECEIPT, ck.CKA_ONCELEAF_STATE, ck.CKA_ONCELEAF_RESERVE, ck.CKA_ONCELEAF_LOW,
}

// privateValue is one of keystoreValues as it is at this moment.
func privateValue(info keystore.Info, warnBelow uint64, attribute ck.AttributeType) ([]byte, bool) {
	switch attribute {
	case ck.CKA_HSS_LEVELS:
		return Ulong(uint64(len(info.Levels))), true
	case ck.CKA_HSS_LMS_TYPES:
		return levelValues(info.Levels, func(set lms.ParameterSet) uint64 { return uint64(set.LMS) }), true
	case ck.CKA_HSS_LMOTS_TYPES:
		return levelValues(info.Levels, func(set lms.ParameterSet) uint64 { return uint64(set.OTS) }), true
	case ck.CKA_HSS_KEYS_REMAINING:
		return Ulong(min(info.Remaining, 1<<32-1)), true
	case ck.CKA_PUBLIC_KEY_INFO:
		return publicKeyInfo(info.PublicKey), true
	case ck.CKA_ONCELEAF_TRANSFERABLE:
		return Bool(info.Transferable), true
	case ck.CKA_ONCELEAF_RECEIPT:
		return append([]byte{}, info.Receipt...), true
	case ck.CKA_ONCELEAF_STATE:
		return ledger(info, warnBelow), true
	case ck.CKA_ONCELEAF_RESERVE:
		return Ulong(info.Reserve), true
	case ck.CKA_ONCELEAF_LOW:
		return Bool(supplyOf(info, warnBelow).low()), true
	}
	return nil, false
}

func levelValues(levels []lms.ParameterSet, value func(lms.ParameterSet) uint64) []byte {
	all := make([]uint64, len(levels))
	for i, set := range levels {
		all[i] = value(set)
	}
	return Ulongs(all...)
}

// publicKeyInfo is the SubjectPublicKeyInfo of RFC 9708 and RFC 9802: id-alg-hss-lms-hashsig without parameters, and
// the key bare in the BIT STRING. All lengths are below 128, so each takes one byte.
func publicKeyInfo(k lms.HSSPublicKey) []byte {
	algorithm := []byte{0x30, 0x0d, 0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x03, 0x11}
	key := k.Bytes()
	bits := append([]byte{0x03, byte(1 + len(key)), 0x00}, key...)
	der := append([]byte{0x30, byte(len(algorithm) + len(bits))}, algorithm...)
	return append(der, bits...)
}

// state is the JSON of CKA_ONCELEAF_STATE. Leaves are those of the root tree.
type state struct {
	Status        keystore.Status     `json:"status"`
	Exhausted     bool                `json:"exhausted"` // active, and nothing left to sign with
	Generation    uint64              `json:"generation"`
	Levels        []string            `json:"levels"`
	Remaining     uint64              `json:"remaining"`     // signatures
	Capacity      uint64              `json:"capacity"`      // signatures that the key began with here, without what it gave away
	Low           bool                `json:"low"`           // remaining is less than warnBelow of capacity
	WarnBelow     uint64              `json:"warnBelow"`     // percent; 0: never low
	Reserve       uint64              `json:"reserve"`       // message leaves per durable write; 0: lower trees in memory
	RootRemaining uint64              `json:"rootRemaining"` // leaves
	Free          keystore.Spans      `json:"free"`
	Given         []keystore.Transfer `json:"given"`
	Received      []keystore.Transfer `json:"received"`
	Guard         string              `json:"guard"`
}

func ledger(info keystore.Info, warnBelow uint64) []byte {
	left := supplyOf(info, warnBelow)
	s := state{
		Status: info.Status, Exhausted: left.exhausted(), Generation: info.Generation, Levels: []string{}, Remaining: info.Remaining,
		Capacity: info.Capacity, Low: left.low(), WarnBelow: warnBelow, Reserve: info.Reserve, RootRemaining: info.RootRemaining, Free: append(keystore.Spans{}, info.Free...),
		Given: append([]keystore.Transfer{}, info.Given...), Received: append([]keystore.Transfer{}, info.Received...),
		Guard: info.Guard,
	}
	for _, set := range info.Levels {
		s.Levels = append(s.Levels, set.String())
	}
	text, err := json.Marshal(s)
	if err != nil {
		return []byte("{}") // numbers and texts always encode
	}
	return text
}

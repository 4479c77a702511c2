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

// privateValue is an attribute of an HSS private key (section 6.65.3) as it is at this moment.
func privateValue(info keystore.Info, attribute ck.AttributeType) ([]byte, bool) {
	switch attribute {
	case ck.CKA_HSS_LEVELS:
		return Ulong(uint64(len(info.Levels))), true
	case ck.CKA_HSS_LMS_TYPES:
		return levelValues(info.Levels, func(s lms.ParameterSet) uint64 { return uint64(s.LMS) }), true
	case ck.CKA_HSS_LMOTS_TYPES:
		return levelValues(info.Levels, func(s lms.ParameterSet) uint64 { return uint64(s.OTS) }), true
	case ck.CKA_HSS_KEYS_REMAINING:
		return Ulong(min(info.Remaining, 1<<32-1)), true
	case ck.CKA_PUBLIC_KEY_INFO:
		return publicKeyInfo(info.PublicKey), true
	case ck.CKA_ONCELEAF_TRANSFERABLE:
		return Bool(info.Transferable), true
	case ck.CKA_ONCELEAF_RECEIPT:
		return append([]byte{}, info.Receipt...), true
	case ck.CKA_ONCELEAF_STATE:
		return ledger(info), true
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
	Generation    uint64              `json:"generation"`
	Levels        []string            `json:"levels"`
	Remaining     uint64              `json:"remaining"`     // signatures
	RootRemaining uint64              `json:"rootRemaining"` // leaves
	Free          keystore.Spans      `json:"free"`
	Given         []keystore.Transfer `json:"given"`
	Received      []keystore.Transfer `json:"received"`
	Guard         string              `json:"guard"`
}

func ledger(info keystore.Info) []byte {
	s := state{
		Status: info.Status, Generation: info.Generation, Levels: []string{}, Remaining: info.Remaining,
		RootRemaining: info.RootRemaining, Free: append(keystore.Spans{}, info.Free...),
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

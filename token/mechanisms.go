package token

import (
	"cmp"
	"slices"
	"sync"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/mechanism"
)

// Mechanism is a mechanism with its key sizes, and what it may be used for (ck.CKF_*).
type Mechanism = mechanism.Row

// ours are the mechanisms of this package and of keystore. None has key sizes.
var ours = []Mechanism{
	{Type: ck.CKM_HSS_KEY_PAIR_GEN, Flags: ck.CKF_GENERATE_KEY_PAIR},
	{Type: ck.CKM_HSS, Flags: ck.CKF_SIGN | ck.CKF_VERIFY},
	{Type: ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN, Flags: ck.CKF_GENERATE_KEY_PAIR},
	{Type: ck.CKM_ONCELEAF_PARTITION, Flags: ck.CKF_WRAP | ck.CKF_UNWRAP},
	{Type: ck.CKM_ONCELEAF_RECEIPT, Flags: ck.CKF_UNWRAP},
}

// Mechanisms are those that every token offers, in order of their numbers. The caller does not change them.
var Mechanisms = sync.OnceValue(func() []Mechanism {
	all := slices.Concat(mechanism.Rows(), ours)
	slices.SortFunc(all, func(a, b Mechanism) int { return cmp.Compare(a.Type, b.Type) })
	return all
})

// findMechanism is the row of a mechanism.
func findMechanism(m ck.MechanismType) (Mechanism, bool) {
	all := Mechanisms()
	at, found := slices.BinarySearchFunc(all, m, func(row Mechanism, m ck.MechanismType) int {
		return cmp.Compare(row.Type, m)
	})
	if !found {
		return Mechanism{}, false
	}
	return all[at], true
}

// checkMechanism is nil if the mechanism may be used as the flag says, else CKR_MECHANISM_INVALID.
func checkMechanism(m ck.MechanismType, flag uint64) error {
	if row, offered := findMechanism(m); offered && row.Flags&flag != 0 {
		return nil
	}
	return refuse(ck.CKR_MECHANISM_INVALID, "%s is not offered for this", m)
}

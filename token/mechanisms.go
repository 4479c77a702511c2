package token

import "github.com/onceleaf/onceleaf/internal/ck"

// Mechanism is a mechanism and what it may be used for (ck.CKF_*). No mechanism here has key sizes.
type Mechanism struct {
	Type  ck.MechanismType
	Flags uint64
}

// Mechanisms are those that every token offers, in order of their numbers.
func Mechanisms() []Mechanism {
	return []Mechanism{
		{ck.CKM_HSS_KEY_PAIR_GEN, ck.CKF_GENERATE_KEY_PAIR},
		{ck.CKM_HSS, ck.CKF_SIGN | ck.CKF_VERIFY},
		{ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN, ck.CKF_GENERATE_KEY_PAIR},
		{ck.CKM_ONCELEAF_PARTITION, ck.CKF_WRAP | ck.CKF_UNWRAP},
		{ck.CKM_ONCELEAF_RECEIPT, ck.CKF_UNWRAP},
	}
}

// checkMechanism is nil if the mechanism may be used as the flag says, else CKR_MECHANISM_INVALID.
func checkMechanism(mechanism ck.MechanismType, flag uint64) error {
	for _, m := range Mechanisms() {
		if m.Type == mechanism && m.Flags&flag != 0 {
			return nil
		}
	}
	return refuse(ck.CKR_MECHANISM_INVALID, "%s is not offered for this", mechanism)
}

package token

import "github.com/onceleaf/onceleaf/internal/ck"

// profiles are the CKO_PROFILE objects of every token (PKCS#11 profiles 3.1: baseline and extended provider). They
// are on no shelf, everybody sees them, and nobody changes them.
var profiles = []*object{
	newProfile("profile/baseline", ck.CKP_BASELINE_PROVIDER),
	newProfile("profile/extended", ck.CKP_EXTENDED_PROVIDER),
}

func newProfile(id ObjectID, number uint64) *object {
	stored := Attributes{ck.CKA_PROFILE_ID: Ulong(number), ck.CKA_UNIQUE_ID: []byte(id)}
	for attribute, r := range profile {
		if r.value != nil {
			stored[attribute] = r.value
		}
	}
	return &object{id: id, schema: profile, stored: stored, safe: &safe{}}
}

package wire

import (
	"slices"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// TestTable: 104 functions, each with what its place needs.
func TestTable(t *testing.T) {
	names := map[string]bool{}
	count := map[int]int{}
	for _, f := range Functions {
		names[f.Name] = true
		count[f.Since]++
		if f.Place == Local {
			continue
		}
		for _, a := range f.Args {
			if two := a.Length != ""; two != slices.Contains([]Kind{ArgIn, ArgInGiven, ArgTemplate, ArgQuery, ArgOut, ArgOutOrNone, ArgList,
				ArgFound, ArgRandom, ArgEncrypting, ArgDecrypting, ArgMessage}, a.Kind) {
				t.Errorf("%s: %s %s has %q for its length", f.Name, a.Kind, a.Name, a.Length)
			}
			if a.Kind == ArgMechanismOrNull && f.Ends == 0 {
				t.Errorf("%s: a NULL mechanism ends nothing", f.Name)
			}
		}
	}
	if len(names) != 104 || count[240] != 68 || count[300] != 24 || count[320] != 12 {
		t.Errorf("%d functions, %v", len(names), count)
	}
	for number, name := range map[int]string{1: "C_Initialize", 44: "C_Sign", 68: "C_WaitForSlotEvent", 92: "C_MessageVerifyFinal", 104: "C_UnwrapKeyAuthenticated"} {
		if Functions[number-1].Name != name {
			t.Errorf("function %d is %s, want %s", number, Functions[number-1].Name, name)
		}
	}
	if int(ArgIgnored)+1 != len(Kinds) {
		t.Errorf("%d kinds are described, there are %d", len(Kinds), int(ArgIgnored)+1)
	}
}

// TestParams: each structure has its number, and a mechanism has one structure.
func TestParams(t *testing.T) {
	type use struct {
		m        ck.MechanismType
		wrapping bool
	}
	used := map[use]string{}
	for i, p := range Params {
		if int(p.ID) != i+1 {
			t.Errorf("%s has number %d in place %d", p.Struct, p.ID, i+1)
		}
		for _, m := range p.Mechanisms {
			if other := used[use{m, p.Wrapping}]; other != "" {
				t.Errorf("%s takes %s and %s", m, other, p.Struct)
			}
			used[use{m, p.Wrapping}] = p.Struct
		}
	}
}

// TestMechanismNumbers holds the numbers of the table to those that package ck has from the standard.
func TestMechanismNumbers(t *testing.T) {
	for m, want := range map[ck.MechanismType]string{
		ck.CKM_RSA_PKCS_OAEP: "CK_RSA_PKCS_OAEP_PARAMS", ck.CKM_RSA_PKCS_PSS: "CK_RSA_PKCS_PSS_PARAMS",
		ck.CKM_SHA256_RSA_PKCS_PSS: "CK_RSA_PKCS_PSS_PARAMS", ck.CKM_AES_GCM: "CK_GCM_PARAMS", ck.CKM_AES_CTR: "CK_AES_CTR_PARAMS",
		ck.CKM_ECDH1_DERIVE: "CK_ECDH1_DERIVE_PARAMS", ck.CKM_EDDSA: "CK_EDDSA_PARAMS",
		ck.CKM_AES_CBC: "", ck.CKM_HSS: "", ck.CKM_ONCELEAF_PARTITION: "", ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN: "", ck.CKM_ONCELEAF_RECEIPT: "",
	} {
		got := ""
		for _, p := range Params {
			if !p.Wrapping && slices.Contains(p.Mechanisms, m) {
				got = p.Struct
			}
		}
		if got != want {
			t.Errorf("%s takes %q, want %q", m, got, want)
		}
	}
}

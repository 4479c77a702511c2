package ck

import (
	"encoding/json"
	"go/constant"
	"go/types"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// constants loads the integer constants of a package whose names start like those of the standard.
func constants(t *testing.T, path string) map[string]uint64 {
	t.Helper()
	loaded, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedTypes}, path)
	if err != nil || len(loaded) != 1 || len(loaded[0].Errors) > 0 {
		t.Fatalf("loading %s: %v %v", path, err, loaded)
	}
	found := map[string]uint64{}
	scope := loaded[0].Types.Scope()
	for _, name := range scope.Names() {
		c, isConst := scope.Lookup(name).(*types.Const)
		if !isConst || !strings.HasPrefix(name, "CK") || c.Val().Kind() != constant.Int {
			continue
		}
		if n, exact := constant.Uint64Val(c.Val()); exact {
			found[name] = n
		}
	}
	return found
}

func TestNumbersAgreeWithMiekg(t *testing.T) {
	theirs := constants(t, "github.com/miekg/pkcs11")
	ours := constants(t, "github.com/onceleaf/onceleaf/internal/ck")
	// CK_UNAVAILABLE_INFORMATION and CKF_ARRAY_ATTRIBUTE style names are not compared by value where a peer leaves them
	// out; everything that both name must be equal.
	compared := 0
	for name, n := range ours {
		their, both := theirs[name]
		if !both {
			continue
		}
		compared++
		if n != their {
			t.Errorf("%s is 0x%X here and 0x%X there", name, n, their)
		}
	}
	if compared < 200 {
		t.Fatalf("only %d names in common: the comparison has lost its object", compared)
	}
}

// The numbers of PKCS#11 3.1 and 3.2 that no 2.40 header has, and the vendor numbers.
func TestNumbersAfter240(t *testing.T) {
	want := map[string]uint64{
		"CKK_HSS": 0x46, "CKM_HSS_KEY_PAIR_GEN": 0x4032, "CKM_HSS": 0x4033,
		"CKA_HSS_LEVELS": 0x617, "CKA_HSS_LMS_TYPE": 0x618, "CKA_HSS_LMOTS_TYPE": 0x619,
		"CKA_HSS_LMS_TYPES": 0x61a, "CKA_HSS_LMOTS_TYPES": 0x61b, "CKA_HSS_KEYS_REMAINING": 0x61c,
		"CKR_KEY_EXHAUSTED": 0x203, "CKR_PENDING": 0x204, "CKR_SESSION_ASYNC_NOT_SUPPORTED": 0x205,
		"CKR_SEED_RANDOM_REQUIRED": 0x206, "CKR_OPERATION_NOT_VALIDATED": 0x207, "CKR_TOKEN_NOT_INITIALIZED": 0x208,
		"CKR_PARAMETER_SET_NOT_SUPPORTED": 0x209,
		"CKK_XMSS":                        0x47, "CKK_XMSSMT": 0x48, "CKM_XMSS_KEY_PAIR_GEN": 0x4034,
		"CKM_XMSSMT_KEY_PAIR_GEN": 0x4035, "CKM_XMSS": 0x4036, "CKM_XMSSMT": 0x4037,
		"CKA_PARAMETER_SET": 0x61d, "CKA_OBJECT_VALIDATION_FLAGS": 0x61e, "CKA_ENCAPSULATE": 0x633,
		"CKA_DECAPSULATE": 0x634, "CKA_PUBLIC_CRC64_VALUE": 0x636, "CKA_SEED": 0x637, "CKA_UNIQUE_ID": 0x04,
		"CKK_ML_KEM": 0x49, "CKK_ML_DSA": 0x4a, "CKK_SLH_DSA": 0x4b,
		"CKK_HKDF": 0x42, "CKM_AES_KEY_WRAP_KWP": 0x210b, "CKM_HKDF_DERIVE": 0x402a, "CKM_HKDF_DATA": 0x402b,
		"CKG_NO_GENERATE": 0, "CKG_GENERATE": 1, "CKG_GENERATE_COUNTER": 2, "CKG_GENERATE_RANDOM": 3,
		"CKG_GENERATE_COUNTER_XOR": 4, "CKR_AEAD_DECRYPT_FAILED": 0x42,
		"CKM_ML_KEM_KEY_PAIR_GEN": 0x0f, "CKM_ML_KEM": 0x17, "CKM_ML_DSA_KEY_PAIR_GEN": 0x1c, "CKM_ML_DSA": 0x1d,
		"CKP_ML_DSA_44": 1, "CKP_ML_DSA_65": 2, "CKP_ML_DSA_87": 3, "CKP_ML_KEM_768": 2, "CKP_ML_KEM_1024": 3,
		"CKH_HEDGE_PREFERRED": 0, "CKH_HEDGE_REQUIRED": 1, "CKH_DETERMINISTIC_REQUIRED": 2,
		"CKF_ENCAPSULATE": 0x10000000, "CKF_DECAPSULATE": 0x20000000, "CKK_EC_MONTGOMERY": 0x41,
		"CKM_EC_MONTGOMERY_KEY_PAIR_GEN": 0x1056, "CKM_ECDSA_SHA3_256": 0x1048, "CKM_SHA3_256_RSA_PKCS": 0x60,
		"CKG_MGF1_SHA3_256": 7, "CKD_SHA256_KDF": 6, "CKD_SHA3_256_KDF": 0x0b,
		"CKF_HKDF_SALT_NULL": 1, "CKF_HKDF_SALT_DATA": 2, "CKF_HKDF_SALT_KEY": 4,
		"CKK_ONCELEAF_TRANSFER": 0x8F4C0001, "CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN": 0x8F4C0001,
		"CKM_ONCELEAF_PARTITION": 0x8F4C0002, "CKM_ONCELEAF_RECEIPT": 0x8F4C0003,
		"CKA_ONCELEAF_TRANSFERABLE": 0x8F4C0101, "CKA_ONCELEAF_RECEIPT": 0x8F4C0102,
		"CKA_ONCELEAF_STATE": 0x8F4C0103, "CKA_ONCELEAF_FINGERPRINT": 0x8F4C0104,
		"CKA_ONCELEAF_RESERVE": 0x8F4C0105, "CKA_ONCELEAF_WARN_BELOW": 0x8F4C0106, "CKA_ONCELEAF_LOW": 0x8F4C0107,
	}
	ours := constants(t, "github.com/onceleaf/onceleaf/internal/ck")
	for name, n := range want {
		if got, ok := ours[name]; !ok || got != n {
			t.Errorf("%s = 0x%X, %v, want 0x%X", name, got, ok, n)
		}
	}
}

// Every constant of a named type must have its name in the tables, spelled the same.
func TestEveryNumberHasItsName(t *testing.T) {
	named := map[string]string{} // constant -> text of String or Error
	for rv, name := range rvNames {
		named[name] = rv.Error()
	}
	for a := range attributes {
		named[a.String()] = a.String()
	}
	for m := range mechanismNames {
		named[m.String()] = m.String()
	}
	for c := range classNames {
		named[c.String()] = c.String()
	}
	for k := range keyTypeNames {
		named[k.String()] = k.String()
	}
	for u := range userNames {
		named[u.String()] = u.String()
	}
	checked := 0
	for _, name := range declared(t, "CKR_", "CKA_", "CKM_", "CKO_", "CKK_", "CKU_") {
		checked++
		if named[name] != name {
			t.Errorf("%s has no name in its table", name)
		}
	}
	if checked < 200 {
		t.Fatalf("only %d constants found", checked)
	}
}

// declared lists the package's constants with one of the prefixes.
func declared(t *testing.T, prefixes ...string) (names []string) {
	t.Helper()
	for name := range constants(t, "github.com/onceleaf/onceleaf/internal/ck") {
		if slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			names = append(names, name)
		}
	}
	return names
}

func TestUnknownNumbersPrint(t *testing.T) {
	for got, want := range map[string]string{
		AttributeType(0x12345).String(): "CKA 0x00012345",
		MechanismType(0x9999).String():  "CKM 0x00009999",
		RV(0x7777).Error():              "CKR 0x00007777",
		CKR_PIN_INCORRECT.Error():       "CKR_PIN_INCORRECT",
		CKM_HSS.String():                "CKM_HSS",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAttributesInJSON(t *testing.T) {
	in := map[AttributeType]int{CKA_LABEL: 1, CKA_ONCELEAF_STATE: 2}
	text, err := json.Marshal(in)
	if err != nil || string(text) != `{"CKA_LABEL":1,"CKA_ONCELEAF_STATE":2}` {
		t.Fatalf("%s, %v", text, err)
	}
	var out map[AttributeType]int
	if err := json.Unmarshal(text, &out); err != nil || len(out) != 2 || out[CKA_LABEL] != 1 {
		t.Fatalf("%v, %v", out, err)
	}
	if err := json.Unmarshal([]byte(`{"CKA_NOBODY":1}`), &out); err == nil {
		t.Error("an unknown name was taken")
	}
	if _, err := json.Marshal(map[AttributeType]int{0x4711: 1}); err == nil {
		t.Error("an unknown number was written")
	}
}

func TestKinds(t *testing.T) {
	for attribute, want := range map[AttributeType]Kind{
		CKA_TOKEN: KindBool, CKA_CLASS: KindUlong, CKA_HSS_LMS_TYPES: KindUlongs, CKA_VALUE: KindBytes,
		CKA_LABEL: KindText, CKA_START_DATE: KindDate, CKA_UNWRAP_TEMPLATE: KindTemplate,
		CKA_ALLOWED_MECHANISMS: KindUlongs, CKA_ONCELEAF_TRANSFERABLE: KindBool,
	} {
		if kind, ok := attribute.Kind(); !ok || kind != want {
			t.Errorf("%s: %v, %v", attribute, kind, ok)
		}
	}
	if _, ok := AttributeType(0x4711).Kind(); ok {
		t.Error("an unknown attribute has a kind")
	}
}

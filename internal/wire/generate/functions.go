package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/onceleaf/onceleaf/internal/wire"
)

// Between these lines of docs/pkcs11.md stands the table of functions.
const (
	functionsFrom = "<!-- generated: go generate ./internal/wire -->\n"
	functionsTo   = "<!-- end of functions -->\n"
)

// remarks say what an application has to know of a function beside the standard.
var remarks = map[string]string{
	"C_Initialize":         "mutex functions alone are `CKR_CANT_LOCK`",
	"C_Finalize":           "ends what takes long in other threads, and waits for them",
	"C_GetFunctionList":    "the list of 2.40",
	"C_GetSlotList":        "all tokens, and one more slot with a token that is not initialised",
	"C_InitToken":          "see [Tokens and PINs](#tokens-and-pins)",
	"C_InitPIN":            "also unlocks the user PIN",
	"C_OpenSession":        "no notifications come",
	"C_Login":              "`CKU_CONTEXT_SPECIFIC` is for keys that are `CKA_ALWAYS_AUTHENTICATE`",
	"C_LoginUser":          "as `C_Login`; a token has one user and one SO, so the name says nothing",
	"C_Logout":             "ends operations with private keys, and searches, in all sessions",
	"C_CreateObject":       "no HSS private keys",
	"C_CopyObject":         "no HSS private keys",
	"C_GetObjectSize":      "`CK_UNAVAILABLE_INFORMATION`",
	"C_FindObjectsInit":    "what is found is settled here",
	"C_DigestKey":          "secret keys",
	"C_Sign":               "with an HSS key it costs a leaf, if there is room for the signature",
	"C_SignFinal":          "with an HSS key it costs a leaf, if there is room for the signature",
	"C_Decrypt":            "with padding the length query gives a bound, `CKR_BUFFER_TOO_SMALL` the length",
	"C_DecryptUpdate":      "with `CKM_AES_GCM` nothing comes out before the tag was seen",
	"C_EncryptMessageNext": "the tag comes with `CKF_END_OF_MESSAGE`",
	"C_DecryptMessageNext": "everything comes out with `CKF_END_OF_MESSAGE`",
	"C_GenerateKeyPair":    "see [HSS keys](#hss-keys)",
	"C_WrapKey":            "see [Policy](#policy)",
	"C_UnwrapKey":          "see [Policy](#policy)",
	"C_SeedRandom":         "`CKR_RANDOM_SEED_NOT_SUPPORTED`: the system seeds itself",
	"C_GetFunctionStatus":  "`CKR_FUNCTION_NOT_PARALLEL`, as the standard has it",
	"C_CancelFunction":     "`CKR_FUNCTION_NOT_PARALLEL`, as the standard has it",
	"C_WaitForSlotEvent":   "with `CKF_DONT_BLOCK` `CKR_NO_EVENT`, for slots do not change; else `CKR_FUNCTION_NOT_SUPPORTED`",
	"C_GetInterface":       "`PKCS 11` 3.2, 3.0 and 2.40",
	"C_SessionCancel":      "an Init without a mechanism is the same",
	"C_EncapsulateKey":     "a length query makes no key",
}

// functionsPage is docs/pkcs11.md with its table of functions replaced.
func functionsPage(page string) ([]byte, error) {
	text, err := os.ReadFile(page)
	if err != nil {
		return nil, err
	}
	before, rest, found := bytes.Cut(text, []byte(functionsFrom))
	_, after, ended := bytes.Cut(rest, []byte(functionsTo))
	if !found || !ended {
		return nil, fmt.Errorf("%s has no lines %q and %q", page, functionsFrom, functionsTo)
	}
	return bytes.Join([][]byte{before, []byte(functionsFrom + functionsTable() + functionsTo), after}, nil), nil
}

// versions are the versions of the standard.
var versions = map[int]string{240: "2.40", 300: "3.0", 320: "3.2"}

// functionsTable has the functions in the order of the standard, and says of each whether it is offered.
func functionsTable() string {
	var b strings.Builder
	b.WriteString("\n| function | since | offered | |\n|---|---|---|---|\n")
	for _, f := range wire.Functions {
		offered := "yes"
		if f.Place == wire.Absent {
			offered = "no"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Name, versions[f.Since], offered, remarks[f.Name])
	}
	return b.String() + "\n"
}

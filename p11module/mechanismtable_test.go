package p11module

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/wire"
	"github.com/onceleaf/onceleaf/token"
)

var writeTable = flag.Bool("update", false, "write the table of mechanisms into docs/pkcs11.md")

// The table stands between these lines.
const (
	tablePage  = "../docs/pkcs11.md"
	tableBegin = "<!-- generated: go test ./p11module -run TestMechanismTable -update -->\n"
	tableEnd   = "<!-- end of mechanisms -->\n"
)

// TestMechanismTable: the document has each mechanism, with what C_GetMechanismInfo tells.
func TestMechanismTable(t *testing.T) {
	text, err := os.ReadFile(tablePage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), tableBegin)
	table, after, ended := strings.Cut(rest, tableEnd)
	if !found || !ended {
		t.Fatalf("%s has no place for the table", tablePage)
	}
	want := mechanismTable()
	if *writeTable {
		if err := os.WriteFile(tablePage, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if table != want {
		t.Errorf("%s does not have the mechanisms that there are: run go test ./p11module -run TestMechanismTable -update", tablePage)
	}
}

func mechanismTable() string {
	var b strings.Builder
	b.WriteString("\n| mechanism | number | what it does | keys | size | in parts | parameter |\n|---|---|---|---|---|---|---|\n")
	for _, m := range token.Mechanisms() {
		fmt.Fprintf(&b, "| `%s` | 0x%X | %s | %s | %s | %s | %s |\n", m.Type, uint64(m.Type), usesOf(m.Flags), keysOf(m), sizesOf(m), partsOf(m), parameterOf(m))
	}
	return b.String() + "\n"
}

var uses = []struct {
	flag uint64
	name string
}{
	{ck.CKF_ENCRYPT, "encrypt"}, {ck.CKF_DECRYPT, "decrypt"}, {ck.CKF_MESSAGE_ENCRYPT, "encrypt messages"}, {ck.CKF_MESSAGE_DECRYPT, "decrypt messages"},
	{ck.CKF_DIGEST, "digest"}, {ck.CKF_SIGN, "sign"}, {ck.CKF_VERIFY, "verify"}, {ck.CKF_GENERATE, "generate"}, {ck.CKF_GENERATE_KEY_PAIR, "generate pair"},
	{ck.CKF_WRAP, "wrap"}, {ck.CKF_UNWRAP, "unwrap"}, {ck.CKF_DERIVE, "derive"}, {ck.CKF_ENCAPSULATE, "encapsulate"}, {ck.CKF_DECAPSULATE, "decapsulate"},
}

func usesOf(flags uint64) string {
	var names []string
	for _, use := range uses {
		if flags&use.flag != 0 {
			names = append(names, use.name)
		}
	}
	return strings.Join(names, ", ")
}

func keysOf(m token.Mechanism) string {
	var names []string
	for _, k := range m.Keys {
		names = append(names, strings.TrimPrefix(k.String(), "CKK_"))
	}
	if own := map[ck.MechanismType]string{
		ck.CKM_HSS_KEY_PAIR_GEN: "HSS", ck.CKM_HSS: "HSS", ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN: "transfer", ck.CKM_ONCELEAF_PARTITION: "transfer",
		ck.CKM_ONCELEAF_RECEIPT: "HSS",
	}[m.Type]; own != "" {
		names = append(names, own)
	}
	return strings.Join(names, ", ")
}

func sizesOf(m token.Mechanism) string {
	switch {
	case m.MaxKeySize == 0:
		return ""
	case m.MinKeySize == m.MaxKeySize:
		return fmt.Sprint(m.MaxKeySize)
	}
	return fmt.Sprintf("%d-%d", m.MinKeySize, m.MaxKeySize)
}

// partsOf says whether the Update functions are there, for mechanisms of operations that have them.
func partsOf(m token.Mechanism) string {
	switch {
	case m.Flags&(ck.CKF_ENCRYPT|ck.CKF_DECRYPT|ck.CKF_DIGEST|ck.CKF_SIGN|ck.CKF_VERIFY) == 0:
		return ""
	case m.Single:
		return "no"
	}
	return "yes"
}

// parameterOf says what the mechanism takes.
func parameterOf(m token.Mechanism) string {
	for _, p := range wire.Params {
		if !p.Wrapping && slices.Contains(p.Mechanisms, m.Type) {
			return orNone(m.Type, "`"+p.Struct+"`")
		}
	}
	switch name := m.Type.String(); {
	case m.Type == ck.CKM_AES_CBC || m.Type == ck.CKM_AES_CBC_PAD:
		return "16 bytes, the IV"
	case strings.HasSuffix(name, "_GENERAL"):
		return "CK_ULONG, bytes of the MAC"
	case m.Type == ck.CKM_AES_KEY_WRAP:
		return "none, or 8 bytes of IV"
	case m.Type == ck.CKM_AES_KEY_WRAP_KWP || m.Type == ck.CKM_AES_KEY_WRAP_PAD:
		return "none, or 4 bytes of IV"
	case m.Type == ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN:
		return "none, or CK_ULONG: 1 HPKE, 2 RSA"
	case m.Type == ck.CKM_ONCELEAF_PARTITION:
		return "to wrap: none (half), or CK_ULONG, the number of root leaves"
	}
	return "none"
}

func orNone(m ck.MechanismType, structure string) string {
	switch m {
	case ck.CKM_EDDSA, ck.CKM_ML_DSA:
		return "none, or " + structure
	case ck.CKM_AES_GCM:
		return structure + "; for messages none"
	}
	return structure
}

package token

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

//go:generate env ONCELEAF_WRITE_PAGE=1 go test -count=1 -run ^TestAttributesPage$ .

const attributesPage = "../docs/attributes.md"

// The page for people says what the tables for the program say. go generate ./token writes it anew.
func TestAttributesPage(t *testing.T) {
	want := renderPage()
	if os.Getenv("ONCELEAF_WRITE_PAGE") != "" {
		if err := os.WriteFile(attributesPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(attributesPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the tables say: go generate ./token", attributesPage)
	}
}

const pageHead = `# Attributes

Made from the tables of package token by ` + "`go generate ./token`" + `. Each object of a kind has all attributes of its table; the
numbers and forms are those of PKCS#11 3.2.

How an attribute gets its value when an object is made, by ` + "`C_CreateObject`" + `, by generation (` + "`C_GenerateKey`" + `,
` + "`C_GenerateKeyPair`" + `), by ` + "`C_UnwrapKey`" + ` and by derivation (` + "`C_DeriveKey`, `C_EncapsulateKey`, `C_DecapsulateKey`" + `):

| | |
|---|---|
| may | any value of the right form, else the default |
| must | ` + "`CKR_TEMPLATE_INCOMPLETE`" + ` without it |
| same | the default or nothing: another value is ` + "`CKR_TEMPLATE_INCONSISTENT`" + ` |
| not here | stands elsewhere: ` + "`CKR_TEMPLATE_INCONSISTENT`" + ` |
| token | the token sets it: ` + "`CKR_ATTRIBUTE_READ_ONLY`" + ` |

What may be changed later: *set* by ` + "`C_SetAttributeValue` and `C_CopyObject`" + `; *up* from FALSE to TRUE alone and *down* from TRUE
to FALSE alone, both for good; *kept*: only to what it is; *copy* by ` + "`C_CopyObject`" + ` alone, *copy down* there from TRUE to FALSE. All else is
` + "`CKR_ATTRIBUTE_READ_ONLY`" + `. *SO*: the SO alone makes it TRUE. *hidden*: ` + "`CKR_ATTRIBUTE_SENSITIVE`" + ` while ` + "`CKA_SENSITIVE`" + ` is TRUE or
` + "`CKA_EXTRACTABLE`" + ` is FALSE. A default *of the token* is computed or follows from the value. *by roles*: the default holds
unless the template names another role of the key, see [Policy](pkcs11.md#policy).

An attribute that does not belong to a kind is ` + "`CKR_TEMPLATE_INCONSISTENT`" + ` in a template and ` + "`CKR_ATTRIBUTE_TYPE_INVALID`" + ` when it
is read or changed; one that PKCS#11 does not know is ` + "`CKR_ATTRIBUTE_TYPE_INVALID`" + `.
`

// renderPage is docs/attributes.md.
func renderPage() string {
	var page strings.Builder
	page.WriteString(pageHead)
	for title, s := range pageTables {
		fmt.Fprintf(&page, "\n## %s\n\n%s", title, s.render(callsOf(title)))
	}
	return page.String()
}

// pageTables are the tables of the page. What the keys of a class share stands once.
func pageTables(yield func(string, schema) bool) {
	bases := []struct {
		title string
		class ck.ObjectClass
		table schema
	}{
		{"Every public key", ck.CKO_PUBLIC_KEY, anyPublicKey},
		{"Every private key", ck.CKO_PRIVATE_KEY, anyPrivateKey},
		{"Every secret key", ck.CKO_SECRET_KEY, anySecretKey},
	}
	for _, b := range bases {
		if !yield(b.title, b.table) {
			return
		}
	}
	for _, k := range kinds {
		title, table := fmt.Sprintf("`%s`", k.class), k.schema
		if isKey(k.class) {
			title += fmt.Sprintf(" `%s`", k.keyType)
		}
		for _, b := range bases {
			if b.class == k.class && !stateful(k.keyType) {
				table = table.beyond(b.table)
			}
		}
		if !yield(title, table) {
			return
		}
	}
}

// beyond is what a table has that its base has not, or has otherwise.
func (s schema) beyond(base schema) schema {
	more := maps.Clone(s)
	maps.DeleteFunc(more, func(a ck.AttributeType, r rule) bool {
		b, there := base[a]
		return there && r.line(a, everyCall) == b.line(a, everyCall)
	})
	return more
}

var callNames = []string{"create", "generate", "unwrap", "derive"}

// callsOf are the calls that make such objects.
func callsOf(title string) []call {
	switch {
	case strings.Contains(title, "DATA"):
		return []call{create, derive}
	case strings.Contains(title, "CERTIFICATE"):
		return []call{create}
	case strings.Contains(title, "PROFILE"):
		return nil
	case strings.Contains(strings.ToLower(title), "public"):
		return []call{create, generate}
	case strings.Contains(strings.ToLower(title), "private"):
		return []call{create, generate, unwrap}
	}
	return everyCall
}

func (s schema) render(in []call) string {
	var text strings.Builder
	head := []string{"attribute"}
	for _, c := range in {
		head = append(head, callNames[c])
	}
	head = append(head, "default", "later")
	fmt.Fprintf(&text, "| %s |\n%s|\n", strings.Join(head, " | "), strings.Repeat("|---", len(head)))
	for _, a := range slices.Sorted(maps.Keys(s)) {
		text.WriteString(s[a].line(a, in))
	}
	return text.String()
}

var everyCall = []call{create, generate, unwrap, derive}

var entryNames = map[entry]string{optional: "may", required: "must", fixed: "same", foreign: "not here", own: "token"}

var editingNames = map[editing]string{settable: "set", raised: "up", lowered: "down", kept: "kept", inCopy: "copy", lowerIn: "copy down"}

// line is one row of a table.
func (r rule) line(a ck.AttributeType, in []call) string {
	cells := []string{fmt.Sprintf("`%s`", a)}
	standard := pageValue(a, r.value)
	for _, c := range in {
		cells = append(cells, entryNames[r.in[c]])
		if value, other := r.other[c]; other {
			standard += fmt.Sprintf("; %s: %s", callNames[c], pageValue(a, value))
		}
	}
	if r.role {
		standard += ", by roles"
	}
	later := []string{}
	if name := editingNames[r.set]; name != "" {
		later = append(later, name)
	}
	if r.officer {
		later = append(later, "SO")
	}
	if r.hidden {
		later = append(later, "hidden")
	}
	return "| " + strings.Join(append(cells, standard, strings.Join(later, ", ")), " | ") + " |\n"
}

// pageValue is a default as the page has it.
func pageValue(a ck.AttributeType, value []byte) string {
	kind, _ := a.Kind()
	switch {
	case value == nil:
		return "of the token"
	case len(value) == 0:
		return "empty"
	case kind == ck.KindBool:
		return strings.ToUpper(fmt.Sprint(value[0] == 1))
	}
	n := (Attributes{a: value}).ulong(a)
	switch a {
	case ck.CKA_CLASS:
		return fmt.Sprintf("`%s`", ck.ObjectClass(n))
	case ck.CKA_KEY_TYPE:
		return fmt.Sprintf("`%s`", ck.KeyType(n))
	case ck.CKA_NAME_HASH_ALGORITHM:
		return fmt.Sprintf("`%s`", ck.MechanismType(n))
	}
	return fmt.Sprint(n)
}

package archtest

import (
	"fmt"
	"go/ast"
	"go/types"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/go/packages"
)

const module = "github.com/onceleaf/onceleaf/"

// mayImport is the import lattice: what each package may import of this module,
// in the code that is shipped.
var mayImport = map[string][]string{
	"lms":                {"internal/sha256mb"},
	"internal/sha256mb":  {},
	"internal/durable":   {},
	"internal/ck":        {},
	"mechanism":          {"internal/ck"},
	"internal/audit":     {"lms"},
	"keystore":           {"lms", "internal/durable"},
	"keystore/storetest": {"keystore"},
	"backup":             {"lms", "keystore"},
	"token":              {"lms", "keystore", "backup", "mechanism", "internal/ck", "internal/durable"},
	"p11module":          {"lms", "keystore", "backup", "mechanism", "internal/ck", "token"},
	"cgo/embedded":       {"p11module", "internal/dispatch"},
	"internal/wire":      {"internal/ck"},
	"internal/dispatch":  {"internal/wire", "internal/ck", "p11module"},
	"internal/daemon":    {"internal/wire", "internal/dispatch", "internal/ck", "internal/durable", "p11module", "token"},
	"internal/manual":    {},
	"cmd/onceleafd":      {"internal/daemon", "internal/manual", "token"},
	"cmd/onceleaf": {"lms", "backup", "internal/ck", "internal/durable", "internal/audit", "internal/wire", "internal/manual",
		"token"}, // token for check, offline

	// Run by go generate.
	"internal/wire/generate": {"internal/wire", "internal/ck", "internal/durable"},

	// Tests and the demonstration.
	"internal/archtest":     {},
	"internal/crashtest":    {},
	"softhsm-tests":         {"internal/wire"},
	"softhsm-tests/worker":  {"internal/ck", "internal/wire"},
	"softhsm-tests/clients": {},
	"docs/demo/burst":       {"internal/ck"},
	"internal/bench":        {"lms", "keystore", "internal/durable", "internal/sha256mb", "internal/ck", "internal/wire"},
}

// writers are the functions that change the file system, and where they may
// stand: everything else asks internal/durable.
var writers = []string{"os.WriteFile", "os.Create", "os.CreateTemp", "os.OpenFile", "os.Rename", "os.Remove", "os.RemoveAll",
	"os.Mkdir", "os.MkdirAll", "os.MkdirTemp", "os.Truncate", "os.Link", "os.Symlink"}

var load = sync.OnceValues(func() ([]*packages.Package, error) {
	return packages.Load(&packages.Config{
		Dir:  "../..",
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedDeps,
	}, "./...")
})

// each calls f for every package of the project; a project that does not load
// fails.
func each(t *testing.T, f func(name string, p *packages.Package)) {
	t.Helper()
	all, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 8 {
		t.Fatalf("only %d packages were loaded", len(all))
	}
	for _, p := range all {
		for _, err := range p.Errors {
			t.Fatal(err)
		}
		f(strings.TrimPrefix(p.PkgPath, module), p)
	}
}

func TestImportLattice(t *testing.T) {
	each(t, func(name string, p *packages.Package) {
		allowed, known := mayImport[name]
		if !known {
			t.Errorf("package %s has no place in the lattice", name)
		}
		for imported := range p.Imports {
			own, isOwn := strings.CutPrefix(imported, module)
			if isOwn && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s", name, own)
			}
			if imported == "C" && !strings.HasPrefix(name, "cgo/") && name != "internal/sha256mb" {
				t.Errorf("%s imports C", name)
			}
		}
	})
}

func TestPackageNames(t *testing.T) {
	each(t, func(name string, p *packages.Package) {
		if slices.Contains([]string{"common", "util", "utils", "types", "helpers", "errors", "misc"}, p.Name) {
			t.Errorf("%s is named after nothing", name)
		}
	})
}

// use is one place that names an object.
type use struct{ pkg, file, function string }

// uses finds every place where an object with this full name is used.
func uses(t *testing.T, fullName string) (found []use) {
	t.Helper()
	each(t, func(name string, p *packages.Package) {
		for _, file := range p.Syntax {
			for _, decl := range file.Decls {
				ast.Inspect(decl, func(n ast.Node) bool {
					id, ok := n.(*ast.Ident)
					if ok && fullNameOf(p.TypesInfo.Uses[id]) == fullName {
						found = append(found, use{name, path.Base(p.Fset.Position(id.Pos()).Filename), functionName(decl)})
					}
					return true
				})
			}
		}
	})
	return found
}

func fullNameOf(o types.Object) string {
	if f, ok := o.(*types.Func); ok {
		return f.FullName()
	}
	return ""
}

func functionName(d ast.Decl) string {
	if f, ok := d.(*ast.FuncDecl); ok {
		return f.Name.Name
	}
	return ""
}

// TestOneSigner: only keystore signs with a leaf, in one function.
func TestOneSigner(t *testing.T) {
	found := uses(t, "(*"+module+"lms.Tree).SignLeaf")
	found = slices.DeleteFunc(found, func(u use) bool { return u.pkg == "internal/bench" }) // throwaway trees
	if want := []use{{"keystore", "tree.go", "sign"}}; !slices.Equal(found, want) {
		t.Errorf("lms.Tree.SignLeaf is used at %v, want %v", found, want)
	}
}

// TestOneReplace: one function makes a change durable.
func TestOneReplace(t *testing.T) {
	found := uses(t, "("+module+"keystore.Store).Replace")
	found = slices.DeleteFunc(found, func(u use) bool { return u.pkg == "keystore/storetest" }) // it tests stores
	if want := []use{{"keystore", "key.go", "commit"}}; !slices.Equal(found, want) {
		t.Errorf("keystore.Store.Replace is used at %v, want %v", found, want)
	}
	for _, store := range []string{"Bolt", "Volatile"} {
		if found := uses(t, "(*"+module+"keystore."+store+").Replace"); len(found) != 0 {
			t.Errorf("keystore.%s.Replace is used at %v", store, found)
		}
	}
}

// TestOneDoor: root leaves become free or not in six pure functions, and the one
// that hands them out is called from four places.
func TestOneDoor(t *testing.T) {
	found := uses(t, module+"keystore.reserve")
	want := []use{{"keystore", "key.go", "reserveOne"}, {"keystore", "state.go", "drawBatch"}, {"keystore", "state.go", "give"},
		{"keystore", "state.go", "goingLeaves"}}
	if !slices.Equal(found, want) {
		t.Errorf("reserve is used at %v, want %v", found, want)
	}
	changers := map[string]bool{}
	each(t, func(name string, p *packages.Package) {
		for _, file := range p.Syntax {
			for _, decl := range file.Decls {
				ast.Inspect(decl, func(n ast.Node) bool {
					if assigns(p, n, "Free") {
						changers[name+" "+functionName(decl)] = true
					}
					return true
				})
			}
		}
	})
	for _, name := range []string{"reserve", "putBack", "receive", "externalise", "bringBack", "destroy"} {
		delete(changers, "keystore "+name)
	}
	if len(changers) != 0 {
		t.Errorf("State.Free is assigned in %v", changers)
	}
}

// assigns reports whether n assigns to the given field of keystore.State.
func assigns(p *packages.Package, n ast.Node, field string) bool {
	assignment, ok := n.(*ast.AssignStmt)
	if !ok {
		return false
	}
	return slices.ContainsFunc(assignment.Lhs, func(left ast.Expr) bool {
		selector, ok := left.(*ast.SelectorExpr)
		return ok && selector.Sel.Name == field && strings.HasSuffix(fmt.Sprint(p.TypesInfo.TypeOf(selector.X)), "keystore.State")
	})
}

// TestOneWriter: only internal/durable and the store change files. The owner's
// lock file is opened, not written through, and a terminal is no file.
func TestOneWriter(t *testing.T) {
	allowed := []use{
		{"keystore", "bolt.go", "CreateBolt"},     // removes an unfinished store
		{"keystore", "bolt.go", "existing"},       // opens the store, never makes one
		{"internal/daemon", "socket.go", "claim"}, // unlinks a dead socket
	}
	for _, writer := range writers {
		for _, at := range uses(t, writer) {
			test := at.pkg == "internal/durable" || strings.HasPrefix(at.pkg, "softhsm-tests") || strings.HasPrefix(at.pkg, "docs/demo") || at.pkg == "internal/bench"
			if !test && !slices.Contains(allowed, at) {
				t.Errorf("%s is used in %s %s %s", writer, at.pkg, at.file, at.function)
			}
		}
	}
}

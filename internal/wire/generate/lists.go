package main

import (
	"fmt"
	"strings"

	"github.com/onceleaf/onceleaf/internal/wire"
)

const listsHead = `/*
 * The functions of PKCS#11, in the order in which the standard's function lists hold them. The lists, their structs and
 * the prototypes are all made from it. Generated from the table in internal/wire by go generate ./internal/wire.
 *
 * OFFERED functions have a body of their own; ABSENT ones answer CKR_FUNCTION_NOT_SUPPORTED.
 */
#ifndef ONCELEAF_FUNCTIONS_H
#define ONCELEAF_FUNCTIONS_H
`

// functionsH is cgo/embedded/functions.h.
func functionsH() []byte {
	var b strings.Builder
	b.WriteString(listsHead)
	for _, list := range []struct {
		since int
		macro string
	}{{240, "CK_FUNCTIONS_2_40"}, {300, "CK_FUNCTIONS_ADDED_IN_3_0"}, {320, "CK_FUNCTIONS_ADDED_IN_3_2"}} {
		fmt.Fprintf(&b, "\n#define %s(OFFERED, ABSENT)", list.macro)
		for _, f := range wire.Functions {
			if f.Since == list.since {
				b.WriteString(" \\\n" + entry(f))
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\n#endif\n")
	return []byte(b.String())
}

// entry is one function in a list, folded before column 120.
func entry(f wire.FunctionRow) string {
	word := "OFFERED"
	if f.Place == wire.Absent {
		word = "ABSENT"
	}
	return fold(fmt.Sprintf("%s(%s, (%s))", word, f.Name, strings.Join(parameters(f), ", ")))
}

// parameters are the C parameters of a function, with their types.
func parameters(f wire.FunctionRow) (all []string) {
	for _, a := range f.Args {
		all = append(all, a.Type+" "+a.Name)
		switch a.Kind {
		case wire.ArgOut, wire.ArgOutOrNone, wire.ArgList:
			all = append(all, "CK_ULONG_PTR "+a.Length)
		case wire.ArgFound:
			all = append(all, "CK_ULONG "+a.Length, "CK_ULONG_PTR count")
		default:
			if a.Length != "" {
				all = append(all, "CK_ULONG "+a.Length)
			}
		}
	}
	return all
}

// fold breaks a line of a macro after commas.
func fold(text string) string {
	const width, tab = 120, 8
	var lines []string
	line := "\t"
	column := tab
	for i, part := range strings.SplitAfter(text, ", ") {
		if i > 0 && column+len(strings.TrimRight(part, " "))+len(" \\") > width {
			lines = append(lines, line+"\\")
			line, column = "\t\t", 2*tab
		}
		line += part
		column += len(part)
	}
	return strings.Join(append(lines, line), "\n")
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// print writes a command's data to stdout: v as JSON, or what text writes, in columns at each tab.
func (inv *invocation) print(v any, text func(w io.Writer)) error {
	if inv.json {
		enc := json.NewEncoder(inv.stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	}
	w := tabwriter.NewWriter(inv.stdout, 0, 0, 2, ' ', 0)
	text(w)
	return w.Flush()
}

// note tells a person something on stderr, unless -q.
func (inv *invocation) note(format string, args ...any) {
	if !inv.quiet {
		fmt.Fprintf(inv.stderr, "onceleaf: "+format+"\n", args...)
	}
}

// warn is note for what must not be kept back.
func (inv *invocation) warn(format string, args ...any) {
	fmt.Fprintf(inv.stderr, "onceleaf: warning: "+format+"\n", args...)
}

// shown makes text from elsewhere safe for a terminal: as it is if it is plain, quoted otherwise.
func shown(s string) string {
	quoted := strconv.QuoteToGraphic(s)
	if s == "" || quoted != `"`+s+`"` || strings.TrimSpace(s) != s {
		return quoted
	}
	return s
}

// plural is "1 leaf", "2 leaves".
func plural(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatUint(n, 10) + " " + many
}

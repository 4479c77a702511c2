package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/onceleaf/onceleaf/token"
)

func (inv *invocation) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [DIRECTORY]",
		Short: "check the files of a token directory; needs no PIN and no module",
		Long: `Check every store, key record, capsule and stored value of a token directory: the one named, or the one that --dir,
ONCELEAF_DIR or the configuration names. This needs neither a PIN nor a module, and changes nothing, so it works on a
copy that was kept as evidence, too. No process may own the directory meanwhile.

Printed are the stores with their keys, then what was found, the gravest first:
  danger       a leaf may sign twice, or has
  damaged      something cannot be used; it is kept as it is
  warning      something to look at; no key is hurt by it
  information  worth to know; nothing is wrong

Each finding says what is safe to do next. No finding ever asks to delete something or to put an older copy back: both
could make a leaf sign twice. What cannot be found offline: that the whole directory is an older copy, secrets that do
not open, and copies elsewhere.

Exit codes: 0 nothing is wrong, 1 something is damaged or in danger, 2 the check could not look at all or not at
everything, 4 there are warnings and nothing worse.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return inv.check(args) },
	}
}

func (inv *invocation) check(args []string) error {
	directory, err := inv.directoryToCheck(args)
	if err != nil {
		return err
	}
	var report *token.Report
	err = inv.during("checking "+shown(directory), 0, func() (err error) {
		report, err = token.Inspect(directory)
		return err
	})
	if err != nil {
		return notChecked(err)
	}
	if err := inv.print(report, func(w io.Writer) { writeCheck(w, report) }); err != nil {
		return err
	}
	return verdict(report.Findings)
}

// directoryToCheck is the argument, or what the module would use.
func (inv *invocation) directoryToCheck(args []string) (string, error) {
	if named := firstOf(append(args, inv.dir)...); named != "" {
		return named, nil
	}
	config, err := token.LoadConfig(os.Getenv)
	if err != nil {
		return "", refusal("name the directory: onceleaf check DIRECTORY", "couldn't find the token directory: %v", err)
	}
	return config.Directory, nil
}

// notChecked explains why nothing was looked at.
func notChecked(err error) error {
	next := "name the right directory, and run as a user who may read it"
	if errors.Is(err, token.ErrInUse) {
		next = "end that process first: what it holds in memory is not in the files"
	}
	return &problem{what: "couldn't check: " + err.Error(), safe: "nothing was changed", next: next, err: err}
}

// verdict is the error, and so the exit code, that the findings amount to; nil if nothing is wrong.
func verdict(findings []token.Finding) error {
	of, unread := map[string]uint64{}, uint64(0)
	for _, f := range findings {
		of[f.Severity.String()]++
		if f.Unread {
			unread++
		}
	}
	p := &problem{safe: "nothing was changed"}
	switch grave := of["danger"] + of["damaged"]; {
	case of["danger"] > 0:
		p.what, p.exit = "leaves are in danger of signing twice: "+plural(grave, "grave finding", "grave findings"), exitBad
		p.next = "stop every program that signs with this directory, and read the findings"
	case grave > 0:
		p.what, p.exit = plural(grave, "thing is damaged", "things are damaged"), exitBad
		p.next = "keep all files, and do for each finding what it says"
	case unread > 0:
		p.what, p.exit = plural(unread, "file", "files")+" could not be looked at", exitRefused
		p.next = "run as a user who may read the whole directory"
	case of["warning"] > 0:
		p.what, p.exit = plural(of["warning"], "warning", "warnings"), exitWarned
		p.next = "do for each finding what it says"
	default:
		return nil
	}
	return p
}

func writeCheck(w io.Writer, r *token.Report) {
	for _, s := range r.Stores {
		writeStore(w, s)
	}
	for _, s := range r.Stores {
		for _, k := range s.Keys {
			fmt.Fprintf(w, "\nkey\t%s\n", checkedKey(k.Label, k.Identity))
			writeKey(w, s, k)
		}
	}
	for _, f := range r.Findings {
		writeFinding(w, f)
	}
	if len(r.Findings) == 0 {
		fmt.Fprintln(w, "\nnothing is wrong")
	}
}

func writeStore(w io.Writer, s token.StoreReport) {
	slot, here := "no slot", uint64(0)
	if s.Slot != nil {
		slot = fmt.Sprintf("slot %d", *s.Slot)
	}
	for _, k := range s.Keys {
		if k.Status != "destroyed" {
			here++
		}
	}
	fmt.Fprintf(w, "%s\tserial %s\ttoken %s\t%s\t%s left\t%s\n", slot, shown(s.Serial), shown(s.Label),
		plural(here, "key", "keys"), countSignatures(s.Remaining), s.State)
}

func writeKey(w io.Writer, s token.StoreReport, k token.KeyReport) {
	fmt.Fprintf(w, "store\t%s\n", shown(s.File))
	fmt.Fprintf(w, "status\t%s\n", k.Status)
	if k.Status == "damaged" {
		return
	}
	fmt.Fprintf(w, "remaining\t%s of %s\n", count(k.Remaining), countSignatures(k.Capacity))
	fmt.Fprintf(w, "root leaves\tfree %s\n", leafWords(k.Free))
	for _, part := range []struct {
		name   string
		leaves leafSet
	}{{"below parked trees", k.Parked}, {"given away", k.Given}, {"received", k.Received}, {"used or burned", k.Used}} {
		if part.leaves.Count() > 0 {
			fmt.Fprintf(w, "\t%s %s\n", part.name, leafWords(part.leaves))
		}
	}
}

// leafSet is a set of leaves that can be put into words.
type leafSet interface {
	Count() uint64
	Words() string
}

// leafWords is "23: 1 to 23".
func leafWords(s leafSet) string {
	if s.Count() == 0 {
		return "none"
	}
	return fmt.Sprintf("%d: %s", s.Count(), s.Words())
}

func writeFinding(w io.Writer, f token.Finding) {
	where := shown(f.File)
	if f.File == "." {
		where = "the directory"
	}
	if f.Key != "" {
		where += ", key " + checkedKey(f.Label, f.Key)
	}
	if f.Value != "" {
		where += ", value " + shown(f.Value)
	}
	fmt.Fprintf(w, "\n%s: %s\n  %s\n  next: %s\n", strings.ToUpper(f.Severity.String()), where, graphic(f.What), graphic(f.Next))
}

// checkedKey names a key as other messages do.
func checkedKey(label, identity string) string {
	return hssKey{label: label, identity: identity}.name()
}

// graphic keeps a sentence from writing to the terminal: it may tell of names that come from elsewhere.
func graphic(sentence string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return unicode.ReplacementChar
		}
		return r
	}, sentence)
}

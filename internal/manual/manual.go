// Package manual writes the manual page of a program from its commands and flags, so that the page says what the program
// does. The program has it in a hidden command; `make build` calls that.
package manual

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Program is what a page tells beside the commands.
type Program struct {
	Section     int // of the manual
	Version     string
	Environment []Entry
	Files       []Entry
	SeeAlso     []string // such as "onceleaf(1)"
}

// Entry is a name and what it stands for.
type Entry struct{ Name, Text string }

// Command is the hidden command that writes the page of the program that it is added to.
func Command(p Program) *cobra.Command {
	return &cobra.Command{
		Use:    "man",
		Short:  "write this program's manual page (roff) to standard output",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(Page(cmd.Root(), p))
			return err
		},
	}
}

// Page is the manual page in roff. The paragraph of the program's description that begins with "Exit codes:" becomes a
// section of its own.
func Page(root *cobra.Command, p Program) []byte {
	root.InitDefaultHelpFlag()
	root.InitDefaultVersionFlag()
	w := &page{}
	description, exits := cutExits(describe(root))
	w.macro("TH", strings.ToUpper(root.Name()), fmt.Sprint(p.Section), "", "Onceleaf "+p.Version, "Onceleaf")
	w.macro("SH", "NAME")
	w.line(root.Name() + " - " + root.Short)
	w.macro("SH", "SYNOPSIS")
	w.synopsis(root)
	w.macro("SH", "DESCRIPTION")
	w.prose(description)
	w.options(root)
	if subcommands := available(root); len(subcommands) > 0 {
		w.macro("SH", "COMMANDS")
		w.commands(subcommands)
	}
	w.entries("ENVIRONMENT", p.Environment)
	w.entries("FILES", p.Files)
	if exits != "" {
		w.macro("SH", "EXIT STATUS")
		w.prose(exits)
	}
	w.macro("SH", "SEE ALSO")
	w.line(strings.Join(p.SeeAlso, ", "))
	return w.Bytes()
}

// describe is the long description, or the short one where there is no other.
func describe(c *cobra.Command) string {
	if c.Long != "" {
		return strings.TrimSpace(c.Long)
	}
	return c.Short + "."
}

// cutExits takes the exit codes out of a description.
func cutExits(text string) (rest, exits string) {
	paragraphs := strings.Split(text, "\n\n")
	for i, paragraph := range paragraphs {
		if codes, found := strings.CutPrefix(paragraph, "Exit codes:\n"); found {
			return strings.Join(append(paragraphs[:i:i], paragraphs[i+1:]...), "\n\n"), codes
		}
	}
	return text, ""
}

// available are the commands that the help shows.
func available(c *cobra.Command) (shown []*cobra.Command) {
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			shown = append(shown, sub)
		}
	}
	return shown
}

// page is roff under way.
type page struct{ bytes.Buffer }

// macro writes a request with its arguments.
func (w *page) macro(name string, arguments ...string) {
	w.WriteString("." + name)
	for _, a := range arguments {
		w.WriteString(` "` + escape(a) + `"`)
	}
	w.WriteString("\n")
}

// line writes text as it is: a dot or a quote at its beginning would be a request.
func (w *page) line(text string) {
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		w.WriteString(`\&`)
	}
	w.WriteString(escape(text) + "\n")
}

// escape has every character printed as it is, so that it can be copied into a shell.
var escape = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `^`, `\(ha`, `~`, `\(ti`, `"`, `\(dq`, "\t", "    ").Replace

// prose writes paragraphs. Lines that are indented keep their shape.
func (w *page) prose(text string) {
	literal := false
	for line := range strings.SplitSeq(text, "\n") {
		indented := strings.HasPrefix(line, "  ") || strings.HasPrefix(line, "\t")
		if indented != literal && line != "" {
			w.macro(map[bool]string{true: "nf", false: "fi"}[indented])
			literal = indented
		}
		if line == "" {
			w.macro("PP")
			continue
		}
		w.line(line)
	}
	if literal {
		w.macro("fi")
	}
}

func (w *page) synopsis(root *cobra.Command) {
	if root.Runnable() {
		w.macro("B", root.UseLine())
		return
	}
	w.macro("B", root.Name()+" COMMAND [flags]")
}

// commands writes a section for each command that does something, and for those under it.
func (w *page) commands(all []*cobra.Command) {
	for _, c := range all {
		w.macro("SS", c.UseLine())
		w.prose(describe(c))
		if c.Example != "" {
			w.macro("PP")
			w.prose(strings.Trim(c.Example, "\n"))
		}
		w.flags(c.NonInheritedFlags())
		w.commands(available(c))
	}
}

// options are the flags of the program itself: those of every command, where it has commands.
func (w *page) options(root *cobra.Command) {
	w.macro("SH", "OPTIONS")
	w.flags(root.NonInheritedFlags())
}

func (w *page) flags(all *pflag.FlagSet) {
	all.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		w.entry(strings.TrimSpace(name+" "+value), usage+defaultOf(f))
	})
}

// defaultOf is the default value in brackets, as the help has it, if there is one.
func defaultOf(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "0", "0s", "false", "[]":
		return ""
	}
	return " (default " + f.DefValue + ")"
}

func (w *page) entries(section string, all []Entry) {
	if len(all) == 0 {
		return
	}
	w.macro("SH", section)
	for _, e := range all {
		w.entry(e.Name, e.Text)
	}
}

func (w *page) entry(name, text string) {
	w.macro("TP")
	w.macro("B", name)
	w.prose(text)
}

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every command and flag that the help shows is in the manual page.
func TestManIsWhole(t *testing.T) {
	var page bytes.Buffer
	if code := run([]string{"man"}, nil, &page, &page); code != exitDone {
		t.Fatalf("exit code %d: %s", code, page.String())
	}
	text, commands, flags := strings.ReplaceAll(page.String(), `\-`, "-"), 0, 0
	var look func(*cobra.Command)
	look = func(c *cobra.Command) {
		commands++
		if c.HasParent() && !strings.Contains(text, "\n.SS \""+c.CommandPath()) {
			t.Errorf("the page has no %s", c.CommandPath())
		}
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			flags++
			if !f.Hidden && !strings.Contains(text, "--"+f.Name) {
				t.Errorf("the page has no flag %s of %s", f.Name, c.CommandPath())
			}
		})
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				look(sub)
			}
		}
	}
	look((&invocation{}).root())
	if commands < 20 || flags < 20 {
		t.Errorf("only %d commands and %d flags were looked for", commands, flags)
	}
	if strings.Contains(text, "onceleaf man") {
		t.Error("the page shows the command that wrote it")
	}
}

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// Every flag that the help shows is in the manual page.
func TestManIsWhole(t *testing.T) {
	var page bytes.Buffer
	if code := run([]string{"man"}, &page, &page); code != exitDone {
		t.Fatalf("exit code %d: %s", code, page.String())
	}
	text := strings.ReplaceAll(page.String(), `\-`, "-")
	(&invocation{}).root().Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && !strings.Contains(text, "\n.B \"--"+f.Name) {
			t.Errorf("the page has no flag %s", f.Name)
		}
	})
	if !strings.HasPrefix(text, `.TH "ONCELEAFD" "8"`) || !strings.Contains(text, "\n.SH \"EXIT STATUS\"\n") {
		t.Errorf("the page says\n%s", text)
	}
}

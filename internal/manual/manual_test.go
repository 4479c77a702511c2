package manual

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// tool is a program with everything that a page can get wrong.
func tool() *cobra.Command {
	root := &cobra.Command{Use: "tool", Short: "do things", Version: "1", Long: `tool does \things\
.SH like this one
'and' this -- ` + "`now`" + ` "here".

Exit codes:
  0  done
  1  not done

The end.`}
	root.PersistentFlags().StringP("place", "p", "", "at `PLACE`\n.PP")
	root.PersistentFlags().String("secret", "", "")
	_ = root.PersistentFlags().MarkHidden("secret")
	quiet := &cobra.Command{Use: "quiet", Hidden: true, Run: func(*cobra.Command, []string) {}}
	outer := &cobra.Command{Use: "outer", Short: "hold others"}
	inner := &cobra.Command{Use: "inner FILE", Short: "go in", Example: "  tool outer inner a.b", Run: func(*cobra.Command, []string) {}}
	inner.Flags().Int("times", 3, "so many `N`")
	outer.AddCommand(inner)
	root.AddCommand(quiet, outer, Command(Program{Section: 1, SeeAlso: []string{"other(8)"}}))
	return root
}

// render shows the page as a reader sees it, and fails on any warning. Without man nothing is rendered.
func render(t *testing.T, page []byte) string {
	t.Helper()
	if _, err := exec.LookPath("man"); err != nil {
		t.Log("man is not here: the page was not rendered")
		return ""
	}
	path := filepath.Join(t.TempDir(), "tool.1")
	if err := os.WriteFile(path, page, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("man", "--warnings", "--local-file", path)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=200", "MANROFFOPT=-c", "MANPAGER=cat", "PAGER=cat", "TERM=dumb")
	var text, warnings bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &warnings
	if err := cmd.Run(); err != nil || warnings.Len() > 0 {
		t.Errorf("man: %v\n%s", err, warnings.String())
	}
	return text.String()
}

func TestPage(t *testing.T) {
	root := tool()
	var page bytes.Buffer
	root.SetOut(&page)
	root.SetArgs([]string{"man"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		".TH \"TOOL\" \"1\"", ".SH \"EXIT STATUS\"\n.nf\n  0  done\n  1  not done\n.fi\n", "\n\\&.SH like this one\n", "\n\\&.PP\n",
		".SS \"tool outer inner FILE [flags]\"", "\\-p, \\-\\-place PLACE", "so many N (default 3)", "tool outer inner a.b", "other(8)",
		"\\-\\-version", "\\-\\-help",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page has no %q", want)
		}
	}
	for _, hidden := range []string{"secret", "quiet", "tool man", "Exit codes"} {
		if strings.Contains(page.String(), hidden) {
			t.Errorf("the page has %q", hidden)
		}
	}
	if t.Failed() {
		t.Logf("%s", page.String())
	}
	if text := render(t, page.Bytes()); text != "" && !strings.Contains(text, "'and' this -- `now` \"here\".") {
		t.Errorf("it reads:\n%s", text)
	}
}

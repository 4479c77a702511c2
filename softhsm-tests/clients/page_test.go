package clients

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is a fenced block of the page: what its first line says of it, and its text.
type block struct{ language, file, text string }

// isFile says whether the page shows the block as a file.
func (b block) isFile() bool { return strings.Contains(b.file, ".") }

var fence = regexp.MustCompile("(?ms)^```(\\w+)[ ]*([\\w.]*)\n(.*?)^```$")

// section is the blocks below a heading of docs/clients.md, up to the next heading of any depth.
func section(t *testing.T, heading string) (blocks []block) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "clients.md"))
	must(t, err)
	_, text, found := strings.Cut(string(page), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("docs/clients.md has no section %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	for _, match := range fence.FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, block{match[1], match[2], match[3]})
	}
	if len(blocks) == 0 {
		t.Fatalf("section %q of docs/clients.md has no blocks", heading)
	}
	return blocks
}

// isScript says whether the block has commands for the library. The word "onceleaf" after the language leaves out
// SoftHSM, "forks" the embedded library.
func (b block) isScript() bool {
	switch {
	case b.language != "sh" || b.isFile():
		return false
	case b.file == "onceleaf":
		return ours
	case b.file == "forks":
		return front || !ours
	}
	return b.file == ""
}

// script joins the commands of a section.
func script(blocks []block) string {
	var commands strings.Builder
	for _, b := range blocks {
		if b.isScript() {
			commands.WriteString(b.text)
		}
	}
	return commands.String()
}

// Every section of the page is run by a test of this folder, and none of them twice.
func TestEverySectionIsRun(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "clients.md"))
	must(t, err)
	sources, err := filepath.Glob("*_test.go")
	must(t, err)
	var code strings.Builder
	for _, source := range sources {
		text, err := os.ReadFile(source)
		must(t, err)
		code.Write(text)
	}
	headings := regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(string(page), -1)
	if len(headings) < 10 {
		t.Errorf("docs/clients.md has %d sections only", len(headings))
	}
	for _, heading := range headings {
		if n := strings.Count(code.String(), `follow(t, "`+heading[1]+`"`); n != 1 && heading[1] != setUp {
			t.Errorf("section %q is run by %d tests, want one", heading[1], n)
		}
	}
}

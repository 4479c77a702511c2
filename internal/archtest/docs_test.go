package archtest

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// repository is its top folder, seen from this package.
const repository = "../.."

// evidence are the documents that claim something of the code, with the least number of tests that each must name.
// What is checked holds for every other document too.
var evidence = map[string]int{
	"README.md": 0, "docs/state.md": 0, "docs/operations.md": 5, "docs/rfc10033.md": 20, "docs/sp800-208.md": 10,
}

var (
	fenced   = regexp.MustCompile("(?ms)^```.*?^```")
	codeSpan = regexp.MustCompile("`([^`]+)`")
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ +(.*)$`)

	// A test is named as go test would find it, `folder.TestName`, or `TestName` alone.
	aboutTest = regexp.MustCompile(`\b(Test|Fuzz)[A-Z]`)
	testName  = regexp.MustCompile(`^(?:([a-z0-9][a-z0-9/-]*)[. ])?((?:Test|Fuzz)[A-Z]\w*)$`)
	testFunc  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)

	// A run of the models is named `docs/model/run NAME`; the script has a line for each.
	modelRun = regexp.MustCompile(`^docs/model/run ([a-z0-9-]+)$`)
	runLine  = regexp.MustCompile(`(?m)^\t([a-z0-9-]+) +[a-z]+ +(holds|reuse|reached) `)

	// What a program says, `msg="the whole text"` or `error="…a part…"`, and where it stands in JSON, `.keys[].status`.
	quotation = regexp.MustCompile(`^(?:msg|error|warning|next)="…?(.+?)…?"$`)
	jsonPath  = regexp.MustCompile(`^\.[a-zA-Z]+(\[\])?(\.[a-zA-Z]+(\[\])?)+$`)
)

// files reads all files of the repository with an ending, by their paths from the top folder.
func files(t *testing.T, ending string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(repository, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		short := filepath.ToSlash(strings.TrimPrefix(name, repository+"/"))
		if entry.IsDir() && (short == "build" || short == ".git") {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ending) {
			return nil
		}
		text, err := os.ReadFile(name)
		found[short] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// documents are all Markdown files; a document of evidence that is not there fails.
func documents(t *testing.T) map[string]string {
	t.Helper()
	found := files(t, ".md")
	for name := range evidence {
		if found[name] == "" {
			t.Fatalf("there is no %s", name)
		}
	}
	return found
}

// spans are the texts in backquotes outside of code blocks, each on one line.
func spans(text string) (all []string) {
	for paragraph := range strings.SplitSeq(fenced.ReplaceAllString(text, ""), "\n\n") {
		for _, match := range codeSpan.FindAllStringSubmatch(paragraph, -1) {
			all = append(all, strings.Join(strings.Fields(match[1]), " "))
		}
	}
	return all
}

// tests are the folders in which each test stands.
func tests(t *testing.T) map[string][]string {
	t.Helper()
	folders := map[string][]string{}
	for name, text := range files(t, "_test.go") {
		for _, match := range testFunc.FindAllStringSubmatch(text, -1) {
			folders[match[1]] = append(folders[match[1]], path.Dir(name))
		}
	}
	return folders
}

// TestDocumentsNameTests: a test that a document names exists.
func TestDocumentsNameTests(t *testing.T) {
	known := tests(t)
	for name, text := range documents(t) {
		named := 0
		for _, span := range spans(text) {
			if !aboutTest.MatchString(span) {
				continue
			}
			match := testName.FindStringSubmatch(span)
			if match == nil {
				t.Errorf("%s: write `%s` as `folder.TestName`", name, span)
				continue
			}
			named++
			folders := known[match[2]]
			if len(folders) == 0 || match[1] != "" && !slices.Contains(folders, match[1]) {
				t.Errorf("%s: there is no test `%s`", name, span)
			}
		}
		if named < evidence[name] {
			t.Errorf("%s names %d tests, at least %d were expected", name, named, evidence[name])
		}
	}
}

// TestDocumentsNameRuns: a run of the models that a document names is in the script.
func TestDocumentsNameRuns(t *testing.T) {
	script, err := os.ReadFile(filepath.Join(repository, "docs/model/run"))
	if err != nil {
		t.Fatal(err)
	}
	known, named := map[string]bool{}, 0
	for _, match := range runLine.FindAllStringSubmatch(string(script), -1) {
		known[match[1]] = true
	}
	for name, text := range documents(t) {
		for _, span := range spans(text) {
			if match := modelRun.FindStringSubmatch(span); match != nil {
				named++
				if !known[match[1]] {
					t.Errorf("%s: there is no run `%s`", name, span)
				}
			}
		}
	}
	if named == 0 {
		t.Error("no run of the models is named")
	}
}

// TestDocumentsLink: a relative link leads to a file of the repository, and to a heading of it if it names one.
func TestDocumentsLink(t *testing.T) {
	all, followed := documents(t), 0
	for name, text := range all {
		for _, match := range link.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			if strings.Contains(match[1], "://") || strings.HasPrefix(match[1], "mailto:") {
				continue
			}
			followed++
			file, part, _ := strings.Cut(match[1], "#")
			target := path.Join(path.Dir(name), file)
			if file == "" {
				target = name
			}
			if _, err := os.Stat(filepath.Join(repository, target)); err != nil || strings.HasPrefix(target, "..") {
				t.Errorf("%s: the link %s leads nowhere", name, match[1])
			} else if part != "" && !slices.Contains(anchors(all[target]), part) {
				t.Errorf("%s: the link %s names no heading", name, match[1])
			}
		}
	}
	if followed < 20 {
		t.Errorf("only %d links were followed", followed)
	}
}

// anchors are the names of a document's headings: lower case, without punctuation, blanks as hyphens.
func anchors(text string) (all []string) {
	drop := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, match := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		all = append(all, strings.ReplaceAll(drop.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-"))
	}
	return all
}

// TestDocumentsQuote: what a document says that our programs say, they can say. An operator searches for it.
func TestDocumentsQuote(t *testing.T) {
	source, checked := code(t), 0
	for name, text := range documents(t) {
		for _, span := range spans(text) {
			if match := quotation.FindStringSubmatch(span); match != nil {
				checked++
				if !strings.Contains(source, match[1]) {
					t.Errorf("%s: no code says `%s`", name, span)
				}
			}
			if !jsonPath.MatchString(span) {
				continue
			}
			for field := range strings.SplitSeq(strings.ReplaceAll(span[1:], "[]", ""), ".") {
				checked++
				if !strings.Contains(source, `json:"`+field+`"`) && !strings.Contains(source, `json:"`+field+`,`) {
					t.Errorf("%s: nothing has the JSON field %s of `%s`", name, field, span)
				}
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d quotations were checked", checked)
	}
}

// code is the text of all code that is shipped.
func code(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for name, text := range files(t, ".go") {
		if !strings.HasSuffix(name, "_test.go") {
			all.WriteString(text)
		}
	}
	return all.String()
}

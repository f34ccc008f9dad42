package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// texts returns the paths of all documents, also those at the root, seen from this folder.
func texts(t *testing.T) []string {
	t.Helper()
	root, err := filepath.Glob("../*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(root, documents(t)...)
}

// A block is what a document has between two lines of three backticks.
type block struct{ lang, text string }

// split returns a document's blocks and the lines outside of them. Lines inside are "" in prose, so that its indices
// are those of the document.
func split(t *testing.T, document string) (blocks []block, prose []string) {
	t.Helper()
	inside := false
	for _, line := range lines(t, document) {
		lang, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && !inside:
			blocks = append(blocks, block{lang: lang})
		case inside && !fence:
			blocks[len(blocks)-1].text += line + "\n"
		}
		if fence || inside {
			prose = append(prose, "")
		} else {
			prose = append(prose, line)
		}
		inside = inside != fence
	}
	if inside {
		t.Fatalf("%s: a block has no end", document)
	}
	return blocks, prose
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`^#+ (.+)$`)
)

// anchors returns the fragments by which a document's headings are linked to on GitHub.
func anchors(t *testing.T, document string) (all []string) {
	t.Helper()
	_, prose := split(t, document)
	for _, line := range prose {
		if h := heading.FindStringSubmatch(line); h != nil {
			all = append(all, strings.Map(func(r rune) rune {
				switch {
				case r == ' ':
					return '-'
				case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
					return unicode.ToLower(r)
				}
				return -1
			}, h[1]))
		}
	}
	return all
}

// Every link to a file of the repository, or to a heading in it, leads somewhere.
func TestLinksLeadSomewhere(t *testing.T) {
	links := 0
	for _, document := range texts(t) {
		_, prose := split(t, document)
		for i, line := range prose {
			for _, l := range link.FindAllStringSubmatch(line, -1) {
				if strings.Contains(l[1], "://") || strings.HasPrefix(l[1], "mailto:") {
					continue
				}
				links++
				path, fragment, _ := strings.Cut(l[1], "#")
				target := document
				if path != "" {
					target = filepath.Join(filepath.Dir(document), path)
				}
				if _, err := os.Stat(target); err != nil {
					t.Errorf("%s:%d: there is no %s", document, i+1, path)
				} else if fragment != "" && !slices.Contains(anchors(t, target), fragment) {
					t.Errorf("%s:%d: %s has no heading #%s", document, i+1, target, fragment)
				}
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links: the test does not find them", links)
	}
}

// Lines have at most 120 columns, outside of blocks and tables.
func TestLinesAreShort(t *testing.T) {
	for _, document := range texts(t) {
		_, prose := split(t, document)
		for i, line := range prose {
			if n := utf8.RuneCountInString(line); n > 120 && !strings.HasPrefix(line, "|") {
				t.Errorf("%s:%d has %d columns", document, i+1, n)
			}
		}
	}
}

// translated are the documents that exist in English and in Russian.
var translated = map[string]string{"../README.md": "../README.ru.md", "one-box.md": "one-box.ru.md", "moving.md": "moving.ru.md"}

// The Russian of a document links to all that the English links to, and in the same order; a link to a translated
// document leads to its translation.
func TestLanguagesLinkTheSame(t *testing.T) {
	targets := func(document string) (all []string) {
		_, prose := split(t, document)
		for _, l := range link.FindAllStringSubmatch(strings.Join(prose, "\n"), -1) {
			path, _, _ := strings.Cut(l[1], "#")
			if en := strings.Replace(path, ".ru.md", ".md", 1); translated[en] != "" || translated["../"+en] != "" ||
				translated[strings.TrimPrefix(en, "docs/")] != "" {
				path = en
			}
			all = append(all, path)
		}
		return all
	}
	for en, ru := range translated {
		missing := targets(en)
		for _, l := range targets(ru) {
			if i := slices.Index(missing, l); i >= 0 {
				missing = slices.Delete(missing, i, i+1)
			} else {
				t.Errorf("%s has a link to %s more than %s", ru, l, en)
			}
		}
		if len(missing) > 0 {
			t.Errorf("%s has no links to %q, which %s has", ru, missing, en)
		}
	}
}

// What is to be copied is the same in both languages: only comments, and texts that a user reads, may differ.
func TestLanguagesCopyTheSame(t *testing.T) {
	comment := regexp.MustCompile(`(?m)(^\s*| +)(#|//) .*$`)
	shown := regexp.MustCompile(`'(Hi|Привет)'|"(It works|Работает)"`)
	bare := func(document string) (all []block) {
		blocks, _ := split(t, document)
		for _, b := range blocks {
			if b.lang == "" { // a picture
				continue
			}
			text := shown.ReplaceAllString(comment.ReplaceAllString(b.text, ""), "TEXT")
			all = append(all, block{b.lang, text})
		}
		return all
	}
	for en, ru := range translated {
		of, other := bare(en), bare(ru)
		if len(of) != len(other) {
			t.Errorf("%s has %d blocks, %s has %d", en, len(of), ru, len(other))
			continue
		}
		for i := range of {
			if of[i] != other[i] {
				t.Errorf("%s and %s differ:\n%s\n%s", en, ru, of[i], other[i])
			}
		}
	}
}

// The example for Vite is the one that test/browser builds and runs.
func TestViteExampleIsTested(t *testing.T) {
	blocks, _ := split(t, "examples.md")
	for _, file := range []string{"src/push.js", "src/main.js"} {
		tested := strings.Join(lines(t, "../test/browser/examples/vite/"+file), "\n")
		if !slices.Contains(blocks, block{"js", "// " + file + "\n" + tested}) {
			t.Errorf("examples.md does not have %s as test/browser/examples/vite has it:\n%s", file, tested)
		}
	}
}

// said returns all texts that the product may say: its Go files without tests, with strings that are added up in one
// piece, and its page with its script.
func said(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, root := range []string{"../clients", "../embedded", "../gateway", "../ingest", "../internal", "../Makefile"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			product := strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, ".html") ||
				strings.HasSuffix(path, ".js") && !strings.Contains(path, "/dist/") || strings.HasSuffix(path, "Makefile")
			if err != nil || entry.IsDir() || !product {
				return err
			}
			text, err := os.ReadFile(path)
			all.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	added := regexp.MustCompile("\"\\s*\\+\\s*\"|`\\s*\\+\\s*`")
	return strings.ReplaceAll(added.ReplaceAllString(all.String(), ""), `\"`, `"`)
}

// What troubleshooting.md says that the product shows, in "quotes", the product says. Its metrics are in operations.md.
func TestTroubleshootingQuotes(t *testing.T) {
	product, manual := said(t), strings.Join(lines(t, "operations.md"), "\n")
	metric := regexp.MustCompile("`(doit_[a-z_]+)")
	quote := regexp.MustCompile(`"([^"]+)"`)
	_, prose := split(t, "troubleshooting.md")
	quotes := 0
	for _, m := range metric.FindAllStringSubmatch(strings.Join(prose, "\n"), -1) {
		if !strings.Contains(manual, m[1]) {
			t.Errorf("operations.md has no %s", m[1])
		}
	}
	items := regexp.MustCompile(`(?m)^ *\* Shown by: (?:.+\n)(?: +[^ *].*\n)*`).FindAllString(strings.Join(prose, "\n")+"\n", -1)
	for _, item := range items {
		item = strings.Join(strings.Fields(item), " ")
		for _, q := range quote.FindAllStringSubmatch(regexp.MustCompile("`[^`]*`").ReplaceAllString(item, ""), -1) {
			if quotes++; !strings.Contains(product, q[1]) {
				t.Errorf("the product does not say %q", q[1])
			}
		}
	}
	if len(items) < 10 || quotes < 5 {
		t.Errorf("%d items with %d quotes: the test does not find them", len(items), quotes)
	}
}

// The documents and the Makefile name the version of Go that go.mod asks for.
func TestGoVersionIsNamed(t *testing.T) {
	wanted := regexp.MustCompile(`(?m)^go ((\d+\.\d+)\.\d+)$`).FindStringSubmatch(strings.Join(lines(t, "../go.mod"), "\n"))
	for file, text := range map[string]string{
		"../README.md":       "Go " + wanted[2],
		"../README.ru.md":    "Go " + wanted[2],
		"../CONTRIBUTING.md": "Go " + wanted[2],
		"../Makefile":        fmt.Sprintf("Go %s", wanted[2]),
		"troubleshooting.md": fmt.Sprintf("go%s.linux-amd64.tar.gz", wanted[1]),
	} {
		if !strings.Contains(strings.Join(lines(t, file), "\n"), text) {
			t.Errorf("%s does not name %s", file, text)
		}
	}
}

// Package docs holds the documents and a test that the files, functions and tests that they name exist.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// roots are the folders, relative to this one, that a path in a document may be relative to.
var roots = []string{"..", "../gateway", "../ingest", "../internal", "../embedded"}

// find returns the path of a file of the product, "" if there is none. A name without a folder is first looked up in the
// folder of before, the file named before it.
func find(path, before string) string {
	if !strings.Contains(path, "/") && before != "" {
		path = filepath.Join(filepath.Dir(before), path)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	for _, root := range roots {
		file := filepath.Join(root, path)
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	return ""
}

// declared returns the names of a file's functions, methods, types, variables and constants.
func declared(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range parsed.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names = append(names, d.Name.Name)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names = append(names, spec.Name.Name)
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

// documents returns the paths of all documents, seen from this folder.
func documents(t *testing.T) (all []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "decisions/*.md"} {
		some, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, some...)
	}
	return all
}

func lines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}

var (
	goFile = regexp.MustCompile("`([A-Za-z0-9_/]+\\.go)`")
	test   = regexp.MustCompile(`\b(Test|Fuzz|Benchmark)[A-Z]\w+`)
	// step is a file followed by names that it declares: `eio/session.go` Send, Flush
	step = regexp.MustCompile("`([A-Za-z0-9_/]+\\.go)`((?:,? (?:[A-Z]\\w+\\.)?\\w+)+)?")
	word = regexp.MustCompile(`\w+`)
)

// Every Go file that a document names exists.
func TestFilesExist(t *testing.T) {
	for _, document := range documents(t) {
		before := ""
		for i, line := range lines(t, document) {
			for _, named := range goFile.FindAllStringSubmatch(line, -1) {
				file := find(named[1], before)
				if file == "" {
					t.Errorf("%s:%d: there is no %s", document, i+1, named[1])
					continue
				}
				before = file
			}
		}
	}
}

// Every function that a table of architecture.md, or a line "Where:" of attacks.md, names is declared in the file named
// with it.
func TestStepsExist(t *testing.T) {
	steps := 0
	for _, document := range []string{"architecture.md", "attacks.md"} {
		before := ""
		for i, line := range lines(t, document) {
			if !strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "  * Where: ") {
				continue
			}
			for _, named := range step.FindAllStringSubmatch(line, -1) {
				file := find(named[1], before)
				if file == "" {
					continue // TestFilesExist reports it
				}
				before = file
				names := declared(t, file)
				for _, name := range word.FindAllString(named[2], -1) {
					if steps++; !slices.Contains(names, name) {
						t.Errorf("%s:%d: %s does not declare %s", document, i+1, named[1], name)
					}
				}
			}
		}
	}
	if steps < 50 {
		t.Errorf("the documents name only %d steps: the test does not find them", steps)
	}
}

// Every test that a document names exists.
func TestTestsExist(t *testing.T) {
	known := make(map[string]bool)
	err := filepath.WalkDir("..", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, name := range declared(t, path) {
			known[name] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range documents(t) {
		for i, line := range lines(t, document) {
			for _, name := range test.FindAllString(line, -1) {
				if !known[name] {
					t.Errorf("%s:%d: there is no %s", document, i+1, name)
				}
			}
		}
	}
}

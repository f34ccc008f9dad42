//go:build programs

package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A document is the blocks of a file of docs, or of README: what users copy.
type document struct {
	t      *testing.T
	name   string
	blocks []string
}

func read(t *testing.T, name string) document {
	t.Helper()
	text, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	d := document{t: t, name: name}
	for i, part := range strings.Split("\n"+string(text), "\n```") {
		if i%2 == 1 { // behind the opening fence
			_, body, _ := strings.Cut(part, "\n")
			d.blocks = append(d.blocks, body+"\n")
		}
	}
	return d
}

// with returns the first block that has all of these texts.
func (d document) with(has ...string) string {
	d.t.Helper()
	i := slices.IndexFunc(d.blocks, func(block string) bool {
		return !slices.ContainsFunc(has, func(text string) bool { return !strings.Contains(block, text) })
	})
	if i < 0 {
		d.t.Fatalf("%s has no block with %q", d.name, has)
	}
	return d.blocks[i]
}

// exchange replaces texts, each of which must be there: old, new, old, new.
func exchange(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("there is no %q in\n%s", pairs[i], text)
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// save writes a file of the test.
func save(t *testing.T, text string, path ...string) string {
	t.Helper()
	file := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// Every variable that a file sets is one that a program knows: a misspelled one would say nothing.
func TestVariablesAreKnown(t *testing.T) {
	known := ""
	for _, program := range []string{"embedded", "gateway", "ingest"} {
		help, err := exec.Command(filepath.Join(binaries, program), "--help").Output()
		if err != nil {
			t.Fatal(err)
		}
		known += string(help)
	}
	files, err := filepath.Glob("../../deploy/*/*")
	if err != nil {
		t.Fatal(err)
	}
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	files = append(append(files, documents...), "../../docker-compose.yml", "../../README.md", "../../README.ru.md")
	named := regexp.MustCompile(`\bDOIT_[A-Z_]+[A-Z]\b`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, variable := range named.FindAllString(string(text), -1) {
			if !regexp.MustCompile(`\$` + variable + `\b`).MatchString(known) {
				t.Errorf("%s: no program knows %s", file, variable)
			}
		}
	}
}

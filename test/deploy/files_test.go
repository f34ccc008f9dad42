package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
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

// The programs accept the variables of each file as they are there, those that are commented out included. The only
// fault that is found is the one that the test adds, in what is checked last.
func TestVariablesAreAccepted(t *testing.T) {
	read := func(file, from, to string) string {
		text, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		_, part, _ := strings.Cut(string(text), from)
		part, _, _ = strings.Cut(part, to)
		return part
	}
	set := regexp.MustCompile(`(?m)^ *(?:# |- \{name: )?(DOIT_[A-Z_]+)(?:, value)?: "?([^"}\n]*)"?\}?$`)
	for _, c := range []struct{ program, variables, fault, want string }{
		{"gateway", read("docker-compose.yml", "x-gateway:", "services:"), "--drain=-1s", "--drain is"},
		{"gateway", read("deploy/k8s/gateway.yaml", "env:", "ports:"), "--drain=-1s", "--drain is"},
		{"ingest", read("docker-compose.yml", "x-ingest:", "x-gateway:"), "--max-body=0", "--max-body is"},
		{"ingest", read("deploy/k8s/ingest.yaml", "env:", "ports:"), "--max-body=0", "--max-body is"},
	} {
		cmd := exec.Command(filepath.Join(binaries, c.program), c.fault)
		cmd.Env = []string{"DOIT_NATS_PASSWORD=of a secret"}
		for _, m := range set.FindAllStringSubmatch(c.variables, -1) {
			cmd.Env = append(cmd.Env, m[1]+"="+m[2])
		}
		out, err := cmd.CombinedOutput()
		if len(cmd.Env) < 5 || err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s with %q: %s", c.program, cmd.Env, out)
		}
	}
}

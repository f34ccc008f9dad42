//go:build programs

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A Go that is too old is said in one line, before anything is fetched or built.
func TestOldGoIsSaid(t *testing.T) {
	for version, old := range map[string]bool{
		"go version go1.19.8 linux/amd64": true, "go version go1.25.4 linux/amd64": true, "go: no such toolchain": true,
		"go version go1.26.0 linux/amd64": false, "go version go1.30.1 linux/amd64": false, "go version devel go1.27-2fe4a7e linux/amd64": false,
	} {
		dir := t.TempDir()
		pretend(t, dir, "go", "echo '"+version+"'")
		make := exec.Command("make", "--no-print-directory", "-C", "../..", "go")
		make.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "MAKEFLAGS=", "MAKELEVEL=") // the tests may be run by make
		out, err := make.CombinedOutput()
		said := strings.Split(strings.TrimSpace(string(out)), "\n")
		if (err != nil) != old {
			t.Errorf("%s: %v\n%s", version, err, out)
		} else if old && (len(said) != 2 || !strings.Contains(said[0], "1.26") || !strings.Contains(said[0], version) || !strings.HasPrefix(said[1], "make: ")) {
			t.Errorf("%s:\n%s", version, out)
		}
	}
	for _, target := range []string{"run", "build", "test", "check"} {
		plan, err := exec.Command("make", "--no-print-directory", "-C", "../..", "--dry-run", target).CombinedOutput()
		first, _, _ := strings.Cut(string(plan), "\n")
		if err != nil || !strings.Contains(first, "go version") {
			t.Errorf("make %s does not look at the version of Go before all else: %v\n%.500s", target, err, plan)
		}
	}
}

// What would be installed is said before it is, and `make needs` only says it.
func TestNeedsAreSaid(t *testing.T) {
	dir := t.TempDir()
	pretend(t, dir, "apt-get", `echo "apt-get $1"`)
	pretend(t, dir, "id", "echo ${AS:-0}")
	for _, c := range []struct {
		env, need, want string
		fails           bool
	}{
		{"NEEDS=list", "no-such-program:its-package", "Missing Debian packages: its-package\n", false},
		{"NEEDS=list", "sh:dash", "Nothing is missing.\n", false},
		{"NEEDS=", "sh:dash", "", false},
		{"NEEDS=", "no-such-program:its-package", "Installing Debian packages that this target needs, with apt-get: its-package\napt-get update\n", false},
		{"AS=1000", "no-such-program:its-package", "Debian packages that this target needs are missing: its-package. " +
			"Install them, or run make as root on Debian: it installs them.\n", true},
	} {
		needs := exec.Command("../needs.sh", c.need)
		needs.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), c.env)
		out, err := needs.CombinedOutput()
		if string(out) != c.want || (err != nil) != c.fails {
			t.Errorf("%s %s: %v\n%s", c.env, c.need, err, out)
		}
	}
}

// pretend makes a program of a folder that runs a line of shell.
func pretend(t *testing.T, dir, name, does string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+does+"\n"), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
}

package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// usage runs a program that ends by itself.
func usage(t *testing.T, name string, args ...string) (output string, exit int) {
	t.Helper()
	out, err := exec.Command(filepath.Join(binaries, name), args...).CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	if failed != nil {
		exit = failed.ExitCode()
	}
	return string(out), exit
}

// Every flag is in --help with its variable, and in the manual.
func TestFlagsAreDocumented(t *testing.T) {
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"embedded", "gateway", "ingest"} {
		help, exit := usage(t, name, "--help")
		if exit != 0 {
			t.Errorf("%s --help: exit code %d", name, exit)
		}
		flags := regexp.MustCompile(`(?m)^ +(?:-h, )?--([a-z-]+)`).FindAllStringSubmatch(help, -1)
		if len(flags) < 10 {
			t.Fatalf("%s --help has %d flags:\n%s", name, len(flags), help)
		}
		for _, m := range flags {
			if !strings.Contains(string(manual), "`--"+m[1]+"`") {
				t.Errorf("%s: --%s is not in docs/operations.md", name, m[1])
			}
			variable := "$DOIT_" + strings.ToUpper(strings.ReplaceAll(m[1], "-", "_"))
			asks := m[1] == "help" || m[1] == "version" || m[1] == "healthcheck"
			if !asks && !strings.Contains(help, variable) {
				t.Errorf("%s: --%s has no variable %s", name, m[1], variable)
			}
		}
	}
}

// What is wrong on the command line is said in a line that names it, with exit code 2.
func TestBadUsage(t *testing.T) {
	for want, args := range map[string][]string{
		"--nats-url":       {"gateway"},
		"--no-such-flag":   {"ingest", "--no-such-flag"},
		"DOIT_OPEN=1":      {"embedded", "--listen", "0.0.0.0:0"},
		"--drain is":       {"embedded", "--drain=-1s"},
		"--cluster-secret": {"embedded", "--cluster-listen", "127.0.0.1:0"},
		"--max-body is":    {"ingest", "--nats-url", "nats://127.0.0.1:4222", "--max-body", "9999999"},
	} {
		out, exit := usage(t, args[0], args[1:]...)
		if exit != 2 || !strings.Contains(out, want) || strings.Count(strings.TrimSpace(out), "\n") > 0 {
			t.Errorf("%v: exit code %d, %q, want %q", args, exit, out, want)
		}
	}
	if out, exit := usage(t, "embedded", "--version"); exit != 0 || strings.TrimSpace(out) == "" {
		t.Errorf("--version: exit code %d, %q", exit, out)
	}
}

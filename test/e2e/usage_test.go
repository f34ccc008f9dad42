package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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
		flags := regexp.MustCompile(`(?m)^ +(?:-[hv], )?--([a-z-]+)`).FindAllStringSubmatch(help, -1)
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
		"--nats-url is missing": {"gateway"},
		"--no-such-flag":        {"ingest", "--no-such-flag"},
		"DOIT_OPEN=1":           {"embedded", "--listen", "0.0.0.0:0"},
		"DOIT_ADMIN_OPEN=1":     {"ingest", "--nats-url", "nats://127.0.0.1:4222", "--admin-listen", "0.0.0.0:0"},
		"may register it":       {"gateway", "--nats-url", "nats://127.0.0.1:4222", "--listen", "0.0.0.0:0"},
		"may emit to it":        {"ingest", "--nats-url", "nats://127.0.0.1:4222", "--listen", "0.0.0.0:0"},
		"--drain is":            {"embedded", "--drain=-1s"},
		"--cluster-secret":      {"embedded", "--cluster-listen", "127.0.0.1:0"},
		"--cluster-routes":      {"embedded", "--cluster-listen", "127.0.0.1:0", "--cluster-secret", "a secret of enough characters", "--cluster-routes", "10.0.0.1"},
		"--max-body is":         {"ingest", "--nats-url", "nats://127.0.0.1:4222", "--max-body", "9999999"},
	} {
		out, exit := usage(t, args[0], args[1:]...)
		if exit != 2 || !strings.Contains(out, want) || strings.Count(strings.TrimSpace(out), "\n") > 0 {
			t.Errorf("%v: exit code %d, %q, want %q", args, exit, out, want)
		}
	}
}

// --version has the name that the program has where it is installed.
func TestVersionNamesTheProgram(t *testing.T) {
	for program, name := range map[string]string{"embedded": "doit-socket", "gateway": "doit-socket-gateway", "ingest": "doit-socket-ingest"} {
		for _, flag := range []string{"--version", "-v"} {
			if out, exit := usage(t, program, flag); exit != 0 || !regexp.MustCompile(`^`+name+` \S+\n$`).MatchString(out) {
				t.Errorf("%s %s: exit code %d, %q", program, flag, exit, out)
			}
		}
	}
}

// `go install` of the module's root makes a program with the product's name.
func TestInstallName(t *testing.T) {
	list := exec.Command("go", "list", "-f", "{{.Name}} {{.Target}}", "github.com/ramainen/doit-socket")
	list.Env = append(os.Environ(), "GOBIN=/bin-of-the-test")
	out, err := list.Output()
	if got := strings.TrimSpace(string(out)); err != nil || got != "main /bin-of-the-test/doit-socket" {
		t.Errorf("%q, %v", got, err)
	}
}

// A program ignores the variables of the others: one file of variables may serve them all.
func TestVariablesOfAllPrograms(t *testing.T) {
	read := map[string][]string{}
	var all []string
	for _, name := range []string{"embedded", "gateway", "ingest"} {
		help, _ := usage(t, name, "--help")
		for _, m := range regexp.MustCompile(`\$(DOIT_[A-Z_]+)`).FindAllStringSubmatch(help, -1) {
			read[name] = append(read[name], m[1])
		}
		all = append(all, read[name]...)
	}
	if len(all) < 90 {
		t.Fatalf("the programs have only %d variables", len(all))
	}
	for name, args := range map[string][]string{"embedded": nil, "gateway": {"--nats-url", "nats://127.0.0.1:1"}, "ingest": {"--nats-url", "nats://127.0.0.1:1"}} {
		t.Run(name, func(t *testing.T) {
			for _, variable := range all {
				if !slices.Contains(read[name], variable) {
					t.Setenv(variable, "x")
				}
			}
			if log := start(t, name, args...).Log(); strings.Contains(log, "the environment has") {
				t.Errorf("a variable of another program is not in programVariables (internal/daemon/environment.go):\n%s", log)
			}
		})
	}
}

//go:build programs

package e2e

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// The PHP of the greeting, as it is printed: the id is made, and the event arrives at it.
func TestGreetingInPHP(t *testing.T) {
	server := start(t, "embedded")
	natstest.Await(t, "the greeting", func() bool { return strings.Contains(server.Log(), "try it") })
	greeting := strings.ReplaceAll(server.Log(), "(PHP)", "     ")
	part := func(label string) string {
		m := regexp.MustCompile(`(?s)\n  ` + label + ` +(.*?)\n\n`).FindStringSubmatch(greeting + "\n\n")
		if m == nil {
			t.Fatalf("no %q in\n%s", label, greeting)
		}
		return m[1]
	}
	php := func(code string) string {
		t.Helper()
		out, err := exec.Command("php", "-d", "display_errors=stderr", "-d", "error_reporting=-1", "-d", "session.save_path="+t.TempDir(), "-r", code).CombinedOutput()
		if err != nil {
			t.Fatalf("php: %v\n%s\n%s", err, out, code)
		}
		return string(out)
	}
	id := php(part("a user's id") + "\necho $userid;")
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(id) {
		t.Fatalf("the id is %q", id)
	}
	page := siotest.Dial(t, server.URL, siotest.Options{})
	page.Register(id)
	if answer := php("$userid = '" + id + "';" + part("in PHP")); answer != "OK" {
		t.Errorf("PHP printed %q", answer)
	}
	page.Expect("hello", map[string]any{"text": "Hi"})
}

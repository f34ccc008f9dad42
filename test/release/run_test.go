//go:build release

package release

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// works starts a program and checks that it says its version, serves the script itself, and carries an event.
func works(t *testing.T, program string) {
	t.Helper()
	if said, err := exec.Command(program, "--version").Output(); err != nil || !strings.Contains(string(said), version) {
		t.Errorf("--version says %q, %v", said, err)
	}
	p := siotest.Start(t, program, "--drain", "100ms")
	// A program without the script redirects to the CDN.
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(p.URL + "/socket.io/socket.io.js")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the script is answered %d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	page := siotest.Dial(t, p.URL, siotest.Options{})
	page.Register("visitor-of-the-test")
	siotest.MustPost(t, p.URL, "visitor-of-the-test", "hello", `{"text":"Hi"}`)
	page.Expect("hello", map[string]any{"text": "Hi"})
}

// The archive of this machine is unpacked and its program run, as the documents say, and nothing else.
func TestReleaseRuns(t *testing.T) {
	dir := t.TempDir()
	archive := "doit-socket_" + runtime.GOOS + "_" + runtime.GOARCH + ".tar.gz"
	must(t, "tar", "-xzf", filepath.Join(made, strings.Replace(archive, "darwin", "macos", 1)), "-C", dir)
	works(t, filepath.Join(dir, "doit-socket/doit-socket"))
}

// must runs a command and returns what it says.
func must(t *testing.T, command ...string) string {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, said)
	}
	return string(said)
}

const (
	unit     = "/usr/lib/systemd/system/doit-socket.service"
	enabled  = "/etc/systemd/system/multi-user.target.wants/doit-socket.service"
	settings = "/etc/doit-socket.env"
)

// traces returns the files of this machine that have the name of the package.
func traces(t *testing.T) []string {
	t.Helper()
	found := strings.Fields(must(t, "find", "/etc", "/usr", "/var", "/run", "/opt", "/srv", "-xdev", "-name", "*doit-socket*"))
	return slices.DeleteFunc(found, func(path string) bool { return strings.Contains(path, "/doit-socket-test-") })
}

// The Debian package is installed: the unit is what systemd takes, it is enabled, the program works. An upgrade keeps
// settings, and what the administrator has disabled stays so. Once it is purged, nothing is left.
func TestReleaseDebianPackage(t *testing.T) {
	if _, err := exec.LookPath("dpkg"); err != nil || os.Geteuid() != 0 {
		t.Fatal("this test installs the Debian package: run it as root on Debian")
	}
	if installed, _ := exec.Command("dpkg-query", "--show", "doit-socket").Output(); len(installed) > 0 {
		t.Fatal("doit-socket is installed here, and this test would purge it with its settings: run it on another machine, or remove the package first")
	}
	before := traces(t)
	deb := filepath.Join(made, "doit-socket_"+strings.TrimSpace(must(t, "dpkg", "--print-architecture"))+".deb")
	if got := strings.TrimSpace(must(t, "dpkg-deb", "--field", deb, "Version")); got != strings.Replace(version[1:], "-", "~", 1) {
		t.Errorf("the version is %s", got) // with ~, a candidate is older than its release
	}
	t.Cleanup(func() { _ = exec.Command("dpkg", "--purge", "doit-socket").Run() })
	must(t, "dpkg", "--install", deb)

	if said := must(t, "systemd-analyze", "verify", "--man=no", unit); said != "" {
		t.Errorf("systemd-analyze verify: %s", said)
	}
	if said := must(t, "dpkg", "--verify", "doit-socket"); said != "" {
		t.Errorf("dpkg --verify: %s", said)
	}
	text := string(read(t, unit))
	if !strings.Contains(text, "\nExecStart=/usr/bin/doit-socket\n") || !strings.Contains(text, "\nEnvironmentFile=-"+settings+"\n") {
		t.Errorf("the unit is\n%s", text)
	}
	if target, err := os.Readlink(enabled); err != nil || filepath.Base(target) != "doit-socket.service" {
		t.Errorf("the unit is not enabled: %s %v", target, err)
	}
	for path, mode := range map[string]os.FileMode{"/usr/bin/doit-socket": 0o755, unit: 0o644, settings: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v %v, want %v", path, info.Mode(), err, mode)
		}
	}
	copyright := string(read(t, "/usr/share/doc/doit-socket/copyright"))
	for _, file := range []string{"../../LICENSE", "../../NOTICE"} {
		if !strings.Contains(copyright, string(read(t, file))) {
			t.Errorf("copyright lacks %s", file)
		}
	}
	works(t, "/usr/bin/doit-socket")

	changed := "DOIT_LISTEN=127.0.0.1:8337\n"
	if err := os.WriteFile(settings, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "systemctl", "disable", "doit-socket.service")
	must(t, "dpkg", "--install", deb)
	if got := string(read(t, settings)); got != changed {
		t.Errorf("after an upgrade the settings are %q", got)
	}
	if _, err := os.Lstat(enabled); err == nil {
		t.Error("an upgrade enables what the administrator has disabled")
	}
	must(t, "systemctl", "enable", "doit-socket.service")

	must(t, "dpkg", "--remove", "doit-socket")
	if got := string(read(t, settings)); got != changed {
		t.Errorf("after a removal, which is no purge, the settings are %q", got)
	}
	must(t, "dpkg", "--purge", "doit-socket")
	if after := traces(t); !slices.Equal(after, before) {
		t.Errorf("a purge leaves files: before %v, after %v", before, after)
	}
}

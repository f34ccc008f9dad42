// Package e2e runs the programs as their users do: as processes, with real
// sockets, real PHP and a real nats-server.
package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// binaries is where TestMain builds the programs, with the race detector.
var binaries string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if binaries, err = os.MkdirTemp("", "doit-socket-e2e-"); err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(binaries) }()
		build := exec.Command("go", "build", "-race", "-o", binaries+"/", "../../embedded", "../../gateway", "../../ingest")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
			return 1
		}
		return m.Run()
	}())
}

// A program is one that runs.
type program struct {
	t   testing.TB
	cmd *exec.Cmd
	url string // of its public listener
	out strings.Builder
	end chan error
}

// start starts embedded, gateway or ingest and waits until it listens. It is
// ended with the test.
func start(t testing.TB, name string, args ...string) *program {
	t.Helper()
	if !strings.Contains(strings.Join(args, " "), "--listen") {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	args = append(args, "--admin-listen", "127.0.0.1:0")
	p := &program{t: t, cmd: exec.Command(filepath.Join(binaries, name), args...), end: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), "DOIT_DRAIN=100ms") // a flag wins
	p.cmd.Stderr = &p.out
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listens := regexp.MustCompile(`listens on (http://\S+)`)
	urls := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if m := listens.FindStringSubmatch(lines.Text()); m != nil {
				urls <- m[1]
			}
		}
		p.end <- p.cmd.Wait()
	}()
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, p.out.String())
		}
		if strings.Contains(p.out.String(), "DATA RACE") {
			t.Errorf("%s: %s", name, p.out.String())
		}
	})
	select {
	case p.url = <-urls:
	case err := <-p.end:
		t.Fatalf("%s ended: %v\n%s", name, err, p.out.String())
	case <-time.After(siotest.Patience):
		t.Fatalf("%s does not listen\n%s", name, p.out.String())
	}
	return p
}

// stop ends the program as an operator does and returns what is wrong with how it ended.
func (p *program) stop() error {
	if p.end == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.end:
		p.end = nil
		return err
	case <-time.After(2 * siotest.Patience):
		_ = p.cmd.Process.Kill()
		return fmt.Errorf("does not stop")
	}
}

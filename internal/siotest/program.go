package siotest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Program is one of ours that runs as a process of its own.
type Program struct {
	URL   string // of its public listener
	Admin string // of its private listener

	name string
	cmd  *exec.Cmd
	end  chan struct{} // closed when it has ended
	err  error         // how it ended

	mu  sync.Mutex
	log strings.Builder // guarded by mu
}

var (
	publicURL  = regexp.MustCompile(`listens on (http://\S+)`)
	privateURL = regexp.MustCompile(`"private listener" url=(http://\S+)`)
)

// Start starts a program of ours on free ports of 127.0.0.1 and waits until it
// listens. It is stopped with the test, which fails if it does not end well,
// or the race detector has spoken.
func Start(t testing.TB, path string, args ...string) *Program {
	t.Helper()
	args = append([]string{"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, args...)
	p := &Program{name: path, cmd: exec.Command(path, args...), end: make(chan struct{})}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	found := func(in io.Reader, url *regexp.Regexp) <-chan string {
		urls := make(chan string, 1)
		reading.Go(func() { p.read(in, url, urls) })
		return urls
	}
	public, private := found(stdout, publicURL), found(stderr, privateURL)
	go func() {
		reading.Wait()
		p.err = p.cmd.Wait()
		close(p.end)
	}()
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("%v\n%s", err, p.Log())
		} else if strings.Contains(p.Log(), "DATA RACE") {
			t.Errorf("%s: %s", path, p.Log())
		}
	})
	for _, wanted := range []struct {
		urls <-chan string
		to   *string
	}{{public, &p.URL}, {private, &p.Admin}} {
		select {
		case *wanted.to = <-wanted.urls:
		case <-p.end:
			t.Fatalf("%s ended: %v\n%s", path, p.err, p.Log())
		case <-time.After(Patience):
			t.Fatalf("%s does not listen\n%s", path, p.Log())
		}
	}
	return p
}

func (p *Program) read(in io.Reader, url *regexp.Regexp, urls chan<- string) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if m := url.FindStringSubmatch(lines.Text()); m != nil {
			urls <- m[1]
		}
		p.mu.Lock()
		p.log.WriteString(lines.Text() + "\n")
		p.mu.Unlock()
	}
}

// Log is what the program has said so far.
func (p *Program) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// Pid is the number of its process.
func (p *Program) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal.
func (p *Program) Signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// Ended is closed when the program has ended; then Err says how.
func (p *Program) Ended() <-chan struct{} { return p.end }

// Err is nil if the program ended with exit code 0. Ask it after Ended.
func (p *Program) Err() error { return p.err }

// Stop ends the program as an operator does and returns what is wrong with how
// it ended. One that has ended already is not asked again.
func (p *Program) Stop() error {
	select {
	case <-p.end:
		return nil
	default:
	}
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.end:
		return p.err
	case <-time.After(3 * Patience):
		_ = p.cmd.Process.Kill()
		return fmt.Errorf("%s does not stop", p.name)
	}
}

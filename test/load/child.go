//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// A job is what a child holds: sockets of a gateway. A process has no more
// than 20,000 files here, so a hundred thousand sockets are those of several.
type job struct {
	Gateway netip.AddrPort
	From    int // number of the first socket
	To      int // behind the last
	IDs     int // of each
}

// A tally is what a child says, first when all its sockets are registered, and
// then each time when it is asked.
type tally struct {
	Heard int
	Took  time.Duration // from the first connect to the last register
}

// idsOf are the ids of a socket.
func (j job) idsOf(socket int) []string {
	var ids []string
	for i := range j.IDs {
		ids = append(ids, fmt.Sprintf("u%d-%d", socket, i))
	}
	return ids
}

// serveJob is the child: it connects, and hears and answers until its stdin ends.
func serveJob(stop <-chan struct{}, description string) error {
	var j job
	if err := json.Unmarshal([]byte(description), &j); err != nil {
		return fmt.Errorf("job: %w", err)
	}
	l, err := newLoop(stop)
	if err != nil {
		return err
	}
	defer l.close()
	f := &fixture{loop: l, server: &server{name: "gateway", dialect: socketIO{}, sockets: j.Gateway}, ledger: &ledger{}}
	var ids [][]string
	for socket := j.From; socket < j.To; socket++ {
		ids = append(ids, j.idsOf(socket))
	}
	if err := f.add(ids); err != nil {
		return err
	}
	asked := asking{f.ledger, make(chan struct{})}
	if err := asked.read(l, nil); err != nil {
		return err
	}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, 0, &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
		return fmt.Errorf("stdin: %w", err)
	}
	l.conns[0] = asked
	return l.until(time.Hour, func() bool {
		select {
		case <-asked.over:
			return true
		default:
			return false
		}
	})
}

// asking is a child's stdin: any byte asks for its tally, the end ends it.
type asking struct {
	ledger *ledger
	over   chan struct{}
}

func (a asking) read(*loop, []byte) error {
	return json.NewEncoder(os.Stdout).Encode(tally{a.ledger.heard, a.ledger.readyAt})
}

func (a asking) lost(*loop) error {
	close(a.over)
	return nil
}

// A child is such a process, as its parent sees it.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startChild(j job) (*child, error) {
	description, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("job: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start a child: %w", err)
	}
	c := &child{cmd: exec.Command(self, "-job", string(description))}
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start a child: %w", err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a child: %w", err)
	}
	c.out = bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a child: %w", err)
	}
	return c, nil
}

// tally waits for what the child says next.
func (c *child) tally() (t tally, err error) {
	if !c.out.Scan() {
		return t, fmt.Errorf("a child has ended: %w", c.out.Err())
	}
	if err := json.Unmarshal(c.out.Bytes(), &t); err != nil {
		return t, fmt.Errorf("a child says %q: %w", c.out.Text(), err)
	}
	return t, nil
}

// ask asks for a tally and waits for it.
func (c *child) ask() (tally, error) {
	if _, err := c.in.Write([]byte{'?'}); err != nil {
		return tally{}, fmt.Errorf("ask a child: %w", err)
	}
	return c.tally()
}

// end ends the child, whose sockets end with it.
func (c *child) end() {
	_ = c.in.Close()
	if c.cmd.Wait() != nil {
		_ = c.cmd.Process.Kill() // it has ended already, or will
	}
}

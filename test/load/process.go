//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long a server may take to start, to stop, or to do what takes it no time.
const patience = 20 * time.Second

// A process is a server that was started here. Only such are ended, by their number.
type process struct {
	cmd    *exec.Cmd
	output bytes.Buffer
	ended  chan struct{}
}

// launch starts a program and waits until it listens on all the addresses.
func launch(env []string, addresses []netip.AddrPort, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.WaitDelay = time.Second // for its output, which a child may hold
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	for began := time.Now(); ; {
		select {
		case <-p.ended:
			return nil, fmt.Errorf("%s ends at once:\n%s", name, p.output.Bytes())
		case <-time.After(20 * time.Millisecond):
		}
		if listening(addresses) {
			return p, nil
		}
		if time.Since(began) > patience {
			p.stop()
			return nil, fmt.Errorf("%s does not listen:\n%s", name, p.output.Bytes())
		}
	}
}

func listening(addresses []netip.AddrPort) bool {
	for _, a := range addresses {
		conn, err := net.DialTimeout("tcp", a.String(), time.Second)
		if err != nil {
			return false
		}
		_ = conn.Close()
	}
	return true
}

// stop ends the process: it is asked, as nginx has children to end, and killed if it takes long.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(2 * time.Second): // ours would drain its sockets
		for _, pid := range p.pids() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		<-p.ended
	}
}

// pids are the process and its children: nginx works in those.
func (p *process) pids() []int {
	pid := p.cmd.Process.Pid
	all := []int{pid}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for word := range strings.FieldsSeq(string(children)) {
		if child, err := strconv.Atoi(word); err == nil {
			all = append(all, child)
		}
	}
	return all
}

// tick is the unit of /proc/<pid>/stat. The kernel scales its two figures so that their sum is what the scheduler has measured.
const tick = 10 * time.Millisecond

// cpu is the time that all threads have had, of user and of kernel, those that have ended included.
func (p *process) cpu() (time.Duration, error) {
	sum := time.Duration(0)
	for _, pid := range p.pids() {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, fmt.Errorf("read CPU time: %w", err)
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		for _, field := range fields[11:13] {
			ticks, err := strconv.Atoi(field)
			if err != nil {
				return 0, fmt.Errorf("read CPU time: %w", err)
			}
			sum += time.Duration(ticks) * tick
		}
	}
	return sum, nil
}

// rss is the resident memory in bytes.
func (p *process) rss() (int, error) {
	sum := 0
	for _, pid := range p.pids() {
		statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			return 0, fmt.Errorf("read memory: %w", err)
		}
		pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
		if err != nil {
			return 0, fmt.Errorf("read memory: %w", err)
		}
		sum += pages * os.Getpagesize()
	}
	return sum, nil
}

// ends are processes that make one server.
type ends []*process

func (e ends) stop() {
	for _, p := range e {
		p.stop()
	}
}

func (e ends) cpu() (sum time.Duration, err error) {
	for _, p := range e {
		cpu, fault := p.cpu()
		sum, err = sum+cpu, errors.Join(err, fault)
	}
	return sum, err
}

func (e ends) rss() (sum int, err error) {
	for _, p := range e {
		rss, fault := p.rss()
		sum, err = sum+rss, errors.Join(err, fault)
	}
	return sum, err
}

// addresses are n of 127.0.0.1 that nobody has.
func addresses(n int) ([]netip.AddrPort, error) {
	var all []netip.AddrPort
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = l.Close() }()
		all = append(all, netip.MustParseAddrPort(l.Addr().String()))
	}
	return all, nil
}

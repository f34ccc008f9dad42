//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// A loop is the load client's only thread: it waits for all its connections by
// epoll and hands each what it has read. So a message costs the client two
// system calls and no lock, the servers have the other core, and every
// latency is taken from one clock.
type loop struct {
	epoll   int
	began   time.Time
	stop    <-chan struct{} // closed when the run is given up
	conns   map[int]conn    // by descriptor
	input   [64 << 10]byte
	sources int // connections made so far; see source
}

// A conn is a connection of the loop.
type conn interface {
	// read is given what came. It is the loop's memory, and valid until read returns.
	read(l *loop, data []byte) error
	// lost is told that the other side has ended the connection.
	lost(l *loop) error
}

var (
	// errTime is returned when what must happen did not happen in time.
	errTime = errors.New("not in time")
	// errStopped is returned when the run was given up meanwhile.
	errStopped = errors.New("interrupted")
)

func newLoop(stop <-chan struct{}) (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &loop{epoll: epoll, began: time.Now(), stop: stop, conns: make(map[int]conn)}, nil
}

// close closes all connections. Their servers see a reset or an end, as they would from a browser that is killed.
func (l *loop) close() {
	for fd := range l.conns {
		_ = unix.Close(fd)
	}
	_ = unix.Close(l.epoll)
}

// now is the time by the loop's clock, which never jumps.
func (l *loop) now() time.Duration { return time.Since(l.began) }

// source is the address from which the next connection is made: one has 28,000 ports only.
func (l *loop) source() unix.Sockaddr {
	l.sources++
	return &unix.SockaddrInet4{Addr: [4]byte{127, 0, 1, byte(1 + l.sources%200)}}
}

// connect opens a connection. On loopback that does not wait, so long as the server's backlog has room.
func (l *loop) connect(to netip.AddrPort, c conn) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EMFILE) {
		return 0, fmt.Errorf("after %d connections: %w: ulimit -n 20000 is needed", len(l.conns), err)
	}
	if err != nil {
		return 0, fmt.Errorf("socket: %w", err)
	}
	steps := []struct {
		name string
		do   func() error
	}{
		{"bind", func() error { return unix.Bind(fd, l.source()) }},
		{"connect", func() error {
			return unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
		}},
		{"no delay", func() error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) }},
		{"nonblock", func() error { return unix.SetNonblock(fd, true) }},
		{"epoll", func() error {
			return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
		}},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			_ = unix.Close(fd)
			return 0, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	l.conns[fd] = c
	return fd, nil
}

// drop closes a connection.
func (l *loop) drop(fd int) {
	delete(l.conns, fd)
	_ = unix.Close(fd)
}

// write writes what the kernel must take at once: no client here is ever behind.
func (l *loop) write(fd int, data []byte) error {
	n, err := unix.Write(fd, data)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if n < len(data) {
		return errors.New("write: the server does not read")
	}
	return nil
}

// until runs the loop until done says so. It fails when that takes longer than bound.
func (l *loop) until(bound time.Duration, done func() bool) error {
	deadline := l.now() + bound
	var events [256]unix.EpollEvent
	for !done() {
		select {
		case <-l.stop:
			return errStopped
		default:
		}
		if l.now() > deadline {
			return errTime
		}
		n, err := unix.EpollWait(l.epoll, events[:], 10)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			if err := l.ready(int(e.Fd)); err != nil {
				return err
			}
		}
	}
	return nil
}

// during runs the loop for a time.
func (l *loop) during(d time.Duration) error {
	end := l.now() + d
	return l.until(d+time.Minute, func() bool { return l.now() >= end })
}

// every calls f at each interval: a timer of the kernel's, as Go's are good to a millisecond. Drop the descriptor to end it.
func (l *loop) every(interval time.Duration, f func() error) (fd int, err error) {
	fd, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return 0, fmt.Errorf("timer: %w", err)
	}
	period := unix.NsecToTimespec(int64(interval))
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: period, Value: period}, nil); err != nil {
		return 0, fmt.Errorf("timer: %w", err)
	}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
		return 0, fmt.Errorf("timer: %w", err)
	}
	l.conns[fd] = clock(f)
	return fd, nil
}

// A clock is called when its timer has fired.
type clock func() error

func (c clock) read(*loop, []byte) error { return c() }
func (c clock) lost(*loop) error         { return errors.New("the timer is gone") }

func (l *loop) ready(fd int) error {
	c, ok := l.conns[fd]
	if !ok {
		return nil // dropped by what came before it in the same wait
	}
	n, err := unix.Read(fd, l.input[:])
	switch {
	case errors.Is(err, unix.EAGAIN):
		return nil
	case err != nil || n == 0:
		l.drop(fd)
		return c.lost(l)
	}
	return c.read(l, l.input[:n])
}

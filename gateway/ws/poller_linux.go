package ws

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// A poller waits for what comes on the idle connections of a server, in one
// goroutine for all. Where there is none (on other systems, for connections
// without a descriptor, and for upgrades, which have a deadline) each waits in
// a goroutine of its own: 2.5 KiB a connection, and a stack more that the collector
// looks at.
//
// It is an epoll(7): level-triggered, armed anew for each wait. The runtime
// waits for the epoll itself, so no thread does. The zero value is ready for use.
type poller struct {
	mu sync.Mutex
	// Guarded by mu.
	descriptor int      // the epoll's, with file
	file       *os.File // nil before the first wait
	stopped    bool
	parked     []*Conn // those that wait, by descriptor

	running sync.WaitGroup // the goroutine
}

// A parking is a connection's place in the poller. Guarded by poller.mu.
type parking struct {
	place   int // its descriptor
	waits   bool
	known   bool // to the epoll
	aborted bool // it will not wait again
}

// park makes sure that [Conn.wake] is called once, in a goroutine of its own,
// when there is something to read or the connection is aborted. It returns
// false, and has done nothing, where the caller has to wait.
func (p *poller) park(c *Conn) (waits bool) {
	if c.raw == nil {
		return false
	}
	_ = c.raw.Control(func(fd uintptr) {
		p.mu.Lock()
		defer p.mu.Unlock()
		place := int(fd) //nolint:gosec // a descriptor
		if !c.parking.aborted && p.start() == nil && p.arm(place, &c.parking) == nil {
			p.parked[place] = c
			waits = true
		}
	})
	return waits
}

// arm asks for one event. The caller holds mu.
func (p *poller) arm(place int, is *parking) error {
	op := syscall.EPOLL_CTL_MOD
	if !is.known {
		op = syscall.EPOLL_CTL_ADD
	}
	event := syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT,
		Fd:     int32(place), //nolint:gosec // a descriptor
	}
	if err := syscall.EpollCtl(p.descriptor, op, place, &event); err != nil {
		return err
	}
	is.waits, is.known, is.place = true, true, place
	if short := place + 1 - len(p.parked); short > 0 {
		p.parked = append(p.parked, make([]*Conn, short)...)
	}
	return nil
}

// start opens the epoll and begins to wait for it, once. The caller holds mu.
func (p *poller) start() error {
	switch {
	case p.stopped:
		return os.ErrClosed
	case p.file != nil:
		return nil
	}
	descriptor, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	// The runtime polls files that do not block.
	if err := syscall.SetNonblock(descriptor, true); err != nil {
		_ = syscall.Close(descriptor)
		return fmt.Errorf("epoll: %w", err)
	}
	file := os.NewFile(uintptr(descriptor), "epoll")
	raw, err := file.SyscallConn()
	if err == nil {
		// Only this error tells that the runtime does not poll the file: what
		// is parked here would wait for ever.
		err = file.SetReadDeadline(time.Time{})
	}
	if err != nil {
		_ = file.Close()
		return fmt.Errorf("epoll: %w", err)
	}
	p.descriptor, p.file = descriptor, file
	p.running.Go(func() { p.run(raw) })
	return nil
}

// stop ends the goroutine. No connection may be parked any more.
func (p *poller) stop() {
	p.mu.Lock()
	p.stopped = true
	file := p.file
	p.mu.Unlock()
	if file != nil {
		_ = file.Close()
	}
	p.running.Wait()
}

// run wakes the connections on which something has come, until stop.
func (p *poller) run(raw syscall.RawConn) {
	events := make([]syscall.EpollEvent, 128)
	for {
		var n int
		err := raw.Read(func(fd uintptr) bool {
			n, _ = syscall.EpollWait(int(fd), events, 0) //nolint:gosec // a descriptor
			return n != 0                                // the runtime tells of news once: it may wait only when nothing was found
		})
		if err != nil {
			return
		}
		for _, event := range events[:max(n, 0)] { // -1 if interrupted
			p.mu.Lock()
			c := p.parked[event.Fd]
			p.take(c)
			p.mu.Unlock()
			// Another connection than the one of the event may have the
			// descriptor by now; it finds nothing to read, and waits on.
			if c != nil {
				go c.wake()
			}
		}
	}
}

// take ends a wait, and reports whether there was one. The caller holds mu.
func (p *poller) take(c *Conn) (waited bool) {
	if c == nil || !c.parking.waits {
		return false
	}
	p.parked[c.parking.place] = nil
	c.parking.waits = false
	return true
}

// abort keeps a connection from waiting again. It returns how to wake it, which
// is to be called when the connection is closed. Not before the descriptor is
// closed can another connection get it, and by then it is nobody's here.
func (p *poller) abort(c *Conn) (wake func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.parking.aborted = true
	if p.take(c) {
		return func() { go c.wake() }
	}
	return func() {}
}

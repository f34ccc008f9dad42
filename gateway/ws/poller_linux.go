package ws

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// A poller waits for bytes on all idle connections of a server, in one
// goroutine. A connection that cannot use it waits in a goroutine of its own,
// which costs 2.5 KiB and one more stack for the garbage collector to scan:
// every connection on other systems, a connection without a descriptor, and a
// websocket that is upgrading, because it has a read deadline.
//
// The poller uses epoll(7), level-triggered and one-shot: every wait arms the
// descriptor again. The Go runtime waits for the epoll descriptor itself, so no
// thread is blocked. The zero value is ready for use.
type poller struct {
	mu sync.Mutex
	// Guarded by mu.
	descriptor int      // of the epoll; owned by file
	file       *os.File // nil before the first wait
	stopped    bool
	parked     []*Conn // waiting connections, by descriptor

	running sync.WaitGroup // counts the goroutine of run
}

// A parking is a connection's state in the poller. It is guarded by poller.mu.
type parking struct {
	descriptor int
	waiting    bool // it is in poller.parked
	added      bool // to the epoll
	aborted    bool // it must not wait again
}

// park arranges for [Conn.wake] to be called once, in a new goroutine, when
// bytes arrive or the connection is aborted. It returns false, without effect,
// if the caller has to wait in a goroutine instead.
func (p *poller) park(c *Conn) (parked bool) {
	if c.raw == nil {
		return false
	}
	_ = c.raw.Control(func(fd uintptr) {
		p.mu.Lock()
		defer p.mu.Unlock()
		descriptor := int(fd) //nolint:gosec // a descriptor
		if !c.parking.aborted && p.start() == nil && p.arm(descriptor, &c.parking) == nil {
			p.parked[descriptor] = c
			parked = true
		}
	})
	return parked
}

// arm asks the epoll for one event of the descriptor. The caller holds mu.
func (p *poller) arm(descriptor int, is *parking) error {
	op := syscall.EPOLL_CTL_MOD
	if !is.added {
		op = syscall.EPOLL_CTL_ADD
	}
	event := syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT,
		Fd:     int32(descriptor), //nolint:gosec // a descriptor
	}
	if err := syscall.EpollCtl(p.descriptor, op, descriptor, &event); err != nil {
		return err
	}
	is.waiting, is.added, is.descriptor = true, true, descriptor
	if short := descriptor + 1 - len(p.parked); short > 0 {
		p.parked = append(p.parked, make([]*Conn, short)...)
	}
	return nil
}

// start opens the epoll and starts its goroutine, once. The caller holds mu.
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
	// The runtime polls a file only if it is non-blocking.
	if err := syscall.SetNonblock(descriptor, true); err != nil {
		_ = syscall.Close(descriptor)
		return fmt.Errorf("epoll: %w", err)
	}
	file := os.NewFile(uintptr(descriptor), "epoll")
	raw, err := file.SyscallConn()
	if err == nil {
		// This call fails if the runtime does not poll the file, and no other
		// call does. Parked connections would then wait for ever.
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

// stop ends the goroutine and waits for it. No connection may be parked.
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

// run wakes connections on which bytes have arrived, until stop is called.
func (p *poller) run(raw syscall.RawConn) {
	events := make([]syscall.EpollEvent, 128)
	for {
		var n int
		err := raw.Read(func(fd uintptr) bool {
			n, _ = syscall.EpollWait(int(fd), events, 0) //nolint:gosec // a descriptor
			return n != 0                                // false waits; the runtime reports new events once, so the epoll must be empty
		})
		if err != nil {
			return
		}
		for _, event := range events[:max(n, 0)] { // n is -1 after EINTR
			p.mu.Lock()
			c := p.parked[event.Fd]
			p.unpark(c)
			p.mu.Unlock()
			// The descriptor may belong to another connection by now. That one
			// finds nothing to read and waits again.
			if c != nil {
				go c.wake()
			}
		}
	}
}

// unpark ends a connection's wait and reports whether it was waiting. The
// caller holds mu.
func (p *poller) unpark(c *Conn) (waited bool) {
	if c == nil || !c.parking.waiting {
		return false
	}
	p.parked[c.parking.descriptor] = nil
	c.parking.waiting = false
	return true
}

// abort keeps a connection from being parked again. The caller closes the
// connection and then calls wake, which ends a wait in progress. Another
// connection can get the descriptor only after the close; by then it is no
// longer in parked.
func (p *poller) abort(c *Conn) (wake func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.parking.aborted = true
	if p.unpark(c) {
		return func() { go c.wake() }
	}
	return func() {}
}

package relay

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// window is how many bytes of a stream may be on their way, or wait to be
// read, in each direction. Who reads nothing stops who writes.
const window = 256 << 10

// A stream is a connection between two nodes: bytes in order in both
// directions, made of messages. Where one of them is lost, it breaks.
type stream struct {
	node *Node
	key

	mu      sync.Mutex // under it nats.go is called, which never calls back under its own locks
	changed sync.Cond  // on mu
	// Guarded by mu.
	in     [][]byte // what has come and was not read
	heard  uint64   // messages that came
	came   uint64   // bytes of them
	taken  uint64   // of which were read
	told   uint64   // of which the peer knows
	ended  bool     // the peer has closed: nothing comes, and nothing can be written
	shut   bool     // and so have we said that nothing comes any more
	said   uint64   // messages that were sent
	sent   uint64   // bytes of them
	free   uint64   // as many bytes the peer has taken
	err    error    // why it is no more
	linger bool     // a close lets the peer read what is on its way
	onEnd  func()   // called once it is broken by another than its user
	reads  deadline
	writes deadline
}

// A key tells streams apart: both nodes give ids.
type key struct {
	peer   string
	id     uint64
	opened bool // by this node
}

// A deadline is when who waits shall wait no longer.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func newStream(n *Node, k key) *stream {
	s := &stream{node: n, key: k, linger: true}
	s.changed.L = &s.mu
	return s
}

// say sends a message about the stream. The caller holds mu.
func (s *stream) say(kind byte, number uint64, data []byte) error {
	m := message{kind: kind, origin: fromAcceptor, from: s.node.Name, id: s.id, number: number, data: data}
	if s.opened {
		m.origin = fromOpener
	}
	reply := ""
	if kind == kindOpen {
		reply = s.node.nobody(s.id)
	}
	return s.node.publish(s.peer, reply, m)
}

// hear takes a message of the peer.
func (s *stream) hear(m message) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	switch m.kind {
	case kindData, kindEnd:
		s.came += uint64(len(m.data))
		if m.number != s.heard || s.ended || s.came-s.taken > window {
			s.mu.Unlock()
			s.fail(errLost, true)
			return
		}
		s.heard++
		s.ended = m.kind == kindEnd
		if !s.ended {
			s.in = append(s.in, m.data)
		}
	case kindTaken:
		if m.number > s.sent || m.number < s.free {
			s.mu.Unlock()
			s.fail(errLost, true)
			return
		}
		s.free = m.number
	case kindBreak:
		s.mu.Unlock()
		s.fail(errBroken, false)
		return
	}
	s.changed.Broadcast()
	s.mu.Unlock()
}

// fail ends a stream that cannot go on, and says so to the peer.
func (s *stream) fail(why error, tell bool) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	if tell {
		_ = s.say(kindBreak, 0, nil)
	}
	onEnd := s.onEnd
	s.finish(why)
	s.mu.Unlock()
	s.node.forget(s)
	if onEnd != nil {
		onEnd()
	}
}

// finish leaves nothing behind. The caller holds mu.
func (s *stream) finish(why error) {
	s.err, s.in, s.onEnd = why, nil, nil
	for _, d := range []*deadline{&s.reads, &s.writes} {
		if d.timer != nil {
			d.timer.Stop()
		}
	}
	s.changed.Broadcast()
}

// Close ends the stream. What was written still arrives, unless SetLinger(0)
// was called, and the peer has not ended it too: then it waits for what there is.
func (s *stream) Close() error {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return nil
	}
	if s.linger || s.ended {
		s.shutWrites()
	} else {
		_ = s.say(kindBreak, 0, nil)
	}
	s.finish(net.ErrClosed)
	s.mu.Unlock()
	s.node.forget(s)
	return nil
}

// CloseWrite is as of a [net.TCPConn]: the peer reads the end, and what it has
// written and still writes until then can be read.
func (s *stream) CloseWrite() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.shutWrites()
		s.changed.Broadcast()
	}
}

// shutWrites says that nothing comes any more, once. The caller holds mu.
func (s *stream) shutWrites() {
	if !s.shut {
		s.shut = true
		_ = s.say(kindEnd, s.said, nil)
	}
}

// SetLinger is as of a [net.TCPConn]: with 0 a close drops what is on its way.
func (s *stream) SetLinger(seconds int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.linger = seconds != 0
	return nil
}

// next returns the next bytes that came; took must follow once they are of no use any more.
func (s *stream) next() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wait()
}

// wait is next for one who holds mu.
func (s *stream) wait() ([]byte, error) {
	for {
		switch {
		case s.err != nil:
			return nil, s.err
		case s.reads.passed():
			return nil, os.ErrDeadlineExceeded
		case len(s.in) > 0:
			return s.in[0], nil
		case s.ended:
			return nil, io.EOF
		}
		s.changed.Wait()
	}
}

// took removes bytes that next has returned, and lets the peer send others.
func (s *stream) took(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(n)
}

// remove is took for one who holds mu.
func (s *stream) remove(n int) {
	if s.err != nil {
		return
	}
	if s.in[0] = s.in[0][n:]; len(s.in[0]) == 0 {
		if s.in = s.in[1:]; len(s.in) == 0 {
			s.in = nil
		}
	}
	s.taken += uint64(n)
	if s.taken-s.told >= window/4 {
		s.told = s.taken
		_ = s.say(kindTaken, s.taken, nil)
	}
}

func (s *stream) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, err := s.wait()
	if err != nil {
		return 0, err
	}
	n := copy(b, first)
	s.remove(n)
	return n, nil
}

// Write returns when all is on its way; how much was, if an error ends it.
func (s *stream) Write(b []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n < len(b) {
		if err := s.awaitRoom(); err != nil {
			return n, err
		}
		some, err := s.send(b[n:])
		if n += some; err != nil {
			return n, err
		}
	}
	return n, nil
}

// TryWrite writes what the window has room for.
func (s *stream) TryWrite(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.send(b)
}

// AwaitRoom waits until the window has room, or until the write deadline.
func (s *stream) AwaitRoom() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.awaitRoom()
}

// send is TryWrite for one who holds mu.
func (s *stream) send(b []byte) (n int, err error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.ended || s.shut {
		return 0, syscall.EPIPE
	}
	for n < len(b) && s.room() > 0 {
		part := b[n:min(len(b), n+maxData, n+s.room())]
		if err := s.say(kindData, s.said, part); err != nil {
			return n, err
		}
		s.said++
		s.sent += uint64(len(part))
		n += len(part)
	}
	return n, nil
}

func (s *stream) room() int { return window - int(s.sent-s.free) } //nolint:gosec // at most window

// awaitRoom is AwaitRoom for one who holds mu.
func (s *stream) awaitRoom() error {
	for {
		switch {
		case s.err != nil:
			return s.err
		case s.ended, s.shut:
			return syscall.EPIPE
		case s.writes.passed():
			return os.ErrDeadlineExceeded
		case s.room() > 0:
			return nil
		}
		s.changed.Wait()
	}
}

// over reports whether the peer hears no more.
func (s *stream) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended || s.err != nil
}

// cause returns why the stream is no more, nil if it is.
func (s *stream) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// SetReadDeadline, SetWriteDeadline and SetDeadline are as of any [net.Conn].
func (s *stream) SetReadDeadline(t time.Time) error  { return s.set(t, &s.reads) }
func (s *stream) SetWriteDeadline(t time.Time) error { return s.set(t, &s.writes) }
func (s *stream) SetDeadline(t time.Time) error      { return s.set(t, &s.reads, &s.writes) }

func (s *stream) set(t time.Time, deadlines ...*deadline) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	for _, d := range deadlines {
		d.at = t
		if d.timer != nil {
			d.timer.Stop()
		}
		if t.IsZero() {
			continue
		}
		if d.timer == nil {
			d.timer = time.AfterFunc(time.Until(t), s.wake)
		} else {
			d.timer.Reset(time.Until(t))
		}
	}
	s.changed.Broadcast()
	return nil
}

func (s *stream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}

// An address is the name of a node.
type address string

func (address) Network() string  { return "node" }
func (a address) String() string { return string(a) }

func (s *stream) LocalAddr() net.Addr  { return address(s.node.Name) }
func (s *stream) RemoteAddr() net.Addr { return address(s.peer) }

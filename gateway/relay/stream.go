package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// A stream is this node's end of a connection between two nodes: bytes in order,
// in both directions, made of messages. It breaks where a message is missing. It
// is a [net.Conn] with CloseWrite and SetLinger, as a [net.TCPConn] has them, and
// with TryWrite and AwaitRoom, for which gateway/eio asks.
//
// It is safe for concurrent use, but one goroutine at a time may read. Reads and
// writes wait for the peer. Only awaitOpen waits for NATS, and TryWrite for
// sendPatience at most.
type stream struct{ endpoint }

// newStream returns a stream that this node opens, or has accepted.
func newStream(node *local, k key) *stream {
	s := &stream{endpoint{key: k, node: node, linger: true, state: stateOpen}}
	if k.opened {
		s.state = stateOpening
	}
	s.changed.L = &s.mu
	s.deadlines.changed = &s.changed
	s.queue.sent = s.sent
	return s
}

// refuse tells the peer that there is no such stream at this node.
func refuse(node *local, k key) {
	s := newStream(node, k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say(kindBreak, 0, nil)
}

// awaitOpen waits until NATS has taken the message that opens the stream. Its
// error is that NATS has not; why else a stream is broken shows in its use.
func (s *stream) awaitOpen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.state == stateOpening {
		s.changed.Wait()
	}
	if errors.Is(s.err, errSend) {
		return s.err
	}
	return nil
}

// Read waits for bytes until the read deadline.
func (s *stream) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, err := s.first()
	if err != nil {
		return 0, err
	}
	n := copy(b, first)
	s.remove(n)
	return n, nil
}

// WriteTo writes to w what comes, until the end of the stream. Bytes count as
// read, and make room in the window, only once w has taken them.
func (s *stream) WriteTo(w io.Writer) (n int64, err error) {
	for {
		s.mu.Lock()
		first, err := s.first()
		s.mu.Unlock()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		written, err := w.Write(first)
		n += int64(written)
		s.mu.Lock()
		s.remove(written)
		s.mu.Unlock()
		if err != nil {
			return n, err
		}
	}
}

// first waits for bytes and returns those of the first message. The caller holds mu.
func (s *stream) first() ([]byte, error) {
	for {
		switch {
		case s.state.final():
			return nil, s.err
		case s.deadlines.read.passed():
			return nil, os.ErrDeadlineExceeded
		case len(s.in.queue) > 0:
			return s.in.queue[0], nil
		case s.state.remoteEnded():
			return nil, io.EOF
		}
		s.changed.Wait()
	}
}

// remove drops bytes that first has returned. The caller holds mu.
func (s *stream) remove(n int) {
	if !s.state.final() && s.in.remove(n) {
		s.say(kindTaken, s.in.read, nil)
	}
}

// Write waits until the window has room for everything, at most until the write
// deadline.
func (s *stream) Write(b []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n < len(b) {
		if err := s.awaitRoom(); err != nil {
			return n, err
		}
		some, err := s.put(b[n:])
		if n += some; err != nil {
			return n, err
		}
	}
	return n, nil
}

// TryWrite writes what the window has room for, which may be nothing. It returns
// once NATS has taken that, so that what the caller publishes next comes after
// it. Where NATS takes nothing, it returns after sendPatience; later calls then
// return at once.
func (s *stream) TryWrite(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.put(b)
	if err != nil || n == 0 || s.node.sender.stalled() {
		return n, err
	}
	late := time.Now().Add(sendPatience)
	timer := time.AfterFunc(sendPatience, s.wake)
	defer timer.Stop()
	for s.out.unsent > 0 && s.state != stateBroken && time.Now().Before(late) {
		s.changed.Wait()
	}
	return n, s.err
}

// AwaitRoom waits until the window has room, or until the write deadline.
func (s *stream) AwaitRoom() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.awaitRoom()
}

// awaitRoom is AwaitRoom for a caller that holds mu.
func (s *stream) awaitRoom() error {
	for {
		switch {
		case s.state.final():
			return s.err
		case !s.state.writable():
			return syscall.EPIPE
		case s.deadlines.write.passed():
			return os.ErrDeadlineExceeded
		case s.out.room() > 0:
			return nil
		}
		s.changed.Wait()
	}
}

// put queues what the window has room for. The caller holds mu.
func (s *stream) put(b []byte) (n int, err error) {
	switch {
	case s.state.final():
		return 0, s.err
	case !s.state.writable():
		return 0, syscall.EPIPE
	}
	for n < len(b) && s.out.room() > 0 {
		part := b[n:min(len(b), n+maxData, n+s.out.room())]
		s.say(kindData, s.out.messages, part)
		s.out.messages++
		s.out.bytes += uint64(len(part))
		s.out.unsent++
		n += len(part)
	}
	return n, nil
}

// An address is the name of a node.
type address string

func (address) Network() string  { return "node" }
func (a address) String() string { return string(a) }

func (s *stream) LocalAddr() net.Addr  { return address(s.node.name) }
func (s *stream) RemoteAddr() net.Addr { return address(s.peer) }

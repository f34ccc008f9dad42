package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// A stream is this node's end of a connection to another node. It transfers bytes in order, in both
// directions, as NATS messages. It breaks if a message is missing. It is a [net.Conn]. It also has
// CloseWrite and SetLinger like a [net.TCPConn], and TryWrite and AwaitRoom, which gateway/ws uses
// if a connection has them.
//
// It is safe for concurrent use, but only one goroutine at a time may read. Reads and writes wait
// for the peer. NATS is waited for by awaitOpen, and by TryWrite for sendPatience at most.
type stream struct{ endpoint }

// newStream returns a stream that this node opens or accepts, according to k.opened.
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

// refuse tells the peer that this node does not have the stream.
func refuse(node *local, k key) {
	s := newStream(node, k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enqueue(kindBreak, 0, nil)
}

// awaitOpen waits until kindOpen is published. It returns an error only if publishing fails. If the
// stream breaks for another reason, the next read or write returns it.
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

// WriteTo copies received bytes to w until the stream ends. Bytes make room in the window only when
// w has taken them.
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

// first waits for bytes and returns the rest of the first message, without removing it. The caller
// holds mu.
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

// remove removes n bytes that first has returned, and tells the peer if enough were read. The
// caller holds mu.
func (s *stream) remove(n int) {
	if s.state.final() {
		return
	}
	if s.in.remove(n) {
		s.enqueue(kindRead, s.in.read, nil)
	}
	_ = s.in.charge(s.node.budget) // it is less than before
}

// Write queues all of b. It waits for room in the window, at most until the write deadline.
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

// TryWrite queues as many bytes as the window has room for, which may be none. It waits until they
// are published, so that a message that the caller publishes next arrives after them. It waits for
// sendPatience at most. While the sender is stalled it does not wait at all.
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

// put queues as many bytes as the window has room for, and returns their number. The caller holds
// mu.
func (s *stream) put(b []byte) (n int, err error) {
	switch {
	case s.state.final():
		return 0, s.err
	case !s.state.writable():
		return 0, syscall.EPIPE
	}
	for n < len(b) && s.out.room() > 0 {
		part := b[n:min(len(b), n+maxData, n+s.out.room())]
		s.enqueue(kindData, s.out.messages, part)
		s.out.messages++
		s.out.bytes += uint64(len(part))
		s.out.unsent++
		n += len(part)
	}
	return n, nil
}

// An address is a [net.Addr] with the name of a node.
type address string

func (address) Network() string  { return "node" }
func (a address) String() string { return string(a) }

func (s *stream) LocalAddr() net.Addr  { return address(s.node.name) }
func (s *stream) RemoteAddr() net.Addr { return address(s.peer) }

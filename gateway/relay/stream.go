package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

// A stream is one end of a connection between two nodes: bytes in order, in
// both directions, made of messages. It breaks where a message is missing.
//
// It is safe for concurrent use. None of its methods waits for NATS, but for
// awaitOpen and, at most for sendPatience, TryWrite: messages are put into the
// queue of the node's sender.
//
// Twelve of its methods are given from outside: net/http asks for the eight of
// a [net.Conn], gateway/eio for TryWrite, AwaitRoom and SetLinger, and CloseWrite
// is that of a [net.TCPConn].
type stream struct {
	key
	node *local

	mu      sync.Mutex // taken before the sender's mu; no other lock is taken under it
	changed sync.Cond  // on mu: the state, what can be read or written, or a deadline has changed
	// Guarded by mu.
	state   state
	err     error // nil until the state is final, then why
	in      inbound
	out     outbound
	reads   deadline
	writes  deadline
	linger  bool   // Close lets the peer read what was written
	onBreak func() // called once, if the stream breaks

	queue sendQueue // guarded by the sender's mu
}

// A key tells streams apart: each node numbers those that it opens.
type key struct {
	peer   string // the name of the other node
	id     uint64
	opened bool // by this node
}

// A local is what all streams of a node have in common.
type local struct {
	name   string
	sender *sender
	forget func(*stream) // called without any lock, once the stream is no more
}

// Causes of the end of a stream.
var (
	errNobody = errors.New("relay: there is no such node")
	errLost   = errors.New("relay: a message was lost")
	errBroken = errors.New("relay: broken by the other node")
	errSilent = errors.New("relay: the other node is silent")
	errBus    = errors.New("relay: the connection to NATS was lost")
	errSend   = errors.New("relay: NATS has not taken a message")
)

// newStream returns a stream that this node opens, or has accepted.
func newStream(node *local, k key) *stream {
	s := &stream{key: k, node: node, linger: true, state: stateOpen}
	if k.opened {
		s.state = stateOpening
	}
	s.changed.L = &s.mu
	s.queue.sent = s.sent
	return s
}

// say queues a message about the stream. The caller holds mu.
func (s *stream) say(kind byte, number uint64, data []byte) {
	m := message{kind: kind, origin: fromAcceptor, from: s.node.name, id: s.id, number: number, data: data}
	if s.opened {
		m.origin = fromOpener
	}
	out := outgoing{kind: kind, msg: nats.Msg{
		Subject: subjectOf(s.peer),
		Data:    m.append(make([]byte, 0, headLength+len(data))),
	}}
	if kind == kindOpen {
		out.msg.Reply = subjectNobody(s.node.name, s.id)
	}
	s.node.sender.put(&s.queue, out)
}

// sent takes from the sender what became of a message.
func (s *stream) sent(m outgoing, err error) {
	if err != nil {
		if m.kind == kindOpen || m.kind == kindData {
			s.fail(fmt.Errorf("%w: %w", errSend, err), true)
		}
		// The rest is not repeated: once NATS is back, the pulse breaks the stream.
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m.kind {
	case kindOpen:
		s.state = s.state.after(eventOpenSent)
	case kindData:
		s.out.unsent--
	}
	s.changed.Broadcast()
}

// open asks the peer to accept the stream. It is called once, before any other method.
func (s *stream) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == stateOpening { // else the node has closed meanwhile
		s.say(kindOpen, 0, nil)
	}
}

// refuse tells the peer that there is no such stream. Nothing else is done with s.
func (s *stream) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say(kindBreak, 0, nil)
}

// awaitOpen waits until NATS has taken the message that opens the stream. It
// returns an error only if NATS has refused it; a stream that broke for another
// reason says so where it is used.
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

// hear takes a message of the peer.
func (s *stream) hear(m message) {
	if why := s.take(m); why != nil {
		s.fail(why, !errors.Is(why, errBroken))
	}
}

// take is hear without the consequences of an error.
func (s *stream) take(m message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.final() {
		return nil
	}
	switch m.kind {
	case kindData, kindEnd:
		if s.state.remoteEnded() {
			return errLost
		}
		if err := s.in.add(m); err != nil {
			return err
		}
		if m.kind == kindEnd {
			s.state = s.state.after(eventRemoteEnds)
		}
	case kindTaken:
		if err := s.out.peerRead(m.number); err != nil {
			return err
		}
	case kindBreak:
		return errBroken
	}
	s.changed.Broadcast()
	return nil
}

// fail breaks the stream for a reason. It tells the peer, if tell is set.
func (s *stream) fail(why error, tell bool) {
	s.mu.Lock()
	if s.state.final() {
		s.mu.Unlock()
		return
	}
	onBreak := s.onBreak
	s.finish(eventBreaks, why)
	s.node.sender.drop(&s.queue)
	if tell {
		s.say(kindBreak, 0, nil)
	}
	s.mu.Unlock()
	s.node.forget(s)
	if onBreak != nil {
		onBreak()
	}
}

// Close ends the stream. What was written still arrives, unless SetLinger(0)
// was called; a peer that has ended its writing always gets everything. Its
// error is always nil.
func (s *stream) Close() error {
	s.mu.Lock()
	if s.state.final() {
		s.mu.Unlock()
		return nil
	}
	if s.linger || s.state.remoteEnded() {
		s.endWrites()
	} else {
		s.node.sender.drop(&s.queue)
		s.say(kindBreak, 0, nil)
	}
	s.finish(eventCloses, net.ErrClosed)
	s.mu.Unlock()
	s.node.forget(s)
	return nil
}

// finish makes the state final and lets go of what was not read. The caller
// holds mu.
func (s *stream) finish(e event, why error) {
	s.state, s.err = s.state.after(e), why
	s.in.queue, s.onBreak = nil, nil
	s.reads.stop()
	s.writes.stop()
	s.changed.Broadcast()
}

// CloseWrite ends the writing: the peer reads what was written, then the end.
// What the peer writes until it has read that can be read.
func (s *stream) CloseWrite() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.state.final() {
		s.endWrites()
		s.changed.Broadcast()
	}
}

// endWrites tells the peer once that this node writes no more. The caller holds mu.
func (s *stream) endWrites() {
	if !s.state.localEnded() {
		s.state = s.state.after(eventLocalEnds)
		s.say(kindEnd, s.out.messages, nil)
	}
}

// SetLinger is as of a [net.TCPConn]: with 0, Close drops what the peer has not read.
func (s *stream) SetLinger(seconds int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.linger = seconds != 0
	return nil
}

// breaking sets what is called, without any lock, if the stream breaks. It
// reports whether the stream is still there; if not, nothing is called.
func (s *stream) breaking(onBreak func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.final() {
		return false
	}
	s.onBreak = onBreak
	return true
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

// WriteTo writes to w all that comes until the end, uncopied. The peer may send
// more only once w has taken what came before.
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
		case s.reads.passed():
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

// Write returns once the window has taken everything, or at the write deadline
// with what it has taken.
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

// TryWrite writes what the window has room for, which may be nothing. It
// returns once NATS has that, so that what the caller publishes next comes after
// it. If NATS takes nothing, TryWrite returns after sendPatience, and at once
// while it is known that NATS takes nothing.
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
		case s.writes.passed():
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

// over reports whether the peer hears no more.
func (s *stream) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.final() || s.state.remoteEnded()
}

// cause returns why the stream is no more, or nil.
func (s *stream) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// SetReadDeadline, SetWriteDeadline and SetDeadline are as of any [net.Conn].
func (s *stream) SetReadDeadline(t time.Time) error  { return s.set(t, &s.reads) }
func (s *stream) SetWriteDeadline(t time.Time) error { return s.set(t, &s.writes) }
func (s *stream) SetDeadline(t time.Time) error      { return s.set(t, &s.reads, &s.writes) }

func (s *stream) set(at time.Time, deadlines ...*deadline) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.final() {
		return s.err
	}
	for _, d := range deadlines {
		d.set(at, s.wake)
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

func (s *stream) LocalAddr() net.Addr  { return address(s.node.name) }
func (s *stream) RemoteAddr() net.Addr { return address(s.peer) }

package relay

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/nats-io/nats.go"
)

// An endpoint is the part of a [stream] that never waits: its state, its windows,
// and what happens to them. Messages to the peer, the other node, are put into a
// queue for the sender. It is safe for concurrent use.
type endpoint struct {
	key
	node *local

	mu      sync.Mutex // taken before the sender's mu; no other lock is taken under it
	changed sync.Cond  // on mu: the state, what can be read or written, or a deadline has changed
	// Guarded by mu.
	state   state
	err     error // nil until the state is final, then why
	in      inbound
	out     outbound
	linger  bool   // Close lets the peer read what was written
	onBreak func() // called once, if the stream breaks
	deadlines

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
	forget func(key) // called without any lock, once the stream is no more
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

// say queues a message about the stream. The caller holds mu.
func (e *endpoint) say(kind byte, number uint64, data []byte) {
	m := message{kind: kind, origin: fromAcceptor, from: e.node.name, id: e.id, number: number, data: data}
	if e.opened {
		m.origin = fromOpener
	}
	out := outgoing{kind: kind, msg: nats.Msg{
		Subject: subjectOf(e.peer),
		Data:    m.append(make([]byte, 0, headLength+len(data))),
	}}
	if kind == kindOpen {
		out.msg.Reply = subjectNobody(e.node.name, e.id)
	}
	e.node.sender.put(&e.queue, out)
}

// sent is told by the sender whether NATS has taken a message.
func (e *endpoint) sent(m outgoing, err error) {
	if err != nil {
		if m.kind == kindOpen || m.kind == kindData {
			e.fail(fmt.Errorf("%w: %w", errSend, err), true)
		}
		// Other messages are not repeated: the pulse breaks the stream once NATS is back.
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch m.kind {
	case kindOpen:
		e.state = e.state.after(eventOpenSent)
	case kindData:
		e.out.unsent--
	}
	e.changed.Broadcast()
}

// open asks the peer to accept the stream. It is called once, before any other method.
func (e *endpoint) open() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state == stateOpening { // else the node has closed meanwhile
		e.say(kindOpen, 0, nil)
	}
}

// hear takes a message of the peer, which may break the stream.
func (e *endpoint) hear(m message) {
	if why := e.take(m); why != nil {
		e.fail(why, !errors.Is(why, errBroken))
	}
}

// take applies a message; its error is why the stream breaks.
func (e *endpoint) take(m message) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state.final() {
		return nil
	}
	switch m.kind {
	case kindData, kindEnd:
		if e.state.remoteEnded() {
			return errLost
		}
		if err := e.in.add(m); err != nil {
			return err
		}
		if m.kind == kindEnd {
			e.state = e.state.after(eventRemoteEnds)
		}
	case kindTaken:
		if err := e.out.peerRead(m.number); err != nil {
			return err
		}
	case kindBreak:
		return errBroken
	}
	e.changed.Broadcast()
	return nil
}

// fail breaks the stream and drops what was not sent. With tell, the peer is told.
func (e *endpoint) fail(why error, tell bool) {
	e.mu.Lock()
	if e.state.final() {
		e.mu.Unlock()
		return
	}
	onBreak := e.onBreak
	e.finish(eventBreaks, why)
	e.node.sender.drop(&e.queue)
	if tell {
		e.say(kindBreak, 0, nil)
	}
	e.mu.Unlock()
	e.node.forget(e.key)
	if onBreak != nil {
		onBreak()
	}
}

// Close ends the stream. What was written still arrives, unless SetLinger(0) was
// called and the peer has not ended its writing. The error is always nil.
func (e *endpoint) Close() error {
	e.mu.Lock()
	if e.state.final() {
		e.mu.Unlock()
		return nil
	}
	if e.linger || e.state.remoteEnded() {
		e.endWrites()
	} else {
		e.node.sender.drop(&e.queue)
		e.say(kindBreak, 0, nil)
	}
	e.finish(eventCloses, net.ErrClosed)
	e.mu.Unlock()
	e.node.forget(e.key)
	return nil
}

// finish makes the state final and drops what was not read. The caller holds mu.
func (e *endpoint) finish(ev event, why error) {
	e.state, e.err = e.state.after(ev), why
	e.in.queue, e.onBreak = nil, nil
	e.stopDeadlines()
	e.changed.Broadcast()
}

// CloseWrite ends the writing: the peer reads what was written, then the end.
// What the peer has written until it hears of the end can be read.
func (e *endpoint) CloseWrite() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.state.final() {
		e.endWrites()
		e.changed.Broadcast()
	}
}

// endWrites tells the peer once that this node writes no more. The caller holds mu.
func (e *endpoint) endWrites() {
	if !e.state.localEnded() {
		e.state = e.state.after(eventLocalEnds)
		e.say(kindEnd, e.out.messages, nil)
	}
}

// SetLinger is as of a [net.TCPConn]: with 0, Close drops what the peer has not read.
func (e *endpoint) SetLinger(seconds int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.linger = seconds != 0
	return nil
}

// breaking sets what is called, without any lock, if the stream breaks. It
// reports whether the stream is still there; if not, nothing is called.
func (e *endpoint) breaking(onBreak func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state.final() {
		return false
	}
	e.onBreak = onBreak
	return true
}

// over reports whether the peer hears no more.
func (e *endpoint) over() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state.final() || e.state.remoteEnded()
}

// cause returns why the stream is no more, or nil.
func (e *endpoint) cause() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

package relay

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/budget"
)

// An endpoint is the part of a [stream] whose methods never wait: its state, its windows, and the
// messages and calls that change them. Messages to the peer, the node at the other end, go into a
// queue of the sender. It is safe for concurrent use.
type endpoint struct {
	key
	node *local

	mu      sync.Mutex // taken before the sender's mu; no other lock is taken under it
	changed sync.Cond  // on mu: the state, the bytes to read, the room to write or a deadline has changed
	// Guarded by mu.
	state   state
	err     error // why the state is final; nil before
	in      inbound
	out     outbound
	linger  bool   // whether Close still delivers the bytes written
	onBreak func() // called once if the stream breaks; may be nil
	deadlines

	queue sendQueue // guarded by the sender's mu
}

// A key identifies a stream at this node. Each node numbers the streams that it opens.
type key struct {
	peer   string // the name of the other node
	id     uint64 // given by the node that opened the stream
	opened bool   // whether this node opened it
}

// A local holds what all streams of this node share.
type local struct {
	name   string // of this node
	sender *sender
	budget *budget.Budget // [Node.Budget]
	forget func(key)      // called when a stream has ended, with no lock held
}

// Reasons why a stream breaks.
var (
	errNobody = errors.New("relay: no node has this name")
	errLost   = errors.New("relay: a message was lost")
	errBroken = errors.New("relay: the other node broke the stream")
	errSilent = errors.New("relay: the other node sends no messages")
	errBus    = errors.New("relay: the connection to NATS was lost")
	errMemory = errors.New("relay: the memory of this node is full, and the browser reads slowly")
	errSend   = errors.New("relay: a message could not be published on NATS")
)

// enqueue queues a message about the stream for the peer. The caller holds mu.
func (e *endpoint) enqueue(kind byte, number uint64, data []byte) {
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

// sent is called by the sender when a message was published, or could not be.
func (e *endpoint) sent(m outgoing, err error) {
	if err != nil {
		if m.kind == kindOpen || m.kind == kindData {
			e.fail(fmt.Errorf("%w: %w", errSend, err), true)
		}
		// Other messages are not sent again: the pulse breaks the stream after the reconnect.
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

// open queues the message that asks the peer to accept the stream. It must be called once, before
// any other method.
func (e *endpoint) open() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state == stateOpening { // else the node has been closed since
		e.enqueue(kindOpen, 0, nil)
	}
}

// receive handles a message of the peer. An invalid one breaks the stream.
func (e *endpoint) receive(m message) {
	if why := e.apply(m); why != nil {
		e.fail(why, !errors.Is(why, errBroken))
	}
}

// apply applies a message of the peer. An error is the reason why the stream must break.
func (e *endpoint) apply(m message) error {
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
		if err := e.in.charge(e.node.budget); err != nil {
			return err
		}
		if m.kind == kindEnd {
			e.state = e.state.after(eventRemoteEnds)
		}
	case kindRead:
		if err := e.out.peerRead(m.number); err != nil {
			return err
		}
	case kindBreak:
		return errBroken
	}
	e.changed.Broadcast()
	return nil
}

// fail breaks the stream for the given reason and drops the messages not sent yet. If tell is set,
// it tells the peer.
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
		e.enqueue(kindBreak, 0, nil)
	}
	e.mu.Unlock()
	e.node.forget(e.key)
	if onBreak != nil {
		onBreak()
	}
}

// Close ends the stream. Bytes already written are still delivered, unless SetLinger(0) was called
// and the peer still writes. The error is always nil.
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
		e.enqueue(kindBreak, 0, nil)
	}
	e.finish(eventCloses, net.ErrClosed)
	e.mu.Unlock()
	e.node.forget(e.key)
	return nil
}

// finish makes the state final and drops the bytes that were not read. The caller holds mu.
func (e *endpoint) finish(ev event, why error) {
	e.state, e.err = e.state.after(ev), why
	e.in.drop(e.node.budget)
	e.onBreak = nil
	e.stopDeadlines()
	e.changed.Broadcast()
}

// CloseWrite ends the writing direction. The peer reads the bytes written before, then io.EOF.
// Reading goes on until the peer ends its own direction.
func (e *endpoint) CloseWrite() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.state.final() {
		e.endWrites()
		e.changed.Broadcast()
	}
}

// endWrites tells the peer, once, that this node writes no more. The caller holds mu.
func (e *endpoint) endWrites() {
	if !e.state.localEnded() {
		e.state = e.state.after(eventLocalEnds)
		e.enqueue(kindEnd, e.out.messages, nil)
	}
}

// SetLinger sets what Close does, as that of a [net.TCPConn]: with 0, Close drops bytes that were
// not delivered. Any other value means that Close delivers them. The error is always nil.
func (e *endpoint) SetLinger(seconds int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.linger = seconds != 0
	return nil
}

// setOnBreak sets the function that is called, with no lock held, if the stream breaks. It returns
// false, and sets nothing, if the stream has ended already.
func (e *endpoint) setOnBreak(onBreak func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state.final() {
		return false
	}
	e.onBreak = onBreak
	return true
}

// peerDone reports whether the peer reads no more: it has ended its writing, or the stream has
// ended.
func (e *endpoint) peerDone() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state.final() || e.state.remoteEnded()
}

// cause returns why the stream has ended, or nil if it has not.
func (e *endpoint) cause() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

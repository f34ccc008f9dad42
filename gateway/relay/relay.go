// Package relay lets any node answer any request of a session: one that gets
// a request of a session on another node passes it on over NATS.
//
//	browser ──▶ balancer ──▶ this node ──Pass──▶ stream ──NATS──▶ stream ──http.Server──▶ the session's node
//
// A stream is a connection made of NATS messages, with a window in each
// direction. On it goes what goes between any HTTP client and server, so that
// the session's node answers as if the browser had asked it itself: polls that
// wait, bodies of any size, a browser that goes away, websockets.
// docs/decisions/0009 says why so.
//
// The parts, each in the file of its name; an arrow says what calls what:
//
//	pass ──▶ pipes ──▶ stream ──▶ endpoint ──▶ sender ──▶ NATS    requests and answers go out
//	NATS ──▶ relay ──▶ table, endpoint, listener                  messages come in
//	pulse ──▶ peers, table                                        the death of a node is noticed
//
// A lock is held for some steps in memory, never while NATS, a browser's
// connection or another goroutine is waited for. nats.go keeps its callers
// waiting while it connects. So only goroutines that hold no lock call it: the
// sender, the pulse, and the callers of [Node.Start] and [Node.Close]. The order
// in which locks are taken:
//
//	table.mu, then peers.mu
//	endpoint.mu, then sender.mu
//
// No other two are held together; pipes.mu is held alone.
package relay

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

// A Node passes on the requests of other nodes' sessions, and answers those
// that other nodes pass on to it. It is safe for concurrent use.
type Node struct {
	// Name is what the ids of this node's sessions begin with: 16 characters
	// 0-9, a-f, made at random by New.
	Name string

	nc      *nats.Conn
	log     *slog.Logger
	metrics *metrics

	local    *local
	peers    *peers
	table    *table
	sender   *sender
	pipes    *pipes
	listener *listener
	pulse    pulse

	// Set by Start.
	server  *http.Server
	subs    []*nats.Subscription
	stop    chan struct{}  // ends the pulse
	running sync.WaitGroup // the pulse and the server
	sending sync.WaitGroup // the sender, which ends last
}

// New returns a node that does nothing before Start. limit bounds the streams
// that this node opens, and likewise those that other nodes open to it; 0 is no
// limit. nc stays the caller's to close.
func New(nc *nats.Conn, limit int, log *slog.Logger, reg prometheus.Registerer) *Node {
	var random [nameLength / 2]byte
	_, _ = rand.Read(random[:]) // never fails
	name := hex.EncodeToString(random[:])
	n := &Node{
		Name: name, nc: nc, log: log,
		peers: newPeers(), sender: newSender(nc.PublishMsg), pipes: newPipes(), listener: newListener(name),
		stop: make(chan struct{}),
	}
	n.table = newTable(limit, n.peers)
	n.pulse = pulse{name: name, nc: nc, table: n.table, peers: n.peers}
	n.local = &local{name: name, sender: n.sender, forget: n.table.forget}
	n.metrics = newMetrics(reg, n)
	return n
}

// Start subscribes to what other nodes say; handler answers the requests that
// they pass on. Close must follow if the error is nil, and must not otherwise:
// then nothing runs.
func (n *Node) Start(handler http.Handler) error {
	for subject, handle := range map[string]nats.MsgHandler{
		subjectOf(n.Name):       n.receive,
		subjectNobodies(n.Name): n.receiveNobody,
	} {
		sub, err := n.nc.Subscribe(subject, handle)
		if err != nil {
			n.unsubscribe()
			return fmt.Errorf("subscribe %q: %w", subject, err)
		}
		n.subs = append(n.subs, sub)
	}
	n.server = newServer(handler, n.log)
	n.sending.Go(n.sender.run)
	n.running.Go(func() { _ = n.server.Serve(n.listener) })
	n.running.Go(func() { n.pulse.run(n.stop) })
	return nil
}

// Close breaks all streams and returns when nothing runs any more. The sessions
// of this node must have ended before. Close waits for NATS while nats.go
// connects, and for handlers at most for closeTime.
func (n *Node) Close() {
	close(n.stop)
	n.table.close()
	n.pipes.stop()
	n.unsubscribe()
	n.table.breakAll(net.ErrClosed, func(key) bool { return true })
	shutdown(n.server)
	n.pipes.running.Wait()
	n.running.Wait()
	n.sender.close()
	n.sending.Wait()
}

func (n *Node) unsubscribe() {
	for _, sub := range n.subs {
		_ = sub.Unsubscribe()
	}
	n.subs = nil
}

// open opens a stream to another node. It waits until NATS has taken the message
// that does so; whether the node exists shows only in the use of the stream.
func (n *Node) open(to string) (*stream, error) {
	s, err := n.table.open(n.local, to)
	if err != nil {
		return nil, err
	}
	s.open()
	if err := s.awaitOpen(); err != nil {
		return nil, err
	}
	return s, nil
}

// receive takes a message of another node. It waits for nothing.
func (n *Node) receive(msg *nats.Msg) {
	m, err := parse(msg.Data)
	if err != nil {
		return
	}
	n.peers.heard(m.from)
	k := key{m.from, m.id, m.origin == fromAcceptor}
	s := n.table.find(k)
	switch {
	case s != nil && m.kind != kindOpen:
		s.hear(m)
	case s != nil: // an open that came twice
	case m.kind == kindOpen && !k.opened && n.table.accept(n.local, k, n.listener.offer):
	case m.kind == kindOpen, m.kind == kindData:
		// The other node has to know that there is no such stream here.
		refuse(n.local, k)
	}
}

// receiveNobody takes from NATS that there is no such node as a stream was opened to.
func (n *Node) receiveNobody(msg *nats.Msg) {
	if msg.Header.Get("Status") != "503" {
		return
	}
	if id, ok := streamOf(msg.Subject); ok {
		n.table.breakAll(errNobody, func(k key) bool { return k.opened && k.id == id })
	}
}

// Drain ends the websockets that lead to other nodes evenly over the time
// given, each when the browser has what the session's node had sent: their
// browsers come back to other nodes one after the other. From its call on, Pass
// passes on POSTs only: polls and websockets would have to end with this node,
// and a browser that has just come back elsewhere would lose its connection
// again. Drain returns when the websockets have ended, when ctx is done, or half
// a second after the time given.
func (n *Node) Drain(ctx context.Context, over time.Duration) { n.pipes.drain(ctx, over) }

// Pipes returns how many websockets lead to other nodes. It waits for nothing.
func (n *Node) Pipes() int { return n.pipes.len() }

// Streams returns how many streams there are, in both directions. It waits for nothing.
func (n *Node) Streams() int { return n.table.len() }

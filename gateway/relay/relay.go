// Package relay lets a browser send the requests of its session to any node, so that a balancer
// needs no sticky sessions. A node that gets a request of a session on another node passes it on to
// that node over NATS.
//
//	browser ──▶ balancer ──▶ this node ──Pass──▶ stream ──NATS──▶ stream ──http.Server──▶ the session's node
//
// A stream is a connection between two nodes made of NATS messages, with a window in each
// direction. It carries HTTP, so the session's node answers the request like one that came directly
// from the browser. That includes long polls, bodies of any size, aborted requests and websockets.
// docs/decisions/0009 gives the reasons.
//
// The parts, each in the file of its name. An arrow points from the caller to the called:
//
//	pass ──▶ pipes ──▶ stream ──▶ endpoint ──▶ sender ──▶ NATS    requests and answers go out
//	NATS ──▶ relay ──▶ table, endpoint, listener                  messages come in
//	pulse ──▶ peers, table                                        dead nodes are detected
//
// No lock is held while a goroutine waits for NATS, for a browser's connection or for another
// goroutine. nats.go blocks its callers while it connects. So only these call it, without holding a
// lock: the sender, the pulse, and the callers of [Node.Start] and [Node.Close]. Locks are taken in
// this order:
//
//	table.mu, then peers.mu
//	endpoint.mu, then sender.mu
//
// No other two are held at the same time; pipes.mu is held alone.
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

	"github.com/ramainen/doit-socket/internal/budget"
)

// A Node passes requests of other nodes' sessions on to these nodes, and answers the requests that
// other nodes pass on to it. It is safe for concurrent use, except for Start and Close.
type Node struct {
	// Name is random, made by New: 16 characters 0-9 and a-f. The ids of this
	// node's sessions begin with it.
	Name string
	// Budget counts what waits for slow browsers of sessions on other nodes; nil has no limit. It must be
	// set before Start. A stream for which there is no room breaks.
	Budget *budget.Budget

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

// New returns a node that does nothing before Start. limit is the maximum number of streams that
// this node opens, and also of those that other nodes open to it; 0 means no limit. The caller
// closes nc.
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

// Start subscribes to the messages of other nodes and starts the node's goroutines. handler answers
// the requests that other nodes pass on. After an error nothing runs, and Close must not be called.
// Otherwise the caller must call Close.
func (n *Node) Start(handler http.Handler) error {
	n.local.budget = n.Budget
	n.Budget.AddHolders(n.table.holders)
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

// Close breaks all streams and returns when the node's goroutines have ended. The caller ends the
// sessions of this node first. Close waits for handlers for 5 seconds at most, and for nats.go
// while that connects.
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

// open opens a stream to another node. It waits until the opening message is published. If no node
// has this name, the stream breaks later with errNobody.
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

// receive handles a message of another node. It never waits.
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
		s.receive(m)
	case s != nil: // a second kindOpen: ignored
	case m.kind == kindOpen && !k.opened && n.table.accept(n.local, k, n.listener.offer):
	case m.kind == kindOpen, m.kind == kindData:
		// Tell the other node that this node does not have the stream.
		refuse(n.local, k)
	}
}

// receiveNobody handles NATS's answer "no responders" to a kindOpen: no node has the name that the
// stream was opened to.
func (n *Node) receiveNobody(msg *nats.Msg) {
	if msg.Header.Get("Status") != "503" {
		return
	}
	id, ok := streamOf(msg.Subject)
	if !ok {
		return
	}
	if s := n.table.findOpened(id); s != nil {
		s.fail(errNobody, true)
	}
}

// Drain ends the websockets whose sessions are on other nodes, one by one, evenly over the given
// time. Their browsers still get the bytes that the session's node had sent, and then reconnect to
// other nodes. Once Drain is called, Pass passes on POSTs only: a new poll or websocket would lose
// its connection again when this node stops. Drain returns when the websockets have ended, when ctx
// is done, or half a second after the given time.
func (n *Node) Drain(ctx context.Context, over time.Duration) { n.pipes.drain(ctx, over) }

// Pipes returns how many websockets at this node have their sessions on other nodes. It never
// waits.
func (n *Node) Pipes() int { return n.pipes.len() }

// Streams returns how many streams this node has, opened by itself or by other nodes. It never
// waits.
func (n *Node) Streams() int { return n.table.len() }

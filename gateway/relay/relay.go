// Package relay lets any node answer any request of a session: one that gets
// a request of a session on another node passes it on over NATS.
//
//	browser ──▶ balancer ──▶ this node ──Pass──▶ stream ──NATS──▶ stream ──http.Server──▶ the node that has the session
//
// A stream is a connection made of NATS messages, with a window in each
// direction. On it goes what goes between any HTTP client and server, so that
// the node that has the session answers as if the browser had asked it itself:
// polls that wait, bodies of any size, a browser that goes away, websockets.
// docs/decisions/0009 says why so.
package relay

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// prefix of the subject on which a node hears. After its name may stand
	// ".nobody.<stream>", where NATS says that there is no such node.
	prefix = "doit.node."

	// pulse is how often nodes with streams between them say that they are there.
	pulse = time.Second
	// silence is after how long without a word a node is taken for dead.
	silence = 5 * time.Second

	// headTime bounds the time that the head of a passed request may take to come.
	headTime = 10 * time.Second
	maxHead  = 16 << 10

	// closeTime bounds the wait for requests that others have passed on; they end at once.
	closeTime = 5 * time.Second
)

var (
	errNobody = errors.New("relay: there is no such node")
	errLost   = errors.New("relay: a message was lost")
	errBroken = errors.New("relay: broken by the other node")
	errSilent = errors.New("relay: the other node is silent")
	errBus    = errors.New("relay: the connection to NATS was lost")
	errFull   = errors.New("relay: too many streams")
)

// A Node passes on requests, and answers those of others. It is safe for concurrent use.
type Node struct {
	// Name is what the ids of this node's sessions begin with: 16 characters
	// 0-9, a-f. Another start has another one.
	Name string

	nc      *nats.Conn
	limit   int // streams in each direction; 0 is no limit
	log     *slog.Logger
	metrics *metrics

	server   *http.Server
	accepted chan net.Conn  // sent to under mu, unless closed
	running  sync.WaitGroup // the pulse, the server, and two for each pipe
	stop     chan struct{}
	subs     []*nats.Subscription

	mu sync.Mutex
	// Guarded by mu.
	closed   bool
	draining bool // no websocket and no poll is passed on any more
	lastID   uint64
	opened   int // streams that this node has opened
	streams  map[key]*stream
	pipes    map[*stream]struct{} // those that a websocket goes through, on the side of its browser
	peers    map[string]*peer
}

// A peer is another node, as long as there are streams.
type peer struct {
	streams int
	last    time.Time // when it was heard
}

// New returns a node that hears nothing yet. limit bounds the streams that
// this node opens, and those that others may open to it; 0 is no limit.
func New(nc *nats.Conn, limit int, log *slog.Logger, reg prometheus.Registerer) *Node {
	var name [nameLength / 2]byte
	_, _ = rand.Read(name[:]) // never fails
	n := &Node{
		Name: hex.EncodeToString(name[:]), nc: nc, limit: limit, log: log,
		accepted: make(chan net.Conn, 1024), stop: make(chan struct{}),
		streams: make(map[key]*stream), pipes: make(map[*stream]struct{}), peers: make(map[string]*peer),
	}
	n.metrics = newMetrics(reg, n)
	return n
}

// Serve begins to hear other nodes; handler answers the requests that they pass on. Close must follow.
func (n *Node) Serve(handler http.Handler) error {
	n.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headTime,
		MaxHeaderBytes:    maxHead,
		ErrorLog:          slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}
	for subject, handle := range map[string]nats.MsgHandler{prefix + n.Name: n.receive, n.subjectNobody("*"): n.notThere} {
		sub, err := n.nc.Subscribe(subject, handle)
		if err != nil {
			return fmt.Errorf("subscribe %q: %w", subject, err)
		}
		n.subs = append(n.subs, sub)
	}
	n.running.Go(func() { _ = n.server.Serve(listener{n}) })
	n.running.Go(n.keep)
	return nil
}

// Close ends all streams and returns when nothing runs any more. The sessions
// of this node must have ended before.
func (n *Node) Close() {
	n.mu.Lock()
	n.closed = true
	close(n.accepted)
	n.mu.Unlock()
	close(n.stop)
	for _, sub := range n.subs {
		_ = sub.Unsubscribe()
	}
	n.breakAll(net.ErrClosed, func(key) bool { return true })
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	_ = n.server.Shutdown(ctx) // waits for the handlers; their connections are broken
	n.running.Wait()
}

// A listener takes the streams that other nodes open.
type listener struct{ node *Node }

func (l listener) Accept() (net.Conn, error) {
	if c, ok := <-l.node.accepted; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l listener) Close() error   { return nil }
func (l listener) Addr() net.Addr { return address(l.node.Name) }

// nobody is where NATS says that nobody hears the opening of a stream.
func (n *Node) nobody(id uint64) string { return n.subjectNobody(strconv.FormatUint(id, 10)) }

func (n *Node) subjectNobody(id string) string { return prefix + n.Name + ".nobody." + id }

func (n *Node) publish(to, reply string, m message) error {
	return n.nc.PublishMsg(&nats.Msg{
		Subject: prefix + to, Reply: reply,
		Data: m.append(make([]byte, 0, headLength+len(m.data))),
	})
}

// open begins a stream to another node. Whether there is one, only its use tells.
func (n *Node) open(to string) (*stream, error) {
	n.mu.Lock()
	if n.closed || n.limit > 0 && n.opened >= n.limit {
		n.mu.Unlock()
		return nil, errFull
	}
	n.lastID++
	s := newStream(n, key{to, n.lastID, true})
	n.opened++
	n.add(s)
	n.mu.Unlock()

	s.mu.Lock()
	err := s.say(kindOpen, 0, nil)
	s.mu.Unlock()
	if err != nil {
		s.fail(err, false)
		return nil, err
	}
	return s, nil
}

// add makes a stream known. The caller holds mu.
func (n *Node) add(s *stream) {
	n.streams[s.key] = s
	if n.peers[s.peer] == nil {
		n.peers[s.peer] = &peer{last: time.Now()}
	}
	n.peers[s.peer].streams++
}

// forget is called once for each stream, when it has ended.
func (n *Node) forget(s *stream) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.streams[s.key] != s {
		return
	}
	delete(n.streams, s.key)
	if s.key.opened {
		n.opened--
	}
	p := n.peers[s.peer]
	if p.streams--; p.streams == 0 {
		delete(n.peers, s.peer)
	}
}

// receive takes what another node says. It never waits for a stream.
func (n *Node) receive(msg *nats.Msg) {
	m, err := parse(msg.Data)
	if err != nil {
		return
	}
	k := key{m.from, m.id, m.origin == fromAcceptor}
	n.mu.Lock()
	if p := n.peers[m.from]; p != nil {
		p.last = time.Now()
	}
	s := n.streams[k]
	if s == nil && m.kind == kindOpen && n.accept(k) {
		n.mu.Unlock()
		return
	}
	n.mu.Unlock()
	switch {
	case s != nil && m.kind != kindOpen:
		s.hear(m)
	case m.kind == kindOpen && s == nil, m.kind == kindData:
		// The other side has to know that this one does not.
		s := newStream(n, k)
		s.mu.Lock()
		_ = s.say(kindBreak, 0, nil)
		s.mu.Unlock()
	}
}

// accept takes a stream that another node opens. The caller holds mu.
func (n *Node) accept(k key) bool {
	if n.closed || k.opened || n.limit > 0 && len(n.streams)-n.opened >= n.limit {
		return false
	}
	s := newStream(n, k)
	select {
	case n.accepted <- s:
		n.add(s)
		return true
	default:
		return false
	}
}

// notThere hears from NATS that there is no such node as a stream was opened to.
func (n *Node) notThere(msg *nats.Msg) {
	if msg.Header.Get("Status") != "503" {
		return
	}
	id, err := strconv.ParseUint(msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:], 10, 64)
	if err == nil {
		n.breakAll(errNobody, func(k key) bool { return k.opened && k.id == id })
	}
}

// breakAll ends the streams that are meant.
func (n *Node) breakAll(why error, meant func(key) bool) {
	n.mu.Lock()
	var broken []*stream
	for k, s := range n.streams {
		if meant(k) {
			broken = append(broken, s)
		}
	}
	n.mu.Unlock()
	for _, s := range broken {
		s.fail(why, true)
	}
}

// keep is the pulse: it tells the other nodes that this one is there, and
// notices when they, or the bus, are not.
func (n *Node) keep() {
	tick := time.NewTicker(pulse)
	defer tick.Stop()
	reconnects := n.nc.Stats().Reconnects
	for {
		select {
		case <-tick.C:
		case <-n.stop:
			return
		}
		if now := n.nc.Stats().Reconnects; now != reconnects {
			// Nobody knows what was lost meanwhile.
			reconnects = now
			n.breakAll(errBus, func(key) bool { return true })
		}
		dead := make(map[string]bool)
		n.mu.Lock()
		for name, p := range n.peers {
			if time.Since(p.last) > silence {
				dead[name] = true
				continue
			}
			_ = n.publish(name, "", message{kind: kindAlive, origin: fromOpener, from: n.Name})
		}
		n.mu.Unlock()
		if len(dead) > 0 {
			n.breakAll(errSilent, func(k key) bool { return dead[k.peer] })
		}
	}
}

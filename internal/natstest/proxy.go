package natstest

import (
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// A Proxy stands between clients and a server, to be a network that fails.
type Proxy struct {
	listener net.Listener
	server   string

	mu    sync.Mutex
	moved *sync.Cond // something of the following has changed
	// Guarded by mu.
	up, down bool // what goes to the server, or to the clients, stands still
	conns    []net.Conn
}

// StartProxy starts a proxy that ends with the test.
func StartProxy(t testing.TB, s *server.Server) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: listener, server: s.Addr().String()}
	p.moved = sync.NewCond(&p.mu)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			bus, err := net.Dial("tcp", p.server)
			if err != nil {
				_ = client.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, bus)
			p.mu.Unlock()
			running.Go(func() { p.pass(bus, client, &p.up) })
			running.Go(func() { p.pass(client, bus, &p.down) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.Freeze(false, false)
		p.Cut()
		running.Wait()
	})
	return p
}

// URL is for the clients.
func (p *Proxy) URL() string { return "nats://" + p.listener.Addr().String() }

// Freeze makes what goes up to the server, or down to the clients, stand still or go on.
// What the network has taken is kept.
func (p *Proxy) Freeze(up, down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up, p.down = up, down
	p.moved.Broadcast()
}

// Cut breaks all connections and forgets what stood still.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
	p.moved.Broadcast()
}

func (p *Proxy) pass(to, from net.Conn, frozen *bool) {
	defer func() { _, _ = to.Close(), from.Close() }()
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		p.mu.Lock()
		for *frozen && slices.Contains(p.conns, to) {
			p.moved.Wait()
		}
		gone := !slices.Contains(p.conns, to)
		p.mu.Unlock()
		if gone {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

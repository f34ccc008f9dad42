package natstest

import (
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// A Proxy forwards TCP connections between NATS clients and a server. It simulates a failing
// network.
type Proxy struct {
	listener net.Listener
	server   string

	mu    sync.Mutex
	moved *sync.Cond // on mu: one of the following has changed
	// Guarded by mu.
	up, down bool       // whether bytes to the server, or to the clients, are held back
	conns    []net.Conn // both ends of the open connections
}

// StartProxy starts a proxy in front of s and stops it at the end of the test.
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

// URL returns the address that clients connect to.
func (p *Proxy) URL() string { return "nats://" + p.listener.Addr().String() }

// Freeze holds back bytes to the server if up is set, and bytes to the clients if down is set.
// Bytes held back are forwarded when Freeze releases their direction.
func (p *Proxy) Freeze(up, down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up, p.down = up, down
	p.moved.Broadcast()
}

// Cut closes all connections and drops the bytes held back.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
	p.moved.Broadcast()
}

// pass forwards bytes until either connection ends. It holds them back while *frozen is set.
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

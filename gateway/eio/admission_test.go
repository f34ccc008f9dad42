package eio

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/ramainen/doit-socket/internal/visitor"
)

const (
	onPolling   = "EIO=4&transport=polling"
	onWebsocket = "EIO=4&transport=websocket"
)

// from returns the app as browsers on another address of this machine see it.
func (a *app) from(address string) *app {
	b := *a
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	b.dial = func() (net.Conn, error) { return dialer.Dial("tcp", a.listen.Addr().String()) }
	return &b
}

// refusing records the last refusal.
func (a *app) refusing() *atomic.Value {
	last := &atomic.Value{}
	last.Store(Refusal(""))
	a.OnRefuse = func(why Refusal) { last.Store(why) }
	return last
}

// wantRefused checks that handshakes are refused on polling and websocket, and checks the answer.
func (a *app) wantRefused(why Refusal, last *atomic.Value) {
	a.t.Helper()
	before := a.Sessions()
	for what, ask := range map[string]func() answer{
		"polling": func() answer {
			return a.newPoller(onPolling).request(http.MethodGet, "", "Origin", "https://shop.example")
		},
		"websocket": func() answer { return a.handshake(onWebsocket, "Origin", "https://shop.example") },
	} {
		got := ask()
		want := refusals[why]
		body, _ := json.Marshal(protocolError{4, want.message})
		wantAnswer(a.t, string(why)+" on "+what, got, want.status, string(body)+"\n")
		h := got.header
		if h.Get("Retry-After") != want.retryAfter || h.Get("Content-Type") != "application/json" || h.Get("Access-Control-Allow-Origin") != "https://shop.example" {
			a.t.Errorf("%s on %s: %v", why, what, h)
		}
		if got := last.Swap(Refusal("")); got != why {
			a.t.Errorf("%s on %s: told of %q", why, what, got)
		}
	}
	if n := a.Sessions(); n != before {
		a.t.Errorf("%s: %d sessions, there were %d", why, n, before)
	}
}

// wantNobody checks that every address has been released, once.
func (a *app) wantNobody() {
	a.t.Helper()
	until(a.t, "nobody to be admitted", func() bool {
		sockets, addresses := a.admission.Sockets()
		return sockets == 0 && addresses == 0
	})
}

func TestMaxSockets(t *testing.T) {
	a := start(t, func(c *config) { c.MaxSockets = 2 })
	last := a.refusing()
	w, p := a.socket(4), a.poll(4)
	a.wantRefused(RefusedSockets, last)
	a.from("127.0.0.2").wantRefused(RefusedSockets, last)

	// Open sessions are not affected, and an upgrade is not a new session.
	up := p.probed()
	up.send("5")
	up.send("4up")
	up.want("4up")
	w.send("4fence")
	w.want("4fence")
	// A request that is not a handshake is answered as before and not counted.
	for range 3 {
		wantAnswer(t, "an unknown sid", a.newPoller(onPolling+"&sid=x").get(), http.StatusBadRequest, `{"code":1,"message":"Session ID unknown"}`+"\n")
	}

	w.raw(masked(ws.OpClose, true, nil))
	a.wantClose(ReasonClient)
	a.poll(4)
	a.wantRefused(RefusedSockets, last)
}

func TestMaxSocketsPerAddress(t *testing.T) {
	a := start(t, func(c *config) { c.MaxSocketsPerAddress, c.LimitLoopback = 2, true })
	last := a.refusing()
	w := a.socket(4)
	a.poll(4)
	a.wantRefused(RefusedAddressSockets, last)
	neighbour := a.from("127.0.0.2")
	one := neighbour.socket(4)
	neighbour.socket(4)
	neighbour.wantRefused(RefusedAddressSockets, last)

	w.raw(masked(ws.OpClose, true, nil))
	a.wantClose(ReasonClient)
	neighbour.wantRefused(RefusedAddressSockets, last)
	a.poll(4)
	a.wantRefused(RefusedAddressSockets, last)
	one.send("4fence")
	one.want("4fence")
}

// Loopback addresses do not count without LimitLoopback; 0 means no limit.
func TestExempt(t *testing.T) {
	for name, change := range map[string]func(*config){
		"loopback": func(c *config) { c.MaxSocketsPerAddress, c.MaxHandshakesPerAddress = 1, 1 },
		"no limit": func(c *config) {
			c.MaxSockets, c.MaxSocketsPerAddress, c.MaxHandshakesPerAddress, c.LimitLoopback = 0, 0, 0, true
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t, change)
			for range 15 {
				a.poll(4)
			}
		})
	}
}

// Behind a proxy on this machine, which nobody has named, every browser counts by its own address, one of IPv6 by its
// /64. A forwarded loopback address is not exempt.
func TestAddressBehindProxy(t *testing.T) {
	a := start(t, func(c *config) { c.MaxSocketsPerAddress = 1 })
	for _, c := range []struct {
		forwarded string
		status    int
	}{
		{"198.51.100.1", http.StatusOK},
		{"198.51.100.1", http.StatusTooManyRequests},
		{"8.8.8.8, 198.51.100.1", http.StatusTooManyRequests},
		{"::ffff:198.51.100.1", http.StatusTooManyRequests},
		{"198.51.100.2", http.StatusOK},
		{"2001:db8:1:2::1", http.StatusOK},
		{"2001:db8:1:2:ffff::1", http.StatusTooManyRequests},
		{"2001:db8:1:3::1", http.StatusOK},
		{"127.0.0.1", http.StatusOK},
		{"127.0.0.1", http.StatusTooManyRequests},
		{"198.51.100.4, 127.0.0.1", http.StatusTooManyRequests},
	} {
		got := a.newPoller(onPolling).request(http.MethodGet, "", "X-Forwarded-For", c.forwarded)
		if got.status != c.status {
			t.Errorf("%s on polling: %v, want %d", c.forwarded, got, c.status)
		}
		// Now its only place is taken.
		if got := a.handshake(onWebsocket, "X-Forwarded-For", c.forwarded); got.status != http.StatusTooManyRequests {
			t.Errorf("%s on websocket: %v", c.forwarded, got)
		}
	}
	if got := a.handshake(onWebsocket, "X-Forwarded-For", "198.51.100.3"); got.status != http.StatusSwitchingProtocols {
		t.Errorf("another one: %v", got)
	}
}

// The address is released once, however the connection ends or fails to open.
func TestAddressesAreGivenBack(t *testing.T) {
	a := start(t, func(c *config) { c.LimitLoopback, c.MaxHandshakesPerAddress, c.MaxSocketsPerAddress = true, 0, 6 })
	go func() {
		for range a.opened { // these are not waited for
		}
	}()
	defer close(a.opened)
	var all sync.WaitGroup
	for i := range 8 {
		b := a.from(fmt.Sprintf("127.0.0.%d", 2+i%2))
		all.Go(func() {
			for j := range 40 {
				switch (i + j) % 5 {
				case 0: // a websocket, reset
					if w, _ := b.connect("EIO=4", nil); w != nil {
						_ = w.conn.(*net.TCPConn).SetLinger(0)
						_ = w.conn.Close()
					}
				case 1: // a websocket, closed in order
					if w, _ := b.connect("EIO=4", masked(ws.OpClose, true, nil)); w != nil {
						for _, _, err := w.next(); err == nil; _, _, err = w.next() {
						}
					}
				case 2: // no websocket after all
					b.newPoller(onWebsocket).request(http.MethodGet, "", "Upgrade", "h2c", "Connection", "Upgrade")
				case 3: // polling, closed
					p := b.newPoller(onPolling)
					if got := p.get(); got.status == http.StatusOK {
						p.query += "&sid=" + strings.Split(got.body, `"`)[3]
						p.post("1")
					}
				case 4: // polling, twice at a time
					p := b.newPoller(onPolling)
					if got := p.get(); got.status == http.StatusOK {
						p.query += "&sid=" + strings.Split(got.body, `"`)[3]
						one := later(p.get)
						p.get()
						<-one
					}
				}
			}
		})
	}
	all.Wait()
	a.wantNobody()
}

// A server that closes also releases the addresses of handshakes in progress.
func TestAddressesAreGivenBackAtTheEnd(t *testing.T) {
	for range 5 {
		a := start(t, func(c *config) { c.LimitLoopback, c.MaxHandshakesPerAddress = true, 0 })
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 10 {
					a.newPoller(onPolling).get()
				}
			})
			all.Go(func() {
				for range 10 {
					if w, _ := a.connect("EIO=4", nil); w != nil {
						_, _, _ = w.next()
					}
				}
			})
		}
		all.Go(a.Close)
		all.Wait()
		a.wantNobody()
		a.wantRefused(RefusedDraining, a.refusing())
	}
}

// addressed is a connection in memory with a remote address.
type addressed struct {
	net.Conn
	from net.Addr
}

func (c addressed) RemoteAddr() net.Addr { return c.from }

// startAddressed is startPiped with public remote addresses.
func startAddressed(t testing.TB, from func() string, change ...func(*config)) *app {
	p := pipes{make(chan net.Conn), make(chan struct{})}
	return startOn(t, p, func() (net.Conn, error) {
		here, there := net.Pipe()
		p.conns <- addressed{there, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from()), 1))}
		return here, nil
	}, change...)
}

// Ten seconds' worth at once, for an office that comes back, then the rate.
func TestMaxHandshakesPerAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := "198.51.100.1"
		a := startAddressed(t, func() string { return from }, func(c *config) { c.MaxHandshakesPerAddress = 4 })
		last := a.refusing()
		for i := range 40 {
			if i%2 == 0 {
				a.poll(4)
			} else {
				a.socket(4)
			}
		}
		a.wantRefused(RefusedAddressHandshakes, last)
		from = "198.51.100.2"
		a.socket(4)
		from = "198.51.100.1"
		a.wantRefused(RefusedAddressHandshakes, last)
		time.Sleep(time.Second / 4)
		a.poll(4)
		a.wantRefused(RefusedAddressHandshakes, last)
		time.Sleep(time.Second)
		for range 4 {
			a.socket(4)
		}
		a.wantRefused(RefusedAddressHandshakes, last)
	})
}

// Closing sessions gives back no handshakes, also not when very many other
// addresses come and go.
func TestHandshakesAreOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := ""
		a := startAddressed(t, func() string { return from }, func(c *config) { c.MaxHandshakesPerAddress = 1 })
		last := a.refusing()
		comeAndGo := func(address string) {
			from = address
			a.poll(4).session.Close("ours")
			a.wantClose("ours")
		}
		for range 10 {
			comeAndGo("198.51.100.1")
		}
		a.wantRefused(RefusedAddressHandshakes, last)
		for i := range 1200 {
			comeAndGo(fmt.Sprintf("203.0.%d.%d", i/256, i%256))
		}
		from = "198.51.100.1"
		a.wantRefused(RefusedAddressHandshakes, last)
		time.Sleep(visitor.Burst)
		for range 10 {
			comeAndGo("198.51.100.1")
		}
		a.wantRefused(RefusedAddressHandshakes, last)
	})
}

// A handshake that is admitted while the server closes is refused and released.
func TestAdmittedAtTheEnd(t *testing.T) {
	a := start(t, func(c *config) { c.MaxHandshakesPerAddress = 0 })
	admit := a.Admit
	a.Admit = func(r *http.Request) (netip.Addr, Refusal) {
		address, why := admit(r)
		if sockets, addresses := a.admission.Sockets(); sockets != 1 || addresses != 1 || why != "" {
			t.Errorf("%d sockets of %d addresses, %q", sockets, addresses, why)
		}
		a.Close()
		return address, why
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/socket.io/?"+onPolling, nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	a.wantNobody()
}

// A connection without an address is served like any other.
func TestNoAddress(t *testing.T) {
	a := start(t, func(c *config) { c.MaxSocketsPerAddress, c.LimitLoopback = 1, true })
	for _, remote := range []string{"", "@", "pipe", "1.2.3.4", "[::1", "@"} {
		r := httptest.NewRequest(http.MethodGet, "/socket.io/?EIO=4&transport=polling", nil)
		r.RemoteAddr = remote
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Errorf("%q: %d %s", remote, w.Code, w.Body)
		}
	}
}

package listen

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"
)

// A crowd is connections without sockets, and the listeners that they belong to.
type crowd struct {
	*connections
	public, emits *listener
}

func newCrowd(all, perAddress int) *crowd {
	exempt := func(a netip.Addr) bool { return a.IsLoopback() }
	cs := newConnections(connectionLimits{all, perAddress, maxHeads}, exempt, newConnectionMetrics(prometheus.NewRegistry()))
	return &crowd{cs, &listener{name: Public}, &listener{name: Emits, emits: true}}
}

// come is a new connection from a peer.
func (c *crowd) come(l *listener, peer string) (conn, victim *connection, why refusal) {
	conn = &connection{connections: c.connections, listener: l}
	victim, why = c.admit(conn, netip.MustParseAddr(peer))
	return conn, victim, why
}

// mustCome is come for one that is admitted while there is room.
func (c *crowd) mustCome(t *testing.T, peer string) *connection {
	t.Helper()
	conn, victim, why := c.come(c.public, peer)
	if victim != nil || why != admitted {
		t.Fatalf("refused for %d, or another was evicted: %v", why, victim != nil)
	}
	return conn
}

// What is closed first: new connections without a head after a second, then the
// one that has waited longest, new or idle. Busy ones are not.
func TestOrderOfEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const all = 44 // eleven may wait
		c := newCrowd(all, 0)
		for range all - 6 {
			c.busy(c.mustCome(t, "192.0.2.1"))
		}
		silent := c.mustCome(t, "192.0.2.1")
		time.Sleep(headPatience)
		var idle []*connection
		for range 2 {
			conn := c.mustCome(t, "192.0.2.1")
			c.busy(conn)
			c.idle(conn)
			idle = append(idle, conn)
			time.Sleep(time.Millisecond)
		}
		c.busy(idle[0])
		c.idle(idle[0]) // it is the younger one now
		time.Sleep(time.Millisecond)
		fresh := []*connection{c.mustCome(t, "192.0.2.1"), c.mustCome(t, "192.0.2.1")}
		time.Sleep(time.Millisecond)
		last := c.mustCome(t, "192.0.2.1")
		c.busy(last)
		c.idle(last) // it was used after the new ones had come
		for i, want := range []*connection{silent, idle[1], idle[0], fresh[0], fresh[1], last} {
			conn, victim, why := c.come(c.public, "192.0.2.1")
			if victim != want || why != admitted {
				t.Fatalf("%d: another one was evicted, or it is refused: %d", i, why)
			}
			c.busy(conn)
		}
		if _, victim, why := c.come(c.public, "192.0.2.1"); victim != nil || why != tooMany {
			t.Errorf("all are busy: %d, evicted %v", why, victim != nil)
		}
	})
}

// An address at its limit loses its own connections, and no other address does.
// An IPv6 address counts as its /64.
func TestConnectionsPerAddress(t *testing.T) {
	for name, peers := range map[string][2]string{
		"IPv4": {"192.0.2.1", "::ffff:192.0.2.1"}, "IPv6": {"2001:db8::1", "2001:db8::ffff:2"},
	} {
		c := newCrowd(1000, 2)
		older := c.mustCome(t, "198.51.100.1")
		own := c.mustCome(t, peers[0])
		c.busy(c.mustCome(t, peers[1]))
		conn, victim, why := c.come(c.public, peers[1])
		if victim != own || why != admitted || older.evicted.Load() {
			t.Errorf("%s: its own is not evicted: %d", name, why)
		}
		c.busy(conn)
		if _, victim, why := c.come(c.public, peers[0]); victim != nil || why != tooManyOfAddress {
			t.Errorf("%s: both are busy: %d", name, why)
		}
		c.release(conn)
		c.mustCome(t, peers[0])
		for range 10 {
			c.busy(c.mustCome(t, "127.0.0.1"))
			c.busy(c.mustCome(t, "::1"))
		}
	}
}

// Connections that wait for a request never have more than a part of all places.
func TestWaitingIsBounded(t *testing.T) {
	c := newCrowd(100, 0)
	first := c.mustCome(t, "192.0.2.1")
	for i := range 24 {
		c.mustCome(t, fmt.Sprintf("192.0.2.%d", i+2))
	}
	if _, victim, why := c.come(c.public, "198.51.100.1"); victim != first || why != admitted {
		t.Errorf("%d, evicted the first: %v", why, victim == first)
	}
	if n := c.waitersOf(c.public).length(); n != 25 {
		t.Errorf("%d wait", n)
	}
}

// Browsers cannot take the places that are reserved for the listener of emits.
func TestReservedForEmits(t *testing.T) {
	c := newCrowd(64, 0)
	c.reserve()
	for range 60 {
		c.busy(c.mustCome(t, "192.0.2.1"))
	}
	if _, _, why := c.come(c.public, "192.0.2.1"); why != tooMany {
		t.Errorf("a browser: %d", why)
	}
	for range 4 {
		conn, victim, why := c.come(c.emits, "192.0.2.1")
		if victim != nil || why != admitted {
			t.Fatalf("PHP: %d", why)
		}
		if _, victim, why := c.come(c.public, "192.0.2.1"); victim != nil || why != tooMany {
			t.Fatalf("a browser, while PHP has sent nothing yet: %d, evicted %v", why, victim != nil)
		}
		c.busy(conn)
	}
	if _, _, why := c.come(c.emits, "192.0.2.1"); why != tooMany {
		t.Errorf("the next one: %d", why)
	}
}

// After any sequence the counts are those of the connections that are open.
func TestConnectionsAreCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCrowd(rapid.IntRange(1, 20).Draw(t, "all"), rapid.IntRange(0, 5).Draw(t, "per address"))
		open := make(map[*connection]bool) // and whether it waits
		pick := func() *connection {
			for conn := range open {
				return conn
			}
			return &connection{connections: c.connections, listener: c.public} // one that was never admitted
		}
		t.Repeat(map[string]func(*rapid.T){
			"come": func(t *rapid.T) {
				conn, victim, why := c.come(c.public, fmt.Sprintf("192.0.2.%d", rapid.IntRange(1, 4).Draw(t, "peer")))
				if victim != nil && !open[victim] {
					t.Fatal("a busy connection is evicted, or one that was closed")
				}
				delete(open, victim)
				if why == admitted {
					open[conn] = true
				}
			},
			"busy": func(*rapid.T) {
				conn := pick()
				c.busy(conn)
				if _, ok := open[conn]; ok {
					open[conn] = false
				}
			},
			"idle": func(*rapid.T) {
				conn := pick()
				c.idle(conn)
				if _, ok := open[conn]; ok {
					open[conn] = true
				}
			},
			"close": func(*rapid.T) {
				conn := pick()
				c.release(conn)
				c.release(conn)
				delete(open, conn)
			},
			"": func(t *rapid.T) {
				waiting := 0
				for _, waits := range open {
					if waits {
						waiting++
					}
				}
				ofAddresses, waitingOfAddresses := 0, 0
				for _, a := range c.addresses {
					if a.open == 0 {
						t.Fatal("an address without connections is remembered")
					}
					if c.limits.perAddress > 0 && a.open > c.limits.perAddress {
						t.Fatalf("an address has %d", a.open)
					}
					ofAddresses += a.open
					waitingOfAddresses += a.waiting.length()
				}
				if c.open != len(open) || ofAddresses != len(open) || c.openOf(c.public) != len(open) || len(open) > c.limits.all {
					t.Fatalf("counted %d, by address %d, of the listener %d, want %d", c.open, ofAddresses, c.public.open, len(open))
				}
				if c.waitingAll() != waiting || waitingOfAddresses != waiting {
					t.Fatalf("%d wait, by address %d, want %d", c.waitingAll(), waitingOfAddresses, waiting)
				}
			},
		})
	})
}

// The limits that follow from flags and files.
func TestConnectionLimits(t *testing.T) {
	for _, c := range []struct {
		flag, perAddress, files, sockets int
		want                             connectionLimits
	}{
		{0, 2500, 131_072, 100_000, connectionLimits{110_000, 2500, maxHeads}},
		{0, 2500, 20_000, 100_000, connectionLimits{19_872, 2500, maxHeads}},
		{0, 2500, 256, 100_000, connectionLimits{128, 64, maxHeads}},
		{0, 2500, 100, 100_000, connectionLimits{50, 25, maxHeads}},
		{0, 2500, 1, 100_000, connectionLimits{1, 1, maxHeads}},
		{0, 2500, 0, 100_000, connectionLimits{110_000, 2500, maxHeads}},
		{0, 2500, 0, noLimit, connectionLimits{0, 2500, maxHeads}},
		{0, 2500, 131_072, noLimit, connectionLimits{130_944, 2500, maxHeads}},
		{0, 2500, 131_072, 0, connectionLimits{10_000, 2500, maxHeads}},
		{0, 0, 256, 100_000, connectionLimits{128, 0, maxHeads}},
		{500, 2500, 20_000, 100_000, connectionLimits{500, 250, maxHeads}},
		{500_000, 2500, 20_000, 100_000, connectionLimits{19_872, 2500, maxHeads}},
	} {
		got := publicLimits(Config{MaxConnections: c.flag, MaxConnectionsPerAddress: c.perAddress}, c.files, c.sockets)
		if got != c.want {
			t.Errorf("%+v: %+v", c, got)
		}
		if own := privateLimits(c.files); own.all < 1 || c.files > 2 && got.all+own.all >= c.files {
			t.Errorf("%+v: the private listener has %+v", c, own)
		}
	}
}

// waitingAll returns how many connections wait. The caller holds mu, or is alone.
func (cs *connections) waitingAll() int { return cs.waiting[0].length() + cs.waiting[1].length() }

package visitor

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

func networks(t testing.TB, list ...string) (networks []Network) {
	t.Helper()
	for _, s := range list {
		var n Network
		if err := n.UnmarshalText([]byte(s)); err != nil {
			t.Fatal(err)
		}
		networks = append(networks, n)
	}
	return networks
}

func TestNetworks(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.2.3": "10.1.2.3/32", "10.1.2.3/8": "10.0.0.0/8", "0.0.0.0/0": "0.0.0.0/0",
		"fd00::1": "fd00::1/128", "FD00::1/8": "fd00::/8", "fe80::1%eth0": "fe80::1/128",
		"::ffff:10.1.2.3": "10.1.2.3/32", "::ffff:10.1.2.3/104": "10.0.0.0/8",
	} {
		var n Network
		if err := n.UnmarshalText([]byte(text)); err != nil || n.prefix.String() != want {
			t.Errorf("%q: %v, %v, want %s", text, n.prefix, err, want)
		}
	}
	for _, text := range []string{"", "x", "10", "10.0.0", "10.0.0.0/33", "10.0.0.1:80", "localhost", "10.0.0.0-10.0.0.9", "fe80::1%eth0/64", "::ffff:0:0/90", "[::1]"} {
		if err := new(Network).UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), "10.0.0.0/8") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The address that counts for a remote address and X-Forwarded-For headers.
func TestClientAddress(t *testing.T) {
	trusted := networks(t, "10.0.0.0/8", "fd00::/8", "::ffff:192.168.0.0/112")
	for _, c := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"203.0.113.1:1", nil, "203.0.113.1"},
		{"203.0.113.1:1", []string{"198.51.100.7"}, "203.0.113.1"}, // the peer is not trusted: the header may be forged
		{"203.0.113.1:1", []string{"127.0.0.1"}, "203.0.113.1"},
		{"10.9.9.9:1", nil, "10.9.9.9"},
		{"10.9.9.9:1", []string{"198.51.100.7"}, "198.51.100.7"},
		{"10.9.9.9:1", []string{"1.1.1.1, 2.2.2.2,198.51.100.7"}, "198.51.100.7"}, // the entries left of it may be forged
		{"10.9.9.9:1", []string{"1.1.1.1", "2.2.2.2", "198.51.100.7"}, "198.51.100.7"},
		{"10.9.9.9:1", []string{"1.1.1.1, 198.51.100.7, 10.1.1.1", "10.1.1.2"}, "198.51.100.7"}, // a chain of ours
		{"10.9.9.9:1", []string{"127.0.0.1, 198.51.100.7"}, "198.51.100.7"},
		{"10.9.9.9:1", []string{"10.1.1.1, 10.1.1.2"}, "10.1.1.1"}, // a browser of our network
		{"10.9.9.9:1", []string{"198.51.100.7, unknown"}, "10.9.9.9"},
		{"10.9.9.9:1", []string{"198.51.100.7, x, 10.1.1.1"}, "10.1.1.1"},
		{"10.9.9.9:1", []string{"198.51.100.7,"}, "10.9.9.9"},
		{"10.9.9.9:1", []string{"198.51.100.7", ""}, "10.9.9.9"},
		{"10.9.9.9:1", []string{""}, "10.9.9.9"},
		{"10.9.9.9:1", []string{"198.51.100.7:4711"}, "198.51.100.7"},
		{"10.9.9.9:1", []string{"[2001:db8:1:2:3:4:5:6]:4711"}, "2001:db8:1:2::"},
		{"10.9.9.9:1", []string{"[2001:db8:1:2:3:4:5:6]"}, "2001:db8:1:2::"},
		{"10.9.9.9:1", []string{"2001:db8:1:2:3:4:5:6%eth0"}, "2001:db8:1:2::"},
		{"10.9.9.9:1", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		{"10.9.9.9:1", []string{"127.0.0.1"}, "127.0.0.1"}, // the browser may have written it
		{"192.168.0.9:1", []string{"198.51.100.7"}, "198.51.100.7"},
		{"[::ffff:10.9.9.9]:1", []string{"198.51.100.7"}, "198.51.100.7"},
		{"[::ffff:203.0.113.1]:1", nil, "203.0.113.1"},
		{"[fd00::9%eth0]:1", []string{"198.51.100.7"}, "198.51.100.7"},
		{"[2001:db8:1:2:3:4:5:6]:1", nil, "2001:db8:1:2::"},
		{"[2001:db8:1:2:ffff::]:1", nil, "2001:db8:1:2::"}, // the same
		{"[fe80::1%eth0]:1", nil, "fe80::"},
		{"", []string{"198.51.100.7"}, "exempt"}, // no address at all
		{"@", nil, "exempt"},
		{"/run/x.sock", []string{"198.51.100.7"}, "exempt"},
		{"203.0.113.1", nil, "exempt"},

		// A program on this machine, and a proxy on it that nobody has named.
		{"127.0.0.1:1", nil, "exempt"},
		{"127.0.0.9:1", nil, "exempt"},
		{"[::1]:1", nil, "exempt"},
		{"[::ffff:127.0.0.1]:1", nil, "exempt"},
		{"127.0.0.1:1", []string{"198.51.100.7"}, "198.51.100.7"},
		{"[::1]:1", []string{"198.51.100.7"}, "198.51.100.7"},
		{"[::ffff:127.0.0.1]:1", []string{"198.51.100.7"}, "198.51.100.7"},
		{"127.0.0.1:1", []string{"1.1.1.1, 198.51.100.7"}, "198.51.100.7"},
		{"127.0.0.1:1", []string{"198.51.100.7, 10.1.1.1"}, "198.51.100.7"}, // through a named proxy on another machine
		// A forwarded loopback address is neither exempt nor trusted.
		{"127.0.0.1:1", []string{"127.0.0.1"}, "127.0.0.1"},
		{"127.0.0.1:1", []string{"198.51.100.7, 127.0.0.1"}, "127.0.0.1"},
		{"127.0.0.1:1", []string{"198.51.100.7", "127.0.0.2"}, "127.0.0.2"},
		{"127.0.0.1:1", []string{"::1"}, "::"},
		{"127.0.0.1:1", []string{""}, "127.0.0.1"},
		{"127.0.0.1:1", []string{"unknown"}, "127.0.0.1"},
	} {
		addresses := &Addresses{AddressConfig: AddressConfig{TrustedProxies: trusted}, Log: slog.New(slog.DiscardHandler)}
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		if c.forwarded != nil {
			r.Header["X-Forwarded-For"] = c.forwarded
		}
		if got := counted(addresses, r); got != c.want {
			t.Errorf("%s for %q: %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}

	limited := &Addresses{AddressConfig: AddressConfig{LimitLoopback: true}, Log: slog.New(slog.DiscardHandler)}
	for peer, want := range map[string]string{"127.0.0.1:1": "127.0.0.1", "[::1]:1": "::", "@": "exempt"} {
		if got := counted(limited, &http.Request{RemoteAddr: peer}); got != want {
			t.Errorf("%s, with loopback limited: %s, want %s", peer, got, want)
		}
	}
	// Two proxies on this machine, of which the one that browsers reach is named.
	chained := &Addresses{AddressConfig: AddressConfig{TrustedProxies: networks(t, "127.0.0.1")}, Log: slog.New(slog.DiscardHandler)}
	r := &http.Request{RemoteAddr: "127.0.0.1:1", Header: http.Header{"X-Forwarded-For": {"198.51.100.7, 127.0.0.1"}}}
	if got := counted(chained, r); got != "198.51.100.7" {
		t.Errorf("through two proxies on this machine: %s", got)
	}
}

// counted returns the address that counts for a request, or "exempt".
func counted(as *Addresses, r *http.Request) string {
	if a := as.Of(r); a.IsValid() {
		return a.String()
	}
	return "exempt"
}

// A request from loopback with any header of a proxy is not exempt. Without
// X-Forwarded-For it counts by the proxy's address.
func TestOtherForwardingHeaders(t *testing.T) {
	addresses := &Addresses{Log: slog.New(slog.DiscardHandler)}
	for _, header := range []string{"X-Real-IP", "Forwarded", "X-Forwarded-For"} {
		for _, value := range []string{"", "198.51.100.7", "for=198.51.100.7"} {
			r := &http.Request{RemoteAddr: "127.0.0.1:1", Header: http.Header{}}
			r.Header.Set(header, value)
			want := "127.0.0.1"
			if header == "X-Forwarded-For" && value == "198.51.100.7" {
				want = value
			}
			if got := counted(addresses, r); got != want {
				t.Errorf("%s: %q: %s, want %s", header, value, got, want)
			}
		}
	}
}

// With any forged header, a browser behind a trusted proxy, or one on loopback,
// counts by the address that the proxy saw, and without a proxy by its own. No
// request that a proxy has passed on is exempt.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"", "198.51.100.7", "10.0.0.1, 127.0.0.1", "127.0.0.1", "::1", "[::1]:80,x", ",,,", "fe80::1%x", "unknown", "::ffff:10.0.0.1", "\"[2001:db8::1]\"", strings.Repeat("10.0.0.1,", 100)} {
		f.Add(s)
	}
	trusted := networks(f, "10.0.0.0/8", "::1")
	browser, local := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("127.0.0.2")
	addresses := &Addresses{AddressConfig: AddressConfig{TrustedProxies: trusted}, Log: slog.New(slog.DiscardHandler)}
	f.Fuzz(func(t *testing.T, s string) {
		for _, proxy := range []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")} {
			for _, forwarded := range [][]string{{s, browser.String()}, {s + "," + browser.String()}, {s + " , " + browser.String() + ":80, 10.2.2.2", "::1"}} {
				if got := clientAddress(proxy, forwarded, trusted); got != browser {
					t.Errorf("%q through %s: %s", forwarded, proxy, got)
				}
			}
			// A proxy that saw loopback is no reason to believe what is left of it.
			if got := clientAddress(proxy, []string{s, local.String()}, trusted); got != local {
				t.Errorf("%q decides for a program on this machine: %s", s, got)
			}
			if got := clientAddress(proxy, []string{s}, trusted); !got.IsValid() || got != canonical(got) {
				t.Errorf("%q through %s: %s", s, proxy, got)
			}
			r := &http.Request{RemoteAddr: netip.AddrPortFrom(proxy, 1).String(), Header: http.Header{"X-Forwarded-For": {s}}}
			if !addresses.Of(r).IsValid() {
				t.Errorf("%q through %s is exempt", s, proxy)
			}
		}
		if got := clientAddress(browser, []string{s}, trusted); got != browser {
			t.Errorf("%q decides for a stranger: %s", s, got)
		}
	})
}

// lockedBuilder is a log that is read while it is written.
type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A proxy on this machine or a private network whose browsers count as one
// address causes one warning.
func TestProxyIsWarnedOf(t *testing.T) {
	for name, c := range map[string]struct {
		peer, header, value string
		trusted             []string
		want                int
	}{
		"loopback":                   {"127.0.0.1:1", "X-Forwarded-For", "198.51.100.7", nil, 0},
		"loopback, another header":   {"127.0.0.1:1", "X-Real-IP", "198.51.100.7", nil, 1},
		"loopback, garbage":          {"[::1]:1", "X-Forwarded-For", "unknown", nil, 1},
		"two on loopback":            {"127.0.0.1:1", "X-Forwarded-For", "198.51.100.7, 127.0.0.1", nil, 1},
		"two on loopback, one named": {"127.0.0.1:1", "X-Forwarded-For", "198.51.100.7, 127.0.0.1", []string{"127.0.0.1"}, 0},
		"private":                    {"172.17.0.1:1", "X-Real-IP", "198.51.100.7", nil, 1},
		"another":                    {"172.17.0.1:1", "Forwarded", "198.51.100.7", []string{"10.0.0.0/8"}, 1},
		"named":                      {"172.17.0.1:1", "X-Forwarded-For", "198.51.100.7", []string{"172.16.0.0/12"}, 0},
		"named, another header":      {"172.17.0.1:1", "X-Real-IP", "198.51.100.7", []string{"172.16.0.0/12"}, 1},
		"a stranger's":               {"203.0.113.1:1", "X-Forwarded-For", "198.51.100.7", nil, 0},
		"no proxy":                   {"127.0.0.1:1", "User-Agent", "198.51.100.7", nil, 0},
		"no address":                 {"@", "X-Forwarded-For", "198.51.100.7", nil, 0},
	} {
		log := &lockedBuilder{}
		addresses := &Addresses{AddressConfig: AddressConfig{TrustedProxies: networks(t, c.trusted...)}, Log: slog.New(slog.NewTextHandler(log, nil))}
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		r.Header.Set(c.header, c.value)
		for range 3 {
			addresses.Of(r)
		}
		if got := strings.Count(log.String(), "--trusted-proxies"); got != c.want {
			t.Errorf("%s: warned %d times, want %d: %s", name, got, c.want, log)
		}
	}
	log := &lockedBuilder{}
	addresses := &Addresses{Log: slog.New(slog.NewTextHandler(log, nil))}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			addresses.Of(&http.Request{RemoteAddr: "172.17.0.1:1", Header: http.Header{"X-Forwarded-For": {"198.51.100.7"}}})
		})
	}
	all.Wait()
	if got := fmt.Sprint(strings.Count(log.String(), "proxy=172.17.0.1")); got != "1" {
		t.Errorf("warned %s times", got)
	}
}

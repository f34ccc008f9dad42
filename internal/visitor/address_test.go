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
	trusted := networks(t, "127.0.0.1", "10.0.0.0/8", "fd00::/8", "::ffff:192.168.0.0/112")
	for _, c := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"203.0.113.1:1", nil, "203.0.113.1"},
		{"203.0.113.1:1", []string{"198.51.100.7"}, "203.0.113.1"}, // the peer is not trusted: the header may be forged
		{"127.0.0.2:1", []string{"198.51.100.7"}, "exempt"},        // a proxy on loopback is not trusted unless it is named
		{"127.0.0.1:1", nil, "exempt"},
		{"127.0.0.1:1", []string{"198.51.100.7"}, "198.51.100.7"},
		{"10.9.9.9:1", nil, "10.9.9.9"},
		{"10.9.9.9:1", []string{"198.51.100.7"}, "198.51.100.7"},
		{"10.9.9.9:1", []string{"1.1.1.1, 2.2.2.2,198.51.100.7"}, "198.51.100.7"}, // the entries left of it may be forged
		{"10.9.9.9:1", []string{"1.1.1.1", "2.2.2.2", "198.51.100.7"}, "198.51.100.7"},
		{"10.9.9.9:1", []string{"1.1.1.1, 198.51.100.7, 10.1.1.1", "127.0.0.1"}, "198.51.100.7"}, // a chain of ours
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
		{"10.9.9.9:1", []string{"127.0.0.1"}, "exempt"},
		{"192.168.0.9:1", []string{"198.51.100.7"}, "198.51.100.7"},
		{"[::ffff:10.9.9.9]:1", []string{"198.51.100.7"}, "198.51.100.7"},
		{"[::ffff:203.0.113.1]:1", nil, "203.0.113.1"},
		{"[fd00::9%eth0]:1", []string{"198.51.100.7"}, "198.51.100.7"},
		{"[2001:db8:1:2:3:4:5:6]:1", nil, "2001:db8:1:2::"},
		{"[2001:db8:1:2:ffff::]:1", nil, "2001:db8:1:2::"}, // the same
		{"[fe80::1%eth0]:1", nil, "fe80::"},
		{"[::1]:1", nil, "exempt"},
		{"", []string{"198.51.100.7"}, "exempt"}, // no address at all
		{"@", nil, "exempt"},
		{"/run/x.sock", []string{"198.51.100.7"}, "exempt"},
		{"203.0.113.1", nil, "exempt"},
	} {
		addresses := &Addresses{AddressConfig: AddressConfig{TrustedProxies: trusted}, Log: slog.New(slog.DiscardHandler)}
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		got := "exempt"
		if a := addresses.Of(r); a.IsValid() {
			got = a.String()
		}
		if got != c.want {
			t.Errorf("%s for %q: %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
	addresses := &Addresses{AddressConfig: AddressConfig{LimitLoopback: true}, Log: slog.New(slog.DiscardHandler)}
	for peer, want := range map[string]string{"127.0.0.1:1": "127.0.0.1", "[::1]:1": "::"} {
		if got := addresses.Of(&http.Request{RemoteAddr: peer}); got.String() != want {
			t.Errorf("%s, with loopback limited: %s, want %s", peer, got, want)
		}
	}
}

// With any forged header, a browser behind a trusted proxy counts by the address
// that the proxy saw, and without a proxy by its own.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"", "198.51.100.7", "10.0.0.1, 127.0.0.1", "[::1]:80,x", ",,,", "fe80::1%x", "unknown", "::ffff:10.0.0.1", "\"[2001:db8::1]\"", strings.Repeat("10.0.0.1,", 100)} {
		f.Add(s)
	}
	trusted := networks(f, "10.0.0.0/8", "::1")
	proxy, browser := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("198.51.100.7")
	f.Fuzz(func(t *testing.T, s string) {
		for _, forwarded := range [][]string{{s, browser.String()}, {s + "," + browser.String()}, {s + " , " + browser.String() + ":80, 10.2.2.2", "::1"}} {
			if got := clientAddress(proxy, forwarded, trusted); got != browser {
				t.Errorf("%q: %s", forwarded, got)
			}
		}
		if got := clientAddress(browser, []string{s}, trusted); got != browser {
			t.Errorf("%q decides for a stranger: %s", s, got)
		}
		if got := clientAddress(proxy, []string{s}, trusted); !got.IsValid() || got != canonical(got) {
			t.Errorf("%q: %s", s, got)
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

// An untrusted proxy on this machine or a private network causes one warning.
func TestProxyIsWarnedOf(t *testing.T) {
	for name, c := range map[string]struct {
		peer, header string
		trusted      []string
		want         int
	}{
		"loopback":     {"127.0.0.1:1", "X-Forwarded-For", nil, 1},
		"IPv6":         {"[::1]:1", "X-Forwarded-For", nil, 1},
		"private":      {"172.17.0.1:1", "X-Real-IP", nil, 1},
		"another":      {"172.17.0.1:1", "Forwarded", []string{"10.0.0.0/8"}, 1},
		"named":        {"172.17.0.1:1", "X-Forwarded-For", []string{"172.16.0.0/12"}, 0},
		"a stranger's": {"203.0.113.1:1", "X-Forwarded-For", nil, 0},
		"no proxy":     {"127.0.0.1:1", "User-Agent", nil, 0},
		"no address":   {"@", "X-Forwarded-For", nil, 0},
	} {
		log := &lockedBuilder{}
		addresses := &Addresses{AddressConfig: AddressConfig{TrustedProxies: networks(t, c.trusted...)}, Log: slog.New(slog.NewTextHandler(log, nil))}
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		r.Header.Set(c.header, "198.51.100.7")
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
			addresses.Of(&http.Request{RemoteAddr: "127.0.0.1:1", Header: http.Header{"X-Forwarded-For": {"198.51.100.7"}}})
		})
	}
	all.Wait()
	if got := fmt.Sprint(strings.Count(log.String(), "proxy=127.0.0.1")); got != "1" {
		t.Errorf("warned %s times", got)
	}
}

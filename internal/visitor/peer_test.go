package visitor

import (
	"net/netip"
	"testing"
)

// Loopback peers and trusted proxies are exempt, and others are not.
func TestExemptPeer(t *testing.T) {
	var proxy Network
	if err := proxy.UnmarshalText([]byte("10.1.0.0/16")); err != nil {
		t.Fatal(err)
	}
	for peer, want := range map[string][2]bool{ // without and with LimitLoopback
		"127.0.0.1": {true, false}, "::1": {true, false}, "::ffff:127.9.9.9": {true, false},
		"10.1.2.3": {true, true}, "::ffff:10.1.2.3": {true, true},
		"10.2.0.1": {false, false}, "192.0.2.1": {false, false}, "2001:db8::1": {false, false},
	} {
		for i, limit := range []bool{false, true} {
			c := AddressConfig{TrustedProxies: []Network{proxy}, LimitLoopback: limit}
			if got := c.ExemptPeer(netip.MustParseAddr(peer)); got != want[i] {
				t.Errorf("%s, LimitLoopback %v: %v", peer, limit, got)
			}
		}
	}
}

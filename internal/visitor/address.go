// Package visitor finds the address of a visitor, behind proxies or not, and
// limits sockets and rates for each address. It knows neither the protocols of
// sockets nor users.
package visitor

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
)

// A Network is an address or a CIDR block, as an operator writes it.
type Network struct{ prefix netip.Prefix }

// UnmarshalText parses one element of a flag's list.
func (n *Network) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	prefix, err := netip.ParsePrefix(s)
	if !strings.Contains(s, "/") {
		var one netip.Addr
		one, err = netip.ParseAddr(s)
		one = canonical(one)
		prefix = netip.PrefixFrom(one, one.BitLen())
	}
	if err == nil && prefix.Addr().Is4In6() {
		// The addresses that are compared with it are unmapped (canonical).
		prefix, err = prefix.Addr().Unmap().Prefix(prefix.Bits() - 96)
	}
	if err != nil {
		return fmt.Errorf("%q is not an address or a network: write 10.1.2.3, 10.0.0.0/8 or fd00::/8", s)
	}
	n.prefix = prefix.Masked()
	return nil
}

// canonical returns an address in the form that is compared and counted:
// unmapped and without a zone.
func canonical(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// AddressConfig says how a visitor's address is found.
type AddressConfig struct {
	TrustedProxies []Network `placeholder:"ADDRESS|CIDR" help:"Addresses of the proxies in front of this server. For a request that they pass on, the limits per address count the last address in X-Forwarded-For that is not one of them."`
	LimitLoopback  bool      `help:"Apply the limits per address to 127.0.0.0/8 and ::1 too."`
}

// Addresses finds the addresses of visitors. Its fields are set before its
// first use. It is safe for concurrent use.
type Addresses struct {
	AddressConfig
	Log *slog.Logger

	warned atomic.Bool // warnOfProxy has logged
}

// Of returns the address that the limits per address count for a request. It
// returns the zero address if they do not apply to the request.
//
// An IPv6 address counts as its /64, the smallest network that a customer gets.
// A connection without an address (in memory, a Unix socket) is exempt.
func (as *Addresses) Of(r *http.Request) netip.Addr {
	var peer netip.Addr
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		peer = canonical(at.Addr())
	}
	as.warnOfProxy(peer, r.Header)
	a := clientAddress(peer, r.Header["X-Forwarded-For"], as.TrustedProxies)
	switch {
	case !a.IsValid(), a.IsLoopback() && !as.LimitLoopback:
		return netip.Addr{}
	case a.Is6():
		return netip.PrefixFrom(a, 64).Masked().Addr()
	default:
		return a
	}
}

// clientAddress returns the address of the client: peer, unless that is a
// trusted proxy, else the rightmost entry of X-Forwarded-For that is not a
// trusted proxy. Each proxy appends the address that it saw, so a browser can
// forge only the entries left of that one. At an entry that is not an address
// it returns the address right of it.
func clientAddress(peer netip.Addr, forwarded []string, trusted []Network) netip.Addr {
	last := peer
	for _, header := range slices.Backward(forwarded) {
		for more := true; more; {
			if !isTrusted(last, trusted) {
				return last
			}
			entry := header
			if comma := strings.LastIndexByte(header, ','); comma >= 0 {
				entry, header = header[comma+1:], header[:comma]
			} else {
				more = false
			}
			next, err := forwardedAddress(strings.TrimSpace(entry))
			if err != nil {
				return last
			}
			last = next
		}
	}
	return last
}

func isTrusted(a netip.Addr, trusted []Network) bool {
	return slices.ContainsFunc(trusted, func(n Network) bool { return n.prefix.Contains(a) })
}

// forwardedAddress parses an entry of X-Forwarded-For. Some proxies add a port.
func forwardedAddress(entry string) (netip.Addr, error) {
	if at, err := netip.ParseAddrPort(entry); err == nil {
		return canonical(at.Addr()), nil
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(entry, "["), "]"))
	return canonical(a), err
}

// warnOfProxy logs once that a proxy on this machine or a private network is not
// trusted. All its browsers then have its address: they share one limit, or,
// if it is loopback, have none.
func (as *Addresses) warnOfProxy(peer netip.Addr, h http.Header) {
	beside := peer.IsLoopback() || peer.IsPrivate() || peer.IsLinkLocalUnicast()
	forwards := h["X-Forwarded-For"] != nil || h["X-Real-Ip"] != nil || h["Forwarded"] != nil
	if !beside || !forwards || isTrusted(peer, as.TrustedProxies) || as.warned.Swap(true) {
		return
	}
	as.Log.Warn("requests come through a proxy that is not trusted: all its browsers count as one address. "+
		"If it is yours, name it with --trusted-proxies, and let it set X-Forwarded-For", "proxy", peer)
}

// Package visitor knows what the edges need of a visitor: the address that
// counts, behind proxies or not, and limits for each address that say how long
// to wait. It knows neither sockets' protocols nor users.
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

// A Network is an address or a CIDR, as an operator writes it.
type Network struct{ prefix netip.Prefix }

// UnmarshalText reads one of a list of flags.
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
		// No address that is compared with it is written like this.
		prefix, err = prefix.Addr().Unmap().Prefix(prefix.Bits() - 96)
	}
	if err != nil {
		return fmt.Errorf("%q is no address: write 10.1.2.3, 10.0.0.0/8 or fd00::/8", s)
	}
	n.prefix = prefix.Masked()
	return nil
}

// canonical returns an address in the one spelling that is compared and counted.
func canonical(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// AddressConfig says how a visitor's address is found.
type AddressConfig struct {
	TrustedProxies []Network `placeholder:"ADDRESS|CIDR" help:"The proxies before this server: for what they pass on, the address that counts is the last in X-Forwarded-For that is not itself one of them."`
	LimitLoopback  bool      `help:"Let the limits per address hold for 127.0.0.0/8 and ::1 too."`
}

// Addresses finds the addresses of visitors. Its fields are set before its
// first use. It is safe for concurrent use.
type Addresses struct {
	AddressConfig
	Log *slog.Logger

	warned atomic.Bool // of a proxy that is not trusted
}

// Of returns the address for which the request counts against the limits per
// address, and the zero address where these do not apply to it.
//
// IPv6 counts by /64, which is the least that one customer has. A connection
// without an address (in memory, a Unix socket) counts for none.
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

// clientAddress returns the address of the client that asked the first of the
// trusted proxies: the first entry from the right, where the nearest proxy
// wrote, that is not itself a trusted proxy. What stands left of it is the
// browser's to invent. Where a proxy wrote something else than an address, the
// last address that is known counts.
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

// forwardedAddress reads an entry of X-Forwarded-For. Some proxies put a port behind it.
func forwardedAddress(entry string) (netip.Addr, error) {
	if at, err := netip.ParseAddrPort(entry); err == nil {
		return canonical(at.Addr()), nil
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(entry, "["), "]"))
	return canonical(a), err
}

// warnOfProxy says once that a proxy beside this server is not trusted. Its
// browsers then share one address, so the limits per address do nothing, where
// that is loopback, or too much.
func (as *Addresses) warnOfProxy(peer netip.Addr, h http.Header) {
	beside := peer.IsLoopback() || peer.IsPrivate() || peer.IsLinkLocalUnicast()
	forwards := h["X-Forwarded-For"] != nil || h["X-Real-Ip"] != nil || h["Forwarded"] != nil
	if !beside || !forwards || isTrusted(peer, as.TrustedProxies) || as.warned.Swap(true) {
		return
	}
	as.Log.Warn("requests come through a proxy that is not trusted: all its browsers count as one address. "+
		"If it is yours, name it with --trusted-proxies, and let it set X-Forwarded-For", "proxy", peer)
}

package eio

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
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
		one = plain(one)
		prefix = netip.PrefixFrom(one, one.BitLen())
	}
	if err == nil && prefix.Addr().Is4In6() {
		// Of the addresses that are compared with it none is written like this.
		prefix, err = prefix.Addr().Unmap().Prefix(prefix.Bits() - 96)
	}
	if err != nil {
		return fmt.Errorf("%q is no address: write 10.1.2.3, 10.0.0.0/8 or fd00::/8", s)
	}
	n.prefix = prefix.Masked()
	return nil
}

// plain returns an address in the one spelling that is compared and counted.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// addressOf returns the address for which the request counts against the
// limits per address; none where these do not apply to it.
//
// IPv6 counts by /64, which is the least that one customer has. What has no
// address (a connection in memory, a Unix socket) counts for none.
func (srv *Server) addressOf(r *http.Request) netip.Addr {
	var peer netip.Addr
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		peer = plain(at.Addr())
	}
	srv.warnOfProxy(peer, r.Header)
	a := clientAddress(peer, r.Header["X-Forwarded-For"], srv.TrustedProxies)
	switch {
	case !a.IsValid(), a.IsLoopback() && !srv.LimitLoopback:
		return netip.Addr{}
	case a.Is6():
		return netip.PrefixFrom(a, 64).Masked().Addr()
	default:
		return a
	}
}

// clientAddress returns the address of whoever asked the first of our proxies:
// from the right, which the proxy next to us wrote, the first that is not one
// of them. What stands left of it is the browser's to invent. Where a proxy
// wrote something else than an address, the last one known counts.
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
		return plain(at.Addr()), nil
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(entry, "["), "]"))
	return plain(a), err
}

// warnOfProxy says once that a proxy beside this server is not named: with
// loopback exempt, or all browsers at one address, the limits per address
// would do nothing, or too much.
func (srv *Server) warnOfProxy(peer netip.Addr, h http.Header) {
	beside := peer.IsLoopback() || peer.IsPrivate() || peer.IsLinkLocalUnicast()
	forwards := h["X-Forwarded-For"] != nil || h["X-Real-Ip"] != nil || h["Forwarded"] != nil
	if !beside || !forwards || isTrusted(peer, srv.TrustedProxies) || srv.warned.Swap(true) {
		return
	}
	srv.Log.Warn("requests come through a proxy that is not trusted: all its browsers count as one address. "+
		"If it is yours, name it with --trusted-proxies, and let it set X-Forwarded-For", "proxy", peer)
}

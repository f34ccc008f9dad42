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
	TrustedProxies []Network `placeholder:"ADDRESS|CIDR" help:"Addresses of the proxies in front of this server. Proxies that connect from this machine's loopback need not be named. For a request that they pass on, the limits per address count the last address in X-Forwarded-For that is not one of them."`
	LimitLoopback  bool      `help:"Apply the limits per address to connections from 127.0.0.0/8 and ::1 too that no proxy has passed on."`
}

// Addresses finds the addresses of visitors. Its fields are set before its
// first use. It is safe for concurrent use.
type Addresses struct {
	AddressConfig
	Log *slog.Logger

	warned atomic.Bool // warnOfProxy has logged
}

// Of returns the address that the limits per address count for a request. It
// returns the zero address for a program on this machine, which is exempt from
// the limits of [Admission]. Other limits count all such programs as one
// address.
//
// A program on this machine connects from loopback and sends none of the headers
// by which proxies name the browser. A request with such a header is never
// exempt, whatever address it names: a proxy that does not overwrite the header
// passes on the browser's own. A connection without an address (in memory, a
// Unix socket) is exempt.
//
// An IPv6 address counts as its /64, the smallest network that a customer gets.
func (as *Addresses) Of(r *http.Request) netip.Addr {
	var peer netip.Addr
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		peer = canonical(at.Addr())
	}
	forwarded := Forwarded(r.Header)
	if !peer.IsValid() || peer.IsLoopback() && !forwarded && !as.LimitLoopback {
		return netip.Addr{}
	}
	a := clientAddress(peer, r.Header["X-Forwarded-For"], as.TrustedProxies)
	if forwarded {
		as.warnOfProxy(peer, a)
	}
	if a.Is6() {
		return netip.PrefixFrom(a, 64).Masked().Addr()
	}
	return a
}

// Forwarded reports whether a request has a header by which proxies name the
// browser. Only X-Forwarded-For is read; the others tell that there is a proxy.
func Forwarded(h http.Header) bool {
	return h["X-Forwarded-For"] != nil || h["X-Real-Ip"] != nil || h["Forwarded"] != nil
}

// clientAddress returns the address of the client: peer, unless that is a
// trusted proxy, else the rightmost entry of X-Forwarded-For that is not a
// trusted proxy. Each proxy appends the address that it saw, so a browser can
// forge only the entries left of that one. At an entry that is not an address
// it returns the address right of it.
//
// A peer on loopback is trusted: only this machine can connect from there. A
// loopback address in the header is not trusted unless it is named.
func clientAddress(peer netip.Addr, forwarded []string, trusted []Network) netip.Addr {
	last, isProxy := peer, peer.IsLoopback() || isTrusted(peer, trusted)
	for _, header := range slices.Backward(forwarded) {
		for more := true; more; {
			if !isProxy {
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
			last, isProxy = next, isTrusted(next, trusted)
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

// warnOfProxy logs once that a proxy's browsers have its address, or loopback's:
// they share one limit. counted is the address that counts for a request of the
// proxy's. The peer is beside this server if it is on this machine or a private
// network; any other may be a stranger who has written the header.
func (as *Addresses) warnOfProxy(peer, counted netip.Addr) {
	beside := peer.IsLoopback() || peer.IsPrivate() || peer.IsLinkLocalUnicast()
	if !beside || counted != peer && !counted.IsLoopback() || as.warned.Swap(true) {
		return
	}
	as.Log.Warn("requests come through a proxy that does not name its browsers, or is not trusted: they all count as one address. "+
		"Let the proxy set X-Forwarded-For to the address that it sees. "+
		"Name it with --trusted-proxies; of proxies on this machine, name 127.0.0.1 if one passes requests to another. "+
		"If the browser is on this machine too, as in a trial, nothing is wrong",
		"proxy", peer, "counted", counted)
}

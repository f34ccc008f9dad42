package visitor

import (
	"net/netip"
	"slices"
)

// ExemptPeer reports whether a connection's peer is exempt from limits on
// connections per address, because it carries the connections of many visitors:
// a trusted proxy, or a program on this machine, unless LimitLoopback is set.
// What a request says of its sender is not known when a connection comes.
func (c AddressConfig) ExemptPeer(peer netip.Addr) bool {
	peer = canonical(peer)
	return peer.IsLoopback() && !c.LimitLoopback ||
		slices.ContainsFunc(c.TrustedProxies, func(n Network) bool { return n.prefix.Contains(peer) })
}

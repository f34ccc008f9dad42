package listen

const (
	// privateConnections is the private listener's own share of the files:
	// Prometheus, probes, an operator with pprof.
	privateConnections = 32
	// spareFiles are kept back for what is no connection of a listener: standard
	// streams, listeners, epoll, NATS clients and routes of a cluster (about four
	// for each box), files of certificates, look-ups of names, and connections
	// whose files the kernel frees a moment after they were uncounted.
	spareFiles = 96
	// otherConnections are allowed by default beside one for each socket: emits,
	// POSTs of polling sessions, scripts, and kept-alive connections between two
	// requests.
	otherConnections = 10_000
)

// connectionLimits bound the connections of listeners that share them.
type connectionLimits struct {
	all, perAddress int   // 0 means no limit
	heads           int64 // bytes of heads of requests beyond freeHead each
}

// keptFiles returns how many of the files that the process may have open are not
// for the public listeners.
func keptFiles(files int) int { return min(privateConnections+spareFiles, files/2) }

// publicLimits returns the limits of the public listeners: cfg's, within the
// files that the process may have open. files is 0 if their number is not known.
// sockets is --max-sockets; it is 0 for a program without sockets, and noLimit if
// their number is not limited.
//
// One address never has more than half of all.
func publicLimits(cfg Config, files, sockets int) (l connectionLimits) {
	l.heads = maxHeads
	l.all = cfg.MaxConnections
	if l.all == 0 && sockets != noLimit {
		l.all = sockets + otherConnections
	}
	if most := files - keptFiles(files); files > 0 && (l.all == 0 || l.all > most) {
		l.all = most
	}
	l.perAddress = cfg.MaxConnectionsPerAddress
	if l.all > 0 {
		l.perAddress = min(l.perAddress, max(1, l.all/2))
	}
	return l
}

// noLimit is the number of sockets of a program that does not limit them.
const noLimit = -1

// privateLimits returns the limits of the private listener. It has no limit per
// address: whoever reaches it is trusted.
func privateLimits(files int) connectionLimits {
	if files == 0 {
		return connectionLimits{all: privateConnections, heads: maxHeads}
	}
	return connectionLimits{all: max(1, keptFiles(files)/4), heads: maxHeads}
}

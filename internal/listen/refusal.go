package listen

import (
	"fmt"
	"sync"
	"time"
)

// A refusal is a reason why a connection is refused.
type refusal int

const (
	admitted refusal = iota // no reason
	tooMany
	tooManyOfAddress
	noFiles
	tooManyFields
	tooManyHeads
)

// refusals are what is said of each refusal: reason in metrics, answer to the
// peer, advice in the log.
var refusals = [...]struct {
	reason, advice string
	answer         []byte
}{
	admitted: {},
	tooMany: {
		"max connections",
		"all that are allowed are busy. Raise --max-connections and the number of files that the process may have open " +
			"(ulimit -n, LimitNOFILE), or add a node",
		rawAnswer("503 Service Unavailable", "All connections that this server may have are busy. Try again in a few seconds."),
	},
	tooManyOfAddress: {
		"address connections",
		"an address has as many as it may have, and all are busy. If it is a proxy, name it with --trusted-proxies; " +
			"if many users share it, raise --max-connections-per-address",
		rawAnswer("429 Too Many Requests", "Your address has as many connections to this server as it may have, and all are busy. "+
			"Close some, or try again in a few seconds."),
	},
	noFiles: {
		"files",
		"the process or the machine has no file left. Lower --max-connections, or raise the number of files " +
			"(ulimit -n, LimitNOFILE, fs.file-max)",
		rawAnswer("503 Service Unavailable", "This server has no file left for another connection. Try again in a few seconds."),
	},
	tooManyFields: {
		"header fields",
		"a request has more header fields than any browser sends",
		rawAnswer("431 Request Header Fields Too Large", fmt.Sprintf("The request has more than %d header fields. Send fewer.", maxFields)),
	},
	tooManyHeads: {
		"heads",
		"many requests with long query strings or headers come at once. Emit by POST, which has its data in the body",
		rawAnswer("503 Service Unavailable", "Too many requests with long query strings or headers come at once. Send a POST, or try again in a few seconds."),
	},
}

// retryAfter is when a client that was refused may try again, in seconds.
const retryAfter = 5

// rawAnswer returns an HTTP answer after which the connection is closed.
func rawAnswer(status, text string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"+
		"Cache-Control: no-store\r\nRetry-After: %d\r\nConnection: close\r\n\r\n%s\n", status, len(text)+1, retryAfter, text)
}

// throttleInterval is the shortest time between two log lines of one kind.
const throttleInterval = time.Minute

// A throttle lets an event pass if none has passed for throttleInterval. It is safe
// for concurrent use.
type throttle struct {
	mu sync.Mutex
	// Guarded by mu.
	last time.Time // when one passed
	held int       // events since then
}

// pass reports whether the event passes, and how many there were since the last
// one that passed, this one included.
func (t *throttle) pass(now time.Time) (times int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held++
	if !t.last.IsZero() && now.Sub(t.last) < throttleInterval {
		return 0, false
	}
	times = t.held
	t.last, t.held = now, 0
	return times, true
}

package node

import "time"

const (
	// reliefPause is the least time between two reliefs. Each looks at all sessions.
	reliefPause = 10 * time.Millisecond
	// reliefLog is the least time between two log lines about closed sessions.
	reliefLog = time.Minute
)

// relieve closes the sessions with the longest queues whenever the budget is
// exceeded, until the node closes.
func (n *Node) relieve() {
	closed, logged := 0, time.Time{}
	for {
		select {
		case <-n.budget.Over():
		case <-n.closing.Done():
			return
		}
		closed += n.engine.Relieve()
		if closed > 0 && time.Since(logged) >= reliefLog {
			n.log.Warn("the memory for requests and queues is full: the sockets with the longest queues are closed. "+
				"If their browsers are not slow, raise --max-memory", "closed", closed, "max_memory", n.budget.Limit())
			closed, logged = 0, time.Now()
		}
		select {
		case <-time.After(reliefPause):
		case <-n.closing.Done():
			return
		}
	}
}

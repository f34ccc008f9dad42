package daemon

import "time"

const (
	// reliefPause is the least time between two reliefs. Each looks at all sessions.
	reliefPause = 10 * time.Millisecond
	// reliefLog is the least time between two log lines about relief.
	reliefLog = time.Minute
)

// StartRelief starts a goroutine that cuts what holds the most bytes whenever the
// budget is exceeded. stop ends it, and waits for its end.
func (p *Process) StartRelief() (stop func()) {
	stopping, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		p.relieve(stopping)
	}()
	return func() {
		close(stopping)
		<-ended
	}
}

func (p *Process) relieve(stopping <-chan struct{}) {
	cut, logged := 0, time.Time{}
	for {
		select {
		case <-p.Budget.Over():
		case <-stopping:
			return
		}
		cut += p.Budget.Relieve()
		if cut > 0 && time.Since(logged) >= reliefLog {
			p.Log.Warn("the memory for requests and queues is full: the sockets with the longest queues are closed, and the "+
				"largest incomplete messages and bodies are refused. If browsers and PHP are not slow, raise --max-memory",
				"cut", cut, "max_memory", p.Budget.Limit())
			cut, logged = 0, time.Now()
		}
		select {
		case <-time.After(reliefPause):
		case <-stopping:
			return
		}
	}
}

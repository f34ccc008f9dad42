package relay

import (
	"net"
	"sync"
	"time"
)

// deadlines are the read and the write deadline of a stream. The stream's mu guards them.
type deadlines struct {
	changed *sync.Cond // on the stream's mu
	read    deadline
	write   deadline
	stopped bool // the stream has ended
}

// SetReadDeadline, SetWriteDeadline and SetDeadline implement [net.Conn].
func (d *deadlines) SetReadDeadline(t time.Time) error  { return d.set(t, &d.read) }
func (d *deadlines) SetWriteDeadline(t time.Time) error { return d.set(t, &d.write) }
func (d *deadlines) SetDeadline(t time.Time) error      { return d.set(t, &d.read, &d.write) }

// set sets the given deadlines and wakes the goroutines that wait at the stream.
func (d *deadlines) set(at time.Time, which ...*deadline) error {
	d.changed.L.Lock()
	defer d.changed.L.Unlock()
	if d.stopped {
		return net.ErrClosed
	}
	for _, each := range which {
		each.set(at, d.wake)
	}
	d.changed.Broadcast()
	return nil
}

// wake makes each goroutine that waits at the stream check its condition again.
func (d *deadlines) wake() {
	d.changed.L.Lock()
	defer d.changed.L.Unlock()
	d.changed.Broadcast()
}

// stopDeadlines stops both timers for good. The caller holds the stream's mu.
func (d *deadlines) stopDeadlines() {
	d.stopped = true
	d.read.stop()
	d.write.stop()
}

// A deadline is the time until which a read or a write may wait.
type deadline struct {
	at    time.Time // zero if there is no deadline
	timer *time.Timer
}

// passed reports whether there is a deadline and it is over.
func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// set replaces the deadline. wake is called when it passes.
func (d *deadline) set(at time.Time, wake func()) {
	d.stop()
	d.at = at
	switch {
	case at.IsZero():
	case d.timer == nil:
		d.timer = time.AfterFunc(time.Until(at), wake)
	default:
		d.timer.Reset(time.Until(at))
	}
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

package relay

import (
	"net"
	"sync"
	"time"
)

// deadlines are the read and the write deadline of a stream, whose mu guards them.
type deadlines struct {
	changed *sync.Cond // on the stream's mu
	read    deadline
	write   deadline
	stopped bool // the stream is no more
}

// SetReadDeadline, SetWriteDeadline and SetDeadline are as of any [net.Conn].
func (d *deadlines) SetReadDeadline(t time.Time) error  { return d.set(t, &d.read) }
func (d *deadlines) SetWriteDeadline(t time.Time) error { return d.set(t, &d.write) }
func (d *deadlines) SetDeadline(t time.Time) error      { return d.set(t, &d.read, &d.write) }

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

// wake lets everything that waits at the stream look again.
func (d *deadlines) wake() {
	d.changed.L.Lock()
	defer d.changed.L.Unlock()
	d.changed.Broadcast()
}

// stopDeadlines ends both for good. The caller holds the stream's mu.
func (d *deadlines) stopDeadlines() {
	d.stopped = true
	d.read.stop()
	d.write.stop()
}

// A deadline is a time after which a read or a write waits no longer.
type deadline struct {
	at    time.Time // zero: there is none
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// set replaces the deadline; wake is called once it has passed.
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

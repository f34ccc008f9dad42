package relay

import "time"

// A deadline wakes whatever waits at a stream, once it has passed. The
// stream's mu guards it.
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

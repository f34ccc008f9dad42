package hub

// A signal wakes the one goroutine that waits for it. Signals that are raised
// before it wakes are one signal.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) raise() {
	select {
	case s <- struct{}{}:
	default:
	}
}

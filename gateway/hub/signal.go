package hub

// A signal wakes the one goroutine that receives from it. Raising it several times before that
// wakes the goroutine once.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

// raise raises the signal. It never blocks.
func (s signal) raise() {
	select {
	case s <- struct{}{}:
	default:
	}
}

package relay

import "github.com/ramainen/doit-socket/internal/budget"

// window is how many bytes of a stream, in each direction, may be written and not yet read. A
// stalled reader stops the writer once the window is full.
const window = 256 << 10

const (
	// freeWindow is how many bytes may wait for a reader before the budget counts them.
	freeWindow = window / 4
	// messageBytes is about what a message takes in memory besides its data, in bytes.
	messageBytes = 100
)

// An inbound is the reading direction of a stream. The stream's mu guards it.
type inbound struct {
	queue    [][]byte // received data that was not read yet
	messages uint64   // messages received, which is the number that the next one must have
	bytes    uint64   // bytes received
	read     uint64   // bytes read
	reported uint64   // bytes read as of the last kindRead to the peer
	charged  int      // bytes that the budget counts
}

// add adds a kindData or kindEnd of the peer. It returns errLost if a message before it is missing,
// if it arrives twice, or if the peer exceeds the window.
func (in *inbound) add(m message) error {
	if m.number != in.messages || in.bytes+uint64(len(m.data))-in.read > window {
		return errLost
	}
	in.messages++
	in.bytes += uint64(len(m.data))
	if m.kind == kindData {
		in.queue = append(in.queue, m.data)
	}
	return nil
}

// remove removes n bytes of the first message in the queue, which must have as many. It returns
// true when the peer has to be told how much was read: every quarter of a window.
func (in *inbound) remove(n int) (tell bool) {
	if in.queue[0] = in.queue[0][n:]; len(in.queue[0]) == 0 {
		in.queue[0] = nil // the array would keep it
		if in.queue = in.queue[1:]; len(in.queue) == 0 {
			in.queue = nil
		}
	}
	in.read += uint64(n)
	if in.read-in.reported < window/4 {
		return false
	}
	in.reported = in.read
	return true
}

// charge makes the budget count what waits beyond freeWindow, and nothing for a reader that keeps up.
// It returns errMemory if there is no room for what is more than before.
func (in *inbound) charge(b *budget.Budget) error {
	waiting := int(in.bytes-in.read) + len(in.queue)*messageBytes //nolint:gosec // at most window
	more := max(0, waiting-freeWindow) - in.charged
	if more > 0 && !b.Take(more) {
		return errMemory
	}
	if more < 0 {
		b.Return(-more)
	}
	in.charged += more
	return nil
}

// drop drops what was not read.
func (in *inbound) drop(b *budget.Budget) {
	in.queue = nil
	b.Return(in.charged)
	in.charged = 0
}

// An outbound is the writing direction of a stream. The stream's mu guards it.
type outbound struct {
	messages uint64 // messages written, which is the number of the next one
	bytes    uint64 // bytes written
	read     uint64 // bytes that the peer has read
	unsent   int    // messages that are not published yet
}

// room returns how many further bytes may be written.
func (out *outbound) room() int { return window - int(out.bytes-out.read) } //nolint:gosec // at most window

// peerRead records how many bytes the peer has read in all. It returns errLost if the number is
// impossible.
func (out *outbound) peerRead(bytes uint64) error {
	if bytes > out.bytes || bytes < out.read {
		return errLost
	}
	out.read = bytes
	return nil
}

package relay

// window is how many bytes of a stream may be under way, or wait to be read,
// in each direction. A stalled reader stops the writer once the window is full.
const window = 256 << 10

// An inbound is the reading direction of a stream. The stream's mu guards it.
type inbound struct {
	queue    [][]byte // what came and was not read
	messages uint64   // that came: the number that the next must have
	bytes    uint64   // that came
	read     uint64   // bytes of them that were read
	told     uint64   // how many bytes the peer was told that were read
}

// add takes the data, or the end, that the peer has sent. It returns errLost if
// a message is missing or comes twice, or if the peer exceeds the window.
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

// remove drops the first n bytes, which must be of the first message of the
// queue. It reports whether the peer should be told how much was read.
func (in *inbound) remove(n int) (tell bool) {
	if in.queue[0] = in.queue[0][n:]; len(in.queue[0]) == 0 {
		if in.queue = in.queue[1:]; len(in.queue) == 0 {
			in.queue = nil
		}
	}
	in.read += uint64(n)
	if in.read-in.told < window/4 {
		return false
	}
	in.told = in.read
	return true
}

// An outbound is the writing direction of a stream. The stream's mu guards it.
type outbound struct {
	messages uint64 // written: the number of the next
	bytes    uint64 // written
	read     uint64 // bytes of them that the peer has read
	unsent   int    // messages that NATS has not taken yet
}

// room returns how many bytes the window has room for.
func (out *outbound) room() int { return window - int(out.bytes-out.read) } //nolint:gosec // at most window

// peerRead takes what the peer says it has read in all. It returns errLost
// where that cannot be.
func (out *outbound) peerRead(bytes uint64) error {
	if bytes > out.bytes || bytes < out.read {
		return errLost
	}
	out.read = bytes
	return nil
}

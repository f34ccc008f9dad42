package eio

// batch is how many bytes of small frames go to a websocket in one write; a
// larger frame goes by itself, uncopied.
const batch = 64 << 10

// An outbound is the queue of a session: frames that neither the kernel nor a
// poll has taken. It is guarded by Session.mu.
type outbound struct {
	frames []*Frame
	queued uint64 // bytes ever queued; their number is a place in what the browser gets
	taken  uint64 // how many of them have left the queue
}

// push adds a frame to the queue, whatever its bound: only after a flush is it
// known what stays there.
func (q *outbound) push(f *Frame) {
	q.frames = append(q.frames, f)
	q.queued += uint64(len(f.wire))
}

// over reports whether more is queued than a browser that keeps up leaves
// there. Two messages have room, whatever their size.
func (q *outbound) over(c *Config) bool {
	if len(q.frames) > c.QueueLength {
		return true
	}
	waits := q.queued - q.taken
	if waits <= uint64(c.QueueBytes) {
		return false
	}
	largest := 0
	for _, f := range q.frames {
		largest = max(largest, len(f.wire))
	}
	return waits > 2*uint64(largest)
}

// take removes frames of about so many bytes from the queue, at least one. It
// keeps no array: an idle session must not hold on to its last burst.
func (q *outbound) take(bytes int) []*Frame {
	n := 0
	for n < len(q.frames) && (n == 0 || bytes >= len(q.frames[n].wire)) {
		bytes -= len(q.frames[n].wire)
		q.taken += uint64(len(q.frames[n].wire))
		n++
	}
	frames := q.frames[:n:n]
	q.frames = q.frames[n:]
	if len(q.frames) == 0 {
		q.frames = nil
	}
	return frames
}

// takeAll empties the queue.
func (q *outbound) takeAll() []*Frame {
	frames := q.frames
	q.frames, q.taken = nil, q.queued
	return frames
}

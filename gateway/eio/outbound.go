package eio

// batch is how many bytes of small frames are joined for one write to a
// websocket. A larger frame is written alone, without a copy.
const batch = 64 << 10

// An outbound is a session's queue: the frames that its transport has not
// taken. It is guarded by Session.mu.
type outbound struct {
	frames []*Frame
	queued uint64 // bytes ever queued
	taken  uint64 // bytes that have left the queue
}

// push adds a frame to the queue. It checks no limit: only what a flush leaves
// in the queue counts.
func (q *outbound) push(f *Frame) {
	q.frames = append(q.frames, f)
	q.queued += uint64(len(f.wire))
}

// over reports whether the queue exceeds QueueLength or QueueBytes. Twice the
// largest frame always fits into QueueBytes.
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

// take removes and returns the first frames, of the given size in bytes at most,
// but at least one. An empty queue keeps no array: an idle session must not hold
// the memory of its last burst.
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

// takeAll removes and returns all frames.
func (q *outbound) takeAll() []*Frame {
	frames := q.frames
	q.frames, q.taken = nil, q.queued
	return frames
}

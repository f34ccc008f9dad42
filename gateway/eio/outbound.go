package eio

import (
	"slices"

	"github.com/ramainen/doit-socket/internal/budget"
)

const (
	// batch is how many bytes of small frames are joined for one write to a
	// websocket. A larger frame is written alone, without a copy.
	batch = 64 << 10

	// slotBytes is what the budget counts for a place in a queue, besides the
	// frame, which many queues share.
	slotBytes = 16
	// stallBytes is what the budget counts for a connection that the kernel
	// accepts no more for: its send buffer is full.
	stallBytes = 256 << 10
)

// An outbound is a session's queue: the frames that its transport has not
// taken, and what a websocket has taken and not written. It is guarded by
// Session.mu.
//
// The server's budget counts only what a flush has left here, because the
// browser reads more slowly than it is written to. A browser that keeps up costs
// nothing to count. See [outbound.charge].
type outbound struct {
	frames []*Frame
	single [1]*Frame // the array of frames while there is one at most, as nearly always
	queued uint64    // bytes ever queued
	taken  uint64    // bytes that have left the queue

	flying  []byte // what take returned to a websocket, until the next take; nil if all of it was written
	shared  *Frame // the frame whose bytes flying is; nil if flying is a copy
	charged int    // how many frames, from the first, the budget counts
	stalled bool   // the budget counts flying and a full send buffer
}

// push adds a frame to the queue. It checks no limit: only what a flush leaves
// in the queue counts.
func (q *outbound) push(f *Frame) {
	if q.frames == nil {
		q.frames = q.single[:0]
	}
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

// take removes the first frames, of the size of a batch at most, but at least
// one, and returns their bytes for a websocket. What it returned before was
// written.
func (q *outbound) take(b *budget.Budget) []byte {
	q.landed(b)
	n, bytes := 0, 0
	for n < len(q.frames) && (n == 0 || bytes+len(q.frames[n].wire) <= batch) {
		bytes += len(q.frames[n].wire)
		n++
	}
	q.flying = join(q.frames[:n])
	if n == 1 {
		q.shared = q.frames[0]
	}
	q.remove(n, b)
	return q.flying
}

// remove removes the first n frames. An empty queue keeps no array: an idle
// session must not hold the memory of its last burst.
func (q *outbound) remove(n int, b *budget.Budget) {
	for i, f := range q.frames[:n] {
		q.taken += uint64(len(f.wire))
		if i < q.charged {
			f.release(b)
		}
	}
	if counted := min(n, q.charged); counted > 0 {
		b.Return(counted * slotBytes)
		q.charged -= counted
	}
	clear(q.frames[:n]) // a queue that is never empty would keep them in its array
	if n > 0 {
		q.single[0] = nil
	}
	if q.frames = q.frames[n:]; len(q.frames) == 0 {
		q.frames = nil
	}
}

// takeAll removes and returns all frames.
func (q *outbound) takeAll(b *budget.Budget) []*Frame {
	frames := slices.Clone(q.frames)
	q.remove(len(frames), b)
	return frames
}

// clear empties the queue and forgets what is being written.
func (q *outbound) clear(b *budget.Budget) {
	q.landed(b)
	q.remove(len(q.frames), b)
}

// charge makes the budget count the frames in the queue. It is called when a
// flush leaves them. stalled says that the kernel accepts no more for a
// websocket.
func (q *outbound) charge(b *budget.Budget, stalled bool) {
	if more := q.frames[q.charged:]; len(more) > 0 {
		for _, f := range more {
			f.hold(b)
		}
		b.Add(len(more) * slotBytes)
		q.charged = len(q.frames)
	}
	if !stalled || q.stalled {
		return
	}
	q.stalled = true
	b.Add(stallBytes)
	if q.shared != nil {
		q.shared.hold(b)
	} else {
		b.Add(len(q.flying))
	}
}

// landed undoes what charge has counted for what was being written.
func (q *outbound) landed(b *budget.Budget) {
	if q.stalled {
		b.Return(stallBytes)
		if q.shared != nil {
			q.shared.release(b)
		} else {
			b.Return(len(q.flying))
		}
	}
	q.flying, q.shared, q.stalled = nil, nil, false
}

// load returns how many bytes the session would give back, about: shared frames
// are counted in full.
func (q *outbound) load() int {
	bytes := int(q.queued-q.taken) + len(q.frames)*slotBytes //nolint:gosec // a queue is smaller than an int
	if q.stalled {
		bytes += stallBytes + len(q.flying)
	}
	return bytes
}

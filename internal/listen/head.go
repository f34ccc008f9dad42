package listen

import (
	"bytes"
	"errors"
	"net"
	"net/http"
)

const (
	// maxFields bounds the lines of a request's head. net/http keeps about 130
	// bytes for each field, however short it is, so that a head of maxHeader bytes
	// could cost 3 MB for as long as it is read, or as its poll waits. Browsers send
	// some twenty fields, and proxies add a few.
	maxFields = 128
	// freeHead is what a head may have without being charged, in bytes. Only GET
	// /emit has much more.
	freeHead = 4 << 10
	// maxHeads bounds what all heads have beyond freeHead, in bytes, while they are
	// read and their requests are answered.
	maxHeads = 32 << 20
	// emitHeads is the part of maxHeads that is kept for the listener of emits.
	emitHeads = 4
)

// A head is what has been read of a request's head. Only the goroutine of
// net/http that reads from the connection, or handles its request, uses it.
type head struct {
	ended bool // the blank line has been read
	bytes int
	lines int
	line  int // bytes of the last line, without carriage returns
}

// read takes bytes up to the end of the head.
func (h *head) read(b []byte) {
	for !h.ended && len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		part := b[:max(i, 0)]
		if i < 0 {
			part = b
		}
		h.line += len(part) - bytes.Count(part, []byte("\r"))
		h.bytes += len(part)
		if i < 0 {
			return
		}
		h.ended = h.line == 0
		h.line = 0
		h.lines++
		h.bytes++
		b = b[i+1:]
	}
}

// errHead ends the reading of a head. net/http answers nothing on an error of
// this type: the connection has its answer.
var errHead = &net.OpError{Op: "read", Err: errors.New("the head of the request is refused")}

// Read implements net.Conn. It refuses a head with too many fields, and one for
// which there is no room.
func (c *connection) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if c.head.ended || n <= 0 {
		return n, err
	}
	c.head.read(b[:n])
	why := admitted
	if c.head.lines > maxFields {
		why = tooManyFields
	} else if !c.chargeHead() {
		why = tooManyHeads
	}
	if why != admitted {
		c.listener.answer(c, why)
		return 0, errHead
	}
	return n, err
}

// chargeHead charges what the head has beyond freeHead. It reports whether there
// is room.
func (c *connection) chargeHead() bool {
	more := int64(c.head.bytes-freeHead) - c.charged.Load()
	if more <= 0 {
		return true
	}
	limit := c.connections.limits.heads
	if !c.listener.emits {
		limit -= limit / emitHeads
	}
	c.charged.Add(more)
	return c.connections.heads.Add(more) <= limit
}

// forgetHead uncharges the head: its request is answered, or the connection is
// closed.
func (c *connection) forgetHead() { c.connections.heads.Add(-c.charged.Swap(0)) }

// follow is a hook for [http.Server.ConnState]. It notes which connections wait
// for a request.
func follow(nc net.Conn, state http.ConnState) {
	c, ok := nc.(*connection)
	if !ok {
		return
	}
	switch state {
	case http.StateIdle:
		c.forgetHead()
		// A client that does not wait for answers may have sent a part of the next
		// head, which ended anywhere in a line.
		c.head = head{line: 1}
		c.connections.idle(c)
	case http.StateActive:
		c.head.ended = true // also if net/http has found it malformed
		c.connections.busy(c)
	case http.StateHijacked:
		c.forgetHead()
		c.connections.busy(c)
	case http.StateNew, http.StateClosed: // admit and Close count these
	}
}

package ws

import (
	"errors"
	"runtime"
	"runtime/debug"
)

// Serve starts to read in a goroutine and returns at once. early is what the
// browser sent behind its handshake, as [Server.Upgrade] returned it. If the
// server is closed, Serve aborts the connection instead.
func (c *Conn) Serve(early []byte) {
	if !c.server.begin(func() { c.readOnce(func() error { return c.handle(early) }) }) {
		c.Abort()
	}
}

// wake reads on when a connection's wait is over, or waits itself where there
// is no poller. readOnce has added it to Server.running.
func (c *Conn) wake() {
	defer c.server.running.Done()
	c.readOnce(c.readAvailable)
}

// readOnce calls read, then leaves the wait for more bytes to the poller or, if
// it cannot be used, to a new goroutine. It does not wait in this one, because
// handling messages has grown its stack, and the garbage collector does not
// shrink a stack below 4 KiB again.
func (c *Conn) readOnce(read func() error) {
	defer func() {
		if value := recover(); value != nil {
			c.forget()
			c.contain(value)
		}
	}()
	if err := read(); err != nil {
		c.forget()
		c.Abort()
		c.handler.Failed(err)
		return
	}
	c.server.running.Add(1)
	// The poller supports no deadlines.
	if c.in.timed || c.server.NoPoller || !c.server.poller.park(c) {
		go c.wake()
	}
}

// forget drops what was read of an incomplete message.
func (c *Conn) forget() {
	c.in.partial, c.in.message = nil, nil
	c.in.account(c.server.Reserve)
}

// contain ends the connection after a panic in a handler. value is what recover
// has returned; nil means that there was none.
func (c *Conn) contain(value any) {
	if value != nil {
		c.handler.Failed(&Fault{Value: value, Stack: debug.Stack()})
		c.Abort()
	}
}

// readAvailable waits for bytes and handles them. A full buffer means that more
// may have arrived: it then reads again. An error ends the connection.
func (c *Conn) readAvailable() error {
	for {
		buffer, n, err := c.net.read()
		if err == nil {
			err = c.handle(buffer[:n])
			runtime.Gosched() // a flood on this connection must not delay the events of others
		}
		full := n == len(buffer)
		if buffer != nil {
			readBuffers.Put(buffer)
		}
		if err != nil || !full {
			return err
		}
	}
}

// handle parses bytes and calls the handler. It returns an error only if the
// browser sent a close frame. After any other error the connection is still
// read, until the handler's close ends it.
func (c *Conn) handle(b []byte) error {
	err := c.in.feed(b, c.server.MaxMessage, c.handler.Received)
	if err == nil && !c.in.account(c.server.Reserve) {
		err = ErrMemory
	}
	if err == nil {
		return nil
	}
	c.forget() // what was read is of no use any more
	c.handler.Failed(err)
	if errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}

package ws

import (
	"bytes"
	"testing"
	"time"
)

// The write deadline counts from when the kernel last accepted bytes, also if
// the kernel has room that is too little to report.
func TestWriteTimeout(t *testing.T) {
	t.Parallel()
	const timeout = 3 * time.Second
	srv := newServer(t)
	srv.WriteTimeout = timeout
	u := newUser()
	serve(t, srv, u)
	for range 50 {
		u.send(bytes.Repeat([]byte("x"), 100_000))
	}
	u.conn.out.mu.Lock()
	since := u.conn.out.progress
	u.conn.out.mu.Unlock()
	u.wantFailed(t, ErrSlow)
	if took := time.Since(since); took < timeout || took >= 2*timeout {
		t.Errorf("failed after %v", took)
	}
}

// A closed connection holds no unsent bytes.
func TestCloseKeepsNothing(t *testing.T) {
	srv := newServer(t)
	u := newUser()
	serve(t, srv, u)
	for u.conn.Unwritten() == 0 {
		u.send(bytes.Repeat([]byte("x"), 100_000))
	}
	u.conn.Close(1000, "")
	u.conn.out.mu.Lock()
	defer u.conn.out.mu.Unlock()
	if n := len(u.conn.out.unsent); n != 0 {
		t.Errorf("%d bytes are kept", n)
	}
}

// Once the server has closed, a connection is aborted and starts no goroutine.
func TestServeAfterClose(t *testing.T) {
	srv := newServer(t)
	srv.Close()
	u := newUser()
	browser := serve(t, srv, u)
	_ = browser.SetReadDeadline(time.Now().Add(patience))
	if n, err := browser.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

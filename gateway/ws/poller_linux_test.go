package ws

import (
	"syscall"
	"testing"
)

// If the process has no descriptor left for the epoll, a connection waits in a
// goroutine. It waits in the epoll as soon as that can be opened.
func TestNoDescriptorForTheEpoll(t *testing.T) {
	srv := newServer(t)
	u := newUser()
	u.echo = true
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 0
	set := func(l *syscall.Rlimit) {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, l); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { set(&limit) })
	epolls := func() bool {
		srv.poller.mu.Lock()
		defer srv.poller.mu.Unlock()
		return srv.poller.file != nil
	}
	browser := connect(t, srv, u)
	set(&none)
	u.conn.Serve(nil)
	_, _ = browser.Write(text("first"))
	want(t, browser, "first")
	if epolls() {
		t.Error("there was a descriptor")
	}
	set(&limit)
	_, _ = browser.Write(text("second"))
	want(t, browser, "second")
	until(t, "the epoll, if there is to be one", func() bool { return epolls() != *portable })
	_, _ = browser.Write(text("third"))
	want(t, browser, "third")
}

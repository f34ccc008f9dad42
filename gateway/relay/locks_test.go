package relay

import (
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/natstest"
)

// Each operation takes only the locks listed here, so no cycle is possible: operations that need
// two take them in the order of relay.go.
func TestLocks(t *testing.T) {
	s := natstest.Start(t)
	a, _ := startNode(t, s, 0)
	b, accepted := startNode(t, s, 0)
	here, _ := join(t, a, b, accepted)
	locks := map[string]*sync.Mutex{
		"table": &a.table.mu, "peers": &a.peers.mu, "pipes": &a.pipes.mu, "stream": &here.mu, "sender": &a.sender.mu,
	}
	for name, op := range map[string]struct {
		run   func()
		needs []string
	}{
		"Pipes":       {func() { a.Pipes() }, []string{"pipes"}},
		"Streams":     {func() { a.Streams() }, []string{"table"}},
		"find":        {func() { a.table.find(here.key) }, []string{"table"}},
		"forget":      {func() { a.table.forget(key{peer: b.Name}) }, []string{"table"}},
		"heard":       {func() { a.peers.heard(b.Name) }, []string{"peers"}},
		"divide":      {func() { a.peers.divide() }, []string{"peers"}},
		"count":       {func() { a.peers.add("x"); a.peers.remove("x") }, []string{"peers"}},
		"stalled":     {func() { a.sender.stalled() }, []string{"sender"}},
		"drop":        {func() { a.sender.drop(&sendQueue{}) }, []string{"sender"}},
		"cause":       {func() { _ = here.cause() }, []string{"stream"}},
		"SetDeadline": {func() { _ = here.SetDeadline(time.Time{}) }, []string{"stream"}},
		"Write":       {func() { _, _ = here.Write([]byte("x")) }, []string{"stream", "sender"}},
	} {
		for lock, mu := range locks {
			if slices.Contains(op.needs, lock) {
				continue
			}
			mu.Lock()
			done := make(chan struct{})
			go func() {
				defer close(done)
				op.run()
			}()
			select {
			case <-done:
			case <-time.After(natstest.Patience):
				t.Errorf("%s needs the lock of %s", name, lock)
			}
			mu.Unlock()
			<-done
		}
	}
}

// No stream is locked while the table removes it. The table is not locked while its streams break.
func TestTableAndStreamApart(t *testing.T) {
	s := natstest.Start(t)
	a, _ := startNode(t, s, 0)
	b, accepted := startNode(t, s, 0)
	here, _ := join(t, a, b, accepted)

	var running sync.WaitGroup
	defer running.Wait()
	here.mu.Lock()
	matching := make(chan struct{})
	running.Go(func() {
		a.table.breakAll(errSilent, func(key) bool {
			close(matching) // called with the table locked
			return true
		})
	})
	<-matching
	promptly(t, "Streams beside a stream that is locked", func() { a.Streams() })
	here.mu.Unlock()
	running.Wait()

	here, _ = join(t, a, b, accepted)
	a.table.mu.Lock()
	running.Go(func() { _ = here.Close() })
	promptly(t, "cause beside a table that is locked", func() {
		for !errors.Is(here.cause(), net.ErrClosed) {
			runtime.Gosched()
		}
	})
	a.table.mu.Unlock()
}

package eio

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// Bytes for a websocket that is being aborted never go to another file, although
// the kernel reuses its descriptor: neither to another websocket nor to anything
// else.
func TestDescriptorsAreNotMixed(t *testing.T) {
	a := start(t)
	a.onMessage = func(s *Session, data []byte, _ bool) {
		mine := Message(bytes.Clone(data))
		go func() {
			for s.Send(mine) && s.Flush() {
			}
		}()
		go func() {
			for s.Send(mine) && s.Flush() {
			}
		}()
		s.write(mine)
		go s.tryAbort()
	}
	over := time.Now().Add(time.Second)
	var all sync.WaitGroup
	for k := range 4 {
		all.Go(func() {
			for i := 0; time.Now().Before(over); i++ {
				if err := a.hearOnly(fmt.Sprintf("%d of %d", i, k)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 2 {
		all.Go(func() {
			for time.Now().Before(over) {
				if err := innocent(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	until(t, "all to be closed", func() bool { return a.Sessions() == 0 })
}

// hearOnly opens a websocket, sends its name, and reads to the end: only
// messages for that name may come.
func (a *app) hearOnly(who string) error {
	conn, err := a.dial()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"+websocketHeaders); err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("handshake: %d", answer.StatusCode)
	}
	if _, err := ws.ReadFrame(in); err != nil { // the open packet
		return err
	}
	_, _ = conn.Write(text("4" + who))
	for range rand.N(50) {
		f, err := ws.ReadFrame(in)
		var slow net.Error
		switch {
		case errors.As(err, &slow) && slow.Timeout():
			return fmt.Errorf("%s: the connection does not end: %w", who, err)
		case err != nil:
			return nil // it was aborted
		case f.Header.OpCode == ws.OpText && string(f.Payload) != "4"+who:
			return fmt.Errorf("%s heard %q", who, f.Payload)
		}
	}
	return nil
}

// innocent opens descriptors to which nothing must be written.
func innocent() error {
	var files [8][2]*os.File
	for i := range files {
		in, out, err := os.Pipe()
		if err != nil {
			return err
		}
		files[i] = [2]*os.File{in, out}
	}
	for _, f := range files {
		_ = f[1].Close()
		foreign, err := io.ReadAll(f[0])
		_ = f[0].Close()
		if err != nil {
			return err
		}
		if len(foreign) > 0 {
			return fmt.Errorf("in a pipe of ours was %q", foreign)
		}
	}
	return nil
}

// tryAbort aborts a session's websocket, if it has one.
func (s *Session) tryAbort() {
	if s == nil {
		return
	}
	if socket, ok := s.transport().(*websocket); ok {
		socket.conn.Abort()
	}
}

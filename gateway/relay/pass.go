package relay

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

const (
	// postTime bounds a POST that is passed on, from its first byte to its answer.
	postTime = time.Minute
	// writeTime is how long a browser's network may take nothing of an answer
	// or a websocket. The node that has the session is as patient, and closes
	// it; this one only lets go of the connection, so it waits longer.
	writeTime = 30 * time.Second
)

// Results of passing on.
const (
	resultPassed = "passed"
	resultNobody = "nobody" // there is no such node
	resultFailed = "failed" // it ended before it had answered, or the bus did
	resultFull   = "full"   // too much is being passed on
	resultLeaves = "leaves" // this node drains, and the request would not end before it
)

func kindOf(r *http.Request) string {
	switch {
	case r.Method == http.MethodPost:
		return "post"
	case r.URL.Query().Get("transport") == "websocket":
		return "websocket"
	}
	return "poll"
}

// Pass passes a request of a session on to the node that has it, and the
// answer back: what matters of both, nothing else. It returns false, and has
// answered nothing, if there is no such node.
func (n *Node) Pass(w http.ResponseWriter, r *http.Request, node string) bool {
	kind := kindOf(r)
	result := n.pass(w, r, node, kind)
	n.metrics.passed.WithLabelValues(kind, result).Inc()
	switch result {
	case resultFull, resultLeaves:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	case resultNobody:
		return false
	}
	return true
}

func (n *Node) pass(w http.ResponseWriter, r *http.Request, node, kind string) string {
	if kind != "post" && n.drains() {
		return resultLeaves // a balancer that has not noticed yet asks another
	}
	s, err := n.open(node)
	switch {
	case errors.Is(err, errFull):
		return resultFull
	case err != nil:
		w.WriteHeader(http.StatusServiceUnavailable)
		return resultFailed
	}
	ctx := r.Context()
	if kind == "post" {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, postTime)
		defer cancel()
	}
	leave := context.AfterFunc(ctx, func() { _ = s.Close() })

	out := request(r, kind)
	if err := out.Write(s); err != nil && !s.over() {
		leave()
		_ = s.Close()
		w.WriteHeader(http.StatusBadRequest) // the body did not come
		return resultFailed
	}
	in := bufio.NewReader(s)
	answer, err := http.ReadResponse(in, out)
	if err == nil && answer.StatusCode == http.StatusSwitchingProtocols {
		leave()
		n.pipe(w, answer, in, s)
		return resultPassed
	}
	defer func() {
		leave()
		_ = s.Close()
	}()
	switch {
	case err == nil:
		return sendAnswer(w, answer)
	case errors.Is(s.cause(), errNobody):
		return resultNobody
	}
	w.WriteHeader(http.StatusBadGateway)
	return resultFailed
}

// request is what is passed on of a request.
func request(r *http.Request, kind string) *http.Request {
	query := r.URL.Query()
	only := url.Values{}
	for _, name := range []string{"EIO", "transport", "sid"} {
		only.Set(name, query.Get(name))
	}
	out := &http.Request{
		Method: r.Method, Host: "gateway", URL: &url.URL{Path: "/", RawQuery: only.Encode()},
		Header: http.Header{"User-Agent": {""}}, Close: kind != "websocket",
	}
	headers := []string{"Content-Type"}
	switch kind {
	case "post":
		out.Body, out.ContentLength = r.Body, r.ContentLength
	case "websocket":
		headers = []string{"Upgrade", "Connection", "Sec-Websocket-Key", "Sec-Websocket-Version"}
	}
	for _, name := range headers {
		if value := r.Header.Get(name); value != "" {
			out.Header.Set(name, value)
		}
	}
	return out
}

// sendAnswer passes an answer back to the browser.
func sendAnswer(w http.ResponseWriter, answer *http.Response) string {
	for _, name := range []string{"Content-Type", "Content-Length"} {
		if value := answer.Header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(writeTime))
	// The connection serves other requests after this one.
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
	w.WriteHeader(answer.StatusCode)
	if _, err := io.Copy(w, answer.Body); err != nil {
		return resultFailed
	}
	_ = control.Flush()
	return resultPassed
}

// pipe makes the browser's connection and the stream one, until either ends.
// in has what came behind the answer already.
func (n *Node) pipe(w http.ResponseWriter, answer *http.Response, in *bufio.Reader, s *stream) {
	conn, browser, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = s.Close()
		w.WriteHeader(http.StatusBadRequest) // no HTTP/1.1
		return
	}
	_ = conn.SetDeadline(time.Time{})
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = answer.Header.Write(&head)
	head.WriteString("\r\n")
	_, _ = io.CopyN(&head, in, int64(in.Buffered()))
	early := make([]byte, browser.Reader.Buffered())
	_, _ = io.ReadFull(browser.Reader, early)

	drop := func() {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // else the kernel keeps what the browser does not take, for minutes
		}
		_ = conn.Close()
	}
	s.mu.Lock()
	gone := s.err != nil
	s.onEnd = drop
	s.mu.Unlock()
	n.mu.Lock()
	if n.closed || n.draining || gone {
		n.mu.Unlock()
		_ = s.Close()
		drop()
		return
	}
	n.pipes[s] = struct{}{}
	n.running.Go(func() { up(conn, early, s) })
	n.running.Go(func() {
		if down(conn, head.Bytes(), s) {
			_ = conn.Close()
		} else {
			_ = s.SetLinger(0)
			drop()
		}
		_ = s.Close()
		n.mu.Lock()
		delete(n.pipes, s)
		n.mu.Unlock()
	})
	n.mu.Unlock()
}

// up passes on what the browser sends. When it ends, so does the websocket at
// the other node, and with that down: after all that was sent until then.
func up(conn net.Conn, early []byte, s *stream) {
	defer s.CloseWrite()
	if _, err := s.Write(early); err != nil {
		return
	}
	var buffer [2048]byte
	for {
		n, err := conn.Read(buffer[:])
		if n > 0 {
			if _, err := s.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// down passes on what is for the browser, and reports whether that took everything.
func down(conn net.Conn, head []byte, s *stream) bool {
	if !writeAll(conn, head) {
		return false
	}
	for {
		b, err := s.next()
		if err != nil {
			return true
		}
		if !writeAll(conn, b) {
			return false
		}
		s.took(len(b))
	}
}

// writeAll is patient with a browser for as long as it takes some bytes.
func writeAll(conn net.Conn, b []byte) bool {
	for len(b) > 0 {
		_ = conn.SetWriteDeadline(time.Now().Add(writeTime))
		n, err := conn.Write(b)
		if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return false
		}
		b = b[n:]
	}
	return true
}

// drainGrace is how long the last websockets have, at the end of a drain, to end.
const drainGrace = 500 * time.Millisecond

// Drain ends the websockets that lead to other nodes evenly over the time
// given, each when the browser has what the other node had sent: their
// browsers come back to other nodes one after the other. Nothing that would
// have to end with this node is passed on any more: a browser that has just
// come back elsewhere would lose its connection again.
func (n *Node) Drain(ctx context.Context, over time.Duration) {
	n.mu.Lock()
	n.draining = true
	pipes := make([]*stream, 0, len(n.pipes))
	for s := range n.pipes {
		pipes = append(pipes, s)
	}
	n.mu.Unlock()
	for i, s := range pipes {
		at := over / time.Duration(len(pipes)-i)
		over -= at
		select {
		case <-time.After(at):
		case <-ctx.Done():
			return
		}
		s.CloseWrite()
	}
	for late := time.Now().Add(drainGrace); n.Pipes() > 0 && time.Now().Before(late); {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) drains() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.draining
}

// Pipes returns how many websockets lead to other nodes.
func (n *Node) Pipes() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.pipes)
}

// Streams returns how many there are, in both directions.
func (n *Node) Streams() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.streams)
}

package relay

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	// postTime bounds a POST that is passed on, from the start of passing it on to the end of its
	// answer.
	postTime = time.Minute
	// writeTime is how long a write to a browser may make no progress before its connection is
	// closed. The session's node has limits of its own for a slow browser; this limit only frees the
	// connection.
	writeTime = 30 * time.Second
)

// Values of the metric's label result.
const (
	resultPassed   = "passed"
	resultNobody   = "nobody" // no node has this name
	resultFailed   = "failed" // the other node, the browser or NATS failed before the answer was complete
	resultFull     = "full"   // too many requests are being passed on
	resultDraining = "leaves" // this node drains, and the request might outlast it
)

// Values of the metric's label kind.
const (
	requestPoll      = "poll"
	requestPost      = "post"
	requestWebsocket = "websocket"
)

// kindOf returns the kind of a request.
func kindOf(r *http.Request) string {
	switch {
	case r.Method == http.MethodPost:
		return requestPost
	case r.URL.Query().Get("transport") == "websocket":
		return requestWebsocket
	}
	return requestPoll
}

// Pass passes a request on to the node that has its session, and the answer back to the browser. It
// passes on only the headers and query parameters that a session needs. It returns when the request
// is answered; a websocket then goes on as a pipe. It returns false, without an answer, if no node
// has this name.
//
// The answer is 503 at the limit of streams, during a drain (except to a POST), and while NATS is
// not connected.
func (n *Node) Pass(w http.ResponseWriter, r *http.Request, node string) bool {
	kind := kindOf(r)
	result := n.pass(w, r, node, kind)
	n.metrics.passed.WithLabelValues(kind, result).Inc()
	switch result {
	case resultFull, resultDraining:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	case resultNobody:
		return false
	}
	return true
}

// pass is Pass without the metric. It returns the result; Pass answers for resultFull,
// resultDraining and resultNobody.
func (n *Node) pass(w http.ResponseWriter, r *http.Request, node, kind string) string {
	if kind != requestPost && n.pipes.stopped() {
		return resultDraining // on the 503 a balancer that still sends requests here tries another node
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
	if kind == requestPost {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, postTime)
		defer cancel()
	}
	release := context.AfterFunc(ctx, func() { _ = s.Close() })

	out := request(r, kind)
	if err := out.Write(s); err != nil && !s.peerDone() {
		release()
		_ = s.Close()
		w.WriteHeader(http.StatusBadRequest) // the body is incomplete
		return resultFailed
	}
	in := bufio.NewReader(s)
	answer, err := http.ReadResponse(in, out)
	if err == nil && answer.StatusCode == http.StatusSwitchingProtocols {
		release()
		n.join(w, answer, in, s)
		return resultPassed
	}
	defer func() {
		release()
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

// join takes over the browser's connection and starts the pipe that connects it with the stream.
func (n *Node) join(w http.ResponseWriter, answer *http.Response, in *bufio.Reader, s *stream) {
	p, err := newPipe(w, answer, in, s)
	if err != nil {
		_ = s.Close()
		w.WriteHeader(http.StatusBadRequest) // not HTTP/1.1
		return
	}
	if !s.setOnBreak(p.reset) || !n.pipes.start(s, p.up, p.down) {
		_ = s.Close()
		p.reset()
	}
}

// request returns the request that is sent to the session's node: method, body and a few headers
// and parameters of r.
func request(r *http.Request, kind string) *http.Request {
	query := r.URL.Query()
	only := url.Values{}
	for _, name := range []string{"EIO", "transport", "sid"} {
		only.Set(name, query.Get(name))
	}
	out := &http.Request{
		Method: r.Method, Host: "gateway", URL: &url.URL{Path: "/", RawQuery: only.Encode()},
		Header: http.Header{"User-Agent": {""}}, Close: kind != requestWebsocket,
	}
	headers := []string{"Content-Type"}
	switch kind {
	case requestPost:
		out.Body, out.ContentLength = r.Body, r.ContentLength
	case requestWebsocket:
		headers = []string{"Upgrade", "Connection", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Protocol"}
	}
	for _, name := range headers {
		if value := r.Header.Get(name); value != "" {
			out.Header.Set(name, value)
		}
	}
	return out
}

// sendAnswer sends an answer to the browser and returns the result.
func sendAnswer(w http.ResponseWriter, answer *http.Response) string {
	for _, name := range []string{"Content-Type", "Content-Length"} {
		if value := answer.Header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	browser := answerWriter{w, http.NewResponseController(w)}
	// The connection serves other requests after this one.
	defer func() { _ = browser.control.SetWriteDeadline(time.Time{}) }()
	browser.extend()
	w.WriteHeader(answer.StatusCode)
	if _, err := io.Copy(browser, answer.Body); err != nil {
		return resultFailed
	}
	browser.extend()
	_ = browser.control.Flush()
	return resultPassed
}

// answerPiece is how many bytes of an answer a browser must take within writeTime. A browser that
// reads steadily gets an answer of any size. How slowly it may read is decided by the session's node,
// whose writes wait for these.
const answerPiece = 32 << 10

// An answerWriter writes an answer to a browser, piece by piece.
type answerWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (w answerWriter) extend() { _ = w.control.SetWriteDeadline(time.Now().Add(writeTime)) }

func (w answerWriter) Write(b []byte) (written int, err error) {
	for written < len(b) && err == nil {
		w.extend()
		var n int
		n, err = w.ResponseWriter.Write(b[written:min(len(b), written+answerPiece)])
		written += n
	}
	return written, err
}

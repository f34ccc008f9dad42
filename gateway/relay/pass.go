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
	// postTime bounds a POST that is passed on, from its first byte to its answer.
	postTime = time.Minute
	// writeTime is how long a browser's network may take nothing of an answer
	// or a websocket. The session's node closes a slow session earlier, as its
	// own limit says; this one only frees the connection.
	writeTime = 30 * time.Second
)

// Results of passing on, as the metric names them.
const (
	resultPassed = "passed"
	resultNobody = "nobody" // there is no such node
	resultFailed = "failed" // the other node, the browser or NATS failed before the answer was complete
	resultFull   = "full"   // too many requests are being passed on
	resultLeaves = "leaves" // this node drains, and the request would not end before it stops
)

// Kinds of requests, as the metric names them.
const (
	requestPoll      = "poll"
	requestPost      = "post"
	requestWebsocket = "websocket"
)

func kindOf(r *http.Request) string {
	switch {
	case r.Method == http.MethodPost:
		return requestPost
	case r.URL.Query().Get("transport") == "websocket":
		return requestWebsocket
	}
	return requestPoll
}

// Pass passes a request on to the node that has its session, and the answer
// back. Of both it passes only what a session needs. It returns when the request
// is answered; a websocket then goes on as a pipe. It returns false, and has
// answered nothing, if there is no such node.
//
// The answer is 503 at the limit of streams, in a drain (except for a POST), and while
// the connection to NATS is down.
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
	if kind != requestPost && n.pipes.stopped() {
		return resultLeaves // a balancer that has not noticed yet asks another node
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
	if err := out.Write(s); err != nil && !s.over() {
		release()
		_ = s.Close()
		w.WriteHeader(http.StatusBadRequest) // the body did not come
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

// join makes the browser's connection and the stream a pipe, until either ends.
func (n *Node) join(w http.ResponseWriter, answer *http.Response, in *bufio.Reader, s *stream) {
	p, err := newPipe(w, answer, in, s)
	if err != nil {
		_ = s.Close()
		w.WriteHeader(http.StatusBadRequest) // not HTTP/1.1
		return
	}
	if !s.breaking(p.reset) || !n.pipes.start(s, p.up, p.down) {
		_ = s.Close()
		p.reset()
	}
}

// request returns what is passed on of a request.
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

package siotest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// A Transport moves Engine.IO packets, text only.
type Transport interface {
	Send(packet string) error
	Receive() (packets []string, err error)
	Close()
}

// A socket is a websocket transport.
type socket struct {
	conn net.Conn
	in   io.Reader
	mu   sync.Mutex // guards writes
}

// DialSocket opens a websocket with the query.
func DialSocket(base, query string) (Transport, error) {
	target := "ws" + strings.TrimPrefix(base, "http") + "/socket.io/?" + query
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	conn, early, _, err := ws.Dial(ctx, target)
	if err != nil {
		return nil, err
	}
	s := &socket{conn: conn, in: conn}
	if early != nil {
		s.in = early
	}
	return s, nil
}

func (s *socket) Send(packet string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return wsutil.WriteClientText(s.conn, []byte(packet))
}

func (s *socket) Receive() ([]string, error) {
	data, op, err := wsutil.ReadServerData(struct {
		io.Reader
		io.Writer
	}{s.in, s})
	if err != nil {
		return nil, err
	}
	if op != ws.OpText {
		return nil, fmt.Errorf("frame of type %v", op)
	}
	return []string{string(data)}, nil
}

// Write writes what wsutil answers to control frames.
func (s *socket) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn.Write(b)
}

func (s *socket) Close() { _ = s.conn.Close() }

// A poller is a polling transport, with plain payloads.
type poller struct {
	ctx    context.Context
	cancel context.CancelFunc
	http   http.Client
	url    string
	eio    int
	first  []string
}

// Poll opens a session on polling.
func Poll(base string, eio int) (Transport, error) {
	p := &poller{eio: eio, url: fmt.Sprintf("%s/socket.io/?EIO=%d&transport=polling", base, eio)}
	p.http.Transport = &http.Transport{}
	if eio < 4 {
		p.url += "&b64=1"
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	first, err := p.Receive()
	if err != nil {
		p.Close()
		return nil, err
	}
	var open struct{ SID string }
	if err := json.Unmarshal([]byte(first[0][1:]), &open); err != nil {
		p.Close()
		return nil, fmt.Errorf("open packet %q: %w", first[0], err)
	}
	p.url += "&sid=" + open.SID
	p.first = first
	return p, nil
}

func (p *poller) do(method, body string) (string, error) {
	r, err := http.NewRequestWithContext(p.ctx, method, p.url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := p.http.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d %s", method, resp.StatusCode, bytes.TrimSpace(answer))
	}
	return string(answer), err
}

func (p *poller) Send(packet string) error {
	body := packet
	if p.eio < 4 {
		body = fmt.Sprintf("%d:%s", units(packet), packet)
	}
	_, err := p.do(http.MethodPost, body)
	return err
}

func (p *poller) Receive() ([]string, error) {
	if first := p.first; first != nil {
		p.first = nil
		return first, nil
	}
	body, err := p.do(http.MethodGet, "")
	if err != nil {
		return nil, err
	}
	if p.eio == 4 {
		return strings.Split(body, "\x1e"), nil
	}
	var packets []string
	for body != "" {
		length, rest, _ := strings.Cut(body, ":")
		var n int
		if _, err := fmt.Sscan(length, &n); err != nil || n > len(rest) {
			return nil, fmt.Errorf("payload %q", body)
		}
		packets, body = append(packets, rest[:n]), rest[n:] // ASCII: units are bytes
	}
	return packets, nil
}

func (p *poller) Close() {
	p.cancel()
	p.http.CloseIdleConnections()
}

// units counts UTF-16 code units.
func units(s string) (n int) {
	for _, r := range s {
		n++
		if r > 0xffff {
			n++
		}
	}
	return n
}

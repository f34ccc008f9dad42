package relay

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// A pipe joins the connection of a browser with the stream to the node of its
// session, once that node has accepted the websocket.
type pipe struct {
	conn   net.Conn
	stream *stream
	early  []byte // what the browser has sent behind its handshake already
	head   []byte // the answer to the handshake, and what came behind it already
}

// newPipe takes the browser's connection from net/http. in has read the answer
// from the stream, and maybe more.
func newPipe(w http.ResponseWriter, answer *http.Response, in *bufio.Reader, s *stream) (*pipe, error) {
	conn, browser, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = answer.Header.Write(&head)
	head.WriteString("\r\n")
	_, _ = io.CopyN(&head, in, int64(in.Buffered()))
	early := make([]byte, browser.Reader.Buffered())
	_, _ = io.ReadFull(browser.Reader, early)
	return &pipe{conn: conn, stream: s, early: early, head: head.Bytes()}, nil
}

// reset closes the browser's connection and drops what the browser has not taken.
func (p *pipe) reset() {
	if tcp, ok := p.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // else the kernel keeps it for minutes
	}
	_ = p.conn.Close()
}

// up copies what the browser sends. Its end ends the websocket at the session's
// node, and with that down, after everything that was sent until then.
func (p *pipe) up() {
	defer p.stream.CloseWrite()
	if _, err := p.stream.Write(p.early); err != nil {
		return
	}
	p.early = nil
	var buffer [2048]byte
	for {
		n, err := p.conn.Read(buffer[:])
		if n > 0 {
			if _, err := p.stream.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// down copies what is for the browser, then closes both sides.
func (p *pipe) down() {
	browser := &patientWriter{conn: p.conn}
	_, _ = browser.Write(p.head)
	p.head = nil
	if !browser.failed {
		_, _ = p.stream.WriteTo(browser)
	}
	if browser.failed {
		_ = p.stream.SetLinger(0)
		p.reset()
	} else {
		_ = p.conn.Close()
	}
	_ = p.stream.Close()
}

// A patientWriter writes to a browser for as long as that takes some bytes
// within writeTime.
type patientWriter struct {
	conn   net.Conn
	failed bool // a write has failed
}

func (w *patientWriter) Write(b []byte) (written int, err error) {
	for written < len(b) {
		_ = w.conn.SetWriteDeadline(time.Now().Add(writeTime))
		n, err := w.conn.Write(b[written:])
		written += n
		if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			w.failed = true
			return written, err
		}
	}
	return written, nil
}

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

// A pipe copies bytes between a browser's websocket connection and the stream to the node of its
// session. It begins when that node has accepted the websocket.
type pipe struct {
	conn   net.Conn
	stream *stream
	early  []byte // bytes that the browser sent right after its handshake
	head   []byte // the answer to the handshake, and the bytes that followed it
}

// newPipe takes the browser's connection over from net/http. answer was read from in, which reads
// from the stream and may have buffered further bytes. The error is that of Hijack: the connection
// is not HTTP/1.1.
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

// reset closes the browser's connection and drops the bytes that the browser has not received.
func (p *pipe) reset() {
	if tcp, ok := p.conn.(interface{ SetLinger(int) error }); ok { // a TCP connection, perhaps wrapped
		_ = tcp.SetLinger(0) // else the kernel retries for minutes
	}
	_ = p.conn.Close()
}

// up copies from the browser to the stream. When the browser's side ends, up ends the writing of
// the stream. The session's node then closes the websocket, which ends down.
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

// down copies from the stream to the browser. At the end it closes both.
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

// A patientWriter writes to a browser's connection. A write fails if the connection takes nothing
// for writeTime.
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

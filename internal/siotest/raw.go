package siotest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// A Raw is a connection on which a test writes bytes and reads HTTP answers or
// websocket frames. Its errors do not hold addresses, so that like ones can be counted.
type Raw struct {
	Net net.Conn      // a test may write to it and end it
	In  *bufio.Reader // reads from Net
}

func newRaw(conn net.Conn) Raw { return Raw{Net: conn, In: bufio.NewReaderSize(conn, 512)} }

// dial connects to the URL of a server and returns its host:port, too.
func dial(base string) (raw Raw, host string, err error) {
	host = strings.TrimPrefix(base, "http://")
	conn, err := net.DialTimeout("tcp", host, Patience)
	if err != nil {
		return Raw{}, "", Cause(err)
	}
	return newRaw(conn), host, nil
}

// Cause takes the addresses from an error of package net.
func Cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// Write writes bytes as they are.
func (r Raw) Write(b []byte) error {
	_ = r.Net.SetWriteDeadline(time.Now().Add(Patience))
	_, err := r.Net.Write(b)
	return Cause(err)
}

// ReadUpgrade reads the answer to a websocket's handshake. A refusal is a ws.StatusError.
func (r Raw) ReadUpgrade(deadline time.Time) error {
	_ = r.Net.SetReadDeadline(deadline)
	resp, err := http.ReadResponse(r.In, nil)
	if err != nil {
		return Cause(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		_ = resp.Body.Close()
		return ws.StatusError(resp.StatusCode)
	}
	return nil
}

// ReadAnswer reads an HTTP answer, which must be 200.
func (r Raw) ReadAnswer(deadline time.Time) (contentType string, body []byte, err error) {
	_ = r.Net.SetReadDeadline(deadline)
	resp, err := http.ReadResponse(r.In, nil)
	if err != nil {
		return "", nil, Cause(err)
	}
	body, err = io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s %.80q", resp.Status, bytes.TrimSpace(body))
	}
	return resp.Header.Get("Content-Type"), body, err
}

// post sends a POST and reads the answer, which must be ok.
func (r Raw) post(request []byte) error {
	if err := r.Write(request); err != nil {
		return err
	}
	_, body, err := r.ReadAnswer(time.Now().Add(Patience))
	if err == nil && string(body) != "ok" {
		err = fmt.Errorf("POST: %.80q", body)
	}
	return err
}

// readText reads a websocket's text frame.
func (r Raw) readText(deadline time.Time) (string, error) {
	_ = r.Net.SetReadDeadline(deadline)
	f, err := ws.ReadFrame(r.In)
	switch {
	case err != nil:
		return "", Cause(err)
	case f.Header.OpCode == ws.OpClose:
		code, text := ws.ParseCloseFrameData(f.Payload)
		return "", CloseError{code, text}
	case f.Header.OpCode != ws.OpText || !f.Header.Fin:
		return "", fmt.Errorf("frame %+v", f.Header)
	}
	return string(f.Payload), nil
}

// A CloseError is how the server said that the session is over.
type CloseError struct {
	Code ws.StatusCode // of the websocket's close frame; 0 on polling
	Text string
}

func (e CloseError) Error() string { return fmt.Sprintf("closed by the server: %d %s", e.Code, e.Text) }

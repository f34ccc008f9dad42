//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// A poller is a browser on polling. It registers an id, and then a poll of its
// waits all the time. It has one connection: what it posts it posts between two polls.
type poller struct {
	fd     int
	server *server
	id     string
	sid    string
	step   int
	rest   []byte
	ledger *ledger
}

// addPollers opens a session on polling for each list of ids.
func (f *fixture) addPollers(ids [][]string) error {
	opened := 0
	var fault error
	err := f.until(2*time.Minute, func() bool {
		for fault == nil && opened < len(ids) && opened-f.ledger.ready < inflight {
			p := &poller{server: f.server, id: ids[opened][0], ledger: f.ledger}
			if p.fd, fault = f.loop.connect(f.server.sockets, p); fault == nil {
				fault = p.poll(f.loop)
			}
			opened++
		}
		return fault != nil || f.ledger.ready == len(ids)
	})
	if fault != nil {
		return fault
	}
	if err != nil {
		return fmt.Errorf("%d of %d sessions on polling are registered: %w", f.ledger.ready, len(ids), err)
	}
	return nil
}

func (p *poller) target() string {
	target := "/socket.io/?EIO=4&transport=polling"
	if p.sid != "" {
		target += "&sid=" + p.sid
	}
	return target
}

func (p *poller) poll(l *loop) error {
	return l.write(p.fd, fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", p.target(), p.server.sockets))
}

func (p *poller) post(l *loop, packet string) error {
	return l.write(p.fd, request(nil, p.target(), "Content-Type: text/plain;charset=UTF-8\r\n", p.server.sockets, []byte(packet)))
}

func (p *poller) lost(*loop) error { return errors.New("a poll was ended") }

func (p *poller) read(l *loop, data []byte) error {
	p.rest = append(p.rest, data...)
	status, body, err := response(p.rest)
	if errors.Is(err, errMore) {
		return nil
	}
	if err != nil || status != 200 {
		return fmt.Errorf("a session on polling is answered %.300q", p.rest)
	}
	defer func() { p.rest = nil }()
	switch {
	case string(body) == "ok":
		return p.poll(l)
	case string(body) == "2":
		return p.post(l, "3")
	case p.step == 0 && bytes.HasPrefix(body, []byte(`0{"sid":"`)):
		sid, _, _ := bytes.Cut(body[len(`0{"sid":"`):], []byte(`"`))
		p.sid, p.step = string(sid), 1
		return p.post(l, "40")
	case p.step == 1 && bytes.HasPrefix(body, []byte(`40{`)):
		p.step = 2
		return p.post(l, `420["register",{"userid":"`+p.id+`"}]`)
	case p.step == 2 && bytes.HasPrefix(body, []byte(`430[{"ok":true`)):
		p.step = done
		p.ledger.ready++
		p.ledger.readyAt = l.now()
		return p.poll(l)
	}
	return fmt.Errorf("a session on polling hears %.300q at step %d", body, p.step)
}

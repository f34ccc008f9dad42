package siotest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// A Page is a session that answers heartbeats and speaks Socket.IO. It returns
// errors, for tests that count them.
type Page struct{ *Conn }

// Registration is the packet that registers an id, with a callback.
func Registration(id string) string { return `421["register",{"userid":"` + id + `"}]` }

// Registered is the callback of a Registration that was taken.
const Registered = `431[{"ok":true}]`

// Join joins the namespace "/". Clients before EIO 4 do not ask for it.
func (p *Page) Join() error {
	if p.EIO == 4 {
		if err := p.Send("40"); err != nil {
			return err
		}
	}
	return p.Expect("40")
}

// Register registers an id, which needs no escaping in JSON, and waits for the callback.
func (p *Page) Register(id string) error {
	if err := p.Send(Registration(id)); err != nil {
		return err
	}
	return p.Expect(Registered)
}

// Next returns the next packet that is neither heartbeat nor noop. A deadline of zero is none.
func (p *Page) Next(deadline time.Time) (string, error) {
	for {
		packet, err := p.Receive(deadline)
		if err != nil {
			return "", err
		}
		switch packet {
		case "":
			return "", errors.New("empty packet")
		case "1":
			return "", CloseError{}
		case "2":
			if err := p.Send("3"); err != nil {
				return "", fmt.Errorf("pong: %w", err)
			}
		case "3", "6":
		default:
			return packet, nil
		}
	}
}

// Expect waits for a packet that begins so, and takes no other.
func (p *Page) Expect(prefix string) error {
	packet, err := p.Next(time.Now().Add(Patience))
	if err == nil && !strings.HasPrefix(packet, prefix) {
		err = fmt.Errorf("got %.80q", packet)
	}
	if err != nil {
		return fmt.Errorf("%s awaited: %w", prefix, err)
	}
	return nil
}

// Hear waits for the next event and returns its JSON array.
func (p *Page) Hear(deadline time.Time) (string, error) {
	packet, err := p.Next(deadline)
	if err != nil {
		return "", err
	}
	event, ok := strings.CutPrefix(packet, "42")
	if !ok {
		return "", fmt.Errorf("got %.80q", packet)
	}
	return event, nil
}

// Goodbye tells the server that the page goes, and closes.
func (p *Page) Goodbye() {
	if p.Polling {
		_ = p.Send("1")
	} else {
		goodbye := ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
		_ = p.Write(ws.MustCompileFrame(ws.MaskFrameInPlace(goodbye)))
	}
	p.Close()
}

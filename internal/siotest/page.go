package siotest

import (
	"fmt"
	"strings"
	"time"
)

// Registration is the packet that registers an id, with a callback.
func Registration(id string) string { return `421["register",{"userid":"` + id + `"}]` }

// Registered is the callback of a Registration that was taken.
const Registered = `431[{"ok":true}]`

// Join joins the namespace "/". Clients before EIO 4 do not ask for it.
func (c *Conn) Join() error {
	if c.EIO == 4 {
		if err := c.Send("40"); err != nil {
			return err
		}
	}
	return c.Expect("40")
}

// Register registers an id, which needs no escaping in JSON, and waits for the callback.
func (c *Conn) Register(id string) error {
	if err := c.Send(Registration(id)); err != nil {
		return err
	}
	return c.Expect(Registered)
}

// Expect waits for a packet for the page that begins so, and takes no other.
func (c *Conn) Expect(prefix string) error {
	packet, err := c.Next(time.Now().Add(Patience))
	if err == nil && !strings.HasPrefix(packet, prefix) {
		err = fmt.Errorf("got %.80q", packet)
	}
	if err != nil {
		return fmt.Errorf("%s awaited: %w", prefix, err)
	}
	return nil
}

// Hear waits for the next event and returns its JSON array.
func (c *Conn) Hear(deadline time.Time) (string, error) {
	packet, err := c.Next(deadline)
	if err != nil {
		return "", err
	}
	event, ok := strings.CutPrefix(packet, "42")
	if !ok {
		return "", fmt.Errorf("got %.80q", packet)
	}
	return event, nil
}

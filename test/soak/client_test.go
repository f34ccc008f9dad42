//go:build soak

package soak

import (
	"net"
	"sync/atomic"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// patience is how long a client waits for what must come.
const patience = siotest.Patience

var (
	socket4  = siotest.Options{EIO: 4}
	socket3  = siotest.Options{EIO: 3}
	polling4 = siotest.Options{EIO: 4, Polling: true}
	polling3 = siotest.Options{EIO: 3, Polling: true}
)

var sources atomic.Uint32

// dial connects from one of 64 loopback addresses in turn: one has not ports enough.
func dial(host string) (net.Conn, error) {
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+sources.Add(1)%64))}}
	conn, err := d.Dial("tcp", host)
	return conn, siotest.Cause(err)
}

// call connects and says nothing yet.
func call(host string, k siotest.Options) (*siotest.Page, error) {
	conn, err := dial(host)
	if err != nil {
		return nil, err
	}
	return &siotest.Page{Conn: siotest.NewConn(conn, host, k)}, nil
}

// open opens a session and waits for the open packet. What is behind the
// greeting is sent in the same write.
func open(host string, k siotest.Options, behind ...string) (*siotest.Page, error) {
	c, err := call(host, k)
	if err != nil {
		return nil, err
	}
	if err := c.Open(behind...); err != nil {
		return nil, err
	}
	return c, nil
}

// join opens a session, joins "/" and registers the id.
func join(host string, k siotest.Options, id string) (*siotest.Page, error) {
	c, err := open(host, k)
	if err != nil {
		return nil, err
	}
	if err = c.Join(); err == nil {
		err = c.Register(id)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

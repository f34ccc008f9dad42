package listen

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Names of listeners: the label in metrics and log.
const (
	Public  = "public"  // --listen
	Emits   = "emits"   // --emit-listen
	Private = "private" // --admin-listen
)

// flagOf has the flag of each listener.
var flagOf = map[string]string{Public: "--listen", Emits: "--emit-listen", Private: "--admin-listen"}

const (
	// sendBuffer is what the kernel is asked to hold of the bytes that a browser
	// has not taken. Linux doubles the number, so that it counts what packets cost
	// besides their bytes: a reader that stalls costs at most 128 KiB of kernel
	// memory, where the kernel would grow the buffer up to 4 MiB
	// (net.ipv4.tcp_wmem). At a round trip of 100 ms such a buffer passes about a
	// megabyte a second, far more than a page's events.
	sendBuffer = 64 << 10
	// unreadTimeout is how long the peer of a connection may take nothing of what the
	// kernel has to send. It bounds how long a connection that is closed stays in the
	// kernel's memory. It is above the time of a heartbeat, 45 s, so that a browser
	// whose network is away for less stays connected.
	unreadTimeout = time.Minute
	// fileRetry is the pause before the next attempt to accept if no file is left.
	fileRetry = 50 * time.Millisecond
	// reserveTime is how long an attempt to accept with the file in reserve waits
	// for a connection.
	reserveTime = 5 * time.Millisecond
	// refusalTime bounds the writing of a refusal. The buffer of a new connection
	// is empty, so the write does not wait for the peer.
	refusalTime = 10 * time.Millisecond
)

// A listener counts the connections that it accepts. It refuses those beyond the
// limits with an answer, without a goroutine and without waiting for the peer.
type listener struct {
	*net.TCPListener
	name        string
	emits       bool // may use what is reserved for emits
	private     bool // serves, not refuses, with the file in reserve
	connections *connections
	log         *slog.Logger

	open int // guarded by the lock of connections

	reserve  *os.File // holds a file for the time when there is no other; only the goroutine that accepts uses it
	warnings [len(refusals)]throttle
}

// boundSendBuffer sets sendBuffer for the connections that a socket will accept.
func boundSendBuffer(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) { setSendBuffer(fd, sendBuffer) })
}

// Accept implements net.Listener. It returns the next connection that is within
// the limits.
func (l *listener) Accept() (net.Conn, error) {
	for {
		l.openReserve()
		why := admitted
		tcp, err := l.AcceptTCP()
		if noFile(err) {
			tcp, why, err = l.acceptWithoutFiles()
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue
		case noFile(err):
			l.openReserve()
			l.warn(noFiles)
			time.Sleep(fileRetry)
			continue
		case err != nil:
			l.closeReserve()
			return nil, err
		}
		c := &connection{TCPConn: tcp, connections: l.connections, listener: l}
		if why == admitted {
			why = l.admit(c)
		}
		if why == admitted {
			setUserTimeout(tcp, unreadTimeout)
			return c, nil
		}
		l.refuse(c, why)
	}
}

// admit counts a connection and closes the one that has to make room for it.
func (l *listener) admit(c *connection) refusal {
	victim, why := l.connections.admit(c, peerOf(c.TCPConn))
	if victim != nil {
		_ = victim.Close()
	}
	return why
}

// peerOf returns the address of the other side of a connection.
func peerOf(c *net.TCPConn) netip.Addr {
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr()
	}
	return netip.Addr{}
}

// acceptWithoutFiles accepts a connection when the process or the system has no
// file left, with the file in reserve. Another connection, which waits, then
// makes room. If none does, the new one is to be refused, except by the private
// listener. The error is EMFILE also if no connection has come: Linux says that
// there is no file before it looks for one.
func (l *listener) acceptWithoutFiles() (c *net.TCPConn, why refusal, err error) {
	if l.reserve == nil { // a connection has it
		l.makeRoom(fileRetry)
		return nil, admitted, syscall.EMFILE
	}
	l.closeReserve()
	_ = l.SetDeadline(time.Now().Add(reserveTime))
	c, err = l.AcceptTCP()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = syscall.EMFILE
	case err == nil && !l.makeRoom(0) && !l.private:
		why = noFiles
	}
	return c, why, err
}

// makeRoom closes the connection that has waited longest, if it has waited for so
// long. It reports whether it has.
func (l *listener) makeRoom(least time.Duration) bool {
	victim := l.connections.makeRoom(least)
	if victim != nil {
		_ = victim.Close()
	}
	return victim != nil
}

// openReserve opens the file in reserve if it is not open. If it cannot be opened,
// the next attempt to accept ends after fileRetry, so that it is opened as soon as
// a file is free.
func (l *listener) openReserve() {
	if l.reserve != nil {
		return
	}
	var next time.Time // none
	var err error
	if l.reserve, err = os.Open(os.DevNull); err != nil {
		next = time.Now().Add(fileRetry)
	}
	_ = l.SetDeadline(next)
}

func (l *listener) closeReserve() {
	if l.reserve != nil {
		_ = l.reserve.Close()
		l.reserve = nil
	}
}

// noFile reports whether an error means that the process (EMFILE) or the system
// (ENFILE) has too many files open.
func noFile(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// refuse answers a new connection and closes it.
func (l *listener) refuse(c *connection, why refusal) {
	l.answer(c, why)
	_ = c.Close()
}

// answer answers a connection with a refusal, which is counted and logged. The
// caller closes the connection. What the peer has sent is discarded first: with
// unread bytes the kernel would reset the connection, and not every client reads
// an answer that a reset follows.
func (l *listener) answer(c *connection, why refusal) {
	l.connections.metrics.refused.WithLabelValues(l.name, refusals[why].reason).Inc()
	_ = c.SetDeadline(time.Now().Add(refusalTime))
	_, _ = c.Write(refusals[why].answer)
	_ = c.CloseWrite()
	discard(c.TCPConn)
	l.warn(why)
}

// warn logs a refusal, at most once a minute for each reason.
func (l *listener) warn(why refusal) {
	if times, ok := l.warnings[why].pass(time.Now()); ok {
		l.log.Warn("connections are refused, because "+refusals[why].advice, "listener", l.name,
			"reason", refusals[why].reason, "times", times)
	}
}

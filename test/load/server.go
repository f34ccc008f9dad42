//go:build linux

package main

import (
	"net/netip"
	"strconv"
)

// A server is what is measured: one of ours or a peer, running.
type server struct {
	dialect
	name      string
	processes ends
	sockets   netip.AddrPort // where browsers connect
	emits     netip.AddrPort // where pages emit
	admin     netip.AddrPort // where ours has its profiles; not valid for peers
}

// A dialect is how a kind of server is talked to.
type dialect interface {
	// target is what the handshake of a websocket asks for.
	target(ids []string) string
	// register is called after the handshake, with no message, and with each
	// message that follows until it says that the socket is registered.
	register(k *socket, message []byte) (say string, registered bool, err error)
	// heartbeat returns what a heartbeat is answered with, and "" for any other message.
	heartbeat(message []byte) string
	// post appends the request by which an event goes to the ids.
	post(request []byte, ids []string, data string) []byte
	// answer reads the answer to it.
	answer(status int, body []byte) answer
}

// A kind is a server that can be started.
type kind struct {
	name  string
	about string
	start func(b *build) (*server, error)
	// missing says what would have to be installed; "" is nothing.
	missing func() string
}

var kinds = []kind{
	{"embedded", "doit-socket", startEmbedded, nothing},
	{"programs", "doit-socket as three programs", startPrograms, nothing},
	{"node", "Node's Socket.IO on node:http", startNode, nothing},
	{"express", "Node's Socket.IO on Express", startExpress, nothing},
	{"nchan", "nchan in nginx", startNchan, missingNchan},
	{"centrifugo", "Centrifugo (no receipt)", startCentrifugo, missingCentrifugo},
}

func nothing() string { return "" }

// request appends an HTTP request with a body.
func request(to []byte, target, headers string, host netip.AddrPort, body []byte) []byte {
	to = append(to, "POST "...)
	to = append(to, target...)
	to = append(to, " HTTP/1.1\r\nHost: "...)
	to = host.AppendTo(to)
	to = append(to, "\r\n"...)
	to = append(to, headers...)
	to = append(to, "Content-Length: "...)
	to = strconv.AppendInt(to, int64(len(body)), 10)
	to = append(to, "\r\n\r\n"...)
	return append(to, body...)
}

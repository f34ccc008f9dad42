package sio

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/zishang520/socket.io-go-parser/v2/parser"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// Any bytes are refused, or are a packet that is the same when it is encoded again.
func FuzzParsePacket(f *testing.F) {
	for _, packet := range []string{
		"0", "0{}", `0/shop?a=b,{"token":1}`, "1", "1/shop,", `2["register",{"userid":"42"}]`, `2/shop,12["x"]`,
		`31[{"ok":true}]`, `4/shop,{"message":"x"}`, `51-["x",{"_placeholder":true,"num":0}]`, "5999999999-[]", `51-/shop?a,12["register",{"userid":"x"}]`, "51-[", "5x-[]", "5-[]", "61-1[]", "2/", "2/,", "7", "",
	} {
		f.Add([]byte(packet))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, ok := parsePacket(bytes.Clone(data))
		if !ok {
			return
		}
		if !p.kind.Valid() || p.kind != parser.PacketType(data[0]) {
			t.Fatalf("kind %q", p.kind)
		}
		if p.namespace[0] != '/' || len(p.namespace) > maxNamespace || len(p.ack) > maxAck || len(p.data) > 0 && !json.Valid(p.data) {
			t.Fatalf("%q is %+v", data, p)
		}
		if name, args, ok := p.event(); ok && (p.data[0] != '[' && !bytes.ContainsAny(p.data[:1], " \t\r\n") || args == nil) {
			t.Errorf("%q is the event %q with %q", data, name, args)
		}
		if p.kind == parser.BINARY_EVENT || p.kind == parser.BINARY_ACK {
			return // what is written carries no attachments
		}
		p.namespace = p.path() // what is written carries no query
		again, ok := parsePacket(append(p.head(), p.data...))
		if !ok || again.kind != p.kind || again.namespace != p.namespace || again.ack != p.ack || !bytes.Equal(again.data, p.data) {
			t.Errorf("%q is %+v, and then %+v", data, p, again)
		}
	})
}

// rushes are connections that end in the middle of something.
var rushes = [][]string{
	{},
	{"40"},
	{"40", `42["register",{"userid":"rush"}]`},
	{"40", `420["register",{"userid":["a","b","c"]}]`, "41"},
	{"40", "41", "40", `42["register",{"userid":"rush"}]`},
	{"40/random,"},
	{"40", "40"},
	{"40", "42"},
}

// rush sends a websocket handshake and packets in one piece, and resets the connection at once.
func (b *bench) rush(packets []string) {
	o := siotest.Options{EIO: 4}
	if len(packets) > 3 {
		o.EIO = 3
	}
	conn, err := siotest.Begin(b.url, o)
	if err != nil {
		return // the server has closed
	}
	all := conn.Greeting()
	for _, packet := range packets {
		all = append(all, siotest.Frame(packet)...)
	}
	_ = conn.Write(all)
	_ = conn.Net.SetReadDeadline(time.Now().Add(siotest.Patience))
	// So that some ends come late, some early.
	if _, err := conn.Net.Read(make([]byte, 20*len(packets))); errors.Is(err, os.ErrDeadlineExceeded) {
		b.t.Error("no answer in time")
	}
	conn.Reset()
}

package sio

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/ramainen/doit-socket/gateway/eio"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// A browser sends any bytes through the whole stack: raw on a websocket, as text
// frames or as the body of a POST, in any revision. The events of another page
// still arrive, no handler panics, and nothing of the browser is left.
func FuzzStranger(f *testing.F) {
	const frames, raw, post, upgrade = 0, 1, 2, 3
	wsFrame := func(op ws.OpCode, payload string) string {
		return string(ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewFrame(op, true, []byte(payload)))))
	}
	for _, seed := range []struct {
		eio   int
		how   byte
		input string
	}{
		// Packets, with newlines between them.
		{4, frames, "40\n42"}, // an event of nothing
		{4, frames, "40\n420[\"register\",{\"userid\":[\"*\",\">\",1]}]\n41\n40\n1"}, // all that one does
		{3, frames, "2\n42[\"register\",{\"userid\":\"x\"}]\n51-[\"x\",{\"_placeholder\":true,\"num\":0}]\n5999999999-[]"},
		{4, frames, "40\n420[\"register\"]"},                             // without an argument
		{4, frames, "40\n420[\"register\",{}]"},                          // without an id
		{4, frames, "40\n420[\"register\",{\"userid\":[]}]"},             // without one in the list
		{4, frames, "40\n420[\"register\",{\"userid\":{}}]"},             // with something else
		{4, frames, "40\n420[\"register\",{\"userid\":\"\"}]"},           // with an empty id
		{4, frames, "40\n420[\"unregister\",{\"userid\":\"x\"}]\n431[]"}, // what it never registered
		{4, frames, "40\n42[\"gister\",{}]\n42[\"connect\"]"},            // another event, then a reserved name
		{4, frames, "40\n42{}"},                                          // an event that is no list
		{4, frames, "40\n45\n46"},                                        // binary packets, which nothing reads
		{4, frames, "40\n40"},                                            // joined twice
		{4, frames, "40{\"token\":1}\n"},                                 // with authorization, then an empty frame
		{4, frames, "40[]"},                                              // with authorization that is no object
		{4, frames, "40/a?b=c,\n40/"},                                    // a namespace that does not exist
		{4, frames, "40/" + strings.Repeat("a", maxNamespace)},           // one that is too long
		{4, frames, "40" + strings.Repeat("7", maxAck+1)},                // an ack id that is too long
		{4, frames, "40\n3\n4"},                                          // a pong that is not due, then nothing
		{4, frames, "47"},                                                // a type that does not exist
		{4, frames, "2"},                                                 // a ping, which only older clients send
		{3, frames, "40/a\n41/a\n44\n2\n5\n6"},                           // what a client of 2.x may also send
		{3, frames, "x"},                                                 // a type of Engine.IO that does not exist
		{2, frames, "4\u00c3\u0091"},                                     // text that is encoded twice

		// What has no effect, or says why it was refused.
		{4, frames, "40\n421[\"regster\",{\"userid\":\"x\"}]\n42[\"join\",{\"user_id\":1}]\n42[\"\"]"},
		{4, frames, "40\n421[\"register\",{\"userId\":\"x\",\"u\\u0073erid\":[9007199254740993]}]"},
		{3, frames, "421[\"register\",\"42\"]\n421[\"register\",{\"a\":[{\"b\":\"]}\\\"\"}],\"userid\":-1e999}]"},
		{4, frames, "40\n451-1[\"register\",{\"userid\":\"x\",\"b\":{\"_placeholder\":true,\"num\":0}}]\n451-2[\"register\",{\"userid\":{\"_placeholder\":true}}]"},
		{4, frames, "40\n45-[\"x\"]\n451-/,1[\"x\"]\n451-[\"connect\"]\n451-["},

		// Packets of a websocket that takes over from polling.
		{4, upgrade, "5\n40\n420[\"register\",{\"userid\":\"x\"}]\n1"}, // without a probe
		{3, upgrade, "2probe\n5\n2\n420[\"register\",{\"userid\":\"x\"}]"},
		{2, upgrade, "5\n5\n2probe\n2"},
		{4, upgrade, "40\n5"}, // a message too early

		// The body of a POST.
		{2, post, "\x00\x02\xff40\x00\x09\x09\x09\x09\x09\x09\x09\xff4"}, // a length beyond the end
		{3, post, "\x01\x03\xff\x04\x01\x02\x00\x02\xff40"},              // bytes, then text
		{3, post, "\x01\x02\xff24"},                                      // bytes that are no message
		{3, post, "\x00\x02\xffx4"},                                      // a type that does not exist
		{3, post, "2:40999999999:4"},                                     // a length beyond the end
		{3, post, "2:4я2:4я6:b4AQID"},                                    // text, then base64
		{3, post, "5:b4AQ*"},                                             // base64 that is none
		{3, post, "3:b2A"},                                               // base64 that is no message
		{3, post, "0:"},                                                  // a length of nothing
		{3, post, "1:x"},                                                 // a type that does not exist
		{3, post, "2:4\xff"},                                             // no UTF-8
		{3, post, "2:4😀"},                                                // a length that ends within an emoji
		{4, post, "40\x1e3\x1e42[\"register\",{}]\x1ebAAAA\x1e1"},        // a packet of each kind
		{4, post, "4\x1eb*"},                                             // base64 that is none
		{4, post, "4\xff"},                                               // no UTF-8
		{4, post, ""},                                                    // nothing

		// Bytes of a websocket.
		{4, raw, wsFrame(ws.OpText, "40") + wsFrame(ws.OpClose, "")},
		{4, raw, "\x81"},                      // a header that ends
		{4, raw, "\x81\x82\x00\x00\x00\x004"}, // a frame that ends
		{4, raw, "\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04"}, // a length that is negative
		{4, raw, "\x81\xff\x00\x00\x12\x00\x00\x00\x00\x00\x01\x02\x03\x04"}, // a length beyond the limit
		{4, raw, wsFrame(ws.OpText, "40") + wsFrame(ws.OpBinary, "\x01\x02") + wsFrame(ws.OpPing, "x") + wsFrame(ws.OpPong, "")},
		{4, raw, "\x01\x82\x00\x00\x00\x0040"},                         // a fragment that nothing follows
		{4, raw, "\x01\x81\x00\x00\x00\x004\x80\x81\x00\x00\x00\x000"}, // a packet in two fragments
		{4, raw, wsFrame(ws.OpText, "4\xff")},                          // no UTF-8
		{4, raw, wsFrame(ws.OpClose, "\x03")},                          // half a code
		{4, raw, wsFrame(ws.OpContinuation, "40")},                     // of what never began
	} {
		f.Add(byte(seed.eio-2), seed.how, []byte(seed.input))
	}

	b := start(f, func(c *config) { c.PingInterval = time.Hour })
	neighbour := b.join(4)
	neighbour.Register("neighbour")
	emits := 0
	f.Fuzz(func(t *testing.T, revision, how byte, input []byte) {
		b.t, neighbour.T = t, t // a target's helpers are not its f's
		o := siotest.Options{EIO: int(2 + revision%3), Polling: how%4 >= post, Base64: true}
		conn, err := siotest.Connect(b.url, o)
		if err != nil {
			t.Fatal(err)
		}
		switch how % 4 {
		case post:
			postAsStranger(conn, input)
		case frames:
			sendAsStranger(conn, framed(input))
		case upgrade:
			second, err := siotest.DialSocket(b.url, fmt.Sprintf("EIO=%d&transport=websocket&sid=%s", o.EIO, conn.SID))
			if err != nil {
				t.Fatal(err)
			}
			sendAsStranger(second, framed(input))
			second.Close()
			_ = conn.Send("1") // if it is still on polling
		default:
			sendAsStranger(conn, input)
		}
		conn.Close()
		emits++
		if got := b.emit("neighbour", "fence", fmt.Sprint(emits)); got != 1 {
			t.Fatalf("%d sockets of the neighbour took the emit", got)
		}
		neighbour.Expect(fmt.Sprintf(`42["fence",%d]`, emits))
		if n := b.closed(eio.ReasonPanicking); n != 0 {
			t.Fatal("a fault of ours")
		}
	})
}

// framed returns the frames of packets that are separated by newlines.
func framed(packets []byte) (stream []byte) {
	for packet := range bytes.SplitSeq(packets, []byte("\n")) {
		stream = append(stream, siotest.Frame(string(packet))...)
	}
	return stream
}

// sendAsStranger sends bytes, ends its side and waits until the server has read them all.
func sendAsStranger(conn *siotest.Conn, stream []byte) {
	_ = conn.Write(stream)
	_ = conn.Net.(*net.TCPConn).CloseWrite()
	_ = conn.Net.SetReadDeadline(time.Now().Add(siotest.Patience))
	_, _ = io.Copy(io.Discard, conn.In)
}

// postAsStranger posts a body and, if that was accepted, ends the session.
func postAsStranger(conn *siotest.Conn, body []byte) {
	contentType := "text/plain;charset=UTF-8"
	if len(body) > 0 && body[0] < 2 {
		contentType = "application/octet-stream"
	}
	_ = conn.Write(conn.Post(contentType, body))
	if _, _, err := conn.ReadAnswer(time.Now().Add(siotest.Patience)); err == nil {
		_ = conn.Send("1")
	}
}

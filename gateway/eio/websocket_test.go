package eio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

func TestWebsocketMessages(t *testing.T) {
	w := start(t).socket(4)
	long, longer := strings.Repeat("y", 1<<10), strings.Repeat("z", 1<<17) // all three forms of a length
	for _, packet := range []string{"4", "4hello", "4приве́т €😀", "4" + long, "4" + longer} {
		w.send(packet)
		w.want(packet)
	}
}

func TestWebsocketBinary(t *testing.T) {
	a := start(t)
	a.onMessage = func(s *Session, data []byte, binary bool) {
		if !binary || !bytes.Equal(data, []byte{4, 0xff, 0}) {
			t.Errorf("%x %v", data, binary)
		}
		s.write(Message([]byte("seen")))
	}
	w := a.socket(4)
	w.raw(masked(ws.OpBinary, true, []byte{4, 0xff, 0}))
	w.want("4seen")
}

func TestWebsocketClosedByBrowser(t *testing.T) {
	for name, c := range map[string]struct {
		sent []byte
		code ws.StatusCode
		why  Reason
	}{
		"packet":             {text("1"), ws.StatusNormalClosure, ReasonClient},
		"frame":              {masked(ws.OpClose, true, ws.NewCloseFrameBody(1000, "bye")), ws.StatusNormalClosure, ReasonClient},
		"frame, going away":  {masked(ws.OpClose, true, ws.NewCloseFrameBody(1001, "")), ws.StatusNormalClosure, ReasonClient},
		"frame without code": {masked(ws.OpClose, true, nil), ws.StatusNormalClosure, ReasonClient},
		"half a code":        {masked(ws.OpClose, true, []byte{3}), ws.StatusProtocolError, ReasonProtocol},
		"code 1005":          {masked(ws.OpClose, true, ws.NewCloseFrameBody(1005, "")), ws.StatusProtocolError, ReasonProtocol},
		"code 99":            {masked(ws.OpClose, true, ws.NewCloseFrameBody(99, "")), ws.StatusProtocolError, ReasonProtocol},
		"reason not UTF-8":   {masked(ws.OpClose, true, ws.NewCloseFrameBody(1000, "\xff")), ws.StatusProtocolError, ReasonProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t)
			w := a.socket(4)
			w.raw(c.sent)
			w.wantCode(c.code)
			a.wantClose(c.why)
		})
	}
}

func TestWebsocketBroken(t *testing.T) {
	a := start(t)
	w := a.socket(4)
	_ = w.conn.Close()
	a.wantClose(ReasonClient)
}

// A close by the server sends a close frame and no TCP reset, also if bytes from
// the browser are unread.
func TestWebsocketClosedByServer(t *testing.T) {
	a := start(t)
	a.onMessage = func(s *Session, _ []byte, _ bool) { s.Close("ours") }
	w := a.socket(4)
	w.raw(bytes.Repeat(text("4"+strings.Repeat("x", 1000)), 100))
	if op, payload := w.receive(); op != ws.OpClose {
		t.Errorf("got %v %q", op, payload)
	}
	w.raw(masked(ws.OpClose, true, nil))
	if _, _, err := w.next(); !errors.Is(err, io.EOF) {
		t.Errorf("ended with %v", err)
	}
	a.wantClose("ours")
}

// A violation of a protocol closes the session with the matching close code, and
// later frames in the same bytes are ignored. RSV1 would be compression (trap M7).
func TestWebsocketFaults(t *testing.T) {
	frame := func(first byte, payload string) []byte {
		b := masked(ws.OpText, true, []byte(payload))
		b[0] = first
		return b
	}
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	sized := func(size uint64) []byte {
		return binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, size)
	}
	const max = 1000
	for name, c := range map[string]struct {
		sent []byte
		code ws.StatusCode
		why  Reason
	}{
		"no packet":                 {text("abc"), 1002, ReasonProtocol},
		"empty":                     {text(""), 1002, ReasonProtocol},
		"ping of an EIO 4 browser":  {text("2"), 1002, ReasonProtocol},
		"unmasked":                  {ws.MustCompileFrame(ws.NewTextFrame([]byte("4x"))), 1002, ReasonProtocol},
		"RSV1":                      {frame(0xc1, "4x"), 1002, ReasonProtocol},
		"RSV3":                      {frame(0x91, "4x"), 1002, ReasonProtocol},
		"reserved opcode":           {frame(0x83, "4x"), 1002, ReasonProtocol},
		"reserved control opcode":   {frame(0x8b, "4x"), 1002, ReasonProtocol},
		"fragmented ping":           {frame(0x09, "x"), 1002, ReasonProtocol},
		"fragmented close":          {frame(0x08, ""), 1002, ReasonProtocol},
		"long ping":                 {frame(0x89, strings.Repeat("x", 126)), 1002, ReasonProtocol},
		"continuation of nothing":   {frame(0x80, "4x"), 1002, ReasonProtocol},
		"message between fragments": {join(frame(0x01, "4"), frame(0x81, "4x")), 1002, ReasonProtocol},
		"length with its MSB set":   {sized(1<<63 | 2), 1002, ReasonProtocol},
		"largest length":            {append(sized(1<<63-1), 0, 0, 0, 0), 1009, ReasonTooLarge},
		"too large":                 {append(sized(max+1), 0, 0, 0, 0), 1009, ReasonTooLarge},
		"too large in fragments":    {join(frame(0x01, "4"), frame(0x00, strings.Repeat("x", max-1)), frame(0x80, "x")), 1009, ReasonTooLarge},
		"not UTF-8":                 {text("4\xff"), 1007, ReasonUTF8},
		"UTF-8 cut off":             {join(frame(0x01, "4\xd0"), frame(0x80, "")), 1007, ReasonUTF8},
		"a surrogate":               {text("4\xed\xa0\x80"), 1007, ReasonUTF8},
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t, func(c *config) { c.MaxPayload = max })
			a.onMessage = func(_ *Session, data []byte, _ bool) { t.Errorf("heard %q", data) }
			w := a.socket(4)
			w.raw(append(c.sent, text("4after")...))
			w.wantCode(c.code)
			a.wantClose(c.why)
		})
	}
}

func TestWebsocketPing(t *testing.T) {
	w := start(t).socket(4)
	wantPong := func(payload string) {
		t.Helper()
		if op, got := w.receive(); op != ws.OpPong || string(got) != payload {
			t.Errorf("got %v %q", op, got)
		}
	}
	w.raw(masked(ws.OpPing, true, nil))
	wantPong("")
	longest := "\xff" + strings.Repeat("x", 124)
	w.raw(masked(ws.OpPing, true, []byte(longest)))
	wantPong(longest)
	w.raw(masked(ws.OpPong, true, []byte("unasked")))
	// Between fragments, and then the rest of the message.
	w.raw(masked(ws.OpText, false, []byte("4при\xd0")))
	w.raw(masked(ws.OpPing, true, []byte("between")))
	w.raw(masked(ws.OpContinuation, false, nil))
	w.raw(masked(ws.OpContinuation, true, []byte("\xb2ет")))
	wantPong("between")
	w.want("4привет")
}

// Fragments and single bytes make the same messages.
func TestWebsocketByteByByte(t *testing.T) {
	w := start(t).socket(4)
	all := bytes.Join([][]byte{
		text("4one"), masked(ws.OpText, false, []byte("4t")), masked(ws.OpContinuation, false, []byte("w")),
		masked(ws.OpContinuation, true, []byte("o")), text("4" + strings.Repeat("x", 200)), text("4last"),
	}, nil)
	for _, b := range all {
		w.raw([]byte{b})
	}
	w.want("4one", "4two", "4"+strings.Repeat("x", 200), "4last")
}

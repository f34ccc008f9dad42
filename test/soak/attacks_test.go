//go:build soak

package soak

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// An attack is what one stranger does. The letters are those of the list of
// traps in the libraries that were looked at first; the rest is what the
// protocols offer besides.
type attack struct {
	name  string
	run   func(s *stranger)
	stays bool    // the heap is measured while the stranger is still there
	holds float64 // MiB that the heap may be meanwhile: more where many do at once what each browser may do
}

var attacks = []attack{
	{name: "K1 halves of packets", run: all(halves)},
	{name: "K2 another EIO in the upgrade", run: otherRevision},
	{name: "K3 pong before the first ping", run: earlyPong},
	{name: "K4 close while the probe runs", run: closeInProbe},
	{name: "K5 huge lengths in payloads", run: hugeLengths},
	{name: "M1 chunked POST without end", run: endlessPost},
	{name: "M2 pings without reading the pongs", run: unreadPongs},
	{name: "M3 abandoned polls", run: abandonedPolls, holds: 300},
	{name: "M3 sessions without CONNECT", run: noConnect},
	{name: "M4 attachments without end", run: all(attachments)},
	{name: "M5 idle after a burst", run: idleAfterBurst, stays: true},
	{name: "M6 compressed polls", run: compressedPolls},
	{name: "M7 compressed frames", run: compressedFrames},
	{name: "M8 events without end", run: eventFlood},
	{name: "M8 registrations without end", run: registerFlood},
	{name: "M8 connections", run: manyConnections},
	{name: "M8 a burst behind the handshake", run: earlyBurst},
	{name: "R5 resets in the handshake", run: resets},
	{name: "R8 polling packets over 64 KiB", run: largePolling},
	{name: "websocket frames that are none", run: badFrames},
	{name: "websocket fragments without end", run: endlessFragments},
	{name: "websocket frames never finished", run: unfinishedFrames, holds: 300},
	{name: "payloads that are none", run: badPayloads},
	{name: "JSON, deep and long", run: all(badJSON)},
	{name: "namespaces", run: all(namespaces)},
	{name: "two polls, two POSTs", run: overlaps},
	{name: "HTTP that is none", run: badHTTP},
	{name: "HTTP heads, slowly", run: slowHeads},
	{name: "HTTP bodies, slowly", run: slowBodies},
	{name: "unread polls in one pipeline", run: pipelinedPolls},
	{name: "forms of emits", run: forms},
}

// K1: a binary or empty event, and every other packet that ends too soon.
func halves(s *stranger, k siotest.Options) {
	packets := []string{
		"40", "42", "42[]", "42{}", "42null", "42[null]", "42[1]", `42[""]`, `42["register"]`, `421["register",null]`, `421["register",{}]`,
		`42["connect"]`, `42["disconnect",1]`, "43", "430", "431[]", "431", "44", `44{"message":"x"}`, "45", "45-", "451-", `451-["x",{"_placeholder":true,"num":0}]`,
		`451-["x",{"_placeholder":true,"num":99}]`, "46", "461-", "47", "4", "40/", "40,", "40{", "40[]", `40"x"`, "40null", "40/,{}", "41", "41/x,",
		"42/x,[]", "42/,", "4299999999999999999999999[]", "42-1[]", "2", "3", "5", "6", "1", "0", "7", "b", "bAAAA", "b4AAAA", "b!", "2probe", "3probe", "\x00", "\x1e\x1e",
	}
	s.times(len(packets), func(i int) error {
		_ = s.say(k, packets[i])
		_ = s.say(k, "40", packets[i])
		return s.say(k, "40", "42", packets[i], packets[i])
	})
}

// K2
func otherRevision(s *stranger) {
	s.times(200, func(i int) error {
		c, err := s.open([]siotest.Options{polling4, polling3}[i%2])
		if err != nil {
			return err
		}
		other := &siotest.Conn{Options: siotest.Options{EIO: 7 - c.EIO}, SID: c.SID, Host: c.Host}
		_, err = s.call(other.Greeting(), siotest.Frame("2"), siotest.Frame("2probe"), siotest.Frame("5"), siotest.Frame("2"))
		return err
	})
}

// K3
func earlyPong(s *stranger) {
	s.times(1000, func(i int) error {
		c, err := s.open([]siotest.Options{socket4, socket3}[i%2], "3", "3")
		if err == nil {
			c.Close()
		}
		return err
	})
}

// K4: over polling, over the probe itself, or by hanging up.
func closeInProbe(s *stranger) {
	s.times(600, func(i int) error {
		c, err := s.open([]siotest.Options{polling4, polling3}[i%2])
		if err != nil {
			return err
		}
		probe := &siotest.Conn{Options: siotest.Options{EIO: c.EIO}, SID: c.SID, Host: c.Host}
		conn, err := s.call(probe.Greeting(), siotest.Frame("2probe"))
		if err != nil {
			return err
		}
		switch i % 3 {
		case 0:
			err = c.Write(c.PostPacket("1"))
		case 1:
			_, err = conn.Write(append(siotest.Frame("1"), siotest.Frame("5")...))
		case 2:
			c.Close()
		}
		if i%2 == 0 {
			conn.Close()
		}
		return err
	})
}

// postRaw posts a body to a session of its own.
func (s *stranger) postRaw(k siotest.Options, contentType string, body []byte) error {
	c, err := s.open(k)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Write(c.Post(contentType, body)); err != nil {
		return err
	}
	_, _, err = c.ReadAnswer(time.Now().Add(patience))
	return err
}

// K5
func hugeLengths(s *stranger) {
	s.times(300, func(i int) error {
		digits := bytes.Repeat([]byte{9}, 1+i*30)
		body := append(append([]byte{0}, digits...), 0xff, '4', 'x')
		if err := s.postRaw(polling3, "application/octet-stream", body); err != nil {
			_ = s.postRaw(polling3, "text/plain", []byte(strings.Repeat("9", 1+i*30)+":4x"))
		}
		return nil
	})
}

// M1
func endlessPost(s *stranger) {
	chunk := fmt.Appendf(nil, "%x\r\n%s\r\n", 1<<16, strings.Repeat("x", 1<<16))
	s.times(8, func(i int) error {
		c, err := s.open([]siotest.Options{polling4, polling3}[i%2])
		if err != nil {
			return err
		}
		if err := c.Write(c.Request("POST", "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n")); err != nil {
			return err
		}
		for range 200 << 20 / len(chunk) {
			if err := c.Write(chunk); err != nil {
				return err
			}
		}
		return nil
	})
}

// M2: each ping asks for an answer as long as itself.
func unreadPongs(s *stranger) {
	ping := ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewPingFrame(bytes.Repeat([]byte("x"), 125))))
	s.times(16, func(i int) error {
		k := []siotest.Options{socket4, socket3}[i%2]
		c, err := s.open(k)
		if err != nil {
			return err
		}
		if k == socket3 {
			s.flood(c.Net, siotest.Frame("2"+strings.Repeat("x", 1<<19)), time.Second)
		} else {
			s.flood(c.Net, bytes.Repeat(ping, 1000), time.Second)
		}
		return nil
	})
}

// M3: each holds what it may, and nobody polls.
func abandonedPolls(s *stranger) {
	const sessions = 50
	ids := make([]string, sessions)
	for i := range ids {
		ids[i] = fmt.Sprint("abandoned", i)
		_, err := s.join([]siotest.Options{polling4, polling3}[i%2], ids[i])
		s.must(err)
	}
	e := newEmitter(s.program.URL)
	data := `"` + strings.Repeat("x", 50_000) + `"`
	for range 38 { // 1.9 MB each, which is within the bound
		e.emit(ids, "x", data)
	}
}

func noConnect(s *stranger) {
	s.times(2000, func(i int) error {
		_, err := s.open([]siotest.Options{polling4, socket4}[i%2])
		return err
	})
}

// M4
func attachments(s *stranger, k siotest.Options) {
	s.times(40, func(i int) error {
		c, err := s.open(k)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.Send("40"); err != nil {
			return err
		}
		if err := c.Send(`45999999999-["x",{"_placeholder":true,"num":0}]`); err != nil {
			return err
		}
		for range 20 {
			if k.Polling {
				err = c.Send("b" + strings.Repeat("AAAA", 10_000))
			} else {
				err = c.Write(ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewBinaryFrame(make([]byte, 40_000)))))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// M5: it reads what it gets, and then nothing more comes.
func idleAfterBurst(s *stranger) {
	const count = 300
	data := `"` + strings.Repeat("x", 100_000) + `"`
	e := newEmitter(s.program.URL)
	for _, k := range []siotest.Options{socket4, socket3, polling4, polling3} {
		id := "idle" + strings.ReplaceAll(k.String(), " ", "")
		c, err := s.join(k, id)
		s.must(err)
		if err != nil {
			return
		}
		read := make(chan error, 1)
		go func() {
			for range count {
				if _, err := c.Hear(time.Now().Add(patience)); err != nil {
					read <- err
					return
				}
			}
			read <- nil
		}()
		for range count {
			e.emit([]string{id}, "x", data)
		}
		s.must(<-read)
	}
}

// M6
func compressedPolls(s *stranger) {
	e := newEmitter(s.program.URL)
	data := `"` + strings.Repeat("x", 50_000) + `"`
	s.times(100, func(i int) error {
		id := fmt.Sprint("gzip", time.Now().UnixNano(), i) // not that of a poller that was left behind: M3 has those
		c, err := s.join([]siotest.Options{polling4, polling3}[i%2], id)
		if err != nil {
			return err
		}
		for range 10 {
			e.emit([]string{id}, "x", data)
			if err := c.Write(c.Request("GET", "Accept-Encoding: gzip, deflate, br\r\n")); err != nil {
				return err
			}
			resp, err := http.ReadResponse(c.In, nil)
			if err != nil {
				return err
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			if resp.Header.Get("Content-Encoding") != "" {
				s.must(fmt.Errorf("a poll is compressed because a stranger wants it so"))
			}
		}
		return nil
	})
}

// M7
func compressedFrames(s *stranger) {
	bomb := ws.NewTextFrame(make([]byte, 60_000))
	bomb.Header.Rsv = ws.Rsv(true, false, false)
	s.times(200, func(int) error {
		c := &siotest.Conn{Options: socket4, Host: s.host}
		conn, err := s.call(c.Request("GET", siotest.UpgradeHeaders+"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"))
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write(ws.MustCompileFrame(ws.MaskFrame(bomb)))
		answer := make([]byte, 512)
		n, _ := conn.Read(answer)
		if bytes.Contains(answer[:n], []byte("permessage-deflate")) {
			s.must(fmt.Errorf("compression was agreed on"))
		}
		return err
	})
}

// M8
func eventFlood(s *stranger) {
	for _, packet := range []string{`42["x",1]`, `421["x",1]`, `42["register",1]`, "3", "2", `42["x","` + strings.Repeat("x", 100_000) + `"]`} {
		c, err := s.join(socket4, "flood")
		s.must(err)
		if err == nil {
			s.flood(c.Net, bytes.Repeat(siotest.Frame(packet), max(1, 1<<16/len(packet))), time.Second)
		}
	}
}

func registerFlood(s *stranger) {
	for i, k := range []siotest.Options{socket4, socket3} {
		c, err := s.open(k, "40")
		s.must(err)
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(io.Discard, c.Net) }()
		end := time.Now().Add(2 * time.Second)
		for n := 0; time.Now().Before(end); n++ {
			var b []byte
			for j := range 32 {
				b = append(b, siotest.Frame(fmt.Sprintf(`421["register",{"userid":"f%d-%d-%d"}]`, i, n, j))...)
			}
			for j := range 32 {
				b = append(b, siotest.Frame(fmt.Sprintf(`421["unregister",{"userid":"f%d-%d-%d"}]`, i, n, j))...)
			}
			if c.Write(b) != nil {
				break
			}
		}
	}
}

func earlyBurst(s *stranger) {
	burst := append(siotest.Frame("40"), bytes.Repeat(siotest.Frame(`421["register",{"userid":"burst"}]`), 3000)...)
	s.times(32, func(i int) error {
		c, err := call(s.host, []siotest.Options{socket4, socket3}[i%2])
		if err != nil {
			return err
		}
		s.keep(c.Net)
		if err := c.Write(slices.Concat(c.Greeting(), burst)); err != nil {
			return err
		}
		return c.ReadOpen()
	})
}

func manyConnections(s *stranger) {
	s.times(5000, func(i int) error {
		if i%2 == 0 {
			_, err := s.call()
			return err
		}
		_, err := s.open(socket4)
		return err
	})
}

// R5, R4
func resets(s *stranger) {
	s.times(3000, func(i int) error {
		c, err := call(s.host, []siotest.Options{socket4, socket3, polling4, polling3}[i%4])
		if err != nil {
			return err
		}
		defer c.Reset()
		b := c.Greeting()
		if !c.Polling {
			b = append(append(b, siotest.Frame("40")...), siotest.Frame(siotest.Registration("reset"))...)
		}
		if err := c.Write(b); err != nil {
			return err
		}
		select { // at any moment of it
		case <-time.After(time.Duration(rand.IntN(400)) * time.Microsecond):
		case <-s.ctx.Done():
		}
		return nil
	})
}

// R8: it is answered and handled.
func largePolling(s *stranger) {
	for _, k := range []siotest.Options{polling4, polling3} {
		for _, size := range []int{60_000, 70_000, 500_000, 1_000_000} {
			c, err := s.open(k)
			if err == nil {
				err = c.Join()
			}
			if err == nil {
				err = c.Send(fmt.Sprintf(`421["register",{"userid":"large","x":"%s"}]`, strings.Repeat("x", size)))
			}
			if err == nil {
				err = c.Expect(siotest.Registered)
			}
			s.must(err)
		}
	}
}

// length is the head of a masked frame that says it has so many bytes.
func length(op ws.OpCode, n uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{0x80 | byte(op), 0x80 | 127}, n), 1, 2, 3, 4)
}

func badFrames(s *stranger) {
	masked := func(f ws.Frame) []byte { return ws.MustCompileFrame(ws.MaskFrame(f)) }
	fragment := ws.NewFrame(ws.OpText, false, []byte("42"))
	reserved := ws.NewTextFrame([]byte("42"))
	reserved.Header.Rsv = 7
	frames := [][]byte{
		length(ws.OpText, 1<<63), length(ws.OpText, 1<<63-1), length(ws.OpText, ^uint64(0)), length(ws.OpText, 1<<32), length(ws.OpBinary, 1<<40),
		length(ws.OpPing, 126), length(ws.OpClose, 1<<62), length(ws.OpContinuation, 5),
		ws.MustCompileFrame(ws.NewTextFrame([]byte("40"))), // not masked
		masked(ws.NewFrame(0x3, true, nil)), masked(ws.NewFrame(0xb, true, nil)), masked(ws.NewFrame(0xf, false, nil)),
		masked(reserved), masked(ws.NewFrame(ws.OpPing, false, nil)), masked(ws.NewFrame(ws.OpContinuation, true, []byte("x"))),
		append(masked(fragment), masked(fragment)...),
		masked(ws.NewTextFrame([]byte("4\xff\xfe"))), masked(ws.NewTextFrame([]byte("42[\"\xc0\x80\"]"))), masked(ws.NewTextFrame(nil)), masked(ws.NewBinaryFrame(nil)),
		masked(ws.NewCloseFrame([]byte{1})), masked(ws.NewCloseFrame([]byte{0, 0})), masked(ws.NewCloseFrame([]byte{0x3, 0xe8, 0xff})),
		append(masked(ws.NewCloseFrame(nil)), masked(ws.NewTextFrame([]byte("42[]")))...),
	}
	s.times(20*len(frames), func(i int) error {
		c, err := s.open([]siotest.Options{socket4, socket3}[i%2])
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.Write(frames[i%len(frames)]); err != nil {
			return err
		}
		_, err = c.Next(time.Now().Add(20 * time.Millisecond))
		return err
	})
}

func endlessFragments(s *stranger) {
	for _, size := range []int{0, 1, 1000} {
		c, err := s.open(socket4, "40")
		s.must(err)
		if err != nil {
			return
		}
		more := ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewFrame(ws.OpContinuation, false, make([]byte, size))))
		s.must(c.Write(ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewFrame(ws.OpText, false, []byte("42"))))))
		s.flood(c.Net, bytes.Repeat(more, 1<<16/len(more)), time.Second)
	}
}

func unfinishedFrames(s *stranger) {
	almost := append(length(ws.OpText, 1<<20), bytes.Repeat([]byte("x"), 1<<20-1)...)
	s.times(50, func(int) error {
		c, err := s.open(socket4, "40")
		if err != nil {
			return err
		}
		return c.Write(almost)
	})
}

func badPayloads(s *stranger) {
	bodies := []string{
		"", ":", "0:", "1:", "-1:4", "1:4", "2:4", "99999999999:4", "1:41:41:4", "3:4\xf0\x9f\x98\x80", "2:4\xff", "4\x1e", "\x1e4", "\x1e\x1e\x1e", "b", "b4", "b=", "bAA", "4\xff\xfe", "7", "x",
		"\x00\xff4", "\x00\x01\xff", "\x01\x01\xff4", "\x01\x02\xff\x044", "\x02\x01\xff4", "\x00\x01", "\x00", "\xff", "\x00\x09\x09\xff4", "5:b4AAA", "2:b4", "3:b5A",
		strings.Repeat("1:6", 300_000), strings.Repeat("6\x1e", 500_000), strings.Repeat("\x00\x01\xff6", 250_000), strings.Repeat("2:40", 250_000), strings.Repeat("40\x1e", 300_000),
	}
	types := []string{"text/plain", "application/octet-stream", "application/octet-stream; x", "x", ""}
	s.times(len(bodies)*len(types)*2, func(i int) error {
		return s.postRaw([]siotest.Options{polling4, polling3}[i%2], types[i/2%len(types)], []byte(bodies[i/2/len(types)]))
	})
}

func badJSON(s *stranger, k siotest.Options) {
	long := strings.Repeat("x", 900_000)
	many := strings.Repeat(`"x",`, 200_000) + `"x"`
	packets := []string{
		"42" + strings.Repeat("[", 900_000), "42" + strings.Repeat(`{"a":`, 150_000), "42" + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000),
		`421["register",{"userid":"` + long + `"}]`, `421["register",{"userid":[` + many + `]}]`, `421["register",` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + `]`,
		`42[` + many + `]`, `42["` + long + `"]`, `421["register",{"userid":1e400}]`, `421["register",{"userid":1` + strings.Repeat("0", 900_000) + `}]`,
		`40{"a":"` + long + `"}`, `40{"a":` + strings.Repeat("[", 4_000) + strings.Repeat("]", 4_000) + `}`, `421["register",{"userid":["*",">","a.b","\u0000"]}]`, `421["register",{"userid":"\ud800"}]`,
	}
	s.times(2*len(packets), func(i int) error { return s.say(k, "40", packets[i%len(packets)]) })
}

func namespaces(s *stranger, k siotest.Options) {
	s.times(40, func(i int) error {
		c, err := s.open(k)
		if err != nil {
			return err
		}
		defer c.Close()
		for n := range 50 {
			name := fmt.Sprintf("/n%d-%d?%s", i, n, strings.Repeat("q", 400))
			if err := c.Send("40" + name + ","); err != nil {
				return err
			}
			if err := c.Send("42" + name + `,["register",{"userid":"x"}]`); err != nil {
				return err
			}
		}
		return nil
	})
}

func overlaps(s *stranger) {
	s.times(400, func(i int) error {
		c, err := s.open([]siotest.Options{polling4, polling3}[i%2])
		if err != nil {
			return err
		}
		_, _ = s.call(c.Request("GET", ""))
		_, _ = s.call(c.Request("POST", "Content-Type: text/plain\r\nContent-Length: 100\r\n"), []byte("4"))
		if i%4 < 2 {
			_, err = s.call(c.Request("GET", ""))
		} else {
			_, err = s.call(c.PostPacket("6"))
		}
		return err
	})
}

func badHTTP(s *stranger) {
	get := "GET /socket.io/?EIO=4&transport=polling"
	requests := []string{
		"\x00", "\r\n\r\n", "GET", "\x16\x03\x01\x02\x00", get + " HTTP/9.9\r\n\r\n", get + " HTTP/1.1\r\n\r\n", get + " HTTP/1.0\r\n\r\n",
		get + "&j=0 HTTP/1.1\r\nHost: x\r\n\r\n", get + "&sid=unknown HTTP/1.1\r\nHost: x\r\n\r\n", get + "&sid=%00%ff HTTP/1.1\r\nHost: x\r\n\r\n", get + ";;;&&&=%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /socket.io/?EIO=" + strings.Repeat("9", 1000) + "&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 1\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=websocket HTTP/1.0\r\nHost: x\r\n" + siotest.UpgradeHeaders + "\r\n",
		"POST /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n" + siotest.UpgradeHeaders + "\r\n",
		"OPTIONS /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nOrigin: " + strings.Repeat("o", 10_000) + "\r\n\r\n",
		"POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n",
		"POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"BREW /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n", "PUT /emit HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nid=1&",
		"GET /" + strings.Repeat("x", 300_000) + " HTTP/1.1\r\n\r\n", get + " HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", 100_000) + "\r\n",
		get + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "POST /emit HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n",
		strings.Repeat(get+"&sid=unknown HTTP/1.1\r\nHost: x\r\n\r\n", 2000),
	}
	s.times(10*len(requests), func(i int) error {
		conn, err := s.call([]byte(requests[i%len(requests)]))
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err = io.Copy(io.Discard, conn)
		return err
	})
}

// slowHeads stays until the server has had enough of it.
func slowHeads(s *stranger) {
	s.times(1000, func(int) error {
		_, err := s.call([]byte("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHo"))
		return err
	})
	for end := time.Now().Add(12 * time.Second); time.Now().Before(end); {
		s.times(len(s.conns), func(i int) error {
			_, err := s.conns[i].Write([]byte("s"))
			return err
		})
		<-time.After(time.Second)
	}
	for _, conn := range s.conns {
		conn.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
			s.must(fmt.Errorf("a head may take longer than 12 seconds"))
			return
		}
	}
}

func slowBodies(s *stranger) {
	s.times(500, func(i int) error {
		c, err := s.open([]siotest.Options{polling4, polling3}[i%2])
		if err != nil {
			return err
		}
		if i%5 == 0 {
			_, err = s.call([]byte("POST /emit HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000000\r\n\r\nid=1"))
			return err
		}
		return c.Write(append(c.Request("POST", "Content-Type: text/plain\r\nContent-Length: 1000000\r\n"), "40"...))
	})
}

// pipelinedPolls asks for more and more and reads none of it.
func pipelinedPolls(s *stranger) {
	e := newEmitter(s.program.URL)
	data := `"` + strings.Repeat("x", 100_000) + `"`
	s.times(8, func(i int) error {
		id := fmt.Sprint("pipeline", i)
		c, err := s.join([]siotest.Options{polling4, polling3}[i%2], id)
		if err != nil {
			return err
		}
		if err := c.Write(bytes.Repeat(c.Request("GET", ""), 200)); err != nil {
			return err
		}
		for range 200 {
			if _, answer := e.emit([]string{id}, "x", data); answer != "OK" {
				break
			}
		}
		return nil
	})
}

// forms are what a page in open mode could be made to post.
func forms(s *stranger) {
	many := strings.Repeat("id[]=x&", 9_000)
	bodies := []string{
		many + "message=x", strings.Repeat("&", 900_000), strings.Repeat("a=b&", 9_999), "id" + strings.Repeat("[x]", 100_000) + "=1&message=x", strings.Repeat("id[99999999]=x&", 9_000) + "message=x",
		strings.Repeat("id[x][y][z]=x&", 9_000) + "message=x", strings.Repeat("%", 900_000), strings.Repeat("%ff", 300_000), "id=x&message=x&data=" + strings.Repeat("[", 900_000), "id=x&message=x&data=" + strings.Repeat("%5B", 9_000) + strings.Repeat("%5D", 9_000),
		"id=x&message=" + strings.Repeat("x", 900_000), "id=" + strings.Repeat("x", 900_000) + "&message=x", strings.Repeat("id=x&", 1_000) + "message=x&data={}", "id[__proto__]=x&message=x", "id=*&id=>&message=x",
	}
	s.times(10*len(bodies), func(i int) error {
		body := bodies[i%len(bodies)]
		resp, err := gets.Post(s.program.URL+"/emit", "application/x-www-form-urlencoded", strings.NewReader(body))
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
}

//go:build soak

package soak

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// A coster attacks a gateway and an ingest, which may be one program.
type coster struct {
	t               testing.TB
	hard            int // how many times as hard as it was first seen
	gateway, ingest *siotest.Program
	nginx           func() string // starts nginx in front of the gateway, and returns its host:port
	stop            chan struct{} // closed when the attack is over

	mu sync.Mutex
	// Guarded by mu.
	pages   []*siotest.Page
	conns   []net.Conn
	answers map[string]int
}

func (s *coster) host() string { return strings.TrimPrefix(s.gateway.URL, "http://") }

// megabyte is the text of a large event: as much as --max-body allows beside the form's other fields.
var megabyte = strings.Repeat("x", 1000_000)

// each calls f for 0 to count, from eight goroutines.
func (s *coster) each(count int, f func(i int)) {
	const hands = 8
	var all sync.WaitGroup
	for hand := range hands {
		all.Go(func() {
			for i := hand; i < count; i += hands {
				f(i)
			}
		})
	}
	all.Wait()
}

// pagesOf opens sessions that register one id each, and keeps them.
func (s *coster) pagesOf(count int, k siotest.Options, id func(i int) string) {
	s.each(count, func(i int) {
		page, err := join(s.host(), k, id(i))
		if err != nil {
			s.t.Errorf("page %d: %v", i, err)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pages = append(s.pages, page)
	})
}

// callsOf makes connections, writes a large request to each and keeps them. Those that the server closes are kept, too.
// The stranger has a gigabit a second: without a bound it would be this process that takes the machine.
func (s *coster) callsOf(count int, request []byte) {
	bits := time.Duration(8 * len(request) / s.hard)
	tick := time.NewTicker(bits * time.Second / 1_000_000_000)
	defer tick.Stop()
	s.each(count, func(int) {
		<-tick.C
		conn, err := dial(s.host())
		if err != nil {
			s.note(err.Error())
			return
		}
		s.mu.Lock()
		s.conns = append(s.conns, conn)
		s.mu.Unlock()
		_ = conn.SetWriteDeadline(time.Now().Add(patience))
		_, _ = conn.Write(request)
	})
}

func (s *coster) leave() {
	s.each(len(s.pages), func(i int) {
		if page := s.pages[i]; page.Polling {
			page.Goodbye() // else the session stays until its heartbeat is due
		} else {
			page.Close()
		}
	})
	for _, conn := range s.conns {
		conn.Close()
	}
}

// note counts an answer.
func (s *coster) note(answer string) {
	if len(answer) > 40 {
		answer = answer[len(answer)-40:]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers == nil {
		s.answers = make(map[string]int)
	}
	s.answers[answer]++
}

// emit emits with a timeout, and notes the answer.
func (s *coster) emit(e *emitter, ids []string, data string) {
	_, answer := e.emit(ids, "x", data)
	s.note(answer)
}

// during calls f again and again for five seconds, from so many goroutines.
func (s *coster) during(hands int, f func()) {
	var all sync.WaitGroup
	end := time.Now().Add(5 * time.Second)
	for range hands {
		all.Go(func() {
			for time.Now().Before(end) {
				f()
			}
		})
	}
	all.Wait()
}

// unpolled: sessions on polling that never poll, each with an id of its own; then large events to all of them, sixty at
// a time, each another one.
func (s *coster) unpolled() {
	sessions, e := scaled(2000), newEmitter(s.ingest.URL)
	id := func(i int) string { return fmt.Sprint("unpolled", i) }
	s.pagesOf(sessions, polling4, id)
	for round := range 4 * s.hard {
		for from := 0; from < sessions; from += 60 {
			var ids []string
			for i := from; i < min(sessions, from+60); i++ {
				ids = append(ids, id(i))
			}
			s.emit(e, ids, fmt.Sprintf(`"%s%d-%d"`, megabyte, round, from))
		}
	}
}

// distinct: the same, with an event of its own for each session.
func (s *coster) distinct() {
	sessions, e := scaled(1000), newEmitter(s.ingest.URL)
	id := func(i int) string { return fmt.Sprint("distinct", i) }
	s.pagesOf(sessions, polling4, id)
	s.each(sessions*s.hard, func(i int) {
		s.emit(e, []string{id(i % sessions)}, fmt.Sprintf(`"%s%d"`, megabyte, i))
	})
}

// unread: sessions on polling that have a large event each, and ask for it, and do not read the answer.
func (s *coster) unread() {
	sessions, e := scaled(500)*s.hard, newEmitter(s.ingest.URL)
	id := func(i int) string { return fmt.Sprint("unread", i) }
	s.pagesOf(sessions, polling4, id)
	s.each(sessions, func(i int) {
		s.emit(e, []string{id(i)}, fmt.Sprintf(`"%s%d"`, megabyte, i))
	})
	s.each(len(s.pages), func(i int) {
		_ = s.pages[i].Write(s.pages[i].Request("GET", ""))
	})
}

// hot: many sockets that read, of one id, and emits that name it as often as is allowed.
func (s *coster) hot() {
	s.pagesOf(scaled(2000)*s.hard, socket4, func(int) string { return "hot" })
	for _, page := range s.pages {
		s.drain(page)
	}
	s.flood(strings.Repeat("x", 1000))
}

// megabytes: one reading socket, and emits of a megabyte that name it as often as is allowed.
func (s *coster) megabytes() {
	s.pagesOf(1, socket4, func(int) string { return "hot" })
	s.drain(s.pages[0])
	s.flood(megabyte)
}

// drain reads what comes to a page and looks at nothing: this process must not be what is slow.
func (s *coster) drain(page *siotest.Page) {
	go func() { _, _ = io.Copy(io.Discard, page.Net) }()
}

// flood emits to the hot id, as often as an emit may name it.
func (s *coster) flood(text string) {
	e := newEmitter(s.ingest.URL)
	ids := strings.Split(strings.Repeat("hot ", 15)+"hot", " ")
	s.during(6*s.hard, func() { s.emit(e, ids, `"`+text+`"`) })
}

// stalled: sockets of one id that do not read, and a large event to it.
func (s *coster) stalled() {
	s.pagesOf(scaled(1500)*s.hard, socket4, func(int) string { return "stalled" })
	e := newEmitter(s.ingest.URL)
	for range s.hard {
		s.emit(e, []string{"stalled"}, `"`+megabyte[:900_000]+`"`)
	}
}

// halves: websockets that send nine tenths of a large message.
func (s *coster) halves() {
	message := ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewTextFrame([]byte("4" + megabyte))))
	half := append(siotest.Handshake(s.host(), "/socket.io/?EIO=4&transport=websocket"), message[:900_000]...)
	s.callsOf(scaled(1000)*s.hard, half)
}

// bodies: POSTs that send nine tenths of their body, to /emit and to sessions on polling.
func (s *coster) bodies() {
	emit := fmt.Appendf(nil, "POST /emit HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
		s.host(), len(megabyte), megabyte[:900_000])
	count := scaled(1000) * s.hard
	s.callsOf(count, emit)
	s.pagesOf(count/4, polling4, func(i int) string { return fmt.Sprint("bodies", i) })
	s.each(len(s.pages), func(i int) {
		post := s.pages[i].Post("text/plain", []byte(megabyte))
		_ = s.pages[i].Write(post[:len(post)-100_000])
	})
}

// statistics asks for /stat/all from many connections.
func (s *coster) statistics() {
	e := newEmitter(s.ingest.URL)
	s.during(8*s.hard, func() {
		resp, err := e.http.Get(s.ingest.URL + "/stat/all")
		if err != nil {
			s.note(err.Error())
			return
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		s.note(resp.Status)
	})
}

// proxied: websockets of one address through nginx on the same box. No more than the address may have are admitted.
func (s *coster) proxied() {
	const most = 2000 // the default of --max-sockets-per-address
	host := s.nginx()
	s.each(2600*s.hard, func(int) {
		page, err := open(host, socket4, "40")
		if err != nil {
			s.note(err.Error())
			return
		}
		s.note("open")
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pages = append(s.pages, page)
	})
	if n := len(s.pages); n > most {
		s.t.Errorf("%d sockets of one address are open", n)
	}
}

// registrations: sockets that send registrations in frames of a megabyte, as often as is allowed.
func (s *coster) registrations() {
	s.each(20*s.hard, func(i int) {
		page, err := open(s.host(), socket4, "40")
		if err != nil {
			s.t.Error(err)
			return
		}
		s.mu.Lock()
		s.pages = append(s.pages, page)
		s.mu.Unlock()
		s.drain(page)
		for n := range 100 {
			frame := siotest.Frame(fmt.Sprintf(`42%d["register",{"userid":"r%d-%d","x":"%s"}]`, n, i, n, megabyte[:900_000]))
			if page.Write(frame) != nil {
				return
			}
		}
	})
}

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

	"github.com/ramainen/doit-socket/internal/siotest"
)

// A neighbour is a page that is emitted to all the time, and has done nothing
// to deserve what happens beside it. It measures from the emit's POST to the
// event, and beside that the machine itself, by bytes that go back and forth
// between two goroutines of this process. What stalls those is not the server.
type neighbour struct {
	t       testing.TB
	page    *siotest.Page
	emitter *emitter
	echo    net.Conn
	stop    chan struct{}
	running sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	sent    []time.Time // of each emit, by its number
	heard   int
	took    times
	machine times
	fault   error // why it hears no more, or what went wrong with an emit
}

// neighbourPace is the time between two emits.
const neighbourPace = 5 * time.Millisecond

// newNeighbour registers a page with a gateway and emits to it through an ingest until the test ends. Both may be one
// program.
func newNeighbour(t testing.TB, gateway, ingest *siotest.Program) *neighbour {
	t.Helper()
	page, err := join(strings.TrimPrefix(gateway.URL, "http://"), socket4, "neighbour")
	if err != nil {
		t.Fatal(err)
	}
	n := &neighbour{t: t, page: page, emitter: newEmitter(ingest.URL), stop: make(chan struct{})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer listener.Close()
		if conn, err := listener.Accept(); err == nil {
			_, _ = io.Copy(conn, conn)
			conn.Close()
		}
	}()
	if n.echo, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	go n.listen()
	n.running.Go(n.emit)
	n.running.Go(n.measureMachine)
	t.Cleanup(n.end)
	return n
}

func (n *neighbour) end() {
	close(n.stop)
	n.running.Wait()
	n.echo.Close()
	n.page.Close()
}

// every calls f at the neighbour's pace until the end.
func (n *neighbour) every(f func()) {
	for tick := time.Tick(neighbourPace); ; {
		select {
		case <-tick:
			f()
		case <-n.stop:
			return
		}
	}
}

func (n *neighbour) emit() {
	n.every(func() {
		n.mu.Lock()
		number := len(n.sent)
		n.sent = append(n.sent, time.Now())
		n.mu.Unlock()
		if status, answer := n.emitter.emit([]string{"neighbour"}, "n", fmt.Sprint(number)); answer != "OK" {
			n.fails(fmt.Errorf("an emit was answered %d %s", status, answer))
		}
	})
}

func (n *neighbour) listen() {
	for {
		event, err := n.page.Hear(time.Now().Add(2 * patience))
		if err != nil {
			select {
			case <-n.stop:
			default:
				n.fails(err)
			}
			return
		}
		var number int
		_, err = fmt.Sscanf(event, `["n",%d]`, &number)
		n.mu.Lock()
		if err != nil || number != n.heard {
			n.fault = fmt.Errorf("heard %.80s, not message %d", event, n.heard)
		} else {
			n.took = append(n.took, time.Since(n.sent[number]))
		}
		n.heard = number + 1
		n.mu.Unlock()
	}
}

func (n *neighbour) measureMachine() {
	var b [1]byte
	n.every(func() {
		began := time.Now()
		if _, err := n.echo.Write(b[:]); err == nil {
			_, _ = io.ReadFull(n.echo, b[:])
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.machine = append(n.machine, time.Since(began))
	})
}

func (n *neighbour) fails(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fault = err
}

// during returns how long events took while f ran, all that were emitted
// meanwhile, and how long the machine took for next to nothing.
func (n *neighbour) during(f func()) (events, machine times, fault error) {
	n.mu.Lock()
	n.took, n.machine, n.fault = nil, nil, nil
	n.mu.Unlock()
	f()
	n.mu.Lock()
	last := len(n.sent)
	n.mu.Unlock()
	await(patience, func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.heard >= last || n.fault != nil
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.heard < last && n.fault == nil {
		n.fault = fmt.Errorf("deaf since message %d", n.heard)
	}
	return n.took, n.machine, n.fault
}

//go:build soak

package soak

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// NATS is killed for 30 s under ingest and gateway as programs of their own:
// sockets stay, no emit is OK, a register waits; and when NATS is back all ids
// are reachable within 5 s, and every page is told once that there was a gap.
func TestBusAway(t *testing.T) {
	const (
		away    = 30 * time.Second
		within  = 5 * time.Second
		answers = 1500 * time.Millisecond // of emits meanwhile: a second, and some for the machine
		late    = 20                      // pages that register meanwhile
	)
	port := strconv.Itoa(siotest.FreePort(t))
	bus := startNATS(t, port, nil)
	url := "nats://127.0.0.1:" + port
	gateway := start(t, "gateway", "--nats-url", url)
	ingest := start(t, "ingest", "--nats-url", url)
	e := newEmitter(ingest.URL)

	b := &busPages{host: strings.TrimPrefix(gateway.URL, "http://"), stop: make(chan struct{}), reached: make(map[string]time.Time), gaps: make(map[string]int), faults: make(map[string]int)}
	count := scaled(2000)
	ids := make([]string, count)
	for i := range ids {
		ids[i] = fmt.Sprint("bus", i)
		page, err := join(b.host, []siotest.Options{socket4, socket4, socket4, polling4}[i%4], ids[i])
		if err != nil {
			t.Fatal(err)
		}
		b.running.Go(func() { b.stay(page, ids[i]) })
	}
	if !b.reach(e, ids, "before", patience) {
		t.Fatalf("%d of %d pages hear before anything has happened", b.count(ids), count)
	}

	statuses := make(map[int]int)
	var took times
	try := func() {
		began := time.Now()
		status, answer := e.emit(ids[:1], "away", "1")
		took = append(took, time.Since(began))
		statuses[status]++
		if status != 503 || answer != "ERROR" || time.Since(began) > answers {
			t.Errorf("an emit while NATS is away is answered %d %s after %v", status, answer, time.Since(began))
		}
	}
	_ = bus.Process.Signal(syscall.SIGSTOP) // at first it only does not answer
	for range 3 {
		try()
	}
	_ = bus.Process.Kill()
	_ = bus.Wait()
	killed := time.Now()
	callbacks := make(chan error, late)
	for i := range late {
		b.running.Go(func() { callbacks <- b.registerLate(fmt.Sprint("late", i)) })
	}
	for tick := time.Tick(time.Second); time.Since(killed) < away; <-tick {
		try()
	}
	if n := len(callbacks); n > 0 {
		t.Errorf("%d registrations were answered while NATS was away, the first with %v", n, <-callbacks)
	}
	held := read(t, gateway)["doit_gateway_sockets"]

	startNATS(t, port, nil)
	back := time.Now()
	all := b.reach(e, ids, "after", 2*within)
	reached := time.Since(back)
	for range late {
		if err := <-callbacks; err != nil {
			t.Errorf("a registration that waited: %v", err)
		}
	}
	registered := time.Since(back)
	await(2*time.Second, func() bool { return b.told(ids) == count })
	<-time.After(time.Second) // a second gap would come now
	close(b.stop)
	b.running.Wait()

	t.Logf("NATS away for %v: %.0f of %d sockets stayed; emits were answered %v after %v", back.Sub(killed).Round(time.Millisecond), held, count+late, statuses, took)
	t.Logf("back: %d of %d ids reachable after %.2fs, %d waiting registrations answered after %.2fs", b.count(ids), count, reached.Seconds(), late, registered.Seconds())
	t.Logf("doit:gap was heard by %d of %d registered pages, %d times in all: %s", b.told(ids), count, b.gapsInAll(), b.gap)
	if !all || reached > within {
		t.Errorf("%d of %d ids are reachable %v after NATS is back", b.count(ids), count, reached)
	}
	if int(held) != count+late {
		t.Errorf("%v of %d sockets stayed", held, count+late)
	}
	for _, id := range ids {
		if n := b.gaps[id]; n != 1 {
			b.faults[fmt.Sprintf("a page heard doit:gap %d times", n)]++
		}
	}
	for fault, n := range b.faults {
		t.Errorf("%d times: %s", n, fault)
	}
}

// startNATS starts nats-server on a port of 127.0.0.1, with flags and variables besides, and returns when it takes connections.
func startNATS(t testing.TB, port string, flags []string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(filepath.Join(binaries, "nats-server"), append(flags, "-a", "127.0.0.1", "-p", port)...)
	cmd.Env = append(os.Environ(), env...)
	serve(t, cmd, port)
	return cmd
}

// serve starts a server of others, waits until it listens on a port of 127.0.0.1, and ends it with the test.
func serve(t testing.TB, cmd *exec.Cmd, port string) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if !await(patience, func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}) {
		t.Fatalf("%s does not start", cmd.Path)
	}
}

// busPages are pages that stay, and note what they hear.
type busPages struct {
	host    string
	stop    chan struct{}
	running sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	event   string               // that is emitted just now
	reached map[string]time.Time // by id: when it was heard
	gaps    map[string]int       // by id: how often the page was told
	gap     string               // what it was told, one for all
	faults  map[string]int
}

// reach emits until every id has heard the event, or the time is over. It
// emits to those that have not: while NATS is not connected that is an error.
func (b *busPages) reach(e *emitter, ids []string, event string, limit time.Duration) bool {
	b.mu.Lock()
	b.event = event
	clear(b.reached)
	b.mu.Unlock()
	return await(limit, func() bool {
		var missing []string
		b.mu.Lock()
		for _, id := range ids {
			if b.reached[id].IsZero() {
				missing = append(missing, id)
			}
		}
		b.mu.Unlock()
		for rest := missing; len(rest) > 0; rest = rest[min(len(rest), maxReceivers):] {
			e.emit(rest[:min(len(rest), maxReceivers)], event, "1")
		}
		return len(missing) == 0
	})
}

func (b *busPages) count(ids []string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		if !b.reached[id].IsZero() {
			n++
		}
	}
	return n
}

// told counts the pages that were told of a gap.
func (b *busPages) told(ids []string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		if b.gaps[id] > 0 {
			n++
		}
	}
	return n
}

func (b *busPages) gapsInAll() (n int) {
	for _, times := range b.gaps {
		n += times
	}
	return n
}

func (b *busPages) fault(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults[what]++
}

// stay hears until the end, which comes as a time out: nothing may close a page.
func (b *busPages) stay(page *siotest.Page, id string) {
	defer page.Close()
	go func() {
		<-b.stop
		page.Close()
	}()
	for {
		event, err := page.Hear(time.Now().Add(2 * time.Minute))
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			b.fault(fmt.Sprintf("closed (%v): %v", page.Options, err))
			return
		}
		b.note(id, event)
	}
}

func (b *busPages) note(id, event string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(event), &list); err != nil || len(list) != 2 {
		b.faults["heard "+event]++
		return
	}
	switch name := string(list[0]); name {
	case `"` + b.event + `"`:
		b.reached[id] = time.Now()
	case `"doit:gap"`:
		var told struct {
			Since  json.RawMessage `json:"since"`
			Reason string          `json:"reason"`
		}
		if err := json.Unmarshal(list[1], &told); err != nil || len(told.Since) == 0 || told.Reason == "" {
			b.faults["was told of a gap as "+event]++
		}
		b.gaps[id]++
		b.gap = string(list[1])
	case `"before"`: // late: it was emitted more than once
	default:
		b.faults["heard "+name]++
	}
}

// registerLate registers while NATS is away and waits for the callback, which comes when it is back.
func (b *busPages) registerLate(id string) error {
	page, err := open(b.host, socket4)
	if err != nil {
		return err
	}
	b.running.Go(func() {
		<-b.stop
		page.Close()
	})
	if err := page.Join(); err != nil {
		return err
	}
	if err := page.Send(siotest.Registration(id)); err != nil {
		return err
	}
	packet, err := page.Next(time.Now().Add(2 * time.Minute))
	if errors.Is(err, os.ErrDeadlineExceeded) || err == nil && packet != siotest.Registered {
		err = fmt.Errorf("no callback: %q, %w", packet, err)
	}
	return err
}

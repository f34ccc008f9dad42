//go:build soak

package soak

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// A cluster is three nats-servers with the shipped configuration, two gateways
// and two ingests, all processes of their own, each beside another server.
type cluster struct {
	t        *testing.T
	ports    []string // of the servers, for clients and for routes
	routes   []string
	servers  []*exec.Cmd
	gateways []*siotest.Program
	ingests  []*siotest.Program
	listen   []string // addresses of the gateways, then of the ingests
	flags    []string // of the gateways, besides
}

// Passwords of the roles.
const (
	routeWord   = "routes-word"
	gatewayWord = "gateway-word"
	ingestWord  = "ingest-word"
)

func startCluster(t *testing.T, flags ...string) *cluster {
	c := &cluster{t: t, flags: flags, servers: make([]*exec.Cmd, 3), gateways: make([]*siotest.Program, 2), ingests: make([]*siotest.Program, 2)}
	for range c.servers {
		c.ports, c.routes = append(c.ports, strconv.Itoa(siotest.FreePort(t))), append(c.routes, strconv.Itoa(siotest.FreePort(t)))
	}
	for i := range c.servers {
		c.startServer(i)
	}
	for range len(c.gateways) + len(c.ingests) {
		c.listen = append(c.listen, siotest.FreeAddress(t))
	}
	for i := range c.gateways {
		c.startGateway(i)
	}
	for i := range c.ingests {
		c.startIngest(i)
	}
	return c
}

func (c *cluster) startServer(i int) {
	c.t.Helper()
	urls := make([]string, 0, len(c.routes))
	for j, port := range c.routes {
		if j != i {
			urls = append(urls, fmt.Sprintf(`"nats-route://route:%s@127.0.0.1:%s"`, routeWord, port))
		}
	}
	c.servers[i] = startNATS(c.t, c.ports[i],
		[]string{"-c", "../../deploy/nats/nats.conf", "-n", fmt.Sprint("nats-", i+1), "--cluster_listen", "nats://127.0.0.1:" + c.routes[i]},
		"NATS_ROUTES=["+strings.Join(urls, ",")+"]", "NATS_ROUTE_PASSWORD="+routeWord, "NATS_GATEWAY_PASSWORD="+gatewayWord, "NATS_INGEST_PASSWORD="+ingestWord)
}

// The i-th gateway is beside the i-th server, the i-th ingest beside the next but one. To the balancer all browsers have
// one address, so the limits per address are off.
func (c *cluster) startGateway(i int) {
	c.t.Helper()
	c.gateways[i] = start(c.t, "gateway", append([]string{"--nats-url", "nats://127.0.0.1:" + c.ports[i], "--nats-user", "gateway", "--nats-password", gatewayWord,
		"--node", fmt.Sprint("gateway-", i+1), "--listen", c.listen[i], "--max-sockets-per-address", "0", "--max-handshakes-per-address", "0", "--max-frames", "0", manyAddresses, "--drain", "1s"}, c.flags...)...)
}

func (c *cluster) startIngest(i int) {
	c.t.Helper()
	c.ingests[i] = start(c.t, "ingest", "--nats-url", "nats://127.0.0.1:"+c.ports[(i+2)%3], "--nats-user", "ingest", "--nats-password", ingestWord,
		"--node", fmt.Sprint("ingest-", i+1), "--listen", c.listen[len(c.gateways)+i], "--open")
}

// restartGateway restarts a gateway as an upgrade does: told to end, it drains, then another takes its place.
func (c *cluster) restartGateway(i int) {
	c.t.Helper()
	began := time.Now()
	c.gateways[i].Signal(syscall.SIGTERM)
	<-c.gateways[i].Ended()
	if err := c.gateways[i].Err(); err != nil {
		c.t.Errorf("gateway %d: %v", i+1, err)
	}
	c.t.Logf("gateway %d ended after %.2fs", i+1, time.Since(began).Seconds())
	c.startGateway(i)
}

// awaitBalancer waits until the balancer sends browsers to a gateway.
func (c *cluster) awaitBalancer(host string, i int) {
	c.t.Helper()
	if !await(patience, func() bool {
		page, err := open(host, socket4)
		if err != nil {
			return false
		}
		defer page.Close()
		return read(c.t, c.gateways[i])["doit_gateway_sessions"] > 0
	}) {
		c.t.Fatalf("no browser comes to gateway %d", i+1)
	}
}

// sum returns what a metric without labels is on all gateways together.
func (c *cluster) sum(name string) (sum float64) {
	c.t.Helper()
	for _, g := range c.gateways {
		sum += read(c.t, g)[name]
	}
	return sum
}

func kill(p *siotest.Program) {
	p.Signal(syscall.SIGKILL)
	<-p.Ended()
}

// Registered means reachable, also through another node: an emit in the moment
// of the callback is OK, and heard.
func TestClusterRegistered(t *testing.T) {
	const pages = 128
	c := startCluster(t)
	count := scaled(10_000)
	var next atomic.Int64
	var all sync.WaitGroup
	var mu sync.Mutex
	var took times
	faults := make(map[string]int)
	for i := range pages {
		all.Go(func() {
			gateway := i % 2
			e := newEmitter(c.ingests[(i/2)%2].URL)
			page, err := open(c.listen[gateway], socket4)
			if err == nil {
				defer page.Close()
				err = page.Join()
			}
			for n := next.Add(1); err == nil && n <= int64(count); n = next.Add(1) {
				id := fmt.Sprint("user", n)
				began := time.Now()
				if err = page.Register(id); err != nil {
					break
				}
				callback := time.Since(began)
				if status, answer := e.emit([]string{id}, "now", strconv.FormatInt(n, 10)); answer != "OK" {
					err = fmt.Errorf("answered %d %s", status, answer)
					break
				}
				var event string
				if event, err = page.Hear(time.Now().Add(patience)); err == nil && event != fmt.Sprintf(`["now",%d]`, n) {
					err = errors.New("heard another event")
				}
				if err == nil {
					err = page.Send(strings.Replace(siotest.Registration(id), "register", "unregister", 1))
				}
				if err == nil {
					err = page.Expect(siotest.Registered)
				}
				mu.Lock()
				took = append(took, callback)
				mu.Unlock()
			}
			if err != nil {
				mu.Lock()
				faults[err.Error()]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	t.Logf("%d registrations, each with an emit through another node in the moment of its callback: %d lost", len(took), count-len(took))
	t.Logf("register to callback, 50 ms of it to settle: %v", took)
	for fault, n := range faults {
		t.Errorf("%d times: %s", n, fault)
	}
	if len(took) != count {
		t.Errorf("%d of %d", len(took), count)
	}
}

// A tally is what became of the emits of one phase.
type tally struct {
	mu        sync.Mutex
	answers   map[string]int       // how often each answer came
	last      map[string]time.Time // when it last came
	falseOKs  int
	denied    int // emits that were answered ERROR, nobody is there, though the page was open
	otherLost int // emits to users of gateways that live which were not OK
}

// Each part of the cluster is killed in turn under 1,000 emits a second to
// pages of both gateways: nothing that is answered OK is unheard, and the
// users of a gateway that lives do not notice the death of another.
func TestClusterKills(t *testing.T) {
	const (
		pages  = 100 // on each gateway
		rate   = 1000
		within = 2 * time.Second // goals: of one part,
		allOf  = 5 * time.Second // and of the whole bus
		// Before NATS has told an ingest that a server is dead (decision 4): a millisecond's emits.
		maxDenied = 3
	)
	c := startCluster(t)
	l := &load{c: c, heard: make(map[string]map[int]bool), stop: make(chan struct{})}
	for g := range c.gateways {
		for i := range pages {
			l.keep(g, fmt.Sprintf("u%d-%d", g, i))
		}
	}
	if !await(patience, func() bool { return l.connected.Load() == 2*pages }) {
		t.Fatalf("%d of %d pages are connected", l.connected.Load(), 2*pages)
	}
	emitters := []*emitter{newEmitter(c.ingests[0].URL), newEmitter(c.ingests[1].URL)}

	phases := []struct {
		name    string
		goal    time.Duration
		kill    func() (restart func())
		ingests []int // through which to emit
		closes  int   // a gateway whose pages are closed: the users of the other must notice nothing; -1 for none
	}{
		{"nothing", 0, func() func() { return func() {} }, []int{0, 1}, -1},
		{"NATS server 1", within, c.killServers(0), []int{0, 1}, -1},
		{"NATS server 2", within, c.killServers(1), []int{0, 1}, -1},
		{"NATS server 3", within, c.killServers(2), []int{0, 1}, -1},
		{"gateway 1", within, func() func() { kill(c.gateways[0]); return func() { c.startGateway(0) } }, []int{0, 1}, 0},
		{"ingest 1", within, func() func() { kill(c.ingests[0]); return func() { c.startIngest(0) } }, []int{1}, -1},
		{"all NATS servers", allOf, c.killServers(0, 1, 2), []int{0, 1}, -1},
	}
	for _, phase := range phases {
		sum := &tally{answers: make(map[string]int), last: make(map[string]time.Time)}
		end := make(chan struct{})
		var emitting sync.WaitGroup
		emitting.Go(func() { l.emit(emitters, phase.ingests, rate, pages, phase.closes, sum, end) })
		<-time.After(time.Second)
		killed := time.Now()
		restart := phase.kill()
		<-time.After(2 * time.Second)
		restart()
		back := time.Now()
		<-time.After(allOf)
		close(end)
		emitting.Wait()
		worst := killed
		for answer, at := range sum.last {
			if answer != "OK" && at.After(worst) {
				worst = at
			}
		}
		from, recovered := "the kill", worst.Sub(killed)
		if phase.name == "all NATS servers" || phase.name == "gateway 1" { // nothing is there in between
			from, recovered = "the restart", max(0, worst.Sub(back))
		}
		if !await(patience, func() bool { return l.connected.Load() == 2*pages }) {
			t.Fatalf("after %s: %d of %d pages are connected", phase.name, l.connected.Load(), 2*pages)
		}
		l.settle(sum)
		t.Logf("killed: %-17s %v; the last that was not OK %.2fs after %s; %d answered OK and not heard; %d answered ERROR and the page was open; not OK for users of a gateway that lived: %d",
			phase.name, sum.answers, recovered.Seconds(), from, sum.falseOKs, sum.denied, sum.otherLost)
		if sum.falseOKs > 0 {
			t.Errorf("%s: %d emits were answered OK and not heard", phase.name, sum.falseOKs)
		}
		if sum.denied > maxDenied || sum.denied > 0 && !strings.Contains(phase.name, "NATS") {
			t.Errorf("%s: %d emits were answered ERROR, and the page was open", phase.name, sum.denied)
		}
		if sum.otherLost > 0 {
			t.Errorf("%s: %d emits to users of the other gateway were not OK", phase.name, sum.otherLost)
		}
		if recovered > phase.goal {
			t.Logf("%s: recovery is beyond the goal of %v", phase.name, phase.goal)
		}
	}
	close(l.stop)
	l.running.Wait()
}

func (c *cluster) killServers(which ...int) func() (restart func()) {
	return func() func() {
		for _, i := range which {
			_ = c.servers[i].Process.Kill()
			_ = c.servers[i].Wait()
		}
		return func() {
			for _, i := range which {
				c.startServer(i)
			}
		}
	}
}

// A load is pages that stay, or come back, and what they have heard.
type load struct {
	c         *cluster
	stop      chan struct{}
	running   sync.WaitGroup
	connected atomic.Int64
	number    atomic.Int64

	mu sync.Mutex
	// Guarded by mu.
	heard map[string]map[int]bool // by id: the numbers of its emits
	oks   []okay
}

// An okay is an emit that was answered OK.
type okay struct {
	id     string
	number int
}

// keep keeps a page of the id on a gateway: it comes back when it is closed.
func (l *load) keep(gateway int, id string) {
	l.heard[id] = make(map[int]bool)
	l.running.Go(func() {
		for again := time.Tick(100 * time.Millisecond); ; {
			if page, err := open(l.c.listen[gateway], socket4); err == nil {
				if page.Join() == nil && page.Send(siotest.Registration(id)) == nil {
					l.stay(page, id)
				}
				page.Close()
			}
			select {
			case <-l.stop:
				return
			case <-again:
			}
		}
	})
}

// stay hears until the page is closed. Events may come before the callback.
func (l *load) stay(page *siotest.Page, id string) {
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-l.stop:
			page.Close()
		case <-ended:
		}
	}()
	for {
		packet, err := page.Next(time.Now().Add(time.Minute))
		if err != nil {
			return
		}
		if packet == siotest.Registered {
			l.connected.Add(1)
			defer l.connected.Add(-1)
		}
		number, ok := strings.CutPrefix(packet, `42["e",`)
		if n, err := strconv.Atoi(strings.TrimSuffix(number, "]")); ok && err == nil {
			l.mu.Lock()
			l.heard[id][n] = true
			l.mu.Unlock()
		}
	}
}

// emit emits at a rate, to pages of the gateways in turn, through the ingests in turn. Pages of the gateway closes are closed.
func (l *load) emit(emitters []*emitter, ingests []int, rate, pages, closes int, sum *tally, end <-chan struct{}) {
	var all sync.WaitGroup
	defer all.Wait()
	tick := time.Tick(time.Second / 100)
	for {
		select {
		case <-end:
			return
		case <-tick:
		}
		for range rate / 100 {
			n := int(l.number.Add(1))
			gateway := n % 2
			id := fmt.Sprintf("u%d-%d", gateway, n/2%pages)
			e := emitters[ingests[n/2%len(ingests)]]
			all.Go(func() {
				status, answer := e.emit([]string{id}, "e", strconv.Itoa(n))
				if status == 0 {
					answer = "no answer"
				} else if status != 200 {
					answer = fmt.Sprint(status)
				}
				sum.mu.Lock()
				defer sum.mu.Unlock()
				sum.answers[answer]++
				sum.last[answer] = time.Now()
				if answer == "OK" {
					l.mu.Lock()
					l.oks = append(l.oks, okay{id, n})
					l.mu.Unlock()
					return
				}
				if answer == "ERROR" && gateway != closes {
					sum.denied++
				}
				if closes >= 0 && gateway != closes {
					sum.otherLost++
				}
			})
		}
	}
}

// settle counts the emits that were answered OK and are not heard, in time.
func (l *load) settle(sum *tally) {
	missing := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.oks = slices.DeleteFunc(l.oks, func(o okay) bool { return l.heard[o.id][o.number] })
		return len(l.oks)
	}
	await(2*time.Second, func() bool { return missing() == 0 })
	sum.falseOKs = missing()
	l.mu.Lock()
	l.oks = nil
	l.mu.Unlock()
}

// Published clients, and sessions on polling of every revision, behind haproxy
// with the shipped configuration and no stickiness at all hear 1,000 messages
// in order.
func TestClusterBalancer(t *testing.T) {
	c := startCluster(t)
	url := "http://" + c.startBalancer()
	t.Run("polling", func(t *testing.T) {
		var all sync.WaitGroup
		e := newEmitter(url)
		for i := range 8 {
			k := []siotest.Options{polling3, polling4}[i%2]
			id := fmt.Sprint("polls", i)
			all.Go(func() {
				page, err := join(strings.TrimPrefix(url, "http://"), k, id)
				if err != nil {
					t.Errorf("%v: %v", k, err)
					return
				}
				defer page.Close()
				all.Go(func() {
					for n := range 1000 {
						if status, answer := e.emit([]string{id}, "n", strconv.Itoa(n)); answer != "OK" {
							t.Errorf("%v: emit %d: %d %s", k, n, status, answer)
							return
						}
					}
				})
				for n := range 1000 {
					if event, err := page.Hear(time.Now().Add(patience)); err != nil || event != fmt.Sprintf(`["n",%d]`, n) {
						t.Errorf("%v: %q, %v, at message %d", k, event, err, n)
						return
					}
				}
			})
		}
		all.Wait()
	})
	t.Run("published clients", func(t *testing.T) {
		node := exec.Command("node", "--test", "--test-reporter=spec", "balancer.mjs")
		node.Dir, node.Env = "../browser", append(os.Environ(), "DOIT_URL="+url)
		out, err := node.CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Error(err)
		}
	})
	passed := 0.0
	for _, g := range c.gateways {
		for name, value := range read(t, g) {
			if strings.HasPrefix(name, "doit_gateway_passed_total") {
				passed += value
			}
		}
	}
	t.Logf("%.0f requests were passed on between the gateways", passed)
	if passed == 0 {
		t.Error("the balancer sent each to its own: nothing was tested")
	}
}

// startBalancer starts haproxy with the shipped configuration, but addresses,
// and requests to gateways in turn.
func (c *cluster) startBalancer() (address string) {
	c.t.Helper()
	shipped, err := os.ReadFile("../../deploy/lb/haproxy.cfg")
	if err != nil {
		c.t.Fatal(err)
	}
	address = siotest.FreeAddress(c.t)
	config := strings.NewReplacer("bind :8080", "bind "+address, "balance leastconn", "balance roundrobin",
		"gateway-1:1337", c.listen[0], "gateway-2:1337", c.listen[1], "ingest-1:1335", c.listen[2], "ingest-2:1335", c.listen[3]).Replace(string(shipped))
	file := filepath.Join(c.t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command("haproxy", "-db", "-f", file)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	e := newEmitter("http://" + address)
	if !await(patience, func() bool { status, _ := e.emit([]string{"nobody"}, "e", "1"); return status == 200 }) {
		c.t.Fatalf("no answer through haproxy\n%s", said.String())
	}
	return address
}

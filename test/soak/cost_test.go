//go:build soak

package soak

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// A cost is an attack on what all visitors share: memory, turns, connections, NATS.
type cost struct {
	name     string
	programs bool          // three programs, not embedded
	within   time.Duration // the neighbour hears, p99
	resident float64       // MiB that each program may take under GOMEMLIMIT=1GiB
	attack   func(s *coster)
}

var costs = []cost{
	{"polls that never come", false, 100 * time.Millisecond, 1.2 * 1024, (*coster).unpolled},
	{"polls that never come, programs", true, 100 * time.Millisecond, 1.2 * 1024, (*coster).unpolled},
	{"polls that never come, an event for each", false, 100 * time.Millisecond, 1.2 * 1024, (*coster).distinct},
	{"polls that nobody reads", false, 100 * time.Millisecond, 1.2 * 1024, (*coster).unread},
	{"a hot id", false, 200 * time.Millisecond, 300, (*coster).hot},
	{"a hot id, programs", true, 200 * time.Millisecond, 300, (*coster).hot},
	{"a reader of megabytes, programs", true, 100 * time.Millisecond, 300, (*coster).megabytes},
	{"stalled readers", false, 100 * time.Millisecond, 300, (*coster).stalled},
	{"half messages", false, 100 * time.Millisecond, 1.2 * 1024, (*coster).halves},
	{"half bodies", false, 100 * time.Millisecond, 1.2 * 1024, (*coster).bodies},
	{"statistics", false, 100 * time.Millisecond, 300, (*coster).statistics},
	{"statistics, programs", true, 100 * time.Millisecond, 300, (*coster).statistics},
	{"one address behind nginx", false, 100 * time.Millisecond, 300, (*coster).proxied},
}

// Beside each attack, as it was first seen and twice as hard, with the default memory and with little, a neighbour goes
// on hearing, none of its emits is refused, the process stays within its memory, and afterwards all is as before.
func TestCost(t *testing.T) {
	for _, c := range costs {
		for _, memory := range []string{"", "1GiB"} {
			for hard := 1; hard <= 2; hard++ {
				t.Run(fmt.Sprintf("%s/%s/times %d", c.name, memory, hard), func(t *testing.T) {
					t.Setenv("GOMEMLIMIT", memory)
					s := &coster{t: t, hard: hard, stop: make(chan struct{})}
					if c.programs {
						s.programs()
					} else {
						s.gateway = start(t, "embedded")
						s.ingest = s.gateway
					}
					s.nginx = func() string { return startNginx(t, s.gateway.URL) }
					s.run(c, memory == "")
				})
			}
		}
	}
}

// programs starts three programs, and returns the nats-server.
func (s *coster) programs() *os.Process {
	port := strconv.Itoa(siotest.FreePort(s.t))
	bus := startNATS(s.t, port, nil)
	nats := "nats://127.0.0.1:" + port
	s.gateway = start(s.t, "gateway", "--nats-url", nats)
	s.ingest = start(s.t, "ingest", "--nats-url", nats)
	return bus.Process
}

// run attacks beside a neighbour and reports what it cost. With plenty of memory the bound of resident memory is
// --max-memory.
func (s *coster) run(c cost, plenty bool) {
	t := s.t
	n := newNeighbour(t, s.gateway, s.ingest)
	idle, _, fault := n.during(func() { <-time.After(time.Second) })
	if fault != nil {
		t.Fatal(fault)
	}
	before, used := read(t, s.gateway), s.watch()
	events, machine, fault := n.during(func() { c.attack(s) })
	close(s.stop)
	resident, kernel := used()
	t.Logf("idle %v", idle)
	t.Logf("meanwhile %v; machine %v", events, machine)
	s.report(before, resident, kernel)
	if fault != nil {
		t.Errorf("the neighbour: %v", fault)
	}
	if events.at(.99) > c.within {
		t.Errorf("the neighbour heard after %v (p99)", events.at(.99))
	}
	if plenty && c.resident > 300 {
		c.resident = before["doit_memory_limit_bytes"] / mib
	}
	if resident > c.resident {
		t.Errorf("%.0f MiB were resident", resident)
	}
	s.leave()
	s.awaitNobody(1)
}

const mib = 1 << 20

// report logs what was used, and what was refused.
func (s *coster) report(before metrics, resident, kernel float64) {
	m := read(s.t, s.gateway)
	s.t.Logf("resident at most %.0f MiB, and %.0f MiB of the kernel, the attacker's side included; answers %v", resident, kernel, s.answers)
	s.t.Logf("used %.0f of %.0f MiB; refused: memory %.0f, handshakes %s, connections %s; closed %s; dropped %s",
		m["doit_memory_used_bytes"]/mib, m["doit_memory_limit_bytes"]/mib, m["doit_memory_refused_total"],
		m.since(before, "doit_gateway_refused_total"), m.since(before, "doit_connections_refused_total"),
		m.since(before, "doit_gateway_closed_total"), m.since(before, "doit_gateway_dropped_total"))
}

// awaitNobody waits until all is as before: only so many sockets are open and nothing counts for --max-memory.
func (s *coster) awaitNobody(sockets float64) {
	var m metrics
	if !await(2*patience, func() bool {
		m = read(s.t, s.gateway)
		return m["doit_gateway_sockets"] == sockets && m["doit_memory_used_bytes"] == 0
	}) {
		s.t.Errorf("%v sockets and %v bytes are left", m["doit_gateway_sockets"]-sockets, m["doit_memory_used_bytes"])
	}
}

// watch returns a function that returns how much memory the programs had at most, the larger of them, and how much more
// than now the kernel had for TCP, in MiB.
func (s *coster) watch() func() (resident, kernel float64) {
	var resident, kernel float64
	before, done := kernelMemory(s.t), make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.Tick(100 * time.Millisecond); ; {
			for _, p := range []*siotest.Program{s.gateway, s.ingest} {
				resident = max(resident, read(s.t, p)["process_resident_memory_bytes"]/mib)
			}
			kernel = max(kernel, kernelMemory(s.t)-before)
			select {
			case <-tick:
			case <-s.stop:
				return
			}
		}
	}()
	return func() (float64, float64) { <-done; return resident, kernel }
}

var tcpPages = regexp.MustCompile(`(?m)^TCP: .* mem (\d+)$`)

// kernelMemory returns what the machine's TCP connections have in buffers, in MiB.
func kernelMemory(t testing.TB) float64 {
	text, err := os.ReadFile("/proc/net/sockstat")
	m := tcpPages.FindSubmatch(text)
	if err != nil || m == nil {
		t.Errorf("/proc/net/sockstat: %q, %v", text, err)
		return 0
	}
	pages, _ := strconv.Atoi(string(m[1]))
	return float64(pages*os.Getpagesize()) / mib
}

// Sockets send registrations in frames of a megabyte while NATS does not respond. What is kept of each is what its
// callback needs, and afterwards nothing is.
func TestRegistrationsWhileNATSIsSilent(t *testing.T) {
	for hard := 1; hard <= 2; hard++ {
		t.Run(fmt.Sprint("times ", hard), func(t *testing.T) {
			t.Setenv("GOMEMLIMIT", "1GiB")
			s := &coster{t: t, hard: hard, stop: make(chan struct{})}
			bus := s.programs()
			before, used := read(t, s.gateway), s.watch()
			_ = bus.Signal(syscall.SIGSTOP)
			s.registrations()
			close(s.stop)
			resident, kernel := used()
			_ = bus.Signal(syscall.SIGCONT)
			s.report(before, resident, kernel)
			if resident > 300 {
				t.Errorf("%.0f MiB were resident", resident)
			}
			s.leave()
			s.awaitNobody(0)
		})
	}
}

// nginxOf is nginx, as one process, in front of a server. It says of all browsers that they have one address.
const nginxOf = `daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr crit;
events { worker_connections 19900; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen 127.0.0.1:%[2]s backlog=4096;
		location / {
			proxy_pass %[3]s;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection upgrade;
			proxy_set_header X-Forwarded-For 203.0.113.9;
			proxy_read_timeout 1h;
		}
	}
}
`

// startNginx starts nginx in front of a server and returns its host:port.
func startNginx(t testing.TB, url string) (host string) {
	t.Helper()
	dir, port := t.TempDir(), strconv.Itoa(siotest.FreePort(t))
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxOf, dir, port, url), 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, exec.Command("nginx", "-e", "stderr", "-c", conf), port)
	return "127.0.0.1:" + port
}

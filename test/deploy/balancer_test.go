//go:build programs

package deploy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// A balancer is a file of deploy/lb and the program that it is for.
type balancer struct {
	file string
	once bool // tries no second node for a request
	// What the file has where the test has addresses of its own.
	listen, scheme     string
	gateways, ingests  [2]string
	command            func(t *testing.T, config string) *exec.Cmd
	listenIn, serverIn string // how they are found in the file, with %s for them
}

var balancers = map[string]balancer{
	"haproxy": {
		file: "haproxy.cfg", listen: ":8080", listenIn: "bind %s\n", serverIn: " %s\n",
		gateways: [2]string{"gateway-1:1337", "gateway-2:1337"}, ingests: [2]string{"ingest-1:1335", "ingest-2:1335"},
		command: func(t *testing.T, config string) *exec.Cmd {
			return exec.Command("haproxy", "-db", "-f", config)
		},
	},
	"nginx": {
		file: "nginx.conf", listen: "80", listenIn: "listen %s;", serverIn: "server %s ",
		gateways: [2]string{"10.0.0.11:1337", "10.0.0.12:1337"}, ingests: [2]string{"10.0.0.21:1335", "10.0.0.22:1335"},
		command: func(t *testing.T, config string) *exec.Cmd {
			dir := t.TempDir()
			main := "daemon off; pid nginx.pid; error_log stderr; events {} http { access_log off;"
			if os.Geteuid() == 0 {
				main = "user root; " + main
			}
			for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
				main += fmt.Sprintf(" %s_temp_path %s;", kind, kind)
			}
			main += fmt.Sprintf(" include %s; }", config)
			if err := os.WriteFile(filepath.Join(dir, "main.conf"), []byte(main), 0o600); err != nil {
				t.Fatal(err)
			}
			return exec.Command("nginx", "-p", dir, "-c", "main.conf", "-e", "stderr")
		},
	},
	"caddy": {
		file: "Caddyfile", scheme: "http://", once: true, listen: ":8080", listenIn: "%s {\n", serverIn: " %s ",
		gateways: [2]string{"10.0.0.11:1337", "10.0.0.12:1337"}, ingests: [2]string{"10.0.0.21:1335", "10.0.0.22:1335"},
		command: func(t *testing.T, config string) *exec.Cmd {
			main := filepath.Join(t.TempDir(), "Caddyfile") // no TLS: Caddy would make the machine trust its certificates
			if err := os.WriteFile(main, []byte("{\nadmin off\nauto_https off\ndefault_bind 127.0.0.1\n}\nimport "+config+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("XDG_DATA_HOME", t.TempDir())
			t.Setenv("XDG_CONFIG_HOME", t.TempDir())
			return exec.Command("caddy", "run", "--adapter", "caddyfile", "--config", main)
		},
	},
}

// start starts the balancer with its file as it is shipped, but for the
// addresses, and waits until it has found a gateway and an ingest.
func (b balancer) start(t *testing.T, gateways, ingests [2]string) (url string) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/lb/" + b.file)
	if err != nil {
		t.Fatal(err)
	}
	config := string(text)
	replace := func(in, old, address string) {
		t.Helper()
		old = fmt.Sprintf(in, old)
		if strings.Count(config, old) != 1 {
			t.Fatalf("%q is not once in %s", old, b.file)
		}
		config = strings.Replace(config, old, fmt.Sprintf(in, address), 1)
	}
	address := siotest.FreeAddress(t)
	replace(b.listenIn, b.listen, b.scheme+address)
	for i := range gateways {
		replace(b.serverIn, b.gateways[i], strings.TrimPrefix(gateways[i], "http://"))
		replace(b.serverIn, b.ingests[i], strings.TrimPrefix(ingests[i], "http://"))
	}
	path := filepath.Join(t.TempDir(), b.file)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, b.command(t, path))
	url = "http://" + address
	natstest.Await(t, "the balancer", func() bool {
		return status(url+"/readyz") == 200 && slices.Contains([]int{200, 403}, status(url+"/stat/all"))
	})
	return url
}

func nobody(t *testing.T) string { return "http://" + siotest.FreeAddress(t) }

func each(t *testing.T, test func(t *testing.T, b balancer)) {
	for name, b := range balancers {
		t.Run(name, func(t *testing.T) { test(t, b) })
	}
}

// Emits, polls and websockets pass, though of each pair one is not there.
func TestBalancerPassesAll(t *testing.T) {
	each(t, func(t *testing.T, b balancer) {
		bus := natstest.Start(t, natstest.MaxPayload(8<<20))
		gateway := start(t, "gateway", "--nats-url", bus.ClientURL(), "--trusted-proxies", "127.0.0.1")
		ingest := start(t, "ingest", "--nats-url", bus.ClientURL(), "--open", "--max-body", "8388608")
		url := b.start(t, [2]string{nobody(t), gateway.URL}, [2]string{ingest.URL, nobody(t)})
		var pages []*siotest.Client
		for _, o := range []siotest.Options{{}, {EIO: 3}, {Polling: true}, {EIO: 3, Polling: true}} {
			page := siotest.Dial(t, url, o)
			page.Register("42")
			pages = append(pages, page)
		}
		for i := range 100 {
			siotest.MustPost(t, url, "42", "hello", fmt.Sprint(i))
		}
		for _, path := range []string{"/emit", "/%65mit", "//emit"} {
			if got := siotest.MustGet(t, url+path+"?id=42&message=by-get"); got != "OK" {
				t.Errorf("GET %s: %s", path, got)
			}
		}
		for _, page := range pages {
			for i := range 100 {
				page.Expect("hello", float64(i))
			}
			for range 3 {
				if got := page.Next(); got.Name != "by-get" {
					t.Errorf("heard %v", got)
				}
			}
		}
		// The sums are up to a second old.
		natstest.Await(t, "sums of 5", func() bool { return siotest.MustGet(t, url+"/stat/all") == "5" })
		if got := siotest.MustGet(t, url+"/"); !strings.Contains(got, "<title>doit-socket") {
			t.Errorf("the page is %.100q", got)
		}
		// As large as an ingest takes.
		if status, body := siotest.Post(t, url, []string{"nobody"}, "large", `"`+strings.Repeat("x", 7<<20)+`"`); status != 200 || body != "ERROR" {
			t.Errorf("a large emit: %d %.200s", status, body)
		}
	})
}

// Behind a balancer on the gateway's machine, which no flag names, a browser's own address counts against the limits per
// address, and the browser cannot invent another. A browser on this machine is not exempt either: the gateway cannot
// tell it from one that has written the header.
func TestBalancerNamesTheBrowser(t *testing.T) {
	each(t, func(t *testing.T, b balancer) {
		bus := natstest.Start(t)
		gateway := start(t, "gateway", "--nats-url", bus.ClientURL(), "--max-sockets-per-address", "1")
		ingest := start(t, "ingest", "--nats-url", bus.ClientURL())
		url := b.start(t, [2]string{gateway.URL, nobody(t)}, [2]string{ingest.URL, nobody(t)})
		open := func(from, forged string) int {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
			transport := &http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext}
			r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url+"/socket.io/?EIO=4&transport=polling", nil)
			if err != nil {
				t.Fatal(err)
			}
			if forged != "" {
				r.Header.Set("X-Forwarded-For", forged)
			}
			resp, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			return resp.StatusCode
		}
		for _, visit := range []struct {
			from, forged string
			want         int
		}{{"127.0.0.2", "", 200}, {"127.0.0.2", "", 429}, {"127.0.0.3", "", 200}, {"127.0.0.2", "192.0.2.1", 429}, {"127.0.0.3", "192.0.2.1, 127.0.0.1", 429},
			{"127.0.0.1", "192.0.2.1", 200}, {"127.0.0.1", "192.0.2.2", 429}} {
			if got := open(visit.from, visit.forged); got != visit.want {
				t.Errorf("from %s, which says it is %q: %d, want %d", visit.from, visit.forged, got, visit.want)
			}
		}
	})
}

// Without --open nobody emits through a balancer, with the files as they are shipped: each of them tells the ingest that
// it forwards.
func TestBalancerIsNoDoorForEmits(t *testing.T) {
	each(t, func(t *testing.T, b balancer) {
		bus := natstest.Start(t)
		gateway := start(t, "gateway", "--nats-url", bus.ClientURL())
		ingest := start(t, "ingest", "--nats-url", bus.ClientURL())
		url := b.start(t, [2]string{gateway.URL, nobody(t)}, [2]string{ingest.URL, nobody(t)})
		page := siotest.Dial(t, url, siotest.Options{})
		page.Register("42")
		if status, body := siotest.Post(t, url, []string{"42"}, "through", "1"); status != 403 || body != "ERROR" {
			t.Errorf("a POST: %d %s", status, body)
		}
		for _, path := range []string{"/emit?id=42&message=through", "/stat/all"} {
			if status, body := siotest.Get(t, url+path); status != 403 || body != "ERROR" {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
		natstest.Await(t, "the log to say so", func() bool {
			return strings.Contains(ingest.Log(), "has a mistake: forwarded") && strings.Contains(ingest.Log(), "--emit-listen, or set --open")
		})
		siotest.MustPost(t, ingest.URL, "42", "beside", "1")
		page.Expect("beside", 1.)
	})
}

// While a gateway drains every new browser finds the other one, and when an
// ingest is gone no POST is refused. The test opens more sockets a second than
// one address may.
func TestBalancerKnowsWhoLeaves(t *testing.T) {
	each(t, func(t *testing.T, b balancer) {
		bus := natstest.Start(t)
		gateways := [2]*siotest.Program{}
		ingests := [2]*siotest.Program{}
		for i := range gateways {
			gateways[i] = start(t, "gateway", "--nats-url", bus.ClientURL(), "--max-handshakes-per-address", "0", "--drain", "2s")
			ingests[i] = start(t, "ingest", "--nats-url", bus.ClientURL(), "--open")
		}
		url := b.start(t, [2]string{gateways[0].URL, gateways[1].URL}, [2]string{ingests[0].URL, ingests[1].URL})
		for _, g := range gateways {
			natstest.Await(t, "both gateways to be found", func() bool {
				siotest.Dial(t, url, siotest.Options{}).Register("early")
				return !strings.Contains(siotest.MustGet(t, g.Admin+"/metrics"), "\ndoit_gateway_sockets 0\n")
			})
		}
		gateways[0].Signal(syscall.SIGTERM)
		refused := 0
		for ended := false; !ended; {
			select {
			case <-gateways[0].Ended():
				ended = true
			default:
			}
			conn, err := siotest.DialSocket(url, "EIO=4&transport=websocket")
			if err != nil {
				refused++
				continue
			}
			conn.Close()
		}
		if refused > 0 && !b.once {
			t.Errorf("%d browsers were refused while a gateway drained", refused)
		}
		page := siotest.Dial(t, url, siotest.Options{})
		page.Register("42")
		if b.once {
			return
		}
		ingests[1].Signal(syscall.SIGKILL)
		<-ingests[1].Ended()
		for i := range 50 {
			siotest.MustPost(t, url, "42", "hello", fmt.Sprint(i))
			page.Next()
		}
	})
}

// An ingest that dies with an emit may have sent it: no other gets it, nor does
// the same again. PHP hears of an error, or nothing (HAProxy, where the
// connection to the ingest had served before).
func TestBalancerEmitsOnce(t *testing.T) {
	each(t, func(t *testing.T, b balancer) {
		bus := natstest.Start(t)
		gateway := start(t, "gateway", "--nats-url", bus.ClientURL(), "--trusted-proxies", "127.0.0.1")
		var came atomic.Int64
		ingests := [2]string{}
		for i := range ingests {
			dying := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.FormValue("message") != "last" {
					return // a connection that has served is what a balancer takes again
				}
				came.Add(1)
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_ = conn.Close()
			}))
			t.Cleanup(dying.Close)
			ingests[i] = dying.URL
		}
		url := b.start(t, [2]string{gateway.URL, nobody(t)}, ingests)
		for range 4 {
			siotest.MustGet(t, url+"/emit?id=42&message=first")
		}
		last := func(method string) {
			t.Helper()
			r, err := http.NewRequestWithContext(t.Context(), method, url+"/emit?id=42&message=last", nil)
			if err != nil {
				t.Fatal(err)
			}
			// Go's client would ask again by itself on a connection that has served.
			resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
			if err != nil {
				return
			}
			_ = resp.Body.Close()
			if resp.StatusCode < 500 {
				t.Errorf("%s: %d", method, resp.StatusCode)
			}
		}
		last(http.MethodGet)
		if n := came.Swap(0); n != 1 {
			t.Errorf("a GET was sent %d times", n)
		}
		natstest.Await(t, "the ingests to be tried again", func() bool { return status(url+"/emit?id=42&message=first") == 200 })
		last(http.MethodPost)
		if n := came.Load(); n != 1 {
			t.Errorf("a POST was sent %d times", n)
		}
	})
}

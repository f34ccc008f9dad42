package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/daemon"
	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// Which listener serves which path, with and without --emit-listen.
func TestListeners(t *testing.T) {
	for _, split := range []bool{false, true} {
		admin := siotest.FreeAddress(t)
		args := []string{"--node", "secret-node"}
		if split {
			args = append(args, "--emit-listen", "127.0.0.1:0")
		}
		out := serveOn(t, admin, args...)
		public, emits := urlIn(t, out, "listens on "), urlIn(t, out, `file_get_contents\('`)
		private := "http://" + admin

		type expected struct {
			url    string
			status int
		}
		table := []expected{
			{public + "/", 200}, {public + "/favicon.ico", 200}, {public + "/healthz", 200}, {public + "/readyz", 200},
			{public + "/socket.io/?EIO=4&transport=polling", 200},
			{emits + "/emit?id=1&message=e", 200}, {emits + "/stat/all", 200}, {emits + "/readyz", 200},
			{private + "/", 200}, {private + "/metrics", 200}, {private + "/healthz", 200}, {private + "/readyz", 200}, {private + "/debug/pprof/", 200},
			{private + "/emit?id=1&message=e", 404}, {private + "/stat/all", 404},
		}
		for _, base := range []string{public, emits} {
			for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/vars", "/v1/", "/nothing"} {
				table = append(table, expected{base + path, 404})
			}
		}
		if split {
			table = append(table, expected{public + "/emit?id=1&message=e", 404}, expected{public + "/emit/", 404}, expected{public + "/stat/all", 404}, expected{emits + "/", 404})
		}
		for _, c := range table {
			status, body := siotest.Get(t, c.url)
			if status != c.status {
				t.Errorf("split %v: %s: %d, want %d", split, c.url, status, c.status)
			}
			if !strings.HasPrefix(c.url, private) && strings.Contains(body, "secret-node") {
				t.Errorf("split %v: %s tells the node's name", split, c.url)
			}
		}
		metrics := func() string { _, body := siotest.Get(t, private+"/metrics"); return body }()
		for _, name := range []string{"doit_ingest_emits_total", "doit_gateway_delivered_total", "doit_gateway_dropped_total", "doit_gateway_sockets", "doit_gateway_users", "go_goroutines"} {
			if !strings.Contains(metrics, name) {
				t.Errorf("no metric %s", name)
			}
		}
	}
}

// The start fails if a port is in use: the error has the flag, which a second program may never have
// been given, and the address. Nothing keeps running (TestMain).
func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	address := taken.Addr().String()
	for _, flag := range []string{"--listen", "--admin-listen", "--emit-listen"} {
		var out bytes.Buffer
		args := []string{"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", flag, address}
		err := run(context.Background(), args, &out, io.Discard)
		if err == nil || errors.Is(err, daemon.ErrUsage) || !strings.HasPrefix(err.Error(), flag+": ") || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "in use") {
			t.Errorf("%s: %v", flag, err)
		}
		if strings.Contains(out.String(), "listens on") {
			t.Errorf("%s: it says that it listens", flag)
		}
	}
}

// What other machines would reach is refused with what they could do there.
func TestPublicAddresses(t *testing.T) {
	ended, end := context.WithCancel(context.Background()) // what is not refused ends at once
	end()
	const emit, register = "may emit to it", "register it"
	for _, c := range []struct {
		args      []string
		says, not string
	}{
		{[]string{"--listen", "0.0.0.0:0"}, "--listen is", "may register"},
		{[]string{"--listen", "0.0.0.0:0"}, emit + ", " + register, "private"},
		{[]string{"--listen", "0.0.0.0:0", "--emit-listen", "127.0.0.1:0"}, "may " + register, "emit to it"},
		{[]string{"--listen", "127.0.0.1:0", "--emit-listen", "0.0.0.0:0"}, "--emit-listen is", register},
		{[]string{"--listen", "127.0.0.1:0", "--admin-listen", "0.0.0.0:0", "--open"}, "DOIT_ADMIN_OPEN=1", register},
		{[]string{"--emit-listen", "127.0.0.1:1337"}, "--emit-listen is \"127.0.0.1:1337\" and --listen is", "other machines"},
		{[]string{"--emit-listen", "127.0.0.1:1336"}, "--emit-listen is \"127.0.0.1:1336\" and --admin-listen is", "other machines"},
		{[]string{"--emit-listen", "1335"}, "--emit-listen is \"1335\": it must be HOST:PORT", "other machines"},
	} {
		err := run(ended, c.args, io.Discard, io.Discard)
		if !errors.Is(err, daemon.ErrUsage) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), c.not) {
			t.Errorf("%v: %v", c.args, err)
		}
	}
}

// The private listener is off if its address is empty. The public one is as ever.
func TestNoPrivateListener(t *testing.T) {
	out := serveOn(t, "")
	if status, body := siotest.Get(t, urlIn(t, out, "listens on ")+"/readyz"); status != 200 || body != "ready\n" {
		t.Errorf("%d %q", status, body)
	}
}

// startTime bounds the start, which takes some 50 ms on an idle machine.
const startTime = 3 * time.Second

// The program ends within a bounded time while sockets of both kinds are open. It closes them with
// a message, and its ports are free afterwards.
func TestEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	address := siotest.FreeAddress(t)
	out, ended := &siotest.Output{}, make(chan error, 1)
	began := time.Now()
	go func() {
		ended <- run(ctx, []string{"--listen", address, "--admin-listen", "127.0.0.1:0", "--drain", "500ms"}, out, io.Discard)
	}()
	natstest.Await(t, "start", func() bool { return strings.Contains(out.String(), "try it") })
	if took := time.Since(began); took > startTime {
		t.Errorf("took %v to start", took)
	}
	var pages []*siotest.Client
	for i := range 20 {
		page := siotest.Dial(t, "http://"+address, siotest.Options{Polling: i%2 == 0, EIO: 3 + i/2%2})
		page.Register("42")
		pages = append(pages, page)
	}

	cancel()
	began = time.Now()
	for _, page := range pages {
		_ = page.AwaitClose()
	}
	http.DefaultClient.CloseIdleConnections()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(2 * siotest.Patience):
		t.Fatal("it does not end")
	}
	if took := time.Since(began); took > siotest.Patience {
		t.Errorf("took %v to end", took)
	}
	again, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}

// Without --open the private listener of emits, too, takes nothing that was forwarded or that another site's page has
// sent. With --open it takes both.
func TestStrangersAtTheEmitListener(t *testing.T) {
	for _, open := range []bool{false, true} {
		args := []string{"--emit-listen", "127.0.0.1:0"}
		if open {
			args = append(args, "--open")
		}
		url := urlIn(t, serve(t, args...), `file_get_contents\('`) + "/emit?id=1&message=e"
		for name, value := range map[string]string{"X-Forwarded-For": "192.0.2.1", "Origin": "https://evil.example", "Accept": "*/*"} {
			r, err := http.NewRequest(http.MethodGet, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set(name, value)
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if want := map[bool]int{true: 200, false: 403}[open || name == "Accept"]; resp.StatusCode != want {
				t.Errorf("open %v, %s: %d, want %d", open, name, resp.StatusCode, want)
			}
		}
	}
}

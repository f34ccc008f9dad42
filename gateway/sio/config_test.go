package sio

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/ramainen/doit-socket/gateway/eio"
	"github.com/ramainen/doit-socket/internal/daemon"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// parse reads flags as the programs do.
func parse(args ...string) (Config, error) {
	var cfg struct {
		daemon.Config `embed:""`
		Gateway       Config `embed:""`
	}
	err := daemon.Parse(&cfg, "test", "", daemon.Defaults{Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0"}, args, io.Discard)
	return cfg.Gateway, err
}

func TestDefaultConfig(t *testing.T) {
	cfg, err := parse()
	if want := DefaultConfig(); err != nil || !reflect.DeepEqual(cfg, want) {
		t.Errorf("the flags' defaults are %+v, want %+v, %v", cfg, want, err)
	}
}

// What cannot work is refused at the start, by its name and with what could.
func TestBadValues(t *testing.T) {
	for _, flag := range []string{
		"--ping-interval=0", "--ping-interval=-1s", "--ping-interval=2h", "--ping-timeout=0s", "--ping-timeout=1ms",
		"--write-timeout=0s", "--write-timeout=-10s", "--connect-timeout=0s", "--connect-timeout=25h", "--settle=-1ms", "--settle=1m",
		"--max-payload=0", "--max-payload=-1", "--max-payload=1000000000000", "--queue-length=0", "--queue-length=-1", "--queue-bytes=0", "--queue-bytes=100",
		"--max-sockets=-1", "--max-sockets-per-address=-1", "--max-handshakes-per-address=-1", "--max-frames=-1", "--max-frames=2000000000",
		"--max-frames=x", "--origins=shop.example", "--origins=https://a.example,b.example", "--origins=https://a.example/",
		"--trusted-proxies=proxy.example", "--trusted-proxies=10.0.0.1,10.0.0.0/99",
	} {
		name, value, _ := strings.Cut(flag, "=")
		refused := func(t *testing.T, err error) {
			t.Helper()
			if !errors.Is(err, daemon.ErrUsage) || !strings.Contains(err.Error(), name) {
				t.Errorf("%v", err)
			}
		}
		t.Run(flag, func(t *testing.T) {
			_, err := parse(flag)
			refused(t, err)
			t.Setenv("DOIT_"+strings.ToUpper(strings.ReplaceAll(name[2:], "-", "_")), value)
			_, err = parse()
			refused(t, err)
		})
	}
}

func TestLists(t *testing.T) {
	cfg, err := parse("--origins", "https://a.example, https://*.b.example:8443", "--origins", "null", "--trusted-proxies", "127.0.0.1,::1, 10.0.0.0/8")
	if err != nil || len(cfg.Origins) != 3 || len(cfg.TrustedProxies) != 3 {
		t.Errorf("%+v, %v", cfg, err)
	}
	t.Setenv("DOIT_ORIGINS", "") // as a compose file passes on what is not set
	t.Setenv("DOIT_TRUSTED_PROXIES", "")
	if cfg, err := parse(); err != nil || len(cfg.Origins)+len(cfg.TrustedProxies) != 0 {
		t.Errorf("%+v, %v", cfg, err)
	}
}

// Who is turned away is counted, and all that can be is known from the start.
func TestRefusedIsCounted(t *testing.T) {
	b := start(t, func(c *Config) { c.MaxSockets = 1 })
	refused := func() map[string]float64 {
		families, err := b.counted.Gather()
		if err != nil {
			t.Fatal(err)
		}
		counts := make(map[string]float64)
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				if family.GetName() == "doit_gateway_refused_total" {
					counts[metric.GetLabel()[0].GetValue()] = metric.GetCounter().GetValue()
				}
			}
		}
		return counts
	}
	want := map[string]float64{"origin": 0, "draining": 0, "max sockets": 0, "address sockets": 0, "address handshakes": 0}
	if got := refused(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	page := b.join(4)
	for range 3 {
		if _, err := siotest.DialSocket(b.url, "EIO=4&transport=websocket"); err == nil {
			t.Error("let in")
		}
	}
	want["max sockets"] = 3
	if got := refused(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	page.wantAlive()
}

// A page that sends without end is closed, and its neighbour hears.
func TestTooManyFrames(t *testing.T) {
	b := start(t, func(c *Config) { c.MaxFrames = 10 })
	neighbour := b.join(4)
	neighbour.register("42")
	for _, polling := range [][]bool{nil, {true}} {
		p := b.join(4, polling...)
		p.register("42")
		go func() {
			for p.transport.Send(`42["other"]`) == nil {
			}
		}()
		for got := p.next(); got != "" && got != "1"; {
			got = p.next()
		}
	}
	b.wantClosed(eio.ReasonFrames, 2)
	if n := b.emit("42", "alert"); n != 1 {
		t.Errorf("%d sockets took it", n)
	}
	neighbour.want(`42["alert"]`)
}

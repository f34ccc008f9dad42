package node

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/ramainen/doit-socket/internal/daemon"
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

// An invalid setting is refused at the start. The error names the flag and the valid values.
func TestBadValues(t *testing.T) {
	for _, flag := range []string{
		"--ping-interval=0", "--ping-interval=-1s", "--ping-interval=2h", "--ping-timeout=0s", "--ping-timeout=1ms",
		"--write-timeout=0s", "--write-timeout=-10s", "--connect-timeout=0s", "--connect-timeout=25h", "--settle=-1ms", "--settle=1m",
		"--max-payload=0", "--max-payload=-1", "--max-payload=1000000000000", "--queue-length=0", "--queue-length=-1", "--queue-bytes=0", "--queue-bytes=100",
		"--max-new-ids=-1", "--max-new-ids-per-address=2000000", "--max-sockets=-1", "--max-sockets-per-address=-1", "--max-handshakes-per-address=-1", "--max-frames=-1", "--max-frames=2000000000",
		"--max-frames=x", "--origins=shop.example", "--origins=https://a.example,b.example", "--origins=https://a.example/", "--origins=https://", "--path-prefix=push", "--path-prefix=/emit",
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
	cfg, err := parse("--origins", "https://a.example, https://*.b.example:8443", "--origins", "null", "--origins", "file://", "--trusted-proxies", "127.0.0.1,::1, 10.0.0.0/8")
	if err != nil || len(cfg.Origins) != 4 || len(cfg.TrustedProxies) != 3 {
		t.Errorf("%+v, %v", cfg, err)
	}
	t.Setenv("DOIT_ORIGINS", "") // a compose file passes an unset variable as an empty one
	t.Setenv("DOIT_TRUSTED_PROXIES", "")
	if cfg, err := parse(); err != nil || len(cfg.Origins)+len(cfg.TrustedProxies) != 0 {
		t.Errorf("%+v, %v", cfg, err)
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for flag, change := range map[string]func(*Config){
		"--max-ids is 0":                func(c *Config) { c.SocketIO.MaxIDs = 0 },
		`--gap-event is "disconnect"`:   func(c *Config) { c.GapEvent = "disconnect" },
		`--gap-event is "` + long + `"`: func(c *Config) { c.GapEvent = long },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), flag+": it must be at ") {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

var long = strings.Repeat("x", 101)

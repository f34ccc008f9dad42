package daemon

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestBadValuesAreUsage(t *testing.T) {
	type busConfig struct {
		Config    `embed:""`
		BusConfig `embed:""`
	}
	for _, args := range [][]string{
		{"--listen", "1337"}, {"--listen", ""},
		{"--node", ""}, {"--node", "a b"}, {"--node", "a\nb"},
		{"--log-level", "loud"}, {"--open=maybe"}, {"extra"},
		{"--nats-url", ""}, {"--nats-url", " , "},
	} {
		var cfg busConfig
		args = append([]string{"--nats-url", "nats://127.0.0.1:1"}, args...)
		err := Parse(&cfg, "test", "", Defaults{Listen: "127.0.0.1:1", AdminListen: "127.0.0.1:2"}, args, &bytes.Buffer{})
		if !errors.Is(err, ErrUsage) || strings.Contains(err.Error(), "DOIT_OPEN") {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// The variable DOIT_VERSION does not set --version: files of variables often use
// it for the tag of the image.
func TestVersionHasNoVariable(t *testing.T) {
	for _, value := range []string{"1.2.3", "1", "true"} {
		t.Setenv("DOIT_VERSION", value)
		if _, err := parse(t); err != nil {
			t.Errorf("DOIT_VERSION=%s: %v", value, err)
		}
	}
	var out bytes.Buffer
	for _, flag := range []string{"--version", "-v"} {
		out.Reset()
		err := Parse(&Config{}, "test", "", Defaults{}, []string{flag}, &out)
		if !errors.Is(err, ErrDone) || out.String() != "test "+Version()+"\n" {
			t.Errorf("%s: %q, %v", flag, &out, err)
		}
	}
}

// A duration or a number that is none is refused with an example of one.
func TestBadDurationsAndNumbers(t *testing.T) {
	for want, args := range map[string][]string{
		`--wait: "10" must be`:            {"--wait", "10"},
		`--wait: "" must be`:              {"--wait="},
		`--max-connections: "1k" must be`: {"--max-connections", "1k"},
		`--max-memory: "2GiB" must be`:    {"--max-memory", "2GiB"},
	} {
		var cfg struct {
			Config `embed:""`
			Wait   time.Duration
		}
		err := Parse(&cfg, "test", "", Defaults{Listen: "127.0.0.1:1", AdminListen: "127.0.0.1:2"}, args, io.Discard)
		says(t, err, want, "such as")
	}
	for _, flag := range []string{"--listen", "--max-connections"} {
		_, err := parse(t, flag)
		says(t, err, flag+" needs a value")
	}
	t.Setenv("DOIT_MAX_CONNECTIONS", "many")
	_, err := parse(t)
	says(t, err, "--max-connections", `DOIT_MAX_CONNECTIONS="many"`)
	t.Setenv("DOIT_MAX_CONNECTIONS", "100_000")
	if cfg, err := parse(t, "--max-memory", "1073741824"); err != nil || cfg.Connections.MaxConnections != 100_000 || cfg.MaxMemory != 1<<30 {
		t.Errorf("%+v, %v", cfg, err)
	}
}

// --help and --version answer also if other flags are missing or wrong.
func TestHelpAlwaysHelps(t *testing.T) {
	t.Setenv("PORT", "80")
	for _, flag := range []string{"--help", "-h", "--version", "-v"} {
		var cfg struct {
			Config    `embed:""`
			BusConfig `embed:""`
		}
		var out bytes.Buffer
		if err := Parse(&cfg, "test", "", Defaults{}, []string{flag}, &out); !errors.Is(err, ErrDone) || out.Len() == 0 {
			t.Errorf("%s: %q, %v", flag, &out, err)
		}
	}
}

// --listen takes precedence over DOIT_LISTEN, and that over PORT.
func TestPort(t *testing.T) {
	t.Setenv("PORT", "8080")
	t.Setenv("DOIT_OPEN", "true")
	if cfg, err := parse(t); err != nil || cfg.Listen != ":8080" {
		t.Errorf("PORT: %q, %v", cfg.Listen, err)
	}
	t.Setenv("DOIT_OPEN", "0")
	t.Setenv("DOIT_LISTEN", "127.0.0.1:81")
	if cfg, err := parse(t); err != nil || cfg.Listen != "127.0.0.1:81" {
		t.Errorf("DOIT_LISTEN: %q, %v", cfg.Listen, err)
	}
	if cfg, err := parse(t, "--listen", "127.0.0.1:82"); err != nil || cfg.Listen != "127.0.0.1:82" {
		t.Errorf("--listen: %q, %v", cfg.Listen, err)
	}
}

package daemon

import (
	"errors"
	"strings"
	"testing"
)

// A misspelled variable is refused with the name that is meant, also where
// another error follows from it. One of another program, of PHP or of the
// image's tag is ignored. Others are told of once, without their values.
func TestVariablesThatNobodyReads(t *testing.T) {
	for name, meant := range map[string]string{
		"DOIT_LISTN": "DOIT_LISTEN", "DOIT_LISTENER": "DOIT_LISTEN", "DOIT_OPNE": "DOIT_OPEN", "DOIT__LISTEN": "DOIT_LISTEN",
		"DOIT_ORIGIN": "DOIT_ORIGINS", "DOIT_TRUSTED_PROXY": "", "DOIT_MAX_SOCKET": "DOIT_MAX_SOCKETS", "DOIT_NATS_ULR": "DOIT_NATS_URL",
		"DOIT_DRAINS": "DOIT_DRAIN", "DOIT_EMIT_LISTENS": "DOIT_EMIT_LISTEN",
		// Kubernetes makes these.
		"DOIT_SOCKET_PORT": "", "DOIT_SOCKET_PORT_1337_TCP_ADDR": "", "DOIT_SOCKET_SERVICE_HOST": "", "DOIT_SOCKET_SERVICE_PORT_HTTP": "",
		"DOIT_NATS_PORT": "", "DOIT_PORT": "",
		"DOIT_": "", "DOIT_WHATEVER": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "tcp://secret-value:1337")
			cfg, err := parse(t)
			if meant != "" {
				says(t, err, name, meant, "rename")
				_, err = parse(t, "--log-level", "loud")
				says(t, err, name, meant)
				if strings.Contains(err.Error(), "secret-value") {
					t.Errorf("the value is shown: %v", err)
				}
				if _, err := parse(t, "--help"); !errors.Is(err, ErrDone) {
					t.Errorf("--help: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			NewProcess(cfg, &log)
			if got := log.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, name) || strings.Contains(got, "secret-value") {
				t.Errorf("logged %q", got)
			}
		})
	}
	for _, name := range []string{"DOIT_EMIT_LISTEN", "DOIT_NATS_URL", "DOIT_MAX_IDS", "DOIT_VERSION", "DOIT_URL", "DOIT", "SOCKET_IO_SERVER", "XDOIT_LISTN"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "x")
			cfg, err := parse(t)
			var log strings.Builder
			NewProcess(cfg, &log)
			if err != nil || log.Len() > 0 {
				t.Errorf("%v, logged %q", err, &log)
			}
		})
	}
}

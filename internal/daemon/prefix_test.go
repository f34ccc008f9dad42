package daemon

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestPathPrefix(t *testing.T) {
	parse := func(prefix string) (Config, error) {
		var cfg struct {
			Config `embed:""`
		}
		err := Parse(&cfg, "test", "", Defaults{Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0"}, []string{"--path-prefix=" + prefix}, io.Discard)
		return cfg.Config, err
	}
	for _, prefix := range []string{"", "/push", "/apps/push", "/a.b_c~d-e/0", "/emits", "/push/emit", "/..."} {
		if cfg, err := parse(prefix); err != nil || cfg.PathPrefix != prefix {
			t.Errorf("%q: %q, %v", prefix, cfg.PathPrefix, err)
		}
	}
	for _, prefix := range []string{
		"push", "/", "/push/", "//push", "/push//a", "/push a", "/%70ush", "/пуш", "/push?x", "/push;x", "/.", "/push/..", "/../push",
		"/emit", "/socket.io", "/socket.io/x", "/stat", "/healthz", "/readyz", "/favicon.ico", "/v1", "/" + strings.Repeat("x", 200),
	} {
		_, err := parse(prefix)
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "--path-prefix") || !strings.Contains(err.Error(), "such as /push") {
			t.Errorf("%q: %v", prefix, err)
		}
	}
}

package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ramainen/doit-socket/internal/daemon"
)

// Invalid settings of the parts are refused before anything starts.
func TestBadUsage(t *testing.T) {
	for _, flag := range []string{"--ping-interval=0s", "--queue-length=0", "--connect-timeout=0s", "--settle=-1s", "--max-frames=-1", "--origins=shop.example", "--trusted-proxies=x", "--nats-url=", "--listen=:0"} {
		err := run(context.Background(), []string{"--nats-url", "nats://127.0.0.1:1", flag}, io.Discard, io.Discard)
		if name, _, _ := strings.Cut(flag, "="); !errors.Is(err, daemon.ErrUsage) || flag != "--listen=:0" && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

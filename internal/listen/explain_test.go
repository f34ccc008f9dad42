package listen

import (
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// A listener that cannot listen says by which flag it was told to, and what to do.
func TestListenErrors(t *testing.T) {
	ls := New(Config{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	taken := newServer(t, nothing)
	for name, flag := range map[string]string{Public: "--listen", Emits: "--emit-listen"} {
		_, err := ls.Listen(name, taken.Addr())
		told(t, err, flag, "DOIT_", taken.Addr(), "in use", "a second doit-socket")
		_, err = ls.Listen(name, "192.0.2.1:0") // of documents (RFC 5737): no machine has it
		told(t, err, flag, "192.0.2.1", "does not have the address", "0.0.0.0")
	}
	_, err := ls.Listen(Private, taken.Addr())
	told(t, err, "--admin-listen", "DOIT_ADMIN_LISTEN", "a second doit-socket", "''")

	// As the kernel answers a user who listens on port 80.
	denied := &net.OpError{Op: "listen", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, Err: os.NewSyscallError("bind", syscall.EACCES)}
	told(t, Explain("--listen", denied), "--listen", "127.0.0.1:80", "permission denied", "setcap cap_net_bind_service=+ep "+os.Args[0], "AmbientCapabilities=CAP_NET_BIND_SERVICE", "web server")
}

func told(t *testing.T, err error, all ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", all)
		return
	}
	for _, part := range all {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
}

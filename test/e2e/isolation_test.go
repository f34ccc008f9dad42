package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// An id that NATS would take for a wildcard, or for part of another subject,
// hears only what is sent to that very id.
func TestIDsAreNoPatterns(t *testing.T) {
	server := start(t, "embedded")
	ids := []string{"*", ">", "a.*", "a.b", "a", "user.a", "=Kg", "a b", "вася", "$SYS.>", "_INBOX.>"}
	clients := make(map[string]*siotest.Client)
	for _, id := range ids {
		clients[id] = siotest.Dial(t, server.URL, siotest.Options{})
		clients[id].Register(id)
	}
	for i, id := range ids {
		siotest.MustPost(t, server.URL, id, "only", fmt.Sprint(i))
	}
	for i, id := range ids {
		siotest.MustPost(t, server.URL, id, "fence", "1")
		heard := clients[id].Until("fence")
		if len(heard) != 1 || heard[0].Args[0] != float64(i) {
			t.Errorf("%q heard %v", id, heard)
		}
	}
}

// Nothing but the two listeners is open, and nothing else is reachable.
func TestEmbeddedOpensTwoPorts(t *testing.T) {
	server := start(t, "embedded")
	out, err := exec.Command("ss", "-Hltnp").Output()
	if err != nil {
		t.Fatalf("ss: %v", err)
	}
	var ours []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, fmt.Sprintf("pid=%d,", server.Pid())) {
			ours = append(ours, line)
			if !strings.Contains(line, "127.0.0.1:") {
				t.Errorf("not on loopback: %s", line)
			}
		}
	}
	if len(ours) != 2 {
		t.Errorf("%d ports are open:\n%s", len(ours), strings.Join(ours, ""))
	}
}

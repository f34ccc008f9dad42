//go:build programs

package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

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

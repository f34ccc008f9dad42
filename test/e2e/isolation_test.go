package e2e

import (
	"fmt"
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

package box

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/ramainen/doit-socket/internal/listen"
)

// serverOn returns a server that listens, and serves nothing.
func serverOn(t *testing.T, address string) (s *listen.Server, port string) {
	t.Helper()
	s, err := listen.Bind(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s, s.Addr()[strings.LastIndex(s.Addr(), ":"):]
}

// The greeting has no address that works on this machine alone, if others reach the program, and no
// id that can be guessed. A page registers at each connect.
func TestGreeting(t *testing.T) {
	local, localPort := serverOn(t, "127.0.0.1:0")
	every, everyPort := serverOn(t, ":0")
	for _, c := range []struct {
		public, emits *listen.Server
		has           []string
		hasNot        string
	}{
		{local, local, []string{"listens on http://127.0.0.1" + localPort + "\n", "io('http://127.0.0.1" + localPort + "')", "file_get_contents('http://127.0.0.1" + localPort + "/emit'"}, yourServer},
		{every, every, []string{"listens on http://0.0.0.0" + everyPort + " (every", yourServer + " below is", "io('http://" + yourServer + everyPort + "')",
			"file_get_contents('http://" + yourServer + everyPort + "/emit'", "try it        http://" + yourServer + everyPort}, "127.0.0.1"},
		{every, local, []string{"io('http://" + yourServer + everyPort + "')", "file_get_contents('http://127.0.0.1" + localPort + "/emit'"}, "http://127.0.0.1" + everyPort},
	} {
		var out bytes.Buffer
		greet(&out, c.public, c.emits)
		for _, part := range append(c.has, "socket.on('connect', function () { socket.emit('register'", "random_bytes", http.MethodPost) {
			if !strings.Contains(out.String(), part) {
				t.Errorf("%q is not in\n%s", part, &out)
			}
		}
		if strings.Contains(out.String(), c.hasNot) || strings.Contains(out.String(), "42") && !strings.Contains(localPort+everyPort, "42") {
			t.Errorf("%q, or an id that can be guessed, is in\n%s", c.hasNot, &out)
		}
	}
}

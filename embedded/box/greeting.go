package box

import (
	"fmt"
	"io"

	"github.com/ramainen/doit-socket/clients/browser"
	"github.com/ramainen/doit-socket/internal/listen"
)

// yourServer stands in the greeting for a name that this program does not know.
const yourServer = "YOUR-SERVER"

// greet prints where public listens, and the code to paste into a page and into PHP. emits is the
// server that has /emit; it may be public.
func greet(w io.Writer, public, emits *listen.Server) {
	fmt.Fprintf(w, "doit-socket listens on %s", public.Where())
	page, every := public.URLFor(yourServer)
	if every {
		fmt.Fprintf(w, " (every address of this machine)\n\n"+
			"  %s below is the name or the address of this machine, as browsers and PHP reach it.\n"+
			"  If they reach it through a proxy, write the address of that: https://push.example.com\n", yourServer)
	} else {
		fmt.Fprintln(w)
	}
	php, _ := emits.URLFor(yourServer)
	fmt.Fprintf(w, greeting, page, php)
	if !browser.Embedded() {
		fmt.Fprintf(w, "\n%s", browser.NotEmbedded)
	}
}

// greeting has the addresses for pages and for PHP.
const greeting = `
  a user's id   session_start();
  (PHP)         $userid = $_SESSION['push'] ??= bin2hex(random_bytes(16)); // a secret: anyone who knows it may emit to it and hear its events

  in the page   <script src="%[1]s/socket.io/socket.io.js"></script>
                <script>
                  var socket = io('%[1]s');
                  socket.on('connect', function () { socket.emit('register', {userid: '<?= $userid ?>'}); });
                  socket.on('hello', function (data) { alert(data.text); });
                </script>

  in PHP        echo file_get_contents('%[2]s/emit', false, stream_context_create(['http' => [
                  'method' => 'POST', 'header' => 'Content-Type: application/x-www-form-urlencoded',
                  'content' => http_build_query(['id' => $userid, 'message' => 'hello', 'data' => json_encode(['text' => 'Hi'])]),
                ]]));

  try it        %[1]s/
`

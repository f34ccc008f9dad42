//go:build programs

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ramainen/doit-socket/internal/siotest"
)

const inDocuments = "http://127.0.0.1:1337"

// php runs a file of a folder as a user does, and returns what it prints.
func php(t *testing.T, dir, file string) string {
	t.Helper()
	cmd := exec.Command("php", "-d", "display_errors=stderr", file)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("php %s: %v\n%s", file, err, out)
	}
	return string(out)
}

var userid = regexp.MustCompile(`userid: '([0-9a-f]{64})'`)

// readme writes the three files that README shows into a folder, for a server at another address. It returns the id
// that page.php prints into the page.
func readme(t *testing.T, name, url string) (dir, id string) {
	t.Helper()
	d := read(t, name)
	dir = t.TempDir()
	for _, file := range []string{"push.php", "page.php", "send.php"} {
		save(t, strings.ReplaceAll(d.with("// "+file), inDocuments, url), dir, file)
	}
	page := php(t, dir, "page.php")
	found := userid.FindStringSubmatch(page)
	if found == nil || !strings.Contains(page, `src="`+url+`/socket.io/socket.io.js"`) {
		t.Fatalf("page.php prints\n%s", page)
	}
	return dir, found[1]
}

// What README shows works as it is: its PHP emits, and the page with the id that its PHP makes hears it.
func TestReadme(t *testing.T) {
	for name, text := range map[string]string{"README.md": "Hi", "README.ru.md": "Привет"} {
		t.Run(name, func(t *testing.T) {
			server := start(t, "embedded")
			dir, id := readme(t, name, server.URL)
			if got := php(t, dir, "send.php"); got != "ERROR" {
				t.Errorf("without a page: %q", got)
			}
			page := siotest.Dial(t, server.URL, siotest.Options{})
			page.Register(id)
			if got := php(t, dir, "send.php"); got != "OK" {
				t.Errorf("with a page: %q", got)
			}
			page.Expect("hello", map[string]any{"text": text})

			// An answer that is not 200 is its body, too, and no warning.
			push := strings.ReplaceAll(read(t, name).with("// push.php"), inDocuments, server.URL)
			save(t, exchange(t, push, "'id' => push_id($user)", "'id' => array_fill(0, 17, 'x')"), dir, "push.php")
			if got := php(t, dir, "send.php"); got != "ERROR" {
				t.Errorf("with a receiver too often: %q", got)
			}
		})
	}
}

// The examples of docs/examples.md, beside the push.php of README, do what they say.
func TestExamples(t *testing.T) {
	server := start(t, "embedded")
	dir, id := readme(t, "README.md", server.URL)
	d := read(t, "docs/examples.md")
	page := siotest.Dial(t, server.URL, siotest.Options{})
	page.Register(id)

	save(t, strings.ReplaceAll(d.with("// curl.php"), inDocuments, server.URL), dir, "curl.php")
	if got := php(t, dir, "curl.php"); got != "bool(true)\n" {
		t.Errorf("curl.php prints %q", got)
	}
	page.Expect("hello", map[string]any{"text": "Hi"})

	command := exchange(t, d.with("curl -H"), inDocuments, server.URL, "USERID", id)
	if out, err := exec.Command("sh", "-c", command).Output(); err != nil || string(out) != "OK" {
		t.Errorf("%s\nprints %q, %v", command, out, err)
	}
	page.Expect("hello", map[string]any{"text": "Hi"})

	// What Laravel's Http::post sends of its array.
	array := regexp.MustCompile(`(?s)/emit', (\[.*?\n\])\);`).FindStringSubmatch(d.with("Http::timeout"))
	code := `<?php require 'push.php'; $user = (object) ['id' => 42];
echo file_get_contents('` + server.URL + `/emit', false, stream_context_create(['http' => [
	'method' => 'POST', 'header' => "Content-Type: application/json\r\nAccept: */*", 'content' => json_encode(` + array[1] + `)]]));`
	save(t, code, dir, "laravel.php")
	if got := php(t, dir, "laravel.php"); got != "OK" {
		t.Errorf("Laravel is answered %q", got)
	}
	page.Expect("hello", map[string]any{"text": "Hi"})
}

// A site with the CMS of 2014 moves as docs/moving.md says: its address and its script are found and replaced, its PHP
// and its pages stay as they are, and use one address with TLS.
func TestMoving(t *testing.T) {
	for _, name := range []string{"docs/moving.md", "docs/moving.ru.md"} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			d := read(t, name)
			b := webServers["nginx"].elsewhere(t, read(t, "docs/one-box.md"), "127.0.0.1")

			site := t.TempDir()
			save(t, "<?php define('SOCKET_IO_SERVER', 'http://old.example');\n", site, "config.php")
			save(t, "{{socketIO#init 'http://old.example'}}\n", site, "app", "main.html")
			save(t, "<?php d()->SocketIO->url = 'http://old.example';\n", site, "app", "order.php")
			save(t, "<script>var socket = io('http://cloud.doit-cms.ru');</script>\n", site, "app", "cart.html")
			save(t, "<?php define('SOCKET_IO_SERVER', 'http://cloud.doit-cms.ru');\n", site, "cms", "class.php")
			save(t, "of 2014\n", site, "cms", "external", "socket.io.js")
			find := exec.Command("sh", "-c", d.with("grep -rnE"))
			find.Dir = site
			found, err := find.Output()
			for _, file := range []string{"config.php:1:", "app/main.html:1:", "app/order.php:1:", "app/cart.html:1:"} {
				if err != nil || !strings.Contains(string(found), file) {
					t.Errorf("%s is not found: %v\n%s", file, err, found)
				}
			}

			if strings.Contains(string(found), "cms/") {
				t.Errorf("the CMS itself is found, which nobody has to change:\n%s", found)
			}

			save(t, "cacert = \""+b.authority+"\"\nlocation\nconnect-to = \"push.example.com:443:"+b.secure+"\"\n", b.dir, ".curlrc")
			replace := exec.Command("sh", "-ec", d.with("curl -fsS -o"))
			replace.Dir, replace.Env = site, append(os.Environ(), "CURL_HOME="+b.dir, "HOME="+b.dir)
			if out, err := replace.CombinedOutput(); err != nil {
				t.Fatalf("the program has no script inside, which make test puts there (clients/browser/fetch.sh): %v\n%s", err, out)
			}
			script, err := os.ReadFile(filepath.Join(site, "cms", "external", "socket.io.js"))
			if err != nil || !strings.Contains(string(script), "doit-socket") {
				t.Errorf("the new script is %.200q, %v", script, err)
			}

			// The class of the CMS, and a page with its script of 2014.
			page := b.page("push.example.com", "visitor", siotest.Options{EIO: 2, Polling: true})
			emit := exec.Command("php", "-d", "display_errors=stderr", "-d", "curl.cainfo="+b.authority,
				"../e2e/testdata/old-class.php", "https://"+b.secure, "emit", "visitor", "server_event", `{"user":[1,2,3]}`)
			if out, err := emit.CombinedOutput(); err != nil || string(out) != "OK" {
				t.Fatalf("the class is answered %q, %v", out, err)
			}
			b.hears(page, `["server_event",{"user":[1,2,3]}]`)

			command := exchange(t, d.with("--data-urlencode"), "USERID", "visitor")
			try := exec.Command("sh", "-c", command)
			try.Env = append(os.Environ(), "CURL_HOME="+b.dir, "HOME="+b.dir)
			if out, err := try.Output(); err != nil || string(out) != "OK" {
				t.Errorf("%s\nprints %q, %v", command, out, err)
			}
		})
	}
}

//go:build programs

package deploy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// A box is what docs/one-box.md makes: the program with the document's settings, behind a web server with the
// document's configuration.
type box struct {
	*testing.T
	front
	program *siotest.Program
	emits   string // the URL of --emit-listen
	roots   *x509.CertPool
}

// box starts one, with settings besides those of the document's first block, each as "NAME=value". configure makes
// the web server's file of the document. ready is an address of the box that answers 200 once all runs.
func (w webServer) box(t *testing.T, d document, ready string, configure func() string, settings ...string) *box {
	t.Helper()
	b := &box{T: t, front: front{dir: t.TempDir(), secure: siotest.FreeAddress(t), plain: siotest.FreeAddress(t)}, roots: x509.NewCertPool()}
	b.authority = filepath.Join(b.dir, "caddy/pki/authorities/local/root.crt") // where Caddy writes its own
	emits := siotest.FreeAddress(t)
	b.emits = "http://" + emits
	set := exchange(t, d.with("# /etc/doit-socket.env", "DOIT_LISTEN"), "127.0.0.1:1335", emits) + strings.Join(settings, "\n")
	for line := range strings.Lines(set) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			t.Setenv(name, value) // DOIT_LISTEN is overridden by a flag
		}
	}
	b.program = start(t, "embedded")
	config := exchange(t, configure(), "127.0.0.1:1337", strings.TrimPrefix(b.program.URL, "http://"))
	config = strings.ReplaceAll(config, "127.0.0.1:1335", emits)
	serve(t, w.start(t, d, b.front, config))
	natstest.Await(t, "the web server", func() bool {
		root, err := os.ReadFile(b.authority)
		return err == nil && b.roots.AppendCertsFromPEM(root) && b.status("127.0.0.1", http.MethodGet, ready, nil) == http.StatusOK
	})
	return b
}

// subdomain is the document's file for push.example.com.
func (w webServer) subdomain(d document) func() string {
	return func() string { return d.with(w.push) }
}

// dial connects to the web server from an address of this machine, with the certificate of host.
func (b *box) dial(from, host string) (net.Conn, error) {
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: siotest.Patience},
		Config:    &tls.Config{RootCAs: b.roots, ServerName: host},
	}
	return dialer.DialContext(b.Context(), "tcp", b.secure)
}

// page connects to https://host, joins, and registers an id.
func (b *box) page(host, id string, o siotest.Options) *siotest.Page {
	b.Helper()
	conn, err := b.dial("127.0.0.1", host)
	if err != nil {
		b.Fatal(err)
	}
	page := &siotest.Page{Conn: siotest.NewConn(conn, host, o)}
	b.Cleanup(page.Close)
	for _, step := range []func() error{func() error { return page.Open() }, page.Join, func() error { return page.Register(id) }} {
		if err := step(); err != nil {
			b.Fatalf("%v at %s%s: %v", o, host, o.Path, err)
		}
	}
	return page
}

// hears takes the next event of a page, and checks that it is this one.
func (b *box) hears(page *siotest.Page, want string) {
	b.Helper()
	if got, err := page.Hear(time.Now().Add(siotest.Patience)); err != nil || got != want {
		b.Errorf("heard %s, %v, want %s", got, err, want)
	}
}

// status asks the web server from an address of this machine, and returns the status, 0 if there is no answer.
func (b *box) status(from, method, address string, form url.Values, headers ...string) int {
	status, _ := b.answer(from, method, address, form, headers...)
	return status
}

func (b *box) answer(from, method, address string, form url.Values, headers ...string) (status int, body string) {
	r, err := http.NewRequestWithContext(b.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := (&http.Transport{DisableKeepAlives: true, DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
		return b.dial(from, r.URL.Hostname())
	}}).RoundTrip(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// connects checks that pages of each generation and transport connect to https://host, hear what PHP emits on its own
// port, and that nobody emits through the web server.
func (b *box) connects(host, prefix string) {
	b.Helper()
	for i, o := range []siotest.Options{{}, {EIO: 3}, {Polling: true}, {EIO: 3, Polling: true}, {EIO: 2, Polling: true}} {
		o.Path = prefix + "/socket.io/"
		id := fmt.Sprint("page-", i)
		page := b.page(host, id, o)
		siotest.MustPost(b, b.emits, id, "hello", `{"text":"Hi"}`)
		b.hears(page, `["hello",{"text":"Hi"}]`)
		for _, path := range []string{"/emit", "/%65mit", "/emit/", "//emit", "/x/../emit", "/stat/all"} {
			if status, body := b.answer("127.0.0.1", http.MethodPost, "https://"+host+prefix+path, url.Values{"id": {id}, "message": {"forged"}}); status < 400 {
				b.Errorf("%s%s: %d %.100s", prefix, path, status, body)
			}
			if status, body := b.answer("127.0.0.1", http.MethodGet, "https://"+host+prefix+path+"?id="+id+"&message=forged", nil); body == "OK" {
				b.Errorf("GET %s%s: %d %s", prefix, path, status, body)
			}
		}
		siotest.MustPost(b, b.emits, id, "fence", `1`)
		b.hears(page, `["fence",1]`)
	}
	script := "https://" + host + prefix + "/socket.io/socket.io.js"
	if got := b.status("127.0.0.1", http.MethodGet, script, nil); got != http.StatusOK && got != http.StatusFound {
		b.Errorf("%s: %d", script, got)
	}
}

// withEach runs a test of the document for nginx, Apache and Caddy.
func withEach(t *testing.T, test func(t *testing.T, w webServer, d document)) {
	for name, w := range webServers {
		t.Run(name, func(t *testing.T) { test(t, w, read(t, "docs/one-box.md")) })
	}
}

// A reader who follows docs/one-box.md gets what it says: https://push.example.com serves browsers and no emits, and each of the
// document's checks prints what the document says.
func TestOneBox(t *testing.T) {
	withEach(t, func(t *testing.T, w webServer, d document) {
		b := w.box(t, d, "https://push.example.com/readyz", w.subdomain(d))
		b.connects("push.example.com", "")
		b.checks(d)
	})
	t.Run("in Russian", func(t *testing.T) {
		w, d := webServers["nginx"], read(t, "docs/one-box.ru.md")
		b := w.box(t, d, "https://push.example.com/readyz", w.subdomain(d))
		b.connects("push.example.com", "")
		b.checks(d)
	})
}

// checks runs the commands of the document's section "Check it", and compares what they print with the line below each.
func (b *box) checks(d document) {
	b.Helper()
	port := func(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
	save(b.T, fmt.Sprintf("cacert = %q\nconnect-to = \"push.example.com:443:%s\"\nconnect-to = \"push.example.com:80:%s\"\n",
		b.authority, b.secure, b.plain), b.dir, ".curlrc")
	commands := exchange(b.T, d.with("curl", "/readyz"),
		"http://127.0.0.1:1336", b.program.Admin, "http://127.0.0.1:1335", b.emits)
	checked, command := 0, ""
	for line := range strings.Lines(commands) {
		line = strings.TrimSuffix(line, "\n")
		want, comment := strings.CutPrefix(line, "# ")
		if comment && command != "" {
			cmd := exec.Command("sh", "-c", command)
			cmd.Env = append(os.Environ(), "CURL_HOME="+b.dir, "HOME="+b.dir)
			out, _ := cmd.Output()                                         // curl ends a websocket by its time limit, which is an error
			got := strings.Replace(string(out), ":"+port(b.secure), "", 1) // Caddy leads to the port that it has
			if checked++; !strings.HasPrefix(got, want) {
				b.Errorf("%s\nprints %q, want %q", command, got, want)
			}
		}
		if command = line; comment {
			command = ""
		}
	}
	if checked < 8 {
		b.Errorf("only %d commands were checked", checked)
	}
}

// The same under a path of the site: https://example.com/push/.
func TestOneBoxUnderAPath(t *testing.T) {
	withEach(t, func(t *testing.T, w webServer, d document) {
		b := w.box(t, d, "https://example.com/push/readyz", func() string { return w.around(d.with(w.site)) })
		b.connects("example.com", "/push")
	})
}

// The limits per address count browsers, by the address that the web server sees, whatever they write into headers.
func TestOneBoxNamesTheBrowser(t *testing.T) {
	withEach(t, func(t *testing.T, w webServer, d document) {
		b := w.box(t, d, "https://push.example.com/readyz", w.subdomain(d), "DOIT_MAX_SOCKETS_PER_ADDRESS=1")
		for _, visit := range []struct {
			from, forged string
			want         int
		}{{"127.0.0.2", "", 200}, {"127.0.0.2", "", 429}, {"127.0.0.2", "192.0.2.1", 429}, {"127.0.0.3", "127.0.0.2", 200},
			{"127.0.0.3", "192.0.2.1, 127.0.0.1", 429}, {"127.0.0.1", "192.0.2.2", 200}, {"127.0.0.1", "192.0.2.3", 429}} {
			var headers []string
			if visit.forged != "" {
				headers = []string{"X-Forwarded-For", visit.forged}
			}
			if got := b.status(visit.from, http.MethodGet, "https://push.example.com/socket.io/?EIO=4&transport=polling", nil, headers...); got != visit.want {
				t.Errorf("from %s, which says it is %q: %d, want %d", visit.from, visit.forged, got, visit.want)
			}
		}
	})
}

// PHP on another machine emits through the web server, and nobody else does, by whatever spelling of the path.
func TestOneBoxWithPHPElsewhere(t *testing.T) {
	const php, other = "127.0.0.3", "127.0.0.2"
	withEach(t, func(t *testing.T, w webServer, d document) {
		b := w.elsewhere(t, d, php)
		page := b.page("push.example.com", "visitor", siotest.Options{})
		const emit = "https://push.example.com/emit"
		form := url.Values{"id": {"visitor"}, "message": {"by-post"}}
		for _, forged := range []string{"", php} {
			var headers []string
			if forged != "" {
				headers = []string{"X-Forwarded-For", forged, "X-Real-IP", forged}
			}
			for _, path := range []string{"/emit", "/%65mit", "/emit/", "//emit", "/x/../emit"} {
				if status, body := b.answer(other, http.MethodPost, "https://push.example.com"+path, form, headers...); status < 400 {
					t.Errorf("%s emits at %s: %d %.100s", other, path, status, body)
				}
				if status, body := b.answer(other, http.MethodGet, "https://push.example.com"+path+"?id=visitor&message=by-get", nil, headers...); body == "OK" {
					t.Errorf("%s emits at %s: %d %.100s", other, path, status, body)
				}
			}
		}
		if status, body := b.answer(php, http.MethodPost, emit, form); status != 200 || body != "OK" {
			t.Errorf("PHP emits: %d %s", status, body)
		}
		b.hears(page, `["by-post",{}]`)
		if status, body := b.answer(php, http.MethodGet, emit+"?id=visitor&message=by-get", nil); status != 200 || body != "OK" {
			t.Errorf("PHP emits by GET: %d %s", status, body)
		}
		b.hears(page, `["by-get",{}]`)
	})
}

// elsewhere starts a box for PHP at an address of this machine, which stands for another one.
func (w webServer) elsewhere(t *testing.T, d document, php string) *box {
	t.Helper()
	return w.box(t, d, "https://push.example.com/readyz", func() string {
		lines := exchange(t, d.with(w.php), "203.0.113.10", php)
		return exchange(t, d.with(w.push), w.before, lines+w.before)
	}, d.with("# /etc/doit-socket.env", "DOIT_OPEN"))
}

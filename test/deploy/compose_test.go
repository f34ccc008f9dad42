//go:build compose

package deploy

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// The compose file as it is: it is built, it comes up, an emit passes through
// the balancer to pages, a container of each kind dies, it goes down.
//
// It runs a Docker daemon of its own, as root, and needs Debian's docker.io,
// docker-compose, busybox-static and haproxy, and node and npm. No image is
// fetched: those that the files name are made of this machine's programs.
func TestCompose(t *testing.T) {
	startEngine(t)
	for image, build := range standIns {
		load(t, image, build(t))
	}
	compose(t, "build")
	for _, program := range []string{"ingest", "gateway"} {
		size := docker(t, "image", "inspect", "--format", "{{.Size}} {{.Config.User}}", "doit-socket-"+program)
		t.Logf("%s: bytes and user of the image: %s", program, size)
		var bytes int
		if _, err := fmt.Sscan(size, &bytes); err != nil || bytes >= 30_000_000 {
			t.Errorf("the image of %s has %s bytes", program, size)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(compose(t, "logs", "--no-color", "--tail", "30"))
		}
		compose(t, "down")
	})
	compose(t, "up", "-d")

	onAPlatform(t)

	const url = "http://127.0.0.1:8080"
	await(t, "the balancer", func() bool { return status(url+"/readyz") == 200 && status(url+"/stat/all") == 200 })
	for _, name := range []string{"gateway-1", "gateway-2", "ingest-1", "ingest-2"} {
		await(t, name+" to be healthy", func() bool {
			return docker(t, "inspect", "--format", "{{.State.Health.Status}}", container(t, name)) == "healthy"
		})
	}
	// No other door, and this one only for this machine.
	published := strings.Fields(docker(t, "ps", "--format", "{{.Ports}}"))
	published = slices.DeleteFunc(published, func(port string) bool { return !strings.Contains(port, "->") })
	if len(published) != 1 || published[0] != "127.0.0.1:8080->8080/tcp" {
		t.Errorf("published: %v", published)
	}
	if page := siotest.MustGet(t, url+"/"); !strings.Contains(page, `data-open="true"`) {
		t.Error("the demo page does not let a visitor try it")
	}
	if script := siotest.MustGet(t, url+"/socket.io/socket.io.js"); !strings.Contains(script, "Socket.IO v4") {
		t.Errorf("the script is %.100q", script)
	}

	emit := func(pages ...*siotest.Client) {
		t.Helper()
		siotest.MustPost(t, url, "42", "hello", `{"text":"Hi"}`)
		for _, page := range pages {
			if got := page.Next(); got.Name != "hello" {
				t.Fatalf("heard %v", got)
			}
		}
	}
	join := func() *siotest.Client {
		t.Helper()
		page := siotest.Dial(t, url, siotest.Options{})
		page.Register("42")
		return page
	}
	var pages []*siotest.Client
	for range 4 {
		pages = append(pages, join())
	}
	emit(pages...)
	if code, body := siotest.Post(t, url, []string{"nobody"}, "hello", `1`); code != 200 || body != "ERROR" {
		t.Errorf("nobody: %d %s", code, body)
	}

	// A server of NATS, an ingest and a gateway die.
	for _, victim := range []string{"nats-2", "ingest-1", "gateway-1"} {
		docker(t, "kill", container(t, victim))
		killed := time.Now()
		await(t, "an emit after "+victim+" was killed", func() bool {
			code, body := siotest.Post(t, url, []string{"42"}, "probe", `1`)
			return code == http.StatusOK && body == "OK"
		})
		t.Logf("%s killed: an emit is OK again after %v", victim, time.Since(killed).Round(time.Millisecond))
		// Browsers on the other gateway hear. Those on the one that died come back.
		var left []*siotest.Client
		for _, page := range pages {
			select {
			case <-page.Closed():
			case <-time.After(2 * time.Second):
				left = append(left, page)
			}
		}
		t.Logf("%d of %d pages are left", len(left), len(pages))
		left = append(left, join())
		pages = left
		siotest.MustPost(t, url, "42", "fence", `1`)
		for _, page := range pages {
			page.Until("fence")
		}
		emit(pages...)
	}
	compose(t, "up", "-d") // as the operator would
	await(t, "all eight containers", func() bool { return len(strings.Fields(docker(t, "ps", "--quiet"))) == 8 })
	emit(pages...)
}

// A platform builds the Dockerfile at the root, and says PORT.
func onAPlatform(t *testing.T) {
	t.Helper()
	docker(t, "build", "--tag", "doit-socket", "../..")
	id := docker(t, "run", "--detach", "--env", "PORT=5000", "--env", "DOIT_OPEN=1", "--publish", "127.0.0.1:8081:5000", "doit-socket")
	const url = "http://127.0.0.1:8081"
	await(t, "the image of the root", func() bool { return status(url+"/readyz") == 200 })
	page := siotest.Dial(t, url, siotest.Options{})
	page.Register("42")
	siotest.MustPost(t, url, "42", "hello", `1`)
	page.Next()
	page.Close()
	docker(t, "rm", "--force", id)
}

// await is for what containers take their time for.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// startEngine starts a Docker daemon of the test's own, to which docker and docker-compose then talk.
func startEngine(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("a Docker daemon is started: only root can")
	}
	dir, err := os.MkdirTemp("", "doit-socket-compose-")
	if err != nil {
		t.Fatal(err)
	}
	host := "unix://" + dir + "/docker.sock"
	t.Setenv("DOCKER_HOST", host)
	var out siotest.Output
	daemon := exec.Command("dockerd", "--host", host, "--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid")
	daemon.Stdout, daemon.Stderr = &out, &out
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Signal(syscall.SIGTERM)
		if err := daemon.Wait(); err != nil {
			t.Errorf("dockerd: %v", err)
		}
		if t.Failed() {
			t.Logf("dockerd said at the end:\n%s", tail(out.String()))
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	await(t, "dockerd", func() bool { return exec.Command("docker", "version").Run() == nil })
}

func tail(text string) string { return text[max(0, len(text)-4000):] }

func docker(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, exec.Command("docker", args...))
}

func compose(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, exec.Command("docker-compose", append([]string{"--project-name", "doittest", "--file", "../../docker-compose.yml"}, args...)...))
}

func container(t *testing.T, service string) string {
	t.Helper()
	return compose(t, "ps", "--quiet", service)
}

func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s\n%s", cmd.Args, err, tail(out.String()), tail(errs.String()))
	}
	return strings.TrimSpace(out.String())
}

// A rootfs is what an image is made of.
type rootfs struct {
	dir    string
	config []string // what a Dockerfile would say
}

// load makes an image of the directory.
func load(t *testing.T, image string, root rootfs) {
	t.Helper()
	pack := exec.Command("tar", "-C", root.dir, "--numeric-owner", "-c", ".")
	args := []string{"import"}
	for _, line := range root.config {
		args = append(args, "--change", line)
	}
	into := exec.Command("docker", append(args, "-", image)...)
	var err error
	if into.Stdin, err = pack.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := pack.Start(); err != nil {
		t.Fatal(err)
	}
	run(t, into)
	if err := pack.Wait(); err != nil {
		t.Fatal(err)
	}
	_ = os.RemoveAll(root.dir)
}

// standIns are what the files take from a registry: the same names, made of this machine's programs.
var standIns = map[string]func(t *testing.T) rootfs{
	"node:24-alpine":     nodeImage,
	"golang:1.26-alpine": goImage,
	"nats:2.15.2":        natsImage,
	"haproxy:3.2":        haproxyImage,
}

// withShell has a shell, and the tools that are in Alpine too.
func withShell(t *testing.T) string {
	dir := t.TempDir()
	sh(t, dir, `
		mkdir -p bin tmp etc/ssl/certs root usr/bin
		chmod 1777 tmp
		cp "$(command -v busybox)" bin/busybox
		for applet in $(bin/busybox --list | grep -vx busybox); do ln -s busybox bin/$applet; done
		cp /etc/ssl/certs/ca-certificates.crt etc/ssl/certs/
	`)
	return dir
}

// sh runs commands in a directory.
func sh(t *testing.T, dir, script string, env ...string) {
	t.Helper()
	cmd := exec.Command("bash", "-eu", "-o", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	run(t, cmd)
}

// withLibraries copies a program and what it is linked with.
const withLibraries = `
	copy() {
		mkdir -p "usr/bin" && cp "$1" usr/bin/
		for lib in $(ldd "$1" | grep -o '/[^ ]*'); do mkdir -p ".$(dirname $lib)" && cp -L "$lib" ".$lib"; done
	}
`

// nodeImage has npm, and the one package that the build asks npm for.
func nodeImage(t *testing.T) rootfs {
	dir := withShell(t)
	source, err := filepath.Abs("../../clients/browser")
	if err != nil {
		t.Fatal(err)
	}
	sh(t, dir, withLibraries+`
		copy "$(readlink -f "$(command -v node)")"
		npm=$(readlink -f "$(command -v npm)") && npm=${npm%/bin/npm-cli.js}
		mkdir -p opt && cp -rL "$npm" opt/npm
		printf '#!/bin/sh\nexec /usr/bin/node /opt/npm/bin/npm-cli.js "$@"\n' >usr/bin/npm && chmod +x usr/bin/npm
		npm cache add "socket.io-client@$(cat "$SOURCE/VERSION")" --cache "$PWD/root/.npm" >/dev/null
		printf 'offline=true\ncache=/root/.npm\nupdate-notifier=false\n' >root/.npmrc
	`, "SOURCE="+source)
	return rootfs{dir, []string{"ENV PATH=/usr/bin:/bin HOME=/root"}}
}

// goImage has Go, and the modules that the build asks for.
func goImage(t *testing.T) rootfs {
	dir := withShell(t)
	sh(t, "../..", `go mod download`)
	sh(t, dir, `
		mkdir -p usr/local
		cp -r "$(go env GOROOT)" usr/local/go
		rm -rf usr/local/go/test
		mkdir -p proxy
		cp -r "$(go env GOMODCACHE)/cache/download/." proxy/
		rm -rf proxy/sumdb
	`)
	return rootfs{dir, []string{"ENV PATH=/usr/local/go/bin:/usr/bin:/bin HOME=/root GOPATH=/go GOTOOLCHAIN=local GOPROXY=file:///proxy GOFLAGS=-mod=readonly GONOSUMDB=*"}}
}

// natsImage has the server of the pinned module, as the official image has it.
func natsImage(t *testing.T) rootfs {
	dir := t.TempDir()
	sh(t, "../..", `CGO_ENABLED=0 go build -o "$OUT/nats-server" github.com/nats-io/nats-server/v2`, "OUT="+dir)
	return rootfs{dir, []string{`ENTRYPOINT ["/nats-server"]`, `CMD ["--config","nats-server.conf"]`, "EXPOSE 4222 6222 8222"}}
}

func haproxyImage(t *testing.T) rootfs {
	dir := t.TempDir()
	sh(t, dir, withLibraries+`
		copy "$(command -v haproxy)"
		mkdir -p usr/local/etc/haproxy tmp etc var/lib/haproxy
		echo 'haproxy:x:99:99::/var/lib/haproxy:/bin/false' >etc/passwd
	`)
	return rootfs{dir, []string{"USER 99", "WORKDIR /var/lib/haproxy", `CMD ["/usr/bin/haproxy","-W","-db","-f","/usr/local/etc/haproxy/haproxy.cfg"]`}}
}

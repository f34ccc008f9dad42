//go:build programs

package deploy

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// A webServer is one of those that docs/one-box.md puts before the program. Its functions make a configuration of what
// the document has.
type webServer struct {
	// What the documents have above the lines for push.example.com, for the site, and for PHP on another machine.
	push, site, php string
	// In the file for push.example.com, the lines for PHP on another machine stand before this one.
	before string
	// around returns a site at https://example.com with the document's lines in it.
	around func(lines string) string
	// start starts the web server for a file. Certificates are those of Let's Encrypt in the file.
	start func(t *testing.T, d document, f front, config string) *exec.Cmd
}

// A front is where a web server listens, and whom its visitors trust.
type front struct {
	dir           string // for its files
	secure, plain string // what stands for ports 443 and 80, as HOST:PORT
	authority     string // the file with its authority, once it runs
}

const letsEncrypt = "/etc/letsencrypt/live/"

var webServers = map[string]webServer{
	"nginx": {
		push: "# /etc/nginx/sites-available/push.example.com", site: "# /etc/nginx/sites-available/example.com",
		php:    "# /etc/nginx/sites-available/push.example.com\nlocation",
		before: "    location / {\n",
		around: func(lines string) string {
			return "server {\n    listen 443 ssl;\n    server_name example.com;\n" +
				"    ssl_certificate     /etc/letsencrypt/live/push.example.com/fullchain.pem;\n" +
				"    ssl_certificate_key /etc/letsencrypt/live/push.example.com/privkey.pem;\n" + lines + "}\n"
		},
		start: startNginx,
	},
	"apache": {
		push: "# /etc/apache2/sites-available/push.example.com.conf", site: "# /etc/apache2/sites-available/example.com.conf",
		php:    "# /etc/apache2/sites-available/push.example.com.conf\n<Location",
		before: `    ProxyPass "/" `,
		around: func(lines string) string {
			return "<VirtualHost *:443>\n    ServerName example.com\n    SSLEngine on\n" +
				"    SSLCertificateFile    /etc/letsencrypt/live/push.example.com/fullchain.pem\n" +
				"    SSLCertificateKeyFile /etc/letsencrypt/live/push.example.com/privkey.pem\n" + lines + "</VirtualHost>\n"
		},
		start: startApache,
	},
	"caddy": {
		push: "# /etc/caddy/Caddyfile\npush.example.com", site: "# /etc/caddy/Caddyfile\nhandle_path",
		php:    "# /etc/caddy/Caddyfile\n@php",
		before: "	reverse_proxy 127.0.0.1:1337\n",
		around: func(lines string) string { return "example.com {\n" + lines + "}\n" },
		start:  startCaddy,
	},
}

// serve starts a program until the end of the test.
func serve(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var out siotest.Output
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
}

// certified writes the certificate of a front, and returns the config with its path in it.
func certified(t *testing.T, f front, config string) string {
	t.Helper()
	cert, key := certificate(t, "push.example.com", "example.com")
	live := filepath.Join(f.dir, "live")
	save(t, string(cert), live, "push.example.com", "fullchain.pem")
	save(t, string(key), live, "push.example.com", "privkey.pem")
	save(t, string(cert), f.authority)
	return exchange(t, config, letsEncrypt, live+"/")
}

func startNginx(t *testing.T, d document, f front, config string) *exec.Cmd {
	config = strings.ReplaceAll(certified(t, f, config), "listen 443 ", "listen "+f.secure+" ")
	config = strings.ReplaceAll(config, "listen 80;", "listen "+f.plain+";")
	config = strings.ReplaceAll(config, "[::]:443 ", strings.Replace(f.secure, "127.0.0.1", "[::1]", 1)+" ")
	config = strings.ReplaceAll(config, "[::]:80;", strings.Replace(f.plain, "127.0.0.1", "[::1]", 1)+";")
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil { // a container may have no IPv6
		config = regexp.MustCompile(`(?m)^ +listen \[::1\]:.*\n`).ReplaceAllString(config, "")
	} else {
		_ = l.Close()
	}
	top, events, ok := strings.Cut(d.with("# /etc/nginx/nginx.conf"), "events { }\n")
	if !ok {
		t.Fatal("the document does not say what belongs into events { }")
	}
	main := "daemon off; pid nginx.pid; error_log stderr;\n" + top + "\nevents {\n" + events + "}\nhttp { access_log off;"
	if os.Geteuid() == 0 {
		main = "user root; " + main
	}
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		main += fmt.Sprintf(" %s_temp_path %s;", kind, kind)
	}
	main += " include site.conf; }"
	save(t, config, f.dir, "site.conf")
	save(t, main, f.dir, "main.conf")
	return exec.Command("nginx", "-p", f.dir, "-c", "main.conf", "-e", "stderr")
}

func startApache(t *testing.T, d document, f front, config string) *exec.Cmd {
	config = strings.ReplaceAll(certified(t, f, config), "<VirtualHost *:443>", "<VirtualHost "+f.secure+">")
	config = strings.ReplaceAll(config, "<VirtualHost *:80>", "<VirtualHost "+f.plain+">")
	named := regexp.MustCompile(`(?m)^a2enmod (.*)$`).FindStringSubmatch(d.with("a2enmod"))
	if named == nil {
		t.Fatal("the document does not say which modules Apache needs")
	}
	// Those that Debian enables by itself, as far as they matter here, then the document's.
	modules := append(strings.Fields("mpm_event authz_core authz_host alias mime setenvif socache_shmcb"), strings.Fields(named[1])...)
	main := fmt.Sprintf("ServerRoot %[1]q\nPidFile %[1]s/apache.pid\nErrorLog %[1]s/error.log\nDefaultRuntimeDir %[1]q\n", f.dir)
	for _, module := range modules {
		main += fmt.Sprintf("LoadModule %[1]s_module /usr/lib/apache2/modules/mod_%[1]s.so\n", module)
	}
	main += fmt.Sprintf("TypesConfig /dev/null\nServerName localhost\nListen %s\nListen %s\n", f.secure, f.plain)
	if os.Geteuid() == 0 {
		main += "User www-data\nGroup www-data\n"
	}
	main += d.with("# /etc/apache2/mods-available/mpm_event.conf") + config
	t.Cleanup(func() {
		if text, err := os.ReadFile(filepath.Join(f.dir, "error.log")); err == nil && t.Failed() {
			t.Logf("%s", text)
		}
	})
	return exec.Command("apache2", "-DFOREGROUND", "-f", save(t, main, f.dir, "main.conf"))
}

// Caddy makes the certificates: its own authority is in the place of Let's Encrypt.
func startCaddy(t *testing.T, _ document, f front, config string) *exec.Cmd {
	port := func(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
	// skip_install_trust: otherwise it would make the machine trust its authority.
	main := fmt.Sprintf("{\nadmin off\nlocal_certs\nskip_install_trust\ndefault_bind 127.0.0.1\nhttps_port %s\nhttp_port %s\n}\n%s",
		port(f.secure), port(f.plain), config)
	cmd := exec.Command("caddy", "run", "--adapter", "caddyfile", "--config", save(t, main, f.dir, "Caddyfile"))
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+f.dir, "XDG_CONFIG_HOME="+f.dir, "HOME="+f.dir)
	return cmd
}

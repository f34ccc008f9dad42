//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

const nchanModule = "/usr/lib/nginx/modules/ngx_nchan_module.so"

// One worker is what costs nchan least. Messages are not kept, as ours are not.
const nchanConf = `load_module %[1]s;
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid %[2]s/nginx.pid;
error_log stderr error;
events { worker_connections 19900; }
http {
	access_log off;
	keepalive_requests 1000000000;
	keepalive_timeout 600;
	client_body_temp_path %[2]s/body;
	proxy_temp_path %[2]s/proxy;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	nchan_shared_memory_size 1024M; # it frees late what nobody keeps
	nchan_store_messages off;
	server {
		listen %[3]s backlog=4096;
		location = /sub {
			nchan_subscriber websocket;
			nchan_channel_id $arg_id;
			nchan_subscriber_first_message newest;
			nchan_websocket_ping_interval 25;
		}
		location = /pub {
			nchan_publisher http;
			nchan_channel_id $arg_id;
			nchan_channel_id_split_delimiter ",";
		}
	}
}
`

func missingNchan() string {
	if _, err := os.Stat(nchanModule); err != nil {
		return "libnginx-mod-nchan is not installed"
	}
	return ""
}

// startNchan starts nginx with Debian's nchan.
func startNchan(b *build) (*server, error) {
	a, err := addresses(1)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "nginx")
	if err != nil {
		return nil, fmt.Errorf("nchan: %w", err)
	}
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nchanConf, nchanModule, dir, a[0]), 0o600); err != nil {
		return nil, fmt.Errorf("nchan: %w", err)
	}
	p, err := launch(nil, a, "nginx", "-e", "stderr", "-p", dir, "-c", conf)
	if err != nil {
		return nil, err
	}
	return &server{dialect: nchan{a[0]}, processes: ends{p}, sockets: a[0], emits: a[0]}, nil
}

// nchan is a channel for an id. It answers 201 where the channel has
// subscribers and 202 where it has none: of one nginx, not of a cluster, and
// before anything is written.
type nchan struct{ emits netip.AddrPort }

func (nchan) target(ids []string) string { return "/sub?id=" + ids[0] }

func (nchan) register(*socket, []byte) (say string, registered bool, err error) { return "", true, nil }

func (nchan) heartbeat([]byte) string { return "" }

func (d nchan) post(to []byte, ids []string, data string) []byte {
	return request(to, "/pub?id="+strings.Join(ids, ","), "Accept: text/json\r\nContent-Type: application/json\r\n", d.emits, []byte(data))
}

func (nchan) answer(status int, _ []byte) answer {
	switch status {
	case 201:
		return taken
	case 202:
		return nobody
	}
	return refused
}

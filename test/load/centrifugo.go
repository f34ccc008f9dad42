//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// No tokens, presence, history or metrics: what it does is what ours does, and
// less, as it does not say whether anybody was there.
const centrifugoConf = `{
	"log": {"level": "error"},
	"http_server": {"address": "127.0.0.1", "port": "%d"},
	"client": {"insecure": true, "allowed_origins": ["*"]},
	"http_api": {"key": "load"},
	"channel": {"without_namespace": {"allow_subscribe_for_client": true}}
}
`

func missingCentrifugo() string {
	if os.Getenv("CENTRIFUGO_BIN") == "" {
		return "CENTRIFUGO_BIN names no binary"
	}
	return ""
}

// startCentrifugo starts the binary that CENTRIFUGO_BIN names.
func startCentrifugo(b *build) (*server, error) {
	a, err := addresses(1)
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(b.dir, "centrifugo.json")
	if err := os.WriteFile(conf, fmt.Appendf(nil, centrifugoConf, a[0].Port()), 0o600); err != nil {
		return nil, fmt.Errorf("centrifugo: %w", err)
	}
	p, err := launch(nil, a, os.Getenv("CENTRIFUGO_BIN"), "-c", conf)
	if err != nil {
		return nil, err
	}
	return &server{dialect: centrifugo{a[0]}, processes: ends{p}, sockets: a[0], emits: a[0]}, nil
}

type centrifugo struct{ emits netip.AddrPort }

func (centrifugo) target([]string) string { return "/connection/websocket" }

func (centrifugo) register(k *socket, message []byte) (say string, registered bool, err error) {
	switch {
	case k.step == 0:
		return `{"id":1,"connect":{}}`, false, nil
	case k.step == 1 && bytes.HasPrefix(message, []byte(`{"id":1,"connect":`)):
		return `{"id":2,"subscribe":{"channel":"` + k.ids[0] + `"}}`, false, nil
	case k.step == 2 && bytes.HasPrefix(message, []byte(`{"id":2,"subscribe":`)):
		return "", true, nil
	}
	return "", false, errDialogue
}

func (centrifugo) heartbeat(message []byte) string {
	if string(message) == "{}" {
		return "{}"
	}
	return ""
}

func (d centrifugo) post(to []byte, ids []string, data string) []byte {
	const headers = "Content-Type: application/json\r\nX-API-Key: load\r\n"
	if len(ids) == 1 {
		return request(to, "/api/publish", headers, d.emits, []byte(`{"channel":"`+ids[0]+`","data":`+data+`}`))
	}
	return request(to, "/api/broadcast", headers, d.emits, []byte(`{"channels":["`+strings.Join(ids, `","`)+`"],"data":`+data+`}`))
}

func (centrifugo) answer(status int, body []byte) answer {
	if status == 200 && bytes.HasPrefix(body, []byte(`{"result":`)) {
		return unsaid
	}
	return refused
}

//go:build linux

package main

import (
	"bytes"
	"errors"
	"net/netip"
	"net/url"
	"strings"
)

// socketIO is the dialect of ours and of Node's server: Engine.IO 4, and the
// form that PHP posts. So what is between the two is the server alone.
type socketIO struct{ emits netip.AddrPort }

func (socketIO) target([]string) string { return "/socket.io/?EIO=4&transport=websocket" }

var errDialogue = errors.New("not what is expected")

func (socketIO) register(k *socket, message []byte) (say string, registered bool, err error) {
	switch {
	case k.step == 0:
		return "", false, nil
	case k.step == 1 && bytes.HasPrefix(message, []byte(`0{`)):
		return "40", false, nil
	case k.step == 2 && bytes.HasPrefix(message, []byte(`40{`)):
		return `420["register",{"userid":["` + strings.Join(k.ids, `","`) + `"]}]`, false, nil
	case k.step == 3 && bytes.HasPrefix(message, []byte(`430[{"ok":true`)):
		return "", true, nil
	}
	return "", false, errDialogue
}

func (socketIO) heartbeat(message []byte) string {
	if string(message) == "2" {
		return "3"
	}
	return ""
}

func (d socketIO) post(to []byte, ids []string, data string) []byte {
	var form []byte
	if len(ids) == 1 {
		form = append(append(form, "id="...), ids[0]...)
	} else {
		for _, id := range ids {
			form = append(append(append(form, "id%5B%5D="...), id...), '&')
		}
		form = form[:len(form)-1]
	}
	form = append(append(form, "&message=news&data="...), url.QueryEscape(data)...)
	return request(to, "/emit", "Content-Type: application/x-www-form-urlencoded\r\n", d.emits, form)
}

func (socketIO) answer(status int, body []byte) answer {
	switch {
	case status == 200 && string(body) == "OK":
		return taken
	case status == 200 && string(body) == "ERROR":
		return nobody
	}
	return refused
}

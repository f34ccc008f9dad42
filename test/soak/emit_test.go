//go:build soak

package soak

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// An emitter posts emits over kept connections, as PHP-FPM behind curl would not: it must not be what is slow.
type emitter struct {
	url  string
	http http.Client
}

func newEmitter(base string) *emitter {
	return &emitter{url: base + "/emit", http: http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// emit emits to ids, which need no escaping; nor does data, which is JSON. It
// returns status and body, or what kept it from an answer.
func (e *emitter) emit(ids []string, event, data string) (status int, answer string) {
	var form strings.Builder
	form.WriteString("message=" + event + "&data=" + data)
	for _, id := range ids {
		form.WriteString("&id[]=" + id)
	}
	resp, err := e.http.Post(e.url, "application/x-www-form-urlencoded", strings.NewReader(form.String()))
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, err.Error()
	}
	return resp.StatusCode, string(body)
}

// maxReceivers is how many ids an emit may name.
const maxReceivers = 1000

// collect emits an event to every id that comes in, soon and many at once. It
// returns what was not answered OK, when ids is closed.
func (e *emitter) collect(ids <-chan string, event string) (faults []string) {
	const soon = 50 * time.Millisecond
	var batch []string
	flush := func() {
		for len(batch) > 0 {
			n := min(len(batch), maxReceivers)
			if _, answer := e.emit(batch[:n], event, "1"); answer != "OK" {
				faults = append(faults, answer)
			}
			batch = batch[n:]
		}
	}
	for tick := time.Tick(soon); ; {
		select {
		case id, more := <-ids:
			if !more {
				flush()
				return faults
			}
			batch = append(batch, id)
		case <-tick:
			flush()
		}
	}
}

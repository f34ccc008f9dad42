package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// The requests that were recorded from the original server, with its answers
// and deliveries. They are its contract.
func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/emit-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	type delivery struct {
		User, Event string
		Args        []any
	}
	var vectors struct {
		Registered []string
		Cases      []struct {
			Name, Method, Path, ContentType, Body string
			Response                              struct {
				Status int
				Body   string
			}
			Delivered []delivery
		}
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors.Cases) != 47 {
		t.Fatalf("%d cases", len(vectors.Cases))
	}
	server := start(t, "embedded")
	clients := make([]*siotest.Client, len(vectors.Registered))
	for i, id := range vectors.Registered {
		clients[i] = siotest.Dial(t, server.URL, siotest.Options{})
		clients[i].Register(id)
	}
	for n, c := range vectors.Cases {
		t.Run(c.Method+" "+c.Name, func(t *testing.T) {
			r, err := http.NewRequest(c.Method, server.URL+c.Path, strings.NewReader(c.Body))
			if err != nil {
				t.Fatal(err)
			}
			if c.ContentType != "" {
				r.Header.Set("Content-Type", c.ContentType)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != c.Response.Status || string(body) != c.Response.Body {
				t.Errorf("answered %d %q, want %d %q", resp.StatusCode, body, c.Response.Status, c.Response.Body)
			}

			fence := fmt.Sprintf("fence-%d", n)
			if status, body := siotest.Post(t, server.URL, vectors.Registered[:len(clients)-1], fence, "1"); body != "OK" {
				t.Fatalf("fence: %d %s", status, body)
			}
			want, got := map[string][]siotest.Event{}, map[string][]siotest.Event{}
			for _, d := range c.Delivered {
				want[d.User] = append(want[d.User], siotest.Event{Name: d.Event, Args: d.Args})
			}
			for i, client := range clients {
				id := vectors.Registered[i]
				got[id] = append(got[id], client.Until(fence)...)
			}
			for id, events := range got {
				if len(events) > 0 && !reflect.DeepEqual(events, want[id]) || len(events) != len(want[id]) {
					t.Errorf("%q heard %v, want %v", id, events, want[id])
				}
			}
		})
	}
}

//go:build linux

package main

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	var hundred times
	for i := 100; i > 0; i-- {
		hundred = append(hundred, time.Duration(i))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 50, 0.99: 99, 0.999: 100, 1: 100} {
		if got := hundred.quantile(q); got != want {
			t.Errorf("quantile %v of 1 to 100 is %d, not %d", q, got, want)
		}
	}
	if got := median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("the median of 3, 1, 2 is %v", got)
	}
}

// A socket that hears an event twice, too early, or one of another server's making fails the run.
func TestOrder(t *testing.T) {
	event := func(n int) string { return `42["news",` + payload(n, 5) + `]` }
	for _, c := range []struct {
		name   string
		events []string
		well   bool
	}{
		{"in order", []string{event(0), event(1), event(2)}, true},
		{"one missing", []string{event(0), event(2)}, false},
		{"one twice", []string{event(0), event(0)}, false},
		{"not ours", []string{`42["news",{"n":0}]`}, false},
		{"cut short", []string{event(0)[:60]}, false},
	} {
		l, err := newLoop(nil)
		if err != nil {
			t.Fatal(err)
		}
		k := &socket{server: &server{dialect: socketIO{}}, ids: []string{"u"}, step: done, ledger: &ledger{}}
		for _, e := range c.events {
			// In two reads, as it may come.
			whole := append([]byte{0x81, 126, 0, byte(len(e))}, e...)
			err = errors.Join(err, k.read(l, whole[:7]), k.read(l, whole[7:]))
		}
		l.close()
		if (err == nil) != c.well {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.well && k.ledger.heard != len(c.events) {
			t.Errorf("%s: %d heard", c.name, k.ledger.heard)
		}
	}
}

func TestResponse(t *testing.T) {
	const whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nERROR"
	for i := range whole {
		if _, _, err := response([]byte(whole[:i])); !errors.Is(err, errMore) {
			t.Fatalf("the first %d bytes are %v", i, err)
		}
	}
	if status, body, err := response([]byte(whole)); status != 200 || string(body) != "ERROR" || err != nil {
		t.Errorf("read %d %q, %v", status, body, err)
	}
	if _, _, err := response([]byte(whole + "HTTP")); !errors.Is(err, errUnknown) {
		t.Errorf("an answer too many is %v", err)
	}
}

// A wrong answer fails the run.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		wants answer
		says  string
		well  bool
	}{{taken, "OK", true}, {nobody, "ERROR", true}, {taken, "ERROR", false}, {nobody, "OK", false}, {taken, "ok", false}} {
		answered := false
		k := &sender{server: &server{dialect: socketIO{}}, wants: c.wants, busy: true, answered: func(*sender) error { answered = true; return nil }}
		err := k.read(nil, []byte("HTTP/1.1 200 OK\r\nContent-Length: "+string(rune('0'+len(c.says)))+"\r\n\r\n"+c.says))
		if (err == nil) != c.well || answered != c.well {
			t.Errorf("%v, answered %s: %v", c.wants, c.says, err)
		}
	}
}

// A goal that is missed fails the run; one that could not be measured does not.
func TestVerdict(t *testing.T) {
	r := &report{Figures: map[string][]Figures{
		"embedded": {{"fanout.cpu_us": 4}, {"fanout.cpu_us": 5}, {"fanout.cpu_us": 90}},
		rival:      {{"fanout.cpu_us": 12}},
	}}
	if _, failed := r.verdict(); failed {
		t.Error("5 of 12 is below 0.52")
	}
	r.Figures[rival] = []Figures{{"fanout.cpu_us": 9}}
	if _, failed := r.verdict(); !failed {
		t.Error("5 of 9 is above 0.52")
	}
}

// Every goal asks for figures that a scenario measures: of servers that there are.
func TestGoals(t *testing.T) {
	for _, g := range goals {
		for _, name := range []string{g.ours, g.than} {
			if name != "" && !slices.ContainsFunc(kinds, func(k kind) bool { return len(name) > len(k.name) && name[:len(k.name)+1] == k.name+" " }) {
				t.Errorf("%q: there is no such server", name)
			}
		}
	}
}

// Sockets that hear what a crowd emits in another order than the others fail the run.
func TestCrowdOrder(t *testing.T) {
	for _, c := range []struct {
		name string
		hear [2][]int // what each of two sockets hears; of two pages that have emitted once each, 0 and 1 are the events
		well bool
	}{
		{"one order", [2][]int{{0, 1}, {0, 1}}, true},
		{"two orders", [2][]int{{0, 1}, {1, 0}}, false},
		{"one twice", [2][]int{{0, 0}, {}}, false},
		{"not emitted", [2][]int{{2}, {}}, false},
	} {
		sockets := [2]*socket{{}, {}}
		crowd := &crowd{all: 2, pages: []*page{{emits: 1}, {emits: 1}}}
		var err error
		for i, k := range sockets {
			for _, number := range c.hear[i] {
				err = errors.Join(err, crowd.check(k, number))
				k.next++
			}
		}
		if (err == nil) != c.well {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.well && (!crowd.pages[0].everys || !crowd.pages[1].everys) {
			t.Errorf("%s: not all have heard all", c.name)
		}
	}
}

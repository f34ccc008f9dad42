//go:build soak

package soak

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// gets is for what asks now and then: a kept connection would be a goroutine of the server.
var gets = http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

func get(url string) (status int, body string, err error) {
	resp, err := gets.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(all), err
}

// metrics are the samples of a program, by name with labels.
type metrics map[string]float64

func exposition(t testing.TB, p *siotest.Program) string {
	t.Helper()
	_, text, err := get(p.Admin + "/metrics")
	if err != nil {
		t.Fatalf("%v\n%s", err, p.Log())
	}
	return text
}

func read(t testing.TB, p *siotest.Program) metrics {
	t.Helper()
	m := make(metrics)
	text := exposition(t, p)
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		i := strings.LastIndexByte(lines.Text(), ' ')
		if value, err := strconv.ParseFloat(lines.Text()[i+1:], 64); err == nil && lines.Text()[0] != '#' {
			m[lines.Text()[:i]] = value
		}
	}
	return m
}

// since tells how much the samples of a counter have grown, by their label.
func (m metrics) since(before metrics, name string) string {
	var grown []string
	for sample, value := range m {
		if label, ok := strings.CutPrefix(sample, name+"{"); ok && value > before[sample] {
			_, label, _ = strings.Cut(strings.TrimSuffix(label, `"}`), `"`)
			grown = append(grown, fmt.Sprintf("%s %.0f", label, value-before[sample]))
		}
	}
	slices.Sort(grown)
	return strings.Join(grown, ", ")
}

// gauges are the names of our own gauges, and of what a leak would show in.
func gauges(t testing.TB, p *siotest.Program) []string {
	t.Helper()
	names := []string{"go_goroutines", "process_open_fds"}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (doit_\S+) gauge$`).FindAllStringSubmatch(exposition(t, p), -1) {
		names = append(names, m[1])
	}
	return names
}

var heapAlloc = regexp.MustCompile(`# HeapAlloc = (\d+)`)

// heap is what a program holds, in MiB, after garbage collection. Once is not
// enough for what lies in pools: collect twice to find a leak.
func heap(t testing.TB, p *siotest.Program, collections int) (mib float64) {
	t.Helper()
	for range collections {
		_, text, err := get(p.Admin + "/debug/pprof/heap?gc=1&debug=1")
		if err != nil {
			t.Fatalf("%v\n%s", err, p.Log())
		}
		m := heapAlloc.FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no HeapAlloc in %.200q", text)
		}
		n, _ := strconv.Atoi(m[1])
		mib = float64(n) / (1 << 20)
	}
	return mib
}

// peak returns the most that a program's heap was while f ran, garbage included, in MiB.
func peak(t testing.TB, p *siotest.Program, f func()) (most float64) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	for tick := time.Tick(100 * time.Millisecond); ; {
		most = max(most, read(t, p)["go_memstats_heap_alloc_bytes"]/(1<<20))
		select {
		case <-tick:
		case <-done:
			return most
		}
	}
}

// await waits until a condition holds, and reports whether it did.
func await(limit time.Duration, condition func() bool) bool {
	deadline := time.Now().Add(limit)
	for !condition() {
		if time.Now().After(deadline) {
			return false
		}
		<-time.After(50 * time.Millisecond)
	}
	return true
}

// times are durations that were measured.
type times []time.Duration

// at returns the q-th part of the times in their order: 0.5 is the median, 1 the longest.
func (t times) at(q float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t))
	return sorted[min(len(t)-1, int(q*float64(len(t))))].Round(10 * time.Microsecond)
}

func (t times) String() string {
	return fmt.Sprintf("%6d times, p50 %v, p99 %v, max %v", len(t), t.at(.5), t.at(.99), t.at(1))
}

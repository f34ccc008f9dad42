package logging

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxQueued bounds the lines that wait for the reader of the log, in bytes:
	// some five thousand lines.
	maxQueued = 1 << 20
	// maxIdle is the largest buffer that stays in memory between two lines.
	maxIdle = 64 << 10
	// flushTimeout is how long the end of the program waits for the reader of the
	// log.
	flushTimeout = time.Second
)

// An Output is the program's standard error, on which nobody waits. A goroutine
// writes what [Output.Write] queues, at most 1 MiB. If the reader of the log has
// gone, or does not read, lines are lost and counted. When the reader reads again,
// the log says how many. It is safe for concurrent use.
type Output struct {
	to    io.Writer
	ended chan struct{} // closed when Run has ended

	mu   sync.Mutex
	more sync.Cond // of mu: something is queued, or closed is set
	// Guarded by mu.
	queued  []byte // whole lines
	writing int    // bytes that Run is writing
	closed  bool
	lost    uint64 // lines
}

// NewOutput returns an Output to a file. The caller runs [Output.Run] in a
// goroutine, and ends it with [Output.Close].
func NewOutput(to io.Writer) *Output {
	o := &Output{to: to, ended: make(chan struct{})}
	o.more.L = &o.mu
	return o
}

// Write queues lines. It never blocks and never fails: lines for which there is
// no room are lost.
func (o *Output) Write(lines []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || len(o.queued)+o.writing+len(lines) > maxQueued {
		o.lost += countLines(lines)
		return len(lines), nil
	}
	o.queued = append(o.queued, lines...)
	o.more.Signal()
	return len(lines), nil
}

// Run writes what is queued until Close is called and everything is written. It is
// called once.
func (o *Output) Run() {
	defer close(o.ended)
	var told uint64 // lost lines that the log has told of
	for buffer := []byte(nil); ; {
		lines, ok := o.next(buffer)
		if !ok {
			return
		}
		n, err := o.to.Write(lines)
		lost := o.wrote(countLines(lines[n:]))
		if err == nil && lost > told {
			slog.New(slog.NewTextHandler(o.to, nil)).Warn("log lines were lost, because the reader of the log did not read", "lines", lost-told)
			told = lost
		}
		if buffer = lines[:0]; cap(buffer) > maxIdle {
			buffer = nil
		}
	}
}

// next waits for lines and returns them. It keeps the empty buffer for those
// that come meanwhile. ok is false if there will be no more.
func (o *Output) next(buffer []byte) (lines []byte, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queued) == 0 && !o.closed {
		o.more.Wait()
	}
	lines = o.queued
	o.queued, o.writing = buffer, len(lines)
	return lines, len(lines) > 0
}

// wrote notes that a write has ended and how many of its lines are lost. It
// returns the number of all lost lines.
func (o *Output) wrote(lost uint64) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = 0
	o.lost += lost
	return o.lost
}

// Close waits until everything is written, for a second at most. Later lines are
// lost. A writer that the reader blocks ends with the process.
func (o *Output) Close() {
	o.mu.Lock()
	o.closed = true
	o.more.Signal()
	o.mu.Unlock()
	select {
	case <-o.ended:
	case <-time.After(flushTimeout):
	}
}

func (o *Output) lostLines() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lost
}

func countLines(text []byte) uint64 { return uint64(bytes.Count(text, []byte("\n"))) }

// LostLines returns the metric of the lines that are lost on the way to the log.
// It stays 0 if log is not an [Output].
func LostLines(log io.Writer) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "doit_log_lost_lines_total",
		Help: "Log lines that were lost because the reader of the log has gone or did not read.",
	}, func() float64 {
		if o, ok := log.(*Output); ok {
			return float64(o.lostLines())
		}
		return 0
	})
}

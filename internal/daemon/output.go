package daemon

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

// An output is the program's standard error, on which nobody waits. A goroutine
// writes what [output.Write] queues. If the reader of the log has gone, or does
// not read, lines are lost and counted. When the reader reads again, the log says
// how many. It is safe for concurrent use.
type output struct {
	to    io.Writer
	ended chan struct{} // closed when run has ended

	mu   sync.Mutex
	more sync.Cond // of mu: something is queued, or closed is set
	// Guarded by mu.
	queued  []byte // whole lines
	writing int    // bytes that run is writing
	closed  bool
	lost    uint64 // lines
}

// newOutput returns an output to a file. The caller runs run in a goroutine, and
// ends it with close.
func newOutput(to io.Writer) *output {
	o := &output{to: to, ended: make(chan struct{})}
	o.more.L = &o.mu
	return o
}

// Write queues lines. It never blocks and never fails: lines for which there is
// no room are lost.
func (o *output) Write(lines []byte) (int, error) {
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

// run writes what is queued until close is called and everything is written.
func (o *output) run() {
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
func (o *output) next(buffer []byte) (lines []byte, ok bool) {
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
func (o *output) wrote(lost uint64) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = 0
	o.lost += lost
	return o.lost
}

// close waits until everything is written, for flushTimeout at most. Later lines
// are lost. A writer that the reader blocks ends with the process.
func (o *output) close() {
	o.mu.Lock()
	o.closed = true
	o.more.Signal()
	o.mu.Unlock()
	select {
	case <-o.ended:
	case <-time.After(flushTimeout):
	}
}

func (o *output) lostLines() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lost
}

func countLines(text []byte) uint64 { return uint64(bytes.Count(text, []byte("\n"))) }

// lostLines returns the metric of the lines that are lost on the way to the log.
// It stays 0 if log is not an [output].
func lostLines(log io.Writer) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "doit_log_lost_lines_total",
		Help: "Log lines that were lost because the reader of the log has gone or did not read.",
	}, func() float64 {
		if o, ok := log.(*output); ok {
			return float64(o.lostLines())
		}
		return 0
	})
}

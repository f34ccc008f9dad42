package logging

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
)

const (
	// repeatInterval is the shortest time between two logged records of one kind.
	repeatInterval = time.Minute
	// maxKinds bounds the kinds that are remembered. What exceeds it is one kind.
	maxKinds = 100
	// maxKind is the length of a kind in bytes. A stack trace is longer.
	maxKind = 200
)

// A folding is a handler that limits warnings and errors, so that a visitor who
// causes one with each request does not fill the log. It passes on the first
// record of a kind at once, and then one a minute: the newest, with the number of
// those that were suppressed since the last one (repeated). It passes on all
// other records. At level debug it passes on the suppressed ones, too, as debug.
//
// A kind is the level, the message, and the attributes added by
// [slog.Logger.With]. Words with a digit in them do not count: addresses, ports,
// numbers of lines and goroutines. Attributes of the record do not count either.
type folding struct {
	slog.Handler
	kind  string // of the attributes and groups added by With
	kinds *kinds // shared by all handlers made by With
}

// kinds remembers what was logged within the last repeatInterval. Nothing is
// logged while mu is held.
type kinds struct {
	mu sync.Mutex
	// Guarded by mu.
	known map[string]*repetition
}

// A repetition is the state of a kind.
type repetition struct {
	at         time.Time   // when a record of the kind was last logged
	newest     slog.Record // the newest suppressed one
	suppressed int         // records that were not logged since at
}

// fold returns a folding that passes records on to h.
func fold(h slog.Handler) slog.Handler {
	return &folding{Handler: h, kinds: &kinds{known: make(map[string]*repetition)}}
}

// WithAttrs implements [slog.Handler].
func (f *folding) WithAttrs(attrs []slog.Attr) slog.Handler {
	kind := f.kind
	for _, a := range attrs {
		kind += a.String() + " "
	}
	return &folding{f.Handler.WithAttrs(attrs), kind, f.kinds}
}

// WithGroup implements [slog.Handler].
func (f *folding) WithGroup(name string) slog.Handler {
	return &folding{f.Handler.WithGroup(name), f.kind + name + ".", f.kinds}
}

// Handle implements [slog.Handler].
func (f *folding) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return f.Handler.Handle(ctx, r)
	}
	if f.kinds.pass(r.Level.String()+" "+f.kind+kindOf(r.Message), r, f.flush) {
		return f.Handler.Handle(ctx, r)
	}
	if !f.Enabled(ctx, slog.LevelDebug) {
		return nil
	}
	r = r.Clone()
	r.Level = slog.LevelDebug
	return f.Handler.Handle(ctx, r)
}

// kindOf returns a message without its words that have a digit.
func kindOf(message string) string {
	words := strings.FieldsFunc(message[:min(len(message), maxKind)], unicode.IsSpace)
	kind := make([]byte, 0, maxKind)
	for _, word := range words {
		if strings.ContainsFunc(word, unicode.IsDigit) {
			word = "#"
		}
		kind = append(append(kind, word...), ' ')
	}
	return string(kind)
}

// pass reports whether a record of the kind is logged now. If it is suppressed,
// flush is called with the kind when repeatInterval is over.
func (k *kinds) pass(kind string, r slog.Record, flush func(kind string)) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known[kind] == nil && len(k.known) >= maxKinds {
		k.forget()
		if len(k.known) >= maxKinds {
			kind = "others"
		}
	}
	known := k.known[kind]
	switch {
	case known == nil:
		k.known[kind] = &repetition{at: time.Now()}
		return true
	case known.suppressed == 0 && time.Since(known.at) >= repeatInterval:
		known.at = time.Now()
		return true
	case known.suppressed == 0:
		time.AfterFunc(repeatInterval-time.Since(known.at), func() { flush(kind) })
	}
	known.suppressed++
	known.newest = r.Clone()
	return false
}

// forget forgets the kinds of which nothing was logged for repeatInterval. The
// caller holds mu.
func (k *kinds) forget() {
	for kind, known := range k.known {
		if known.suppressed == 0 && time.Since(known.at) >= repeatInterval {
			delete(k.known, kind)
		}
	}
}

// flush logs the newest suppressed record of a kind, with their number.
func (f *folding) flush(kind string) {
	f.kinds.mu.Lock()
	known := f.kinds.known[kind]
	r := known.newest
	r.AddAttrs(slog.Int("repeated", known.suppressed))
	*known = repetition{at: time.Now()}
	f.kinds.mu.Unlock()
	_ = f.Handler.Handle(context.Background(), r)
}

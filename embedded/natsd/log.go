package natsd

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"
)

// repeatInterval is the shortest time between two logged lines of one kind.
const repeatInterval = time.Minute

// Prefixes of nats-server's log lines about a route.
const (
	dialError      = "Error trying to connect to route"
	handshakeError = "TLS route handshake error"
)

// A logger is nats-server's logger. It passes on warnings and errors, and limits their rate.
//
// nats-server logs an error for each failed connection to the cluster port, and anyone can open
// one. A box with another secret causes four a second. The logger passes on the first line of a
// kind at once, and then one a minute with the number of suppressed lines. At level debug it passes
// on all of them.
type logger struct {
	log *slog.Logger

	mu         sync.Mutex       // guards the following; nothing is logged and no other lock is taken while it is held
	kinds      map[string]*kind // the kinds that were logged within the last repeatInterval
	routeError string           // the last error of a route; "" if there was none
}

// A kind is a set of lines that differ only in the connection they are about.
type kind struct {
	at         time.Time // when a line of this kind was last logged
	level      slog.Level
	text       string // the newest line
	suppressed int    // lines that were not logged since at
}

func newLogger(log *slog.Logger) *logger { return &logger{log: log, kinds: make(map[string]*kind)} }

// connectionPrefix matches the start of a line about one connection: its address and its number.
var connectionPrefix = regexp.MustCompile(`^\S+ - rid:\d+ - `)

// logLimited logs a line, or suppresses it if one of its kind was logged within repeatInterval.
func (l *logger) logLimited(level slog.Level, format string, v []any) {
	text := fmt.Sprintf(format, v...)
	bare := connectionPrefix.ReplaceAllString(text, "")
	key := connectionPrefix.ReplaceAllString(format, "")
	if strings.HasPrefix(bare, dialError) && len(v) > 0 {
		key += fmt.Sprint(v[len(v)-1]) // one kind for each route: the last value contains its address
	}

	l.mu.Lock()
	if strings.HasPrefix(bare, dialError) || strings.HasPrefix(bare, handshakeError) {
		l.routeError = bare
	}
	k, again := l.kinds[key]
	if again {
		k.text, k.suppressed = text, k.suppressed+1
	} else {
		l.kinds[key] = &kind{at: time.Now(), level: level, text: text}
	}
	l.mu.Unlock()

	if again {
		level = slog.LevelDebug
	}
	l.write(level, text)
}

// flush logs a line for each kind that has suppressed lines for repeatInterval. It is called once a
// second.
func (l *logger) flush() {
	for _, k := range l.due() {
		l.write(k.level, k.text, "repeated", k.suppressed)
	}
}

// write writes a record. The text is added by With: package daemon's own limit for repeated records
// then counts each text as a kind of its own.
func (l *logger) write(level slog.Level, text string, more ...any) {
	l.log.With("text", text).Log(context.Background(), level, "nats-server", more...)
}

// due returns the kinds that flush has to log, and resets their counts. It drops kinds that have
// nothing suppressed.
func (l *logger) due() []kind {
	l.mu.Lock()
	defer l.mu.Unlock()
	var due []kind
	for key, k := range l.kinds {
		switch {
		case time.Since(k.at) < repeatInterval:
		case k.suppressed == 0:
			delete(l.kinds, key)
		default:
			due = append(due, *k)
			k.at, k.suppressed = time.Now(), 0
		}
	}
	return due
}

// lastRouteError returns the last error of a route, or "".
func (l *logger) lastRouteError() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.routeError
}

// The methods of nats-server's interface Logger. nats-server logs its notices at Debug here: they
// are not for operators.

func (l *logger) Noticef(format string, v ...any) {
	l.log.Debug("nats-server", "text", fmt.Sprintf(format, v...))
}
func (l *logger) Warnf(format string, v ...any)  { l.logLimited(slog.LevelWarn, format, v) }
func (l *logger) Errorf(format string, v ...any) { l.logLimited(slog.LevelError, format, v) }
func (l *logger) Fatalf(format string, v ...any) { l.logLimited(slog.LevelError, format, v) }
func (l *logger) Debugf(string, ...any)          {}
func (l *logger) Tracef(string, ...any)          {}

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

// repeatTime is how often a kind of line is logged at most.
const repeatTime = time.Minute

// What nats-server's lines about a route begin with.
const (
	dialError      = "Error trying to connect to route"
	handshakeError = "TLS route handshake error"
)

// A logger passes on what nats-server says and an operator can act on.
//
// nats-server logs an error for each connection to the cluster's port that
// fails, whoever makes it, and four a second for a box with another secret.
// The logger passes on the first line of a kind at once, and then one a minute
// with the number of those that it held back. Level debug shows them all.
type logger struct {
	log *slog.Logger

	mu      sync.Mutex       // guards what follows; nothing is logged and nothing else is locked under it
	kinds   map[string]*kind // what was logged within the last repeatTime
	onRoute string           // the last error of a route
}

// A kind of line is what differs only in the connection that it is about.
type kind struct {
	at    time.Time // when one was logged last
	level slog.Level
	text  string // the last one
	held  int    // how many were not logged since then
}

func newLogger(log *slog.Logger) *logger { return &logger{log: log, kinds: make(map[string]*kind)} }

// aboutConnection begins a line about one connection: its address and number.
var aboutConnection = regexp.MustCompile(`^\S+ - rid:\d+ - `)

func (l *logger) say(level slog.Level, format string, v []any) {
	text := fmt.Sprintf(format, v...)
	bare := aboutConnection.ReplaceAllString(text, "")
	key := aboutConnection.ReplaceAllString(format, "")
	if strings.HasPrefix(bare, dialError) && len(v) > 0 {
		key += fmt.Sprint(v[len(v)-1]) // one kind for each route: the error has its address
	}

	l.mu.Lock()
	if strings.HasPrefix(bare, dialError) || strings.HasPrefix(bare, handshakeError) {
		l.onRoute = bare
	}
	k, again := l.kinds[key]
	if again {
		k.text, k.held = text, k.held+1
	} else {
		l.kinds[key] = &kind{at: time.Now(), level: level, text: text}
	}
	l.mu.Unlock()

	if again {
		level = slog.LevelDebug
	}
	l.log.Log(context.Background(), level, "nats-server", "text", text)
}

// flush logs what was held back for long enough. It is called each second.
func (l *logger) flush() {
	for _, k := range l.due() {
		l.log.Log(context.Background(), k.level, "nats-server", "text", k.text, "repeated", k.held)
	}
}

// due returns the kinds whose time has come, and counts anew from now on.
func (l *logger) due() []kind {
	l.mu.Lock()
	defer l.mu.Unlock()
	var due []kind
	for key, k := range l.kinds {
		switch {
		case time.Since(k.at) < repeatTime:
		case k.held == 0:
			delete(l.kinds, key)
		default:
			due = append(due, *k)
			k.at, k.held = time.Now(), 0
		}
	}
	return due
}

// lastOnRoute returns the last error of a route, or "".
func (l *logger) lastOnRoute() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.onRoute
}

// The methods that nats-server calls.

func (l *logger) Noticef(format string, v ...any) {
	l.log.Debug("nats-server", "text", fmt.Sprintf(format, v...))
}
func (l *logger) Warnf(format string, v ...any)  { l.say(slog.LevelWarn, format, v) }
func (l *logger) Errorf(format string, v ...any) { l.say(slog.LevelError, format, v) }
func (l *logger) Fatalf(format string, v ...any) { l.say(slog.LevelError, format, v) }
func (l *logger) Debugf(string, ...any)          {}
func (l *logger) Tracef(string, ...any)          {}

// Package logging is the log of a program: what of it is written, and how it gets to standard error. [New] is the
// logger, which writes one line a minute of what repeats. [Output] is where it writes, so that nobody who logs waits
// for the reader of the log. It knows nothing of what is logged.
//
// It has two locks, one over the kinds that were logged lately and one over the queue of an [Output]. Both are
// innermost: nothing is written while one of them is held.
package logging

import (
	"io"
	"log/slog"
)

// New returns a text logger that writes records of the level or higher to w: debug, info, warn or error; an unknown
// level means info. Of repeated warnings and errors it writes one a minute. It is safe for concurrent use. User ids,
// payloads and credentials must never be logged.
func New(level string, w io.Writer) *slog.Logger {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		least = slog.LevelInfo
	}
	return slog.New(fold(slog.NewTextHandler(w, &slog.HandlerOptions{Level: least})))
}

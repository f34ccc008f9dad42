package daemon

import (
	"io"
	"log/slog"
)

// NewLog returns the log of a process. Keys are fixed words; user ids,
// payloads and credentials are never logged.
func NewLog(level string, w io.Writer) *slog.Logger {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		least = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: least}))
}

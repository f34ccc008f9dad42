package daemon

import (
	"io"
	"log/slog"
)

// NewLog returns a text logger that writes records of the level or higher to w;
// an unknown level means info. Of repeated warnings and errors it writes one a
// minute. User ids, payloads and credentials must never be
// logged.
func NewLog(level string, w io.Writer) *slog.Logger {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		least = slog.LevelInfo
	}
	return slog.New(fold(slog.NewTextHandler(w, &slog.HandlerOptions{Level: least})))
}

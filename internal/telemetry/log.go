package telemetry

import (
	"fmt"
	"io"
	"log/slog"
)

// NewLogger logs to w in the given format, text or json. Text carries no time when bare is set: the terminal or the
// journal that takes it has its own.
func NewLogger(w io.Writer, format string, level slog.Level, bare bool) (*slog.Logger, error) {
	o := &slog.HandlerOptions{Level: level}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	case "text":
		if bare {
			o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
				if len(groups) == 0 && a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}
		}
		return slog.New(slog.NewTextHandler(w, o)), nil
	}
	return nil, fmt.Errorf("log format %q: must be text or json", format)
}
